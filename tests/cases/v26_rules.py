"""Rules of the verification cases that the library does not have."""

import gpupatch as gp


@gp.rule(fields="a b", noise={"b": lambda s, eps: s * gp.sqrt(2 / eps)})
def slow_fast(a, b, s, eps):
    """da = -b^2 a dt,  db = -(b - 1) dt/eps + s sqrt(2/eps) dW: every site is one trajectory."""
    return -(b[0] ** 2) * a[0], -(b[0] - 1) / eps

"""Fronts of nonlinear equations: a viscous shock and two travelling waves."""

from __future__ import annotations

import math

import numpy as np

from gpupatch.errors import InputError
from gpupatch.solutions.registry import Array, exact_solution, positive

_MOST_POINTS = 10**5
"""Points on either side of the middle that the integrals of `cole_hopf` may have."""
_MOST_AT_ONCE = 10**6
"""Values of the integrands of `cole_hopf` that are held in memory."""


@exact_solution(equation="u_t = nu u_xx - (u^2/2)_x")
def cole_hopf(coordinates: tuple[Array, ...], t: float, *, nu: float) -> dict[str, Array]:
    """Burgers' equation started from -sin(pi x): a wave that steepens into a viscous shock.

    The Cole-Hopf transform gives u as a quotient of two integrals over the heat kernel,

        u = - int sin(pi e) g(z) dz / int g(z) dz,        e = x - sqrt(4 nu t) z,
        g = exp(-z^2 - cos(pi e) / (2 pi nu)).

    They are summed by the trapezoidal rule, which converges exponentially, with the largest
    exponent taken out; its reach and step adapt to `nu` and `t`. Valid for t >= 0 and all x; u is
    odd with period 2. Written for [-1, 1], periodic or with u = 0 at both ends.

    Args:
        coordinates: x.
        t: time >= 0.
        nu: viscosity > 0.

    Returns:
        `u`.

    Raises:
        InputError: t is negative, `nu` is not positive, or the integrals would need too many
            points.

    Source: Hopf (1950), Cole (1951); the start of Basdevant et al. (1986); the rule as in
    Trefethen and Weideman (2014) [Hopf1950] [Cole1951] [Basdevant1986] [TrefethenWeideman2014].
    """
    positive(nu=nu)
    if t < 0:
        raise InputError(f"`cole_hopf` starts at t = 0; found t = {t}.")
    (x,) = coordinates
    stretch, drift = math.sqrt(4 * nu * t), math.sqrt(t / (4 * nu))
    # |u| <= 1 bounds the exponent by -z^2 + 2 drift |z| plus its value at 0
    reach = drift + math.sqrt(drift**2 + 40)
    # harmonics of exp(cos) are negligible beyond 10 + 3.6 / sqrt(nu): aliases fall under 1e-17
    step = 2 * math.pi / (13 + 10 * math.pi * stretch + 22.6 * math.sqrt(t))
    if not reach / step < _MOST_POINTS:
        raise InputError(
            f"`cole_hopf` would need more than {2 * _MOST_POINTS} points of integration at "
            f"t = {t:g} with nu = {nu:g}. Use a viscosity, or a time, that is nearer to 1."
        )
    half = math.ceil(reach / step)
    z = step * np.arange(-half, half + 1)
    u = np.empty(x.size)
    at_once = max(1, _MOST_AT_ONCE // z.size)
    for first in range(0, x.size, at_once):
        some = slice(first, first + at_once)
        angle = np.pi * (x.ravel()[some, None] - stretch * z)
        exponent = -(z**2) - np.cos(angle) / (2 * np.pi * nu)
        weight = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
        u[some] = -np.sum(weight * np.sin(angle), axis=-1) / np.sum(weight, axis=-1)
    return {"u": u.reshape(x.shape)}


@exact_solution(equation="u_t = D u_xx + r u (1 - u)")
def fisher_wave(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    diffusivity: float = 1.0,
    rate: float = 1.0,
    position: float = 0.0,
) -> dict[str, Array]:
    """Fisher's equation: the one travelling wave known in closed form.

        u = [1 + exp(z / sqrt(6))]^{-2},        z = sqrt(r / D) (x - x_0) - (5 / sqrt(6)) r t

    It invades the empty state u = 0 to the right at speed 5 sqrt(r D / 6), a little above the
    smallest possible 2 sqrt(r D). Valid for all x and t.

    Args:
        coordinates: x.
        t: time.
        diffusivity: D > 0.
        rate: r > 0.
        position: x_0, where u = 1/4 at t = 0.

    Returns:
        `u`.

    Raises:
        InputError: `diffusivity` or `rate` is not positive.

    Source: Ablowitz and Zeppetella (1979) [AblowitzZeppetella1979].
    """
    positive(diffusivity=diffusivity, rate=rate)
    (x,) = coordinates
    z = math.sqrt(rate / diffusivity) * (x - position) - 5 / math.sqrt(6) * rate * t
    return {"u": _logistic(-z / math.sqrt(6)) ** 2}


@exact_solution(equation="u_t = D u_xx + r u (1 - u) (u - a)")
def bistable_wave(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    threshold: float,
    diffusivity: float = 1.0,
    rate: float = 1.0,
    position: float = 0.0,
) -> dict[str, Array]:
    """Front between the two stable states of the Nagumo (Allen-Cahn) equation.

        u = 1 / (1 + exp(sqrt(r / 2D) (x - x_0 - c t))),        c = sqrt(r D / 2) (1 - 2 a)

    The state 1 lies on the left and wins if a < 1/2. Valid for all x and t.

    Args:
        coordinates: x.
        t: time.
        threshold: a, the unstable state, in [0, 1].
        diffusivity: D > 0.
        rate: r > 0.
        position: x_0, where u = 1/2 at t = 0.

    Returns:
        `u`.

    Raises:
        InputError: a parameter is out of range.

    Source: McKean (1970) [McKean1970].
    """
    positive(diffusivity=diffusivity, rate=rate)
    if not 0 <= threshold <= 1:
        raise InputError(f"`threshold` must lie in [0, 1]; found {threshold}.")
    (x,) = coordinates
    speed = math.sqrt(rate * diffusivity / 2) * (1 - 2 * threshold)
    steepness = math.sqrt(rate / (2 * diffusivity))
    return {"u": _logistic(-steepness * (x - position - speed * t))}


def _logistic(z: Array) -> Array:
    """1 / (1 + exp(-z)), its tail to full relative precision."""
    return np.exp(-np.logaddexp(0, -z))

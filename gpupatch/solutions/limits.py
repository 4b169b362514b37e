"""What is left after a long time or after averaging: a steady state and a slow law."""

from __future__ import annotations

import math

import numpy as np

from gpupatch.errors import InputError
from gpupatch.solutions.registry import Array, exact_solution


@exact_solution(equation="0 = u_xx + lam (u - u^3), u = 0 at 0 and pi")
def chafee_infante(
    coordinates: tuple[Array, ...], t: float, *, lam: float, half_waves: float = 1.0
) -> dict[str, Array]:
    """Steady state of the Chafee-Infante equation with n half waves on [0, pi].

        u = A sn(x sqrt(lam / (1 + k^2)), k),        A = sqrt(2 k^2 / (1 + k^2)),

    the modulus k fixed by 2 n K(k) sqrt((1 + k^2) / lam) = pi. The branch leaves u = 0 at
    lam = n^2; for n = 1 it is stable and u(pi / 2) = A. The formula continues u beyond [0, pi]
    as an odd function of period 2 pi / n. It does not depend on t.

    Args:
        coordinates: x.
        t: time, without effect.
        lam: lambda > n^2, up to 9e4 n^2.
        half_waves: n, a whole number >= 1.

    Returns:
        `u`.

    Raises:
        InputError: the branch does not exist at this `lam`, or n is not a whole number >= 1.

    Source: Chafee and Infante (1974) [ChafeeInfante1974].
    """
    from scipy.optimize import root_scalar
    from scipy.special import ellipj, ellipkm1

    (x,) = coordinates
    if half_waves != int(half_waves) or half_waves < 1:
        raise InputError(f"`half_waves` must be a whole number >= 1; found {half_waves}.")
    if not 1 < lam / half_waves**2 < 9e4:
        raise InputError(
            f"The steady state with {half_waves:g} half wave(s) exists for `lam` above "
            f"{half_waves**2:g} and is computed up to {9e4 * half_waves**2:g}; found lam = {lam}."
        )
    quarter = math.pi * math.sqrt(lam) / (2 * half_waves)

    # 1 - k^2 is sought by its logarithm: it is minute once the profile has flat tops
    def excess(logarithm: float) -> float:
        rest = math.exp(logarithm)
        return ellipkm1(rest) * math.sqrt(2 - rest) - quarter

    square = 1 - math.exp(root_scalar(excess, bracket=(-700.0, 0.0), xtol=1e-15).root)
    # folded into the first quarter wave, where sn does not depend on the last digits of k
    folded = np.arcsin(np.sin(half_waves * x)) / half_waves
    sine = ellipj(folded * math.sqrt(lam / (1 + square)), square)[0]
    return {"u": math.sqrt(2 * square / (1 + square)) * sine}


@exact_solution(
    equation="du = -y^2 u dt, dy = -(y - 1) dt/eps + s sqrt(2/eps) dW, eps -> 0", ndim=(0, 1, 2, 3)
)
def slow_fast_mean(
    coordinates: tuple[Array, ...], t: float, *, initial: float = 1.0, noise: float = 0.5
) -> dict[str, Array]:
    """Slow variable driven by a fast Ornstein-Uhlenbeck process, after averaging.

        u = u_0 exp(-(1 + s^2) t),

    since the stationary y has mean 1 and variance s^2. Uniform in space. Valid for t >= 0 in the
    limit eps -> 0.

    Args:
        coordinates: any; without effect.
        t: time.
        initial: u_0.
        noise: s >= 0.

    Returns:
        `u`.

    Source: Pavliotis and Stuart (2008), chapter 10 [PavliotisStuart2008].
    """
    return {"u": np.asarray(initial * math.exp(-(1 + noise**2) * t))}

"""Effective coefficients of media whose answer is known in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.errors import InputError


def harmonic_mean(coefficients: ArrayLike, fractions: ArrayLike | None = None) -> float:
    """Effective coefficient of conductors in series, hence of any periodic medium in 1-D.

        a* = 1 / <1 / a>

    Sampled at the faces of a lattice it is the coefficient of that lattice, exactly.

    Args:
        coefficients: a, any shape, positive.
        fractions: volume fraction of each, same shape; equal if absent.

    Returns:
        a*, same units as `coefficients`.

    Raises:
        InputError: a coefficient is not positive or the fractions do not sum to 1.

    Source: Pavliotis and Stuart (2008), chapter 12 [PavliotisStuart2008].
    """
    a, w = _medium(coefficients, fractions)
    return float(1 / np.sum(w / a))


def laminate(coefficients: ArrayLike, fractions: ArrayLike | None = None) -> tuple[float, float]:
    """Effective coefficients of a layered medium, across and along its layers.

    The harmonic mean across and the arithmetic mean along; also the bounds of Reuss and Voigt
    for any medium made of the same phases.

    Args:
        coefficients: a of each layer, positive.
        fractions: volume fraction of each, same shape; equal if absent.

    Returns:
        (across, along), same units as `coefficients`.

    Raises:
        InputError: a coefficient is not positive or the fractions do not sum to 1.

    Source: Pavliotis and Stuart (2008), chapter 12 [PavliotisStuart2008].
    """
    a, w = _medium(coefficients, fractions)
    return harmonic_mean(a, w), float(np.sum(w * a))


def checkerboard(first: float, second: float) -> float:
    """Effective coefficient of a 2-D medium that exchanging its phases leaves alike: sqrt(a b).

    Holds for the checkerboard and for the symmetric random 50:50 medium. A smooth medium whose
    logarithm changes sign under a shift or rotation has exp(<log a>) for the same reason.

    Args:
        first: a > 0.
        second: b > 0.

    Returns:
        The effective coefficient.

    Raises:
        InputError: a coefficient is not positive.

    Source: Keller (1964), Dykhne (1971) [Keller1964] [Dykhne1971].
    """
    a, _ = _medium([first, second], None)
    return float(np.sqrt(a[0] * a[1]))


def separable(factors: list[ArrayLike]) -> NDArray[np.float64]:
    """Effective tensor of the medium a_1(x_1) a_2(x_2) ... sampled on a uniform grid.

    It is diagonal. Along axis i,

        A_ii = harmonic mean of a_i  x  product over j != i of the arithmetic mean of a_j.

    Args:
        factors: for each axis the samples of a_i over one period, positive.

    Returns:
        The tensor, shape [axis, axis].

    Raises:
        InputError: a factor is not positive.
    """
    means = np.array([laminate(factor) for factor in factors])
    across, along = means[:, 0], means[:, 1]
    return np.diag(across * np.prod(along) / along)


def hashin_shtrikman_bounds(
    first: float, second: float, fraction: float, ndim: int
) -> tuple[float, float]:
    """Tightest bounds on an isotropic mixture of two phases known by their fractions alone.

    With a <= b and fractions f_a, f_b,

        lower = a + f_b / (1 / (b - a) + f_a / (d a)),
        upper = b + f_a / (1 / (a - b) + f_b / (d b)).

    Args:
        first: coefficient of one phase, positive.
        second: coefficient of the other, positive.
        fraction: volume fraction of `first`, in [0, 1].
        ndim: d, number of space dimensions.

    Returns:
        (lower, upper), same units as the coefficients.

    Raises:
        InputError: a number is out of range.

    Source: Hashin and Shtrikman (1962) [HashinShtrikman1962].
    """
    _medium([first, second], [fraction, 1 - fraction])
    if ndim < 1:
        raise InputError(f"`ndim` must be at least 1; found {ndim}.")
    if first == second:
        return float(first), float(first)
    (a, fa), (b, fb) = sorted([(first, fraction), (second, 1 - fraction)])
    lower = a + fb / (1 / (b - a) + fa / (ndim * a))
    upper = b + fa / (1 / (a - b) + fb / (ndim * b))
    return lower, upper


def layered_wave_speed(
    moduli: ArrayLike, densities: ArrayLike, fractions: ArrayLike | None = None
) -> float:
    """Speed of long waves across a layered elastic rod.

        c = sqrt(E* / rho*),    E* the harmonic mean of the moduli, rho* the mean density

    Args:
        moduli: E of each layer, positive.
        densities: rho of each layer, positive.
        fractions: volume fraction of each, same shape; equal if absent.

    Returns:
        c.

    Raises:
        InputError: a number is not positive or the fractions do not sum to 1.
    """
    density = laminate(densities, fractions)[1]
    return float(np.sqrt(harmonic_mean(moduli, fractions) / density))


def _medium(
    coefficients: ArrayLike, fractions: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a = np.asarray(coefficients, dtype=np.float64)
    if a.size == 0 or not np.all(a > 0):
        raise InputError("`coefficients` must all be positive; found " + np.array2string(a) + ".")
    if fractions is None:
        return a, np.full(a.shape, 1 / a.size)
    w = np.asarray(fractions, dtype=np.float64)
    if w.shape != a.shape or not np.all(w >= 0) or abs(np.sum(w) - 1) > 1e-12:
        raise InputError(
            f"`fractions` must be {a.size} numbers >= 0 that sum to 1; found "
            + np.array2string(w)
            + "."
        )
    return a, w

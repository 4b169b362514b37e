"""Stability of projective forward Euler and of its telescopic nesting.

One projective step makes k + 1 inner steps and then jumps over M more along the last chord. An
inner mode that one inner step multiplies by rho leaves the projective step multiplied by

    sigma(rho) = [(M + 1) rho - M] rho^k.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.errors import InputError

JUMP_PER_INNER_STEP = 3.591121476668622
"""Limit of `largest_jump(k) / k` for large k: the root of c ln c = c + 1."""


def projective_amplification(rho: ArrayLike, inner: int, jump: float) -> NDArray[np.float64]:
    """Factor by which one projective forward Euler step multiplies an inner mode.

    Args:
        rho: factor of one inner step, any shape.
        inner: k, inner steps before the chord; k + 1 are made in all.
        jump: M, length of the jump in inner steps.

    Returns:
        sigma(rho), same shape as `rho`.

    Raises:
        InputError: `inner` is not a whole number >= 0 or `jump` is negative.

    Source: Gear and Kevrekidis (2003) [GearKevrekidis2003].
    """
    _check(inner, jump)
    rho = np.asarray(rho, dtype=np.float64)
    # in this form sigma(1) = 1 without round-off, which nesting would amplify
    return (rho - jump * (1 - rho)) * rho**inner


def largest_jump(inner: int) -> float:
    """Longest jump that keeps every mode with 0 <= rho <= 1 from growing.

    The most negative sigma on [0, 1] reaches -1 where

        M / (k + 1) [ k M / ((k + 1) (M + 1)) ]^k = 1.

    Args:
        inner: k >= 1, inner steps before the chord.

    Returns:
        M, in inner steps: 4.828, 8.444, 12.045, 15.641, 19.236 for k = 1..5.

    Raises:
        InputError: `inner` is not a whole number >= 1.

    Source: Gear and Kevrekidis (2003) [GearKevrekidis2003].
    """
    from scipy.optimize import root_scalar

    _check_levels("inner", inner)
    k = inner

    def logarithm(jump: float) -> float:
        return math.log(jump / (k + 1)) + k * math.log(k * jump / ((k + 1) * (jump + 1)))

    return float(root_scalar(logarithm, bracket=(1e-3, 8.0 * k + 8.0), xtol=1e-13).root)


def inner_steps_for_gap(jump: float, rho: float) -> int:
    """Fewest inner steps after which a fast mode no longer grows over a jump.

    The smallest k with (M + 1) |rho|^k <= 1.

    Args:
        jump: M >= 0, length of the jump in inner steps.
        rho: largest factor, in modulus, of one inner step on the fast modes, in (-1, 1).

    Returns:
        k >= 0.

    Raises:
        InputError: the fast modes do not decay, or `jump` is negative.

    Source: Gear and Kevrekidis (2003) [GearKevrekidis2003].
    """
    _check(0, jump)
    if not abs(rho) < 1:
        raise InputError(f"`rho` must lie in (-1, 1) for fast modes to decay; found {rho}.")
    if rho == 0:
        return 1 if jump > 0 else 0
    # the tolerance keeps exact powers, such as M + 1 = 8 at rho = 1/2, from rounding up
    return math.ceil(math.log(jump + 1) / -math.log(abs(rho)) - 1e-12)


def telescopic_amplification(
    rho: ArrayLike, inner: int, jump: float, levels: int
) -> NDArray[np.float64]:
    """Factor by which nested projective steps multiply an inner mode.

    sigma_{l+1} = [(M + 1) sigma_l - M] sigma_l^k with sigma_0 = rho; one level is
    `projective_amplification`.

    Args:
        rho: factor of one inner step, any shape.
        inner: k, same on every level.
        jump: M, same on every level.
        levels: number of levels, at least 1.

    Returns:
        sigma after the last level, same shape as `rho`.

    Raises:
        InputError: a number is out of range.

    Source: Gear and Kevrekidis (2003) [GearKevrekidis2003b].
    """
    _check_levels("levels", levels)
    sigma = np.asarray(rho, dtype=np.float64)
    for _ in range(levels):
        sigma = projective_amplification(sigma, inner, jump)
    return sigma


def largest_telescopic_jump(inner: int, levels: int) -> float:
    """Longest jump per level that keeps every mode with 0 <= rho <= 1 from growing.

    The image of [0, 1] under each level is an interval known exactly from the two critical
    points of sigma; the answer is the first M at which the last interval leaves [-1, 1].

    Args:
        inner: k >= 1, same on every level.
        levels: number of levels, at least 1.

    Returns:
        M, in steps of the level below: 8.444, 4.161, 3.411 for k = 2 on 1, 2, 3
            levels.

    Raises:
        InputError: a number is not a whole number >= 1.

    Source: Gear and Kevrekidis (2003) [GearKevrekidis2003b].
    """
    _check_levels("inner", inner)
    _check_levels("levels", levels)
    step = 0.01
    jump = step
    while _stays_bounded(inner, jump, levels):
        jump += step
    stable, unstable = jump - step, jump
    while unstable - stable > 1e-12 * unstable:
        middle = (stable + unstable) / 2
        if _stays_bounded(inner, middle, levels):
            stable = middle
        else:
            unstable = middle
    return stable


def _stays_bounded(inner: int, jump: float, levels: int) -> bool:
    lowest = 0.0
    turn = inner * jump / ((inner + 1) * (jump + 1))
    for _ in range(levels):
        turning = [point for point in (0.0, turn) if point >= lowest]
        image = projective_amplification([lowest, *turning, 1.0], inner, jump)
        # the image always ends at sigma(1) = 1, so it is known by its lower end while stable
        if np.max(np.abs(image)) > 1 + 1e-12:
            return False
        lowest = float(np.min(image))
    return True


def _check(inner: int, jump: float) -> None:
    if inner != int(inner) or inner < 0:
        raise InputError(f"`inner` must be a whole number >= 0; found {inner}.")
    if not jump >= 0:
        raise InputError(f"`jump` must not be negative; found {jump}.")


def _check_levels(name: str, value: int) -> None:
    if value != int(value) or value < 1:
        raise InputError(f"`{name}` must be a whole number >= 1; found {value}.")

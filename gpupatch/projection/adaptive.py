"""Leaps whose length follows from a tolerance."""

from collections.abc import Iterator

import numpy as np

from gpupatch.arrays import Handle
from gpupatch.errors import SchemeError
from gpupatch.projection.history import History
from gpupatch.projection.oracle import leap_along, runge_kutta_stages
from gpupatch.projection.system import System, even_count
from gpupatch.projection.tableaux import Tableau

SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0


def embedded_pair(
    system: System,
    pair: Tableau,
    t: float,
    U: Handle,
    t_end: float,
    history: History,
    *,
    tol: float,
    first: float | None,
    min_step: float | None,
    max_step: float,
) -> Iterator[tuple[float, Handle]]:
    """Leap from `t` to `t_end` with an embedded Runge-Kutta pair.

    The difference of the two embedded results estimates the error of a leap of length D. It is
    accepted where its norm is at most 1, and the next length is

        D' = D clamp(0.9 err^(-1/p), 0.2, 5),    p the order of the higher result,

    shortened so that equal leaps of the new length would end at `t_end`.

    Args:
        system: offers `slope`, `axpy` and `error_norm`.
        pair: coefficients with an embedded step.
        t: base time.
        U: state at `t`.
        t_end: time to stop at, on either side of `t`.
        history: its `slopes` and `next_step` are read and brought up to date.
        tol: tolerance handed to `error_norm`.
        first: length of the very first leap; chosen from the slopes where `None`.
        min_step: shortest leap that may be proposed; 16 units in the last place of the time where
            `None`.
        max_step: longest leap.

    Yields:
        Time and state after every accepted leap.

    Raises:
        SchemeError: if the tolerance asks for a leap shorter than `min_step`.

    Source: [HairerNorsettWanner1993], section II.4.
    """
    direction = 1.0 if t_end > t else -1.0
    floor = min_step or 16 * float(np.spacing(max(abs(t), abs(t_end))))
    difference = pair.error_weights
    fresh = bool(history.slopes) and history.slopes[0][0] == t
    slope = history.slopes[0][1] if fresh else system.slope(t, U)
    step = history.next_step or first
    if step is None:
        step = _first_step(system, t, U, slope, direction, abs(t_end - t), tol, pair.order)
    rejected_before = False
    while t != t_end:
        proposed = min(step, max_step)
        count = even_count(t_end - t, proposed)
        D = (t_end - t) / count
        slopes = runge_kutta_stages(system, pair, t, U, D, first=slope)
        after = leap_along(system, U, D, pair.b, slopes)
        error = system.axpy([(D * w, k) for w, k in zip(difference, slopes, strict=True) if w != 0])
        size = system.error_norm(error, after, tol)
        factor = _step_factor(size, pair.order)
        if size <= 1:
            t, U, slope = (t_end if count == 1 else t + D), after, slopes[-1]
            step = abs(D) * (min(factor, 1.0) if rejected_before else factor)
            if abs(D) < proposed and not rejected_before:
                step = max(step, proposed)
            rejected_before = False
            history.slopes, history.next_step = [(t, slope)], step
            yield t, U
            continue
        history.statistics.rejected += 1
        rejected_before = True
        step = abs(D) * factor
        if step < floor:
            raise SchemeError(
                f"`tol` = {tol:g} asks for a macro step below {floor:.3g} at t = {t:.6g} (the last "
                f"one, {abs(D):.3g}, has {size:.3g} times the error allowed). Use a larger `tol`, "
                "a longer burst if the fast modes have not healed, or more replicas if the slope "
                "is noisy."
            )


def _step_factor(size: float, order: int) -> float:
    if not np.isfinite(size):
        return SHRINK
    if size == 0:
        return GROW
    return float(np.clip(SAFETY * size ** (-1 / order), SHRINK, GROW))


def _first_step(
    system: System,
    t: float,
    U: Handle,
    slope: Handle,
    direction: float,
    span: float,
    tol: float,
    order: int,
) -> float:
    """A first leap neither blind nor timid, from one Euler trial [HairerNorsettWanner1993]."""
    size_U, size_slope = system.error_norm(U, U, tol), system.error_norm(slope, U, tol)
    if not np.isfinite(size_slope):
        return span
    trial = 0.01 * size_U / size_slope if min(size_U, size_slope) > 1e-5 else 1e-6 * span
    trial = min(trial, span)
    ahead = system.axpy([(1.0, U), (direction * trial, slope)])
    there = system.slope(t + direction * trial, ahead)
    bend = system.error_norm(system.axpy([(1.0, there), (-1.0, slope)]), U, tol) / trial
    if not np.isfinite(bend):
        return trial
    largest = max(size_slope, bend)
    guess = (0.01 / largest) ** (1 / order) if largest > 1e-15 else span
    return min(100 * trial, guess, span)

"""Projective forward Euler, nested or not: a few inner steps, then a jump along their last one."""

from gpupatch.arrays import Handle
from gpupatch.errors import SchemeError
from gpupatch.projection.system import System, simulate


def telescopic_leap(
    system: System, inner: int, levels: int, t: float, U: Handle, leap: float
) -> Handle:
    """One leap of the telescopic projective method; of projective forward Euler for one level.

    A step of level l makes k + 1 steps of the level below and jumps on by M times the last of them,

        U(t + (k + 1 + M) h) = V + M (V - W),    W, V the states after k and k + 1 steps of size h,

    the lowest being the micro time step. The jump M, equal on all levels and not a whole number in
    general, is what makes the highest step as long as `leap`.

    Args:
        system: offers `inner` and `axpy`.
        inner: damping steps k.
        levels: number of levels; 1 is projective forward Euler.
        t: base time.
        U: state at `t`.
        leap: macro step; negative only for a single level.

    Returns:
        State at ``t + leap``; simulated in full where that is no longer than the inner steps.

    Source: [GearKevrekidis2003], [GearKevrekidis2003b].
    """
    h = system.inner_step
    if leap < 0:
        if levels > 1:
            raise SchemeError(
                "`telescopic` was asked to run backwards, which nested levels cannot. Use `pfe`, "
                "`prk2` or `prk4`."
            )
        return _project(system, inner, leap / h - (inner + 1), 1, t, U)
    jump = (leap / h) ** (1 / levels) - (inner + 1)
    if jump <= 0:
        return simulate(system, t, U, leap)
    return _project(system, inner, jump, levels, t, U)


def _project(system: System, inner: int, jump: float, level: int, t: float, U: Handle) -> Handle:
    h = system.inner_step
    if level == 1:
        before = system.inner(t, U, inner, h)
        last = system.inner(t + inner * h, before, 1, h)
    else:
        below = (inner + 1 + jump) ** (level - 1) * h
        before = U
        for step in range(inner):
            before = _project(system, inner, jump, level - 1, t + step * below, before)
        last = _project(system, inner, jump, level - 1, t + inner * below, before)
    return system.axpy([(1 + jump, last), (-jump, before)])

"""Newton's method on the slope oracle: several searches in step, or one against noise."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import InputError
from gpupatch.tasks.equations import DENSE, Equations, Vectors
from gpupatch.tasks.krylov import solve
from gpupatch.tasks.oracle import Oracle
from gpupatch.tasks.steady_state import CONVERGED, NOISE, OUT_OF_STEPS, STALLED

KRYLOV_TOLERANCE = 1e-8
"""Relative residual to which a Krylov space is grown for one step of Newton's method."""

MOST_DIRECTIONS = 400
"""Directions of a Krylov space at which a step is taken with what it has."""

_HALVINGS = 12
"""Times that a step of Newton's method is halved before it is given up."""

_INDISTINCT = 2.0
"""Standard errors within which a measured slope counts as zero, in the root mean square."""

_LONGEST = 0.5
"""Share of the size of a state by which a noisy step may change it."""

_DRAWS = 16
"""Times that a random Jacobian is measured at most."""

_KEPT = 0.5
"""Share of a random residual that a step may leave before its derivative is measured anew."""

_ROUNDING = 1e-8
"""Relative length of a step below which a residual that no longer decreases is rounding."""

Found = tuple[Vectors, NDArray[np.float64], list[float], str]
"""Unknowns, their error by sources, residuals before every step and at the end, and a reason."""


def check_search(tolerance: float, iterations: int) -> None:
    """Whether a search can end.

    Args:
        tolerance: what is accepted.
        iterations: most steps.

    Raises:
        InputError: if one of them is not positive.
    """
    if iterations < 1 or not tolerance > 0:
        raise InputError(
            f"`iterations` is {iterations} and `tolerance` {tolerance}; both must be positive."
        )


def _first_slopes(equations: Equations, X: Vectors, p: Vectors | float | None) -> Vectors:
    """The residuals where searches begin.

    Raises:
        InputError: if one is not finite.
    """
    F = equations(X, p).values
    if not np.isfinite(F).all():
        raise InputError(
            "the slope is not finite at the state where the search begins. Begin elsewhere, use a "
            "smaller micro time step, or check the rule and its parameters."
        )
    return F


def searches(
    equations: Equations, X: Vectors, p: Vectors | None, tolerance: float, iterations: int
) -> list[Found]:
    """Newton's method without noise; what several searches ask for goes in one batch.

    Args:
        equations: what is to vanish.
        X: where the searches begin, [search, unknown].
        p: values of the parameter, [search].
        tolerance: largest residual accepted, relative to the size of U per unit of time.
        iterations: most steps.

    Raises:
        InputError: if a residual is not finite where its search begins.
    """
    X, F = X.copy(), _first_slopes(equations, X, p)
    accepted = tolerance * np.maximum(1.0, np.abs(X).max(axis=1))
    histories, reasons = [[] for _ in X], [""] * len(X)
    while True:
        for k in (k for k, reason in enumerate(reasons) if not reason):
            histories[k].append(float(np.abs(F[k]).max()))
            if histories[k][-1] <= accepted[k]:
                reasons[k] = CONVERGED
            elif len(histories[k]) > iterations:
                reasons[k] = OUT_OF_STEPS
        left = np.array([k for k, reason in enumerate(reasons) if not reason], dtype=int)
        if not len(left):
            without = np.zeros((X.shape[1], 0))
            return [
                (x, without, residuals, reason)
                for x, residuals, reason in zip(X, histories, reasons, strict=True)
            ]
        q = None if p is None else p[left]
        steps = _newton_steps(equations, X[left], q, F[left])
        rounding = _ROUNDING * np.maximum(1.0, np.abs(X[left]).max(axis=1))
        found, X[left], F[left] = _shortened(equations, X[left], q, F[left], steps)
        for k, step, least in zip(left[~found], steps[~found], rounding[~found], strict=True):
            reasons[k] = CONVERGED if np.abs(step).max() <= least else STALLED


def _newton_steps(equations: Equations, X: Vectors, p: Vectors | None, F: Vectors) -> Vectors:
    """-F'(U)^-1 F(U) of every search, from all directions or from Krylov spaces."""
    oracle = equations.oracle
    if oracle.n <= DENSE:
        jacobians = equations.jacobians(X, p)
        return np.stack([
            -keeping_totals(J, oracle, [one])[0] for J, one in zip(jacobians, F, strict=True)
        ])  # fmt: skip
    steps = []
    for k, (x, one) in enumerate(zip(X, F, strict=True)):
        value = None if p is None else float(p[k])
        apply = functools.partial(_products, equations, x, value)
        most = oracle.block // 2 or 1
        steps.append(solve(apply, -one, KRYLOV_TOLERANCE, most, MOST_DIRECTIONS)[0])
    return np.stack(steps)


def _products(equations: Equations, x: Vectors, p: float | None, V: Vectors) -> Vectors:
    return equations.derivative(x, V, p).values


def keeping_totals(
    J: NDArray[np.float64], oracle: Oracle, right: Sequence[Vectors]
) -> list[Vectors]:
    """Solve J x = b for several b, with sum(x) = 0 over every field whose total is conserved.

    It is where neither the first b nor any column of J has a total.

    Args:
        J: Jacobian, [unknown, unknown].
        oracle: for the fields of the unknowns.
        right: b, each [unknown]; the first is a slope.

    Returns:
        x, by least squares where J is singular.
    """
    rows = np.stack([oracle.fields == f for f in range(len(oracle.names))]).astype(float)
    size = np.abs(J).max()
    kept = np.abs(rows @ right[0]) <= 1e-7 * (rows @ np.abs(right[0]))
    kept &= np.abs(rows @ J).max(axis=1) <= 1e-7 * size * np.sqrt(len(J))
    conserved = rows[kept]
    matrix = np.concatenate([J, size * conserved])
    b = np.stack([np.concatenate([one, np.zeros(len(conserved))]) for one in right], axis=1)
    return list(np.linalg.lstsq(matrix, b, rcond=1e-10)[0].T)


def _shortened(
    equations: Equations, X: Vectors, p: Vectors | None, F: Vectors, steps: Vectors
) -> tuple[NDArray[np.bool_], Vectors, Vectors]:
    """Where steps halved until |F| decreases lead, and F there; as before where it never does.

    Several lengths of all steps are tried at once, as members of one batch.
    """
    X, F, found = X.copy(), F.copy(), np.zeros(len(X), dtype=bool)
    sizes = np.linalg.norm(F, axis=1)
    for lengths in (2.0 ** -np.arange(3), 2.0 ** -np.arange(3, _HALVINGS)):
        left = np.flatnonzero(~found)
        if not len(left):
            break
        tried = X[left] + lengths[:, None, None] * steps[left]
        q = None if p is None else np.tile(p[left], len(lengths))
        values = equations(tried.reshape(-1, X.shape[1]), q).values.reshape(tried.shape)
        reached = np.linalg.norm(values, axis=2)
        better = np.isfinite(reached) & (reached < (1 - 1e-4 * lengths)[:, None] * sizes[left])
        best, found[left] = np.argmax(better, axis=0), better.any(axis=0)
        for k, one, length in zip(left, range(len(left)), best, strict=True):
            if found[k]:
                X[k], F[k] = tried[length, one], values[length, one]
    return found, X, F


def noisy_search(
    equations: Equations, x: Vectors, p: float | None, tolerance: float, iterations: int
) -> Found:
    """Newton's method with a derivative that is kept while residuals fall by half.

    A slope that cannot be told from noise is measured four times as long, until it has taken as
    many bursts as the derivative.
    """
    residuals: list[float] = []
    _first_slopes(equations, x[None], p)
    J, draws = equations.averaged_jacobian(x, p, range(_DRAWS))
    most, taken, measured, last = 2 * len(x) * draws, 1, 1, np.inf
    while True:
        found = equations.averaged(x, p, range(-taken - measured, -taken))
        F, error = found.values[0], found.error[0]
        taken += measured
        residuals.append(float(np.abs(F).max()))
        size, noise = np.sqrt(np.mean(F**2)), _INDISTINCT * np.sqrt(np.mean(error**2))
        if size <= noise and measured < most:
            measured, last = min(4 * measured, most), np.inf
            residuals.pop()
            continue
        done = size <= noise or len(residuals) > iterations
        if not done and size > _KEPT * last:
            later = _DRAWS * len(residuals)
            J, draws = equations.averaged_jacobian(x, p, range(later, later + _DRAWS))
            most = max(most, 2 * len(x) * draws)
        last = size
        step, *parts = keeping_totals(J, equations.oracle, [-F, *(-found.parts[0].T)])
        if not np.isfinite(step).all():
            raise InputError(
                "the slope stopped being finite during the search. Begin nearer to the steady "
                "state, or use a smaller micro time step."
            )
        reach = float(np.abs(step / equations.scale(x)).max())
        x = x + min(1.0, _LONGEST / max(reach, 1e-300)) * step
        if done:
            reason = NOISE if size <= noise else OUT_OF_STEPS
            return x, np.stack(parts, axis=1), residuals, reason

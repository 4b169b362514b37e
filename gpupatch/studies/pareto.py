"""What a study shows: which settings are worth their cost, and how fast errors fall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALLER_IS_FINER = ("time.step", "time.dt", "time.tol", "burst.dt", "grid.dx", "scheme.every")
"""Entries of a case whose errors fall as they shrink; all others are counts, widths and times."""
NOT_REFINED = ("scheme.order", "run.seed", "run.backend", "run.dtype")
"""Entries that have no order of convergence."""
ABOVE_FLOOR = 3.0
"""Times by which an error has to exceed what patches cannot remove, to count in a fit."""


def pareto_front(cost: ArrayLike, error: ArrayLike) -> NDArray[np.int64]:
    """The points than which no other is both cheaper and more accurate.

    A point is dropped if another costs at most as much, errs at most as much, and is better in one
    of the two; of equal points the first stays. What is not finite is never on the front.

    Args:
        cost: of each point.
        error: of each point, same length.

    Returns:
        Indices of the front, by rising cost, hence by falling error.
    """
    costs, errors = np.asarray(cost, dtype=float), np.asarray(error, dtype=float)
    finite = np.flatnonzero(np.isfinite(costs) & np.isfinite(errors))
    ranked = finite[np.lexsort((finite, errors[finite], costs[finite]))]
    best = np.minimum.accumulate(errors[ranked])
    better = np.ones(len(ranked), dtype=bool)
    better[1:] = errors[ranked][1:] < best[:-1]
    return ranked[better]


def observed_orders(
    settings: Sequence[dict[str, Any]],
    error: ArrayLike,
    floor: ArrayLike,
) -> list[dict[str, Any]]:
    """Orders of convergence along every line of a study on which a single entry varies.

    The slope of log(error) against log(value), by least squares over the errors that exceed three
    times the floor; positive where errors fall with refinement.

    Args:
        settings: of each run, by path.
        error: of each run.
        floor: of each run, what refinement cannot remove: noise, or the error of the micro-lattice.

    Returns:
        For each line with two such errors or more: "vary", "at" (the other settings), "values",
        "errors", "used" (which of them), "order".
    """
    errors, floors = np.asarray(error, dtype=float), np.asarray(floor, dtype=float)
    found = []
    for path in settings[0] if settings else ():
        if path in NOT_REFINED:
            continue
        lines: dict[tuple, list[int]] = {}
        for index, row in enumerate(settings):
            if _size(row[path]) > 0 and np.isfinite(errors[index]):
                rest = tuple((name, value) for name, value in row.items() if name != path)
                lines.setdefault(rest, []).append(index)
        for rest, members in lines.items():
            members = sorted(members, key=lambda index: _size(settings[index][path]))
            used = [bool(errors[i] > ABOVE_FLOOR * floors[i]) for i in members]
            kept = [i for i, keep in zip(members, used, strict=True) if keep]
            sizes = [_size(settings[i][path]) for i in kept]
            if len(set(sizes)) < 2:
                continue
            slope = float(np.polyfit(np.log(sizes), np.log(errors[kept]), 1)[0])
            found.append(
                {
                    "vary": path,
                    "at": dict(rest),
                    "values": [settings[i][path] for i in members],
                    "errors": [float(errors[i]) for i in members],
                    "used": used,
                    "order": slope if path in SMALLER_IS_FINER else -slope,
                }
            )
    return found


def _size(value: Any) -> float:
    """The number that an entry is refined by, the geometric mean over axes; 0 if it is none."""
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and n > 0 for n in numbers):
        return 0.0
    return float(np.exp(np.mean(np.log(numbers))))

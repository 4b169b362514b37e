"""Which settings of a case are worth varying, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gpupatch.files.case import Case
from gpupatch.run.execute import reads_order

FACTORS = (0.5, 1.0, 2.0)
"""A setting is halved and doubled where nothing else is said."""
_ORDERS = (2, 4, 6)


@dataclass(frozen=True)
class Axis:
    """One setting of a case and the values that it takes in turn.

    Attributes:
        path: where it is in the case, such as "scheme.order".
        values: what it is set to; tuples where a value has one entry per axis of space.
    """

    path: str
    values: tuple[Any, ...]


def value_of(case: Case, path: str) -> Any:
    """What a case has at a path: None if nothing, one value where all axes of space have the same.

    Args:
        case: the case.
        path: such as "grid.patches".
    """
    place: Any = case.resolved()
    for key in path.split("."):
        place = place.get(key) if isinstance(place, dict) else None
    return one_or_all(place)


def one_or_all(value: Any) -> Any:
    """A list as a tuple, or as its only value."""
    if not isinstance(value, list | tuple):
        return value
    return value[0] if value and all(one == value[0] for one in value) else tuple(value)


def usual_axes(case: Case) -> tuple[list[Axis], list[Axis]]:
    """The settings that decide between accuracy and cost for the scheme of a case.

    ==============================  ==================================  ========================
    scheme                          in all combinations                 one at a time
    ==============================  ==================================  ========================
    `coupled`, `burst`, `flux`,     order (where it is read), patches   width of patches or
    `box_flux`                                                          buffers, burst, leap or
                                                                        tolerance, replicas of
                                                                        bursts, particles of a box
    `box`                           boxes, particles                    time
    `stretch`                       chains, time                        time to settle
    ==============================  ==================================  ========================

    Args:
        case: the case, whose own values are among those of every axis.

    Returns:
        Axes whose values are combined, and axes that are varied one at a time.
    """
    kind = case.scheme.kind
    if kind == "box":
        return _scaled(case, "scheme.boxes", "particles.number"), _scaled(case, "time.end")
    if kind == "stretch":
        return _scaled(case, "scheme.chains", "time.end"), _scaled(case, "scheme.settle")
    combined = [_patches(case)]
    if reads_order(case):
        orders = dict.fromkeys([*_ORDERS, case.scheme.order])
        combined.insert(0, Axis("scheme.order", tuple(orders)))
    alone = [*_width(case), *_scaled(case, "burst.length", "time.step", "time.tol")]
    if case.particles is not None:
        alone += _scaled(case, "burst.replicas", "particles.number")
    return combined, alone


def _scaled(case: Case, *paths: str) -> list[Axis]:
    """Axes around the values of a case, for those of the paths that it has."""
    axes = []
    for path in paths:
        value = value_of(case, path)
        if value:
            steps = (1, 2, 4) if value == 1 and isinstance(value, int) else FACTORS
            values = dict.fromkeys(_times(value, factor) for factor in steps)
            axes.append(Axis(path, tuple(values)))
    return axes


def _patches(case: Case) -> Axis:
    """Half as many patches, as many, and twice as many or as many particles have room for."""
    grid = case.grid
    most = [math.inf] * len(grid.domain)
    if case.particles is not None and grid.core and grid.buffer:
        widths = [core + 2 * buffer for core, buffer in zip(grid.core, grid.buffer, strict=True)]
        most = [int((hi - lo) / w) for (lo, hi), w in zip(grid.domain, widths, strict=True)]
    values = [
        one_or_all([_times(n, factor) for n in grid.patches]) for factor in FACTORS if factor <= 1
    ]
    values.append(one_or_all([min(2 * n, top) for n, top in zip(grid.patches, most, strict=True)]))
    return Axis("grid.patches", tuple(dict.fromkeys(values)))


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, tuple):
        return tuple(_times(one, factor) for one in value)
    return max(1, int(value * factor)) if isinstance(value, int) else value * factor


def _width(case: Case) -> list[Axis]:
    """The width of the patches, in the terms of the case."""
    if case.scheme.kind != "coupled" and case.grid.buffer is not None:
        return _scaled(case, "grid.buffer")
    sites = case.grid.sites
    if sites is None:
        return []
    counts = [_site_counts(case, n) for n in sites]
    values = dict.fromkeys(one_or_all(one) for one in zip(*counts, strict=True))
    return [Axis("grid.sites", tuple(values))]


def _site_counts(case: Case, n: int) -> list[int]:
    """Three numbers of sites that the coupling accepts.

    What the coupling reaches over is halved and doubled; in a medium, whose whole periods it
    holds, it is taken two and three times.
    """
    e, couple = case.grid.edges, case.scheme.couple
    if couple == "staggered":
        return [max(3, n - 4), n, n + 4]
    factors = (1, 2, 3) if case.coefficients else FACTORS
    if couple == "edgy":
        least = e + 1
        return [max(least, int((n - 2 * e) * f) // e * e) + 2 * e for f in factors]
    reach = (n - e) // 2
    return [2 * max(e, int(reach * f) // e * e) + e for f in factors]

"""Patches of another size on the same lattice, and coarse values where patches had to move."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.grid import PatchGrid

SPLINE_DEGREE = 5


def with_core(grid: PatchGrid, core: float = 1.0, buffer: float = 1.0) -> PatchGrid:
    """The same patches with wider cores, wider buffers, or both.

    Patches stay where they are, so that they may overlap and reach beyond the domain.

    Args:
        grid: the patches as they are.
        core: factor on the width of the core.
        buffer: factor on the width of the buffers.
    """
    cores, sites = [], []
    for n, here in zip(grid.n_sites, grid.core_sites, strict=True):
        inside, count = n - 2 * grid.edges, here.stop - here.start
        wide = round(core * count)
        rest = round(buffer * (inside - count))
        # parity decides whether a core lies in the middle of its patch
        rest += (rest - (inside - count)) % 2
        cores.append(wide)
        sites.append(wide + rest + 2 * grid.edges)
    return dataclasses.replace(
        grid,
        sites=tuple(sites),
        ratio=None,
        dx=grid.spacing,
        core=tuple(count * d for count, d in zip(cores, grid.spacing, strict=True)),
        buffer=None,
        positions=_held(grid),
        allow_overlap=True,
    )


def with_reach(grid: PatchGrid, factor: float, staggered: bool = False) -> PatchGrid | None:
    """Coupled patches whose coupling reaches so many times as far, as exactly as sites allow.

    Args:
        grid: the patches as they are; between walls their centres move inwards.
        factor: factor on the reach, 2 or more.
        staggered: whether fields live on alternate sites, for which patches have 4 k - 1 of them.

    Returns:
        The patches; None if they would interpolate beyond the next one, or not fit.
    """
    e, sites = grid.edges, []
    for axis, n in enumerate(grid.n_sites):
        wide = round(factor * (n - 2 * e)) + 2 * e if grid.edgy else round(factor * (n - e)) + e
        if not grid.edgy and wide % 2 == 0:
            wide += 1
        if staggered:
            wide += (3 - wide) % 4
        if grid.shift[axis] * factor > 1 + 1e-9:
            return None
        if not grid.periodic(axis) and wide * grid.spacing[axis] > _length(grid, axis) / 2:
            return None
        sites.append(wide)
    return dataclasses.replace(
        grid, sites=tuple(sites), ratio=None, dx=grid.spacing, allow_overlap=True
    )


def moved(values: Macro, old: PatchGrid, new: PatchGrid) -> Macro:
    """Coarse values at other places, by splines of degree five along every axis that changed.

    Args:
        values: [member, field, *patch axes] at the centres of `old`.
        old: where they are.
        new: where they are wanted, between the outermost centres of `old`.
    """
    from scipy.interpolate import make_interp_spline

    for axis, (before, after) in enumerate(zip(old.centres, new.centres, strict=True)):
        if len(before) == len(after) and np.array_equal(before, after):
            continue
        degree = min(SPLINE_DEGREE, len(before) - 1)
        places = np.clip(after, before[0], before[-1])
        values = make_interp_spline(before, values, degree, axis=2 + axis)(places)
    return np.asarray(values)


def patch_widths(grid: PatchGrid) -> NDArray[np.float64]:
    """Distance between the outermost sites of a patch, in units of the distance of patches."""
    return 2 * np.array(grid.half_width) / np.array(grid.gap)


def _length(grid: PatchGrid, axis: int) -> float:
    lo, hi = grid.domain[axis]
    return float(hi) - float(lo)


def _held(grid: PatchGrid) -> list[str | Sequence[float]]:
    """Positions that keep patches between walls where they are, whatever their width."""
    given = [grid.positions] * grid.ndim if isinstance(grid.positions, str) else grid.positions
    return [
        one if grid.cells or grid.periodic(axis) else tuple(X.tolist())
        for axis, (one, X) in enumerate(zip(given, grid.centres, strict=True))
    ]

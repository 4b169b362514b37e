"""Plans of the acts, and the numbers of a rule, as the arrays that compiled passes take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.backends._numpy import _ensemble_source
from gpupatch.burst import BurstPlan
from gpupatch.coupling import Coupling
from gpupatch.lifting import Lifting
from gpupatch.micro.lower import STEP, Lowering
from gpupatch.micro.model import MicroModel
from gpupatch.micro.trace import SPACINGS
from gpupatch.restriction import Restriction


def axis_tables(coupling: Coupling, n_members: int) -> tuple:
    """One tuple per axis: sizes, members read, weights and sites; see `couple_axis`.

    Args:
        coupling: the interpolation.
        n_members: members in the batch.
    """
    grid, n_field = coupling.grid, len(coupling.fields)
    per_member = int(np.prod(grid.patches))
    tables = []
    for axis, plan in enumerate(coupling.axes):
        numbers = np.array(
            [
                per_member,
                grid.patches[axis],
                np.prod(grid.patches[axis + 1 :]),
                n_field,
                np.prod(grid.n_sites[:axis]),
                np.prod(grid.n_sites[axis + 1 :]),
                grid.n_sites[axis],
            ],
            dtype=np.int64,
        )
        sources = [
            _ensemble_source(n_members, coupling.phases, axis, step) for step in plan.member_step
        ]
        everyone = np.arange(n_members)
        members = np.array([everyone if s is None else s for s in sources], dtype=np.int64)
        sites = np.array([plan.source, plan.target], dtype=np.int64)
        if plan.fills is None:
            affine, near = np.zeros((2, n_field, grid.edges)), np.zeros((2, n_field, grid.edges, 0))
            inside = np.zeros((2, 0), dtype=np.int64)
        else:
            affine = np.array([fill.affine for fill in plan.fills])
            near = np.array([fill.weights for fill in plan.fills])
            inside = np.array([fill.inside for fill in plan.fills], dtype=np.int64)
        nodes, weights = np.ascontiguousarray(plan.nodes), np.ascontiguousarray(plan.weights)
        tables.append((numbers, members, nodes, weights, sites, affine, near, inside))
    return tuple(tables)


def boundary_table(
    coupling: Coupling, times: Sequence[float], rate_over: float | None = None
) -> tuple[NDArray[np.float64], ...]:
    """Right-hand sides of the boundary conditions at several times.

    Args:
        coupling: the interpolation.
        times: the times.
        rate_over: if given, differences over this time are returned, divided by it.

    Returns:
        Per axis [time, side, field, other patches, other sites]; empty on periodic axes.
    """
    grid, n_field = coupling.grid, len(coupling.fields)
    tables = []
    for axis in range(grid.ndim):
        if grid.periodic(axis):
            tables.append(np.zeros((len(times), 2, n_field, 0, 0)))
            continue
        rows = [coupling.boundary_values(axis, t) for t in times]
        if rate_over is not None:
            later = [coupling.boundary_values(axis, t + rate_over) for t in times]
            rows = [(b - a) / rate_over for a, b in zip(rows, later, strict=True)]  # type: ignore
        others = [a for a in range(grid.ndim) if a != axis]
        patches = int(np.prod([grid.patches[a] for a in others]))
        tables.append(np.array(rows).reshape(len(times), 2, n_field, patches, -1))
    return tuple(tables)


def lift_tables(lifting: Lifting, U: Macro, U_rate: Macro | None, n_chunk: int) -> tuple:
    """Coarse values, weights and work arrays for `lift_patch`; absent axes have length one.

    They come first, so that the last axis is one of sites whatever their number.

    Args:
        lifting: the reconstruction.
        U: extended coarse values.
        U_rate: their extended rates of change, or None.
        n_chunk: number of patches that are lifted at the same time.
    """
    missing = 3 - len(lifting.axes)
    nodes = [np.ascontiguousarray(part.nodes, dtype=np.int64) for part in lifting.axes]
    weights = [np.ascontiguousarray(np.swapaxes(part.weights, 1, 2)) for part in lifting.axes]
    nodes = [np.zeros((1, 1), dtype=np.int64)] * missing + nodes
    weights = [np.ones((1, 1, 1))] * missing + weights
    shape = (*U.shape[:2], *(1,) * missing, *U.shape[2:])
    coarse = np.ascontiguousarray(U, dtype=np.float64).reshape(shape)
    rate = coarse if U_rate is None else np.ascontiguousarray(U_rate, dtype=np.float64)
    sites = [part.shape[2] for part in weights]
    rows = np.empty((n_chunk, nodes[1].shape[1], sites[2]))
    planes = np.empty((n_chunk, nodes[0].shape[1], sites[1] * sites[2]))
    return coarse, rate.reshape(shape), *nodes, *weights, rows, planes


def burst_work(n_chunk: int, row: int, size: int, n_pairs: int, dtype) -> tuple:
    """Rows and work arrays of the patches that run at the same time; see `burst_all`."""
    return (
        np.zeros((n_chunk, row), dtype=dtype),
        np.zeros((n_chunk, size)),
        np.zeros((n_chunk, size)),
        np.zeros((n_chunk, max(size, n_pairs)), dtype=dtype),
        np.zeros((n_chunk, size), dtype=dtype),
    )


def restriction_tables(restriction: Restriction, sites: tuple[int, ...]) -> tuple:
    """Rows of sites along the last axis: where they start, their weights, weights along them."""
    *others, last = restriction.weights
    kept = np.flatnonzero(last)
    low, high = (kept[0], kept[-1] + 1) if len(kept) else (0, 0)
    weights, starts = np.ones(1), np.zeros(1, dtype=np.int64)
    for axis, w in enumerate(others):
        weights = np.multiply.outer(weights, w).ravel()
        starts = np.add.outer(starts, np.arange(len(w)) * int(np.prod(sites[axis + 1 :]))).ravel()
    used = weights != 0
    return starts[used] + low, weights[used], np.ascontiguousarray(last[low:high])


def observation_tables(plan: BurstPlan, sites: tuple[int, ...]) -> tuple:
    """The tables of the restriction of a burst, and the steps at which it is applied."""
    wanted = np.any(plan.weights != 0, axis=1)
    return *restriction_tables(plan.restriction, sites), wanted


def ring_tables(sites: tuple[int, ...], edges: tuple[int, ...], n_field: int) -> tuple:
    """Places of the edge sites, and pairs (edge site, first interior site) in order x, y, z."""
    place = np.arange(n_field * int(np.prod(sites))).reshape(n_field, *sites)
    ring = np.ones(sites, dtype=bool)
    ring[tuple(slice(e, n - e) for e, n in zip(edges, sites, strict=True))] = False
    write, read = [], []
    for axis, (e, n) in enumerate(zip(edges, sites, strict=True)):
        for layers, inner in ((range(e), e), (range(n - e, n), n - e - 1)):
            for layer in layers:
                write.append(np.take(place, layer, axis=1 + axis).ravel())
                read.append(np.take(place, inner, axis=1 + axis).ravel())
    return place[:, ring].ravel(), np.concatenate(write), np.concatenate(read)


def rule_tables(
    model: MicroModel, point: Lowering, exact: Lowering, step: float, dtype
) -> tuple[NDArray, ...]:
    """Statics and scalars of a rule for one micro time step.

    Args:
        model: the rule with its parameters and coefficients.
        point: what the rates need, in the working precision.
        exact: what is evaluated in float64.
        step: the micro time step.
        dtype: the working precision.

    Returns:
        Statics [patch or 1, static x sites] and scalars [member, scalar] of `point`, then of
        `exact`.
    """
    spacing = dict(zip(SPACINGS, model.spacing, strict=False)) | {STEP.name: step}
    columns = dict(zip(model.rule.parameters, model.parameters.T, strict=True)) | spacing
    everywhere = tuple(slice(0, n) for n in model.sites)
    environment = model.environment(0.0, everywhere) | spacing
    tables: list[Any] = []
    for lowering, kind in ((point, dtype), (exact, np.float64)):
        statics = lowering.static_values(environment, model.sites, model.n_patches)
        tables.append(statics.reshape(len(statics), -1).astype(kind))
        tables.append(lowering.scalar_values(columns, model.n_members))
    return tuple(tables)

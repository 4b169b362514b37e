"""How the particles of a batch are given to threads, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gpupatch.backends._cuda_particle_source import Shape, site_bytes
from gpupatch.backends._device import Limits
from gpupatch.errors import BackendError
from gpupatch.particles.model import ParticleModel

LARGEST_WARP = 256
"""Particles that the lanes of one warp can hold in registers."""

_LARGEST_LIST = 1 << 16
_THREADS = 128
_STATIC = 2048
_BALL = {1: 2.0, 2: math.pi, 3: 4 * math.pi / 3}
_ROOM = 1.5
_PAYS, _FEW = 0.5, 150
"""A list is shorter work if less than this share of all particles are within its reach, and if
there are more than so few."""


@dataclass(frozen=True)
class ParticleBatch:
    """What the choice depends on beside the model.

    Attributes:
        capacity: room for particles in every patch.
        full: whether every patch has that many.
        density: of the densest patch, particles per volume.
        dtype: "float64" or "float32".
    """

    capacity: int
    full: bool
    density: float
    dtype: str


@dataclass(frozen=True)
class Arrangement:
    """Where things lie in the memory of a block; see `Room` in particles.cuh.

    Attributes:
        width: neighbours of one particle for which a list has room.
        places: first byte of sites, counts, entries and former positions, each in the memory where
            it is held.
        shared: bytes of dynamic shared memory.
        memory: bytes of device memory.
    """

    width: int
    places: dict[str, int]
    shared: int
    memory: int


def shapes(
    model: ParticleModel, batch: ParticleBatch, limits: Limits, wanted: str
) -> list[tuple[Shape, str]]:
    """Ways to give the particles to threads, the best first, each with the reason.

    Args:
        model: the micro-simulator.
        batch: its patches.
        limits: of the device.
        wanted: one of `CLASSES` of _cuda_particle_source.py.

    Returns:
        Pairs of a `Shape` and a reason.

    Raises:
        BackendError: for a class that cannot take the model.
    """
    obstacles = {"warp": _not_warp(model, batch), "list": _not_list(model, batch), "block": ""}
    if wanted != "auto":
        if obstacles[wanted]:
            raise BackendError(
                f"the class of kernels `{wanted}` cannot take this model: {obstacles[wanted]}. "
                "Use `auto`, or the backend `numba`."
            )
        return [(_shape(wanted, model, batch, limits), "it was asked for")]
    kinds = _order(model, batch, obstacles)
    return [(_shape(kind, model, batch, limits), reason) for kind, reason in kinds]


def _order(
    model: ParticleModel, batch: ParticleBatch, obstacles: dict[str, str]
) -> list[tuple[str, str]]:
    search = model.neighbours.search
    within = neighbours_within(model, batch) if model.pair is not None else math.inf
    pays = within < _PAYS * batch.capacity and batch.capacity > _FEW
    told = f"about {within:.0f} of {batch.capacity} particles are within reach of one"
    kinds = [("block", obstacles["warp"] or "the warp needs more registers than there are")]
    if not obstacles["list"] and search != "all" and (search == "verlet" or pays):
        kinds.insert(0, ("list", "a list was asked for" if search == "verlet" else told))
    if not obstacles["warp"] and search != "verlet":
        fits = f"{batch.capacity} particles fit the registers of a warp"
        kinds.insert(0, ("warp", fits))
    return kinds


def _not_warp(model: ParticleModel, batch: ParticleBatch) -> str:
    """Why a warp cannot hold a patch, or ""."""
    if batch.capacity > LARGEST_WARP:
        return f"a warp holds {LARGEST_WARP} particles, not {batch.capacity}"
    if model.bonds is not None or model.angles is not None:
        return "bonds and angles read positions in any order"
    if model.dynamics.kind in ("hard_rods", "heat_driven"):
        return f"`{model.dynamics.kind}` dynamics needs shared memory"
    return ""


def _not_list(model: ParticleModel, batch: ParticleBatch) -> str:
    if model.pair is None:
        return "there is no pair potential"
    if batch.capacity > _LARGEST_LIST:
        return f"lists number {_LARGEST_LIST} particles, not {batch.capacity}"
    return ""


def neighbours_within(model: ParticleModel, batch: ParticleBatch) -> float:
    """Particles within cutoff and skin of one, where they are spread evenly."""
    assert model.pair is not None
    reach = model.pair.cutoff + model.neighbours.skin
    return batch.density * _BALL[model.ndim] * reach**model.ndim


def width_of(model: ParticleModel, batch: ParticleBatch) -> int:
    """Neighbours of one particle for which a new list has room."""
    if model.neighbours.capacity is not None:
        return model.neighbours.capacity
    wanted = math.ceil(_ROOM * neighbours_within(model, batch)) + 8
    return max(1, min(wanted, batch.capacity - 1))


def arrange(shape: Shape, model: ParticleModel, batch: ParticleBatch, width: int) -> Arrangement:
    """Lay out the memory of one block.

    Args:
        shape: how particles are given to threads.
        model: the micro-simulator.
        batch: its patches.
        width: neighbours of one particle for which there is room.
    """
    item, n = (8 if batch.dtype == "float64" else 4), batch.capacity
    ends = {True: 0, False: 0}
    places: dict[str, int] = dict.fromkeys(("sites", "counts", "entries", "since"), 0)
    entries = []
    if shape.kind != "warp":
        entries.append(("sites", n * site_bytes(model, item), shape.sites_shared))
    if shape.kind == "list":
        entries.append(("counts", 2 * n, shape.list_shared))
        entries.append(("entries", 2 * n * width, shape.list_shared))
        entries.append(("since", n * model.ndim * item, False))
    for name, size, shared in entries:
        places[name] = ends[shared]
        ends[shared] += -(-size // 16) * 16
    return Arrangement(width, places, ends[True], ends[False])


def _shape(kind: str, model: ParticleModel, batch: ParticleBatch, limits: Limits) -> Shape:
    if kind == "warp":
        rows = max(1, -(-batch.capacity // 32))
        full = batch.full and batch.capacity == 32 * rows
        words = 2 * model.ndim * rows * (2 if batch.dtype == "float64" else 1)
        resident = 4 if words <= 24 else 3 if words <= 48 else 2
        return Shape("warp", batch.capacity, rows, 32, _THREADS, resident, full)
    many = batch.dtype == "float64" and (kind == "list" or _needs_many_registers(model))
    largest, resident = (128, 384) if many else (256, 512)
    threads = min(largest, 32 * max(1, -(-batch.capacity // 32)))
    shape = Shape(kind, 0, 1, threads, threads, max(1, resident // threads))
    return fitted(shape, model, batch, limits, width_of(model, batch) if kind == "list" else 0)


def _needs_many_registers(model: ParticleModel) -> bool:
    """Whether 128 registers are too few for a thread of a block in float64."""
    chained = model.bonds is not None or model.angles is not None
    return chained or model.dynamics.kind in ("sheared", "heat_driven")


def fitted(
    shape: Shape, model: ParticleModel, batch: ParticleBatch, limits: Limits, width: int
) -> Shape:
    """The shape with the list, and if need be the sites, moved to device memory.

    Args:
        shape: of kind "block" or "list".
        model: the micro-simulator.
        batch: its patches.
        limits: of the device.
        width: neighbours of one particle for which there is room.
    """
    for sites, entries in ((True, True), (True, False), (False, False)):
        moved = replace(shape, sites_shared=sites, list_shared=entries)
        if arrange(moved, model, batch, width).shared + _STATIC <= limits.shared:
            return moved
    return moved

"""The structures that the kernel of particles takes by value, and the tables they point to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.backends._cuda_structs import Struct, Tables, filled
from gpupatch.particles.dynamics import (
    Brownian,
    Dynamics,
    HardRods,
    Langevin,
    NoseHoover,
    Rescaled,
    VelocityFlips,
)
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import COMPONENTS, Core, component_count, component_slices

_POINTER, _LONG, _INT, _DOUBLE = np.uint64, np.int64, np.int32, np.float64


def _structure(*fields: tuple[Any, str]) -> np.dtype:
    """Members in their order, given as types with the names that have them."""
    return np.dtype([(name, kind) for kind, names in fields for name in names.split()], align=True)


PARTICLES = _structure(
    (_POINTER, "x v f push types counts box controls weights freedom memory"),
    (_LONG, "n_patch first"),
    (_INT, "capacity"),
)
MEDIUM = _structure(
    (_POINTER, "pair bond angle field masses bond_first bond_to angle_first angle_of bonds"),
    (_INT, "n_bond"),
    (_DOUBLE, "cutoff"),
)
MOTION = _structure(
    (_DOUBLE, "h a b"), (_INT, "every"), (_LONG, "first"), (_INT, "count"),
    (np.uint32, "key0 key1 stream first_patch"),
)  # fmt: skip
OBSERVE = _structure(
    (_POINTER, "wanted weights out"), (_INT, "n_out n_component"),
    ((_INT, len(COMPONENTS)), "at"), (_DOUBLE, "width"), (_INT, "axis cosine"),
)  # fmt: skip
ROOM = _structure(
    (_POINTER, "memory"), (_LONG, "bytes sites counts entries since"), (_INT, "width"),
    (_POINTER, "needed"), (_DOUBLE, "reach skin"),
)  # fmt: skip


def medium(model: ParticleModel, capacity: int, dtype: np.dtype, kept: Tables) -> Struct:
    """The structure `Medium`.

    Args:
        model: the micro-simulator.
        capacity: room for particles in every patch.
        dtype: the working precision.
        kept: where tables are put.
    """
    struct = filled(MEDIUM)
    struct["masses"] = kept.pointer(np.asarray(model.masses), dtype)
    for name, part in (
        ("pair", model.pair), ("bond", model.bonds), ("angle", model.angles),
        ("field", model.field),
    ):  # fmt: skip
        if part is not None:
            struct[name] = kept.pointer(part.table, dtype)
    if model.pair is not None:
        struct["cutoff"] = model.pair.cutoff
    if model.bonds is not None:
        pairs = model.bonds.pairs
        first, order = _by_particle(pairs, capacity)
        struct["bond_first"] = kept.pointer(first, np.int32)
        struct["bond_to"] = kept.pointer(pairs[:, ::-1].reshape(-1)[order], np.int32)
        struct["bonds"], struct["n_bond"] = kept.pointer(pairs, np.int32), len(pairs)
    if model.angles is not None:
        triples = model.angles.triples
        first, order = _by_particle(triples, capacity)
        parts = np.column_stack([np.repeat(triples, 3, axis=0), np.tile(range(3), len(triples))])
        struct["angle_first"] = kept.pointer(first, np.int32)
        struct["angle_of"] = kept.pointer(parts[order], np.int32)
    return struct


def _by_particle(groups: NDArray[np.int64], capacity: int) -> tuple[NDArray, NDArray]:
    """Where the entries of each particle begin, and the entries sorted by particle.

    Args:
        groups: particles that act on each other, [group, part].
        capacity: number of particles.

    Returns:
        [capacity + 1], and numbers of entries of `groups.reshape(-1)`, in order of the groups.
    """
    flat = groups.reshape(-1)
    first = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=capacity))])
    return first, np.argsort(flat, kind="stable")


def motion(model: ParticleModel, dt: float, first: int, count: int, stream: int) -> Struct:
    """The structure `Motion`.

    Args:
        model: the micro-simulator.
        dt: micro time step.
        first: number of the first step in the run.
        count: steps.
        stream: number of the burst, for random numbers.
    """
    low = 0xFFFFFFFF
    a, b = _numbers(model.dynamics, dt)
    every = model.dynamics.every if isinstance(model.dynamics, Rescaled) else 1
    return filled(
        MOTION, h=dt, a=a, b=b, every=every, first=first, count=count, stream=stream & low,
        key0=model.seed & low, key1=model.seed >> 32 & low, first_patch=model.first_patch & low,
    )  # fmt: skip


def _numbers(dynamics: Dynamics, dt: float) -> tuple[float, float]:
    """The numbers `a` and `b` of the dynamics; see particles_steps.cuh."""
    match dynamics:
        case Langevin():
            return float(np.exp(-dynamics.friction * dt)), 0.0
        case Brownian():
            return dynamics.mobility, 0.0
        case HardRods():
            return dynamics.mobility, dynamics.length
        case NoseHoover():
            return dynamics.period, 0.0
        case VelocityFlips():
            return float(1 - np.exp(-2 * dynamics.rate * dt)) / 2, 0.0
    return 0.0, 0.0


def observation(
    names: Sequence[str], weights: NDArray[np.float64], core: Core, ndim: int, kept: Tables
) -> Struct:
    """The structure `Observe`; where samples go is set for each launch.

    Args:
        names: observables.
        weights: [step, q].
        core: the part of a patch that local observables are of.
        ndim: dimensions of space.
        kept: where tables are put.
    """
    at = component_slices(names, ndim)
    struct = filled(
        OBSERVE, n_out=weights.shape[1], n_component=component_count(names, ndim),
        width=core.width, axis=core.axis, cosine=core.kernel == "cos2",
    )  # fmt: skip
    struct["at"] = [at[name].start if name in at else -1 for name in COMPONENTS]
    struct["wanted"] = kept.pointer(np.any(weights != 0.0, axis=1), np.uint8)
    struct["weights"] = kept.pointer(weights, np.float64)
    return struct

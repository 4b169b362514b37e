"""Bursts of particles of gpupatch, in every class of kernels, side by side with every peer."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.device.bounds import Counts
from bench.device.kernels import OWN, SMALL, SMALL_OF_REHEARSAL, steps_of, time_all
from bench.device.machine import Sampler
from bench.device.particle_cases import (
    CUTOFF,
    PARTICLES,
    ParticleCase,
    ParticleWorkload,
    sized_particles,
)
from bench.device.particle_peers import PARTICLE_PEERS
from bench.device.trials import Bench, Candidate, Row, reason_of
from gpupatch.backends._cuda import CudaBackend

OWN_CLASSES = {OWN: "auto", f"{OWN}, block": "block", f"{OWN}, list": "list"}
"""By name which kernels the backend is asked for."""

_MOVED = 16
"""Values that a step of a particle through device memory reads and writes."""

PER_PAIR: dict[tuple[str, str], Counts] = {
    ("within", "float32"): {"issue": 39.5, "fp32": 29.0, "shuffle": 6.0},
    ("between", "float32"): {"issue": 29.0, "fp32": 26.0},
    ("turn", "float32"): {"issue": 12.0, "shuffle": 6.0},
    ("block", "float32"): {"issue": 30.0, "fp32": 23.0, "shared": 1.0},
    ("list", "float32"): {"issue": 31.25, "fp32": 23.0, "shared": 2.0},
    ("within", "float64"): {"issue": 56.3, "fp64": 34.0, "shuffle": 12.0},
    ("between", "float64"): {"issue": 35.0, "fp64": 31.0},
    ("turn", "float64"): {"issue": 17.0, "shuffle": 12.0},
    ("block", "float64"): {"issue": 37.0, "fp64": 28.0, "shared": 2.0},
    ("list", "float64"): {"issue": 38.5, "fp64": 28.0, "shared": 3.0},
}
"""Operations per pair of Lennard-Jones particles in a periodic box, counted in the innermost loops
of kernels compiled for compute capability 9.0: pairs within a row of a warp and between two rows,
one turn of a row round the warp, pairs of a block and of a list."""


def counted_pairs(kind: str, dtype: str, n: int, listed: float = 0.0) -> Counts:
    """Operations per step of a particle, by pipe, of its pairs alone.

    Args:
        kind: "warp", "block" or "list".
        dtype: "float64" or "float32".
        n: particles of a patch; of a warp a multiple of 32.
        listed: neighbours of a particle in a list.
    """
    if kind != "warp":
        pairs = n if kind == "block" else listed
        return {pipe: pairs * count for pipe, count in PER_PAIR[kind, dtype].items()}
    rows = n // 32
    times = {"within": 16 * rows, "between": 16 * rows * (rows - 1), "turn": 32 * (rows - 1)}
    counts: Counts = {}
    for part, lanes in times.items():
        for pipe, count in PER_PAIR[part, dtype].items():
            counts[pipe] = counts.get(pipe, 0.0) + lanes / rows * count
    return counts


def own(bench: Bench, case: ParticleCase, kind: str) -> Candidate:
    """The burst of gpupatch from states in device memory, which it leaves there.

    Args:
        bench: where.
        case: what is run.
        kind: class of kernels that the backend is asked for.
    """
    model = case.workload.model
    kernels = CudaBackend(bench.device, particles=kind).load_particles(model, case.dtype)
    held: dict[str, Any] = {"handle": kernels.pack(case.state)}
    found = kernels.compiled(held["handle"].batch)
    n = case.workload.particles
    ball = 4 / 3 * math.pi * (CUTOFF + model.neighbours.skin) ** 3
    listed = min(case.workload.density * ball, n - 1.0)
    notes = {
        "kernels": f"{found.name}: {found.reason}",
        "counted": counted_pairs(found.shape.kind, case.dtype, n, listed),
    }

    def reset() -> None:
        held["handle"] = kernels.pack(case.state)
        bench.poison(held["handle"].pieces[0].arrays["x"])

    def run(n_steps: int) -> None:
        held["out"] = kernels.burst(held["handle"], case.workload.plan(n_steps))

    def state():
        return bench.device.put(kernels.unpack(held["handle"]).positions)

    return Candidate(reset, run, state, lambda: np.asarray(held["out"]), True, notes)


def particles(bench: Bench, quick: bool) -> None:
    """Time bursts of particles: both precisions, batches large and small, all peers.

    Args:
        bench: where.
        quick: the first workload in float32 only.
    """
    small = SMALL_OF_REHEARSAL if bench.rehearsal else SMALL
    for given in list(PARTICLES.values())[: 1 if quick else None]:
        workload = sized_particles(given, bench.rehearsal)
        peers = PARTICLE_PEERS if workload.period else {}
        for dtype in ("float32",) if quick else ("float32", "float64"):
            for batch, patches in (("large", workload.patches), ("small", small)):
                if bench.time_for(f"{workload.name}, {dtype}, {batch} batch"):
                    case = ParticleCase(workload, dtype, patches)
                    makers = {
                        name: functools.partial(own, kind=kind)
                        for name, kind in OWN_CLASSES.items()
                    } | {name: make for name, (_, make) in peers.items()}
                    _side_by_side(bench, case, makers, _row(workload, dtype, patches, batch))
                    del case
                    bench.clean()


def _row(workload: ParticleWorkload, dtype: str, patches: int, batch: str) -> Row:
    return {
        "kind": "particles", "batch": batch, "workload": workload.name, "letter": "E",
        "dtype": dtype, "patches": patches, "cells": workload.particles, "moved": _MOVED,
    }  # fmt: skip


def _side_by_side(
    bench: Bench,
    case: ParticleCase,
    makers: dict[str, Callable[[Bench, ParticleCase], Candidate]],
    row: Row,
) -> None:
    """Make all candidates, check them, and time those that are right in turns."""
    candidates = {}
    for name, make in makers.items():
        if bench.time_for(f"{case.workload.name}, {case.dtype}, {case.patches} patches: {name}"):
            try:
                candidates[name] = make(bench, case)
            except Exception as error:  # a peer that is absent is a row with its reason
                bench.write(row | {"who": name, "reason": reason_of(error)})
    sampler = Sampler()
    for n_steps in steps_of(bench):
        time_all(bench, case, candidates, n_steps, row, sampler)

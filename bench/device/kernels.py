"""Bursts of gpupatch, side by side with every peer, and alone over sizes and lengths."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.device.bounds import counted_in
from bench.device.cases import Case
from bench.device.machine import Sampler
from bench.device.peers import PEERS
from bench.device.trials import Bench, Candidate, Row, reason_of
from bench.device.workloads import Workload
from gpupatch.backends._cuda import CudaBackend, CudaKernels
from gpupatch.burst import BurstPlan

OWN = "gpupatch"
STEPS, STEPS_OF_REHEARSAL = (100, 10), (4, 2)
SMALL, SMALL_OF_REHEARSAL = 256, 3
MAIN_PEERS: tuple[str, ...] = ("kernel per step, graph", "JAX", "naive burst")
"""Peers of a quick run, and in float64 except for the headline workload."""

HEADLINE = "heterogeneous2d"
_SECONDS = 4.0

OWN_KINDS = {OWN: "auto", f"{OWN}, plain": "plain"}
"""By name which kernels the backend is asked for."""

Maker = Callable[[Bench, Case], Candidate]


def own(bench: Bench, case: Case, kind: str) -> Candidate:
    """The burst of gpupatch from states in device memory, which it leaves there.

    Args:
        bench: where.
        case: what is run.
        kind: kernels that the backend is asked for.
    """
    kernels = loaded(bench, case, kind)
    held: dict[str, Any] = {}

    def reset() -> None:
        held["u"] = kernels.pack(case.initial)
        bench.poison(held["u"])

    def run(n_steps: int) -> None:
        held["out"] = kernels.burst(held["u"], plan_of(case.workload, n_steps), 0.0)

    def state():
        return bench.device.put(kernels.unpack(held["u"]))

    return Candidate(reset, run, state, lambda: np.asarray(held["out"]), True, about(kernels))


def bursts(bench: Bench, workload: Workload, quick: bool) -> None:
    """Time the bursts of a workload: both precisions, batches large and small, all peers.

    Args:
        bench: where.
        workload: what is run.
        quick: float32 and the main peers only.
    """
    small = SMALL_OF_REHEARSAL if bench.rehearsal else SMALL
    for dtype in ("float32",) if quick else ("float32", "float64"):
        every = not quick and (dtype == "float32" or workload.name == HEADLINE)
        peers = list(PEERS) if every else list(MAIN_PEERS)
        for batch, patches in (("large", workload.patches), ("small", small)):
            what = f"{workload.name}, {dtype}, {batch} batch"
            if bench.time_for(what):
                case = Case(workload, dtype, patches)
                _side_by_side(bench, case, peers, {"kind": "burst", "batch": batch})
                del case
                bench.clean()


def sweep(bench: Bench, workload: Workload, quick: bool) -> None:
    """Time gpupatch alone against the number of patches and of steps, in float32."""
    largest = workload.patches
    counts = [largest] if quick else [largest >> k for k in (10, 8, 6, 4, 2, 0)]
    for patches in sorted({max(1, n) for n in counts}):
        if bench.time_for(f"{workload.name}, {patches} patches"):
            case = Case(workload, "float32", patches)
            _side_by_side(bench, case, [], {"kind": "sweep", "batch": "patches"})
    lengths = STEPS_OF_REHEARSAL if bench.rehearsal else (2, 4, 10, 20, 40, 100, 200, 400)
    if bench.time_for(f"{workload.name}, burst lengths"):
        case = Case(workload, "float32", largest)
        _side_by_side(bench, case, [], {"kind": "sweep", "batch": "steps"}, lengths)
    bench.clean()


def _side_by_side(
    bench: Bench, case: Case, peers: list[str], row: Row, lengths: tuple[int, ...] = ()
) -> None:
    """Make all candidates, check them, and time those that are right in turns."""
    row = row | {
        "workload": case.workload.name,
        "letter": case.workload.letter,
        "dtype": case.dtype,
        "patches": case.patches,
        "cells": case.workload.cells_of_patch,
        "moved": case.workload.moved,
    }
    makers: dict[str, Maker] = {
        name: functools.partial(own, kind=kind) for name, kind in OWN_KINDS.items()
    }
    makers |= {name: PEERS[name][1] for name in peers}
    candidates = {}
    for name, make in makers.items():
        line = row | {"who": name}
        if bench.time_for(f"{case.workload.name}, {case.dtype}, {case.patches} patches: {name}"):
            try:
                candidates[name] = make(bench, case)
            except Exception as error:  # a peer that is absent is a row with its reason
                bench.write(line | {"reason": reason_of(error)})
    sampler = Sampler()
    for n_steps in lengths or steps_of(bench):
        time_all(bench, case, candidates, n_steps, row, sampler)


def time_all(
    bench: Bench, case, candidates: dict[str, Candidate], n_steps: int, row: Row, sampler: Sampler
) -> None:
    """Check candidates and time those that are right, a row for each.

    Args:
        bench: where.
        case: a `Case` or `LiftedCase`.
        candidates: by name; those that fail are removed.
        n_steps: steps of a burst.
        row: what all rows say.
        sampler: reads the clocks meanwhile.
    """
    row = row | {"steps": n_steps, "updates": case.updates(n_steps)}
    right: dict[str, Candidate] = {}
    found: dict[str, Row] = {}
    for name, candidate in list(candidates.items()):
        try:
            found[name] = bench.checked(case, candidate, n_steps)
            right[name] = candidate
        except Exception as error:  # what cannot be right is not timed
            bench.write(row | {"who": name, "reason": reason_of(error)})
            del candidates[name]
    with sampler.reading() as clocks:
        results = bench.rounds(right, n_steps, _SECONDS)
    for name, (seconds, launches) in results.items():
        line = row | {"who": name} | found[name] | right[name].notes
        if right[name].heard:
            line["resources"] = launches[-1][-1].resources._asdict()
        if not bench.rehearsal:
            line |= {"seconds": seconds, "clocks": clocks}
            if right[name].heard:
                line["kernel_seconds"] = bench.kernel_seconds(launches)
        bench.write(line)


def about(kernels: CudaKernels) -> Row:
    """Which kernel runs bursts and why, and what it takes per cell and step."""
    found = kernels.batch.bursts("euler")
    return {"kernels": f"{found.name}: {found.reason}", "counted": counted_in(kernels)}


def steps_of(bench: Bench) -> tuple[int, ...]:
    """Steps of the bursts."""
    return STEPS_OF_REHEARSAL if bench.rehearsal else STEPS


def loaded(bench: Bench, case, kind: str) -> CudaKernels:
    """The passes of gpupatch over the patches of a case."""
    return CudaBackend(bench.device, kind).load(case.model, case.dtype)


@functools.lru_cache(maxsize=16)
def plan_of(workload: Workload, n_steps: int) -> BurstPlan:
    """The burst of a workload, made once."""
    return workload.plan(n_steps)

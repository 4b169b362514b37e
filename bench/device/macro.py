"""What surrounds a burst: macro steps on the device, and steps of patches that are coupled."""

from __future__ import annotations

from typing import Any

from bench.device.cases import CoupledCase, LiftedCase
from bench.device.kernels import OWN_KINDS, about, loaded, plan_of, steps_of, time_all
from bench.device.machine import Sampler
from bench.device.trials import Bench, Candidate, Row, reason_of
from bench.device.workloads import Workload

_CHAIN = 20


def macro_steps(bench: Bench, workload: Workload, quick: bool) -> None:
    """Time lift, burst, restrict and leap with coarse values that stay on the device.

    A row counts `chain` macro steps in a row, between which the host does not wait.

    Args:
        bench: where.
        workload: what is run.
        quick: float32 only.
    """
    sampler = Sampler()
    for dtype in ("float32",) if quick else ("float32", "float64"):
        if not bench.time_for(f"{workload.name}, {dtype}, lift-burst-restrict"):
            continue
        case = LiftedCase(workload, dtype)
        row = _row("macro step", case) | {"chain": 2 if bench.rehearsal else _CHAIN}
        for name, kind in OWN_KINDS.items():
            try:
                alone = _macro(bench, case, kind, 1, heard=True)
                chain = _macro(bench, case, kind, row["chain"], heard=False)
            except Exception as error:  # the other kernels may still run
                bench.write(row | {"who": name, "reason": reason_of(error)})
                continue
            for n_steps in steps_of(bench):
                time_all(bench, case, {name: alone}, n_steps, row | {"chain": 1}, sampler)
                time_all(bench, case, {name: chain}, n_steps, row, sampler)
        bench.clean()


def _macro(bench: Bench, case: LiftedCase, kind: str, chain: int, heard: bool) -> Candidate:
    kernels = loaded(bench, case, kind)
    extended = case.lifting.extended(case.coarse, 0.0)
    held: dict[str, Any] = {"U": kernels.upload(extended)}
    xp = bench.device.xp

    def reset() -> None:
        bench.poison(held["U"])

    def run(n_steps: int) -> None:
        plan = plan_of(case.workload, n_steps)
        for _ in range(chain):
            U = held["U"]
            out = kernels.lift_burst_restrict(case.lifting, U, plan, 0.0)
            slope = xp.ascontiguousarray(xp.moveaxis(out[0], 0, 1)).reshape(U.shape)
            held["out"] = out
            # a leap of length zero: every macro step does the same work
            held["U"] = kernels.combine([(1.0, U), (0.0, slope)])

    def samples():
        return bench.device.get(held["out"])

    return Candidate(reset, run, None, samples, heard, about(kernels))


def coupled_steps(bench: Bench, workload: Workload, quick: bool) -> None:
    """Time micro-steps of patches that are coupled before every rate evaluation.

    Args:
        bench: where.
        workload: what is run.
        quick: float32 only.
    """
    for dtype in ("float32",) if quick else ("float32", "float64"):
        if not bench.time_for(f"{workload.name}, {dtype}, coupled"):
            continue
        case = CoupledCase(workload, dtype)
        row = _row("coupled", case)
        for name, kind in OWN_KINDS.items():
            try:
                candidates = {name: _coupled(bench, case, kind)}
            except Exception as error:  # the other kernels may still run
                bench.write(row | {"who": name, "reason": reason_of(error)})
                continue
            for n_steps in (4,) if bench.rehearsal else (200,):
                time_all(bench, case, candidates, n_steps, row, Sampler())
        bench.clean()


def _coupled(bench: Bench, case: CoupledCase, kind: str) -> Candidate:
    kernels = loaded(bench, case, kind)
    held: dict[str, Any] = {}

    def reset() -> None:
        held["u"] = kernels.pack(case.initial)
        bench.poison(held["u"])

    def run(n_steps: int) -> None:
        kernels.advance(case.coupling, held["u"], 0.0, case.workload.dt, n_steps, "euler")

    def state():
        return bench.device.put(kernels.unpack(held["u"]))

    return Candidate(reset, run, state)


def _row(kind: str, case: LiftedCase) -> Row:
    workload = case.workload
    return {
        "kind": kind,
        "batch": "large",
        "workload": workload.name,
        "letter": workload.letter,
        "dtype": case.dtype,
        "patches": case.patches,
        "cells": workload.cells_of_patch,
        "moved": workload.moved,
    }

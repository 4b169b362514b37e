"""The command that measures a GPU, rehearsed on a CPU; the arithmetic of its figures."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cuda_host import nvrtc
from cuda_host.host import LIMITS, why_not

pytest.importorskip("bench.device", reason="the benchmarks are not beside the tests")
from bench.device import worker
from bench.device.__main__ import Run
from bench.device.bounds import ASSUMED, bound_of, pipe_rates
from bench.device.calibrate import probe_text
from bench.device.cases import Case, reference
from bench.device.clock import open_device
from bench.device.conformance import compare_here
from bench.device.goals import evaluate
from bench.device.particle_cases import PARTICLES, ParticleCase, sized_particles
from bench.device.particle_peers import PARTICLE_PEERS, naive_text
from bench.device.particles import PER_PAIR, counted_pairs
from bench.device.peer_kernels import (
    burst_peer,
    burst_text,
    step_peer,
    step_text,
)
from bench.device.plots import draw
from bench.device.results import finish, summary, wrong
from bench.device.trials import Bench, Candidate
from bench.device.workloads import WORKLOADS, sized
from gpupatch.backends._cuda_particle_choice import ParticleBatch, shapes
from gpupatch.backends._cuda_particle_source import KERNEL, particle_text
from gpupatch.errors import BackendError

ROOT = Path(__file__).parents[1]
FIGURES = ("per_second", "seconds", "share", "bound", "ratio", "per_clock", "mhz")


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """The record and the printed text of a short rehearsal."""
    reason = why_not("fast")
    if reason is not None:
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("device")
    command = [sys.executable, "-m", "bench.device", "--host", "--quick", "--out", str(out)]
    done = subprocess.run(
        [*command, "--only", "conformance,calibrate,heat1d,macro,particles"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((out / "device.json").read_text()), done.stdout


@pytest.fixture
def bench():
    """Candidates run on the CPU, and their rows are forgotten."""
    reason = why_not("fast")
    if reason is not None:
        pytest.skip(reason)
    device, clock = open_device(host=True)
    return Bench(device, clock, time.time() + 1000, lambda row: None)


def keys_of(value):
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from keys_of(inner)
    if isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


@pytest.mark.slow
def test_a_rehearsal_runs_everything_and_gives_no_figure(rehearsed):
    record, printed = rehearsed
    assert record["rehearsal"]
    assert "REHEARSAL" in printed
    found = [k for k in keys_of([record["rows"], record["calibration"]]) if k.endswith(FIGURES)]
    assert not found
    assert {"burst", "macro step", "particles"} == {row["kind"] for row in record["rows"]}
    assert not any("reason" in row for row in record["calibration"])
    assert not record["left_out"]
    assert all(goal["value"] in (None, 2) for goal in record["goals"])


@pytest.mark.slow
def test_what_a_rehearsal_would_time_is_right(rehearsed):
    rows = rehearsed[0]["rows"]
    assert not wrong(rows)
    checked = [row for row in rows if "reason" not in row]
    assert {"gpupatch", "gpupatch, plain", "kernel per step, graph", "naive burst"} <= {
        row["who"] for row in checked
    }
    for row in checked:
        assert row.get("error", 0.0) <= row.get("tolerance", 0.0)
        if row["who"].startswith("gpupatch"):
            assert row["error_of_samples"] <= row["tolerance_of_samples"]


@pytest.mark.slow
def test_operations_are_counted_in_the_tile_that_ran(rehearsed):
    rows = [row for row in rehearsed[0]["rows"] if row["who"] == "gpupatch"]
    tiles = [row for row in rows if row["kernels"].startswith("tile")]
    assert tiles
    assert all(2 < row["counted"]["issue"] < 12 for row in tiles)


@pytest.mark.slow
def test_every_class_of_particle_kernels_and_two_peers_are_right(rehearsed):
    rows = [row for row in rehearsed[0]["rows"] if row["kind"] == "particles"]
    ran = {row["who"]: row["kernels"].split(",")[0] for row in rows if "kernels" in row}
    assert ran == {"gpupatch": "warp", "gpupatch, block": "block", "gpupatch, list": "list"}
    assert {"naive burst"} < {row["who"] for row in rows if "reason" not in row}


def loops_over_pairs(kind, n, dtype):
    """Opcodes of the loops over pairs that give forces, in their order."""
    reason = nvrtc.why_not() or nvrtc.why_not("nvdisasm")
    if reason is not None:
        pytest.skip(reason)
    model = PARTICLES["lj256"].model
    ((shape, _),) = shapes(model, ParticleBatch(n, True, 0.8, dtype), LIMITS, kind)
    cubin = nvrtc.compile_cubin(particle_text(model, dtype, shape), "sm_90", (KERNEL,))
    found = nvrtc.inner_loops(nvrtc.sass(cubin)[KERNEL])
    return [one for one in found if one["MUFU"] and not one["LDG"] and not one["STG"]]


def counted_by_pipe(loop):
    return {
        "issue": loop.total(),
        "fp32": loop["FADD"] + loop["FMUL"] + loop["FFMA"],
        "fp64": loop["DADD"] + loop["DMUL"] + loop["DFMA"] + loop["DSETP"],
        "shuffle": loop["SHFL"],
        "shared": loop["LDS"],
    }


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("warp", "float32"),
        *(
            pytest.param(kind, dtype, marks=pytest.mark.slow)
            for kind, dtype in (
                ("block", "float32"), ("list", "float32"),
                ("warp", "float64"), ("block", "float64"), ("list", "float64"),
            )
        ),
    ],
)  # fmt: skip
def test_bounds_of_particles_are_made_of_counted_instructions(kind, dtype):
    found = loops_over_pairs(kind, 512 if kind == "list" else 256, dtype)
    if kind != "warp":
        per_pair = counted_by_pipe(found[0])
        for pipe, count in PER_PAIR[kind, dtype].items():
            assert per_pair[pipe] / 4 == pytest.approx(count, rel=0.06), pipe
        return
    times = [16] + [32] * 7
    for pipe, count in counted_pairs("warp", dtype, 256).items():
        total = sum(
            n * counted_by_pipe(loop)[pipe] for n, loop in zip(times, found[:8], strict=True)
        )
        assert total / 8 == pytest.approx(count, rel=0.03), pipe


def test_a_pair_of_a_warp_is_fewer_operations_than_two_of_a_block():
    once = counted_pairs("warp", "float32", 256)["issue"]
    twice = counted_pairs("block", "float32", 256)["issue"]
    assert 0.5 < once / twice < 0.6


@pytest.mark.slow
def test_a_macro_step_is_at_most_two_launches(rehearsed):
    rows = [row for row in rehearsed[0]["rows"] if row["kind"] == "macro step"]
    assert all(sum(row["launches"].values()) <= 2 for row in rows if row["chain"] == 1)


def test_the_comparison_that_stands_in_for_pytest_agrees(bench):
    found = compare_here(host=True)
    assert (found["passed"], found["failures"]) == (2, [])


def test_without_a_gpu_there_is_one_line_that_says_why(tmp_path, monkeypatch, capsys):
    def missing(host):
        raise BackendError("no GPU is visible")

    monkeypatch.setattr(worker, "open_device", missing)
    rows = str(tmp_path / "rows")
    monkeypatch.setattr(sys, "argv", ["worker", "machine", "--rows", rows, "--deadline", "0"])
    with pytest.raises(SystemExit) as ended:
        worker.main()
    assert ended.value.code == 2
    assert capsys.readouterr().out == "no GPU is visible\n"


def test_what_does_not_fit_the_budget_is_listed(tmp_path):
    given = argparse.Namespace(out=tmp_path, budget=0.0, host=True, quick=True, commit="")
    run = Run(given)
    run.do("heat2d")
    assert run.write()["left_out"] == ["heat2d"]


@pytest.mark.parametrize("make", [step_peer, burst_peer])
@pytest.mark.parametrize("name", ["heterogeneous2d", "gray_scott2d"])
def test_peers_in_cuda_are_right(bench, name, make):
    case = Case(sized(WORKLOADS[name], rehearsal=True), "float64", 4)
    options = {"graph": True} if make is step_peer else {}
    bench.checked(case, make(bench, case, **options), 4)


@pytest.mark.parametrize("name", list(PARTICLE_PEERS))
def test_peers_of_particles_are_right(bench, name):
    pytest.importorskip({"JAX": "jax", "torch batched": "torch"}.get(name, "numpy"))
    case = ParticleCase(sized_particles(PARTICLES["lj256"], rehearsal=True), "float64", 3)
    bench.checked(case, PARTICLE_PEERS[name][1](bench, case), 4)


def test_the_plain_burst_of_particles_compiles_without_local_memory():
    reason = nvrtc.why_not()
    if reason is not None:
        pytest.skip(reason)
    (usage,) = nvrtc.usage(nvrtc.compile_cubin(naive_text(256, "float32"), "sm_90")).values()
    assert usage.stack == usage.spills == 0


@pytest.mark.parametrize("spoilt", [np.nan, 0.5])
def test_what_is_wrong_in_one_place_is_not_timed(bench, spoilt):
    case = Case(sized(WORKLOADS["heat1d"], rehearsal=True), "float32", 5)
    state = reference(case.workload, case.period, 4)[0][case.index]
    right = Candidate(lambda: None, lambda n: None, lambda: state)
    assert bench.checked(case, right, 4)["error"] == 0
    state[-1, 0, 7] = spoilt
    with pytest.raises(ArithmeticError, match="not timed"):
        bench.checked(case, right, 4)


def timed(who, seconds, **more):
    """A row as a worker writes it on a GPU; the numbers are made up."""
    row = {"kind": "burst", "batch": "large", "workload": "heat2d", "letter": "", "who": who}
    row |= {"dtype": "float32", "patches": 10, "cells": 1024, "moved": 2, "steps": 100}
    row |= {"updates": 10**6, "seconds": seconds, "clocks": {}, "error": 0.0}
    return row | more


CALIBRATION = [
    {"kind": "calibration", "what": "memory", "bytes_per_second": 8e9},
    {
        "kind": "calibration",
        "what": "shuffle",
        "assumed": 32.0,
        "per_clock": 31.0,
        "mhz_of_counter": 1000.0,
    },
]


def test_rates_shares_and_ratios_follow_from_seconds():
    counted = {"issue": 4.0, "shuffle": 2.0}
    own = timed("gpupatch", [2e-3, 4e-3, 6e-3], kernel_seconds=[1e-3] * 3, counted=counted)
    peer = timed("JAX", [8e-3, 20e-3, 12e-3])
    naive = timed("naive burst", [9e-3] * 3, kernel_seconds=[5e-3] * 3)
    row, *_ = finish([own, peer, naive], CALIBRATION, multiprocessors=2)
    assert row["updates_per_second"] == pytest.approx(1e9)
    assert row["updates_per_second_of_call"] == pytest.approx(0.25e9)
    assert row["multiple_of_ceiling"] == pytest.approx(1.0)
    # two shuffles a cell at 32 a clock, on two multiprocessors at 1 GHz
    assert row["bound"]["pipe"] == "shuffle"
    assert row["bound"]["per_second"] == pytest.approx(32e9)
    assert row["share"] == pytest.approx(1 / 32)
    assert row["ratio_of_call"]["JAX"] == pytest.approx(4.0)
    assert row["ratio_of_kernels"]["naive burst"] == pytest.approx(5.0)
    goals = {goal["goal"]: goal for goal in evaluate([row])}
    assert goals["G5 heat2d"]["met"] is False
    assert goals["G6"]["met"] is True
    assert goals["G1"]["text"] == "0.0312 of the bound (generator), heat2d, goal 0.75: not reached"
    assert goals["G4"]["value"] is None


def test_a_bound_never_profits_from_a_low_calibration():
    rates = pipe_rates([{"what": "issue", "per_clock": 90.0}, {"what": "fp64", "per_clock": 66.0}])
    assert rates["issue"] == ASSUMED["issue"]
    assert rates["fp64"] == 66.0
    bound = bound_of("heterogeneous2d", "float64", None, rates)
    assert bound is not None
    assert (bound.pipe, bound.per_clock) == ("fp64", pytest.approx(66 / 6.5))
    assert bound_of("gray_scott2d", "float32", None, rates) is None


def test_figures_are_drawn_from_a_record(tmp_path):
    sweep = {"kind": "sweep", "batch": "patches"}
    rows = [timed("gpupatch", [1e-3] * 3), timed("JAX", [5e-3] * 3)]
    rows += [timed("gpupatch", [1e-3] * 3, **sweep, patches=n) for n in (1, 8)]
    rows += [timed("gpupatch", [1e-3] * 3, kind="sweep", batch="steps", steps=n) for n in (2, 4)]
    record = {
        "rehearsal": False,
        "machine": {"gpu": "none, made up", "commit": "", "cpu": ""},
        "rows": finish(rows, CALIBRATION, 2),
        "calibration": CALIBRATION,
        "conformance": None,
        "goals": [],
        "left_out": [],
        "jobs": [],
    }
    assert len(draw(record, tmp_path, "record")) == 3
    assert "over JAX 5" in summary(record)
    with pytest.raises(SystemExit, match="rehearsal"):
        draw(record | {"rows": []}, tmp_path, "record")


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_peers_compile_without_local_memory(name):
    reason = nvrtc.why_not()
    if reason is not None:
        pytest.skip(reason)
    for text in (step_text(WORKLOADS[name], "float64"), burst_text(WORKLOADS[name], "float32")):
        for usage in nvrtc.usage(nvrtc.compile_cubin(text, "sm_90")).values():
            assert usage.stack == usage.spills == 0


OPCODES = {
    "fp32": {"FFMA"},
    "fp64": {"DFMA"},
    "shuffle": {"SHFL"},
    "shared": {"LDS", "LEA"},
    "integer": {"LOP3", "VIMNMX"},
    "special": {"MUFU"},
    "issue": {"FFMA", "LOP3", "VIMNMX"},
}


@pytest.mark.parametrize("pipe", list(ASSUMED))
def test_probes_do_what_they_are_counted_for(pipe):
    reason = nvrtc.why_not() or nvrtc.why_not("nvdisasm")
    if reason is not None:
        pytest.skip(reason)
    cubin = nvrtc.compile_cubin(probe_text(pipe), "sm_90")
    loop = nvrtc.inner_loop(nvrtc.sass(cubin)["probe"])
    assert OPCODES[pipe] <= loop.keys()
    assert sum(loop[code] for code in OPCODES[pipe]) > 0.97 * loop.total()
    usage = nvrtc.usage(cubin)["probe"]
    assert usage.registers <= 32, "eight blocks of 256 threads do not fit a multiprocessor"
    assert usage.stack == usage.spills == 0

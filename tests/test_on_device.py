"""Whole runs whose patches live on a device, with its kernels run on the CPU."""

import json

import numpy as np
import pytest

from gpupatch import march
from gpupatch.backends._cuda import CudaKernels
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.files.case import load_case
from gpupatch.grid import PatchGrid, dirichlet, neumann
from gpupatch.micro import lattice
from gpupatch.projection import Projection
from gpupatch.run import execute
from gpupatch.run.build import build
from gpupatch.schedule import NON_FINITE
from gpupatch.scheme import BurstScheme, FluxScheme, Problem
from gpupatch.simulation import simulate

RUNS = {
    "steps of a coupled field": ("burgers", ["time.end=0.02", "grid.patches=[16]"]),
    "leaps of a coupled field": (
        "heat1d",
        ["time.end=0.05", "time.projection='rk2'", "time.step=0.025"],
    ),
    "leaps between walls": ("rod", ["time.end=0.02"]),
    "adaptive leaps": ("rod", ["time.end=0.02", "time.projection='adaptive'"]),
    "leaps in single precision": ("rod", ["time.end=0.02", "run.dtype='float32'"]),
    "kept details of the patches": ("rod", ["time.end=0.01", "scheme.lift='projection'"]),
    "two fields": ("gray_scott", ["time.end=2", "grid.patches=[8, 8]"]),
}


def run(name, overrides, backend):
    case = load_case(name, [*overrides, "time.save=2"])
    parts = build(case, backend)
    solution = simulate(
        parts.scheme, parts.initial, case.time.end, save=2, projection=parts.projection
    )
    return solution, parts.scheme


@pytest.mark.parametrize("label", RUNS)
def test_a_run_on_a_device_is_that_of_the_reference(host, label):
    name, overrides = RUNS[label]
    found, _ = run(name, overrides, host)
    expected, _ = run(name, overrides, NumpyBackend())
    tolerance = 1e-5 if "single" in label else 1e-10
    for a, b in zip(found.coarse, expected.coarse, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())
    assert found.report["status"] == "finished"
    assert found.report["device"][0]["launches"]


def test_an_euler_leap_takes_two_launches(host):
    overrides = ["time.projection='euler'", "time.step=0.001", "time.end=0.01"]
    solution, scheme = run("rod", overrides, host)
    leaps = solution.report["leaps"]["leaps"]
    assert isinstance(scheme, BurstScheme)
    kernels = scheme.kernels
    assert isinstance(kernels, CudaKernels)
    assert kernels.batch.launched == {"burst": leaps, "combine_coarse": leaps}


def test_a_device_is_waited_for_at_saves_and_after_many_leaps_only(host, monkeypatch):
    monkeypatch.setattr(march, "_LOOK_SECONDS", float("inf"))
    overrides = ["time.projection='euler'", "time.step=0.0005", "time.end=0.04"]
    solution, _ = run("rod", overrides, host)
    leaps = solution.report["leaps"]["leaps"]
    assert leaps == 80
    assert solution.report["finiteness_checks"] == 1 + leaps // CudaKernels.lookahead
    assert solution.report["host_reads"] == 2


def test_a_failure_between_two_looks_is_found_where_it_happened(host):
    """Euler's method on leaps of 15 times the stable length, far from the next look."""
    overrides = ["time.projection='euler'", "time.step=0.07", "time.end=70.0"]
    found, _ = run("rod", overrides, host)
    expected, _ = run("rod", overrides, NumpyBackend())
    assert found.report["status"] == expected.report["status"] == NON_FINITE
    assert found.report["failure"] == expected.report["failure"]
    assert found.times[-1] == expected.times[-1]


def test_a_dry_run_shows_the_memory_and_the_kernel(host, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(execute, "get_backend", lambda name: (host, "for a test"))
    execute.run_case(load_case("rod"), tmp_path / "out", dry_run=True)
    told = capsys.readouterr().out
    assert "device memory: " in told
    assert "kernel: plain" in told
    assert "tiles take Euler steps, not rk4" in told
    assert not (tmp_path / "out").exists()


def test_a_report_tells_kernels_launches_and_waits(host, monkeypatch, tmp_path):
    monkeypatch.setattr(execute, "get_backend", lambda name: (host, "for a test"))
    reports = []
    for end in ("0.02", "0.04"):
        overrides = [f"time.end={end}", "time.save=3", "time.micro='euler'"]
        assert execute.run_case(load_case("rod", overrides), tmp_path / end).exit_code == 0
        reports.append(json.loads((tmp_path / end / "report.json").read_text()))
    report, (device,) = reports[0], reports[0]["device"]
    assert report["backend"] == "host"
    assert next(iter(device["kernels"])).startswith("tile")
    assert device["launches"]["burst"] == 4 * 20
    checks = [one["device"][0]["waits"]["coarse values"] - one["host_reads"] for one in reports]
    assert checks[0] == checks[1] < 20, "what a run waits for does not grow with its leaps"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("walls", ["periodic", "walls"])
def test_fluxes_in_the_plane_stay_on_the_device(host, dtype, walls):
    """Faces, sources and averages along faces; the host only sees what is saved."""
    boundary = "periodic" if walls == "periodic" else [(dirichlet(1.0), neumann(0.2))] * 2
    grid = PatchGrid([(0.0, 1.0)] * 2, [8, 7], 5, dx=2e-4, cells=True, boundary=boundary)
    problem = Problem(lattice.get("fisher_kpp", 2), grid, {"D": 0.5, "r": 2.0}, dtype=dtype)
    results, schemes = [], []
    for backend in (host, NumpyBackend()):
        scheme = FluxScheme(problem, backend, Burst(3e-9), order=4, micro="euler")
        projection = Projection("rk2", step=1e-3)
        solution = simulate(scheme, {"u": wavy}, 4e-3, save=2, projection=projection)
        results.append(solution.coarse[-1])
        schemes.append(scheme)
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(results[0], results[1], rtol=0, atol=tolerance)
    kernels = schemes[0].kernels
    assert kernels[0].batch.launched["burst"] == kernels[1].batch.launched["burst"] == 16
    assert "samples" not in kernels[0].batch.waits


def wavy(x, y):
    return 1 + 0.3 * np.sin(2 * np.pi * x) * np.cos(2 * np.pi * y)

"""Whole runs from the command line: what they leave behind, however they end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gpupatch.cli import main
from gpupatch.files.extxyz import read_extxyz
from gpupatch.files.snapshots import read_snapshots

ROOT = Path(__file__).parents[1]
SMALL = ("--backend", "numpy", "--set", "grid.patches=12", "--set", "time.end=0.02")
RULES = '''
import gpupatch as gp


@gp.rule(fields="u")
def decay(u, k):
    """du/dt = -k u"""
    return -k * u[0]
'''
CASE = """
[model]
rule = "rules.py:decay"
params = { k = 2.0 }
[grid]
domain = [[0.0, 1.0]]
patches = 8
sites = 5
ratio = 0.2
[initial]
u = "2 + sin(2*pi*x)"
[time]
end = 0.5
save = 3
[run]
backend = "numpy"
[compare]
exact = "exp(-k*t)*(2 + sin(2*pi*x))"
"""


def report_of(directory: Path) -> dict:
    return json.loads((directory / "report.json").read_text())


def test_a_run_leaves_a_solution_a_report_and_a_picture(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", "burgers", *SMALL, "--out", str(out)]) == 0
    assert {file.name for file in out.iterdir()} == {"solution.nc", "report.json", "plot.png"}
    report = report_of(out)
    assert report["status"] == "finished"
    assert report["backend"] == "numpy"
    with xr.open_dataset(out / "solution.nc") as ds:
        difference = abs(ds["u"] - ds["u_exact"]).isel(time=-1).max().item()
        assert ds["time"].values[-1] == 0.02
    assert difference == pytest.approx(report["error"]["u"], rel=1e-12)
    assert "results in" in capsys.readouterr().out


def test_the_results_of_a_run_are_replaced_only_on_request(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["run", "burgers", *SMALL, "--out", str(out), "--quiet"]
    assert main(words) == 0
    (out / "notes.txt").write_text("mine")
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert (out / "notes.txt").read_text() == "mine"


def test_a_dry_run_leaves_nothing(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", "burgers", *SMALL, "--out", str(out), "--dry-run"]) == 0
    assert "12 patches of 9 sites" in capsys.readouterr().out
    assert not out.exists()


def test_a_mistake_in_a_case_leaves_nothing(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", "burgers", *SMALL, "--out", str(out), "--set", "model.params.mu=1"]) == 2
    assert "mu" in capsys.readouterr().err
    assert not out.exists()


def test_a_run_that_blows_up_stops_with_its_last_good_state(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", "burgers", *SMALL, "--set", "time.end=1", "--set", "time.dt=0.05",
                 "--out", str(out)]) == 3  # fmt: skip
    told = capsys.readouterr()
    assert "`u` stopped being finite" in told.err
    assert "Use a smaller `time.dt`" in told.err
    assert "last good state" in told.out
    report = report_of(out)
    assert report["status"] == "nonfinite"
    with xr.open_dataset(out / "solution.nc") as ds:
        assert np.isfinite(ds["u"]).all()
        assert ds["time"].values[-1] == report["time"]["reached"] < 1
    assert main(["plot", str(out), "--out", str(tmp_path / "again.png"), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("number", "exit_code", "status"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_run_that_is_stopped_leaves_readable_results(tmp_path, number, exit_code, status):
    out = tmp_path / "out"
    words = ["run", "burgers", *SMALL, "--set", "time.end=500", "--out", str(out), "--quiet"]
    run = subprocess.Popen(
        [sys.executable, "-m", "gpupatch.cli", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    while not (out / "solution.nc").exists() and run.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    run.send_signal(number)
    assert run.wait(timeout=60) == exit_code
    assert report_of(out)["status"] == status
    with xr.open_dataset(out / "solution.nc") as ds:
        assert np.isfinite(ds["u"]).all()


def test_a_rule_of_ones_own_runs_once_it_is_trusted(tmp_path, capsys):
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "case.toml").write_text(CASE)
    words = ["run", str(tmp_path / "case.toml"), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "--trust" in capsys.readouterr().err
    assert main([*words, "--trust"]) == 0
    assert report_of(tmp_path / "out")["error"]["u"] < 1e-3
    assert len(report_of(tmp_path / "out")["code_sha256"]["model.rule"]) == 64


@pytest.mark.parametrize("fault", ["1 +", "import nothing_of_that_name", "1 / 0"])
def test_a_rule_file_that_cannot_be_run_is_faulty_input(tmp_path, capsys, fault):
    (tmp_path / "rules.py").write_text(f"{RULES}\n{fault}\n")
    (tmp_path / "case.toml").write_text(CASE)
    words = ["run", str(tmp_path / "case.toml"), "--out", str(tmp_path / "out"), "--trust"]
    assert main(words) == 2
    assert "rules.py` cannot be run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


WALKERS = (
    *("--backend", "numpy", "--set", "run.replicas=3"),
    *("--set", "time.end=0.0016", "--set", "time.save=3"),
    *("--set", "initial.density=2000*(1 + 0.5*sin(2*pi*x))"),
)


def test_a_run_of_particles_leaves_its_standard_errors(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", "walkers", *WALKERS, "--set", "compare=", "--out", str(out), "-q"]) == 0
    report = report_of(out)
    assert report["replicas"] == 3
    assert report["fraction_of_space"] == pytest.approx(0.516)
    with xr.open_dataset(out / "solution.nc") as ds:
        density, error = ds["density"], ds["density_error"]
        assert error.attrs == {"long_name": "standard error of density", "units": "1"}
        np.testing.assert_array_equal(ds["replica"], [0, 1, 2])
        spread = density.std("member", ddof=1)
        np.testing.assert_allclose(error.isel(member=1), spread, rtol=1e-12)
        last = spread.isel(time=-1) / np.sqrt(3)
        expected = float(np.sqrt((last**2).mean()))
    assert report["standard_error"]["density"] == pytest.approx(expected, rel=1e-12)
    assert "error" not in report
    assert main(["info", str(out)]) == 0
    assert "particle_steps" in capsys.readouterr().out


def test_a_run_tells_its_error_in_standard_errors(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", "walkers", *WALKERS, "--set", "initial.density=2e4*(1 + 0.5*sin(2*pi*x))",
                 "--out", str(out)]) == 0  # fmt: skip
    told = capsys.readouterr().out
    assert "mean of 3 replicas" in told
    assert "standard errors)" in told
    assert "particle steps in" in told


def test_particles_are_kept_drawn_and_exported_on_request(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["run", "walkers", *WALKERS, "--out", str(out), "-q", "--set", "compare="]
    words += ["--set", "scheme.lift=low_noise"]
    assert main([*words, "--set", "output.particles=[0,5]", "--set", "output.every=2"]) == 0
    assert {"particles.nc", "particles.png"} <= {file.name for file in out.iterdir()}
    snapshots = list(read_snapshots(out / "particles.nc"))
    assert [one.time for one in snapshots] == [0.0, 0.0016]
    assert snapshots[0].centres is not None
    np.testing.assert_allclose(snapshots[0].centres[:2, 0], [1 / 12, 6 / 12])
    width = 0.043
    expected = 2000 * width * (1 + 0.5 * np.sin(2 * np.pi / 12))
    assert abs(snapshots[0].state.counts[0] - expected) < 1.5
    assert np.abs(snapshots[0].state.positions).max() <= width / 2
    assert main(["export", str(out), "--to", "extxyz"]) == 0
    frames = read_extxyz(out / "particles.xyz")
    assert len(frames) == 2 * 3 * 2
    assert main([*words, "--overwrite"]) == 0
    assert not (out / "particles.nc").exists()


def test_patches_that_there_are_not_cannot_be_kept(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["run", "walkers", *WALKERS, "--out", str(out), "-q", "--set", "compare="]
    assert main([*words, "--set", "output.particles=[12]"]) == 2
    assert "a member has the patches 0 to 11" in capsys.readouterr().err


def test_a_dry_run_of_particles_tells_the_plan_and_leaves_nothing(tmp_path, capsys):
    out = tmp_path / "out"
    for name, plan in (
        ("walkers", "12 cells, patches of particles 0.043 wide, 3 member(s), 51.6 % of space"),
        ("lj_fluid", "4 periodic boxes of 256 particles"),
        ("polymer_stretch", "640 chains of 6 particles"),
    ):
        words = WALKERS if name == "walkers" else ("--backend", "numpy")
        assert main(["run", name, *words, "--out", str(out), "--dry-run"]) == 0
        assert plan in capsys.readouterr().out
    assert not out.exists()


def test_replicas_of_a_rule_without_noise_are_refused(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", "burgers", *SMALL, "--set", "run.replicas=2", "--out", str(out)]) == 2
    assert "has no noise" in capsys.readouterr().err
    assert not out.exists()

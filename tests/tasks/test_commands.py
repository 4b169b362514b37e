"""The commands steady, eigenvalues and continue: files, messages and exit codes."""

import json
import signal

import numpy as np
import pytest
import xarray as xr

from gpupatch.cli import main
from gpupatch.tasks.curve import Curve

CASE = """
title = "Growth between walls"

[model]
name = "allen_cahn"
params = { D = 0.05, a = 0.5 }

[grid]
domain = [[0.0, 1.0]]
patches = 8
sites = 3
dx = 0.02
boundary = "neumann"

[initial]
u = "0.45 + 0.02*cos(pi*x)"

[time]
end = 1.0
"""


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walls.toml").write_text(CASE)
    return "walls.toml"


def test_steady_leaves_a_state_a_picture_and_a_report(case, tmp_path, capsys):
    assert main(["steady", case, "--backend", "numpy"]) == 0
    directory = tmp_path / "runs" / "walls_steady"
    report = json.loads((directory / "report.json").read_text())
    assert report["converged"]
    assert report["status"] == "finished"
    assert sorted(report["files"]) == ["report.json", "steady.nc", "steady.png"]
    with xr.open_dataset(directory / "steady.nc") as ds:
        assert np.abs(ds["u"].values - 0.5).max() < 1e-8
    assert (directory / "steady.png").stat().st_size > 1000
    (directory / "steady.png").unlink()
    assert main(["plot", str(directory)]) == 0
    assert (directory / "steady.png").stat().st_size > 1000
    assert "largest slope" in capsys.readouterr().out
    assert main(["steady", case, "--backend", "numpy"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["steady", case, "--backend", "numpy", "--overwrite", "-q"]) == 0


def test_a_search_that_fails_says_so_with_its_exit_code(case, capsys):
    assert main(["steady", case, "--backend", "numpy", "--iterations", "1"]) == 2
    assert "no steady state was found" in capsys.readouterr().err


def test_a_simulation_may_come_first(case, tmp_path):
    assert main(["steady", case, "--backend", "numpy", "--after", "8", "--out", "settled"]) == 0
    with xr.open_dataset(tmp_path / "settled" / "steady.nc") as ds:
        assert np.abs(ds["u"].values).max() < 1e-6


def test_eigenvalues_are_those_of_the_steady_state_or_of_the_state_as_it_is(case, tmp_path, capsys):
    assert main(["eigenvalues", case, "--backend", "numpy", "-k", "2"]) == 0
    with xr.open_dataset(tmp_path / "runs" / "walls_eigenvalues" / "eigenvalues.nc") as ds:
        assert ds["growth_rate"].values[0] == pytest.approx(0.25)
    assert "grow" in capsys.readouterr().out
    uniform = ["--set", "initial.u=0.0", "--no-search", "--out", "zero", "-k", "1"]
    assert main(["eigenvalues", case, "--backend", "numpy", *uniform]) == 0
    with xr.open_dataset(tmp_path / "zero" / "eigenvalues.nc") as ds:
        assert ds["growth_rate"].values[0] == pytest.approx(-0.5)


def test_continue_follows_a_parameter(case, tmp_path, capsys):
    words = ["continue", case, "--backend", "numpy", "--parameter", "a", "--to", "0.6"]
    assert main([*words, "--show", "mean u", "--longest", "0.5", "--step", "0.3"]) == 0
    with xr.open_dataset(tmp_path / "runs" / "walls_continue" / "branch.nc") as ds:
        assert np.abs(ds["u"].values - ds["a"].values[:, None]).max() < 1e-7
        assert ds["a"].values[-1] == 0.6
    assert "a from 0.5 to 0.6" in capsys.readouterr().out


def test_a_parameter_that_does_not_exist_is_told_with_the_nearest(case, capsys):
    assert main(["continue", case, "--parameter", "b", "--to", "1"]) == 2
    assert "no parameter `b`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_branch_that_is_interrupted_is_kept(case, tmp_path, monkeypatch, number, code, status):
    corrected, calls = Curve.corrected, []

    def interrupted(*given, **options):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(number)
        return corrected(*given, **options)

    monkeypatch.setattr(Curve, "corrected", interrupted)
    words = [
        "continue",
        case,
        "--backend",
        "numpy",
        "--parameter",
        "a",
        "--to",
        "0.6",
        "--out",
        "a",
    ]
    assert main([*words, "--step", "0.01", "--longest", "0.01"]) == code
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert report["status"] == status
    with xr.open_dataset(tmp_path / "a" / "branch.nc") as ds:
        assert ds.sizes["point"] == 4
    assert (tmp_path / "a" / "branch.png").stat().st_size > 1000


def test_a_mistake_leaves_nothing_in_the_way_of_the_next_try(case, tmp_path):
    words = ["continue", case, "--backend", "numpy", "--to", "0.55", "--step", "0.5"]
    words += ["--longest", "1.0"]
    assert main([*words, "--parameter", "b"]) == 2
    assert main([*words, "--parameter", "a"]) == 0

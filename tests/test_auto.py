"""`--auto`: bursts, buffers, leaps and replicas that are badly chosen become well chosen."""

import json

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.cli import main
from gpupatch.diagnostics import diagnose, particle_diagnosis
from gpupatch.errors import CaseError
from gpupatch.files.case import load_case
from gpupatch.run import build, run_case, window
from gpupatch.run.auto import choose

LAYERED = """
[model]
name = "heterogeneous_diffusion"
[constants]
period = 0.001
[coefficients]
kappa = { expr = "1.1 + sin(2*pi*x/period)", at = "faces" }
[grid]
domain = [[0.0, 1.0]]
patches = 6
dx = 0.0001
core = 0.0025
buffer = 0.002
[scheme]
kind = "burst"
order = 4
[burst]
length = 2e-8
[initial]
u = "1 + 0.5*sin(2*pi*x)"
[time]
end = 0.02
projection = "euler"
step = 0.001
"""


def flags(case, *ids):
    parts = build(case, get_backend("numba")[0])
    return diagnose(parts.scheme, parts.initial, 0.0, parts.projection, only=ids).raised


def error_of(case, tmp_path):
    result = run_case(case, tmp_path / "run", backend="numba", quiet=True)
    assert result.directory is not None
    return json.loads((result.directory / "report.json").read_text())["error"]


@pytest.mark.slow
def test_a_rod_with_long_bursts_and_leaps_becomes_sound_and_accurate(tmp_path):
    bad = load_case("rod", ["burst.length=5e-6", "time.step=0.01", "time.end=0.04", "grid.dx=1e-3"])
    choice = choose(bad, backend="numba")
    assert set(choice.before) == {"D3", "D8"}
    assert choice.after == ()
    assert flags(choice.case, "D3", "D8") == ()
    assert {c.path for c in choice.changes} == {"grid.buffer", "time.step"}
    assert error_of(choice.case, tmp_path)["u"] < 2e-3


def test_walkers_with_long_bursts_and_leaps_become_sound_and_accurate(tmp_path):
    bad = load_case(
        "walkers", ["burst.length=1e-4", "time.step=5e-3", "run.replicas=4", "time.end=0.01"]
    )
    choice = choose(bad, backend="numba")
    assert set(choice.before) == {"D3", "D8"}
    assert choice.after == ()
    report = run_case(choice.case, tmp_path / "run", backend="numba", quiet=True)
    assert report.solution is not None
    assert report.solution.report["error_in_standard_errors"]["density"] < 3.5


def test_chains_become_as_long_as_their_patches(monkeypatch):
    """All particles of a chain are bound to each other: wider buffers need more of them."""
    monkeypatch.setattr(particle_diagnosis, "RUNS", 0.0)
    monkeypatch.setattr(particle_diagnosis, "LEAST_WORK", 1e6)
    monkeypatch.setattr(window, "WORK", 1e6)
    bad = load_case(
        "chain_heat",
        ["grid.buffer=18", "particles.number=61", "burst.length=60", "burst.replicas=12",
         "run.replicas=1", "initial.energy=1 + 0.9*cos(2*pi*x/1600)"],
    )  # fmt: skip
    choice = choose(bad, backend="numba")
    assert "D3" in choice.before
    assert "D3" not in choice.after
    case = choice.case
    assert case.grid.core is not None
    assert case.grid.buffer is not None
    assert case.particles is not None
    assert case.grid.buffer[0] > 18
    assert case.particles.number == case.grid.core[0] + 2 * case.grid.buffer[0]


def test_noise_is_met_with_replicas():
    case = load_case("walkers", ["run.replicas=1", "initial.density=40*(1 + 0.5*sin(2*pi*x))"])
    choice = choose(case, backend="numba")
    assert choice.before == ("D7",)
    assert choice.after == ()
    assert choice.case.burst is not None
    assert choice.case.burst.replicas > 1


def test_a_layered_medium_is_given_whole_periods_and_time_to_heal(tmp_path):
    file = tmp_path / "layered.toml"
    file.write_text(LAYERED)
    choice = choose(load_case(file), backend="numba")
    changes = {c.path: c for c in choice.changes}
    case = choice.case
    assert case.grid.core is not None
    assert case.grid.core[0] / 0.001 == pytest.approx(round(case.grid.core[0] / 0.001))
    assert case.burst is not None
    assert case.burst.heal is not None
    assert case.burst.heal == pytest.approx(np.log(50) / (2 * np.pi**2 * 1.1 / 1e-6), rel=0.05)
    assert case.burst.length >= 2 * case.burst.heal * 0.99
    assert {"grid.core", "burst.length", "burst.heal"} <= changes.keys()
    assert choice.after == ()


def test_without_a_window_it_says_that_scales_are_not_separated(tmp_path):
    file = tmp_path / "layered.toml"
    file.write_text(LAYERED.replace("patches = 6", "patches = 120"))
    with pytest.raises(CaseError, match="scales are not separated"):
        choose(load_case(file), backend="numba")


@pytest.mark.parametrize("name", ["lj_couette", "polymer_stretch", "heat1d"])
def test_schemes_without_anything_to_choose_are_refused(name):
    with pytest.raises(CaseError, match="--auto"):
        choose(load_case(name), backend="numba")


def test_a_sound_case_stays_as_it_is():
    case = load_case("rod")
    choice = choose(case, backend="numba")
    assert choice.changes == ()
    assert choice.case.resolved() == case.resolved()


def test_the_command_shows_the_choice_and_reports_it(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["run", "rod", "--auto", "--set", "burst.length=5e-6", "--backend", "numba"]
    assert main([*arguments, "--set", "time.end=0.01", "--out", str(out)]) == 0
    assert "grid.buffer = " in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["auto"]["raised_before"] == ["D3"]
    assert report["auto"]["raised_after"] == []
    assert report["case"]["grid"]["buffer"] == [report["auto"]["changes"][0]["new"]]

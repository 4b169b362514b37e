"""Which coarse variables suffice: systems of which it is known."""

import json

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from slow_systems import COSINE, NUMPY, RING, rates, remembering, swinging, warm

import gpupatch as gp
from gpupatch.cli import main
from gpupatch.micro import lattice
from gpupatch.restriction import smooth_mean
from gpupatch.tasks.relaxation import rate_of

STILL = {"u": np.cos, "q": 0.0}
TRAVELLING = {"u": np.sin, "v": np.cos}


def test_heat_is_described_by_its_temperature_if_neighbours_are_known():
    found = gp.slow_variables(warm(), COSINE)
    assert found.best is not None
    assert found.best.name == "u"
    assert found["u"].spread < 1e-6


def test_an_isolated_patch_needs_the_gradient_too():
    found = gp.slow_variables(warm(), COSINE)
    assert found["u isolated"].response == found["u, u_x"].response == "flux"
    # without a gradient nothing flows: the flux is wrong by -100 %
    assert found["u isolated"].spread == pytest.approx(1.0, abs=1e-9)
    assert found["u, u_x"].passes
    assert not found["u isolated"].passes


def test_an_isolated_patch_in_the_plane_needs_both_gradients():
    grid = gp.PatchGrid([(0.0, 2 * np.pi)] * 2, [6, 6], core=0.15, buffer=0.25, dx=0.05)
    problem = gp.Problem(lattice.get("diffusion", 2), grid, {"D": 1.0})
    scheme = gp.BurstScheme(problem, NUMPY, gp.Burst(2e-3), order="spectral")
    state = {"u": lambda x, y: np.cos(x) + np.sin(y)}
    found = gp.slow_variables(scheme, state, ["u", "u, u_x", "u, u_x, u_y"])
    assert [one.passes for one in map(found.__getitem__, ("u", "u, u_x", "u, u_x, u_y"))] == [
        True, False, True,
    ]  # fmt: skip


def test_displacement_alone_does_not_describe_a_wave():
    found = gp.slow_variables(swinging(), TRAVELLING)
    assert found.best is not None
    assert found.best.name == "u, v"
    assert found["u, v"].spread < 1e-6
    assert found["u"].spread > 0.4
    assert not found["u"].falls
    assert {one.pace for one in found.relaxations} == {"slow"}


@pytest.mark.parametrize(("tau", "best"), [(1.0, "u, q"), (0.001, "u")])
def test_heat_that_remembers_needs_its_flux_only_if_bursts_are_shorter(tau, best):
    found = gp.slow_variables(remembering(tau), STILL, ["u", "u, q"])
    assert found.best is not None
    assert found.best.name == best
    (finding,) = gp.diagnose(remembering(tau), COSINE, only=["D5"]).findings
    assert found["u"].passes == (finding.verdict == "PASS")
    if tau == 1.0:
        assert found["u"].spread == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("tau", [0.005, 0.02])
def test_rates_of_relaxation_are_the_roots_of_the_dispersion_relation(tau):
    scheme = remembering(tau, burst=10 * tau, dt=tau / 10)
    u, q = gp.slow_variables(scheme, STILL, ["u", "u, q"]).relaxations
    slow, fast, _ = rates(tau)
    assert q.rate == pytest.approx(-fast, rel=0.02)
    assert u.rate == pytest.approx(-slow, rel=0.01)
    assert (u.pace, q.pace) == ("slow", "fast")
    assert q.times_in_burst == pytest.approx(10 * q.rate * tau)


@pytest.mark.parametrize("rest", [0.0, 0.05])
@pytest.mark.parametrize("rate", [0.01, 3.0, 40.0])
def test_the_rate_of_an_exponential_is_found(rate, rest):
    times = np.linspace(0, 1, 25)
    # of slow decay the rest is not told apart
    rest *= rate > 1
    assert rate_of(times, (1 - rest) * np.exp(-rate * times) + rest) == pytest.approx(
        rate, rel=1e-6
    )


def test_a_disturbance_that_grows_has_a_negative_rate():
    times = np.linspace(0, 1, 25)
    assert rate_of(times, np.exp(0.3 * times)) == pytest.approx(-0.3)


def test_the_recommendation_says_it_in_words():
    slow = gp.slow_variables(remembering(1.0), STILL, ["u", "u, q"]).told()
    assert "u alone does not determine its own future" in slow
    assert "patches that differ in q give slopes that differ by 94 %" in slow
    assert "u, q determine their own future" in slow
    assert "q relaxes at the rate 1.0" in slow
    assert "it is slow" in slow
    fast = gp.slow_variables(remembering(0.001), STILL, ["u"]).told()
    assert "u alone determines its own future" in fast
    assert "times within a burst: it need not be kept" in fast


def test_where_nothing_suffices_it_says_what_to_do():
    found = gp.slow_variables(remembering(1.0), STILL, ["u"])
    assert found.best is None
    assert "name further candidates" in found.told()
    healing = gp.slow_variables(remembering(0.02, burst=0.04), STILL, ["u"])
    assert healing.best is None
    assert "heal longer" in healing.told()


def test_what_the_scheme_hides_does_not_count():
    hidden = gp.slow_variables(remembering(0.01), STILL, ["u", "u, q"])
    free = gp.slow_variables(remembering(0.01, hidden={}), STILL, ["u", "u, q"])
    for name in ("u", "u, q"):
        assert hidden[name].spread == pytest.approx(free[name].spread, abs=1e-9)


def test_other_averages_are_those_of_the_scheme():
    found = gp.slow_variables(warm(restriction=smooth_mean(warm().grid)), COSINE, ["u", "u, u_x"])
    assert all(one.passes for one in found.candidates)


def test_the_scheme_itself_stays_as_it_was():
    scheme, fresh = remembering(0.01), remembering(0.01)
    gp.slow_variables(scheme, STILL)
    U = scheme.averages(COSINE, None)
    assert scheme.micro_steps == 0
    assert np.array_equal(scheme.slope(0.0, U), fresh.slope(0.0, U))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(gp.InputError, match="`w`"):
        gp.slow_variables(swinging(), TRAVELLING, ["u, w"])
    with pytest.raises(gp.InputError, match="derivatives of `v`"):
        gp.slow_variables(swinging(), TRAVELLING, ["u, v_x"])
    with pytest.raises(gp.InputError, match="empty"):
        gp.slow_variables(swinging(), TRAVELLING, [])
    with pytest.raises(gp.InputError, match="not tried"):
        gp.slow_variables(warm(), COSINE, ["u"])["u, u_x"]
    with pytest.raises(gp.InputError, match="tolerance"):
        gp.slow_variables(warm(), COSINE, tolerance=0.0)
    sweep = gp.Problem(warm().problem.rule, warm().grid, members={"D": [1.0, 2.0]})
    with pytest.raises(gp.SchemeError, match="2 members"):
        gp.slow_variables(warm().variant(problem=sweep), COSINE)
    with pytest.raises(gp.SchemeError, match="Use a `burst` scheme"):
        gp.slow_variables(gp.CoupledScheme(warm().problem, NUMPY), COSINE)


def test_random_rules_are_refused():
    @gp.rule(fields="u", noise={"u": lambda u: 0.1})
    def shaken(u, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2

    grid = gp.PatchGrid(RING, [8], core=0.05, buffer=0.2, dx=0.01)
    scheme = gp.BurstScheme(
        gp.Problem(shaken, grid), NUMPY, gp.Burst(1.5e-3, dt=2e-5), micro="euler"
    )
    with pytest.raises(gp.SchemeError, match="has noise"):
        gp.slow_variables(scheme, COSINE)


def test_the_picture_shows_every_candidate_and_every_variable():
    found = gp.slow_variables(warm(), COSINE)
    before = dict(mpl.rcParams)
    figure = found.plot()
    assert dict(mpl.rcParams) == before
    left, right = figure.axes
    legend = left.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert sum("suffices" in label for label in labels) == 2
    assert sum("does not suffice" in label for label in labels) == 1
    assert len(right.patches) == len(found.relaxations) + 1


CASE = """
title = "A string in patches"
[model]
name = "wave"
params = { c = 1.0 }
[grid]
domain = [[0.0, "2*pi"]]
patches = 8
core = 0.04
buffer = 0.04
dx = 0.002
[scheme]
kind = "burst"
order = "spectral"
[burst]
length = 0.032
[initial]
u = "sin(x)"
v = "cos(x)"
[time]
end = 0.5
step = 0.1
micro = "verlet"
projection = "rk4"
[run]
backend = "numpy"
"""


def test_the_command_leaves_words_figures_and_a_picture(tmp_path, capsys):
    (tmp_path / "string.toml").write_text(CASE)
    out = tmp_path / "out"
    told = ["variables", str(tmp_path / "string.toml"), "--out", str(out)]
    assert main([*told, "--candidate", "u", "--candidate", "u, v"]) == 0
    printed = capsys.readouterr().out
    assert "FAIL  u " in printed
    assert "u alone does not determine its own future" in printed
    with xr.open_dataset(out / "variables.nc") as ds:
        assert list(ds["candidate"].values) == ["u, v", "u"]
        assert ds.attrs["case"] == "string"
    assert (out / "variables.png").stat().st_size > 1000
    assert json.loads((out / "report.json").read_text())["best"] == "u, v"
    assert main([*told, "--candidate", "u, w", "--overwrite"]) == 2
    assert "names `w`" in capsys.readouterr().err

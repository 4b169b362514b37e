"""Newton's method on the slope oracle: stable and unstable states, exact and noisy slopes."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from systems import (
    FRONT,
    NUMPY,
    colloids,
    colloids_at_rest,
    fronts,
    ring,
    rod,
    walkers,
    walkers_at_rest,
    walkers_between,
)

import gpupatch as gp
from gpupatch.micro import lattice
from gpupatch.tasks import newton

MIDDLE = 0.8007807757
"""u(pi/2) of the Chafee-Infante problem on [0, pi] at strength 2, by elliptic functions."""


KNOWN = {8: -2.4e-3, 16: -9.0e-5, 32: -5.2e-6}
"""Errors of the middle with so many patches, order 4, half-width a tenth of their distance."""


@pytest.mark.parametrize(("coarse", "counts"), [(False, (8, 16, 32)), (True, (8, 16))])
def test_steady_states_of_order_four_have_the_errors_known(coarse, counts):
    for patches in counts:
        state = gp.steady(ring(patches), {"u": lambda x: 0.8 * np.sin(x)}, coarse=coarse)
        assert state.converged
        assert state["u"][patches // 4] - MIDDLE == pytest.approx(KNOWN[patches], rel=0.2)


def test_an_unstable_state_is_found_as_well_as_a_stable_one():
    scheme = rod(strength=4.5)
    zero = gp.steady(scheme, {"u": lambda x: 0.02 * np.sin(2 * x) + 0.01})
    assert zero.converged
    assert np.abs(zero["u"]).max() < 1e-9
    assert gp.eigenvalues(scheme, zero).unstable == 2


def test_fronts_stand_where_they_are_known_to():
    state = gp.steady(fronts(), FRONT)
    x = fronts().grid.centres[0]
    assert CubicSpline(x, state["u"]).integrate(0, 20) / 20 == pytest.approx(-0.47084, abs=2e-4)


@pytest.mark.parametrize("over", [None, 0.005])
def test_a_krylov_space_finds_the_state_that_all_directions_find(monkeypatch, over):
    dense = gp.steady(ring(8), {"u": np.sin})
    monkeypatch.setattr(newton, "DENSE", 10)
    grown = gp.steady(ring(8), {"u": np.sin}, over=over, block=16)
    assert grown.converged
    assert np.abs(grown.coarse - dense.coarse).max() < 1e-7


def test_a_conserved_total_stays_as_it_was():
    grid = gp.PatchGrid(
        [(0.0, 1.0)], [8], dx=0.005, core=0.02, buffer=0.02, boundary="periodic", cells=True
    )
    problem = gp.Problem(lattice.get("porous_medium", 1), grid)
    scheme = gp.FluxScheme(problem, NUMPY, gp.Burst(1e-5), order=2)
    U0 = scheme.initial({"u": lambda x: 1 + 0.4 * np.sin(2 * np.pi * x)})
    state = gp.steady(scheme, U0[0])
    assert state.converged
    assert np.abs(state["u"] - 1).max() < 1e-8


def test_a_parameter_can_be_given_another_value():
    here = gp.steady(rod(), {"u": np.sin}, parameter="strength", value=4.0)
    there = gp.steady(rod(strength=4.0), {"u": np.sin})
    assert here.parameter == 4.0
    assert np.abs(here.coarse - there.coarse).max() < 1e-9


def test_a_search_that_fails_says_why():
    state = gp.steady(rod(strength=2.0), {"u": np.sin}, iterations=1)
    assert not state.converged
    assert "used up" in state.why


def test_a_slope_that_is_not_finite_is_refused_where_the_search_begins():
    @gp.rule(fields="u")
    def root(u, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2 + gp.sqrt(u[0])

    grid = gp.PatchGrid([(0.0, 1.0)], [6], 5, ratio=0.2)
    scheme = gp.CoupledScheme(gp.Problem(root, grid), NUMPY)
    with np.errstate(invalid="ignore"), pytest.raises(gp.InputError, match="not finite"):
        gp.steady(scheme, {"u": -1.0})


@pytest.fixture(scope="module")
def noisy():
    return gp.steady(walkers(seed=5), {"density": 4.0})


def test_a_dataset_and_a_figure_show_the_state(noisy, tmp_path):
    ds = noisy.to_xarray()
    assert ds["density_error"].dims == ("x",)
    ds.to_netcdf(tmp_path / "steady.nc")
    assert len(noisy.plot().axes) == 2


def deviation(state, exact):
    """Distance from the exact state in standard errors."""
    assert state.converged
    return (state["density"] - exact(state.oracle.scheme.grid.centres[0])) / state.error[0]


def test_the_state_of_walkers_between_reservoirs_lies_within_its_error_bar(noisy):
    assert np.abs(deviation(noisy, walkers_at_rest)).max() < 4
    assert "noise" in noisy.why


@pytest.mark.slow
def test_error_bars_of_noisy_states_are_right_over_twenty_seeds():
    off = np.array(
        [
            deviation(gp.steady(walkers(seed), {"density": 4.0}), walkers_at_rest)
            for seed in range(20)
        ]
    )
    # neighbouring cells share their noise: 20 independent values in each
    square = np.mean(off**2, axis=0)
    assert (square < 2.5).all()
    assert 0.5 < square.mean() < 1.7
    assert np.abs(off.mean(axis=0)).max() < 4 / np.sqrt(20)


@pytest.mark.slow
def test_error_bars_of_soft_colloids_are_right_over_twenty_seeds():
    expected = colloids_at_rest(colloids())
    off, free = [], []
    for seed in range(20):
        scheme = colloids(seed)
        state = gp.steady(scheme, {"density": walkers_between})
        assert state.converged
        assert state.error is not None
        off.append((state["density"] - expected) / state.error[0])
        free.append((walkers_between(scheme.grid.centres[0]) - expected) / state.error[0])
    square = np.mean(np.square(off), axis=0)
    assert (square < 2.5).all()
    assert 0.5 < square.mean() < 1.7
    assert np.abs(np.mean(off, axis=0)).max() < 4 / np.sqrt(20)
    # the bars are short enough to see that colloids repel each other
    assert np.mean(np.square(free)) > 4

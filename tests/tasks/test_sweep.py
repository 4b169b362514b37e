"""Steady states at several values of a parameter, found in step."""

import numpy as np
import pytest
from systems import NUMPY, ring, rod, walkers, walkers_at_rest

import gpupatch as gp
from gpupatch.tasks import newton

LOADS = [0.5, 2.0, 4.0, 8.0]


def test_a_rod_stays_straight_below_the_first_bifurcation_and_bends_above_it():
    states = gp.steady_states(rod(), {"u": np.sin}, "strength", LOADS)
    assert [one.parameter for one in states] == LOADS
    assert all(one.converged for one in states)
    heights = [np.abs(one["u"]).max() for one in states]
    assert heights[0] < 1e-8
    assert 0.5 < heights[1] < heights[2] < heights[3] < 1


@pytest.mark.parametrize("dense", [newton.DENSE, 10])
def test_searches_in_step_find_what_each_finds_alone(monkeypatch, dense):
    monkeypatch.setattr(newton, "DENSE", dense)
    scheme = ring(8)
    together = gp.steady_states(scheme, {"u": np.sin}, "strength", LOADS[1:], block=60)
    for one in together:
        alone = gp.steady(scheme, {"u": np.sin}, parameter="strength", value=one.parameter)
        assert len(one.history) == len(alone.history)
        assert np.abs(one.coarse - alone.coarse).max() < 1e-7


def test_searches_in_step_take_the_batches_of_the_longest():
    scheme = ring(8)
    alone = [
        gp.steady(scheme, {"u": np.sin}, parameter="strength", value=load, block=1000)
        for load in LOADS
    ]
    together = gp.steady_states(scheme, {"u": np.sin}, "strength", LOADS, block=1000)
    assert together[0].batches <= max(one.batches for one in alone) + 2
    assert together[0].evaluations == pytest.approx(sum(one.evaluations for one in alone), rel=0.1)


def test_searches_end_one_by_one_and_say_why():
    states = gp.steady_states(rod(), {"u": 0.0}, "strength", [1.0, 4.0], iterations=1)
    assert all(one.converged and one.iterations == 0 for one in states)
    hasty = gp.steady_states(rod(), {"u": np.sin}, "strength", [1e-8, 8.0], iterations=2)
    assert [one.converged for one in hasty] == [True, False]


@pytest.mark.slow
def test_random_slopes_are_searched_one_after_the_other():
    states = gp.steady_states(walkers(replicas=16), {"density": 4.0}, "temperature", [0.5, 1.0])
    for one in states:
        exact = walkers_at_rest(one.oracle.scheme.grid.centres[0])
        assert one.converged
        assert one.error is not None
        assert np.abs((one["density"] - exact) / one.error[0]).max() < 4


def test_wrong_use_gives_one_clear_error():
    with pytest.raises(gp.InputError, match="`values` is empty"):
        gp.steady_states(rod(), {"u": np.sin}, "strength", [])
    with pytest.raises(gp.InputError, match="no parameter `load`"):
        gp.steady_states(rod(), {"u": np.sin}, "load", [1.0])
    coarse = gp.BurstScheme(
        gp.Problem(rod().problem.rule, gp.PatchGrid(
            [(0.0, 1.0)], [8], dx=0.005, core=0.015, buffer=0.02), {"strength": 1.0}),
        NUMPY, gp.Burst(1e-6),
    )  # fmt: skip
    with pytest.raises(gp.SchemeError, match="not finite"):
        gp.steady_states(coarse, {"u": 1e200}, "strength", [1.0, 2.0])

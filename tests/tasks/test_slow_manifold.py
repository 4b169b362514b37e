"""Constrained runs and implicit lifting, against slow manifolds that are known."""

import dataclasses

import numpy as np
import pytest
from slow_systems import (
    COSINE,
    SUBSTRATE,
    healed_flux,
    rates,
    reacting,
    remembering,
    slaved_flux,
    slow_complex,
    warm,
)

import gpupatch as gp
from gpupatch.restriction import weighted_mean


def orders(errors):
    return np.log2(np.array(errors[:-1]) / errors[1:])


@pytest.mark.parametrize("order", [0, 1, 2])
def test_constrained_runs_find_the_slaved_flux_to_their_order(order):
    errors = []
    for tau in (0.01, 0.005, 0.0025):
        scheme = remembering(tau)
        found = gp.constrained_run(scheme, COSINE, order)
        errors.append(np.abs(found.hidden["q"][0] - slaved_flux(scheme, tau)).max())
    assert orders(errors) == pytest.approx(order + 1, abs=0.1)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_constrained_runs_find_the_manifold_of_a_reaction_to_their_order(order):
    errors = []
    for epsilon in (0.04, 0.02, 0.01):
        found = gp.constrained_run(reacting(epsilon), SUBSTRATE, order, over=2 * epsilon)
        exact = slow_complex(found.U[0, 0], epsilon)
        errors.append(np.abs(found.hidden["c"][0] - exact).max())
    assert orders(errors)[-1] == pytest.approx(order + 1, abs=0.2)


def test_the_distance_of_samples_is_measured_when_none_is_given():
    epsilon = 0.01
    found = gp.constrained_run(reacting(epsilon), SUBSTRATE, 2)
    exact = slow_complex(found.U[0, 0], epsilon)
    assert np.abs(found.hidden["c"][0] - exact).max() < 20 * epsilon**3


def test_implicit_lifting_finds_the_flux_that_forms_within_the_skip():
    tau = 0.02
    scheme = remembering(tau, burst=0.1, dt=tau / 10)
    for skip in (tau, 3 * tau):
        found = gp.implicit_lift(scheme, COSINE, skip)
        assert found.hidden["q"][0] == pytest.approx(healed_flux(scheme, tau, skip), abs=1e-5)


def test_implicit_lifting_converges_at_the_rate_of_the_gap():
    tau = 0.02
    scheme = remembering(tau, burst=0.1, dt=tau / 10)
    slow, fast, _ = rates(tau)
    skips = tau * np.arange(2, 6)
    found = [gp.implicit_lift(scheme, COSINE, skip) for skip in skips]
    errors = [np.abs(one.hidden["q"][0] - slaved_flux(scheme, tau)).max() for one in found]
    decay = -np.polyfit(skips, np.log(errors), 1)[0]
    assert decay == pytest.approx(slow - fast, rel=2e-3)


def test_the_implicit_time_stepper_follows_the_slow_mode():
    tau = 0.01
    scheme = remembering(tau, burst=0.1, dt=tau / 10)
    slow, fast, _ = rates(tau)
    U = scheme.averages(COSINE, None)
    errors = []
    for skip in (2 * tau, 4 * tau):
        moved = gp.implicit_lift(scheme, COSINE, skip).flow(tau)
        errors.append(np.abs(moved - np.exp(slow * tau) * U).max())
    assert np.log(errors[0] / errors[1]) == pytest.approx((slow - fast) * 2 * tau, rel=0.02)


def test_patches_have_the_coarse_values_asked_for_after_healing_not_before():
    scheme = remembering(0.01)
    U = scheme.averages(COSINE, None)
    found = gp.implicit_lift(scheme, COSINE)
    healed = weighted_mean(found.sites, scheme.restriction)[:, 0]
    assert np.abs(healed - U[0, 0]).max() < 1e-8
    assert np.abs(found.lifted - U).max() > 0.01
    assert pytest.approx(U, abs=1e-14) == found.U


def test_slaved_bursts_lose_nothing_where_bursts_from_elsewhere_lag_behind():
    tau, bursts = 0.005, 2
    scheme = remembering(tau, dt=tau / 10)
    slow, _, _ = rates(tau)
    U0 = scheme.averages(COSINE, None)
    naive = slaved = U0
    for _ in range(bursts):
        naive = scheme.burst(0.0, naive)[0]
        slaved = gp.constrained_run(scheme, slaved, 2, over=2 * tau).slaved().burst(0.0, slaved)[0]
    exact = np.exp(slow * bursts * scheme.burst_length) * U0
    lag = np.abs(naive - exact).max() / np.abs(exact).max()
    # every burst loses the time tau in which the flux forms
    assert lag == pytest.approx(np.expm1(-slow * tau * bursts), rel=0.05)
    assert np.abs(slaved - exact).max() < 1e-4 * lag


def test_a_slaved_scheme_measures_the_slow_slope_without_healing():
    tau = 0.005
    scheme = remembering(tau, burst=4 * tau, dt=tau / 10)
    slow, _, _ = rates(tau)
    U = scheme.averages(COSINE, None)
    slaved = gp.constrained_run(scheme, COSINE, 2, over=2 * tau).slaved()
    short = gp.Burst(0.4 * tau, heal=0.0)
    for one, least, most in ((slaved, 0.0, 1e-4), (scheme, 0.5, 2.0)):
        slope = one.variant(burst=short).slope(0.0, U)
        error = np.abs(slope - slow * U).max() / np.abs(slow * U).max()
        assert least <= error < most


def test_bursts_are_few():
    assert gp.constrained_run(remembering(0.005), COSINE, 1).bursts < 40
    assert gp.implicit_lift(remembering(0.005), COSINE).bursts < 12


def test_a_scheme_in_float32_is_slaved_in_float64():
    scheme = remembering(0.005)
    single = scheme.variant(problem=dataclasses.replace(scheme.problem, dtype="float32"))
    one, other = (gp.constrained_run(s, COSINE, 1, over=0.01) for s in (scheme, single))
    assert one.hidden["q"] == pytest.approx(other.hidden["q"], abs=1e-9)
    assert other.slaved().dtype == "float32"


def test_members_are_slaved_together():
    sweep = remembering(0.005)
    problem = gp.Problem(sweep.problem.rule, sweep.grid, {"tau": 0.005}, members={"D": [1.0, 0.5]})
    both = gp.constrained_run(sweep.variant(problem=problem), COSINE, 1, over=0.01)
    single = gp.constrained_run(sweep, COSINE, 1, over=0.01)
    assert both.hidden["q"][0] == pytest.approx(single.hidden["q"][0], abs=1e-7)
    assert np.abs(both.hidden["q"][1]).max() < 0.6 * np.abs(both.hidden["q"][0]).max()


def test_what_makes_no_sense_is_refused():
    scheme = remembering(0.005)
    with pytest.raises(gp.InputError, match="`order` is 7"):
        gp.constrained_run(scheme, COSINE, 7)
    with pytest.raises(gp.InputError, match="`over` is -1"):
        gp.constrained_run(scheme, COSINE, over=-1)
    with pytest.raises(gp.InputError, match="`skip` is 0"):
        gp.implicit_lift(scheme, COSINE, 0)
    with pytest.raises(gp.InputError, match="positive"):
        gp.implicit_lift(scheme, COSINE, tolerance=0)
    with pytest.raises(gp.InputError, match="shape"):
        gp.implicit_lift(scheme, np.ones((3, 2)))
    with pytest.raises(gp.InputError, match="not finite"):
        gp.implicit_lift(scheme, np.full((1, 8), np.nan))
    with pytest.raises(gp.SchemeError, match="hides no field"):
        gp.constrained_run(warm(), COSINE)
    with pytest.raises(gp.SchemeError, match="Use a `burst` scheme"):
        gp.implicit_lift(gp.CoupledScheme(warm().problem, warm().backend), COSINE)


def test_a_hidden_field_that_does_not_relax_is_named():
    with pytest.raises(gp.SchemeError, match="`q` relaxes at the rate"):
        gp.constrained_run(remembering(1.0), COSINE)

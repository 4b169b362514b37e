"""Particles that violate an assumption raise its flag, and healthy twins do not."""

from collections import Counter

import numpy as np
import pytest
from particle_twins import NUMBA, langevin, oscillators, rods, soft, walkers, with_seed

from gpupatch.diagnostics import diagnose, free_diagnosis
from gpupatch.diagnostics.finding import FAIL, FLAG, PASS, SKIP
from gpupatch.diagnostics.noisy import Noisy, noisy_at_most
from gpupatch.diagnostics.particle_checks import protection, spoilt_share
from gpupatch.diagnostics.particle_diagnosis import density_checks
from gpupatch.diagnostics.particle_macro import growth_factor, rates
from gpupatch.diagnostics.particle_variations import ParticleVariations
from gpupatch.lifting import particles as lifts
from gpupatch.projection import Projection
from gpupatch.scheme.sampling import Sampling
from gpupatch.theory.healing import average_rate_error

TOLERANCE = 0.02
STOCHASTIC = Sampling("stochastic")


def variations(twin, work):
    U = twin.scheme.variant().initial(twin.initial)
    return ParticleVariations.at(twin.scheme, 0.0, U, work), U


def finding(twin, id, work=3e6, span=None):
    made, U = variations(twin, work)
    return density_checks(made, 0.0, U, twin.projection, TOLERANCE, span=span)[id]()


def test_a_figure_is_raised_only_beyond_its_statistical_error():
    def verdict(value, error):
        return noisy_at_most("D2", "it", Noisy(value, error, 10), 0.02, "change it").verdict

    assert verdict(0.001, 0.005) == PASS
    assert verdict(0.1, 0.005) == FLAG
    assert verdict(0.2, 0.01) == FAIL
    assert verdict(0.1, 0.05) == SKIP
    assert verdict(0.03, 0.01) == SKIP
    assert verdict(float("nan"), 0.01) == FAIL
    told = noisy_at_most("D2", "it", Noisy(0.0, 0.2, 10), 0.02, "change it").advice
    assert "1000 would be needed" in told


def test_patches_of_walkers_show_their_diffusivity():
    made, _ = variations(walkers(), 3e6)
    found = made.estimate(made.plain, 0.01)
    assert abs(found.value - 1) < 3.5 * found.error + 1e-3
    assert found.error < 0.011


def test_a_diagnosis_leaves_the_scheme_as_it_was():
    twin = walkers()
    U = twin.scheme.initial(twin.initial)
    expected = twin.scheme.variant().slope(0.0, U)
    diagnose(twin.scheme, twin.initial, only=["D6", "D7", "D10", "D11"])
    assert twin.scheme.particle_steps == 0
    np.testing.assert_array_equal(twin.scheme.slope(0.0, U), expected)


def test_few_particles_in_a_core_raise_d1():
    assert finding(walkers(density=300.0), "D1").raised
    assert finding(walkers(density=4000.0), "D1").verdict == PASS


def test_the_scatter_of_random_lifts_is_that_of_a_poisson_field():
    found = finding(walkers(density=4e4, sampling=STOCHASTIC, replicas=1), "D1")
    assert found.verdict == FLAG
    assert found.details["predicted"] == pytest.approx(1 / 20, rel=0.15)
    assert found.details["seen"] == pytest.approx(found.details["predicted"], rel=0.3)
    assert finding(walkers(density=4e6, sampling=STOCHASTIC, replicas=1), "D1").verdict == PASS


def test_a_coarse_field_that_is_not_resolved_raises_d1_prime():
    assert finding(walkers(cells=4), "D1'").raised
    assert finding(walkers(cells=16), "D1'").verdict == PASS


@pytest.mark.parametrize("kind", ["flux", "burst"])
def test_bursts_that_see_their_ends_raise_d3(kind):
    found = finding(walkers(1e-4, kind=kind, step=None), "D3")
    assert found.verdict == FAIL
    assert "grid.buffer" in found.advice


def test_bursts_that_do_not_see_their_ends_pass_d3():
    assert finding(walkers(1.2e-5), "D3").verdict == PASS


def test_the_ends_spoil_what_theory_says():
    made, _ = variations(walkers(4e-5), 3e6)
    seen = made.compared(made.varied(buffer=3.0), made.plain, TOLERANCE)
    expected = 2 * float(average_rate_error(0.015 / np.sqrt(4 * 4e-5)))
    assert abs(seen.value - expected) < 3.5 * seen.error + 0.2 * expected


def test_currents_of_chains_that_are_measured_too_early_raise_d4_and_d5():
    twin = oscillators(burst=1.0, heal=0.2)
    assert finding(twin, "D4", 1e7).raised
    assert finding(twin, "D5").verdict == FAIL


def test_currents_of_chains_that_have_settled_raise_nothing():
    twin = oscillators(burst=20.0, heal=8.0)
    assert not finding(twin, "D4").raised
    assert not finding(twin, "D5").raised


@pytest.mark.parametrize("method", ["low_noise", "stochastic", "weighted"])
def test_every_lift_puts_in_what_it_should(method):
    assert finding(walkers(sampling=Sampling(method)), "D6").verdict == PASS


def test_rods_and_chains_are_lifted_to_what_they_should_hold():
    assert finding(rods(), "D6").verdict == PASS
    assert finding(oscillators(5.0, 2.0), "D6").verdict == PASS


def test_a_lift_that_forgets_particles_raises_d6(monkeypatch):
    whole = lifts._numbers
    monkeypatch.setattr(lifts, "_numbers", lambda *args: (0.9 * whole(*args)).astype(np.int32))
    assert finding(walkers(sampling=Sampling("low_noise")), "D6").raised


def test_slopes_that_drown_in_noise_raise_d7_and_say_how_many_replicas():
    found = finding(walkers(density=40.0), "D7")
    assert found.raised
    wanted = found.details["wanted"]
    assert finding(walkers(density=40.0, replicas=wanted), "D7").measured == pytest.approx(
        5, rel=0.3
    )
    assert finding(walkers(density=4e4), "D7").verdict == PASS


def test_leaps_beyond_stability_raise_d8():
    limit = 2 / (4 * 36)
    assert finding(walkers(step=1.3 * limit), "D8").raised
    assert finding(walkers(step=0.95 * limit), "D8").verdict == PASS


def test_rates_of_the_coarse_field_are_those_of_the_second_difference():
    k = np.arange(6)
    expected = np.sort(4 * 36 * np.sin(np.pi * k / 6) ** 2)
    np.testing.assert_allclose(rates(walkers().scheme, 0.0), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "limit"), [("euler", 2.0), ("rk2", 2.0), ("rk4", 2.785), ("ab2", 1.0)]
)
def test_growth_factors_cross_one_where_methods_become_unstable(method, limit):
    projection = Projection(method, step=1.0)
    assert growth_factor(projection, 0.97 * limit) < 1
    assert growth_factor(projection, 1.03 * limit) > 1


def test_velocities_that_last_as_long_as_the_run_raise_d9():
    twin = langevin(50.0, 0.2, 0.1, step=0.1, density=6.0)
    assert finding(twin, "D9", 1e5, span=0.05).verdict == FAIL
    assert finding(twin, "D9", 1e5, span=10.0).verdict == PASS


def test_what_ends_spoil_is_raised_only_beyond_the_error_of_the_diffusivity():
    """Walkers are known to have the diffusivity 1; that of particles with velocities is seen."""
    made, _ = variations(walkers(1.6e-5), 1e4)
    assert made.largest_diffusivity == Noisy(1.0, 0.0, 0)
    share = 2 * float(average_rate_error(0.015 / np.sqrt(4 * 1.6e-5)))
    assert spoilt_share(made, 1.0) == pytest.approx(share)
    assert protection(made).raised
    seen, _ = variations(langevin(50.0, 0.2, 0.1, density=6.0), 1e4)
    figure = protection(seen)
    assert figure.measured is not None
    least = spoilt_share(seen, seen.diffusivity.least)
    assert figure.details["standard_error"] == pytest.approx((figure.measured - least) / 3.5)


def test_the_total_is_kept_to_round_off():
    assert finding(walkers(step=1e-3), "D10").verdict == PASS
    assert finding(oscillators(1.0, 0.2), "D10").verdict == PASS


def test_steps_that_single_precision_does_not_resolve_raise_d11():
    small = walkers(burst=1e-14, dtype="float32")
    assert finding(small, "D11").raised
    assert finding(walkers(burst=1e-14), "D11").verdict == PASS


@pytest.mark.slow
def test_rods_whose_number_scatters_like_that_of_points_raise_d5():
    assert finding(rods(number="poisson", density=0.6), "D5", 1e7).raised
    assert finding(rods(), "D5").verdict == SKIP


def test_every_run_is_tested_for_free():
    twin = walkers(burst=1e-4)
    found = free_diagnosis(twin.scheme, twin.initial)
    assert "D3" in found.raised
    assert not {"D2", "D4", "D5"} & {one.id for one in found.findings}


@pytest.mark.slow
def test_forces_that_reach_beyond_a_patch_raise_d2():
    assert finding(soft(2.0), "D2", 1e7).raised
    assert not finding(soft(0.3), "D2", 3e7).raised


def test_bursts_shorter_than_velocities_last_raise_d4_and_d5():
    hasty = langevin(1.0, 0.2, 0.05)
    assert finding(hasty, "D4", 1e6).verdict == FAIL
    assert finding(hasty, "D5", 1e5).verdict == FAIL


HEALTHY = {
    "walkers": walkers(1.2e-5, backend=NUMBA),
    "particles with velocities": langevin(50.0, 0.2, 0.1),
}
SEEDS = range(10)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_twins_give_no_false_alarm_with_any_of_ten_seeds(name):
    """With an accepted error of 5 %, and work at which most comparisons are decided."""
    tolerance, found = 0.05, Counter()
    for seed in SEEDS:
        twin = with_seed(HEALTHY[name], seed)
        made, U = variations(twin, 5e7)
        checks = density_checks(made, 0.0, U, None, tolerance)
        for id in ("D2", "D3", "D4", "D5", "D6"):
            found[id, checks[id]().verdict] += 1
    told = ", ".join(f"{id} {verdict} {n}" for (id, verdict), n in sorted(found.items()))
    print(f"{name}: {told}")
    assert not any(verdict in (FLAG, FAIL) for _, verdict in found), told
    assert sum(n for (_, verdict), n in found.items() if verdict == PASS) >= 40, told

"""The act "burst": micro-steppers, and estimators that read slopes off short histories."""

import numpy as np
import pytest

from gpupatch.burst import (
    ESTIMATORS,
    TABLEAUX,
    Burst,
    canonical_stepper,
    mean_weights,
    slope_weights,
)
from gpupatch.errors import SchemeError
from gpupatch.scheme.burst import end_slope_weights

EXACT = 1e-12
LENGTH, STEPS = 2.0, 40


def history(function, n_steps=STEPS, length=LENGTH):
    return function(np.linspace(0, length, n_steps + 1))


def estimate(burst, function, n_steps=STEPS):
    dt = burst.length / n_steps
    return slope_weights(burst, n_steps, dt) @ history(function, n_steps, burst.length)


@pytest.mark.parametrize("heal", [None, 0.0, 0.3, 1.7])
@pytest.mark.parametrize("extrapolate", [False, True])
@pytest.mark.parametrize("slope", ESTIMATORS)
def test_every_estimator_is_exact_on_histories_linear_in_time(slope, extrapolate, heal):
    burst = Burst(LENGTH, heal, slope=slope, extrapolate=extrapolate)
    assert estimate(burst, lambda t: 5 - 3 * t) == pytest.approx(-3, abs=EXACT)


@pytest.mark.parametrize("heal", [None, 0.0, 0.5, 1.7])
@pytest.mark.parametrize("slope", ["healed", "endpoint", "lsq"])
def test_back_extrapolation_finds_the_slope_at_the_base_time_of_quadratic_histories(slope, heal):
    burst = Burst(LENGTH, heal, slope=slope)
    assert estimate(burst, lambda t: 1 + 4 * t - 7 * t**2) == pytest.approx(4, abs=1e-10)


def test_without_extrapolation_the_slope_belongs_to_the_middle_of_the_healed_part():
    burst = Burst(LENGTH, 1.0, extrapolate=False)
    assert estimate(burst, lambda t: t**2) == pytest.approx(2 * 1.5, abs=EXACT)


@pytest.mark.parametrize(("extrapolate", "order"), [(False, 1), (True, 2)])
def test_back_extrapolation_removes_the_error_of_the_order_of_the_burst(extrapolate, order):
    """Slope of exp(-t) at 0 from bursts of length 0.2, 0.1, 0.05."""
    errors = [
        abs(estimate(Burst(tau, extrapolate=extrapolate), lambda t: np.exp(-t)) + 1)
        for tau in (0.2, 0.1, 0.05)
    ]
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), order, atol=0.1)


def test_a_fast_transient_spoils_the_slope_from_the_start_and_not_the_healed_one():
    """u = 3 - t + exp(-50 t)."""

    def u(t):
        return 3 - t + np.exp(-50 * t)

    naive = estimate(Burst(1.0, slope="seed"), u, 400)
    healed = estimate(Burst(1.0, 0.5), u, 400)
    assert naive == pytest.approx(-2, abs=1e-12)
    assert healed == pytest.approx(-1, abs=1e-9)


def test_the_whole_burst_counts_when_nothing_is_discarded():
    w = slope_weights(Burst(LENGTH, slope="seed"), 4, 0.5)
    np.testing.assert_allclose(w, [-0.5, 0, 0, 0, 0.5])


def noise_of(burst, correlated):
    w = slope_weights(burst, 20, 1 / 20)
    rng = np.random.default_rng(3)
    e = rng.normal(size=(20_000, 21))
    if correlated:
        e[:, 0] = 0
        e[:, 1:] = np.cumsum(e[:, 1:], axis=1) * np.sqrt(1 / 20)
    return np.var(e @ w)


def test_least_squares_is_quieter_on_sampling_noise_and_the_end_points_on_walks():
    """Variances 0.519 and 2 for sampling noise, 1.15 and 1 for Brownian motion, 21 samples."""
    ends = Burst(1.0, 0.0, slope="endpoint", extrapolate=False)
    fit = Burst(1.0, 0.0, slope="lsq", extrapolate=False)
    found = [noise_of(b, walk) for walk in (False, True) for b in (fit, ends)]
    np.testing.assert_allclose(found, [0.519, 2.0, 1.15, 1.0], rtol=0.05)


@pytest.mark.parametrize("heal", [None, 0.0, 0.5, 1.7])
@pytest.mark.parametrize("extrapolate", [False, True])
def test_mean_fluxes_keep_constants(extrapolate, heal):
    w = mean_weights(Burst(LENGTH, heal, extrapolate=extrapolate), STEPS, LENGTH / STEPS)
    assert w.sum() == pytest.approx(1, abs=EXACT)


def test_mean_flux_is_extrapolated_to_the_base_time():
    w = mean_weights(Burst(LENGTH, 0.5), STEPS, LENGTH / STEPS)
    assert w @ history(lambda t: 2 - 5 * t) == pytest.approx(2, abs=1e-11)


def test_mean_flux_without_extrapolation_is_the_trapezoidal_mean_of_the_healed_part():
    w = mean_weights(Burst(LENGTH, 1.0, extrapolate=False), STEPS, LENGTH / STEPS)
    assert w @ history(lambda t: 2 - 5 * t) == pytest.approx(2 - 5 * 1.5, abs=EXACT)


@pytest.mark.parametrize("n_steps", [2, 3, 4, 30])
def test_the_slope_at_the_end_is_exact_on_polynomials(n_steps):
    p = np.poly1d(np.random.default_rng(4).normal(size=min(5, n_steps + 1)))
    w = end_slope_weights(n_steps, LENGTH / n_steps)
    assert w @ history(p, n_steps) == pytest.approx(p.deriv()(LENGTH), abs=1e-10)


ORDER_CONDITIONS = {
    1: lambda a, b, c: (b.sum() - 1,),
    2: lambda a, b, c: (b @ c - 1 / 2,),
    3: lambda a, b, c: (b @ c**2 - 1 / 3, b @ a @ c - 1 / 6),
    4: lambda a, b, c: (
        b @ c**3 - 1 / 4,
        (b * c) @ a @ c - 1 / 8,
        b @ a @ c**2 - 1 / 12,
        b @ a @ a @ c - 1 / 24,
    ),
}


@pytest.mark.parametrize("name", TABLEAUX)
def test_steppers_satisfy_the_order_conditions_up_to_their_order_and_no_further(name):
    tableau = TABLEAUX[name]
    parts = tableau.a, tableau.b, tableau.c
    for order in range(1, tableau.order + 1):
        np.testing.assert_allclose(ORDER_CONDITIONS[order](*parts), 0, atol=EXACT)
    if tableau.order < 4:
        assert max(map(abs, ORDER_CONDITIONS[tableau.order + 1](*parts))) > 0.01


@pytest.mark.parametrize("name", TABLEAUX)
def test_stability_function_is_the_amplification_of_one_step(name):
    tableau, z = TABLEAUX[name], -0.7 + 0.4j
    slopes: list[complex] = []
    for row in tableau.a:
        slopes.append(z * (1 + sum(w * k for w, k in zip(row, slopes, strict=False))))
    expected = 1 + tableau.b @ np.array(slopes)
    np.testing.assert_allclose(tableau.stability(np.array([z])), expected, atol=EXACT)


@pytest.mark.parametrize(
    ("name", "on_the_real_axis", "on_the_imaginary_axis"),
    [
        ("euler", 2.0, 0.0),
        ("ssprk2", 2.0, 0.0),
        ("ssprk3", 2.5127, 1.7321),
        ("rk4", 2.7853, 2.8284),
    ],
)
def test_steppers_are_stable_up_to_their_published_limits(
    name, on_the_real_axis, on_the_imaginary_axis
):
    """Hairer and Wanner (1996), section IV.2."""
    y = np.linspace(1e-3, 4, 40_000) + 0j
    for direction, limit in ((-1, on_the_real_axis), (1j, on_the_imaginary_axis)):
        stable = (
            np.abs(TABLEAUX[name].stability((direction * y).astype(np.complex128))) <= 1 + 1e-12
        )
        assert y[~stable][0].real == pytest.approx(limit, abs=2e-3)


def test_steps_fill_the_burst_and_are_never_longer_than_allowed():
    n, dt = Burst(1.0).steps(0.3)
    assert (n, n * dt) == (4, 1.0)
    n, dt = Burst(1.0).steps(0.03)
    assert n == 34
    assert dt <= 0.03
    assert Burst(1.0, dt=0.1).steps(0.03) == (10, 0.1)


def test_half_the_burst_heals_when_nothing_is_said():
    assert Burst(3.0).healing == 1.5
    assert Burst(3.0, heal=0.0).healing == 0.0


def test_something_is_always_left_to_measure_in():
    w = slope_weights(Burst(1.0, heal=0.999), 10, 0.1)
    assert np.count_nonzero(w) == 3


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"length": 0.0}, "`burst.length` is 0.0"),
        ({"length": -1.0}, "positive"),
        ({"length": float("nan")}, "finite"),
        ({"heal": 1.0}, "leave a part of the burst"),
        ({"heal": -0.1}, "`burst.heal` is -0.1"),
        ({"slope": "spline"}, "healed, endpoint, lsq, seed"),
        ({"replicas": 0}, "at least 1"),
    ],
)
def test_impossible_bursts_are_refused(changes, found):
    with pytest.raises(SchemeError, match=found):
        Burst(**({"length": 1.0} | changes))


def test_leapfrog_is_velocity_verlet_and_unknown_steppers_are_refused():
    assert canonical_stepper("leapfrog") == "verlet"
    with pytest.raises(SchemeError, match="'heun' is unknown; use one of euler"):
        canonical_stepper("heun")

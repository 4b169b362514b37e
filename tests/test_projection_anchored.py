"""Anchored and telescopic projection of micro-simulators known by their bursts."""

import json
from pathlib import Path

import numpy as np
import pytest

from gpupatch.errors import InputError, SchemeError
from gpupatch.projection import History, MicroSimulator, OdeSystem, Projection, project
from gpupatch.projection.anchored import SHORTEST_LEAP, anchored_tableau
from gpupatch.projection.on_arrays import derivative_weights
from gpupatch.theory import largest_jump, telescopic_amplification

EXACT = 1e-12
TOOLBOX = json.loads((Path(__file__).parent / "data/projection_michaelis_menten.json").read_text())


def rk4_bursts(rate, samples):
    """A micro-simulator of du/dt = rate that takes `samples` classical steps per burst."""

    def simulate(t, u, length):
        dt, times, states = length / samples, [t], [u]
        for step in range(samples):
            k1 = rate(t, u)
            k2 = rate(t + dt / 2, u + dt / 2 * k1)
            k3 = rate(t + dt / 2, u + dt / 2 * k2)
            k4 = rate(t + dt, u + dt * k3)
            u = u + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            t = times[0] + (step + 1) * dt
            times.append(t)
            states.append(u)
        return times, states

    return simulate


def slow_fast(epsilon):
    """dx/dt = -w cos t with w relaxing to x^2: on w = x^2 exactly x = x0/(1 + x0 sin t)."""

    def rate(t, u):
        x, w = u
        return np.array([-w * np.cos(t), -(w - x * x) / epsilon - 2 * x * w * np.cos(t)])

    return rate


def on_manifold(t):
    x = 1 / (1 + np.sin(t))
    return np.array([x, x * x])


TIMES = np.linspace(0, 1.5, 5)


def worst_error(result):
    exact = 1 / (1 + np.sin(result.times))
    return np.abs(result.states[:, 0] - exact).max()


def pendulum(t, u):
    return np.array([u[1], -np.sin(u[0]) - 0.2 * u[1] + 0.3 * np.cos(2 * t)])


def observed_orders(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def michaelis_menten(epsilon):
    def rate(_, u):
        x, y = u
        return np.array([-x + (x + 0.5) * y, (x - (x + 1) * y) / epsilon])

    return rate


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.19])
@pytest.mark.parametrize("order", [2, 4])
def test_prk_keeps_its_order_when_bursts_are_a_fixed_fraction_of_the_leap(order, fraction):
    accurate = rk4_bursts(pendulum, 20000)(0.0, np.array([1.0, 0.5]), 2.0)[1][-1]
    errors = []
    for n in (10, 20, 40):
        simulator = MicroSimulator(rk4_bursts(pendulum, 8), burst_length=fraction * 2 / n)
        result = project(simulator, [1.0, 0.5], [0.0, 2.0], method=f"prk{order}", step=2 / n)
        errors.append(np.abs(result.states[-1] - accurate).max())
    assert observed_orders(errors)[-1] == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("order", [2, 4])
def test_bursts_of_no_length_leave_a_consistent_runge_kutta_method(order):
    tableau = anchored_tableau(order, 0.0)
    for row, c in zip(tableau.a, tableau.c, strict=True):
        assert sum(row) == pytest.approx(c, abs=EXACT)
    for power in range(order):
        moment = np.dot(tableau.b, np.power(tableau.c, power))
        assert moment == pytest.approx(1 / (power + 1), abs=EXACT)


@pytest.mark.parametrize("theta", [1e-4, 0.05, 0.1, 0.2, 0.25])
def test_stages_are_launched_inside_the_leap_and_weights_stay_moderate(theta):
    tableau = anchored_tableau(4, theta)
    launches = np.array(tableau.c[1:]) - theta
    assert np.all(launches > -EXACT)
    assert max(tableau.c) <= 1
    assert min(tableau.b) > 0


def test_prk4_has_no_floor_where_plain_coefficients_would_stop_at_the_burst_length():
    """F8: prototypes of the anchored method stopped at 1.9e-4 for bursts of 1.5e-4."""
    epsilon = 1e-5
    errors = []
    for n in (16, 32, 64):
        simulator = MicroSimulator(rk4_bursts(slow_fast(epsilon), 30), 15 * epsilon)
        result = project(simulator, on_manifold(0.0), TIMES, method="prk4", step=1.5 / n)
        errors.append(worst_error(result))
    assert observed_orders(errors) == pytest.approx(4, abs=0.4)
    assert errors[-1] < 1e-8


def test_back_extrapolated_slopes_keep_order_four_and_plain_ones_stop_at_the_burst_length():
    """F8: order 4 with slopes extrapolated to the base time, a floor O(burst) without."""
    epsilon = 1e-6
    length = 30 * epsilon
    errors = {True: [], False: []}
    for n in (16, 32, 64):
        for extrapolate, found in errors.items():
            simulate = rk4_bursts(slow_fast(epsilon), 60)
            simulator = MicroSimulator(simulate, length, extrapolate=extrapolate)
            result = project(simulator, on_manifold(0.0), TIMES, method="rk4", step=1.5 / n)
            found.append(worst_error(result))
    assert observed_orders(errors[True]) == pytest.approx(4, abs=0.4)
    assert errors[False] == pytest.approx([errors[False][-1]] * 3, rel=0.01)
    assert 0.1 < errors[False][-1] / length < 1


@pytest.mark.parametrize("method", ["ab2", "ab4", "adaptive"])
def test_every_method_runs_on_back_extrapolated_slopes(method):
    """F8: multistep and adaptive methods keep their accuracy on the slopes of bursts."""
    simulator = MicroSimulator(rk4_bursts(slow_fast(1e-5), 60), 3e-4)
    step = None if method == "adaptive" else 1.5 / 128
    result = project(simulator, on_manifold(0.0), [0.0, 1.5], method=method, step=step)
    assert abs(result.states[-1] - on_manifold(1.5))[0] < {"ab4": 1e-6}.get(method, 2e-4)


def test_the_slope_at_the_base_time_is_wrong_by_the_square_of_the_burst():
    rate = slow_fast(1e-6)
    errors = []
    for length in (4e-3, 2e-3, 1e-3):
        simulator = MicroSimulator(rk4_bursts(rate, 8000), length)
        exact = rate(0.3, on_manifold(0.3))[0]
        errors.append(abs(simulator.slope(0.3, on_manifold(0.3))[0] - exact))
    assert observed_orders(errors) == pytest.approx(2, abs=0.2)


@pytest.fixture(scope="module")
def errors_of():
    """Errors on the toolbox's table, [burst length, number of steps], for a method of ours."""

    def measure(method):
        epsilon, end = TOOLBOX["epsilon"], TOOLBOX["t_end"]
        simulate = rk4_bursts(michaelis_menten(epsilon), TOOLBOX["samples_per_burst"])
        errors = []
        for ratio in TOOLBOX["burst_over_epsilon"]:
            burst = ratio * epsilon
            healed = simulate(0.0, np.array([1.0, 0.0]), burst)[1][-1]
            for n in TOOLBOX["n_steps"]:
                times = np.linspace(0, end, n + 1)
                times[0] = burst
                simulator = MicroSimulator(simulate, burst)
                result = project(simulator, healed, times, method=method, step=end / n)
                errors.append(np.linalg.norm(result.states[-1] - TOOLBOX["exact_end"]))
        return np.reshape(errors, (len(TOOLBOX["burst_over_epsilon"]), -1))

    return measure


@pytest.mark.slow
def test_prk4_beats_the_equation_free_toolbox_at_every_burst_length_and_step(errors_of):
    ours, theirs = errors_of("prk4"), np.array(TOOLBOX["err_pirk4"])
    assert np.all(ours < theirs)
    assert np.all(ours[:, -3:] < 1e-2 * theirs[:, -3:])
    assert np.all(ours[1:, -2:] < 1e-10)


def test_prk2_beats_the_equation_free_toolbox_away_from_the_zero_of_its_error(errors_of):
    """The error of the toolbox's method changes sign between 58 and 130 steps."""
    ours, theirs = errors_of("prk2"), np.array(TOOLBOX["err_pirk2"])
    steps = np.array(TOOLBOX["n_steps"])
    away = (steps < 58) | (steps == 130)
    assert np.all(ours[:, away] < theirs[:, away])
    assert np.all(ours[1:, -1] < theirs[1:, -1] / 3)


@pytest.mark.parametrize("method", ["prk2", "prk4"])
def test_bursts_that_run_forwards_carry_leaps_backwards(method):
    simulator = MicroSimulator(rk4_bursts(slow_fast(1e-5), 30), 1.5e-4)
    errors = []
    for n in (10, 20, 40):
        times = np.linspace(1, 0, 6)
        back = project(simulator, on_manifold(1.0), times, method=method, step=1 / n)
        errors.append(worst_error(back))
    assert observed_orders(errors)[-1] == pytest.approx(int(method[-1]), abs=0.25)


def test_a_leap_backwards_about_as_long_as_its_bursts_is_refused():
    simulator = MicroSimulator(rk4_bursts(slow_fast(1e-4), 30), 1.5e-3)
    with pytest.raises(SchemeError, match=r"leap back over 0\.01 .* at least 10 bursts"):
        project(simulator, on_manifold(1.0), [1.0, 0.5], method="prk4", step=0.01)


@pytest.mark.parametrize("order", [2, 4])
def test_a_leap_that_its_bursts_would_fill_is_simulated_in_full(order):
    simulator = MicroSimulator(rk4_bursts(pendulum, 10), burst_length=0.1)
    start = np.array([1.0, 0.5])
    for bursts, leaps in ((SHORTEST_LEAP[order], False), (SHORTEST_LEAP[order] + 0.1, True)):
        history, span = History(), bursts * 0.1
        Projection(f"prk{order}", step=1.0).advance(simulator, 0.0, start, span, history)
        assert history.statistics.bursts == (order if leaps else 0)
        assert history.statistics.simulated_time == pytest.approx(0.1 * order if leaps else span)


@pytest.mark.parametrize("inner", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("share", [0.95, 1.05])
def test_projective_forward_euler_decays_below_the_largest_jump_and_blows_up_above(inner, share):
    """V34: M_max = 4.828, 8.444, 12.045, 15.641, 19.236 for k = 1..5, worst mode among all rho."""
    tabulated = {1: 4.828, 2: 8.444, 3: 12.045, 4: 15.641, 5: 19.236}[inner]
    assert largest_jump(inner) == pytest.approx(tabulated, abs=5e-4)
    jump = share * tabulated
    worst = inner * jump / ((inner + 1) * (jump + 1))
    rho = np.array([*np.linspace(0, 0.999, 1000), worst])
    leap = inner + 1 + jump
    result = project(
        lambda t, u: -(1 - rho) * u, np.ones_like(rho), [0.0, 200 * leap],
        method="pfe", inner=inner, jump=jump, inner_step=1.0,
    )  # fmt: skip
    assert result.statistics.leaps == 200
    size = np.abs(result.states[-1])
    if share < 1:
        assert size.max() < 0.5
    else:
        assert size.max() > 1e3
        assert size[-1] == size.max()


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_telescopic_leap_multiplies_every_mode_as_the_theory_says(levels):
    rho = np.linspace(0, 1, 101)
    leap = (2 + 1 + 2.5) ** levels
    for jump, step in ((2.5, None), (None, leap)):
        result = project(
            lambda t, u: -(1 - rho) * u, np.ones_like(rho), [0.0, leap],
            method="telescopic", inner=2, levels=levels, jump=jump, step=step, inner_step=1.0,
        )  # fmt: skip
        assert result.statistics.inner_steps == 3**levels
        expected = telescopic_amplification(rho, 2, 2.5, levels)
        np.testing.assert_allclose(result.states[-1], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("method", ["pfe", "telescopic"])
def test_projective_forward_euler_is_of_first_order_in_its_leap(method):
    errors = []
    for n in (20, 40, 80):
        times = np.linspace(0, 1.5, n + 1)
        result = project(
            slow_fast(1e-5), on_manifold(0.0), times,
            method=method, step=1.5 / n, inner=40 if method == "pfe" else 6,
            levels=None if method == "pfe" else 2, inner_step=1e-5,
        )  # fmt: skip
        errors.append(abs(result.states[-1] - on_manifold(1.5))[0])
    assert observed_orders(errors) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("method", ["pfe", "telescopic", "none"])
def test_a_leap_no_longer_than_its_inner_steps_is_simulated_in_full(method):
    result = project(
        lambda t, u: -u, [1.0], [0.0, 0.03], method=method, step=0.03, inner_step=0.012
    )
    assert result.statistics.inner_steps == 3
    assert result.states[-1, 0] == pytest.approx(0.99**3, rel=EXACT)


def test_projective_forward_euler_leaps_backwards_and_telescopic_refuses():
    system = OdeSystem(slow_fast(1e-5), 1e-5)
    U = Projection("pfe", step=1e-3, inner=20).advance(system, 1.0, on_manifold(1.0), 0.5)
    assert U[0] == pytest.approx(on_manifold(0.5)[0], rel=2e-3)
    for method in ("telescopic", "none"):
        with pytest.raises(SchemeError, match="backwards"):
            Projection(method, step=0.1).advance(system, 1.0, on_manifold(1.0), 0.5)


@pytest.mark.parametrize("degree", [1, 2, 4])
@pytest.mark.parametrize("samples", [5, 12])
def test_derivative_weights_are_exact_for_polynomials(degree, samples):
    times = 3 + np.sort(np.random.default_rng(7).random(samples))
    weights = derivative_weights(times, degree, at=2.8)
    for power in range(degree + 1):
        exact = power * 2.8 ** max(power - 1, 0)
        assert weights @ times**power == pytest.approx(exact, abs=1e-8)


def test_bursts_that_cannot_be_used_are_refused_with_the_remedy():
    def ends_only(t, u, length):
        return [t, t + length], [u, u]

    def too_short(t, u, length):
        return [t, t + length / 2], [u, u]

    def without_times(t, u, length):
        return [t], [u, u]

    U = np.ones(2)
    with pytest.raises(SchemeError, match=r"`end_order` = 4 needs 5 samples.*found 2"):
        MicroSimulator(ends_only, 0.1).burst(0.0, U)
    with pytest.raises(SchemeError, match=r"`degree` = 2 needs 3 samples.*found 1"):
        MicroSimulator(ends_only, 0.1).slope(0.0, U)
    with pytest.raises(InputError, match=r"ended at 0\.05; its last sample must be at 0\.1"):
        MicroSimulator(too_short, 0.1).burst(0.0, U)
    with pytest.raises(InputError, match=r"shapes \(1,\) and \(2, 2\)"):
        MicroSimulator(without_times, 0.1).burst(0.0, U)
    with pytest.raises(SchemeError, match="`heal` must be shorter than the burst"):
        MicroSimulator(ends_only, 0.1, heal=0.1)
    with pytest.raises(SchemeError, match="`burst_length` must be positive"):
        MicroSimulator(ends_only, 0.0)


def test_a_simulator_that_returns_only_ends_can_be_leapt_over():
    def ends_only(t, u, length):
        return [t, t + length], [u, u * np.exp(-length)]

    simulator = MicroSimulator(ends_only, 1e-4, end_order=1)
    result = project(simulator, [1.0], [0.0, 1.0], method="prk4", step=0.1)
    assert result.states[-1, 0] == pytest.approx(np.exp(-1), rel=2e-4)


def test_options_that_a_ready_system_does_not_read_are_refused():
    simulator = MicroSimulator(rk4_bursts(pendulum, 10), 0.01)
    with pytest.raises(InputError, match=r"`inner_step` = 0\.1 has no effect on a MicroSimulator"):
        project(simulator, [1.0, 0.0], [0.0, 1.0], step=0.1, inner_step=0.1)
    with pytest.raises(SchemeError, match="`inner` has no effect here"):
        project(simulator, [1.0, 0.0], [0.0, 1.0], method="prk2", step=0.1, inner=3)

"""Methods on the slope oracle: orders, history, schedules, what is asked of a system."""

import numpy as np
import pytest

from gpupatch.errors import InputError, SchemeError
from gpupatch.projection import ArraySystem, History, OdeSystem, Projection, as_system, project
from gpupatch.projection.oracle import leap_along, runge_kutta_stages
from gpupatch.projection.tableaux import PAIRS, adams_bashforth_weights

EXACT = 1e-13
ORDERS = {"euler": 1, "rk2": 2, "rk4": 4, "ab2": 2, "ab3": 3, "ab4": 4, "prk2": 2, "prk4": 4}
STARTS = {"ab2": 1, "ab3": 2, "ab4": 3}


def rate(t, u):
    return np.array([u[0] * np.cos(t), -2 * t * u[1] ** 2])


def exact(t):
    return np.array([np.exp(np.sin(t)), 1 / (1 + t**2)])


def observed_orders(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


class Sealed:
    """A handle that allows nothing."""

    __slots__ = ("_values",)

    def __init__(self, values):
        object.__setattr__(self, "_values", values)


class SealedSystem:
    """A system whose handles only it can open; bursts and inner steps are exact decay."""

    burst_length = 0.01
    inner_step = 0.005

    def __init__(self):
        self.plain = ArraySystem()

    def slope(self, t, U):
        return Sealed(-U._values)

    def burst(self, t, U):
        end = U._values * np.exp(-self.burst_length)
        return Sealed(end), Sealed(-end)

    def inner(self, t, U, steps, dt):
        return Sealed(U._values * np.exp(-steps * dt))

    def axpy(self, terms):
        return Sealed(self.plain.axpy([(w, handle._values) for w, handle in terms]))

    def error_norm(self, error, U, tolerance):
        return self.plain.error_norm(error._values, U._values, tolerance)

    def unpack(self, U):
        return U._values

    def pack(self, values):
        return Sealed(values)


@pytest.mark.parametrize("method", ORDERS)
def test_a_method_on_an_oracle_reaches_its_order(method):
    times = np.linspace(0, 1, 6)
    errors = []
    for n in (20, 40, 80, 160):
        result = project(rate, exact(0.0), times, method=method, step=1 / n)
        errors.append(np.abs(result.states.T - exact(times)).max())
    assert observed_orders(errors) == pytest.approx(ORDERS[method], abs=0.1)


@pytest.mark.parametrize("method", ORDERS)
def test_a_method_keeps_its_order_backwards_in_time(method):
    errors = []
    for n in (40, 80):
        result = project(rate, exact(1.0), [1.0, 0.0], method=method, step=1.0 / n)
        errors.append(np.abs(result.states[-1] - exact(0.0)).max())
    assert observed_orders(errors)[0] > ORDERS[method] - 0.3


@pytest.mark.parametrize("method", STARTS)
def test_adams_bashforth_keeps_its_order_over_unequal_intervals(method):
    times = np.array([0.0, 0.155, 0.235, 0.56, 0.6, 1.0])
    errors = []
    for n in (80, 160, 320):
        result = project(rate, exact(0.0), times, method=method, step=1 / n)
        errors.append(np.abs(result.states.T - exact(times)).max())
    assert observed_orders(errors) == pytest.approx(ORDERS[method], abs=0.2)


@pytest.mark.parametrize("method", STARTS)
def test_adams_bashforth_evaluates_one_slope_per_leap_after_its_start(method):
    result = project(rate, exact(0.0), np.linspace(0, 2, 5), method=method, step=0.1)
    stages = 2 if method == "ab2" else 4
    assert result.statistics.leaps == 20
    assert result.statistics.slopes == 20 + STARTS[method] * (stages - 1)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_adams_bashforth_weights_integrate_polynomials_exactly(count):
    nodes = np.concatenate([[0.0], -np.cumsum(np.linspace(0.7, 1.6, count - 1))])
    weights = adams_bashforth_weights(nodes.tolist())
    for power in range(count):
        assert weights @ nodes**power == pytest.approx(1 / (power + 1), abs=EXACT)


def test_adams_bashforth_weights_of_equal_steps_are_the_textbook_ones():
    textbook = np.array([55, -59, 37, -9]) / 24
    np.testing.assert_allclose(adams_bashforth_weights([0, -1, -2, -3]), textbook, atol=EXACT)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_an_embedded_step_is_consistent_and_ends_with_the_slope_of_the_next(pair):
    assert pair.a[-1] == pair.b[:-1]
    assert pair.b[-1] == 0
    for row, c in zip(pair.a, pair.c, strict=True):
        assert sum(row) == pytest.approx(c, abs=EXACT)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_an_embedded_pair_integrates_powers_of_time_up_to_its_orders_and_sees_the_next(pair):
    for power in range(pair.order):
        moments = np.power(pair.c, power)
        assert np.dot(pair.b, moments) == pytest.approx(1 / (power + 1), abs=EXACT)
        seen = abs(np.dot(pair.error_weights, moments))
        assert seen < EXACT if power < pair.order - 1 else seen > 1e-4


@pytest.mark.parametrize("pair", PAIRS)
def test_the_embedded_step_is_one_order_below_the_step(pair):
    tableau, estimates, errors = PAIRS[pair], [], []
    for D in (0.2, 0.1, 0.05):
        slopes = runge_kutta_stages(OdeSystem(rate), tableau, 0.3, exact(0.3), D)
        after = leap_along(OdeSystem(rate), exact(0.3), D, tableau.b, slopes)
        estimates.append(np.abs(D * np.dot(tableau.error_weights, slopes)).max())
        errors.append(np.abs(after - exact(0.3 + D)).max())
    assert observed_orders(estimates)[-1] == pytest.approx(tableau.order, abs=0.3)
    assert observed_orders(errors)[-1] > tableau.order + 0.7


@pytest.mark.parametrize("method", [*ORDERS, "pfe"])
def test_leaps_are_shortened_evenly_and_end_exactly_where_asked(method):
    reached = []
    inner_step = 1e-3 if method == "pfe" else None
    times = [0.0, 0.25, 1.0]
    project(
        rate, exact(0.0), times, method=method, step=0.1, inner_step=inner_step,
        on_leap=lambda t, u: reached.append(t),
    )  # fmt: skip
    expected = [*np.linspace(0, 0.25, 4)[1:], *np.linspace(0.25, 1, 9)[1:]]
    np.testing.assert_allclose(reached, expected, rtol=0, atol=EXACT)
    assert {0.25, 1.0} <= set(reached)


@pytest.mark.parametrize("method", ORDERS)
def test_saving_at_whole_numbers_of_steps_changes_nothing(method):
    direct = project(rate, exact(0.0), [0.0, 2.0], method=method, step=0.1)
    saved = project(rate, exact(0.0), np.linspace(0, 2, 11), method=method, step=0.1)
    np.testing.assert_allclose(saved.states[-1], direct.states[-1], rtol=EXACT)
    assert saved.statistics.leaps == direct.statistics.leaps == 20


@pytest.mark.parametrize("method", [*ORDERS, "adaptive"])
def test_an_interrupted_run_goes_on_bit_for_bit(method):
    projection = Projection(method, step=0.03)
    system = OdeSystem(rate)
    whole = projection.advance(system, 0.0, exact(0.0), 1.0)

    class Stop(Exception):
        pass

    kept = {}

    def stop_at_fifth(t, U):
        kept.update(t=t, U=U)
        if history.statistics.leaps == 5:
            raise Stop

    history = History()
    with pytest.raises(Stop):
        projection.advance(system, 0.0, exact(0.0), 1.0, history, stop_at_fifth)
    resumed = projection.advance(system, kept["t"], kept["U"], 1.0, history)
    np.testing.assert_array_equal(resumed, whole)


def test_a_history_refuses_to_go_on_from_another_time():
    projection, history = Projection("ab4", step=0.1), History()
    U = projection.advance(OdeSystem(rate), 0.0, exact(0.0), 1.0, history)
    with pytest.raises(SchemeError, match=r"has reached t = 1\..*clear"):
        projection.advance(OdeSystem(rate), 0.5, U, 2.0, history)
    history.clear()
    projection.advance(OdeSystem(rate), 0.5, U, 2.0, history)
    assert history.time == 2.0


def test_the_state_given_is_not_changed():
    U = exact(0.0)
    for method in ORDERS:
        Projection(method, step=0.1).advance(OdeSystem(rate), 0.0, U, 1.0)
    np.testing.assert_array_equal(U, exact(0.0))


@pytest.mark.parametrize(
    "options",
    [
        *({"method": method, "step": 0.1} for method in [*ORDERS, "pfe", "telescopic", "none"]),
        {"method": "adaptive"},
        {"method": "implicit"},
        {"method": "implicit", "solver": "Radau"},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()),
)
def test_handles_are_never_opened(options):
    end = Projection(**options).advance(SealedSystem(), 0.0, Sealed(np.array([1.0, 2.0])), 1.0)
    assert isinstance(end, Sealed)
    np.testing.assert_allclose(end._values, np.exp(-1) * np.array([1, 2]), rtol=0.06)


def test_statistics_count_slopes_bursts_and_simulated_time():
    history = History()
    U = Projection("rk4", step=0.1).advance(SealedSystem(), 0.0, Sealed(1.0), 1.0, history)
    assert (history.statistics.leaps, history.statistics.slopes) == (10, 40)
    assert history.statistics.simulated_time == pytest.approx(0.4)
    Projection("prk2", step=0.1).advance(SealedSystem(), 1.0, U, 2.0, history)
    assert (history.statistics.leaps, history.statistics.bursts) == (20, 20)
    assert history.statistics.simulated_time == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "rk5", "step": 0.1}, "no method 'rk5'.*Did you mean 'rk"),
        ({"method": "rk4"}, "'rk4' needs `step`"),
        ({"method": "rk4", "step": 0.0}, "`step` must be positive and finite; found 0"),
        ({"method": "rk4", "step": 0.1, "tol": 1e-3}, "`tol` = 0.001 has no effect.*'rk4'"),
        ({"method": "adaptive", "pair": "bs23"}, "no pair 'bs23'.*Did you mean 'bs32'"),
        ({"method": "adaptive", "tol": float("nan")}, "`tol` of `Projection` is nan"),
        ({"method": "implicit", "solver": "RK45"}, "no solver 'RK45'; choose one of BDF, Radau"),
        ({"method": "pfe"}, "either `step`.*or `jump`.*found neither"),
        ({"method": "pfe", "step": 0.1, "jump": 4.0}, "found both"),
        ({"method": "pfe", "step": 0.1, "inner": 0}, "`inner` must lie between 1 and"),
        ({"method": "telescopic", "step": 0.1, "levels": 1.5}, "must be a whole number"),
    ],
)
def test_impossible_projections_are_refused_with_the_remedy(options, message):
    with pytest.raises(SchemeError, match=message):
        Projection(**options)


def test_a_projection_describes_what_was_given():
    projection = Projection("pfe", step=0.5, inner=3)
    assert projection.describe() == {"method": "pfe", "step": 0.5, "inner": 3}


def test_project_refuses_times_that_turn_round_and_things_that_are_no_system():
    with pytest.raises(InputError, match="rise, or fall"):
        project(rate, exact(0.0), [0.0, 1.0, 0.5], step=0.1)
    with pytest.raises(InputError, match="found a str"):
        as_system("burgers")  # pyright: ignore[reportArgumentType]
    with pytest.raises(SchemeError, match="Give `inner_step`"):
        project(rate, exact(0.0), [0.0, 1.0], method="pfe", step=0.1)

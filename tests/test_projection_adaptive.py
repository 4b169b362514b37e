"""Error control and implicit leaps on the slope oracle."""

import numpy as np
import pytest

from gpupatch.errors import SchemeError
from gpupatch.projection import project
from gpupatch.projection.tableaux import PAIRS


def exact_pulse(t):
    return 1 / (1 + 400 * (t - 1) ** 2)


def pulse(t, u):
    """du/dt of a state that follows `exact_pulse`: slow, fast, slow."""
    return -800 * (t - 1) * exact_pulse(t) ** 2 - (u - exact_pulse(t))


START = exact_pulse(0.0)


@pytest.mark.parametrize("pair", PAIRS)
def test_an_adaptive_projection_meets_its_tolerance(pair):
    times = np.linspace(0.0, 2.0, 11)
    for tol in (1e-4, 1e-6, 1e-8):
        result = project(pulse, [START], times, method="adaptive", tol=tol, pair=pair)
        assert np.abs(result.states[:, 0] - exact_pulse(times)).max() < 2 * tol


@pytest.mark.parametrize("pair", PAIRS)
def test_the_number_of_leaps_follows_the_order_of_the_pair(pair):
    leaps = []
    for tol in (1e-6, 1e-9):
        result = project(pulse, [START], [0.0, 2.0], method="adaptive", tol=tol, pair=pair)
        leaps.append(result.statistics.leaps)
    assert leaps[1] / leaps[0] == pytest.approx(1e3 ** (1 / PAIRS[pair].order), rel=0.25)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_leap_far_too_long_is_rejected_and_shortened(pair):
    lengths, times = [], [0.0]

    def note(t, u):
        lengths.append(t - times[-1])
        times.append(t)

    result = project(
        pulse, [START], [0.0, 2.0], method="adaptive", pair=pair, step=1.5, on_leap=note
    )
    assert result.statistics.rejected > 0
    assert lengths[0] < 0.75
    assert result.statistics.leaps == len(lengths)
    assert times[-1] == 2.0


@pytest.mark.parametrize("pair", PAIRS)
def test_the_last_slope_of_a_leap_serves_the_next(pair):
    result = project(pulse, [START], [0.0, 1.0, 2.0], method="adaptive", step=0.01, pair=pair)
    attempts = result.statistics.leaps + result.statistics.rejected
    assert result.statistics.slopes == 1 + (len(PAIRS[pair].c) - 1) * attempts


def test_a_dense_schedule_does_not_make_the_proposed_step_smaller():
    dense = np.concatenate([np.linspace(0, 0.1, 101), [10.0]])
    saved = project(lambda t, u: -u, [1.0], dense, method="adaptive")
    direct = project(lambda t, u: -u, [1.0], [0.1, 10.0], method="adaptive")
    assert saved.statistics.leaps - 100 <= direct.statistics.leaps + 1


def test_leaps_do_not_exceed_the_longest_allowed():
    result = project(lambda t, u: 0 * u, [1.0], [0.0, 1.0], method="adaptive", max_step=0.05)
    assert result.statistics.leaps >= 20
    assert result.states[-1, 0] == 1.0


def test_a_constant_state_is_leapt_over_in_a_few_steps():
    result = project(lambda t, u: 0 * u, [1.0], [0.0, 1e6], method="adaptive")
    assert result.statistics.leaps < 20


def test_an_adaptive_projection_runs_backwards():
    result = project(pulse, [exact_pulse(2.0)], [2.0, 1.0], method="adaptive", tol=1e-8)
    assert result.states[-1, 0] == pytest.approx(1.0, rel=1e-4)


def test_a_singularity_is_reported_where_it_is():
    with pytest.raises(SchemeError, match=r"below 1e-06 at t = 0\.99\d* .*larger `tol`"):
        project(lambda t, u: u**2, [1.0], [0.0, 2.0], method="adaptive", tol=1e-6, min_step=1e-6)


@pytest.mark.parametrize("bad_from", [-1.0, 1e-7, 0.5])
def test_a_slope_that_is_not_finite_is_reported_as_an_error_too_large(bad_from):
    def rate(t, u):
        return np.full_like(u, np.nan) if t > bad_from else -u

    with pytest.raises(SchemeError, match=r"nan times the error allowed"):
        project(rate, [1.0], [0.0, 1.0], method="adaptive", min_step=1e-9)


@pytest.mark.parametrize("solver", ["BDF", "Radau"])
def test_an_implicit_projection_leaps_over_a_stiff_relaxation(solver):
    def stiff(t, u):
        return -1e5 * (u - np.cos(t)) - np.sin(t)

    times = np.linspace(0, 2, 5)
    reached = []
    result = project(
        stiff, [[1.5, 1.0]], times, method="implicit", tol=1e-7, solver=solver,
        on_leap=lambda t, u: reached.append((t, u.shape)),
    )  # fmt: skip
    np.testing.assert_allclose(result.states[1:, 0, 0], np.cos(times[1:]), atol=1e-5)
    assert result.statistics.leaps == len(reached) < 1000
    assert {time for time, _ in reached} >= set(times[1:])
    assert {shape for _, shape in reached} == {(1, 2)}


def test_an_implicit_solver_that_gives_up_says_where():
    with np.errstate(all="ignore"), pytest.raises(SchemeError, match=r"BDF gave up at t = 1"):
        project(lambda t, u: u**2, [1.0], [0.0, 2.0], method="implicit", tol=1e-8)

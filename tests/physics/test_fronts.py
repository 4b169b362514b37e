"""Invading populations, bistable media and shrinking discs on patches (V9, V11)."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline


def positions(solution, level):
    """Where the coarse field crosses a level, furthest to the right, at every saved time."""
    x = solution.layout.centres[0]
    profiles = solution["u"][:, 0]
    if profiles.ndim == 3:
        profiles = profiles[:, :, 0]
    return np.array([CubicSpline(x, u - level).roots(extrapolate=False).max() for u in profiles])


def speeds(solution, level):
    return np.diff(positions(solution, level)) / np.diff(solution.times)


def test_the_exact_wave_of_advance_keeps_its_shape_and_speed(run):
    """V9: the wave of Ablowitz and Zeppetella, c = 5/sqrt(6), 0.5 %."""
    solution = run("v09_fisher_wave")
    assert solution.error < 2e-3
    np.testing.assert_allclose(speeds(solution, 0.25), 5 / np.sqrt(6), rtol=5e-3)


@pytest.mark.slow
def test_a_steep_front_approaches_the_least_speed_from_below(run):
    """V9: the speeds at t = 20, 50, 100 of the table, 0.5 %."""
    found = speeds(run("v09_fisher_front"), 0.5)[[1, 3, 5]]
    np.testing.assert_allclose(found, [1.9243, 1.9759, 1.9909], rtol=5e-3)
    assert np.all(np.diff(found) > 0)
    assert found[-1] < 2


def test_a_bistable_front_runs_at_its_speed(run):
    """V11: c = sqrt(1/2) (1 - 2 a) = 0.353553391, 1 %."""
    solution = run("v11_bistable_wave")
    assert solution.error < 1e-2
    np.testing.assert_allclose(speeds(solution, 0.5), 0.353553391, rtol=0.01)


@pytest.mark.slow
def test_a_disc_shrinks_by_its_curvature(run):
    """V11: R^2 = R0^2 - 2 t along the axis, 1 % of the change."""
    solution = run("v11_circle")
    square = positions(solution, 0.5) ** 2
    np.testing.assert_allclose(square[0] - square[1:], 2 * np.array(solution.times[1:]), rtol=0.01)

"""An activator and its fast substrate: onset of Turing patterns on patches (V14)."""

import numpy as np
import pytest
from scipy.optimize import brentq

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.scheme import CoupledScheme, Problem

A, B = 0.1, 0.9
STEADY = A + B, B / (A + B) ** 2
FASTEST, GROWTH = 0.48666, 0.263157895
CRITICAL_SQUARE, THRESHOLD = 0.341640786, 8.567627458


def growth_rate(k, d, order):
    """Largest growth on a ring as long as one wave, about the uniform state."""
    grid = PatchGrid([(0.0, 2 * np.pi / k)], [10], 5, 0.1)
    problem = Problem(lattice.get("schnakenberg", 1), grid, {"a": A, "b": B, "d": d})
    scheme = CoupledScheme(problem, NumpyBackend(), order)
    uniform = np.empty(scheme.model.shape)
    uniform[:, 0], uniform[:, 1] = STEADY
    return scheme.eigenvalues(60, uniform).real.max()


def ripple(solution):
    """Size of the longest wave of the activator over time."""
    N = solution["u"].shape[-1]
    return np.abs(np.fft.fft(solution["u"][:, 0] - STEADY[0])[:, 1]) * 2 / N


@pytest.mark.parametrize(("order", "accuracy"), [(4, 1e-5), ("spectral", 1e-7)])
def test_the_fastest_pattern_grows_at_the_tabulated_rate(order, accuracy):
    """V14: d = 20, growth 0.263157895 at k = 0.48666."""
    assert growth_rate(FASTEST, 20.0, order) == pytest.approx(GROWTH, rel=accuracy)


def test_no_other_wave_grows_faster():
    """V14: k_max = 0.48666 to 2 %."""
    rates = [growth_rate(FASTEST * stretch, 20.0, "spectral") for stretch in (0.98, 1.0, 1.02)]
    assert np.argmax(rates) == 1


@pytest.mark.parametrize(("order", "accuracy"), [(4, 1e-5), ("spectral", 1e-7)])
def test_patterns_appear_at_the_tabulated_ratio_of_diffusivities(order, accuracy):
    """V14: d_c = 8.567627458 at k_c^2 = 0.341640786."""
    k = np.sqrt(CRITICAL_SQUARE)
    found = brentq(lambda d: growth_rate(k, d, order), 8.0, 9.5, xtol=1e-6)
    assert found == pytest.approx(THRESHOLD, rel=accuracy)


def test_a_ripple_grows_in_a_run_as_predicted(run):
    """V14 as a run: 2 %, after the faster eigenvector has died away."""
    solution = run("v14_turing_growth")
    t, size = np.array(solution.times), ripple(solution)
    assert np.polyfit(t[t > 4], np.log(size[t > 4]), 1)[0] == pytest.approx(GROWTH, rel=0.02)


def test_a_ripple_dies_below_the_threshold(run):
    """V14 as a run: the healthy twin, d = 8."""
    size = ripple(run("v14_turing_growth", "model.params.d=8.0"))
    assert np.all(np.diff(size[20:]) < 0)

"""Turing patterns of Schnakenberg's kinetics on patches: growth rate and threshold (V14)."""

import numpy as np
import pytest

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.scheme import CoupledScheme, Problem

A, B = 0.1, 0.9
FASTEST = 0.48666, 0.263157895
THRESHOLD = 8.567627458
WAVENUMBER_AT_THRESHOLD = np.sqrt(0.341640786)


def growth(d, k, order):
    """Largest growth rate about the uniform state, on four waves of number k."""
    grid = PatchGrid([(0.0, 8 * np.pi / k)], [32], 5, 0.4)
    problem = Problem(lattice.get("schnakenberg", 1), grid, {"a": A, "b": B, "d": d})
    scheme = CoupledScheme(problem, NumpyBackend(), order)
    uniform = np.ones(scheme.model.shape)
    uniform[:, 1] = B
    return scheme.eigenvalues(uniform.size, uniform).real.max()


@pytest.mark.parametrize("order", [4, 6, "spectral"])
def test_the_linearised_patches_grow_at_turings_rate(order):
    """V14: d = 20, 2 %."""
    assert growth(20.0, FASTEST[0], order) == pytest.approx(FASTEST[1], rel=0.02)


def test_patterns_appear_at_turings_threshold():
    """V14: d_c = 8.567627458 to 2 %, at k_c^2 = 0.341640786."""
    assert growth(0.98 * THRESHOLD, WAVENUMBER_AT_THRESHOLD, "spectral") < 0
    assert growth(1.02 * THRESHOLD, WAVENUMBER_AT_THRESHOLD, "spectral") > 0


def test_a_small_wave_grows_at_turings_rate(run):
    """V14 as a run: 2 %."""
    solution = run("v14_turing")
    x = solution.layout.centres[0]
    amplitude = (solution["u"][:, 0] - 1) @ np.cos(FASTEST[0] * x)
    rates = np.diff(np.log(amplitude)) / np.diff(solution.times)
    np.testing.assert_allclose(rates[1:], FASTEST[1], rtol=0.02)

"""Heat on patches: every slow eigenvalue against its closed form (V1, V1b)."""

import numpy as np
import pytest

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.scheme import CoupledScheme, Problem
from gpupatch.theory import heat_eigenvalue

CIRCLE = (0.0, 2 * np.pi)
TABULATED = {
    2: [-0.96868842, -3.51578914, -6.68657112, -9.27022009],
    4: [-0.99832542, -3.90637020, -8.10119734, -11.99384169],
    6: [-0.99981976, -3.97766062, -8.59122652, -13.30117475],
    "spectral": [-0.99991776, -3.99868423, -8.99333999, -15.97895592],
}
TABULATED_AT_HALF = {
    2: [-0.97484112, -3.59958250, -7.00322744, -9.90232939],
    4: [-0.99829440, -3.92027260, -8.22815873, -12.38361948],
    6: [-0.99941440, -3.97583661, -8.63445602, -13.54131218],
    "spectral": [-0.99948606, -3.99178209, -8.95843958, -15.86883744],
}


def heat(patches, sites, ratio, order):
    grid = PatchGrid([CIRCLE] * len(patches), patches, sites, ratio)
    rule = lattice.get("diffusion", len(patches))
    return CoupledScheme(Problem(rule, grid, {"D": 1.0}), NumpyBackend(), order)


def wave_rates(n_patch, ratio, order, sites):
    k = np.abs(np.fft.fftfreq(n_patch, 1 / n_patch))
    return heat_eigenvalue(k, CIRCLE[1] / n_patch, ratio, order, sites=sites)


def fastest_last(rates):
    return np.sort(rates.ravel())[::-1]


@pytest.mark.parametrize("order", TABULATED)
def test_slow_heat_modes_decay_at_the_tabulated_rates(order):
    """V1: N = 10, r = 0.2, 9 sites, k = 0 .. 4, each k > 0 twice."""
    found = fastest_last(heat([10], 9, 0.2, order).eigenvalues(9))
    expected = np.concatenate([[0.0], np.repeat(TABULATED[order], 2)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", TABULATED_AT_HALF)
def test_half_overlapping_patches_decay_at_the_tabulated_rates(order):
    """V1b: r = 0.5."""
    found = fastest_last(heat([10], 9, 0.5, order).eigenvalues(9))
    expected = np.concatenate([[0.0], np.repeat(TABULATED_AT_HALF[order], 2)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", [2, 4, 6, 8, "spectral"])
@pytest.mark.parametrize(("sites", "ratio"), [(9, 0.05), (9, 0.3), (5, 0.1), (21, 0.5)])
def test_slow_heat_modes_follow_the_closed_form(order, sites, ratio):
    """V1b: other ratios and numbers of sites."""
    found = fastest_last(heat([10], sites, ratio, order).eigenvalues(9))
    expected = fastest_last(wave_rates(10, ratio, order, sites))[:9]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", [2, 4, "spectral"])
def test_product_modes_in_the_plane_add_their_rates(order):
    """V1b: lambda = lambda_k + lambda_l, axes with different patches and ratios."""
    scheme = heat([6, 7], [5, 7], [0.2, 0.3], order)
    x, y = wave_rates(6, 0.2, order, 5), wave_rates(7, 0.3, order, 7)
    expected = fastest_last(np.add.outer(x, y))[:25]
    np.testing.assert_allclose(fastest_last(scheme.eigenvalues(25)), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", [2, 4, "spectral"])
def test_product_modes_in_space_add_their_rates(order):
    """V1b: lambda = lambda_k + lambda_l + lambda_m."""
    line = wave_rates(5, 0.2, order, 3)
    expected = fastest_last(line[:, None, None] + line[:, None] + line)[:19]
    found = fastest_last(heat([5, 5, 5], 3, 0.2, order).eigenvalues(19))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("case", ["v01_heat_1d", "v01b_heat_2d", "v01b_heat_3d"])
def test_spectrally_coupled_patches_run_like_the_whole_lattice(run, case):
    """V1, V1b as runs: only the error of the micro-stepper is left."""
    assert run(case).error < 1e-8

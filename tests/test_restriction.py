"""The act "restrict": means and slopes over the cores, and what smooth kernels do not see."""

import numpy as np
import pytest

from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.restriction import centre_value, core_mean, core_slope, smooth_mean, weighted_mean

EXACT = 1e-12


def one_axis(sites=40, core=30, dx=0.1):
    return PatchGrid([(0.0, 100.0)], [3], sites, dx=dx, core=core * dx)


def along(grid, function):
    """One patch with values of a function of the distance from its centre."""
    return function(grid.site_offsets[0])[None, None]


def test_core_mean_counts_the_sites_of_the_core_alike():
    grid = PatchGrid([(0.0, 1.0)], [2], 9, dx=0.01, core=0.04)
    np.testing.assert_array_equal(
        core_mean(grid).weights[0], [0, 0, 0.25, 0.25, 0.25, 0.25, 0, 0, 0]
    )


def test_centre_value_is_the_middle_site_or_the_mean_of_the_two_middle_ones():
    odd, even = (PatchGrid([(0.0, 1.0)], [2], n, dx=0.01) for n in (5, 6))
    np.testing.assert_array_equal(centre_value(odd).weights[0], [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(centre_value(even).weights[0], [0, 0, 0.5, 0.5, 0, 0])


def test_weights_multiply_over_the_axes():
    grid = PatchGrid([(0.0, 1.0)] * 3, [2] * 3, [5, 6, 7], dx=0.01, core=[0.03, 0.02, 0.05])
    u = np.random.default_rng(1).normal(size=(8, 2, 5, 6, 7))
    expected = u[:, :, 1:4, 2:4, 1:6].mean(axis=(2, 3, 4))
    np.testing.assert_allclose(weighted_mean(u, core_mean(grid)), expected, rtol=0, atol=EXACT)


def test_single_precision_states_are_summed_in_double_precision():
    grid = one_axis()
    u = np.full((1, 1, 40), np.float32(300) + np.float32(2**-15))
    mean = weighted_mean(u, core_mean(grid))
    assert mean.dtype == np.float64
    assert mean[0, 0] == pytest.approx(float(u[0, 0, 0]), rel=1e-15)


@pytest.mark.parametrize("moments", [0, 1, 2, 3, 5, 7])
@pytest.mark.parametrize(("sites", "core"), [(40, 30), (41, 31)])
def test_smooth_kernel_keeps_the_centre_value_of_polynomials(moments, sites, core):
    """Sum w = 1 and sum w s^q = 0 for q = 1 .. moments, over the sites."""
    grid = one_axis(sites, core)
    kernel, s = smooth_mean(grid, moments).weights[0], grid.site_offsets[0]
    powers = np.array([kernel @ s**q for q in range(moments + 1)])
    np.testing.assert_allclose(powers, np.eye(moments + 1)[0], rtol=0, atol=1e-10)


def test_smooth_kernel_misses_no_moment_it_does_not_promise():
    grid = one_axis()
    assert abs(smooth_mean(grid, 1).weights[0] @ grid.site_offsets[0] ** 2) > 0.1


def test_smooth_kernel_falls_to_zero_at_the_rim_of_the_core():
    kernel = smooth_mean(one_axis(104, 100), 3).weights[0]
    assert np.count_nonzero(kernel) == 100
    assert abs(kernel[2]) < 1e-3 * kernel.max()


def unresolved(restriction, period, phase):
    """What is left of a microstructure of given period in the mean of a patch."""
    grid = one_axis(204, 200, 0.05)
    u = along(grid, lambda x: np.cos(2 * np.pi * x / period + phase))
    return abs(weighted_mean(u, restriction(grid))[0, 0])


@pytest.mark.parametrize("period", [0.83, 1.07, 1.31])
def test_smooth_kernel_damps_microstructure_that_the_plain_mean_lets_through(period):
    """A core of 10 is no whole number of any of these periods."""
    phases = np.linspace(0, np.pi, 8)
    plain = max(unresolved(core_mean, period, phase) for phase in phases)
    smooth = max(unresolved(smooth_mean, period, phase) for phase in phases)
    assert smooth < 0.05 * plain


@pytest.mark.parametrize("count", [2.5, 5.5, 10.5])
def test_smooth_kernel_damps_with_the_third_power_of_the_number_of_periods(count):
    """The Fourier transform of 1 + cos 2 pi s is sin(pi k) / (pi k (1 - k^2))."""
    left = unresolved(smooth_mean, 10 / count, 0.0)
    assert left == pytest.approx(1 / (np.pi * count * (count**2 - 1)), rel=0.02)


def test_whole_periods_average_out_exactly_over_the_plain_core():
    assert unresolved(core_mean, 1.0, 0.3) < EXACT


def test_core_slope_is_the_least_squares_slope():
    grid, rng = one_axis(), np.random.default_rng(2)
    u = along(grid, lambda x: 3 + rng.normal(size=x.shape))
    core = grid.core_sites[0]
    fitted = np.polyfit(grid.site_offsets[0][core], u[0, 0, core], 1)[0]
    assert weighted_mean(u, core_slope(grid, 0))[0, 0] == pytest.approx(fitted, rel=EXACT)


def test_core_slope_reads_its_own_axis_only():
    grid = PatchGrid([(0.0, 1.0)] * 2, [2, 2], [7, 9], dx=[0.01, 0.02], core=[0.05, 0.1])
    x, y = np.meshgrid(*grid.site_offsets, indexing="ij")
    u = (4 + 2 * x - 3 * y)[None, None]
    found = [weighted_mean(u, core_slope(grid, axis))[0, 0] for axis in (0, 1)]
    np.testing.assert_allclose(found, [2, -3], atol=EXACT)


def test_a_core_too_small_for_its_moments_is_refused():
    with pytest.raises(SchemeError, match="core of 5 sites cannot carry a kernel with 5"):
        smooth_mean(PatchGrid([(0.0, 1.0)], [2], 7, dx=0.01), moments=5)

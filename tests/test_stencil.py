"""Interpolation across the gaps: polynomial and trigonometric weights."""

import numpy as np
import pytest

from gpupatch.errors import SchemeError
from gpupatch.stencil import check_order, fourier_weights, lagrange_weights, need_patches

EXACT = 1e-12
ROUNDOFF = 1e-9


@pytest.mark.parametrize("count", [1, 2, 5, 9])
@pytest.mark.parametrize("x", [-1.3, 0.0, 0.25, 2.0])
def test_polynomial_weights_sum_to_one_and_interpolate(count, x):
    rng = np.random.default_rng(1)
    nodes = np.sort(rng.uniform(-2, 2, count))
    p = np.poly1d(rng.normal(size=count))
    weights = lagrange_weights(nodes, x)
    assert weights.sum() == pytest.approx(1, abs=ROUNDOFF)
    assert weights @ p(nodes) == pytest.approx(p(x), rel=1e-6)


def test_weights_at_a_node_read_that_node_alone():
    np.testing.assert_allclose(lagrange_weights(np.array([-1.0, 0, 1, 2]), 1.0), [0, 0, 1, 0])


@pytest.mark.parametrize("r", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("P", [1, 2, 3, 4])
def test_even_part_of_the_shift_is_the_closed_form(r, P):
    """C_P = 1 + sum_p prod_l (r^2 - l^2) / (2 p)! (-4 sin^2(theta/2))^p."""
    nodes, theta = np.arange(-P, P + 1.0), np.linspace(0, np.pi, 7)
    shift = np.exp(1j * np.multiply.outer(theta, nodes)) @ lagrange_weights(nodes, r)
    term, expected = np.ones_like(theta), np.ones_like(theta)
    for p in range(1, P + 1):
        term = term * (r**2 - (p - 1) ** 2) * -4 * np.sin(theta / 2) ** 2 / ((2 * p) * (2 * p - 1))
        expected = expected + term
    np.testing.assert_allclose(shift.real, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 11])
@pytest.mark.parametrize("shift", [-0.3, 0.0, 0.5, 1.0, 2.2])
def test_trigonometric_weights_sum_to_one(n, shift):
    assert fourier_weights(n, shift).sum() == pytest.approx(1, abs=EXACT)


@pytest.mark.parametrize("n", [5, 8, 11])
@pytest.mark.parametrize("shift", [-0.3, 0.5, 1.0])
def test_trigonometric_weights_shift_resolved_waves_exactly(n, shift):
    j = np.arange(n)
    for k in range((n + 1) // 2):
        wave = np.exp(2j * np.pi * k * j / n)
        expected = np.exp(2j * np.pi * k * shift / n)
        assert abs(fourier_weights(n, shift) @ wave - expected) < EXACT


@pytest.mark.parametrize("shift", [-0.3, 0.5, 1.0])
def test_the_fastest_wave_of_an_even_number_is_shifted_as_a_cosine(shift):
    """The Nyquist mode has no phase of its own: its shift is real."""
    weights = fourier_weights(8, shift)
    assert weights @ (-1.0) ** np.arange(8) == pytest.approx(np.cos(np.pi * shift), abs=EXACT)


def test_a_shift_by_whole_spacings_reads_one_value():
    np.testing.assert_allclose(fourier_weights(6, 2.0), np.eye(6)[2], atol=EXACT)


@pytest.mark.parametrize("order", [0, 1, 3, 10, "fourier", None])
def test_orders_that_do_not_exist_are_refused(order):
    with pytest.raises(SchemeError, match="use 2, 4, 6, 8 or 'spectral'"):
        check_order(order)


def test_stencils_wider_than_the_grid_are_refused():
    need_patches(0, 5, 5, 4)
    with pytest.raises(SchemeError, match=r"order 4 reads 5 patches along axis 1, .* has 4"):
        need_patches(1, 4, 5, 4)

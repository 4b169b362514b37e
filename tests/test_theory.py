"""Closed forms against published numbers, against each other and against matrices."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from gpupatch import theory
from gpupatch.errors import InputError

EXACT = 1e-12
EIGENVALUE = 1e-8
SIX_DIGITS = 5e-7
TWO_PI = 2 * np.pi
ORDERS = (2, 4, 6, 8)
H = TWO_PI / 10  # ten patches on a circle
K = np.arange(1, 5)

# decay rates of the heat equation, N = 10, r = 0.2, k = 1..4
CONTINUUM_HEAT = {
    2: [-0.9687656051036875, -3.5168062397825937, -6.690251625654137, -9.277296760253977],
    4: [-0.9984074020693118, -3.9076259080943947, -8.106600908501019, -12.005691771957203],
    6: [-0.9999019883530575, -3.978962591297538, -8.597303954983305, -13.31575146816072],
    "spectral": [-1.0, -4.0, -9.0, -16.0],
}
# the same with nine sites per patch
LATTICE_HEAT = {
    2: [-0.9686884184743519, -3.515789136316584, -6.686571117228471, -9.270220091829373],
    4: [-0.9983254198217464, -3.9063702001858864, -8.101197344973004, -11.993841690206219],
    6: [-0.9998197604765422, -3.977660620146082, -8.591226521315644, -13.301174754861552],
    "spectral": [-0.9999177560047405, -3.998684225906611, -8.993339989250337, -15.97895592380953],
}
# nine sites, other half-widths
LATTICE_HEAT_BY_RATIO = {
    (0.5, 4): [-0.9982943964306188, -3.920272601283073, -8.228158728787028, -12.383619478756865],
    (0.05, 4): [-0.9983280666061587, -3.903865958827626, -8.079776856845173, -11.931802496577449],
    (0.5, 2): [-0.9748411249976385, -3.5995824992902157, -7.003227444812916, -9.902329388557517],
    (0.05, 6): [-0.9998918630291632, -3.977962034011833, -8.583884382061898, -13.263179934247765],
}


def lagrange_weights(shift: float, order: int) -> np.ndarray:
    """Weights of interpolation at `shift` through the integers -order/2..order/2."""
    nodes = np.arange(-order // 2, order // 2 + 1)
    return np.array(
        [np.prod([(shift - n) / (m - n) for n in nodes if n != m]) for m in nodes], dtype=float
    )


def interpolated_shift(theta: float, shift: float, order) -> complex:
    if order == "spectral":
        return np.exp(1j * shift * theta)
    nodes = np.arange(-order // 2, order // 2 + 1)
    return complex(np.exp(1j * theta * nodes) @ lagrange_weights(shift, order))


def patch_matrix(k, ratio, order, sites, left, right, edgy=False):
    """Jacobian of one patch on the coarse wave k; weights [interior site] of either neighbour."""
    n = sites - 2
    matrix = np.zeros((n, n), dtype=complex)
    for i in range(n):
        matrix[i, i] -= left[i] + right[i]
        if i > 0:
            matrix[i, i - 1] += left[i]
        if i < n - 1:
            matrix[i, i + 1] += right[i]
    source_of_left, source_of_right = (n - 1, 0) if edgy else ((n - 1) // 2, (n - 1) // 2)
    matrix[0, source_of_left] += left[0] * interpolated_shift(k * H, -ratio, order)
    matrix[-1, source_of_right] += right[-1] * interpolated_shift(k * H, ratio, order)
    return matrix


def leading(matrix: np.ndarray) -> complex:
    eigenvalues = np.linalg.eigvals(matrix)
    return eigenvalues[np.argmin(np.abs(eigenvalues))]


# interpolation and wave numbers


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("ratio", [-0.4, 0.05, 0.2, 0.5, 1.0])
def test_shift_symbol_is_that_of_lagrange_interpolation(order, ratio):
    theta = np.linspace(-3, 3, 13)
    expected = [interpolated_shift(angle, ratio, order) for angle in theta]
    np.testing.assert_allclose(theory.shift_symbol(theta, ratio, order), expected, atol=EXACT)


@pytest.mark.parametrize("order", ORDERS)
def test_shift_symbol_is_exact_to_its_order(order):
    theta = np.array([0.2, 0.1])
    error = np.abs(theory.shift_symbol(theta, 0.3, order) - np.exp(0.3j * theta))
    assert math.log2(error[0] / error[1]) == pytest.approx(order + 1, abs=0.05)


def test_discrete_wavenumber_is_that_of_the_second_difference():
    k, dx, x = 3.0, 0.2, 0.7
    second = (np.cos(k * (x + dx)) - 2 * np.cos(k * x) + np.cos(k * (x - dx))) / dx**2
    q = theory.discrete_wavenumber(k, dx)
    assert second == pytest.approx(-(q**2) * np.cos(k * x), rel=EXACT)
    assert theory.discrete_wavenumber(k, 0.0) == k


def test_patch_wavenumber_of_spectral_coupling_is_the_wave_number():
    np.testing.assert_allclose(theory.patch_wavenumber(K, H, 0.3, "spectral"), K, rtol=EXACT)


def test_patch_wavenumber_keeps_its_digits_for_long_waves():
    k = np.array([1e-6, 1e-4])
    np.testing.assert_allclose(theory.patch_wavenumber(k, H, 0.2, 6), k, rtol=EXACT)


# heat


@pytest.mark.parametrize("order", CONTINUUM_HEAT)
def test_heat_eigenvalues_equal_the_continuum_table(order):
    rates = theory.heat_eigenvalue(K, H, 0.2, order)
    np.testing.assert_allclose(rates, CONTINUUM_HEAT[order], rtol=0, atol=EIGENVALUE)


@pytest.mark.parametrize("order", LATTICE_HEAT)
def test_heat_eigenvalues_equal_the_lattice_table(order):
    rates = theory.heat_eigenvalue(K, H, 0.2, order, sites=9)
    np.testing.assert_allclose(rates, LATTICE_HEAT[order], rtol=0, atol=EIGENVALUE)


@pytest.mark.parametrize(("ratio", "order"), LATTICE_HEAT_BY_RATIO)
def test_heat_eigenvalues_equal_the_lattice_table_at_other_ratios(ratio, order):
    rates = theory.heat_eigenvalue(K, H, ratio, order, sites=9)
    expected = LATTICE_HEAT_BY_RATIO[ratio, order]
    np.testing.assert_allclose(rates, expected, rtol=0, atol=EIGENVALUE)


@pytest.mark.parametrize("order", [*ORDERS, "spectral"])
@pytest.mark.parametrize("sites", [5, 9])
def test_heat_eigenvalue_is_the_leading_one_of_the_patch_matrix(order, sites):
    ratio, diffusivity = 0.3, 1.7
    dx = 2 * ratio * H / (sites - 1)
    weights = np.full(sites - 2, diffusivity / dx**2)
    for k in K:
        expected = leading(patch_matrix(k, ratio, order, sites, weights, weights))
        rate = theory.heat_eigenvalue(k, H, ratio, order, sites=sites, diffusivity=diffusivity)
        assert rate == pytest.approx(expected.real, rel=EIGENVALUE)


@pytest.mark.parametrize("order", ORDERS)
def test_heat_eigenvalue_converges_to_the_equation_at_its_order(order):
    spacing = np.array([0.2, 0.1])
    error = [abs(theory.heat_eigenvalue(2.0, h, 0.3, order) + 4.0) for h in spacing]
    assert math.log2(error[0] / error[1]) == pytest.approx(order, abs=0.05)


def test_second_order_heat_eigenvalue_is_the_squared_arcsine():
    r, k = 0.4, np.linspace(0.1, 4.9, 9)
    expected = -4 / (r * H) ** 2 * np.arcsin(r * np.sin(k * H / 2)) ** 2
    np.testing.assert_allclose(theory.heat_eigenvalue(k, H, r, 2), expected, rtol=EXACT)


# waves


@pytest.mark.parametrize(
    ("order", "table"),
    [
        (2, (0.988719, 1.910606)),
        (4, (0.999590, 1.987921)),
        (6, (0.999975, 1.997979)),
        ("spectral", (0.999993, 1.999943)),
    ],
)
def test_wave_frequencies_equal_the_table(order, table):
    omega = theory.wave_frequency([1, 2], TWO_PI / 12, 0.1, order, sites=9)
    np.testing.assert_allclose(omega, table, rtol=0, atol=2e-6)


def test_wave_frequency_squared_is_the_heat_rate():
    for order, sites in ((4, None), (6, 7)):
        omega = theory.wave_frequency(K, H, 0.2, order, speed=3.0, sites=sites)
        rate = theory.heat_eigenvalue(K, H, 0.2, order, diffusivity=9.0, sites=sites)
        np.testing.assert_allclose(omega**2, -rate, rtol=EXACT)


# advection and diffusion


@pytest.mark.parametrize(
    ("order", "table"),
    [
        (2, (-0.484617 - 0.93788j, -1.761524 - 1.527775j, -3.356555 - 1.540713j)),
        (4, (-0.499224 - 0.995275j, -1.954922 - 1.8675j, -4.06203 - 2.194299j)),
        ("spectral", (-0.5 - 1j, -2 - 2j, -4.5 - 3j)),
    ],
)
def test_advection_diffusion_eigenvalues_equal_the_table(order, table):
    rates = theory.advection_diffusion_eigenvalue(
        K[:3], H, 0.2, order, velocity=1.0, diffusivity=0.5
    )
    np.testing.assert_allclose(rates, table, rtol=0, atol=1e-6)


def test_advection_diffusion_lattice_tends_to_the_continuum():
    rates = [
        theory.advection_diffusion_eigenvalue(
            K[:3], H, 0.2, 4, velocity=1.0, diffusivity=0.5, sites=sites
        )
        for sites in (403, None)
    ]
    np.testing.assert_allclose(rates[0], rates[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("order", [*ORDERS, "spectral"])
@pytest.mark.parametrize("velocity", [1.0, -2.0])
def test_advection_diffusion_eigenvalue_is_the_leading_one_of_the_patch_matrix(order, velocity):
    ratio, sites, diffusivity = 0.2, 9, 0.5
    dx = 2 * ratio * H / (sites - 1)
    left = np.full(sites - 2, diffusivity / dx**2 + velocity / (2 * dx))
    right = np.full(sites - 2, diffusivity / dx**2 - velocity / (2 * dx))
    for k in K:
        expected = leading(patch_matrix(k, ratio, order, sites, left, right))
        rate = theory.advection_diffusion_eigenvalue(
            k, H, ratio, order, velocity=velocity, diffusivity=diffusivity, sites=sites
        )
        assert rate == pytest.approx(expected, rel=EIGENVALUE)


def test_advection_diffusion_without_advection_is_heat():
    for sites in (None, 7):
        still = theory.advection_diffusion_eigenvalue(
            K, H, 0.2, 4, velocity=0.0, diffusivity=2.0, sites=sites
        )
        heat = theory.heat_eigenvalue(K, H, 0.2, 4, diffusivity=2.0, sites=sites)
        np.testing.assert_allclose(still, heat, rtol=1e-10, atol=1e-10)


# edgy coupling and heterogeneous media


@pytest.mark.parametrize("order", [*ORDERS, "spectral"])
def test_edgy_patch_matrix_satisfies_the_edgy_condition(order):
    ratio, sites, diffusivity = 0.2, 8, 1.3
    weights = np.full(sites - 2, diffusivity * (sites - 2) ** 2 / (ratio * H) ** 2)
    for k in K:
        rate = leading(patch_matrix(k, ratio, order, sites, weights, weights, edgy=True))

        def residual(value, k=k):
            return theory.edgy_residual(
                value, k, H, ratio, order, sites=sites, diffusivity=diffusivity
            )

        assert abs(residual(rate)) < EXACT
        assert abs(residual(1.01 * rate)) > 1e-6


def test_edgy_spectral_coupling_keeps_the_lattice_exact():
    dx = 0.2 * H / 6
    rates = -(theory.discrete_wavenumber(K, dx) ** 2)
    residual = theory.edgy_residual(rates, K, H, 0.2, "spectral", sites=8)
    np.testing.assert_allclose(residual, 0, atol=EXACT)


def period_of_five() -> np.ndarray:
    coefficients = np.exp(np.random.default_rng(3).normal(size=5))
    return coefficients * np.mean(1 / coefficients)


def test_bloch_eigenvalues_equal_the_full_domain_table():
    rates = theory.bloch_eigenvalue(period_of_five(), K, H / 25)
    table = [-0.99938963, -3.99022061, -8.95037826, -15.84266574]
    np.testing.assert_allclose(rates, table, rtol=0, atol=EIGENVALUE)


def test_bloch_eigenvalue_of_a_uniform_lattice_is_that_of_its_waves():
    for period in (1, 2, 3):
        rates = theory.bloch_eigenvalue(np.full(period, 1.5), K, 0.1)
        expected = -1.5 * theory.discrete_wavenumber(K, 0.1) ** 2
        np.testing.assert_allclose(rates, expected, rtol=1e-10)


@pytest.mark.parametrize("order", [*ORDERS, "spectral"])
def test_patches_of_whole_periods_see_the_bloch_wave_of_the_patch_wave_number(order):
    faces, ratio, sites = period_of_five(), 0.2, 11
    dx = H / 25
    left = faces[np.arange(9) % 5] / dx**2
    right = faces[np.arange(1, 10) % 5] / dx**2
    for k in K:
        expected = leading(patch_matrix(k, ratio, order, sites, left, right)).real
        kappa = theory.patch_wavenumber(k, H, ratio, order)
        rate = theory.bloch_eigenvalue(faces, kappa, dx)
        assert rate == pytest.approx(expected, rel=EIGENVALUE)


# healing


@pytest.mark.parametrize(
    ("tolerance", "average", "slope"),
    [
        (1e-1, 0.8346121843626859, 1.1630871536766898),
        (1e-2, 1.4483487364136114, 1.8213863677184499),
        (1e-3, 1.9472842774458055, 2.326753765513552),
        (1e-4, 2.3751305880623286, 2.7510639057120607),
        (1e-6, 3.0970833746277777, 3.4589107372795054),
    ],
)
def test_healing_depths_equal_the_table(tolerance, average, slope):
    assert theory.healing_depth(tolerance) == pytest.approx(average, abs=1e-9)
    assert theory.healing_depth(tolerance, estimator="slope") == pytest.approx(slope, abs=1e-9)


def test_longest_bursts_equal_the_table():
    tolerances = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
    average = [theory.longest_burst(tol, 2.0, 4.0) for tol in tolerances]
    slope = [theory.longest_burst(tol, 2.0, 4.0, estimator="slope") for tol in tolerances]
    np.testing.assert_allclose(average, [0.359, 0.119, 0.066, 0.044, 0.026], atol=5e-4)
    np.testing.assert_allclose(slope, [0.185, 0.075, 0.046, 0.033, 0.021], atol=5e-4)


def test_average_rate_error_is_the_mean_of_the_slope_error_over_the_burst():
    from scipy.integrate import quad

    for z in (0.1, 0.8, 1.9):
        mean, _ = quad(lambda s, z=z: theory.end_slope_error(z / math.sqrt(s)), 0, 1, epsabs=1e-13)
        assert theory.average_rate_error(z) == pytest.approx(mean, abs=1e-11)


@pytest.mark.parametrize(
    ("estimator", "error"),
    [("average", theory.average_rate_error), ("slope", theory.end_slope_error)],
)
def test_amplified_artefacts_ask_for_deeper_buffers(estimator, error):
    z = theory.healing_depth(1e-3, estimator=estimator, amplification=99.0)
    assert 100 * error(z) == pytest.approx(1e-3, rel=1e-9)


def test_causal_burst_and_healing_time_are_their_definitions():
    assert theory.causal_burst(3.0, 2.0) == 1.5
    assert theory.shortest_heal(math.exp(-4), 2.0) == pytest.approx(2.0, rel=EXACT)


# projective integration


def test_largest_jumps_equal_the_table():
    table = [
        4.828427124746205,
        8.443535601593627,
        12.044576857401475,
        15.641149784240168,
        19.23572381945168,
        22.82922947716233,
        26.422096718562877,
        30.014551896605834,
    ]
    jumps = [theory.largest_jump(k) for k in range(1, 9)]
    np.testing.assert_allclose(jumps, table, rtol=0, atol=1e-9)
    assert jumps[0] == pytest.approx(2 + 2 * math.sqrt(2), rel=EXACT)


def test_jump_per_inner_step_is_the_root_of_its_equation_and_the_limit():
    c = theory.JUMP_PER_INNER_STEP
    assert c * math.log(c) == pytest.approx(c + 1, rel=EXACT)
    assert theory.largest_jump(4000) / 4000 == pytest.approx(c, rel=1e-3)


@pytest.mark.parametrize("inner", [1, 2, 5])
def test_largest_jump_separates_growth_from_decay(inner):
    rho = np.linspace(0, 1, 4001)
    limit = theory.largest_jump(inner)
    below = theory.projective_amplification(rho, inner, 0.95 * limit)
    above = theory.projective_amplification(rho, inner, 1.05 * limit)
    assert np.max(np.abs(below)) <= 1
    assert np.max(np.abs(above)) > 1


@pytest.mark.parametrize(("inner", "jump", "rho"), [(2, 5.0, 0.7), (1, 3.0, 0.4)])
def test_amplification_is_that_of_inner_steps_and_a_chord(inner, jump, rho):
    start = 1.3
    before = start * rho**inner
    after = before * rho
    leapt = after + jump * (after - before)
    sigma = theory.projective_amplification(rho, inner, jump)
    assert leapt == pytest.approx(start * sigma, rel=EXACT)


@pytest.mark.parametrize(("jump", "rho"), [(7.0, 0.5), (30.0, 0.8), (30.0, -0.8), (3.0, 0.01)])
def test_inner_steps_for_a_gap_are_the_fewest_that_work(jump, rho):
    k = theory.inner_steps_for_gap(jump, rho)
    assert (jump + 1) * abs(rho) ** k <= 1 + EXACT
    assert (jump + 1) * abs(rho) ** (k - 1) > 1


@pytest.mark.parametrize(
    ("inner", "table"),
    [(1, (4.8, 2.0, 2.0, 2.0)), (2, (8.4, 4.1, 3.4, 3.0)), (3, (12.0, 6.6, 6.6, 6.6))],
)
def test_largest_telescopic_jumps_equal_the_table_of_tenths(inner, table):
    for levels, expected in zip((1, 2, 3, 5), table, strict=True):
        jump = theory.largest_telescopic_jump(inner, levels)
        assert expected <= jump + 1e-9 < expected + 0.1


@pytest.mark.parametrize(("inner", "levels"), [(1, 2), (2, 3), (3, 5)])
def test_largest_telescopic_jump_separates_growth_from_decay(inner, levels):
    rho = np.linspace(0, 1, 100_001)
    limit = theory.largest_telescopic_jump(inner, levels)
    below = theory.telescopic_amplification(rho, inner, 0.999 * limit, levels)
    above = theory.telescopic_amplification(rho, inner, 1.02 * limit, levels)
    assert np.max(np.abs(below)) <= 1 + EXACT
    assert np.max(np.abs(above)) > 1


@pytest.mark.parametrize(("jump", "grows"), [(Fraction(66, 10), False), (Fraction(67, 10), True)])
def test_five_levels_of_three_inner_steps_are_bounded_up_to_6_6_in_exact_arithmetic(jump, grows):
    extremes = []
    for i in range(501):
        sigma = Fraction(i, 500)
        for _ in range(5):
            sigma = (sigma - jump * (1 - sigma)) * sigma**3
            sigma = Fraction(int(sigma * 2**160), 2**160)
        extremes.append(abs(sigma))
    assert (max(extremes) > 1) == grows


def test_one_telescopic_level_is_the_projective_method():
    for inner in (1, 2, 3):
        single = theory.largest_telescopic_jump(inner, 1)
        assert single == pytest.approx(theory.largest_jump(inner), rel=1e-9)


# effective coefficients


def test_harmonic_mean_of_a_sine_medium_is_the_root_of_its_discriminant():
    a = 1.1 + np.sin(TWO_PI * (np.arange(400) + 0.5) / 400)
    assert theory.harmonic_mean(a) == pytest.approx(0.458257569495584, rel=1e-12)


def test_laminate_of_two_phases_has_the_tabulated_coefficients():
    across, along = theory.laminate([1.0, 10.0])
    assert across == pytest.approx(1.8181818181818181, rel=EXACT)
    assert along == pytest.approx(5.5, rel=EXACT)
    assert theory.laminate([1.0, 10.0], [0.25, 0.75])[1] == pytest.approx(7.75, rel=EXACT)


def test_checkerboard_has_the_geometric_mean():
    assert theory.checkerboard(1.0, 10.0) == pytest.approx(3.1622776601683795, rel=EXACT)


def test_separable_medium_in_3d_has_the_tabulated_tensor():
    samples = 1.1 + np.sin(TWO_PI * (np.arange(400) + 0.5) / 400)
    tensor = theory.separable([samples, samples, samples])
    np.testing.assert_allclose(tensor, 0.5544916590896567 * np.eye(3), rtol=1e-12, atol=0)


def test_hashin_shtrikman_bounds_hold_the_checkerboard_inside_the_laminates():
    lower, upper = theory.hashin_shtrikman_bounds(1.0, 10.0, 0.5, ndim=2)
    across, along = theory.laminate([1.0, 10.0])
    assert across < lower < theory.checkerboard(1.0, 10.0) < upper < along
    assert theory.hashin_shtrikman_bounds(10.0, 1.0, 0.5, ndim=2) == (lower, upper)


def test_hashin_shtrikman_bounds_in_one_dimension_meet_at_the_harmonic_mean():
    bounds = theory.hashin_shtrikman_bounds(1.0, 10.0, 0.3, ndim=1)
    harmonic = theory.harmonic_mean([1.0, 10.0], [0.3, 0.7])
    np.testing.assert_allclose(bounds, harmonic, rtol=EXACT)


def test_hashin_shtrikman_bounds_of_one_phase_are_its_coefficient():
    assert theory.hashin_shtrikman_bounds(2.0, 2.0, 0.4, ndim=3) == (2.0, 2.0)
    for fraction, phase in ((1.0, 1.0), (0.0, 10.0)):
        bounds = theory.hashin_shtrikman_bounds(1.0, 10.0, fraction, ndim=3)
        np.testing.assert_allclose(bounds, phase, rtol=EXACT)


def test_layered_rod_has_the_tabulated_speed():
    speed = theory.layered_wave_speed([1.0, 10.0], [1.0, 2.0])
    assert speed == pytest.approx(1.1009637651263606, rel=EXACT)


# refusals


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.shift_symbol(1.0, 0.2, 3), "`order` must be a positive even number"),
        (lambda: theory.shift_symbol(1.0, 0.2, 0), "`order` must be a positive even number"),
        (lambda: theory.patch_wavenumber(1.0, H, 0.0, 4), r"`ratio` must lie in \(0, 1\]"),
        (lambda: theory.heat_eigenvalue(1.0, H, 1.2, 4), r"`ratio` must lie in \(0, 1\]"),
        (lambda: theory.heat_eigenvalue(1.0, H, 0.2, 4, sites=8), "odd number of `sites`"),
        (
            lambda: theory.advection_diffusion_eigenvalue(
                1.0, H, 0.2, 4, velocity=100.0, diffusivity=0.5, sites=5
            ),
            "central difference oscillate",
        ),
        (
            lambda: theory.advection_diffusion_eigenvalue(
                1.0, H, 0.2, 4, velocity=1.0, diffusivity=0.0
            ),
            "`diffusivity` must be positive",
        ),
        (lambda: theory.edgy_residual(-1.0, 1, H, 0.2, 4, sites=3), "at least 4 `sites`"),
        (lambda: theory.bloch_eigenvalue([1.0, 0.0], 1.0, 0.1), "positive face values"),
        (lambda: theory.healing_depth(1.0), r"`tolerance` must lie in \(0, 1\)"),
        (lambda: theory.healing_depth(0.1, amplification=-1), "must not be negative"),
        (lambda: theory.longest_burst(0.1, 1.0, 0.0), "`diffusivity` must be positive"),
        (lambda: theory.causal_burst(1.0, 0.0), "`speed` must be positive"),
        (lambda: theory.shortest_heal(0.1, 0.0), "`gap` must be positive"),
        (lambda: theory.largest_jump(0), "`inner` must be a whole number >= 1"),
        (lambda: theory.projective_amplification(0.5, -1, 2.0), "`inner` must be a whole number"),
        (lambda: theory.projective_amplification(0.5, 1, -2.0), "`jump` must not be negative"),
        (lambda: theory.inner_steps_for_gap(5.0, 1.0), r"`rho` must lie in \(-1, 1\)"),
        (lambda: theory.telescopic_amplification(0.5, 1, 2.0, 0), "`levels` must be a whole"),
        (lambda: theory.harmonic_mean([1.0, -1.0]), "must all be positive"),
        (lambda: theory.laminate([1.0, 2.0], [0.5, 0.6]), "sum to 1"),
        (lambda: theory.hashin_shtrikman_bounds(1.0, 2.0, 0.5, ndim=0), "`ndim` must be"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_unknown_estimator_is_refused():
    with pytest.raises(InputError, match="`estimator` must be 'average' or 'slope'"):
        theory.healing_depth(0.1, estimator="median")  # pyright: ignore[reportArgumentType]

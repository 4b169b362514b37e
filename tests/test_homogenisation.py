"""Effective conductivities of periodic media against closed forms (V2, V3, V3b)."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.homogenisation import cell_grid, effective
from gpupatch.micro import lattice
from gpupatch.micro.coefficients import Cell
from gpupatch.theory import checkerboard, hashin_shtrikman_bounds, laminate, separable

EXACT = 1e-10
TURN = 2 * np.pi


def conduct(medium, cells, lengths=None):
    """The effective tensor of heterogeneous diffusion on one cell."""
    rule = lattice.get("heterogeneous_diffusion", len(cells))
    return effective(rule, {"kappa": medium}, cell_grid(lengths or [1.0] * len(cells), cells))


def in_series(c):
    """Conductivities on the faces between sites, harmonic means of the two sides, for `Cell`.

    A cell is tiled from the first edge site, one before the first interior site.
    """
    tiled = np.roll(c, 1, axis=tuple(range(c.ndim)))
    faces = {}
    for axis in range(c.ndim):
        ahead = np.roll(tiled, -1, axis)
        faces[axis] = 2 * tiled * ahead / (tiled + ahead)
    return Cell(faces)


def test_a_smooth_layered_rod_conducts_like_the_square_root():
    """V2: a = 1.1 + sin 2 pi y, a* = sqrt(0.21), 40 sites per period."""
    found = conduct(lambda x: 1.1 + np.sin(TURN * x), [40])
    assert found[0, 0] == pytest.approx(0.4582575694955840, abs=1e-6)


def test_two_phases_in_series_conduct_like_the_harmonic_mean():
    """V2: phases 1 and 10."""
    found = conduct(np.repeat([1.0, 10.0], 4), [8])
    assert found[0, 0] == pytest.approx(20 / 11, abs=EXACT)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_laminate_conducts_in_series_across_and_in_parallel_along(axis):
    """V3: phases 1 and 10."""
    layers = np.repeat([1.0, 10.0], 4)
    expected = np.diag(np.roll(laminate([1, 10]), axis))
    np.testing.assert_allclose(conduct(Cell(layers, axis), [8, 8]), expected, rtol=0, atol=EXACT)


def test_a_laminate_in_space_conducts_in_series_across_and_in_parallel_along():
    layers = np.repeat([1.0, 10.0], 3)
    expected = np.diag([20 / 11, 5.5, 5.5])
    np.testing.assert_allclose(conduct(Cell(layers, 0), [6, 4, 4]), expected, rtol=0, atol=EXACT)


def dykhne(n):
    s = np.sin(TURN * (np.arange(n) + 0.5) / n)
    return conduct(in_series(np.exp(2 * np.multiply.outer(s, s))), [n, n])


def test_a_medium_equal_to_its_inverse_conducts_exactly_one():
    """V3: exp(2 sin 2 pi x sin 2 pi y); tabulated .98330, .99573, .99893, .99973, second order."""
    found = [dykhne(n)[0, 0] for n in (16, 32, 64, 128)]
    np.testing.assert_allclose(found, [0.98330, 0.99573, 0.99893, 0.99973], rtol=0, atol=1e-5)
    assert abs(found[-1] - 1) < 3e-4
    errors = 1 - np.array(found)
    np.testing.assert_allclose(np.log2(errors[:-1] / errors[1:]), 2, atol=0.05)


def chequered(n):
    half = np.arange(n) < n // 2
    return conduct(in_series(np.where(np.logical_xor.outer(half, half), 10.0, 1.0)), [n, n])


def test_a_checkerboard_conducts_like_the_geometric_mean():
    """V3: phases 1 and 10; the corners make the convergence slow."""
    found = [chequered(n)[0, 0] for n in (8, 16, 32, 64, 128)]
    np.testing.assert_allclose(found, [2.5304, 2.7752, 2.9305, 3.0251, 3.0817], rtol=0, atol=1e-4)
    a, b, c = found[-3:]
    extrapolated = c - (c - b) ** 2 / (c - 2 * b + a)
    assert extrapolated == pytest.approx(checkerboard(1, 10), rel=0.02)


def test_a_separable_medium_in_space_conducts_along_each_axis_in_series():
    """V3b: a product of 1.1 + sin 2 pi x_i has A* = sqrt(0.21) 1.21 = 0.554491659 on all axes."""

    def medium(x, y, z):
        return np.prod([1.1 + np.sin(TURN * one) for one in np.broadcast_arrays(x, y, z)], axis=0)

    found = conduct(medium, [24, 24, 24])
    np.testing.assert_allclose(found, 0.554491659 * np.eye(3), rtol=0, atol=1e-3 * 0.5545)


def test_a_separable_medium_on_a_lattice_follows_the_discrete_means():
    n = (6, 8)
    x = [(np.arange(m) + 0.5) / m for m in n]
    factors = [1.5 + np.cos(TURN * x[0]), 2 + np.sin(TURN * x[1])]
    faces = [
        np.multiply.outer(1.5 + np.cos(TURN * (x[0] + 0.5 / n[0])), factors[1]),
        np.multiply.outer(factors[0], 2 + np.sin(TURN * (x[1] + 0.5 / n[1]))),
    ]
    tiled = {axis: np.roll(a, 1, axis=(0, 1)) for axis, a in enumerate(faces)}
    expected = separable(factors)
    across = [1.5 + np.cos(TURN * (x[0] + 0.5 / n[0])), 2 + np.sin(TURN * (x[1] + 0.5 / n[1]))]
    for axis in (0, 1):
        other = factors[1 - axis].mean()
        expected[axis, axis] = laminate(across[axis])[0] * other
    np.testing.assert_allclose(conduct(Cell(tiled), n), expected, rtol=0, atol=EXACT)


def random_faces(seed, n=8, ndim=2):
    rng = np.random.default_rng(seed)
    return {axis: np.exp(rng.normal(size=(n,) * ndim)) for axis in range(ndim)}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_effective_tensors_are_symmetric_positive_and_within_the_bounds(seed):
    faces = random_faces(seed)
    found = conduct(Cell(faces), [8, 8])
    np.testing.assert_allclose(found, found.T, rtol=0, atol=EXACT)
    assert np.linalg.eigvalsh(found).min() > 0
    for axis in (0, 1):
        lower, upper = laminate(faces[axis])
        assert lower <= found[axis, axis] <= upper


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_inclusions_stay_within_the_bounds_of_hashin_and_shtrikman(fraction):
    """A square inclusion is isotropic in its effective conductivity."""
    n = 40
    inside = np.abs((np.arange(n) + 0.5) / n - 0.5) < np.sqrt(fraction) / 2
    c = np.where(np.logical_and.outer(inside, inside), 10.0, 1.0)
    found = conduct(in_series(c), [n, n])
    lower, upper = hashin_shtrikman_bounds(10.0, 1.0, float((c > 1).mean()), 2)
    assert lower * 0.99 <= found[0, 0] <= upper
    assert found[0, 0] == pytest.approx(found[1, 1])


def test_the_tensor_turns_with_the_medium():
    faces = random_faces(4)
    turned = {0: faces[1].T, 1: faces[0].T}
    expected = conduct(Cell(faces), [8, 8])[::-1, ::-1]
    np.testing.assert_allclose(conduct(Cell(turned), [8, 8]), expected, rtol=0, atol=EXACT)


def test_more_periods_and_other_units_of_length_change_nothing():
    layers = np.array([1.0, 3.0, 0.5])
    one = conduct(Cell(layers, 0), [3, 3])
    np.testing.assert_allclose(conduct(Cell(layers, 0), [9, 3], [70.0, 0.1]), one, atol=EXACT)


def test_a_uniform_medium_keeps_its_conductivity_parameter_and_all():
    rule = lattice.get("diffusion", 2)
    found = effective(rule, {}, cell_grid([1, 2], [4, 5]), {"D": 2.5})
    np.testing.assert_allclose(found, 2.5 * np.eye(2), rtol=0, atol=EXACT)


def test_the_rule_says_what_conducts_even_across_its_axes():
    """A full tensor by a flux rule of one's own; four cells per axis."""

    @gp.flux_rule(fields="u")
    def tensor(u, D, dx, dy):
        slope_y = (u[0, 1] + u[1, 1] - u[0, -1] - u[1, -1]) / (4 * dy)
        slope_x = (u[1, 0] + u[1, 1] - u[-1, 0] - u[-1, 1]) / (4 * dx)
        return -2 * (u[1, 0] - u[0, 0]) / dx - D * slope_y, -(u[0, 1] - u[0, 0]) / dy - D * slope_x

    found = effective(tensor, {}, cell_grid([1, 1], [4, 4]), {"D": 0.3})
    np.testing.assert_allclose(found, [[2, 0.3], [0.3, 1]], rtol=0, atol=EXACT)


@pytest.mark.parametrize("name", ["burgers", "wave"])
def test_rules_without_an_effective_tensor_are_refused(name):
    rule = lattice.get(name, 1)
    with pytest.raises(SchemeError, match="linear rules with one field"):
        effective(rule, {}, cell_grid([1], [8]), dict.fromkeys(rule.parameters, 1.0))


@pytest.mark.parametrize(("patches", "sites"), [(2, 6), (1, 8)])
def test_grids_that_are_not_one_cell_are_refused(patches, sites):
    grid = PatchGrid([(0.0, 1.0)], [patches], sites, dx=0.1, edgy=True)
    with pytest.raises(SchemeError, match=r"One patch must fill the period.*cell_grid"):
        effective(lattice.get("diffusion", 1), {}, grid, {"D": 1.0})

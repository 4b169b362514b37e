"""The act "couple": plans of weights and index tables, boundary fills, refusals."""

import numpy as np
import pytest

from gpupatch.backends._numpy import couple_axis
from gpupatch.coupling import Coupling, fill_weights
from gpupatch.errors import SchemeError
from gpupatch.grid import Face, PatchGrid, dirichlet, neumann, robin

EXACT = 1e-12
ROUNDOFF = 1e-9
CIRCLE = (0.0, 2 * np.pi)
CONDITIONS = {
    "dirichlet": dirichlet(),
    "neumann": neumann(),
    "robin": robin(1.0, 0.3, 0.0),
    "leaky": robin(2.0, -0.05, 0.0),
}
ORDERS = [2, 4, 6, 8, "spectral"]


def ring(sites=9, ratio=0.2, patches=10, **more):
    return PatchGrid([CIRCLE], [patches], sites, ratio, **more)


def rod(faces, sites=9, edges=1, patches=6, **more):
    return PatchGrid([(0.0, 1.0)], [patches], sites, dx=0.01, boundary=[faces], edges=edges, **more)


def coupled(coupling, u, t=0.0):
    u = u.copy()
    for axis in range(coupling.grid.ndim):
        couple_axis(u, coupling, axis, coupling.boundary_values(axis, t), 1)
    return u


def positions(grid):
    return [np.add.outer(X, xi) for X, xi in zip(grid.centres, grid.site_offsets, strict=True)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("kind", "sites", "edges"),
    [("centre", 9, 1), ("centre", 9, 3), ("edgy", 8, 1), ("edgy", 10, 2), ("staggered", 7, 1)],
)
def test_weights_sum_to_one(kind, sites, edges, order):
    grid = ring(sites, edges=edges, edgy=kind == "edgy", patches=20)
    plan = Coupling(grid, ("u",), order, kind).axes[0]
    np.testing.assert_allclose(plan.weights.sum(axis=2), 1, rtol=0, atol=EXACT)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("kind", "sites"), [("centre", 9), ("edgy", 8)])
def test_weights_sum_to_one_between_walls(kind, sites, order):
    walls = CONDITIONS["dirichlet"], CONDITIONS["neumann"]
    grid = rod(walls, sites, edgy=kind == "edgy", patches=11)
    plan = Coupling(grid, ("u",), order, kind).axes[0]
    np.testing.assert_allclose(plan.weights.sum(axis=2), 1, rtol=0, atol=ROUNDOFF)


@pytest.mark.parametrize("kind", ["centre", "edgy"])
def test_the_two_sides_mirror_each_other(kind):
    plan = Coupling(ring(9 - (kind == "edgy"), edgy=kind == "edgy"), ("u",), 4, kind).axes[0]
    np.testing.assert_allclose(plan.weights[0], plan.weights[1][:, ::-1], rtol=0, atol=EXACT)


def test_every_layer_reads_the_centre_of_its_own_sublattice():
    plan = Coupling(ring(15, edges=3), ("u",), 4).axes[0]
    np.testing.assert_array_equal(plan.source, [[6, 7, 8], [6, 7, 8]])
    np.testing.assert_array_equal(plan.target, [[0, 1, 2], [12, 13, 14]])


def test_edgy_coupling_reads_the_opposite_next_to_edge_sites():
    plan = Coupling(ring(10, edges=2, edgy=True), ("u",), 4, "edgy").axes[0]
    np.testing.assert_array_equal(plan.source, [[6, 7], [2, 3]])
    np.testing.assert_array_equal(plan.target, [[0, 1], [8, 9]])


@pytest.mark.parametrize("order", [2, 4, 6])
def test_staggered_weights_read_the_patches_of_the_other_parity(order):
    grid = ring(7, ratio=0.3, patches=16)
    plan = Coupling(grid, ("h", "u"), order, "staggered").axes[0]
    assert np.all((plan.nodes - np.arange(16)[:, None]) % 2 == 1)
    offsets = 2 * np.arange(-order // 2, order // 2) + 1
    moments = plan.weights[1, 0] @ offsets[:, None].astype(float) ** np.arange(order)
    np.testing.assert_allclose(moments, 0.3 ** np.arange(order), rtol=0, atol=ROUNDOFF)


@pytest.mark.parametrize("n_patch", [8, 9])
def test_spectral_coupling_moves_the_fastest_wave_as_a_cosine(n_patch):
    """u = cos(n x / 2) at the centres alternates in sign; its shift is cos(pi r) for even n."""
    grid = ring(5, ratio=0.3, patches=n_patch, offset=-0.5)
    u = np.zeros((n_patch, 1, 5))
    k = n_patch // 2
    u[:, 0, 2] = np.cos(k * grid.centres[0])
    edge = coupled(Coupling(grid, ("u",), "spectral"), u)[:, 0, -1]
    expected = np.cos(k * (grid.centres[0] + 0.3 * grid.gap[0]))
    if n_patch % 2 == 0:
        expected = np.cos(np.pi * 0.3) * u[:, 0, 2]
    np.testing.assert_allclose(edge, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("edges", [1, 2, 3])
@pytest.mark.parametrize("name", CONDITIONS)
def test_boundary_fill_is_exact_on_polynomials_of_degree_edges_plus_one(name, edges):
    """Quadratics for one layer, whatever the condition."""
    face, dx = CONDITIONS[name], 0.02
    affine, weights = fill_weights(face, edges, dx)
    p = np.poly1d(np.random.default_rng(1).normal(size=edges + 2))
    sites = np.arange(2 * edges + 1) * dx
    c = face.a * p(0.0) - face.b * p.deriv()(0.0)
    found = affine * c + weights @ p(sites[edges:])
    np.testing.assert_allclose(found, p(sites[:edges]), rtol=0, atol=ROUNDOFF)


@pytest.mark.parametrize("edges", [1, 2])
@pytest.mark.parametrize("lo", CONDITIONS)
@pytest.mark.parametrize("hi", CONDITIONS)
def test_edges_of_the_end_patches_are_exact_on_quadratics(lo, hi, edges):
    p = np.poly1d([0.7, -1.1, 0.4])
    faces = []
    for face, x, outward in ((CONDITIONS[lo], 0.0, -1), (CONDITIONS[hi], 1.0, 1)):
        faces.append(Face(face.a, face.b, face.a * p(x) + face.b * outward * p.deriv()(x)))
    grid = rod((faces[0], faces[1]), sites=9 * edges, edges=edges)
    x = positions(grid)[0]
    bare = p(x)[:, None]
    bare[:, :, :edges] = bare[:, :, -edges:] = 7.0
    u = coupled(Coupling(grid, ("u",), 4), bare)
    np.testing.assert_allclose(u[:, 0], p(x), rtol=0, atol=ROUNDOFF)


def test_conditions_vary_along_the_faces_and_in_time():
    def value(x, y, t):
        return (1 + x) * (2 - y) * (1 + t)

    walls = dirichlet(value), dirichlet(value)
    grid = PatchGrid([(0.0, 1.0)] * 2, [4, 5], 5, dx=0.02, boundary=[walls, walls])
    x, y = positions(grid)
    exact = value(x[:, None, :, None], y[None, :, None, :], 3.0)
    bare = np.full_like(exact, 9.0)
    bare[:, :, 1:-1, 1:-1] = exact[:, :, 1:-1, 1:-1]
    coupling = Coupling(grid, ("u",), 2)
    u = coupled(coupling, bare.reshape(20, 1, 5, 5), 3.0).reshape(exact.shape)
    assert coupling.time_dependent
    np.testing.assert_allclose(u, exact, rtol=0, atol=ROUNDOFF)


def test_fields_have_boundary_values_of_their_own():
    wall = Face(1.0, 0.0, 0.0, {"v": dirichlet(5.0)})
    coupling = Coupling(rod((wall, wall)), ("u", "v"), 2)
    np.testing.assert_array_equal(coupling.boundary_values(0, 0.0), [[0, 5], [0, 5]])
    assert not coupling.time_dependent


def test_periodic_axes_have_no_boundary_values():
    assert Coupling(ring(), ("u",), 2).boundary_values(0, 0.0) is None


@pytest.mark.parametrize(
    ("make", "order", "kind", "found"),
    [
        (lambda: ring(patches=4), 4, "centre", "reads 5 patches along axis 0, but the grid has 4"),
        (lambda: ring(8, edgy=True, patches=8), 8, "edgy", "reads 9 patches"),
        (lambda: rod((dirichlet(), dirichlet()), patches=4), 4, "centre", "reads 5 patches"),
        (lambda: ring(10), 4, "centre", "no centre site"),
        (lambda: ring(12, edges=3), 4, "centre", "no centre site"),
        (lambda: ring(10, edges=3), 4, "centre", "not a multiple of the 3 edge layers"),
        (lambda: ring(), 4, "edgy", "Make them agree"),
        (lambda: ring(8, edgy=True), 4, "centre", "Make them agree"),
        (lambda: ring(3, edgy=True), 4, "edgy", "more than 3 sites"),
        (lambda: ring(), 4, "spectral", "one of centre, edgy, staggered"),
        (lambda: ring(), 5, "centre", "order 5"),
        (lambda: ring(9), 4, "staggered", "4 k - 1 sites"),
        (lambda: ring(7, patches=11), 4, "staggered", "even number of patches"),
        (lambda: ring(7, patches=6), 4, "staggered", "reads 8 patches"),
        (lambda: rod((dirichlet(), dirichlet()), 7), 4, "staggered", "periodic"),
        (
            lambda: PatchGrid([CIRCLE] * 2, [10, 10], 7, 0.2),
            4,
            "staggered",
            "one dimension and one edge layer",
        ),
    ],
)
def test_grids_that_do_not_fit_the_coupling_are_refused(make, order, kind, found):
    with pytest.raises(SchemeError, match=found):
        Coupling(make(), ("u",), order, kind)

"""The act "lift": reconstructions return the coarse values and are exact on polynomials."""

from typing import Any

import numpy as np
import pytest

from gpupatch.errors import SchemeError
from gpupatch.grid import Face, PatchGrid, dirichlet, neumann, robin
from gpupatch.lifting import (
    cell_weights,
    centre_weights,
    core_lifting,
    face_centres,
    face_lifting,
    reconstruct,
    taylor,
)
from gpupatch.restriction import core_mean, smooth_mean, weighted_mean

EXACT = 1e-12
ROUNDOFF = 1e-10
CIRCLE = (0.0, 2 * np.pi)
WALLS: dict[str, tuple[Face, Face]] = {
    "dirichlet": (dirichlet(0.3), dirichlet(-1.0)),
    "neumann": (neumann(0.5), neumann(-0.2)),
    "robin": (robin(1.0, 0.4, 0.1), robin(2.0, 0.3, -0.7)),
    "mixed": (dirichlet(1.0), neumann(0.0)),
}


def sites_of(grid, centres=None):
    """Coordinates of all sites, each [patch, *sites]."""
    origins = grid.origins(centres)
    found = []
    for axis, (n, d) in enumerate(zip(grid.n_sites, grid.spacing, strict=True)):
        line = np.add.outer(origins[:, axis], np.arange(n) * d)
        shape = [len(line), *(1,) * grid.ndim]
        shape[1 + axis] = n
        found.append(np.broadcast_to(line.reshape(shape), (len(line), *grid.n_sites)))
    return found


def core_means(grid, function):
    u = function(*sites_of(grid))[:, None]
    return weighted_mean(u, core_mean(grid)).reshape(1, 1, *grid.patches)


def lift(lifting, U, t=0.0):
    return reconstruct(lifting, lifting.extended(U, t))


def restricted(grid, u, n_members=1):
    values = weighted_mean(u, core_mean(grid)).reshape(n_members, *grid.patches, -1)
    return np.moveaxis(values, -1, 1)


@pytest.mark.parametrize("order", [2, 4, 6, 8, "spectral"])
@pytest.mark.parametrize(("sites", "core"), [(9, 5), (9, 4), (10, 4), (10, 5), (7, None)])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_restricting_what_was_lifted_returns_the_coarse_values(ndim, sites, core, order):
    """V-D6 on periodic axes, two fields and two members."""
    n_patch, dx = (9, 10, 9)[:ndim], 0.01
    width = None if core is None else core * dx
    grid = PatchGrid([CIRCLE] * ndim, n_patch, sites, dx=dx, core=width)
    U = np.random.default_rng(1).normal(size=(2, 2, *n_patch))
    u = lift(core_lifting(grid, ("u", "v"), order), U)
    np.testing.assert_allclose(restricted(grid, u, 2), U, rtol=0, atol=EXACT)


@pytest.mark.parametrize("order", [2, 4, 6, "spectral"])
@pytest.mark.parametrize("walls", WALLS)
@pytest.mark.parametrize(("sites", "core"), [(9, 5), (10, 4), (9, 4)])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_restricting_what_was_lifted_between_walls_returns_the_coarse_values(
    ndim, sites, core, walls, order
):
    """V-D6 between walls, two fields and two members."""
    n_patch = (7, 8, 6)[:ndim]
    grid = PatchGrid(
        [(0.0, 1.0)] * ndim,
        n_patch,
        sites,
        dx=0.01,
        core=core * 0.01,
        boundary=[WALLS[walls]] * ndim,
    )
    U = np.random.default_rng(2).normal(size=(2, 2, *n_patch))
    u = lift(core_lifting(grid, ("u", "v"), order), U, t=0.3)
    np.testing.assert_allclose(restricted(grid, u, 2), U, rtol=0, atol=EXACT)


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize(("sites", "core"), [(9, 5), (10, 5)])
def test_inner_patches_are_exact_on_polynomials_of_the_degree(order, sites, core):
    """Away from where the period wraps around."""
    grid = PatchGrid([(-1.0, 1.0)], [12], sites, dx=0.01, core=core * 0.01)
    coefficients = np.random.default_rng(3).normal(size=order + 1)
    u = lift(core_lifting(grid, ("u",), order), core_means(grid, np.poly1d(coefficients)))
    inner = slice(order // 2, -(order // 2))
    expected = np.poly1d(coefficients)(sites_of(grid)[0])
    np.testing.assert_allclose(u[inner, 0], expected[inner], rtol=0, atol=ROUNDOFF)


def condition_on(p, wall, x, outward):
    """The wall with the right-hand side that a polynomial satisfies there."""
    return Face(wall.a, wall.b, float(wall.a * p(x) + wall.b * outward * p.deriv()(x)))


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("walls", WALLS)
def test_patches_between_walls_are_exact_on_polynomials_of_the_degree(walls, order):
    p = np.poly1d(np.random.default_rng(4).normal(size=order + 1))
    lo, hi = WALLS[walls]
    faces = (condition_on(p, lo, 0.0, -1), condition_on(p, hi, 1.0, 1))
    grid = PatchGrid([(0.0, 1.0)], [7], 9, dx=0.01, core=0.05, boundary=[faces])
    u = lift(core_lifting(grid, ("u",), order), core_means(grid, p))
    np.testing.assert_allclose(u[:, 0], p(sites_of(grid)[0]), rtol=0, atol=ROUNDOFF)


def test_patches_between_walls_in_the_plane_are_exact_on_products_of_polynomials():
    """Corners take in the conditions of both axes; the conditions vary along the walls."""
    p, q = np.poly1d([1.0, -2.0, 0.5]), np.poly1d([-0.7, 0.3, 1.1])
    x_walls = (dirichlet(lambda x, y, t: p(x) * q(y)), neumann(lambda x, y, t: p.deriv()(x) * q(y)))
    y_walls = (
        robin(1.0, 0.5, lambda x, y, t: p(x) * (q(y) - 0.5 * q.deriv()(y))),
        dirichlet(lambda x, y, t: p(x) * q(y)),
    )
    grid = PatchGrid([(0.0, 1.0)] * 2, [5, 4], 7, dx=0.01, boundary=[x_walls, y_walls])
    U = core_means(grid, lambda x, y: p(x) * q(y))
    u = lift(core_lifting(grid, ("u",), 2), U)
    x, y = sites_of(grid)
    np.testing.assert_allclose(u[:, 0], p(x) * q(y), rtol=0, atol=ROUNDOFF)
    np.testing.assert_allclose(restricted(grid, u), U, rtol=0, atol=EXACT)


PUBLISHED = {
    2: [3.6921e-3, 5.0726e-4, 6.3937e-5, 8.0084e-6],
    4: [6.1972e-4, 2.2253e-5, 7.4515e-7, 2.3479e-8],
    6: [1.7211e-4, 1.8272e-6, 1.5478e-8, 1.2343e-10],
}


@pytest.mark.parametrize("order", PUBLISHED)
def test_reconstruction_at_the_core_edge_has_orders_three_five_seven(order):
    """f = exp(sin x), cores 0.2 H wide, error at 0.1 H from the centre."""
    errors, half = [], 200
    for n_patch in (16, 32, 64, 128):
        dx = 0.1 * CIRCLE[1] / n_patch / half
        grid = PatchGrid([CIRCLE], [n_patch], 2 * half + 1, dx=dx, edges=1, offset=-0.5)
        u = lift(core_lifting(grid, ("u",), order), core_means(grid, lambda x: np.exp(np.sin(x))))
        x = sites_of(grid)[0]
        errors.append(np.abs(u[:, 0, -1] - np.exp(np.sin(x[:, -1]))).max())
    observed = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(errors, PUBLISHED[order], rtol=0.01)
    assert observed[-1] == pytest.approx(order + 1, abs=0.1)


def test_any_weighted_mean_is_returned_by_its_own_reconstruction():
    grid = PatchGrid([(0.0, 1.0)] * 2, [5, 6], 12, dx=0.01, boundary=["periodic", WALLS["robin"]])
    kernel = smooth_mean(grid, moments=3)
    U = np.random.default_rng(8).normal(size=(1, 1, 5, 6))
    u = lift(core_lifting(grid, ("u",), 4, kernel.weights), U)
    np.testing.assert_allclose(weighted_mean(u, kernel).reshape(U.shape), U, rtol=0, atol=EXACT)


def test_spectral_reconstruction_is_exact_on_resolved_waves():
    grid = PatchGrid([CIRCLE], [9], 7, ratio=0.2, core=0.05)
    wave = lambda x: 1 + np.sin(x) - 2 * np.cos(4 * x + 1)  # noqa: E731
    u = lift(core_lifting(grid, ("u",), "spectral"), core_means(grid, wave))
    np.testing.assert_allclose(u[:, 0], wave(sites_of(grid)[0]), rtol=0, atol=EXACT)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("n", [9, 16, 33])
def test_taylor_lift_has_the_mean_slope_and_curvature_asked_for(ndim, n):
    rng = np.random.default_rng(5)
    U, G, C = rng.normal(), rng.normal(size=ndim), rng.normal(size=(ndim, ndim))
    C = C + C.T
    offsets = [(np.arange(n) - (n - 1) / 2) / n * 0.37] * ndim
    core = [slice(n // 4, n - n // 4)] * ndim
    u = taylor(U, G, C, offsets, core)
    inside = u[tuple(core)]
    assert inside.mean() == pytest.approx(U, abs=1e-14)
    xi = np.meshgrid(*[line[core[0]] for line in offsets], indexing="ij")
    pairs = [(a, b) for a in range(ndim) for b in range(a, ndim)]
    columns = [np.ones(inside.size), *(x.ravel() for x in xi)]
    columns += [(xi[a] * xi[b]).ravel() * (0.5 if a == b else 1.0) for a, b in pairs]
    fitted = np.linalg.lstsq(np.array(columns).T, inside.ravel(), rcond=None)[0]
    np.testing.assert_allclose(fitted[1 : 1 + ndim], G, rtol=0, atol=1e-12)
    np.testing.assert_allclose(fitted[1 + ndim :], [C[p] for p in pairs], rtol=0, atol=1e-11)


def test_taylor_lift_subtracts_the_mean_of_the_curvature():
    """kappa = C (w^2 - dx^2) / 24 on n sites of width w = n dx."""
    n, dx, C = 12, 0.1, 3.0
    offsets = (np.arange(n) - (n - 1) / 2) * dx
    u = taylor(0.0, [0.0], [[C]], [offsets], [slice(0, n)])
    kappa = C * ((n * dx) ** 2 - dx**2) / 24
    np.testing.assert_allclose(u, C * offsets**2 / 2 - kappa, rtol=0, atol=EXACT)


def cells(n_cell, boundary: Any = "periodic", domain=(0.0, 1.0), sites=7):
    ndim = len(n_cell)
    return PatchGrid([domain] * ndim, n_cell, sites, dx=0.004, boundary=boundary, cells=True)


@pytest.mark.parametrize(
    ("order", "value", "slope"),
    [
        (2, [1 / 2, 1 / 2], [-1.0, 1.0]),
        (4, [-1 / 12, 7 / 12, 7 / 12, -1 / 12], [1 / 12, -15 / 12, 15 / 12, -1 / 12]),
    ],
)
def test_face_values_and_slopes_are_the_finite_volume_formulas(order, value, slope):
    grid = cells([8])
    lifting = face_lifting(grid, ("u",), order, 0)
    xi, H = grid.site_offsets[0], grid.gap[0]
    expected = np.array(value) + np.multiply.outer(xi, slope) / H
    np.testing.assert_allclose(lifting.axes[0].weights[3], expected, rtol=0, atol=EXACT)
    np.testing.assert_array_equal(
        lifting.axes[0].nodes[3], 3 + np.arange(1 - order // 2, order // 2 + 1)
    )


def averages(p, edges):
    whole = np.polyint(p)
    return np.diff(whole(edges)) / np.diff(edges)


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("walls", ["periodic", *WALLS])
def test_face_lift_has_the_value_and_slope_of_polynomials(walls, order):
    """Degree order - 1, on every face between walls, away from the wrap on a ring."""
    p = np.poly1d(np.random.default_rng(6).normal(size=order))
    n_cell, boundary = 10, "periodic"
    if walls != "periodic":
        lo, hi = WALLS[walls]
        boundary = [(condition_on(p, lo, 0.0, -1), condition_on(p, hi, 1.0, 1))]
    grid = cells([n_cell], boundary)
    lifting = face_lifting(grid, ("u",), order, 0)
    U = averages(p, np.linspace(0, 1, n_cell + 1))[None, None]
    u = lift(lifting, U)[:, 0]
    faces = face_centres(grid, 0)[0]
    expected = p(faces)[:, None] + np.multiply.outer(p.deriv()(faces), grid.site_offsets[0])
    kept = slice(order // 2 - 1, n_cell - order // 2) if walls == "periodic" else slice(None)
    np.testing.assert_allclose(u[kept], expected[kept], rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", [2, 4])
def test_face_lift_carries_the_slopes_along_the_face(order):
    grid = cells([8, 9])
    edges = [np.linspace(0, 1, n + 1) for n in (8, 9)]
    p, q = np.poly1d([0.3, -1.0][:order]), np.poly1d([2.0, 0.7])
    U = np.multiply.outer(averages(p, edges[0]), averages(q, edges[1]))[None, None]
    u = lift(face_lifting(grid, ("u",), order, 0), U)[:, 0].reshape(8, 9, 7, 7)
    x, y = face_centres(grid, 0)
    xi, eta = grid.site_offsets
    expected = np.multiply.outer(p(x[3]) + p.deriv()(x[3]) * xi, q(y[4]) + q.deriv()(y[4]) * eta)
    np.testing.assert_allclose(u[3, 4], expected, rtol=0, atol=EXACT)


def test_faces_sit_between_cells():
    ring, rod = cells([4]), cells([4], [WALLS["mixed"]])
    np.testing.assert_allclose(face_centres(ring, 0)[0], [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(face_centres(rod, 0)[0], [0, 0.25, 0.5, 0.75, 1.0], atol=EXACT)


@pytest.mark.parametrize(
    ("order", "expected"), [(2, [1 / 2, 1 / 2]), (4, [-1 / 24, 13 / 24, 13 / 24, -1 / 24])]
)
def test_point_data_on_faces_are_averaged_over_cells(order, expected):
    nodes, weights = cell_weights(cells([6]), 0, order)
    np.testing.assert_allclose(weights, np.tile(expected, (6, 1)), atol=EXACT)
    np.testing.assert_array_equal(nodes[3], 3 + np.arange(-order // 2, order // 2))


@pytest.mark.parametrize("order", [2, 4, 6])
def test_cell_averages_between_walls_are_exact_on_polynomials(order):
    grid = cells([8], [WALLS["mixed"]])
    p = np.poly1d(np.random.default_rng(7).normal(size=order))
    nodes, weights = cell_weights(grid, 0, order)
    found = (p(face_centres(grid, 0)[0])[nodes] * weights).sum(axis=1)
    np.testing.assert_allclose(found, averages(p, np.linspace(0, 1, 9)), rtol=0, atol=1e-11)


def test_patches_on_a_wall_have_the_average_of_the_prescribed_values():
    """u = y^2 on the wall x = 0; the average over a cell is y^2 + H^2/12."""
    wall = dirichlet(lambda x, y, t: y**2)
    grid = cells([6, 5], [(wall, wall), "periodic"])
    U = np.random.default_rng(9).normal(size=(1, 1, 6, 5))
    u = lift(face_lifting(grid, ("u",), 2, 0), U)[:, 0].reshape(7, 5, 7, 7)
    expected = grid.centres[1] ** 2 + grid.gap[1] ** 2 / 12
    np.testing.assert_allclose(u[0, :, 3, 3], expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("order", [4, 6])
def test_patches_on_faces_have_the_value_at_the_centre_of_the_face(order):
    """Degree `order` along the face, not the average over it."""
    grid = cells([12, 12])
    q = np.poly1d(np.random.default_rng(10).normal(size=order + 1))
    U = np.tile(averages(q, np.linspace(0, 1, 13)), (12, 1))[None, None]
    u = lift(face_lifting(grid, ("u",), order, 0), U)[:, 0].reshape(12, 12, 7, 7)
    inner = slice(order // 2, -(order // 2))
    expected = q(grid.centres[1])[inner]
    np.testing.assert_allclose(u[5, inner, 3, 3], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("walls", ["periodic", "mixed"])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_point_data_at_centres_are_averaged_over_cells(order, walls):
    grid = cells([12], "periodic" if walls == "periodic" else [WALLS[walls]])
    p = np.poly1d(np.random.default_rng(11).normal(size=2 if order == 2 else order + 1))
    nodes, weights = centre_weights(grid, 0, order)
    found = (p(grid.centres[0])[nodes] * weights).sum(axis=1)
    inner = slice(order // 2, -(order // 2)) if walls == "periodic" else slice(None)
    expected = averages(p, np.linspace(0, 1, 13))
    np.testing.assert_allclose(found[inner], expected[inner], rtol=0, atol=1e-10)


def test_a_rate_of_change_is_lifted_with_steady_walls():
    lifting = core_lifting(
        PatchGrid([(0.0, 1.0)], [5], 7, dx=0.01, boundary=[WALLS["dirichlet"]]), ("u",), 2
    )
    extended = lifting.extended(np.ones((1, 1, 5)), 0.0, rate=True)
    np.testing.assert_array_equal(extended[0, 0], [1, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(lifting.extended(np.ones((1, 1, 5)), 0.0)[0, 0, 5:], [0.3, -1.0])


def test_fields_are_lifted_with_walls_of_their_own():
    wall = Face(1, 0, 0.0, {"v": dirichlet(5.0)})
    grid = PatchGrid([(0.0, 1.0)], [5], 7, dx=0.01, boundary=[(wall, wall)])
    extended = core_lifting(grid, ("u", "v"), 2).extended(np.ones((1, 2, 5)), 0.0)
    np.testing.assert_array_equal(extended[0, :, 5:], [[0, 0], [5, 5]])


@pytest.mark.parametrize(("order", "needed"), [(4, 5), (8, 9)])
def test_stencils_that_would_wrap_around_are_refused(order, needed):
    grid = PatchGrid([CIRCLE], [needed - 1], 5, ratio=0.1)
    with pytest.raises(SchemeError, match=f"reads {needed} patches along axis 0"):
        core_lifting(grid, ("u",), order)


def test_orders_that_do_not_exist_are_refused():
    grid = PatchGrid([CIRCLE], [8], 5, ratio=0.1)
    for order in (0, 3, "cubic"):
        with pytest.raises(SchemeError, match="not available"):
            core_lifting(grid, ("u",), order)
    with pytest.raises(SchemeError, match="not local"):
        face_lifting(cells([8]), ("u",), "spectral", 0)

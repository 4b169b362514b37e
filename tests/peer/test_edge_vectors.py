"""Edge values against 98 random fields coupled by the Equation-Free Toolbox, and exactness."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from gpupatch.grid import PatchGrid, dirichlet
from gpupatch.micro import lattice
from gpupatch.scheme import CoupledScheme, Problem

EXACT = 1e-12
DATA = Path(__file__).parent.parent / "data" / "peer_edge_vectors.json.gz"
VECTORS = json.loads(gzip.decompress(DATA.read_bytes()))
ORDERS = (2, 4, 6, 8)


def coupled(grid, backend, kind, order, phases: int | tuple[int, ...] = 1, n_fields=1):
    """A coupled scheme; the rule plays no part, only the number of its fields."""
    name = "staggered_wave" if kind == "staggered" else ("diffusion", "wave")[n_fields - 1]
    rule = lattice.get(name, grid.ndim)
    problem = Problem(rule, grid, dict.fromkeys(rule.parameters, 1.0))
    return CoupledScheme(problem, backend, order, kind, phases=phases)


def couple(scheme, u):
    """`u` with new edges; the old ones are made undefined, so that none can pass unnoticed."""
    inside = (slice(None), slice(None), *scheme.model.inside)
    bare = np.full_like(u, np.nan)
    bare[inside] = u[inside]
    return scheme.kernels.unpack(scheme.load(bare))


def edges_error(grid, backend, kind, order, function):
    """Largest error of each patch after its edges were coupled, [*patches]."""
    scheme = coupled(grid, backend, kind, order)
    functions = {name: function for name in scheme.problem.rule.fields}
    exact = scheme.problem.sample(functions, None, 1)
    return np.abs(couple(scheme, exact) - exact).reshape(*grid.patches, -1).max(axis=-1)


@pytest.mark.parametrize("case", VECTORS, ids=[case["name"] for case in VECTORS])
def test_edges_of_random_fields_agree_with_the_equation_free_toolbox(case, backend):
    closed = dirichlet(), dirichlet()
    grid = PatchGrid(
        [tuple(ends) for ends in case["domain"]],
        [len(X) for X in case["centres"]],
        sites=case["sites"],
        dx=case["dx"],
        boundary=["periodic" if periodic else closed for periodic in case["periodic"]],
        positions=case["positions"],
        edges=case["edges"],
        edgy=case["kind"] == "edgy",
        allow_overlap=True,
    )
    for X, expected in zip(grid.centres, case["centres"], strict=True):
        assert pytest.approx(expected, abs=EXACT) == X

    expected = np.array(case["state"], dtype=float)
    if case["kind"] == "staggered":
        expected = np.tile(expected, (1, 2, 1))
    phases, n_fields = tuple(case["phases"]), expected.shape[1]
    scheme = coupled(grid, backend, case["kind"], case["order"], phases, n_fields)
    found = couple(scheme, expected)

    assert np.isfinite(found).all()
    given = np.isfinite(expected)
    assert np.abs(found - expected)[given].max() < EXACT


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["centre", "edgy", "staggered"])
def test_coupling_is_exact_on_polynomials_up_to_its_degree(kind, order, backend):
    sites = {"centre": 5, "edgy": 6, "staggered": 7}[kind]
    reach, degree = (order - 1, order - 1) if kind == "staggered" else (order // 2, order)
    n_patch = 2 * order + 4
    grid = PatchGrid([(-1, 1)], [n_patch], sites, ratio=0.3, edgy=kind == "edgy")
    away_from_the_wrap = slice(reach, n_patch - reach)
    for power in range(degree + 1):
        error = edges_error(grid, backend, kind, order, lambda x, q=power: x**q)
        assert error[away_from_the_wrap].max() < EXACT
    error = edges_error(grid, backend, kind, order, lambda x: x ** (degree + 1))
    assert error[away_from_the_wrap].min() > 100 * EXACT


@pytest.mark.parametrize("order", [*ORDERS, "spectral"])
@pytest.mark.parametrize("kind", ["centre", "edgy"])
@pytest.mark.parametrize("positions", ["equispaced", "chebyshev"])
def test_one_sided_stencils_are_exact_on_polynomials_up_to_their_degree(
    positions, kind, order, backend
):
    degree = 8 if order == "spectral" else order
    for power in range(degree + 1):
        face = dirichlet(lambda x, t, q=power: x**q)
        grid = PatchGrid(
            [(-1, 1)], [9], 5, dx=0.02, boundary=[(face, face)], positions=[positions],
            edgy=kind == "edgy",
        )  # fmt: skip
        assert edges_error(grid, backend, kind, order, lambda x, q=power: x**q).max() < EXACT


@pytest.mark.parametrize("kind", ["centre", "edgy"])
def test_corners_are_exact_on_products_of_polynomials(kind, backend):
    def product(x, y):
        return (1 - x + x**4) * (2 + y**3 - y**4)

    face = dirichlet(lambda x, y, t: product(x, y))
    grid = PatchGrid(
        [(-1, 1), (0, 1)], [6, 7], [5, 7], dx=[0.03, 0.01], boundary=[(face, face)] * 2,
        edgy=kind == "edgy",
    )  # fmt: skip
    assert edges_error(grid, backend, kind, 4, product).max() < EXACT


@pytest.mark.parametrize(
    ("kind", "n_patch"),
    [("centre", 8), ("centre", 9), ("edgy", 8), ("edgy", 9), ("staggered", 8), ("staggered", 10)],
)
def test_spectral_coupling_is_exact_on_the_modes_that_patches_resolve(kind, n_patch, backend):
    sites = {"centre": 5, "edgy": 6, "staggered": 7}[kind]
    grid = PatchGrid([(0, 2 * np.pi)], [n_patch], sites, ratio=0.3, edgy=kind == "edgy")
    sources = n_patch // 2 if kind == "staggered" else n_patch
    for k in range((sources + 1) // 2):
        error = edges_error(grid, backend, kind, "spectral", lambda x, k=k: np.sin(k * x + 0.4))
        assert error.max() < EXACT

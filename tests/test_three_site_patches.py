"""Patches with a single interior site, whose edge at a wall follows from their other edge."""

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.grid import PatchGrid, dirichlet, neumann, robin
from gpupatch.micro import lattice
from gpupatch.scheme import CoupledScheme, Problem

ROUNDOFF = 1e-11
WALLS = {
    "values": (dirichlet(0.3), dirichlet(-0.2)),
    "slopes": (neumann(0.3), neumann(-0.2)),
    "both": (robin(1.0, 0.5, 0.3), neumann(0.0)),
}


def scheme(ndim, walls, backend="numpy"):
    boundary = [WALLS[walls]] + ["periodic"] * (ndim - 1)
    grid = PatchGrid([(0, 1)] * ndim, [5] * ndim, 3, dx=0.05, boundary=boundary)
    problem = Problem(lattice.get("diffusion", ndim), grid, {"D": 1.0})
    return CoupledScheme(problem, get_backend(backend)[0], 2)


def random_state(model):
    return np.random.default_rng(5).normal(size=model.shape)


@pytest.mark.parametrize("walls", WALLS)
@pytest.mark.parametrize("ndim", [1, 2])
def test_jacobian_is_the_derivative_of_the_rate(ndim, walls):
    patches = scheme(ndim, walls)
    u, rates = random_state(patches.model), []
    for values in (u, np.zeros_like(u)):
        rate = patches.kernels.unpack(patches.rate(patches.load(values), 0.0))
        rates.append(rate.ravel()[patches.interior])
    linear = patches.jacobian() @ u.ravel()[patches.interior]
    assert np.abs(rates[0] - rates[1] - linear).max() < ROUNDOFF * np.abs(linear).max()


@pytest.mark.parametrize("walls", WALLS)
@pytest.mark.parametrize("ndim", [1, 2])
def test_edges_forget_what_they_were(ndim, walls):
    patches = scheme(ndim, walls, "numba")
    u = random_state(patches.model)
    expected = scheme(ndim, walls).load(u)
    inside = (slice(None), slice(None), *patches.model.inside)
    bare = np.full_like(u, np.nan)
    bare[inside] = u[inside]
    assert np.abs(patches.kernels.unpack(patches.load(bare)) - expected).max() < ROUNDOFF

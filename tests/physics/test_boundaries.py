"""Patches that end at walls: lattice-exact manufactured solutions, observed orders in H."""

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

import gpupatch as gp
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.grid import dirichlet, neumann, robin

PHASE = 0.3


@gp.rule(fields="u")
def heated_rod(u, x, dx):
    """u_xx plus the heating whose steady lattice solution is sin(x + 0.3) for every dx."""
    heating = 4 / dx**2 * np.sin(0.5 * dx) ** 2 * np.sin(x + PHASE)
    return (u[1] - 2 * u[0] + u[-1]) / dx**2 + heating


@gp.rule(fields="u")
def rod(u, dx):
    """u_xx."""
    return (u[1] - 2 * u[0] + u[-1]) / dx**2


def steady_error(faces, n_patch, order, kind="centre", dx_per_gap=0.05):
    """Largest difference of the steady patch solution to sin(x + 0.3) on [0, 2]."""
    sites = 9 if kind == "centre" else 8
    dx = dx_per_gap * 2.0 / (n_patch - 1)
    grid = gp.PatchGrid(
        [(0.0, 2.0)], [n_patch], sites=sites, dx=dx, boundary=[faces], edgy=kind == "edgy"
    )
    scheme = gp.CoupledScheme(gp.Problem(heated_rod, grid), NumpyBackend(), order, kind)
    zero = scheme.load(np.zeros(scheme.model.shape))
    constant = scheme.kernels.rate(zero, 0.0).ravel()[scheme.interior]
    values = np.asarray(spsolve(scheme.jacobian().tocsc(), -constant))
    u = np.zeros(scheme.model.shape)
    u[(slice(None), slice(None), *scheme.model.inside)] = values.reshape(n_patch, 1, -1)
    exact = scheme.exact({"u": lambda x, t: np.sin(x + PHASE)}, 0.0)
    return np.abs(scheme.coarse(scheme.load(u)) - exact).max()


def observed_order(counts, errors):
    """Slope of log error against log H, H = 2 / (N - 1)."""
    return np.polyfit(np.log([2.0 / (n - 1) for n in counts]), np.log(errors), 1)[0]


ENDS = np.sin(PHASE), np.sin(2.0 + PHASE)
SLOPES = -np.cos(PHASE), np.cos(2.0 + PHASE)
WALLS = {
    "dirichlet": (dirichlet(ENDS[0]), dirichlet(ENDS[1])),
    "neumann": (dirichlet(ENDS[0]), neumann(SLOPES[1])),
    "robin": (robin(2.0, 0.5, 2 * ENDS[0] + 0.5 * SLOPES[0]), dirichlet(ENDS[1])),
}


@pytest.mark.parametrize(
    ("kind", "order", "counts"),
    [
        ("centre", 2, (8, 16, 32)),
        ("centre", 4, (8, 12, 16)),
        ("edgy", 2, (32, 64, 128)),
        ("edgy", 4, (24, 48, 96)),
    ],
)
def test_dirichlet_walls_keep_the_order_of_the_coupling(kind, order, counts):
    errors = [steady_error(WALLS["dirichlet"], n, order, kind) for n in counts]
    assert observed_order(counts, errors) > order - 0.2


@pytest.mark.parametrize("wall", ["neumann", "robin"])
def test_derivative_walls_keep_second_order(wall):
    errors = [steady_error(WALLS[wall], n, 2, dx_per_gap=0.02) for n in (8, 16, 32)]
    assert observed_order((8, 16, 32), errors) > 1.8


def test_walls_that_change_in_time_are_taken_at_the_time_of_each_stage():
    """The lattice mode e^{-lambda t} sin(x + 0.3): its error must be that of the coupling alone."""
    errors = []
    for n_patch in (6, 12):
        dx = 0.05 * 2.0 / (n_patch - 1)
        decay = 4 / dx**2 * np.sin(0.5 * dx) ** 2
        mode = {"u": lambda x, t, decay=decay: np.exp(-decay * t) * np.sin(x + PHASE)}
        face = dirichlet(lambda x, t, decay=decay: np.exp(-decay * t) * np.sin(x + PHASE))
        grid = gp.PatchGrid([(0.0, 2.0)], [n_patch], sites=5, dx=dx, boundary=[(face, face)])
        scheme = gp.CoupledScheme(gp.Problem(rod, grid), NumpyBackend(), 4)
        start = {"u": lambda x: np.sin(x + PHASE)}
        solution = gp.simulate(scheme, start, 0.2, save=2, exact=mode)
        errors.append(solution.error)
    assert np.log(errors[0] / errors[1]) / np.log(11 / 5) > 3.8


def test_a_wall_prescribed_at_the_wrong_time_would_be_seen():
    """The test above can fail: freezing the wall at its initial value costs the order."""
    n_patch, dx = 12, 0.05 * 2.0 / 11
    decay = 4 / dx**2 * np.sin(0.5 * dx) ** 2
    mode = {"u": lambda x, t: np.exp(-decay * t) * np.sin(x + PHASE)}
    grid = gp.PatchGrid([(0.0, 2.0)], [n_patch], sites=5, dx=dx, boundary=[WALLS["dirichlet"]])
    scheme = gp.CoupledScheme(gp.Problem(rod, grid), NumpyBackend(), 4)
    solution = gp.simulate(scheme, {"u": lambda x: np.sin(x + PHASE)}, 0.2, save=2, exact=mode)
    assert solution.error is not None
    assert solution.error > 1e-2

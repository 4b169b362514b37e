"""Fluxes measured on the faces of cells: what is conserved, and to which order."""

from typing import Any

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.grid import PatchGrid, dirichlet, neumann, robin
from gpupatch.micro import lattice
from gpupatch.projection import Projection
from gpupatch.scheme import FluxScheme, Problem
from gpupatch.simulation import simulate

ROUNDOFF = 1e-14
NU, K = 0.1, 2 * np.pi


def scheme(
    rule, patches, order, boundary: Any = "periodic", parameters=None, backend=None, **medium
):
    """Patches of four sites between buffers of eight, far smaller than the cells."""
    dx, fastest = 5e-5, 6.0
    grid = PatchGrid(
        [(0.0, 1.0)] * len(patches), patches, core=4 * dx, buffer=8 * dx, dx=dx, cells=True,
        boundary=boundary,
    )  # fmt: skip
    problem = Problem(rule, grid, parameters or {}, medium)
    burst = Burst(0.04 * (8 * dx) ** 2 / fastest)
    return FluxScheme(problem, backend or NumpyBackend(), burst, order)


def observed_orders(errors):
    return np.log2(np.array(errors[:-1]) / errors[1:])


def total(U):
    return U.sum(axis=tuple(range(2, U.ndim)))


@gp.flux_rule(fields="h m")
def shallow_water(h, m, g, nu, dx):
    """Depth and momentum of shallow water, viscous fluxes on both."""
    depth, momentum = (h[0] + h[1]) / 2, (m[0] + m[1]) / 2
    return (
        momentum - nu * (h[1] - h[0]) / dx,
        momentum**2 / depth + g * depth**2 / 2 - nu * (m[1] - m[0]) / dx,
    )


RING = {
    "burgers": lambda: scheme(lattice.get("burgers", 1), [12], 4, parameters={"nu": 1.0}),
    "shallow water": lambda: scheme(shallow_water, [12], 2, parameters={"g": 1.0, "nu": 1.0}),
    "porous plane": lambda: scheme(lattice.get("porous_medium", 2), [5, 6], 4),
    "layered plane": lambda: scheme(
        lattice.get("heterogeneous_diffusion", 2), [5, 6], 2, kappa=gp.Cell([1.0, 3.0], axis=0)
    ),
}


@pytest.mark.parametrize("what", RING)
def test_the_total_is_conserved_to_round_off(what):
    """Five leaps of classical Runge-Kutta from a random state."""
    flux = RING[what]()
    fields = flux.problem.rule.fields
    rng = np.random.default_rng(1)
    U = rng.uniform(1.0, 1.5, size=(1, len(fields), *flux.problem.grid.patches))
    before = total(U)
    projection, end = Projection("rk4", step=2e-4), 1e-3
    U = projection.advance(flux.system(projection, 0.0, U), 0.0, U, end)
    np.testing.assert_allclose(total(U), before, rtol=20 * ROUNDOFF)


@pytest.mark.parametrize("order", [2, 4])
def test_the_total_changes_by_the_source_and_by_what_crosses_the_walls(order):
    """Heat with du/dt = u_xx + 3 u between walls of given slope, u = 1.3 - 0.7 x + 0.25 x^2."""

    @gp.rule(fields="u")
    def growing(u, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2 + 3 * u[0]

    flux = scheme(growing, [10], order, [(neumann(0.7), neumann(-0.2))])
    U = flux.initial({"u": lambda x: 1.3 - 0.7 * x + 0.25 * x**2})
    rate = total(flux.slope(0.0, U)) * flux.problem.grid.gap[0]
    expected = 3 * (1.3 - 0.7 / 2 + 0.25 / 3) + 0.7 - 0.2
    assert rate[0, 0] == pytest.approx(expected, rel=5e-3 if order == 2 else 1e-5)


def test_the_source_of_a_plane_is_averaged_over_cells():
    """du/dt = u^2 with u = 2 + sin sin; fluxes vanish; the averages are exact to fourth order."""

    @gp.flux_rule(fields="u")
    def reacting(u):
        return 0 * u[0, 0], 0 * u[0, 0], u[0, 0] ** 2

    errors = []
    for n in (8, 16):
        flux = scheme(reacting, [n, n], 4)
        flux.dt = flux.burst_length / 4
        U = flux.initial({"u": lambda x, y: 2 + np.sin(K * x) * np.sin(K * y)})
        averages = flux.initial({"u": lambda x, y: (2 + np.sin(K * x) * np.sin(K * y)) ** 2})
        errors.append(np.abs(flux.slope(0.0, U) - averages).max())
    assert observed_orders(errors)[0] > 3.5


def u(x):
    return 1.3 + np.sin(K * x)


def ux(x):
    return K * np.cos(K * x)


WALLS: dict[str, Any] = {
    "ring": "periodic",
    "dirichlet": [(dirichlet(u(0.0)), dirichlet(u(1.0)))],
    "neumann and robin": [(neumann(-ux(0.0)), robin(1.0, 0.2, u(1.0) + 0.2 * ux(1.0)))],
}


def burgers_slope_error(n, order, boundary):
    """Largest error of dU/dt over the cells away from the walls, and over all cells."""
    flux = scheme(lattice.get("burgers", 1), [n], order, boundary, {"nu": NU})
    edges = np.linspace(0, 1, n + 1)
    exact = -np.diff(u(edges) ** 2 / 2 - NU * ux(edges)) * n
    error = np.abs(flux.slope(0.0, flux.initial({"u": u}))[0, 0] - exact)
    return error[order // 2 : -order // 2].max(), error.max()


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("walls", WALLS)
def test_slopes_of_a_nonlinear_law_have_the_order_of_the_reconstruction(walls, order):
    """Burgers: exact away from the walls to the order; one order less where stencils lean."""
    errors = np.array([burgers_slope_error(n, order, WALLS[walls]) for n in (16, 32, 64)])
    assert observed_orders(errors[:, 0])[-1] > order - 0.2
    assert observed_orders(errors[:, 1])[-1] > order - (0.2 if walls == "ring" else 1.1)


def plane(x, y):
    return 1.5 + np.sin(K * x) * np.cos(K * y)


def porous_rate(n):
    """Cell averages of the divergence of the gradient of u^2, by quadrature along the faces."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    edges = np.linspace(0, 1, n + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    rate = np.zeros((n, n))
    for node, weight in zip(nodes, weights / 2, strict=True):
        along = centres + node / 2 / n
        x, y = edges[:, None], along
        across_x = 2 * plane(x, y) * K * np.cos(K * x) * np.cos(K * y)
        x, y = along[:, None], edges
        across_y = -2 * plane(x, y) * K * np.sin(K * x) * np.sin(K * y)
        rate += weight * n * (np.diff(across_x, axis=0) + np.diff(across_y, axis=1))
    return rate


@pytest.mark.parametrize(("order", "counts"), [(2, (16, 32)), (4, (10, 20))])
def test_slopes_of_a_nonlinear_law_in_the_plane_have_the_order_of_the_reconstruction(order, counts):
    """Porous medium: fluxes at the centres of faces are not averages over them."""
    errors = []
    for n in counts:
        flux = scheme(lattice.get("porous_medium", 2), [n, n], order)
        slope = flux.slope(0.0, flux.initial({"u": plane}))[0, 0]
        errors.append(np.abs(slope - porous_rate(n)).max())
    assert observed_orders(errors)[0] > order - 0.4


def mode(x, t=0.0):
    return np.exp(-4 * t) * np.sin(2 * x + 0.4)


def slope_of_mode(x, t=0.0):
    return 2 * np.exp(-4 * t) * np.cos(2 * x + 0.4)


MOVING_WALLS = {
    "dirichlet": (dirichlet(lambda x, t: mode(0.0, t)), dirichlet(lambda x, t: mode(1.0, t))),
    "neumann": (
        neumann(lambda x, t: -slope_of_mode(0.0, t)),
        neumann(lambda x, t: slope_of_mode(1.0, t)),
    ),
    "robin": (
        robin(1.0, 0.3, lambda x, t: mode(0.0, t) - 0.3 * slope_of_mode(0.0, t)),
        dirichlet(lambda x, t: mode(1.0, t)),
    ),
}


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("walls", MOVING_WALLS)
def test_walls_that_change_in_time_keep_the_order_of_the_reconstruction(walls, order, backend):
    """A decaying heat mode, cell averages at t = 0.1."""
    errors = []
    for n in (8, 16, 32):
        flux = scheme(
            lattice.get("diffusion", 1), [n], order, [MOVING_WALLS[walls]], {"D": 1.0}, backend
        )
        step = 0.1 / np.ceil(0.4 * n**2)
        errors.append(
            simulate(
                flux, {"u": mode}, 0.1, save=2, projection=Projection("rk4", step=step),
                exact={"u": mode},
            ).error
        )  # fmt: skip
    assert observed_orders(errors)[-1] == pytest.approx(order, abs=0.15)


def run_burgers(n, order, backend):
    """Error at t = 0.2 of cell averages against the solution of Cole and Hopf."""
    from gpupatch.solutions import get

    dx = 2e-4
    grid = PatchGrid([(-1.0, 1.0)], [n], core=4 * dx, buffer=8 * dx, dx=dx, cells=True)
    problem = Problem(lattice.get("burgers", 1), grid, {"nu": NU})
    flux = FluxScheme(problem, backend, Burst(0.04 * (8 * dx) ** 2 / NU), order)
    solution, parameters = get("cole_hopf"), {"nu": NU}

    def exact(x, t):
        return solution.evaluate((x,), float(t), **solution.complete(parameters))["u"]

    step = 0.2 / np.ceil(0.2 * NU * n**2 / 4 / 0.3)
    return simulate(
        flux, {"u": lambda x: -np.sin(np.pi * x)}, 0.2, save=2,
        projection=Projection("rk4", step=step), exact={"u": exact},
    ).error  # fmt: skip


@pytest.mark.parametrize(("order", "counts"), [(2, (16, 32, 64)), (4, (16, 32, 64))])
def test_runs_of_a_nonlinear_law_have_the_order_of_the_reconstruction(order, counts, backend):
    """Burgers, nu = 0.1, before the shock is steep."""
    errors = [run_burgers(n, order, backend) for n in counts]
    assert observed_orders(errors)[-1] == pytest.approx(order, abs=0.3)


def test_a_layered_rod_between_walls_settles_to_its_steady_flux(backend):
    """Layers in series between u = 0 and u = 1: every flux is the harmonic mean, -20/11."""
    dx = 5e-5
    grid = PatchGrid(
        [(0.0, 1.0)], [6], core=8 * dx, buffer=32 * dx, dx=dx, cells=True,
        boundary=[(dirichlet(0.0), dirichlet(1.0))],
    )  # fmt: skip
    medium = {"kappa": np.repeat([1.0, 10.0], 2)}
    problem = Problem(lattice.get("heterogeneous_diffusion", 1), grid, {}, medium)
    flux = FluxScheme(problem, backend, Burst(8 * dx**2), 2)
    projection = Projection("rk2", step=6e-3)
    run = simulate(flux, {"u": lambda x: x**2}, 0.6, save=2, projection=projection)
    found, _ = flux.measure(0.6, run.coarse[-1], 0)
    np.testing.assert_allclose(found[0, 0], -20 / 11, rtol=1e-3)

"""The full lattice as the truth: the plain integration of the rule, cut into patches."""

import numpy as np
import pytest

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.compare import FullDomain, full_domain_reference
from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid, dirichlet, neumann
from gpupatch.micro import lattice
from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme, Problem

EXACT = 1e-12
CIRCLE = (0.0, 2 * np.pi)
WALLS = dirichlet(0.3), neumann(-0.7)


def rk4(rate, u, dt, n_steps):
    for _ in range(n_steps):
        k1 = rate(u)
        k2 = rate(u + dt / 2 * k1)
        k3 = rate(u + dt / 2 * k2)
        k4 = rate(u + dt * k3)
        u = u + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return u


def burgers_on_a_ring(u, nu, dx):
    ahead, behind = np.roll(u, -1), np.roll(u, 1)
    return nu * (ahead - 2 * u + behind) / dx**2 - (ahead**2 - behind**2) / (4 * dx)


@pytest.mark.parametrize("offset", [0.0, -0.5, 0.3])
def test_on_a_ring_it_is_the_plain_integration_of_the_rule(offset):
    """Burgers, 40 sites in all, 5 patches of 5 sites."""
    dx = CIRCLE[1] / 40
    grid = PatchGrid([CIRCLE], [5], 5, dx=dx, offset=offset)
    problem = Problem(lattice.get("burgers", 1), grid, {"nu": 0.2})
    scheme = CoupledScheme(problem, NumpyBackend(), 4, dt=1e-2)
    at = full_domain_reference(scheme, {"u": lambda x: np.sin(x) + 0.5}, 0.0)
    first = grid.centres[0][0]
    x = first + dx * np.arange(40)
    direct = rk4(lambda u: burgers_on_a_ring(u, 0.2, dx), np.sin(x) + 0.5, 1e-2, 30)
    np.testing.assert_allclose(at(0.3)[0, 0], direct[::8], rtol=0, atol=EXACT)


def test_between_walls_it_is_the_plain_integration_with_the_same_conditions():
    """Heat, 41 sites; the quadratic through two sites satisfies each condition."""
    dx, dt = 1 / 40, 1e-4
    grid = PatchGrid([(0.0, 1.0)], [5], 5, dx=dx, boundary=[WALLS])
    problem = Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    scheme = CoupledScheme(problem, NumpyBackend(), 4, dt=dt)
    at = full_domain_reference(scheme, {"u": lambda x: 1 + x**2}, 0.0)

    def rate(u):
        """The slope at x = 1 by the quadratic through the last two inner sites and the face."""
        u = u.copy()
        u[0] = 0.3
        u[-1] = (2 * dx * -0.7 + 4 * u[-2] - u[-3]) / 3
        du = np.zeros_like(u)
        du[1:-1] = (u[2:] - 2 * u[1:-1] + u[:-2]) / dx**2
        return du

    x = np.linspace(0, 1, 41)
    direct = rk4(rate, 1 + x**2, dt, 200)
    index = np.rint(grid.centres[0] / dx).astype(int)
    np.testing.assert_allclose(at(0.02)[0, 0], direct[index], rtol=0, atol=1e-11)


def test_in_the_plane_it_is_the_plain_integration_of_the_rule():
    """Fisher-KPP, 24 x 30 sites, patches of 3 x 5."""
    dx, dy, dt = 0.1, 0.12, 1e-3
    grid = PatchGrid([(0.0, 2.4), (0.0, 3.6)], [3, 5], [3, 5], dx=[dx, dy])
    problem = Problem(lattice.get("fisher_kpp", 2), grid, {"D": 0.5, "r": 2.0})
    scheme = CoupledScheme(problem, NumpyBackend(), 2, dt=dt)

    def initial(x, y):
        return 0.5 + 0.3 * np.sin(2 * np.pi * x / 2.4) * np.cos(2 * np.pi * y / 3.6)

    at = full_domain_reference(scheme, {"u": initial}, 0.0)

    def rate(u):
        lap = (np.roll(u, -1, 0) - 2 * u + np.roll(u, 1, 0)) / dx**2
        lap += (np.roll(u, -1, 1) - 2 * u + np.roll(u, 1, 1)) / dy**2
        return 0.5 * lap + 2 * u * (1 - u)

    x, y = (
        X[0] + d * np.arange(n) for X, d, n in zip(grid.centres, (dx, dy), (24, 30), strict=True)
    )
    direct = rk4(rate, initial(x[:, None], y), dt, 50)
    np.testing.assert_allclose(at(0.05)[0, 0], direct[::8, ::6], rtol=0, atol=EXACT)


def test_patches_are_cut_out_where_they_are():
    grid = PatchGrid([CIRCLE, (0.0, 1.0)], [4, 3], [5, 3], dx=[CIRCLE[1] / 32, 0.05],
                     boundary=["periodic", WALLS])  # fmt: skip
    problem = Problem(lattice.get("diffusion", 2), grid, {"D": 1.0})
    whole = FullDomain(problem, NumpyBackend())

    def field(x, y):
        return np.sin(x) * (1 + y)

    cut = whole.patches(whole.scheme.initial({"u": field}))
    expected = problem.sample({"u": field}, None, 1)
    np.testing.assert_allclose(cut[:, :, :, 1:-1], expected[:, :, :, 1:-1], rtol=0, atol=EXACT)


def test_media_are_the_same_on_the_lattice_as_in_the_patches():
    """One period of five layers from the first site of every patch, 5 periods per patch spacing."""
    dx = CIRCLE[1] / 125
    grid = PatchGrid([CIRCLE], [5], 11, dx=dx)
    cell = np.array([1.0, 3.0, 0.5, 2.0, 4.0])
    problem = Problem(lattice.get("heterogeneous_diffusion", 1), grid, {}, {"kappa": cell})
    scheme = CoupledScheme(problem, NumpyBackend(), 4, dt=1e-4)
    at = full_domain_reference(scheme, {"u": np.sin}, 0.0)
    kappa = np.tile(cell, 25)

    def rate(u):
        flux = kappa * (np.roll(u, -1) - u)
        return (flux - np.roll(flux, 1)) / dx**2

    x = grid.origins()[0, 0] + dx * np.arange(125)
    direct = rk4(rate, np.sin(x), 1e-4, 100)
    np.testing.assert_allclose(at(0.01)[0, 0], direct[5::25], rtol=0, atol=1e-11)


def test_spectral_patches_agree_with_the_lattice_from_which_they_are_cut():
    grid = PatchGrid([CIRCLE], [7], 5, dx=CIRCLE[1] / 70)
    problem = Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    scheme = CoupledScheme(problem, NumpyBackend(), "spectral", dt=1e-3)
    initial = {"u": lambda x: np.sin(x) + np.cos(3 * x)}
    at = full_domain_reference(scheme, initial, 0.0)
    u = scheme.advance(scheme.initial(initial), 0.0, 1e-3, 100)
    np.testing.assert_allclose(scheme.coarse(u), at(0.1), rtol=0, atol=1e-9)


def test_members_are_compared_each_with_their_own_lattice():
    grid = PatchGrid([CIRCLE], [5], 5, dx=CIRCLE[1] / 40)
    problem = Problem(lattice.get("diffusion", 1), grid, members={"D": [0.5, 2.0]})
    scheme = CoupledScheme(problem, NumpyBackend(), 4)
    values = full_domain_reference(scheme, {"u": np.sin}, 0.0)(0.5)
    lattice_rate = 4 / grid.spacing[0] ** 2 * np.sin(grid.spacing[0] / 2) ** 2
    for member, D in enumerate((0.5, 2.0)):
        expected = np.exp(-D * lattice_rate * 0.5) * np.sin(grid.centres[0])
        np.testing.assert_allclose(values[member, 0], expected, rtol=0, atol=1e-5)


def test_bursts_are_compared_through_their_core_means():
    grid = PatchGrid([(0.0, 1.0)], [5], core=0.02, buffer=0.02, dx=0.005)
    problem = Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    scheme = BurstScheme(problem, NumpyBackend(), Burst(1e-6))
    at = full_domain_reference(scheme, {"u": lambda x: x**2}, 0.0)
    np.testing.assert_allclose(at(0.0), scheme.initial({"u": lambda x: x**2}), rtol=0, atol=EXACT)


def test_patches_that_are_not_cut_from_one_lattice_are_refused():
    grid = PatchGrid([CIRCLE], [5], 5, dx=0.1)
    problem = Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    with pytest.raises(SchemeError, match=r"do not lie on one lattice \(their distance is 12.56"):
        full_domain_reference(CoupledScheme(problem, NumpyBackend()), {"u": 0.0}, 0.0)


def test_media_that_are_not_cut_from_one_medium_are_refused():
    grid = PatchGrid([CIRCLE], [5], 7, dx=CIRCLE[1] / 40)
    problem = Problem(
        lattice.get("heterogeneous_diffusion", 1), grid, {}, {"kappa": np.array([1.0, 2.0, 3.0])}
    )
    with pytest.raises(SchemeError, match=r"repeats every 3 sites, .* 8 sites apart"):
        full_domain_reference(CoupledScheme(problem, NumpyBackend()), {"u": 0.0}, 0.0)


def test_cells_cannot_be_compared_with_a_lattice():
    grid = PatchGrid([(0.0, 1.0)], [5], core=0.02, buffer=0.02, dx=0.005, cells=True)
    problem = Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    scheme = FluxScheme(problem, NumpyBackend(), Burst(1e-6))
    with pytest.raises(SchemeError, match="For `flux` give an exact solution"):
        full_domain_reference(scheme, {"u": 0.0}, 0.0)

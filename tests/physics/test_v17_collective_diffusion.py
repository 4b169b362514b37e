"""Collective diffusion of particles that interact, from the fluxes through face patches."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gpupatch.backends._numba import NumbaBackend
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.errors import SchemeError
from gpupatch.particles.dynamics import Brownian, HardRods
from gpupatch.particles.interaction import Pair
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.library import gaussian
from gpupatch.particles.model import ParticleModel
from gpupatch.projection import Projection
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.scheme.particle_problem import ParticleProblem, particle_grid
from gpupatch.scheme.sampling import Sampling
from gpupatch.simulation import simulate

SIGMAS = 3.5
CELLS = 10


def patches(model, core, buffer, cells=(CELLS,), **more):
    """A ring of cells twice as wide as their patches; the core and the buffers on either side."""
    width = core + 2 * buffer
    grid = particle_grid([(0.0, 2 * width * n) for n in cells], cells, width)
    imposed = {} if isinstance(model, LatticeGas) else {"temperature": 1.0}
    return ParticleProblem(model, grid, imposed, core=core, seed=17, **more)


def diffusivity(problem, backend, density, slope, burst, sampling, axis=0):
    """J/(-G) on faces that all have the same density and slopes of either sign; its error."""
    scheme = ParticleFluxScheme(problem, backend, burst, sampling=sampling)
    sign = np.where(np.arange(problem.grid.patches[axis]) % 2, 1.0, -1.0)
    shape = [1] * (2 + problem.grid.ndim)
    shape[2 + axis] = len(sign)
    zigzag = sign.reshape(shape) * np.ones((1, 1, *problem.grid.patches))
    U = density + zigzag * slope * problem.grid.gap[axis] / 2
    flux = scheme.measure(0.0, U, axis)
    found = (flux / (zigzag * slope)).ravel()
    return found.mean(), found.std(ddof=1) / np.sqrt(found.size)


@pytest.mark.parametrize("density", [0.3, 0.5])
def test_hard_rods_spread_faster_where_they_are_dense(density):
    """V17: D = D0/(1 - rho a)^2, 2.0408 at rho a = .3 and 4 at .5."""
    expected = {0.3: 2.0408, 0.5: 4.0}[density]
    problem = patches(ParticleModel(1, HardRods(1.0)), 40.0, 40.0)
    burst = Burst(70 / expected, replicas=1600)
    sampling = Sampling("stochastic", "rounded", common=True)
    D, error = diffusivity(problem, NumpyBackend(), density, 0.001, burst, sampling)
    assert error < 0.03 * expected
    assert abs(D - expected) < SIGMAS * error


@pytest.mark.parametrize("density", [0.3, 0.7])
def test_exclusion_leaves_diffusion_linear(density):
    """V17: the diffusivity of the symmetric exclusion process does not depend on density."""
    gas = LatticeGas("ssep")
    burst = Burst(12.0, dt=0.5, replicas=600)
    sampling = Sampling("stochastic", common=True)
    D, error = diffusivity(
        patches(gas, 20.0, 20.0), NumbaBackend(), density, 0.009, burst, sampling
    )
    assert error < 0.03
    assert abs(D - gas.diffusivity(0.5)) < SIGMAS * error
    assert gas.diffusivity(0.5) == pytest.approx(2 * np.tanh(0.5))


def test_a_zero_range_gas_spreads_as_its_fugacity_does():
    """V17: J = -d(rho/(1 + rho))/dx, so that D = 1/(1 + rho)^2, .25 at rho = 1."""
    burst = Burst(30.0, heal=0.0, dt=0.1, replicas=400)
    sampling = Sampling("stochastic", common=True)
    problem = patches(LatticeGas("zero_range"), 20.0, 20.0)
    D, error = diffusivity(problem, NumbaBackend(), 1.0, 0.02, burst, sampling)
    assert error < 0.03 * 0.25
    assert abs(D - 0.25) < SIGMAS * error


@pytest.mark.slow
@pytest.mark.parametrize("edges", ["reservoir", "reflecting"])
def test_soft_particles_push_each_other_apart(edges):
    """V17: D = D0 (1 + alpha rho), alpha = int V/kT, for a weak Gaussian repulsion."""
    epsilon, density = 0.05, 8.0
    expected = 1 + epsilon * np.sqrt(2 * np.pi) * density
    pair = Pair(gaussian, {"epsilon": epsilon, "sigma": 1.0}, cutoff=4.0)
    problem = patches(ParticleModel(1, Brownian(), pair=pair), 8.0, 8.0)
    burst = Burst(1.4, heal=0.2, dt=0.1, replicas=160)
    sampling = Sampling(edges=edges, common=True)
    D, error = diffusivity(problem, NumbaBackend(), density, 0.3, burst, sampling)
    assert error < 0.1
    assert abs(D - expected) < SIGMAS * error


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1])
def test_soft_particles_push_each_other_apart_in_the_plane(axis):
    """V17: the same in two dimensions, across the faces of either axis."""
    epsilon, density = 0.1, 1.6
    expected = 1 + 2 * np.pi * epsilon * density
    pair = Pair(gaussian, {"epsilon": epsilon, "sigma": 1.0}, cutoff=4.0)
    cells = (4, 3) if axis == 0 else (3, 4)
    problem = patches(ParticleModel(2, Brownian(), pair=pair), 4.0, 4.0, cells)
    burst = Burst(0.4, heal=0.1, dt=0.05, replicas=80)
    sampling = Sampling(common=True)
    D, error = diffusivity(problem, NumbaBackend(), density, 0.12, burst, sampling, axis)
    assert error < 0.15
    assert abs(D - expected) < SIGMAS * error


def rods_by_finite_volumes(start, rod, end, cells):
    """Cell averages of drho/dt = d2/dx2 [rho/(1 - rod rho)] on the unit ring, on 400 cells."""
    n = 400
    x = (np.arange(n) + 0.5) / n

    def rate(t, density):
        reduced = density / (1 - rod * density)
        return (np.roll(reduced, 1) - 2 * reduced + np.roll(reduced, -1)) * n**2

    found = solve_ivp(rate, (0, end), start(x), method="BDF", rtol=1e-8, atol=1e-6)
    return found.y[:, -1].reshape(cells, -1).mean(axis=1)


def test_a_wave_of_hard_rods_obeys_nonlinear_diffusion_within_its_error_bar():
    """V17: against the equation with D = 1/(1 - rho a)^2, solved by finite volumes."""
    rod, end, replicas = 1e-4, 0.005, 8

    def start(x):
        return 4000 * (1 + 0.25 * np.sin(2 * np.pi * x))

    grid = particle_grid([(0.0, 1.0)], [CELLS], 0.03)
    model = ParticleModel(1, HardRods(rod))
    problem = ParticleProblem(model, grid, {"temperature": 1.0}, seed=5, replicas=replicas)
    sampling = Sampling("stochastic", "rounded", common=True)
    scheme = ParticleFluxScheme(problem, NumpyBackend(), Burst(1.2e-6, replicas=16), 4, sampling)
    leaps = Projection("rk2", step=1e-3)
    solution = simulate(scheme, {"density": start}, end, projection=leaps, save=2)
    total = solution["density"].sum(axis=2)
    assert np.abs(total[1] / total[0] - 1).max() < 1e-12
    wave = np.sin(2 * np.pi * grid.centres[0]) / 5
    found = solution["density"][-1] @ wave
    error = found.std(ddof=1) / np.sqrt(replicas)
    expected = rods_by_finite_volumes(start, rod, end, CELLS) @ wave
    assert abs(found.mean() - expected) < SIGMAS * error
    points = 1000 * np.sinc(0.1) * np.exp(-4 * np.pi**2 * end)
    assert points - found.mean() > 5 * error
    bars = scheme.uncertainty(solution.coarse[-1])
    assert bars is not None
    assert bars.shape == (replicas, 1, CELLS)


def test_bursts_too_long_for_the_collective_diffusivity_are_announced():
    problem = patches(ParticleModel(1, HardRods(1.0)), 40.0, 40.0)
    scheme = ParticleFluxScheme(problem, NumpyBackend(), Burst(90.0))
    with pytest.warns(UserWarning, match="at a diffusivity of 4"):
        scheme.measure(0.0, np.full((1, 1, CELLS), 0.5), 0)


@pytest.mark.parametrize(
    ("model", "sampling", "burst", "message"),
    [
        (LatticeGas("ssep"), Sampling(edges="open"), Burst(1.0), "leave out `edges`"),
        (LatticeGas("ssep"), Sampling(weight=2.0), Burst(1.0), "no `weight`"),
        (LatticeGas("ssep"), Sampling("weighted"), Burst(1.0), "has no lift `weighted`"),
        (LatticeGas("ssep", spacing=7.0), Sampling(), Burst(1.0), "no whole number of sites"),
        (
            ParticleModel(1, HardRods(1.0)),
            Sampling(edges="reservoir"),
            Burst(1.0),
            "Use edges `reflecting`",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(model, sampling, burst, message):
    with pytest.raises(SchemeError, match=message):
        ParticleFluxScheme(patches(model, 40.0, 40.0), NumpyBackend(), burst, sampling=sampling)

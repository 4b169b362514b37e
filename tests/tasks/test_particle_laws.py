"""V17: diffusivities of particles that interact, known in closed form, recovered as laws."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.particles.library import gaussian

SIGMAS, SHARE = 3.5, 0.02


def measured(model, burst, core, buffer, backend="numba", **options):
    """Bursts on a ring of four cells that are filled by their patches."""
    width = core + 2 * buffer
    grid = gp.particle_grid([(0.0, 4 * width)], [4], width)
    gas = isinstance(model, gp.LatticeGas)
    controls = {} if gas else {"temperature": 1.0}
    problem = gp.ParticleProblem(model, grid, controls, core=core, seed=3)
    sampling = gp.Sampling("stochastic", None if gas else "rounded", common=True)
    given, _ = gp.get_backend(backend)
    return gp.ParticleFluxScheme(problem, given, burst, sampling=sampling, **options)


def zigzags(levels, swing):
    """Densities that jump from cell to cell: all faces hold one level, and slopes of either sign.

    For the same range of densities no other states have slopes as steep.
    """
    jumps = np.multiply.outer(np.broadcast_to(swing, np.shape(levels)), [1.0, -1.0, 1.0, -1.0])
    return (np.asarray(levels)[:, None] + jumps)[:, None]


def assert_recovered(found, levels, expected, error_at_most):
    """The diffusivity within 2 % and within its error bar, which is short."""
    D, error = found.diffusivity(levels)
    assert found.closes
    assert (error < error_at_most * expected).all()
    assert (np.abs(D - expected) < np.minimum(SHARE * expected, SIGMAS * error)).all()


def rods(replicas, backend="numba"):
    """Hard rods, D = 1/(1 - rho)^2, in long patches.

    Rods that fill rho of a patch between its ends fill (1 - rho)/width more of its middle.
    """
    model, burst = gp.ParticleModel(1, gp.HardRods(1.0)), gp.Burst(550.0, replicas=replicas)
    return measured(model, burst, core=200.0, buffer=200.0, backend=backend)


def test_hard_rods_diffuse_as_their_density_tells_within_the_error_bar():
    states = zigzags(np.linspace(0.2, 0.4, 12), 0.1)
    D, error = gp.law(rods(40, "numpy"), states, spline=2, degree=1).diffusivity(0.3)
    assert error < 0.2
    assert abs(D - 1 / 0.49) < SIGMAS * error


@pytest.mark.slow
def test_hard_rods_diffuse_as_their_density_tells_within_two_percent():
    states = zigzags(np.linspace(0.16, 0.42, 100), 0.1)
    found = gp.law(rods(1200), states, spline=2, degree=1)
    levels = np.array([0.2, 0.25, 0.3, 0.35, 0.4])
    assert_recovered(found, levels, 1 / (1 - levels) ** 2, 0.007)


def test_exclusion_is_found_to_leave_diffusion_linear():
    """Particles that exclude each other: of three terms only u_xx is needed."""
    gas = gp.LatticeGas("ssep")
    scheme = measured(gas, gp.Burst(1.0, dt=0.25, replicas=2500), core=5.0, buffer=5.0)
    terms = ["density_xx", "(density density_x)_x", "(density^2 density_x)_x"]
    found = gp.law(scheme, zigzags(np.linspace(0.4, 0.6, 20), 0.38), terms=terms)
    assert found.terms["density"] == ("density_xx",)
    assert_recovered(found, np.array([0.5]), gas.diffusivity(0.25), 0.007)


@pytest.mark.slow
def test_a_zero_range_gas_is_found_to_spread_as_its_fugacity_does():
    """D = 1/(1 + rho)^2, .25 at rho = 1."""
    gas = gp.LatticeGas("zero_range")
    burst = gp.Burst(2.0, heal=0.0, dt=0.2, replicas=8000)
    scheme = measured(gas, burst, core=5.0, buffer=5.0)
    found = gp.law(scheme, zigzags(np.linspace(0.6, 1.5, 64), 0.4), spline=2, degree=1)
    levels = np.array([0.7, 0.85, 1.0, 1.15, 1.3])
    assert_recovered(found, levels, 1 / (1 + levels) ** 2, 0.007)


@pytest.mark.slow
def test_soft_colloids_are_found_to_diffuse_as_mean_field_tells():
    """D = 1 + alpha rho, alpha = int V/kT, between alpha rho = 1/4 and 5/2.

    Correlations that form in longer bursts lower D by .006 at the lower density and by .011 at the
    higher one, -rho/2 int [V/(1 + rho V)]^2 dk/2pi with the transform V(k), and alpha by .2 %. A
    slope is known best from two densities, the lower of which is noisier.
    """
    strength = 0.1
    alpha = strength * np.sqrt(2 * np.pi)
    pair = gp.Pair(gaussian, {"epsilon": strength, "sigma": 1.0}, cutoff=4.0)
    scheme = measured(
        gp.ParticleModel(1, gp.Brownian(), pair),
        gp.Burst(0.3, heal=0.0, dt=0.15, replicas=1500),
        core=4.0,
        buffer=5.0,
        diffusivity=4.2,
    )
    levels = np.repeat([0.25 / alpha, 2.5 / alpha], [160, 12])
    found = gp.law(
        scheme, zigzags(levels, 0.6 * levels), terms=["density_xx", "(density density_x)_x"]
    )
    assert found.closes
    slope = found.coefficients["density"]["(density density_x)_x"]
    error = found.errors["density"]["(density density_x)_x"]
    assert error < 0.012 * alpha
    assert abs(slope - alpha) < min(SHARE * alpha, SIGMAS * error)
    free = found.coefficients["density"]["density_xx"]
    assert abs(free - 1) < SIGMAS * found.errors["density"]["density_xx"]

"""Pressure, stress and heat flux of boxes, and the standard errors of correlated samples."""

import numpy as np
import pytest

from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.errors import SchemeError
from gpupatch.particles.dynamics import HeatDriven, Newton, Sheared
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.moments import THERMAL, block_correlation, estimate, moments
from gpupatch.particles.observe import ParticlePlan, block_weights
from gpupatch.particles.prepare import crystal_boxes
from gpupatch.particles.state import make_state

EPSILON_SIGMA = {"epsilon": 1.0, "sigma": 1.0}


def fluid(dynamics, ndim=3, truncation="force-shifted", cutoff=2.5):
    pair = Pair(lennard_jones, EPSILON_SIGMA, cutoff, truncation)
    return ParticleModel(ndim, dynamics, pair)


def kernels_of(model):
    return NumpyParticles(model)


def disordered(model, n=60, density=0.5, controls=None, seed=1):
    """A crystal shaken by a tenth of its spacing: forces are finite, and nothing is symmetric."""
    state = crystal_boxes(model, n, density, 1.3, controls=controls)
    shake = np.random.default_rng(seed).uniform(-0.1, 0.1, state.positions.shape)
    state.positions += shake
    return state


def seen(model, state, names=THERMAL, **options):
    return moments(model, state, names, kernels_of(model).measure(state, names), **options)


def test_an_ideal_gas_has_its_closed_forms():
    model = ParticleModel(2, Newton(), masses=(2.0,))
    rng = np.random.default_rng(0)
    v = rng.normal(size=(3, 2, 50))
    v -= v.mean(axis=2, keepdims=True)
    state = make_state(rng.random((3, 2, 50)), [4.0, 5.0], velocities=v)
    found = seen(model, state, (*THERMAL, "heat_flux"))
    kinetic = (v**2).sum(axis=(1, 2))
    np.testing.assert_allclose(found["temperature"], 2 * kinetic / (2 * 49))
    np.testing.assert_allclose(found["pressure"], 2 * kinetic / 2 / 20)
    np.testing.assert_allclose(found["stress"], -2 * np.einsum("pan,pbn->pab", v, v) / 20)
    flux = ((v**2).sum(axis=1, keepdims=True) * v).sum(axis=2) / 20
    np.testing.assert_allclose(found["heat_flux"], flux)
    np.testing.assert_array_equal(found["energy"], 0.0)


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_virial_stress_is_the_derivative_of_the_energy_by_the_strain(ndim):
    """sigma_ab = (1/V) dE/d strain_ab of an affine deformation that the box follows."""
    model = fluid(Newton(), ndim, cutoff=2.0)
    state = disordered(model)
    state.velocities[:] = 0.0
    stress, volume, h = seen(model, state)["stress"][0], np.prod(state.box[0]), 1e-5
    for a in range(ndim):

        def energy(strain, a=a):
            moved = state.copy()
            moved.positions[:, a] *= 1 + strain
            moved.box[:, a] *= 1 + strain
            return kernels_of(model).measure(moved, ("potential",))[0, 0]

        slope = (energy(h) - energy(-h)) / (2 * h) / volume
        assert stress[a, a] == pytest.approx(slope, rel=1e-6)


def test_the_shear_stress_is_the_derivative_of_the_energy_by_the_shear():
    """The sheared box closes on itself by Lees and Edwards' images."""
    model = fluid(Sheared(), cutoff=2.0)
    state = disordered(model, controls={"shear_rate": 0.0})
    state.velocities[:] = 0.0
    stress, volume, h = seen(model, state)["stress"][0], np.prod(state.box[0]), 1e-5

    def energy(strain):
        moved = state.copy()
        moved.positions[:, 0] += strain * moved.positions[:, 1]
        moved.memory[:] = strain * moved.box[:, 1]
        return kernels_of(model).measure(moved, ("potential",))[0, 0]

    slope = (energy(h) - energy(-h)) / (2 * h) / volume
    assert stress[0, 1] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_a_shear_by_a_whole_box_is_no_shear():
    model = fluid(Sheared())
    state = disordered(model, controls={"shear_rate": 0.0})
    shifted = state.copy()
    shifted.memory[:] = state.box[:, 0]
    one, other = (kernels_of(model).acting(s) for s in (state, shifted))
    np.testing.assert_allclose(one.force, other.force, rtol=1e-9, atol=1e-9)


def test_a_shear_flow_does_the_work_of_its_stress():
    """dE/dt = V sigma_xy shear_rate of the equations of motion without their thermostat."""
    model, rate, h = fluid(Sheared()), 0.7, 1e-5
    state = disordered(model, controls={"shear_rate": rate})
    kernels = kernels_of(model)
    force, v = kernels.forces(state), state.velocities
    found, volume = seen(model, state), np.prod(state.box[0])

    def energy(time):
        moved = state.copy()
        moved.positions += time * v
        moved.positions[:, 0] += time * rate * state.positions[:, 1]
        moved.memory += time * rate * state.box[:, 1]
        moved.velocities += time * force
        moved.velocities[:, 0] -= time * rate * v[:, 1]
        return kernels.measure(moved, ("potential", "kinetic"))[0].sum()

    work = (energy(h) - energy(-h)) / (2 * h)
    assert work == pytest.approx(volume * found["stress"][0, 0, 1] * rate, rel=1e-6)


def test_a_sheared_box_follows_these_equations_at_constant_kinetic_energy():
    """dV/dt = -sum F.v - shear_rate sum y F_x along a trajectory, and dK/dt = 0."""
    model, rate, h = fluid(Sheared()), 0.7, 1e-4
    state = disordered(model, controls={"shear_rate": rate})
    kernels = kernels_of(model)
    middle, end = state.copy(), state.copy()
    kernels.burst(middle, ParticlePlan(2, h))
    kernels.burst(end, ParticlePlan(4, h))
    (before, one), (after, other) = (
        kernels.measure(s, ("potential", "kinetic"))[0] for s in (state, end)
    )
    y_force_x = kernels.measure(middle, ("virial",))[0, 3]
    slope = -(kernels.forces(middle) * middle.velocities).sum() - rate * y_force_x
    assert (after - before) / (4 * h) == pytest.approx(slope, rel=1e-5)
    assert other == pytest.approx(one, rel=1e-13)


def test_heat_driven_boxes_take_up_the_work_of_the_field():
    """dE/dt = V J.E before the thermostat takes it out again; J is the heat flux observed."""
    model = fluid(HeatDriven())
    state = disordered(model, controls={"heat_field": 0.3})
    kernels, names = kernels_of(model), ("potential", "kinetic", "heat_flux")
    flux = kernels.measure(state, ("heat_flux",))[0, 0]
    acting, h = kernels.acting(state), 1e-5

    def energy(state):
        return kernels.measure(state, names)[0, :2].sum()

    pushed = {}
    for sign in (1, -1):
        pushed[sign] = state.copy()
        pushed[sign].positions = state.positions + sign * h * state.velocities
        drift = sign * h * (acting.force + _drive(kernels, state, acting))
        pushed[sign].velocities = state.velocities + drift
    rate = (energy(pushed[1]) - energy(pushed[-1])) / (2 * h)
    assert rate == pytest.approx(0.3 * flux, rel=1e-6)


def _drive(kernels, state, acting):
    """What the field adds to the forces: twice a half kick of unit step, less the forces."""
    kicked = state.copy()
    kernels._drive(kicked, acting, 2.0)
    return kicked.velocities - state.velocities - acting.force


def test_the_tail_of_the_fluid_enters_energy_and_pressure():
    model = fluid(Newton(), truncation="truncated")
    state = crystal_boxes(model, 32, [0.3, 0.6], 1.0)
    without, with_tails = seen(model, state), seen(model, state, tails=True)
    rho = np.array([0.3, 0.6])
    energy = 8 * np.pi * rho / 3 * (2.5**-9 / 3 - 2.5**-3)
    pressure = 16 * np.pi * rho**2 / 3 * (2 / 3 * 2.5**-9 - 2.5**-3)
    np.testing.assert_allclose(with_tails["energy"] - without["energy"], energy, rtol=1e-9)
    np.testing.assert_allclose(with_tails["pressure"] - without["pressure"], pressure, rtol=1e-9)
    trace = np.trace(with_tails["stress"], axis1=1, axis2=2)
    np.testing.assert_allclose(trace, -3 * with_tails["pressure"], rtol=1e-12)


def test_tails_of_shifted_potentials_are_refused():
    model = fluid(Newton())
    with pytest.raises(SchemeError, match="truncation = 'force-shifted'"):
        seen(model, crystal_boxes(model, 32, 0.5, 1.0), tails=True)


def test_blocks_of_a_burst_are_restricted_one_by_one():
    model = fluid(Newton())
    state = disordered(model)
    plan = ParticlePlan(8, 0.001, THERMAL, block_weights(8, 0, 1, 4))
    samples = kernels_of(model).burst(state, plan)
    found = moments(model, state, THERMAL, samples)
    assert found["stress"].shape == (4, 1, 3, 3)
    assert found["pressure"].shape == (4, 1)


def autoregressive(rng, shape, memory):
    x = rng.normal(size=shape)
    for k in range(1, shape[-1]):
        x[..., k] = memory * x[..., k - 1] + np.sqrt(1 - memory**2) * x[..., k]
    return x


@pytest.mark.parametrize("memory", [0.0, 0.8, 0.95])
def test_the_error_of_correlated_samples_is_that_of_the_closed_form(memory):
    """Var(mean) = (1 + a)/(1 - a)/n of the process x' = a x + noise, to the accuracy of blocks.

    Within 3 errors, 10 % too small, of 10 blocks lie 97.5 % of the means, +- 3.5 % of 200 runs.
    """
    rng, n, runs = np.random.default_rng(4), 2048, 200
    series = autoregressive(rng, (runs, n), memory)
    errors = [estimate(one).error for one in series]
    exact = np.sqrt((1 + memory) / (1 - memory) / n)
    assert np.mean(errors) == pytest.approx(exact, rel=0.1)
    covered = np.abs(series.mean(axis=1)) < 3 * np.array(errors)
    assert covered.mean() > 0.93


def test_replicas_halve_the_error_fourfold_and_their_spread_counts():
    rng = np.random.default_rng(6)
    series = autoregressive(rng, (4, 4096), 0.5)
    assert estimate(series).error == pytest.approx(estimate(series[0]).error / 2, rel=0.3)
    apart = series + np.array([[-5.0], [-5.0], [5.0], [5.0]])
    assert estimate(apart).error > 1.0


def test_constant_samples_have_no_error_and_single_ones_an_unknown_one():
    assert estimate(np.ones(16)).error == 0.0
    with pytest.raises(SchemeError, match="one sample has no standard error"):
        estimate(np.ones(1))


@pytest.mark.parametrize("memory", [0.0, 0.3, 1.0])
def test_blocks_that_resemble_their_neighbours_give_the_error_of_independent_runs(memory):
    """The variance of the mean of n = 8 blocks, 100000 runs: known within 0.5 % at one sigma."""
    noise = np.random.default_rng(4).normal(size=(100000, 9))
    blocks = noise[:, 1:] + memory * noise[:, :-1]
    apart = blocks - blocks.mean(axis=1, keepdims=True)
    squares, products = (apart**2).sum(), (apart[:, 1:] * apart[:, :-1]).sum()
    g = block_correlation(np.array([squares]), np.array([products]), 8)[0]
    assert g * squares / len(blocks) / 7 / 8 == pytest.approx(blocks.mean(axis=1).var(), rel=0.0175)
    assert (g > 1.3) == (memory > 0)

"""Velocity Verlet keeps the energy of a Lennard-Jones liquid to second order (V19)."""

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.particles.dynamics import Newton
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import ParticlePlan, block_weights
from gpupatch.particles.prepare import crystal_boxes, set_moments, settled

DENSITY, TEMPERATURE = 0.8442, 0.73
PUBLISHED = {0.001: 3.56e-6, 0.002: 1.41e-5, 0.004: 5.44e-5, 0.008: 2.31e-4}
"""Micro time step: standard deviation of the energy per particle, N = 500."""
EVERY = 5


def settled_liquid(n):
    """A liquid near the temperature wanted, and the passes over it."""
    pair = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 2.5, "force-shifted")
    model = ParticleModel(3, Newton(), pair, seed=19)
    kernels = get_backend("numba")[0].load_particles(model, "float64")
    state = crystal_boxes(model, n, DENSITY, TEMPERATURE)
    state = settled(model, kernels, state, TEMPERATURE, 1800, 0.004)
    for _ in range(6):
        handle = kernels.pack(set_moments(model, state, TEMPERATURE))
        kernels.burst(handle, ParticlePlan(300, 0.004))
        state = kernels.unpack(handle)
    return kernels, state


def energies(kernels, state, dt, n_steps):
    """Energy per particle after every so-many-th step; a burst holds 100 samples."""
    handle, seen = kernels.pack(state), []
    weights = block_weights(100 * EVERY, 0, EVERY, 100)
    for first in range(0, n_steps, 100 * EVERY):
        plan = ParticlePlan(100 * EVERY, dt, ("potential", "kinetic"), weights, first=first)
        seen.append(kernels.burst(handle, plan)[:, 0].sum(axis=1) / state.counts[0])
    return np.concatenate(seen)


def slope_of(fluctuation):
    return np.polyfit(np.log(list(fluctuation)), np.log(list(fluctuation.values())), 1)[0]


@pytest.mark.slow
def test_the_energy_fluctuates_with_the_square_of_the_time_step():
    """V19, fewer particles."""
    kernels, state = settled_liquid(256)
    steps = (0.002, 0.004, 0.008)
    fluctuation = {dt: energies(kernels, state, dt, round(4 / dt)).std() for dt in steps}
    assert slope_of(fluctuation) == pytest.approx(2.0, abs=0.15)


@pytest.mark.slow
def test_the_energy_of_500_particles_fluctuates_as_published_and_does_not_drift():
    """V19."""
    kernels, state = settled_liquid(500)
    fluctuation = {dt: energies(kernels, state, dt, round(16 / dt)).std() for dt in PUBLISHED}
    assert slope_of(fluctuation) == pytest.approx(2.0, abs=0.15)
    for dt, published in PUBLISHED.items():
        assert fluctuation[dt] == pytest.approx(published, rel=0.15)
    n_steps = 100_000
    long = energies(kernels, state, 0.004, n_steps)
    drift = np.polyfit(np.arange(len(long)) / len(long), long, 1)[0]
    assert abs(drift) < 3 * fluctuation[0.004]

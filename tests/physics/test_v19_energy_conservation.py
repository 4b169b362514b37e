"""Velocity Verlet keeps the energy of a Lennard-Jones liquid to second order (V19)."""

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.particles.dynamics import Newton, NoseHoover
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import ParticlePlan
from gpupatch.particles.prepare import crystal_boxes, settled
from gpupatch.particles.state import make_state

DENSITY, TEMPERATURE = 0.8442, 0.73
PUBLISHED = {0.001: 3.56e-6, 0.002: 1.41e-5, 0.004: 5.44e-5, 0.008: 2.31e-4}
"""Micro time step: standard deviation of the energy per particle, N = 500."""
EVERY = 5


def liquid(dynamics):
    pair = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 2.5, "force-shifted")
    return ParticleModel(3, dynamics, pair, seed=19)


def settled_liquid(n):
    model = liquid(NoseHoover())
    kernels = get_backend("numba")[0].load_particles(model, "float64")
    crystals = crystal_boxes(model, n, DENSITY, TEMPERATURE)
    state = settled(model, kernels, crystals, TEMPERATURE, 4000, 0.004)
    return make_state(state.positions, state.box, velocities=state.velocities)


def energies(state, dt, n_steps):
    """Energy per particle after every so-many-th step."""
    kernels = get_backend("numba")[0].load_particles(liquid(Newton()), "float64")
    seen = np.zeros((n_steps + 1, n_steps // EVERY))
    sampled = np.arange(seen.shape[1])
    seen[(sampled + 1) * EVERY, sampled] = 1.0
    plan = ParticlePlan(n_steps, dt, ("potential", "kinetic"), seen)
    out = kernels.burst(kernels.pack(state), plan)
    return out[:, 0].sum(axis=1) / state.counts[0]


def slope_of(fluctuation):
    return np.polyfit(np.log(list(fluctuation)), np.log(list(fluctuation.values())), 1)[0]


def test_the_energy_fluctuates_with_the_square_of_the_time_step():
    """V19, fewer particles."""
    state = settled_liquid(256)
    fluctuation = {dt: energies(state, dt, round(4 / dt)).std() for dt in (0.002, 0.004, 0.008)}
    assert slope_of(fluctuation) == pytest.approx(2.0, abs=0.15)


@pytest.mark.slow
def test_the_energy_of_500_particles_fluctuates_as_published_and_does_not_drift():
    """V19."""
    state = settled_liquid(500)
    fluctuation = {dt: energies(state, dt, round(16 / dt)).std() for dt in PUBLISHED}
    assert slope_of(fluctuation) == pytest.approx(2.0, abs=0.15)
    for dt, published in PUBLISHED.items():
        assert fluctuation[dt] == pytest.approx(published, rel=0.15)
    n_steps = 100_000
    long = energies(state, 0.004, n_steps)
    drift = np.polyfit(np.arange(len(long)) / len(long), long, 1)[0]
    assert abs(drift) < 3 * fluctuation[0.004]

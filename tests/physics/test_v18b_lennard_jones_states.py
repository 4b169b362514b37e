"""Energy and pressure of the Lennard-Jones fluid at published states (V18b)."""

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.particles.dynamics import NoseHoover
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import ParticleModel
from gpupatch.scheme.boxes import BoxProblem, BoxScheme
from gpupatch.scheme.particle_problem import particle_grid

DENSITY = [0.776, 0.780, 0.820, 0.860, 0.900]
ENERGY = [-5.5121, -5.5386, -5.7947, -6.0305, -6.2391]
PRESSURE = [0.0067714, 0.047924, 0.55355, 1.2660, 2.2314]
"""Per particle and of N = 500 at T = 0.85, truncated at 3 and corrected for the tail."""


def measured(density, n, duration, boxes=1):
    pair = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 3.0)
    problem = BoxProblem(
        ParticleModel(3, NoseHoover(), pair), particle_grid([(0.0, 1.0)], [1], 1.0),
        {"temperature": 0.85}, ("energy", "pressure", "temperature"),
        members={"density": density}, particles=n, tails=True, seed=18,
    )  # fmt: skip
    backend = get_backend("numba")[0]
    scheme = BoxScheme(problem, backend, dt=0.005, boxes=boxes)
    run = scheme.initial({})
    run = scheme.advance(
        run, 0.0, scheme.dt, scheme.every * round(duration / scheme.dt / scheme.every)
    )
    return {name: values.ravel() for name, values in scheme.estimates(run).items()}


@pytest.mark.slow
def test_one_state_agrees_with_the_published_one_within_its_own_error():
    """V18b, one state, fewer particles."""
    found = measured([0.82], n=256, duration=8.0, boxes=2)
    for name, published in (("energy", ENERGY[2]), ("pressure", PRESSURE[2])):
        one = found[name][0]
        assert abs(one.mean - published) < 3.5 * one.error
    assert found["energy"][0].error < 0.02
    assert found["pressure"][0].error < 0.1


@pytest.mark.slow
def test_five_states_in_one_batch_agree_with_the_published_ones():
    """V18b."""
    found = measured(DENSITY, n=500, duration=150.0)
    energy, pressure = (np.array([one.mean for one in found[k]]) for k in ("energy", "pressure"))
    np.testing.assert_allclose(energy, ENERGY, rtol=0.002)
    np.testing.assert_allclose(pressure, PRESSURE, atol=0.02)
    assert max(one.error for one in found["energy"]) < 0.002 * 5.5 / 3.5
    assert max(one.error for one in found["pressure"]) < 0.02 / 2

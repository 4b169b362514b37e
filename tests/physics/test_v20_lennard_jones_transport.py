"""Viscosity and conductivity of the Lennard-Jones fluid from driven boxes (V20)."""

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.particles.dynamics import HeatDriven, Sheared
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import ParticleModel
from gpupatch.scheme.boxes import BoxProblem, BoxScheme
from gpupatch.scheme.particle_problem import particle_grid

VISCOSITY, CONDUCTIVITY = (0.78, 0.02), (3.40, 0.10)
"""Of N = 864 at density 0.6 and T = 1.36, cut off at 2.5 and shifted: Green-Kubo, and its error."""


def measured(name, dynamics, drive, strengths, n, duration):
    pair = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 2.5, "shifted")
    problem = BoxProblem(
        ParticleModel(3, dynamics, pair), particle_grid([(0.0, 1.0)], [1], 1.0),
        {"density": 0.6, "temperature": 1.36}, (name, "temperature"),
        members={drive: strengths}, particles=n, seed=20,
    )  # fmt: skip
    scheme = BoxScheme(problem, get_backend("numba")[0], dt=0.005)
    run = scheme.initial({})
    run = scheme.advance(
        run, 0.0, scheme.dt, scheme.every * round(duration / scheme.dt / scheme.every)
    )
    run = scheme.estimates(run)
    np.testing.assert_allclose([one.mean for one in run["temperature"].ravel()], 1.36, rtol=1e-12)
    return run[name].ravel()


def together(found):
    """Mean weighted with the errors, and its error."""
    weights = np.array([one.error**-2 for one in found])
    return weights @ [one.mean for one in found] / weights.sum(), weights.sum() ** -0.5


def check(found, reference):
    value, error = together(found)
    for one in found:
        assert abs(one.mean - value) < 3.5 * one.error
    assert value == pytest.approx(reference[0], rel=0.1)
    assert error < 0.03 * value


@pytest.mark.slow
def test_the_viscosity_of_sheared_boxes_is_that_of_equilibrium():
    """V20: shear rates within the linear regime, one batch."""
    check(
        measured("viscosity", Sheared(), "shear_rate", [0.1, 0.2, 0.3], n=864, duration=150.0),
        VISCOSITY,
    )


@pytest.mark.slow
def test_the_conductivity_of_driven_boxes_is_that_of_equilibrium():
    """V20: heat fields within the linear regime, one batch."""
    check(
        measured("conductivity", HeatDriven(), "heat_field", [0.03, 0.06, 0.09], n=864,
                 duration=100.0),
        CONDUCTIVITY,
    )  # fmt: skip


@pytest.mark.slow
def test_a_strongly_driven_box_shows_the_transport_within_its_own_error():
    """V20, one strength, fewer particles; 10 % of the reference are allowed besides."""
    for name, dynamics, drive, strength, reference in (
        ("viscosity", Sheared(), "shear_rate", 0.4, VISCOSITY),
        ("conductivity", HeatDriven(), "heat_field", 0.15, CONDUCTIVITY),
    ):
        one = measured(name, dynamics, drive, [strength], n=108, duration=40.0)[0]
        assert one.error < 0.1 * one.mean
        assert abs(one.mean - reference[0]) < 3.5 * one.error + 0.1 * reference[0]

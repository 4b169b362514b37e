"""Couette flow and heat conduction with fluxes measured in boxes of a Lennard-Jones fluid."""

import numpy as np
import pytest

from gpupatch import solutions
from gpupatch.backends.select import get_backend
from gpupatch.burst import Burst
from gpupatch.grid import dirichlet
from gpupatch.particles.dynamics import HeatDriven, Sheared
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import ParticleModel
from gpupatch.projection import Projection
from gpupatch.scheme.box_flux import BoxFluxScheme
from gpupatch.scheme.boxes import BoxProblem
from gpupatch.scheme.particle_problem import particle_grid
from gpupatch.simulation import simulate

LENGTH, DENSITY, TEMPERATURE = 100.0, 0.6, 1.36
VISCOSITY, CONDUCTIVITY = (0.78, 0.02), (3.40, 0.10)
"""Green-Kubo, N = 864, and the standard error (V20)."""
CAPACITY = 1.97
"""Heat capacity per particle, from energies of boxes between T = 1.16 and 1.56, +- 0.01."""


def scheme_of(dynamics, cells, boundary, controls, length, boxes, **options):
    pair = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 2.5, "shifted")
    n = 108
    grid = particle_grid([(0.0, LENGTH)], [cells], (n / DENSITY) ** (1 / 3), boundary)
    problem = BoxProblem(ParticleModel(3, dynamics, pair), grid, controls, particles=n, seed=1)
    burst = Burst(length, heal=0.5, dt=0.005, replicas=boxes)
    return BoxFluxScheme(problem, get_backend("numba")[0], burst, settle=4.0, **options)


def couette(cells, length, boxes):
    return scheme_of(
        Sheared(), cells, [(dirichlet(0.0), dirichlet(1.0))],
        {"density": DENSITY, "temperature": TEMPERATURE}, length, boxes, strength=0.3,
    )  # fmt: skip


def within(value, error, reference):
    """Within 3.5 standard errors of both, and 5 % for the size of the boxes and their drive."""
    known, its_error = reference
    return abs(value - known) < 3.5 * np.hypot(error, its_error) + 0.05 * known


def test_the_viscosity_of_a_flow_between_walls_is_within_its_own_error():
    scheme = couette(cells=2, length=4.0, boxes=1)
    simulate(scheme, {"velocity": lambda y: y / LENGTH}, 240.0, save=2,
             projection=Projection("euler", step=60.0))  # fmt: skip
    value, error = (one[0] for one in scheme.coefficient())
    assert error < 0.1 * value
    assert within(value, error, VISCOSITY)


@pytest.mark.slow
def test_couette_flow_starts_as_the_exact_solution_with_the_measured_viscosity():
    scheme = couette(cells=8, length=2.0, boxes=4)
    flow = solutions.get("couette_start")

    def exact(y, t):
        found = flow.evaluate((y,), t, diffusivity=VISCOSITY[0] / DENSITY, width=LENGTH)
        return found["u"]

    run = simulate(scheme, {"velocity": 0.0}, 500.0, save=6, exact={"velocity": exact},
                   projection=Projection("ab2", step=20.0))  # fmt: skip
    value, error = (one[0] for one in scheme.coefficient())
    assert error < 0.02 * value
    assert within(value, error, VISCOSITY)
    assert run.exact is not None
    assert run.uncertainty is not None
    difference = np.abs(run["velocity"][-1] - run.exact[-1][:, 0])
    assert np.all(difference < 3.5 * run.uncertainty[-1][:, 0] + 0.02)


@pytest.mark.slow
def test_a_temperature_wave_decays_with_the_measured_conductivity_and_keeps_its_energy():
    scheme = scheme_of(
        HeatDriven(), 8, "periodic", {"density": DENSITY}, 2.0, 4, strength=0.1, capacity=CAPACITY,
        order=4,
    )  # fmt: skip
    wavenumber = 2 * np.pi / LENGTH

    def wave(x, t, k=CONDUCTIVITY[0]):
        decay = np.exp(-k / DENSITY / CAPACITY * wavenumber**2 * t)
        return TEMPERATURE + 0.2 * decay * np.cos(wavenumber * x)

    run = simulate(
        scheme, {"temperature": lambda x: wave(x, 0.0)}, 120.0, save=5,
        exact={"temperature": wave}, projection=Projection("ab2", step=8.0),
    )  # fmt: skip
    total = run["temperature"].sum(axis=-1)[:, 0]
    np.testing.assert_allclose(total, total[0], rtol=1e-14)
    value, error = (one[0] for one in scheme.coefficient())
    assert error < 0.04 * value
    assert within(value, error, CONDUCTIVITY)
    assert run.exact is not None
    assert run.uncertainty is not None
    difference = np.abs(run["temperature"][-1] - run.exact[-1][:, 0])
    assert np.all(difference < 3.5 * run.uncertainty[-1][:, 0] + 0.004)

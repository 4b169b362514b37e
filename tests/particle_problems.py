"""Small particle patches in which something happens in a few steps, shared by tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpupatch.particles.dynamics import (
    Brownian,
    HardRods,
    HeatDriven,
    Langevin,
    Newton,
    NoseHoover,
    Rescaled,
    Sheared,
    VelocityFlips,
)
from gpupatch.particles.interaction import Angles, Bonds, Field, Pair, chain, chain_angles
from gpupatch.particles.library import bending, get, wormlike
from gpupatch.particles.model import Neighbours, ParticleModel
from gpupatch.particles.observe import COMPONENTS, Core, ParticlePlan
from gpupatch.particles.state import ParticleState, make_state

LJ = {"epsilon": 1.0, "sigma": 1.0}
OBSERVABLES = tuple(name for name in COMPONENTS if name != "bond_flux")


@dataclass(frozen=True, eq=False)
class Problem:
    """A model, patches at the beginning, and a burst.

    Attributes:
        model: the micro-simulator.
        state: some patches.
        dt: micro time step.
        observables: what is measured.
    """

    model: ParticleModel
    state: ParticleState
    dt: float
    observables: tuple[str, ...] = OBSERVABLES

    def plan(self, n_steps: int = 10, first: int = 3, **changed) -> ParticlePlan:
        """A burst that is measured at its beginning, in the middle and at its end."""
        weights = np.zeros((n_steps + 1, 2))
        weights[0, 0], weights[n_steps // 2, 0], weights[-1, 1] = 1.0, -0.5, 2.0
        given = {"core": Core(1.5), "first": first, "stream": 5} | changed
        return ParticlePlan(n_steps, self.dt, self.observables, weights, **given)


def lattice(shape, spacing, n, n_patch=2, seed=0, shake=0.08):
    """Particles near the points of a square lattice, and their velocities.

    Args:
        shape: points per axis.
        spacing: of the lattice.
        n: particles; the first points are taken.
        n_patch: patches.
        seed: of the displacements.
        shake: largest displacement.
    """
    rng = np.random.default_rng(seed)
    points = np.stack(np.meshgrid(*(np.arange(m) for m in shape), indexing="ij"))
    points = points.reshape(len(shape), -1)[:, :n] * spacing
    x = points + shake * rng.uniform(-1, 1, (n_patch, len(shape), n))
    return x, rng.normal(size=x.shape)


def fluid(dynamics=None, n=70, ndim=3, boundary=(), controls=None, neighbours=None, **parts):
    """A Lennard-Jones fluid; every second patch has lost some particles."""
    dynamics = dynamics or Newton()
    shape = {1: (n,), 2: (9, -(-n // 9)), 3: (4, 4, -(-n // 16))}[ndim]
    x, v = lattice(shape, 1.15, n)
    pair = Pair(get("lennard_jones"), LJ, 1.9, "shifted")
    model = ParticleModel(
        ndim, dynamics, pair, boundary=boundary, seed=11, masses=(1.0,),
        neighbours=neighbours or Neighbours(), **parts,
    )  # fmt: skip
    open_or_walls = np.array([one != "periodic" for one in model.boundary])
    box = np.array(shape) * 1.15
    x -= (open_or_walls * (box / 2 - 0.55))[:, None]
    names = dynamics.controls
    state = make_state(
        x, box, velocities=v, counts=[n, n - 5], names=names,
        controls={"temperature": [0.8, 1.2], **(controls or {})} if names else None,
        weights=np.linspace(0.5, 1.5, n),
    )  # fmt: skip
    state.velocities[1, :, n - 5 :] = 0.0
    return Problem(model, state, 0.004)


def mixture():
    """Two types of soft particles between walls, heated by a bath, drawn by a field."""
    n, rng = 45, np.random.default_rng(2)
    x, v = lattice((9, 5), 1.0, n, n_patch=3)
    pair = Pair(get("wca"), {"epsilon": [1.0, 2.0], "sigma": [1.0, 0.7]}, 1.3)
    model = ParticleModel(
        2, Langevin(friction=2.0), pair, boundary=("periodic", "reflecting"), masses=(1.0, 2.5),
        field=Field(lambda y, charge: charge * y + 0.1 * y**2, {"charge": [0.5, -1.0]}), seed=3,
    )  # fmt: skip
    x[:, 1] -= 2.0
    state = make_state(
        x, (9.0, 4.4), velocities=v, types=rng.integers(0, 2, n), names=("temperature",),
        controls={"temperature": [0.5, 1.0, 1.5]}, weights=rng.random(n),
    )  # fmt: skip
    return Problem(model, state, 0.005)


def walkers():
    """Brownian particles on an open line in a double well; nothing between them."""
    x, _ = lattice((40,), 0.1, 40, n_patch=3)
    model = ParticleModel(
        1, Brownian(mobility=0.7), boundary=("open",), seed=2**40 + 1,
        field=Field(lambda x, k: k * (x**2 - 1) ** 2, {"k": 0.4}),
    )  # fmt: skip
    state = make_state(
        x - 2.0, (4.0,), names=("temperature",), controls={"temperature": 0.9},
        weights=np.linspace(-1, 1, 40), counts=[40, 33, 1],
    )  # fmt: skip
    return Problem(model, state, 0.01)


def polymer(angles=wormlike, **parameters):
    """A stiff chain with excluded volume in a bath."""
    n, rng = 37, np.random.default_rng(4)
    spread, ahead = np.array([[0.02], [0.25], [0.25]]), np.array([[0.95], [0.0], [0.0]])
    steps = rng.normal(size=(2, 3, n)) * spread + ahead
    pair = Pair(get("wca"), LJ, 2 ** (1 / 6))
    model = ParticleModel(
        3, Langevin(friction=0.5), pair, boundary=("open",) * 3, seed=8,
        bonds=Bonds(get("harmonic"), {"k": 30.0, "r0": 0.97}, chain(n)),
        angles=Angles(angles, parameters or {"kappa": 2.0}, chain_angles(n)),
    )  # fmt: skip
    state = make_state(
        np.cumsum(steps, axis=2), (50.0,) * 3, velocities=rng.normal(size=(2, 3, n)),
        names=("temperature",), controls={"temperature": 1.0},
    )  # fmt: skip
    return Problem(model, state, 0.003)


def chain_of_springs():
    """A closed harmonic chain whose velocities change sign at random."""
    n, rng = 40, np.random.default_rng(6)
    model = ParticleModel(
        1, VelocityFlips(rate=5.0), boundary=("open",), seed=9,
        bonds=Bonds(get("spring"), {"k": 1.0}, chain(n, closed=True)),
    )  # fmt: skip
    state = make_state(
        rng.normal(size=(2, 1, n)), (float(n),), velocities=rng.normal(size=(2, 1, n))
    )
    return Problem(model, state, 0.05, ("potential", "kinetic", "bond_flux", "core_energy"))


def rods(boundary="periodic"):
    """Hard rods that would pass each other several times in a step."""
    n, rng = 21, np.random.default_rng(7)
    gaps = rng.random((3, n)) * 0.3
    x = np.cumsum(gaps + 0.5, axis=1)[:, None]
    if boundary == "reflecting":
        x -= 8.0
    model = ParticleModel(1, HardRods(0.5, mobility=2.0), boundary=(boundary,), seed=5)
    state = make_state(
        x, (16.0,), names=("temperature",), controls={"temperature": 1.0}, counts=[n, n - 4, 1]
    )
    return Problem(model, state, 0.1, ("crossing", "core_mass", "extension"))


PROBLEMS = {
    "fluid": fluid,
    "full fluid": lambda: _all_there(fluid(n=64)),
    "line": lambda: fluid(n=40, ndim=1, boundary=("reflecting",)),
    "mixture": mixture,
    "walkers": walkers,
    "polymer": polymer,
    "bent polymer": lambda: polymer(bending, k=3.0, theta0=0.4),
    "springs": chain_of_springs,
    "langevin": lambda: fluid(Langevin(1.5), boundary=("open", "periodic", "reflecting")),
    "rescaled": lambda: fluid(Rescaled(every=3), n=50, ndim=2),
    "nose-hoover": lambda: fluid(NoseHoover(0.4), n=50, ndim=2),
    "sheared": lambda: fluid(Sheared(), controls={"shear_rate": [6.0, -3.0]}),
    "sheared plane": lambda: fluid(Sheared(), 54, 2, controls={"shear_rate": [6.0, -3.0]}),
    "driven": lambda: fluid(HeatDriven(), controls={"heat_field": [0.5, 0.2]}),
    "rods on a ring": rods,
    "rods between walls": lambda: rods("reflecting"),
    "rods on a line": lambda: rods("open"),
}
"""By name: all dynamics, one to three dimensions, all boundaries, all that acts on particles."""


def _all_there(problem: Problem) -> Problem:
    problem.state.counts[:] = problem.state.capacity
    return problem

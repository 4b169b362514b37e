"""Small schemes of particles that violate one assumption, and healthy twins of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpupatch.arrays import Backend
from gpupatch.backends._numba import NumbaBackend
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.particles.dynamics import Brownian, HardRods, Langevin, VelocityFlips
from gpupatch.particles.interaction import Bonds, Field, Pair, chain
from gpupatch.particles.library import gaussian, pinned, spring
from gpupatch.particles.model import ParticleModel
from gpupatch.projection import Projection
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.scheme.particle_problem import ParticleProblem, particle_grid
from gpupatch.scheme.sampling import Sampling

NUMPY, NUMBA = NumpyBackend(), NumbaBackend()
QUIET = Sampling("weighted", common=True)


@dataclass(frozen=True, eq=False)
class Twin:
    """A scheme, its initial values, and how it leaps."""

    scheme: Any
    initial: dict[str, Any]
    projection: Projection | None = None


def problem(model, width, core, seed=1, cells=4, length=None, controls=None, **more):
    """Particles in patches on a periodic line."""
    grid = particle_grid([(0.0, length or 4 * width * cells)], [cells], width)
    given = {"temperature": 1.0} if controls is None else controls
    return ParticleProblem(model, grid, given, core=core, seed=seed, **more)


def wave(level, length, share=0.3):
    """A density (energy) with one wave over the domain."""
    return lambda x: level * (1 + share * np.sin(2 * np.pi * x / length))


def walkers(burst=1.2e-5, density=4e3, cells=6, seed=1, step=None, sampling=QUIET, kind="flux",
            replicas=4, buffer=0.015, backend: Backend = NUMPY, **more):  # fmt: skip
    """Independent walkers of diffusivity 1 on the unit line, in cores 0.01 wide."""
    one = problem(ParticleModel(1, Brownian()), 0.01 + 2 * buffer, 0.01, seed, cells, 1.0, **more)
    made = ParticleFluxScheme if kind == "flux" else ParticleBurstScheme
    scheme = made(one, backend, Burst(burst, replicas=replicas), sampling=sampling)
    projection = None if step is None else Projection("euler", step)
    return Twin(scheme, {"density": wave(density, 1.0)}, projection)


def rods(seed=1, replicas=8, density=0.4, length=1.0, number="rounded"):
    """Hard rods in patches of 60."""
    one = problem(ParticleModel(1, HardRods(length)), 60.0, 20.0, seed, 4)
    scheme = ParticleFluxScheme(
        one,
        NUMPY,
        Burst(6.0, replicas=replicas),
        sampling=Sampling("stochastic", number=number, common=True),
    )
    return Twin(scheme, {"density": wave(density, 960.0, 0.2)})


def soft(sigma, seed=1, density=6.0, strength=0.4):
    """Soft particles whose repulsion adds as much to the diffusivity, whatever its range."""
    pair = Pair(gaussian, {"epsilon": strength / sigma / 6.0, "sigma": sigma}, 4 * sigma)
    one = problem(ParticleModel(1, Brownian(), pair), 6.0, 2.0, seed, 4)
    scheme = ParticleFluxScheme(
        one, NUMBA, Burst(0.3, heal=0.06, dt=0.02, replicas=8), sampling=Sampling(common=True)
    )
    return Twin(scheme, {"density": wave(density, 96.0, 0.2)})


def langevin(friction, burst, heal, seed=1, step=None, density=60.0):
    """Particles that forget their velocity at the rate `friction`, diffusivity 1.

    Buffers are more than twice as wide as particles diffuse, or fly, in a burst.
    """
    model = ParticleModel(1, Langevin(friction))
    reach = 2.5 * min(np.sqrt(4 * burst), 2 * np.sqrt(friction) * burst)
    one = problem(model, 3 * reach, reach, seed, 4, controls={"temperature": friction})
    scheme = ParticleFluxScheme(
        one, NUMBA, Burst(burst, heal=heal, dt=min(0.5 / friction, burst / 4), replicas=8),
        sampling=QUIET,
    )  # fmt: skip
    projection = None if step is None else Projection("euler", step)
    return Twin(scheme, {"density": wave(density / reach, 48 * reach)}, projection)


def oscillators(burst, heal, seed=1, rate=0.5, n=61):
    """A pinned chain whose velocities change sign at a rate."""
    model = ParticleModel(
        1, VelocityFlips(rate), bonds=Bonds(spring, {"k": 1.0}, chain(n)),
        field=Field(pinned, {"k": 1.0}),
    )  # fmt: skip
    one = problem(model, float(n), 21.0, seed, 4, controls={}, names=("energy",))
    scheme = ChainFluxScheme(one, NUMBA, Burst(burst, heal=heal, dt=0.1, replicas=16))
    return Twin(scheme, {"energy": wave(1.0, 4.0 * n * 4)})


def with_seed(twin: Twin, seed: int) -> Twin:
    """The same with other random numbers."""
    changed = dataclasses.replace(twin.scheme.problem, seed=seed)
    return dataclasses.replace(twin, scheme=twin.scheme.variant(problem=changed))

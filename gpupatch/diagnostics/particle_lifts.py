"""Other ways to lift patches of particles and chains, and what lifted patches hold."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from gpupatch.diagnostics.particle_variations import ParticleVariations, Response
from gpupatch.lifting.particles import NUMBER_OF
from gpupatch.particles.dynamics import Langevin
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_density import DensityScheme
from gpupatch.scheme.response import contents

EQUILIBRIUM_OF_RODS = ("stochastic", "rounded")
"""Lift and number of rods in closed patches."""


@dataclasses.dataclass(frozen=True)
class Lifted:
    """What patches hold after a lift.

    Attributes:
        density: over whole patches, [lift, patch].
        core: over the cores, same shape.
        wanted: what was to be over whole patches, [patch].
        grain: what one particle adds to `density`, of lifts that are right up to one particle; 0
            where only the average is.
    """

    density: NDArray[np.float64]
    core: NDArray[np.float64]
    wanted: NDArray[np.float64]
    grain: float


def other_lifts(variations: ParticleVariations) -> dict[str, Response]:
    """Responses with other lifts of the same coarse values, by what is different.

    Rods have one lift to local equilibrium, with which others are compared: numbers of points
    scatter more than those of rods, and evenly spread ones less.
    """
    scheme = variations.scheme
    if isinstance(scheme, ChainFluxScheme):
        return {
            "the slope of the energy in the velocities alone": variations.varied(kinetic=1.0),
        }
    found: dict[str, Response] = {}
    if scheme.lifting.rod:
        if (scheme.lifting.method, scheme.lifting.number) != EQUILIBRIUM_OF_RODS:
            lift, number = EQUILIBRIUM_OF_RODS
            found["rods in local equilibrium"] = variations.varied(lift=lift, number=number)
    else:
        lift = "stochastic" if scheme.lifting.method == "low_noise" else "low_noise"
        found[f"the lift `{lift}`"] = variations.varied(lift=lift, number=None)
    if scheme.gas is None and isinstance(scheme.problem.model.dynamics, Langevin):
        found["particles that already drift"] = variations.varied(drift=1.0 - scheme.sampling.drift)
    return found


def lifted(variations: ParticleVariations, lifts: int) -> Lifted:
    """Patches with the densities (energies) of the state, without slope, lifted several times.

    Args:
        variations: of the scheme that lifts.
        lifts: times that every patch is lifted, with other random numbers each.
    """
    scheme = variations.scheme
    own = scheme.variant(
        problem=dataclasses.replace(scheme.problem, replicas=1),
        burst=dataclasses.replace(scheme.burst_spec, replicas=1),
    )
    profile = np.zeros((len(variations.densities), 3))
    profile[:, 0] = variations.densities
    held = [contents(own, profile, number) for number in range(1, lifts + 1)]
    density, core = (np.array(one) for one in zip(*held, strict=True))
    wanted = np.tile(profile[:, 0], own.n_members)
    return Lifted(density, core, wanted, _grain(scheme))


def _grain(scheme: DensityScheme) -> float:
    """What one particle adds to the density of a patch, of lifts that are right up to one."""
    volume, how = float(np.prod(scheme.problem.width)), scheme.lifting
    if isinstance(scheme, ChainFluxScheme):
        return 0.0
    if scheme.gas is not None:
        return 1 / volume if scheme.sampling.lift == "low_noise" else 0.0
    rounded = (how.number or NUMBER_OF[how.method]) == "rounded"
    return how.weight / volume if rounded and how.method != "weighted" else 0.0

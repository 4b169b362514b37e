"""The macro step: the five acts in order, for every kind of patch scheme."""

from gpupatch.scheme.box_flux import BoxFluxScheme
from gpupatch.scheme.boxes import BoxProblem, BoxScheme
from gpupatch.scheme.burst import BurstScheme
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.coupled import CoupledScheme
from gpupatch.scheme.flux import FluxScheme
from gpupatch.scheme.interface import Scheme, SteppingScheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.scheme.particle_problem import ParticleProblem, particle_grid
from gpupatch.scheme.problem import Problem
from gpupatch.scheme.sampling import Sampling
from gpupatch.scheme.stretch import StretchProblem, StretchScheme

__all__ = [
    "BoxFluxScheme",
    "BoxProblem",
    "BoxScheme",
    "BurstScheme",
    "ChainFluxScheme",
    "CoupledScheme",
    "FluxScheme",
    "ParticleBurstScheme",
    "ParticleFluxScheme",
    "ParticleProblem",
    "Problem",
    "Sampling",
    "Scheme",
    "SteppingScheme",
    "StretchProblem",
    "StretchScheme",
    "particle_grid",
]

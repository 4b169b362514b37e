"""The macro step: the five acts in order, for three kinds of patch scheme."""

from gpupatch.scheme.burst import BurstScheme
from gpupatch.scheme.coupled import CoupledScheme
from gpupatch.scheme.flux import FluxScheme
from gpupatch.scheme.interface import Scheme, SteppingScheme
from gpupatch.scheme.problem import Problem

__all__ = ["BurstScheme", "CoupledScheme", "FluxScheme", "Problem", "Scheme", "SteppingScheme"]

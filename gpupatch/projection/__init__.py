"""The act `project`: macro time integrators that leap from burst to burst."""

from gpupatch.projection.history import History, Statistics
from gpupatch.projection.method import OPTIONS, Projection
from gpupatch.projection.on_arrays import (
    ArraySystem,
    MicroSimulator,
    OdeSystem,
    Trajectory,
    as_system,
    project,
)
from gpupatch.projection.system import System

__all__ = [
    "OPTIONS",
    "ArraySystem",
    "History",
    "MicroSimulator",
    "OdeSystem",
    "Projection",
    "Statistics",
    "System",
    "Trajectory",
    "as_system",
    "project",
]

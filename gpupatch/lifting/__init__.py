"""The act "lift": fill the sites of every patch from coarse values."""

from gpupatch.lifting.cores import AxisLifting, Lifting, core_lifting, reconstruct, taper, taylor
from gpupatch.lifting.faces import (
    GAUSS_POINTS,
    cell_weights,
    centre_weights,
    face_centres,
    face_lifting,
)

__all__ = [
    "GAUSS_POINTS",
    "AxisLifting",
    "Lifting",
    "cell_weights",
    "centre_weights",
    "core_lifting",
    "face_centres",
    "face_lifting",
    "reconstruct",
    "taper",
    "taylor",
]

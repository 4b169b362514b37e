"""Conservation laws whose fluxes boxes of particles can show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Law:
    """What a gradient drives through a box, and what it is called.

    Attributes:
        field: the coarse field.
        drive: control of the dynamics that stands for the gradient.
        coefficient: name of -flux/gradient.
        observables: what the flux is computed from.
        flux: the flux from the moments of a box.
    """

    field: str
    drive: str
    coefficient: str
    observables: tuple[str, ...]
    flux: Callable[[Mapping[str, NDArray[np.float64]]], NDArray[np.float64]]


LAWS = {
    "sheared": Law(
        "velocity", "shear_rate", "viscosity", ("kinetic_stress", "virial"),
        lambda m: -m["stress"][..., 0, 1],
    ),
    "heat_driven": Law(
        "temperature", "heat_field", "conductivity", ("heat_flux",),
        lambda m: m["heat_flux"][..., 0],
    ),
}  # fmt: skip
"""By dynamics of the boxes:

===========  =================================================  ====================================
sheared      d(rho u)/dt = -dJ/dy,   J = -sigma_xy              box at shear_rate = du/dy
heat_driven  d(rho c T)/dt = -dJ/dx, J the heat flux            box at heat_field = -(dT/dx)/T
===========  =================================================  ====================================
"""

"""Potentials of pairs and bonds, bending energies and external fields by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpupatch.errors import RuleError, suggestion
from gpupatch.micro.functions import arccos, exp, log, where
from gpupatch.particles.potential import Potential, potential


@potential
def lennard_jones(r, epsilon, sigma):
    """4 epsilon [(sigma/r)^12 - (sigma/r)^6]: simple liquids; argon [LennardJones1924]."""
    return 4 * epsilon * ((sigma / r) ** 12 - (sigma / r) ** 6)


@potential
def wca(r, epsilon, sigma):
    """The repulsive part of Lennard-Jones, zero from 2^(1/6) sigma on [WCA1971]."""
    core = 4 * epsilon * ((sigma / r) ** 12 - (sigma / r) ** 6) + epsilon
    return where(r < 2 ** (1 / 6) * sigma, core, 0)


@potential
def yukawa(r, A, kappa):
    """A exp(-kappa r)/r: charges in an electrolyte."""
    return A * exp(-kappa * r) / r


@potential
def morse(r, depth, alpha, r0):
    """Depth [(1 - exp(-alpha (r - r0)))^2 - 1]: a bond that can break [Morse1929]."""
    return depth * ((1 - exp(-alpha * (r - r0))) ** 2 - 1)


@potential
def gaussian(r, epsilon, sigma):
    """Epsilon exp(-r^2/(2 sigma^2)): soft colloids, polymer coils."""
    return epsilon * exp(-(r**2) / (2 * sigma**2))


@potential
def soft(r, A, diameter):
    """A/2 (1 - r/diameter)^2 inside the diameter: soft spheres, dissipative particle dynamics."""
    return where(r < diameter, A / 2 * (1 - r / diameter) ** 2, 0)


@potential
def harmonic(r, k, r0):
    """k/2 (r - r0)^2: a spring."""
    return k / 2 * (r - r0) ** 2


@potential
def spring(r, k):
    """k/2 r^2: a spring without length; with displacements, the harmonic lattice."""
    return k / 2 * r**2


@potential
def fene(r, k, extent):
    """-k extent^2/2 ln(1 - (r/extent)^2): a segment that cannot overstretch [KremerGrest1990]."""
    return -k * extent**2 / 2 * log(1 - (r / extent) ** 2)


def wormlike(c, kappa):
    """Kappa (1 - c): a worm-like chain, kappa = l_p kT/bond length [KratkyPorod1949]."""
    return kappa * (1 - c)


def bending(c, k, theta0):
    """k/2 (theta - theta0)^2: a joint with a preferred angle, 0 where the chain is straight.

    The force of an angle has no limit where the chain is straight or folded. Within 1.4e-3 of
    these the energy is continued linearly in c, so that it stays differentiable.
    """

    def continued(limit):
        theta = np.arccos(limit)
        slope = -k * (theta - theta0) / np.sin(theta)
        return k / 2 * (theta - theta0) ** 2 + slope * (c - limit)

    inside = k / 2 * (arccos(c) - theta0) ** 2
    below = where(c < -STRAIGHT, continued(-STRAIGHT), inside)
    return where(c > STRAIGHT, continued(STRAIGHT), below)


def pull(x, force):
    """-force x: a constant force along x, for instance on the types of the ends of a chain."""
    return -force * x


def pinned(x, k):
    """k/2 x^2: a spring that holds every particle of a line in its place."""
    return k / 2 * x**2


STRAIGHT = 1 - 1e-6
"""Cosine beyond which the harmonic bending energy is continued linearly."""

ANGLES: dict[str, Callable] = {one.__name__: one for one in (wormlike, bending)}
FIELDS: dict[str, Callable] = {one.__name__: one for one in (pinned, pull)}

POTENTIALS: dict[str, Potential] = {
    one.name: one
    for one in (
        lennard_jones, wca, yukawa, morse, gaussian, soft, harmonic, spring, fene,
    )
}  # fmt: skip


def get(name: str) -> Potential:
    """A potential of the library.

    Raises:
        RuleError: if there is none of that name.
    """
    if name not in POTENTIALS:
        raise RuleError(f"there is no potential `{name}`. {suggestion(name, POTENTIALS)}")
    return POTENTIALS[name]

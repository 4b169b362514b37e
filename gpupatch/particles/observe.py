"""What is read off particles while they move: the act "restrict" for particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpupatch.contract import checked
from gpupatch.errors import SchemeError, suggestion

COMPONENTS = {
    "potential": lambda d: 1,
    "kinetic": lambda d: 1,
    "momentum": lambda d: d,
    "virial": lambda d: d * d,
    "kinetic_stress": lambda d: d * d,
    "heat_flux": lambda d: d,
    "crossing": lambda d: 1,
    "core_mass": lambda d: 1,
    "bond_flux": lambda d: 1,
    "core_energy": lambda d: 1,
    "extension": lambda d: d,
}
"""Number of components of each observable in d dimensions.

==============  ==============================================================================
potential       sum of all potential energies
kinetic         sum m v^2/2
momentum        sum m v
virial          sum over pairs and bonds of x_ij F_ij, [axis, axis] row by row
kinetic_stress  sum m v v, likewise
heat_flux       sum e_i v_i + 1/2 sum over pairs of x_ij (F_ij.(v_i + v_j)), with e_i the kinetic
                energy of particle i and half the energy of each of its pairs
crossing        sum w clip(x, -h/2, h/2)/h along the axis of the core: its change is h-averaged flux
core_mass       sum w K(x), K the kernel of the core
bond_flux       mean over the bonds of the core of -(v_i + v_j)/2 F_ij: energy along a chain
core_energy     mean over the particles of the core of their energy, bonds halved (chains)
extension       x_last - x_first of the particles
==============  ==============================================================================
"""

KERNELS = ("box", "cos2")


@checked(SchemeError)
@dataclass(frozen=True)
class Core:
    """The part of a patch that is measured.

    Attributes:
        width: h, same units as positions; of chains, particles counted along the chain.
        axis: along which it is cut out.
        kernel: K of `core_mass`: "box" (1/h inside) or "cos2" ((1 + cos 2 pi x/h)/h inside).
    """

    width: float
    axis: int = 0
    kernel: str = "box"

    def __post_init__(self):
        if not self.width > 0:
            raise SchemeError(f"the core is {self.width} wide; it must be positive.")
        if self.kernel not in KERNELS:
            raise SchemeError(
                f"there is no kernel `{self.kernel}`. {suggestion(self.kernel, KERNELS)}"
            )


@checked(SchemeError)
@dataclass(frozen=True, eq=False)
class ParticlePlan:
    """One burst of particles, as a backend runs it.

    The result is ``out[q] = sum_s weights[s, q] R(state after s steps)``, so that every average,
    slope and block is a table of numbers.

    Attributes:
        n_steps: number of micro-steps.
        dt: micro time step.
        observables: names, whose components follow one another in the result.
        weights: [n_steps + 1, q]; observables are computed where a row is not zero.
        core: what `crossing`, `core_mass`, `bond_flux`, `core_energy` are measured in.
        first: number of the first step in the run.
        stream: number that sets the random numbers of this burst apart from all others.

    Raises:
        SchemeError: if there is no such observable, the table has another length, or a number is
            out of range.
    """

    n_steps: int
    dt: float
    observables: tuple[str, ...] = ()
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros((1, 0)))
    core: Core = Core(1.0)
    first: int = 0
    stream: int = 0

    def __post_init__(self):
        for name in self.observables:
            if name not in COMPONENTS:
                raise SchemeError(
                    f"there is no observable `{name}`. {suggestion(name, COMPONENTS)}"
                )
        if self.n_steps < 0:
            raise SchemeError(f"a burst of {self.n_steps} micro-steps: give 0 or more.")
        if not self.observables:
            object.__setattr__(self, "weights", np.zeros((self.n_steps + 1, 0)))
        if self.weights.ndim != 2 or len(self.weights) != self.n_steps + 1:
            raise SchemeError(
                f"weights have shape {self.weights.shape}; {self.n_steps} steps need "
                f"[{self.n_steps + 1}, q]."
            )
        if not 0 < self.dt < np.inf:
            raise SchemeError(f"the micro time step is {self.dt}; it must be positive.")

    def check(self, ndim: int) -> None:
        """Refuse a core along an axis that the particles do not have.

        Args:
            ndim: dimensions of space.

        Raises:
            SchemeError: with the axes that there are.
        """
        if not 0 <= self.core.axis < ndim:
            raise SchemeError(
                f"the core is cut out along axis {self.core.axis}, but particles of {ndim} "
                f"dimension(s) have axes from 0 to {ndim - 1}."
            )

    @property
    def wanted(self) -> NDArray[np.bool_]:
        """Steps after which observables are computed, [n_steps + 1]."""
        return np.any(self.weights != 0.0, axis=1)


def component_slices(names: Sequence[str], ndim: int) -> dict[str, slice]:
    """Where the components of each observable lie in a result."""
    slices, start = {}, 0
    for name in names:
        count = COMPONENTS[name](ndim)
        slices[name] = slice(start, start + count)
        start += count
    return slices


def component_count(names: Sequence[str], ndim: int) -> int:
    """Components of all observables together."""
    return sum(COMPONENTS[name](ndim) for name in names)


def block_weights(n_steps: int, first: int, every: int, blocks: int) -> NDArray[np.float64]:
    """Averages over equal blocks of a burst, for error bars.

    Args:
        n_steps: micro-steps of the burst.
        first: steps discarded at its beginning.
        every: steps between two samples.
        blocks: blocks.

    Returns:
        [n_steps + 1, blocks]; every column sums to 1.

    Raises:
        SchemeError: if there are fewer samples than blocks, or no blocks.
    """
    if blocks < 1 or every < 1:
        raise SchemeError(f"{blocks} blocks, a sample in {every} steps: both must be positive.")
    samples = np.arange(first + every, n_steps + 1, every)
    if len(samples) < blocks:
        raise SchemeError(
            f"{n_steps} steps, of which {first} are discarded, hold {len(samples)} samples, one in "
            f"{every} steps, for {blocks} blocks. Run longer or sample more often."
        )
    weights = np.zeros((n_steps + 1, blocks))
    for k, part in enumerate(np.array_split(samples, blocks)):
        weights[part, k] = 1.0 / len(part)
    return weights

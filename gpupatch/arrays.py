"""The two shapes of gpupatch, and what a backend must be able to do with them.

Macro   [member, field, *patch axes]     coarse values, float64, on the host
Micro   [patch, field, *sites]           all patches in one batch, sites last, C order;
patch = members x patch axes, flattened

"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gpupatch.burst import BurstPlan
    from gpupatch.coupling import Coupling
    from gpupatch.lifting import Lifting
    from gpupatch.micro.model import MicroModel
    from gpupatch.particles.lattice_gas import LatticeGas
    from gpupatch.particles.model import ParticleModel
    from gpupatch.particles.observe import Core, ParticlePlan
    from gpupatch.particles.state import ParticleState
    from gpupatch.restriction import Restriction

Macro = NDArray[np.float64]
Micro = NDArray[np.floating]
Handle = Any
Sparse = Any  # a scipy.sparse array
Plain = Any  # None, truth values, numbers, text, arrays, and lists and mappings of these


def linear_combination(terms: Sequence[tuple[float, Macro]]) -> Macro:
    """sum_k weight_k U_k of coarse values on the host, as a new array.

    Args:
        terms: weights, and coarse values of equal shapes [member, field, *patch axes].
    """
    total = np.zeros_like(terms[0][1])
    for weight, U in terms:
        total += weight * U
    return total


class Backend(Protocol):
    """A place where patches live and are advanced; `load` puts one batch of patches on it."""

    name: str

    def load(self, model: MicroModel, dtype: str) -> Kernels:
        """Put the parameters and coefficients of a batch of patches on the device."""
        ...

    def load_particles(self, model: ParticleModel, dtype: str) -> ParticleKernels:
        """Prepare the passes over a batch of particle patches."""
        ...


@runtime_checkable
class GasBackend(Protocol):
    """A backend that can also run lattice gases."""

    def load_gas(self, gas: LatticeGas) -> GasKernels:
        """Prepare the passes over a batch of patches of a lattice gas."""
        ...


class Kernels(Protocol):
    """The vectorised passes over one batch of patches on one device.

    States are handles: only `pack` and `unpack` know what they are.

    Attributes:
        lookahead: leaps of coarse values after which it is worth waiting for the device.
    """

    lookahead: int

    def pack(self, u: Micro) -> Handle:
        """Move a state to the device."""
        ...

    def unpack(self, u: Handle) -> Micro:
        """Copy a state to the host as float64."""
        ...

    def store(self, u: Handle) -> NDArray[np.floating]:
        """A handle as it is, on the host; in float32 what it differs by from the base."""
        ...

    def recall(self, stored: NDArray[np.floating]) -> Handle:
        """The handle that `store` showed, in the precision of the patches; the base stays."""
        ...

    def axpy(self, terms: Sequence[tuple[float, Handle]]) -> Handle:
        """sum_k weight_k state_k, as a new state."""
        ...

    def upload(self, U: Macro) -> Handle:
        """Coarse values where the patches are, for bursts that start from them."""
        ...

    def download(self, U: Handle) -> Macro:
        """Coarse values on the host."""
        ...

    def combine(self, terms: Sequence[tuple[float, Handle]]) -> Handle:
        """sum_k weight_k U_k of coarse values, as new ones."""
        ...

    def couple(
        self, coupling: Coupling, u: Handle, t: float, rate_over: float | None = None
    ) -> None:
        """Overwrite the edge sites of every patch from the patches around it.

        With `rate_over`, `u` is a rate of change and boundary values are differenced over it.
        """
        ...

    def rate(self, u: Handle, t: float) -> Handle:
        """du/dt on the interior sites, zero on the edge sites."""
        ...

    def advance(
        self,
        coupling: Coupling,
        u: Handle,
        t: float,
        dt: float,
        n_steps: int,
        stepper: str,
        every: int = 1,
        first: int = 0,
    ) -> None:
        """Take micro-steps in place, coupling the patches before every rate evaluation.

        With `every` > 1 the patches are coupled every so many steps and their edges move linearly
        in between. `first` is the number of the first step in the run: random numbers follow from
        the number of a step, so that they do not depend on how a run is cut into calls.
        """
        ...

    def lift(self, lifting: Lifting, extended: Macro) -> Handle:
        """Reconstruct the sites of every patch from extended coarse values."""
        ...

    def burst(
        self, u: Handle, plan: BurstPlan, t: float, edge_rate: Micro | None = None
    ) -> NDArray[np.float64]:
        """Run every patch on its own for one burst, in place; [q, patch, field] samples."""
        ...

    def lift_burst_restrict(
        self,
        lifting: Lifting,
        extended: Macro,
        plan: BurstPlan,
        t: float,
        edge_rate: Macro | None = None,
    ) -> NDArray[np.float64]:
        """The three acts in one pass: coarse values in, coarse samples out, both in one place."""
        ...

    def restrict(self, restriction: Restriction, u: Handle) -> NDArray[np.float64]:
        """Weighted means over the cores, [patch, field], summed in float64."""
        ...

    def norm(self, u: Handle) -> float:
        """Largest magnitude over all sites."""
        ...

    def finite(self, u: Handle) -> bool:
        """Whether every value is finite."""
        ...

    def describe(self, stepper: str, coupled: bool) -> list[str]:
        """What a run will do on the device, in lines; none where there is nothing to tell.

        Args:
            stepper: name of the micro-stepper.
            coupled: whether all patches stay on the device, or bursts start from coarse values.

        Raises:
            BackendError: if the device cannot hold it.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """What a run did on the device, for its report; empty where there is nothing to tell."""
        ...


class ParticleKernels(Protocol):
    """The vectorised passes over one batch of particle patches on one device.

    States are handles: only `pack` and `unpack` know what they are.
    """

    def pack(self, state: ParticleState) -> Handle:
        """Move a state to the device."""
        ...

    def unpack(self, handle: Handle) -> ParticleState:
        """Copy a state to the host, in float64."""
        ...

    def forces(self, handle: Handle) -> NDArray[np.float64]:
        """Forces on all particles, [patch, axis, particle]."""
        ...

    def measure(
        self, handle: Handle, observables: Sequence[str], core: Core | None = None
    ) -> NDArray[np.float64]:
        """Observables of a state, [patch, component]."""
        ...

    def burst(self, handle: Handle, plan: ParticlePlan) -> NDArray[np.float64]:
        """Run every patch on its own for one burst, in place; [q, patch, component] samples."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a run did on the device, for its report; empty where there is nothing to tell."""
        ...


class GasKernels(Protocol):
    """The vectorised passes over one batch of patches of a lattice gas."""

    def pack(self, occupations: NDArray[np.integer]) -> Handle:
        """Move particles per site, [patch, site], to the device."""
        ...

    def unpack(self, handle: Handle) -> NDArray[np.int32]:
        """Copy particles per site to the host."""
        ...

    def burst(self, handle: Handle, plan: ParticlePlan) -> NDArray[np.float64]:
        """Run every patch on its own for one burst, in place; [q, patch, observable] samples."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a run did on the device, for its report; empty where there is nothing to tell."""
        ...

"""What a run asks of a scheme, whatever its micro-simulator is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Handle, Macro, Micro, Plain
from gpupatch.errors import NonFiniteError
from gpupatch.grid import PatchGrid
from gpupatch.particles.state import ParticleState
from gpupatch.projection import Projection
from gpupatch.projection.system import System
from gpupatch.scheme.problem import Function, Initial


class LeapingSystem(System, Protocol):
    """A system whose own memory can be told and taken back."""

    def memory(self) -> dict[str, Plain]:
        """A copy of what the system knows besides states."""
        ...

    def remember(self, memory: Mapping[str, Plain], /) -> None:
        """Take back what `memory` told."""
        ...


class Scheme(Protocol):
    """A patch scheme as `simulate` sees it: states are handles, coarse values are arrays.

    ==============================  ==========================================================
    what a run does                 members it reads
    ==============================  ==========================================================
    begin                           ``initial``
    leap                            ``system``, ``copy``, ``finite``, ``lookahead``
    save                            ``coarse``, ``uncertainty``, ``exact``, ``fields``
    stop where it went wrong        ``locate_failure``
    go on in another process        ``dump``, ``restore``, ``memory``, ``remember``
    name what it saves              ``names``, ``grid``, ``n_members``, ``members``,
                                    ``member_values``, ``replicas``, ``result_facts``
    tell and report                 ``describe``, ``updates``, ``micro_steps``, ``micro_time``,
                                    ``work``, ``facts``, ``kind``, ``functional``, ``dtype``,
                                    ``backend_name``
    ==============================  ==========================================================

    Attributes:
        kind: name of the scheme.
        functional: what a coarse value is, in words.
        micro_steps: micro-steps taken so far by one patch.
    """

    kind: str
    functional: str
    micro_steps: int

    @property
    def micro_time(self) -> float:
        """Model time simulated so far by one patch."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The coarse fields, in the order of the field axis."""
        ...

    @property
    def grid(self) -> PatchGrid:
        """Where the coarse values lie."""
        ...

    @property
    def backend_name(self) -> str:
        """Where the patches live."""
        ...

    @property
    def dtype(self) -> str:
        """Precision inside the patches."""
        ...

    @property
    def n_members(self) -> int:
        """Members whose coarse values are reported, replicas included."""
        ...

    @property
    def members(self) -> Mapping[str, Sequence[float]]:
        """Values of swept parameters, by name."""
        ...

    @property
    def member_values(self) -> Sequence[Mapping[str, float]]:
        """Swept values of every member, replicas last."""
        ...

    @property
    def replicas(self) -> int:
        """Independent repetitions of every member."""
        ...

    @property
    def lookahead(self) -> int:
        """Leaps after which it is worth waiting for the device, to see whether all is finite."""
        ...

    @property
    def updates(self) -> int:
        """Evaluations of the micro-model so far, of one site or one particle."""
        ...

    def initial(self, initial: Initial, t: float = 0.0) -> Handle:
        """A state from functions of position by field, for all members or one mapping each."""
        ...

    def coarse(self, state: Handle, /) -> Macro:
        """Coarse values of a state, [member, field, *patch axes]."""
        ...

    def uncertainty(self, state: Handle, /) -> Macro | None:
        """Standard errors of the coarse values, same shape; None where nothing is random."""
        ...

    def exact(self, functions: Mapping[str, Function], t: float) -> Macro:
        """Functions of position and time through the functional that defines coarse values."""
        ...

    def fields(self, state: Handle, t: float, /) -> Micro:
        """Values at all sites, [patch, field, *sites].

        Raises:
            SchemeError: if the patches have no sites, or do not belong to the coarse values.
        """
        ...

    def copy(self, state: Handle, /) -> Handle:
        """An independent copy of a state."""
        ...

    def finite(self, state: Handle, /) -> bool:
        """Whether every value of a state is finite."""
        ...

    def locate_failure(self, state: Handle, t: float, /) -> NonFiniteError:
        """Where a state stopped being finite."""
        ...

    def system(self, projection: Projection, t: float, state: Handle, /) -> LeapingSystem:
        """The scheme as the system that a projective method leaps over."""
        ...

    def dump(self, state: Handle, slope: bool = False, /) -> dict[str, Plain]:
        """A copy of a state, or of a slope of states, as host arrays by name, bit for bit."""
        ...

    def restore(self, arrays: Mapping[str, Plain], slope: bool = False, /) -> Handle:
        """The state or slope that `dump` showed, rounded if this scheme has less precision."""
        ...

    def memory(self) -> dict[str, Plain]:
        """A copy of all that the scheme knows besides its state, in plain numbers and arrays."""
        ...

    def remember(self, memory: Mapping[str, Plain], /) -> None:
        """Take back what `memory` told, perhaps in another process.

        Raises:
            InputError: if something is missing.
        """
        ...

    def describe(self) -> list[str]:
        """What will be run, in lines.

        Raises:
            BackendError: if the device cannot hold it.
        """
        ...

    def facts(self) -> list[dict[str, Any]]:
        """What happened on the device, a record for each batch that has something to tell."""
        ...

    def work(self, reached: float) -> dict[str, Any]:
        """Entries of a report about what was simulated, and what the full domain would need.

        Args:
            reached: model time that the run has covered.
        """
        ...

    def result_facts(self) -> dict[str, Any]:
        """Attributes of the result: text, numbers and lists of these."""
        ...


@dataclass(frozen=True, eq=False)
class Shown:
    """The particles of patches at one time, for pictures and files.

    Attributes:
        state: the particles; the patches of a member follow one another.
        boundary: what closes each axis, as in `ParticleModel`.
        centres: where the patches are, [patch, axis], axes of the grid.
    """

    state: ParticleState
    boundary: tuple[str, ...]
    centres: NDArray[np.float64]


@runtime_checkable
class ShowingScheme(Protocol):
    """A scheme whose patches are made of particles that can be looked at."""

    def particles(self, state: Handle, t: float, /) -> Shown | None:
        """The particles of all patches of all members; None before there are any.

        Raises:
            SchemeError: if the patches hold numbers at sites instead.
        """
        ...


@runtime_checkable
class SteppingScheme(Protocol):
    """A scheme that can also take micro-steps throughout, without leaps.

    Attributes:
        every: micro-steps between couplings; steps are taken in multiples of it.
    """

    every: int

    @property
    def keeps_dt(self) -> bool:
        """Whether the micro time step does not depend on the state."""
        ...

    @property
    def fixes_blocks(self) -> bool:
        """Whether a result depends on how its micro-steps are cut into calls of `advance`."""
        ...

    def stable_dt(self, state: Handle, t: float, /) -> float:
        """Micro time step: the one given, or the one chosen at this state."""
        ...

    def advance(self, state: Handle, t: float, dt: float, n_steps: int, /) -> Handle:
        """The state after some micro-steps; the given one is overwritten."""
        ...

    def rebase(self, state: Handle, /) -> Handle:
        """The state as a new base of rounding, where the precision asks for it."""
        ...

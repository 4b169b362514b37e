"""Ways to vary a scheme, so that its assumptions can be tested by what then changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.scheme.interface import Scheme


@dataclass(frozen=True)
class Microstructure:
    """What lies below the width of a core, and is averaged over by it.

    Attributes:
        length: correlation length or period, same units as the domain; 0 where all is smooth.
        core: width over which it is averaged.
        contrast: relative standard deviation of what is averaged, at one point.
        whole_periods: whether the core holds a whole number of periods; None if it is not periodic.
        axes: axes of space that are averaged over.
        realisations: independent samples that are averaged on top.
    """

    length: float
    core: float
    contrast: float = 0.0
    whole_periods: bool | None = None
    axes: int = 1
    realisations: int = 1


@dataclass(frozen=True)
class Balance:
    """How the total of a conserved field changes.

    Attributes:
        residual: |d/dt sum U H + what leaves through the boundary - what sources add|.
        size: sum |U| H, of which the residual is a rate of change.
        turnover: sum |dU/dt| H, of which the residual is what does not cancel.
        exact: whether the scheme conserves the total by construction.
    """

    residual: float
    size: float
    turnover: float
    exact: bool


@dataclass(frozen=True)
class StepMap:
    """A macro step as a map of vectors, for its growth factors.

    Attributes:
        base: the state from which the step starts, [n].
        advance: the state after the step, [n] from [n].
        duration: model time of the step.
    """

    base: NDArray[np.float64]
    advance: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    duration: float


class Variations(Protocol):
    """One scheme and its experiments, whatever its patches are made of.

    Every experiment is made on a variant, so that the scheme itself, its counters and its random
    numbers stay as they are. A method returns None where the experiment makes no sense for this
    kind of scheme, and `why_not` then says why. `U` are always coarse values of the scheme itself,
    [member, field, *patch axes].

    ==========================  =====================================================
    diagnostic                  members it reads
    ==========================  =====================================================
    D1, D1'                     ``microstructure``, ``fraction``, ``other_order``
    D2                          ``widened``
    D3                          ``protection``, ``buffered``, ``other_edges``, ``parts``
    D4                          ``continued``, ``relifted``
    D5                          ``own_lift``, ``other_lifts``, ``parts``
    D6                          ``relift_error``
    D7                          ``error_in_run``
    D8                          ``step_map``, ``amplification``
    D9                          ``own_lift``, ``other_lifts``, ``parts``, ``burst_length``
    D10                         ``balance``
    D11                         ``burst_length``, ``round_off``
    all                         ``slope``, ``at_places_of``, ``why_not``, ``advice``
    ==========================  =====================================================

    Attributes:
        scheme: what is tested.
        noisy: whether slopes are random.
    """

    scheme: Scheme
    noisy: bool

    @property
    def cost(self) -> int:
        """Micro-steps of one patch that the experiments took so far."""
        ...

    def slope(self, scheme: Scheme, t: float, U: Macro) -> tuple[Macro, Macro | None]:
        """dU/dt by the scheme or a variant, and its standard error where it is random.

        The values are at the places of that variant, see `at_places_of`.
        """
        ...

    def at_places_of(self, scheme: Scheme, values: Macro, of: Scheme | None = None) -> Macro:
        """Coarse values of the scheme, or `of` a variant, at the places of another variant."""
        ...

    def error_in_run(self, error: Macro) -> Macro:
        """Standard error of one slope of a run, from that which `slope` told of its own."""
        ...

    def fraction(self) -> float:
        """Largest width of a patch with its buffers, in units of the distance of patches."""
        ...

    def microstructure(self, t: float, U: Macro) -> Microstructure | None:
        """Length of what the cores average over."""
        ...

    def other_order(self) -> Sequence[Scheme]:
        """The next lower and the next higher order of interpolation, as far as there are any."""
        ...

    def widened(self, factor: float) -> Scheme | None:
        """Patches (core and buffers) so many times as wide, bursts as before."""
        ...

    def buffered(self, factor: float) -> Scheme | None:
        """Buffers so many times as wide, cores as before."""
        ...

    def other_edges(self) -> Scheme | None:
        """Edges of the other kind: Dirichlet for Neumann, walls for open ends."""
        ...

    def protection(self, t: float, U: Macro) -> float | None:
        """Length of a burst over the longest one for which its buffers protect the core."""
        ...

    def parts(
        self, scheme: Scheme, t: float, U: Macro, count: int
    ) -> tuple[NDArray[np.float64], Sequence[Macro]] | None:
        """Slopes over equal parts of one burst by the scheme or a variant, and their mid-times."""
        ...

    def own_lift(self, t: float, U: Macro) -> Scheme:
        """The scheme, or a variant, with which `other_lifts` are compared."""
        ...

    def other_lifts(self, t: float, U: Macro) -> Sequence[Scheme] | None:
        """Variants that lift the same coarse values in other ways."""
        ...

    def continued(self, t: float, U: Macro) -> Macro | None:
        """Coarse values after two bursts in a row, without a lift between them."""
        ...

    def relifted(self, t: float, U: Macro) -> Macro | None:
        """The same, but with a fresh lift before the second burst."""
        ...

    def relift_error(self, t: float, U: Macro) -> tuple[float, float]:
        """Largest |R L U - U|, and how large it may be: round-off, or a particle."""
        ...

    def step_map(self, t: float, U: Macro, finer: int = 1) -> StepMap | None:
        """One macro step, or the same by steps so many times as short, over a shorter time."""
        ...

    def burst_length(self, t: float, U: Macro) -> float:
        """Model time of one burst; of a micro-step where there are none."""
        ...

    def amplification(self, t: float, U: Macro, rate: float) -> float | None:
        """What a leap makes of a transient exp(-rate t), in units of its size."""
        ...

    def balance(self, t: float, U: Macro, slope: Macro) -> Balance | None:
        """How well the total of the conserved fields is kept by a slope of the scheme."""
        ...

    def round_off(self) -> float:
        """Relative rounding error of one addition to the micro-state."""
        ...

    def why_not(self, experiment: str) -> str:
        """Why an experiment, named like the method above, makes no sense here."""
        ...

    def advice(self, about: str) -> str:
        """What a case file calls a thing, for advice: "width" -> "`grid.core` (now 0.004)".

        Args:
            about: "width", "buffer", "burst", "heal", "replicas", "step", "order" or "patches".
        """
        ...

"""Ways to vary a scheme, so that its assumptions can be tested by what then changes."""

from __future__ import annotations

from typing import Any, Protocol

from gpupatch.arrays import Handle, Macro
from gpupatch.scheme.interface import Scheme


class Variations(Protocol):
    """One scheme and its experiments, whatever its patches are made of.

    Every experiment is made on a variant, so that the scheme itself, its counters and its random
    numbers stay as they are. A method returns None where the experiment makes no sense for this
    kind of scheme, and `why_not` then says why.

    Attributes:
        scheme: what is tested.
        noisy: whether slopes are random.
    """

    scheme: Scheme
    noisy: bool

    def slope(self, scheme: Scheme, t: float, U: Macro) -> tuple[Macro, Macro | None]:
        """dU/dt of coarse values by a scheme, and its standard error where it is random."""
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

    def lower_order(self) -> Scheme | None:
        """The next lower order of interpolation between patches."""
        ...

    def lasting(self, factor: float, heal: float | None = None) -> Scheme | None:
        """Bursts so many times as long, of which a time `heal` is discarded."""
        ...

    def other_lifts(self) -> list[Scheme]:
        """Schemes that lift the same coarse values in other ways."""
        ...

    def continued(self, t: float, U: Macro, bursts: int) -> Macro | None:
        """Coarse values after so many bursts in a row that are never lifted again."""
        ...

    def relifted(self, t: float, U: Macro, bursts: int) -> Macro | None:
        """The same, but with a fresh lift before each burst."""
        ...

    def relift_error(self, t: float, U: Macro) -> tuple[float, float]:
        """Largest |R L U - U|, and what round-off or one particle would make of it."""
        ...

    def correlation_length(self, t: float, U: Macro) -> dict[str, Any] | None:
        """Length of the microstructure in healed patches, and the width of a core."""
        ...

    def state(self, U: Macro, t: float) -> Handle:
        """A state of the scheme with these coarse values."""
        ...

    def why_not(self, experiment: str) -> str:
        """Why an experiment makes no sense here."""
        ...

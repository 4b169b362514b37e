"""How patches are filled with particles, and how much noise is accepted."""

from __future__ import annotations

from dataclasses import dataclass

from gpupatch.contract import checked
from gpupatch.errors import SchemeError, suggestion

EDGES = ("open", "reflecting", "reservoir")


@checked(SchemeError)
@dataclass(frozen=True)
class Sampling:
    """How patches are filled with particles, and how much noise is accepted.

    Attributes:
        lift: "low_noise", "stochastic" or "weighted", see `ParticleLifting`.
        number: "rounded" or "poisson" number of particles; chosen by `lift` when absent.
        weight: what one simulated particle stands for.
        edges: ends of the patches: "open" (particles leave), "reflecting", or "reservoir"
            (reflecting, and the outer halves of the buffers keep their density); when absent,
            reflecting for hard rods, lattice gases and particles that act in pairs, else open.
        refill: time between two looks at the reservoirs; a twentieth of the burst when absent.
        common: subtract a burst with the same random numbers and no slope.
        tolerance: relative standard error that is asked of slopes, or None.
        max_replicas: replicas of a burst beyond which noise is accepted.
        drift: mean velocity of lifted particles of `langevin` dynamics, in units of that which the
            slope of their density would give them in the end, -T/(m friction) rho'/rho.

    Raises:
        SchemeError: if there are no such edges, or numbers are out of range.
    """

    lift: str = "low_noise"
    number: str | None = None
    weight: float = 1.0
    edges: str | None = None
    refill: float | None = None
    common: bool = False
    tolerance: float | None = None
    max_replicas: int = 64
    drift: float = 0.0

    def __post_init__(self):
        if self.edges is not None and self.edges not in EDGES:
            raise SchemeError(f"there are no edges `{self.edges}`. {suggestion(self.edges, EDGES)}")
        if self.refill is not None and (self.edges != "reservoir" or not self.refill > 0):
            raise SchemeError("`refill` is a positive time, and belongs to edges `reservoir`.")
        if self.tolerance is not None and not self.tolerance > 0:
            raise SchemeError(f"`tolerance` is {self.tolerance}; it must be positive.")
        if self.max_replicas < 1:
            raise SchemeError(f"`max_replicas` is {self.max_replicas}; at least 1 is needed.")

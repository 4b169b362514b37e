"""A micro-simulator made of particles: what acts on them, how they move, how they are bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.contract import checked
from gpupatch.errors import InputError, RuleError, suggestion
from gpupatch.particles.dynamics import Dynamics, HardRods, HeatDriven, Sheared
from gpupatch.particles.interaction import Angles, Bonds, Field, Pair
from gpupatch.particles.state import ParticleState

BOUNDARIES = ("periodic", "reflecting", "open")
SEARCHES = ("auto", "all", "verlet")


@checked(RuleError)
@dataclass(frozen=True)
class Neighbours:
    """How pairs within the cutoff are found.

    Attributes:
        search: "all" pairs, a "verlet" list that is rebuilt when a particle has moved half the
            skin (by cells in large patches), or "auto", whichever is faster for the patch.
        skin: width of the shell around the cutoff that a list covers, same units as positions.
        capacity: neighbours of one particle that a list has room for; estimated from the densest
            patch when absent. A list that overflows is never used: the burst is begun again with
            more room.

    Raises:
        RuleError: for an unknown search, or numbers that are not positive.
    """

    search: str = "auto"
    skin: float = 0.3
    capacity: int | None = None

    def __post_init__(self):
        if self.search not in SEARCHES:
            raise RuleError(
                f"there is no search `{self.search}`. {suggestion(self.search, SEARCHES)}"
            )
        if not 0 < self.skin < np.inf:
            raise RuleError(f"`skin` is {self.skin}; it must be positive.")
        if self.capacity is not None and self.capacity < 1:
            raise RuleError(f"`capacity` is {self.capacity}; it must be at least 1.")


@checked(RuleError)
@dataclass(frozen=True, eq=False)
class ParticleModel:
    """Particles of one or more types in patches of one to three dimensions.

    Attributes:
        ndim: dimensions of space.
        dynamics: equations of motion.
        pair: potential between all pairs, or None.
        bonds: springs between given particles, or None.
        angles: bending between bonds, or None.
        field: external potential, or None.
        boundary: what closes each axis: "periodic"; "reflecting" walls at +-box/2; or "open",
            where particles may leave and nothing is beyond.
        masses: of each type.
        neighbours: how pairs are found.
        seed: seed of all random numbers.
        first_patch: number of the first patch, from which the random numbers of a batch follow.

    Raises:
        RuleError: if parts contradict each other.
    """

    ndim: int
    dynamics: Dynamics
    pair: Pair | None = None
    bonds: Bonds | None = None
    angles: Angles | None = None
    field: Field | None = None
    boundary: Sequence[str] = ()
    masses: Sequence[float] = (1.0,)
    neighbours: Neighbours = Neighbours()
    seed: int = 0
    first_patch: int = 0

    def __post_init__(self):
        if self.ndim not in (1, 2, 3):
            raise RuleError(f"`ndim` is {self.ndim}; particles live in 1, 2 or 3 dimensions.")
        boundary = tuple(self.boundary) or ("periodic",) * self.ndim
        object.__setattr__(self, "boundary", boundary)
        unknown = [b for b in boundary if b not in BOUNDARIES]
        if unknown:
            raise RuleError(
                f"there is no boundary `{unknown[0]}`. {suggestion(unknown[0], BOUNDARIES)}"
            )
        if len(boundary) != self.ndim:
            raise RuleError(f"{len(boundary)} boundaries are given for {self.ndim} axes.")
        masses = tuple(float(m) for m in self.masses)
        object.__setattr__(self, "masses", masses)
        if not masses or not all(0 < mass < np.inf for mass in masses):
            raise RuleError(f"`masses` are {masses}; give one positive number per type.")
        counts = {len(masses), *(one.n_types for one in (self.pair, self.field) if one is not None)}
        if len(counts - {1}) > 1:
            raise RuleError(
                f"masses, pair and field tell {sorted(counts - {1})} types of particles apart. "
                "Give each of them one number, or as many numbers as there are types."
            )
        self._check_dynamics()

    def _check_dynamics(self) -> None:
        acting = [self.pair, self.bonds, self.angles, self.field]
        bare = self.ndim == 1 and all(part is None for part in acting)
        if isinstance(self.dynamics, HardRods) and not bare:
            raise RuleError("hard rods live on a line, and nothing else acts on them.")
        closed = set(self.boundary) == {"periodic"} and self.ndim > 1
        if isinstance(self.dynamics, Sheared | HeatDriven) and not closed:
            raise RuleError(
                f"`{self.dynamics.kind}` dynamics needs a periodic box of 2 or 3 dimensions."
            )
        if isinstance(self.dynamics, HeatDriven) and (set(self.masses) != {1.0} or any(acting[1:])):
            raise RuleError("`heat_driven` dynamics is for a fluid of particles of mass 1.")

    def check(self, state: ParticleState) -> None:
        """Refuse a state that cannot be one of this model, before it is packed.

        Args:
            state: the particles.

        Raises:
            InputError: if dimensions, types or controls are others than those of the model, rods
                overlap, a temperature is negative, bonds or angles name particles that are not in
                every patch, or a periodic box is so narrow that a particle would meet two images of
                another.
        """
        if state.ndim != self.ndim:
            raise InputError(
                f"the particles have {state.ndim} coordinates, the model {self.ndim} dimensions."
            )
        wanted = self.dynamics.controls
        if state.controls.shape[1] != len(wanted):
            raise InputError(
                f"`{self.dynamics.kind}` dynamics imposes {list(wanted)}, but the state has "
                f"{state.controls.shape[1]} controls. Give them to `make_state`, with `names`."
            )
        types = state.types[state.present]
        if types.min(initial=0) < 0 or types.max(initial=0) >= self.n_types:
            raise InputError(
                f"particles are of types {types.min()} to {types.max()}, the model has types 0 to "
                f"{self.n_types - 1}."
            )
        if isinstance(self.dynamics, HardRods):
            filled = state.counts * self.dynamics.length / state.box[:, 0]
            if filled.max(initial=0.0) >= 1 and self.boundary[0] != "open":
                raise InputError(
                    f"rods {self.dynamics.length:.6g} long fill {filled.max():.3g} of their line, "
                    "and would overlap. Use fewer or shorter rods, or a longer patch."
                )
        if "temperature" in wanted:
            coldest = state.controls[:, wanted.index("temperature")].min(initial=0.0)
            if coldest < 0:
                raise InputError(f"a temperature is {coldest:.6g}; it must not be negative.")
        self._check_topology(int(state.counts.min(initial=np.iinfo(np.int32).max)))
        if self.pair is not None:
            closed = [a for a, b in enumerate(self.boundary) if b == "periodic"]
            narrowest = state.box[:, closed].min(initial=np.inf)
            if narrowest < 2 * self.pair.cutoff * (1 - 1e-9):
                raise InputError(
                    f"a periodic box is {narrowest:.6g} wide, less than twice the cutoff "
                    f"{self.pair.cutoff:.6g}, so that a particle would meet another one twice. Use "
                    "more particles, a lower density or a shorter cutoff."
                )

    def _check_topology(self, fewest: int) -> None:
        parts = [] if self.bonds is None else [("a bond", self.bonds.pairs)]
        parts += [] if self.angles is None else [("an angle", self.angles.triples)]
        for name, numbers in parts:
            if numbers.max(initial=0) >= fewest:
                raise InputError(
                    f"{name} names particle {numbers.max()}, but a patch has only {fewest} "
                    "particles, numbered from 0."
                )

    @property
    def n_types(self) -> int:
        """Types of particles."""
        told_apart = [one.n_types for one in (self.pair, self.field) if one is not None]
        return max([len(self.masses), *told_apart])

    @property
    def mass_by_type(self) -> NDArray[np.float64]:
        """The mass of every type, [type]."""
        return np.array(np.broadcast_to(self.masses, self.n_types), dtype=float)

    def mass_of(self, types: NDArray[np.int32]) -> NDArray[np.float64]:
        """Masses of particles, same shape as their types."""
        return self.mass_by_type[types]

    @property
    def conserves_momentum(self) -> bool:
        """Whether nothing from outside pushes or kicks the particles."""
        closed = self.field is None and "reflecting" not in self.boundary
        return closed and not self.dynamics.random

    def degrees_of_freedom(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """Quadratic terms of the kinetic energy: d N, less d where the momentum is conserved.

        Args:
            counts: particles of each patch, [patch].

        Returns:
            At least 1, [patch].
        """
        return np.maximum(self.ndim * (counts.astype(float) - self.conserves_momentum), 1.0)

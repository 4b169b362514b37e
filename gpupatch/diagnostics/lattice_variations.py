"""Variations of the schemes on lattices: what all three kinds have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.diagnostics.resized import moved, patch_widths
from gpupatch.diagnostics.variations import Balance, Microstructure, StepMap
from gpupatch.errors import GpupatchError
from gpupatch.projection import Projection
from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme
from gpupatch.scheme.problem import Problem
from gpupatch.stencil import SPECTRAL

LatticeScheme = CoupledScheme | BurstScheme | FluxScheme
SEEDS = 8
"""Bursts from which the standard error of a random slope is taken."""
MULTISTEP_LEAPS = 8
"""Leaps that count as one macro step of a method that remembers earlier ones."""
ORDERS = (2, 4, 6, 8)


class LatticeVariations:
    """One scheme on a lattice and its experiments; see `Variations` for what each method is.

    Args:
        scheme: what is tested.
        projection: the method that leaps, or None.
    """

    def __init__(self, scheme: Any, projection: Projection | None = None):
        self.scheme: Any = scheme
        self.projection = projection
        self.noisy = bool(scheme.problem.rule.noise)
        self._made: list[LatticeScheme] = []
        self._reasons: dict[str, str] = {}

    @property
    def cost(self) -> int:
        """Micro-steps of one patch that the experiments took so far."""
        return sum(one.micro_steps for one in self._made)

    @property
    def problem(self) -> Problem:
        """The problem of the scheme."""
        return self.scheme.problem

    def varied(self, **changes: Any) -> Any:
        """A variant that may try what the scheme would refuse.

        Args:
            changes: arguments of the constructor of the scheme, and of its problem and grid.
        """
        problem = {k: changes.pop(k) for k in ("grid", "dtype", "seed") if k in changes}
        if problem:
            changes["problem"] = dataclasses.replace(self.problem, **problem)
        variant = self.scheme.variant(**changes)
        variant.guarded = False
        self._made.append(variant)
        return variant

    def attempted(self, experiment: str, **changes: Any) -> Any:
        """A variant, or None with the reason why it cannot be made."""
        try:
            return self.varied(**changes)
        except GpupatchError as error:
            self._reasons[experiment] = f"the variant cannot be made: {error}"
            return None

    def refused(self, experiment: str, reason: str) -> None:
        """Note why an experiment makes no sense."""
        self._reasons[experiment] = reason

    def why_not(self, experiment: str) -> str:
        """Why an experiment makes no sense here."""
        return self._reasons[experiment]

    def at_places_of(self, scheme: Any, values: Macro, of: Any = None) -> Macro:
        """Coarse values of the scheme, or `of` a variant, at the places of another variant."""
        return moved(values, (of or self.scheme).problem.grid, scheme.problem.grid)

    def fraction(self) -> float:
        """Largest width of a patch with its buffers, in units of the distance of patches."""
        return float(patch_widths(self.problem.grid).max())

    def structure(self, parts: Sequence[Microstructure]) -> Microstructure:
        """The coarsest of the structures found along the axes of space."""
        coarsest = max(parts, key=lambda one: one.length / one.core)
        return dataclasses.replace(coarsest, axes=self.problem.grid.ndim)

    def other_order(self) -> Sequence[Any]:
        """The next lower and the next higher order, as far as there are any."""
        order, grid = self.scheme.made_of.get("order", 4), self.problem.grid
        if order == SPECTRAL:
            lower, higher = [p for p in ORDERS if p < min(grid.patches)][-1:], []
        else:
            lower, higher = [p for p in ORDERS if p == order - 2], [order + 2]
            # on few periodic patches trigonometric interpolation is what is left
            spectral = self.scheme.kind != "flux" and all(map(grid.periodic, range(grid.ndim)))
            higher += [SPECTRAL] if spectral else []
        made = [self.attempted("other_order", order=p) for p in lower]
        for p in higher:
            if (one := self.attempted("other_order", order=p)) is not None:
                made.append(one)
                break
        return [one for one in made if one is not None]

    def leap(self, inner_step: float, finer: int) -> tuple[Projection, float] | None:
        """The projection with leaps so many times as short, and the time of one macro step.

        Args:
            inner_step: the least model time that is simulated.
            finer: how many leaps take the place of one.
        """
        projection = self.projection
        if projection is None or projection.method in ("adaptive", "implicit", "none"):
            told = "say which" if projection is None else f"`{projection.method}`"
            return self.refused(
                "step_map", f"{told} projection: growth is tested of methods with fixed leaps"
            )
        step = projection.step
        if step is None:
            levels = 1 if projection.method == "pfe" else projection.levels or 2
            jump = (projection.inner or 2) + 1 + (projection.jump or 0.0)
            step = jump**levels * inner_step
        leaps = MULTISTEP_LEAPS if projection.method.startswith("ab") else 1
        return dataclasses.replace(projection, step=step / finer, jump=None), leaps * step

    def balance(self, t: float, U: Macro) -> Balance | None:
        """How well the total of the conserved fields is kept."""
        raise NotImplementedError

    def step_map(self, t: float, U: Macro, finer: int = 1) -> StepMap | None:
        """One macro step, or the same duration in so many times as many and shorter steps."""
        raise NotImplementedError

    def round_off(self) -> float:
        """Relative rounding error of an increment: float32 holds increments, not values."""
        return float(np.finfo(self.problem.dtype).eps)

    def totals(self, values: Macro) -> NDArray[np.float64]:
        """Sums over the domain, [member, field], each value times the space it stands for."""
        for axis, X in reversed(list(enumerate(self.problem.grid.centres))):
            values = values @ _shares(self.problem.grid, axis, X)
        return values


def _shares(grid, axis: int, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Space that every coarse value stands for, up to half-way to its neighbours."""
    lo, hi = grid.domain[axis]
    if grid.cells or (grid.periodic(axis) and isinstance(grid.positions, str)):
        return np.full(len(X), (hi - lo) / len(X))
    between = (X[1:] + X[:-1]) / 2
    return np.diff(np.concatenate([[lo], between, [hi]]))

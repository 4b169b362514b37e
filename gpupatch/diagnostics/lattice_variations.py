"""Variations of the schemes on lattices: what all three kinds have in common."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.burst import Burst, slope_weights
from gpupatch.diagnostics.resized import moved, patch_widths
from gpupatch.diagnostics.variations import Microstructure
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
SAMPLES = 64
"""Moments of a burst at which a transient is looked at."""


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
            lower, higher = [p for p in reversed(ORDERS) if p < min(grid.patches)], []
        else:
            lower, higher = [p for p in ORDERS if p == order - 2], [order + 2]
            # on few periodic patches trigonometric interpolation is what is left
            spectral = self.scheme.kind != "flux" and all(map(grid.periodic, range(grid.ndim)))
            higher += [SPECTRAL] if spectral else []
        made = []
        for orders in (lower, higher):
            attempts = (self.attempted("other_order", order=p) for p in orders)
            made += [one for one in attempts if one is not None][:1]
        return made

    def leap(self, inner_step: float, finer: int) -> tuple[Projection, float] | None:
        """The projection with leaps so many times as short, and the time of one macro step.

        Args:
            inner_step: the least model time that is simulated.
            finer: how many times shorter it is.
        """
        projection = self.projection
        if projection is None or projection.method in ("adaptive", "implicit", "none"):
            told = "say which" if projection is None else f"`{projection.method}`"
            return self.refused(
                "step_map", f"{told} projection: growth is tested of methods with fixed leaps"
            )
        step = projection.step
        if step is None:
            jump = (projection.inner or 2) + 1 + (projection.jump or 0.0)
            step = jump**self.levels * inner_step
        leaps = MULTISTEP_LEAPS if projection.method.startswith("ab") else 1
        step /= finer
        return dataclasses.replace(projection, step=step, jump=None), leaps * step

    def own_lift(self, t: float, U: Macro) -> Any:
        """The scheme, for its slopes are those of its own lift."""
        return self.scheme

    def leapt_transient(self, burst: Burst, inner_step: float, rate: float) -> float | None:
        """What a leap makes of a transient exp(-rate t), in units of its size.

        With rho = exp(-rate h) over an inner step h, k inner steps and a jump of M of them leave

            (M + 1) rho^k

        at most, level by level; a slope F = sum_s w_s U(s) leapt with over a time D leaves
        D |sum_s w_s exp(-rate s)|, and one at the end of an anchoring burst D rate exp(-rate b).

        Args:
            burst: the bursts of leaps with slopes.
            inner_step: h.
            rate: at which the transient fades.

        Source: Gear and Kevrekidis (2003) for inner steps and jumps [GearKevrekidis2003].
        """
        chosen = self.leap(inner_step, 1)
        if chosen is None or self.projection is None:
            return None
        method, leap = self.projection.method, chosen[0].step
        assert leap is not None
        if method in ("pfe", "telescopic"):
            k, levels = self.projection.inner or 2, self.levels
            M = max(0.0, (leap / inner_step) ** (1 / levels) - (k + 1))
            rho = math.exp(-rate * inner_step)
            for _ in range(levels - 1):
                rho = abs((M + 1) * rho - M) * rho**k
            return (M + 1) * rho**k
        if method.startswith("prk"):
            return leap * rate * math.exp(-rate * burst.length)
        s = np.linspace(0.0, burst.length, SAMPLES + 1)
        weights = slope_weights(burst, SAMPLES, burst.length / SAMPLES)
        return leap * abs(float(weights @ np.exp(-rate * s)))

    @property
    def levels(self) -> int:
        """How deep projective steps are nested."""
        assert self.projection is not None
        return 1 if self.projection.method == "pfe" else self.projection.levels or 2

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

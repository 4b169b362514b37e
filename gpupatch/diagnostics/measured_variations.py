"""Variations of the schemes that measure slopes in bursts: `burst` and `flux` on lattices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.burst import Burst
from gpupatch.diagnostics.detailed import DetailedFluxScheme, healed_details
from gpupatch.diagnostics.lattice_variations import SEEDS, LatticeVariations
from gpupatch.diagnostics.medium import structure_of
from gpupatch.diagnostics.resized import with_core
from gpupatch.diagnostics.variations import Balance, Microstructure, StepMap
from gpupatch.errors import RuleError
from gpupatch.micro.conservation import flux_form
from gpupatch.restriction import weighted_mean
from gpupatch.scheme import BurstScheme, FluxScheme
from gpupatch.scheme.flux import averaged

PART_STEPS = 2
"""Fewest micro-steps in a part of a burst."""
SETTLING = 20
"""Most bursts after which a hidden field that has not settled is taken as it is."""
SETTLED = 1e-3
"""Relative change over a burst below which a hidden field has settled."""


class MeasuredVariations(LatticeVariations):
    """A `BurstScheme` or a `FluxScheme` and its experiments; see `Variations`."""

    @property
    def burst(self) -> Burst:
        """The bursts of the scheme."""
        return self.scheme.burst_spec

    def slope(self, scheme: Any, t: float, U: Macro) -> tuple[Macro, Macro | None]:
        """dU/dt, averaged over some bursts where it is random, and its standard error."""
        if scheme is self.scheme:
            scheme = self.varied()
        if not self.noisy:
            return np.array(scheme.download(scheme.slope(t, U))), None
        seen = np.stack([scheme.download(scheme.slope(t, U)) for _ in range(SEEDS)])
        return seen.mean(axis=0), seen.std(axis=0, ddof=1) / math.sqrt(SEEDS)

    def error_in_run(self, error: Macro) -> Macro:
        """Standard error of one slope of a run, which averages its own number of bursts."""
        return error * math.sqrt(SEEDS / self.burst.replicas)

    def microstructure(self, t: float, U: Macro) -> Microstructure | None:
        """The medium below the width of a core."""
        grid, found = self.problem.grid, []
        for axis, model in enumerate(self.scheme.models * grid.ndim):
            if axis == grid.ndim:
                break
            core = grid.core_sites[axis].stop - grid.core_sites[axis].start
            found.append(structure_of(model, axis, core, core))
        return self.structure(found)

    def widened(self, factor: float) -> Any:
        """Cores and buffers so many times as wide."""
        return self.attempted("widened", grid=with_core(self.problem.grid, factor, factor))

    def buffered(self, factor: float) -> Any:
        """Buffers so many times as wide."""
        return self.attempted("buffered", grid=with_core(self.problem.grid, 1.0, factor))

    def other_edges(self) -> Any:
        """Frozen differences for frozen values, and the other way round, in uniform media."""
        scheme = self.scheme
        if not isinstance(scheme, BurstScheme):
            return self.refused("other_edges", "patches that measure fluxes have one kind of edge")
        if scheme.method != "steps" or scheme.edge_rate or scheme.lift != "polynomial":
            return self.refused("other_edges", "only plain bursts know both kinds of edges")
        medium = structure_of(scheme.model, 0, 1, 1)
        if self.problem.rule.coefficients and medium.length > 0:
            return self.refused(
                "other_edges", "in a heterogeneous medium frozen slopes are wrong without buffers"
            )
        other = "neumann" if scheme.edge == "dirichlet" else "dirichlet"
        return self.attempted("other_edges", edge=other)

    def protection(self, t: float, U: Macro) -> float | None:
        """Length of a burst over the longest one whose edges spoil less than 1e-3."""
        return self.burst.length / self.scheme.protected_burst(t, U)[0]

    def parts(
        self, scheme: Any, t: float, U: Macro, count: int
    ) -> tuple[NDArray[np.float64], Sequence[Macro]] | None:
        """Slopes over equal parts of one burst, each by a burst that ends there."""
        if self.noisy:
            return self.refused("parts", "parts of a burst are drowned in noise")
        length = self.burst.length
        stable = scheme.choose_dt(scheme.models[0], scheme.completed(scheme.upload(U)), t)
        steps = max(PART_STEPS, math.ceil(length / stable / count * (1 - 1e-12)))
        slopes = []
        for part in range(count):
            piece = Burst(
                length * (part + 1) / count,
                heal=length * part / count,
                dt=length / (count * steps),
                extrapolate=False,
            )
            one = scheme.variant(burst=piece)
            one.guarded = False
            self._made.append(one)
            slopes.append(np.array(one.download(one.slope(t, U))))
        return (np.arange(count) + 0.5) / count * length, slopes

    def other_lifts(self, t: float, U: Macro) -> Sequence[Any] | None:
        """Hidden fields from where they settle; else the details of healed patches kept."""
        scheme = self.scheme
        if self.noisy:
            return self.refused("other_lifts", "lifts cannot be told apart in noise")
        if getattr(scheme, "hidden", None):
            return [self.varied(hidden=self._settled(t, U))]
        if getattr(scheme, "method", "steps") != "steps" or self.problem.dtype != "float64":
            return self.refused("other_lifts", "only bursts of steps in float64 can keep details")
        grid = with_core(self.problem.grid, 1.0, 2.0)
        if isinstance(scheme, FluxScheme):
            plain = self.varied(grid=grid)
            made_of = {**plain.made_of, "details": healed_details(plain, t, U)}
            detailed = DetailedFluxScheme(**made_of)
            detailed.guarded = False
            self._made.append(detailed)
            return [detailed]
        healed = self.varied(lift="projection", edge_rate=False, grid=grid)
        healed.slope(t, U)
        return [healed]

    def _settled(self, t: float, U: Macro) -> dict[str, NDArray[np.float64]]:
        """Hidden fields after bursts in which the coarse values are put back again and again.

        Source: the constrained runs of Gear, Kaper, Kevrekidis and Zagaris (2005)
        [GearKaperKevrekidisZagaris2005].
        """
        scheme, fields = self.scheme, self.problem.rule.fields
        free = self.varied(hidden=None)
        start = np.array(free.download(scheme.completed(scheme.upload(U))))
        hidden = [fields.index(name) for name in scheme.hidden]
        for _ in range(SETTLING):
            end = np.array(free.download(free.burst(t, start)[0]))[:, hidden]
            change = np.abs(end - start[:, hidden]).max()
            start[:, hidden] = end
            if change <= SETTLED * np.abs(end).max():
                break
        return {name: start[:, fields.index(name)] for name in scheme.hidden}

    def continued(self, t: float, U: Macro) -> Macro | None:
        """U after two bursts in a row within buffers that are wide enough for both."""
        return self._twice("continued", t, U, relift=False)

    def relifted(self, t: float, U: Macro) -> Macro | None:
        """The same with a fresh lift before the second burst."""
        return self._twice("relifted", t, U, relift=True)

    def _twice(self, experiment: str, t: float, U: Macro, relift: bool) -> Macro | None:
        if self.noisy:
            return self.refused(experiment, "memory cannot be told from noise")
        grid, length = with_core(self.problem.grid, 1.0, 2.0), self.burst.length
        heal = 0.0 if isinstance(self.scheme, BurstScheme) else self.burst.healing

        def run(start: float, end: float, t: float, U: Macro) -> Macro:
            burst = Burst(
                end, heal=start, dt=self.burst.dt, slope=self.burst.slope, extrapolate=False
            )
            variant = self.varied(grid=grid, burst=burst)
            return np.array(variant.download(variant.slope(t, U)))

        first = U + length * run(heal, length, t, U)
        if relift:
            return first + length * run(heal, length, t + length, first)
        return first + length * run(length + heal, 2 * length, t, U)

    def relift_error(self, t: float, U: Macro) -> tuple[float, float]:
        """Largest |R L U - U|; of fluxes, how far constants are from being lifted to constants."""
        scheme = self.scheme
        allowed = 1e-12 * max(float(np.abs(U).max()), np.finfo(float).tiny)
        if isinstance(scheme, BurstScheme):
            lifted = weighted_mean(scheme.fields(scheme.upload(U), t), scheme.restriction)
            again = np.moveaxis(lifted.reshape(len(U), *U.shape[2:], -1), -1, 1)
            return float(np.abs(again - U).max()), allowed
        worst = 0.0
        for lifting in scheme.liftings:
            for axis, part in enumerate(lifting.axes):
                inner = part.nodes.max(axis=1) < self.problem.grid.patches[axis]
                sums = part.weights[inner].sum(axis=-1)
                worst = max(worst, float(np.abs(sums - 1).max(initial=0.0)))
        return worst * float(np.abs(U).max()), allowed

    def step_map(self, t: float, U: Macro, finer: int = 1) -> StepMap | None:
        """One leap over coarse values."""
        if self.noisy:
            return self.refused("step_map", "growth factors cannot be told from noise")
        chosen = self.leap(self.burst.length, finer)
        if chosen is None:
            return None
        shorter, duration = chosen
        scheme = self.varied(dtype="float64")

        def advance(x: NDArray[np.float64]) -> NDArray[np.float64]:
            start = scheme.upload(x.reshape(U.shape))
            system = scheme.system(shorter, t, start)
            return scheme.download(shorter.advance(system, t, start, t + duration)).ravel()

        return StepMap(U.ravel(), advance, duration)

    def burst_length(self, t: float, U: Macro) -> float:
        """Model time of one burst."""
        return self.burst.length

    def amplification(self, t: float, U: Macro, rate: float) -> float | None:
        """None: every burst begins with a fresh lift, so that leaps carry no transient along."""
        return self.refused("amplification", "every burst begins with a fresh lift")

    def balance(self, t: float, U: Macro, slope: Macro) -> Balance | None:
        """Totals of the slope against what leaves through the ends and what sources add."""
        size, turnover = (float(self.totals(np.abs(values)).max()) for values in (U, slope))
        rule, grid = self.problem.rule, self.problem.grid
        if not isinstance(self.scheme, BurstScheme):
            return Balance(self._unbalanced(t, U, slope), size, turnover, True)
        try:
            _, sources = flux_form(rule)
        except RuleError:
            return self.refused("balance", f"rule `{rule.name}` conserves nothing")
        if any(source != 0 for source in sources) or not all(map(grid.periodic, range(grid.ndim))):
            return self.refused("balance", "sources and ends change the total as well")
        return Balance(float(np.abs(self.totals(slope)).max()), size, turnover, False)

    def _unbalanced(self, t: float, U: Macro, slope: Macro) -> float:
        """|sum over cells of (slope + divergence at the ends - source)| of the `flux` scheme."""
        again, grid = self.varied(), self.problem.grid
        if self.noisy:
            # the same numbers drive both variants, but not the average over several bursts
            one = self.varied()
            slope = np.array(one.download(one.slope(t, U)))
        total = self.totals(slope)
        for axis in range(grid.ndim):
            flux, source = again.measure(t, U, axis)
            flux = np.array(again.download(flux))
            if not grid.periodic(axis):
                ends = np.take(flux, [-1], 2 + axis) - np.take(flux, [0], 2 + axis)
                across = [H for a, H in enumerate(grid.gap) if a != axis]
                total = total + ends.reshape(*ends.shape[:2], -1).sum(axis=2) * math.prod(across)
            if source is not None:
                source = np.array(again.download(source))
                cells = averaged(source, axis, *again.cell_weights[axis]) / grid.ndim
                total = total - self.totals(cells)
        return float(np.abs(total).max())

    def advice(self, about: str) -> str:
        """What a case file calls a thing, with its present value."""
        grid, burst = self.problem.grid, self.burst
        core = (grid.core_sites[0].stop - grid.core_sites[0].start) * grid.spacing[0]
        order = self.scheme.made_of.get("order", 4)
        return {
            "width": f"`grid.core` (now {core:.3g})",
            "buffer": f"`grid.buffer` (now {grid.buffer_width[0]:.3g})",
            "burst": f"`burst.length` (now {burst.length:.3g})",
            "heal": f"`burst.heal` (now {burst.healing:.3g})",
            "replicas": f"`burst.replicas` (now {burst.replicas})",
            "step": "`time.step`",
            "order": f"`scheme.order` (now {order})",
            "patches": f"`grid.patches` (now {list(grid.patches)})",
        }[about]

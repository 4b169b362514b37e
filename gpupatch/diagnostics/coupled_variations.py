"""Variations of the `coupled` scheme on lattices, whose state is the micro field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Handle, Macro, Micro
from gpupatch.burst import Burst
from gpupatch.diagnostics.detailed import oscillation
from gpupatch.diagnostics.lattice_variations import ORDERS, SEEDS, LatticeVariations
from gpupatch.diagnostics.medium import structure_of
from gpupatch.diagnostics.resized import with_reach
from gpupatch.diagnostics.staggered import filled
from gpupatch.diagnostics.variations import Balance, Microstructure, StepMap
from gpupatch.errors import RuleError
from gpupatch.lifting import core_lifting, reconstruct
from gpupatch.micro import analysis
from gpupatch.micro.conservation import flux_form
from gpupatch.projection import Projection
from gpupatch.restriction import weighted_mean
from gpupatch.scheme import CoupledScheme
from gpupatch.scheme.systems import CoupledSystem

CROSSINGS = 4.0
"""Length of a probe, in times that a patch takes to follow its edges; half of it heals."""
ROUGHNESS = 0.002
"""Size of an oscillation from site to site, in units of the value at the centre."""


class CoupledVariations(LatticeVariations):
    """A `CoupledScheme` and its experiments; see `Variations`.

    Slopes are those over the second half of a probe: patches are lifted from coarse values, run
    coupled until they follow their edges, and on for as long again. A patch of half-width L takes

        1 / (D / L^2 + c / L)

    to follow them, D and c being the diffusivity and the speed of the rule.

    Args:
        scheme: what is tested.
        projection: the method that leaps, or None.
        longest: longest model time that a probe may take, if not all that it needs to heal.
    """

    def __init__(
        self,
        scheme: CoupledScheme,
        projection: Projection | None = None,
        longest: float | None = None,
    ):
        super().__init__(scheme, projection)
        self._longest = math.inf if longest is None else longest
        self._lifted: dict[CoupledScheme, Micro] = {}

    def slope(self, scheme: Any, t: float, U: Macro) -> tuple[Macro, Macro | None]:
        """dU/dt over the healed half of a probe, and its standard error where it is random.

        Of variants that `own_lift` and `other_lifts` made it is the slope that leaps.
        """
        if scheme in self._lifted:
            u = scheme.load(self._lifted[scheme], t)
            return scheme.coarse(self._system(scheme, t, u).slope(t, u)), None
        U = self.at_places_of(scheme, U)
        if not self.noisy:
            probed = self.varied() if scheme is self.scheme else scheme
            return self._probe(probed, t, U), None
        made_of = {} if scheme is self.scheme else {"grid": scheme.problem.grid}
        seen = np.stack(
            [self._probe(self.varied(seed=1 + seed, **made_of), t, U) for seed in range(SEEDS)]
        )
        return seen.mean(axis=0), seen.std(axis=0, ddof=1) / math.sqrt(SEEDS)

    def state(self, scheme: CoupledScheme, t: float, U: Macro) -> Handle:
        """Patches lifted by polynomials from values at their centres."""
        grid, U = scheme.problem.grid, self._known(U)
        order = self.scheme.made_of.get("order", 4)
        if order == "spectral" and not all(map(grid.periodic, range(grid.ndim))):
            order = max(p for p in ORDERS if p < min(grid.patches))
        lifting = core_lifting(grid, scheme.names, order, scheme.restriction.weights)
        phases = scheme.model.n_members // scheme.n_members
        u = reconstruct(lifting, lifting.extended(np.repeat(U, phases, axis=0), t))
        return scheme.load(u, t)

    def _known(self, U: Macro) -> Macro:
        """Coarse values, those that live at no centre of a staggered lattice interpolated."""
        return filled(U, self.problem.grid, self.problem.rule.parity, self.scheme.names)

    def probe_time(self, scheme: CoupledScheme, t: float, U: Macro) -> float:
        """Model time of a probe."""
        extremes = self.problem.extremes(U)
        L = max(self.problem.grid.half_width)
        D = analysis.diffusivity(scheme.model, extremes, t)
        c = analysis.signal_speed(scheme.model, extremes, t)
        follow = D / L**2 + c / L
        if follow <= 0 or not math.isfinite(follow):
            return 2 * self.scheme.stable_dt(self.state(scheme, t, U), t)
        contrast = 1.0
        if scheme.model.coefficients.size and np.all(scheme.model.coefficients > 0):
            values = scheme.model.coefficients
            contrast = float(values.max() * (1 / values).mean())
        return min(CROSSINGS * contrast / follow, self._longest)

    def _probe(self, scheme: CoupledScheme, t: float, U: Macro) -> Macro:
        u = self.state(scheme, t, U)
        dt = scheme.stable_dt(u, t)
        steps = max(1, math.ceil(self.probe_time(self.scheme, t, U) / dt / 2 / scheme.every))
        steps *= scheme.every
        middle = scheme.advance(u, t, dt, steps)
        before = scheme.coarse(middle)
        after = scheme.coarse(scheme.advance(middle, t + steps * dt, dt, steps))
        return (after - before) / (steps * dt)

    def error_in_run(self, error: Macro) -> Macro:
        """Standard error of the slope over one probe."""
        return error * math.sqrt(SEEDS)

    def microstructure(self, t: float, U: Macro) -> Microstructure | None:
        """The medium below the width of a patch."""
        grid, model, found = self.problem.grid, self.scheme.model, []
        for axis, n in enumerate(grid.n_sites):
            e = grid.edges
            reach = n - 2 * e if grid.edgy else (n - e) // 2
            phases = self.scheme.coupling.phases[axis]
            found.append(structure_of(model, axis, n - e, reach, phases))
        return self.structure(found)

    def widened(self, factor: float) -> Any:
        """Patches whose coupling reaches so many times as far."""
        grid = with_reach(self.problem.grid, factor, bool(self.problem.rule.parity))
        if grid is None:
            return self.refused("widened", f"patches {factor:g} times as wide do not fit")
        return self.attempted("widened", grid=grid)

    def buffered(self, factor: float) -> Any:
        """None: coupled patches have no buffers."""
        return self.refused("buffered", "edges follow the patches around: there are no buffers")

    def other_edges(self) -> Any:
        """None: edges are interpolated."""
        return self.refused("other_edges", "edges follow the patches around")

    def protection(self, t: float, U: Macro) -> float | None:
        """None: edges follow the neighbours."""
        return self.refused("protection", "edges follow the patches around, however long it lasts")

    def parts(
        self, scheme: Any, t: float, U: Macro, count: int
    ) -> tuple[NDArray[np.float64], Sequence[Macro]] | None:
        """Slopes over equal parts of a burst from a healed state, or that of another lift."""
        if self.noisy:
            return self.refused("parts", "parts of a burst are drowned in noise")
        one = self.varied() if scheme is self.scheme else scheme
        given = self._lifted.get(one)
        u = self._healed(one, t, U) if given is None else one.load(given, t)
        length = self.burst_length(t, U)
        steps = math.ceil(max(1, length / one.stable_dt(u, t) / count) / one.every) * one.every
        dt, slopes, before = length / (count * steps), [], one.coarse(u)
        for part in range(count):
            u = one.advance(u, t + part * steps * dt, dt, steps)
            after = one.coarse(u)
            slopes.append((after - before) / (steps * dt))
            before = after
        return (np.arange(count) + 0.5) / count * length, slopes

    def _healed(self, scheme: CoupledScheme, t: float, U: Macro) -> Handle:
        u = self.state(scheme, t, self.at_places_of(scheme, U))
        dt = scheme.stable_dt(u, t)
        steps = math.ceil(self.probe_time(self.scheme, t, U) / dt / 2 / scheme.every)
        return scheme.advance(u, t, dt, max(1, steps) * scheme.every)

    def own_lift(self, t: float, U: Macro) -> Any:
        """Patches that have healed."""
        one = self.varied()
        return self._from(one.kernels.unpack(self._healed(one, t, U)))

    def other_lifts(self, t: float, U: Macro) -> Sequence[Any] | None:
        """The same values at the centres between polynomials, and between an oscillation.

        A leap carries the whole micro field along, so that a burst has to heal what a leap did to
        it; the first lift of all is polynomial.
        """
        if self.noisy:
            return self.refused("other_lifts", "lifts cannot be told apart in noise")
        one = self.varied()
        healed = self._healed(one, t, U)
        centres, u = one.coarse(healed), one.kernels.unpack(healed)
        fresh = one.kernels.unpack(self.state(one, t, centres))
        return [self._from(fresh), self._from(u + self._rough(u))]

    def _from(self, u: Micro) -> CoupledScheme:
        """A variant whose bursts begin with these sites, [patch, field, *sites]."""
        one = self.varied()
        self._lifted[one] = u
        return one

    def _rough(self, u: Micro) -> Micro:
        """An oscillation that vanishes at the centres, of which edges are made."""
        grid = self.problem.grid
        pattern = oscillation(grid, 2 if self.problem.rule.parity else 1)
        read = [w != 0 for w in self.scheme.restriction.weights]
        pattern[np.ix_(*read)] = 0.0
        centres = weighted_mean(u, self.scheme.restriction)
        return ROUGHNESS * centres.reshape(*centres.shape, *(1,) * grid.ndim) * pattern

    def continued(self, t: float, U: Macro) -> Macro | None:
        """U after two bursts from a healed state."""
        one = self.varied()
        system = self._system(one, t, u := self._healed(one, t, U))
        middle, _ = system.burst(t, u)
        return one.coarse(system.burst(t + system.burst_length, middle)[0])

    def relifted(self, t: float, U: Macro) -> Macro | None:
        """U after a leap over one burst and a burst: what a leap makes the micro field forget."""
        one = self.varied()
        system = self._system(one, t, u := self._healed(one, t, U))
        b = system.burst_length
        leapt = system.axpy([(1.0, u), (b, system.slope(t, u))])
        return one.coarse(system.burst(t + b, leapt)[0])

    def relift_error(self, t: float, U: Macro) -> tuple[float, float]:
        """Largest difference between coarse values and those of the patches lifted from them."""
        one = self.varied()
        error = float(np.abs(one.coarse(self.state(one, t, U)) - self._known(U)).max())
        unit = 1e-12 if self.problem.dtype == "float64" else 4 * float(np.finfo(np.float32).eps)
        return error, unit * max(float(np.abs(U).max()), np.finfo(float).tiny)

    def step_map(self, t: float, U: Macro, finer: int = 1) -> StepMap | None:
        """One leap of the micro field, or the micro-steps of half a probe."""
        if self.noisy:
            return self.refused("step_map", "growth factors cannot be told from noise")
        one = self.varied(dtype="float64")
        u = self._healed(one, t, U)
        shape, base = one.model.shape, one.kernels.unpack(u)
        dt = one.stable_dt(u, t)
        chosen = self.leap(self._system(one, t, u).inner_step, 1) if self.leaps else None
        if self.leaps and chosen is None:
            return None
        if chosen is not None and finer == 1:
            shorter, duration = chosen
            system = one.system(shorter, t, u)

            def leap(x: NDArray[np.float64]) -> NDArray[np.float64]:
                start = one.load(x.reshape(shape), t)
                return one.kernels.unpack(shorter.advance(system, t, start, t + duration)).ravel()

            return StepMap(base.ravel(), leap, duration)
        if chosen is None:
            time = self.probe_time(self.scheme, t, U) / 2
            steps = math.ceil(time / dt / one.every) * one.every
            dt /= finer
        else:
            time = min(chosen[1] / finer, 2 * self.burst_length(t, U))
            steps = math.ceil(time / dt / one.every) * one.every
        duration = steps * dt

        def step(x: NDArray[np.float64]) -> NDArray[np.float64]:
            start = one.load(x.reshape(shape), t)
            return one.kernels.unpack(one.advance(start, t, dt, steps)).ravel()

        return StepMap(base.ravel(), step, duration)

    def burst_length(self, t: float, U: Macro) -> float:
        """Model time of one burst; of a micro-step without leaps."""
        one = self.varied()
        u = self.state(one, t, U)
        return self._system(one, t, u).burst_length if self.leaps else one.stable_dt(u, t)

    @property
    def leaps(self) -> bool:
        """Whether a projective method leaps over the micro field."""
        return self.projection is not None and self.projection.method != "none"

    def _system(self, scheme: CoupledScheme, t: float, u: Handle) -> CoupledSystem:
        assert self.projection is not None
        return scheme.system(self.projection, t, u)

    def amplification(self, t: float, U: Macro, rate: float) -> float | None:
        """What a leap over the micro field makes of a transient."""
        one = self.varied()
        system = self._system(one, t, self.state(one, t, U))
        burst = self.scheme.burst_spec or Burst(system.burst_length)
        return self.leapt_transient(burst, system.inner_step, rate)

    def balance(self, t: float, U: Macro, slope: Macro) -> Balance | None:
        """Totals of the slope: what the interpolation adds or loses."""
        rule, grid = self.problem.rule, self.problem.grid
        try:
            _, sources = flux_form(rule)
        except RuleError:
            return self.refused("balance", f"rule `{rule.name}` conserves nothing")
        if any(source != 0 for source in sources) or not all(map(grid.periodic, range(grid.ndim))):
            return self.refused("balance", "sources and ends change the total as well")
        if self.noisy:
            return self.refused("balance", "the total is random, and conserved by no single patch")
        size, turnover = (float(self.totals(np.abs(values)).max()) for values in (U, slope))
        return Balance(float(np.abs(self.totals(slope)).max()), size, turnover, False)

    def advice(self, about: str) -> str:
        """What a case file calls a thing, with its present value."""
        grid, order = self.problem.grid, self.scheme.made_of.get("order", 4)
        size = "ratio" if grid.ratio is not None else "dx"
        return {
            "width": f"`grid.{size}` or `grid.sites` (now {list(grid.n_sites)})",
            "buffer": f"`grid.sites` (now {list(grid.n_sites)})",
            "burst": "`burst.length`",
            "heal": "`burst.heal`",
            "replicas": "`run.replicas`",
            "step": "`time.step`" if self.scheme.dt is None else "`time.dt`",
            "order": f"`scheme.order` (now {order})",
            "patches": f"`grid.patches` (now {list(grid.patches)})",
        }[about]

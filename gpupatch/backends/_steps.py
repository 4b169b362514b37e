"""The loops of one micro-step, and the order in which they run.

A row `w` holds slots of [field x sites]; slot 0 (for Euler, slot 0 and slot 1 by turns) is the
state. With d_s = dt rate(y_s) a Runge-Kutta step is

    y_(s+1) = u + sum_l a_(s+1, l) d_l,     u+ = u + sum_s b_s d_s,

where the second sum is built up, stage by stage, in a slot of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp

from gpupatch.backends._site_loops import Assignment, Geometry, SiteLoop, Store
from gpupatch.burst import TABLEAUX, VERLET, canonical_stepper
from gpupatch.errors import SchemeError
from gpupatch.micro.conservation import moved_accesses
from gpupatch.micro.lower import STEP, Block, Load, Lowering, noise_amplitudes
from gpupatch.micro.perturb import perturbed
from gpupatch.micro.rule import Rule

STATE = -1
"""What bursts measure unless it is the flux along an axis, or the source."""


@dataclass(frozen=True)
class Pass:
    """One loop of a step.

    Attributes:
        loop: what is done at each site of a row `w`.
        slot: slot whose edges are set before it, or None.
        time: fraction of the step at which it is evaluated.
    """

    loop: SiteLoop
    slot: int | None
    time: float


@dataclass(frozen=True)
class Steps:
    """A micro-stepper for one rule.

    Attributes:
        turns: passes of one step, for each place that the state takes in turn.
        n_slot: slots per row.
    """

    turns: list[list[Pass]]
    n_slot: int

    @property
    def times(self) -> list[float]:
        """Fraction of a step at which each loop is evaluated."""
        return [one.time for one in self.turns[0]]


def lower_passes(
    rule: Rule, geometry: Geometry, stepper: str, measured: int, single: bool
) -> tuple[tuple[sp.Expr, ...], Lowering, Lowering, Steps]:
    """Lower everything that passes over patches evaluate at a site.

    Args:
        rule: the micro-rule.
        geometry: sizes.
        stepper: name of the micro-stepper.
        measured: axis of the flux that bursts measure, `SOURCE` or `STATE`.
        single: whether the state is a float32 perturbation of a frozen base.

    Returns:
        Amplitudes of the noise by field, tables in the working precision, tables of what is
        evaluated in float64, and the micro-stepper.

    Raises:
        SchemeError: if the stepper does not exist or does not fit the rule.
        RuleError: if the rule has no perturbation form, or no flux.
    """
    amplitudes, read_by_noise = noise_amplitudes(rule)
    accesses = {*rule.accesses, *read_by_noise}
    if measured != STATE:
        accesses |= moved_accesses(rule)
    alike = dict(geometry.alike)
    point = Lowering(rule.fields, accesses, rule.ndim, alike)
    exact = Lowering(rule.fields, accesses, rule.ndim, alike)
    steps = write_steps(rule, geometry, point, canonical_stepper(stepper), single)
    return amplitudes, point, exact, steps


def write_steps(
    rule: Rule, geometry: Geometry, lowering: Lowering, stepper: str, single: bool
) -> Steps:
    """Write the loops of a micro-stepper.

    Args:
        rule: the micro-rule.
        geometry: sizes.
        lowering: tables in the working precision.
        stepper: canonical name of the stepper.
        single: whether the state is a float32 perturbation of a frozen base.

    Returns:
        The loops and their order.

    Raises:
        SchemeError: if the stepper does not fit the rule.
        RuleError: if the rule has no perturbation form.
    """
    writer = _VerletWriter if stepper == VERLET else _RungeKuttaWriter
    return writer(rule, geometry, lowering, stepper, single).steps()


class _Writer:
    n_slot: int

    def __init__(self, rule: Rule, geometry: Geometry, lowering: Lowering, stepper: str, single):
        self.rule, self.geometry, self.lowering, self.single = rule, geometry, lowering, single
        self.stepper = stepper
        self.size = len(rule.fields) * geometry.n_site
        self.rates, self.definitions = rule.rates, ()
        if single:
            form = perturbed(rule)
            self.rates, self.definitions = form.rates, form.definitions
            for symbol, access in form.read.items():
                lowering.declare(symbol, "base", access)

    def increments(self, fields: Sequence[int]) -> Block:
        """Increments of fields, d = dt rate; in float32 only what changes from the base."""
        return self.lowering.block([STEP * self.rates[f] for f in fields], self.definitions)

    def increment(self, value: str, f: int, corner: int) -> str:
        """The whole increment of a field: in float32 that of the base is added."""
        frozen = (self.n_slot + 1) * self.size + f * self.geometry.n_site + corner
        return f"({value} + w[{frozen} + i])" if self.single else value

    def at(self, slot: int, f: int, corner: int) -> str:
        """A field of a slot at the present site."""
        return f"w[{slot * self.size + f * self.geometry.n_site + corner} + i]"

    def loop(self, block: Block, slot: int, store: Store) -> SiteLoop:
        """A loop that reads the neighbours in a slot."""

        def read(load: Load, place: int) -> str:
            start = (self.n_slot if load.array == "base" else slot) * self.size
            return f"w[{start + place} + i]"

        return SiteLoop(block, read, store)


class _RungeKuttaWriter(_Writer):
    def __init__(self, rule, geometry, lowering, stepper, single):
        super().__init__(rule, geometry, lowering, stepper, single)
        self.tableau = TABLEAUX[stepper]
        self.n_stage = n = len(self.tableau.b)
        kept = [k for k in range(n) if np.any(self.tableau.a[k + 2 :, k])]
        self.total = min(n, 3)
        self.kept = {stage: self.total + 1 + k for k, stage in enumerate(kept)}
        self.n_slot = 2 if n == 1 else self.total + 1 + len(kept)

    def steps(self) -> Steps:
        block = self.increments(range(len(self.rule.fields)))
        turns = []
        for turn in range(2 if self.n_stage == 1 else 1):
            passes = []
            for stage in range(self.n_stage):
                slot = turn if stage == 0 else self._state(stage)
                loop = self.loop(block, slot, self._store(turn, stage))
                passes.append(Pass(loop, slot, float(self.tableau.c[stage])))
            turns.append(passes)
        return Steps(turns, self.n_slot)

    def _state(self, stage: int) -> int:
        return 1 + (stage - 1) % 2

    def _store(self, turn: int, stage: int) -> Store:
        """Add the increment of a stage to the sums that contain it."""
        a, b, last = self.tableau.a, self.tableau.b, stage == self.n_stage - 1

        def lines(values: list[str], corner: int) -> list[Assignment]:
            reads, writes = [], []
            for f, value in enumerate(values):
                d = f"d{f}"
                reads.append(Assignment(d, self.increment(value, f, corner), "T"))
                if stage == 0 or not last:
                    reads.append(Assignment(f"u{f}", self.at(turn, f, corner), "T"))
                if stage > 0:
                    reads.append(Assignment(f"c{f}", self.at(self.total, f, corner), "T"))
                total = _sum([(1.0, f"u{f}" if stage == 0 else f"c{f}"), (b[stage], d)])
                if last:
                    to = 1 - turn if self.n_stage == 1 else 0
                    writes.append(Assignment(self.at(to, f, corner), total))
                    continue
                earlier = [
                    (a[stage + 1, k], self.at(self.kept.get(k, 0), f, corner)) for k in range(stage)
                ]
                state = _sum([(1.0, f"u{f}"), (a[stage + 1, stage], d), *earlier])
                writes.append(Assignment(self.at(self._state(stage + 1), f, corner), state))
                writes.append(Assignment(self.at(self.total, f, corner), total))
                if stage in self.kept:
                    writes.append(Assignment(self.at(self.kept[stage], f, corner), d))
            return reads + writes

        return lines


class _VerletWriter(_Writer):
    """v += d_v / 2; u += d_u; v += d_v / 2, each with the rates of the newest state."""

    def __init__(self, rule, geometry, lowering, stepper, single):
        super().__init__(rule, geometry, lowering, stepper, single)
        names, pairs = rule.fields, rule.second_order
        if not pairs:
            raise SchemeError(
                f"velocity Verlet moves pairs of position and velocity, but rule `{rule.name}` "
                "declares none. Declare `second_order`, or use another micro-stepper."
            )
        self.positions = [names.index(x) for x, _ in pairs]
        self.velocities = [names.index(v) for _, v in pairs]
        moving = {names[f] for f in self.velocities}
        self.buffered = any(a.name in moving and any(a.offset) for a in rule.accesses)
        self.n_slot = 1 + self.buffered

    def steps(self) -> Steps:
        force, drift = self.increments(self.velocities), self.increments(self.positions)
        move = self.loop(drift, 0, self._add(self.positions, 1.0))
        kick = [self.loop(force, 0, self._add(self.velocities, 0.5))]
        if self.buffered:
            nothing = self.lowering.block([sp.S.Zero] * len(self.velocities))
            kick = [self.loop(force, 0, self._keep), self.loop(nothing, 0, self._add_kept)]
        first = [Pass(loop, None if k else 0, 0.0) for k, loop in enumerate(kick)]
        last = [Pass(loop, None if k else 0, 1.0) for k, loop in enumerate(kick)]
        return Steps([[*first, Pass(move, None, 0.0), *last]], self.n_slot)

    def _add(self, fields: list[int], weight: float) -> Store:
        def lines(values: list[str], corner: int) -> list[Assignment]:
            changes = [
                Assignment(f"d{f}", self.increment(value, f, corner), "T")
                for f, value in zip(fields, values, strict=True)
            ]
            places = [(f, self.at(0, f, corner)) for f in fields]
            return changes + [Assignment(p, _sum([(1.0, p), (weight, f"d{f}")])) for f, p in places]

        return lines

    def _keep(self, values: list[str], corner: int) -> list[Assignment]:
        return [
            Assignment(self.at(1, f, corner), self.increment(value, f, corner))
            for f, value in zip(self.velocities, values, strict=True)
        ]

    def _add_kept(self, values: list[str], corner: int) -> list[Assignment]:
        places = [(self.at(0, f, corner), self.at(1, f, corner)) for f in self.velocities]
        return [Assignment(place, _sum([(1.0, place), (0.5, kept)])) for place, kept in places]


def _sum(terms: list[tuple[float, str]]) -> str:
    shown = [name if w == 1 else f"T({float(w)!r}) * {name}" for w, name in terms if w != 0]
    return " + ".join(shown)

"""The Numba backend: every patch runs whole bursts while it sits in the cache of one core."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro, Micro, linear_combination
from gpupatch.backends._cache import load_source
from gpupatch.backends._numba_gas import NumbaGas
from gpupatch.backends._numba_particles import NumbaParticles
from gpupatch.backends._numba_passes import FROZEN, MOVING, SAME_SLOPE
from gpupatch.backends._numba_source import STATE, Program, generate, generate_acts
from gpupatch.backends._site_loops import geometry_of
from gpupatch.backends._tables import (
    axis_tables,
    boundary_table,
    burst_work,
    lift_tables,
    observation_tables,
    restriction_tables,
    ring_tables,
    rule_tables,
)
from gpupatch.burst import BurstPlan
from gpupatch.coupling import Coupling
from gpupatch.lifting import Lifting
from gpupatch.micro.model import MicroModel
from gpupatch.micro.verify import verify
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.model import ParticleModel
from gpupatch.restriction import Restriction

_WORTH_THREADS = 200_000
"""Site updates in one call from which several threads are used."""

_TABLE_ENTRIES = 1 << 18
"""Boundary values that are computed ahead of the steps that need them."""


_KEPT_TABLES = 6
"""Tables of scalars and statics, one per program and time step, that are kept."""


class NumbaBackend:
    """Compiled CPU code, all cores."""

    name = "numba"

    def load(self, model: MicroModel, dtype: str) -> NumbaKernels:
        """Lower the rule of a batch of patches; compilation waits until a pass is first used.

        Args:
            model: the micro-rule with its geometry, parameters and coefficients.
            dtype: "float64" or "float32".

        Raises:
            RuleError: if the rule has no form in that dtype, or if its function no longer does
                what was traced.
        """
        return NumbaKernels(model, dtype)

    def load_particles(self, model: ParticleModel, dtype: str = "float64") -> NumbaParticles:
        """Lower the forces of a particle model; compilation waits until a pass is first used.

        Args:
            model: the micro-simulator.
            dtype: "float64" or "float32".
        """
        return NumbaParticles(model, dtype)

    def load_gas(self, gas: LatticeGas) -> NumbaGas:
        """Bind a batch of patches of a lattice gas; compilation waits until it is run."""
        return NumbaGas(gas)


class NumbaKernels:
    """The passes over one batch of patches; handles are NumPy arrays.

    In float32 a state is held as u = base + v, as in the NumPy backend, but its rate is evaluated
    as f(base) in float64, rounded once, plus f(base + v) - f(base) in float32, expanded so that
    every term carries v.
    """

    lookahead = 1

    def __init__(self, model: MicroModel, dtype: str):
        verify(model.rule, dtype)
        self.model = model
        self.dtype = np.dtype(dtype)
        self.geometry = geometry_of(model)
        self._base = np.zeros((1, 1))
        self._tables: dict[tuple, tuple] = {}
        self._axes: dict[Coupling, tuple] = {}
        self._ring = ring_tables(model.sites, model.edges, len(model.rule.fields))
        self._scratch = np.empty((0, 0), dtype=self.dtype)

    @property
    def _single(self) -> bool:
        return self.dtype == np.float32

    def pack(self, u: Micro) -> Micro:
        """A state from host values; in float32 they become the base."""
        if not self._single:
            return np.array(u, dtype=np.float64, order="C")
        self._base = np.array(u, dtype=np.float64).reshape(len(u), -1)
        return np.zeros(u.shape, dtype=np.float32)

    def unpack(self, u: Micro) -> Micro:
        """The values of a state in float64."""
        if self._single:
            return self._base_of(u).reshape(u.shape) + u
        return np.array(u)

    def store(self, u: Micro) -> Micro:
        """A copy of the handle; in float32 what it differs by from the base."""
        return u.copy()

    def recall(self, stored: Micro) -> Micro:
        """The handle that `store` showed; the base stays."""
        return np.array(stored, dtype=self.dtype, order="C")

    def axpy(self, terms: Sequence[tuple[float, Micro]]) -> Micro:
        """sum_k weight_k state_k."""
        (weight, first), *rest = terms
        total = np.multiply(first, self.dtype.type(weight))
        product = np.empty_like(total) if rest else total
        for weight, state in rest:
            np.multiply(state, self.dtype.type(weight), out=product)
            total += product
        return total

    def upload(self, U: Macro) -> Macro:
        """Coarse values as they are: patches are on the host."""
        return U

    def download(self, U: Macro) -> Macro:
        """Coarse values as they are."""
        return U

    def combine(self, terms: Sequence[tuple[float, Macro]]) -> Macro:
        """sum_k weight_k U_k of coarse values."""
        return linear_combination(terms)

    def couple(
        self, coupling: Coupling, u: Micro, t: float, rate_over: float | None = None
    ) -> None:
        """Set the edge sites in place.

        Args:
            coupling: the interpolation.
            u: state, or rate of change if `rate_over` is given.
            t: time of the boundary values.
            rate_over: time over which boundary values are differenced, for rates.
        """
        code = self._acts(u.size)
        given = boundary_table(coupling, [t], rate_over)
        couple = code.couple_all if rate_over is None else code.couple_rates
        couple(_rows(u), 0, self._base_of(u), self._coupling(coupling), given, 0)

    def rate(self, u: Micro, t: float) -> Micro:
        """du/dt on the interior, zero on the edges."""
        code, program = self._program("euler", u.size)
        out = np.empty_like(u)
        tables = self._tables_for(program, 1.0)
        base = self._base_of(u)
        code.rate_all(_rows(u), base, tables, self._n_member, float(t), _rows(out))
        return out

    def advance(
        self,
        coupling: Coupling,
        u: Micro,
        t: float,
        dt: float,
        n_steps: int,
        stepper: str,
        every: int = 1,
        first: int = 0,
    ) -> None:
        """Take micro-steps in place with coupled edges, many of them in one compiled call.

        Args:
            coupling: the interpolation.
            u: state.
            t: time at the beginning.
            dt: micro time step.
            n_steps: number of steps, a multiple of `every`.
            stepper: name of the micro-stepper.
            every: steps between couplings; in between the edges move linearly.
            first: number of the first step, from which its random numbers follow.
        """
        advance = self._advance_coupled if every == 1 else self._advance_moving
        advance(coupling, u, float(t), float(dt), n_steps, stepper, every, self._key(0, first))

    def _advance_coupled(self, coupling, u, t, dt, n_steps, stepper, every, key):
        code, program = self._program(stepper, u.size)
        tables, axes = self._tables_for(program, dt), self._coupling(coupling)
        if self._scratch.shape != (len(u), code.ROW):
            self._scratch = np.empty((len(u), code.ROW), dtype=self.dtype)
        varying, fractions = coupling.time_dependent, program.steps.times
        given, at_once = boundary_table(coupling, [t]), max(n_steps, 1)
        if varying:
            per_step = len(fractions) * sum(table.size for table in given)
            at_once = max(1, _TABLE_ENTRIES // max(per_step, 1))
        for first in range(0, max(n_steps, 1), at_once):
            steps = min(at_once, n_steps - first)
            last = first + steps
            if varying:
                times = [t + (k + c) * dt for k in range(first, last) for c in fractions]
                given = boundary_table(coupling, [*times, t + last * dt])
            code.advance_all(
                _rows(u), self._scratch, self._noise_work(u), self._ring,
                self._base_of(u), tables, axes, given, key,
                self._n_member, (t, dt, first, steps), last == n_steps,
            )  # fmt: skip

    def _advance_moving(self, coupling, u, t, dt, n_steps, stepper, every, key):
        code, program = self._program(stepper, u.size * every)
        times = [t + first * dt for first in range(0, n_steps + 1, every)]
        varying = coupling.time_dependent
        given = boundary_table(coupling, times if varying else times[:1])
        rates = boundary_table(coupling, times if varying else times[:1], every * dt)
        per_step = tuple(table * dt for table in rates)
        never = np.zeros(every + 1, dtype=bool)
        observe = (np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), never)
        code.advance_blocks(
            _rows(u), np.empty_like(_rows(u)), self._base_of(u), self._tables_for(program, dt),
            self._coupling(coupling), given, per_step, (), self._ring, observe,
            np.zeros((every + 1, 0)), key, self._n_member, (t, dt, n_steps), every,
            self._work(code, len(u)),
        )  # fmt: skip

    def lift(self, lifting: Lifting, extended: Macro) -> Micro:
        """Sites of all patches from extended coarse values."""
        n_patch = len(extended) * int(np.prod([len(part.nodes) for part in lifting.axes]))
        u = np.empty((n_patch, *self.model.shape[1:]))
        code = self._acts(u.size)
        tables = lift_tables(lifting, extended, None, self._chunks(n_patch))
        code.lift_all(_rows(u), tables, n_patch // len(extended))
        return self.pack(u) if self._single else u

    def burst(
        self, u: Micro, plan: BurstPlan, t: float, edge_rate: Micro | None = None
    ) -> NDArray[np.float64]:
        """Run every patch on its own, in place.

        Args:
            u: state, edges included.
            plan: steps, restriction and estimator weights.
            t: time at the beginning.
            edge_rate: rates of change of the edge values, [patch, field, *sites]; frozen edges
                when absent.

        Returns:
            ``out[q, patch, field]``, the restricted samples summed with the weights of the plan.
        """
        moving = edge_rate is not None
        rate = np.asarray(edge_rate, dtype=self.dtype) if moving else u
        return self._burst(_rows(u), self._base_of(u), None, len(u), plan, t, _rows(rate), moving)

    def lift_burst_restrict(
        self, lifting: Lifting, extended: Macro, plan: BurstPlan, t: float, edge_rate=None
    ) -> NDArray[np.float64]:
        """Lift, burst and restrict, patch by patch: the batched state never exists.

        Args:
            lifting: the reconstruction.
            extended: extended coarse values.
            plan: steps, restriction and estimator weights.
            t: time at the beginning.
            edge_rate: extended rates of change of the coarse values, for edges that move.

        Returns:
            As `burst`.
        """
        n_patch = len(extended) * int(np.prod([len(part.nodes) for part in lifting.axes]))
        lift = lift_tables(lifting, extended, edge_rate, self._chunks(n_patch))
        u, base = np.zeros((1, 1), dtype=self.dtype), np.zeros((1, 1))
        return self._burst(u, base, lift, n_patch, plan, t, u, edge_rate is not None)

    def restrict(self, restriction: Restriction, u: Micro) -> NDArray[np.float64]:
        """Weighted means over the cores, [patch, field]."""
        code, out = self._acts(u.size), np.empty(u.shape[:2])
        rows, weights, line = restriction_tables(restriction, self.model.sites)
        code.restrict_all(
            _rows(u), self._base_of(u), self._single, rows, weights, line, u.shape[1], out
        )
        return out

    def norm(self, u: Micro) -> float:
        """Largest magnitude over all sites."""
        return float(max(u.max(), -u.min()))

    def finite(self, u: Micro) -> bool:
        """Whether every value is finite."""
        return bool(np.isfinite(u.min()) and np.isfinite(u.max()))

    def describe(self, stepper: str, coupled: bool) -> list[str]:
        """Nothing to tell: memory is that of the host."""
        return []

    def facts(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}

    def _burst(self, rows, base, lift, n_patch, plan: BurstPlan, t, edge_rate, moving):
        updates = n_patch * int(np.prod(self.model.shape[1:])) * plan.n_steps
        code, program = self._program(plan.stepper, updates, plan.flux_axis, lift is not None)
        out = np.zeros((plan.weights.shape[1], n_patch, self.model.shape[1]))
        mode = MOVING if moving else SAME_SLOPE if plan.edge == "neumann" else FROZEN
        code.burst_all(
            rows, out, base, self._tables_for(program, plan.dt), lift or (), self._ring, edge_rate,
            mode, 1.0, observation_tables(plan, self.model.sites),
            np.ascontiguousarray(plan.weights), self._key(plan.stream, plan.first), self._n_member,
            float(t), (float(t), float(plan.dt), 0, plan.n_steps), self._work(code, n_patch),
        )  # fmt: skip
        return out

    def _work(self, code, n_patch: int) -> tuple:
        size, pairs = code.N_FIELD * code.N_SITE, len(self._ring[1])
        return burst_work(self._chunks(n_patch), code.ROW, size, pairs, self.dtype)

    def _noise_work(self, u: Micro) -> NDArray[np.float64]:
        return np.empty(_rows(u).shape if self.model.rule.noise else (1, 1))

    @property
    def _n_member(self) -> int:
        return len(self.model.origin)

    def _base_of(self, u: Micro) -> NDArray[np.float64]:
        """The frozen base, [patch, field x sites]; zero before anything was packed."""
        if self._single and len(self._base) != len(u):
            self._base = np.zeros((len(u), u[0].size))
        return self._base

    def _chunks(self, n_patch: int) -> int:
        return min(n_patch, 8 * numba.get_num_threads())

    def _key(self, stream: int, first: int = 0) -> NDArray[np.uint64]:
        seed, low = self.model.seed, 0xFFFFFFFF
        words = [seed & low, (seed >> 32) & low, stream & low, first & low, self.model.first_patch]
        return np.array(words, dtype=np.uint64)

    def _coupling(self, coupling: Coupling) -> tuple:
        if coupling not in self._axes:
            self._axes[coupling] = axis_tables(coupling, self.model.n_members)
        return self._axes[coupling]

    def _acts(self, updates: int) -> ModuleType:
        return compiled_acts(len(self.model.sites), self.dtype.name, self._threads(updates))

    def _threads(self, updates: int) -> bool:
        """Whether there is work for several threads."""
        return numba.get_num_threads() > 1 and updates >= _WORTH_THREADS

    def _program(self, stepper: str, updates: int, measured: int = STATE, lifts: bool = False):
        """Compiled passes for a stepper, and the program they came from."""
        return compiled(
            self.model.rule, self.geometry, self.dtype.name, stepper, measured, lifts,
            self._threads(updates),
        )  # fmt: skip

    def _tables_for(self, program: Program, step: float) -> tuple:
        """Scalars and statics of a program for one micro time step."""
        key = (program, step)
        if key not in self._tables:
            while len(self._tables) >= _KEPT_TABLES:
                self._tables.pop(next(iter(self._tables)))
            self._tables[key] = rule_tables(
                self.model, program.point, program.exact, step, self.dtype
            )
        return self._tables[key]


@functools.lru_cache(maxsize=256)
def compiled(*choices) -> tuple[ModuleType, Program]:
    """The module generated for a rule, and the program it came from; see `generate`."""
    program = generate(*choices)
    load_source(program.acts)
    return load_source(program.text), program


@functools.lru_cache
def compiled_acts(ndim: int, dtype: str, threads: bool) -> ModuleType:
    """The module of the acts that do not depend on the rule; see `generate_acts`."""
    return load_source(generate_acts(ndim, dtype, threads))


def _rows(u: NDArray[Any]) -> NDArray[Any]:
    """A state as [patch, field x sites], without a copy."""
    return u.reshape(len(u), -1)

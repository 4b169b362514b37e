"""The CUDA backend: all patches in one array on a device, a burst in one launch."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Handle, Macro, Micro
from gpupatch.backends._cuda_source import (
    ACTS,
    KERNELS,
    STATE,
    Program,
    Teams,
    generate,
    generate_acts,
)
from gpupatch.backends._cuda_structs import (
    CLOCK,
    LIFT,
    MODEL,
    Struct,
    Tables,
    filled,
    layout,
)
from gpupatch.backends._device import Device, DeviceArray, Module
from gpupatch.backends._site_loops import geometry_of
from gpupatch.backends._tables import boundary_table, rule_tables
from gpupatch.burst import BurstPlan
from gpupatch.coupling import Coupling
from gpupatch.lifting import Lifting
from gpupatch.micro.model import MicroModel
from gpupatch.micro.verify import verify
from gpupatch.restriction import Restriction

FROZEN, MOVING, SAME_SLOPE = 0, 1, 2
"""What the edge sites of a patch do during a burst."""

_KEPT_TABLES = 6
"""Tables of scalars and statics, one per program and time step, that are kept."""

_BLOCKS = 8
"""Blocks per multiprocessor; further patches are done by the same blocks."""


class CudaBackend:
    """Kernels in CUDA C++, generated for each rule.

    Args:
        device: where they run.
    """

    def __init__(self, device: Device):
        self.device = device
        self.name = device.name

    def load(self, model: MicroModel, dtype: str) -> CudaKernels:
        """Lower the rule of a batch of patches; compilation waits until a pass is first used.

        Args:
            model: the micro-rule with its geometry, parameters and coefficients.
            dtype: "float64" or "float32".

        Raises:
            RuleError: if the rule has no form in that dtype, or if its function no longer does
                what was traced.
        """
        return CudaKernels(model, dtype, self.device)


class CudaKernels:
    """The passes over one batch of patches; handles are arrays on the device.

    In float32 a state is held as u = base + v, as in the other backends.
    """

    def __init__(self, model: MicroModel, dtype: str, device: Device):
        verify(model.rule, dtype)
        self.model, self.device = model, device
        self.dtype = np.dtype(dtype)
        self.geometry = geometry_of(model)
        self._single = self.dtype == np.float32
        self._size = int(np.prod(model.shape[1:]))
        self._base: DeviceArray | None = None
        self._fixed = Tables(device)
        self._edge = self._fixed.edges(model.sites, model.edges, len(model.rule.fields))
        self._couplings: dict[Coupling, Struct] = {}
        self._models: dict[tuple[Program, float], tuple[Struct, Tables]] = {}

    def pack(self, u: Micro) -> Handle:
        """A state from host values; in float32 they become the base."""
        whole = self.device.put(np.array(u, dtype=np.float64, order="C"))
        if not self._single:
            return whole
        self._base = whole
        return self.device.xp.zeros(u.shape, dtype=np.float32)

    def unpack(self, u: Handle) -> Micro:
        """The values of a state in float64."""
        if not self._single:
            return np.array(self.device.get(u))
        base = self._base_of(u).reshape(u.shape)
        return self.device.get(base + u.astype(np.float64))

    def axpy(self, terms: Sequence[tuple[float, Handle]]) -> Handle:
        """sum_k weight_k state_k."""
        (weight, first), *rest = terms
        total = first * self.dtype.type(weight)
        for weight, state in rest:
            total += state * self.dtype.type(weight)
        return total

    def couple(
        self, coupling: Coupling, u: Handle, t: float, rate_over: float | None = None
    ) -> None:
        """Set the edge sites in place.

        Args:
            coupling: the interpolation.
            u: state, or rate of change if `rate_over` is given.
            t: time of the boundary values.
            rate_over: time over which boundary values are differenced, for rates.
        """
        given = self._boundary(coupling, [t], rate_over)
        base = self._base_of(u) if self._single and rate_over is None else None
        self._couple(coupling, u, base, given, 0, self._size, 0)

    def rate(self, u: Handle, t: float) -> Handle:
        """du/dt on the interior, zero on the edges."""
        module, program = self._program("euler")
        out = self.device.xp.empty_like(u)
        self._rate(module, program, u, out, 1.0, t)
        return out

    def advance(
        self,
        coupling: Coupling,
        u: Handle,
        t: float,
        dt: float,
        n_steps: int,
        stepper: str,
        every: int = 1,
        stream: int = 0,
    ) -> None:
        """Take micro-steps in place with coupled edges.

        Args:
            coupling: the interpolation.
            u: state.
            t: time at the beginning.
            dt: micro time step.
            n_steps: number of steps, a multiple of `every`.
            stepper: name of the micro-stepper.
            every: steps between couplings; in between the edges move linearly.
            stream: sets the random numbers of this call apart.
        """
        advance = self._advance_coupled if every == 1 else self._advance_moving
        advance(coupling, u, float(t), float(dt), n_steps, stepper, every, stream)

    def _advance_coupled(self, coupling, u, t, dt, n_steps, stepper, every, stream):
        module, program = self._program(stepper)
        xp, n, base = self.device.xp, len(u), self._base_of(u)
        state = self._base_of(u) if self._single else None
        rows = xp.empty((n, program.row), dtype=self.dtype)
        model, _ = self._model(program, dt, stream)
        noisy = bool(self.model.rule.noise)
        fields = xp.empty((n, self._size)) if noisy else base
        turns, times = program.steps.turns, program.steps.times
        varying = coupling.time_dependent
        given = self._boundary(coupling, [t])
        self._over_patches(module, "begin_all", n, (u, base, rows, np.int64(n), model, _f(t)))
        turn = 0
        for step in range(n_steps):
            now = t + step * dt
            if varying:
                given = self._boundary(coupling, [now + c * dt for c in times])
            for k, one in enumerate(turns[turn]):
                if one.slot is not None:
                    at = one.slot * self._size
                    self._couple(coupling, rows, state, given, k * varying, program.row, at)
                number, moment = turn * len(times) + k, _f(now + times[k] * dt)
                arguments = (rows, base, np.int64(n), model, np.int32(number), moment)
                self._over_patches(module, "pass_all", n, arguments)
            old, turn = turn, (turn + 1) % len(turns)
            if noisy:
                arguments = (
                    rows, base, fields, np.int64(n), model, self._edge, np.int32(old),
                    np.int32(turn), np.int64(step), _f(now), _f(dt),
                )  # fmt: skip
                self._over_patches(module, "kick_all", n, arguments)
        if varying:
            given = self._boundary(coupling, [t + n_steps * dt])
        self._couple(coupling, rows, state, given, 0, program.row, turn * self._size)
        self._over_patches(module, "end_all", n, (u, rows, np.int64(n), np.int32(turn)))

    def _advance_moving(self, coupling, u, t, dt, n_steps, stepper, every, stream):
        module, program = self._program(stepper)
        base = self._base_of(u) if self._single else None
        slope = self.device.xp.empty_like(u)
        nothing = filled(LIFT)
        tables = Tables(self.device)
        observe = tables.unobserved(every)
        given = self._boundary(coupling, [t])
        rates = self._boundary(coupling, [t], every * dt, scale=dt)
        for first in range(0, n_steps, every):
            begin = t + first * dt
            if coupling.time_dependent:
                given = self._boundary(coupling, [begin])
                rates = self._boundary(coupling, [begin], every * dt, scale=dt)
            self._couple(coupling, u, base, given, 0, self._size, 0)
            self._rate(module, program, u, slope, dt, begin)
            self._couple(coupling, slope, None, rates, 0, self._size, 0)
            edge = self._moving(MOVING, begin, 1.0 / dt)
            clock = filled(CLOCK, t=t, dt=dt, first=first, count=every)
            self._launch_burst(
                module, program, u, slope, None, nothing, edge, observe, clock, len(u), stream
            )
        given = self._boundary(coupling, [t + n_steps * dt])
        self._couple(coupling, u, base, given, 0, self._size, 0)

    def lift(self, lifting: Lifting, extended: Macro) -> Handle:
        """Sites of all patches from extended coarse values."""
        tables = Tables(self.device)
        struct = tables.lift(lifting, extended, None)
        n = self._lifted(lifting, extended)
        u = self.device.xp.empty((n, *self.model.shape[1:]))
        module, threads = self._acts()
        scratch = 8 * _scratch(struct)
        blocks, memory = self._blocks(n), None
        if scratch > self.device.limits.shared:
            memory, scratch = self.device.xp.empty(blocks * scratch // 8), 0
        module.launch(
            "lift_all", blocks, threads, (u, self._or_null(memory), np.int64(n), struct), scratch
        )
        return self.pack(self.device.get(u)) if self._single else u

    def burst(
        self, u: Handle, plan: BurstPlan, t: float, edge_rate: Micro | None = None
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
        speeds = None
        if edge_rate is not None:
            speeds = self.device.put(np.asarray(edge_rate, dtype=self.dtype))
        return self._burst(u, speeds, filled(LIFT), len(u), plan, t, edge_rate is not None)

    def lift_burst_restrict(
        self, lifting: Lifting, extended: Macro, plan: BurstPlan, t: float, edge_rate=None
    ) -> NDArray[np.float64]:
        """Lift, burst and restrict in one launch: the batched state never exists.

        Args:
            lifting: the reconstruction.
            extended: extended coarse values.
            plan: steps, restriction and estimator weights.
            t: time at the beginning.
            edge_rate: extended rates of change of the coarse values, for edges that move.

        Returns:
            As `burst`.
        """
        tables = Tables(self.device)
        struct = tables.lift(lifting, extended, edge_rate)
        n = self._lifted(lifting, extended)
        return self._burst(None, None, struct, n, plan, t, edge_rate is not None)

    def restrict(self, restriction: Restriction, u: Handle) -> NDArray[np.float64]:
        """Weighted means over the cores, [patch, field]."""
        tables = Tables(self.device)
        struct = tables.restriction(restriction, self.model.sites)
        n, n_field = u.shape[:2]
        out = self.device.xp.empty((n, n_field))
        module, threads = self._acts()
        base = self._base_of(u) if self._single else self._or_null(None)
        arguments = (
            u, base, out, np.int64(n), np.int32(n_field), np.int32(self.geometry.n_site), struct,
        )  # fmt: skip
        module.launch("restrict_all", self._blocks(n * n_field), threads, arguments)
        return np.array(self.device.get(out))

    def norm(self, u: Handle) -> float:
        """Largest magnitude over all sites."""
        return float(abs(u).max())

    def finite(self, u: Handle) -> bool:
        """Whether every value is finite."""
        return bool(self.device.xp.isfinite(u).all())

    def _burst(self, u, speeds, lift: Struct, n: int, plan: BurstPlan, t, moving: bool):
        module, program = self._program(plan.stepper, plan.flux_axis)
        tables = Tables(self.device)
        mode = MOVING if moving else SAME_SLOPE if plan.edge == "neumann" else FROZEN
        out = self.device.xp.zeros((plan.weights.shape[1], n, self.model.shape[1]))
        clock = filled(CLOCK, t=t, dt=plan.dt, first=0, count=plan.n_steps)
        observe = tables.observe(plan, self.model.sites)
        edge = self._moving(mode, t, 1.0)
        self._launch_burst(
            module, program, u, speeds, out, lift, edge, observe, clock, n, plan.stream,
            plan.flux_axis != STATE,
        )  # fmt: skip
        return np.array(self.device.get(out))

    def _launch_burst(
        self, module: Module, program: Program, u, speeds, out, lift: Struct, edge: Struct,
        observe: Struct, clock: Struct, n: int, stream: int, measures: bool = False,
    ) -> None:  # fmt: skip
        teams = self._teams()
        lifts = bool(lift["U"])
        place = layout(
            program.row * self.dtype.itemsize,
            self.dtype.itemsize,
            self._size,
            teams.team,
            edge,
            _scratch(lift) if lifts else 0,
            whole=lifts and self._single,
            field=measures or bool(self.model.rule.noise),
        )
        model, _ = self._model(program, float(clock["dt"]), stream)
        blocks = self._blocks(n * teams.team // teams.threads + 1)
        shared, memory = int(place["bytes"]) * (teams.threads // teams.team), None
        if shared > self.device.limits.shared:
            memory, shared = self.device.xp.empty(blocks * shared, dtype=np.uint8), 0
        base = self._or_null(None) if lifts else self._base_of(u)
        arguments = (
            self._or_null(u), base, self._or_null(speeds), self._or_null(out),
            self._or_null(memory), np.int64(n), model, lift, edge, observe, clock, place,
        )  # fmt: skip
        module.launch("burst", blocks, teams.threads, arguments, shared)

    def _rate(self, module: Module, program: Program, u, out, step: float, t: float) -> None:
        """`out` = step times the rate of u."""
        model, _ = self._model(program, step, 0)
        arguments = (u, self._base_of(u), out, np.int64(len(u)), model, _f(t))
        self._over_patches(module, "rate_all", len(u), arguments)

    def _over_patches(self, module: Module, name: str, n: int, arguments) -> None:
        teams = self._teams()
        blocks = self._blocks(-(-n * teams.team // teams.threads))
        module.launch(name, blocks, teams.threads, arguments)

    def _couple(self, coupling, u, base, given, when: int, row: int, at: int) -> None:
        if coupling not in self._couplings:
            self._couplings[coupling] = self._fixed.coupling(coupling, self.model.n_members)
        struct = self._couplings[coupling].copy()
        struct["row"], struct["at"] = row, at
        for axis, table in enumerate(given):
            if table.size:
                address = self.device.address(table)
                struct["axis"][axis]["given"] = address + when * table[0].nbytes
        module, threads = self._acts()
        blocks = self._blocks(-(-int(struct["n_patch"]) * int(struct["n_edge"]) // threads))
        module.launch("couple", blocks, threads, (u, self._or_null(base), struct))

    def _boundary(self, coupling, times, rate_over=None, scale: float = 1.0) -> list[DeviceArray]:
        """Right-hand sides on the device, per axis [time, side, field, patches, sites]."""
        tables = boundary_table(coupling, times, rate_over)
        return [self.device.put(table * scale) for table in tables]

    def _moving(self, mode: int, start: float, scale: float) -> Struct:
        edge = self._edge.copy()
        edge["mode"], edge["start"], edge["scale"] = mode, start, scale
        return edge

    def _model(self, program: Program, step: float, stream: int) -> tuple[Struct, Tables]:
        """Scalars and statics of a program for one micro time step, on the device."""
        key = (program, step)
        if key not in self._models:
            while len(self._models) >= _KEPT_TABLES:
                self._models.pop(next(iter(self._models)))
            tables = Tables(self.device)
            arrays = rule_tables(self.model, program.point, program.exact, step, self.dtype)
            names = ("s", "q", "e", "r")
            struct = filled(
                MODEL, **{k: tables.pointer(a) for k, a in zip(names, arrays, strict=True)}
            )
            s, q, e, r = arrays
            struct["s_step"] = s.shape[1] * (len(s) > 1)
            struct["e_step"] = e.shape[1] * (len(e) > 1)
            struct["q_step"], struct["r_step"] = q.shape[1], r.shape[1]
            struct["n_member_patch"] = len(self.model.origin)
            self._models[key] = struct, tables
        struct, tables = self._models[key]
        struct = struct.copy()
        low = 0xFFFFFFFF
        struct["key0"], struct["key1"] = self.model.seed & low, (self.model.seed >> 32) & low
        struct["stream"] = stream & low
        return struct, tables

    def _base_of(self, u) -> DeviceArray:
        """The frozen base; zero before anything was packed, one number in float64."""
        if self._base is None or (self._single and len(self._base) != len(u)):
            shape = u.shape if self._single else (1,)
            self._base = self.device.xp.zeros(shape)
        return self._base

    def _lifted(self, lifting: Lifting, extended: Macro) -> int:
        return len(extended) * int(np.prod([len(part.nodes) for part in lifting.axes]))

    def _blocks(self, wanted: int) -> int:
        return max(1, min(wanted, _BLOCKS * self.device.limits.multiprocessors))

    def _or_null(self, array):
        return np.uint64(0) if array is None else array

    def _teams(self) -> Teams:
        return teams_for(self.geometry)

    def _acts(self) -> tuple[Module, int]:
        return compiled_acts(self.device, self.dtype.name), ACT_THREADS

    def _program(self, stepper: str, measured: int = STATE) -> tuple[Module, Program]:
        return compiled(
            self.device, self.model.rule, self.geometry, self.dtype.name, stepper, measured,
            self._teams(),
        )  # fmt: skip


ACT_THREADS = 128
"""Threads of a block of the acts that do not depend on the rule."""


def teams_for(geometry) -> Teams:
    """Threads per patch of the plain kernel: about four sites for each.

    Args:
        geometry: sizes.
    """
    low, high = geometry.inside
    count = int(np.prod([b - a for a, b in zip(low, high, strict=True)]))
    team = 1
    while team < 32 and 4 * team < count:
        team *= 2
    if team == 32:
        team = min(256, 32 * max(1, -(-count // 128)))
    return Teams(team, max(team, 128 if team <= 32 else team))


@functools.lru_cache(maxsize=256)
def compiled(device: Device, *choices) -> tuple[Module, Program]:
    """The module generated for a rule, and the program it came from; see `generate`."""
    program = generate(*choices)
    return device.compile(program.text, KERNELS), program


@functools.lru_cache
def compiled_acts(device: Device, dtype: str) -> Module:
    """The module of the acts that do not depend on the rule; see `generate_acts`."""
    return device.compile(generate_acts(dtype, ACT_THREADS), ACTS)


def _scratch(lift: Struct) -> int:
    """Doubles of scratch memory that lifting needs; see `lift_scratch` in lifting.cuh."""
    x, y, z = lift["axis"]
    lines = int(x["n_site"]) * int(y["n_node"]) * int(z["n_node"])
    return lines + int(x["n_site"]) * int(y["n_site"]) * int(z["n_node"])


def _f(value: float) -> np.float64:
    return np.float64(value)

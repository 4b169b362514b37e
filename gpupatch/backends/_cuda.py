"""The CUDA backend: all patches in one array on a device, a burst in one launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Handle, Macro, Micro
from gpupatch.backends._cuda_batch import Batch
from gpupatch.backends._cuda_coupled import CoupledSteps, Walls
from gpupatch.backends._cuda_kernels import CLASSES, Compiled
from gpupatch.backends._cuda_memory import MemoryPlan
from gpupatch.backends._cuda_particles import CudaParticles
from gpupatch.backends._cuda_source import STATE, Program
from gpupatch.backends._cuda_structs import CLOCK, LIFT, TERMS, Struct, Tables, filled, layout
from gpupatch.backends._device import Device
from gpupatch.burst import BurstPlan
from gpupatch.coupling import Coupling
from gpupatch.errors import BackendError, suggestion
from gpupatch.lifting import Lifting
from gpupatch.micro.model import MicroModel
from gpupatch.micro.verify import verify
from gpupatch.particles.model import ParticleModel
from gpupatch.restriction import Restriction

_KEPT = 6
"""Tables of one kind that are kept on the device between bursts."""

_TERMS = 8
"""Terms of a linear combination that one launch adds up; see `Terms` in acts.cu."""

FROZEN, MOVING, SAME_SLOPE = 0, 1, 2
"""What the edge sites of a patch do during a burst."""


class CudaBackend:
    """Kernels in CUDA C++, generated for each rule.

    Args:
        device: where they run.
        kernels: "auto", or the class of kernels that bursts must use where it can: "plain" for
            sites in shared memory, "tile" for sites in registers.
        particles: "auto", or the class of kernels that bursts of particles must use: "warp" for
            particles in the registers of a warp, "block" for all pairs in shared memory, "list"
            for lists of neighbours.

    Raises:
        BackendError: for an unknown class of kernels.
    """

    def __init__(self, device: Device, kernels: str = "auto", particles: str = "auto"):
        if kernels not in CLASSES:
            raise BackendError(
                f"there is no class of kernels `{kernels}`. {suggestion(kernels, CLASSES)}"
            )
        self.device, self.kernels, self.particles = device, kernels, particles
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
        return CudaKernels(model, dtype, self.device, self.kernels)

    def load_particles(self, model: ParticleModel, dtype: str) -> CudaParticles:
        """Prepare the passes over a batch of particle patches; compilation waits for a state.

        Args:
            model: the micro-simulator.
            dtype: "float64" or "float32".

        Raises:
            BackendError: for an unknown class of kernels.
        """
        return CudaParticles(model, dtype, self.device, self.particles)


class CudaKernels:
    """The passes over one batch of patches; handles are arrays on the device.

    In float32 a state is held as u = base + v, as in the other backends.
    """

    lookahead = 32

    def __init__(self, model: MicroModel, dtype: str, device: Device, kernels: str = "auto"):
        verify(model.rule, dtype)
        self.model, self.device = model, device
        self.dtype = np.dtype(dtype)
        self.batch = Batch(model, dtype, device, kernels)
        self._coupled: dict[tuple[Coupling, str], CoupledSteps] = {}
        self._lifts: dict[tuple, tuple[Struct, Tables]] = {}
        self._observed: dict[tuple, tuple[Struct, Tables]] = {}

    def pack(self, u: Micro) -> Handle:
        """A state from host values; in float32 they become the base."""
        if self.batch.single:
            self.batch.freeze(u)
            return self.device.xp.zeros(u.shape, dtype=np.float32)
        return self.device.put(np.array(u, dtype=np.float64, order="C"))

    def unpack(self, u: Handle) -> Micro:
        """The values of a state in float64."""
        if self.batch.single:
            u = self.batch.base(u).reshape(u.shape) + u.astype(np.float64)
        return np.array(self.batch.fetch(u, "values at all sites"))

    def store(self, u: Handle) -> Micro:
        """A handle on the host; in float32 what it differs by from the base."""
        return np.array(self.batch.fetch(u, "checkpoints"))

    def recall(self, stored: Micro) -> Handle:
        """The handle that `store` showed; the base stays."""
        return self.device.put(np.array(stored, dtype=self.dtype, order="C"))

    def axpy(self, terms: Sequence[tuple[float, Handle]]) -> Handle:
        """sum_k weight_k state_k, in one launch for every eight terms."""
        return self._combined("combine_states", terms)

    def upload(self, U: Macro) -> Handle:
        """Coarse values on the device, where bursts take them from and leave them."""
        if self.device.holds(U):
            return U
        return self.device.put(np.ascontiguousarray(U, dtype=np.float64))

    def download(self, U: Handle) -> Macro:
        """Coarse values on the host; waits for the device."""
        return np.array(self.batch.fetch(U, "coarse values")) if self.device.holds(U) else U

    def combine(self, terms: Sequence[tuple[float, Handle]]) -> Handle:
        """sum_k weight_k U_k of coarse values, in one launch for every eight terms."""
        return self._combined("combine_coarse", terms)

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
        walls = Walls(self.batch, coupling)
        walls.write([], t, rate_over)
        self._couple(walls, u, self.batch.base(u) if rate_over is None else None)

    def rate(self, u: Handle, t: float) -> Handle:
        """du/dt on the interior, zero on the edges."""
        out = self.device.xp.empty_like(u)
        self._rate(self.batch.passes("euler"), u, out, 1.0, t)
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
        first: int = 0,
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
            first: number of the first step, from which its random numbers follow.
        """
        t, dt = float(t), float(dt)
        if every > 1:
            self._advance_moving(coupling, u, t, dt, n_steps, stepper, every, first)
            return
        key = (coupling, stepper)
        if key not in self._coupled:
            self._coupled_memory(self.batch.passes(stepper).program).check_all_fit()
            self._coupled[key] = CoupledSteps(self.batch, coupling, stepper)
        self._coupled[key].advance(u, t, dt, n_steps, first)

    def _advance_moving(self, coupling, u, t, dt, n_steps, stepper, every, numbered):
        passes, bursts = self.batch.passes(stepper), self.batch.bursts(stepper)
        base = self.batch.base(u)
        slope = self.device.xp.empty_like(u)
        tables = Tables(self.device)
        observe, nothing = tables.unobserved(every), filled(LIFT)
        walls, speeds = Walls(self.batch, coupling), Walls(self.batch, coupling)
        for first in range(0, n_steps, every):
            begin = t + first * dt
            if first == 0 or coupling.time_dependent:
                walls.write([], begin)
                speeds.write([], begin, every * dt, scale=dt)
            self._couple(walls, u, base)
            self._rate(passes, u, slope, dt, begin)
            self._couple(speeds, slope, None)
            edge = self._edge(MOVING, begin, 1.0 / dt)
            clock = filled(CLOCK, t=t, dt=dt, first=first, count=every)
            model = self.batch.tables(bursts.program, dt)
            model["numbered"] = numbered
            self._launch_burst(bursts, u, slope, None, nothing, edge, observe, clock, len(u), model)
        walls.write([], t + n_steps * dt)
        self._couple(walls, u, base)

    def lift(self, lifting: Lifting, extended: Macro) -> Handle:
        """Sites of all patches from extended coarse values."""
        values = Tables(self.device)
        struct = self._lift(lifting, values, extended, None)
        n = lifted(lifting, extended)
        u = self.device.xp.empty((n, *self.model.shape[1:]))
        scratch, memory = 8 * _scratch(struct), None
        if scratch > self.device.limits.shared:
            memory, scratch = self.device.xp.empty(self.batch.blocks(n) * scratch // 8), 0
        self.batch.act("lift_all", n, (u, memory, np.int64(n), struct), scratch)
        return self.pack(self.batch.fetch(u, "lifted values")) if self.batch.single else u

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
            As `burst`; on the device if `extended` is there.
        """
        values = Tables(self.device)
        struct = self._lift(lifting, values, extended, edge_rate)
        n = lifted(lifting, extended)
        resident, moving = self.device.holds(extended), edge_rate is not None
        return self._burst(None, None, struct, n, plan, t, moving, resident)

    def restrict(self, restriction: Restriction, u: Handle) -> NDArray[np.float64]:
        """Weighted means over the cores, [patch, field]."""
        tables = Tables(self.device)
        struct = tables.restriction(restriction, self.model.sites)
        n, n_field = u.shape[:2]
        out = self.device.xp.empty((n, n_field))
        base = self.batch.base(u) if self.batch.single else None
        n_site = np.int32(self.batch.geometry.n_site)
        arguments = (u, base, out, np.int64(n), np.int32(n_field), n_site, struct)
        self.batch.act("restrict_all", n * n_field, arguments)
        return np.array(self.batch.fetch(out, "restricted values"))

    def norm(self, u: Handle) -> float:
        """Largest magnitude over all sites."""
        self.batch.waits["norm"] += 1
        return float(abs(u).max())

    def finite(self, u: Handle) -> bool:
        """Whether every value is finite."""
        self.batch.waits["finiteness"] += 1
        return bool(self.device.xp.isfinite(u).all())

    def describe(self, stepper: str, coupled: bool) -> list[str]:
        """The device memory that a run will need."""
        if coupled:
            memory = self._coupled_memory(self.batch.passes(stepper).program)
            memory.check_all_fit()
            return [f"device memory: {memory}"]
        found = self.batch.bursts(stepper)
        memory = self._fused_memory(found.program, 3)
        return [f"device memory: {memory}", f"kernel: {found.name}: {found.reason}"]

    def facts(self) -> dict[str, Any]:
        """Launches by kernel (of recorded steps, once), waits for the device, kernels chosen."""
        batch = self.batch
        return {
            "kernels": dict(batch.chosen),
            "launches": dict(batch.launched),
            "waits": dict(batch.waits),
        }

    def _burst(
        self, u, speeds, lift: Struct, n: int, plan: BurstPlan, t, moving: bool, resident=False
    ):
        mode = MOVING if moving else SAME_SLOPE if plan.edge == "neumann" else FROZEN
        bursts = self.batch.bursts(plan.stepper, plan.flux_axis, mode == SAME_SLOPE)
        program = bursts.program
        edge = self._edge(mode, t, 1.0)
        clock = filled(CLOCK, t=t, dt=plan.dt, first=0, count=plan.n_steps)
        observe = self._observe(plan)
        measures = plan.flux_axis != STATE
        n_out, n_field = plan.weights.shape[1], self.model.shape[1]
        chunk = self._fused_memory(program, n_out).chunk if lift["U"] else n
        parts = []
        for first in range(0, n, chunk):
            count, kept = min(chunk, n - first), Tables(self.device)
            if chunk == n:
                model = self.batch.tables(program, plan.dt, plan.stream)
            else:
                model = self.batch.fill(program, plan.dt, kept, first, count)
                model["stream"] = plan.stream & 0xFFFFFFFF
            model["numbered"] = plan.first
            lift["first"] = first
            out = self.device.xp.empty((n_out, n_field, count))
            self._launch_burst(
                bursts, u, speeds, out, lift, edge, observe, clock, count, model, measures
            )
            parts.append(out if resident else self.batch.fetch(out, "samples"))
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return np.moveaxis(whole, 1, 2)

    def _lift(self, lifting: Lifting, values: Tables, extended, rate) -> Struct:
        """The structure `Lift` for some coarse values, which live as long as `values`."""
        shape = extended.shape
        struct = _kept(
            self._lifts, (lifting, shape), self.device, lambda tables: tables.lift(lifting, shape)
        )
        struct["U"] = values.pointer(extended, float)
        struct["rate"] = 0 if rate is None else values.pointer(rate, float)
        return struct

    def _observe(self, plan: BurstPlan) -> Struct:
        """The structure `Observe` of a burst."""
        key, sites = (plan.restriction, plan.weights.tobytes()), self.model.sites
        return _kept(self._observed, key, self.device, lambda tables: tables.observe(plan, sites))

    def _launch_burst(
        self, bursts: Compiled, u, speeds, out, lift: Struct, edge: Struct, observe: Struct,
         clock: Struct, n: int, model: Struct, measures: bool = False,
    ) -> None:  # fmt: skip
        batch, lifts = self.batch, bool(lift["U"])
        teams = bursts.teams
        place = layout(
            bursts.program.row * self.dtype.itemsize,
            self.dtype.itemsize,
            batch.size,
            teams.team,
            edge,
            _scratch(lift) if lifts else 0,
            whole=lifts and batch.single,
            field=measures or bool(self.model.rule.noise),
        )
        together = teams.threads // teams.team
        blocks = batch.blocks(-(-n // together))
        shared, memory = int(place["bytes"]) * together, None
        if shared + bursts.static > self.device.limits.shared:
            memory, shared = self.device.xp.empty(blocks * shared, dtype=np.uint8), 0
        arguments = (
            u, None if lifts else batch.base(u), speeds, out, memory, np.int64(n), model, lift,
            edge, observe, clock, place,
        )  # fmt: skip
        batch.launch(bursts.module, "burst", blocks, teams.threads, arguments, shared)

    def _fused_memory(self, program: Program, n_out: int) -> MemoryPlan:
        n_field = self.model.shape[1]
        return self.batch.memory(program, {"samples": 8 * n_out * n_field, "coarse": 8 * n_field})

    def _coupled_memory(self, program: Program) -> MemoryPlan:
        item, size = self.dtype.itemsize, self.batch.size
        held = {"state and copies": 3 * item * size, "row": item * program.row}
        held["base"] = 8 * size * self.batch.single
        held["amplitudes"] = 8 * size * bool(self.model.rule.noise)
        return self.batch.memory(program, held)

    def _combined(self, name: str, terms: Sequence[tuple[float, Handle]]) -> Handle:
        whole = [(w, a if a.flags.c_contiguous else a.copy()) for w, a in terms[:_TERMS]]
        first = whole[0][1]
        out = self.device.xp.empty_like(first)
        struct = filled(TERMS, count=min(len(terms), _TERMS))
        for k, (weight, array) in enumerate(whole):
            struct["array"][k], struct["weight"][k] = self.device.address(array), weight
        self.batch.act(name, -(-first.size // 256), (out, struct, np.int64(first.size)))
        rest = terms[_TERMS:]
        return self._combined(name, [(1.0, out), *rest]) if rest else out

    def _rate(self, passes: Compiled, u, out, step: float, t: float) -> None:
        """`out` = step times the rate of u."""
        model = self.batch.tables(passes.program, step)
        arguments = (u, self.batch.base(u), out, np.int64(len(u)), model, np.float64(t))
        self.batch.over_patches(passes, "rate_all", len(u), arguments)

    def _couple(self, walls: Walls, u, base) -> None:
        struct = walls.struct.copy()
        struct["row"] = self.batch.size
        base = base if self.batch.single else None
        work = -(-int(struct["n_patch"]) * int(struct["n_edge"]) // 128)
        self.batch.act("couple", work, (u, base, None, struct))

    def _edge(self, mode: int, start: float, scale: float) -> Struct:
        edge = self.batch.edge.copy()
        edge["mode"], edge["start"], edge["scale"] = mode, start, scale
        return edge


def _kept(
    cache: dict[tuple, tuple[Struct, Tables]],
    key: tuple,
    device: Device,
    make: Callable[[Tables], Struct],
) -> Struct:
    """A copy of a structure whose tables stay on the device between bursts."""
    if key not in cache:
        while len(cache) >= _KEPT:
            cache.pop(next(iter(cache)))
        tables = Tables(device)
        cache[key] = make(tables), tables
    return cache[key][0].copy()


def lifted(lifting: Lifting, extended: Macro) -> int:
    """Patches that a reconstruction fills, all members together."""
    return len(extended) * int(np.prod([len(part.nodes) for part in lifting.axes]))


def _scratch(lift: Struct) -> int:
    """Doubles of scratch memory that lifting needs; see `lift_scratch` in lifting.cuh."""
    x, y, z = lift["axis"]
    lines = int(x["n_site"]) * int(y["n_node"]) * int(z["n_node"])
    return lines + int(x["n_site"]) * int(y["n_site"]) * int(z["n_node"])

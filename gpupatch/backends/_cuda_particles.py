"""The passes over particles on a device: all patches in one batch, a burst in one launch."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.backends._cuda_memory import MemoryPlan
from gpupatch.backends._cuda_particle_choice import (
    Arrangement,
    ParticleBatch,
    arrange,
    fitted,
    shapes,
    width_of,
)
from gpupatch.backends._cuda_particle_source import CLASSES, KERNEL, Shape, particle_text
from gpupatch.backends._cuda_particle_tables import (
    PARTICLES,
    ROOM,
    medium,
    motion,
    observation,
)
from gpupatch.backends._cuda_structs import Struct, Tables, filled
from gpupatch.backends._device import Device, DeviceArray, Module
from gpupatch.errors import BackendError, suggestion
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import Core, ParticlePlan, component_count
from gpupatch.particles.state import ParticleState

_BLOCKS = 8
"""Blocks per multiprocessor; further patches are done by the same blocks."""

_MORE = 1.25
"""Room in a list that is made again, over what was needed."""

_MOVING = ("x", "v", "memory")
"""What a burst changes."""

_SCRATCH = ("hard_rods", "heat_driven")
"""Dynamics that need one more array of the size of the positions."""


@dataclass(frozen=True, eq=False)
class Compiled:
    """The kernel for a batch.

    Attributes:
        module: where it is.
        shape: how threads are given particles.
        arrangement: where things lie in the memory of a block.
        reason: why it was chosen.
    """

    module: Module
    shape: Shape
    arrangement: Arrangement
    reason: str

    @property
    def name(self) -> str:
        """What it is, in words."""
        if self.shape.kind == "warp":
            return f"warp, {self.shape.rows} particles per lane"
        text = f"{self.shape.kind}, {self.shape.threads} threads per patch"
        if self.shape.kind == "list":
            place = "shared" if self.shape.list_shared else "device"
            return f"{text}, {self.arrangement.width} neighbours in {place} memory"
        return text if self.shape.sites_shared else f"{text}, positions in device memory"


@dataclass(eq=False)
class Piece:
    """Patches that are on the device at the same time.

    Attributes:
        first: number of the first of them.
        count: how many.
        arrays: by the names of `Particles` in particles.cuh; on the host if there are further
            pieces.
    """

    first: int
    count: int
    arrays: dict[str, Any]


@dataclass(eq=False)
class Packed:
    """A state on the device.

    Attributes:
        pieces: its patches; one piece if all fit.
        fixed: the state on the host, for what does not change.
        batch: what the choice of kernels depends on.
    """

    pieces: list[Piece]
    fixed: ParticleState
    batch: ParticleBatch


class CudaParticles:
    """The passes over one batch of particle patches; handles are `Packed` states.

    Args:
        model: the micro-simulator.
        dtype: "float64", or "float32": positions, velocities and forces are held and computed in
            single precision, sums over the particles of a patch in double.
        device: where they are.
        kernels: class of kernels, one of `CLASSES` of _cuda_particle_source.py.

    Raises:
        BackendError: for an unknown class of kernels.
    """

    def __init__(self, model: ParticleModel, dtype: str, device: Device, kernels: str = "auto"):
        if kernels not in CLASSES:
            raise BackendError(
                f"there is no class of particle kernels `{kernels}`. {suggestion(kernels, CLASSES)}"
            )
        self.model, self.device, self.kernels = model, device, kernels
        self.dtype = np.dtype(dtype)
        self.launched: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.redone = 0
        self._compiled: dict[ParticleBatch, Compiled] = {}
        self._media: dict[int, tuple[Struct, Tables]] = {}

    def pack(self, state: ParticleState) -> Packed:
        """Move a state to the device; in pieces that stay on the host if it does not fit.

        Raises:
            BackendError: if the device cannot hold a single patch.
        """
        self.model.check(state)
        fixed = state.copy()
        volume = np.prod(fixed.box, axis=1)
        density = float((fixed.counts / volume).max(initial=0.0))
        full = bool((fixed.counts == fixed.capacity).all())
        batch = ParticleBatch(fixed.capacity, full, _steady(density), self.dtype.name)
        chunk = self._memory(fixed, batch).chunk
        pieces = [
            Piece(first, count, self._arrays(fixed, first, count))
            for first in range(0, fixed.n_patch, chunk)
            for count in [min(chunk, fixed.n_patch - first)]
        ]
        if len(pieces) == 1:
            pieces[0].arrays = self._put(pieces[0].arrays)
        return Packed(pieces, fixed, batch)

    def unpack(self, handle: Packed) -> ParticleState:
        """Copy a state to the host, in float64."""
        found = {}
        for name in _MOVING:
            parts = [self._fetch(p.arrays[name], "states") for p in handle.pieces]
            found[name] = np.concatenate(parts).astype(np.float64)
        return dataclasses.replace(
            handle.fixed.copy(), positions=found["x"], velocities=found["v"],
            memory=found["memory"],
        )  # fmt: skip

    def forces(self, handle: Packed) -> NDArray[np.float64]:
        """Forces on all particles, [patch, axis, particle]."""
        found = []

        def keep(arrays: dict[str, DeviceArray]) -> None:
            found.append(self._fetch(arrays["f"], "forces").astype(np.float64))

        self._run(handle, ParticlePlan(0, 1.0), keep)
        return np.concatenate(found)

    def measure(
        self, handle: Packed, observables: Sequence[str], core: Core | None = None
    ) -> NDArray[np.float64]:
        """Observables of a state, [patch, component]."""
        plan = ParticlePlan(0, 1.0, tuple(observables), np.ones((1, 1)), core or Core(1.0))
        if not observables:
            return np.zeros((handle.fixed.n_patch, 0))
        return self._run(handle, plan)[0]

    def burst(self, handle: Packed, plan: ParticlePlan) -> NDArray[np.float64]:
        """Run every patch on its own for one burst, in place.

        Args:
            handle: the state.
            plan: steps, observables and their weights.

        Returns:
            ``out[q, patch, component]``, the observables summed with the weights of the plan.
        """
        return self._run(handle, plan)

    def facts(self) -> dict[str, Any]:
        """Kernels with the reason for each, registers, launches, waits and bursts begun again."""
        return {
            "kernels": {one.name: one.reason for one in self._compiled.values()},
            "registers": {
                one.name: one.module.resources(KERNEL).registers for one in self._compiled.values()
            },
            "launches": dict(self.launched),
            "waits": dict(self.waits),
            "bursts begun again": self.redone,
        }

    def compiled(self, batch: ParticleBatch) -> Compiled:
        """The kernel for a batch: the best class for which the compiler takes no local memory.

        Args:
            batch: what the choice depends on.

        Raises:
            BackendError: if the class that was asked for cannot take the model.
        """
        if batch not in self._compiled:
            self._compiled[batch] = self._choose(batch)
        return self._compiled[batch]

    def _choose(self, batch: ParticleBatch) -> Compiled:
        candidates = shapes(self.model, batch, self.device.limits, self.kernels)
        passed_over = []
        for shape, reason in candidates:
            found = self._compile(shape, batch, width_of_shape(shape, self.model, batch), reason)
            local = found.module.resources(KERNEL).local
            if local == 0 or shape is candidates[-1][0]:
                break
            passed_over.append(f"{found.name} took {local} B of local memory")
        return dataclasses.replace(found, reason="; ".join([*passed_over, found.reason]))

    def _compile(self, shape: Shape, batch: ParticleBatch, width: int, reason: str) -> Compiled:
        text = particle_text(self.model, self.dtype.name, shape)
        arrangement = arrange(shape, self.model, batch, width)
        return Compiled(_module(self.device, text), shape, arrangement, reason)

    def _run(self, handle: Packed, plan: ParticlePlan, keep=None) -> NDArray[np.float64]:
        plan.check(self.model.ndim)
        """Launch the burst on every piece; `keep` takes the arrays of each afterwards."""
        tables = Tables(self.device)
        observe = observation(plan.observables, plan.weights, plan.core, self.model.ndim, tables)
        clock = motion(self.model, plan.dt, plan.first, plan.n_steps, plan.stream)
        n_out = plan.weights.shape[1]
        n_component = component_count(plan.observables, self.model.ndim)
        parts = []
        for piece in handle.pieces:
            resident = len(handle.pieces) == 1
            arrays = piece.arrays if resident else self._put(piece.arrays)
            out = self.device.xp.zeros((n_out, piece.count, n_component))
            observe["out"] = self.device.address(out) if out.size else 0
            self._burst(handle.batch, piece, arrays, clock, observe, out)
            if keep is not None:
                keep(arrays)
            if not resident and plan.n_steps:
                for name in _MOVING:
                    piece.arrays[name] = self._fetch(arrays[name], "states")
            parts.append(self._fetch(out, "samples") if out.size else np.zeros(out.shape))
        return np.concatenate(parts, axis=1)

    def _burst(
        self, batch: ParticleBatch, piece: Piece, arrays: dict[str, DeviceArray], clock: Struct,
        observe: Struct, out: DeviceArray,
    ) -> None:  # fmt: skip
        """One launch, and another with more room for as long as a list of neighbours overflows."""
        found = self.compiled(batch)
        listed = found.shape.kind == "list"
        saved = {name: arrays[name].copy() for name in _MOVING} if listed else {}
        while True:
            needed = self._launch(found, batch, piece, arrays, clock, observe)
            if needed <= found.arrangement.width:
                return
            self.redone += 1
            for name, array in saved.items():
                arrays[name][...] = array
            out[...] = 0.0
            width = min(math.ceil(_MORE * needed), batch.capacity)
            shape = fitted(found.shape, self.model, batch, self.device.limits, width)
            found = self._compile(shape, batch, width, found.reason)
            self._compiled[batch] = found

    def _launch(
        self, found: Compiled, batch: ParticleBatch, piece: Piece, arrays: dict[str, DeviceArray],
        clock: Struct, observe: Struct,
    ) -> int:  # fmt: skip
        """Run the kernel; the most neighbours of a particle, if there was not enough room."""
        device, shape, arrangement = self.device, found.shape, found.arrangement
        particles = filled(
            PARTICLES, n_patch=piece.count, first=piece.first, capacity=batch.capacity,
            **{name: device.address(array) for name, array in arrays.items()},
        )  # fmt: skip
        teams = shape.threads // shape.team
        blocks = max(1, min(-(-piece.count // teams), _BLOCKS * device.limits.multiprocessors))
        room = filled(ROOM, bytes=arrangement.memory, width=arrangement.width)
        for name, place in arrangement.places.items():
            room[name] = place
        kept = []
        if arrangement.memory:
            kept.append(device.xp.empty(blocks * arrangement.memory, dtype=np.uint8))
            room["memory"] = device.address(kept[0])
        if shape.kind == "list":
            assert self.model.pair is not None
            skin = self.model.neighbours.skin
            kept.append(device.xp.zeros(1, dtype=np.int32))
            room["needed"] = device.address(kept[-1])
            room["reach"], room["skin"] = self.model.pair.cutoff + skin, skin
        arguments = (particles, self._medium(batch.capacity), clock, observe, room)
        self.launched[found.shape.kind] += 1
        found.module.launch(KERNEL, blocks, shape.threads, arguments, arrangement.shared)
        return int(self._fetch(kept[-1], "room in lists")[0]) if shape.kind == "list" else 0

    def _medium(self, capacity: int) -> Struct:
        if capacity not in self._media:
            tables = Tables(self.device)
            self._media[capacity] = medium(self.model, capacity, self.dtype, tables), tables
        return self._media[capacity][0]

    def _arrays(self, state: ParticleState, first: int, count: int) -> dict[str, NDArray]:
        """The arrays of some patches on the host, by the names of `Particles`."""
        part = slice(first, first + count)
        x = state.positions[part].astype(self.dtype)
        arrays = {
            "x": x,
            "v": state.velocities[part].astype(self.dtype),
            "f": np.zeros_like(x),
            "counts": state.counts[part].astype(np.int32),
            "box": state.box[part],
            "controls": state.controls[part],
            "weights": state.weights[part],
            "freedom": self.model.degrees_of_freedom(state.counts[part]),
            "memory": state.memory[part],
        }
        if self.model.n_types > 1:
            arrays["types"] = state.types[part].astype(np.int32)
        if self.model.dynamics.kind in _SCRATCH:
            arrays["push"] = np.zeros_like(x)
        return {name: array for name, array in arrays.items() if array.size}

    def _put(self, arrays: dict[str, NDArray]) -> dict[str, DeviceArray]:
        return {name: self.device.put(array) for name, array in arrays.items()}

    def _memory(self, state: ParticleState, batch: ParticleBatch) -> MemoryPlan:
        """Device memory of a state, and of the copy that a list of neighbours needs."""
        one = self._arrays(state, 0, 1)
        held = {name: array.nbytes for name, array in one.items()}
        held["copy"] = sum(held[name] for name in _MOVING if name in held)
        found = self.compiled(batch)
        scratch = found.arrangement.memory * _BLOCKS * self.device.limits.multiprocessors
        return MemoryPlan(held, scratch, state.n_patch, self.device.limits.memory)

    def _fetch(self, array, what: str) -> NDArray:
        """A copy on the host, for which the host waits if it is on the device."""
        if isinstance(array, np.ndarray) and not self.device.holds(array):
            return array
        self.waits[what] += 1
        return self.device.get(array)


def width_of_shape(shape: Shape, model: ParticleModel, batch: ParticleBatch) -> int:
    """Neighbours of one particle for which a kernel has room; 0 if it has no list."""
    return width_of(model, batch) if shape.kind == "list" else 0


def _steady(density: float) -> float:
    """A density of two digits, so that batches that hardly differ have the same kernel."""
    return float(f"{density:.2g}")


@functools.lru_cache(maxsize=64)
def _module(device: Device, text: str) -> Module:
    return device.compile(text, (KERNEL,))

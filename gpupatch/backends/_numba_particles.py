"""Particles compiled for CPUs: patches outermost, all steps of a patch inside."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from gpupatch.backends._cache import load_source
from gpupatch.backends._numba_particle_source import generate_particles
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import COMPONENTS, KERNELS, Core, ParticlePlan, component_count
from gpupatch.particles.state import ParticleState

_LISTS_FROM = {1: 24, 2: 96, 3: 128}
"""Particles from which a neighbour list is faster than all pairs, by dimension."""

_WORTH_THREADS = 20_000
"""Particle-steps from which it pays to share a burst between threads."""

_PIECES = 4
"""Pieces of a batch per thread, so that threads end together."""

_SPARE = 1.5
"""Room of a neighbour list over the neighbours in a homogeneous patch."""


class NumbaParticles:
    """The passes over one batch of particle patches; handles are states.

    Args:
        model: the micro-simulator.
        dtype: "float64" or "float32"; sums over particles are taken in float64.
    """

    def __init__(self, model: ParticleModel, dtype: str = "float64"):
        self.model, self.dtype = model, np.dtype(dtype)
        none = np.zeros((1, 1))
        self._tables = tuple(
            none if part is None else part.table
            for part in (model.pair, model.bonds, model.angles, model.field)
        )
        self._parts = (
            np.zeros((0, 2), np.int64) if model.bonds is None else model.bonds.pairs,
            np.zeros((0, 3), np.int64) if model.angles is None else model.angles.triples,
        )
        masses = model.mass_by_type.astype(self.dtype)
        self._masses = (masses, (1 / masses).astype(self.dtype))
        self._room: int | None = model.neighbours.capacity
        self._redone = 0

    def pack(self, state: ParticleState) -> ParticleState:
        """A copy of a state in the working precision."""
        self.model.check(state)
        packed = state.copy()
        packed.positions = np.ascontiguousarray(packed.positions, dtype=self.dtype)
        packed.velocities = np.ascontiguousarray(packed.velocities, dtype=self.dtype)
        return packed

    def unpack(self, handle: ParticleState) -> ParticleState:
        """A copy of a state in float64."""
        copied = handle.copy()
        copied.positions = copied.positions.astype(np.float64)
        copied.velocities = copied.velocities.astype(np.float64)
        return copied

    def forces(self, handle: ParticleState) -> NDArray[np.float64]:
        """Forces on all particles, [patch, axis, particle]."""
        out = np.zeros(handle.positions.shape, dtype=self.dtype)
        self._run(handle, ParticlePlan(0, 1.0), out)
        return out.astype(np.float64)

    def measure(
        self, handle: ParticleState, observables: Sequence[str], core: Core | None = None
    ) -> NDArray[np.float64]:
        """Observables of a state, [patch, component]."""
        plan = ParticlePlan(0, 1.0, tuple(observables), np.ones((1, 1)), core or Core(1.0))
        return self.burst(handle, plan)[0]

    def burst(self, handle: ParticleState, plan: ParticlePlan) -> NDArray[np.float64]:
        """Run every patch on its own, in place.

        A patch whose neighbour list had no room is left as it was and run again with more.

        Args:
            handle: the state.
            plan: steps, observables and their weights.

        Returns:
            ``out[q, patch, component]``, the observables summed with the weights of the plan.
        """
        return self._run(handle, plan, np.zeros((0, 1, 1), dtype=self.dtype))

    def _run(self, handle: ParticleState, plan: ParticlePlan, pushed) -> NDArray[np.float64]:
        plan.check(self.model.ndim)
        n_component = component_count(plan.observables, self.model.ndim)
        out = np.zeros((plan.weights.shape[1], handle.n_patch, n_component))
        code = _compiled(self.model, self.dtype.name, self._listed(handle))
        low, seed = 0xFFFFFFFF, self.model.seed
        words = [seed & low, (seed >> 32) & low, plan.stream & low, self.model.first_patch]
        key = np.array(words, dtype=np.uint64)
        codes = np.array([list(COMPONENTS).index(n) for n in plan.observables], dtype=np.int64)
        core = (float(plan.core.width), plan.core.axis, KERNELS.index(plan.core.kernel))
        weights = np.ascontiguousarray(plan.weights)
        steps = (float(plan.dt), plan.first, plan.n_steps, plan.wanted, weights)
        todo, needed = np.arange(handle.n_patch), np.zeros(handle.n_patch)

        def some(patches: NDArray[np.int64]) -> None:
            code.burst_some(
                _arrays(handle), out, pushed, patches, needed, self._tables, self._parts,
                self._masses, key, steps, codes, core, self._desk(handle, n_component),
            )  # fmt: skip

        while len(todo):
            _shared(some, todo, int(handle.counts[todo].sum()) * max(plan.n_steps, 1))
            todo = todo[needed[todo] > 0]
            if len(todo):
                self._room = int(needed[todo].max() * 1.2) + 4
                self._redone += len(todo)
        return out

    def facts(self) -> dict[str, Any]:
        """Bursts that were run again with more room for neighbours."""
        return {"bursts_redone": self._redone} if self._redone else {}

    def _desk(self, state: ParticleState, n_component: int) -> tuple:
        """Room for the work on one patch."""
        ndim, n = state.ndim, state.capacity
        room = self._room_for(state) if self._listed(state) else 1
        rows = n if self._listed(state) else 1

        def empty(*shape: int):
            return np.zeros(shape, dtype=self.dtype)

        search = (
            np.zeros(n, np.int32), np.zeros((rows, room), np.int32), empty(ndim, n), empty(n),
            np.zeros(4),
        )  # fmt: skip
        work = (empty(ndim, n), empty(n), empty(ndim * ndim, n))
        return search, empty(ndim, n), empty(ndim, n), work, np.zeros(n_component), np.zeros(1)

    def _room_for(self, state: ParticleState) -> int:
        if self.model.pair is None:
            return 0
        if self._room is None:
            self._room = _neighbours_expected(self.model, state)
        return self._room

    def _listed(self, state: ParticleState) -> bool:
        search = self.model.neighbours.search
        if self.model.pair is None or search == "all":
            return False
        return search == "verlet" or state.capacity >= _LISTS_FROM[self.model.ndim]


@functools.lru_cache(maxsize=64)
def _compiled(model: ParticleModel, dtype: str, listed: bool) -> ModuleType:
    return load_source(generate_particles(model, dtype, listed))


def _shared(work: Callable[[NDArray[np.int64]], None], todo: NDArray[np.int64], size: int) -> None:
    """Do a piece of work for some patches, in threads if it is large; patches do not interact."""
    threads = numba.get_num_threads()
    if threads == 1 or len(todo) == 1 or size < _WORTH_THREADS:
        work(todo)
        return
    pieces = np.array_split(todo, min(len(todo), _PIECES * threads))
    work(todo[:0])  # compiles
    with ThreadPoolExecutor(threads) as pool:
        for done in pool.map(work, pieces):
            assert done is None


def _neighbours_expected(model: ParticleModel, state: ParticleState) -> int:
    """Room for the neighbours j > i of the first particle of the densest patch."""
    assert model.pair is not None
    reach = model.pair.cutoff + model.neighbours.skin
    volume = {1: 2 * reach, 2: np.pi * reach**2, 3: 4 / 3 * np.pi * reach**3}[model.ndim]
    density = (state.counts / state.box.prod(axis=1)).max(initial=0.0)
    return int(min(state.capacity, _SPARE * density * volume + 16))


def _arrays(state: ParticleState) -> tuple:
    return (
        state.positions, state.velocities, state.types, state.counts, state.box, state.controls,
        state.weights, state.memory,
    )  # fmt: skip

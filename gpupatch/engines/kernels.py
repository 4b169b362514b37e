"""An engine in the place of a backend: the passes over particles, with its own steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.engines.engine import Engine
from gpupatch.errors import BackendError, SchemeError
from gpupatch.micro.model import MicroModel
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import Core, ParticlePlan, component_count
from gpupatch.particles.state import ParticleState


class EngineKernels:
    """The passes over one batch of particle patches, with steps by an engine.

    Handles are states on the host. Forces and observables are those of the NumPy definition, so
    that they mean the same as on every backend; where observables are wanted the engine is asked
    for its state.

    Args:
        model: the micro-simulator.
        engine: what advances the patches; set up when the first burst shows how many there are.
    """

    def __init__(self, model: ParticleModel, engine: Engine):
        self.model, self.engine = model, engine
        self._definition = NumpyParticles(model)
        self._held: ParticleState | None = None
        self._bursts = 0

    def pack(self, state: ParticleState) -> ParticleState:
        """A copy of a state."""
        return state.copy()

    def unpack(self, handle: ParticleState) -> ParticleState:
        """A copy of a state."""
        return handle.copy()

    def forces(self, handle: ParticleState) -> NDArray[np.float64]:
        """Forces on all particles, [patch, axis, particle]."""
        return self._definition.forces(handle)

    def measure(
        self, handle: ParticleState, observables: Sequence[str], core: Core | None = None
    ) -> NDArray[np.float64]:
        """Observables of a state, [patch, component]."""
        return self._definition.measure(handle, observables, core)

    def burst(self, handle: ParticleState, plan: ParticlePlan) -> NDArray[np.float64]:
        """Run every patch on its own, in place.

        Args:
            handle: the state.
            plan: steps, observables and their weights.

        Returns:
            ``out[q, patch, component]``, the observables summed with the weights of the plan.

        Raises:
            RuleError: if the engine cannot express the model.
            BackendError: if the engine stops, with its own message.
        """
        self._take(handle)
        components = component_count(plan.observables, self.model.ndim)
        out = np.zeros((plan.weights.shape[1], handle.n_patch, components))
        done = 0
        for step in np.flatnonzero(plan.wanted):
            self._advance(handle, plan, done, int(step))
            seen = self.measure(handle, plan.observables, plan.core)
            out += plan.weights[step][:, None, None] * seen
            done = int(step)
        self._advance(handle, plan, done, plan.n_steps)
        self._bursts += 1
        return out

    def facts(self) -> dict[str, Any]:
        """Name of the engine and the bursts that it has run."""
        return {"engine": self.engine.name, "bursts": self._bursts}

    def _take(self, handle: ParticleState) -> None:
        """Give the engine a state, unless it is the one that the last burst left behind."""
        if self._held is handle:
            return
        if self._held is None or self._held.n_patch != handle.n_patch:
            self.engine.initialize(self.model, handle)
        else:
            self.engine.set_state(handle)
        self._held = handle

    def _advance(self, handle: ParticleState, plan: ParticlePlan, done: int, to: int) -> None:
        if to == done:
            return
        try:
            self.engine.solve(to - done, plan.dt, plan.first + done, plan.stream)
            state = self.engine.get_state()
        except BackendError:
            self._held = None
            raise
        handle.positions[:] = state.positions
        handle.velocities[:] = state.velocities
        handle.memory[:] = state.memory


class EngineBackend:
    """A backend for particles whose steps are an engine's.

    Args:
        engine: makes an engine, such as the class `Lammps`; one for every batch.
    """

    def __init__(self, engine: Callable[[], Engine]):
        self._engine = engine
        self.name = engine().name

    def load(self, model: MicroModel, dtype: str) -> NoReturn:
        """Engines have no lattices.

        Raises:
            SchemeError: always.
        """
        raise SchemeError(
            f"{self.name} moves particles, and the rule `{model.rule.name}` lives on a lattice. "
            "Use the backend `numba`, `numpy` or `cuda`."
        )

    def load_particles(self, model: ParticleModel, dtype: str = "float64") -> EngineKernels:
        """Prepare the passes over a batch of particle patches.

        Args:
            model: the micro-simulator.
            dtype: accepted for the sake of the protocol; engines compute in their own precision.
        """
        return EngineKernels(model, self._engine())

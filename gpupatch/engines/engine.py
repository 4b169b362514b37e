"""The interface of a particle engine, and what engines share that know one patch at a time."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import BackendError, RuleError, SchemeError
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.state import ParticleState


class Engine(Protocol):
    """A particle simulator that advances a batch of patches.

    Attributes:
        name: of the simulator.
    """

    name: str

    def initialize(self, model: ParticleModel, state: ParticleState) -> None:
        """Set up the patches of a state; what was set up before is closed."""
        ...

    def solve(self, n_steps: int, dt: float, first: int = 0, stream: int = 0) -> None:
        """Advance every patch on its own.

        Args:
            n_steps: micro-steps.
            dt: micro time step.
            first: number of the first step in the run.
            stream: number that sets the random numbers of this burst apart from all others.
        """
        ...

    def get_state(self) -> ParticleState:
        """Copy all patches to the host, in float64."""
        ...

    def set_state(self, state: ParticleState) -> None:
        """Replace all patches by those of a state."""
        ...

    def potential_energy(self) -> NDArray[np.float64]:
        """Potential energy of every patch as the engine computes it, [patch]."""
        ...

    def close(self) -> None:
        """Give back what the engine holds; may be called again."""
        ...

    def __enter__(self) -> Self:
        """The engine, which is closed at the end of the block."""
        ...

    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True, eq=False)
class Patch:
    """The particles of one patch, without the room that is left.

    Attributes:
        positions: [axis, particle], not wrapped into the box.
        velocities: [axis, particle].
        types: [particle], from 0.
        box: edge lengths, [axis].
        controls: what is imposed, in the order of the dynamics.
    """

    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    types: NDArray[np.int32]
    box: NDArray[np.float64]
    controls: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Particles."""
        return self.positions.shape[1]


class Instance(Protocol):
    """One patch inside a simulator, kept alive from burst to burst."""

    def write(self, patch: Patch) -> None:
        """Replace the particles by as many others."""
        ...

    def solve(self, n_steps: int, dt: float, first: int) -> None:
        """Advance the patch."""
        ...

    def read(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions and velocities, [axis, particle] each; positions are not wrapped."""
        ...

    def potential_energy(self) -> float:
        """Potential energy."""
        ...

    def close(self) -> None:
        """Give back the memory."""
        ...


class _Empty:
    """A patch without particles, which simulators do not take."""

    def write(self, patch: Patch) -> None:
        pass

    def solve(self, n_steps: int, dt: float, first: int) -> None:
        pass

    def read(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.zeros((1, 0)), np.zeros((1, 0))

    def potential_energy(self) -> float:
        return 0.0

    def close(self) -> None:
        pass


class InstancePerPatch(abc.ABC):
    """An engine that keeps one instance of a simulator for every patch.

    Instances are made once, as making one costs as much as a burst; one is replaced only if its
    patch gets another number of particles. Whatever the simulator raises arrives as `BackendError`
    with the simulator's own words and the number of the patch, and the instance that failed is
    closed; `set_state` opens it again.

    Attributes:
        name: of the simulator.
        dynamics: kinds of dynamics whose definition the simulator meets step by step.
    """

    name: str
    dynamics: tuple[str, ...]

    def __init__(self):
        self._model: ParticleModel | None = None
        self._state: ParticleState | None = None
        self._instances: list[Instance | None] = []

    def initialize(self, model: ParticleModel, state: ParticleState) -> None:
        """Set up the patches of a state; what was set up before is closed.

        Args:
            model: the micro-simulator.
            state: its patches.

        Raises:
            RuleError: if the simulator cannot express the model.
            SchemeError: if the state does not fit the model.
            BackendError: if the simulator is not installed or refuses.
        """
        self.close()
        if model.dynamics.kind not in self.dynamics:
            raise RuleError(
                f"{self.name} cannot run `{model.dynamics.kind}` dynamics as gpupatch defines it. "
                f"Use {' or '.join(f'`{kind}`' for kind in self.dynamics)}, or another backend."
            )
        self._check(model)
        _check_boxes(model, state)
        self._model, self._instances = model, [None] * state.n_patch
        self.set_state(state)

    def solve(self, n_steps: int, dt: float, first: int = 0, stream: int = 0) -> None:
        """Advance every patch on its own.

        Args:
            n_steps: micro-steps.
            dt: micro time step.
            first: number of the first step in the run.
            stream: accepted for the sake of the protocol; these dynamics draw no random numbers.

        Raises:
            BackendError: if the simulator stops, with its own message.
        """
        for p, instance in self._each():
            with self._explained(p):
                instance.solve(n_steps, dt, first)

    def get_state(self) -> ParticleState:
        """Copy all patches to the host, in float64.

        Raises:
            BackendError: if the simulator stops, with its own message, or a patch is not finite.
        """
        instances = list(self._each())
        assert self._state is not None
        state = self._state.copy()
        for p, instance in instances:
            with self._explained(p):
                x, v = instance.read()
            if not (np.isfinite(x).all() and np.isfinite(v).all()):
                self._drop(p)
                raise BackendError(
                    f"{self.name} stopped in patch {p}: positions or velocities are not finite. "
                    "Use a smaller micro time step, or keep particles apart at the start."
                )
            n = state.counts[p]
            state.positions[p, :, :n], state.velocities[p, :, :n] = x, v
        return state

    def set_state(self, state: ParticleState) -> None:
        """Replace all patches by those of a state.

        Args:
            state: as many patches as were set up; boxes and numbers of particles may differ.

        Raises:
            SchemeError: if there are more or fewer patches, or a box is too small.
            BackendError: if the simulator refuses, or was closed.
        """
        if self._model is None:
            raise BackendError(f"{self.name} holds no patches: call `initialize` first.")
        if state.n_patch != len(self._instances):
            raise SchemeError(
                f"{self.name} was initialized with {len(self._instances)} patches; the state has "
                f"{state.n_patch}. Initialize again."
            )
        _check_boxes(self._model, state)
        before, self._state = self._state, state.copy()
        for p in range(state.n_patch):
            patch, instance = patch_of(self._state, p), self._instances[p]
            with self._explained(p):
                if instance is not None and before is not None and before.counts[p] == patch.n:
                    instance.write(patch)
                    continue
                self._drop(p)
                self._instances[p] = self._open(self._model, patch) if patch.n else _Empty()

    def potential_energy(self) -> NDArray[np.float64]:
        """Potential energy of every patch as the simulator computes it, [patch].

        Raises:
            BackendError: if the simulator stops, with its own message.
        """
        energy = np.zeros(len(self._instances))
        for p, instance in self._each():
            with self._explained(p):
                energy[p] = instance.potential_energy()
        return energy

    def close(self) -> None:
        """Close all instances; may be called again."""
        for p in range(len(self._instances)):
            self._drop(p)
        self._model, self._state, self._instances = None, None, []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abc.abstractmethod
    def _check(self, model: ParticleModel) -> None:
        """Refuse a model that the simulator cannot express, by a `RuleError`."""

    @abc.abstractmethod
    def _open(self, model: ParticleModel, patch: Patch) -> Instance:
        """Make an instance for one patch."""

    @abc.abstractmethod
    def _is_failure(self, error: Exception) -> bool:
        """Whether an exception is the simulator's own."""

    def _each(self) -> Iterator[tuple[int, Instance]]:
        if self._model is None:
            raise BackendError(f"{self.name} holds no patches: call `initialize` first.")
        for p, instance in enumerate(self._instances):
            if instance is None:
                raise BackendError(
                    f"{self.name} has stopped in patch {p}: call `set_state` before going on."
                )
            yield p, instance

    @contextlib.contextmanager
    def _explained(self, p: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not self._is_failure(error):
                raise
            self._drop(p)
            words = " ".join(str(error).split())
            raise BackendError(f"{self.name} stopped in patch {p}: {words}") from error

    def _drop(self, p: int) -> None:
        instance, self._instances[p] = self._instances[p], None
        if instance is not None:
            instance.close()


def patch_of(state: ParticleState, p: int) -> Patch:
    """The particles that are present in one patch of a state."""
    n = int(state.counts[p])
    return Patch(
        state.positions[p, :, :n].astype(np.float64),
        state.velocities[p, :, :n].astype(np.float64),
        state.types[p, :n],
        state.box[p],
        state.controls[p],
    )


def _check_boxes(model: ParticleModel, state: ParticleState) -> None:
    if state.ndim != model.ndim:
        raise SchemeError(f"the model has {model.ndim} dimensions, its state {state.ndim}.")
    if model.pair is None:
        return
    for a, boundary in enumerate(model.boundary):
        side = state.box[:, a].min(initial=np.inf)
        if boundary == "periodic" and side < 2 * model.pair.cutoff:
            raise SchemeError(
                f"a periodic box is {side:g} wide, less than twice the cutoff "
                f"{model.pair.cutoff:g}, so that a particle would meet two images of another. "
                "Use a wider box or a shorter cutoff."
            )

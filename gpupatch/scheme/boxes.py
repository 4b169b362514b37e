"""Periodic boxes at imposed states: equations of state, and transport coefficients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, Macro, ParticleKernels, Plain
from gpupatch.burst import Burst
from gpupatch.contract import checked
from gpupatch.errors import NonFiniteError, SchemeError, suggestion
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.moments import THERMAL, estimate, moments
from gpupatch.particles.observe import ParticlePlan, block_weights
from gpupatch.particles.prepare import crystal_boxes, settled, wrapped
from gpupatch.particles.state import ParticleState
from gpupatch.projection import Projection
from gpupatch.scheme.interface import LeapingSystem, Shown
from gpupatch.scheme.memory import particle_arrays
from gpupatch.scheme.particle_problem import ParticleProblem, patch_centres
from gpupatch.scheme.particles import ParticleScheme
from gpupatch.scheme.problem import Function, Initial, call, one_per_member
from gpupatch.steps import count_steps

STATE = ("density", "temperature")
"""What every box is held at."""

SAMPLE = 5
"""Micro-steps between two samples: less than one collision, so that none is lost."""

_AT_ONCE = 256
"""Samples that are taken in one burst."""

_Moments = Mapping[str, NDArray[np.float64]]
_Imposed = Mapping[str, NDArray[np.float64]]
QUANTITIES: dict[str, Callable[[_Moments, _Imposed], NDArray[np.float64]]] = {
    "density": lambda m, imposed: imposed["density"],
    "temperature": lambda m, imposed: m["temperature"],
    "energy": lambda m, imposed: m["energy"],
    "pressure": lambda m, imposed: m["pressure"],
    "shear_stress": lambda m, imposed: m["stress"][..., 0, 1],
    "heat_flux": lambda m, imposed: m["heat_flux"][..., 0],
    "viscosity": lambda m, imposed: m["stress"][..., 0, 1] / imposed["shear_rate"],
    "conductivity": lambda m, imposed: m["heat_flux"][..., 0] / imposed["temperature"]
    / imposed["heat_field"],
}  # fmt: skip
"""What can be measured in a box.

============  ====================================================================================
density       particles per volume, which is imposed
temperature   2 K / g, with g degrees of freedom; in sheared boxes relative to the flow
energy        potential energy per particle
pressure      minus a third of the trace of the stress (half in 2 dimensions)
shear_stress  stress, axis x through faces across y
heat_flux     energy per area and time along x
viscosity     shear_stress / shear_rate, of `sheared` dynamics
conductivity  heat_flux / (temperature heat_field), of `heat_driven` dynamics
============  ====================================================================================
"""

_NEEDS = {"viscosity": "shear_rate", "conductivity": "heat_field"}


@checked(SchemeError)
@dataclass(frozen=True, eq=False)
class BoxProblem(ParticleProblem):
    """Particles in periodic boxes that stand for the state of matter at places of a grid.

    The grid belongs to the macroscopic scale and may have fewer axes than the boxes; what its
    coordinates mean is free, a position or a state.

    Attributes:
        particles: particles of a box.
        controls: `density` and what the dynamics imposes, by name; `members` may sweep them. The
            gradient that a scheme imposes by itself is left out.
        names: coarse fields, from `QUANTITIES`.
        tails: whether what a homogeneous fluid adds beyond the cutoff is counted.

    Raises:
        SchemeError: if names, controls or numbers do not fit.
    """

    particles: int = 256
    tails: bool = False

    def __post_init__(self):
        if isinstance(self.model, LatticeGas):
            raise SchemeError("boxes hold particles that move continuously, no lattice gas.")
        self.check_numbers()
        if set(self.model.boundary) != {"periodic"}:
            raise SchemeError("boxes at imposed states are periodic along every axis.")
        if self.particles < 2:
            raise SchemeError(f"a box of {self.particles} particles: at least 2 are needed.")
        known = (*STATE, *self.control_names)
        for name in sorted({*self.controls, *self.members} - set(known)):
            raise SchemeError(f"boxes have no control `{name}`. {suggestion(name, known)}")
        pair = self.model.pair
        if self.tails and (pair is None or pair.truncation != "truncated"):
            raise SchemeError("`tails` need a pair potential with `truncation = 'truncated'`.")

    def box_width(self, density: float) -> float:
        """Edge of a cubic (square) box at a density, same units as positions."""
        return float((self.particles / density) ** (1 / self.model.ndim))

    def imposed(self, name: str) -> NDArray[np.float64]:
        """A control in every member, [member].

        Raises:
            SchemeError: if it has no value.
        """
        rows = [{**self.controls, **values} for values in self.member_values]
        if any(name not in row for row in rows):
            raise SchemeError(f"boxes need a value for `{name}`. Give it in `controls`.")
        return np.array([row[name] for row in rows], dtype=float)


@dataclass(frozen=True, eq=False)
class BoxRun:
    """Boxes, and what has been measured in them since they settled.

    Attributes:
        boxes: the particles; patch = box x member x cells, the last running fastest.
        imposed: what each patch is held at, by name, [patch].
        first: measured when the boxes had settled, [1, patch, field].
        samples: measured after every `SAMPLE` micro-steps from then on, each [time, patch, field].
        steps: micro-steps that the boxes have taken.
    """

    boxes: ParticleState
    imposed: Mapping[str, NDArray[np.float64]]
    first: NDArray[np.float64]
    samples: tuple[NDArray[np.float64], ...]
    steps: int

    @property
    def series(self) -> NDArray[np.float64]:
        """All samples so far, [time, patch, field]."""
        return np.concatenate(self.samples) if self.samples else self.first


@checked(SchemeError)
class BoxScheme(ParticleScheme):
    """Periodic boxes, each held at a density and a temperature, measured for as long as they run.

    Coarse values are averages over all that has been measured, and their standard errors come from
    blocks and from boxes of the same state. A run takes micro-steps throughout, without leaps.

    Args:
        problem: particles, states, what is measured.
        backend: where the boxes live.
        dt: micro time step.
        boxes: boxes of the same state that are averaged.
        settle: model time that a box is given to melt and settle before anything is measured.

    Raises:
        SchemeError: if the dynamics cannot show what is asked for, or a number is out of range.
    """

    kind = "box"
    functional = "average over the boxes and over the time since they settled"
    every = SAMPLE
    keeps_dt = True
    fixes_blocks = True

    def __init__(
        self,
        problem: BoxProblem,
        backend: Backend,
        dt: float,
        boxes: int = 1,
        settle: float = 10.0,
    ):
        super().__init__(problem, backend, Burst(SAMPLE * dt, dt=dt, replicas=boxes))
        self.states, self.dt, self.settle = problem, dt, settle
        check_settling(settle)
        dynamics = problem.model.dynamics
        for name in problem.names:
            if name not in QUANTITIES:
                raise SchemeError(
                    f"nothing measures `{name}` in a box. {suggestion(name, QUANTITIES)}"
                )
            if _NEEDS.get(name, "temperature") not in ("temperature", *dynamics.controls):
                raise SchemeError(
                    f"`{name}` is not to be seen with `{dynamics.kind}` dynamics, which imposes no "
                    f"`{_NEEDS[name]}`."
                )
        self.kernels = backend.load_particles(problem.micro_model(), problem.dtype)
        self._model = problem.micro_model()
        self._observables = observables_of(problem.names)

    @property
    def batches(self) -> list[ParticleKernels]:
        """The passes over all boxes."""
        return [self.kernels]

    @property
    def _copies(self) -> int:
        return self.burst_spec.replicas

    def initial(self, initial: Initial, t: float = 0.0) -> BoxRun:
        """Boxes that have settled at their states.

        Args:
            initial: `density` and `temperature`, numbers or functions of position at the centres
                of cells, for all members or one mapping per member; what is absent is taken from
                the controls.
            t: time of the state; it does not enter.
        """
        members = one_per_member(initial, self.n_members)
        x = np.meshgrid(*self.grid.centres, indexing="ij")
        names = (*STATE, *(n for n in self._model.dynamics.controls if n not in STATE))
        check_held(members, names)
        imposed = {}
        for name in names:
            rows = []
            for m, one in enumerate(members):
                value = one[name] if name in one else self.states.imposed(name)[m]
                rows.append(np.broadcast_to(call(value, x, None), self.grid.patches).ravel())
            imposed[name] = np.tile(np.concatenate(rows), self._copies)
        controls = {n: imposed[n] for n in self._model.dynamics.controls}
        state = crystal_boxes(
            self._model, self.states.particles, imposed["density"], imposed["temperature"],
            controls=controls,
        )  # fmt: skip
        steps = count_steps(self.settle, self.dt)
        state = settled(self._model, self.kernels, state, imposed["temperature"], steps, self.dt)
        self.count(steps, self.dt, int(state.counts.sum()))
        seen = self.kernels.measure(self.kernels.pack(state), self._observables)[None]
        return BoxRun(state, imposed, self._quantities(state, imposed, seen), (), steps)

    def advance(self, state: BoxRun, t: float, dt: float, n_steps: int) -> BoxRun:
        """The run after some micro-steps, a multiple of those between two samples."""
        handle = self.kernels.pack(wrapped(self._model, state.boxes))
        samples = [*state.samples]
        for done in range(0, n_steps, _AT_ONCE * SAMPLE):
            take = min(_AT_ONCE * SAMPLE, n_steps - done)
            weights = block_weights(take, 0, SAMPLE, take // SAMPLE)
            plan = ParticlePlan(take, dt, self._observables, weights, first=state.steps + done)
            seen = self.kernels.burst(handle, plan)
            samples.append(self._quantities(state.boxes, state.imposed, seen))
        boxes = self.kernels.unpack(handle)
        self.count(n_steps, dt, int(boxes.counts.sum()))
        steps = state.steps + n_steps
        return BoxRun(boxes, state.imposed, state.first, tuple(samples), steps)

    def _quantities(self, boxes, imposed, seen) -> NDArray[np.float64]:
        values = moments(self._model, boxes, self._observables, seen, self.states.tails)
        columns = [QUANTITIES[name](values, imposed) for name in self.names]
        return np.stack([np.broadcast_to(c, seen.shape[:2]) for c in columns], axis=-1)

    def estimates(self, state: BoxRun) -> dict[str, NDArray[np.object_]]:
        """Every quantity with its standard error.

        Args:
            state: a run with two samples or more, or several boxes of every state.

        Returns:
            By name, `Estimate`s in the shape [member, *cells].

        Raises:
            SchemeError: if there is only one sample of one box.
        """
        shape = (self.n_members, *self.grid.patches)
        series = state.series.reshape(-1, self._copies, int(np.prod(shape)), len(self.names))
        found = {}
        for k, name in enumerate(self.names):
            made = np.empty(series.shape[2], dtype=object)
            for place in range(len(made)):
                made[place] = estimate(series[:, :, place, k].T)
            found[name] = made.reshape(shape)
        return found

    def coarse(self, state: BoxRun) -> Macro:
        """Averages since the boxes settled, [member, field, *cells]."""
        mean = state.series.mean(axis=0).reshape(self._copies, self.n_members, -1, len(self.names))
        shaped = np.moveaxis(mean.mean(axis=0), -1, 1)
        return shaped.reshape(self.n_members, len(self.names), *self.grid.patches)

    def uncertainty(self, state: BoxRun) -> Macro:
        """Standard errors of the averages, same shape; undefined (nan) while none is known."""
        if len(state.series) * self._copies < 2:
            return np.full((self.n_members, len(self.names), *self.grid.patches), np.nan)
        error = np.vectorize(lambda one: one.error, otypes=[float])
        return np.stack([error(one) for one in self.estimates(state).values()], axis=1)

    def stable_dt(self, state: BoxRun, t: float) -> float:
        """The micro time step."""
        return self.dt

    def rebase(self, state: BoxRun) -> BoxRun:
        """The state itself."""
        return state

    def copy(self, state: BoxRun) -> BoxRun:
        """A run that goes on by itself; what has been measured is shared."""
        boxes = state.boxes.copy()
        return BoxRun(boxes, state.imposed, state.first, state.samples, state.steps)

    def dump(self, state: BoxRun, slope: bool = False) -> dict[str, Plain]:
        """A copy of boxes and samples as host arrays by name."""
        return {
            "boxes": particle_arrays(state.boxes),
            "imposed": dict(state.imposed),
            "first": state.first,
            "samples": list(state.samples),
            "steps": state.steps,
        }

    def restore(self, arrays: Mapping[str, Plain], slope: bool = False) -> BoxRun:
        """The boxes and samples that `dump` showed."""
        boxes, imposed = ParticleState(**arrays["boxes"]), dict(arrays["imposed"])
        return BoxRun(boxes, imposed, arrays["first"], tuple(arrays["samples"]), arrays["steps"])

    def finite(self, state: BoxRun) -> bool:
        """Whether every particle is somewhere."""
        return bool(np.isfinite(state.boxes.positions).all() and np.isfinite(state.series).all())

    def locate_failure(self, state: BoxRun, t: float) -> NonFiniteError:
        """The first box that lost a particle."""
        bad = ~np.isfinite(state.boxes.positions).all(axis=(1, 2))
        patch = int(np.argmax(bad)) % (self.n_members * int(np.prod(self.grid.patches)))
        member, cell = divmod(patch, int(np.prod(self.grid.patches)))
        where = tuple(int(i) for i in np.unravel_index(cell, self.grid.patches))
        return NonFiniteError(t, member, where, "positions")

    def particles(self, state: BoxRun, t: float) -> Shown:
        """The particles of one box of every state."""
        first = np.arange(self.n_members * int(np.prod(self.grid.patches)))
        centres = patch_centres(self.grid.centres, self.n_members)
        return Shown(state.boxes.picked(first), tuple(self._model.boundary), centres)

    def result_facts(self) -> dict[str, Any]:
        """Attributes of the result; the boxes do not lie in the space of the grid."""
        facts = super().result_facts()
        return {name: fact for name, fact in facts.items() if name not in ("half_width", "core")}

    def averages(self, functions: Mapping[str, Function], t: float | None) -> NDArray[np.float64]:
        """Functions of position (and time) at the centres of the cells, [field, *cells]."""
        x = np.meshgrid(*self.grid.centres, indexing="ij")
        values = [np.broadcast_to(call(functions[n], x, t), self.grid.patches) for n in self.names]
        return np.stack(values)

    def system(self, projection: Projection, t: float, state: BoxRun) -> LeapingSystem:
        """Refused: the state of a box is imposed, so there is no slope to leap along.

        Raises:
            SchemeError: always.
        """
        raise SchemeError("the `box` scheme takes micro-steps only. Leave out the projection.")

    def describe(self) -> list[str]:
        """What will be run, in lines."""
        boxes = self._copies * self.n_members * int(np.prod(self.grid.patches))
        return [f"{boxes} periodic boxes of {self.states.particles} particles"]

    def work(self, reached: float) -> dict[str, Any]:
        """Entries of a report: there is no larger domain that could be compared with."""
        return {"particle_steps": self.particle_steps, "boxes_per_state": self._copies}


def check_settling(settle: float) -> None:
    """Refuse a time to settle that is negative or endless.

    Raises:
        SchemeError: with the time.
    """
    if not 0 <= settle < np.inf:
        raise SchemeError(f"`settle` is {settle}; it must be a time that is not negative.")


def check_held(members: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Refuse to hold patches at what they do not have.

    Args:
        members: what every member is held at, by name.
        names: what there is to be held.

    Raises:
        SchemeError: with the stray name.
    """
    for name in sorted({name for one in members for name in one} - set(names)):
        raise SchemeError(f"nothing is held at `{name}`. {suggestion(name, names)}")


def block_steps(burst: Burst) -> tuple[int, float]:
    """Micro-steps of a burst, a multiple of those between samples, and their length.

    It is that of the burst, or less where they would not fit.

    Raises:
        SchemeError: if the burst has no time step.
    """
    if burst.dt is None:
        raise SchemeError("boxes need a micro time step: give `burst.dt`.")
    steps = SAMPLE * count_steps(burst.length, SAMPLE * burst.dt)
    return steps, burst.length / steps


def observables_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """What has to be observed for quantities of boxes."""
    heat = {"heat_flux", "conductivity"} & set(names)
    return (*THERMAL, "heat_flux") if heat else THERMAL

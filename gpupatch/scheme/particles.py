"""What the schemes whose patches are made of particles have in common."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import (
    Backend,
    GasKernels,
    Handle,
    Macro,
    Micro,
    ParticleKernels,
    Plain,
    linear_combination,
)
from gpupatch.burst import Burst
from gpupatch.contract import checked, shown
from gpupatch.errors import GridError, NonFiniteError, SchemeError, suggestion
from gpupatch.grid import PatchGrid
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.model import ParticleModel
from gpupatch.projection import Projection
from gpupatch.scheme.memory import Remembering
from gpupatch.scheme.problem import (
    Function,
    Initial,
    cell_averages,
    combinations,
    one_per_member,
)
from gpupatch.scheme.quarantine import Quarantine
from gpupatch.scheme.systems import MeasuredSystem
from gpupatch.scheme.variant import Variable


@checked(GridError)
def particle_grid(
    domain: Sequence[tuple[float, float]],
    patches: Sequence[int],
    width: Sequence[float] | float,
    boundary: Sequence | str = "periodic",
) -> PatchGrid:
    """A grid of cells for patches of particles, which are boxes `width` wide.

    Three sites along every axis carry what a patch is lifted with, its value and its slopes.

    Args:
        domain: (lo, hi) per axis.
        patches: cells per axis.
        width: of a patch, core and buffers together, per axis or for all; same units as `domain`.
        boundary: as of `PatchGrid`.

    Returns:
        The grid; a patch of n = 3 sites covers n dx.
    """
    if np.ndim(width) and np.size(width) != len(domain):
        raise GridError(
            f"`width` has {np.size(width)} entries for {len(domain)} axes; give one per axis, or "
            "one for all."
        )
    dx = [w / 3 for w in np.broadcast_to(np.asarray(width, dtype=float), len(domain))]
    return PatchGrid(domain, patches, 3, dx=dx, boundary=boundary, cells=True)


def patch_centres(axes: Sequence[NDArray[np.float64]], members: int) -> NDArray[np.float64]:
    """Where the patches of all members are.

    Args:
        axes: positions along each axis.
        members: members, whose patches follow one another.

    Returns:
        [patch, axis].
    """
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    return np.tile(places, (members, 1))


@checked(SchemeError)
@dataclass(frozen=True, eq=False)
class ParticleProblem:
    """A micro-simulator of particles on a grid of cells.

    Attributes:
        model: the particles, what acts on them and how they move: a `ParticleModel`; or, for
            schemes of a density, a `LatticeGas`.
        grid: the cells; its patches are boxes of n dx along every axis, see `particle_grid`.
        controls: what the dynamics imposes on every patch, by name, for instance `temperature`.
        names: the coarse fields.
        core: width of the part of a patch that is measured, along the axis across which the patch
            measures; a third of the patch when absent.
        members: values of swept controls, by name; every combination is a member.
        replicas: independent repetitions of every member, from which error bars are taken.
        dtype: precision inside the patches, "float64" or "float32".
        seed: seed of all random numbers; it takes the place of the model's.

    Raises:
        SchemeError: if dimensions, controls or widths do not fit.
    """

    model: Any
    grid: PatchGrid
    controls: Mapping[str, float] = field(default_factory=dict)
    names: tuple[str, ...] = ("density",)
    core: float | None = None
    members: Mapping[str, Sequence[float]] = field(default_factory=dict)
    replicas: int = 1
    dtype: str = "float64"
    seed: int = 0

    def __post_init__(self):
        self.check_numbers()
        grid, known = self.grid, self.control_names
        if self.model.ndim != grid.ndim:
            raise SchemeError(
                f"the particles live in {self.model.ndim} dimensions, but the grid has {grid.ndim} "
                "axes. Change one of them."
            )
        given = {*self.controls, *self.members}
        for name in sorted(given - set(known)):
            hint = suggestion(name, known) if known else "It has none."
            raise SchemeError(f"the dynamics has no control `{name}`. {hint}")
        for name in known:
            if name not in given:
                raise SchemeError(f"the dynamics needs a value for the control `{name}`.")
        if self.core is not None and not 0 < self.core <= min(self.width):
            raise SchemeError(
                f"the core is {self.core} wide, and the patch {min(self.width):.6g}. Give a core "
                "that is positive and not wider than the patch."
            )

    def check_numbers(self) -> None:
        """Refuse numbers that make no sense for any kind of patch.

        Raises:
            SchemeError: with the first of them.
        """
        model: object = self.model
        if not isinstance(model, ParticleModel | LatticeGas):
            raise SchemeError(
                f"`model` is {shown(model)}; it must be a `ParticleModel` or a `LatticeGas`."
            )
        if not self.grid.cells:
            raise SchemeError("particles need a grid of cells: `PatchGrid(cells=True)`.")
        if self.dtype not in ("float64", "float32"):
            raise SchemeError(f"dtype {self.dtype!r} is unknown; use 'float64' or 'float32'.")
        if self.replicas < 1:
            raise SchemeError(f"`replicas` is {self.replicas}; at least 1 is needed.")
        if getattr(self.model, "n_types", 1) > 1:
            raise SchemeError(
                f"patches are filled with particles of one type, but the model tells "
                f"{self.model.n_types} types apart. Give every mass and parameter one number."
            )
        swept = {name: np.asarray(values, dtype=float) for name, values in self.members.items()}
        for name, values in {**self.controls, **swept}.items():
            if np.size(values) == 0 or not np.isfinite(values).all():
                raise SchemeError(f"the control `{name}` is {values}: give finite numbers.")
            if name in ("density", "temperature") and np.min(values) < 0:
                raise SchemeError(f"the {name} is {np.min(values)}; it must not be negative.")

    @property
    def control_names(self) -> tuple[str, ...]:
        """What the dynamics wants to be imposed on every patch."""
        return () if isinstance(self.model, LatticeGas) else self.model.dynamics.controls

    @property
    def micro_kind(self) -> str:
        """Name of the dynamics, or of the lattice gas."""
        return getattr(self.model, "dynamics", self.model).kind

    @functools.cached_property
    def width(self) -> tuple[float, ...]:
        """Edge lengths of a patch, per axis."""
        return tuple(n * d for n, d in zip(self.grid.n_sites, self.grid.spacing, strict=True))

    @property
    def core_width(self) -> float:
        """Width of the part of a patch that is measured."""
        return min(self.width) / 3 if self.core is None else self.core

    def buffer(self, axis: int) -> float:
        """Width of the rest of a patch on each side of the core, along an axis."""
        return (self.width[axis] - self.core_width) / 2

    @functools.cached_property
    def member_values(self) -> list[dict[str, float]]:
        """Swept values of every member, replicas last."""
        return combinations(self.members, self.replicas)

    def micro_model(self, **changes: Any) -> ParticleModel:
        """The particles with the seed of the problem, and with other changes."""
        return replace(self.model, seed=self.seed, **changes)

    def control_rows(self, patches_per_member: int, repeats: int = 1) -> NDArray[np.float64]:
        """What is imposed on the patches of a batch.

        Args:
            patches_per_member: patches of one member in one repetition.
            repeats: repetitions of all members, the slowest index of the batch.

        Returns:
            [patch, control], in the order of the dynamics.
        """
        rows = np.array(
            [
                [{**self.controls, **values}[name] for name in self.control_names]
                for values in self.member_values
            ],
            dtype=float,
        ).reshape(len(self.member_values), len(self.control_names))
        return np.tile(np.repeat(rows, patches_per_member, axis=0), (repeats, 1))


class ParticleScheme(Variable, Remembering):
    """The parts shared by schemes of particles; U is the state, and slopes come from bursts.

    U has the shape [member, field, *cells] and lives on the host. A subclass says what a coarse
    value is (`functional`, and `averages` if it is not the average over a cell) and measures
    `slope`; it tells `count` about every burst.

    Args:
        problem: particles, grid, controls.
        backend: where the patches live.
        burst: length, healing, micro time step and replicas of the bursts.

    Attributes:
        micro_steps: micro-steps taken so far by one patch in one replica.
        micro_time: model time that they cover.
        particle_steps: micro-steps of all particles so far.
        domain_particles: particles that would fill the domain, of all members; 0 if unknown.
        quarantine: what becomes of patches that fail in a burst.
    """

    kind: str
    functional: str = "average over the cell"
    lookahead: int = 1
    remembered = ("micro_steps", "micro_time", "particle_steps", "domain_particles")

    def __init__(self, problem: ParticleProblem, backend: Backend, burst: Burst):
        self.problem, self.backend, self.burst_spec = problem, backend, burst
        self.micro_steps = 0
        self.micro_time = 0.0
        self.particle_steps = 0
        self.domain_particles = 0.0
        self.quarantine = Quarantine(None, 2, self.download)

    def memory(self) -> dict[str, Plain]:
        """A copy of counters, and of what has been quarantined."""
        return super().memory() | {"quarantine": self.quarantine.dump()}

    def remember(self, memory: Mapping[str, Plain]) -> None:
        """Take back what `memory` told."""
        super().remember(memory)
        self.quarantine.restore(memory["quarantine"])

    @property
    def names(self) -> tuple[str, ...]:
        """The coarse fields, in the order of the field axis."""
        return self.problem.names

    @property
    def grid(self) -> PatchGrid:
        """Where the coarse values lie."""
        return self.problem.grid

    @property
    def backend_name(self) -> str:
        """Where the patches live."""
        return self.backend.name

    @property
    def dtype(self) -> str:
        """Precision inside the patches."""
        return self.problem.dtype

    @property
    def n_members(self) -> int:
        """Members whose coarse values are reported, replicas included."""
        return len(self.problem.member_values)

    @property
    def members(self) -> Mapping[str, Sequence[float]]:
        """Values of swept controls, by name."""
        return self.problem.members

    @property
    def member_values(self) -> list[dict[str, float]]:
        """Swept values of every member, replicas last."""
        return self.problem.member_values

    @property
    def replicas(self) -> int:
        """Independent repetitions of every member."""
        return self.problem.replicas

    @property
    def batches(self) -> Sequence[ParticleKernels | GasKernels]:
        """The passes over each batch of patches."""
        raise SchemeError(f"scheme {type(self).__name__} defines no batch of patches.")

    @property
    def updates(self) -> int:
        """Micro-steps of one particle so far."""
        return self.particle_steps

    @property
    def burst_length(self) -> float:
        """Model time of one burst."""
        return self.burst_spec.length

    def count(self, n_steps: int, dt: float, particles: int, first: bool = True) -> None:
        """Note that a batch of patches has taken micro-steps.

        Args:
            n_steps: micro-steps.
            dt: micro time step.
            particles: particles of all patches of the batch.
            first: whether no other batch has covered the same model time.
        """
        self.particle_steps += n_steps * particles
        if first:
            self.micro_steps += n_steps
            self.micro_time += n_steps * dt

    def slope(self, t: float, U: Macro) -> Macro:
        """dU/dt at the base time, from bursts; same shape as `U`."""
        raise SchemeError(f"scheme {type(self).__name__} measures no slope.")

    def burst(self, t: float, U: Macro) -> tuple[Macro, Macro]:
        """Coarse values after one burst at the measured slope, and that slope."""
        slope = self.slope(t, U)
        return self.combine([(1.0, U), (self.burst_length, slope)]), slope

    def system(self, projection: Projection, t: float, U: Macro) -> MeasuredSystem:
        """This scheme as the system that a projective method leaps over."""
        return ParticleSystem(self)

    def upload(self, U: Macro) -> Handle:
        """Coarse values where the scheme keeps them: on the host."""
        return U

    def download(self, values: Handle) -> np.ndarray:
        """Values on the host."""
        return values

    def combine(self, terms: Sequence[tuple[float, Macro]]) -> Macro:
        """The linear combination sum of weight * U, as new coarse values."""
        return linear_combination(terms)

    def initial(self, initial: Initial, t: float = 0.0) -> Macro:
        """Coarse values of functions of position through the functional of the scheme.

        Args:
            initial: functions of position by field, for all members or one mapping per member.
            t: time of the state; it does not enter.

        Returns:
            [member, field, *cells].

        Raises:
            SchemeError: if a density is negative.
        """
        members = one_per_member(initial, self.n_members)
        U = np.stack([self.averages(one, None) for one in members])
        if "density" in self.names:
            least = U[:, self.names.index("density")].min()
            if least < 0:
                raise SchemeError(f"the density of a cell is {least:.6g}; it must not be negative.")
            volume = float(np.prod(self.grid.gap))
            self.domain_particles = float(U[:, self.names.index("density")].sum() * volume)
        return U

    def exact(self, functions: Mapping[str, Function], t: float) -> Macro:
        """Functions of position and time through the functional of the scheme."""
        return np.repeat(self.averages(functions, t)[None], self.n_members, axis=0)

    def averages(self, functions: Mapping[str, Function], t: float | None) -> NDArray[np.float64]:
        """The functional that defines U, applied to functions of position (and time).

        Returns:
            [field, *cells], the same for all members.
        """
        return cell_averages(self.grid, self.names, functions, t)

    def coarse(self, U: Macro) -> Macro:
        """Coarse values, which are the state."""
        return U

    def uncertainty(self, U: Macro) -> Macro | None:
        """Standard errors of the coarse values of one replica, from the spread of all of them.

        Args:
            U: coarse values, [member, field, *cells].

        Returns:
            Same shape as `U`; None if every member was run only once.
        """
        n = self.problem.replicas
        if n < 2:
            return None
        spread = U.reshape(-1, n, *U.shape[1:]).std(axis=1, ddof=1)
        return np.repeat(spread, n, axis=0)

    def copy(self, U: Macro) -> Macro:
        """An independent copy of a state."""
        return U.copy()

    def dump(self, U: Macro, slope: bool = False) -> dict[str, Plain]:
        """A copy of coarse values, or of a slope, as host arrays by name."""
        return {"U": U.copy()}

    def restore(self, arrays: Mapping[str, Plain], slope: bool = False) -> Macro:
        """The coarse values, or the slope, that `dump` showed."""
        return np.array(arrays["U"])

    def finite(self, U: Macro) -> bool:
        """Whether every coarse value is finite."""
        return bool(np.isfinite(U).all())

    def locate_failure(self, U: Macro, t: float) -> NonFiniteError:
        """Where the state stopped being finite: the first such value."""
        member, index, *patch = (int(i) for i in np.argwhere(~np.isfinite(U))[0])
        return NonFiniteError(t, member, tuple(patch), self.names[index])

    def fields(self, U: Macro, t: float) -> Micro:
        """Refused: particles are not values at sites.

        Raises:
            SchemeError: always.
        """
        raise SchemeError(
            f"the patches of the `{self.kind}` scheme are made of particles, so there are no sites "
            "to keep. Leave out `output.patches`."
        )

    def facts(self) -> list[dict[str, Any]]:
        """What happened on the device, a record for each batch that has something to tell."""
        return [facts for one in self.batches if (facts := one.facts())]

    def describe(self) -> list[str]:
        """What will be run, in lines."""
        patches = " x ".join(map(str, self.grid.patches))
        width = " x ".join(f"{w:.4g}" for w in self.problem.width)
        return [
            f"{patches} cells, patches of particles {width} wide, {self.n_members} member(s), "
            f"{100 * self.fraction_of_space:.3g} % of space"
        ]

    @property
    def fraction_of_space(self) -> float:
        """Share of the domain that lies in patches."""
        return self.grid.fraction()

    def work(self, reached: float) -> dict[str, Any]:
        """Entries of a report about what was simulated, and what the full domain would need.

        Args:
            reached: model time that the run has covered.
        """
        entries: dict[str, Any] = {
            "particle_steps": self.particle_steps,
            "fraction_of_space": self.fraction_of_space,
        }
        entries |= self.quarantine.entries()
        if self.domain_particles and self.micro_time:
            full = self.domain_particles * reached * self.micro_steps / self.micro_time
            entries["particle_steps_of_the_full_domain"] = full
            entries["gain"] = full / max(self.particle_steps, 1)
        return entries

    def result_facts(self) -> dict[str, Any]:
        """Attributes of the result: the particles, and where their patches are."""
        grid = self.grid
        return {
            "model": self.problem.micro_kind,
            "patches": list(grid.patches),
            "half_width": [w / 2 for w in self.problem.width],
            "core": self.problem.core_width,
        }


class ParticleSystem(MeasuredSystem):
    """Coarse values and their slopes from bursts of particles.

    Replicas of a burst run side by side in one batch, so that a slope is asked for once.
    """

    def __init__(self, scheme: ParticleScheme):
        self.scheme: Any = scheme

    def slope(self, t: float, U: Macro) -> Macro:
        """The healed slope, averaged over replicas of the burst."""
        return self.scheme.slope(t, U)

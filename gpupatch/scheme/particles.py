"""What the schemes whose patches are made of particles have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from gpupatch.errors import NonFiniteError, SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.projection import Projection
from gpupatch.scheme.memory import Remembering
from gpupatch.scheme.particle_problem import ParticleProblem
from gpupatch.scheme.problem import (
    Function,
    Initial,
    cell_averages,
    one_per_member,
)
from gpupatch.scheme.quarantine import Quarantine
from gpupatch.scheme.systems import MeasuredSystem
from gpupatch.scheme.variant import Variable


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

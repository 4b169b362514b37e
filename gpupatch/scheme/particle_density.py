"""What the two schemes for the density of diffusing particles share: lift, burst, noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, GasBackend, Macro
from gpupatch.burst import Burst
from gpupatch.errors import InputError, SchemeError
from gpupatch.lifting.gases import lift_gas
from gpupatch.lifting.particles import (
    ParticleLifting,
    lift_particles,
    lift_velocities,
    profile_mean,
)
from gpupatch.lifting.reservoirs import refilled
from gpupatch.particles.dynamics import Brownian, HardRods
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.observe import Core, ParticlePlan
from gpupatch.particles.state import ParticleState, make_state
from gpupatch.scheme.alone import ParticlesAlone
from gpupatch.scheme.density_checks import acts, check_burst, check_gas, check_model
from gpupatch.scheme.interface import Shown
from gpupatch.scheme.particle_problem import ParticleProblem, patch_centres
from gpupatch.scheme.particles import ParticleScheme
from gpupatch.scheme.quarantine import Begun, FailedPatch, Places
from gpupatch.scheme.sampling import Sampling

GAS_STEP = 0.1
"""Micro time step of lattice gases, in units of the time between hops to one side."""
LOOKS = 20
"""Times that reservoirs are refilled in a burst when nothing is said."""


Lifted = tuple[NDArray[np.float64], tuple[str, ...], Sequence[NDArray[np.float64]]]
"""Densities that patches are lifted with, [member x place, 3], boundary, and centres per axis."""


class DensityScheme(ParticleScheme):
    """A scheme whose one coarse field is the density of particles, with slopes that know noise.

    Patches are filled with particles of a given density, heal for a time t0 and are followed for a
    time t. Slopes and fluxes are differences between the two ends,

        F = [R(t0 + t) - R(t0)] / t,

    which is all that there is to know when the noise is Brownian.

    Replicas of a burst run side by side, and their spread gives the standard error of the slope.
    With a `tolerance` further ones are run until that error is below this share of the slope,

        M >= Var_1 / (tolerance s)^2,

    or `max_replicas` is reached. With `common` the same random numbers serve for a second burst
    without slope, in which nothing changes in the mean, and what it shows is subtracted.

    Args:
        problem: particles, grid of cells (`particle_grid`), controls.
        backend: where the patches live.
        burst: length, replicas and, for particles that interact, healing and micro time step. What
            is left open is: no healing for particles that do not interact, and as few micro-steps
            as their exact motion needs. The estimator is the end point, whatever `slope` says.
        sampling: how patches are filled, and how much noise is accepted.

    Attributes:
        slope_error: standard error of the last slope, same shape as U; None after one replica.
        stream: number of the last burst, which sets its random numbers apart. Set back, the next
            burst has the same once more.

    Raises:
        SchemeError: if the parts do not fit together.
    """

    remembered = ("slope_error", "stream", "_replicas", "_noise")

    def __init__(
        self,
        problem: ParticleProblem,
        backend: Backend,
        burst: Burst,
        sampling: Sampling | None = None,
    ):
        super().__init__(problem, backend, burst)
        self.sampling = one = sampling or Sampling()
        self.tolerance, self.max_replicas = one.tolerance, one.max_replicas
        self.gas: LatticeGas | None = None
        rod, closed = 0.0, True
        if isinstance(problem.model, LatticeGas):
            self.gas = problem.model
        else:
            dynamics = problem.model.dynamics
            rod = dynamics.length if isinstance(dynamics, HardRods) else 0.0
            closed = rod > 0 or problem.model.pair is not None
        self.lifting = ParticleLifting(one.lift, one.number, one.weight, rod)
        self.edges: str = one.edges or ("reflecting" if closed else "open")
        self.slope_error: Macro | None = None
        self.places: list[Places] = []
        self._begun: Begun | None = None
        self.stream = 0
        self._replicas: list[int] = []
        self._noise: list[tuple[float, float]] = []
        self._check()

    @property
    def interacting(self) -> bool:
        """Whether a lift has something to heal: anything but noise moves the particles."""
        if self.gas is not None:
            return self.gas.kind == "zero_range"
        return acts(self.problem.model)

    @property
    def healing(self) -> float:
        """Time discarded at the beginning of a burst."""
        free = self.gas is not None or not self.problem.model.dynamics.moves_velocities
        if self.burst_spec.heal is None and free and not self.interacting:
            return 0.0
        return self.burst_spec.healing

    def load(self, boundary: tuple[str, ...]) -> Any:
        """The passes over a batch of patches.

        Args:
            boundary: what closes each axis, see `ParticleModel`; lattice gases are closed.

        Raises:
            SchemeError: if the backend does not run lattice gases.
        """
        if self.gas is None:
            model = self.problem.micro_model(boundary=boundary)
            return self.backend.load_particles(model, self.dtype)
        if not isinstance(self.backend, GasBackend):
            raise SchemeError(
                f"the backend `{self.backend_name}` does not run lattice gases. Use `numba` or "
                "`numpy`."
            )
        return self.backend.load_gas(replace(self.gas, seed=self.problem.seed))

    def samples(self, t: float, U: Macro, first: bool) -> NDArray[np.float64]:
        """Slopes from the replicas of one burst, [replica, member, 1, *cells].

        Args:
            t: base time.
            U: coarse values, [member, 1, *cells].
            first: whether no other burst has covered the same model time.
        """
        raise SchemeError(f"scheme {type(self).__name__} measures no slope.")

    def slope(self, t: float, U: Macro) -> Macro:
        """dU/dt at the base time, averaged over replicas of the burst.

        Args:
            t: base time.
            U: coarse values, [member, 1, *cells].

        Returns:
            Same shape as `U`, in units of U per time.
        """
        self.quarantine.begin(t, U)
        found = self.samples(t, U, True)
        while (missing := self._missing(found)) > 0:
            found = np.concatenate([found, self.samples(t, U, False)[:missing]])
        mean = found.mean(axis=0)
        self._replicas.append(len(found))
        if len(found) > 1:
            error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
            self.slope_error = error
            self._noise.append((_rms(error), _rms(mean)))
        return mean

    def observed(
        self,
        kernels: Any,
        profile: NDArray[np.float64],
        axis: int,
        observable: str,
        core: Core,
        first: bool,
    ) -> NDArray[np.float64]:
        """Lift patches, run them, and read off how fast an observable changes.

        Args:
            kernels: the passes over the particles.
            profile: densities along the axis, [member x place, 3].
            axis: along which the density varies.
            observable: "crossing" or "core_mass".
            core: what it is measured in.
            first: whether no other burst has covered the same model time.

        Returns:
            [replica x member x place], per time.
        """
        self.stream += 1
        self._begun = None
        if self.sampling.common and self.lifting.method == "weighted":
            return self._run(kernels, profile, axis, observable, core, first, True)
        found = self._run(kernels, profile, axis, observable, core, first, False)
        if self.sampling.common:
            level = np.zeros_like(profile)
            level[:, 0] = profile_mean(profile, self.problem.width[axis])
            found = found - self._run(kernels, level, axis, observable, core, False, False)
        return found

    def run_patches(
        self, profile: NDArray[np.float64], axis: int, first: bool
    ) -> NDArray[np.float64]:
        """What patches lifted with given densities show in one burst.

        Args:
            profile: densities along the axis, [member x place, 3].
            axis: along which the density varies.
            first: whether no other burst has covered the same model time.

        Returns:
            Fluxes, or slopes of averages over cores, [replica x member x place].
        """
        raise SchemeError(f"scheme {type(self).__name__} runs no patches.")

    def steps(self) -> tuple[int, int, float]:
        """Micro-steps of a burst, those among them that heal (one at least), and their length."""
        length, dt = self.burst_spec.length, self.burst_spec.dt
        if dt is None and self.gas is not None:
            dt = GAS_STEP / self.gas.rate
        share = self.healing / length
        if dt is not None:
            n = max(2 if share else 1, int(np.ceil(length / dt * (1 - 1e-12))))
        else:
            least = 1 if self.edges != "reservoir" else math.ceil(length / self._refill - 1e-9)
            tried = range(least, least + 64)
            n = next((k for k in tried if abs(share * k - round(share * k)) < 1e-9), tried[-1])
        healing = max(1, round(share * n)) if share else 0
        return n, min(healing, n - 1), length / n

    def work(self, reached: float) -> dict[str, Any]:
        """Entries of a report: particles, replicas of bursts, noise of the slopes."""
        entries = super().work(reached)
        if self._replicas:
            entries["burst_replicas"] = {
                "least": min(self._replicas),
                "most": max(self._replicas),
                "mean": float(np.mean(self._replicas)),
                "raised": sum(n > self.burst_spec.replicas for n in self._replicas),
            }
        if self._noise:
            error, signal = (_rms(np.array(v)) for v in zip(*self._noise, strict=True))
            entries["slope"] = {"rms": signal, "standard_error": error}
        return entries

    def healthy(self, values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        """What a burst has shown, with what failed patches lack from their neighbours.

        Args:
            values: [replica, member, 1, *places].
            axis: along which the density varied.

        Raises:
            QuarantineError: if more patches failed than may.
        """
        assert self._begun is not None
        places = self.places[axis]
        failed = self.quarantine.failures(self._begun, [values], places, self.n_members)
        return values if failed is None else self.quarantine.mended(values, failed, places)

    def profiles(self, t: float, U: Macro) -> Lifted:
        """What patches (on the faces across x) are lifted with, their ends, and their centres.

        Args:
            t: time.
            U: coarse values, [member, 1, *cells].

        Returns:
            Densities [member x place, 3], boundary, and centres per axis.
        """
        raise SchemeError(f"scheme {type(self).__name__} lifts no patches.")

    def particles(self, U: Macro, t: float) -> Shown:
        """The particles with which the next burst begins, on the faces across x.

        Args:
            U: coarse values, [member, 1, *cells].
            t: time.

        Raises:
            SchemeError: for lattice gases.
        """
        if self.gas is not None:
            raise SchemeError("the patches of a lattice gas hold numbers at sites, no particles.")
        profile, boundary, axes = self.profiles(t, U)
        rows = np.tile(profile, (self.burst_spec.replicas, 1))
        state = self.lifted(rows, self.stream + 1).picked(np.arange(len(profile)))
        return Shown(state, boundary, patch_centres(axes, self.n_members))

    def result_facts(self) -> dict[str, Any]:
        """Attributes of the result: the particles, their lift, and where their patches are."""
        return super().result_facts() | {
            "lift": self.lifting.method,
            "edges": self.edges,
        }

    def alone(self, failed: FailedPatch) -> ParticlesAlone:
        """One patch of a burst by itself.

        Args:
            failed: the patch, and what its burst began with.

        Raises:
            InputError: if it does not fit this scheme.
            SchemeError: for lattice gases, which cannot fail.
        """
        if self.gas is not None:
            raise SchemeError("numbers of particles at sites are always finite: nothing to replay.")
        begun, axis, row = failed.begun, failed.begun.batch, failed.row
        rows = self._rows(begun)
        state = self.lifted(rows, begun.stream, axis, bool(begun.arrays["excess"]))
        inner = (self.problem.core_width + self.problem.buffer(axis)) / 2

        def refill(one: ParticleState, look: int) -> ParticleState:
            profile, seed = rows[row : row + 1], self.problem.seed
            return refilled(one, profile, axis, inner, seed, begun.stream, look, row)

        return self._alone(failed, state, begun.first, refill)

    def _alone(self, failed: FailedPatch, state: ParticleState, first: int, refill=None):
        """One patch of a batch that was lifted as a whole."""
        begun, axis = failed.begun, failed.begun.batch
        model = self.problem.micro_model(boundary=self._boundary(axis), first_patch=failed.row)
        half = tuple(
            w / 2 * (1 + 1e-5) if a == axis and self.edges != "open" else np.inf
            for a, w in enumerate(self.problem.width)
        )
        return ParticlesAlone(
            kernels=self.backend.load_particles(model, self.dtype),
            state=state.picked(np.array([failed.row])),
            plan=ParticlePlan(begun.n_steps, begun.dt, first=first, stream=begun.stream),
            time=begun.time,
            cuts=self._cuts(begun.n_steps, begun.dt),
            refill=refill if self.edges == "reservoir" else None,
            half=half if self.interacting else (),
        )

    def _rows(self, begun: Begun) -> NDArray[np.float64]:
        """What all patches of a burst were lifted with, replicas included, [patch, 3].

        Raises:
            InputError: if that does not fit this scheme.
        """
        profile = np.asarray(begun.arrays.get("profile", ()), dtype=float)
        wanted = (self.n_members * self.places[begun.batch].count, 3)
        if profile.shape != wanted:
            raise InputError(
                f"the failed patch was lifted with an array of shape {profile.shape}; its case "
                f"needs {wanted}."
            )
        return np.tile(profile, (self.burst_spec.replicas, 1))

    def _boundary(self, axis: int) -> tuple[str, ...]:
        end = "open" if self.edges == "open" else "reflecting"
        return tuple(end if a == axis else "periodic" for a in range(self.grid.ndim))

    def known_diffusivity(self, profile: NDArray[np.float64]) -> float:
        """Largest diffusivity in patches, where it follows from the model; 0 where it does not.

        That of points is mobility x T, of hard rods 1/(1 - rho a)^2 times as much, of a zero-range
        gas rate a^2/(1 + a rho)^2, of other lattice gases rate a^2.

        Args:
            profile: densities that the patches are lifted with, [patch, 3].
        """
        half = max(self.problem.width) / 2
        density = profile @ np.array([[1.0, 1.0], [-half, half], [half**2, half**2]])
        if self.gas is not None:
            crowd = 1 + self.gas.spacing * max(float(density.min(initial=np.inf)), 0.0)
            slower = crowd**2 if self.gas.kind == "zero_range" else 1.0
            return self.gas.rate * self.gas.spacing**2 / slower
        dynamics = self.problem.model.dynamics
        if self.interacting or not isinstance(dynamics, Brownian | HardRods):
            return 0.0
        values = [{**self.problem.controls, **m} for m in self.member_values]
        D = dynamics.mobility * max(v["temperature"] for v in values)
        return D / (1 - self.lifting.rod * float(density.max(initial=0.0))) ** 2

    def _missing(self, found: NDArray[np.float64]) -> int:
        """Replicas that the tolerance asks for beyond those at hand."""
        n = len(found)
        if self.tolerance is None or n >= self.max_replicas:
            return 0
        variance = found.var(axis=0, ddof=1)
        square = np.maximum(found.mean(axis=0) ** 2 - variance / n, 0.0)
        axes = tuple(range(1, square.ndim))
        signal, noise = square.mean(axis=axes), variance.mean(axis=axes)
        least = noise / (2 * self.max_replicas)
        wanted = noise / np.maximum(np.maximum(self.tolerance**2 * signal, least), 1e-300)
        return int(min(np.ceil(wanted.max()), self.max_replicas)) - n

    def _run(
        self, kernels, profile, axis: int, observable: str, core: Core, first: bool, excess: bool
    ) -> NDArray[np.float64]:
        rows = np.tile(profile, (self.burst_spec.replicas, 1))
        n_steps, healed, dt = self.steps()
        if self.gas is not None:
            state: Any = self.lifted_gas(rows, self.stream)
            n = int(state.sum())
        else:
            state = self.lifted(rows, self.stream, axis, excess)
            n = int(state.counts.sum())
        self.count(n_steps, dt, n, first)
        handle, total = kernels.pack(state), np.zeros(len(rows))
        for begin, end in itertools.pairwise(self._cuts(n_steps, dt)):
            if begin > 0:
                state = self._refilled(kernels.unpack(handle), rows, axis, begin)
                handle = kernels.pack(state)
            weights = np.zeros((end - begin + 1, 1))
            if end > healed:
                weights[max(healed - begin, 0)], weights[-1] = -1.0, 1.0
            plan = ParticlePlan(
                end - begin, dt, (observable,), weights, core, first=begin, stream=self.stream
            )
            total += kernels.burst(handle, plan)[0, :, 0]
        begun = self.quarantine.begun(
            axis, n_steps, dt, self.stream, arrays={"profile": profile, "excess": excess}
        )
        if self.gas is None and self.interacting:
            self._check_places(kernels.unpack(handle), axis, begun, total)
        if self._begun is None or not np.isfinite(total).all():
            self._begun = begun
        return total / ((n_steps - healed) * dt)

    def _check_places(self, state: ParticleState, axis: int, begun: Begun, total) -> None:
        """Let patches fail whose forces have thrown particles out of closed ends, or nowhere.

        Raises:
            SchemeError: if failures end the run.
        """
        half = np.inf if self.edges == "open" else self.problem.width[axis] / 2 * (1 + 1e-5)
        x = state.positions[:, axis]
        lost = (state.present & ~(np.isfinite(x) & (np.abs(x) <= half))).sum(axis=1)
        total[lost > 0] = np.nan
        if lost.any() and self.quarantine.share is None:
            self.quarantine.tell(begun, lost > 0, self.places[axis], self.n_members)
            raise SchemeError(
                f"forces have thrown {lost.sum()} particles out of {np.count_nonzero(lost)} of "
                f"{len(lost)} patches in one burst. Use a smaller `burst.dt`, a potential that is "
                "finite where particles are put at random, or a lower density."
            )

    def _cuts(self, n_steps: int, dt: float) -> list[int]:
        """Steps at which a burst begins, is interrupted for reservoirs, and ends."""
        if self.edges != "reservoir":
            return [0, n_steps]
        return [*range(0, n_steps, max(1, round(self._refill / dt))), n_steps]

    @property
    def _refill(self) -> float:
        """Time between two looks at the reservoirs."""
        return self.sampling.refill or self.burst_length / LOOKS

    def _refilled(self, state: ParticleState, profile, axis: int, look: int) -> ParticleState:
        """The state with its reservoirs refilled."""
        inner = (self.problem.core_width + self.problem.buffer(axis)) / 2
        return refilled(state, profile, axis, inner, self.problem.seed, self.stream, look)

    def lifted_gas(self, profile: NDArray[np.float64], stream: int) -> NDArray[np.int32]:
        """Numbers of particles at the sites of patches of a lattice gas, [patch, site].

        Args:
            profile: densities, [patch, 3].
            stream: number that sets the random numbers of this lift apart.
        """
        assert self.gas is not None
        n_site, seed = round(self.problem.width[0] / self.gas.spacing), self.problem.seed
        return lift_gas(self.gas, self.sampling.lift, profile, n_site, seed, stream)

    def lifted(
        self, profile: NDArray[np.float64], stream: int, axis: int = 0, excess: bool = False
    ) -> ParticleState:
        """Patches full of particles.

        Args:
            profile: densities along the axis, [replica x member x place, 3].
            stream: number that sets the random numbers of this lift apart.
            axis: along which the density varies.
            excess: whether particles weigh what they exceed the level by.
        """
        problem, names = self.problem, self.problem.control_names
        seed, per_member = problem.seed, len(profile) // (self.burst_spec.replicas * self.n_members)
        lifted = lift_particles(self.lifting, profile, problem.width, axis, seed, stream)
        rows = problem.control_rows(per_member, self.burst_spec.replicas)
        velocities = None
        if problem.model.dynamics.moves_velocities:
            spread = np.sqrt(rows[:, names.index("temperature")] / problem.model.masses[0])
            shape = lifted.positions.shape
            velocities = lift_velocities(shape, spread[:, None, None], seed, stream)
            if self.sampling.drift:
                velocities[:, axis] += self._drift(profile, lifted.positions[:, axis], spread)
        return make_state(
            lifted.positions,
            problem.width,
            velocities=velocities,
            counts=lifted.counts,
            controls={name: rows[:, k] for k, name in enumerate(names)},
            names=names,
            weights=lifted.weights - self.lifting.weight if excess else lifted.weights,
        )

    def _drift(self, profile, x, spread) -> NDArray[np.float64]:
        """The mean velocity of particles at x, [patch, particle], of thermal velocity `spread`."""
        c0, c1, c2 = profile.T[:, :, None]
        steepness = (c1 + 2 * c2 * x) / np.maximum(c0 + x * (c1 + x * c2), 1e-12 * np.abs(c0))
        relaxing = spread[:, None] ** 2 / self.problem.model.dynamics.friction
        return -self.sampling.drift * relaxing * steepness

    def _check(self) -> None:
        if self.names != ("density",):
            raise SchemeError(
                f"the `{self.kind}` scheme of particles has one field, `density`; found "
                f"{self.names}."
            )
        check_burst(self.burst_spec, self.sampling)
        if self.gas is not None:
            check_gas(self.gas, self.problem.width[0], self.lifting, self.edges)
        else:
            check_model(self.problem.model, self.burst_spec, self.sampling, self.edges)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))

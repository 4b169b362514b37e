"""The `flux` scheme for particles: patches on the faces of cells count what crosses them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, Macro, ParticleKernels
from gpupatch.burst import Burst
from gpupatch.errors import SchemeError, suggestion
from gpupatch.lifting import centre_weights, face_lifting, reconstruct
from gpupatch.lifting.particles import LiftedParticles, ParticleLifting, lift_particles, limited
from gpupatch.particles.dynamics import Brownian, HardRods
from gpupatch.particles.observe import Core, ParticlePlan
from gpupatch.particles.state import make_state
from gpupatch.scheme.flux import averaged, difference
from gpupatch.scheme.particles import ParticleProblem, ParticleScheme
from gpupatch.theory.healing import average_rate_error, longest_burst

EDGES = ("open", "reflecting")
HEALED = 1e-3
"""Share of a flux that the ends of a patch may spoil before a warning is given."""


class ParticleFluxScheme(ParticleScheme):
    """A finite-volume scheme for the density of particles, whose fluxes are counted in bursts.

        dU_j/dt = - sum_a (J_a[j+1/2] - J_a[j-1/2]) / H_a

        J = 1/(h A t) sum_i w_i [clip(x_i(t0 + t), -h/2, h/2) - clip(x_i(t0), -h/2, h/2)]

    A patch on every face is filled with particles whose density has the value and the slope of the
    coarse field there; they heal for a time t0 and are followed for a time t. What each of them
    has moved within the core, h wide and A in cross-section, is the flux averaged over core and
    time: of Brownian noise, the end points are all that there is to know. The total is conserved
    to round-off, and the slope carries a noise of variance 4 D rho / (h A t H^2) for every
    replica, (H/h)^2 below what averages over cores have.

    Replicas of a burst run side by side. With `tolerance` further ones are run until the standard
    error of the slope falls below that share of it,

        M >= Var_1 / (tolerance s)^2,

    or `max_replicas` is reached. With `common` the same random numbers are used for a second burst
    without slope, whose flux is zero in the mean and is subtracted.

    Args:
        problem: particles, grid of cells (`particle_grid`), controls.
        backend: where the patches live.
        burst: length, replicas and, for particles that interact, healing and micro time step. What
            is left open is: no healing for particles that do not interact, and as few micro-steps
            as their exact motion needs. The estimator is the end point, whatever `slope` says.
        order: order of the reconstruction in H: 2, 4, 6 or 8.
        lift: "low_noise", "stochastic" or "weighted", see `ParticleLifting`.
        number: "rounded" or "poisson" number of particles; chosen by `lift` when absent.
        weight: what one simulated particle stands for.
        edges: ends of the patches: "open" (particles leave) or "reflecting".
        common: subtract a burst with the same random numbers and no slope.
        tolerance: relative standard error that is asked of slopes, or None.
        max_replicas: replicas of a burst beyond which noise is accepted.
        diffusivity: largest diffusivity, for the check that the buffers protect the core; that of
            a single particle, or the one that the first burst shows if larger, when absent.

    Raises:
        SchemeError: if the parts do not fit together.

    Source: E and Engquist (2003), section 3, for fluxes from patches [EEngquist2003].
    """

    kind = "flux"

    def __init__(
        self,
        problem: ParticleProblem,
        backend: Backend,
        burst: Burst,
        order: int = 2,
        lift: str = "low_noise",
        number: str | None = None,
        weight: float = 1.0,
        edges: str = "open",
        common: bool = False,
        tolerance: float | None = None,
        max_replicas: int = 64,
        diffusivity: float | None = None,
    ):
        super().__init__(problem, backend, burst)
        self.edges, self.common, self.diffusivity = edges, common, diffusivity
        self.tolerance, self.max_replicas = tolerance, max_replicas
        dynamics, grid = problem.model.dynamics, problem.grid
        rod = dynamics.length if isinstance(dynamics, HardRods) else 0.0
        self.lifting = ParticleLifting(lift, number, weight, rod)
        self._check()
        self.axes = [face_lifting(grid, self.names, order, a) for a in range(grid.ndim)]
        self.centre_weights = [centre_weights(grid, a, order) for a in range(grid.ndim)]
        self.kernels = [
            backend.load_particles(problem.micro_model(boundary=self._boundary(a)), problem.dtype)
            for a in range(grid.ndim)
        ]
        self.slope_error: Macro | None = None
        self._stream = 0
        self._replicas: list[int] = []
        self._noise: list[tuple[float, float]] = []
        self._healing_checked = False

    @property
    def batches(self) -> list[ParticleKernels]:
        """The passes over the patches on the faces of every axis."""
        return list(self.kernels)

    @property
    def interacting(self) -> bool:
        """Whether anything but noise moves the particles."""
        model = self.problem.model
        return any(
            part is not None for part in (model.pair, model.bonds, model.angles, model.field)
        )

    def slope(self, t: float, U: Macro) -> Macro:
        """dU/dt from the fluxes counted on all faces, averaged over replicas of the burst.

        Its standard error is kept as `slope_error`, if there are two replicas or more.

        Args:
            t: base time.
            U: cell averages, [member, 1, *cells].

        Returns:
            Same shape as `U`, in units of U per time.
        """
        samples = self._samples(t, U, True)
        while (missing := self._missing(samples)) > 0:
            samples = np.concatenate([samples, self._samples(t, U, False)[:missing]])
        n = len(samples)
        mean = samples.mean(axis=0)
        self._replicas.append(n)
        if n > 1:
            error = samples.std(axis=0, ddof=1) / np.sqrt(n)
            self.slope_error = error
            self._noise.append((_rms(error), _rms(mean)))
        return mean

    def measure(self, t: float, U: Macro, axis: int, first: bool = True) -> NDArray[np.float64]:
        """Fluxes through the faces across one axis in one burst.

        Args:
            t: base time.
            U: cell averages, [member, 1, *cells].
            axis: the axis that the faces cut.
            first: whether no other burst has covered the same model time.

        Returns:
            Particles per area and time, [replica, member, 1, *faces].
        """
        profile = self.profile(t, U, axis)
        self._stream += 1
        flux = self._burst(profile, axis, first)
        if self.common:
            level = np.zeros_like(profile)
            level[:, 0] = profile[:, 0]
            flux = flux - self._burst(level, axis, False)
        if not self._healing_checked:
            self.check_healing(flux, profile)
            self._healing_checked = True
        faces = [len(X) for X in self.axes[axis].centres]
        return self._closed(flux.reshape(-1, self.n_members, 1, *faces), axis)

    def profile(self, t: float, U: Macro, axis: int) -> NDArray[np.float64]:
        """Densities that the patches on the faces across one axis are lifted with.

        Args:
            t: time at which boundary values are taken.
            U: cell averages, [member, 1, *cells].
            axis: the axis that the faces cut.

        Returns:
            Coefficients of c0 + c1 x + c2 x^2, x from the face along the axis,
            [member x face, 3].
        """
        lifting = self.axes[axis]
        sites = reconstruct(lifting, lifting.extended(U, t))[:, 0]
        middle = [n // 2 for n in self.grid.n_sites]
        line = np.moveaxis(sites, 1 + axis, -1)
        for a in reversed([m for k, m in enumerate(middle) if k != axis]):
            line = line[..., a, :]
        dx, m = self.grid.spacing[axis], middle[axis]
        profile = np.zeros((len(line), 3))
        profile[:, 0] = line[:, m]
        profile[:, 1] = (line[:, m + 1] - line[:, m - 1]) / (2 * dx)
        return limited(profile, self.problem.width[axis])

    def check_healing(self, flux: NDArray[np.float64], profile: NDArray[np.float64]) -> None:
        """Compare the burst with the time for which the buffers protect the core.

        Each end of a patch spoils a share 4 i2erfc(z), z = buffer/sqrt(4 D t), of the flux that is
        averaged over a time t from the lift on.

        Args:
            flux: of the first burst, [patch].
            profile: what it was lifted with, [patch, 3].

        Source: Carslaw and Jaeger (1959), section 2.5 [CarslawJaeger1959].
        """
        D = self._largest_diffusivity(flux, profile)
        buffer = min(self.problem.buffer(a) for a in range(self.grid.ndim))
        if D == 0:
            return
        t1, t2 = self.healing, self.burst_length
        moved = [
            t * float(average_rate_error(buffer / np.sqrt(4 * D * t))) if t else 0.0
            for t in (t1, t2)
        ]
        share = 2 * (moved[1] - moved[0]) / (t2 - t1)
        if share > HEALED:
            longest = longest_burst(HEALED / 2, buffer, D) if buffer > 0 else 0.0
            warnings.warn(
                f"a burst of length {t2:.3g} with buffers {buffer:.3g} wide, at a diffusivity of "
                f"{D:.3g}: what happens at the ends of the patches changes the flux in the core by "
                f"{100 * share:.2g} %. Widen the buffers, or shorten the burst to {longest:.2g}.",
                stacklevel=2,
            )

    @property
    def healing(self) -> float:
        """Time discarded at the beginning of a burst."""
        if self.burst_spec.heal is None and not self.interacting:
            return 0.0
        return self.burst_spec.healing

    def steps(self) -> tuple[int, int, float]:
        """Micro-steps of a burst, those among them that heal, and their length."""
        length, dt = self.burst_spec.length, self.burst_spec.dt
        share = self.healing / length
        if dt is not None:
            n = max(2 if share else 1, int(np.ceil(length / dt * (1 - 1e-12))))
        else:
            n = next((k for k in range(1, 65) if abs(share * k - round(share * k)) < 1e-9), 64)
        return n, min(round(share * n), n - 1), length / n

    @property
    def fraction_of_space(self) -> float:
        """Share of the domain that lies in patches."""
        cells, patches = float(np.prod(self.grid.patches)), 0.0
        for lifting in self.axes:
            patches += float(np.prod([len(X) for X in lifting.centres]))
        return patches / cells * float(np.prod(np.divide(self.problem.width, self.grid.gap)))

    def work(self, reached: float) -> dict[str, Any]:
        """Entries of a report: particles, replicas of bursts, noise of the slopes."""
        entries = super().work(reached)
        if self._replicas:
            most = max(self._replicas)
            entries["burst_replicas"] = {
                "least": min(self._replicas),
                "most": most,
                "mean": float(np.mean(self._replicas)),
                "raised": sum(n > self.burst_spec.replicas for n in self._replicas),
            }
        if self._noise:
            error, signal = (
                float(np.sqrt(np.mean(np.square(v)))) for v in zip(*self._noise, strict=True)
            )
            entries["slope"] = {"rms": signal, "standard_error": error}
        return entries

    def result_facts(self) -> dict[str, Any]:
        """Attributes of the result: the particles, their lift, and where their patches are."""
        return super().result_facts() | {"lift": self.lifting.method, "edges": self.edges}

    def _samples(self, t: float, U: Macro, first: bool) -> NDArray[np.float64]:
        """Slopes of every replica, [replica, member, 1, *cells]."""
        total = np.zeros((self.burst_spec.replicas, *U.shape))
        for axis in range(self.grid.ndim):
            flux = self.measure(t, U, axis, first and axis == 0)
            flat = flux.reshape(-1, *flux.shape[2:])
            for a in range(self.grid.ndim):
                if a != axis:
                    flat = averaged(flat, a, *self.centre_weights[a])
            total -= difference(flat, self.grid, axis).reshape(total.shape)
        return total

    def _missing(self, samples: NDArray[np.float64]) -> int:
        """Replicas that the tolerance asks for beyond those at hand."""
        n = len(samples)
        if self.tolerance is None or n >= self.max_replicas:
            return 0
        variance = samples.var(axis=0, ddof=1)
        square = np.maximum(samples.mean(axis=0) ** 2 - variance / n, 0.0)
        axes = tuple(range(1, square.ndim))
        signal = np.maximum(square.mean(axis=axes), 1e-300)
        wanted = (variance.mean(axis=axes) / (self.tolerance**2 * signal)).max()
        return int(min(np.ceil(wanted), self.max_replicas)) - n

    def _burst(self, profile, axis: int, first: bool) -> NDArray[np.float64]:
        """Lift, burst and restrict all replicas; fluxes of every patch, [patch]."""
        problem, repeats = self.problem, self.burst_spec.replicas
        lifted = lift_particles(
            self.lifting, np.tile(profile, (repeats, 1)), problem.width, axis, problem.seed,
            self._stream,
        )  # fmt: skip
        n_steps, healed, dt = self.steps()
        weights = np.zeros((n_steps + 1, 1))
        weights[healed], weights[n_steps] = -1.0, 1.0
        plan = ParticlePlan(
            n_steps, dt, ("crossing",), weights / ((n_steps - healed) * dt),
            Core(problem.core_width, axis), stream=self._stream,
        )  # fmt: skip
        kernels = self.kernels[axis]
        rows = problem.control_rows(len(profile) // self.n_members, repeats)
        out = kernels.burst(kernels.pack(self._state(lifted, rows)), plan)[0, :, 0]
        self.count(n_steps, dt, int(lifted.counts.sum()), first)
        return out * problem.width[axis] / float(np.prod(problem.width))

    def _state(self, lifted: LiftedParticles, rows: NDArray[np.float64]):
        names = self.problem.control_names
        return make_state(
            lifted.positions,
            self.problem.width,
            counts=lifted.counts,
            controls={name: rows[:, k] for k, name in enumerate(names)},
            names=names,
            weights=lifted.weights,
        )

    def _closed(self, flux, axis: int):
        """Nothing crosses walls at which the slope is zero."""
        if not self.grid.periodic(axis):
            for side, face in enumerate(self.grid.faces(axis)):
                if face.a == 0 and not callable(face.c) and face.c == 0:
                    np.moveaxis(flux, 3 + axis, 0)[-side] = 0.0
        return flux

    def _boundary(self, axis: int) -> tuple[str, ...]:
        return tuple(self.edges if a == axis else "periodic" for a in range(self.grid.ndim))

    def _largest_diffusivity(self, flux, profile) -> float:
        if self.diffusivity is not None:
            return self.diffusivity
        dynamics, known = self.problem.model.dynamics, 0.0
        if isinstance(dynamics, Brownian | HardRods):
            values = [{**self.problem.controls, **m} for m in self.member_values]
            known = dynamics.mobility * max(v["temperature"] for v in values)
        if isinstance(dynamics, HardRods):
            return known / (1 - dynamics.length * float(profile[:, 0].max(initial=0.0))) ** 2
        if not self.interacting and known:
            return known
        slope = np.tile(profile[:, 1], len(flux) // len(profile))
        measured = -float(flux @ slope) / float(slope @ slope) if slope.any() else 0.0
        return max(known, measured)

    def _check(self) -> None:
        problem, burst = self.problem, self.burst_spec
        if self.names != ("density",):
            raise SchemeError(
                f"the `flux` scheme of particles has one field, `density`; found {self.names}."
            )
        if self.edges not in EDGES:
            raise SchemeError(f"there are no edges `{self.edges}`. {suggestion(self.edges, EDGES)}")
        if self.interacting and self.lifting.weight != 1:
            raise SchemeError("particles that interact stand for themselves: leave out `weight`.")
        if self.interacting and self.lifting.method == "weighted":
            raise SchemeError(
                "particles that interact cannot be given weights. Use the lift `low_noise` or "
                "`stochastic`."
            )
        if self.interacting and burst.dt is None:
            raise SchemeError("particles that interact need a micro time step: give `burst.dt`.")
        if self.common and problem.model.field is not None:
            raise SchemeError(
                "`common` subtracts a burst whose flux is zero, but the external field moves "
                "particles even where the density has no slope. Leave out `common`."
            )
        if self.tolerance is not None and (self.tolerance <= 0 or burst.replicas < 2):
            raise SchemeError(
                "`tolerance` must be positive, and needs two replicas of a burst or more, from "
                f"which its noise is known; found {self.tolerance} and {burst.replicas}."
            )


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))

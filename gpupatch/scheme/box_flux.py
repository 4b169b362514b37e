"""A conservation law whose fluxes are measured in periodic boxes of particles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, Macro, ParticleKernels, Plain
from gpupatch.burst import Burst
from gpupatch.contract import checked
from gpupatch.errors import NonFiniteError, SchemeError
from gpupatch.lifting import face_lifting
from gpupatch.particles.moments import block_correlation, moments
from gpupatch.particles.observe import ParticlePlan, block_weights
from gpupatch.particles.prepare import crystal_boxes, retuned, settled
from gpupatch.particles.state import ParticleState
from gpupatch.projection import Projection
from gpupatch.scheme.alone import ParticlesAlone, one_patch
from gpupatch.scheme.box_laws import LAWS
from gpupatch.scheme.boxes import SAMPLE, BoxProblem, block_steps, check_settling
from gpupatch.scheme.interface import Shown
from gpupatch.scheme.memory import particle_arrays
from gpupatch.scheme.particle_problem import patch_centres
from gpupatch.scheme.particles import ParticleScheme, ParticleSystem
from gpupatch.scheme.problem import Initial
from gpupatch.scheme.propagated import Propagated, combined, exactly
from gpupatch.scheme.quarantine import Begun, FailedPatch, Places, Quarantine
from gpupatch.steps import count_steps

BLOCKS = 8
"""Blocks of a burst from which an error is taken where there is one box only."""

MOST_BURSTS = 16
"""Bursts for one slope, after which noise is accepted."""


@checked(SchemeError)
class BoxFluxScheme(ParticleScheme):
    """Finite volumes whose fluxes are measured in periodic boxes at the states of the faces.

        w dU_j/dt = -(J_{j+1/2} - J_{j-1/2})/H

    A box on every face is lifted to the value and the gradient of the field there: the gradient
    becomes a shear or a heat field that acts on all its particles alike, so that the box stays
    periodic and homogeneous. Boxes are kept from burst to burst and retuned to their new state,
    which leaves little to heal. What leaves a cell enters its neighbour: the total is conserved to
    round-off. The standard errors of the measured fluxes are propagated to U.

    Args:
        problem: particles of `sheared` or `heat_driven` dynamics, one-dimensional grid of cells,
            `density` and, if the field is the velocity, `temperature` among the controls. The names
            of its fields are not read: the dynamics decides (`LAWS`).
        backend: where the boxes live.
        burst: micro time step `dt`, `length`, `heal`, and `replicas`: boxes per face. The flux is
            averaged over the part of the burst after healing.
        order: order of the reconstruction in H: 2, 4, 6 or 8.
        strength: gradient (`shear_rate`, `heat_field`) at which boxes are driven whatever the
            gradient on their face, and from which the flux is scaled back in proportion. For fluids
            whose response is linear up to there it takes away most of the noise. When absent, boxes
            are driven as their face is.
        capacity: heat capacity per particle at constant volume, c/density, for the temperature.
        settle: model time that the boxes are given to melt and settle before the first burst.
        tolerance: standard error of the fluxes, relative to the largest of them, for which a burst
            is repeated up to `MOST_BURSTS` times; never when absent.
        max_quarantined: share of the boxes of a burst that may fail; their fluxes are interpolated
            from those of other faces, and they go on as copies of the nearest healthy box. The
            first failure ends a run when absent.

    Attributes:
        boxes: as the last burst left them, patch = box x member x face; None before the first.
        model: the particles of the boxes.
        density: of the boxes, [member].
        weight: w, the density, or the heat capacity per volume, [member].
        held: temperature of boxes whose field is the velocity, [member]; None of others.
        flux: fluxes of the last burst, [member, face].
        flux_error: their standard errors, same shape.

    Raises:
        SchemeError: if the parts do not fit together.

    Source: E and Engquist (2003), section 3 [EEngquist2003]; Ren and E (2005), sections 2-3, with
    boxes as in Evans and Morriss (2008), chapter 6 [RenE2005, EvansMorriss2008].
    """

    kind = "box_flux"
    remembered = (
        "flux", "flux_error", "_steps", "_sources", "_squares", "_freedom", "_products", "_driven",
        "_driven_variance",
    )  # fmt: skip

    def __init__(
        self,
        problem: BoxProblem,
        backend: Backend,
        burst: Burst,
        order: int = 2,
        strength: float | None = None,
        capacity: float | None = None,
        settle: float = 10.0,
        tolerance: float | None = None,
        max_quarantined: float | None = None,
    ):
        super().__init__(problem, backend, burst)
        self.states, self.settle, self.strength = problem, settle, strength
        self.tolerance = tolerance
        check_settling(settle)
        self._samples = BLOCKS if burst.replicas == 1 else burst.replicas
        kind = problem.model.dynamics.kind
        if kind not in LAWS:
            raise SchemeError(
                f"boxes of `{kind}` dynamics are not driven by a gradient. Use one of "
                f"{', '.join(LAWS)}."
            )
        self.law = LAWS[kind]
        if problem.grid.ndim != 1:
            raise SchemeError(
                f"fluxes from boxes are for grids of one axis; this one has {problem.grid.ndim}."
            )
        for name, given in (("strength", strength), ("tolerance", tolerance)):
            if given is not None and not given > 0:
                raise SchemeError(f"`{name}` is {given}; it must be positive.")
        if (capacity is None) == (self.law.field == "temperature"):
            raise SchemeError(
                "`capacity`, the heat capacity per particle, belongs to the temperature: "
                f"the field is the {self.law.field}, and `capacity` is {capacity}."
            )
        self.model = problem.micro_model()
        self.kernels = backend.load_particles(self.model, problem.dtype)
        self.burst_steps, self.dt = block_steps(burst)
        self.lifting = face_lifting(problem.grid, (self.law.field,), order, 0)
        self.places = Places.on(problem.grid, self.lifting.centres)
        self.quarantine = Quarantine(max_quarantined, order, _values)
        self.density = problem.imposed("density")
        self.held = problem.imposed("temperature") if self.law.field == "velocity" else None
        self.weight = self.density * (1.0 if capacity is None else capacity)
        self._forget()

    def _forget(self) -> None:
        members, faces = self.n_members, self.n_faces
        self.boxes: ParticleState | None = None
        self._steps = self._sources = 0
        self._squares, self._freedom = np.zeros((members, faces)), 0
        self._products = np.zeros((members, faces))
        self._driven = np.zeros((2, members))
        self._driven_variance = np.zeros(members)
        self.flux = self.flux_error = np.zeros((members, faces))

    @property
    def names(self) -> tuple[str, ...]:
        """The coarse field."""
        return (self.law.field,)

    @property
    def batches(self) -> list[ParticleKernels]:
        """The passes over all boxes."""
        return [self.kernels]

    @property
    def n_faces(self) -> int:
        """Faces of the cells, on each of which a box stands."""
        return len(self.lifting.centres[0])

    @property
    def copies(self) -> int:
        """Boxes per face."""
        return self.burst_spec.replicas

    def initial(self, initial: Initial, t: float = 0.0) -> Propagated:
        """Cell averages of a function of position; boxes of an earlier run are forgotten.

        Args:
            initial: the field as a function of position, for all members or one mapping each.
            t: time of the state; it does not enter.
        """
        self._forget()
        widths = np.array([self.states.box_width(rho) for rho in self.density])
        across = widths ** (self.model.ndim - 1)
        lo, hi = self.grid.domain[0]
        self.domain_particles = float((self.density * across).sum() * (hi - lo))
        return exactly(super().initial(initial, t))

    def slope(self, t: float, U: Propagated) -> Propagated:
        """dU/dt from the fluxes measured on all faces, with its error.

        Args:
            t: base time.
            U: cell averages.

        Returns:
            In units of U per time.
        """
        self.quarantine.begin(t, U)
        self.flux, self.flux_error = self.measure(*self.at_faces(t, U.values))
        noise = np.concatenate([self._response(U.parts[:, 0]), self._fresh_noise()], axis=-1)
        divergence, w = self._divergence(), self.weight[:, None]
        slope = -(self.flux @ divergence.T) / w
        parts = -np.einsum("cf,mfs->mcs", divergence, noise) / w[..., None]
        return Propagated(slope[:, None], parts[:, None])

    def _response(self, parts: NDArray[np.float64]) -> NDArray[np.float64]:
        """How fluxes answer to the error of the field, [member, face, source] of all sources."""
        known = np.zeros((self.n_members, self.n_faces, self._sources))
        k = self.coefficient()[0][:, None, None]
        known[..., : parts.shape[-1]] = -k * (self._gradient_matrix() @ parts)
        return known

    def _fresh_noise(self) -> NDArray[np.float64]:
        """The errors of the fluxes just measured, each a source of its own."""
        self._sources += self.n_faces
        return self.flux_error[..., None] * np.eye(self.n_faces)

    def at_faces(self, t: float, U: Macro) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Value and gradient of the field on the faces, both [member, face]."""
        along = self.lifting.axes[0]
        extended = self.lifting.extended(U, t)[:, 0]
        sites = np.einsum("mfk,fsk->mfs", extended[:, along.nodes], along.weights)
        offsets = self.grid.site_offsets[0]
        gradient = (sites[..., -1] - sites[..., 0]) / (offsets[-1] - offsets[0])
        return sites[..., len(offsets) // 2], gradient

    def measure(
        self, value: NDArray[np.float64], gradient: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fluxes through the faces from one burst, and their standard errors.

        The error comes from the spread of the boxes of a face, or of the blocks of a burst where
        there is one box only, which takes into account that each block resembles the next. Spreads
        are averaged over the bursts so far.

        Args:
            value: the field on the faces, [member, face].
            gradient: its derivative, same shape.

        Returns:
            Both [member, face].
        """
        T = np.broadcast_to(value if self.held is None else self.held[:, None], value.shape)
        per_drive = 1.0 if self.law.field == "velocity" else -T
        drive = gradient / per_drive
        imposed = drive
        if self.strength is not None:
            imposed = np.where(drive < 0, -self.strength, self.strength)
        scale = 1.0 if self.strength is None else drive / imposed
        raw = self._burst(T, imposed)
        flux, variance = raw.mean(axis=0) * scale, self._variance(len(raw))
        while self._too_noisy(flux, np.sqrt(variance) * np.abs(scale), len(raw)):
            raw = np.concatenate([raw, self._burst(T, imposed)])
            flux, variance = raw.mean(axis=0) * scale, self._variance(len(raw))
        driven, bursts = imposed * per_drive, len(raw) / self._samples
        crossed = driven * raw.mean(axis=0)
        self._driven += [bursts * crossed.sum(axis=1), bursts * (driven**2).sum(axis=1)]
        self._driven_variance += bursts**2 * (driven**2 * variance).sum(axis=1)
        return flux, np.sqrt(variance) * np.abs(scale)

    def _variance(self, count: int) -> NDArray[np.float64]:
        """Of means of so many samples, from the spread of all bursts so far, [member, face]."""
        variance = self._squares / self._freedom / count
        if self.copies > 1:
            return variance
        sums = self._squares.sum(axis=1), self._products.sum(axis=1)
        return variance * block_correlation(*sums, BLOCKS)[:, None]

    def _too_noisy(self, flux, error, count: int) -> bool:
        if self.tolerance is None or count >= MOST_BURSTS * self._samples:
            return False
        return bool(np.any(error.max(axis=1) > self.tolerance * np.abs(flux).max(axis=1)))

    def _burst(self, T, imposed) -> NDArray[np.float64]:
        """Fluxes of all boxes driven for one burst, [block x box, member, face]."""
        n_steps, blocks = self.burst_steps, self._samples // self.copies
        heal = SAMPLE * round(self.burst_spec.healing / self.dt / SAMPLE)
        weights = block_weights(n_steps, heal, SAMPLE, blocks)
        hot, push = (np.tile(one.ravel(), self.copies) for one in (T, imposed))
        if self.boxes is None:
            self.boxes = self._settled(hot)
        boxes = retuned(self.model, self.boxes, temperature=hot, controls={self.law.drive: push})
        plan = ParticlePlan(n_steps, self.dt, self.law.observables, weights, first=self._steps)
        handle = self.kernels.pack(boxes)
        seen = self.kernels.burst(handle, plan)
        self.boxes = self.kernels.unpack(handle)
        lost = ~np.isfinite(self.boxes.positions).all(axis=(1, 2))
        lost |= ~np.isfinite(seen).all(axis=(0, 2))
        seen[:, lost] = np.nan
        begun = self.quarantine.begun(
            0, n_steps, self.dt, 0, first=self._steps, states=particle_arrays(boxes)
        )
        self._steps += n_steps
        self.count(n_steps, self.dt, int(boxes.counts.sum()))
        found = self.law.flux(moments(self.model, boxes, self.law.observables, seen))
        samples = self._healthy(found.reshape(self._samples, *T.shape), imposed, begun)
        apart = samples - samples.mean(axis=0)
        self._squares += (apart**2).sum(axis=0)
        self._products += (apart[1:] * apart[:-1]).sum(axis=0)
        self._freedom += self._samples - 1
        return samples

    def _healthy(self, samples, imposed, begun: Begun) -> NDArray[np.float64]:
        """Fluxes with those of failed boxes interpolated, of boxes driven the same way."""
        copies = samples.reshape(-1, self.copies, self.n_members, 1, self.n_faces)
        failed = self.quarantine.failures(begun, [copies.sum(axis=0)], self.places, self.n_members)
        if failed is None:
            return samples
        assert self.boxes is not None
        way = 1.0 if self.strength is None else np.sign(imposed)[:, None]
        everywhere = np.broadcast_to(failed, (len(copies), *failed.shape))
        mended = way * self.quarantine.mended(way * copies, everywhere, self.places)
        self.boxes = self.boxes.picked(_donors(failed))
        return mended.reshape(samples.shape)

    def alone(self, failed: FailedPatch) -> ParticlesAlone:
        """One patch of a burst by itself.

        Args:
            failed: the patch, and what its burst began with.

        Raises:
            InputError: if it does not fit this scheme.
        """
        begun = failed.begun
        model = replace(self.model, first_patch=failed.row)
        return ParticlesAlone(
            kernels=self.backend.load_particles(model, self.dtype),
            state=one_patch(begun.states),
            plan=ParticlePlan(begun.n_steps, begun.dt, first=begun.first),
            time=begun.time,
            cuts=[0, begun.n_steps],
            told="the box is run exactly as it was among the others",
        )

    def _settled(self, temperature: NDArray[np.float64]) -> ParticleState:
        density = np.tile(np.repeat(self.density, self.n_faces), self.copies)
        state = crystal_boxes(
            self.model, self.states.particles, density, temperature, controls={self.law.drive: 0.0}
        )
        n_steps = max(3, count_steps(self.settle, self.dt))
        self._steps += n_steps
        self.count(n_steps, self.dt, int(state.counts.sum()))
        return settled(self.model, self.kernels, state, temperature, n_steps, self.dt)

    def coefficient(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The transport coefficient -J/gradient of all bursts so far, and its standard error.

        By least squares over all faces and bursts; of the heat flux, where the coefficient depends
        on the temperature, an average over the profile.

        Returns:
            Both [member]; zero and infinite while nothing has been driven.
        """
        crossed, square = self._driven
        driven = square > 0
        safe = np.where(driven, square, 1.0)
        k = np.where(driven, -crossed / safe, 0.0)
        return k, np.where(driven, np.sqrt(self._driven_variance) / safe, np.inf)

    def _divergence(self) -> NDArray[np.float64]:
        """Differences of the fluxes around a cell over its width, as a matrix [cell, face]."""
        cells, H = self.grid.patches[0], self.grid.gap[0]
        matrix, at = np.zeros((cells, self.n_faces)), np.arange(cells)
        periodic = self.grid.periodic(0)
        matrix[at, at if periodic else at + 1] += 1 / H
        matrix[at, (at - 1) % cells if periodic else at] -= 1 / H
        return matrix

    def _gradient_matrix(self) -> NDArray[np.float64]:
        """The derivative of the gradients on the faces by the cell averages, [face, cell]."""
        cells = self.grid.patches[0]
        basis = np.concatenate([np.eye(cells)[:, None], np.zeros((1, 1, cells))])
        gradient = self.at_faces(0.0, basis)[1]
        return (gradient[:-1] - gradient[-1]).T

    def particles(self, U: Propagated, t: float) -> Shown | None:
        """The particles of one box on every face as the last burst left them; None before it."""
        if self.boxes is None:
            return None
        first = np.arange(self.n_members * self.n_faces)
        centres = patch_centres(self.lifting.centres, self.n_members)
        return Shown(self.boxes.picked(first), tuple(self.model.boundary), centres)

    def system(self, projection: Projection, t: float, U: Propagated) -> ParticleSystem:
        """This scheme as the system that a projective method leaps over."""
        return _PropagatedSystem(self)

    def combine(self, terms: Sequence[tuple[float, Propagated]]) -> Propagated:
        """The linear combination sum of weight * U, as new coarse values."""
        return combined(terms)

    def upload(self, U: Macro) -> Propagated:
        """Refused: values that were outside have lost the account of their noise.

        Raises:
            SchemeError: always.
        """
        raise SchemeError(
            "fluxes from boxes are noisy, and method 'implicit' keeps no account of noise. Use "
            "`euler`, `rk2`, `rk4`, `ab2`-`ab4` or `adaptive`."
        )

    def download(self, values: Propagated) -> Macro:
        """Coarse values on the host."""
        return values.values

    def coarse(self, U: Propagated) -> Macro:
        """Coarse values."""
        return U.values

    def uncertainty(self, U: Propagated) -> Macro:
        """Standard errors of the coarse values, propagated from those of the fluxes."""
        return U.error

    def copy(self, U: Propagated) -> Propagated:
        """An independent copy of a state."""
        return U.copy()

    def memory(self) -> dict[str, Plain]:
        """A copy of counters, of the boxes, and of all sums over the bursts so far."""
        boxes = None if self.boxes is None else particle_arrays(self.boxes)
        return super().memory() | {"boxes": boxes}

    def remember(self, memory: Mapping[str, Plain]) -> None:
        """Take back what `memory` told."""
        super().remember(memory)
        boxes = memory["boxes"]
        self.boxes = None if boxes is None else ParticleState(**boxes)

    def dump(self, U: Propagated, slope: bool = False) -> dict[str, Plain]:
        """A copy of coarse values, or of a slope, and of their noise."""
        return {"U": U.values.copy(), "noise": U.parts.copy()}

    def restore(self, arrays: Mapping[str, Plain], slope: bool = False) -> Propagated:
        """The coarse values, or the slope, that `dump` showed."""
        return Propagated(np.array(arrays["U"]), np.array(arrays["noise"]))

    def finite(self, U: Propagated) -> bool:
        """Whether every coarse value is finite."""
        return bool(np.isfinite(U.values).all())

    def locate_failure(self, U: Propagated, t: float) -> NonFiniteError:
        """Where the state stopped being finite."""
        return super().locate_failure(U.values, t)

    @property
    def fraction_of_space(self) -> float:
        """Share of the domain, along its axis, that lies in the boxes of one replica."""
        lo, hi = self.grid.domain[0]
        width = max(self.states.box_width(rho) for rho in self.density)
        return self.n_faces * width / (hi - lo)

    def describe(self) -> list[str]:
        """What will be run, in lines."""
        width = max(self.states.box_width(rho) for rho in self.density)
        return [
            f"{self.grid.patches[0]} cells, {self.copies} periodic box(es) on each of "
            f"{self.n_faces} faces, {self.states.particles} particles in a box {width:.4g} wide"
        ]

    def work(self, reached: float) -> dict[str, Any]:
        """Entries of a report: work, and the transport coefficient with its standard error.

        Args:
            reached: model time that the run has covered.
        """
        k, error = self.coefficient()
        return {
            **super().work(reached),
            self.law.coefficient: k.tolist(),
            f"{self.law.coefficient}_error": error.tolist(),
            "flux_error": float(self.flux_error.max()),
        }


class _PropagatedSystem(ParticleSystem):
    """Coarse values with their noise; only the values decide how large an error is."""

    def error_norm(self, error: Propagated, U: Propagated, tolerance: float) -> float:
        """Largest |error| / (tolerance (1 + |U|))."""
        return super().error_norm(error.values, U.values, tolerance)


def _values(one: Any) -> NDArray[np.float64]:
    return one.values if isinstance(one, Propagated) else one


def _donors(failed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The nearest healthy box of the same copy and member for every box, itself if healthy."""
    rows = np.arange(failed.size).reshape(-1, failed.shape[-1])
    for row, bad in zip(rows, failed.reshape(rows.shape), strict=True):
        healthy = np.flatnonzero(~bad)
        for face in np.flatnonzero(bad):
            row[face] = row[healthy[np.argmin(np.abs(healthy - face))]]
    return rows.ravel()

"""The `flux` scheme for heat in chains: patches on the faces of cells measure energy currents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, Macro
from gpupatch.burst import Burst
from gpupatch.contract import checked
from gpupatch.errors import SchemeError
from gpupatch.lifting.chains import lift_chain
from gpupatch.particles.dynamics import VelocityFlips
from gpupatch.particles.interaction import chain
from gpupatch.particles.observe import Core, ParticlePlan
from gpupatch.particles.state import ParticleState, make_state
from gpupatch.scheme.alone import ParticlesAlone
from gpupatch.scheme.interface import Shown
from gpupatch.scheme.particle_density import Sampling
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.scheme.particle_problem import ParticleProblem, patch_centres
from gpupatch.scheme.problem import Initial
from gpupatch.scheme.quarantine import FailedPatch
from gpupatch.theory.chains import flip_conductivity


@checked(SchemeError)
class ChainFluxScheme(ParticleFluxScheme):
    """A finite-volume scheme for the energy of a long chain, with currents measured in bursts.

        dU_j/dt = -a (J[j+1/2] - J[j-1/2])/H

    U is the energy per particle, which in a harmonic chain is the temperature; a is the distance of
    neighbours, the width of a patch over its particles. A patch on every face is lifted to local
    equilibrium (`lift_chain`) with the value and the slope of U there; its ends are free, and the
    current J is averaged over the bonds of the core and over the healed part of the burst.

    Every burst is run twice with the same random numbers and opposite slopes, and J is half the
    difference: what is not odd in the slope, most of the noise, is gone. Flips leave f = exp(-2
    rate dt) of the current; measured after them, J stands for the mean of before and after,
    (1 + 1/f)/2 times as large, which makes the burst second-order in dt.

    Args:
        problem: a pinned or free harmonic chain with velocity flips and masses 1 as the model, a
            grid of cells (`particle_grid`), the field "energy". The chain must be longer than the
            core, with springs between successive particles.
        backend: where the patches live.
        burst: length, healing, micro time step, replicas.
        order: order of the reconstruction in H: 2, 4, 6 or 8.
        tolerance: relative standard error that is asked of slopes, or None.
        max_replicas: replicas of a burst beyond which noise is accepted.
        diffusivity: for the check that the buffers protect the core; that of the closed form when
            absent.
        max_quarantined: share of the patches of a burst that may fail; what they would give is
            interpolated from their neighbours. The first failure ends a run when absent.
        kinetic: share of the slope of the energy that chains are lifted with as kinetic energy; in
            local equilibrium one half.

    Attributes:
        stiffness: of the springs between neighbours, read off the forces of the model.
        pinning: of the spring that holds every particle, likewise.
        lattice_spacing: a.

    Raises:
        SchemeError: if the parts do not fit together, or the chain is not harmonic.

    Source: E and Engquist (2003), section 3, for fluxes from patches [EEngquist2003]; Bonetto,
    Lebowitz and Lukkarinen (2004) for the chain [BonettoLebowitzLukkarinen2004].
    """

    def __init__(
        self,
        problem: ParticleProblem,
        backend: Backend,
        burst: Burst,
        order: int = 2,
        tolerance: float | None = None,
        max_replicas: int = 64,
        diffusivity: float | None = None,
        max_quarantined: float | None = None,
        kinetic: float = 0.5,
    ):
        self.kinetic = kinetic
        super().__init__(
            problem, backend, burst, order,
            Sampling(tolerance=tolerance, max_replicas=max_replicas), diffusivity, max_quarantined,
        )  # fmt: skip
        bonds, dynamics = problem.model.bonds, problem.model.dynamics
        assert bonds is not None
        assert isinstance(dynamics, VelocityFlips)
        if not len(bonds.pairs):
            raise SchemeError("a chain that conducts heat needs at least two particles.")
        self.length = int(bonds.pairs.max()) + 1
        self.lattice_spacing = problem.width[0] / self.length
        self.stiffness, self.pinning = self._springs()
        if self.diffusivity is None:
            conductivity = flip_conductivity(self.stiffness, self.pinning, dynamics.rate)
            self.diffusivity = conductivity * self.lattice_spacing**2

    def initial(self, initial: Initial, t: float = 0.0) -> Macro:
        """Energies per particle of functions of position, [member, 1, *cells]."""
        U = super().initial(initial, t)
        (low, high), *_ = self.grid.domain
        self.domain_particles = self.n_members * (high - low) / self.lattice_spacing
        return U

    def result_facts(self) -> dict[str, Any]:
        """Attributes of the result: the chain, and where its patches are."""
        return super().result_facts() | {
            "lift": "local equilibrium",
            "lattice_spacing": self.lattice_spacing,
            "stiffness": self.stiffness,
            "pinning": self.pinning,
        }

    def particles(self, U: Macro, t: float) -> Shown:
        """The chains with which the next burst begins, on all faces, particles at their places."""
        profile, boundary, axes = self.profiles(t, U)
        state = self.lifted(profile, self.stream + 1)
        state = replace(state, positions=state.positions + self.places_at_rest)
        return Shown(state, boundary, patch_centres(axes, self.n_members))

    @property
    def places_at_rest(self) -> NDArray[np.float64]:
        """Where the particles of a patch are at rest, from its centre."""
        steps = np.arange(self.length, dtype=np.float64) - (self.length - 1) / 2
        return steps * self.lattice_spacing

    def lifted(
        self, profile: NDArray[np.float64], stream: int, axis: int = 0, excess: bool = False
    ) -> ParticleState:
        """Chains whose energy has a value and a slope, in local equilibrium.

        Args:
            profile: energies along the chain, [patch, 3].
            stream: number that sets the random numbers of this lift apart.
            axis: the only one.
            excess: of no meaning for chains.
        """
        fixed = self.stiffness, self.pinning, self.problem.seed, stream
        level, slope = profile[:, :1], profile[:, 1:2] * self.places_at_rest
        positions, velocities = lift_chain(level + 2 * (1 - self.kinetic) * slope, *fixed)
        if self.kinetic != 0.5:
            velocities = lift_chain(level + 2 * self.kinetic * slope, *fixed)[1]
        return make_state(positions, self.problem.width, velocities=velocities)

    def run_patches(
        self, profile: NDArray[np.float64], axis: int, first: bool
    ) -> NDArray[np.float64]:
        """Currents of every patch in units of the spacing, half the difference of both slopes."""
        self.stream += 1
        problem, repeats = self.problem, self.burst_spec.replicas
        rate = self.problem.model.dynamics.rate  # type: ignore[attr-defined]
        n_steps, healed, dt = self.steps()
        weights = np.zeros((n_steps + 1, 1))
        weights[healed + 1 :] = (1 + np.exp(2 * rate * dt)) / 2 / (n_steps - healed)
        core = Core(problem.core_width / self.lattice_spacing)
        plan = ParticlePlan(n_steps, dt, ("bond_flux",), weights, core, stream=self.stream)
        rows = np.tile(profile, (repeats, 1))
        flux = np.zeros(len(rows))
        for sign in (1, -1):
            state = self.lifted(rows * [1, sign, 1], self.stream)
            kernels = self.kernels[axis]
            out = kernels.burst(kernels.pack(state), plan)[0, :, 0]
            if sign > 0 or not np.isfinite(out).all():
                self._begun = self.quarantine.begun(
                    axis, n_steps, dt, self.stream, arrays={"profile": profile, "sign": sign}
                )
            flux += sign * out / 2
            self.count(n_steps, dt, state.positions.size, first and sign > 0)
        return flux * self.lattice_spacing

    def alone(self, failed: FailedPatch) -> ParticlesAlone:
        """One patch of a burst by itself.

        Args:
            failed: the patch, and what its burst began with.

        Raises:
            InputError: if it does not fit this scheme.
        """
        begun = failed.begun
        rows = self._rows(begun) * [1, float(begun.arrays["sign"]), 1]
        return self._alone(failed, self.lifted(rows, begun.stream), begun.first)

    def _springs(self) -> tuple[float, float]:
        """Stiffness and pinning of the chain, from the forces on two displaced chains.

        Raises:
            SchemeError: if the forces are not those of equal springs.
        """
        n = self.length
        x = np.zeros((2, 1, n))
        x[0, 0, 0], x[1, 0] = 1.0, np.sin(1.0 + np.arange(n))
        kernels = self.kernels[0]
        force = kernels.forces(kernels.pack(make_state(x, self.problem.width)))[:, 0]
        stiffness = float(force[0, 1])
        ends = np.pad(x[1, 0], 1, mode="edge")
        with np.errstate(all="ignore"):
            pinning = float(-force[0, 0] - stiffness)
            expected = stiffness * np.diff(ends, 2) - pinning * x[1, 0]
        if not (stiffness > 0 and pinning > -1e-6 * stiffness and np.allclose(
            force[1], expected, rtol=0, atol=1e-5 * stiffness
        )):  # fmt: skip
            raise SchemeError(
                "the chain is not harmonic: its local equilibrium needs equal springs between "
                "neighbours and a parabolic field, with displacements as positions. Use the "
                "potential `spring` and the field `pinned`."
            )
        return stiffness, max(pinning, 0.0)

    def _check(self) -> None:
        problem, model = self.problem, self.problem.model
        if problem.names != ("energy",):
            raise SchemeError(
                f"the `flux` scheme of chains has one field, `energy`; found {problem.names}."
            )
        bonds = model.bonds
        whole = bonds is not None and np.array_equal(bonds.pairs, chain(len(bonds.pairs) + 1))
        if model.ndim != 1 or not whole or not isinstance(model.dynamics, VelocityFlips):
            raise SchemeError(
                "the `flux` scheme of chains needs particles on a line, bonds between successive "
                "ones (`chain(n)`), and the dynamics `velocity_flips`."
            )
        if model.pair is not None or model.angles is not None or set(model.masses) != {1.0}:
            raise SchemeError(
                "a chain in local equilibrium has springs, a field and masses 1 only."
            )
        if self.burst_spec.dt is None:
            raise SchemeError("a chain needs a micro time step: give `burst.dt`.")
        if self.tolerance is not None and (self.tolerance <= 0 or self.burst_spec.replicas < 2):
            raise SchemeError(
                f"`tolerance` is {self.tolerance}, with {self.burst_spec.replicas} replica(s) of a "
                "burst: it must be positive, and needs two replicas or more."
            )

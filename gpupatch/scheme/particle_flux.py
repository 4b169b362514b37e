"""The `flux` scheme for particles: patches on the faces of cells count what crosses them."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, GasKernels, Macro, ParticleKernels
from gpupatch.burst import Burst
from gpupatch.contract import checked
from gpupatch.errors import SchemeError
from gpupatch.lifting import centre_weights, face_lifting, reconstruct
from gpupatch.lifting.particles import limited
from gpupatch.particles.observe import Core
from gpupatch.scheme.flux import averaged, difference
from gpupatch.scheme.particle_density import DensityScheme, Lifted
from gpupatch.scheme.particle_problem import ParticleProblem
from gpupatch.scheme.quarantine import Places, Quarantine
from gpupatch.scheme.sampling import Sampling
from gpupatch.theory.healing import average_rate_error, longest_burst

HEALED = 1e-3
"""Share of a flux that the ends of a patch may spoil before a warning is given."""


@checked(SchemeError)
class ParticleFluxScheme(DensityScheme):
    """A finite-volume scheme for the density of particles, whose fluxes are counted in bursts.

        dU_j/dt = - sum_a (J_a[j+1/2] - J_a[j-1/2]) / H_a

        J = 1/(h A t) sum_i w_i [clip(x_i(t0 + t), -h/2, h/2) - clip(x_i(t0), -h/2, h/2)]

    A patch on every face is filled with particles whose density has the value and the slope of the
    coarse field there. What each of them has moved within the core, h wide and A in cross-section,
    is the flux averaged over core and time. The total is conserved to round-off. The slope carries
    a noise of variance 4 D rho / (h A t H^2) per replica, pi^2 (H/h)^2 below that of averages over
    cores with a smooth kernel.

    Args:
        problem: particles, grid of cells (`particle_grid`), controls.
        backend: where the patches live.
        burst: length, replicas, healing and micro time step, see `DensityScheme`.
        order: order of the reconstruction in H: 2, 4, 6 or 8.
        sampling: how patches are filled, and how much noise is accepted.
        diffusivity: largest diffusivity, for the check that the buffers protect the core; when
            absent, the one known of points, hard rods and lattice gases, or the one that the first
            burst shows.
        max_quarantined: share of the patches of a burst that may fail; what they would give is
            interpolated from their neighbours. The first failure ends a run when absent.

    Raises:
        SchemeError: if the parts do not fit together.

    Source: E and Engquist (2003), section 3, for fluxes from patches [EEngquist2003].
    """

    kind = "flux"
    remembered = ("_healing_checked",)

    def __init__(
        self,
        problem: ParticleProblem,
        backend: Backend,
        burst: Burst,
        order: int = 2,
        sampling: Sampling | None = None,
        diffusivity: float | None = None,
        max_quarantined: float | None = None,
    ):
        super().__init__(problem, backend, burst, sampling)
        self.order, self.diffusivity = order, diffusivity
        grid = problem.grid
        self.axes = [face_lifting(grid, self.names, order, a) for a in range(grid.ndim)]
        self.centre_weights = [centre_weights(grid, a, order) for a in range(grid.ndim)]
        self.places = [Places.on(grid, one.centres) for one in self.axes]
        self.quarantine = Quarantine(max_quarantined, order, self.download)
        self.kernels = [self.load(self._boundary(a)) for a in range(grid.ndim)]
        self._healing_checked = False

    @property
    def batches(self) -> list[ParticleKernels | GasKernels]:
        """The passes over the patches on the faces of every axis."""
        return list(self.kernels)

    @property
    def fraction_of_space(self) -> float:
        """Share of the domain that lies in patches."""
        patches = sum(np.prod([len(X) for X in one.centres]) for one in self.axes)
        share = patches / np.prod(self.grid.patches)
        return float(share * np.prod(np.divide(self.problem.width, self.grid.gap)))

    def samples(self, t: float, U: Macro, first: bool) -> NDArray[np.float64]:
        """Slopes from the fluxes on all faces, [replica, member, 1, *cells]."""
        total = np.zeros((self.burst_spec.replicas, *U.shape))
        for axis in range(self.grid.ndim):
            flux = self.measure(t, U, axis, first and axis == 0)
            flat = flux.reshape(-1, *flux.shape[2:])
            for a in range(self.grid.ndim):
                if a != axis:
                    flat = averaged(flat, a, *self.centre_weights[a])
            total -= difference(flat, self.grid, axis).reshape(total.shape)
        return total

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
        faces = [len(X) for X in self.axes[axis].centres]
        flux = self.run_patches(profile, axis, first).reshape(-1, self.n_members, 1, *faces)
        flux = self.healthy(flux, axis)
        if not self._healing_checked:
            self.check_healing(flux.ravel(), profile)
            self._healing_checked = True
        return self._closed(flux, axis)

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
        lifting, dx = self.axes[axis], self.grid.spacing[axis]
        sites = reconstruct(lifting, lifting.extended(U, t))[:, 0]
        line = sites[(slice(None), *(slice(None) if a == axis else 1 for a in range(U.ndim - 2)))]
        zero = np.zeros(len(line))
        profile = np.stack([line[:, 1], (line[:, 2] - line[:, 0]) / (2 * dx), zero], axis=1)
        return limited(profile.astype(float), self.problem.width[axis])

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

    def run_patches(
        self, profile: NDArray[np.float64], axis: int, first: bool
    ) -> NDArray[np.float64]:
        """Fluxes of every patch, [replica x member x face]."""
        width, core = self.problem.width, Core(self.problem.core_width, axis)
        rate = self.observed(self.kernels[axis], profile, axis, "crossing", core, first)
        return rate * width[axis] / float(np.prod(width))

    def _largest_diffusivity(self, flux, profile) -> float:
        known = self.diffusivity or self.known_diffusivity(profile)
        if known:
            return known
        slope = np.tile(profile[:, 1], len(flux) // len(profile))
        return max(0.0, -float(flux @ slope) / float(slope @ slope)) if slope.any() else 0.0

    def _closed(self, flux, axis: int):
        """Nothing crosses walls at which the slope is zero."""
        if not self.grid.periodic(axis):
            for side, face in enumerate(self.grid.faces(axis)):
                if face.a == 0 and not callable(face.c) and face.c == 0:
                    np.moveaxis(flux, 3 + axis, 0)[-side] = 0.0
        return flux

    def profiles(self, t: float, U: Macro) -> Lifted:
        """What the patches on the faces across x are lifted with, their ends, and their centres."""
        return self.profile(t, U, 0), self._boundary(0), self.axes[0].centres

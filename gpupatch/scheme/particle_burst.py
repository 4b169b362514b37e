"""The `burst` scheme for particles: their density is averaged over cores before and after."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, GasKernels, Macro, ParticleKernels
from gpupatch.burst import Burst
from gpupatch.contract import checked
from gpupatch.errors import SchemeError
from gpupatch.lifting import core_lifting, reconstruct
from gpupatch.lifting.particles import limited
from gpupatch.particles.observe import Core
from gpupatch.scheme.particle_density import DensityScheme, Lifted
from gpupatch.scheme.particle_problem import ParticleProblem
from gpupatch.scheme.problem import Function, call
from gpupatch.scheme.quarantine import Places, Quarantine
from gpupatch.scheme.sampling import Sampling

POINTS = 16
"""Points of the Gauss quadrature over a core."""


@checked(SchemeError)
class ParticleBurstScheme(DensityScheme):
    """Densities averaged over the cores of patches, and how fast these averages change.

        U_j = int K(x - X_j) rho(x) dx,     dU_j/dt = [U_j(t0 + t) - U_j(t0)] / t

    with K the box 1/h or (1 + cos 2 pi x/h)/h, h the width of the core. Patches at the centres of
    the cells are filled with the parabolas whose averages over three cores are U. The noise of the
    slope has the variance 4 rho sqrt(D t/pi)/(h t)^2 with the box and 4 pi^2 D rho/(h^3 t) with
    the cosine, for every replica: use the `flux` scheme where fluxes can be counted. The domain is
    a line.

    Args:
        problem: particles, grid of cells (`particle_grid`), controls.
        backend: where the patches live.
        burst: length, replicas, healing and micro time step, see `DensityScheme`.
        kernel: "box" or "cos2".
        sampling: how patches are filled, and how much noise is accepted.
        max_quarantined: share of the patches of a burst that may fail; what they would give is
            interpolated from their neighbours. The first failure ends a run when absent.

    Raises:
        SchemeError: if the parts do not fit together.

    Source: Kevrekidis et al. (2003), section 4 [Kevrekidis2003].
    """

    kind = "burst"

    def __init__(
        self,
        problem: ParticleProblem,
        backend: Backend,
        burst: Burst,
        kernel: str = "box",
        sampling: Sampling | None = None,
        max_quarantined: float | None = None,
    ):
        super().__init__(problem, backend, burst, sampling)
        if problem.grid.ndim != 1:
            raise SchemeError(
                "the `burst` scheme of particles is one-dimensional. Use the `flux` scheme."
            )
        self.places = [Places.on(problem.grid, problem.grid.centres)]
        self.quarantine = Quarantine(max_quarantined, 2, self.download)
        self.core = Core(problem.core_width, 0, kernel)
        self.functional = f"average over the core ({kernel})"
        # means over the three sites with the second moment of the kernel are those of parabolas
        share = self.second_moment / (2 * problem.grid.spacing[0] ** 2)
        weights = np.array([share, 1 - 2 * share, share])
        self.reconstruction = core_lifting(problem.grid, self.names, 2, [weights])
        self.kernels = self.load(self._boundary(0))

    @property
    def batches(self) -> list[ParticleKernels | GasKernels]:
        """The passes over the patches."""
        return [self.kernels]

    @property
    def second_moment(self) -> float:
        """Mean of x^2 over the core, weighed with its kernel."""
        return self.core.width**2 * (1 / 12 - (self.core.kernel == "cos2") / (2 * np.pi**2))

    def averages(self, functions: Mapping[str, Function], t: float | None) -> NDArray[np.float64]:
        """Averages of functions of position (and time) over the cores, [field, cell]."""
        if "density" not in functions:
            raise SchemeError("field `density` has no value. Give one.")
        nodes, weights = np.polynomial.legendre.leggauss(POINTS)
        x = nodes / 2 * self.core.width
        share = weights / 2
        if self.core.kernel == "cos2":
            share = share * (1 + np.cos(np.pi * nodes))
        places = np.add.outer(self.grid.centres[0], x)
        values = np.broadcast_to(call(functions["density"], [places], t), places.shape)
        return (values @ share)[None]

    def profile(self, t: float, U: Macro) -> NDArray[np.float64]:
        """Densities that the patches are lifted with, [member x cell, 3]."""
        dx = self.grid.spacing[0]
        line = reconstruct(self.reconstruction, self.reconstruction.extended(U, t))[:, 0]
        c1 = (line[:, 2] - line[:, 0]) / (2 * dx)
        c2 = (line[:, 2] - 2 * line[:, 1] + line[:, 0]) / (2 * dx**2)
        profile = np.stack([line[:, 1], c1, c2], axis=1)
        return limited(profile.astype(float), self.problem.width[0])

    def profiles(self, t: float, U: Macro) -> Lifted:
        """What the patches are lifted with, their ends, and their centres."""
        return self.profile(t, U), self._boundary(0), self.grid.centres

    def samples(self, t: float, U: Macro, first: bool) -> NDArray[np.float64]:
        """Slopes of the averages over the cores, [replica, member, 1, cell]."""
        profile = self.profile(t, U)
        rate = self.run_patches(profile, 0, first)
        return self.healthy(rate.reshape(-1, *U.shape), 0)

    def run_patches(
        self, profile: NDArray[np.float64], axis: int, first: bool
    ) -> NDArray[np.float64]:
        """Slopes of the averages over the cores, [replica x member x cell]."""
        return self.observed(self.kernels, profile, axis, "core_mass", self.core, first)

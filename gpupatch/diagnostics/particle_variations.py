"""Ways to vary a scheme of diffusing particles or of chains, and what its patches then show."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.burst import Burst
from gpupatch.diagnostics.noisy import Noisy, standard_error
from gpupatch.errors import SchemeError
from gpupatch.particles.interaction import Bonds, chain
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_density import DensityScheme
from gpupatch.scheme.particle_problem import ParticleProblem, particle_grid
from gpupatch.scheme.response import diffusivity_samples
from gpupatch.scheme.sampling import Sampling

STEEPNESS = 0.15
"""Relative change of the density from the centre of a patch to its end, in tests."""
MOST_PATCHES = 16
"""Patches of a member that are tested together."""
AT_ONCE = 200_000
"""Particles of a batch at most."""
STEPS_AT_ONCE = 2_000_000
"""Micro-steps of particles that a batch takes at most, if that is more than one replica."""
FEWEST = 8
"""Replicas from which a standard error is taken."""


@dataclass(eq=False)
class Response:
    """The diffusivity that the patches of a scheme show, replica by replica.

    Attributes:
        scheme: a variant of its own.
        profiles: what patches are lifted with, per axis, each [place, 3].
        taken: diffusivities so far, [replica].
    """

    scheme: DensityScheme
    profiles: tuple[NDArray[np.float64], ...]
    taken: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def at_once(self) -> int:
        """Replicas that run side by side."""
        return self.scheme.burst_spec.replicas

    @property
    def steps_per_replica(self) -> float:
        """Micro-steps of particles that one replica takes; 0 before the first."""
        return self.scheme.particle_steps / max(len(self.taken), 1)

    def take(self, n: int) -> NDArray[np.float64]:
        """The first n samples, of which those that are missing are simulated."""
        while len(self.taken) < n:
            axes = [diffusivity_samples(self.scheme, one, a) for a, one in enumerate(self.profiles)]
            self.taken = np.concatenate([self.taken, np.mean(axes, axis=0)])
        return self.taken[:n]


@dataclass(frozen=True, eq=False)
class ParticleVariations:
    """Variants of a scheme, and the diffusivities that their patches show.

    Slopes of particles are noisy, those of a run hardly known to a few per cent. What happens in a
    patch is therefore tested where it can be seen: patches have the densities of the state, but a
    gradient (curvature, of schemes of core averages) that changes them by `STEEPNESS` from the
    centre to the end, and a mirror image with the same random numbers. What they show is a
    diffusivity, one per replica, of all patches together.

    Attributes:
        scheme: what is tested.
        densities: lifted with in patches, per member, [place].
        budget: micro-steps of particles that one comparison may take.
    """

    scheme: DensityScheme
    densities: NDArray[np.float64]
    budget: float

    @staticmethod
    def at(scheme: DensityScheme, t: float, U: Macro, budget: float) -> ParticleVariations:
        """The variations of a scheme in a state.

        Args:
            scheme: what is tested.
            t: time of the state.
            U: coarse values.
            budget: micro-steps of particles that one comparison may take.
        """
        own = scheme.variant()
        values = np.unique(own.profiles(t, U)[0][:, 0])
        values = values[values > 0.02 * values.max(initial=0.0)]
        picked = np.linspace(0, len(values) - 1, min(len(values), MOST_PATCHES)).round()
        return ParticleVariations(scheme, values[picked.astype(int)], budget)

    @property
    def problem(self) -> ParticleProblem:
        """What is tested."""
        return self.scheme.problem

    @property
    def buffer(self) -> float:
        """Width of the buffers; the narrowest."""
        return min(self.problem.buffer(a) for a in range(self.scheme.grid.ndim))

    @property
    def healing(self) -> float:
        """Time discarded at the beginning of a burst."""
        return self.scheme.healing

    @property
    def length(self) -> float:
        """Model time of one burst."""
        return self.scheme.burst_length

    @property
    def dt(self) -> float:
        """Micro time step."""
        return self.scheme.steps()[2]

    def varied(
        self,
        core: float = 1.0,
        buffer: float = 1.0,
        window: tuple[float, float] | None = None,
        **changes: Any,
    ) -> Response:
        """The response of a variant.

        Args:
            core: factor of the width of the core.
            buffer: factor of the width of the buffers.
            window: times from and until which a burst is measured; its own when absent.
            changes: of the sampling; of a chain, of its constructor.
        """
        problem = self._resized(core, buffer)
        heal, length = window or (self.healing, self.length)
        dt = self.scheme.burst_spec.dt
        if dt is None and window is not None and self.scheme.gas is None:
            dt = self.length / 4
        burst = Burst(length, heal, dt, replicas=self._at_once(problem, length))
        made: dict[str, Any] = {"problem": problem, "burst": burst}
        if isinstance(self.scheme, ChainFluxScheme):
            made |= {"tolerance": None, **changes}
        else:
            sampling: Sampling = self.scheme.sampling
            changes = {"common": False, "tolerance": None, **changes}
            made["sampling"] = dataclasses.replace(sampling, **changes)
        return Response(self.scheme.variant(**made), self._profiles)

    @functools.cached_property
    def plain(self) -> Response:
        """The response of the scheme itself."""
        return self.varied()

    @functools.cached_property
    def diffusivity(self) -> Noisy:
        """What the patches of the scheme itself show, to a few per cent."""
        return self.estimate(self.plain, 0.05)

    @functools.cached_property
    def largest_diffusivity(self) -> Noisy:
        """As the scheme was told, or as follows from its model, unless the patches show more."""
        scheme, profile = self.scheme, np.zeros((len(self.densities), 3))
        profile[:, 0] = self.densities
        known = getattr(scheme, "diffusivity", None) or scheme.known_diffusivity(profile)
        if not known or self.diffusivity.exceeds(known):
            return self.diffusivity
        return Noisy(known, 0.0, 0)

    def estimate(self, one: Response, tolerance: float) -> Noisy:
        """The diffusivity of a variant, to a relative standard error.

        Args:
            one: the variant.
            tolerance: relative standard error that is asked for.
        """
        n = FEWEST
        while True:
            samples = one.take(n)
            mean, error = float(samples.mean()), standard_error(samples)
            if not math.isfinite(mean):
                raise SchemeError(
                    "patches fail in bursts, so that they show no diffusivity. Use a smaller "
                    "`burst.dt`, a softer potential or a lower density."
                )
            if error <= tolerance * abs(mean) or one.steps_per_replica * n >= self.budget:
                return Noisy(mean, error, n)
            n = self._more(n, error / abs(mean), tolerance, one.steps_per_replica)

    def compared(self, one: Response, other: Response, tolerance: float) -> Noisy:
        """The relative difference |D_one - D_other|/|D_one| of two variants.

        Replicas have the same random numbers, and are added until the error decides on which side
        of the tolerance the difference is, or the budget is spent.

        Args:
            one: the better variant.
            other: the one that is compared with it.
            tolerance: relative difference that is asked about.
        """
        n = FEWEST
        while True:
            better, worse = one.take(n), other.take(n)
            mean = abs(float(better.mean()))
            apart = (better - worse) / max(mean, 1e-300)
            found = Noisy(abs(float(apart.mean())), standard_error(apart), n)
            spent = (one.steps_per_replica + other.steps_per_replica) * n
            if found.decides(tolerance) or spent >= self.budget:
                return found
            n = self._more(n, found.error, found.wanted(tolerance), spent / n)

    def _more(self, n: int, error: float, wanted: float, steps: float) -> int:
        """Replicas to go on with: enough by the present error, at most thrice, within budget."""
        needed = math.ceil(1.1 * n * (error / wanted) ** 2)
        affordable = max(n + 1, int(self.budget / max(steps, 1.0)) + 1)
        return max(n + 1, min(needed, 3 * n, affordable))

    @functools.cached_property
    def _profiles(self) -> tuple[NDArray[np.float64], ...]:
        """Steep densities with slopes of both signs, per axis."""
        c0, made = self.densities, []
        signs = np.where(np.arange(len(c0)) % 2, -1.0, 1.0)
        room = self._room(c0)
        for axis in range(self.scheme.grid.ndim):
            half = self.problem.width[axis] / 2
            profile = np.zeros((len(c0), 3))
            if isinstance(self.scheme, ParticleBurstScheme):
                profile[:, 2] = signs * room / half**2
                profile[:, 0] = c0
            else:
                profile[:, 0], profile[:, 1] = c0, signs * room / half
            made.append(profile)
        return tuple(made)

    def _room(self, c0: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much the density changes from the centre of a patch to its end, [place]."""
        most = np.inf
        if self.scheme.gas is not None and self.scheme.gas.kind == "ssep":
            most = 1 / self.scheme.gas.spacing
        elif self.scheme.lifting.rod:
            most = 0.9 / self.scheme.lifting.rod
        return np.minimum(STEEPNESS * c0, np.maximum(most - c0, 0.0) / 3)

    def _resized(self, core: float, buffer: float) -> ParticleProblem:
        """The problem in patches of another width, without replicas of the run."""
        problem = self.problem
        width = core * problem.core_width + 2 * buffer * self.buffer
        own = problem.core_width + 2 * self.buffer
        extra = [w - own for w in problem.width]
        model = problem.model
        unit = self._unit
        if unit:
            width = unit * max(2, round(width / unit))
        if isinstance(self.scheme, ChainFluxScheme):
            assert model.bonds is not None
            bonds = Bonds(model.bonds.potential, model.bonds.parameters, chain(round(width / unit)))
            model = dataclasses.replace(model, bonds=bonds)
        grid = problem.grid
        return dataclasses.replace(
            problem,
            model=model,
            grid=particle_grid(
                grid.domain, grid.patches, [width + e for e in extra], grid.boundary
            ),
            core=core * problem.core_width,
            replicas=1,
        )

    @property
    def _unit(self) -> float:
        """Distance of the sites or particles of which a patch holds a whole number; 0 if none."""
        if isinstance(self.scheme, ChainFluxScheme):
            return self.scheme.lattice_spacing
        return self.scheme.gas.spacing if self.scheme.gas is not None else 0.0

    def _at_once(self, problem: ParticleProblem, length: float) -> int:
        """Replicas that run side by side in bursts of a length."""
        if isinstance(self.scheme, ChainFluxScheme):
            each = problem.width[0] / self.scheme.lattice_spacing * len(self.densities)
        else:
            each = float(self.densities.sum()) * float(np.prod(problem.width))
            each /= self.scheme.lifting.weight
        each = max(each * len(problem.member_values), 1.0)
        steps = max(length / self.dt, 1.0)
        return int(np.clip(min(AT_ONCE, STEPS_AT_ONCE / steps) / each, 1, 256))

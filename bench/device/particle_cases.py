"""Bursts of particles that are timed on a GPU, and their reference: NumPy in float64."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.particles.dynamics import Dynamics, Langevin, Newton
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import get
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import ParticlePlan
from gpupatch.particles.prepare import crystal
from gpupatch.particles.state import ParticleState, make_state

CUTOFF, DT, TEMPERATURE = 2.5, 0.002, 1.0
_SHAKEN = 0.05


@dataclass(frozen=True, eq=False)
class ParticleWorkload:
    """A Lennard-Jones fluid in periodic boxes, truncated at 2.5 diameters.

    Attributes:
        name: what it is called in records.
        dynamics: equations of motion.
        particles: of a patch.
        density: particles per volume.
        patches: in the large batch.
        period: patches of a batch that differ; all others repeat them.
    """

    name: str
    dynamics: Dynamics
    particles: int
    density: float
    patches: int
    period: int

    @property
    def model(self) -> ParticleModel:
        """The micro-model."""
        pair = Pair(get("lennard_jones"), {"epsilon": 1.0, "sigma": 1.0}, CUTOFF)
        return ParticleModel(3, self.dynamics, pair, seed=17)

    def states(self, patches: int, period: int) -> ParticleState:
        """Shaken crystals; only so many differ."""
        rng = np.random.default_rng(5)
        x, box = crystal(self.particles, self.density, "fcc")
        shape = (period, 3, self.particles)
        index = np.arange(patches) % period
        given = {"temperature": TEMPERATURE} if self.dynamics.controls else None
        return make_state(
            (x + _SHAKEN * rng.uniform(-1, 1, shape))[index], box,
            velocities=rng.normal(size=shape)[index], controls=given,
            names=self.dynamics.controls,
        )  # fmt: skip

    def plan(self, n_steps: int) -> ParticlePlan:
        """A burst at whose end energies are measured."""
        weights = np.zeros((n_steps + 1, 1))
        weights[-1] = 1.0
        return ParticlePlan(n_steps, DT, ("potential", "kinetic"), weights)


PARTICLES = {
    one.name: one
    for one in (
        ParticleWorkload("lj256", Newton(), 256, 0.8, 8192, 3),
        ParticleWorkload("langevin64", Langevin(1.0), 64, 0.5, 32768, 0),
    )
}
"""Langevin patches all differ, since their random numbers do; some of them are compared."""

_COMPARED = 16


def sized_particles(workload: ParticleWorkload, rehearsal: bool) -> ParticleWorkload:
    """The workload as it is run on a GPU, or a tiny one."""
    if not rehearsal:
        return workload
    return replace(workload, particles=min(workload.particles, 128), patches=5)


class ParticleCase:
    """A workload in one precision, for one number of patches.

    Args:
        workload: what is run.
        dtype: "float64" or "float32".
        patches: number of patches.
    """

    def __init__(self, workload: ParticleWorkload, dtype: str, patches: int):
        self.workload, self.dtype, self.patches = workload, dtype, patches
        self.period = min(workload.period or _COMPARED, patches)

    @functools.cached_property
    def state(self) -> ParticleState:
        """The state at the beginning."""
        return self.workload.states(self.patches, self.period)

    def updates(self, n_steps: int) -> int:
        """Steps of particles in one burst."""
        return self.patches * self.workload.particles * n_steps

    def error(self, found, n_steps: int, xp: ModuleType = np) -> float:
        """Largest error of positions after one burst, relative to the largest position.

        Args:
            found: positions, [patch, axis, particle], any precision.
            n_steps: steps since the beginning.
            xp: the library of `found`.
        """
        expected, _ = _reference(self.workload, self.period, n_steps)
        worst = xp.abs(self._compared(found) - xp.asarray(expected[self._index])).max()
        return float(worst) / float(np.abs(expected).max())

    def error_of_samples(self, found: NDArray, n_steps: int) -> float:
        """As `error`, of samples on the host, [1, patch, component]."""
        _, expected = _reference(self.workload, self.period, n_steps)
        worst = np.abs(self._compared(found[0]) - expected[0][self._index]).max()
        return float(worst / np.abs(expected).max())

    def _compared(self, array):
        """All patches if they repeat, else those that were computed by the reference."""
        return array if self.workload.period else array[: self.period]

    @property
    def _index(self) -> NDArray[np.int64]:
        count = self.patches if self.workload.period else self.period
        return np.arange(count) % self.period


@functools.lru_cache(maxsize=8)
def _reference(workload: ParticleWorkload, period: int, n_steps: int) -> tuple[NDArray, NDArray]:
    kernels = NumpyParticles(workload.model)
    handle = workload.states(period, period)
    samples = kernels.burst(handle, workload.plan(n_steps))
    return handle.positions, samples

"""Workloads in one precision and size, and their reference: NumPy in float64."""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from bench.device.workloads import LOWEST, Workload
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.coupling import Coupling
from gpupatch.lifting import Lifting, core_lifting
from gpupatch.micro import lattice
from gpupatch.micro.model import MicroModel

TOLERANCE = {"float64": 1e-12, "float32": 5e-5}
"""Largest error of a state that is let through, relative to the largest value."""

TOLERANCE_OF_SAMPLES = {"float64": 1e-9, "float32": 2e-3}
"""The same of samples, which are the small changes over one step."""


class Case:
    """A workload in one precision, for one number of patches.

    Args:
        workload: what is run.
        dtype: "float64" or "float32".
        patches: number of patches.
    """

    def __init__(self, workload: Workload, dtype: str, patches: int):
        self.workload, self.dtype, self.patches = workload, dtype, patches
        self.period = min(workload.period, patches)
        self.index = np.arange(patches) % self.period

    @functools.cached_property
    def model(self) -> MicroModel:
        """The micro-model of the batch."""
        return self.workload.model(self.index, self.period)

    @property
    def initial(self) -> NDArray[np.float64]:
        """The states at the beginning, [patch, field, *sites]."""
        return self.workload.states(self.period)[self.index]

    @functools.cached_property
    def start(self) -> NDArray:
        """The same in the working precision, read-only."""
        return _kept(self.initial.astype(self.dtype))

    @functools.cached_property
    def premultiplied(self) -> NDArray:
        """Coefficients times dt / dx^2 in that precision, [patch or 1, array, *sites]."""
        return _kept((self.model.coefficients * self.workload.ratio).astype(self.dtype))

    def updates(self, n_steps: int) -> int:
        """Updates of interior sites in one burst, all fields of a site together."""
        return self.patches * self.workload.cells_of_patch * n_steps

    def error(self, found, n_steps: int, xp: ModuleType = np) -> float:
        """Largest error of a state after one burst, relative to the largest value.

        Args:
            found: the state, [patch, field, *sites], any precision.
            n_steps: steps since the beginning.
            xp: the library of `found`.
        """
        expected, _ = reference(self.workload, self.period, n_steps)
        return _error(xp, found, expected, self.period)

    def error_of_samples(self, found: NDArray, n_steps: int) -> float:
        """As `error`, of restricted samples on the host, [1, patch, field]."""
        _, samples = reference(self.workload, self.period, n_steps)
        return _error(np, found[0], samples[0], self.period)


class LiftedCase:
    """A workload whose patches are lifted from coarse values on a periodic grid.

    Args:
        workload: what is run.
        dtype: "float64" or "float32".
    """

    def __init__(self, workload: Workload, dtype: str):
        self.workload, self.dtype = workload, dtype
        self.n, self.period = workload.grid
        self.patches = self.n**workload.ndim
        self.index = _tiled(self.n, self.period, workload.ndim)

    @functools.cached_property
    def model(self) -> MicroModel:
        """The micro-model of the batch."""
        return self.workload.model(self.index, self.period**self.workload.ndim)

    @functools.cached_property
    def lifting(self) -> Lifting:
        """Parabolas through the averages of neighbouring patches."""
        return _lifting(self.workload, self.n)

    @functools.cached_property
    def coarse(self) -> NDArray[np.float64]:
        """Coarse values, [1, field, *patch axes]."""
        distinct = _coarse(self.workload, self.period)
        repeated = self.n // self.period
        return np.tile(distinct, (1, 1, *(repeated,) * self.workload.ndim))

    def updates(self, n_steps: int) -> int:
        """Updates of interior sites in one burst."""
        return self.patches * self.workload.cells_of_patch * n_steps

    def error_of_samples(self, found: NDArray, n_steps: int) -> float:
        """Largest error of the samples of one burst, relative to the largest.

        Args:
            found: [1, patch, field].
            n_steps: steps of the burst.
        """
        expected = _lifted_reference(self.workload, self.period, n_steps)[0]
        return float(np.abs(found[0] - expected[self.index]).max() / np.abs(expected).max())


class CoupledCase(LiftedCase):
    """A workload whose patches are coupled on a periodic grid."""

    @functools.cached_property
    def coupling(self) -> Coupling:
        """Parabolas through the values beside the opposite edges of neighbouring patches."""
        return _coupling(self.workload, self.n)

    @property
    def initial(self) -> NDArray[np.float64]:
        """The states at the beginning, [patch, field, *sites]."""
        return self.workload.states(self.period**self.workload.ndim)[self.index]

    def error(self, found, n_steps: int, xp: ModuleType = np) -> float:
        """As `Case.error`."""
        expected = _coupled_reference(self.workload, self.period, n_steps)
        worst = xp.abs(found - xp.asarray(expected[self.index])).max()
        return float(worst) / float(np.abs(expected).max())


@functools.lru_cache(maxsize=8)
def reference(workload: Workload, period: int, n_steps: int) -> tuple[NDArray, NDArray]:
    """States and samples of the patches that differ after one burst, NumPy in float64."""
    index = np.arange(period)
    kernels = NumpyBackend().load(workload.model(index, period), "float64")
    u = kernels.pack(workload.states(period))
    samples = kernels.burst(u, workload.plan(n_steps), 0.0)
    return kernels.unpack(u), samples


@functools.lru_cache(maxsize=8)
def _lifted_reference(workload: Workload, period: int, n_steps: int) -> NDArray:
    index = np.arange(period**workload.ndim)
    kernels = NumpyBackend().load(workload.model(index, len(index)), "float64")
    lifting = _lifting(workload, period)
    extended = lifting.extended(_coarse(workload, period), 0.0)
    return kernels.lift_burst_restrict(lifting, extended, workload.plan(n_steps), 0.0)


@functools.lru_cache(maxsize=2)
def _coupled_reference(workload: Workload, period: int, n_steps: int) -> NDArray:
    index = np.arange(period**workload.ndim)
    kernels = NumpyBackend().load(workload.model(index, len(index)), "float64")
    u = kernels.pack(workload.states(len(index)))
    kernels.advance(_coupling(workload, period), u, 0.0, workload.dt, n_steps, "euler")
    return kernels.unpack(u)


def _coupling(workload: Workload, patches: int) -> Coupling:
    fields = lattice.get(workload.rule, workload.ndim).fields
    return Coupling(workload.grid_of(patches, edgy=True), fields, 2, "edgy")


def _lifting(workload: Workload, patches: int) -> Lifting:
    fields = lattice.get(workload.rule, workload.ndim).fields
    return core_lifting(workload.grid_of(patches), fields, 2)


def _coarse(workload: Workload, period: int) -> NDArray[np.float64]:
    n_field = len(lattice.get(workload.rule, workload.ndim).fields)
    shape = (1, n_field, *(period,) * workload.ndim)
    lowest = np.array(LOWEST[:n_field]).reshape(1, -1, *(1,) * workload.ndim)
    return lowest * (1 + 0.5 * np.random.default_rng(7).random(shape))


def _tiled(n: int, period: int, ndim: int) -> NDArray[np.int64]:
    """Which of the patches that differ each patch of a grid is."""
    line, index = np.arange(n) % period, np.zeros(1, dtype=np.int64)
    for _ in range(ndim):
        index = np.add.outer(index * period, line).ravel()
    return index


def _kept(array: NDArray) -> NDArray:
    """The array, closed to writing: libraries may use it without a copy."""
    array.flags.writeable = False
    return array


def _error(xp: ModuleType, found, expected: NDArray, period: int) -> float:
    """Largest difference to an array that repeats along its first axis; NaN if there is any."""
    known, worst = xp.asarray(expected), xp.zeros(())
    for first in range(0, len(found), period):
        part = found[first : first + period]
        worst = xp.maximum(worst, xp.abs(part - known[: len(part)]).max())
    return float(worst) / float(np.abs(expected).max())

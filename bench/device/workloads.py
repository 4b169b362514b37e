"""The bursts that are timed on a GPU: rule, patch, batch, and one step as array code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.burst import BurstPlan
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.micro.model import MicroModel
from gpupatch.restriction import core_mean

SPACING = 0.01
LOWEST = (0.5, 0.2)
"""Smallest value of each field at the beginning; none is twice as large."""


@dataclass(frozen=True, eq=False)
class Workload:
    """One rule on independent patches, Euler steps with frozen edges.

    Attributes:
        name: what it is called in records.
        letter: its letter in the plan of the measurements, or "".
        rule: name of the library rule.
        ndim: number of axes.
        cells: interior sites per axis.
        patches: patches in the large batch, many times the second-level cache.
        period: patches of a batch that differ; all others repeat them.
        grid: patches per axis where they are lifted from coarse values, and how many of them
            differ; (0, 0) where they are not.
        dt: micro time step.
        change: increments of one step as array code, change(u, k) with u [patch, field, *sites]
            and k the coefficients times dt / dx^2; one array per field, on the interior.
        moved: values read or written per cell and step if every step goes through memory.
        parameters: of the rule, by name.
    """

    name: str
    letter: str
    rule: str
    ndim: int
    cells: int
    patches: int
    period: int
    grid: tuple[int, int]
    dt: float
    change: Callable[[Any, Any], list]
    moved: int
    parameters: dict[str, float] = field(default_factory=dict)

    @property
    def sites(self) -> tuple[int, ...]:
        """Sites per axis, edges included."""
        return (self.cells + 2,) * self.ndim

    @property
    def ratio(self) -> float:
        """The step times D / dx^2 where D = 1."""
        return self.dt / SPACING**2

    @property
    def cells_of_patch(self) -> int:
        """Cells per patch."""
        return self.cells**self.ndim

    def model(self, index: NDArray[np.int64], period: int) -> MicroModel:
        """The micro-model of a batch of patches.

        Args:
            index: which of the patches that differ each patch is.
            period: how many differ.
        """
        rule = lattice.get(self.rule, self.ndim)
        return MicroModel(
            rule=rule,
            sites=self.sites,
            spacing=(SPACING,) * self.ndim,
            edges=(1,) * self.ndim,
            origin=np.zeros((len(index), self.ndim)),
            parameters=np.array([[self.parameters[name] for name in rule.parameters]]),
            coefficients=self._medium(period, index),
        )

    def _medium(self, period: int, index) -> NDArray[np.float64]:
        arrays = lattice.get(self.rule, self.ndim).coefficient_arrays
        if not arrays:
            return np.zeros((1, 0, *self.sites))
        distinct = np.random.default_rng(3).uniform(0.5, 1.5, (period, len(arrays), *self.sites))
        return distinct[index]

    def states(self, period: int) -> NDArray[np.float64]:
        """States that differ, [patch, field, *sites]."""
        n_field = len(lattice.get(self.rule, self.ndim).fields)
        shape = (period, n_field, *self.sites)
        lowest = np.array(LOWEST[:n_field]).reshape(-1, *(1,) * self.ndim)
        return lowest * (1 + 0.5 * np.random.default_rng(5).random(shape))

    def grid_of(self, patches: int, edgy: bool = False) -> PatchGrid:
        """A periodic grid of so many patches per axis, `edgy` as in `PatchGrid`."""
        width = 2 * SPACING * (self.cells + 2)
        return PatchGrid(
            domain=[(0.0, patches * width)] * self.ndim,
            patches=[patches] * self.ndim,
            sites=self.sites,
            dx=SPACING,
            edgy=edgy,
        )

    def plan(self, n_steps: int) -> BurstPlan:
        """A burst that measures the mean slope over its second half."""
        weights = np.zeros((n_steps + 1, 1))
        half = n_steps // 2
        weights[-1], weights[half] = 1.0 / (n_steps - half), -1.0 / (n_steps - half)
        return BurstPlan("euler", self.dt, n_steps, core_mean(self.grid_of(4)), weights)


def sized(workload: Workload, rehearsal: bool) -> Workload:
    """The workload as it is run on a GPU, or a tiny one with the same patches."""
    if not rehearsal:
        return workload
    return replace(workload, patches=5, period=3, grid=(6, 3) if workload.grid[0] else (0, 0))


def _inner(v, shift: Sequence[int]):
    """The interior of [patch, *sites], shifted."""
    window = (slice(1 + s, v.shape[1 + a] - 1 + s) for a, s in enumerate(shift))
    return v[(slice(None), *window)]


def _unit(axis: int, ndim: int, by: int) -> list[int]:
    return [by * (a == axis) for a in range(ndim)]


def laplacian(v):
    """Sum over the neighbours minus the centre, on the interior."""
    ndim = v.ndim - 1
    total = -2.0 * ndim * _inner(v, [0] * ndim)
    for axis in range(ndim):
        total = total + _inner(v, _unit(axis, ndim, 1)) + _inner(v, _unit(axis, ndim, -1))
    return total


def _heat(ratio: float):
    return lambda u, k: [ratio * laplacian(u[:, 0])]


def _heterogeneous(u, k):
    v, ndim, total = u[:, 0], u.ndim - 2, 0.0
    centre = _inner(v, [0] * ndim)
    for axis in range(ndim):
        ahead, behind = _unit(axis, ndim, 1), _unit(axis, ndim, -1)
        flow = _inner(k[:, axis], [0] * ndim) * (_inner(v, ahead) - centre)
        total = total + flow - _inner(k[:, axis], behind) * (centre - _inner(v, behind))
    return [total]


REACTION = {"Du": 2e-5, "Dv": 1e-5, "F": 0.04, "k": 0.06}


def _gray_scott(u, k):
    a, b = u[:, 0], u[:, 1]
    x, y = _inner(a, [0, 0]), _inner(b, [0, 0])
    met = x * y * y
    fed, gone = REACTION["F"], REACTION["F"] + REACTION["k"]
    return [0.2 * laplacian(a) - met + fed * (1 - x), 0.1 * laplacian(b) + met - gone * y]


HEAT, HETEROGENEOUS = "diffusion", "heterogeneous_diffusion"
_ONE = SPACING**2
WORKLOADS = {
    w.name: w
    for w in (
        Workload("heterogeneous2d", "A", HETEROGENEOUS, 2, 32, 65536, 257, (256, 16),
                 0.13 * _ONE, _heterogeneous, 4),
        Workload("heat2d", "", HEAT, 2, 32, 65536, 257, (256, 16), 0.2 * _ONE, _heat(0.2), 2,
                 {"D": 1.0}),
        Workload("gray_scott2d", "B", "gray_scott", 2, 32, 32768, 257, (128, 16), 1.0,
                 _gray_scott, 4, REACTION),
        Workload("heat1d", "C", HEAT, 1, 64, 1 << 20, 4093, (0, 0), 0.2 * _ONE, _heat(0.2), 2,
                 {"D": 1.0}),
        Workload("heterogeneous1d", "C", HETEROGENEOUS, 1, 64, 1 << 20, 4093, (0, 0),
                 0.2 * _ONE, _heterogeneous, 3),
        Workload("heat3d", "D", HEAT, 3, 16, 16384, 61, (24, 4), 0.12 * _ONE, _heat(0.12), 2,
                 {"D": 1.0}),
    )
}  # fmt: skip

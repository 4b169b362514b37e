"""Lifts of the same coarse values that begin with details below the width of a core."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, Handle, Kernels, Macro, Micro
from gpupatch.burst import Burst, BurstPlan
from gpupatch.grid import PatchGrid
from gpupatch.lifting import reconstruct, taper
from gpupatch.restriction import Restriction, core_mean, weighted_mean
from gpupatch.scheme import FluxScheme
from gpupatch.scheme.problem import Problem

ROUGHNESS = 0.02
"""Size of an oscillation from site to site, in units of the mean over its patch."""


class DetailedFluxScheme(FluxScheme):
    """The `flux` scheme with details added to every lift.

    Args:
        problem: as for `FluxScheme`, and so are the others.
        backend: where the patches live.
        burst: length, healing and estimator.
        order: order of the reconstruction.
        micro: micro-stepper.
        max_quarantined: share of the patches that may fail.
        details: what is added, for the patches across every axis, [patch, field, *sites]; its mean
            over a core should vanish, so that it belongs to the same coarse values.
    """

    def __init__(
        self,
        problem: Problem,
        backend: Backend,
        burst: Burst,
        order: int = 4,
        micro: str = "rk4",
        max_quarantined: float | None = None,
        details: tuple[Micro, ...] = (),
    ):
        super().__init__(problem, backend, burst, order, micro, max_quarantined)
        self.kernels: list[Any] = [
            _Detailed(kernels, one) for kernels, one in zip(self.kernels, details, strict=True)
        ]


class _Detailed:
    """Passes over a batch of patches, whose lift adds details."""

    def __init__(self, kernels: Kernels, details: Micro):
        self._kernels, self._details = kernels, details

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernels, name)

    def lift_burst_restrict(
        self, lifting, extended: Handle, plan: BurstPlan, t: float, rate: Handle | None = None
    ) -> Handle:
        lifted = reconstruct(lifting, self._kernels.download(extended))
        return self._kernels.burst(self._kernels.pack(lifted + self._details), plan, t)


def healed_details(scheme: FluxScheme, t: float, U: Macro) -> tuple[Micro, ...]:
    """What a burst makes of the lift, with an oscillation on top, both without mean over cores.

    Args:
        scheme: the scheme.
        t: time of the coarse values.
        U: cell averages.

    Returns:
        Details for the patches across every axis, [patch, field, *sites].
    """
    grid, found = scheme.grid, []
    mean, inside = core_mean(grid), taper(grid)
    for model, kernels, lifting in zip(scheme.models, scheme.batches, scheme.liftings, strict=True):
        lifted = reconstruct(lifting, lifting.extended(U, t))
        n_steps, dt = scheme.burst_spec.steps(scheme.choose_dt(model, U, t))
        state = kernels.pack(lifted)
        kernels.burst(
            state, BurstPlan(scheme.micro, dt, n_steps, mean, np.zeros((n_steps + 1, 1))), t
        )
        size = ROUGHNESS * np.abs(_means(lifted, mean))
        rough = kernels.unpack(state) - lifted + size * oscillation(grid)
        found.append(inside * (rough - _means(rough, mean)))
    return tuple(found)


def oscillation(grid: PatchGrid, apart: int = 1) -> NDArray[np.float64]:
    """The fastest pattern that sites can hold: +1 and -1 in turn, [*sites].

    Args:
        grid: the patches.
        apart: distance between the sites at which a field lives.
    """
    lines = [(-1.0) ** (np.arange(n) // apart) for n in grid.n_sites]
    return functools.reduce(np.multiply.outer, lines)


def _means(u: Micro, restriction: Restriction) -> Micro:
    """Means over the cores, [patch, field, 1, ...]."""
    means = weighted_mean(u, restriction)
    return means.reshape(*means.shape, *(1,) * (u.ndim - 2))

"""The `flux` scheme: patches on the faces of cells measure fluxes, cell averages are conserved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gpupatch.arrays import Backend, Handle, Kernels, Macro
from gpupatch.burst import Burst, BurstPlan, mean_weights
from gpupatch.contract import checked
from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.lifting import (
    cell_weights,
    centre_weights,
    face_centres,
    face_lifting,
)
from gpupatch.micro.conservation import flux_form
from gpupatch.micro.model import SOURCE, MicroModel
from gpupatch.restriction import Restriction, core_mean
from gpupatch.scheme.alone import SitesAlone, sites_alone
from gpupatch.scheme.base import MeasuringScheme
from gpupatch.scheme.problem import Function, Problem, cell_averages
from gpupatch.scheme.quarantine import FailedPatch, Places, Quarantine


@checked(SchemeError)
class FluxScheme(MeasuringScheme):
    """A finite-volume scheme whose fluxes are measured by bursts on the faces.

        dU_j/dt = - sum_a (J_a[j+1/2] - J_a[j-1/2]) / H_a + S_j

    One patch sits on every face. It is lifted with the value and the gradients of the coarse
    field there, run for a burst, and its flux is averaged over the core and over the healed part
    of the burst. What leaves a cell enters its neighbour, so that the total is conserved to
    round-off. The coarse value U is the average over a cell.

    Args:
        problem: rule, grid of cells (`PatchGrid(cells=True)`), parameters, medium.
        backend: where the patches live.
        burst: length, healing and estimator.
        order: order of the reconstruction in H: 2, 4, 6 or 8.
        micro: micro-stepper.
        max_quarantined: share of the patches of a burst that may fail; what they would give is
            interpolated from their neighbours. The first failure ends a run when absent.

    Raises:
        SchemeError: if the rule has no conservation form, or the parts do not fit together.

    Source: E and Engquist (2003), section 3 [EEngquist2003]; orders as in finite volumes.
    """

    kind = "flux"
    functional = "average over the cell"
    remembered = ("_stream", "guarded")

    def __init__(
        self,
        problem: Problem,
        backend: Backend,
        burst: Burst,
        order: int = 4,
        micro: str = "rk4",
        max_quarantined: float | None = None,
    ):
        super().__init__(problem, backend, micro, burst.dt)
        grid, rule = problem.grid, problem.rule
        self.burst_spec, self.order = burst, order
        if not grid.cells:
            raise SchemeError("the `flux` scheme needs a grid of cells: `PatchGrid(cells=True)`.")
        if rule.second_order or rule.parity:
            raise SchemeError(
                f"rule `{rule.name}` is second-order in time or staggered; the `flux` scheme is "
                "for first-order conservation laws. Use the `coupled` scheme."
            )
        _, sources = flux_form(rule)
        self._has_source = any(source != 0 for source in sources)
        self.liftings = [face_lifting(grid, rule.fields, order, a) for a in range(grid.ndim)]
        centres = [face_centres(grid, a) for a in range(grid.ndim)]
        self._models = [problem.model(X) for X in centres]
        self.kernels = [backend.load(model, problem.dtype) for model in self._models]
        self.restrictions = [face_mean(problem, a) for a in range(grid.ndim)]
        self.cell_weights = [cell_weights(grid, a, order) for a in range(grid.ndim)]
        self.centre_weights = [centre_weights(grid, a, order) for a in range(grid.ndim)]
        self.places = [Places.on(grid, X) for X in centres]
        later = self.kernels[0].lookahead > 1
        self.quarantine = Quarantine(max_quarantined, order, self.download, remembers=later)
        self._stream = 0
        self._placed: dict[tuple[str, int], tuple[Handle, Handle]] = {}

    @property
    def models(self) -> list[MicroModel]:
        """One batch of face patches per axis."""
        return self._models

    @property
    def batches(self) -> list[Kernels]:
        """The passes over the patches of every axis."""
        return list(self.kernels)

    @property
    def burst_length(self) -> float:
        """Model time of one burst."""
        return self.burst_spec.length

    def averages(self, functions: Mapping[str, Function], t: float | None) -> Macro:
        """Cell averages by Gauss quadrature with 8 points per axis."""
        problem = self.problem
        U = cell_averages(problem.grid, problem.rule.fields, functions, t)
        return np.repeat(U[None], self.n_members, axis=0)

    def slope(self, t: float, U: Handle) -> Handle:
        """dU/dt from the fluxes measured on all faces.

        Args:
            t: base time.
            U: cell averages, [member, field, *cells], on the host or as `upload` gave them.

        Returns:
            Same shape as `U`, in units of U per time.
        """
        grid = self.problem.grid
        U = self.upload(U)
        total = np.zeros_like(U)
        for axis in range(grid.ndim):
            flux, source = self.measure(t, U, axis)
            total -= difference(flux, grid, axis)
            if source is not None:
                total += averaged(source, axis, *self._weights("cell", axis)) / grid.ndim
        return total

    def burst(self, t: float, U: Handle) -> tuple[Handle, Handle]:
        """Cell averages after one burst at the measured slope, and that slope.

        Args:
            t: time at the beginning.
            U: cell averages.

        Returns:
            U at ``t + burst_length`` and dU/dt.
        """
        slope = self.slope(t, U)
        return self.combine([(1.0, self.upload(U)), (self.burst_length, slope)]), slope

    def measure(self, t: float, U: Handle, axis: int) -> tuple[Handle, Handle | None]:
        """Fluxes through the faces across one axis, and sources near them.

        Args:
            t: base time.
            U: cell averages.
            axis: the axis that the faces cut.

        Returns:
            Fluxes and sources (None if the rule has none), averaged over the faces,
            [member, field, *faces].
        """
        model, kernels, lifting = self._models[axis], self.kernels[axis], self.liftings[axis]
        if self.guarded:
            self.check_healing(t, U)
            self.guarded = False
        stable = self.choose_dt(model, U, t)
        n_steps, dt = self.burst_spec.steps(stable)
        weights = mean_weights(self.burst_spec, n_steps, dt)[:, None]
        self._stream += 1
        extended = lifting.extended(self.upload(U), t, place=self.upload)
        self.quarantine.begin(t, U)
        begun = self.quarantine.begun(
            axis, n_steps, dt, self._stream, arrays={"extended": extended}
        )

        def measured(what: int, where: Restriction) -> Macro:
            plan = BurstPlan(
                self.micro, dt, n_steps, where, weights, flux_axis=what, stream=self._stream
            )
            out = kernels.lift_burst_restrict(lifting, extended, plan, t)[0]
            self.count(n_steps, dt)
            shaped = out.reshape(self.n_members, *(len(X) for X in lifting.centres), -1)
            values, places = np.moveaxis(shaped, -1, 1), self.places[axis]
            failed = self.quarantine.failures(begun, [values], places, self.n_members)
            if failed is not None:
                mended = self.quarantine.mended(self.download(values), failed, places)
                values = self.upload(mended)
            for a in range(values.ndim - 2):
                if a != axis:
                    values = averaged(values, a, *self._weights("centre", a))
            return values

        flux = measured(axis, self.restrictions[axis])
        source = measured(SOURCE, core_mean(self.problem.grid)) if self._has_source else None
        return flux, source

    def alone(self, failed: FailedPatch) -> SitesAlone:
        """One patch of a burst by itself.

        Args:
            failed: the patch, and what its burst began with.

        Raises:
            InputError: if it does not fit this scheme.
        """
        begun, axis, n = failed.begun, failed.begun.batch, failed.begun.n_steps
        plan = BurstPlan(
            self.micro, begun.dt, n, self.restrictions[axis], np.zeros((n + 1, 1)),
            flux_axis=axis, stream=begun.stream,
        )  # fmt: skip
        return sites_alone(self._load, self._models[axis], self.liftings[axis], failed, plan)

    def _load(self, model: MicroModel) -> Kernels:
        return self.backend.load(model, self.problem.dtype)

    def _weights(self, what: str, axis: int) -> tuple[Handle, Handle]:
        """Entries read by averages along an axis, and their weights, beside the patches."""
        if (what, axis) not in self._placed:
            host = self.cell_weights if what == "cell" else self.centre_weights
            nodes, weights = host[axis]
            places = self.upload(nodes.astype(float)).astype(np.int64)
            self._placed[what, axis] = places, self.upload(weights)
        return self._placed[what, axis]


def difference(flux: Handle, grid: PatchGrid, axis: int) -> Handle:
    """What flows out of every cell along one axis: (J[j+1/2] - J[j-1/2]) / H.

    Args:
        flux: through the faces across the axis, [member, field, *faces].
        grid: the grid of cells.
        axis: the axis that the faces cut.

    Returns:
        [member, field, *cells].
    """
    if grid.periodic(axis):
        return (flux - np.roll(flux, 1, axis=2 + axis)) / grid.gap[axis]
    before, after = ([slice(None)] * flux.ndim for _ in range(2))
    before[2 + axis], after[2 + axis] = slice(None, -1), slice(1, None)
    return (flux[tuple(after)] - flux[tuple(before)]) / grid.gap[axis]


def averaged(values: Handle, axis: int, nodes: Handle, weights: Handle) -> Handle:
    """Weighted sums along one axis.

    Args:
        values: [member, field, *places].
        axis: the axis of space.
        nodes: entries read, [cell, k].
        weights: their weights, [cell, k].

    Returns:
        [member, field, *places], with cells along the axis.
    """
    read = np.moveaxis(np.take(values, nodes, axis=2 + axis), (2 + axis, 3 + axis), (-2, -1))
    return np.moveaxis(np.einsum("...ck,ck->...c", read, weights), -1, 2 + axis)


def face_mean(problem: Problem, axis: int) -> Restriction:
    """Mean over the faces of the core across one axis, its two boundary faces counting half.

    Args:
        problem: the problem, for its grid.
        axis: the axis that the faces cut.

    Returns:
        Weights for values in which the face between sites i and i+1 has index i.
    """
    grid = problem.grid
    weights = list(core_mean(grid).weights)
    core, n = grid.core_sites[axis], grid.n_sites[axis]
    w = np.zeros(n)
    w[core.start - 1 : core.stop] = 1.0
    w[core.start - 1] = w[core.stop - 1] = 0.5
    weights[axis] = w / w.sum()
    return Restriction(tuple(weights))

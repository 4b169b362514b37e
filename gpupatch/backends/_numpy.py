"""The NumPy backend: the definition of every pass, written to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro, Micro, linear_combination
from gpupatch.backends._numpy_gas import NumpyGas
from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.burst import TABLEAUX, VERLET, BurstPlan, canonical_stepper
from gpupatch.coupling import Coupling
from gpupatch.lifting import Lifting, reconstruct
from gpupatch.micro.model import MicroModel
from gpupatch.micro.noise import normals
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.model import ParticleModel
from gpupatch.restriction import Restriction, weighted_mean

# a state that stops being finite is reported by the scheme, with its time and place
_LET_OVERFLOW = np.errstate(over="ignore", invalid="ignore")


class NumpyBackend:
    """The reference backend, always there."""

    name = "numpy"

    def load(self, model: MicroModel, dtype: str) -> NumpyKernels:
        """Bind a batch of patches; nothing is compiled.

        Args:
            model: the micro-rule with its geometry, parameters and coefficients.
            dtype: "float64" or "float32".
        """
        return NumpyKernels(model, dtype)

    def load_particles(self, model: ParticleModel, dtype: str = "float64") -> NumpyParticles:
        """Bind a batch of particle patches; it is computed in float64.

        Args:
            model: the micro-simulator.
            dtype: "float64" or "float32".
        """
        return NumpyParticles(model, dtype)

    def load_gas(self, gas: LatticeGas) -> NumpyGas:
        """Bind a batch of patches of a lattice gas."""
        return NumpyGas(gas)


class NumpyKernels:
    """The passes over one batch of patches.

    In float32 a state is held as u = base + v: the base in float64 is what was last packed or
    lifted, and handles hold the perturbation v in float32. Rates are evaluated in float64 and
    rounded once.
    """

    lookahead = 1

    def __init__(self, model: MicroModel, dtype: str):
        self.model = model
        self.dtype = np.dtype(dtype)
        self._base: Micro | float = 0.0

    def pack(self, u: Micro) -> Micro:
        """A state from host values; in float32 they become the base."""
        if self.dtype == np.float64:
            return np.array(u, dtype=np.float64)
        self._base = np.array(u, dtype=np.float64)
        return np.zeros(u.shape, dtype=np.float32)

    def unpack(self, u: Micro) -> Micro:
        """The values of a state in float64."""
        return self._base + u.astype(np.float64)

    def store(self, u: Micro) -> Micro:
        """A copy of the handle; in float32 what it differs by from the base."""
        return u.copy()

    def recall(self, stored: Micro) -> Micro:
        """The handle that `store` showed; the base stays."""
        return np.array(stored, dtype=self.dtype, order="C")

    def axpy(self, terms: Sequence[tuple[float, Micro]]) -> Micro:
        """sum_k weight_k state_k."""
        total = np.zeros_like(terms[0][1])
        for weight, state in terms:
            total += self.dtype.type(weight) * state
        return total

    def upload(self, U: Macro) -> Macro:
        """Coarse values as they are: patches are on the host."""
        return U

    def download(self, U: Macro) -> Macro:
        """Coarse values as they are."""
        return U

    def combine(self, terms: Sequence[tuple[float, Macro]]) -> Macro:
        """sum_k weight_k U_k of coarse values."""
        return linear_combination(terms)

    def couple(
        self, coupling: Coupling, u: Micro, t: float, rate_over: float | None = None
    ) -> None:
        """Set the edge sites in place.

        Args:
            coupling: the interpolation.
            u: state, or rate of change if `rate_over` is given.
            t: time of the boundary values.
            rate_over: time over which boundary values are differenced, for rates.
        """
        whole = self.unpack(u) if rate_over is None else u
        for axis in range(len(coupling.axes)):
            values = coupling.boundary_values(axis, t)
            if rate_over is not None:
                later = coupling.boundary_values(axis, t + rate_over)
                if values is not None and later is not None:
                    values = (later - values) / rate_over
            couple_axis(whole, coupling, axis, values, self.model.n_members)
        if whole is not u:
            u[...] = whole - self._base

    def rate(self, u: Micro, t: float) -> Micro:
        """du/dt on the interior, zero on the edges."""
        return self.model.rate(self.unpack(u), t).astype(self.dtype, copy=False)

    @_LET_OVERFLOW
    def advance(
        self,
        coupling: Coupling,
        u: Micro,
        t: float,
        dt: float,
        n_steps: int,
        stepper: str,
        every: int = 1,
        first: int = 0,
    ) -> None:
        """Take micro-steps in place with coupled edges.

        Args:
            coupling: the interpolation.
            u: state.
            t: time at the beginning.
            dt: micro time step.
            n_steps: number of steps, a multiple of `every`.
            stepper: name of the micro-stepper.
            every: steps between couplings; in between the edges move linearly, at the rate that
                coupling gives to the rates of change, which keeps second order.
            first: number of the first step, from which its random numbers follow.
        """
        if every == 1:
            settle = self._coupler(coupling)
            for step in range(n_steps):
                self._step(u, t + step * dt, dt, stepper, settle)
                self._kick(u, t + step * dt, dt, 0, first + step)
            self.couple(coupling, u, t + n_steps * dt)
            return
        for begun in range(0, n_steps, every):
            begin = t + begun * dt
            self.couple(coupling, u, begin)
            slope = self.rate(u, begin)
            self.couple(coupling, slope, begin, rate_over=every * dt)
            settle = moving_edges(u, slope, begin, self.model.edges)
            for step in range(begun, begun + every):
                self._step(u, t + step * dt, dt, stepper, settle)
                self._kick(u, t + step * dt, dt, 0, first + step)
        self.couple(coupling, u, t + n_steps * dt)

    def lift(self, lifting: Lifting, extended: Macro) -> Micro:
        """Sites of all patches from extended coarse values."""
        return self.pack(reconstruct(lifting, extended))

    @_LET_OVERFLOW
    def burst(
        self, u: Micro, plan: BurstPlan, t: float, edge_rate: Micro | None = None
    ) -> NDArray[np.float64]:
        """Run every patch on its own, in place.

        Args:
            u: state, edges included.
            plan: steps, restriction and estimator weights.
            t: time at the beginning.
            edge_rate: rates of change of the edge values, [patch, field, *sites]; frozen edges
                when absent.

        Returns:
            ``out[q, patch, field]``, the restricted samples summed with the weights of the plan.
        """
        settle = no_coupling
        if edge_rate is not None:
            settle = moving_edges(u, edge_rate, t, self.model.edges)
        elif plan.edge == "neumann":
            settle = frozen_differences(u, self.model.edges)
        out = np.zeros((plan.weights.shape[1], *self.model.shape[:2]))
        self._sample(out, u, plan, 0, t)
        for step in range(plan.n_steps):
            now = t + step * plan.dt
            self._step(u, now, plan.dt, plan.stepper, settle)
            self._kick(u, now, plan.dt, plan.stream, plan.first + step)
            settle(u, now + plan.dt)
            self._sample(out, u, plan, step + 1, now + plan.dt)
        return out

    def lift_burst_restrict(
        self, lifting: Lifting, extended: Macro, plan: BurstPlan, t: float, edge_rate=None
    ) -> NDArray[np.float64]:
        """Lift, burst and restrict in one pass: coarse values in, coarse samples out."""
        rate = None if edge_rate is None else reconstruct(lifting, edge_rate)
        return self.burst(self.lift(lifting, extended), plan, t, rate)

    def restrict(self, restriction: Restriction, u: Micro) -> NDArray[np.float64]:
        """Weighted means over the cores, [patch, field]."""
        return weighted_mean(self.unpack(u), restriction)

    def norm(self, u: Micro) -> float:
        """Largest magnitude over all sites."""
        return float(np.abs(u).max())

    def finite(self, u: Micro) -> bool:
        """Whether every value is finite."""
        return bool(np.isfinite(u).all())

    def describe(self, stepper: str, coupled: bool) -> list[str]:
        """Nothing to tell: memory is that of the host."""
        return []

    def facts(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}

    def _coupler(self, coupling):
        return lambda u, t: self.couple(coupling, u, t)

    def _step(self, u, t, dt, stepper, settle):
        if canonical_stepper(stepper) == VERLET:
            self._verlet(u, t, dt, settle)
            return
        tableau = TABLEAUX[stepper]
        slopes: list[Micro] = []
        for stage in range(len(tableau.b)):
            terms = [(1.0, u)] + [
                (dt * tableau.a[stage, k], slope)
                for k, slope in enumerate(slopes)
                if tableau.a[stage, k]
            ]
            now = t + tableau.c[stage] * dt
            y = u if stage == 0 else self.axpy(terms)
            settle(y, now)
            slopes.append(self.rate(y, now))
        for weight, slope in zip(tableau.b, slopes, strict=True):
            u += self.dtype.type(dt * weight) * slope

    def _verlet(self, u, t, dt, settle):
        """V += dt/2 f(u); u += dt v; v += dt/2 f(u)."""
        names = self.model.rule.fields
        pairs = [(names.index(x), names.index(v)) for x, v in self.model.rule.second_order]
        inside = self.model.inside
        settle(u, t)
        self._half_kick(u, t, dt, pairs)
        velocity = self.unpack(u)
        for x, v in pairs:
            drift = dt * velocity[(slice(None), v, *inside)]
            u[(slice(None), x, *inside)] += drift.astype(self.dtype)
        settle(u, t + dt)
        self._half_kick(u, t + dt, dt, pairs)

    def _half_kick(self, u, t, dt, pairs):
        force = self.rate(u, t)
        for _, v in pairs:
            u[:, v] += self.dtype.type(dt / 2) * force[:, v]

    def _kick(self, u, t, dt, stream, step):
        """Euler-Maruyama noise, added after the deterministic step."""
        rule, model = self.model.rule, self.model
        if not rule.noise:
            return
        xi = normals(model.seed, stream, step, u.shape, model.first_patch)
        amplitude = model.noise_amplitude(self.unpack(u), t)
        inside = (slice(None), slice(None), *model.inside)
        u[inside] += (np.sqrt(dt) * amplitude * xi)[inside].astype(self.dtype)

    def _sample(self, out, u, plan, step, t):
        weights = plan.weights[step]
        if not weights.any():
            return
        whole = self.unpack(u)
        if plan.flux_axis != -1:
            whole = self.model.measure(whole, t, plan.flux_axis)
        value = weighted_mean(whole, plan.restriction)
        out += weights[:, None, None] * value


def couple_axis(u: Micro, coupling: Coupling, axis: int, values, n_members: int) -> None:
    """Overwrite the edges across one axis, in place.

    Args:
        u: [patch, field, *sites].
        coupling: the interpolation.
        axis: the axis.
        values: right-hand sides of the boundary conditions, or None.
        n_members: members in the batch.
    """
    grid, plan = coupling.grid, coupling.axes[axis]
    ndim = grid.ndim
    v = u.reshape(n_members, *grid.patches, *u.shape[1:])
    site_axis, patch_axis = 2 + ndim + axis, 1 + axis
    for side in (0, 1):
        members = _ensemble_source(n_members, coupling.phases, axis, plan.member_step[side])
        for layer in range(grid.edges):
            line = np.take(v, plan.source[side, layer], axis=site_axis)
            if members is not None:
                line = line[members]
            line = np.moveaxis(line, patch_axis, -1)
            edge = np.einsum("...pk,pk->...p", line[..., plan.nodes], plan.weights[side])
            index: list = [slice(None)] * v.ndim
            index[site_axis] = plan.target[side, layer]
            v[tuple(index)] = np.moveaxis(edge, -1, patch_axis)
    if plan.fills is None:
        return
    for side, fill in enumerate(plan.fills):
        end = np.take(v, 0 if side == 0 else -1, axis=patch_axis)
        near = np.moveaxis(np.take(end, fill.inside, axis=site_axis - 1), site_axis - 1, -1)
        near = np.moveaxis(near, ndim, -2)
        edge = np.einsum("...fk,flk->...fl", near, fill.weights)
        given = np.moveaxis(values[side], 0, -1)[..., None] * fill.affine
        edge = np.moveaxis(edge + given, -2, ndim)
        index = [slice(None)] * v.ndim
        index[patch_axis] = 0 if side == 0 else -1
        for layer in range(grid.edges):
            index[site_axis] = plan.target[side, layer]
            v[tuple(index)] = edge[..., layer]


def _ensemble_source(n_members: int, phases, axis: int, step: int):
    """Members read by each member, or None when every member reads itself."""
    if phases[axis] == 1:
        return None
    per_run = int(np.prod(phases))
    shape = (n_members // per_run, *reversed(phases))
    index = np.arange(n_members).reshape(shape)
    return np.roll(index, step, axis=len(phases) - axis).ravel()


def no_coupling(u: Micro, t: float) -> None:
    """Leave the edges as they are."""


def moving_edges(u: Micro, slope: Micro, start: float, edges):
    """Edges that move linearly in time from their present values.

    Args:
        u: state at the beginning.
        slope: rates of change, used on the edge sites.
        start: time at the beginning.
        edges: edge layers per axis.

    Returns:
        A function of (state, time) that sets the edge sites.
    """
    ring = edge_ring(u.shape[2:], edges)
    first, speed = u[:, :, ring].copy(), slope[:, :, ring].astype(u.dtype)

    def settle(y, t):
        y[:, :, ring] = first + u.dtype.type(t - start) * speed

    return settle


def frozen_differences(u: Micro, edges):
    """Edges that keep their present difference to the first interior site.

    Args:
        u: state at the beginning.
        edges: edge layers per axis.

    Returns:
        A function of (state, time) that sets the edge sites.
    """
    lines = []
    for axis, (e, n) in enumerate(zip(edges, u.shape[2:], strict=True)):
        for layers, inner in ((range(e), e), (range(n - e, n), n - e - 1)):
            for layer in layers:
                write: list = [slice(None)] * u.ndim
                read: list = [slice(None)] * u.ndim
                write[2 + axis], read[2 + axis] = layer, inner
                difference = u[tuple(write)] - u[tuple(read)]
                lines.append((tuple(write), tuple(read), difference))

    def settle(y, t):
        for write, read, difference in lines:
            y[write] = y[read] + difference

    return settle


def edge_ring(sites: Sequence[int], edges: Sequence[int]) -> NDArray[np.bool_]:
    """True on the edge sites, [*sites]."""
    ring = np.ones(tuple(sites), dtype=bool)
    ring[tuple(slice(e, n - e) for e, n in zip(edges, sites, strict=True))] = False
    return ring

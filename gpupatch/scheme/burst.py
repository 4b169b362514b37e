"""The `burst` scheme: lift, couple, burst, restrict, project, one coarse value per patch."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from gpupatch.arrays import Backend, Handle, Kernels, Macro, Micro
from gpupatch.burst import EDGES, Burst, BurstPlan, slope_weights
from gpupatch.contract import checked
from gpupatch.errors import SchemeError
from gpupatch.lifting import core_lifting, reconstruct
from gpupatch.micro.model import MicroModel
from gpupatch.restriction import Restriction, core_mean, weighted_mean
from gpupatch.scheme.base import MeasuringScheme
from gpupatch.scheme.problem import Function, Problem, coarse_shape
from gpupatch.scheme.propagator import propagated_weights

LIFTS = ("polynomial", "projection")
METHODS = ("steps", "propagator")


@checked(SchemeError)
class BurstScheme(MeasuringScheme):
    """Patches are lifted from coarse values, run on their own for a burst, and averaged.

    One evaluation of the slope dU/dt at a base time t:

        lift      u = L U        polynomials whose core averages are U, edges included
        couple    u[edge] = (L U)[edge]              frozen, or moving at the rate L dU/dt
        burst     u(s) for 0 <= s <= length          micro-steps of the rule, every patch alone
        restrict  U(s) = R u(s)                      averages over the cores
        slope     F = sum_s w_s U(s)                 healed, extrapolated back to s = 0

    and a projective method leaps with F. The coarse value U is the discrete mean over the core.

    Args:
        problem: rule, grid, parameters, medium.
        backend: where the patches live.
        burst: length, healing and estimator.
        order: degree of the lifting in H: 2, 4, 6, 8 or "spectral".
        micro: micro-stepper.
        edge: "dirichlet" (edge values as lifted) or "neumann" (edge differences as lifted).
        edge_rate: let the edges move at the lifted rate of change found before.
        lift: "polynomial", or "projection": the same plus the details of the last healed state,
            which fade towards the edges.
        method: "steps", or "propagator" for the exact burst of a linear rule.
        restriction: weights of the coarse value; the plain core mean when absent.

    Raises:
        SchemeError: if the parts do not fit together, or the buffers cannot protect the core.

    Source: Samaey, Kevrekidis and Roose (2006), section 2, for patch dynamics with buffers; Gear
    and Kevrekidis (2003) for the leap [SamaeyKevrekidisRoose2006, GearKevrekidis2003].
    """

    kind = "burst"
    functional = "mean over the core"

    def __init__(
        self,
        problem: Problem,
        backend: Backend,
        burst: Burst,
        order: int | str = 4,
        micro: str = "rk4",
        edge: str = "dirichlet",
        edge_rate: bool = False,
        lift: str = "polynomial",
        method: str = "steps",
        restriction: Restriction | None = None,
    ):
        super().__init__(problem, backend, micro, burst.dt)
        self.burst_spec, self.edge, self.lift = burst, edge, lift
        self.edge_rate, self.method = edge_rate, method
        self._check()
        self.restriction = restriction or core_mean(problem.grid)
        self.lifting = core_lifting(
            problem.grid, problem.rule.fields, order, self.restriction.weights
        )
        self.model = problem.model()
        self.kernels = backend.load(self.model, problem.dtype)
        self._stream = 0
        self._healing_checked = False
        self._last_slope: Macro | None = None
        self._prior: Handle | None = None
        self._propagated: dict = {}
        # details of the patches and propagators are kept on the host
        self.resident = lift == "polynomial" and method == "steps"

    @property
    def models(self) -> list[MicroModel]:
        """The one batch of patches."""
        return [self.model]

    @property
    def batches(self) -> list[Kernels]:
        """The passes over the one batch."""
        return [self.kernels]

    def averages(self, functions: Mapping[str, Function], t: float | None) -> Macro:
        """Core means of functions of position (and time), [member, field, *patch axes]."""
        u = self.problem.sample(functions, t, self.n_members)
        return coarse_shape(self.problem, self.n_members, weighted_mean(u, self.restriction))

    def fields(self, U: Macro, t: float) -> Micro:
        """The lifted sites of all patches, [patch, field, *sites]."""
        return reconstruct(self.lifting, self.lifting.extended(self.download(U), t))

    def slope(self, t: float, U: Handle) -> Handle:
        """dU/dt at the base time, from one burst.

        Args:
            t: base time.
            U: coarse values, [member, field, *patch axes], on the host or as `upload` gave them.

        Returns:
            Same shape as `U`, in units of U per time.
        """
        return self._run(t, U)[0]

    def burst(self, t: float, U: Handle) -> tuple[Handle, Handle]:
        """Coarse values after one burst, and the slope at its end.

        Args:
            t: time at the beginning.
            U: coarse values.

        Returns:
            U and dU/dt at ``t + burst_length``.
        """
        _, end, slope_at_end = self._run(t, U)
        return end, slope_at_end

    @property
    def burst_length(self) -> float:
        """Model time of one burst."""
        return self.burst_spec.length

    def _run(self, t: float, U: Handle) -> list[Handle]:
        extended = self._extended(U, t)
        if not self._healing_checked:
            self.check_healing(self.model, self.kernels, U, t)
            self._healing_checked = True
        stable = self.choose_dt(self.model, U, t)
        n_steps, dt = self.burst_spec.steps(stable)
        plan = self._plan(n_steps, dt)
        if self.method == "propagator":
            out = self._propagate(plan, extended)
        else:
            rate = self._edge_rate(t, U)
            out = self._steps(plan, extended, t, rate)
        self.count(n_steps, dt)
        results = [coarse_shape(self.problem, self.n_members, column) for column in out]
        self._last_slope = results[0]
        return results

    def _extended(self, U: Handle, t: float, rate: bool = False) -> Handle:
        return self.lifting.extended(self.upload(U), t, rate, self.upload)

    def _plan(self, n_steps: int, dt: float) -> BurstPlan:
        slope = slope_weights(self.burst_spec, n_steps, dt)
        end = np.zeros(n_steps + 1)
        end[-1] = 1.0
        self._stream += 1
        return BurstPlan(
            stepper=self.micro,
            dt=dt,
            n_steps=n_steps,
            restriction=self.restriction,
            weights=np.stack([slope, end, end_slope_weights(n_steps, dt)], axis=1),
            edge=self.edge,
            stream=self._stream,
        )

    def _edge_rate(self, t: float, U: Macro):
        if not self.edge_rate:
            return None
        known = np.zeros_like(U) if self._last_slope is None else self._last_slope
        return self._extended(known, t, rate=True)

    @functools.cached_property
    def _taper(self) -> np.ndarray:
        """One on the core, falling to zero at the edges, so that their artefacts do not pile up."""
        grid, lines = self.problem.grid, []
        for n, core in zip(grid.n_sites, grid.core_sites, strict=True):
            knots = [grid.edges - 1, core.start, core.stop - 1, n - grid.edges]
            lines.append(np.interp(np.arange(n), knots, [0.0, 1.0, 1.0, 0.0]))
        return functools.reduce(np.multiply.outer, lines)

    def _steps(self, plan, extended, t, rate):
        if self.lift == "polynomial":
            return self.kernels.lift_burst_restrict(self.lifting, extended, plan, t, rate)
        if self._prior is None:
            state = self.kernels.lift(self.lifting, extended)
        else:
            prior = self.kernels.unpack(self._prior)
            means = weighted_mean(prior, self.restriction)
            smooth = self.lifting.extended(coarse_shape(self.problem, self.n_members, means), t)
            details = self._taper * (prior - reconstruct(self.lifting, smooth))
            state = self.kernels.pack(reconstruct(self.lifting, extended) + details)
        moving = None if rate is None else reconstruct(self.lifting, rate)
        out = self.kernels.burst(state, plan, t, moving)
        self._prior = state
        return out

    def _propagate(self, plan: BurstPlan, extended: Macro):
        key = (plan.n_steps, plan.dt)
        if key not in self._propagated:
            self._propagated = {key: propagated_weights(self.model, plan)}
        rows, constant = self._propagated[key]
        u = reconstruct(self.lifting, extended)
        flat = u.reshape(len(u), -1)
        n_fields = len(self.problem.rule.fields)
        one = len(rows) == 1
        values = (
            np.einsum("pqfs,ps->qpf", rows, flat)
            if not one
            else (np.einsum("qfs,ps->qpf", rows[0], flat))
        )
        return values + np.moveaxis(constant, 1, 0).reshape(len(values), -1, n_fields)

    def _check(self) -> None:
        rule = self.problem.rule
        for name, value, allowed in (
            ("edge", self.edge, EDGES),
            ("lift", self.lift, LIFTS),
            ("method", self.method, METHODS),
        ):
            if value not in allowed:
                raise SchemeError(f"`{name}` is {value!r}; use one of {', '.join(allowed)}.")
        if self.edge == "neumann" and self.edge_rate:
            raise SchemeError("`edge_rate` moves edge values, so it needs `edge = 'dirichlet'`.")
        if rule.parity:
            raise SchemeError(f"rule `{rule.name}` is staggered: use the `coupled` scheme.")
        if self.lift == "projection" and self.problem.dtype == "float32":
            raise SchemeError("`lift = 'projection'` keeps the micro state: run it in float64.")
        if self.method == "propagator" and (
            not rule.linear
            or rule.time_dependent
            or rule.noise
            or self.edge != "dirichlet"
            or self.edge_rate
            or self.lift != "polynomial"
        ):
            raise SchemeError(
                "`method = 'propagator'` is for linear rules without explicit time or noise, with "
                "frozen Dirichlet edges and polynomial lifting. Use `method = 'steps'`."
            )


def end_slope_weights(n_steps: int, dt: float) -> np.ndarray:
    """Weights over the steps of a burst that estimate the slope at its end.

    The one-sided difference through the last five steps (fewer in short bursts), exact for
    polynomials of degree four.

    Args:
        n_steps: micro-steps in the burst.
        dt: micro time step.

    Returns:
        [n_steps + 1], in units of 1/time.
    """
    count = min(5, n_steps + 1)
    s = np.arange(-count + 1, 1, dtype=float)
    powers = np.arange(count)
    w = np.zeros(n_steps + 1)
    w[-count:] = np.linalg.solve((s[:, None] ** powers).T, (powers == 1).astype(float)) / dt
    return w

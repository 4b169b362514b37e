"""The `burst` scheme: lift, couple, burst, restrict, project, one coarse value per patch."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, Handle, Kernels, Macro, Micro, Plain
from gpupatch.burst import EDGES, Burst, BurstPlan, slope_weights
from gpupatch.contract import checked
from gpupatch.errors import SchemeError
from gpupatch.lifting import core_lifting, reconstruct, taper
from gpupatch.micro.model import MicroModel
from gpupatch.restriction import Restriction, core_mean, weighted_mean
from gpupatch.scheme.alone import SitesAlone, sites_alone
from gpupatch.scheme.base import MeasuringScheme
from gpupatch.scheme.problem import Function, Problem, coarse_shape
from gpupatch.scheme.propagator import propagated_weights
from gpupatch.scheme.quarantine import FailedPatch, Places, Quarantine

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
        hidden: fields of the rule that are no coarse variables, and how they are lifted, by name:
            a number, a function of position, or coarse values [member, *patch axes].
        max_quarantined: share of the patches of a burst that may fail; what they would give is
            interpolated from their neighbours. The first failure ends a run when absent.

    Raises:
        SchemeError: if the parts do not fit together, or the buffers cannot protect the core.

    Source: Samaey, Kevrekidis and Roose (2006), section 2, for patch dynamics with buffers; Gear
    and Kevrekidis (2003) for the leap [SamaeyKevrekidisRoose2006, GearKevrekidis2003].
    """

    kind = "burst"
    functional = "mean over the core"
    remembered = ("_stream", "guarded")

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
        hidden: Mapping[str, Function | NDArray[np.float64]] | None = None,
        max_quarantined: float | None = None,
    ):
        super().__init__(problem, backend, micro, burst.dt)
        self.hidden = dict(hidden or {})
        self.burst_spec, self.order, self.edge, self.lift = burst, order, edge, lift
        self.edge_rate, self.method = edge_rate, method
        self._check()
        self.restriction = restriction or core_mean(problem.grid)
        self.lifting = core_lifting(
            problem.grid, problem.rule.fields, order, self.restriction.weights
        )
        self.model = problem.model()
        self.kernels = backend.load(self.model, problem.dtype)
        self.places = Places.on(problem.grid, problem.grid.centres)
        self.quarantine = Quarantine(
            max_quarantined, order, self.download, remembers=self.kernels.lookahead > 1
        )
        self._stream = 0
        self._last_slope: Macro | None = None
        self._prior: Handle | None = None
        self._lifted: Micro | None = None
        self._propagated: dict = {}
        # details of the patches and propagators are kept on the host
        self.resident = lift == "polynomial" and method == "steps"

    def memory(self) -> dict[str, Plain]:
        """A copy of counters, streams, the last slope and the last healed state."""
        slope, prior = self._last_slope, self._prior
        return super().memory() | {
            "slope": None if slope is None else np.array(self.download(slope)),
            "healed": None if prior is None else np.array(self.kernels.unpack(prior)),
        }

    def remember(self, memory: Mapping[str, Plain]) -> None:
        """Take back what `memory` told."""
        super().remember(memory)
        slope, prior = memory["slope"], memory["healed"]
        self._last_slope = None if slope is None else self.upload(np.array(slope))
        self._prior = None if prior is None else self.kernels.pack(prior)

    @property
    def names(self) -> tuple[str, ...]:
        """The coarse fields: those of the rule that are not hidden."""
        return tuple(name for name in self.problem.rule.fields if name not in self.hidden)

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
        given = {**functions, **dict.fromkeys(self.hidden, 0.0)}
        return self._means(given, t)[:, self._tracked]

    def fields(self, U: Macro, t: float) -> Micro:
        """The lifted sites of all patches, [patch, field, *sites]."""
        whole = self.completed(self.upload(U))
        u = reconstruct(self.lifting, self.lifting.extended(self.download(whole), t))
        return u[:, self._tracked]

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
        if self.guarded:
            self.check_healing(t, U)
            self.guarded = False
        U = self.completed(self.upload(U))
        extended = self.lifting.extended(U, t, place=self.upload)
        stable = self.choose_dt(self.model, U, t)
        n_steps, dt = self.burst_spec.steps(stable)
        plan = self._plan(n_steps, dt)
        self.quarantine.begin(t, U)
        arrays = {"extended": extended}
        if self.method == "propagator":
            out = self._propagate(plan, extended)
        else:
            rate = self._edge_rate(t, U)
            arrays |= {} if rate is None else {"rate": rate}
            out = self._steps(plan, extended, t, rate)
        self.count(n_steps, dt)
        results = [coarse_shape(self.problem, self.n_members, column) for column in out]
        states = {} if self._lifted is None else {"micro": self._lifted}
        begun = self.quarantine.begun(0, n_steps, dt, plan.stream, arrays=arrays, states=states)
        failed = self.quarantine.failures(begun, results, self.places, self.n_members)
        if failed is not None:
            results = self._mended(U, extended, results, failed)
        self._last_slope = results[0]
        return [one[:, self._tracked] for one in results] if self.hidden else results

    def _mended(self, U: Handle, extended: Handle, results, failed) -> list[Handle]:
        """Slope, end and slope at the end, with what failed patches lack from their neighbours."""
        base, (slope, end, last) = self.download(U), (self.download(one) for one in results)
        slope, change, last = (
            self.quarantine.mended(one, failed, self.places) for one in (slope, end - base, last)
        )
        if self._prior is not None:
            values, rows = self.kernels.unpack(self._prior), failed.ravel()
            values[rows] = reconstruct(self.lifting, self.download(extended))[rows]
            self._prior = self.kernels.pack(values)
        end = np.where(failed[:, None], base + change, end)
        return [self.upload(one) for one in (slope, end, last)]

    def alone(self, failed: FailedPatch) -> SitesAlone:
        """One patch of a burst by itself.

        Args:
            failed: the patch, and what its burst began with.

        Raises:
            InputError: if it does not fit this scheme.
        """
        begun, n = failed.begun, failed.begun.n_steps
        plan = BurstPlan(
            self.micro, begun.dt, n, self.restriction, np.zeros((n + 1, 1)), self.edge,
            stream=begun.stream,
        )  # fmt: skip
        one = sites_alone(self._load, self.model, self.lifting, failed, plan)
        if self.method == "propagator":
            return replace(one, told="the exact burst of the propagator is shown in micro-steps")
        return one

    def _load(self, model: MicroModel) -> Kernels:
        return self.backend.load(model, self.problem.dtype)

    @functools.cached_property
    def _tracked(self) -> list[int]:
        """Which fields of the rule are coarse variables."""
        return [self.problem.rule.fields.index(name) for name in self.names]

    @functools.cached_property
    def _concealed(self) -> dict[str, Handle]:
        """Coarse values from which hidden fields are lifted, [member, *patch axes] by name."""
        fields, patches = self.problem.rule.fields, (self.n_members, *self.problem.grid.patches)
        formulas = {
            n: given for n, given in self.hidden.items() if not isinstance(given, np.ndarray)
        }
        means = self._means({**dict.fromkeys(fields, 0.0), **formulas}, None)
        known = {name: means[:, fields.index(name)] for name in formulas}
        for name in self.hidden.keys() - formulas.keys():
            known[name] = np.asarray(self.hidden[name], dtype=float)
            if known[name].shape != patches:
                raise SchemeError(
                    f"the hidden field `{name}` was given with the shape {known[name].shape}; its "
                    f"coarse values have the shape {patches}."
                )
        return {name: self.upload(values) for name, values in known.items()}

    def completed(self, U: Handle) -> Handle:
        """Coarse values of all fields of the rule, hidden ones as they are lifted."""
        if not self.hidden:
            return U
        rows = [
            self._concealed[name] if name in self.hidden else U[:, self.names.index(name)]
            for name in self.problem.rule.fields
        ]
        return np.stack(rows, axis=1)

    def _means(self, functions: Mapping[str, Any], t: float | None) -> Macro:
        u = self.problem.sample(functions, t, self.n_members)
        return coarse_shape(self.problem, self.n_members, weighted_mean(u, self.restriction))

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
        return self.lifting.extended(self.upload(known), t, True, self.upload)

    def _steps(self, plan, extended, t, rate):
        if self.lift == "polynomial":
            return self.kernels.lift_burst_restrict(self.lifting, extended, plan, t, rate)
        if self._prior is None:
            state = self.kernels.lift(self.lifting, extended)
        else:
            prior = self.kernels.unpack(self._prior)
            means = weighted_mean(prior, self.restriction)
            smooth = self.lifting.extended(coarse_shape(self.problem, self.n_members, means), t)
            details = taper(self.problem.grid) * (prior - reconstruct(self.lifting, smooth))
            state = self.kernels.pack(reconstruct(self.lifting, extended) + details)
        moving = None if rate is None else reconstruct(self.lifting, rate)
        self._lifted = self.kernels.unpack(state)
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
        stray = sorted(set(self.hidden) - set(rule.fields))
        if stray or not self.names:
            raise SchemeError(
                f"`hidden` names `{stray[0] if stray else next(iter(self.hidden))}`; rule "
                f"`{rule.name}` has the fields {', '.join(rule.fields)}, of which at least one "
                "has to be a coarse variable."
            )
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

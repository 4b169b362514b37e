"""Patches with every field of their rule free, watched while they run on their own."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.arrays import Macro, Micro
from gpupatch.burst import BurstPlan
from gpupatch.errors import InputError, NonFiniteError, SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.lifting import reconstruct
from gpupatch.restriction import Restriction, weighted_mean
from gpupatch.scheme import BurstScheme, Problem
from gpupatch.steps import count_steps

STATE = -1
"""What `BurstPlan.flux_axis` is where the state itself is averaged."""
_SAFETY = 0.8
"""Share of the longest stable micro-step that is taken, so that it need not follow the state."""


@dataclass(frozen=True, eq=False)
class Watched:
    """Averages over the cores, taken at equal intervals of one burst.

    Attributes:
        times: since its beginning, [time], the first 0.
        values: [time, state, field, *patch axes], all fields of the rule.
        sites: the patches at its end, [state x patch, field, *sites].
    """

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    sites: Micro


class FreePatches:
    """The patches of a `burst` scheme, with no field of the rule hidden.

    A state is made of coarse values of all fields, [field, *patch axes], or of the sites of all
    patches; several states are one batch. What is asked of them are small differences: they run in
    float64, whatever the precision of the scheme.

    Args:
        scheme: the scheme; what it hides is lifted as it says where nothing else is given.
        t: time at which bursts begin.
        grid: patches of another size at the same places; those of the scheme when absent.

    Attributes:
        bursts: how often a batch was run.

    Raises:
        SchemeError: if it is no `burst` scheme, or random.
    """

    def __init__(self, scheme: Any, t: float = 0.0, grid: PatchGrid | None = None):
        if not isinstance(scheme, BurstScheme):
            raise SchemeError(
                f"`scheme`: the `{getattr(scheme, 'kind', type(scheme).__name__)}` scheme does not "
                "lift fields of a rule from coarse values in bursts. Use a `burst` scheme."
            )
        if scheme.problem.rule.noise:
            raise SchemeError(
                f"rule `{scheme.problem.rule.name}` has noise, in which what relaxes cannot be "
                "told from what fluctuates. Use a rule without noise."
            )
        self.scheme, self.t, self.bursts = scheme, float(t), 0
        problem = replace(scheme.problem, grid=grid or scheme.problem.grid, dtype="float64")
        self._free = scheme.variant(
            problem=problem,
            hidden=None,
            method="steps",
            lift="polynomial",
            edge_rate=False,
            restriction=_padded(scheme.restriction, problem.grid),
        )
        self._batches: dict[int, BurstScheme] = {scheme.n_members: self._free}
        self._dt: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All fields of the rule."""
        return self.scheme.problem.rule.fields

    @property
    def grid(self) -> PatchGrid:
        """Where the patches are."""
        return self._free.grid

    @property
    def problem(self) -> Problem:
        """Rule, grid, parameters and medium of the patches."""
        return self._free.problem

    @functools.cached_property
    def tracked(self) -> list[int]:
        """Which fields are coarse variables of the scheme."""
        return [self.names.index(name) for name in self.scheme.names]

    @functools.cached_property
    def hidden(self) -> list[int]:
        """Which fields are none."""
        return [self.names.index(name) for name in self.names if name in self.scheme.hidden]

    def completed(self, U: Mapping[str, Any] | ArrayLike) -> Macro:
        """Coarse values of all fields.

        Args:
            U: functions of position or numbers by field; or coarse values of the fields that the
                scheme tracks, or of all, with or without a first axis of members.

        Returns:
            [member, field, *patch axes]; hidden fields that were not given as the scheme lifts
            them.

        Raises:
            InputError: if an array has another shape, or a value is not finite.
        """
        scheme, patches = self.scheme, self.grid.patches
        if isinstance(U, Mapping):
            given = {**scheme.hidden, **U}
            free = {k: v for k, v in given.items() if not isinstance(v, np.ndarray)}
            arrays = {k: v for k, v in given.items() if isinstance(v, np.ndarray)}
            start = {**dict.fromkeys(arrays, 0.0), **free}
            W = np.array(self._free.download(self._free.initial(start, self.t)))
            for name, values in arrays.items():
                W[:, self.names.index(name)] = values
        else:
            W = np.asarray(U, dtype=float)
            W = W[None] if W.ndim == len(patches) + 1 else W
            if W.shape == (scheme.n_members, len(scheme.names), *patches):
                W = np.array(scheme.download(scheme.completed(scheme.upload(W))))
        if W.shape != (scheme.n_members, len(self.names), *patches):
            raise InputError(
                f"the state has the shape {W.shape}, but coarse values of this scheme have "
                f"{(scheme.n_members, len(scheme.names), *patches)}: member, field "
                f"({', '.join(scheme.names)}), patches. Give them, or functions of position."
            )
        if not np.isfinite(W).all():
            raise InputError("the state that was given is not finite everywhere.")
        return W

    def lifted(self, W: Macro) -> Micro:
        """The sites of all patches, [state x patch, field, *sites].

        Args:
            W: coarse values of all fields, [state, field, *patch axes].
        """
        lifting = self._free.lifting
        return reconstruct(lifting, lifting.extended(W, self.t))

    def averaged(self, u: Micro, restriction: Restriction | None = None) -> Macro:
        """Averages over the cores, [state, field, *patch axes].

        Args:
            u: sites, [state x patch, field, *sites].
            restriction: other weights than those of the scheme.
        """
        return self._shaped(weighted_mean(u, restriction or self._free.restriction))

    def steps(self, length: float, samples: int) -> int:
        """Micro-steps of a burst that is seen at so many equal intervals."""
        return samples * max(1, count_steps(length / samples, self._step()))

    def watch(
        self,
        u: Micro,
        length: float,
        samples: int,
        what: int = STATE,
        restriction: Restriction | None = None,
    ) -> Watched:
        """Run one burst and average over the cores at equal intervals.

        Args:
            u: sites in which it begins, [state x patch, field, *sites].
            length: model time of the burst.
            samples: intervals.
            what: the state, or the axis along which fluxes are averaged.
            restriction: other weights than those of the scheme.

        Raises:
            NonFiniteError: if something does not stay finite.
        """
        self._choose_step(u)
        n_steps = self.steps(length, samples)
        weights = np.zeros((n_steps + 1, samples + 1))
        weights[np.arange(samples + 1) * (n_steps // samples), np.arange(samples + 1)] = 1.0
        scheme = self._batch(len(u) // int(np.prod(self.grid.patches)))
        plan = BurstPlan(
            scheme.micro, length / n_steps, n_steps, restriction or scheme.restriction, weights,
            scheme.edge, what,
        )  # fmt: skip
        state = scheme.kernels.pack(u)
        values = np.stack([self._shaped(one) for one in scheme.kernels.burst(state, plan, self.t)])
        self.bursts += 1
        if not np.isfinite(values).all():
            where = np.argwhere(~np.isfinite(values))[0]
            patch = tuple(int(i) for i in where[3:])
            raise NonFiniteError(
                self.t + length * where[0] / samples, int(where[1]), patch, self.names[where[2]]
            )
        times = np.linspace(0.0, length, samples + 1)
        return Watched(times, values, scheme.kernels.unpack(state))

    def _shaped(self, rows: NDArray[np.float64]) -> Macro:
        patches = self.grid.patches
        return np.moveaxis(rows.reshape(-1, *patches, rows.shape[-1]), -1, 1)

    def _batch(self, states: int) -> BurstScheme:
        """Patches of so many states."""
        if states not in self._batches:
            problem = replace(self._free.problem, replicas=states)
            self._batches[states] = self._free.variant(problem=problem)
        return self._batches[states]

    def _choose_step(self, u: Micro) -> None:
        if self._dt is None:
            free, given = self._free, self.scheme.burst_spec.dt
            self._dt = given or _SAFETY * free.choose_dt(free.model, u, self.t)

    def _step(self) -> float:
        assert self._dt is not None
        return self._dt


def _padded(restriction: Restriction, grid: PatchGrid) -> Restriction:
    """The same weights in the middle of wider patches."""
    spare = [n - len(w) for n, w in zip(grid.n_sites, restriction.weights, strict=True)]
    return Restriction(
        tuple(np.pad(w, s // 2) for w, s in zip(restriction.weights, spare, strict=True))
    )

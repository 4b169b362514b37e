"""Oracles of coupled patches: of the micro field itself, and of coarse values lifted to it."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Handle, Macro, Micro
from gpupatch.errors import SchemeError
from gpupatch.lifting import core_lifting, reconstruct
from gpupatch.projection import Projection
from gpupatch.projection.system import even_count
from gpupatch.tasks.oracle import BLOCK, Oracle, Slopes, exact

_SAFETY = 0.8
"""Share of the longest stable micro-step that is taken, so that it need not follow the state."""

_COARSER = 4.0
"""A micro-step is chosen anew where one so many times as long is stable."""


class CoupledOracle(Oracle):
    """Coupled patches as F(u) = f(E u): the unknowns are the values at all interior sites.

    See `Oracle` and `scheme.CoupledScheme`. Zeros of F and its spectrum are those of the coupled
    lattices themselves; nothing is lifted. Coarse values that are given as a state are interpolated
    between the patches to the order of the coupling.

    Raises:
        SchemeError: if the rule is random, since a rate at a moment does not show noise.
    """

    unknown = "value at an interior site"

    def __init__(
        self, scheme: Any, parameter: str | None = None, t: float = 0.0, block: int = BLOCK
    ):
        super().__init__(scheme, parameter, t, block)
        rule = scheme.problem.rule
        if rule.noise:
            raise SchemeError(
                f"rule `{rule.name}` has noise, which the rate of coupled patches at one moment "
                "does not show. Use `burst` or `flux`, whose slopes are measured over a time."
            )
        self._dt: float | None = None

    @functools.cached_property
    def n(self) -> int:
        """Number of unknowns: interior values of the patches of one member."""
        return self._inside.size

    @functools.cached_property
    def fields(self) -> NDArray[np.int64]:
        """Field that each unknown belongs to, [unknown]."""
        model = self.scheme.model
        sites = [s.stop - s.start for s in model.inside]
        count = len(self.names)
        shape = (model.n_patches, count, *sites)
        index = np.arange(count).reshape(1, count, *(1,) * len(sites))
        return np.broadcast_to(index, shape).ravel()

    @functools.cached_property
    def _inside(self) -> NDArray[np.int64]:
        """Positions of the interior values in the flattened state of one member."""
        return self.scheme.interior

    @functools.cached_property
    def lifting(self):
        """The interpolation of coarse values to all sites."""
        scheme = self.scheme
        grid, order = scheme.grid, scheme.coupling.order
        return core_lifting(grid, self.names, order, scheme.restriction.weights)

    def lifted(self, U: Macro) -> Micro:
        """Values at all sites from coarse ones, [patch, field, *sites].

        Args:
            U: [vector, field, *patch axes].
        """
        u = reconstruct(self.lifting, self.lifting.extended(U, self.t))
        phases = self.scheme.model.n_members
        if phases == 1:
            return u
        shaped = u.reshape(len(U), 1, -1, *u.shape[1:])
        return np.repeat(shaped, phases, axis=1).reshape(-1, *u.shape[1:])

    def coarse(self, X: NDArray[np.float64]) -> Macro:
        """Values at the centres of the patches, [vector, field, *patch axes]."""
        scheme = self.members(len(X), None)
        return scheme.coarse(self._state(scheme, X))

    def _from_state(self, state: Handle) -> NDArray[np.float64]:
        return self.scheme.kernels.unpack(state).ravel()[self._inside]

    def _from_coarse(self, U: Macro) -> NDArray[np.float64]:
        return self.lifted(U).reshape(len(U), -1)[:, self._inside].astype(float, copy=False)

    def _state(self, scheme: Any, X: NDArray[np.float64]) -> Handle:
        """A state of many members with coupled edges."""
        u = np.zeros((len(X), int(np.prod(self.scheme.model.shape))))
        u[:, self._inside] = X
        return scheme.load(u.reshape(scheme.model.shape), self.t)

    def _inner(self, scheme: Any, values: Handle, count: int) -> NDArray[Any]:
        whole = scheme.kernels.unpack(values).reshape(count, -1)
        return whole[:, self._inside]

    def _rate(self, scheme: Any, rate: Handle, count: int) -> NDArray[np.float64]:
        """Rates of change of the unknowns; in float32 their handles are unpacked with a base."""
        values = self._inner(scheme, rate, count)
        if scheme.dtype == "float64":
            return values
        return values - self._inner(scheme, scheme.kernels.axpy([(0.0, rate)]), count)

    def _slopes(self, X: NDArray[np.float64], p: NDArray[np.float64] | None, draw: int) -> Slopes:
        scheme, padded = self.padded(X, p)
        rate = scheme.kernels.rate(self._state(scheme, padded), self.t)
        return exact(self._rate(scheme, rate, len(padded))[: len(X)])

    def _flow(
        self,
        X: NDArray[np.float64],
        p: NDArray[np.float64] | None,
        over: float,
        projection: Projection | None,
    ) -> NDArray[np.float64]:
        scheme, padded = self.padded(X, p)
        state = self._state(scheme, padded)
        return self._inner(scheme, self.moved(scheme, state, over, projection), len(padded))[
            : len(X)
        ]

    def moved(
        self, scheme: Any, state: Handle, over: float, projection: Projection | None = None
    ) -> Handle:
        """A state of many members after a time, by micro-steps or in leaps; it is overwritten."""
        if projection is not None:
            system = scheme.system(projection, self.t, state)
            return projection.advance(system, self.t, state, self.t + over)
        steps = even_count(over, self.micro_step(scheme, state))
        steps = scheme.every * -(-steps // scheme.every)
        return scheme.advance(state, self.t, over / steps, steps)

    def micro_step(self, scheme: Any, state: Handle) -> float:
        """Micro time step, kept from one call to the next so that states can be compared."""
        stable = scheme.stable_dt(state, self.t)
        if scheme.keeps_dt:
            return stable
        kept = self._dt or 0.0
        if not stable / _COARSER < kept < stable:
            self._dt = kept = _SAFETY * stable
        return kept


class LiftedOracle(CoupledOracle):
    """Coupled patches as a function of their coarse values: lifted, run, restricted.

        F(U) = sum_s w_s R u(s),   u(0) = L U,       Phi_T(U) = R S_T L U

    with the healed slope of a burst, extrapolated to its beginning, see `burst.slope_weights`.
    """

    unknown = "coarse value"

    @functools.cached_property
    def n(self) -> int:
        """Number of unknowns: coarse values."""
        return int(np.prod(self.shape))

    @functools.cached_property
    def fields(self) -> NDArray[np.int64]:
        """Field that each unknown belongs to, [unknown]."""
        return np.repeat(np.arange(len(self.names)), self.n // len(self.names))

    def coarse(self, X: NDArray[np.float64]) -> Macro:
        """Coarse values of vectors, which are the unknowns."""
        return X.reshape(len(X), *self.shape)

    def _from_state(self, state: Handle) -> NDArray[np.float64]:
        return self.scheme.coarse(state).ravel()

    def _from_coarse(self, U: Macro) -> NDArray[np.float64]:
        return U.reshape(len(U), -1).copy()

    def _state(self, scheme: Any, X: NDArray[np.float64]) -> Handle:
        return scheme.load(self.lifted(self.coarse(X)), self.t)

    def _inner(self, scheme: Any, values: Handle, count: int) -> NDArray[np.float64]:
        return scheme.coarse(values).reshape(count, -1)

    def _slopes(self, X: NDArray[np.float64], p: NDArray[np.float64] | None, draw: int) -> Slopes:
        scheme, padded = self.padded(X, p)
        state = self._state(scheme, padded)
        system = scheme.system(Projection("euler", step=1.0), self.t, state)
        if not scheme.keeps_dt:
            system.hold(self.micro_step(scheme, state))
        slope = system.slope(self.t, state)
        return exact(self._rate(scheme, slope, len(padded))[: len(X)])

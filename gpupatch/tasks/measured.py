"""Oracles whose slopes are measured in bursts: of lattices, with or without noise, of particles."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import SchemeError
from gpupatch.projection import Projection
from gpupatch.tasks.oracle import BLOCK, Oracle, Slopes, draws, exact, sampled

_SAFETY = 0.8
"""Share of the longest stable micro-step that is taken, so that it need not follow the state."""


class MeasuredOracle(Oracle):
    """Coarse values and their slopes from bursts of lattices without noise.

    See `Oracle`, `scheme.BurstScheme` and `scheme.FluxScheme`. The micro time step is chosen at the
    first state and kept, so that slopes of different states can be compared.
    """

    def __init__(
        self, scheme: Any, parameter: str | None = None, t: float = 0.0, block: int = BLOCK
    ):
        super().__init__(scheme, parameter, t, block)
        rule = self.scheme.problem.rule
        self._keeps_dt = self.scheme.dt is not None or (rule.linear and not rule.time_dependent)

    def _fix_step(self, X: NDArray[np.float64]) -> None:
        if not self._keeps_dt:
            scheme, U = self.scheme, self.coarse(X)
            least = min(scheme.choose_dt(model, U, self.t) for model in scheme.models)
            burst = replace(scheme.burst_spec, dt=_SAFETY * least)
            self.scheme, self._keeps_dt = scheme.variant(burst=burst), True

    def _slopes(self, X: NDArray[np.float64], p: NDArray[np.float64] | None, draw: int) -> Slopes:
        self._fix_step(X)
        scheme, padded = self.padded(X, p)
        slope = scheme.download(scheme.slope(self.t, scheme.upload(self.coarse(padded))))
        return exact(slope.reshape(len(padded), -1)[: len(X)])

    def _flow(
        self,
        X: NDArray[np.float64],
        p: NDArray[np.float64] | None,
        over: float,
        projection: Projection | None,
    ) -> NDArray[np.float64]:
        if projection is None:
            raise SchemeError(
                f"the `{self.scheme.kind}` scheme runs through a time in leaps. Give a "
                "`projection`, for instance `gp.Projection('rk4', step=...)`, or leave out `over`."
            )
        self._fix_step(X)
        scheme, padded = self.padded(X, p)
        U = scheme.upload(self.coarse(padded))
        system = scheme.system(projection, self.t, U)
        end = scheme.download(projection.advance(system, self.t, U, self.t + over))
        return end.reshape(len(padded), -1)[: len(X)]


class SampledOracle(Oracle):
    """Coarse values and their slopes from bursts in which something is random.

    Every vector is measured in a batch of its replicas; vectors follow one another and meet the
    same random numbers if their draw is the same.

    Args:
        scheme: as of `Oracle`; its replicas, and those of its bursts, are multiplied.
        parameter: as of `Oracle`.
        t: likewise.
        block: likewise.

    Attributes:
        replicas: of one measurement.

    Raises:
        SchemeError: if there is only one, so that nothing tells how sure a slope is.
    """

    noisy = True

    def __init__(
        self, scheme: Any, parameter: str | None = None, t: float = 0.0, block: int = BLOCK
    ):
        super().__init__(scheme, parameter, t, block)
        self.replicas = scheme.burst_spec.replicas * scheme.problem.replicas
        self._warned = False
        if self.replicas < 2:
            raise SchemeError(
                "the slopes of this scheme are random, and one replica does not tell by how much. "
                "Give `Burst(replicas=...)` (`burst.replicas` in a case file), 16 or more."
            )

    def _slopes(self, X: NDArray[np.float64], p: NDArray[np.float64] | None, draw: int) -> Slopes:
        found = []
        for index, x in enumerate(X):
            scheme = self._drawn(None if p is None else float(p[index]), draw)
            with warnings.catch_warnings():
                if self._warned:
                    warnings.simplefilter("ignore")
                found.append(self.samples(scheme, x))
            self._warned = True
        return sampled(np.stack(found, axis=1))

    def _drawn(self, p: float | None, draw: int) -> Any:
        """The scheme with the random numbers of a draw."""
        problem = self.scheme.problem
        members = {} if p is None else {self.parameter: (p,)}
        return self.randomised(
            replace(problem, members=members, replicas=1, seed=draws(problem.seed, draw))
        )

    def randomised(self, problem: Any) -> Any:
        """The scheme whose bursts make all replicas of a problem."""
        burst = replace(self.scheme.burst_spec, replicas=self.replicas)
        return self.scheme.variant(problem=problem, burst=burst)

    def samples(self, scheme: Any, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Slopes of one vector from all replicas, [replica, unknown]."""
        return scheme.samples(self.t, self.coarse(x[None]), True).reshape(self.replicas, -1)

    def _flow(
        self,
        X: NDArray[np.float64],
        p: NDArray[np.float64] | None,
        over: float,
        projection: Projection | None,
    ) -> NDArray[np.float64]:
        raise SchemeError("a random micro-simulator is not run through a time. Leave out `over`.")


class NoisyLatticeOracle(SampledOracle):
    """Coarse values and their slopes from bursts of a rule with noise; replicas are members."""

    def randomised(self, problem: Any) -> Any:
        """The scheme whose members are all replicas of a problem."""
        burst = replace(self.scheme.burst_spec, replicas=1)
        problem = replace(problem, replicas=self.replicas)
        return self.scheme.variant(problem=problem, burst=burst)

    def samples(self, scheme: Any, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Slopes of one vector from all replicas, [replica, unknown]."""
        U = np.repeat(self.coarse(x[None]), self.replicas, axis=0)
        slope = scheme.download(scheme.slope(self.t, scheme.upload(U)))
        return slope.reshape(self.replicas, -1)

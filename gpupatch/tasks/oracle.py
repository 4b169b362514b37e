"""A scheme seen as a function: coarse states go in, slopes come out, many at a time."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.arrays import Macro
from gpupatch.errors import InputError, SchemeError, suggestion
from gpupatch.micro.coefficients import as_coefficient
from gpupatch.projection import Projection
from gpupatch.scheme.problem import Initial

BLOCK = 64
"""Vectors that are evaluated in one batch when nothing is said."""

_KEPT = 12
"""Batches of members, by their number and parameters, that stay loaded."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """F of a block of vectors, and what is uncertain about it.

        error of F = sum_s parts[..., s] xi_s,    xi_s independent standard normal numbers

    Linear functions of F have the same linear functions of the parts, so that errors which
    neighbouring cells share are told from errors that they do not.

    Attributes:
        values: [vector, unknown], in units of U per time.
        parts: [vector, unknown, source]; without sources where nothing is random. Vectors that were
            evaluated with the same draw share their sources.
    """

    values: NDArray[np.float64]
    parts: NDArray[np.float64]

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard errors, [vector, unknown]."""
        return np.sqrt((self.parts**2).sum(axis=-1))


class Oracle(ABC):
    """A scheme as F(U; p): slopes of blocks of vectors, which are members of one batch.

        dU/dt = F(U; p),      Phi_T(U; p) = R S_T L U

    An unknown is one number: a coarse value (`burst`, `flux`, particles), or the value at one
    interior site of one patch (`coupled`). A vector of unknowns is one member. The parameter p may
    differ from vector to vector, so that a sweep, or a derivative by p, is a block like any other.

    Where slopes are random, every vector is measured in as many replicas as asked for, and vectors
    evaluated with equal `draw` meet the same random numbers: what they differ by is then smooth.

    Made by `make_oracle`.

    Args:
        scheme: a scheme of one member.
        parameter: name of p, or None.
        t: time at which rules and boundary values are read.
        block: most vectors in one batch.

    Attributes:
        evaluations: vectors that F or Phi was evaluated for.
        batches: batches that they went in.
    """

    noisy = False
    unknown = "coarse value"

    def __init__(
        self, scheme: Any, parameter: str | None = None, t: float = 0.0, block: int = BLOCK
    ):
        if not (isinstance(block, int) and block > 0):
            raise InputError(f"`block` is {block}; give the most vectors in one batch, 1 or more.")
        self.t, self.block, self.parameter = float(t), block, parameter
        self.scheme = _of_one_member(scheme)
        self.evaluations = self.batches = 0
        self._schemes: OrderedDict[tuple, Any] = OrderedDict()
        if parameter is not None:
            known = parameter_names(self.scheme.problem)
            if parameter not in known:
                hint = suggestion(parameter, known) if known else "It has none."
                raise InputError(f"the micro-simulator has no parameter `{parameter}`. {hint}")

    @property
    def names(self) -> tuple[str, ...]:
        """The coarse fields."""
        return self.scheme.names

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the coarse values of a vector, [field, *patch axes]."""
        return (len(self.names), *self.scheme.grid.patches)

    @functools.cached_property
    def n(self) -> int:
        """Number of unknowns."""
        return int(np.prod(self.shape))

    @functools.cached_property
    def fields(self) -> NDArray[np.int64]:
        """Field that each unknown belongs to, [unknown]."""
        return np.repeat(np.arange(len(self.names)), self.n // len(self.names))

    @property
    def value(self) -> float:
        """Value of the parameter in the scheme.

        Raises:
            InputError: if there is no parameter.
        """
        if self.parameter is None:
            raise InputError("the oracle was made without a parameter.")
        problem = self.scheme.problem
        given = _given(problem)
        if self.parameter in given:
            return float(given[self.parameter])
        return float(problem.rule.parameter_values(given)[self.parameter])

    def vector(self, U: Initial | ArrayLike) -> NDArray[np.float64]:
        """The unknowns of a state.

        Args:
            U: functions of position or numbers by field; coarse values, [field, *patch axes] or
                [1, field, *patch axes]; or a vector of unknowns.

        Returns:
            [unknown].

        Raises:
            InputError: if an array has another shape, or a value is not finite.
        """
        if isinstance(U, Mapping):
            x = self._from_state(self.scheme.initial(U, self.t))
        else:
            given = np.asarray(U, dtype=float)
            if given.shape == (self.n,):
                x = given.copy()
            elif given.shape in (self.shape, (1, *self.shape)):
                x = self._from_coarse(given.reshape(1, *self.shape))[0]
            else:
                raise InputError(
                    f"the state has the shape {given.shape}, but coarse values of this scheme have "
                    f"{self.shape}, fields {', '.join(self.names)} first, and a vector of unknowns "
                    f"has ({self.n},). Give one of them, or functions of position by field."
                )
        if not np.isfinite(x).all():
            raise InputError("the state that was given is not finite everywhere.")
        return x

    def coarse(self, X: NDArray[np.float64]) -> Macro:
        """Coarse values of vectors.

        Args:
            X: [vector, unknown].

        Returns:
            [vector, field, *patch axes].
        """
        return X.reshape(len(X), *self.shape)

    def slopes(self, X: NDArray[np.float64], p: ArrayLike | None = None, draw: int = 0) -> Slopes:
        """F of a block of vectors.

        Args:
            X: [vector, unknown].
            p: values of the parameter, one or [vector]; that of the scheme when absent.
            draw: number of the random numbers that are used; nothing if F is not random.

        Returns:
            F with its uncertainty. What cannot be computed is not finite.
        """
        parts = [self._slopes(*one, draw) for one in self._blocks(X, p)]
        return Slopes(
            np.concatenate([one.values for one in parts]),
            np.concatenate([one.parts for one in parts]),
        )

    def flow(
        self,
        X: NDArray[np.float64],
        over: float,
        p: ArrayLike | None = None,
        projection: Projection | None = None,
    ) -> NDArray[np.float64]:
        """The coarse time-stepper Phi_T: states after a time.

        Args:
            X: [vector, unknown].
            over: T, same units as the time of the scheme.
            p: values of the parameter, one or [vector]; that of the scheme when absent.
            projection: method that leaps; `coupled` schemes take micro-steps when it is absent.

        Returns:
            [vector, unknown].
        """
        if not 0 < over < np.inf:
            raise InputError(f"`over` is {over}; give a positive time.")
        if self.noisy:
            raise InputError(
                "the coarse time-stepper of a random micro-simulator is not differentiated. Use "
                "the slopes: leave out `over`."
            )
        return np.concatenate([self._flow(*one, over, projection) for one in self._blocks(X, p)])

    def _blocks(self, X: NDArray[np.float64], p: ArrayLike | None):
        """Vectors and their parameters, cut into batches."""
        if p is not None and self.parameter is None:
            raise InputError("the oracle was made without a parameter, but is given values of one.")
        values = None if p is None else np.broadcast_to(np.asarray(p, dtype=float), len(X))
        for first in range(0, len(X), self.block):
            cut = slice(first, first + self.block)
            self.evaluations += len(X[cut])
            self.batches += 1
            yield X[cut], None if values is None else values[cut]

    def members(self, count: int, p: NDArray[np.float64] | None) -> Any:
        """The scheme with many members.

        Args:
            count: members.
            p: their values of the parameter, [member].
        """
        same = p is None or bool(np.all(p == p[0]))
        row = None if p is None else (float(p[0]),) if same else tuple(map(float, p))
        key = (count, row)
        if key not in self._schemes:
            problem = self.scheme.problem
            members = {} if row is None else {self.parameter: row}
            changed = replace(problem, members=members, replicas=count if same else 1)
            self._schemes[key] = self.scheme.variant(problem=changed)
            if len(self._schemes) > _KEPT:
                self._schemes.popitem(last=False)
        self._schemes.move_to_end(key)
        return self._schemes[key]

    def padded(
        self, X: NDArray[np.float64], p: NDArray[np.float64] | None
    ) -> tuple[Any, NDArray[np.float64]]:
        """A scheme with room for vectors, and the vectors, the last of them repeated."""
        count = min(self.block, 1 << (len(X) - 1).bit_length())
        extra = count - len(X)
        X = np.concatenate([X, np.repeat(X[-1:], extra, axis=0)])
        if p is not None:
            p = np.concatenate([p, np.repeat(p[-1:], extra)])
        return self.members(count, p), X

    def _from_state(self, state: Any) -> NDArray[np.float64]:
        return self.scheme.coarse(state).ravel()

    def _from_coarse(self, U: Macro) -> NDArray[np.float64]:
        return U.reshape(len(U), -1).copy()

    @abstractmethod
    def _slopes(self, X: NDArray[np.float64], p: NDArray[np.float64] | None, draw: int) -> Slopes:
        """F of one batch."""

    @abstractmethod
    def _flow(
        self,
        X: NDArray[np.float64],
        p: NDArray[np.float64] | None,
        over: float,
        projection: Projection | None,
    ) -> NDArray[np.float64]:
        """Phi_T of one batch."""


def exact(values: NDArray[np.float64]) -> Slopes:
    """Slopes without uncertainty."""
    return Slopes(values, np.zeros((*values.shape, 0)))


def sampled(samples: NDArray[np.float64]) -> Slopes:
    """The mean of replicas; parts (F_r - mean) / sqrt(R (R - 1)) give its standard error.

    Args:
        samples: [replica, vector, unknown], two replicas or more.
    """
    count, mean = len(samples), samples.mean(axis=0)
    parts = (samples - mean) / np.sqrt(count * (count - 1))
    return Slopes(mean, np.moveaxis(parts, 0, -1))


def parameter_names(problem: Any) -> tuple[str, ...]:
    """Names of the numbers of a problem that can be varied: parameters or controls."""
    if not hasattr(problem, "rule"):
        return tuple(problem.control_names)
    read = {
        name
        for given in problem.coefficients.values()
        for name in getattr(as_coefficient(given), "parameters", ())
    }
    return (*problem.rule.parameters, *sorted(read - set(problem.rule.parameters)))


def _given(problem: Any) -> Mapping[str, float]:
    return problem.parameters if hasattr(problem, "rule") else problem.controls


def _of_one_member(scheme: Any) -> Any:
    """The scheme with a swept parameter of one value among the others, and without replicas.

    Raises:
        SchemeError: if there are several members.
    """
    problem = scheme.problem
    counts = {name: len(values) for name, values in problem.members.items()}
    for name, count in counts.items():
        if count > 1:
            raise SchemeError(
                f"the scheme has {count} members, by `{name}`. Give a scheme of one member; "
                "`gpupatch.continue_` follows a state through values of a parameter."
            )
    if not counts and problem.replicas == 1:
        return scheme
    fixed = {**_given(problem), **{name: values[0] for name, values in problem.members.items()}}
    where = "parameters" if hasattr(problem, "rule") else "controls"
    return scheme.variant(problem=replace(problem, members={}, replicas=1, **{where: fixed}))


def draws(seed: int, draw: int) -> int:
    """A seed of its own for every draw."""
    word = np.random.SeedSequence([seed, 2 * abs(draw) + (draw < 0)]).generate_state(1, np.uint64)[
        0
    ]
    return int(word >> np.uint64(1))

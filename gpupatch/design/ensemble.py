"""Uncertain parameters: what they make of the coarse fields, from the members of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BarycentricInterpolator
from scipy.special import roots_hermitenorm, roots_legendre
from scipy.stats import qmc

from gpupatch.contract import checked
from gpupatch.errors import InputError, SchemeError, suggestion
from gpupatch.projection import Projection
from gpupatch.scheme import Scheme
from gpupatch.scheme.problem import Initial
from gpupatch.simulation import simulate
from gpupatch.tasks.branch import Functional, functional_of
from gpupatch.tasks.oracle import parameter_names

if TYPE_CHECKING:
    import xarray

Values = NDArray[np.float64]

_MOST_MEMBERS = 4096
_ROUNDING = 1e-12
"""Standard deviation, relative to the largest value, that is rounding."""
_QUANTILE_POINTS = 4096
"""Points of a Sobol' sequence at which the interpolant is read for quantiles."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Coarse fields of uncertain parameters, at the nodes of a quadrature.

    Attributes:
        scheme: with the nodes as its members.
        names: the uncertain parameters.
        distributions: theirs, frozen distributions of `scipy.stats`.
        nodes: values of each parameter, [node] each.
        weights: their probabilities, [node] each.
        times: saved times, [time].
        samples: coarse values at all combinations of nodes, means over replicas,
            [*node of each parameter, time, field, *patch axes].
        variances: of these means, from the replicas, same shape; zero without.
    """

    scheme: Any
    names: tuple[str, ...]
    distributions: tuple[Any, ...]
    nodes: tuple[Values, ...]
    weights: tuple[Values, ...]
    times: Values
    samples: Values
    variances: Values

    @property
    def mean(self) -> Values:
        """Expectation of the coarse values, [time, field, *patch axes]."""
        return self._expected(self.samples)

    @property
    def mean_error(self) -> Values:
        """Standard error of the mean that the noise of the micro-simulator leaves."""
        squares = [one**2 for one in self.weights]
        return np.sqrt(_contracted(self.variances, squares))

    @property
    def std(self) -> Values:
        """Standard deviation that the parameters cause, without that of the noise."""
        return np.sqrt(self._variance(self.samples, self.variances))

    def quantile(self, q: ArrayLike) -> Values:
        """Quantiles of the coarse values, from the polynomial through all nodes.

        Args:
            q: probabilities, any shape.

        Returns:
            [*shape of `q`, time, field, *patch axes].
        """
        sequence = qmc.Sobol(len(self.names), scramble=False)
        points = sequence.random(_QUANTILE_POINTS) + 0.5 / _QUANTILE_POINTS
        values = self._interpolated(self.samples, points)
        return np.quantile(values, np.asarray(q, dtype=float), axis=0)

    def functional(self, functional: str | Functional) -> Values:
        """A functional of the coarse values at every node, [*node of each parameter, time].

        Args:
            functional: "mean u", "max u", "min u", "middle u" of a field u, "norm", or a function
                of coarse values [field, *patch axes].
        """
        drawn, _ = functional_of(self.scheme.names, functional)
        lead = len(self.names) + 1
        flat = self.samples.reshape(-1, *self.samples.shape[lead:])
        return np.array([drawn(one) for one in flat]).reshape(self.samples.shape[:lead])

    def moments(self, functional: str | Functional) -> tuple[Values, Values]:
        """Mean and standard deviation of a functional, [time] each; see `functional`."""
        J = self.functional(functional)
        return self._expected(J), np.sqrt(self._variance(J, np.zeros_like(J)))

    def sensitivities(self, functional: str | Functional | None = None) -> dict[str, Values]:
        """First-order indices S_i = Var(E[J | p_i]) / Var(J) by parameter.

        Their sum falls short of one by what parameters do together.

        Args:
            functional: J, see `functional`; every coarse value by itself when absent.

        Returns:
            By name of the parameter, [time], or [time, field, *patch axes]; NaN where nothing
            varies.

        Source: Sobol' (2001) [Sobol2001].
        """
        J = self.samples if functional is None else self.functional(functional)
        total, mean = self._variance(J, np.zeros_like(J)), self._expected(J)
        varies = total > (_ROUNDING * np.abs(J).max()) ** 2
        found = {}
        for axis, name in enumerate(self.names):
            given = _contracted(np.moveaxis(J, axis, 0), self._without(axis), first=1)
            own = np.tensordot(self.weights[axis], (given - mean) ** 2, 1)
            found[name] = np.divide(own, total, out=np.full_like(own, np.nan), where=varies)
        return found

    def to_xarray(self) -> xarray.Dataset:
        """Mean, standard deviation and sensitivities of every field as a dataset."""
        import xarray as xr

        grid = self.scheme.grid
        axes = ("x", "y", "z")[: grid.ndim]
        dims = ("time", *axes)
        shares = self.sensitivities()
        data: dict[str, Any] = {}
        tables = {"mean": self.mean, "mean_error": self.mean_error, "std": self.std}
        tables |= {f"sensitivity_{name}": one for name, one in shares.items()}
        for f, field in enumerate(self.scheme.names):
            data |= {f"{field}_{what}": (dims, one[:, f]) for what, one in tables.items()}
        coords = {"time": self.times, **dict(zip(axes, grid.centres, strict=True))}
        return xr.Dataset(data, coords, {"task": "ensemble", "parameters": list(self.names)})

    def _without(self, axis: int) -> list[Values]:
        return [one for a, one in enumerate(self.weights) if a != axis]

    def _expected(self, J: Values) -> Values:
        return _contracted(J, self.weights)

    def _variance(self, J: Values, noise: Values) -> Values:
        spread = self._expected((J - self._expected(J)) ** 2 - noise)
        return np.maximum(spread, 0.0)

    def _interpolated(self, J: Values, points: Values) -> Values:
        """The tensor product of Lagrange polynomials at quantiles of the parameters, [point, ...].

        Args:
            J: values at the nodes.
            points: probabilities, [point, parameter].
        """
        rows: list[Values] = []
        for axis, (nodes, one) in enumerate(zip(self.nodes, self.distributions, strict=True)):
            at = one.ppf(points[:, axis])
            rows.append(np.asarray(BarycentricInterpolator(nodes, np.eye(len(nodes)))(at), float))
        total = np.tensordot(rows[0], J, 1)
        for row in rows[1:]:
            total = np.einsum("kn,kn...->k...", row, total)
        return total


def _contracted(J: Values, weights: Sequence[Values], first: int = 0) -> Values:
    """Sums over the axes of nodes that begin at `first`."""
    for one in weights:
        J = np.tensordot(one, np.moveaxis(J, first, 0), 1)
    return J


@checked(InputError)
def ensemble(
    scheme: Scheme,
    initial: Initial,
    end: float,
    parameters: Mapping[str, Any],
    *,
    nodes: int = 6,
    start: float = 0.0,
    save: int | Sequence[float] = 2,
    projection: Projection | None = None,
) -> Ensemble:
    """Run one batch whose members are the nodes of a quadrature over uncertain parameters.

        E[U] = int U(p) rho(p) dp = sum_k w_k U(p_k) + error

    All combinations of the nodes of every parameter are members. A result that is smooth in the
    parameters converges with `nodes` as fast as Gauss's quadrature, far faster than random samples;
    of more than about four parameters the combinations are too many.

    Args:
        scheme: a scheme of one member; replicas of a random one give the error of the mean.
        initial: initial values, as of `simulate`.
        end: last model time.
        parameters: distribution of each parameter, frozen ones of `scipy.stats`, independent.
        nodes: of every parameter. Gauss's of a uniform or normal distribution, those of a uniform
            one mapped by the quantile function for all others.
        start: first model time.
        save: how many equally spaced times are kept, or the times themselves.
        projection: method that leaps.

    Returns:
        The ensemble.

    Raises:
        InputError: if there is no such parameter, no distribution, or the nodes are too many.
        SchemeError: if the scheme has several members.

    Source: Xiu and Hesthaven (2005), section 3.1 [XiuHesthaven2005].
    """
    one: Any = scheme
    problem = one.problem
    if problem.members:
        raise SchemeError(
            f"the scheme sweeps `{next(iter(problem.members))}` already. Give a scheme of one "
            "member, whose members the nodes can be."
        )
    _check(problem, parameters, nodes)
    names = tuple(parameters)
    rules = [_quadrature(parameters[name], nodes) for name in names]
    members = {name: tuple(map(float, rule[0])) for name, rule in zip(names, rules, strict=True)}
    many = one.variant(problem=replace(problem, members=members))
    solution = simulate(many, initial, end, start=start, save=save, projection=projection)
    if solution.failure is not None:
        raise solution.failure
    U = np.stack(solution.coarse)
    lead = len(names)
    shaped = U.reshape(len(U), *(nodes,) * lead, problem.replicas, *U.shape[2:])
    replicas = np.moveaxis(np.moveaxis(shaped, lead + 1, 0), 1, lead + 1)
    variances = (
        replicas.var(axis=0, ddof=1) / problem.replicas
        if problem.replicas > 1
        else np.zeros_like(replicas[0])
    )
    return Ensemble(
        scheme=many,
        names=names,
        distributions=tuple(parameters.values()),
        nodes=tuple(rule[0] for rule in rules),
        weights=tuple(rule[1] for rule in rules),
        times=np.array(solution.times),
        samples=replicas.mean(axis=0),
        variances=variances,
    )


def _check(problem: Any, parameters: Mapping[str, Any], nodes: int) -> None:
    known = parameter_names(problem)
    if not parameters:
        raise InputError("no parameter is uncertain. Give a distribution by name.")
    for name, one in parameters.items():
        if name not in known:
            hint = suggestion(name, known) if known else "It has none."
            raise InputError(f"the micro-simulator has no parameter `{name}`. {hint}")
        if not hasattr(one, "ppf"):
            raise InputError(
                f"the distribution of `{name}` is {one!r}; give a frozen one of `scipy.stats`, "
                "such as `scipy.stats.uniform(1, 2)` for values from 1 to 3."
            )
    if nodes < 1 or nodes ** len(parameters) > _MOST_MEMBERS:
        raise InputError(
            f"{nodes} nodes of {len(parameters)} parameters are {nodes ** len(parameters)} "
            f"members; take 1 to {_MOST_MEMBERS}, by fewer nodes or parameters."
        )


def _quadrature(distribution: Any, nodes: int) -> tuple[Values, Values]:
    """Values of a parameter and their probabilities."""
    if getattr(getattr(distribution, "dist", None), "name", "") == "norm":
        z, w, total = roots_hermitenorm(nodes, mu=True)
        return distribution.mean() + distribution.std() * z, w / total
    z, w, total = roots_legendre(nodes, mu=True)
    return np.asarray(distribution.ppf((1 + z) / 2), dtype=float), w / total

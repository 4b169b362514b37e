"""Steady states of the macroscopic system, stable or not: Newton's method on the slope oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.arrays import Macro
from gpupatch.contract import checked
from gpupatch.errors import InputError, SchemeError
from gpupatch.projection import Projection
from gpupatch.scheme.problem import Initial
from gpupatch.tasks.choose import make_oracle
from gpupatch.tasks.equations import DENSE, Equations, Vectors
from gpupatch.tasks.krylov import solve
from gpupatch.tasks.oracle import BLOCK, Oracle

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

KRYLOV_TOLERANCE = 1e-8
"""Relative residual to which a Krylov space is grown for one step of Newton's method."""

MOST_DIRECTIONS = 400
"""Directions of a Krylov space at which a step is taken with what it has."""

_HALVINGS = 12
"""Times that a step of Newton's method is halved before it is given up."""

_INDISTINCT = 2.0
"""Standard errors within which a measured slope counts as zero, in the root mean square."""

_LONGEST = 0.5
"""Share of the size of a state by which a noisy step may change it."""

_DRAWS = 16
"""Times that a random Jacobian is measured at most."""

_KEPT = 0.5
"""Share of a random residual that a step may leave before its derivative is measured anew."""

_ROUNDING = 1e-8
"""Relative length of a step below which a residual that no longer decreases is rounding."""

CONVERGED, NOISE, STALLED, OUT_OF_STEPS = "converged", "noise", "stalled", "iterations"

REASONS = {
    CONVERGED: "the residual is below the tolerance",
    NOISE: "the slope cannot be told from noise any more; one more step was taken",
    STALLED: "no step along Newton's direction makes the residual smaller",
    OUT_OF_STEPS: "the iterations are used up",
}
"""Why a search ends."""


@dataclass(frozen=True, eq=False)
class SteadyState:
    """A state at which nothing changes on the large scale.

    Attributes:
        oracle: what was asked for slopes.
        vector: the unknowns, [unknown].
        parameter: value of the varied parameter, or None.
        residual: largest |F|, in units of U per time.
        iterations: steps of Newton's method.
        evaluations: states whose slopes were asked for.
        batches: batches that they went in.
        reason: why the search ended, a key of `REASONS`.
        history: largest |F| before every step and at the end.
        parts: error of the unknowns by sources, [unknown, source], see `Slopes`.
    """

    oracle: Oracle
    vector: Vectors
    parameter: float | None
    residual: float
    iterations: int
    evaluations: int
    batches: int
    reason: str
    history: tuple[float, ...]
    parts: NDArray[np.float64]

    @property
    def converged(self) -> bool:
        """Whether it is a steady state, as far as can be told."""
        return self.reason in (CONVERGED, NOISE)

    @property
    def why(self) -> str:
        """Why the search ended, in words."""
        return REASONS[self.reason]

    @property
    def coarse(self) -> Macro:
        """Coarse values, [field, *patch axes]."""
        return self.oracle.coarse(self.vector[None])[0]

    @property
    def error(self) -> Macro | None:
        """Standard errors of the coarse values, same shape; None where nothing is random."""
        if not self.oracle.noisy:
            return None
        return self.oracle.coarse(np.sqrt((self.parts**2).sum(axis=1))[None])[0]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Coarse values of one field, [*patch axes]."""
        return self.coarse[self.oracle.names.index(name)]

    def to_xarray(self) -> xarray.Dataset:
        """The state as a dataset, identical to the file that the command writes."""
        from gpupatch.tasks.datasets import steady_dataset

        return steady_dataset(self)

    def plot(self) -> Figure:
        """A figure of the state, and how the search came to it."""
        return self.figure(self.to_xarray())

    @staticmethod
    def figure(ds: xarray.Dataset) -> Figure:
        """The same from the dataset of a state."""
        from gpupatch.plot.bifurcation import steady_figure

        return steady_figure(ds)

    def record(self) -> dict[str, Any]:
        """As it goes into a report."""
        return {
            "converged": self.converged,
            "reason": self.why,
            "residual": self.residual,
            "residuals": list(self.history),
            "iterations": self.iterations,
            "unknowns": self.oracle.n,
            "unknown": self.oracle.unknown,
            "evaluations": self.evaluations,
            "batches": self.batches,
            **({} if self.parameter is None else {str(self.oracle.parameter): self.parameter}),
        }


@checked(InputError)
def steady(
    scheme: Any,
    U0: Initial | ArrayLike,
    *,
    parameter: str | None = None,
    value: float | None = None,
    tolerance: float = 1e-9,
    iterations: int = 30,
    coarse: bool = False,
    over: float | None = None,
    projection: Projection | None = None,
    difference: float | None = None,
    block: int = BLOCK,
    t: float = 0.0,
) -> SteadyState:
    """Find a state at which the slope vanishes, F(U) = 0, whether it is stable or not.

    Newton's method, U <- U - F'(U)^-1 F(U), with steps halved until |F| decreases. Up to `DENSE`
    unknowns the Jacobian is assembled from differences along all of them; for more, the step is
    found in a Krylov space that grows by blocks of directions. Either way directions run as members
    of one batch, `block` at a time. Where a total is conserved, it stays as it is in `U0`.

    Random slopes are averaged over replicas. Differences meet the same random numbers on both
    sides, and are kept while residuals fall by half. The slope itself is measured with new ones in
    every iteration, four times as long whenever it cannot be told from noise, until it has taken
    as many bursts as the differences. A last step then takes the noise of the last measurement,
    sigma, to the error bar F'^-1 sigma.

    Args:
        scheme: a `coupled`, `burst` or `flux` scheme of one member.
        U0: where the search begins: functions of position or numbers by field, coarse values
            [field, *patch axes], or a vector of unknowns.
        parameter: name of a parameter to be given another `value`.
        value: of that parameter; as in the scheme when absent.
        tolerance: largest |F| that is accepted, relative to the size of U per unit of time.
        iterations: most steps of Newton's method.
        coarse: let coarse values be the unknowns of coupled patches, too (see `make_oracle`).
        over: time T of the coarse time-stepper whose fixed point is found instead; with it, large
            `coupled` problems need few directions.
        projection: method that leaps over T; micro-steps when absent.
        difference: relative difference step; from precision or noise when absent.
        block: most states in one batch.
        t: time at which rules and boundary values are read.

    Returns:
        The state. Whether the search succeeded is in `converged` and `why`.

    Raises:
        InputError: if `U0` has another shape, there is no such parameter, or the slope is not
            finite at `U0`.
        SchemeError: if the scheme offers no slopes, or random slopes without replicas.

    Source: Kevrekidis et al. (2003), section 5; Knoll and Keyes (2004) for Newton-Krylov methods
    [Kevrekidis2003, KnollKeyes2004].
    """
    oracle = make_oracle(scheme, parameter, coarse=coarse, t=t, block=block)
    if iterations < 1 or not tolerance > 0:
        raise InputError(
            f"`iterations` is {iterations} and `tolerance` {tolerance}; both must be positive."
        )
    p = None if parameter is None else oracle.value if value is None else float(value)
    equations = Equations(oracle, over, projection, difference)
    return find_steady(equations, oracle.vector(U0), p, tolerance, iterations)


def find_steady(
    equations: Equations, x: Vectors, p: float | None, tolerance: float, iterations: int
) -> SteadyState:
    """Newton's method from a vector of unknowns, see `steady`.

    Args:
        equations: what is to vanish.
        x: where the search begins, [unknown].
        p: value of the parameter.
        tolerance: largest residual accepted, relative to the size of U per unit of time.
        iterations: most steps.
    """
    oracle = equations.oracle
    if oracle.noisy and oracle.n > DENSE:
        raise SchemeError(
            f"{oracle.n} unknowns with random slopes: differences along more than {DENSE} "
            "directions are not measured. Use fewer cells."
        )
    search = _noisy_search if oracle.noisy else _search
    began = oracle.evaluations, oracle.batches
    x, parts, residuals, reason = search(equations, x, p, tolerance, iterations)
    return SteadyState(
        oracle=oracle,
        vector=x,
        parameter=p,
        residual=residuals[-1],
        iterations=len(residuals) - 1,
        evaluations=oracle.evaluations - began[0],
        batches=oracle.batches - began[1],
        reason=reason,
        history=tuple(residuals),
        parts=parts,
    )


def first_slope(equations: Equations, x: Vectors, p: float | None) -> Vectors:
    """The residual where a search begins.

    Raises:
        InputError: if it is not finite.
    """
    F = equations(x[None], p).values[0]
    if not np.isfinite(F).all():
        raise InputError(
            "the slope is not finite at the state where the search begins. Begin elsewhere, use a "
            "smaller micro time step, or check the rule and its parameters."
        )
    return F


def _search(equations, x, p, tolerance, iterations):
    F, residuals = first_slope(equations, x, p), []
    accepted = tolerance * max(1.0, float(np.abs(x).max()))
    reason = CONVERGED
    while True:
        residuals.append(float(np.abs(F).max()))
        if residuals[-1] <= accepted:
            break
        if len(residuals) > iterations:
            reason = OUT_OF_STEPS
            break
        step = newton_step(equations, x, p, F)
        found = shortened(equations, x, p, F, step)
        if found is None:
            rounding = np.abs(step).max() <= _ROUNDING * max(1.0, float(np.abs(x).max()))
            reason = CONVERGED if rounding else STALLED
            break
        x, F = found
    return x, np.zeros((len(x), 0)), residuals, reason


def newton_step(equations: Equations, x: Vectors, p: float | None, F: Vectors) -> Vectors:
    """-F'(U)^-1 F(U), from all directions or from a Krylov space."""
    if len(x) <= DENSE:
        J = equations.jacobian(x, p)
        return -keeping_totals(J, equations.oracle, [F])[0]
    step, _ = solve(
        lambda V: equations.derivative(x, V, p).values,
        -F,
        KRYLOV_TOLERANCE,
        equations.oracle.block // 2 or 1,
        MOST_DIRECTIONS,
    )
    return step


def keeping_totals(
    J: NDArray[np.float64], oracle: Oracle, right: Sequence[Vectors]
) -> list[Vectors]:
    """Solve J x = b for several b, with sum(x) = 0 over every field whose total is conserved.

    It is where neither the first b nor any column of J has a total.

    Args:
        J: Jacobian, [unknown, unknown].
        oracle: for the fields of the unknowns.
        right: b, each [unknown]; the first is a slope.

    Returns:
        x, by least squares where J is singular.
    """
    rows = np.stack([oracle.fields == f for f in range(len(oracle.names))]).astype(float)
    size = np.abs(J).max()
    kept = np.abs(rows @ right[0]) <= 1e-7 * (rows @ np.abs(right[0]))
    kept &= np.abs(rows @ J).max(axis=1) <= 1e-7 * size * np.sqrt(len(J))
    conserved = rows[kept]
    matrix = np.concatenate([J, size * conserved])
    b = np.stack([np.concatenate([one, np.zeros(len(conserved))]) for one in right], axis=1)
    return list(np.linalg.lstsq(matrix, b, rcond=1e-10)[0].T)


def shortened(
    equations: Equations, x: Vectors, p: float | None, F: Vectors, step: Vectors
) -> tuple[Vectors, Vectors] | None:
    """The state after a step, halved until |F| has decreased, and F there; None if it never does.

    Several lengths are tried at once, as members of one batch.
    """
    size = np.linalg.norm(F)
    for lengths in (2.0 ** -np.arange(3), 2.0 ** -np.arange(3, _HALVINGS)):
        tried = x + lengths[:, None] * step
        values = equations(tried, p).values
        sizes = np.linalg.norm(values, axis=1)
        better = np.isfinite(sizes) & (sizes < (1 - 1e-4 * lengths) * size)
        if better.any():
            best = int(np.argmax(better))
            return tried[best], values[best]
    return None


def _noisy_search(equations, x, p, tolerance, iterations):
    """Newton's method with a derivative that is kept while residuals fall by half.

    A slope that cannot be told from noise is measured four times as long, until it has taken as
    many bursts as the derivative.
    """
    residuals: list[float] = []
    first_slope(equations, x, p)
    J, draws = equations.averaged_jacobian(x, p, range(_DRAWS))
    most, taken, measured, last = 2 * len(x) * draws, 1, 1, np.inf
    while True:
        found = equations.averaged(x, p, range(-taken - measured, -taken))
        F, error = found.values[0], found.error[0]
        taken += measured
        residuals.append(float(np.abs(F).max()))
        size, noise = np.sqrt(np.mean(F**2)), _INDISTINCT * np.sqrt(np.mean(error**2))
        if size <= noise and measured < most:
            measured, last = min(4 * measured, most), np.inf
            residuals.pop()
            continue
        done = size <= noise or len(residuals) > iterations
        if not done and size > _KEPT * last:
            later = _DRAWS * len(residuals)
            J, draws = equations.averaged_jacobian(x, p, range(later, later + _DRAWS))
            most = max(most, 2 * len(x) * draws)
        last = size
        step, *parts = keeping_totals(J, equations.oracle, [-F, *(-found.parts[0].T)])
        if not np.isfinite(step).all():
            raise InputError(
                "the slope stopped being finite during the search. Begin nearer to the steady "
                "state, or use a smaller micro time step."
            )
        reach = float(np.abs(step / equations.scale(x)).max())
        x = x + min(1.0, _LONGEST / max(reach, 1e-300)) * step
        if done:
            reason = NOISE if size <= noise else OUT_OF_STEPS
            return x, np.stack(parts, axis=1), residuals, reason

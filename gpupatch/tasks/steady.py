"""Steady states of the macroscopic system, stable or not: Newton's method on the slope oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpupatch.contract import checked
from gpupatch.errors import InputError, SchemeError
from gpupatch.projection import Projection
from gpupatch.scheme.problem import Initial
from gpupatch.tasks.choose import make_oracle
from gpupatch.tasks.equations import DENSE, Equations, Vectors
from gpupatch.tasks.newton import check_search, noisy_search, searches
from gpupatch.tasks.oracle import BLOCK
from gpupatch.tasks.steady_state import SteadyState


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
        InputError: if `U0` has another shape, there is no such parameter, the tolerance or the
            iterations are not positive, or the slope is not finite at `U0`.
        SchemeError: if the scheme offers no slopes, or random slopes without replicas.

    Source: Kevrekidis et al. (2003), section 5; Knoll and Keyes (2004) for Newton-Krylov methods
    [Kevrekidis2003, KnollKeyes2004].
    """
    check_search(tolerance, iterations)
    oracle, p = make_oracle(scheme, parameter, coarse=coarse, t=t, block=block), None
    equations = Equations(oracle, over, projection, difference)
    if parameter is not None:
        p = np.array([oracle.value if value is None else value], dtype=float)
    return find_steady(equations, oracle.vector(U0)[None], p, tolerance, iterations)[0]


@checked(InputError)
def steady_states(
    scheme: Any,
    U0: Initial | ArrayLike,
    parameter: str,
    values: Sequence[float],
    *,
    tolerance: float = 1e-9,
    iterations: int = 30,
    coarse: bool = False,
    over: float | None = None,
    projection: Projection | None = None,
    difference: float | None = None,
    block: int = BLOCK,
    t: float = 0.0,
) -> list[SteadyState]:
    """Find the steady states at several values of a parameter, all at once: F(U_k; p_k) = 0.

    Every value has a search of its own, as that of `steady`, from the same beginning; the searches
    go in step, and the states that all of them ask for are members of one batch. On a device this
    costs little more than one search. Searches with random slopes, which fill batches by
    themselves, follow each other. To follow one state through a fold, use `continue_`.

    Args:
        scheme: a `coupled`, `burst` or `flux` scheme of one member.
        U0: where all searches begin, as of `steady`.
        parameter: name of the parameter.
        values: its values p_k.
        tolerance: largest |F| that is accepted, relative to the size of U per unit of time.
        iterations: most steps of Newton's method.
        coarse: as of `steady`, and so are the others.
        over: time of the coarse time-stepper whose fixed points are found instead.
        projection: method that leaps over that time.
        difference: relative difference step; from precision or noise when absent.
        block: most states in one batch.
        t: time at which rules and boundary values are read.

    Returns:
        One state for each value, in order. Each counts the evaluations and batches of all.

    Raises:
        InputError: if there is no value, `U0` has another shape, there is no such parameter, or a
            slope is not finite at `U0`.
        SchemeError: if the scheme offers no slopes, or random slopes without replicas.

    Source: as of `steady`.
    """
    if not len(values):
        raise InputError("`values` is empty; give the values of the parameter.")
    check_search(tolerance, iterations)
    oracle = make_oracle(scheme, parameter, coarse=coarse, t=t, block=block)
    equations = Equations(oracle, over, projection, difference)
    X = np.repeat(oracle.vector(U0)[None], len(values), axis=0)
    return find_steady(equations, X, np.array(values, dtype=float), tolerance, iterations)


def find_steady(
    equations: Equations, X: Vectors, p: Vectors | None, tolerance: float, iterations: int
) -> list[SteadyState]:
    """Newton's method from several vectors of unknowns, see `steady_states`.

    Args:
        equations: what is to vanish.
        X: where the searches begin, [search, unknown].
        p: values of the parameter, [search].
        tolerance: largest residual accepted, relative to the size of U per unit of time.
        iterations: most steps.
    """
    oracle = equations.oracle
    if oracle.noisy and oracle.n > DENSE:
        raise SchemeError(
            f"{oracle.n} unknowns with random slopes: differences along more than {DENSE} "
            "directions are not measured. Use fewer cells."
        )
    began = oracle.evaluations, oracle.batches
    values = [None] * len(X) if p is None else p.tolist()
    if oracle.noisy:
        found = [
            noisy_search(equations, x, one, tolerance, iterations)
            for x, one in zip(X, values, strict=True)
        ]
    else:
        found = searches(equations, X, p, tolerance, iterations)
    return [
        SteadyState(
            oracle=oracle,
            vector=x,
            parameter=one,
            residual=residuals[-1],
            iterations=len(residuals) - 1,
            evaluations=oracle.evaluations - began[0],
            batches=oracle.batches - began[1],
            reason=reason,
            history=tuple(residuals),
            parts=parts,
        )
        for one, (x, parts, residuals, reason) in zip(values, found, strict=True)
    ]

"""Evaluate traced expressions on shifted slices with NumPy."""

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import sympy as sp

from gpupatch.micro.trace import Access

if TYPE_CHECKING:
    from gpupatch.micro.rule import Rule, Window


def evaluate_expressions(
    rule: "Rule", expressions: Iterable[sp.Expr], accesses, u, environment, window: "Window"
) -> list[np.ndarray]:
    """Values of expressions at a window of sites.

    Args:
        rule: the rule whose fields and coefficients the expressions read.
        expressions: SymPy expressions in `Access.symbol`s, parameters and reserved arguments.
        accesses: every `Access` that may appear.
        u: state, [patch, field, *sites].
        environment: values by name, as `MicroModel.environment` gives them.
        window: slices of the sites.

    Returns:
        One array per expression, each broadcastable to [patch, *window].
    """
    from gpupatch.micro.rule import ShiftedSlices

    known: dict[sp.Basic, Access] = {access.symbol: access for access in accesses}

    def value(symbol):
        access = known.get(symbol)
        if access is None:
            return environment[symbol.name]
        if access.kind == "field":
            arrays = {-1: u[:, rule.fields.index(access.name)]}
        else:
            arrays = environment[access.name]
            arrays = arrays if isinstance(arrays, dict) else {-1: arrays}
        offset = tuple(o + 0.5 * (a == access.face) for a, o in enumerate(access.offset))
        return ShiftedSlices(arrays, window)[offset]

    values = []
    for expression in expressions:
        symbols, function = _compiled(expression)
        values.append(np.asarray(function(*(value(symbol) for symbol in symbols)), dtype=float))
    return values


@functools.lru_cache(maxsize=512)
def _compiled(expression: sp.Expr) -> tuple[list[sp.Basic], Callable]:
    symbols = sorted(expression.free_symbols, key=str)
    return symbols, sp.lambdify(symbols, expression, "numpy", cse=True)

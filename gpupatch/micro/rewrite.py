"""Algebra that makes any rate cheaper to evaluate: gather what multiplies the same parameter.

A rate such as D ((u1 - 2 u0 + u2)/dx^2 + ...) is rewritten as a sum of terms

    sum_k  q_k (sum of products of fields)  +  sum_k  s_k (products of fields)

with q_k made of parameters only and s_k also of coefficients and coordinates, so that each q_k and
s_k can be computed in advance. Products of sums of fields stay factored.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

import sympy as sp

PARAMETER, PLACE, TIME, STATE = "parameter", "place", "time", "state"

Levels = Callable[[sp.Basic], frozenset[str]]


def collect(expr: sp.Basic, levels: Levels) -> sp.Basic:
    """Rewrite an expression so that parameters multiply as few terms as possible.

    Args:
        expr: any expression or condition.
        levels: what an expression depends on, out of `PARAMETER`, `PLACE`, `TIME`, `STATE`.

    Returns:
        An equal expression.
    """
    if STATE not in levels(expr) or expr.is_Atom:
        return expr
    if not (expr.is_Add or expr.is_Mul):
        return expr.func(*(collect(argument, levels) for argument in expr.args))
    total: list[sp.Expr] = []
    groups: dict[sp.Expr, list[tuple[sp.Expr, sp.Expr]]] = defaultdict(list)
    for scalar, rest in _terms(expr, sp.S.One, levels):
        number, scalar = scalar.as_coeff_Mul()
        if all(STATE in levels(factor) for factor in sp.Mul.make_args(rest)):
            groups[scalar].append((number, rest))
        else:
            total.append(number * scalar * rest)
    for scalar, terms in groups.items():
        unit = min((abs(number) for number, _ in terms), key=float)
        total.append(unit * scalar * sp.Add(*(number / unit * rest for number, rest in terms)))
    return sp.Add(*total)


def _terms(expr, scalar, levels: Levels) -> Iterator[tuple[sp.Expr, sp.Expr]]:
    """Pairs (factor made of parameters, rest) whose products add up to scalar * expr."""
    if expr.is_Add:
        for term in expr.args:
            yield from _terms(term, scalar, levels)
        return
    factors = sp.Mul.make_args(expr)
    scalar = sp.Mul(scalar, *(f for f in factors if levels(f) <= {PARAMETER}))
    rest = [f for f in factors if not levels(f) <= {PARAMETER}]
    sums = [f for f in rest if f.is_Add and STATE in levels(f)]
    if len(sums) == 1:
        others = [f for f in rest if f is not sums[0]]
        inner = list(_terms(sums[0], sp.S.One, levels))
        premultiplied = all(_is_static(f, levels) for f in others) and all(
            any(_is_static(f, levels) for f in sp.Mul.make_args(term)) for _, term in inner
        )
        if not others or premultiplied:
            for factor, term in inner:
                yield scalar * factor, sp.Mul(*others, term)
            return
    yield scalar, sp.Mul(*(collect(f, levels) for f in rest))  # type: ignore[arg-type]


def _is_static(expr, levels: Levels) -> bool:
    return PLACE in levels(expr) and levels(expr) <= {PARAMETER, PLACE}

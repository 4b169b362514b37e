"""The perturbation form of an expression, which float32 can evaluate without cancellation.

With u = b + v, b frozen in float64 and v small, the rate is f(b) + D[f] where

    D[f] = f(b + v) - f(b)

is expanded by the rules of finite differences until every term carries a factor v:

    D[f + g] = D[f] + D[g]              D[f g] = D[f] (g + D[g]) + f D[g]
    D[1/f] = -D[f] / (f (f + D[f]))     D[sqrt f] = D[f] / (sqrt(f + D[f]) + sqrt f)
    D[exp f] = exp(f) expm1(D[f])       D[log f] = log1p(D[f] / f)
    D[sin f] = 2 cos(f + D[f]/2) sin(D[f]/2), and so on.

In float32 with u = 300 and a curvature of one, the direct form loses the whole time derivative.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from gpupatch.errors import RuleError
from gpupatch.micro.printers import expm1, log1p
from gpupatch.micro.rule import Rule
from gpupatch.micro.trace import Access, location


def base_symbol(access: Access) -> sp.Symbol:
    """The symbol of the frozen part b of a field value."""
    return sp.Symbol(f"b{access.symbol.name[1:]}", real=True)


@dataclass(frozen=True)
class Perturbed:
    """D of the rates of a rule; the symbols of field values stand for v.

    Attributes:
        rates: one expression per field.
        definitions: (symbol, expression) of what the rates share, in order.
        read: what is read of the frozen part b, by symbol.
    """

    rates: tuple[sp.Expr, ...]
    definitions: tuple[tuple[sp.Symbol, sp.Expr], ...]
    read: dict[sp.Symbol, Access]


def perturbed(rule: Rule) -> Perturbed:
    """The perturbation form of a rule.

    Args:
        rule: the micro-rule.

    Returns:
        D of its rates.

    Raises:
        RuleError: if a rate contains a function that cannot be expanded, such as a condition on a
            field; the function and the rule are named.
    """
    read = [access for access in rule.accesses if access.kind == "field"]
    bases = {access.symbol: base_symbol(access) for access in read}
    difference = Difference(bases)
    try:
        rates = tuple(difference.of(rate)[1] for rate in rule.rates)
    except RuleError as error:
        raise RuleError(
            f"rule `{rule.name}` has no float32 form: {error} Run it with dtype = "
            f'"float64".{location(rule.function)}'
        ) from None
    definitions = tuple((symbol, e) for e, symbol in difference.definitions.items())
    return Perturbed(rates, definitions, {bases[access.symbol]: access for access in read})


class Difference:
    """Pairs (f(b), D[f]), built from the leaves upwards.

    Whatever enters a product or a function more than once is given a name, so that the result
    stays as short as f itself.

    Args:
        bases: symbol of the frozen part b of every field value, by its symbol; the latter stands
            for v in results.

    Attributes:
        definitions: the named expressions, in order.
    """

    def __init__(self, bases: Mapping[sp.Symbol, sp.Symbol]):
        self.bases = bases
        self.definitions: dict[sp.Expr, sp.Symbol] = {}

    def of(self, f: Any) -> tuple[Any, Any]:
        """f(b) and D[f], in which every term vanishes with v.

        Args:
            f: an expression in symbols of field values and of things that do not change.

        Raises:
            RuleError: if f contains a function that cannot be expanded.
        """
        if not f.free_symbols & self.bases.keys():
            return f, sp.S.Zero
        if f.is_Symbol:
            return self.bases[f], f
        expand = getattr(self, f"_{f.func.__name__}", None)
        if expand is None:
            raise RuleError(
                f"`{f.func.__name__}` of a field cannot be expanded about a frozen state: `{f}`."
            )
        return f.xreplace(dict(self.bases)), expand(f)

    def _parts(self, f) -> tuple[Any, Any]:
        g, dg = self.of(f)
        return self._named(g), self._named(dg)

    def _named(self, expression):
        if expression.is_Atom or not expression.free_symbols:
            return expression
        if expression not in self.definitions:
            self.definitions[expression] = sp.Symbol(f"_d{len(self.definitions)}", real=True)
        return self.definitions[expression]

    def _Add(self, f):
        return sp.Add(*(self.of(term)[1] for term in f.args))

    def _Mul(self, f):
        still, moving = f.as_independent(*self.bases, as_Add=False)
        factors = sp.Mul.make_args(moving)
        if len(factors) == 1:
            return still * self.of(factors[0])[1]
        frozen, change = sp.S.One, sp.S.Zero
        for factor in factors:
            g, dg = self._parts(factor)
            change = change * (g + dg) + frozen * dg
            frozen = frozen * g
        return still * change

    def _Pow(self, f):
        base, exponent = f.as_base_exp()
        if exponent.free_symbols & self.bases.keys() or not _is_half_integer(exponent):
            return self._exp(sp.exp(exponent * sp.log(base), evaluate=False))
        if exponent < 0:
            inverse = sp.Pow(base, -exponent)
            g, dg = self._parts(inverse)
            return -dg / (g * (g + dg))
        whole, half = divmod(int(2 * exponent), 2)
        if whole and half:
            return self._Mul(sp.Mul(base**whole, sp.sqrt(base), evaluate=False))
        g, dg = self._parts(base)
        if half:
            return dg / (sp.sqrt(g + dg) + sp.sqrt(g))
        return dg * sp.Add(*((g + dg) ** k * g ** (whole - 1 - k) for k in range(whole)))

    def _Piecewise(self, f):
        if any(condition.free_symbols & self.bases.keys() for _, condition in f.args):
            raise RuleError(f"it chooses by a condition on a field, `{f}`.")
        return sp.Piecewise(*((self.of(value)[1], condition) for value, condition in f.args))

    def _exp(self, f):
        g, dg = self._parts(f.args[0])
        return sp.exp(g) * expm1(dg)

    def _log(self, f):
        g, dg = self._parts(f.args[0])
        return log1p(dg / g)

    def _sin(self, f):
        g, dg = self._parts(f.args[0])
        return 2 * sp.cos(g + dg / 2) * sp.sin(dg / 2)

    def _cos(self, f):
        g, dg = self._parts(f.args[0])
        return -2 * sp.sin(g + dg / 2) * sp.sin(dg / 2)

    def _tan(self, f):
        g, dg = self._parts(f.args[0])
        return sp.sin(dg) / (sp.cos(g) * sp.cos(g + dg))

    def _sinh(self, f):
        g, dg = self._parts(f.args[0])
        return 2 * sp.cosh(g + dg / 2) * sp.sinh(dg / 2)

    def _cosh(self, f):
        g, dg = self._parts(f.args[0])
        return 2 * sp.sinh(g + dg / 2) * sp.sinh(dg / 2)

    def _tanh(self, f):
        g, dg = self._parts(f.args[0])
        return sp.tanh(dg) * (1 - sp.tanh(g) * sp.tanh(g + dg))


def _is_half_integer(exponent) -> bool:
    return bool(exponent.is_number) and float(2 * exponent).is_integer()

"""Expressions in the language of Lepton, which both LAMMPS and OpenMM read."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from gpupatch.errors import RuleError
from gpupatch.micro.printers import ScalarPrinter
from gpupatch.micro.trace import scalar_symbol


class LeptonPrinter(ScalarPrinter):
    """Source of an expression for Lepton, where a condition is a number, 1 or 0."""

    prefix = ""

    def number(self, value: float) -> str:
        """A constant, with all its digits."""
        return repr(value) if value >= 0 else f"({value!r})"

    def choose(self, condition: str, if_true: str, if_false: str) -> str:
        """One of two values."""
        return f"select({condition}, {if_true}, {if_false})"

    def extremum(self, sign: str, a: str, b: str) -> str:
        """The larger or smaller of two values."""
        return f"{'max' if sign == '>' else 'min'}({a}, {b})"

    def join(self, word: str, parts: list[str]) -> str:
        """Conditions joined by "and" or "or"."""
        return f"({'*'.join(parts)})" if word == "and" else f"step({' + '.join(parts)} - 0.5)"

    def power(self, base: str, exponent: str) -> str:
        """A power that is no product of factors and roots."""
        return f"(({base})^({exponent}))"

    def _sign(self, expr) -> str:
        x = self(expr.args[0])
        return f"(step({x}) - step(-({x})))"

    def _relation(self, expr) -> str:
        a, b = self(expr.lhs), self(expr.rhs)
        return {
            sp.StrictLessThan: f"(1 - step({a} - {b}))",
            sp.LessThan: f"step({b} - {a})",
            sp.StrictGreaterThan: f"(1 - step({b} - {a}))",
            sp.GreaterThan: f"step({a} - {b})",
            sp.Equality: f"delta({a} - {b})",
            sp.Unequality: f"(1 - delta({a} - {b}))",
        }[type(expr)]

    def _Not(self, expr) -> str:
        return f"(1 - {self(expr.args[0])})"

    def _BooleanTrue(self, expr) -> str:
        return "1"

    def _BooleanFalse(self, expr) -> str:
        return "0"


def lepton(expression: sp.Basic, parameters: Mapping[str, float]) -> str:
    """An expression with numbers in the place of its parameters.

    Args:
        expression: traced, in real symbols.
        parameters: numbers by name; other symbols stay.

    Returns:
        Its text.

    Raises:
        RuleError: if there is a function that Lepton lacks, or a name that is none.
    """
    numbers = {scalar_symbol(name): sp.Float(v, 17) for name, v in parameters.items()}
    known = expression.xreplace(numbers)
    names = sorted(str(one) for one in known.free_symbols)
    strange = [name for name in names if not (name.isascii() and name.isidentifier())]
    if strange:
        raise RuleError(
            f"{strange[0]!r} cannot be the name of a variable in LAMMPS or OpenMM. Use letters, "
            "digits and underscores."
        )
    return LeptonPrinter()(known)

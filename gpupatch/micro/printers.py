"""Expressions as source: scalar code with typed constants for Numba or CUDA, or NumPy code."""

from collections.abc import Callable

import sympy as sp
from sympy.core.sorting import default_sort_key

from gpupatch.errors import RuleError

_PRODUCT_POWERS = 8
_RELATIONS = {
    sp.StrictLessThan: "<",
    sp.LessThan: "<=",
    sp.StrictGreaterThan: ">",
    sp.GreaterThan: ">=",
    sp.Equality: "==",
    sp.Unequality: "!=",
}
_FUNCTIONS = (
    *("exp", "log", "sin", "cos", "tan", "acos", "sinh", "cosh", "tanh"),
    *("expm1", "log1p"),
)


class expm1(sp.Function):
    """exp(x) - 1 without cancellation; kept unevaluated for the printers."""

    nargs = 1

    def _eval_is_real(self):
        return True


class log1p(sp.Function):
    """log(1 + x) without cancellation; kept unevaluated for the printers."""

    nargs = 1

    def _eval_is_real(self):
        return True


class ScalarPrinter:
    """Source of an expression on scalars, for Numba.

    Every constant is written as a call of its type: an untyped literal would silently turn float32
    arithmetic into float64. Terms and factors are sorted, so that equal expressions give equal
    text in every process.

    Args:
        precision: name of the type in the source.
    """

    prefix = "math."

    def __init__(self, precision: str = "T"):
        self.precision = precision

    def __call__(self, expr: sp.Basic) -> str:
        """The source of one expression, with parentheses around sums."""
        if isinstance(expr, sp.Symbol):
            return expr.name
        if isinstance(expr, sp.Expr) and expr.is_number:
            return self.number(float(expr))
        return self._printer(expr)(expr)

    def number(self, value: float) -> str:
        """A constant in the working precision."""
        text = f"{self.precision}({abs(value)!r})"
        return f"(-{text})" if value < 0 else text

    def choose(self, condition: str, if_true: str, if_false: str) -> str:
        """One of two values."""
        return f"({if_true} if {condition} else {if_false})"

    def extremum(self, sign: str, a: str, b: str) -> str:
        """The larger (sign ">") or smaller of two values; undefined if one of them is."""
        return f"({a} if ({a} {sign} {b} or {a} != {a}) else {b})"

    def join(self, word: str, parts: list[str]) -> str:
        """Conditions joined by "and" or "or"."""
        return "(" + f" {word} ".join(parts) + ")"

    def power(self, base: str, exponent: str) -> str:
        """A power that is no product of factors and roots."""
        return f"({base}**{exponent})"

    def _printer(self, expr) -> Callable[[sp.Basic], str]:
        if type(expr) in _RELATIONS:
            return self._relation
        if type(expr).__name__ in _FUNCTIONS:
            return self._function
        printer = getattr(self, f"_{type(expr).__name__}", None)
        if printer is None:
            raise RuleError(f"`{expr.func.__name__}` has no compiled form: rewrite `{expr}`.")
        return printer

    def _Add(self, expr) -> str:
        text = ""
        for term in sorted(expr.args, key=_positive_first):
            sign, size = _split_sign(term)
            printed = self(size)
            text += f" {sign} {printed}" if text else printed if sign == "+" else f"-{printed}"
        return f"({text})"

    def _Mul(self, expr) -> str:
        sign, expr = _split_sign(expr)
        if not expr.is_Mul:
            return f"(-{self(expr)})" if sign == "-" else self(expr)
        above, below = [], []
        for factor in sorted(expr.args, key=default_sort_key):
            base, exponent = factor.as_base_exp()  # type: ignore[attr-defined]
            if factor.is_Pow and exponent.is_number and exponent < 0:
                below.append(sp.Pow(base, -exponent))
            else:
                above.append(factor)
        text = "*".join(self(factor) for factor in above) or self.number(1.0)
        if below:
            denominator = "*".join(self(factor) for factor in below)
            text = f"{text}/({denominator})" if len(below) > 1 else f"{text}/{denominator}"
        return f"(-{text})" if sign == "-" else f"({text})"

    def _Pow(self, expr) -> str:
        base, exponent = expr.as_base_exp()
        if exponent.is_number and exponent < 0:
            return f"({self.number(1.0)}/{self(sp.Pow(base, -exponent))})"
        if exponent.is_number and float(2 * exponent).is_integer():
            whole, half = divmod(int(2 * exponent), 2)
            if whole <= _PRODUCT_POWERS:
                printed = self(base)
                roots = [f"{self.prefix}sqrt({printed})"] if half else []
                return "(" + "*".join([printed] * whole + roots) + ")"
        return self.power(self(base), self(exponent))

    def _function(self, expr) -> str:
        arguments = ", ".join(self(argument) for argument in expr.args)
        return f"{self.prefix}{type(expr).__name__}({arguments})"

    def _Abs(self, expr) -> str:
        return f"abs({self(expr.args[0])})"

    def _sign(self, expr) -> str:
        x, zero, one = self(expr.args[0]), self.number(0.0), self.number(1.0)
        return f"({one} if {x} > {zero} else (-{one} if {x} < {zero} else {x}))"

    def _Max(self, expr) -> str:
        return self._fold(">", expr)

    def _Min(self, expr) -> str:
        return self._fold("<", expr)

    def _fold(self, sign: str, expr) -> str:
        first, *rest = (self(argument) for argument in sorted(expr.args, key=default_sort_key))
        for other in rest:
            first = self.extremum(sign, first, other)
        return first

    def _Piecewise(self, expr) -> str:
        *cases, (last, condition) = expr.args
        if condition != sp.true:
            raise RuleError(f"`{expr}` has no value where none of its conditions holds.")
        text = self(last)
        for value, condition in reversed(cases):
            text = self.choose(self(condition), self(value), text)
        return text

    def _relation(self, expr) -> str:
        return f"({self(expr.lhs)} {_RELATIONS[type(expr)]} {self(expr.rhs)})"

    def _And(self, expr) -> str:
        return self.join("and", sorted(self(part) for part in expr.args))

    def _Or(self, expr) -> str:
        return self.join("or", sorted(self(part) for part in expr.args))

    def _Not(self, expr) -> str:
        return f"(not {self(expr.args[0])})"

    def _BooleanTrue(self, expr) -> str:
        return "True"

    def _BooleanFalse(self, expr) -> str:
        return "False"


class ArrayPrinter(ScalarPrinter):
    """Source of an expression on NumPy arrays."""

    prefix = "np."

    def number(self, value: float) -> str:
        """A constant; Python floats do not change the precision of arrays."""
        return repr(value) if value >= 0 else f"({value!r})"

    def choose(self, condition: str, if_true: str, if_false: str) -> str:
        """One of two values, site by site."""
        return f"np.where({condition}, {if_true}, {if_false})"

    def extremum(self, sign: str, a: str, b: str) -> str:
        """The larger or smaller of two values, site by site."""
        return f"np.{'maximum' if sign == '>' else 'minimum'}({a}, {b})"

    def join(self, word: str, parts: list[str]) -> str:
        """Conditions joined site by site."""
        return "(" + (" & " if word == "and" else " | ").join(parts) + ")"

    def _sign(self, expr) -> str:
        return f"np.sign({self(expr.args[0])})"

    def _Not(self, expr) -> str:
        return f"np.logical_not({self(expr.args[0])})"


def _split_sign(expr) -> tuple[str, sp.Expr]:
    factor, _ = expr.as_coeff_Mul()
    return ("-", -expr) if factor.is_negative else ("+", expr)


def _positive_first(term):
    return _split_sign(term)[0] == "-", default_sort_key(term)


class CudaPrinter(ScalarPrinter):
    """Source of an expression on scalars, for CUDA C++.

    Functions are the overloaded ones of C++, so that float32 stays float32.
    """

    prefix = ""

    def choose(self, condition: str, if_true: str, if_false: str) -> str:
        """One of two values."""
        return f"({condition} ? {if_true} : {if_false})"

    def extremum(self, sign: str, a: str, b: str) -> str:
        """The larger or smaller of two values; undefined if one of them is."""
        return self.choose(f"({a} {sign} {b} || {a} != {a})", a, b)

    def join(self, word: str, parts: list[str]) -> str:
        """Conditions joined by "and" or "or"."""
        return "(" + (" && " if word == "and" else " || ").join(parts) + ")"

    def power(self, base: str, exponent: str) -> str:
        """A power that is no product of factors and roots."""
        return f"pow({base}, {exponent})"

    def _Abs(self, expr) -> str:
        return f"fabs({self(expr.args[0])})"

    def _sign(self, expr) -> str:
        x, zero, one = self(expr.args[0]), self.number(0.0), self.number(1.0)
        return f"({x} > {zero} ? {one} : ({x} < {zero} ? -{one} : {x}))"

    def _Not(self, expr) -> str:
        return f"(!{self(expr.args[0])})"

    def _BooleanTrue(self, expr) -> str:
        return "true"

    def _BooleanFalse(self, expr) -> str:
        return "false"

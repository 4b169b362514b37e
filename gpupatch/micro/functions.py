"""Elementary functions for rules: on NumPy arrays they compute, on traced values they record."""

import numpy as np
import sympy as sp

from gpupatch.contract import shown
from gpupatch.errors import InputError
from gpupatch.micro.trace import Traced, TracedCondition, symbolic

__all__ = [
    "arccos",
    "cos",
    "cosh",
    "equal",
    "exp",
    "log",
    "maximum",
    "minimum",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "where",
]


def _is_traced(*values):
    return any(isinstance(value, (Traced, TracedCondition)) for value in values)


def _refused(name: str, values) -> InputError:
    found = ", ".join(shown(value) for value in values)
    return InputError(
        f"`gp.{name}({found})` has no meaning. Give numbers or arrays of numbers that fit together."
    )


def _computed(name: str, compute, values):
    """What NumPy makes of numbers, which would also compare and choose what are none."""
    try:
        if any(np.asarray(value).dtype.kind not in "biufc" for value in values):
            raise _refused(name, values)
        return compute(*values)
    except (TypeError, ValueError) as error:
        raise _refused(name, values) from error


def _elementary(name, record):
    compute = getattr(np, name)

    def function(*values):
        if not _is_traced(*values):
            return _computed(name, compute, values)
        try:
            return Traced(record(*(symbolic(value) for value in values)))
        except (TypeError, ValueError) as error:
            raise _refused(name, values) from error

    function.__name__ = name
    function.__qualname__ = name
    function.__doc__ = f"Pointwise `{name}` of arrays or of traced values; same shape as the input."
    return function


exp = _elementary("exp", sp.exp)
log = _elementary("log", sp.log)
sqrt = _elementary("sqrt", sp.sqrt)
sin = _elementary("sin", sp.sin)
cos = _elementary("cos", sp.cos)
tan = _elementary("tan", sp.tan)
arccos = _elementary("arccos", sp.acos)
sinh = _elementary("sinh", sp.sinh)
cosh = _elementary("cosh", sp.cosh)
tanh = _elementary("tanh", sp.tanh)
sign = _elementary("sign", sp.sign)
minimum = _elementary("minimum", sp.Min)
maximum = _elementary("maximum", sp.Max)


def where(condition, if_true, if_false):
    """Choose between two values at each site.

    Args:
        condition: comparison of arrays or of traced values, such as ``u[0] > 0``.
        if_true: value where the condition holds, same shape as the condition or a scalar.
        if_false: value elsewhere.

    Returns:
        The chosen values.
    """
    if not _is_traced(condition, if_true, if_false):
        return _computed("where", np.where, (condition, if_true, if_false))
    test = condition.expr if isinstance(condition, TracedCondition) else sp.sympify(condition)
    return Traced(sp.Piecewise((symbolic(if_true), test), (symbolic(if_false), True)))


def equal(left, right):
    """Compare for equality at each site (inside a rule ``==`` is refused).

    Args:
        left: array, scalar or traced value.
        right: same kinds.

    Returns:
        A condition for `where`.
    """
    if _is_traced(left, right):
        return TracedCondition(sp.Eq(symbolic(left), symbolic(right)))
    return _computed("equal", np.equal, (left, right))

"""Energies in case files: formulas that can be traced, hence differentiated and compiled."""

import ast
import inspect
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from gpupatch.errors import CaseError
from gpupatch.files.expression import FUNCTIONS, Operation, parse
from gpupatch.micro import functions
from gpupatch.micro.trace import Traced

_FUNCTIONS: Mapping[str, tuple[int, Operation]] = {
    "abs": (1, abs),
    "arccos": (1, functions.arccos),
    **{
        name: (arity, getattr(functions, name))
        for name, (arity, _) in FUNCTIONS.items()
        if name not in ("abs", "erf")
    },
}
_OPERATORS: Mapping[type[ast.AST], Operation] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def energy(text: str, arguments: Collection[str], name: str = "energy") -> Callable:
    """A formula as a function that can be traced; it is parsed by a whitelist, never run as code.

    Conditions belong into `where`; `erf`, `==` and `and` are not there.

    Args:
        text: the formula.
        arguments: names of the arguments of the function, in their order.
        name: of the function.

    Returns:
        The function, written with the `gp.` functions.

    Raises:
        CaseError: if it is not such a formula; the message shows the place. The function raises it
            where a comparison is used as a number.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(one, kind) for one in arguments])
    root, _ = parse(" ".join(text.split()), tuple(arguments), _FUNCTIONS, _OPERATORS)

    def function(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        values: dict[str, Any] = {
            name: one if isinstance(one, Traced) else np.asarray(one, dtype=np.float64)
            for name, one in given.items()
        }
        try:
            return root(values) if callable(root) else root
        except TypeError as error:
            raise CaseError(
                f"the energy `{text}` has no value ({error}). A comparison belongs into "
                "`where(condition, yes, no)`."
            ) from error

    function.__name__ = function.__qualname__ = name
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function

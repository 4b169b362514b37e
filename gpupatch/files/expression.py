"""Formulas in case files: arithmetic in named variables, parsed by a whitelist, never run as code.

Numbers, `+ - * / **`, comparisons, `and or not`, `where(condition, yes, no)`, the functions of
`FUNCTIONS` and the constants `pi` and `e`; nothing else. All arithmetic is in float64, so that
`9**9**9**9` overflows at once instead of growing for ever. A comparison is 1 where it holds and 0
elsewhere.
"""

import ast
import operator
import string
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.errors import CaseError, suggestion

MAX_LENGTH = 2000
MAX_DEPTH = 100
_AROUND = 60

_Array = NDArray[np.float64] | np.float64
Operation = Callable[..., Any]
_Node = np.float64 | Callable[[Mapping[str, NDArray[np.float64]]], _Array]

_LETTERS = frozenset(string.ascii_letters + string.digits + "_.,+-*/()<>=! ")
_HINTS = {"^": "A power is written `**`.", "&": "Write `and`.", "|": "Write `or`."}


def _truth(compare: Callable) -> Operation:
    """A comparison whose result is a number, 1 or 0."""
    return lambda *operands: compare(*operands) * np.float64(1)


def _where(condition, if_true, if_false):
    return np.where(np.not_equal(condition, 0), if_true, if_false)


def _erf(x):
    from scipy.special import erf

    return erf(x)


CONSTANTS: Mapping[str, float] = {"pi": np.pi, "e": np.e}
FUNCTIONS: Mapping[str, tuple[int, Operation]] = {
    "abs": (1, np.abs),
    "cos": (1, np.cos),
    "cosh": (1, np.cosh),
    "erf": (1, _erf),
    "exp": (1, np.exp),
    "log": (1, np.log),
    "maximum": (2, np.maximum),
    "minimum": (2, np.minimum),
    "sign": (1, np.sign),
    "sin": (1, np.sin),
    "sinh": (1, np.sinh),
    "sqrt": (1, np.sqrt),
    "tan": (1, np.tan),
    "tanh": (1, np.tanh),
    "where": (3, _where),
}
_OPERATORS: Mapping[type[ast.AST], Operation] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: np.positive,
    ast.USub: np.negative,
    ast.Not: _truth(np.logical_not),
    ast.And: _truth(np.logical_and),
    ast.Or: _truth(np.logical_or),
    ast.Eq: _truth(np.equal),
    ast.NotEq: _truth(np.not_equal),
    ast.Lt: _truth(np.less),
    ast.LtE: _truth(np.less_equal),
    ast.Gt: _truth(np.greater),
    ast.GtE: _truth(np.greater_equal),
}


class Expression:
    """A formula such as `-sin(pi*x)*exp(-nu*t)`, as a function of arrays.

    Attributes:
        text: the formula.
        variables: names that it may use; a variable hides the constant of the same name.
        names: the variables that it does use, sorted.
    """

    def __init__(self, text: str, variables: Collection[str] = ()):
        """Parse a formula.

        Args:
            text: the formula, at most `MAX_LENGTH` characters, nested at most `MAX_DEPTH` deep.
            variables: names that it may use besides functions and constants.

        Raises:
            CaseError: if it is not such a formula; the message shows the place.
        """
        self.text = " ".join(text.split())
        self.variables = tuple(variables)
        self._root, self.names = parse(self.text, self.variables, FUNCTIONS, _OPERATORS)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __call__(self, **values: ArrayLike) -> NDArray[np.float64]:
        """Evaluate the formula.

        Args:
            values: a number or array for each of `names`; others of `variables` may be given.

        Returns:
            A new array of the broadcast shape of all values. It is nan or inf outside the domain
            of a function, as in NumPy, but without a warning.

        Raises:
            TypeError: if a value is missing or is not one of `variables`.
        """
        missing = set(self.names) - values.keys()
        unknown = values.keys() - set(self.variables)
        if missing or unknown:
            raise TypeError(f"{self!r} takes {self.variables}, but was given {tuple(values)}.")
        arrays = {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
        shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
        root = self._root
        with np.errstate(all="ignore"):
            result = root(arrays) if callable(root) else root
        return np.array(np.broadcast_to(result, shape), dtype=np.float64)


def parse(
    text: str,
    variables: tuple[str, ...],
    functions: Mapping[str, tuple[int, Operation]],
    operators: Mapping[type[ast.AST], Operation],
) -> tuple[_Node, tuple[str, ...]]:
    """Turn a formula into nested functions.

    Args:
        text: the formula.
        variables: names that it may use besides functions and constants.
        functions: number of arguments and operation of every function that it may call.
        operators: operation of every operator that it may use.

    Returns:
        A number or a function of the values of the variables, and the variables that it uses.

    Raises:
        CaseError: if it is not such a formula; the message shows the place.
    """
    parser = _Parser(text, variables, functions, operators)
    root = parser.parse()
    return root, tuple(sorted(parser.names))


class _Parser:
    """One pass over the syntax tree of a formula: refuse it, or turn it into nested functions."""

    def __init__(
        self,
        text: str,
        variables: tuple[str, ...],
        functions: Mapping[str, tuple[int, Operation]],
        operators: Mapping[type[ast.AST], Operation],
    ):
        self.text = text
        self.variables = variables
        self.functions = functions
        self.operators = operators
        self.names: set[str] = set()

    def parse(self) -> _Node:
        if len(self.text) > MAX_LENGTH:
            raise CaseError(
                f"this formula has {len(self.text)} characters; at most {MAX_LENGTH} are read. "
                "Put long data into a file."
            )
        if not self.text:
            raise CaseError("this formula is empty. Write a number or a formula.")
        for place, letter in enumerate(self.text):
            if letter not in _LETTERS:
                hint = _HINTS.get(letter, "Use numbers, names, + - * / ** ( ) , < > = ! only.")
                self.refuse(f"the character `{letter}` has no meaning here. {hint}", place)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(self.text, mode="eval")
        except SyntaxError as error:
            place = error.offset - 1 if error.offset else len(self.text)
            self.refuse(f"this is not a formula: {error.msg}", place)
        except (RecursionError, MemoryError):
            self.refuse(f"this formula is nested more than {MAX_DEPTH} deep", 0)
        return self.build(tree.body, 1)

    def build(self, node: ast.expr, depth: int) -> _Node:
        """Turn a subtree into a number, or into a function of the values of the variables."""
        if depth > MAX_DEPTH:
            self.refuse_node(node, f"this formula is nested more than {MAX_DEPTH} deep")
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return self.number(node, number)
            case ast.Name(id=name):
                return self.variable(node, name)
            case ast.UnaryOp(op=op, operand=operand):
                return self.apply(node, op, [operand], depth)
            case ast.BinOp(left=left, op=op, right=right):
                return self.apply(node, op, [left, right], depth)
            case ast.BoolOp(op=op, values=[first, *others]):
                return self.chain(node, [op] * len(others), [first, *others], depth)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self.apply(node, op, [left, right], depth)
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self.between(node, ops, [left, *others], depth)
            case ast.Call(func=ast.Name(id=name), args=operands, keywords=[]):
                return self.call(node, name, operands, depth)
            case ast.IfExp():
                self.refuse_node(node, "a choice is written `where(condition, yes, no)`")
            case ast.Tuple():
                self.refuse_node(node, "a comma belongs between the arguments of a function")
        self.refuse_node(node, "this is not allowed in a formula")

    def number(self, node: ast.expr, number: float) -> np.float64:
        try:
            value = np.float64(number)
        except OverflowError:
            value = np.float64(np.inf)
        return self.finite(node, value)

    def variable(self, node: ast.expr, name: str) -> _Node:
        if name in self.variables:
            self.names.add(name)
            return lambda values: values[name]
        if name in CONSTANTS:
            return np.float64(CONSTANTS[name])
        if name in self.functions:
            self.refuse_node(node, f"`{name}` is a function: write `{name}(...)`")
        known = [*self.variables, *CONSTANTS, *self.functions]
        self.refuse_node(node, f"unknown name `{name}`. {suggestion(name, known)}")

    def call(self, node: ast.expr, name: str, operands: list[ast.expr], depth: int) -> _Node:
        if name in self.variables or name in CONSTANTS:
            message = f"`{name}` is not a function; a product is written `{name}*(...)`"
            self.refuse_node(node, message)
        if name not in self.functions:
            message = f"unknown function `{name}`. {suggestion(name, self.functions)}"
            self.refuse(message, node.col_offset, node.col_offset + len(name))
        arity, operation = self.functions[name]
        if len(operands) != arity:
            self.refuse_node(node, f"`{name}` takes {arity} argument(s), but has {len(operands)}")
        return self.combine(node, operation, [self.build(one, depth + 1) for one in operands])

    def apply(self, node: ast.expr, op: ast.AST, operands: list[ast.expr], depth: int) -> _Node:
        operation = self.operation(node, op)
        return self.combine(node, operation, [self.build(one, depth + 1) for one in operands])

    def chain(self, node: ast.expr, ops, operands: list[ast.expr], depth: int) -> _Node:
        """`a and b and c`, from left to right."""
        nodes = [self.build(one, depth + 1) for one in operands]
        result = nodes[0]
        for op, other in zip(ops, nodes[1:], strict=True):
            result = self.combine(node, self.operation(node, op), [result, other])
        return result

    def between(self, node: ast.expr, ops, operands: list[ast.expr], depth: int) -> _Node:
        """`a < x < b`, true where both comparisons are."""
        nodes = [self.build(one, depth + 1) for one in operands]
        pairs = zip(ops, nodes[:-1], nodes[1:], strict=True)
        tests = [self.combine(node, self.operation(node, op), [a, b]) for op, a, b in pairs]
        result = tests[0]
        for test in tests[1:]:
            result = self.combine(node, operator.mul, [result, test])
        return result

    def operation(self, node: ast.expr, op: ast.AST) -> Operation:
        if type(op) not in self.operators:
            self.refuse_node(node, "this operator is not allowed; use + - * / ** and comparisons")
        return self.operators[type(op)]

    def combine(self, node: ast.expr, operation: Operation, operands: list[_Node]) -> _Node:
        """Apply an operation now if all operands are numbers, otherwise when values are known."""
        if not any(callable(one) for one in operands):
            with np.errstate(all="ignore"):
                return self.finite(node, np.float64(operation(*operands)))
        return lambda values: operation(
            *(one(values) if callable(one) else one for one in operands)
        )

    def finite(self, node: ast.expr, value: np.float64) -> np.float64:
        if not np.isfinite(value):
            self.refuse_node(node, f"this constant is {value}, not a finite number")
        return value

    def refuse_node(self, node: ast.expr, message: str) -> NoReturn:
        self.refuse(message, node.col_offset, node.end_col_offset)

    def refuse(self, message: str, start: int, stop: int | None = None) -> NoReturn:
        """Raise, with the formula around the offending place and a mark under it."""
        first, last = max(0, start - _AROUND), start + _AROUND
        before = "..." if first else ""
        after = "..." if last < len(self.text) else ""
        place = len(before) + start - first
        marks = "^" * max(1, min(stop or 0, last) - start)
        excerpt = f"{before}{self.text[first:last]}{after}"
        raise CaseError(f"{message}\n    {excerpt}\n    {' ' * place}{marks}")

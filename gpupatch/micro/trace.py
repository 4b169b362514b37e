"""Run a rule once on symbols instead of numbers, and keep the expressions it computes."""

import linecache
import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.logic.boolalg import Boolean

from gpupatch.contract import shown
from gpupatch.errors import RuleError

RESERVED = ("dx", "dy", "dz", "x", "y", "z", "t")
SPACINGS = ("dx", "dy", "dz")
COORDINATES = ("x", "y", "z")

_UFUNCS = {
    "exp": sp.exp,
    "log": sp.log,
    "sqrt": sp.sqrt,
    "sin": sp.sin,
    "cos": sp.cos,
    "tan": sp.tan,
    "arccos": sp.acos,
    "sinh": sp.sinh,
    "cosh": sp.cosh,
    "tanh": sp.tanh,
    "absolute": sp.Abs,
    "sign": sp.sign,
    "minimum": sp.Min,
    "maximum": sp.Max,
    "negative": lambda a: -a,
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "square": lambda a: a**2,
}


@dataclass(frozen=True, order=True)
class Access:
    """One value that a rule reads around the site it updates.

    Attributes:
        kind: "field" or "coefficient".
        name: name of the field or coefficient.
        face: axis whose faces the value sits on, or -1 for values at sites.
        offset: index offset per axis; the face between sites i and i+1 has index i.
    """

    kind: str
    name: str
    face: int
    offset: tuple[int, ...]

    @property
    def symbol(self) -> sp.Symbol:
        """The symbol that stands for this value in a traced expression."""
        place = "".join(f"_{'m' if o < 0 else 'p'}{abs(o)}" for o in self.offset)
        face = f"_f{self.face}" if self.face >= 0 else ""
        return sp.Symbol(f"{self.kind[0]}_{self.name}{face}{place}", real=True)

    def shifted(self, shift: tuple[int, ...]) -> "Access":
        """The same value read `shift` sites further."""
        offset = tuple(o + s for o, s in zip(self.offset, shift, strict=True))
        return Access(self.kind, self.name, self.face, offset)

    def __str__(self) -> str:
        place = [o + 0.5 if axis == self.face else o for axis, o in enumerate(self.offset)]
        return f"{self.name}[{', '.join(f'{p:g}' for p in place)}]"


_LARGEST_EXACT = 1e150
"""Doubles beyond this are recorded as such, so that their products overflow as doubles do."""


def symbolic(value) -> sp.Expr:
    """The SymPy expression of a traced value or of a number."""
    if isinstance(value, Traced):
        return value.expr
    if isinstance(value, TracedCondition):
        raise RuleError(f"the condition `{value.expr}` is used as a number: wrap it in `gp.where`.")
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise RuleError(f"a rule computes with numbers, but met {value!r}.")
    try:
        number = float(value)
    except OverflowError as error:
        raise RuleError(f"a rule computes with doubles, but met {shown(value)}.") from error
    if isinstance(value, int):
        return sp.Integer(value)
    exact = number.is_integer() and abs(number) < _LARGEST_EXACT
    return sp.Integer(int(number)) if exact else sp.Float(number, 17)


def differentiate(expression: Any, symbol: Any) -> Any:
    """The derivative wherever there is one: the jumps of `sign` are left out, as of `where`."""
    return sp.diff(expression, symbol).replace(sp.DiracDelta, lambda *_: sp.S.Zero)


class _Recorded:
    """What traced numbers and traced conditions refuse alike."""

    expr: sp.Basic
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other):
        raise RuleError("`==` cannot be traced: use `gp.equal(a, b)` inside `gp.where`.")

    def __ne__(self, other):
        raise RuleError("`!=` cannot be traced: use `~gp.equal(a, b)` inside `gp.where`.")

    def __bool__(self):
        raise RuleError(
            f"the truth of `{self.expr}` is not known while tracing: "
            "use `gp.where(condition, a, b)` instead of `if`, `and`, `or`, `not`, `min`, `max`."
        )

    def __float__(self):
        raise RuleError(f"`{self.expr}` has no number yet: use `gp.` functions instead of `math.`.")

    __int__ = __float__
    __index__ = __float__

    def __iter__(self):
        raise RuleError(f"`{self.expr}` is a single value and cannot be unpacked.")


class TracedCondition(_Recorded):
    """A comparison of traced values, to be used in `gp.where`."""

    expr: Boolean

    def __init__(self, expr):
        self.expr = expr

    def __and__(self, other):
        return TracedCondition(sp.And(self.expr, other.expr))

    def __or__(self, other):
        return TracedCondition(sp.Or(self.expr, other.expr))

    def __invert__(self):
        return TracedCondition(sp.Not(self.expr))


class Traced(_Recorded):
    """A number that is not known yet: arithmetic on it is recorded as an expression."""

    expr: sp.Expr

    def __init__(self, expr: sp.Expr):
        self.expr = expr

    def __array_ufunc__(self, ufunc, method, *values, **options):
        record = _UFUNCS.get(ufunc.__name__)
        if record is None or method != "__call__" or options:
            raise RuleError(f"`np.{ufunc.__name__}` cannot be traced: use the `gp.` functions.")
        return Traced(record(*(symbolic(value) for value in values)))

    def __add__(self, other):
        return Traced(self.expr + symbolic(other))

    __radd__ = __add__

    def __sub__(self, other):
        return Traced(self.expr - symbolic(other))

    def __rsub__(self, other):
        return Traced(symbolic(other) - self.expr)

    def __mul__(self, other):
        return Traced(self.expr * symbolic(other))

    __rmul__ = __mul__

    def __truediv__(self, other):
        return Traced(self.expr / symbolic(other))

    def __rtruediv__(self, other):
        return Traced(symbolic(other) / self.expr)

    def __pow__(self, other):
        return Traced(self.expr ** symbolic(other))

    def __rpow__(self, other):
        return Traced(symbolic(other) ** self.expr)

    def __neg__(self):
        return Traced(-self.expr)

    def __pos__(self):
        return self

    def __abs__(self):
        return Traced(sp.Abs(self.expr))

    def __lt__(self, other):
        return TracedCondition(sp.StrictLessThan(self.expr, symbolic(other)))

    def __le__(self, other):
        return TracedCondition(sp.LessThan(self.expr, symbolic(other)))

    def __gt__(self, other):
        return TracedCondition(sp.StrictGreaterThan(self.expr, symbolic(other)))

    def __ge__(self, other):
        return TracedCondition(sp.GreaterThan(self.expr, symbolic(other)))


class TracedArray:
    """A field or a coefficient while tracing: indexing it records which neighbour is read."""

    def __init__(self, kind: str, name: str, record: Callable[[Access], None]):
        self.kind, self.name, self._record = kind, name, record

    def __getitem__(self, offset) -> Traced:
        access = make_access(self.kind, self.name, offset)
        self._record(access)
        return Traced(access.symbol)

    def __array_ufunc__(self, *args, **kwargs):
        self._not_indexed()

    def _not_indexed(self, *args):
        raise RuleError(
            f"`{self.name}` is used without an index: write `{self.name}[0]` in one dimension, "
            f"`{self.name}[0, 0]` in two."
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _not_indexed
    __rtruediv__ = __pow__ = __neg__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _not_indexed
    __float__ = __iter__ = __abs__ = _not_indexed


def make_access(kind: str, name: str, offset) -> Access:
    """Turn an index such as ``1``, ``0.5`` or ``(0, -1)`` into an `Access`.

    Raises:
        RuleError: if the offset is not made of integers, with one half-integer for face values.
    """
    steps = offset if isinstance(offset, tuple) else (offset,)
    numbers = [step for step in steps if isinstance(step, (int, float)) and math.isfinite(step)]
    whole = [float(step).is_integer() for step in numbers]
    half = [axis for axis, is_whole in enumerate(whole) if not is_whole]
    good = len(numbers) == len(steps) <= 3 and all(float(2 * n).is_integer() for n in numbers)
    if not good or len(half) > 1 or (half and kind == "field"):
        allowed = "integers" if kind == "field" else "integers, with one half-integer for a face"
        raise RuleError(f"`{name}[{offset}]` is not a neighbour: offsets are 1 to 3 {allowed}.")
    face = half[0] if half else -1
    return Access(kind, name, face, tuple(math.floor(number) for number in numbers))


@dataclass(frozen=True)
class Trace:
    """What one run of a rule on symbols has recorded.

    Attributes:
        outputs: one expression per returned value, in the order returned.
        accesses: every neighbour and coefficient read, sorted.
        ndim: number of space dimensions.
        scalars: symbols of the parameters and reserved arguments, by name.
    """

    outputs: tuple[sp.Expr, ...]
    accesses: tuple[Access, ...]
    ndim: int
    scalars: dict[str, sp.Symbol]


def scalar_symbol(name: str) -> sp.Symbol:
    """The symbol of a parameter or of a reserved argument."""
    return sp.Symbol(name, real=True, positive=True if name in SPACINGS else None)


def trace(function: Callable, fields, coefficients, scalars, ndim: int | None = None) -> Trace:
    """Call `function` on symbols.

    Args:
        function: the rule as its author wrote it.
        fields: names of the arguments that are fields.
        coefficients: names of the arguments that are coefficients.
        scalars: names of the arguments that are numbers.
        ndim: number of space dimensions if it is known; the function may then read no field.

    Returns:
        The recorded expressions.

    Raises:
        RuleError: if the rule does something that cannot be recorded; the line is quoted.
    """
    accesses: set[Access] = set()
    symbols = {name: scalar_symbol(name) for name in scalars}
    arguments = {name: TracedArray("field", name, accesses.add) for name in fields}
    arguments |= {name: TracedArray("coefficient", name, accesses.add) for name in coefficients}
    arguments |= {name: Traced(symbol) for name, symbol in symbols.items()}
    try:
        result = function(**arguments)
        outputs = tuple(symbolic(value) for value in flatten(result))
    except Exception as error:
        raise RuleError(f"rule `{function.__name__}`: {error}{quote(function, error)}") from error
    if ndim is None and not any(access.kind == "field" for access in accesses):
        raise RuleError(f"rule `{function.__name__}` never reads a field such as `{fields[0]}[0]`.")
    dimensions = {len(access.offset) for access in accesses} | ({ndim} if ndim else set())
    if len(dimensions) > 1:
        found = ", ".join(sorted(str(access) for access in accesses))
        raise RuleError(f"rule `{function.__name__}` mixes dimensions: it reads {found}.")
    return Trace(outputs, tuple(sorted(accesses)), dimensions.pop(), symbols)


def flatten(result) -> list:
    """The values of a nested tuple, in order; a single value counts as a tuple of one."""
    if isinstance(result, (tuple, list)):
        return [value for entry in result for value in flatten(entry)]
    return [result]


def quote(function: Callable, error: BaseException) -> str:
    """The line of `function` where `error` arose, formatted for a message, or nothing."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code is function.__code__]
    if not lines:
        return ""
    filename = function.__code__.co_filename
    text = linecache.getline(filename, lines[-1]).strip()
    return f"\n  {filename}, line {lines[-1]}:\n    {text}" if text else ""


def location(function: Callable) -> str:
    """Where a function begins, formatted for a message."""
    filename, line = function.__code__.co_filename, function.__code__.co_firstlineno
    while linecache.getline(filename, line).lstrip().startswith("@"):
        line += 1
    return f"\n  {filename}, line {line}:\n    {linecache.getline(filename, line).strip()}"

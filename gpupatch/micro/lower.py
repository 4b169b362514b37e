"""From the traced expressions of a rule to few operations per site.

What depends on parameters only is computed on the host, in float64, once per run (scalars); what
depends on coefficients and coordinates only, once per site (statics); what depends on time but not
on place, once per stage. What remains is shared between the outputs and printed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from gpupatch.errors import RuleError
from gpupatch.micro.rewrite import PARAMETER, PLACE, STATE, TIME, collect
from gpupatch.micro.rule import Rule
from gpupatch.micro.trace import COORDINATES, Access, scalar_symbol, trace

STEP = sp.Symbol("_h", positive=True)
"""The factor, usually the micro time step, by which lowered rates are multiplied."""


@dataclass(frozen=True)
class Load:
    """One value read at a site.

    Attributes:
        symbol: name of the value in the source.
        array: "field", "base" or "static": what the value is read from.
        index: index of the field or of the static array.
        offset: neighbour, per axis.
    """

    symbol: str
    array: str
    index: int
    offset: tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """Expressions lowered together.

    Attributes:
        scalars: (name, index in the table of scalars).
        stage: (name, expression) computed once per stage, from scalars and the time ``t``.
        loads: what is read at each site.
        statements: (name, expression) computed at each site, in order.
        outputs: the results at each site.
    """

    scalars: tuple[tuple[str, int], ...]
    stage: tuple[tuple[str, sp.Expr], ...]
    loads: tuple[Load, ...]
    statements: tuple[tuple[str, sp.Expr], ...]
    outputs: tuple[sp.Expr, ...]


class Lowering:
    """The tables of scalars and statics that the blocks of one kernel share.

    Args:
        fields: names of the fields, in the order of the state.
        accesses: every field value and coefficient that expressions may read.
        ndim: number of space dimensions.
        alike: spacings that equal another one, by name, such as ``{"dy": "dx"}``.
    """

    def __init__(
        self,
        fields: tuple[str, ...],
        accesses: Iterable[Access],
        ndim: int,
        alike: Mapping[str, str] | None = None,
    ):
        self.fields, self.ndim = fields, ndim
        self.scalars: dict[sp.Expr, sp.Symbol] = {}
        self.statics: dict[sp.Expr, int] = {}
        self._alike = {scalar_symbol(a): scalar_symbol(b) for a, b in (alike or {}).items()}
        self._state: dict[sp.Symbol, Load] = {}
        self._coefficients: dict[sp.Symbol, Access] = {}
        self._static_loads: dict[sp.Symbol, Load] = {}
        self._stage: dict[sp.Expr, sp.Symbol] = {}
        self._defined: set[sp.Symbol] = set()
        for access in accesses:
            if access.kind == "coefficient":
                self._coefficients[access.symbol] = access
            else:
                self.declare(access.symbol, "field", access)

    def declare(self, symbol: sp.Symbol, array: str, access: Access) -> None:
        """Make a symbol stand for a value that changes from site to site and step to step.

        Args:
            symbol: the symbol.
            array: "field" or "base".
            access: which field, and where.
        """
        index = self.fields.index(access.name)
        self._state[symbol] = Load(symbol.name, array, index, access.offset)

    def levels(self, expr: sp.Basic) -> frozenset[str]:
        """What an expression depends on: parameters, place, time, state."""
        return frozenset(self._level(symbol) for symbol in expr.free_symbols)

    def block(
        self,
        expressions: Iterable[sp.Basic],
        definitions: Iterable[tuple[sp.Symbol, sp.Expr]] = (),
    ) -> Block:
        """Lower expressions that are evaluated at the same sites.

        Args:
            expressions: in the symbols of accesses, parameters, spacings, coordinates and time.
            definitions: further symbols that may occur in them, and what they stand for.

        Returns:
            The lowered form; the scalars and statics it needs are added to the tables.
        """
        expressions = [sp.sympify(e) for e in expressions]
        defined = _needed(definitions, expressions)
        self._defined |= defined.keys()
        plain = [e.xreplace(self._alike) for e in (*defined.values(), *expressions)]
        hoisted = [self._hoist(collect(e, self.levels)) for e in plain]
        names = sp.numbered_symbols("_c", real=True)
        shared, results = sp.cse(hoisted, names, order="canonical")
        reduced = list(results)
        known = list(zip(defined, reduced[: len(defined)], strict=True))
        statements, outputs = _without_negations(
            _in_order([*shared, *known]), reduced[len(defined) :]
        )
        used = _free([*outputs, *(e for _, e in statements)])
        stage = [(s, e) for e, s in self._stage.items() if s in used]
        used |= _free(e for _, e in stage)
        loads = [load for s, load in (self._state | self._static_loads).items() if s in used]
        return Block(
            scalars=tuple((s.name, i) for i, s in enumerate(self.scalars.values()) if s in used),
            stage=tuple((s.name, e) for s, e in stage),
            loads=tuple(sorted(loads, key=lambda load: (load.array, load.index, load.offset))),
            statements=tuple((s.name, e) for s, e in statements),
            outputs=tuple(outputs),
        )

    def static(self, load: Load) -> sp.Basic:
        """The expression of a static as it is read at one place."""
        expression = next(e for e, index in self.statics.items() if index == load.index)
        found = [self._coefficients[s] for s in _symbols(expression) if s in self._coefficients]
        moved = {access.symbol: access.shifted(load.offset) for access in found}
        return expression.xreplace({s: access.symbol for s, access in moved.items()})

    def scalar_values(self, values: Mapping[str, object], members: int) -> NDArray[np.float64]:
        """Evaluate the table of scalars.

        Args:
            values: parameters, spacings and `STEP` by name, numbers or one number per member.
            members: number of members.

        Returns:
            [member, scalar].
        """
        table = np.empty((members, len(self.scalars)))
        for index, expression in enumerate(self.scalars):
            table[:, index] = evaluate(expression, values)
        return table

    def static_values(
        self, environment: Mapping, sites: tuple[int, ...], patches: int
    ) -> NDArray[np.float64]:
        """Evaluate the table of statics.

        Args:
            environment: values as `MicroModel.environment` gives them for all sites, and `STEP`.
            sites: sites per axis.
            patches: number of patches, all members together.

        Returns:
            [patch, static, *sites], the first axis 1 if no static differs between patches. Zero
            where an expression reads beyond the patch.
        """
        parts = [self._static_part(e, environment, sites) for e in self.statics]
        rows = patches if any(part.shape[0] > 1 for _, part in parts) else 1
        table = np.zeros((rows, len(parts), *sites))
        for index, (window, part) in enumerate(parts):
            table[(slice(None), index, *window)] = part
        return table

    def _static_part(self, expression, environment, sites):
        ndim = len(sites)
        accesses = [self._coefficients[s] for s in _symbols(expression) if s in self._coefficients]
        offsets = np.array([(0,) * ndim, *(a.offset for a in accesses)])
        low, high = -offsets.min(axis=0), np.array(sites) - offsets.max(axis=0)
        window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        values = dict(environment)
        for access in accesses:
            array = environment[access.name]
            array = array[access.face] if isinstance(array, Mapping) else array
            place = zip(window, access.offset, strict=True)
            index = (slice(None), *(slice(w.start + o, w.stop + o) for w, o in place))
            values[access.symbol.name] = array[index]
        for axis, name in enumerate(COORDINATES[:ndim]):
            line: list = [slice(None)] * (ndim + 1)
            line[axis + 1] = window[axis]
            values[name] = environment[name][tuple(line)]
        part = np.asarray(evaluate(expression, values))
        return window, part.reshape(part.shape or (1,) * (ndim + 1))

    def _level(self, symbol) -> str:
        if symbol in self._state or symbol in self._defined:
            return STATE
        if symbol in self._coefficients or symbol.name in COORDINATES:
            return PLACE
        return TIME if symbol.name == "t" else PARAMETER

    def _hoist(self, expr: sp.Basic) -> sp.Basic:
        levels = self.levels(expr)
        if not levels or (expr.is_Atom and STATE in levels):
            return expr
        if isinstance(expr, sp.Expr):
            if levels <= {PARAMETER}:
                return self._scalar(expr)
            if levels <= {PARAMETER, PLACE}:
                return self._static(expr)
            if levels <= {PARAMETER, TIME}:
                return self._moment(expr)
        if expr.is_Add or expr.is_Mul:
            return self._hoist_parts(expr)
        return expr.func(*(self._hoist(argument) for argument in expr.args))

    def _hoist_parts(self, expr) -> sp.Expr:
        """Compute in advance, together, the arguments of a sum or product that allow it."""
        parts: dict[str, list[sp.Expr]] = {level: [] for level in (PARAMETER, PLACE, TIME, STATE)}
        for argument in expr.args:
            levels = self.levels(argument)
            kinds = [k for k in (PARAMETER, PLACE, TIME) if levels <= {PARAMETER, k}]
            parts[kinds[0] if kinds else STATE].append(argument)
        known = parts[PARAMETER]
        rest = [self._hoist(argument) for argument in parts[STATE]]
        for level, hoist in ((PLACE, self._static), (TIME, self._moment)):
            if parts[level]:
                rest.append(hoist(expr.func(*known, *parts[level])))
                known = []
        together = expr.func(*known)
        return expr.func(self._scalar(together) if together.free_symbols else together, *rest)

    def _scalar(self, expr) -> sp.Expr:
        sign, expr = _split_sign(expr)
        if expr not in self.scalars:
            self.scalars[expr] = sp.Symbol(f"_q{len(self.scalars)}", real=True)
        return sign * self.scalars[expr]

    def _static(self, expr) -> sp.Expr:
        sign, expr = _split_sign(expr)
        expr, offset = self._anchor(expr)
        index = self.statics.setdefault(expr, len(self.statics))
        place = "".join(f"_{'m' if o < 0 else 'p'}{abs(o)}" for o in offset)
        symbol = sp.Symbol(f"_s{index}{place}", real=True)
        self._static_loads[symbol] = Load(symbol.name, "static", index, offset)
        return sign * symbol

    def _anchor(self, expr) -> tuple[sp.Expr, tuple[int, ...]]:
        """The same expression around its first coefficient, so that shifted copies coincide."""
        found = sorted(self._coefficients[s] for s in expr.free_symbols if s in self._coefficients)
        zero = (0,) * self.ndim
        if not found or any(s.name in COORDINATES for s in expr.free_symbols):
            return expr, zero
        offset = found[0].offset
        moved = {a.symbol: a.shifted(tuple(-o for o in offset)) for a in found}
        self._coefficients |= {access.symbol: access for access in moved.values()}
        return expr.xreplace({s: access.symbol for s, access in moved.items()}), offset

    def _moment(self, expr) -> sp.Expr:
        expr = self._inside_moment(expr)
        if expr not in self._stage:
            self._stage[expr] = sp.Symbol(f"_r{len(self._stage)}", real=True)
        return self._stage[expr]

    def _inside_moment(self, expr):
        if isinstance(expr, sp.Expr) and self.levels(expr) == {PARAMETER}:
            return self._scalar(expr)
        if expr.is_Atom:
            return expr
        known = [a for a in expr.args if (expr.is_Add or expr.is_Mul) and self._is_known(a)]
        rest = [self._inside_moment(a) for a in expr.args if a not in known]
        return expr.func(*([self._inside_moment(expr.func(*known))] if known else []), *rest)

    def _is_known(self, expr) -> bool:
        return self.levels(expr) <= {PARAMETER}


def noise_amplitudes(rule: Rule) -> tuple[tuple[sp.Expr, ...], set[Access]]:
    """Ito amplitudes of the noise of a rule, and what they read.

    Args:
        rule: the micro-rule.

    Returns:
        One expression per field, zero where there is no noise, and every value they read.

    Raises:
        RuleError: if an amplitude cannot be traced; the line is quoted.
    """
    amplitudes, accesses = [], set()
    for name in rule.fields:
        function = rule.noise.get(name)
        if function is None:
            amplitudes.append(sp.S.Zero)
            continue
        names = list(inspect.signature(function).parameters)
        fields = [n for n in names if n in rule.fields]
        coefficients = [n for n in names if n in rule.coefficients]
        scalars = [n for n in names if n not in (*fields, *coefficients)]
        recorded = trace(function, fields, coefficients, scalars, ndim=rule.ndim)
        amplitudes.append(recorded.outputs[0])
        accesses |= set(recorded.accesses)
    return tuple(amplitudes), accesses


def evaluate(expression: sp.Basic, values: Mapping):
    """The value of an expression on numbers or arrays given by the names of its symbols.

    Raises:
        RuleError: if a constant in it is larger than any double.
    """
    names, compute = _compiled(expression)
    try:
        with np.errstate(all="ignore"):
            return compute(*(values[name] for name in names))
    except OverflowError as error:
        raise RuleError(
            f"a constant is too large for a double ({error}). Use other units."
        ) from error


@functools.lru_cache(maxsize=512)
def _compiled(expression: sp.Basic) -> tuple[tuple[str, ...], Callable]:
    symbols = _symbols(expression)
    names = tuple(symbol.name for symbol in symbols)
    return names, sp.lambdify(symbols, expression, "numpy")


def _in_order(statements):
    """Statements sorted so that each reads only symbols that are already known."""
    waiting, done = dict(statements), []
    while waiting:
        ready = [s for s, e in waiting.items() if not e.free_symbols & waiting.keys()]
        done += [(symbol, waiting.pop(symbol)) for symbol in ready]
    return done


def _needed(definitions, expressions) -> dict[sp.Symbol, sp.Expr]:
    """The definitions that expressions read, directly or through others, in order."""
    read, kept = _free(expressions), {}
    for symbol, expression in reversed(tuple(definitions)):
        if symbol in read:
            kept[symbol] = expression
            read |= expression.free_symbols
    return dict(reversed(kept.items()))


def _without_negations(statements, outputs):
    """Undo the naming of mere names and sign changes, which cost nothing."""
    kept, negations = [], {}
    for symbol, expression in statements:
        expression = expression.xreplace(negations)
        if isinstance(expression, sp.Expr) and (expression.is_Symbol or (-expression).is_Symbol):
            negations[symbol] = expression
        else:
            kept.append((symbol, expression))
    return kept, [output.xreplace(negations) for output in outputs]


def _symbols(expression: sp.Basic) -> list[sp.Symbol]:
    return sorted(expression.free_symbols, key=str)  # type: ignore[arg-type]


def _free(expressions: Iterable[sp.Basic]) -> set[sp.Basic]:
    return set().union(*(e.free_symbols for e in expressions))


def _split_sign(expr: sp.Expr) -> tuple[int, sp.Expr]:
    return (-1, -expr) if expr.as_coeff_Mul()[0].is_negative else (1, expr)

"""What neighbouring sites compute in common, before it is written as code for a tile of sites.

A lowered block says what is computed at one site. Here its increments become

    u+ = (1 + a) u + c + sum_g k_g s_g

with a, c and k_g known before the steps and s_g values of the state around the site. Sums are split
such that their parts coincide with translates of each other: of the five-point Laplacian,
north + west of a site is east + south of its diagonal neighbour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import sympy as sp
from sympy.core.sorting import default_sort_key

from gpupatch.backends._cuda_nodes import Group, Node, Place, Program, Ref, Table, Update, moved
from gpupatch.micro.lower import Block

FOLD, SPLIT, MERGE = "fold", "split", "merge"
"""How the factors of the values of the state are treated: the value at the site itself apart (fold)
or with its neighbours (split), one group for each product of parameters; or one group for each sum
of such products, the value at the site apart (merge)."""

_POWERS = 8


def share(block: Block, grouping: str) -> Program:
    """Write increments as updates that share what neighbouring sites compute.

    Args:
        block: the increments of all fields.
        grouping: `FOLD`, `SPLIT` or `MERGE`.

    Returns:
        The program of one step.
    """
    reader = _Reader(block)
    updates = [reader.update(f, e, grouping) for f, e in enumerate(block.outputs)]
    program = Program(
        reader.nodes, reader.placed, updates, reader.statics, reader.scalars, reader.unsafe
    )
    _pair_up(reader, program)
    return program


_Terms = dict[tuple[Ref | None, sp.Expr], sp.Expr]
"""A sum: what is known without the time, by (value of the state, what is known with the time)."""


class _Reader(Table):
    """The expressions of a block as nodes."""

    def __init__(self, block: Block):
        super().__init__(len(block.loads[0].offset))
        self.statements = {sp.Symbol(name, real=True): e for name, e in block.statements}
        self.loads = {sp.Symbol(load.symbol, real=True): load for load in block.loads}
        self.moments = {sp.Symbol(name, real=True) for name, _ in block.stage}
        self.fixed = {s for s, load in self.loads.items() if load.array == "static"}
        self.scalars = {sp.Symbol(name, real=True): index for name, index in block.scalars}
        self.fixed |= self.scalars.keys()
        self.statics: dict[sp.Symbol, tuple[int, Place]] = {}
        self.unsafe = False
        self._read: dict[sp.Basic, _Terms] = {}

    def update(self, field: int, increment: sp.Expr, grouping: str) -> Update:
        """The new value of a field from its increment."""
        terms, change = self.terms(increment), sp.S.Zero
        if grouping != SPLIT:
            own = self.node("field", field, placed=True)
            change = terms.pop((own, sp.S.One), sp.S.Zero)
        constant = terms.pop((None, sp.S.One), sp.S.Zero)
        groups: dict[tuple, dict] = defaultdict(lambda: defaultdict(lambda: sp.S.Zero))
        for (body, moment), known in terms.items():
            for part in [known] if grouping == MERGE else sp.Add.make_args(sp.expand(known)):
                number, rest = _number(part)
                groups[rest, moment][body] += number
        made = [g for (k, m), weights in groups.items() for g in self.groups(k, m, weights)]
        made.sort(key=lambda g: (self.reads(g.body), str(g)))
        known = [None if e == 0 else self.known(e) for e in (change, constant)]
        return Update(known[0], known[1], tuple(made))

    def groups(self, known, moment, weights: dict[Ref | None, sp.Expr]) -> Iterator[Group]:
        """Terms that have the same factor."""
        timed = None if moment == 1 else self.node("moment", moment)
        alone = weights.pop(None, 0)
        bodies = {body: weight for body, weight in weights.items() if weight != 0}
        pairs = [(alone, None)] if alone else []
        for number, body in pairs + ([self.weighted(bodies)] if bodies else []):  # type: ignore
            factor = abs(number) * known
            yield Group(
                1 if number > 0 else -1, None if factor == 1 else self.known(factor), timed, body
            )

    def reads(self, ref: Ref | None) -> Place:
        """The first place at which a value reads the state."""
        if ref is None:
            return self.here
        parts = [self.reads(p) for p in self.nodes[ref.node].parts if self.placed[p.node]]
        return moved(min(parts, default=self.here), ref.place)

    def terms(self, e: Any) -> _Terms:
        """An expression as a sum of products of what is known and what is not."""
        if e not in self._read:
            self._read[e] = self._terms(e)
        return dict(self._read[e])

    def _terms(self, e: Any) -> _Terms:
        if e in self.statements:
            return self.terms(self.statements[e])
        if e in self.loads and e not in self.fixed:
            load = self.loads[e]
            ref = Ref(self.node(load.array, load.index, placed=True).node, load.offset)
            return {(ref, sp.S.One): sp.S.One}
        if self.is_known(e):
            timed = bool(e.free_symbols & self.moments)
            return {(None, e): sp.S.One} if timed else {(None, sp.S.One): e}
        if e.is_Add:
            return _added(self.terms(argument) for argument in e.args)
        if e.is_Mul:
            known = [f for f in e.args if self.is_known(f)]
            rest = [f for f in e.args if not self.is_known(f)]
            if len(rest) == 1 and not _is_inverse(rest[0]):
                return self.times(known, self.terms(rest[0]))
            return self.times(known, self.multiplied(sorted(rest, key=default_sort_key)))
        if _is_inverse(e):
            return self.multiplied([e])
        if e.is_Pow and e.exp.is_Integer and e.exp <= _POWERS:
            return self.multiplied([e.base] * int(e.exp))
        return {(self.function(e), sp.S.One): sp.S.One}

    def is_known(self, e) -> bool:
        """Whether a value is known of the site, or of the time, before the cells."""
        return e.free_symbols <= self.fixed or e.free_symbols <= self.moments | self.scalars.keys()

    def times(self, known: list, terms: _Terms) -> _Terms:
        """A sum times known factors."""
        still = sp.Mul(*(f for f in known if not f.free_symbols & self.moments))
        moving = sp.Mul(*(f for f in known if f.free_symbols & self.moments))
        return {(body, m * moving): k * still for (body, m), k in terms.items()}

    def multiplied(self, factors: Iterable) -> _Terms:
        """A product of values of the state, with the known factors of each factor apart."""
        known, moment = sp.S.One, sp.S.One
        above: list[Ref] = []
        below: list[Ref] = []
        for factor in factors:
            if _is_inverse(factor):
                below.append(self.value(sp.Pow(factor.base, -factor.exp)))
                continue
            terms = self.terms(factor)
            if len(terms) > 1:
                above.append(self.value(factor))
                continue
            (((body, moving), still),) = terms.items()
            known, moment = known * still, moment * moving
            above += [body] if body else []
        result, divisor = self.product(above), self.product(below)
        if divisor:
            self.unsafe = True
            parts = [result, divisor] if result else [divisor]
            names = [sp.Symbol(f"{{{k}}}", real=True) for k in range(len(parts))]
            quotient = names[0] / names[1] if result else 1 / names[0]
            result = self.node("function", quotient, parts)
        return {(result, moment): known}

    def value(self, e) -> Ref:
        """An expression as one value."""
        unit, ref = self.scaled(e)
        return ref if unit == 1 else self.product([self.known(unit), ref]) or ref

    def scaled(self, e) -> tuple[sp.Expr, Ref]:
        """An expression as a number times a value."""
        weights: dict[Ref, sp.Expr] = defaultdict(lambda: sp.S.Zero)
        for (body, moment), known in self.terms(e).items():
            number, rest = _number(known)
            factors = [self.known(rest)] if rest != 1 else []
            factors += [self.node("moment", moment)] if moment != 1 else []
            ref = self.product(factors + ([body] if body else []))
            weights[ref or self.known(sp.S.One)] += number
        return self.weighted(weights)

    def function(self, e) -> Ref:
        """A function, or a choice, of values."""
        self.unsafe |= e.is_Pow or isinstance(e, sp.log) or type(e).__name__ in ("log1p", "tan")
        written: dict[sp.Basic, sp.Expr] = {}
        parts: list[Ref] = []
        waiting: list[sp.Basic] = list(e.args)
        while waiting:
            part = waiting.pop(0)
            if not isinstance(part, sp.Expr) or isinstance(part, sp.Piecewise):
                waiting.extend(part.args)
            elif not part.is_number and part not in written:
                unit, ref = self.scaled(part)
                written[part] = unit * sp.Symbol(f"{{{len(parts)}}}", real=True)
                parts.append(ref)
        return self.node("function", e.xreplace(written), parts)

    def known(self, e) -> Ref:
        """What is known of a site before the steps; the same for all sites without statics."""
        found = sorted(e.free_symbols & self.loads.keys(), key=str)
        places = [self.loads[s].offset for s in found]
        anchor = min(places, default=self.here)
        names = {}
        for symbol, place in zip(found, places, strict=True):
            index, place = self.loads[symbol].index, moved(place, tuple(-a for a in anchor))
            names[symbol] = sp.Symbol(f"s{index}@{place}", real=True)
            self.statics[names[symbol]] = index, place
        ref = self.node("known", sp.sympify(e).xreplace(names), placed=bool(found))
        return Ref(ref.node, anchor)


def _pair_up(table: Table, program: Program) -> None:
    """Split sums such that pairs of their terms are translates of each other."""
    sums = [k for k in program.needed() if table.nodes[k].kind == "sum"]
    while True:
        found: dict[Node, dict[int, list]] = defaultdict(dict)
        for index in sums:
            for kind, pair in _pairs(table, index):
                found[kind].setdefault(index, []).append(pair)
        best, most = None, 1
        for kind, places in sorted(found.items(), key=str):
            count = sum(map(len, places.values()))
            if count > most and any(len(table.nodes[index].parts) > 2 for index in places):
                best, most = kind, count
        if best is None:
            return
        for index, pairs in found[best].items():
            node = table.nodes[index]
            if len(node.parts) == 2:
                continue
            terms = dict(zip(node.parts, node.data, strict=True))
            for unit, first, second in pairs:
                del terms[first], terms[second]
                ref = table.node("sum", best.data, [first, second])
                terms[ref] = unit
                sums += [] if ref.node in sums else [ref.node]
            order = sorted(terms)
            table.nodes[index] = Node("sum", tuple(terms[r] for r in order), tuple(order))


def _pairs(table: Table, index: int) -> Iterator[tuple[Node, tuple]]:
    """Pairs of terms of a sum, as (their sum up to a number and a place, (number, terms))."""
    node = table.nodes[index]
    taken: dict[Node, set[Ref]] = defaultdict(set)
    for k, (first, a) in enumerate(zip(node.parts, node.data, strict=True)):
        for second, b in list(zip(node.parts, node.data, strict=True))[k + 1 :]:
            if not (table.placed[first.node] and table.placed[second.node]):
                continue
            unit = min(abs(a), abs(b), key=float) * (1 if a > 0 else -1)
            apart = moved(second.place, tuple(-p for p in first.place))
            parts = Ref(first.node, table.here), Ref(second.node, apart)
            kind = Node("sum", (a / unit, b / unit), parts)
            if not taken[kind] & {first, second}:
                taken[kind] |= {first, second}
                yield kind, (unit, first, second)


def _added(parts: Iterable[_Terms]) -> _Terms:
    total: _Terms = defaultdict(lambda: sp.S.Zero)
    for terms in parts:
        for key, known in terms.items():
            total[key] += known
    return {key: known for key, known in total.items() if known != 0}


def _number(known: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """A number and what it multiplies; the latter is the same for opposite signs."""
    number, rest = known.as_coeff_Mul()
    if rest.is_Add:
        inner, rest = rest.primitive()
        number *= inner
        if rest.could_extract_minus_sign():
            number, rest = -number, -rest
    return number, rest


def _is_inverse(e) -> bool:
    return bool(e.is_Pow and e.exp.is_number and e.exp < 0)

"""Values at places: what is computed at a site, such that neighbours can share it.

A value is a node at a place. A node at one place from a site is the same node at another place from
its neighbour, so that what two sites have in common is found by looking a node up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sympy as sp

Place = tuple[int, ...]


class Ref(NamedTuple):
    """A node at a place, counted from where it is read."""

    node: int
    place: Place


class Node(NamedTuple):
    """A value; the places of its parts count from its own.

    Attributes:
        kind: "field", "base", "known", "moment", "sum", "product" or "function".
        data: index of the field or base; expression in scalars and statics (known); in scalars and
            values of a stage (moment); weights (sum); expression in symbols "{0}", "{1}" ...
        parts: what it is computed from.
    """

    kind: str
    data: Any
    parts: tuple[Ref, ...] = ()


class Group(NamedTuple):
    """One term of a new value, sign factor moment body; None stands for one.

    Attributes:
        sign: +1 or -1.
        factor: a "known" node.
        moment: a "moment" node.
        body: a value of the state.
    """

    sign: int
    factor: Ref | None
    moment: Ref | None
    body: Ref | None


class Update(NamedTuple):
    """The new value of a field, (1 + change) u + constant + groups; None stands for zero."""

    change: Ref | None
    constant: Ref | None
    groups: tuple[Group, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """What is computed at every site in one step.

    Attributes:
        nodes: all values.
        placed: whether each of them differs from site to site.
        updates: one per field.
        statics: (index, place) of the symbols of statics in "known" nodes.
        scalars: indices of the symbols of scalars.
        unsafe: whether a value may be infinite although the state is finite.
    """

    nodes: Sequence[Node]
    placed: Sequence[bool]
    updates: Sequence[Update]
    statics: Mapping[sp.Symbol, tuple[int, Place]]
    scalars: Mapping[sp.Symbol, int]
    unsafe: bool

    def needed(self) -> list[int]:
        """Nodes that updates read, directly or through others."""
        waiting = [r.node for u in self.updates for r in (u.change, u.constant) if r]
        waiting += [r.node for u in self.updates for g in u.groups for r in g[1:] if r]
        found: set[int] = set()
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += [ref.node for ref in self.nodes[node].parts]
        return sorted(found)

    def uses(self) -> Counter[int]:
        """How often each node is read at one site."""
        read = Counter(g.body.node for u in self.updates for g in u.groups if g.body)
        for index in self.needed():
            read.update(ref.node for ref in self.nodes[index].parts)
        return read


class Table:
    """Nodes, every value once and anchored at the first place that it reads."""

    def __init__(self, ndim: int):
        self.nodes: list[Node] = []
        self.placed: list[bool] = []
        self.here: Place = (0,) * ndim
        self._index: dict[Node, int] = {}

    def node(self, kind: str, data, parts: Sequence[Ref] = (), placed: bool = False) -> Ref:
        """The node of a value, entered if it is new."""
        places = [ref.place for ref in parts if self.placed[ref.node]]
        anchor = min(places, default=self.here)
        back = tuple(-a for a in anchor)
        anchored = tuple(
            Ref(r.node, moved(r.place, back) if self.placed[r.node] else self.here) for r in parts
        )
        node = Node(kind, data, anchored)
        if node not in self._index:
            self._index[node] = len(self.nodes)
            self.nodes.append(node)
            self.placed.append(placed or bool(places))
        return Ref(self._index[node], anchor)

    def weighted(self, weights: Mapping[Ref, sp.Expr]) -> tuple[sp.Expr, Ref]:
        """A weighted sum as a number times a node."""
        parts = sorted(weights)
        if len(parts) == 1:
            return weights[parts[0]], parts[0]
        unit = min((abs(weights[part]) for part in parts), key=float)
        if weights[parts[0]] < 0:
            unit = -unit
        return unit, self.node("sum", tuple(weights[part] / unit for part in parts), parts)

    def product(self, factors: Iterable[Ref]) -> Ref | None:
        """A product; equal factors are squared first, so that squares are found again."""
        parts: list[Ref] = []
        for factor, count in sorted(Counter(factors).items()):
            while count:
                if count % 2:
                    parts.append(factor)
                count //= 2
                if count:
                    factor = self.node("product", None, (factor, factor))
        if not parts:
            return None
        result = parts[-1]
        for factor in reversed(parts[:-1]):
            result = self.node("product", None, sorted((factor, result)))
        return result


def moved(place: Place, by: Place) -> Place:
    """A place further on."""
    return tuple(a + b for a, b in zip(place, by, strict=True))

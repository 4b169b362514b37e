"""What one lane of a tile computes in one step, operation by operation.

A lane keeps the state of a box of cells in registers; values around the box come from the lanes
beside it, or are edges that no lane computes.
"""

from __future__ import annotations

from typing import NamedTuple

from gpupatch.backends._cuda_cells import WARP, Kind, Known, cell_name
from gpupatch.backends._cuda_nodes import Group, Node, Place, Ref, moved

ADD, MULTIPLY, FMA = "add", "multiply", "fma"
SHUFFLE, SHARED, CHOICE, FUNCTION = "shuffle", "shared", "choice", "function"
"""Kinds of operations: arithmetic; a value taken from another lane of the warp, or through shared
memory; one of two values; a function or a quotient."""


class Operation(NamedTuple):
    """One value that is computed in a step.

    Attributes:
        text: its source.
        reads: names of the operations, cells and constants in it.
        kind: what it is counted as, or "" if it is the same for all cells.
    """

    text: str
    reads: tuple[str, ...]
    kind: str


class Lane:
    """The operations of one lane.

    Args:
        known: what is computed at a site, and defined before the steps; definitions are added.
        single: whether the increment of a frozen base is added to every cell.
        moving: whether edges move; what they gain in a step then lies in the row `to`, which is
            zero elsewhere.
        masks_factors: whether cells are frozen by factors, of which there is one more for every
            kind of cell, or by one more multiplication of the whole increment.
        lean: whether edges that move are read in every step rather than kept in registers.

    Attributes:
        before: definitions before the steps that depend on `moving`.
        operations: by name.
        targets: the new values of all fields, by cell.
        drifts: the new values of `edges`, if they move.
        edges: (field, place) of the variables that hold edges outside of all cells.
        exchanged: operations that read what another lane has left in shared memory.
    """

    def __init__(
        self, known: Known, single: bool, moving: bool, masks_factors: bool, lean: bool = False
    ):
        self.program, self.known, self.tile = known.program, known, known.tile
        self.single, self.moving, self.lean = single, moving, lean
        self.masks_factors = masks_factors and not self.program.unsafe
        self.before: list[str] = []
        self.operations: dict[str, Operation] = {}
        self.targets: dict[Place, list[str]] = {}
        self.edges: dict[str, tuple[int, Place]] = {}
        self.exchanged: list[str] = []
        self._uses = self.program.uses()
        self._everywhere: Kind = (0,) * len(self.tile.cells)
        for cell in self.tile.box:
            kind = known.kind(cell)
            if kind is not None:
                self.targets[cell] = [self._update(f, cell, kind) for f in range(self.n_field)]
            elif moving:
                self.targets[cell] = [self._drift("u", f, cell) for f in range(self.n_field)]
        self.drifts = {g: self._drift("g", *at) for g, at in self.edges.items() if moving}

    @property
    def n_field(self) -> int:
        """Fields of the rule."""
        return len(self.program.updates)

    def _operation(self, name: str, kind: str, text: str, *reads: str) -> str:
        if kind in (ADD, MULTIPLY, FMA, FUNCTION) and all(map(self._is_constant, reads)):
            return self.known.define(name, text.format(*reads))
        if name not in self.operations:
            self.operations[name] = Operation(text.format(*reads), reads, kind)
        return name

    def _is_constant(self, name: str) -> bool:
        return self.known.defines(name) or name.startswith("T(")

    def _plus(self, name: str, a: str, b: str, total: str, sign: str = "") -> str:
        """A sum so far, which may be empty, and a product."""
        if not total:
            return self._operation(name, MULTIPLY, f"{sign}{{0}} * {{1}}", a, b)
        return self._operation(name, FMA, f"fma({sign}{{0}}, {{1}}, {{2}})", a, b, total)

    def _update(self, f: int, cell: Place, kind: Kind) -> str:
        """The new value of a field at a cell."""
        update, name = self.program.updates[f], cell_name("n", f, cell)
        if any(kind) and not self.masks_factors:
            return self._masked(f, cell, kind)
        total, gained = cell_name("u", f, cell), self._gained(f, cell, kind)
        if update.constant and not self._combined(kind):
            gained.insert(0, self.known.factor(update.constant, cell, kind))
        if update.change:
            factor = self.known.factor(update.change, cell, kind, one=True)
            total = self._plus(f"{name}_0", factor, total, gained.pop(0) if gained else "")
        for k, gain in enumerate(gained):
            total = self._operation(f"{name}_gain{k}", ADD, "{0} + {1}", total, gain)
        for k, group in enumerate(update.groups):
            total = self._term(group, total, f"{name}_{k + 1}", cell, kind)
        return total

    def _masked(self, f: int, cell: Place, kind: Kind) -> str:
        """The new value of a cell that is frozen in some lanes, where its increment is dropped."""
        update, old = self.program.updates[f], cell_name("u", f, cell)
        name, total = cell_name("n", f, cell), ""
        if update.constant and not self._combined(kind):
            total = self.known.factor(update.constant, cell, self._everywhere)
        if update.change:
            factor = self.known.factor(update.change, cell, self._everywhere)
            total = self._plus(f"{name}_0", factor, old, total)
        for k, group in enumerate(update.groups):
            total = self._term(group, total, f"{name}_{k + 1}", cell, self._everywhere)
        for k, gain in enumerate(self._gained(f, cell, kind)):
            old = self._operation(f"{name}_gain{k}", ADD, "{0} + {1}", old, gain)
        if not total:
            return old
        if not self.program.unsafe:
            return self._plus(f"{name}_new", self.known.mask(kind), total, old)
        total = self._operation(f"{name}_new", ADD, "{0} + {1}", old, total)
        live = self.known.live(kind)
        return self._operation(f"{name}_live", CHOICE, "{0} ? {1} : {2}", live, total, old)

    def _combined(self, kind: Kind) -> bool:
        """Whether the constant of an update is added together with what else a cell gains."""
        return self.single or (self.moving and any(kind) and not self.lean)

    def _gained(self, f: int, cell: Place, kind: Kind) -> list[str]:
        """What a cell gains in every step whatever the state: from the base, or as an edge."""
        drifts = self.moving and any(kind)
        if not self._combined(kind):
            return [self._speed(f, cell)] if drifts else []
        constant, terms = self.program.updates[f].constant, []
        if constant:
            terms.append(self.known.factor(constant, cell, kind))
        if self.single:
            live, base = self.known.live(kind), self.known.site("w", f, cell, "BASE + SIZE + ")
            terms.append(f"({live} ? {base} : T(0.0))" if live else base)
        if drifts:
            terms.append(self.known.site("to", f, cell))
        return [self._define(cell_name("e", f, cell), " + ".join(terms))]

    def _drift(self, kind: str, f: int, at: Place) -> str:
        """The new value of an edge that moves."""
        old, name = cell_name(kind, f, at), cell_name("n", f, at)
        return self._operation(name, ADD, "{0} + {1}", old, self._speed(f, at))

    def _speed(self, f: int, at: Place) -> str:
        """What an edge gains in a step."""
        name, place = cell_name("d", f, at), self.known.site("to", f, at)
        if self.lean:
            return self._operation(name, SHARED, self._now(place))
        return self._define(name, place)

    def _now(self, place: str) -> str:
        """An entry of a row that is read in every step rather than kept in a register."""
        return f"*(const volatile T*)&{place}"

    def _define(self, name: str, text: str) -> str:
        line = f"const T {name} = {text};"
        if line not in self.before:
            self.before.append(line)
        return name

    def _term(self, group: Group, total: str, name: str, cell: Place, mask: Kind) -> str:
        """A sum so far, and one more term."""
        sign = "-" if group.sign < 0 else ""
        factor, moment = group.factor, group.moment
        body = self._value(group.body, cell) if group.body else ""
        if moment and not (factor and self.program.placed[factor.node]):
            known = self._moment(moment, factor, mask)
        else:
            known = self.known.factor(factor, cell, mask) if factor else self.known.mask(mask)
            rest = self._moment(moment, None, self._everywhere) if moment else ""
            if rest and body:
                body = self._operation(f"{name}_t", MULTIPLY, "{0} * {1}", rest, body)
            body = body or rest
        if known and body:
            return self._plus(name, known, body, total, sign)
        text = f"{{0}} {sign or '+'} {{1}}" if total else f"{sign}{{0}}"
        reads = [total] if total else []
        return self._operation(name, ADD, text, *reads, known or body)

    def _moment(self, moment: Ref, factor: Ref | None, mask: Kind) -> str:
        """What is known when a step begins, times a factor, zero where cells are frozen."""
        name, text = f"r{moment.node}", self.known.expression(moment)
        first = self.known.factor(factor, (), mask) if factor else self.known.mask(mask)
        if first:
            name, text = f"{name}_{first}", f"{first} * {text}"
        return self._operation(name, "", text, *([first] if first else []))

    def _value(self, ref: Ref, cell: Place) -> str:
        """A value of the state as a cell reads it."""
        node = self.program.nodes[ref.node]
        at = moved(cell, ref.place) if self.program.placed[ref.node] else cell
        if node.kind == "field":
            return self._field(node.data, at)
        if node.kind == "base":
            text = self.known.site("w", node.data, at, "BASE + ")
            return self.known.define(cell_name("b", node.data, at), text)
        if node.kind == "known":
            return self.known.factor(ref, cell, self._everywhere)
        if node.kind == "moment":
            return self._moment(ref, None, self._everywhere)
        place = at if self.program.placed[ref.node] else ()
        name = cell_name("v", ref.node, place)
        if name in self.operations:
            return name
        if node.kind == "sum":
            return self._sum(name, node, at)
        parts = [self._value(part, at) for part in node.parts]
        if node.kind == "product":
            return self._operation(name, MULTIPLY, "{0} * {1}", *parts)
        return self._operation(name, FUNCTION, self.known.print(node.data), *parts)

    def _sum(self, name: str, node: Node, at: Place) -> str:
        terms = []
        for weight, part in zip(node.data, node.parts, strict=True):
            inner, sign = self.program.nodes[part.node], "-" if weight < 0 else ""
            if abs(weight) != 1:
                number = self.known.print.number(abs(float(weight)))
                terms.append((3, sign, [number, self._value(part, at)]))
            elif inner.kind == "product" and self._uses[part.node] == 1:
                place = moved(at, part.place) if self.program.placed[part.node] else at
                terms.append((2, sign, [self._value(p, place) for p in inner.parts]))
            else:
                terms.append((1 if sign else 0, sign, [self._value(part, at)]))
        total = ""
        for k, (_, sign, factors) in enumerate(sorted(terms, key=lambda term: term[0])):
            target = name if k == len(terms) - 1 else f"{name}_{k}"
            if not total and not sign and len(factors) == 1:
                total = factors[0]
            elif not total:
                text = sign + " * ".join(["{0}", "{1}"][: len(factors)])
                total = self._operation(target, MULTIPLY, text, *factors)
            elif len(factors) == 1:
                total = self._operation(target, ADD, f"{{0}} {sign or '+'} {{1}}", total, *factors)
            else:
                total = self._plus(target, factors[0], factors[1], total, sign)
        return total

    def _field(self, f: int, at: Place) -> str:
        """The old value of a field at a place in or around the box."""
        for axis, (p, cells) in enumerate(zip(at, self.tile.cells, strict=True)):
            if not 0 <= p < cells:
                return self._around(f, at, axis)
        return cell_name("u", f, at)

    def _around(self, f: int, at: Place, axis: int) -> str:
        """The old value at a place that another lane owns, or an edge that no lane owns."""
        p, cells, lanes = at[axis], self.tile.cells[axis], self.tile.lanes[axis]
        back = [0] * len(at)
        back[axis] = cells if p < 0 else -cells
        source = self._field(f, moved(at, tuple(back)))
        apart, beyond = self.tile.apart(axis), self.known.beyond(axis, p)
        name = cell_name("h", f, at)
        inner = f"{name}_in" if beyond else name
        if apart * lanes > WARP:
            if inner not in self.exchanged:
                self.exchanged.append(inner)
            other = self._neighbour(axis, p < 0)
            text = f"around[step % 2][{self.exchanged.index(inner)}][{other}]"
            self.operations.setdefault(inner, Operation(text, (source,), SHARED))
        else:
            way = "up" if p < 0 else "down"
            text = f"__shfl_{way}_sync(team.mask, {{0}}, {apart}, {apart * lanes})"
            self._operation(inner, SHUFFLE, text, source)
        if not beyond:
            return name
        edge = cell_name("g", f, at)
        if self.lean:
            passed = self._operation("passed", "", "T(step)")
            begun = self._operation(f"{edge}_0", SHARED, self._now(self.known.site("from", f, at)))
            self._operation(edge, FMA, "fma({0}, {1}, {2})", passed, self._speed(f, at), begun)
        else:
            self.edges[edge] = f, at
        return self._operation(name, CHOICE, "{0} ? {1} : {2}", beyond, edge, inner)

    def _neighbour(self, axis: int, before: bool) -> str:
        """The rank of the lane beside this one, or its own at the end of the team."""
        apart = self.tile.apart(axis)
        if before:
            text = f"lane{axis} > 0 ? team.rank - {apart} : team.rank"
        else:
            last = self.tile.lanes[axis] - 1
            text = f"lane{axis} < {last} ? team.rank + {apart} : team.rank"
        return self.known.define(f"{'before' if before else 'after'}{axis}", text, "int")

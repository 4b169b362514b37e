"""What one lane of a tile computes in one step, operation by operation.

A lane keeps the state of a box of cells in registers; values around the box come from the lanes
beside it. New values replace old ones in place: whatever reads the old value of a cell is computed
before the cell is overwritten, so that nothing has to be moved between registers.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from gpupatch.backends._cuda_cells import WARP, Kind, Known, cell_name
from gpupatch.backends._cuda_nodes import Group, Place, Program, Ref, moved

ADD, MULTIPLY, FMA = "add", "multiply", "fma"
SHUFFLE, SHARED, CHOICE, FUNCTION = "shuffle", "shared", "choice", "function"
"""Kinds of operations: arithmetic; a value taken from another lane of the warp, or written to or
read from shared memory; one of two values; a function or a quotient."""


class Operation(NamedTuple):
    """One value that is computed in a step.

    Attributes:
        text: its source.
        reads: names of the operations, cells and constants in it.
        kind: what it is counted as, or "" if it does not depend on the cell.
    """

    text: str
    reads: tuple[str, ...]
    kind: str


class Lane:
    """The operations of one lane.

    Args:
        program: what is computed at a site.
        known: what is defined before the steps; definitions are added.
        single: whether the increment of a frozen base is added to every cell.
        moving: whether edge sites move by what the row `to` holds for them.

    Attributes:
        before: definitions before the steps that depend on `moving`.
        edges: variables that hold edge sites outside of all cells, and where they are read.
        lines: the operations of one step, in order.
        count: how many operations of each kind there are.
        exchanged: values per lane that a team of several warps exchanges through shared memory.
    """

    def __init__(self, program: Program, known: Known, single: bool, moving: bool):
        self.program, self.known, self.tile = program, known, known.tile
        self.single, self.moving = single, moving
        self.before: list[str] = []
        self.edges: dict[str, tuple[int, Place]] = {}
        self.lines: list[str] = []
        self.count: Counter[str] = Counter()
        self.exchanged: list[str] = []
        self._uses = program.uses()
        self._operations: dict[str, Operation] = {}
        self._order: list[str] = []
        self._schedule(self._targets())

    def registers(self) -> int:
        """Values that are alive at the same time at most, as the operations are ordered."""
        cells = {cell_name("u", f, c) for c in self.tile.box for f in range(self._n_field)}
        last = {}
        for k, name in enumerate(self._order):
            last |= dict.fromkeys(self._operations[name].reads, k)
        constants = last.keys() - self._operations.keys() - cells - self.edges.keys()
        alive = most = 0
        ends = Counter(last[name] for name in self._order if name in last)
        for k, name in enumerate(self._order):
            alive += name in last
            most = max(most, alive)
            alive -= ends[k]
        return len(cells) + len(self.edges) * (1 + self.moving) + len(constants) + most

    @property
    def _n_field(self) -> int:
        return len(self.program.updates)

    def _targets(self) -> dict[Place, list[str]]:
        targets = {}
        for cell in self.tile.box:
            kind = self.known.kind(cell)
            if kind is not None:
                targets[cell] = [self._update(f, cell, kind) for f in range(self._n_field)]
            elif self.moving:
                targets[cell] = [self._drift("u", f, cell) for f in range(self._n_field)]
        return targets

    def _schedule(self, targets: dict[Place, list[str]]) -> None:
        readers: dict[str, list[str]] = {}
        for name, operation in self._operations.items():
            for read in operation.reads:
                readers.setdefault(read, []).append(name)
        for k, name in enumerate(self.exchanged):
            source = self._operations[name].reads[0]
            self._emit(source)
            self.lines.append(f"around[step % 2][{k}][team.rank] = {source};")
            self.count[SHARED] += 1
        if self.exchanged:
            self.lines.append("team.sync();")
        for name in [n for n, o in self._operations.items() if o.kind in (SHUFFLE, SHARED)]:
            self._emit(name)
        for cell, names in targets.items():
            for f in range(len(names)):
                for reader in readers.get(cell_name("u", f, cell), []):
                    self._emit(reader)
            for name in names:
                self._emit(name)
            self.lines += [f"{cell_name('u', f, cell)} = {n};" for f, n in enumerate(names)]
        for edge, (f, at) in self.edges.items() if self.moving else ():
            speed = self._define(cell_name("e", f, at), self.known.site("to", f, at))
            self.count[ADD] += 1
            self.lines.append(f"{edge} = {edge} + {speed};")

    def _emit(self, name: str) -> None:
        operation = self._operations.get(name)
        if operation is None or name in self._order:
            return
        for read in operation.reads:
            self._emit(read)
        self._order.append(name)
        self.count[operation.kind] += 1
        self.lines.append(f"const T {name} = {operation.text};")

    def _operation(self, name: str, kind: str, text: str, *reads: str) -> str:
        if name not in self._operations:
            self._operations[name] = Operation(text.format(*reads), reads, kind)
        return name

    def _update(self, f: int, cell: Place, kind: Kind) -> str:
        """The new value of a field at a cell."""
        update, old, name = (
            self.program.updates[f],
            cell_name("u", f, cell),
            cell_name("n", f, cell),
        )
        chosen = any(kind) and self.program.unsafe
        mask = (0,) * len(kind) if chosen else kind
        added, total = self._added(f, cell, kind), old
        if update.change:
            factor = self.known.factor(update.change, cell, mask, one=True)
            if added:
                text = "fma({0}, {1}, {2})"
                total = self._operation(f"{name}_0", FMA, text, factor, old, added)
            else:
                total = self._operation(f"{name}_0", MULTIPLY, "{0} * {1}", factor, old)
        elif added:
            total = self._operation(f"{name}_0", ADD, "{0} + {1}", old, added)
        for k, group in enumerate(update.groups):
            total = self._term(group, total, f"{name}_{k + 1}", cell, mask)
        if chosen:
            reads = [self.known.live(kind), total, old, *([added] if added else [])]
            text = "{0} ? {1} : {2} + {3}" if added else "{0} ? {1} : {2}"
            total = self._operation(f"{name}_live", CHOICE, text, *reads)
        return total

    def _drift(self, kind: str, f: int, at: Place) -> str:
        """The new value of an edge that moves."""
        speed = self._define(cell_name("e", f, at), self.known.site("to", f, at))
        return self._operation(
            cell_name("n", f, at), ADD, "{0} + {1}", cell_name(kind, f, at), speed
        )

    def _added(self, f: int, cell: Place, kind: Kind) -> str:
        """What is added to a cell in every step, or ""."""
        constant, live = self.program.updates[f].constant, self.known.live(kind)
        text = self.known.factor(constant, cell, (0,) * len(kind)) if constant else ""
        if self.single:
            base = self.known.site("w", f, cell, "BASE + SIZE + ")
            text = f"{text} + {base}" if text else base
        elif not (live and self.moving):
            return self.known.factor(constant, cell, kind) if constant else ""
        if live:
            still = self.known.site("to", f, cell) if self.moving else "T(0.0)"
            text = f"{live} ? {text or 'T(0.0)'} : {still}"
        return self._define(cell_name("e", f, cell), text)

    def _define(self, name: str, text: str) -> str:
        line = f"const T {name} = {text};"
        if line not in self.before:
            self.before.append(line)
        return name

    def _term(self, group: Group, total: str, name: str, cell: Place, mask: Kind) -> str:
        """A sum so far, and one more term."""
        sign = "-" if group.sign < 0 else ""
        factor, moment = group.factor, group.moment
        everywhere = (0,) * len(mask)
        body = self._value(group.body, cell) if group.body else ""
        if moment and not (factor and self.program.placed[factor.node]):
            known = self._moment(moment, factor, mask)
        else:
            known = self.known.factor(factor, cell, mask) if factor else self.known.mask(mask)
            rest = self._moment(moment, None, everywhere) if moment else ""
            if rest and body:
                body = self._operation(f"{name}_t", MULTIPLY, "{0} * {1}", rest, body)
            body = body or rest
        if known and body:
            return self._operation(name, FMA, f"fma({sign}{{0}}, {{1}}, {{2}})", known, body, total)
        return self._operation(name, ADD, f"{{0}} {sign or '+'} {{1}}", total, known or body)

    def _moment(self, moment: Ref, factor: Ref | None, mask: Kind) -> str:
        """What is known when a step begins, times a factor, zero where cells are frozen."""
        name, text = f"r{moment.node}", self.known.expression(moment)
        first = self.known.factor(factor, (), mask) if factor else self.known.mask(mask)
        if first:
            name, text = f"{name}_{first}", f"{first} * {text}"
        return self._operation(name, "", text, *([first] if first else []))

    def _value(self, ref: Ref, cell: Place) -> str:
        """A value of the state as a cell reads it."""
        node, everywhere = self.program.nodes[ref.node], (0,) * len(cell)
        at = moved(cell, ref.place) if self.program.placed[ref.node] else cell
        if node.kind == "field":
            return self._field(node.data, at)
        if node.kind == "base":
            text = self.known.site("w", node.data, at, "BASE + ")
            return self.known.define(cell_name("b", node.data, at), text)
        if node.kind == "known":
            return self.known.factor(ref, cell, everywhere)
        if node.kind == "moment":
            return self._moment(ref, None, everywhere)
        place = at if self.program.placed[ref.node] else ()
        name = cell_name("v", ref.node, place)
        if name in self._operations:
            return name
        if node.kind == "sum":
            return self._sum(name, node, at)
        parts = [self._value(part, at) for part in node.parts]
        if node.kind == "product":
            return self._operation(name, MULTIPLY, "{0} * {1}", *parts)
        return self._operation(name, FUNCTION, self.known.print(node.data), *parts)

    def _sum(self, name: str, node, at: Place) -> str:
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
                text = f"fma({sign}{{0}}, {{1}}, {{2}})"
                total = self._operation(target, FMA, text, *factors, total)
        return total

    def _field(self, f: int, at: Place) -> str:
        """The old value of a field at a place in or around the box."""
        for axis, (p, cells) in enumerate(zip(at, self.tile.cells, strict=True)):
            if not 0 <= p < cells:
                return self._around(f, at, axis)
        return cell_name("u", f, at)

    def _around(self, f: int, at: Place, axis: int) -> str:
        p, cells, lanes = at[axis], self.tile.cells[axis], self.tile.lanes[axis]
        back = [0] * len(at)
        back[axis] = cells if p < 0 else -cells
        source = self._field(f, moved(at, tuple(back)))
        name, apart, beyond = (
            cell_name("h", f, at),
            self.tile.apart(axis),
            self.known.beyond(axis, p),
        )
        inner = f"{name}_in" if beyond else name
        if apart * lanes > WARP:
            if inner not in self.exchanged:
                self.exchanged.append(inner)
            other = self._neighbour(axis, p < 0)
            text = f"around[step % 2][{self.exchanged.index(inner)}][{other}]"
            self._operations.setdefault(inner, Operation(text, (source,), SHARED))
        else:
            way = "up" if p < 0 else "down"
            text = f"__shfl_{way}_sync(team.mask, {{0}}, {apart}, {apart * lanes})"
            self._operation(inner, SHUFFLE, text, source)
        if not beyond:
            return name
        edge = cell_name("g", f, at)
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

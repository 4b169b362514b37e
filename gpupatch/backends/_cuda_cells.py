"""Which lane of a team owns which sites of a patch, and what a lane knows before the steps."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import sympy as sp

from gpupatch.backends._cuda_nodes import Place, Program, Ref, moved
from gpupatch.backends._site_loops import Geometry
from gpupatch.micro.printers import CudaPrinter

WARP = 32

Kind = tuple[int, ...]
"""Per axis 0 if a cell is live in every lane, else the number of a set of lanes in which it is."""


@dataclass(frozen=True)
class Tile:
    """How a team of lanes covers the sites of one patch.

    Attributes:
        lanes: lanes per axis, powers of two; their product is the number of threads of the team.
        cells: cells per lane and axis.
        start: per axis, the site that is the first cell of the first lane; sites outside of the
            cells of all lanes are edges. 0 when absent.
    """

    lanes: tuple[int, ...]
    cells: tuple[int, ...]
    start: tuple[int, ...] = ()

    @property
    def team(self) -> int:
        """Threads that advance one patch."""
        return math.prod(self.lanes)

    @property
    def first(self) -> Place:
        """The site of the first cell of the first lane."""
        return self.start or (0,) * len(self.lanes)

    @property
    def box(self) -> list[Place]:
        """The cells of a lane, in memory order."""
        return list(itertools.product(*map(range, self.cells)))

    def apart(self, axis: int) -> int:
        """Distance in rank of neighbouring lanes."""
        return math.prod(self.lanes[axis + 1 :])


class Known:
    """What is defined before the steps: where cells are, whether they are live, and factors.

    Padding, and edges among the cells, are frozen by factors that are zero in their lanes.

    Args:
        program: what is computed at a site.
        geometry: sites of the patch.
        tile: lanes and cells.

    Attributes:
        lines: definitions, in order.
    """

    def __init__(self, program: Program, geometry: Geometry, tile: Tile):
        self.program, self.geometry, self.tile = program, geometry, tile
        self.print = CudaPrinter("T")
        self.classes = [_classes(geometry, tile, axis) for axis in range(len(tile.cells))]
        self.lines = [
            f"const int lane{axis} = team.rank / {tile.apart(axis)} % {n};"
            for axis, n in enumerate(tile.lanes)
        ]
        self._names: set[str] = set()
        self._texts: dict[int, tuple[str, list[tuple[int, Place]]]] = {}
        axes = range(len(tile.lanes))
        self._strides = [geometry.place([int(k == axis) for k in axes]) for axis in axes]
        terms = [f"lane{k} * {tile.cells[k] * self._strides[k]}" for k in axes]
        self.define("here", " + ".join(terms), "int64_t")

    def define(self, name: str, text: str, kind: str = "T") -> str:
        """A constant, defined when it is first asked for."""
        if name not in self._names:
            self._names.add(name)
            self.lines.append(f"const {kind} {name} = {text};")
        return name

    def defines(self, name: str) -> bool:
        """Whether a name is a constant."""
        return name in self._names

    def kind(self, cell: Place) -> Kind | None:
        """In which lanes a cell is live; None if in none of them."""
        found = [classes[c] for classes, c in zip(self.classes, cell, strict=True)]
        return None if None in found else tuple(found)  # type: ignore[arg-type]

    def live(self, kind: Kind) -> str:
        """Whether cells of a kind are live in this lane; "" if they are in every lane."""
        tests = []
        for axis, number in enumerate(kind):
            if number:
                low, high = (ends[axis] for ends in self.geometry.inside)
                site = self._along(axis, self.classes[axis].index(number))
                tests.append(f"{site} >= {low} && {site} < {high}")
        return self.define(f"live{_joined(kind)}", " && ".join(tests), "bool") if tests else ""

    def mask(self, kind: Kind) -> str:
        """One in lanes where cells of a kind are live, else zero; "" if they are in every lane."""
        live = self.live(kind)
        return self.define(f"m{_joined(kind)}", f"{live} ? T(1.0) : T(0.0)") if live else ""

    def site(self, array: str, index: int, at: Place, start: str = "") -> str:
        """An entry of an array of sites, at a place of the lane or at the site nearest to it."""
        shift, names, clamped = index * self.geometry.n_site, [], False
        for axis, p in enumerate(at):
            n, first = self.geometry.sites[axis], self.tile.first[axis] + p
            last = first + (self.tile.lanes[axis] - 1) * self.tile.cells[axis]
            clamped |= first < 0 or last >= n
            shift += first * self._strides[axis]
        if not clamped:
            return f"({array} + {start}here)[{shift}]"
        for axis, p in enumerate(at):
            text, n = self._along(axis, p), self.geometry.sites[axis]
            text = f"min(max({text}, 0), {n - 1}) * {self._strides[axis]}"
            names.append(self.define(f"x{axis}{_joined((p,))}", text, "int"))
        return f"{array}[{start}{index * self.geometry.n_site} + {' + '.join(names)}]"

    def beyond(self, axis: int, p: int) -> str:
        """Whether this lane finds a place outside its cells among the edges outside all cells.

        "" if no lane does: then no live cell reads such a place in a lane at the end of the team.
        """
        first, n = self.tile.first[axis] + p, self.tile.lanes[axis]
        if p < 0:
            return self.define(f"first{axis}", f"lane{axis} == 0", "bool") if first >= 0 else ""
        last = first + (n - 1) * self.tile.cells[axis] < self.geometry.sites[axis]
        return self.define(f"last{axis}", f"lane{axis} == {n - 1}", "bool") if last else ""

    def factor(self, ref: Ref, cell: Place, kind: Kind, one: bool = False) -> str:
        """What a "known" node is at a cell, zero where the cell is frozen.

        Args:
            ref: the node.
            cell: the cell that reads it.
            kind: in which lanes the cell is live.
            one: whether one is added.
        """
        at = moved(cell, ref.place) if self.program.placed[ref.node] else ()
        mask = self.mask(kind)
        name = f"{'o' if one else 'k'}{ref.node}{_joined(at)}"
        name += f"_at{_joined(kind)}" if mask else ""
        if self.defines(name):
            return name
        text = self.expression(ref, at)
        text = f"{mask} * {text}" if mask else text
        return self.define(name, f"T(1.0) + {text}" if one else text)

    def expression(self, ref: Ref, at: Place = ()) -> str:
        """The text of a "known" or "moment" node."""
        if ref.node not in self._texts:
            self._texts[ref.node] = self._text(self.program.nodes[ref.node].data)
        text, statics = self._texts[ref.node]
        return text.format(*(self.site("given.s", k, moved(at, place)) for k, place in statics))

    def _text(self, expression) -> tuple[str, list[tuple[int, Place]]]:
        """An expression with {} for its statics, and their indices and places."""
        names, statics = {}, []
        for symbol in sorted(expression.free_symbols, key=str):
            if symbol in self.program.statics:
                names[symbol] = sp.Symbol(f"{{{len(statics)}}}", real=True)
                statics.append(self.program.statics[symbol])
            elif symbol in self.program.scalars:
                self.define(symbol.name, f"T(given.q[{self.program.scalars[symbol]}])")
        return self.print(expression.xreplace(names)), statics

    def _along(self, axis: int, p: int) -> str:
        first = self.tile.first[axis] + p
        if self.tile.lanes[axis] == 1:
            return str(first)
        return f"lane{axis} * {self.tile.cells[axis]} {'-' if first < 0 else '+'} {abs(first)}"


def cell_name(kind: str, field: int, at: Place) -> str:
    """The name of a value of a field at a place of the lane."""
    return f"{kind}{field}{_joined(at)}"


def _joined(numbers) -> str:
    return "".join(f"_m{-n}" if n < 0 else f"_{n}" for n in numbers)


def _classes(geometry: Geometry, tile: Tile, axis: int) -> list[int | None]:
    """For every cell along an axis, in which lanes it is live; see `Kind` and `Known.kind`."""
    low, high = (ends[axis] for ends in geometry.inside)
    lanes, cells, first = tile.lanes[axis], tile.cells[axis], tile.first[axis]
    found: dict[tuple[bool, ...], int | None] = {(True,) * lanes: 0, (False,) * lanes: None}
    classes = []
    for cell in range(cells):
        live = tuple(low <= first + lane * cells + cell < high for lane in range(lanes))
        classes.append(found.setdefault(live, len(found) - 1))
    return classes

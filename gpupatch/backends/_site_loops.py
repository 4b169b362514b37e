"""What is computed at every site of a patch, before it is written in a language.

While a burst runs, all that changes in a patch lives in one row `w`: the state, the stage states
and, in float32, the frozen base and its increment. Places in the row are constants of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import sympy as sp

from gpupatch.micro.lower import Block, Load
from gpupatch.micro.model import MicroModel
from gpupatch.micro.printers import ScalarPrinter
from gpupatch.micro.trace import SPACINGS, scalar_symbol

_STAGE_TIME = {scalar_symbol("t"): sp.Symbol("now", real=True)}
"""In the passes `t` is the time at which a run begins, `now` the time of the present stage."""


class Assignment(NamedTuple):
    """One line of generated code.

    Attributes:
        target: a new name, or a place in memory.
        value: source of the value.
        type: type of a new name, or "" for a place in memory.
    """

    target: str
    value: str
    type: str = ""


Store = Callable[[list[str], int], list[Assignment]]
"""From the printed outputs and the place of the first site, the lines that store them."""


@dataclass(frozen=True)
class Geometry:
    """What is fixed when a rule is compiled.

    Attributes:
        sites: sites per axis, edge layers included.
        edges: edge layers per axis.
        alike: pairs of names of spacings that are equal, such as ("dy", "dx").
    """

    sites: tuple[int, ...]
    edges: tuple[int, ...]
    alike: tuple[tuple[str, str], ...] = ()

    @property
    def n_site(self) -> int:
        """Sites per patch."""
        return int(np.prod(self.sites))

    @property
    def inside(self) -> tuple[list[int], list[int]]:
        """First interior site and first site after the interior, per axis."""
        ends = [n - e for n, e in zip(self.sites, self.edges, strict=True)]
        return list(self.edges), ends

    def place(self, index: Sequence[int]) -> int:
        """Distance in memory of a site, or of an offset, from the first site of a patch."""
        distance = 0
        for step, n in zip(index, self.sites, strict=True):
            distance = distance * n + step
        return distance


def geometry_of(model: MicroModel) -> Geometry:
    """The sizes of a batch of patches.

    Args:
        model: the micro-rule bound to the batch.
    """
    first: dict[float, str] = {}
    alike = []
    for name, value in zip(SPACINGS, model.spacing, strict=False):
        if value in first:
            alike.append((name, first[value]))
        first.setdefault(value, name)
    return Geometry(model.sites, model.edges, tuple(alike))


@dataclass(frozen=True)
class SiteLoop:
    """The evaluation of a block at every site of a window of one patch.

    Attributes:
        block: what is evaluated.
        read: source of a field or base value at a place in memory.
        store: lines that store the outputs.
        precision: "T" for the working precision, or "float64".
        static: source of a static at a place in memory.
        scalar: source of a scalar by its index.
    """

    block: Block
    read: Callable[[Load, int], str]
    store: Store
    precision: str = "T"
    static: str = "s[{} + i]"
    scalar: str = "q[{}]"

    def scalars(self) -> list[Assignment]:
        """Fetch the scalars, in the working precision."""
        return [self._local(n, self.scalar.format(k)) for n, k in self.block.scalars]

    def moment(self, printer: type[ScalarPrinter] = ScalarPrinter) -> list[Assignment]:
        """Evaluate, in float64, what depends on the time `now` but not on place.

        Args:
            printer: the language.
        """
        exact, lines = printer("float64"), []
        known: dict[sp.Basic, sp.Basic] = {**_STAGE_TIME}
        used = {s for _, e in self.block.stage for s in e.free_symbols}
        for symbol in sorted(used, key=str):
            index = dict(self.block.scalars).get(str(symbol))
            if index is not None:
                known[symbol] = sp.Symbol(f"{symbol}_exact", real=True)
                fetched = self.scalar.format(index)
                lines.append(Assignment(str(known[symbol]), fetched, "float64"))
        for name, expression in self.block.stage:
            lines.append(self._local(name, exact(expression.xreplace(known))))
        return lines

    def site(
        self, geometry: Geometry, low: Sequence[int], printer: type[ScalarPrinter] = ScalarPrinter
    ) -> list[Assignment]:
        """Evaluate the block at one site and store its outputs.

        Args:
            geometry: sizes, which become constants.
            low: first site of the window, per axis; `i` is the distance of the site from it.
            printer: the language.
        """
        lines = []
        for load in self.block.loads:
            place = geometry.place([a + o for a, o in zip(low, load.offset, strict=True)])
            place += load.index * geometry.n_site
            static = load.array == "static"
            value = self.static.format(place) if static else self.read(load, place)
            lines.append(Assignment(load.symbol, value, self.precision))
        shown = printer(self.precision)
        for name, expression in self.block.statements:
            lines.append(Assignment(name, shown(expression), self.precision))
        return lines + self.store([shown(e) for e in self.block.outputs], geometry.place(low))

    def _local(self, name: str, value: str) -> Assignment:
        return Assignment(name, f"{self.precision}({value})", self.precision)


def store_in(array: str, geometry: Geometry, start: int = 0) -> Store:
    """Lines that store outputs field by field in an array.

    Args:
        array: its name.
        geometry: sizes.
        start: place of the first field.
    """

    def lines(values: list[str], corner: int) -> list[Assignment]:
        return [
            Assignment(f"{array}[{start + f * geometry.n_site + corner} + i]", value)
            for f, value in enumerate(values)
        ]

    return lines

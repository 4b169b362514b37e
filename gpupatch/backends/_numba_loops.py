"""Loops over the sites of one patch, as source for Numba."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp

from gpupatch.micro.lower import Block, Load
from gpupatch.micro.printers import ScalarPrinter
from gpupatch.micro.trace import scalar_symbol

_STAGE_TIME = {scalar_symbol("t"): sp.Symbol("now", real=True)}
"""In the passes `t` is the time at which a run begins, `now` the time of the present stage."""

Store = Callable[[list[str], int], list[str]]
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

    def scalars(self) -> list[str]:
        """Lines that fetch the scalars, in the working precision."""
        precision, scalar = self.precision, self.scalar
        return [f"{n} = {precision}({scalar.format(k)})" for n, k in self.block.scalars]

    def moment(self) -> list[str]:
        """Lines that evaluate, in float64, what depends on the time `now` but not on place."""
        exact, lines = ScalarPrinter("float64"), []
        used = {str(s) for _, e in self.block.stage for s in e.free_symbols}
        for name, index in self.block.scalars:
            if name in used:
                lines.append(f"{name} = {self.scalar.format(index)}")
        for name, expression in self.block.stage:
            lines.append(f"{name} = {exact(expression.xreplace(_STAGE_TIME))}")
        lines += [f"{name} = {self.precision}({name})" for name, _ in self.block.stage]
        return lines + (self.scalars() if lines else [])

    def sites(self, geometry: Geometry, window=None, line: str = "") -> list[str]:
        """Lines of the loop over the sites; `i` counts from the first site of the window.

        Args:
            geometry: sizes, which become constants.
            window: first site and first site after the last, per axis; the interior when absent.
            line: variable that holds the sites along the last axis, instead of a constant.
        """
        low, high = window or geometry.inside
        lines, indent, steps = [], "", []
        lengths = [str(end - first) for first, end in zip(low, high, strict=True)]
        lengths[-1] = line or lengths[-1]
        for axis, length in enumerate(lengths):
            lines.append(f"{indent}for i{axis} in range({length}):")
            stride = geometry.place([int(k == axis) for k in range(len(low))])
            steps.append(f"i{axis} * {stride}" if stride > 1 else f"i{axis}")
            indent += "    "
        body = [f"i = {' + '.join(steps)}"]
        for load in self.block.loads:
            place = geometry.place([a + o for a, o in zip(low, load.offset, strict=True)])
            place += load.index * geometry.n_site
            static = load.array == "static"
            value = self.static.format(place) if static else self.read(load, place)
            body.append(f"{load.symbol} = {value}")
        printer = ScalarPrinter(self.precision)
        body += [f"{name} = {printer(expression)}" for name, expression in self.block.statements]
        body += self.store([printer(e) for e in self.block.outputs], geometry.place(low))
        return lines + [indent + line for line in body]

    def function(self, head: str, geometry: Geometry, cleared: str = "", window=None) -> str:
        """A function of the time `now` that runs the loop.

        Args:
            head: its name and arguments.
            geometry: sizes.
            cleared: array that is set to zero first, if any.
            window: as for `sites`.
        """
        zero = [f"for i in range({cleared}.size):", f"    {cleared}[i] = 0.0"] if cleared else []
        lines = [*zero, *self.scalars(), *self.moment(), *self.sites(geometry, window)]
        return function(head, lines)


def function(head: str, lines: list[str]) -> str:
    """The text of a function with the given lines."""
    return "\n".join([f"def {head}:", *(f"    {line}" for line in lines)]) + "\n"


def indented(lines: list[str], head: str) -> list[str]:
    """Lines under a compound statement."""
    return [head, *(f"    {line}" for line in lines)]

"""Loops over the sites of one patch, as source for Numba."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gpupatch.micro.lower import Block, Load
from gpupatch.micro.printers import ScalarPrinter

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
    """A function that evaluates a block at every site of a window.

    Attributes:
        name: of the function.
        arguments: of the function.
        block: what is evaluated.
        read: source of a field or base value at a place in memory.
        store: lines that store the outputs.
        precision: "T" for the working precision, or "float64".
        statics: name of the row of statics.
        scalars: name of the row of scalars.
        cleared: array that is set to zero first, or nothing.
    """

    name: str
    arguments: str
    block: Block
    read: Callable[[Load, int], str]
    store: Store
    precision: str = "T"
    statics: str = "s"
    scalars: str = "q"
    cleared: str = ""

    def source(self, geometry: Geometry, window=None) -> str:
        """The text of the function.

        Args:
            geometry: sizes, which become constants.
            window: first site and first site after the last, per axis; the interior when absent.
        """
        low, high = window or geometry.inside
        lines = [f"def {self.name}({self.arguments}):", *self._once()]
        indent, steps = "    ", []
        for axis, (first, end) in enumerate(zip(low, high, strict=True)):
            lines.append(f"{indent}for i{axis} in range({end - first}):")
            stride = geometry.place([int(k == axis) for k in range(len(low))])
            steps.append(f"i{axis} * {stride}" if stride > 1 else f"i{axis}")
            indent += "    "
        body = [f"i = {' + '.join(steps)}"]
        for load in self.block.loads:
            place = geometry.place([a + o for a, o in zip(low, load.offset, strict=True)])
            place += load.index * geometry.n_site
            static = load.array == "static"
            value = f"{self.statics}[{place} + i]" if static else self.read(load, place)
            body.append(f"{load.symbol} = {value}")
        printer = ScalarPrinter(self.precision)
        body += [f"{name} = {printer(expression)}" for name, expression in self.block.statements]
        body += self.store([printer(e) for e in self.block.outputs], geometry.place(low))
        return "\n".join(lines + [indent + line for line in body]) + "\n"

    def _once(self) -> list[str]:
        """What is computed before the loop: in float64, then rounded to the working precision."""
        exact = ScalarPrinter("float64")
        lines = [f"    {self.cleared}[:] = 0.0"] if self.cleared else []
        lines += [f"    {name} = {self.scalars}[{index}]" for name, index in self.block.scalars]
        lines += [f"    {name} = {exact(expression)}" for name, expression in self.block.stage]
        names = [name for name, _ in (*self.block.scalars, *self.block.stage)]
        return lines + [f"    {name} = {self.precision}({name})" for name in names]

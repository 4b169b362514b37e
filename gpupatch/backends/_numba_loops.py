"""Loops over the sites of one patch, as source for Numba."""

from __future__ import annotations

from collections.abc import Sequence

from gpupatch.backends._site_loops import Assignment, Geometry, SiteLoop


def assignments(lines: Sequence[Assignment]) -> list[str]:
    """Assignments as lines of Python."""
    return [f"{line.target} = {line.value}" for line in lines]


def site_lines(loop: SiteLoop, geometry: Geometry, window=None, line: str = "") -> list[str]:
    """Lines of the loop over the sites; `i` counts from the first site of the window.

    Args:
        loop: what is done at each site.
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
    body = [f"i = {' + '.join(steps)}", *assignments(loop.site(geometry, low))]
    return lines + [indent + line for line in body]


def loop_function(
    loop: SiteLoop, head: str, geometry: Geometry, cleared: str = "", window=None
) -> str:
    """A function of the time `now` that runs a loop.

    Args:
        loop: what is done at each site.
        head: name and arguments of the function.
        geometry: sizes.
        cleared: array that is set to zero first, if any.
        window: as for `site_lines`.
    """
    zero = [f"for i in range({cleared}.size):", f"    {cleared}[i] = 0.0"] if cleared else []
    known = assignments([*loop.scalars(), *loop.moment()])
    return function(head, [*zero, *known, *site_lines(loop, geometry, window)])


def function(head: str, lines: list[str]) -> str:
    """The text of a function with the given lines."""
    return "\n".join([f"def {head}:", *(f"    {line}" for line in lines)]) + "\n"


def indented(lines: list[str], head: str) -> list[str]:
    """Lines under a compound statement."""
    return [head, *(f"    {line}" for line in lines)]

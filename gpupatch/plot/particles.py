"""Pictures of particles: where they are in their patches, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from gpupatch.errors import InputError
from gpupatch.particles.state import ParticleState
from gpupatch.plot.geometry import choose
from gpupatch.plot.style import INK, MUTED, SEQUENTIAL, SHADE, new_figure, number, styled

TYPES = ("#3b6fb6", "#e08a3c", "#5aa469", "#b24d7a", "#8a7cc3", "#6b6b6b")
"""Colours of the types of particles, in turn."""
_LINE = "#c44e2b"
_BINS = 16
_VIEW = (np.deg2rad(-32.0), np.deg2rad(22.0))
"""Turn about the upright axis and tilt towards the eye, of boxes in space."""


@dataclass(frozen=True, eq=False)
class Profile:
    """The coarse field along the axis of the patches.

    Attributes:
        name: of the field, with units if it has any.
        x: where it is given, increasing.
        values: of the field there.
    """

    name: str
    x: NDArray[np.float64]
    values: NDArray[np.float64]


@styled
def particle_figure(
    state: ParticleState,
    boundary: Sequence[str],
    *,
    centres: NDArray[np.float64] | None = None,
    profile: Profile | None = None,
    core: float | None = None,
    color: str = "type",
    diameter: float = 1.0,
    pairs: NDArray[np.int64] | None = None,
    most: int = 3,
    title: str = "Particles in patches",
    details: str = "",
) -> Figure:
    """Draw particles in their patches.

    On a line: the density in every patch at its place, with the coarse field, and below it a few
    patches enlarged. In the plane and in space: a few patches beside each other, particles as discs
    that are lit by their depth.

    Args:
        state: the particles.
        boundary: what closes each axis, as in `ParticleModel`.
        centres: places of the patches along x, [patch]; those of the numbers 0, 1, ... if absent.
        profile: the coarse field, of patches on a line.
        core: width of the part of the patches that is measured; shaded.
        color: "type" or "speed".
        diameter: of a particle, same units as positions; not used on a line.
        pairs: particles joined by bonds, [bond, 2], which are drawn.
        most: patches that are enlarged or shown, evenly chosen.
        title: what the figure shows.
        details: how it was made.

    Returns:
        The figure, not shown and not saved.

    Raises:
        InputError: if `color` is unknown, or no patch holds a particle.
    """
    if color not in ("type", "speed"):
        raise InputError(f"particles cannot be coloured by {color!r}; use 'type' or 'speed'.")
    if not state.counts.any():
        raise InputError("there is nothing to draw: no patch holds a particle.")
    X = np.arange(state.n_patch, dtype=float) if centres is None else np.asarray(centres)
    if state.ndim == 1:
        return _line_figure(state, boundary, X, profile, core, most, title, details)
    filled = np.flatnonzero(state.counts)
    shown = [int(filled[k]) for k in choose(len(filled), most)]
    figure = new_figure(3.1 * len(shown) + 0.7, 3.2, title, details, compress=True)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    speeds = np.sqrt((state.velocities**2).sum(axis=1))
    norm = Normalize(0.0, float(np.quantile(speeds[state.present], 0.99)) or 1.0)
    places = []
    for ax, p in zip(panels, shown, strict=True):
        n = int(state.counts[p])
        colors = (
            mpl.colormaps[SEQUENTIAL](norm(speeds[p, :n]))[:, :3]
            if color == "speed"
            else np.array([to_rgb(TYPES[k % len(TYPES)]) for k in state.types[p, :n]])
        )
        draw = _draw_plane if state.ndim == 2 else _draw_space
        places.append(draw(ax, state, p, boundary, colors.reshape(n, 3), diameter, pairs))
        ax.set_title(_name(p, X, centres is not None), color=MUTED)
        ax.set_aspect("equal")
        ax.set_axis_off()
    if set(boundary) == {"open"}:
        _same_scale(list(panels), places, diameter)
    if color == "speed":
        scale = ScalarMappable(norm, SEQUENTIAL)
        bar = figure.colorbar(scale, ax=list(panels), shrink=0.75, aspect=28, label="speed")
        bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _name(p: int, X: NDArray[np.float64], placed: bool) -> str:
    return f"patch at $x$ = {number(float(X[p]))}" if placed else f"patch {p}"


def _line_figure(
    state: ParticleState, boundary, X, profile: Profile | None, core, most: int, title, details
) -> Figure:
    shown = choose(state.n_patch, most)
    figure = new_figure(7.2, 5.0, title, details)
    grid = figure.add_gridspec(2, len(shown), height_ratios=(1.25, 1.0))
    whole = figure.add_subplot(grid[0, :])
    x = _wrapped(state, boundary)[:, 0]
    low = 0.0 if boundary[0] == "periodic" else -0.5
    name = "density" if profile is None else profile.name
    for p in range(state.n_patch):
        _bars(whole, state, x, p, X[p] + low * state.box[p, 0], X[p], 6)
    if profile is not None:
        whole.plot(profile.x, profile.values, color=_LINE, lw=1.6, label="coarse field", zorder=3)
        whole.legend(loc="best")
    whole.set_xlabel("$x$")
    whole.set_ylabel(name)
    whole.set_ylim(bottom=0)
    whole.ticklabel_format(axis="y", style="plain")
    top = 0.0
    panels: list[Axes] = []
    for k, p in enumerate(shown):
        ax = figure.add_subplot(grid[1, k], sharey=panels[0] if panels else None)
        panels.append(ax)
        if core is not None:
            middle = 0.0 if low else state.box[p, 0] / 2
            ax.axvspan(middle - core / 2, middle + core / 2, color=SHADE, lw=0, zorder=0)
        top = max(top, _bars(ax, state, x, p, low * state.box[p, 0], 0.0, _BINS))
        inside = x[p, : state.counts[p]]
        ax.plot(inside, np.zeros_like(inside), "|", color=INK, ms=7, mew=0.5, alpha=0.5)
        if profile is not None:
            s = np.linspace(low, low + 1, 33) * state.box[p, 0]
            ax.plot(s, np.interp(X[p] + s, profile.x, profile.values), color=_LINE, lw=1.4)
        ax.set_title(_name(p, X, True), color=MUTED)
        ax.set_xlabel("place in the patch")
        ax.tick_params(labelleft=k == 0)
        ax.ticklabel_format(axis="y", style="plain")
    panels[0].set_ylabel(name)
    panels[0].set_ylim(-0.06 * top, 1.15 * top)
    return figure


def _bars(ax: Axes, state: ParticleState, x, p: int, low: float, shift: float, bins: int) -> float:
    """The density of one patch as steps; returns its largest value."""
    n, width = int(state.counts[p]), float(state.box[p, 0])
    edges = low + np.linspace(0.0, width, bins + 1)
    counts, _ = np.histogram(x[p, :n] + shift, edges, weights=state.weights[p, :n])
    values = counts / (width / bins)
    ax.stairs(values, edges, fill=True, color=TYPES[0], alpha=0.35, lw=0)
    ax.stairs(values, edges, color=TYPES[0], lw=0.9, baseline=None)
    return float(values.max(initial=0.0))


def _wrapped(state: ParticleState, boundary: Sequence[str]) -> NDArray[np.float64]:
    """Positions put back into the box along the axes that close on themselves."""
    x = np.array(state.positions, dtype=float)
    for a, closed in enumerate(boundary):
        if closed == "periodic":
            x[:, a] %= state.box[:, a, None]
    return x


def _draw_plane(ax: Axes, state, p: int, boundary, colors, diameter: float, pairs):
    """One patch in the plane; returns the places of its particles in the panel."""
    n = int(state.counts[p])
    x = _wrapped(state, boundary)[p, :, :n]
    _bonds(ax, x, pairs, state.box[p])
    _discs(ax, x, np.full(n, diameter), colors)
    corner = np.array([0.0 if b == "periodic" else -s / 2 for b, s in zip(
        boundary, state.box[p], strict=True)])  # fmt: skip
    if set(boundary) != {"open"}:
        ax.add_patch(Rectangle((corner[0], corner[1]), *state.box[p], fill=False, ec=INK, lw=0.9))
    if set(boundary) != {"open"}:
        _frame(ax, x, diameter, corner, state.box[p])
    return x


def _draw_space(ax: Axes, state, p: int, boundary, colors, diameter: float, pairs):
    """One patch in space, seen from outside; returns the places of its particles in the panel."""
    n = int(state.counts[p])
    x = _wrapped(state, boundary)[p, :, :n]
    seen = _seen(x)
    depth = seen[2]
    order = np.argsort(-depth)
    span = np.ptp(depth) or 1.0
    near = (depth.max() - depth) / span
    pale = 0.45 * (1 - near)[:, None]
    shaded = colors * (1 - pale) + pale
    corner = np.array([0.0 if b == "periodic" else -s / 2 for b, s in zip(
        boundary, state.box[p], strict=True)])  # fmt: skip
    free = set(boundary) == {"open"}
    corners = corner[:, None] + state.box[p][:, None] * _CUBE
    if not free:
        _edges(ax, _seen(corners), state.box[p])
    _bonds(ax, seen, pairs, None)
    _discs(ax, seen[:, order], np.full(n, diameter), shaded[order])
    flat = _seen(corners)
    low, high = flat.min(axis=1), flat.max(axis=1)
    if not free:
        _frame(ax, seen, diameter, low[:2], (high - low)[:2])
    return seen


_CUBE = np.array([[i >> a & 1 for i in range(8)] for a in range(3)], dtype=float)


def _seen(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Across, up and away from the eye, [3, particle]; z points up in space."""
    turn, tilt = _VIEW
    across = np.cos(turn) * x[0] + np.sin(turn) * x[1]
    away = -np.sin(turn) * x[0] + np.cos(turn) * x[1]
    return np.stack(
        [
            across,
            np.cos(tilt) * x[2] + np.sin(tilt) * away,
            np.cos(tilt) * away - np.sin(tilt) * x[2],
        ]
    )


def _edges(ax: Axes, corners: NDArray[np.float64], box) -> None:
    """The twelve edges of a box; those behind are thin."""
    hidden = int(np.argmax(corners[2]))
    for i in range(8):
        for a in range(3):
            j = i | (1 << a)
            if j != i:
                behind = hidden in (i, j)
                ax.plot(
                    *corners[:2, [i, j]], color=INK, lw=0.5 if behind else 1.0,
                    ls=(0, (3, 3)) if behind else "-", zorder=0 if behind else 3, alpha=0.8,
                )  # fmt: skip


def _discs(ax: Axes, x, diameters, colors) -> None:
    discs = EllipseCollection(
        diameters, diameters, np.zeros_like(diameters), units="xy", offsets=x[:2].T,
        offset_transform=ax.transData, facecolors=colors, edgecolors=0.55 * np.asarray(colors),
        linewidths=0.4, zorder=2,
    )  # fmt: skip
    ax.add_collection(discs)


def _bonds(ax: Axes, x, pairs, box) -> None:
    """Lines between particles that are joined, but for those through the faces of the box."""
    if pairs is None or not len(pairs):
        return
    ends = x[:2, pairs].transpose(1, 2, 0)
    if box is not None:
        ends = ends[(np.abs(ends[:, 0] - ends[:, 1]) < box[:2] / 2).all(axis=1)]
    ax.add_collection(LineCollection(list(ends), colors=MUTED, linewidths=1.4, zorder=1))


def _frame(ax: Axes, x, diameter: float, corner: Any, size: Any) -> None:
    """Limits that hold the box and its particles."""
    low = np.minimum(corner, x[:2].min(axis=1)) - 0.6 * diameter
    high = np.maximum(corner + size, x[:2].max(axis=1)) + 0.6 * diameter
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])


def _same_scale(
    panels: Sequence[Axes], places: Sequence[NDArray[np.float64]], margin: float
) -> None:
    """Limits around particles that no box holds, as wide in every panel."""
    half = max(float(np.ptp(x[:2], axis=1).max()) for x in places) / 2 + margin
    for ax, x in zip(panels, places, strict=True):
        middle = (x[:2].min(axis=1) + x[:2].max(axis=1)) / 2
        ax.set_xlim(middle[0] - half, middle[0] + half)
        ax.set_ylim(middle[1] - half, middle[1] + half)

"""Bifurcation diagrams, and steady states as profiles or maps."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gpupatch.plot.style import (
    INK,
    SHADE,
    color_scale,
    details_of,
    new_figure,
    number,
    styled,
    symbol,
)

STABLE, UNSTABLE = "#1f4e8c", "#b5561f"
MARKERS = {"fold": "v", "branch point": "s", "hopf": "o"}
"""How special points are marked."""
_DASHES = (0, (4.5, 2.2))


@styled
def bifurcation_figure(ds: xr.Dataset) -> Figure:
    """Draw branches over their parameter, and the states at the ends and special points.

    Stable parts are solid, unstable ones dashed; folds, branch points and Hopf points are marked,
    and named with the value of the parameter.

    Args:
        ds: branches, as in `branch.nc`.

    Returns:
        The figure, not shown and not saved.
    """
    name = str(ds.attrs["parameter"])
    figure = new_figure(7.2, 4.0, _title(ds, f"Steady states over {symbol(name)}"), details_of(ds))
    ax = figure.subplots()
    for branch in np.unique(ds["branch"].values):
        part = ds.isel(point=np.flatnonzero(ds["branch"].values == branch))
        _line(ax, part[name].values, part["drawn"].values, part["unstable"].values)
    handles = [
        Line2D([], [], color=STABLE, linewidth=1.8, label="stable"),
        Line2D([], [], color=UNSTABLE, linewidth=1.4, linestyle=_DASHES, label="unstable"),
    ]
    if "kind" in ds.coords:
        handles += _mark(ax, ds, name)
    ax.margins(0.04, 0.08)
    ax.autoscale_view()
    ax.set_xlabel(symbol(name))
    ax.set_ylabel(_label(ds))
    ax.grid(visible=True, color="#ececec", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), labelspacing=0.8)
    return figure


@styled
def steady_figure(ds: xr.Dataset) -> Figure:
    """Draw a steady state, with its error bars, and the residuals of the search.

    Args:
        ds: a state, as in `steady.nc`.

    Returns:
        The figure, not shown and not saved.
    """
    names = [str(name) for name in np.atleast_1d(ds.attrs["fields"])]
    title = "A steady state" if ds.attrs["converged"] else "No steady state was found"
    if "parameter" in ds.attrs:
        title += f" at {symbol(ds.attrs['parameter'])} = {number(ds.attrs['value'])}"
    figure = new_figure(7.2, 2.1 * len(names) + 0.7, _title(ds, title), details_of(ds))
    grid = figure.add_gridspec(len(names), 2, width_ratios=(2.2, 1))
    for row, name in enumerate(names):
        ax = figure.add_subplot(grid[row, 0])
        width = float(np.atleast_1d(ds.attrs.get("half_width", 0.0))[0])
        draw_field(figure, ax, ds[name], ds.get(f"{name}_error"), half_width=width)
        if ds[name].ndim == 1:
            ax.set_ylabel(symbol(name))
        else:
            ax.set_title(symbol(name))
    ax = figure.add_subplot(grid[:, 1])
    history = ds["largest_slope"].values
    ax.semilogy(np.arange(history.size), np.maximum(history, 1e-300), "o-", color=INK, markersize=4)
    ax.set_xlabel("iteration")
    ax.set_ylabel("largest slope")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=True, color="#ececec", linewidth=0.7)
    return figure


def draw_field(
    figure: Figure,
    ax: Axes,
    values: xr.DataArray,
    error: xr.DataArray | None = None,
    *,
    color: str = STABLE,
    label: str | None = None,
    half_width: float = 0.0,
) -> None:
    """Draw one field over space: a profile, a map, or the middle plane of three dimensions.

    Args:
        figure: for the colour bar.
        ax: where.
        values: [x], [x, y] or [x, y, z].
        error: standard errors, same shape.
        color: of a profile.
        label: of a profile.
        half_width: of the patches, which are shaded behind a profile.
    """
    if values.ndim == 3:
        values = values.isel(z=values.sizes["z"] // 2)
    x = values["x"].values
    if values.ndim == 1:
        for at in x if half_width else ():
            ax.axvspan(at - half_width, at + half_width, color=SHADE, linewidth=0, zorder=0)
        ax.plot(x, values.values, "o-", color=color, markersize=3, linewidth=1.3, label=label)
        if error is not None:
            low, high = values.values - error.values, values.values + error.values
            ax.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0)
        ax.set_xlabel("$x$")
        return
    cmap, norm = color_scale(values.values)
    drawn = ax.pcolormesh(
        x, values["y"].values, values.values.T, cmap=cmap, norm=norm, shading="nearest"
    )
    ax.set_aspect("equal")
    ax.set_xlabel("$x$")
    ax.set_ylabel("$y$")
    figure.colorbar(drawn, ax=ax, shrink=0.85)


def _line(ax: Axes, p: np.ndarray, drawn: np.ndarray, unstable: np.ndarray) -> None:
    """One branch; a piece between two points is as stable as the worse of them."""
    worse = np.maximum(unstable[:-1], unstable[1:]) > 0
    for pieces, color, dashes, width in (
        (~worse, STABLE, "-", 1.8),
        (worse, UNSTABLE, _DASHES, 1.4),
    ):
        for run in _runs(pieces):
            ends = np.append(run, run[-1] + 1)
            ax.plot(p[ends], drawn[ends], color=color, linestyle=dashes, linewidth=width)


def _runs(which: np.ndarray) -> list[np.ndarray]:
    """Successive numbers that are true, run by run."""
    index = np.flatnonzero(which)
    return [one for one in np.split(index, np.flatnonzero(np.diff(index) > 1) + 1) if one.size]


def _mark(ax: Axes, ds: xr.Dataset, name: str) -> list[Line2D]:
    handles, kinds = [], ds["kind"].values.astype(str)
    p, drawn = ds[f"special_{name}"].values, ds["special_drawn"].values
    for kind, marker in MARKERS.items():
        which = kinds == kind
        if not which.any():
            continue
        ax.plot(
            p[which], drawn[which], marker, color="white", markeredgecolor=INK,
            markersize=6.5, markeredgewidth=1.2, zorder=5,
        )  # fmt: skip
        told = sorted({number(value) for value in p[which]}, key=lambda text: (len(text), text))
        values = ", ".join(told[:4]) + (", ..." if len(told) > 4 else "")
        title = {"hopf": "Hopf point"}.get(kind, kind)
        handles.append(
            Line2D([], [], marker=marker, color="white", markeredgecolor=INK, markersize=6.5,
                   linestyle="none", label=f"{title}\n{symbol(name)} = {values}")
        )  # fmt: skip
    return handles


def _label(ds: xr.Dataset) -> str:
    how, _, name = str(ds.attrs["functional"]).partition(" ")
    if how == "norm":
        return "root mean square"
    return f"{how} of {symbol(name)}" if name else how


def _title(ds: xr.Dataset, title: str) -> str:
    return str(ds.attrs["title"]) if ds.attrs.get("title") else title

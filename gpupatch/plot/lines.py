"""One space dimension: the field along x at several times, and the space-time diagram."""

import math

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from gpupatch.errors import InputError
from gpupatch.plot.geometry import (
    choose,
    field_names,
    lattice_edges,
    on_lattice,
    patch_boxes,
    space_edges,
    time_edges,
)
from gpupatch.plot.style import (
    INK,
    MUTED,
    SHADE,
    color_scale,
    details_of,
    label,
    letters,
    member_names,
    moment,
    new_figure,
    number,
    pale,
    styled,
)

_MOST_TIMES = 6
_MOST_MEMBERS = 8
_MARKED_PATCHES = 64
_FILLED_PATCHES = 128
_LETTERS_PER_INCH = 13.0
_HANDLE_LETTERS = 7
_DASHES = (0, (4, 3))

# where a curve is taken in the dataset, and its name
Curve = tuple[dict[str, int], str]


def line_figure(ds: xr.Dataset) -> Figure:
    """Draw all fields of a one-dimensional result, one row each.

    Left: several times of a single run, or the last time of several members. Right: the
    space-time diagram (of the first member). Exact solutions are dashed; where the dataset holds
    micro fields, they are drawn thick inside their patches.
    """
    fields = field_names(ds)
    members = member_names(ds) if "member" in ds.dims else []
    evolves = ds.sizes["time"] > 1
    title = str(ds.attrs.get("title", ""))
    figure = new_figure(9.6 if evolves else 7.0, 2.75 * len(fields) + 0.55, title, details_of(ds))
    panels = figure.subplots(
        len(fields),
        2 if evolves else 1,
        squeeze=False,
        sharex="col",
        width_ratios=[1.75, 1] if evolves else [1],
    )
    curves = _member_curves(ds, members) if members else _time_curves(ds)
    for field, row in zip(fields, panels, strict=True):
        _draw_curves(row[0], ds, field, curves)
        if evolves:
            first = ds.isel(member=0) if members else ds
            _draw_space_time(row[1], first, field, colored=not members)
    if members:
        shown = f"{len(curves)} of {len(members)} members at " if len(curves) < len(members) else ""
        panels[0, 0].set_title(shown + moment(ds, -1))
        if evolves:
            panels[0, 1].set_title(members[0])
    for ax in panels[-1]:
        ax.set_xlabel(label(ds, "x"))
    _add_legend(figure, ds, fields, curves)
    return figure


@styled
def space_time(ds: xr.Dataset, field: str) -> Figure:
    """Draw one field of a one-dimensional result over space and time.

    Args:
        ds: result of a run; of several members the first is shown.
        field: name of the field.

    Returns:
        The figure; with micro fields the patches stand out from the unsimulated space, which
        shows the coarse values in paler colours.

    Raises:
        InputError: when there is no such field or the result is not one-dimensional.
    """
    if field not in field_names(ds):
        raise InputError(f"`{field}` is not among the fields {field_names(ds)}. Name one of them.")
    if "y" in ds.dims:
        raise InputError(
            "a space-time diagram needs one space axis, but the dataset has more. Select a line "
            "first, as in `ds.isel(y=0, drop=True)`, or use `plot_dataset`."
        )
    title = str(ds.attrs.get("title", ""))
    if "member" in ds.dims:
        title += f" ({member_names(ds)[0]})"
        ds = ds.isel(member=0)
    figure = new_figure(5.6, 3.9, title, details_of(ds))
    ax = figure.subplots()
    _draw_space_time(ax, ds, field, colored=False)
    ax.set_xlabel(label(ds, "x"))
    return figure


def _time_curves(ds: xr.Dataset) -> list[Curve]:
    """Select several times, each with its name."""
    return [({"time": k}, moment(ds, k)) for k in choose(ds.sizes["time"], _MOST_TIMES)]


def _member_curves(ds: xr.Dataset, names: list[str]) -> list[Curve]:
    """Select several members at the last time, each with its name."""
    return [({"time": -1, "member": m}, names[m]) for m in choose(len(names), _MOST_MEMBERS)]


def _colors(count: int) -> np.ndarray:
    return mpl.colormaps["viridis"](np.linspace(0.0, 0.86, count))


def _draw_curves(ax: Axes, ds: xr.Dataset, field: str, curves: list[Curve]) -> None:
    boxes = patch_boxes(ds, ["x"])
    if boxes is not None:
        spans = [(low, high - low) for low, high in boxes[:, 0]]
        across = ax.get_xaxis_transform()
        ax.broken_barh(spans, (0, 1), transform=across, facecolor=SHADE, linewidth=0, zorder=0)
    inside = f"{field}_micro" in ds
    marker = "o" if ds.sizes["x"] <= _MARKED_PATCHES and not inside else ""
    for (where, name), color in zip(curves, _colors(len(curves)), strict=True):
        coarse = ds[field].isel(where)
        ax.plot(
            ds["x"].values,
            coarse.values,
            color=color,
            linewidth=0.8 if inside else 1.5,
            alpha=0.6 if inside else 1.0,
            marker=marker,
            markersize=2.6,
            label=name,
            zorder=2,
        )
        if inside:
            values = ds[f"{field}_micro"].isel(where).transpose("x", "site_x").values
            segments = np.stack([ds["x_site"].values, values], axis=-1)
            ax.add_collection(
                LineCollection(list(segments), colors=[color], linewidths=2.2, capstyle="round")
            )
        if f"{field}_error" in ds:
            error = ds[f"{field}_error"].isel(where).values
            band = (coarse.values - 2 * error, coarse.values + 2 * error)
            ax.fill_between(ds["x"].values, *band, color=color, alpha=0.22, linewidth=0, zorder=1)
        if f"{field}_exact" in ds:
            exact = ds[f"{field}_exact"].isel(where)
            ax.plot(
                ds["x"].values,
                exact.values,
                color=INK,
                linewidth=0.8,
                linestyle=_DASHES,
                label=f"exact, {name}",
                zorder=4,
            )
    if f"{field}_exact" in ds:
        last = {"time": -1}
        error = float(np.abs(ds[field].isel(last) - ds[f"{field}_exact"].isel(last)).max())
        ax.set_title(
            f"largest error at {moment(ds, -1)}: {number(float(f'{error:.2g}'))}",
            loc="right",
            color=MUTED,
            fontsize=8.5,
        )
    ax.autoscale_view()
    ax.set_xlim(*space_edges(ds, "x")[[0, -1]])
    ax.set_ylabel(label(ds, field))


def _add_legend(figure: Figure, ds: xr.Dataset, fields: list[str], curves: list[Curve]) -> None:
    """Name the curves in the upper rows of a legend, and what else is drawn in the last."""
    named: list[Artist] = [
        Line2D([], [], color=color, linewidth=2.2, label=name)
        for (_, name), color in zip(curves, _colors(len(curves)), strict=True)
    ]
    others: list[Artist] = []
    if any(f"{field}_micro" in ds for field in fields):
        others.append(Line2D([], [], color=MUTED, linewidth=2.8, label="inside the patches"))
        others.append(Line2D([], [], color=MUTED, linewidth=0.8, label="coarse values"))
    if any(f"{field}_exact" in ds for field in fields):
        others.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=_DASHES, label="exact"))
    if any(f"{field}_error" in ds for field in fields):
        others.append(Patch(facecolor=MUTED, alpha=0.3, label="\N{PLUS-MINUS SIGN} 2 std. errors"))
    if patch_boxes(ds, ["x"]) is not None:
        others.append(Patch(facecolor=SHADE, label="patches"))
    rows = _rows([named, others], figure.get_figwidth())
    blank = Line2D([], [], linestyle="", label=" ")
    # a legend is filled column by column
    columns = max(map(len, rows))
    filled = [row[k] if k < len(row) else blank for k in range(columns) for row in rows]
    figure.legend(
        handles=filled, loc="outside lower left", ncols=columns, handlelength=1.8, columnspacing=1.5
    )


def _rows(groups: list[list[Artist]], width: float) -> list[list[Artist]]:
    """Break groups of legend entries into the longest rows that fit into a width in inches."""
    rows: list[list[Artist]] = []
    for columns in range(max(map(len, groups)), 0, -1):
        rows = [row for group in groups for row in _evenly(group, columns)]
        needed = sum(
            _HANDLE_LETTERS + max(letters(str(row[k].get_label())) for row in rows if k < len(row))
            for k in range(max(map(len, rows)))
        )
        if needed <= _LETTERS_PER_INCH * width:
            break
    return rows


def _evenly(group: list[Artist], columns: int) -> list[list[Artist]]:
    """Break a list into rows of at most `columns`, as equal as they can be."""
    if not group:
        return []
    size = math.ceil(len(group) / math.ceil(len(group) / columns))
    return [group[k : k + size] for k in range(0, len(group), size)]


def _draw_space_time(ax: Axes, ds: xr.Dataset, field: str, *, colored: bool) -> None:
    """Draw the diagram with its colour bar; `colored` marks the times of the lines beside it."""
    times = ds["time"].values
    coarse = ds[field].transpose("time", "x").values
    inside = f"{field}_micro" in ds and ds.sizes["x"] <= _FILLED_PATCHES
    micro = ds[f"{field}_micro"].transpose("time", "x", "site_x").values if inside else coarse
    cmap, norm = color_scale(coarse, micro)
    strips = time_edges(times)
    shades = pale(cmap) if inside else cmap
    image: ScalarMappable = ax.pcolorfast(
        space_edges(ds, "x"), strips, coarse, cmap=shades, norm=norm
    )
    if inside:
        edges = lattice_edges(ds["x_site"].values)
        image = ax.pcolormesh(
            edges, strips, on_lattice(micro, 1), cmap=cmap, norm=norm, rasterized=True
        )
    ax.set_ylabel(label(ds, "time"))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    bar = ax.figure.colorbar(image, ax=ax, pad=0.03, aspect=24)
    bar.outline.set_visible(False)
    bar.set_label(label(ds, field))
    if colored:
        chosen = choose(times.size, _MOST_TIMES)
        ax.scatter(
            np.ones(len(chosen)),
            times[chosen],
            c=_colors(len(chosen)),
            marker="<",
            s=26,
            transform=ax.get_yaxis_transform(),
            clip_on=False,
            zorder=5,
        )

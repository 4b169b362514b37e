"""Two and three space dimensions: maps at several times, slices through the middle."""

import textwrap
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from gpupatch.plot.geometry import (
    axes_of,
    choose,
    field_names,
    lattice_edges,
    on_lattice,
    patch_boxes,
    space_edges,
)
from gpupatch.plot.style import (
    ERROR,
    color_scale,
    details_of,
    label,
    member_names,
    moment,
    new_figure,
    number,
    pale,
)

_MOST_MEMBERS = 4
_FILLED_PATCHES = 24
_OUTLINED_PATCHES = 40
_SIDE = 2.3
_TITLE_LETTERS = 32
_PLANES = (("x", "y", "z"), ("x", "z", "y"), ("y", "z", "x"))


class Panel(NamedTuple):
    """One map: where it is taken, the plane it shows, and its title."""

    where: dict[str, int]
    plane: tuple[str, str]
    title: str


Scales = dict[str, tuple[str, Normalize]]
"""Colour maps and limits, by field; under `u_exact` those of the error of `u`."""


def map_figure(ds: xr.Dataset, scales: Scales | None = None) -> Figure:
    """Draw all fields of a two- or three-dimensional result, one row each.

    Two dimensions: the first, middle and last time, or the last time of several members. Three
    dimensions: slices through the middle at the last time. With an exact solution, the error at
    the last time. All maps of a field share their colours; patches are outlined.

    Args:
        ds: result of a run.
        scales: colours of fields, where they are not to follow from what is shown.
    """
    fields = field_names(ds)
    deep = len(axes_of(ds)) == 3
    title = str(ds.attrs.get("title", ""))
    if deep:
        ds, panels, title = _slices(ds, title)
    elif "member" in ds.dims:
        panels, title = _members(ds, title)
    else:
        times = choose(ds.sizes["time"], 3)
        panels = [Panel({"time": k}, ("x", "y"), moment(ds, k)) for k in times]
    erring = any(f"{field}_exact" in ds for field in fields) and not deep
    columns = len(panels) + erring
    ratio = max(_extent(ds, panel.plane[1]) / _extent(ds, panel.plane[0]) for panel in panels)
    figure = new_figure(
        (_SIDE + (0.65 if deep else 0.33)) * columns + 0.3 + 0.75 * (1 + erring),
        (min(max(ratio, 0.3), 2.2) * _SIDE + 0.32) * len(fields) + 0.42,
        title,
        details_of(ds),
        compress=True,
    )
    axes = figure.subplots(len(fields), columns, squeeze=False, sharex=not deep, sharey=not deep)
    for field, row in zip(fields, axes, strict=True):
        _draw_row(figure, row, ds, field, panels, scales or {})
    for row in axes:
        for index, (ax, panel) in enumerate(zip(row, panels, strict=False)):
            ax.set_title(panel.title)
            if deep or index == 0:
                ax.set_ylabel(label(ds, panel.plane[1]))
    for ax, panel in zip(axes[-1], [*panels, panels[-1]], strict=False):
        ax.set_xlabel(label(ds, panel.plane[0]))
    return figure


def _slices(ds: xr.Dataset, title: str) -> tuple[xr.Dataset, list[Panel], str]:
    title += f", {moment(ds, -1)}" if title else moment(ds, -1)
    if "member" in ds.dims:
        count = ds.sizes["member"]
        title += f", {member_names(ds)[0]} (first of {count} members)"
        ds = ds.isel(member=0)
    panels = []
    for across, up, normal in _PLANES:
        middle = ds.sizes[normal] // 2
        position = number(ds[normal].values[middle])
        panels.append(Panel({"time": -1, normal: middle}, (across, up), f"${normal}$ = {position}"))
    return ds, panels, title


def _members(ds: xr.Dataset, title: str) -> tuple[list[Panel], str]:
    names = member_names(ds)
    chosen = choose(len(names), _MOST_MEMBERS)
    title += f", {moment(ds, -1)}" if title else moment(ds, -1)
    if len(chosen) < len(names):
        title += f", {len(chosen)} of {len(names)} members"
    panels = [
        Panel({"time": -1, "member": m}, ("x", "y"), textwrap.fill(names[m], _TITLE_LETTERS))
        for m in chosen
    ]
    return panels, title


def _extent(ds: xr.Dataset, axis: str) -> float:
    return float(np.ptp(space_edges(ds, axis)))


def _draw_row(
    figure: Figure,
    row: np.ndarray,
    ds: xr.Dataset,
    field: str,
    panels: list[Panel],
    scales: Scales,
) -> None:
    shown = [ds[field].isel(panel.where).transpose(*panel.plane).values for panel in panels]
    fits = max(max(values.shape) for values in shown) <= _FILLED_PATCHES
    inside = [
        _inside_plane(ds, f"{field}_micro", panel) if fits and f"{field}_micro" in ds else None
        for panel in panels
    ]
    cmap, norm = scales.get(field) or color_scale(
        *shown, *(micro for micro in inside if micro is not None)
    )
    images = [
        _draw_map(ax, ds, panel, values, micro, cmap, norm)
        for ax, panel, values, micro in zip(row, panels, shown, inside, strict=False)
    ]
    _add_bar(figure, images[-1], list(row[: len(panels)]), label(ds, field))
    if len(row) == len(panels):
        return
    ax, panel = row[-1], panels[-1]
    if f"{field}_exact" not in ds:
        ax.set_axis_off()
        return
    error = shown[-1] - ds[f"{field}_exact"].isel(panel.where).transpose(*panel.plane).values
    largest = np.nanmax(np.abs(error), initial=0.0) or 1.0
    _, norm = scales.get(f"{field}_exact", (ERROR, Normalize(-largest, largest)))
    image = _draw_map(ax, ds, panel, error, None, ERROR, norm)
    ax.set_title(f"error, {panel.title}")
    _add_bar(figure, image, [ax], f"{label(ds, field)} \N{MINUS SIGN} exact")


def _add_bar(figure: Figure, image: ScalarMappable, axes: list[Axes], text: str) -> None:
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=26, shrink=0.9)
    bar.outline.set_visible(False)
    bar.set_label(text)


def _draw_map(
    ax: Axes,
    ds: xr.Dataset,
    panel: Panel,
    values: np.ndarray,
    micro: np.ndarray | None,
    cmap: str,
    norm: Normalize,
) -> ScalarMappable:
    """Draw coarse values as cells; over them the patches, filled if their micro field is kept."""
    across, up = panel.plane
    count = max(values.shape)
    image: ScalarMappable = ax.pcolorfast(
        space_edges(ds, across),
        space_edges(ds, up),
        values.T,
        cmap=cmap if micro is None else pale(cmap),
        norm=norm,
    )
    if micro is not None:
        image = ax.pcolormesh(
            lattice_edges(ds[f"{across}_site"].values),
            lattice_edges(ds[f"{up}_site"].values),
            on_lattice(micro, 2).T,
            cmap=cmap,
            norm=norm,
            rasterized=True,
        )
    boxes = patch_boxes(ds, [across, up])
    if boxes is not None and count <= _OUTLINED_PATCHES:
        (left, right), (low, high) = boxes[:, 0].T, boxes[:, 1].T
        corners = list(np.stack([[left, right, right, left], [low, low, high, high]]).T)
        # white under black: seen on dark and on light colours
        lines = (
            [("white", 1.0), ("#202020", 0.4)] if count <= _FILLED_PATCHES else [("#808080", 0.35)]
        )
        for color, width in lines:
            ax.add_collection(
                PolyCollection(corners, facecolor="none", edgecolor=color, linewidth=width)
            )
    ax.set_xlim(*space_edges(ds, across)[[0, -1]])
    ax.set_ylim(*space_edges(ds, up)[[0, -1]])
    ax.locator_params(nbins=5)
    ax.set_aspect("equal")
    ax.spines[:].set_visible(False)
    return image


def _inside_plane(ds: xr.Dataset, name: str, panel: Panel) -> np.ndarray:
    """Micro field on the central sites of the patches in a plane, [a, b, site_a, site_b]."""
    normals = [axis for axis in axes_of(ds) if axis not in panel.plane]
    sites = {f"site_{axis}": ds.sizes[f"site_{axis}"] // 2 for axis in normals}
    micro = ds[name].isel(panel.where | sites)
    return micro.transpose(*panel.plane, *(f"site_{axis}" for axis in panel.plane)).values

"""One patch that failed: its values up to the fault."""

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gpupatch.plot.geometry import cell_edges, choose
from gpupatch.plot.style import INK, MUTED, color_scale, label, new_figure, number, styled

_MOST_LINES = 8
_MOST_PARTICLES = 60


@styled
def replay_figure(ds: xr.Dataset) -> Figure:
    """Draw a replayed patch.

    One dimension: every field over its sites after several micro-steps. More: maps of every field
    (through the middle) after the last sound step. Particles: positions along the first axis over
    the micro-steps.

    Args:
        ds: the replay as a dataset.

    Returns:
        The figure, not shown and not saved.
    """
    names = [str(name) for name in ds.data_vars]
    title, details = str(ds.attrs["title"]), str(ds.attrs.get("fault", "no fault"))
    if "fault_step" in ds.attrs:
        details = f"fault after step {ds.attrs['fault_step']}, {details}"
    if "particle" in ds.dims:
        figure = new_figure(6.0, 3.6, title, details)
        _draw_particles(figure, ds)
    elif "y" in ds.coords:
        figure = new_figure(4.2 * len(names), 3.6, title, details)
        _draw_maps(figure, ds, names)
    else:
        figure = new_figure(6.4, 2.6 * len(names) + 0.4, title, details)
        _draw_lines(figure, ds, names)
    return figure


def _draw_lines(figure: Figure, ds: xr.Dataset, names: list[str]) -> None:
    shown = choose(ds.sizes["step"], _MOST_LINES)
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.86, len(shown)))
    for name, ax in zip(names, figure.subplots(len(names), squeeze=False)[:, 0], strict=True):
        for index, color in zip(shown, colors, strict=True):
            values = ds[name].values[index]
            ax.plot(
                ds["x"], np.where(np.isfinite(values), values, np.nan), color=color, marker="o",
                markersize=2.6, linewidth=1.2, label=f"step {ds['step'].values[index]}",
            )  # fmt: skip
        sound = np.abs(ds[name].values[:-1])
        sound = sound[np.isfinite(sound)]
        if sound.size and sound.max() > 1e3 * max(float(np.median(sound)), 1e-300):
            ax.set_yscale("symlog", linthresh=10 * max(float(np.median(sound)), 1e-300))
        ax.set_ylabel(label(ds, name))
        ax.set_xlabel(label(ds, "x"))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper")


def _draw_maps(figure: Figure, ds: xr.Dataset, names: list[str]) -> None:
    index = max(0, ds.sizes["step"] - 2) if "fault_step" in ds.attrs else -1
    for name, ax in zip(names, figure.subplots(1, len(names), squeeze=False)[0], strict=True):
        values = ds[name].isel(step=index)
        if "site_z" in values.dims:
            values = values.isel(site_z=values.sizes["site_z"] // 2)
        cmap, norm = color_scale(values.values)
        image = ax.pcolormesh(
            cell_edges(ds["x"].values), cell_edges(ds["y"].values), values.values.T,
            cmap=cmap, norm=norm, rasterized=True,
        )  # fmt: skip
        ax.set_aspect("equal")
        ax.set_title(f"step {ds['step'].values[index]}, $t$ = {number(ds['time'].values[index])}")
        ax.set_xlabel(label(ds, "x"))
        ax.set_ylabel(label(ds, "y"))
        figure.colorbar(image, ax=ax, shrink=0.85).set_label(label(ds, name))


def _draw_particles(figure: Figure, ds: xr.Dataset) -> None:
    ax = figure.subplots()
    x = ds["positions"].isel(axis=0).transpose("step", "particle").values
    for particle in choose(x.shape[1], _MOST_PARTICLES):
        ax.plot(ds["step"], x[:, particle], color=MUTED, linewidth=0.7)
    if "particle " in (where := str(ds.attrs.get("fault", ""))):
        worst = int(where.removeprefix("particle "))
        ax.plot(ds["step"], x[:, worst], color=INK, linewidth=1.6, label=where)
        ax.legend()
    inside = np.abs(x[0][np.isfinite(x[0])])
    if inside.size:
        ax.set_yscale("symlog", linthresh=2 * float(inside.max()) or 1.0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("micro-step")
    ax.set_ylabel("$x$ from the centre")

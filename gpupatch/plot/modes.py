"""Spectra: eigenvalues in the complex plane beside the shapes of their modes."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from gpupatch.plot.bifurcation import draw_field
from gpupatch.plot.style import MUTED, details_of, new_figure, number, styled, symbol

_SHOWN = 4


@styled
def spectrum_figure(ds: xr.Dataset) -> Figure:
    """Draw eigenvalues, growing modes on the right of the axis, and the leading modes.

    Args:
        ds: a spectrum, as in `eigenvalues.nc`.

    Returns:
        The figure, not shown and not saved.
    """
    names = [str(name) for name in np.atleast_1d(ds.attrs["fields"])]
    rates, turns = ds["growth_rate"].values, ds["angular_frequency"].values
    # of a conjugate pair one mode is drawn
    shown = [k for k in range(rates.size) if turns[k] > -1e-9 * np.abs(rates).max(initial=1e-300)]
    shown = shown[:_SHOWN]
    one_axis = ds[f"{names[0]}_mode"].ndim == 3
    rows = len(names)
    title = str(ds.attrs.get("title") or "The slowest modes")
    figure = new_figure(7.6, max(2.9, 2.0 * rows + 0.6), title, details_of(ds))
    columns = 1 if one_axis else len(shown)
    grid = figure.add_gridspec(rows, 1 + columns, width_ratios=(1.2, *(2.0 / columns,) * columns))
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(len(shown), 2)))
    ax = figure.add_subplot(grid[:, 0])
    ax.axvline(0.0, color=MUTED, linewidth=0.8)
    ax.plot(rates, turns, "o", color="white", markeredgecolor=MUTED, markersize=6)
    for color, k in zip(colors, shown, strict=False):
        ax.plot(rates[k], turns[k], "o", color=color, markersize=6)
    if "eigenvalue_error" in ds:
        ax.errorbar(rates, turns, xerr=ds["eigenvalue_error"].values, fmt="none", ecolor=MUTED)
    if not np.abs(turns).max(initial=0.0) > 0:
        ax.set_ylim(-1, 1)
        ax.set_yticks([0.0])
    ax.margins(0.12)
    ax.set_xlabel("growth rate")
    ax.set_ylabel("angular frequency")
    for row, name in enumerate(names):
        if one_axis:
            ax = figure.add_subplot(grid[row, 1])
            for color, k in zip(colors, shown, strict=False):
                mode = ds[f"{name}_mode"].isel(mode=k, part=0)
                draw_field(figure, ax, mode, color=color, label=number(rates[k]))
            ax.axhline(0.0, color=MUTED, linewidth=0.6, zorder=0)
            ax.set_ylabel(f"mode, {symbol(name)}")
            if row == 0:
                ax.legend(title="growth rate", loc="upper left", bbox_to_anchor=(1.0, 1.02))
            continue
        for column, k in enumerate(shown):
            ax = figure.add_subplot(grid[row, 1 + column])
            draw_field(figure, ax, ds[f"{name}_mode"].isel(mode=k, part=0))
            ax.set_title(f"{symbol(name)}: {number(rates[k])}")
    return figure

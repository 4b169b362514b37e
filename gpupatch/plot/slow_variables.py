"""Which coarse variables suffice: what each set leaves open, and how fast variables relax."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from gpupatch.plot.style import INK, MUTED, SHADE, new_figure, styled, symbol

_LEAST = 1e-8
"""Spreads below are drawn at this height: they are rounding."""
_STILL = 1e-6
"""The same for relaxation times in a burst."""
_BETWEEN = (0.3, 3.0)
_COLUMNS = 2
_TITLE = "What patches with equal variables still differ by"
_COLORS = {"slow": "#7a9cc6", "fast": "#d08a4b"}


@styled
def slow_variables_figure(ds: xr.Dataset) -> Figure:
    """Draw how much lifts of equal variables differ during a burst, and rates of relaxation.

    Args:
        ds: a ranking, as in `variables.nc`.

    Returns:
        The figure, not shown and not saved.
    """
    burst, heal, tolerance = (float(ds.attrs[k]) for k in ("burst", "heal", "tolerance"))
    names = [str(one) for one in ds["candidate"].values]
    bars = ds.sizes["variable"]
    told = [ds.attrs.get("title"), ds.attrs["model"], f"bursts of {burst:.3g}, healing {heal:.3g}"]
    details = "  \N{MIDDLE DOT}  ".join(str(one) for one in told if one)
    rows = -(-len(names) // _COLUMNS)
    height = max(3.0, 1.2 + 0.35 * bars) + 0.2 * rows
    figure = new_figure(8.6, height, _TITLE, details)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1.0))
    time = ds["burst_time"].values / burst
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.86, max(len(names), 2)))
    left.axvspan(0.0, heal / burst, color=SHADE, linewidth=0)
    left.text(0.01, 1.01, "healing", transform=left.get_xaxis_transform(), color=MUTED, fontsize=8)
    left.axhline(tolerance, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    left.text(
        1.0, tolerance, "accepted", ha="right", va="bottom", color=MUTED, fontsize=8,
    )  # fmt: skip
    for index, name in enumerate(names):
        passes = bool(ds["passes"].values[index])
        spread = np.maximum(ds["spread_over_the_burst"].values[index], _LEAST)
        left.plot(
            time, spread, color=colors[index],
            linewidth=3.0 - 1.8 * index / max(len(names) - 1, 1), linestyle="-" if passes else "--",
            label=f"{_set(name)}: {'suffices' if passes else 'does not suffice'}",
        )  # fmt: skip
    left.set_yscale("log")
    left.set_ylim(_LEAST / 2, 4.0)
    left.set_xlim(0.0, 1.0)
    left.set_xlabel("time in the burst, in units of its length")
    left.set_ylabel("relative difference")
    left.legend(loc="upper left", bbox_to_anchor=(0.0, -0.2), ncols=_COLUMNS)
    times = ds["rate"].values * burst
    places = np.arange(bars)[::-1]
    right.axvspan(*_BETWEEN, color=SHADE, linewidth=0)
    for place, value, pace in zip(places, times, ds["pace"].values, strict=True):
        shown = max(abs(float(value)), _STILL)
        color = _COLORS.get(str(pace), MUTED)
        right.barh(place, shown - _STILL / 10, left=_STILL / 10, height=0.55, color=color)
        word = "still" if abs(value) < _STILL else f"{value:.3g}"
        right.annotate(
            word, (shown, place), (4, 0), textcoords="offset points", va="center", fontsize=8.5
        )
    right.set_xscale("log")
    right.set_xlim(_STILL / 10, 30 * max(float(np.abs(times).max()), 10.0))
    right.set_yticks(places, [symbol(str(one)) for one in ds["variable"].values])
    right.set_ylim(-0.6, bars - 0.4)
    right.set_xlabel("relaxation times in a burst")
    for x, word in ((_BETWEEN[0] / 3, "slow"), (_BETWEEN[1] * 1.5, "fast")):
        right.text(
            x, 1.01, word, transform=right.get_xaxis_transform(), color=MUTED, fontsize=8,
            ha="right" if word == "slow" else "left",
        )  # fmt: skip
    return figure


def _set(name: str) -> str:
    words = name.removesuffix("isolated").strip()
    names = ", ".join(symbol(one.strip()) for one in words.split(","))
    return f"{names} (isolated)" if words != name or "_" in name else names

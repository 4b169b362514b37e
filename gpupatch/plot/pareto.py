"""Accuracy for cost: the error of every run of a study against what it cost."""

import textwrap

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gpupatch.errors import InputError
from gpupatch.plot.style import INK, MUTED, new_figure, number, styled

_MARKERS = "os^Dv"
_MOST_KINDS = 5
_MOST_LISTED = 12
_WITHIN_NOISE = 2.0
"""Errors below so many standard errors are drawn hollow."""
_FAR_OFF = 10.0
"""Errors so many times the variation of the field are counted, not drawn."""
_FULL = "#b5541c"
_LIST_LETTERS = 46
_FEW_DECADES = 40.0


@styled
def study_figure(ds: xr.Dataset) -> Figure:
    """Draw the error of every run against its cost, with the Pareto front.

    Runs are coloured by the first setting that was varied. The front is a line; its runs carry
    numbers, and a list beside the axes gives their settings. Bars are one standard error, and
    errors within two of them are hollow; errors beyond ten variations are only counted. A vertical
    line is the cost of the full simulation, and a star its own error, where it was run.

    Args:
        ds: a study, as in `study.nc`.

    Returns:
        The figure, not shown and not saved.

    Raises:
        InputError: when the dataset is no study.
    """
    missing = {"cost", "error", "on_front", "label", "status"} - set(ds.data_vars)
    if missing:
        raise InputError(
            f"the dataset has no `{min(missing)}`, so it is no study. Give the `study.nc` of "
            "`gpupatch study`."
        )
    figure = new_figure(9.2, 4.6, str(ds.attrs["title"]), _details(ds))
    ax, beside = figure.subplots(1, 2, width_ratios=[1.55, 1])
    beside.set_axis_off()
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.margins(0.07)
    error = np.nan_to_num(ds["error"].values)
    drawn = np.isfinite(ds["cost"].values) & (error > 0) & (error <= _FAR_OFF)
    _front(ax, ds, drawn)
    _runs(ax, ds, drawn)
    _full_simulation(ax, ds)
    ax.grid(visible=True, which="major", color="#e6e6e6", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.set_xlabel(str(ds.attrs["cost_unit"]))
    ax.set_ylabel("largest error / variation of the field")
    if not drawn.any():
        ax.text(0.5, 0.5, "no run has an error", transform=ax.transAxes, ha="center", color=MUTED)
    _ticks(ax)
    _list(beside, ax, ds, drawn)
    return figure


def _details(ds: xr.Dataset) -> str:
    status = ds["status"].values
    without = int(np.count_nonzero(status != "finished"))
    parts = [
        f"{ds.attrs['scheme']} scheme",
        f"errors against {ds.attrs['measured_against']}",
        f"{status.size - without} runs" + (f", {without} more without result" if without else ""),
    ]
    if far := int(np.count_nonzero(ds["error"].values > _FAR_OFF)):
        parts.append(f"{far} with errors beyond {_FAR_OFF:g}, not drawn")
    return "  \N{MIDDLE DOT}  ".join(parts)


def _kinds(ds: xr.Dataset) -> tuple[str, np.ndarray]:
    """The first varied setting, by which runs are told apart, and its values as text."""
    for path in np.atleast_1d(ds.attrs["varied"]):
        values = ds[path].values
        texts = np.array([f"{v:.4g}" if isinstance(v, float) else str(v) for v in values.tolist()])
        if 1 < np.unique(texts).size <= _MOST_KINDS:
            return str(path), texts
    return "", np.full(ds.sizes["run"], "")


def _runs(ax: Axes, ds: xr.Dataset, drawn: np.ndarray) -> None:
    path, kinds = _kinds(ds)
    cost, error = ds["cost"].values, ds["error"].values
    bar = np.nan_to_num(ds["standard_error"].values)
    noisy = error < _WITHIN_NOISE * bar
    for index, kind in enumerate(dict.fromkeys(kinds)):
        count = max(len(set(kinds)) - 1, 1)
        color = mpl.colormaps["viridis"](0.86 * index / count)
        for hollow in (False, True):
            at = drawn & (kinds == kind) & (noisy == hollow)
            label = f"{path.rpartition('.')[2]} {kind}" if path and not hollow else None
            ax.errorbar(
                cost[at],
                error[at],
                yerr=[np.minimum(bar[at], 0.9 * error[at]), bar[at]] if bar.any() else None,
                fmt=_MARKERS[index % len(_MARKERS)],
                color=color,
                markerfacecolor="white" if hollow else color,
                markersize=5.5,
                elinewidth=0.8,
                linewidth=0,
                label=label,
                zorder=3,
            )


def _front(ax: Axes, ds: xr.Dataset, drawn: np.ndarray) -> None:
    front = _front_of(ds, drawn)
    cost, error = ds["cost"].values[front], ds["error"].values[front]
    ax.plot(
        cost,
        error,
        color=INK,
        linewidth=1.1,
        drawstyle="steps-post",
        zorder=2,
        label="Pareto front",
    )
    for position, (x, y) in enumerate(zip(cost, error, strict=True), start=1):
        ax.annotate(
            str(position),
            (x, y),
            xytext=(-6, -6),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8.5,
            fontweight="bold",
            color=INK,
            zorder=4,
        )


def _front_of(ds: xr.Dataset, drawn: np.ndarray) -> np.ndarray:
    front = np.flatnonzero(ds["on_front"].values.astype(bool) & drawn)
    return front[np.argsort(ds["cost"].values[front], kind="stable")]


def _full_simulation(ax: Axes, ds: xr.Dataset) -> None:
    cost, error = float(ds.attrs["full_cost"]), float(ds.attrs["full_error"])
    if not np.isfinite(cost):
        return
    how = "run" if ds.attrs["full_cost_from"] == "run" else "estimated"
    ax.axvline(
        cost, color=_FULL, linewidth=1.0, linestyle=(0, (5, 3)), label=f"full simulation ({how})"
    )
    if np.isfinite(error) and error > 0:
        ax.plot(cost, error, marker="*", markersize=11, color=_FULL, linewidth=0, zorder=3)


def _list(beside: Axes, ax: Axes, ds: xr.Dataset, drawn: np.ndarray) -> None:
    """The legend, and below it the settings on the front by their numbers."""
    handles, labels = ax.get_legend_handles_labels()
    legend = beside.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(-0.04, 1.02), borderaxespad=0
    )
    beside.add_artist(legend)
    front = _front_of(ds, drawn)
    told, common = _told(ds["label"].values[front])
    lines = [textwrap.fill(f"On the front, all with {common}:", _LIST_LETTERS)] if common else []
    for position, (index, words) in enumerate(zip(front, told, strict=True), start=1):
        if position > _MOST_LISTED:
            lines.append(f"and {len(front) - _MOST_LISTED} more in the table")
            break
        error = number(float(f"{ds['error'].values[index]:.2g}"))
        wrapped = "\n      ".join(textwrap.wrap(words, _LIST_LETTERS))
        lines.append(f"{position:>2}  {wrapped}: {error}")
    beside.text(
        -0.01,
        0.93 - 0.044 * len(labels),
        "\n".join(lines),
        transform=beside.transAxes,
        va="top",
        fontsize=8,
        color=INK,
        linespacing=1.4,
    )


def _told(labels: np.ndarray) -> tuple[list[str], str]:
    """Settings without those that are the same in all labels, and the latter once."""
    pieces = [str(label).split(", ") for label in labels]
    if len(pieces) < 2 or len({len(words) for words in pieces}) > 1:
        return [", ".join(words) for words in pieces], ""
    same = [len(set(column)) == 1 for column in zip(*pieces, strict=True)]
    told = [
        ", ".join(word for word, equal in zip(words, same, strict=True) if not equal)
        for words in pieces
    ]
    return told, ", ".join(word for word, equal in zip(pieces[0], same, strict=True) if equal)


def _ticks(ax: Axes) -> None:
    """Label decades, and 2 and 5 between them where there are few."""
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if high / low < _FEW_DECADES:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axis.set_minor_formatter(NullFormatter())

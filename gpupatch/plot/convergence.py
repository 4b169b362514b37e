"""Orders of convergence: error against spacing, on logarithmic axes."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import ArrayLike

from gpupatch.errors import InputError
from gpupatch.plot.style import MUTED, new_figure, number, styled

_MARKERS = "osD^vPX<>"
_LABELLED_SPACINGS = 8
_BELOW = 0.4


@styled
def convergence_plot(
    h: ArrayLike,
    errors: Mapping[str, ArrayLike],
    orders: Mapping[str, float] | None = None,
    *,
    title: str = "",
    spacing: str = "$h$",
    error: str = "largest error",
) -> Figure:
    """Draw errors against the spacing they belong to, with the slopes that theory promises.

    Args:
        h: spacings, or whatever is refined; positive.
        errors: one curve per name, same length as `h`; zeros and NaN are left out.
        orders: theoretical order by the names of `errors`: a dashed line of that slope just
            below the curve.
        title: what was refined.
        spacing: label of the horizontal axis.
        error: label of the vertical axis.

    Returns:
        The figure; the legend gives the fitted slope of each curve next to the theoretical one.

    Raises:
        InputError: when lengths differ, a spacing is not positive or an order has no curve.
    """
    spacings = np.asarray(h, float)
    orders = {} if orders is None else orders
    curves = {name: np.asarray(values, float) for name, values in errors.items()}
    _check(spacings, curves, orders)
    figure = new_figure(6.6, 3.7, title)
    ax = figure.subplots()
    ax.set_xscale("log")
    ax.set_yscale("log")
    for index, (name, values) in enumerate(curves.items()):
        color = mpl.colormaps["viridis"](0.86 * index / max(len(curves) - 1, 1))
        kept = np.isfinite(values) & (values > 0)
        fine, e = spacings[kept], values[kept]
        text = name
        if fine.size > 1:
            text += f"\nslope {np.polyfit(np.log(fine), np.log(e), 1)[0]:.2f}"
            text += f", theory {orders[name]:g}" if name in orders else ""
        ax.plot(
            fine, e, color=color, marker=_MARKERS[index % len(_MARKERS)], markersize=5, label=text
        )
        if name in orders and fine.size:
            at = np.argmin(fine)
            ends = np.array([fine.min(), fine.max()])
            promised = _BELOW * e[at] * (ends / fine[at]) ** orders[name]
            ax.plot(ends, promised, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    ticks = np.unique(spacings)
    if ticks.size <= _LABELLED_SPACINGS:
        ax.xaxis.set_major_locator(FixedLocator(ticks.tolist()))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(float(f"{value:.3g}"))))
    ax.grid(visible=True, which="major", color="#e6e6e6", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.set_xlabel(spacing)
    ax.set_ylabel(error)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), labelspacing=0.9)
    return figure


def _check(
    spacings: np.ndarray, curves: Mapping[str, np.ndarray], orders: Mapping[str, float]
) -> None:
    if spacings.ndim != 1 or not np.all(spacings > 0):
        raise InputError(
            f"`h` must be a list of positive spacings, but is {spacings.tolist()}. Give one "
            "spacing per refinement."
        )
    for name, values in curves.items():
        if values.shape != spacings.shape:
            raise InputError(
                f"the errors `{name}` have shape {values.shape} for {spacings.size} spacings. "
                "Give one error per spacing."
            )
    if unknown := sorted(set(orders).difference(curves)):
        raise InputError(
            f"`orders` names {unknown}, which are not among the errors {sorted(curves)}. Use the "
            "same names in both."
        )

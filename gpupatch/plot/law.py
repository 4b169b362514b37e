"""The law of the large scale: diffusivities with their bands, and slopes found against told."""

from __future__ import annotations

import textwrap

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpupatch.errors import InputError
from gpupatch.plot.style import INK, MUTED, details_of, new_figure, styled, symbol

LINE, POINTS, BAD = "#1f4e8c", "#b5561f", "#9c1c1c"
_BAND = 2.0
"""Half-width of a band in standard errors."""
_MOST_POINTS = 4000


@styled
def law_figure(ds: xr.Dataset) -> Figure:
    """Draw a law, one row per field.

    On the left the diffusivity over the field, with a band of two standard errors; dots are what
    the slopes say at some levels when no form is assumed. Where nothing diffuses, the coefficients
    are drawn instead. On the right the slopes that the law tells against those measured.

    Args:
        ds: a law, as in `law.nc`.

    Returns:
        The figure, not shown and not saved.

    Raises:
        InputError: when the dataset is no law.
    """
    missing = {"coefficient", "measured", "predicted", "diffusivity"} - set(ds.data_vars)
    if missing:
        raise InputError(
            f"the dataset has no `{min(missing)}`, so it is no law. Give the `law.nc` of "
            "`gpupatch law`."
        )
    rows = ds.sizes["equation"]
    title = str(ds.attrs.get("title") or "The law of the large scale")
    details = f"{details_of(ds)}  \N{MIDDLE DOT}  {ds.attrs['states']} states"
    figure = new_figure(8.4, 3.2 * rows, title, details)
    axes = figure.subplots(rows, 2, squeeze=False, width_ratios=[1.15, 1])
    written = str(ds.attrs["law"]).splitlines()
    for row in range(rows):
        one = ds.isel(equation=row)
        left, right = axes[row]
        if np.isfinite(one["diffusivity"].values).any():
            _diffusivity(left, one)
        else:
            _coefficients(left, one)
        _parity(right, one)
        left.set_title(_wrapped(written[row]), fontsize=9, color=INK)
    if ds.attrs["failings"]:
        axes[0, 1].set_title("does not close (see the report)", color=BAD)
    return figure


def _diffusivity(ax: Axes, ds: xr.Dataset) -> None:
    level, D = ds["level"].values, ds["diffusivity"].values
    band = _BAND * ds["diffusivity_error"].values
    name = symbol(str(ds["equation"].values))
    ax.fill_between(level, D - band, D + band, color=LINE, alpha=0.22, linewidth=0)
    ax.plot(level, D, color=LINE, linewidth=1.8, label="law, band of two standard errors")
    points, errors = ds["knot_diffusivity"].values, ds["knot_error"].values
    ax.errorbar(
        ds["knot_level"].values, points, _BAND * errors, fmt="o", color=POINTS,
        markersize=4, elinewidth=1.0, label="without a form",
    )  # fmt: skip
    shown = np.concatenate([D, points[np.isfinite(points)]])
    low, high = shown.min(), shown.max()
    margin = max(0.35 * (high - low), 0.1 * max(abs(low), abs(high)), 1e-12)
    ax.set_ylim(low - margin, high + 1.6 * margin)
    ax.set_xlabel(name)
    ax.set_ylabel(f"diffusivity of {name}")
    ax.legend(loc="upper left")
    ax.grid(visible=True, color="#ececec", linewidth=0.7)


def _coefficients(ax: Axes, ds: xr.Dataset) -> None:
    used = ds["coefficient"].values != 0
    terms, values = ds["term"].values[used], ds["coefficient"].values[used]
    y = np.arange(len(terms))
    ax.barh(y, values, color=LINE, alpha=0.75, xerr=_BAND * ds["coefficient_error"].values[used])
    ax.set_yticks(y, [str(term) for term in terms])
    ax.axvline(0.0, color=MUTED, linewidth=0.8)
    ax.invert_yaxis()
    ax.set_xlabel("coefficient")


def _parity(ax: Axes, ds: xr.Dataset) -> None:
    told, found = ds["predicted"].values, ds["measured"].values
    every = max(1, len(found) // _MOST_POINTS)
    error = ds["measured_error"].values
    ends = [min(told.min(), found.min()), max(told.max(), found.max())]
    ax.plot(ends, ends, color=MUTED, linewidth=1.0)
    noisy = error.any()
    ax.errorbar(
        told[::every], found[::every], error[::every] if noisy else None, fmt=".",
        color=LINE, markersize=3, elinewidth=0.5, alpha=0.35, rasterized=True,
    )  # fmt: skip
    name = symbol(str(ds["equation"].values))
    ax.set_xlabel(f"d{name}/d$t$ by the law")
    ax.set_ylabel("measured in bursts")
    ax.grid(visible=True, color="#ececec", linewidth=0.7)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 58))

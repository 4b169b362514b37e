"""How all figures look: type, colours, labels, the header, the colour scale of a field."""

import functools
import re
import textwrap
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK = "#222222"
MUTED = "#6a6a6a"
SHADE = "#e3eaf2"
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
ERROR = "PuOr_r"

_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "axes.formatter.useoffset": False,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "savefig.dpi": 200.0,
    "figure.dpi": 110.0,
}
_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|chi|"
    "psi|omega"
)
_PALE = 0.5
_HEADER_LINE = 0.21
_LETTERS_PER_INCH = 9.6

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a drawing function use the common style, without leaving a trace of it behind.

    Settings of elsewhere do not count, such as a `matplotlibrc` in the current directory, which
    could name programs to run.
    """

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_RC)
            return draw(*args, **kwargs)

    return drawn


def symbol(name: str) -> str:
    """Set one letter, or the name of a Greek one, as mathematics; leave words as they are."""
    stem, _, index = name.partition("_")
    if name == "time":
        return "$t$"
    if _GREEK.fullmatch(stem):
        stem = f"\\{stem}"
    elif len(stem) != 1:
        return name
    subscript = index.replace("_", "")
    return f"${stem}_{{\\mathrm{{{subscript}}}}}$" if subscript else f"${stem}$"


def letters(text: str) -> int:
    """Count the letters of a label as drawn, without the commands of mathematics."""
    return len(re.sub(r"[${}^_]", "", re.sub(r"\\\w+", "x", text)))


def label(ds: xr.Dataset, name: str) -> str:
    """Label an axis with the symbol of a variable and its units, if it has any."""
    units = ds[name].attrs.get("units", "1") if name in ds.variables else "1"
    return symbol(name) if units == "1" else f"{symbol(name)} [{units}]"


def number(value: float) -> str:
    """Write a number for a label, in four digits at most."""
    text = f"{value:.4g}"
    mantissa, e, power = text.partition("e")
    return rf"{mantissa}$\times10^{{{int(power)}}}$" if e else text.replace("-", "\N{MINUS SIGN}")


def moment(ds: xr.Dataset, index: int) -> str:
    """Say which saved time a panel or line shows."""
    units = ds["time"].attrs.get("units", "1")
    return f"$t$ = {number(ds['time'].values[index])}" + (f" {units}" if units != "1" else "")


def member_names(ds: xr.Dataset) -> list[str]:
    """Name every member by the parameters that were swept, or by its index."""
    swept = [str(name) for name, values in ds.coords.items() if values.dims == ("member",)]
    swept = [name for name in swept if name != "member"]
    return [
        ", ".join(f"{symbol(name)} = {number(ds[name].values[index])}" for name in swept)
        or f"member {index}"
        for index in range(ds.sizes["member"])
    ]


def pale(cmap: str) -> ListedColormap:
    """Blend a colour map with white, for coarse values between the patches."""
    colors = mpl.colormaps[cmap](np.linspace(0.0, 1.0, 256))[:, :3]
    return ListedColormap(_PALE * colors + (1 - _PALE))


def color_scale(*arrays: np.ndarray) -> tuple[str, Normalize]:
    """Choose a colour map that colour-blind readers can tell apart, and its limits.

    A field that is substantially negative and positive gets a diverging map around zero.
    """
    values = np.concatenate([array.ravel() for array in arrays])
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if low < 0 < high and min(-low, high) > 0.2 * max(-low, high):
        limit = max(-low, high)
        return DIVERGING, Normalize(-limit, limit)
    # round-off around a constant is not a picture
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = low - 0.5 * max(abs(low), 1.0), high + 0.5 * max(abs(high), 1.0)
    return SEQUENTIAL, Normalize(low, high)


def new_figure(
    width: float, height: float, title: str, details: str = "", *, compress: bool = False
) -> Figure:
    """Make a figure whose panels lie below a bold title and a line of details.

    Args:
        width: inches.
        height: inches below the header.
        title: what the figure shows; long ones are wrapped.
        details: how it was made.
        compress: draw panels of fixed aspect close together.

    Returns:
        The figure; everything added to it keeps clear of the header.
    """
    lines = textwrap.wrap(title, int(_LETTERS_PER_INCH * width)) if title else []
    small = textwrap.wrap(details, int(1.3 * _LETTERS_PER_INCH * width)) if details else []
    header = _HEADER_LINE * (len(lines) + 0.85 * len(small)) + 0.1
    total = height + header
    figure = Figure(figsize=(width, total))
    left, top = 0.09 / width, 1 - 0.07 / total
    figure.text(left, top, "\n".join(lines), va="top", fontsize=11, fontweight="bold", color=INK)
    top -= _HEADER_LINE * len(lines) / total
    figure.text(left, top, "\n".join(small), va="top", fontsize=8.5, color=MUTED)
    figure.set_layout_engine(
        ConstrainedLayoutEngine(rect=(0, 0, 1, height / total), compress=compress)
    )
    return figure


def details_of(ds: xr.Dataset) -> str:
    """Describe the run in one line, from what its attributes tell."""
    attrs = ds.attrs
    parts = [str(attrs["model"])] if "model" in attrs else []
    if "scheme" in attrs:
        order = f", order {attrs['order']}" if "order" in attrs else ""
        parts.append(f"{attrs['scheme']}{order}")
    if "patches" in attrs:
        sites = f" of {_product(attrs['sites'])} sites" if "sites" in attrs else ""
        noun = "patch" if np.prod(attrs["patches"]) == 1 else "patches"
        parts.append(f"{_product(attrs['patches'])} {noun}{sites}")
    if "ratio" in attrs:
        ratios = sorted({f"{ratio:.3g}" for ratio in np.atleast_1d(attrs["ratio"])})
        parts.append(f"ratio {', '.join(ratios)}")
    if "backend" in attrs:
        parts.append(str(attrs["backend"]))
    if "wall_seconds" in attrs:
        parts.append(f"{attrs['wall_seconds']:.3g} s")
    return "  \N{MIDDLE DOT}  ".join(parts)


def _product(counts: Any) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(str(int(count)) for count in np.atleast_1d(counts))

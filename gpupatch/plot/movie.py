"""A result as a movie: one frame per saved time, with the same limits and colours in all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gpupatch.errors import GpupatchError
from gpupatch.plot.geometry import axes_of, field_names
from gpupatch.plot.lines import line_figure
from gpupatch.plot.maps import Scales, map_figure
from gpupatch.plot.particles import particle_figure
from gpupatch.plot.style import color_scale, number, styled

if TYPE_CHECKING:
    from gpupatch.files.snapshots import Snapshot

FORMATS = (".mp4", ".gif")
_DPI = 120
_MARGIN = 0.06
_SUFFIXES = ("", "_micro", "_exact")


def find_ffmpeg() -> str | None:
    """The program ffmpeg: on the path, or that of the package imageio-ffmpeg; None without."""
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None


def frames(ds: xr.Dataset, snapshots: Sequence[Snapshot] = ()) -> Iterator[NDArray[np.uint8]]:
    """Pictures of a result at its saved times, all of the same size.

    Args:
        ds: the result.
        snapshots: particles at some of these times.

    Yields:
        [row, column, RGB].
    """
    draw = _line_frame(ds) if len(axes_of(ds)) == 1 else _map_frame(ds)
    shown = [one for one in snapshots if one.state.counts.any()]
    limits = _common_limits([_particle_frame(one) for one in shown]) if shown else []
    for k, t in enumerate(ds["time"].values):
        parts = [_pixels(draw(k))]
        if shown:
            nearest = min(shown, key=lambda one: abs(one.time - t))
            figure = _particle_frame(nearest)
            for ax, (x, y) in zip(figure.axes, limits, strict=True):
                ax.set_xlim(x)
                ax.set_ylim(y)
            parts.append(_pixels(figure))
        yield _stacked(parts)


def _line_frame(ds: xr.Dataset) -> Callable[[int], Figure]:
    names = field_names(ds)
    limits = {name: _spread(_values(ds, name)) for name in names}

    def draw(k: int) -> Figure:
        figure = line_figure(ds.isel(time=[k]))
        for name, ax in zip(names, figure.axes, strict=True):
            ax.set_ylim(limits[name])
        return figure

    return draw


def _map_frame(ds: xr.Dataset) -> Callable[[int], Figure]:
    scales: Scales = {name: color_scale(_values(ds, name)) for name in field_names(ds)}
    for name in field_names(ds):
        if f"{name}_exact" in ds:
            error = float(np.nanmax(np.abs(ds[name] - ds[f"{name}_exact"]), initial=0.0)) or 1.0
            scales[f"{name}_exact"] = scales[name][0], Normalize(-error, error)
    return lambda k: map_figure(ds.isel(time=[k]), scales)


def _particle_frame(snapshot: Snapshot) -> Figure:
    """Particles of the first member."""
    first = np.arange(snapshot.state.n_patch // snapshot.members)
    centres = snapshot.centres
    placed = centres is not None and centres.shape[1] == 1
    return particle_figure(
        snapshot.state.picked(first),
        snapshot.boundary,
        centres=centres[first, 0] if placed and centres is not None else None,
        title="",
        details=f"particles at $t$ = {number(snapshot.time)}",
    )


def _common_limits(figures: Sequence[Figure]) -> list[tuple[tuple[float, float], ...]]:
    """Limits of x and y that hold those of all figures, panel by panel."""
    found = []
    for panels in zip(*(figure.axes for figure in figures), strict=True):
        ends = [(ax.get_xlim(), ax.get_ylim()) for ax in panels]
        found.append(tuple((min(a), max(b)) for a, b in (zip(*one, strict=True) for one in zip(
            *ends, strict=True))))  # fmt: skip
    return found


def _values(ds: xr.Dataset, name: str) -> NDArray[np.float64]:
    """All that is drawn of a field, at all times."""
    kept = [ds[f"{name}{end}"].values.ravel() for end in _SUFFIXES if f"{name}{end}" in ds]
    return np.concatenate(kept)


def _spread(values: NDArray[np.float64]) -> tuple[float, float]:
    _, norm = color_scale(values)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = float(norm.vmin or 0.0), float(norm.vmax or 1.0)
    return low - _MARGIN * (high - low), high + _MARGIN * (high - low)


def _pixels(figure: Figure) -> NDArray[np.uint8]:
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _stacked(parts: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures below each other on white, with even numbers of rows and columns."""
    width = max(part.shape[1] for part in parts)
    padded = [
        np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=255)
        for part in parts
    ]
    whole = np.concatenate(padded)
    return np.pad(
        whole, ((0, whole.shape[0] % 2), (0, whole.shape[1] % 2), (0, 0)), constant_values=255
    )


@styled
def write_movie(path: Path, pictures: Iterator[NDArray[np.uint8]], fps: float) -> None:
    """Write pictures of equal size into a movie, which takes its name when it is whole.

    Args:
        path: the movie, .mp4 (which needs ffmpeg) or .gif.
        pictures: at least one, [row, column, RGB].
        fps: pictures per second.

    Raises:
        GpupatchError: if it cannot be written.
    """
    writer: AbstractMovieWriter = PillowWriter(fps=fps)  # type: ignore[arg-type]
    if path.suffix == ".mp4":
        writer = FFMpegWriter(fps=fps)  # type: ignore[arg-type]
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(f"there is no directory {path.parent}")
        with mpl.rc_context({"animation.ffmpeg_path": find_ffmpeg() or "ffmpeg"}):
            _fill(writer, part, pictures)
        part.replace(path)
    except (OSError, ValueError) as error:
        raise GpupatchError(
            f"cannot write the movie `{path}` ({error}). Check that its directory exists, is "
            "writable and has room."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _fill(writer: AbstractMovieWriter, part: Path, pictures: Iterator[NDArray[np.uint8]]) -> None:
    first = next(pictures)
    rows, columns = first.shape[:2]
    figure = Figure(figsize=(columns / _DPI, rows / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    image = figure.figimage(first)
    with writer.saving(figure, part, _DPI):
        writer.grab_frame()
        for picture in pictures:
            image.set_data(picture)
            writer.grab_frame()

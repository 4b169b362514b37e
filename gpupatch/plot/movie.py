"""A result as a movie: one frame per saved time, with the same limits and colours in all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.export import check_free, open_solution
from gpupatch.files.snapshots import SNAPSHOTS, Snapshot, read_snapshots
from gpupatch.plot.geometry import axes_of, field_names
from gpupatch.plot.lines import line_figure
from gpupatch.plot.maps import Scales, map_figure
from gpupatch.plot.particles import particle_figure
from gpupatch.plot.replicas import mean_of_replicas
from gpupatch.plot.style import color_scale, number, styled

FORMATS = (".mp4", ".gif")
_DPI = 120
_MARGIN = 0.06
_SUFFIXES = ("", "_micro", "_exact")


@styled
def movie_of_run(
    directory: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    fps: float = 10.0,
    overwrite: bool = False,
) -> Path:
    """Draw the result of a run as a movie.

    A frame shows the coarse fields at one saved time as `plot_dataset` would, micro fields inside
    their patches if they were kept, and the particles below if they were.

    Args:
        directory: of the run.
        output: the movie, .mp4 or .gif; `movie.mp4` in the directory when absent, or `movie.gif`
            where there is no ffmpeg.
        fps: frames per second.
        overwrite: replace a movie that is there.

    Returns:
        The path of the movie.

    Raises:
        InputError: if there is no result, fewer than two saved times, or something is in the way.
        GpupatchError: if an .mp4 is asked for where there is no ffmpeg, or it cannot be written.
    """
    if not 0 < fps < np.inf:
        raise InputError(f"`--fps` is {fps:g}; a movie needs a positive number of frames a second.")
    ffmpeg = find_ffmpeg()
    default = Path(directory) / ("movie.gif" if ffmpeg is None else "movie.mp4")
    path = default if output is None else Path(output)
    if path.suffix not in FORMATS:
        raise InputError(f"a movie is written as .mp4 or .gif, not `{path.name}`.")
    if path.suffix == ".mp4" and ffmpeg is None:
        raise GpupatchError(
            'an .mp4 needs ffmpeg, which is not installed. Run `pip install "gpupatch[movie]"`, or '
            "give a name that ends in .gif."
        )
    check_free(path, overwrite)
    with open_solution(directory) as ds:
        result = mean_of_replicas(ds.load())
    if result.sizes.get("time", 0) < 2:
        raise InputError("a movie needs two saved times or more. Run with a larger `time.save`.")
    source = Path(directory) / SNAPSHOTS
    snapshots = list(read_snapshots(source)) if source.exists() else []
    writer: AbstractMovieWriter = PillowWriter(fps=fps)  # type: ignore[arg-type]
    if path.suffix == ".mp4":
        writer = FFMpegWriter(fps=fps)  # type: ignore[arg-type]
    with mpl.rc_context({"animation.ffmpeg_path": ffmpeg or "ffmpeg"}):
        _write(path, writer, frames(result, snapshots))
    return path


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


def _write(path: Path, writer: AbstractMovieWriter, pictures: Iterator[NDArray[np.uint8]]) -> None:
    """Write frames into a movie that takes its name when it is whole."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    first = next(pictures)
    rows, columns = first.shape[:2]
    figure = Figure(figsize=(columns / _DPI, rows / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    image = figure.figimage(first)
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(f"there is no directory {path.parent}")
        with writer.saving(figure, part, _DPI):
            writer.grab_frame()
            for picture in pictures:
                image.set_data(picture)
                writer.grab_frame()
        part.replace(path)
    except (OSError, ValueError) as error:
        raise GpupatchError(
            f"cannot write the movie `{path}` ({error}). Check that its directory exists, is "
            "writable and has room."
        ) from error
    finally:
        part.unlink(missing_ok=True)

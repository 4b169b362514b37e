"""The result of a run as a movie."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.export import check_free, open_solution
from gpupatch.files.snapshots import SNAPSHOTS, read_snapshots
from gpupatch.plot import movie
from gpupatch.plot.replicas import mean_of_replicas


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
    ffmpeg = movie.find_ffmpeg()
    default = Path(directory) / ("movie.gif" if ffmpeg is None else "movie.mp4")
    path = default if output is None else Path(output)
    if path.suffix not in movie.FORMATS:
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
    movie.write_movie(path, movie.frames(result, snapshots), fps)
    return path

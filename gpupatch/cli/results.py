"""Commands that take the directory of a run: info, plot, export."""

import argparse
from pathlib import Path

from gpupatch.cli.arguments import OK, Command, directory_argument


def _info(given: argparse.Namespace) -> int:
    from gpupatch.files.report import REPORT, read_report
    from gpupatch.files.summary import summarise

    print(summarise(read_report(given.directory / REPORT)), end="")
    return OK


def _plot(given: argparse.Namespace) -> int:
    if given.movie:
        from gpupatch.run.movie import movie_of_run

        picture = movie_of_run(given.directory, given.out, given.fps, given.overwrite)
    else:
        from gpupatch.plot import plot_run

        picture = plot_run(given.directory, given.out)
    if not given.quiet:
        print(picture)
    return OK


def _plot_arguments(parser: argparse.ArgumentParser) -> None:
    directory_argument(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the picture (default: plot.png in DIR)"
    )
    parser.add_argument(
        "--movie",
        action="store_true",
        help="draw all saved times as a movie, .mp4 or .gif (default: movie.mp4 in DIR)",
    )
    parser.add_argument(
        "--fps", type=float, default=10.0, metavar="N", help="frames of a movie per second"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a movie that is there")


def _export(given: argparse.Namespace) -> int:
    from gpupatch.files.export import check_free

    if given.to == "extxyz":
        from gpupatch.files.extxyz import PARTICLES, export_run

        check_free(given.out or given.directory / PARTICLES, given.overwrite)
        paths = [export_run(given.directory, given.out)]
    elif given.to == "zarr":
        from gpupatch.files.zarr import export_zarr

        paths = [export_zarr(given.directory, given.out, given.overwrite)]
    else:
        from gpupatch.files.vtkhdf import export_vtkhdf

        paths = export_vtkhdf(given.directory, given.out, given.overwrite)
    if not given.quiet:
        print("\n".join(map(str, paths)))
    return OK


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    directory_argument(parser)
    parser.add_argument(
        "--to",
        choices=("vtkhdf", "zarr", "extxyz"),
        required=True,
        help="vtkhdf: fields, patches and particles for ParaView; zarr: the result for xarray; "
        "extxyz: particles for OVITO, ASE and VMD",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the file (default: solution.vtkhdf, solution.zarr or particles.xyz in DIR)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


COMMANDS = (
    Command("info", "show the report of a run", _info, directory_argument),
    Command("plot", "draw the result of a run, a task or a study", _plot, _plot_arguments),
    Command("export", "write the result of a run for other tools", _export, _export_arguments),
)

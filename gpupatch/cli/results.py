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


def _export(given: argparse.Namespace) -> int:
    from gpupatch.files.extxyz import export_run

    path = export_run(given.directory, given.out)
    if not given.quiet:
        print(path)
    return OK


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    directory_argument(parser)
    parser.add_argument(
        "--to", choices=("extxyz",), required=True, help="extxyz: for OVITO, ASE and VMD"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the file (default: particles.xyz in DIR)"
    )


COMMANDS = (
    Command("info", "show the report of a run", _info, directory_argument),
    Command("plot", "draw the result of a run", _plot, _plot_arguments),
    Command("export", "write the particles of a run for other tools", _export, _export_arguments),
)

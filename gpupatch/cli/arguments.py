"""Arguments that several commands take."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

OK, FAULTY_INPUT, INTERRUPTED, UNREAD = 0, 2, 130, 141


class Command(NamedTuple):
    """One word of the command line.

    Attributes:
        name: the word.
        summary: what it does, for the help.
        run: takes the parsed arguments and returns the exit code; imports what is heavy inside.
        declare: declares its arguments.
    """

    name: str
    summary: str
    run: Callable[[argparse.Namespace], int]
    declare: Callable[[argparse.ArgumentParser], None]


def case_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a case and changes to it."""
    parser.add_argument("case", metavar="CASE", help="a case file, or the name of a built-in case")
    set_argument(parser)


def set_argument(parser: argparse.ArgumentParser) -> None:
    """Declare changes to a case."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change one entry of the case, such as time.end=1.0; an empty VALUE removes it; may "
        "be repeated",
    )


def auto_argument(parser: argparse.ArgumentParser) -> None:
    """Declare that diagnostics may choose."""
    parser.add_argument(
        "--auto",
        action="store_true",
        help="let the diagnostics choose patches, bursts, leaps and replicas, and show the choice",
    )


def backend_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the backend."""
    parser.add_argument(
        "--backend",
        choices=("auto", "numpy", "numba", "cuda"),
        help="where to compute, instead of `run.backend` of the case",
    )


def trust_argument(parser: argparse.ArgumentParser) -> None:
    """Declare trust in what a case names."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="agree to run the rule file that the case names, and to read files outside its "
        "directory",
    )


def results_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a directory for results, and what may be replaced there."""
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="directory for the results (default: runs/CASE)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run in DIR"
    )


def directory_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the directory of a run."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="the directory of a run")


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing: the command takes only the common options."""

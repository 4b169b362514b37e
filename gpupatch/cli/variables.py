"""The command that asks which coarse variables a case needs: variables."""

import argparse
from pathlib import Path

from gpupatch.cli.arguments import (
    Command,
    backend_argument,
    case_arguments,
    results_arguments,
    trust_argument,
)


def _variables(given: argparse.Namespace) -> int:
    from gpupatch.files.case import load_case
    from gpupatch.run.tasks import Place
    from gpupatch.run.variables import variables_case

    case = load_case(given.case, given.set)
    out = given.out or Path("runs", f"{case.name}_variables")
    place = Place(out, given.backend, given.overwrite, given.trust, given.quiet)
    return variables_case(
        case, place, given.candidate or None, after=given.after, tolerance=given.tolerance
    )[1]


def _arguments(parser: argparse.ArgumentParser) -> None:
    case_arguments(parser)
    backend_argument(parser)
    results_arguments(parser)
    trust_argument(parser)
    parser.add_argument(
        "--candidate",
        action="append",
        default=[],
        metavar="NAMES",
        help="a set of variables, such as 'u, v', 'u isolated' or 'u, u_x'; may be repeated "
        "(default: every set of fields)",
    )
    parser.add_argument(
        "--after",
        type=float,
        default=0.0,
        metavar="TIME",
        help="ask where a simulation arrives after this model time",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="TOL",
        help="largest difference accepted (default: `diagnostics.tolerance`)",
    )


COMMANDS = (
    Command("variables", "ask which coarse variables a case needs", _variables, _arguments),
)

"""Commands that ask a case for more than its trajectory: steady, eigenvalues, continue."""

import argparse
from pathlib import Path
from typing import Any

from gpupatch.cli.arguments import (
    Command,
    backend_argument,
    case_arguments,
    results_arguments,
    trust_argument,
)


def _steady(given: argparse.Namespace) -> int:
    from gpupatch.files.case import load_case
    from gpupatch.run.tasks import steady_case

    case = load_case(given.case, given.set)
    options = _options(given) | {"iterations": given.iterations}
    return steady_case(case, _place(given, case.name), after=given.after, **options)[1]


def _steady_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--iterations", type=int, default=30, metavar="N", help="most steps of Newton's method"
    )
    _tolerance(parser, 1e-9)


def _eigenvalues(given: argparse.Namespace) -> int:
    from gpupatch.files.case import load_case
    from gpupatch.run.tasks import eigenvalues_case

    case = load_case(given.case, given.set)
    place = _place(given, case.name)
    return eigenvalues_case(
        case, place, k=given.k, after=given.after, search=not given.no_search, **_options(given)
    )[1]


def _eigenvalues_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("-k", type=int, default=6, metavar="K", help="how many modes (default: 6)")
    parser.add_argument(
        "--no-search",
        action="store_true",
        help="take the modes about the state as it is, instead of a steady state nearby",
    )


def _continue(given: argparse.Namespace) -> int:
    from gpupatch.files.case import load_case
    from gpupatch.run.tasks import continue_case

    case = load_case(given.case, given.set)
    return continue_case(
        case,
        _place(given, case.name),
        given.parameter,
        given.to,
        after=given.after,
        bounds=None if given.bounds is None else tuple(given.bounds),
        steps=given.steps,
        step=given.step,
        longest=given.longest,
        switch=given.switch,
        functional=given.show,
        k=given.k,
        **_options(given),
    )[1]


def _continue_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--parameter", required=True, metavar="NAME", help="the parameter that is varied"
    )
    parser.add_argument(
        "--to", type=float, required=True, metavar="VALUE", help="value towards which it goes"
    )
    parser.add_argument(
        "--bounds",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="interval in which branches are followed (default: from the case's value to --to)",
    )
    parser.add_argument(
        "--steps", type=int, default=100, metavar="N", help="most points of a branch"
    )
    parser.add_argument(
        "--step", type=float, default=0.02, metavar="S", help="length of the first step"
    )
    parser.add_argument(
        "--longest", type=float, default=0.05, metavar="S", help="length of the longest step"
    )
    parser.add_argument(
        "--switch",
        type=int,
        default=0,
        metavar="N",
        help="follow branches that leave at branch points, so many generations",
    )
    parser.add_argument(
        "--show",
        default="norm",
        metavar="WHAT",
        help="what states are drawn as: norm, or 'mean u', 'max u', 'min u', 'middle u' of a field",
    )
    parser.add_argument("-k", type=int, default=6, metavar="K", help="leading eigenvalues kept")
    _tolerance(parser, 1e-8)


def _common(parser: argparse.ArgumentParser) -> None:
    case_arguments(parser)
    backend_argument(parser)
    results_arguments(parser)
    trust_argument(parser)
    parser.add_argument(
        "--after",
        type=float,
        default=0.0,
        metavar="TIME",
        help="begin where a simulation arrives after this model time",
    )
    parser.add_argument(
        "--coarse",
        action="store_true",
        help="let coarse values be the unknowns of coupled patches, too",
    )
    parser.add_argument(
        "--over",
        type=float,
        metavar="TIME",
        help="use the coarse time-stepper over this time instead of slopes (coupled patches)",
    )


def _tolerance(parser: argparse.ArgumentParser, default: float) -> None:
    parser.add_argument(
        "--tolerance",
        type=float,
        default=default,
        metavar="TOL",
        help=f"largest slope of a steady state (default: {default:g})",
    )


def _options(given: argparse.Namespace) -> dict[str, Any]:
    """What the three tasks have in common."""
    options: dict[str, Any] = {"coarse": given.coarse, "over": given.over}
    if hasattr(given, "tolerance"):
        options["tolerance"] = given.tolerance
    return options


def _place(given: argparse.Namespace, name: str) -> Any:
    from gpupatch.run.tasks import Place

    out = given.out or Path("runs", f"{name}_{given.task}")
    return Place(out, given.backend, given.overwrite, given.trust, given.quiet)


def _declared(task: str, declare: Any) -> Any:
    """A declaration that also notes the name of the task."""

    def both(parser: argparse.ArgumentParser) -> None:
        declare(parser)
        parser.set_defaults(task=task)

    return both


COMMANDS = (
    Command(
        "steady",
        "find a steady state of a case, stable or not",
        _steady,
        _declared("steady", _steady_arguments),
    ),
    Command(
        "eigenvalues",
        "find the leading growth rates and modes of a case",
        _eigenvalues,
        _declared("eigenvalues", _eigenvalues_arguments),
    ),
    Command(
        "continue",
        "follow a steady state of a case through values of a parameter",
        _continue,
        _declared("continue", _continue_arguments),
    ),
)

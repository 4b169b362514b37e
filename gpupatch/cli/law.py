"""The command that asks a case for the law of its large scale: law."""

import argparse
from pathlib import Path

from gpupatch.cli.arguments import (
    Command,
    backend_argument,
    case_arguments,
    results_arguments,
    trust_argument,
)


def _law(given: argparse.Namespace) -> int:
    from gpupatch.files.case import load_case
    from gpupatch.run.law import law_case
    from gpupatch.run.tasks import Place

    case = load_case(given.case, given.set)
    out = given.out or Path("runs", f"{case.name}_law")
    place = Place(out, given.backend, given.overwrite, given.trust, given.quiet)
    terms = [name.strip() for name in given.terms.split(",")] if given.terms else None
    return law_case(
        case,
        place,
        ranges=dict(given.range),
        states=given.states,
        after=given.after,
        terms=terms,
        degree=given.degree,
        spline=given.spline,
        select=given.select,
        tolerance=given.tolerance,
        count=given.count,
        waves=given.waves,
        seed=case.run.seed if given.seed is None else given.seed,
    )[1]


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.partition("=")
    low, _, high = ends.partition(":")
    try:
        return name.strip(), (float(low), float(high))
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not FIELD=LOW:HIGH") from None


def _arguments(parser: argparse.ArgumentParser) -> None:
    case_arguments(parser)
    backend_argument(parser)
    results_arguments(parser)
    trust_argument(parser)
    parser.add_argument(
        "--range",
        type=_range,
        action="append",
        default=[],
        metavar="FIELD=LOW:HIGH",
        help="range of a field in the random states (default: that of the initial state); may be "
        "repeated",
    )
    parser.add_argument(
        "--states", type=Path, metavar="FILE", help="take the states of a solution.nc instead"
    )
    parser.add_argument(
        "--after",
        type=float,
        default=0.0,
        metavar="TIME",
        help="take ranges where a simulation arrives after this model time",
    )
    parser.add_argument("--count", type=int, default=24, metavar="N", help="random states")
    parser.add_argument(
        "--waves", type=int, metavar="N", help="their largest wave number, waves per domain"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="their seed (default: `run.seed`)")
    parser.add_argument(
        "--terms",
        metavar="NAMES",
        help="terms to choose from, such as 'u_xx, u u_x, u^2' (default: all up to --degree)",
    )
    parser.add_argument(
        "--degree", type=int, default=3, metavar="N", help="highest degree of a term (default: 3)"
    )
    parser.add_argument(
        "--spline",
        type=int,
        metavar="N",
        help="let diffusivities be splines of so many pieces in place of polynomials",
    )
    parser.add_argument(
        "--select",
        choices=("stepwise", "lasso"),
        default="stepwise",
        help="how the terms are selected; lasso needs scikit-learn (default: stepwise)",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.01,
        metavar="TOL",
        help="lack of fit accepted, relative to the slopes (default: 0.01)",
    )


COMMANDS = (Command("law", "find the law that the large scale of a case obeys", _law, _arguments),)

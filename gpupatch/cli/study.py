"""The command that compares accuracy with cost: study."""

import argparse
from pathlib import Path

from gpupatch.cli.arguments import Command, backend_argument, case_arguments, trust_argument


def _study(given: argparse.Namespace) -> int:
    from gpupatch.files.case import load_case
    from gpupatch.studies.study import study
    from gpupatch.studies.sweep import parse_axis

    case = load_case(given.case, given.set)
    result = study(
        case,
        dict(map(parse_axis, given.vary)) or None,
        out=given.out or Path("studies", case.name),
        backend=given.backend,
        reference=None if given.reference is None else given.reference.replace("-", "_"),
        limit=given.limit,
        overwrite=given.overwrite,
        trust=given.trust,
        quiet=given.quiet,
        dry_run=given.dry_run,
    )
    return 0 if given.dry_run else result.exit_code


def _arguments(parser: argparse.ArgumentParser) -> None:
    case_arguments(parser)
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="PATH=VALUE,VALUE,...",
        help="run with these values of one entry, such as scheme.order=2,4,6; several are "
        "combined; when absent, settings that suit the scheme",
    )
    parser.add_argument(
        "--reference",
        choices=("exact", "full-domain", "self"),
        help="what errors are measured against: the exact solution of the case (when it has one), "
        "the micro-simulator on the whole domain (where affordable), or the finest run",
    )
    parser.add_argument(
        "--limit", type=float, metavar="SECONDS", help="run nothing more after this wall time"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="directory for the results (default: studies/CASE)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier study in DIR"
    )
    backend_argument(parser)
    trust_argument(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything and show the plan, run nothing"
    )


COMMANDS = (Command("study", "vary the settings of a case: accuracy for cost", _study, _arguments),)

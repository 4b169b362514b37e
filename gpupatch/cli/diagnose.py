"""The command that tests the assumptions of the method: diagnose."""

import argparse
import sys

from gpupatch.cli.arguments import (
    OK,
    Command,
    auto_argument,
    backend_argument,
    case_arguments,
    trust_argument,
)

FLAGGED = 5
"""Exit code of `diagnose --strict` if something is raised that was not expected."""


def _diagnose(given: argparse.Namespace) -> int:
    import json

    from gpupatch.files.case import load_case
    from gpupatch.run.diagnose import diagnose_case, unexpected
    from gpupatch.run.execute import told_warnings

    case = load_case(given.case, given.set)
    if given.auto:
        from gpupatch.run.auto import choose

        choice = choose(case, backend=given.backend, trust=given.trust)
        case = choice.case
        if not (given.quiet or given.json):
            print(choice.told(), flush=True)
    only = None if given.only is None else [one.strip() for one in given.only.split(",")]
    if case.particles is not None and not (given.quiet or given.json):
        print(
            "gpupatch: slopes of particles are compared until noise lets them be told apart; all "
            "tests together take up to a dozen times as long as the run. `--only D3` asks for one.",
            file=sys.stderr,
            flush=True,
        )
    with told_warnings():
        diagnosis = diagnose_case(
            case, backend=given.backend, trust=given.trust, only=only, at=given.at
        )
    expected = case.diagnostics.expect_flags
    surprising = unexpected(diagnosis, case)
    if given.json:
        record = {**diagnosis.record(), "expected": list(expected)}
        print(json.dumps(record, indent=2, allow_nan=False))
    elif not given.quiet:
        print(diagnosis.table(expected), end="")
    return FLAGGED if given.strict and surprising.findings else OK


def _arguments(parser: argparse.ArgumentParser) -> None:
    case_arguments(parser)
    auto_argument(parser)
    backend_argument(parser)
    trust_argument(parser)
    parser.add_argument(
        "--only", metavar="IDS", help="only these diagnostics, such as D2,D3 (default: all)"
    )
    parser.add_argument(
        "--at",
        type=float,
        metavar="TIME",
        help="test the state at this model time, running up to there (default: the start)",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 5 if something is raised that `diagnostics.expect_flags` does not list",
    )


COMMANDS = (
    Command("diagnose", "test whether a case is right to trust its patches", _diagnose, _arguments),
)

"""Commands that take a case: run, validate, cases, new."""

import argparse
from pathlib import Path

from gpupatch.cli.arguments import (
    OK,
    Command,
    auto_argument,
    backend_argument,
    case_arguments,
    no_arguments,
    results_arguments,
    trust_argument,
)


def _run(given: argparse.Namespace) -> int:
    from gpupatch.files.case import load_case
    from gpupatch.run import run_case

    case, choice = load_case(given.case, given.set), None
    if given.auto:
        from gpupatch.run.auto import choose

        choice = choose(case, backend=given.backend, trust=given.trust)
        case = choice.case
        if not given.quiet:
            print(choice.told(), flush=True)
    result = run_case(
        case,
        given.out or Path("runs", case.name),
        backend=given.backend,
        overwrite=given.overwrite,
        trust=given.trust,
        quiet=given.quiet,
        dry_run=given.dry_run,
        choice=None if choice is None else choice.record(),
    )
    return result.exit_code


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    case_arguments(parser)
    auto_argument(parser)
    backend_argument(parser)
    results_arguments(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything and show the plan, run nothing"
    )
    trust_argument(parser)


def _validate(given: argparse.Namespace) -> int:
    from gpupatch.files.case import load_case
    from gpupatch.files.toml import dump_toml

    case = load_case(given.case, given.set)
    if not given.quiet:
        print(dump_toml(case.resolved()), end="")
    return OK


def _cases(given: argparse.Namespace) -> int:
    from gpupatch.files.builtin import builtin_names, builtin_summary

    names = builtin_names()
    width = max(len(name) for name in names)
    for name in names:
        title, about = builtin_summary(name)
        print(f"{name:<{width}}  {title}\n{'':<{width}}  {about}")
    return OK


def _new(given: argparse.Namespace) -> int:
    from gpupatch.files.builtin import builtin_text

    print(builtin_text(given.name), end="")
    return OK


def _new_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a built-in case, see `gpupatch cases`")


COMMANDS = (
    Command("run", "run a case", _run, _run_arguments),
    Command("validate", "check a case and show it with all defaults", _validate, case_arguments),
    Command("cases", "list the built-in cases", _cases, no_arguments),
    Command("new", "print a built-in case, to be edited", _new, _new_arguments),
)

"""The command that takes up a run: resume."""

import argparse

from gpupatch.cli.arguments import (
    Command,
    backend_argument,
    directory_argument,
    set_argument,
    trust_argument,
)


def _resume(given: argparse.Namespace) -> int:
    from gpupatch.run import resume

    result = resume(
        given.directory,
        given.set,
        backend=given.backend,
        allow_change=given.allow_change,
        trust=given.trust,
        quiet=given.quiet,
    )
    return result.exit_code


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    directory_argument(parser)
    set_argument(parser)
    backend_argument(parser)
    parser.add_argument(
        "--allow-change",
        action="store_true",
        help="go on although the case file, or a file that it reads, has changed since",
    )
    trust_argument(parser)


COMMANDS = (
    Command("resume", "go on with a run from its last checkpoint", _resume, _resume_arguments),
)

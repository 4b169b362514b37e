"""The command line: parse, call, and turn the outcome into one message and an exit code.

A command is a function of the parsed arguments that returns the exit code, and a function that
declares its arguments. Each module here lists some in `COMMANDS`. Everything heavy is imported
inside the commands.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from gpupatch._version import __version__
from gpupatch.cli import (
    cases,
    diagnose,
    doctor,
    law,
    replay,
    results,
    resume,
    study,
    tasks,
    variables,
)
from gpupatch.cli.arguments import FAULTY_INPUT, INTERRUPTED, UNREAD
from gpupatch.errors import GpupatchError, InputError

_EPILOG = """\
exit codes: 0 done; 2 something in the input is wrong; 3 the state stopped being finite;
4 doctor found a problem; 5 diagnose --strict found a flag; 130 interrupted (Ctrl-C); 143 terminated
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: words after the program name; those of the process when absent.

    Returns:
        The exit code: 0 done, 2 faulty input, 3 non-finite state, 4 a problem found
        by `doctor`, 130 interrupted, 141 output that nobody reads, 143 terminated.
    """
    given = _parser().parse_args(arguments)
    try:
        code = given.command(given)
        sys.stdout.flush()
        return code
    except GpupatchError as error:
        return _fail(error, error.exit_code, given.verbose)
    except BrokenPipeError:
        # whoever reads the output has had enough; what is left of it goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except OSError as error:
        return _fail(error, FAULTY_INPUT, given.verbose)
    except MemoryError as error:
        told = InputError(f"there is not enough memory ({error}). Use fewer or smaller patches.")
        return _fail(told, FAULTY_INPUT, given.verbose)
    except KeyboardInterrupt:
        print("gpupatch: interrupted", file=sys.stderr)
        return INTERRUPTED


def _fail(error: Exception, exit_code: int, verbose: bool) -> int:
    if verbose:
        traceback.print_exception(error)
    else:
        print(f"gpupatch: error: {error}", file=sys.stderr)
    return exit_code


_COMMANDS = (
    *cases.COMMANDS,
    *resume.COMMANDS,
    *replay.COMMANDS,
    *diagnose.COMMANDS,
    *results.COMMANDS,
    *doctor.COMMANDS,
    *study.COMMANDS,
    *tasks.COMMANDS,
    *law.COMMANDS,
    *variables.COMMANDS,
)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    common.add_argument("-v", "--verbose", action="store_true", help="show where an error arose")
    parser = argparse.ArgumentParser(
        prog="gpupatch",
        description="Patch dynamics: micro-simulators in small patches and short bursts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gpupatch {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        one = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            parents=[common],
            allow_abbrev=False,
        )
        command.declare(one)
        one.set_defaults(command=command.run)
    return parser

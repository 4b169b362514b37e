"""The command line: parse, call, and turn the outcome into one message and an exit code.

A command is a function of the parsed arguments that returns the exit code, and a function that
declares its arguments; `_COMMANDS` lists them. Everything heavy is imported inside the commands.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from gpupatch._version import __version__
from gpupatch.errors import GpupatchError

OK, FAULTY_INPUT, INTERRUPTED = 0, 2, 130

_EPILOG = """\
exit codes: 0 done; 2 something in the input is wrong; 3 the state stopped being finite;
130 interrupted (Ctrl-C); 143 terminated
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: words after the program name; those of the process when absent.

    Returns:
        The exit code: 0 done, 2 faulty input, 3 non-finite state, 130 interrupted, 143
        terminated.
    """
    given = _parser().parse_args(arguments)
    try:
        return given.command(given)
    except GpupatchError as error:
        return _fail(error, error.exit_code, given.verbose)
    except OSError as error:
        return _fail(error, FAULTY_INPUT, given.verbose)
    except KeyboardInterrupt:
        print("gpupatch: interrupted", file=sys.stderr)
        return INTERRUPTED


def _fail(error: Exception, exit_code: int, verbose: bool) -> int:
    if verbose:
        traceback.print_exception(error)
    else:
        print(f"gpupatch: error: {error}", file=sys.stderr)
    return exit_code


def _run(given: argparse.Namespace) -> int:
    from gpupatch.files.case import load_case
    from gpupatch.run import run_case

    case = load_case(given.case, given.set)
    result = run_case(
        case,
        given.out or Path("runs", case.name),
        backend=given.backend,
        overwrite=given.overwrite,
        trust=given.trust,
        quiet=given.quiet,
        dry_run=given.dry_run,
    )
    return result.exit_code


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _case_arguments(parser)
    parser.add_argument(
        "--backend",
        choices=("auto", "numpy", "numba", "cuda"),
        help="where to compute, instead of `run.backend` of the case",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="directory for the results (default: runs/CASE)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run in DIR"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything and show the plan, run nothing"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="agree to run the rule file that the case names, and to read files outside its "
        "directory",
    )


def _case_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("case", metavar="CASE", help="a case file, or the name of a built-in case")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change one entry of the case, such as time.end=1.0; an empty VALUE removes it; may "
        "be repeated",
    )


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
    _directory_argument(parser)
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
    _directory_argument(parser)
    parser.add_argument(
        "--to", choices=("extxyz",), required=True, help="extxyz: for OVITO, ASE and VMD"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the file (default: particles.xyz in DIR)"
    )


def _directory_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIR", help="the directory of a run")


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing: the command takes only the common options."""


_Command = Callable[[argparse.Namespace], int]
_Declare = Callable[[argparse.ArgumentParser], None]
_COMMANDS: tuple[tuple[str, str, _Command, _Declare], ...] = (
    ("run", "run a case", _run, _run_arguments),
    ("validate", "check a case and show it with all defaults", _validate, _case_arguments),
    ("cases", "list the built-in cases", _cases, _no_arguments),
    ("new", "print a built-in case, to be edited", _new, _new_arguments),
    ("info", "show the report of a run", _info, _directory_argument),
    ("plot", "draw the result of a run", _plot, _plot_arguments),
    ("export", "write the particles of a run for other tools", _export, _export_arguments),
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
    for name, summary, command, declare in _COMMANDS:
        one = commands.add_parser(
            name, help=summary, description=summary, parents=[common], allow_abbrev=False
        )
        declare(one)
        one.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())

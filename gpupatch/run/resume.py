"""Take up a run that was interrupted, killed, or is to go on beyond its end."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpupatch.arrays import Plain
from gpupatch.backends.select import get_backend
from gpupatch.contract import checked
from gpupatch.errors import CaseError, InputError
from gpupatch.files.case import Case, parse_case
from gpupatch.files.checkpoint import CHECKPOINT, read_checkpoint
from gpupatch.files.report import REPORT, check_plain_files, read_report
from gpupatch.files.sole import sole_use
from gpupatch.files.toml import read_toml, set_entry
from gpupatch.run.build import build
from gpupatch.run.execute import (
    PLOT,
    RUNNING,
    RunResult,
    about_run,
    carry_out,
    describe,
    run_case,
    told_warnings,
)
from gpupatch.run.inputs import CASE_FILE, changes
from gpupatch.run.put_down import CHECKPOINTS, TakenUp
from gpupatch.schedule import FINISHED, Schedule

OPEN = (
    "title", "time.end", "time.save", "checkpoint", "checkpoint.every", "checkpoint.seconds",
    "run.backend", "run.dtype",
)  # fmt: skip
"""What may be changed of a run that is taken up: nothing that would have altered its past."""


@checked(InputError)
def resume(
    directory: Path | str,
    overrides: Sequence[str] = (),
    *,
    backend: str | None = None,
    allow_change: bool = False,
    trust: bool = False,
    quiet: bool = False,
) -> RunResult:
    """Go on with the run in a directory from its last checkpoint.

    On the same kind of backend the results are those of a run that was never disturbed, to the last
    bit; on another one, or in another precision, they agree to its accuracy. Records beyond the
    checkpoint are dropped. A run that was killed before its first checkpoint begins anew.

    The `Solution` and the report cover the whole run. In the solution, fields that `output.fields`
    leaves out, and micro fields of times that `output.every` leaves out, are undefined (NaN) before
    the resumption.

    Args:
        directory: of the run.
        overrides: assignments `path.to.key=value`; only what is `OPEN` may change. Of `time.save`
            those times count that lie ahead.
        backend: where to compute; where it was before when absent.
        allow_change: go on although the case file, or a file that it reads, has changed since. The
            case stays what it was; other files are read as they are now.
        trust: accept a rule file, paths outside the case's directory, and a case whose directory
            lies neither in the run's nor in the current one.
        quiet: say nothing.

    Returns:
        Directory, solution and exit code; no solution if nothing was left to do.

    Raises:
        InputError: if there is no run, its checkpoints are damaged, something has changed, or an
            assignment would alter the past.
        GpupatchError: if the run cannot go on.
    """
    place = Path(directory)
    if not place.is_dir():
        raise InputError(f"there is no directory `{place}`. Give the directory of a run.")
    check_plain_files(place)
    for assignment in overrides:
        _check_open(assignment)
    with told_warnings(), sole_use(place):
        if any((place / name).exists() for name in CHECKPOINTS):
            return _go_on(place, overrides, backend, allow_change, trust, quiet)
        report = _report_of(place)
    if report["status"] == RUNNING:
        if not quiet:
            print("no checkpoint was made before the run died: it begins anew", flush=True)
        case = _case(place, report["case"], report, overrides)
        _check_inputs(place, case, report, allow_change, trust)
        return run_case(
            case, place, backend=backend or _backend(report, overrides), overwrite=True,
            trust=trust, quiet=quiet,
        )  # fmt: skip
    if report["status"] == FINISHED and not overrides:
        _tell_finished(report["time"]["reached"], quiet)
        return RunResult(place, None, 0)
    raise InputError(
        f"the run in `{place}` is {report['status']} and left no checkpoint to go on from. Runs "
        "with a section `[checkpoint]` leave one; begin anew."
    )


def _go_on(
    place: Path,
    overrides: Sequence[str],
    backend: str | None,
    allow_change: bool,
    trust: bool,
    quiet: bool,
) -> RunResult:
    tree, warning = read_checkpoint(place / CHECKPOINT)
    if warning:
        print(f"gpupatch: warning: {warning}", file=sys.stderr)
    if "cursor" not in tree:
        raise InputError(
            f"`{place / CHECKPOINT}` was made by `gp.simulate`, not by a run of a case. Take it up "
            "with `gp.simulate(..., resume=...)`."
        )
    about, run = tree["about"], tree["run"]
    case = _case(place, read_toml(about["case"], CHECKPOINT), about, overrides)
    _check_inputs(place, case, about, allow_change, trust)
    reached, save = run["march"]["time"], case.time.save
    if case.time.end < reached:
        raise InputError(
            f"`time.end` is {case.time.end:g}, but the run has already reached t = {reached:g}. "
            "Choose a later end."
        )
    times = Schedule(case.time.start, case.time.end, save).times
    if tree["saved_until"] >= times[-1] and _ended(place):
        _tell_finished(reached, quiet)
        return RunResult(place, None, 0)
    chosen, reason = get_backend(backend or _backend(about, overrides) or case.run.backend)
    parts = build(case, chosen, trust)
    if not quiet:
        print(f"going on from t = {reached:g}", flush=True)
        print(describe(case, parts, chosen.name, reason), flush=True)
    told = about_run(case, chosen.name, reason, trust)
    # a case file that is gone has left its digest only
    told["inputs"] = {**about["inputs"], **told["inputs"]}
    return carry_out(case, parts, told, place, quiet, TakenUp(run, tree["cursor"]))


def _ended(place: Path) -> bool:
    """Whether the run has also written all that it writes at its end."""
    told = (place / REPORT).is_file() and (place / PLOT).is_file()
    return told and read_report(place / REPORT).get("status") == FINISHED


def _case(
    place: Path, table: Mapping[str, Plain], about: Mapping[str, Any], overrides: Sequence[str]
) -> Case:
    """The case of the run with what was changed of it."""
    changed = {key: dict(one) if isinstance(one, dict) else one for key, one in table.items()}
    for assignment in overrides:
        set_entry(changed, assignment)
    case = parse_case(changed, about["case_name"], Path(about["case_directory"]))
    case = case.told_by(place, Path())
    file = about["inputs"].get(CASE_FILE)
    return case.read_from(Path(file["path"])) if file else case


def _check_inputs(
    place: Path, case: Case, about: Mapping[str, Any], allow_change: bool, trust: bool
) -> None:
    """Refuse to go on with other files than the run began with, unless told.

    Raises:
        InputError: with the files that have changed.
    """
    changed = changes(about["inputs"], case.code_digests(trust))
    if changed and not allow_change:
        raise InputError(
            f"{', '.join(changed)} changed since the run in `{place}` began. Undo that, begin "
            "anew in another directory, or go on all the same with `--allow-change`: the case "
            "stays what it was, and other files are read as they are now."
        )


def _backend(about: Mapping[str, Any], overrides: Sequence[str]) -> str | None:
    """Where the run was before; None if the case says so anew."""
    anew = any(_path(one) == "run.backend" for one in overrides)
    return None if anew else about["backend"]


def _check_open(assignment: str) -> None:
    path = _path(assignment)
    if path not in OPEN:
        raise CaseError(
            f"`--set {assignment}`: `{path}` would alter what the run has already done. Of a run "
            f"that is taken up only these may change: {', '.join(OPEN)}."
        )


def _path(assignment: str) -> str:
    return ".".join(key.strip() for key in assignment.partition("=")[0].split("."))


def _report_of(place: Path) -> dict[str, Any]:
    """The report of a run without a checkpoint.

    Raises:
        InputError: if there is none, or not all that it must tell.
    """
    report = read_report(place / REPORT)
    for name in ("status", "case", "case_name", "case_directory", "inputs", "backend"):
        if name not in report:
            raise InputError(
                f"`{place / REPORT}` says nothing about `{name}`, and there is no checkpoint. "
                "Begin anew."
            )
    return report


def _tell_finished(t: float, quiet: bool) -> None:
    if not quiet:
        print(f"the run is finished, at t = {t:g}. `--set time.end=...` lets it go on, if it has a "
              "section `[checkpoint]`", flush=True)  # fmt: skip

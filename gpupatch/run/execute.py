"""Run a case and leave a directory of results."""

from __future__ import annotations

import platform
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from gpupatch._version import __version__
from gpupatch.arrays import Plain
from gpupatch.backends.select import get_backend
from gpupatch.checkpoints import Checkpoint
from gpupatch.compare import full_domain_reference
from gpupatch.contract import checked
from gpupatch.errors import InputError, NonFiniteError
from gpupatch.files.case import Case
from gpupatch.files.journal import JOURNAL, Journal
from gpupatch.files.output import SOLUTION
from gpupatch.files.progress import Progress
from gpupatch.files.replay import REPLAYS
from gpupatch.files.report import REPORT, prepare_directory, remove_results, write_report
from gpupatch.files.snapshots import SNAPSHOTS
from gpupatch.files.sole import sole_use
from gpupatch.files.toml import dump_toml
from gpupatch.run.build import Parts, build, check_start
from gpupatch.run.diagnose import tested_for_free
from gpupatch.run.inputs import fingerprints
from gpupatch.run.particles import PICTURE, ParticleRecord
from gpupatch.run.put_down import (
    CHECKPOINTS,
    PASSING,
    CaseCheckpoints,
    TakenUp,
    take_up_files,
)
from gpupatch.run.record import Record
from gpupatch.run.replay import FailureRecord
from gpupatch.schedule import FINISHED, INTERRUPTED, NON_FINITE, TERMINATED
from gpupatch.simulation import simulate
from gpupatch.solution import Solution

PLOT = "plot.png"
RUNNING = "running"
"""Status of a run that has not ended, or was killed."""
EXIT_CODES = {FINISHED: 0, NON_FINITE: NonFiniteError.exit_code, INTERRUPTED: 130, TERMINATED: 143}


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run of a case came to.

    Attributes:
        directory: where the results are, or None for a dry run.
        solution: the solution, or None for a dry run and where there was nothing left to do.
        exit_code: 0, 3 (non-finite state), 130 (interrupted) or 143 (terminated).
    """

    directory: Path | None
    solution: Solution | None
    exit_code: int


@checked(InputError)
def run_case(
    case: Case,
    out: Path | str,
    *,
    backend: str | None = None,
    overwrite: bool = False,
    trust: bool = False,
    quiet: bool = False,
    dry_run: bool = False,
    choice: Mapping[str, Any] | None = None,
) -> RunResult:
    """Run a case and write `solution.nc`, `report.json` and `plot.png`.

    Everything is built before anything is written, so that a mistake in the case leaves no trace.
    A run that is refused at its first step leaves no trace either; one that is interrupted,
    terminated or stops being finite leaves what it had.

    Args:
        case: the case.
        out: directory of the results.
        backend: where to compute, instead of what the case says.
        overwrite: replace the results of an earlier run.
        trust: accept a rule file and paths outside the case's directory.
        quiet: say nothing.
        dry_run: build everything, say what would be done, and stop.
        choice: what `--auto` has chosen in the case, for the report.

    Returns:
        Directory, solution and exit code.

    Raises:
        GpupatchError: if the case cannot be run, or its results cannot be written.
    """
    chosen, reason = get_backend(backend or case.run.backend)
    with told_warnings(), ExitStack() as held:
        parts = build(case, chosen, trust)
        check_start(case, parts)
        if not quiet:
            print(describe(case, parts, chosen.name, reason), flush=True)
        if dry_run:
            return RunResult(None, None, 0)
        about = about_run(case, chosen.name, reason, trust)
        if choice is not None:
            about["auto"] = dict(choice)
        if Path(out).is_dir():
            held.enter_context(sole_use(Path(out)))
            directory = prepare_directory(out, overwrite)
        else:
            directory = prepare_directory(out, overwrite)
            held.enter_context(sole_use(directory))
        return carry_out(case, parts, about, directory, quiet)


def carry_out(
    case: Case,
    parts: Parts,
    about: dict[str, Any],
    directory: Path,
    quiet: bool,
    taken_up: TakenUp | None = None,
) -> RunResult:
    """Simulate, and leave the results in a directory that is ours alone.

    Args:
        case: the case.
        parts: what was made of it.
        about: what the report tells about the run beforehand.
        directory: where the results go.
        quiet: say nothing.
        taken_up: the checkpoint of the run in this directory that goes on.

    Returns:
        Directory, solution and exit code.

    Raises:
        GpupatchError: if results cannot be written, or those of before cannot be read.
    """
    files = [SOLUTION, REPORT, PLOT, *CHECKPOINTS, *PASSING, *REPLAYS]
    if case.output.particles is not False:
        files += [SNAPSHOTS, PICTURE]
    about = {**about, "files": files, "diagnostics": tested_for_free(case, parts)}
    write_report(directory / REPORT, {**about, "status": RUNNING})
    solution, checkpoints = _simulate(case, parts, directory, about, quiet, taken_up)
    write_report(directory / REPORT, {**about, **solution.report})
    if solution.status == FINISHED:
        checkpoints.forget()
    _draw(directory)
    if not quiet:
        print(outcome(solution, directory), flush=True)
    if solution.failure is not None:
        print(f"gpupatch: error: {solution.failure}", file=sys.stderr)
    return RunResult(directory, solution, EXIT_CODES[solution.status])


def _simulate(
    case: Case,
    parts: Parts,
    directory: Path,
    about: dict[str, Any],
    quiet: bool,
    taken_up: TakenUp | None,
) -> tuple[Solution, CaseCheckpoints]:
    time, scheme = case.time, parts.scheme
    exact = parts.exact
    if case.compare is not None and case.compare.full_domain:
        exact = full_domain_reference(scheme, parts.initial, time.start)
    facts = _facts(case)
    record = Record(case, scheme, facts, directory)
    particles = ParticleRecord(case, scheme, directory)
    failures = FailureRecord(directory, scheme, about_checkpoint(case, about))
    checkpoints = CaseCheckpoints(directory, case, about_checkpoint(case, about), record, particles)
    begun: Checkpoint | None = None

    def leave_no_trace(kind: type[BaseException] | None, *_: object) -> None:
        refused = kind is not None and issubclass(kind, InputError)
        if refused and taken_up is None and record.count <= 1:
            remove_results(directory)

    with ExitStack() as files:
        files.push(leave_no_trace)
        files.enter_context(record)
        files.enter_context(particles)
        if taken_up is not None:
            begun = take_up_files(directory, taken_up, record, particles)
            if exact is not None:
                # a reference that runs beside the patches must pass the same times again
                for t in begun.saved.times:
                    exact(t)
        elif checkpoints.periodic:
            record.journal = particles.journal = Journal(directory / JOURNAL)
        if record.journal is not None:
            files.enter_context(record.journal)
        start = time.start if begun is None else begun.time
        progress = files.enter_context(Progress(start, time.end, quiet=quiet))
        solution = simulate(
            scheme,
            parts.initial,
            time.end,
            start=time.start,
            save=time.save if isinstance(time.save, int) else list(time.save),
            projection=parts.projection,
            exact=exact,
            keep_micro=case.output.patches,
            record=record,
            show=particles if case.output.particles is not False else None,
            progress=progress.update,
            attrs=facts,
            checkpoint=checkpoints,
            resume=begun,
            failed=failures.stopped,
        )
    checkpoints.finish()
    particles.draw(solution)
    return solution, checkpoints


def _facts(case: Case) -> dict[str, Any]:
    """Attributes of the result that the case knows."""
    facts: dict[str, Any] = {"title": case.title, "case": case.name}
    if reads_order(case):
        facts["order"] = str(case.scheme.order)
    return {**facts, "domain": [end for pair in case.grid.domain for end in pair]}


@contextmanager
def told_warnings() -> Iterator[None]:
    """Tell warnings in one line each."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(
            f"gpupatch: warning: {message}", file=sys.stderr
        )
        yield


def _draw(directory: Path) -> None:
    from gpupatch.plot import plot_run

    plot_run(directory)


def about_run(case: Case, backend: str, reason: str, trust: bool) -> dict[str, Any]:
    """The part of a report that is known before the run: case, versions, machine."""
    packages = ("numpy", "scipy", "numba", "sympy", "netCDF4", "xarray")
    about: dict[str, Any] = {
        "title": case.title,
        "case": case.resolved(),
        "versions": {
            "gpupatch": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "backend": backend,
        "backend_reason": reason,
        "case_name": case.name,
        "case_directory": str(case.directory.resolve()),
        "inputs": fingerprints(case, trust),
    }
    digests = case.code_digests(trust)
    if digests:
        about["code_sha256"] = digests
    return about


def about_checkpoint(case: Case, about: dict[str, Any]) -> dict[str, Plain]:
    """What a checkpoint tells besides the run: the case as text, what it read, where it ran."""
    kept = ("case_name", "case_directory", "inputs", "backend", "versions")
    return {"case": dump_toml(case.resolved()), **{name: about[name] for name in kept}}


def reads_order(case: Case) -> bool:
    """Whether the scheme of a case interpolates with the order that it gives."""
    kinds = ("coupled", "burst", "flux") if case.particles is None else ("flux", "box_flux")
    return case.scheme.kind in kinds


def describe(case: Case, parts: Parts, backend: str, reason: str) -> str:
    """What is about to be run, in a few lines."""
    scheme = parts.scheme
    model = scheme.result_facts()["model"]
    lines = [
        *scheme.describe(),
        f"backend {backend}, {scheme.dtype}: {reason}",
    ]
    order = f" of order {case.scheme.order}" if reads_order(case) else ""
    title = f"{case.title or case.name}: {model}, {scheme.kind} scheme{order}"
    return "\n  ".join([title, *lines])


def outcome(solution: Solution, directory: Path) -> str:
    """What has come out, in a few lines."""
    report = solution.report
    names = [SOLUTION, REPORT, PLOT, SNAPSHOTS, PICTURE, *REPLAYS]
    files = f"results in {directory}: {', '.join(n for n in names if (directory / n).exists())}"
    if solution.status == NON_FINITE:
        return f"stopped at t = {solution.times[-1]:g}, the last good state\n{files}"
    lines = [*_accuracy(solution), _work(report)]
    if solution.status != FINISHED:
        lines.append(
            f"{solution.status} at t = {solution.times[-1]:g}; results up to there; "
            f"`gpupatch resume {directory}` goes on"
        )
    return "\n".join([*lines, files])


def _accuracy(solution: Solution) -> list[str]:
    """How far the result is from the exact solution, or how sure it is without one."""
    report, t = solution.report, solution.times[-1]
    bars, ratios = report.get("standard_error", {}), report.get("error_in_standard_errors", {})
    mean = f"mean of {report['replicas']} replicas, " if "replicas" in report else ""
    if "error" in report:
        told = (
            f"{name} {value:.3g}" + (f" (rms {ratios[name]:.2g} standard errors)" if ratios else "")
            for name, value in report["error"].items()
        )
        where = f"largest, {mean}{report['functional']}"
        return [f"error at t = {t:g} ({where}): {', '.join(told)}"]
    told = ", ".join(f"{name} {value:.3g}" for name, value in bars.items())
    return [f"standard error at t = {t:g} ({mean}{report['functional']}): {told}"] if bars else []


def _work(report: dict[str, Any]) -> str:
    """What was simulated, and what all of the domain would have taken."""
    unit = "particle steps" if "particle_steps" in report else "cell updates"
    done = f"{report[unit.replace(' ', '_')]:.3g} {unit} in {report['wall_seconds']:.3g} s"
    whole = "domain" if "particle_steps" in report else "lattice"
    gain = report.get("gain")
    return done if gain is None else f"{done}; the full {whole} would need {gain:.3g} times as many"

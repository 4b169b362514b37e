"""Run a case and leave a directory of results."""

from __future__ import annotations

import dataclasses
import platform
import sys
import warnings
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np

from gpupatch._version import __version__
from gpupatch.arrays import Macro, Micro
from gpupatch.backends.select import get_backend
from gpupatch.compare import full_domain_reference
from gpupatch.errors import CaseError, NonFiniteError, suggestion
from gpupatch.files.case import Case
from gpupatch.files.output import SOLUTION, SolutionWriter
from gpupatch.files.progress import Progress
from gpupatch.files.report import REPORT, prepare_directory, write_report
from gpupatch.files.snapshots import SNAPSHOTS
from gpupatch.run.build import Parts, build
from gpupatch.run.particles import PICTURE, ParticleRecord
from gpupatch.schedule import FINISHED, INTERRUPTED, NON_FINITE, TERMINATED
from gpupatch.scheme import Scheme
from gpupatch.simulation import simulate
from gpupatch.solution import Solution, result_layout

PLOT = "plot.png"
EXIT_CODES = {FINISHED: 0, NON_FINITE: NonFiniteError.exit_code, INTERRUPTED: 130, TERMINATED: 143}


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run of a case came to.

    Attributes:
        directory: where the results are, or None for a dry run.
        solution: the solution, or None for a dry run.
        exit_code: 0, 3 (non-finite state), 130 (interrupted) or 143 (terminated).
    """

    directory: Path | None
    solution: Solution | None
    exit_code: int


def run_case(
    case: Case,
    out: Path | str,
    *,
    backend: str | None = None,
    overwrite: bool = False,
    trust: bool = False,
    quiet: bool = False,
    dry_run: bool = False,
) -> RunResult:
    """Run a case and write `solution.nc`, `report.json` and `plot.png`.

    Everything is built before anything is written, so that a mistake in the case leaves no trace.
    A run that is interrupted, terminated or stops being finite leaves what it had.

    Args:
        case: the case.
        out: directory of the results.
        backend: where to compute, instead of what the case says.
        overwrite: replace the results of an earlier run.
        trust: accept a rule file and paths outside the case's directory.
        quiet: say nothing.
        dry_run: build everything, say what would be done, and stop.

    Returns:
        Directory, solution and exit code.

    Raises:
        GpupatchError: if the case cannot be run, or its results cannot be written.
    """
    say = (lambda text: None) if quiet else (lambda text: print(text, flush=True))
    chosen, reason = get_backend(backend or case.run.backend)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(
            f"gpupatch: warning: {message}", file=sys.stderr
        )
        parts = build(case, chosen, trust)
        say(describe(case, parts, chosen.name, reason))
        if dry_run:
            return RunResult(None, None, 0)
        directory = prepare_directory(out, overwrite)
        files = [SOLUTION, REPORT, PLOT]
        if case.output.particles is not False:
            files += [SNAPSHOTS, PICTURE]
        facts = {"title": case.title, "case": case.name}
        if reads_order(case):
            facts["order"] = str(case.scheme.order)
        about = about_run(case, chosen.name, reason, trust)
        write_report(directory / REPORT, {**about, "status": "running", "files": files})
        solution = _simulate(case, parts, directory, facts, quiet)
    report = {**about, **solution.report, "files": files}
    write_report(directory / REPORT, report)
    _draw(directory)
    say(outcome(solution, directory))
    if solution.failure is not None:
        print(f"gpupatch: error: {solution.failure}", file=sys.stderr)
    return RunResult(directory, solution, EXIT_CODES[solution.status])


def _simulate(case: Case, parts: Parts, directory: Path, facts: dict[str, Any], quiet: bool):
    time, keep = case.time, case.output.patches
    exact = parts.exact
    if case.compare is not None and case.compare.full_domain:
        exact = full_domain_reference(parts.scheme, parts.initial, time.start)
    facts = {**facts, "domain": [end for pair in case.grid.domain for end in pair]}
    record = Record(case, parts.scheme, facts, directory / SOLUTION)
    particles = ParticleRecord(case, parts.scheme, directory)
    with record, particles, Progress(time.start, time.end, quiet=quiet) as progress:
        solution = simulate(
            parts.scheme,
            parts.initial,
            time.end,
            start=time.start,
            save=time.save if isinstance(time.save, int) else list(time.save),
            projection=parts.projection,
            exact=exact,
            keep_micro=keep,
            record=record,
            show=particles if case.output.particles is not False else None,
            progress=progress.update,
            attrs=facts,
        )
    particles.draw(solution)
    return solution


class Record:
    """Writes what `[output]` asks for: some fields, and micro fields at every so-many-th time.

    The file is made when the first time comes, which shows what there is to keep.

    Args:
        case: the case.
        scheme: what is run.
        facts: attributes of the result.
        path: the file.

    Raises:
        CaseError: if a field is asked for that the scheme does not have.
    """

    def __init__(self, case: Case, scheme: Scheme, facts: dict[str, Any], path: Path):
        names = scheme.names if case.output.fields is None else case.output.fields
        stray = sorted(set(names) - set(scheme.names))
        if stray:
            raise CaseError(
                f"`output.fields`: there is no field `{stray[0]}`. "
                f"{suggestion(stray[0], scheme.names)}"
            )
        self.every, self._saved = case.output.every, 0
        self._names, self._picked = tuple(names), [scheme.names.index(name) for name in names]
        self._scheme, self._facts, self._path = scheme, facts, path
        self._writer: SolutionWriter | None = None

    def __call__(
        self,
        t: float,
        coarse: Macro,
        micro: Micro | None,
        exact: Macro | None,
        error: Macro | None,
    ) -> None:
        """Write one saved time; micro fields that are not kept are undefined (NaN)."""
        if self._writer is None:
            layout = result_layout(
                self._scheme,
                self._facts,
                with_micro=micro is not None,
                with_exact=exact is not None,
                with_uncertainty=error is not None,
            )
            layout = dataclasses.replace(layout, fields=self._names)
            self._writer = SolutionWriter(self._path, layout)
        if micro is not None and self._saved % self.every:
            micro = np.full_like(micro, np.nan)
        self._saved += 1
        picked = self._picked
        self._writer.append(
            t,
            coarse[:, picked],
            None if micro is None else micro[:, picked],
            None if exact is None else exact[:, picked],
            None if error is None else error[:, picked],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


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
    }
    digests = {
        path: case.rule_file(reference, trust=trust).sha256 for path, reference in case.code.items()
    }
    if digests:
        about["code_sha256"] = digests
    return about


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
    names = [SOLUTION, REPORT, PLOT, SNAPSHOTS, PICTURE]
    files = f"results in {directory}: {', '.join(n for n in names if (directory / n).exists())}"
    if solution.status == NON_FINITE:
        return f"stopped at t = {solution.times[-1]:g}, the last good state\n{files}"
    lines = [*_accuracy(solution), _work(report)]
    if solution.status != FINISHED:
        lines.append(f"{solution.status} at t = {solution.times[-1]:g}; results up to there")
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

"""System-level tasks on a case: a steady state, its spectrum, a branch, as files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpupatch.backends.select import get_backend
from gpupatch.errors import CaseError, GpupatchError, InputError
from gpupatch.files.case import Case
from gpupatch.files.report import REPORT, prepare_directory, write_report
from gpupatch.run.build import Parts, build
from gpupatch.run.execute import about_run, told_warnings
from gpupatch.schedule import FINISHED, INTERRUPTED, TERMINATED
from gpupatch.simulation import simulate
from gpupatch.tasks.branch import Branch
from gpupatch.tasks.continuation import continue_
from gpupatch.tasks.spectrum import Spectrum, eigenvalues
from gpupatch.tasks.steady import steady
from gpupatch.tasks.steady_state import SteadyState

EXIT_CODES = {FINISHED: 0, INTERRUPTED: 130, TERMINATED: 143}


@dataclass(frozen=True)
class Place:
    """Where a task computes, and where its results go.

    Attributes:
        out: directory of the results.
        backend: where to compute, instead of what the case says.
        overwrite: replace the results of an earlier run.
        trust: accept a rule file and paths outside the case's directory.
        quiet: say nothing.
    """

    out: Path
    backend: str | None = None
    overwrite: bool = False
    trust: bool = False
    quiet: bool = False


def steady_case(
    case: Case, place: Place, *, after: float = 0.0, **options: Any
) -> tuple[SteadyState, int]:
    """Find a steady state of a case; leaves `steady.nc`, `steady.png` and `report.json`.

    Args:
        case: the case; the search begins at its initial state.
        place: where it computes, and where results go.
        after: model time that the case is run for first.
        options: as of `gpupatch.steady`.

    Returns:
        The state and the exit code: 0, or 2 if the search failed.

    Raises:
        GpupatchError: if the case cannot be run, or results cannot be written.
    """

    def work(parts: Parts) -> SteadyState:
        return steady(parts.scheme, beginning(parts, case, after), **options)

    state = carried_out(case, place, "steady", work)
    if not place.quiet:
        print(_told_state(state))
    if state.converged:
        return state, 0
    print(f"gpupatch: error: no steady state was found: {state.why}", file=sys.stderr)
    return state, InputError.exit_code


def eigenvalues_case(
    case: Case, place: Place, *, k: int = 6, after: float = 0.0, search: bool = True, **options: Any
) -> tuple[Spectrum, int]:
    """Find the leading modes about a steady state of a case.

    Leaves `eigenvalues.nc`, `eigenvalues.png` and `report.json`.

    Args:
        case: the case; the search for the state begins at its initial state.
        place: where it computes, and where results go.
        k: how many.
        after: model time that the case is run for first.
        search: find the steady state nearby; else the modes are those about the state itself.
        options: as of `gpupatch.eigenvalues`.

    Returns:
        The spectrum and the exit code, 0.

    Raises:
        GpupatchError: if the case cannot be run, no steady state is found, or results cannot be
            written.
    """

    def work(parts: Parts) -> Spectrum:
        state: Any = beginning(parts, case, after)
        if search:
            found = steady(parts.scheme, state, **options)
            if not found.converged:
                raise InputError(
                    f"no steady state was found to take the modes of: {found.why}. Begin nearer to "
                    "one (`initial`, `--after`), or take those of the state as it is "
                    "(`--no-search`)."
                )
            state = found.vector
        return eigenvalues(parts.scheme, state, k, **options)

    found = carried_out(case, place, "eigenvalues", work)
    if not place.quiet:
        print(_told_modes(found))
    return found, 0


def continue_case(
    case: Case, place: Place, parameter: str, end: float, *, after: float = 0.0, **options: Any
) -> tuple[Branch, int]:
    """Follow a steady state of a case through values of a parameter.

    Leaves `branch.nc`, `branch.png` and `report.json`, also of a search that is interrupted.

    Args:
        case: the case; the search for the first state begins at its initial state.
        place: where it computes, and where results go.
        parameter: name of a parameter.
        end: value towards which it goes.
        after: model time that the case is run for first.
        options: as of `gpupatch.continue_`.

    Returns:
        The branch and the exit code: 0, 130 (interrupted) or 143 (terminated).

    Raises:
        GpupatchError: if the case cannot be run, no branch begins nearby, or results cannot be
            written.
    """

    def work(parts: Parts) -> Branch:
        return continue_(parts.scheme, parameter, end, beginning(parts, case, after), **options)

    branch = carried_out(case, place, "branch", work)
    if not place.quiet:
        print(_told_branch(branch))
    return branch, EXIT_CODES[branch.status]


def beginning(parts: Parts, case: Case, after: float) -> Any:
    """Where a search begins: the initial state of a case, or where a simulation arrives.

    Args:
        parts: what the case was made into.
        case: the case, for its beginning in time.
        after: model time that is simulated; none when 0.

    Raises:
        CaseError: if the time is negative.
        GpupatchError: if the simulation fails.
    """
    if after == 0:
        return parts.initial[0] if isinstance(parts.initial, list) else parts.initial
    if not 0 < after < np.inf:
        raise CaseError(f"`--after` is {after:g}; give a time that is not negative.")
    start = case.time.start
    solution = simulate(
        parts.scheme, parts.initial, start + after, start=start, save=2, projection=parts.projection
    )
    if solution.failure is not None:
        raise solution.failure
    if solution.status != FINISHED:
        raise KeyboardInterrupt
    return solution.coarse[-1].mean(axis=0)


def carried_out(case: Case, place: Place, name: str, work: Callable[[Parts], Any]) -> Any:
    """Build, work, and leave a dataset, a picture and a report.

    Args:
        case: the case.
        place: where it computes, and where results go.
        name: of the files.
        work: the task; what it returns has `record`, `to_xarray` and `figure`.

    Returns:
        What `work` returned.

    Raises:
        GpupatchError: if the case cannot be run, or results cannot be written.
    """
    chosen, reason = get_backend(place.backend or case.run.backend)
    with told_warnings():
        parts = build(case, chosen, place.trust)
        directory = prepare_directory(place.out, place.overwrite)
        files = [f"{name}.nc", f"{name}.png", REPORT]
        about = about_run(case, chosen.name, reason, place.trust)
        report: dict[str, Any] = {**about, "task": name, "files": files}
        found = work(parts)
    write_report(directory / REPORT, {"status": FINISHED, **report, **found.record()})
    ds = found.to_xarray().assign_attrs(case=case.name, title=case.title)
    try:
        ds.to_netcdf(directory / files[0])
        found.figure(ds).savefig(directory / files[1])
    except OSError as error:
        raise GpupatchError(
            f"cannot write into `{directory}` ({error}). Check that it is writable and has room."
        ) from error
    if not place.quiet:
        print(f"results in {directory}: {', '.join(files)}")
    return found


def _told_state(state: SteadyState) -> str:
    lines = [
        f"{state.oracle.n} unknowns, {state.iterations} iterations, {state.evaluations} slopes in "
        f"{state.batches} batches: {state.why}",
        f"largest slope {state.residual:.3g}",
    ]
    if state.error is not None:
        lines.append(f"largest standard error of the state {state.error.max():.3g}")
    return "\n".join(lines)


def _told_modes(found: Spectrum) -> str:
    lines = [f"{found.unstable} of {len(found.values)} leading modes grow"]
    lines += [
        f"{rate:+.6g}" + (f" {turn:+.6g}i" if turn else "")
        for rate, turn in zip(found.growth_rates, found.values.imag, strict=True)
    ]
    return "\n".join(lines)


def _told_branch(branch: Branch) -> str:
    lines = []
    for number, one in enumerate(branch.walk()):
        p = one.parameter
        lines.append(
            f"branch {number}: {len(p)} points, {branch.name} from {p[0]:.6g} to {p[-1]:.6g}; "
            f"{one.reason}"
        )
        lines += [f"  {special.kind} at {special.parameter:.6g}" for special in one.special]
    return "\n".join(lines)

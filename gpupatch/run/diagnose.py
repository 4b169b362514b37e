"""Whether the assumptions of the method hold in a case: all tests, or those of every run."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpupatch.backends.select import get_backend
from gpupatch.diagnostics import Diagnosis, diagnose, free_diagnosis
from gpupatch.diagnostics.finding import told
from gpupatch.errors import CaseError, GpupatchError
from gpupatch.files.case import Case
from gpupatch.run.build import Parts, build
from gpupatch.schedule import FINISHED
from gpupatch.simulation import simulate


def diagnose_case(
    case: Case,
    *,
    backend: str | None = None,
    trust: bool = False,
    only: Sequence[str] | None = None,
    at: float | None = None,
) -> Diagnosis:
    """Test all assumptions that a case makes; nothing is written.

    Args:
        case: the case.
        backend: where to compute, instead of what the case says.
        trust: accept a rule file and paths outside the case's directory.
        only: ids of the diagnostics wanted; all when absent.
        at: model time at which the state is tested, for which the case is run up to there; its
            start when absent.

    Returns:
        The findings.

    Raises:
        GpupatchError: if the case cannot be run, or not up to `at`.
    """
    time = case.time
    if at is not None and not time.start <= at < time.end:
        raise CaseError(
            f"`--at` is {at:g}, but the case runs from {time.start:g} to {time.end:g}. Choose a "
            "time before the end."
        )
    chosen, _ = get_backend(backend or case.run.backend)
    parts = build(case, chosen, trust)
    state: Any = parts.initial
    t = time.start if at is None else at
    if t > time.start:
        solution = simulate(
            parts.scheme, parts.initial, t, start=time.start, save=2, projection=parts.projection
        )
        if solution.failure is not None:
            raise solution.failure
        if solution.status != FINISHED:
            raise KeyboardInterrupt
        state = np.array(solution.coarse[-1])
    return diagnose(
        parts.scheme, state, t, parts.projection, case.diagnostics.tolerance, only,
        span=time.end - time.start,
    )  # fmt: skip


def tested_for_free(case: Case, parts: Parts) -> dict[str, Any]:
    """The diagnostics that every run makes, as they go into its report.

    They are made on variants of the scheme, so that the run is the same with and without them.
    What is raised and not expected is told in one line each.

    Args:
        case: the case.
        parts: what was made of it.
    """
    time, known = case.time, case.diagnostics
    try:
        diagnosis = free_diagnosis(
            parts.scheme, parts.initial, time.start, parts.projection, known.tolerance,
            time.end - time.start,
        )  # fmt: skip
    except GpupatchError as error:
        # the run itself will meet the same, and tell it in its own words
        return {"failure": str(error)}
    for one in diagnosis.findings:
        if one.raised and one.id not in known.expect_flags:
            print(
                f"gpupatch: {one.verdict} {one.id} {one.assumption}: {told(one)} -> {one.advice}",
                file=sys.stderr,
            )
    return {**diagnosis.record(), "expected": list(known.expect_flags)}


def unexpected(diagnosis: Diagnosis, case: Case) -> Diagnosis:
    """Only the findings that are raised and that the case does not expect.

    Args:
        diagnosis: all findings.
        case: the case.
    """
    surprising = [
        one
        for one in diagnosis.findings
        if one.raised and one.id not in case.diagnostics.expect_flags
    ]
    return dataclasses.replace(diagnosis, findings=tuple(surprising))

"""One run of a study: what it cost and where it ended, or why it could not be run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gpupatch.arrays import Backend, Macro
from gpupatch.errors import GpupatchError
from gpupatch.files.case import Case
from gpupatch.run.build import Parts, build
from gpupatch.schedule import FINISHED, INTERRUPTED, NON_FINITE, TERMINATED
from gpupatch.scheme import Scheme
from gpupatch.simulation import Solution, simulate

REFUSED, NOT_RUN = "refused", "not run"


@dataclass(frozen=True, eq=False)
class Trial:
    """One row of a study.

    Attributes:
        settings: value of every varied entry, by path.
        status: "finished", "nonfinite", "refused" (the case or the scheme does not accept the
            settings) or "not run" (no time was left, or the study was stopped).
        reason: why it is not finished.
        report: as in the `report.json` of a run; empty if it was not run.
        scheme: the scheme, with the functional that defines its coarse values.
        coarse: coarse values at the end, [member, field, *patch axes].
        uncertainty: their standard errors, same shape, if known.
        exact: the exact solution through the same functional, if the case has one.
        warnings: what the run warned of.
    """

    settings: Mapping[str, Any]
    status: str
    reason: str = ""
    report: Mapping[str, Any] | None = None
    scheme: Scheme | None = None
    coarse: Macro | None = None
    uncertainty: Macro | None = None
    exact: Macro | None = None
    warnings: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether there is a result at the final time."""
        return self.status == FINISHED

    @property
    def cost(self) -> float:
        """Cell updates, or steps of particles; NaN if it was not run."""
        report = self.report or {}
        return float(report.get("particle_steps", report.get("cell_updates", float("nan"))))


class GivenUp(Exception):
    """Raised between leaps when a study cannot wait for the end of a run; it says why."""


def attempt(
    settings: Mapping[str, Any],
    make: Callable[[], Case],
    backend: Backend,
    trust: bool,
    watch: Callable[[], None],
) -> Trial:
    """Run a case, and turn whatever becomes of it into a row.

    Args:
        settings: what distinguishes the run.
        make: makes the case; may raise a `CaseError`.
        backend: where the patches live.
        trust: whether files of Python are accepted.
        watch: called after every leap; raises `GivenUp` to end the run without a result.

    Returns:
        The row. A run that was interrupted or terminated has that as its status.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            case = make()
            parts = build(case, backend, trust)
            solution = _run(case, parts, watch)
        except GpupatchError as error:
            return Trial(settings, REFUSED, _in_one_line(error), warnings=_texts(caught))
        except GivenUp as why:
            return Trial(settings, NOT_RUN, str(why))
    if solution.status in (INTERRUPTED, TERMINATED):
        return Trial(settings, solution.status, "the study was stopped during the run")
    finished = solution.status != NON_FINITE
    return Trial(
        settings,
        solution.status,
        "" if solution.failure is None else _in_one_line(solution.failure),
        solution.report,
        parts.scheme,
        solution.coarse[-1] if finished else None,
        solution.uncertainty[-1] if finished and solution.uncertainty else None,
        solution.exact[-1] if finished and solution.exact else None,
        _texts(caught),
    )


def _run(case: Case, parts: Parts, watch: Callable[[], None]) -> Solution:
    save = case.time.save
    return simulate(
        parts.scheme,
        parts.initial,
        case.time.end,
        start=case.time.start,
        save=save if isinstance(save, int) else list(save),
        projection=parts.projection,
        exact=parts.exact,
        progress=lambda t, updates: watch(),
    )


def _texts(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(one.message) for one in caught))


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())

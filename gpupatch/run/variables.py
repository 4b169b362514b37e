"""Which coarse variables suffice in a case, as files."""

from __future__ import annotations

from collections.abc import Sequence

from gpupatch.files.case import Case
from gpupatch.run.build import Parts
from gpupatch.run.tasks import Place, beginning, carried_out
from gpupatch.tasks.ranking import SlowVariables
from gpupatch.tasks.slow_variables import slow_variables


def variables_case(
    case: Case,
    place: Place,
    candidates: Sequence[str] | None = None,
    *,
    after: float = 0.0,
    tolerance: float | None = None,
) -> tuple[SlowVariables, int]:
    """Rank the coarse variables of a case; leaves `variables.nc`, `variables.png`, `report.json`.

    Args:
        case: the case, with a `burst` scheme.
        place: where it computes, and where results go.
        candidates: sets of variables, as of `gpupatch.slow_variables`.
        after: model time that the case is run for first.
        tolerance: largest spread that is accepted; that of the case's diagnostics when absent.

    Returns:
        The ranking and the exit code, 0.

    Raises:
        GpupatchError: if the case cannot be run, or results cannot be written.
    """
    accepted = case.diagnostics.tolerance if tolerance is None else tolerance

    def work(parts: Parts) -> SlowVariables:
        start = beginning(parts, case, after)
        t = case.time.start + after
        return slow_variables(parts.scheme, start, candidates, t=t, tolerance=accepted)

    found = carried_out(case, place, "variables", work)
    if not place.quiet:
        print(found.table())
        print()
        print(found.told())
    return found, 0

"""The law of a case, as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpupatch.errors import CaseError
from gpupatch.files.case import Case
from gpupatch.files.regular import regular
from gpupatch.run.build import Parts
from gpupatch.run.tasks import Place, beginning, carried_out
from gpupatch.tasks.found_law import Law
from gpupatch.tasks.law import law

_WIDENED = 0.5
"""Half-width of the range of a field that does not vary in the initial state, relative to it."""


def law_case(
    case: Case,
    place: Place,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    states: Path | None = None,
    after: float = 0.0,
    **options: Any,
) -> tuple[Law, int]:
    """Find the law that a case obeys; leaves `law.nc`, `law.png` and `report.json`.

    Args:
        case: the case.
        place: where it computes, and where results go.
        ranges: (least, largest) value of fields in random states; what is left out is taken from
            the initial state.
        states: a `solution.nc` of the case whose states are taken instead.
        after: model time that the case is run for before ranges are taken from it.
        options: as of `gpupatch.law`.

    Returns:
        The law and the exit code, 0.

    Raises:
        GpupatchError: if the case cannot be run, or results cannot be written.
    """

    def work(parts: Parts) -> Law:
        where: Any = _ranges(parts, case, ranges or {}, after) if states is None else _read(states)
        return law(parts.scheme, where, **options)

    found = carried_out(case, place, "law", work)
    if not place.quiet:
        print(_told(found))
    return found, 0


def _ranges(
    parts: Parts, case: Case, given: Mapping[str, tuple[float, float]], after: float
) -> dict[str, tuple[float, float]]:
    """The ranges that were given, and else those of the state at the beginning."""
    scheme = parts.scheme
    stray = sorted(set(given) - set(scheme.names))
    if stray:
        raise CaseError(
            f"a range was given for `{stray[0]}`; the coarse fields are {', '.join(scheme.names)}."
        )
    if set(given) == set(scheme.names):
        return dict(given)
    begin = beginning(parts, case, after)
    if isinstance(begin, Mapping):
        begin = scheme.coarse(scheme.initial(begin, case.time.start))[0]
    found = dict(given)
    for name, values in zip(scheme.names, np.asarray(begin), strict=True):
        low, high = float(values.min()), float(values.max())
        if not high - low > 1e-9 * max(abs(low), abs(high)):
            reach = _WIDENED * abs(low) or _WIDENED
            low, high = low - reach, high + reach
        found.setdefault(name, (low, high))
    return found


def _read(path: Path) -> Any:
    import xarray as xr

    try:
        with xr.open_dataset(regular(path)) as ds:
            return ds.load()
    except (OSError, ValueError) as error:
        raise CaseError(
            f"the states `{path}` cannot be read ({error}). Give the `solution.nc` of a run."
        ) from error


def _told(found: Law) -> str:
    lines = [
        found.equation(),
        f"from {found.evaluations} slopes in {found.batches} batches; standard errors in brackets, "
        "in units of the last digits",
    ]
    lines += [
        f"{one.field}: {100 * one.residual:.2g} % beyond noise not explained; bursts of half the "
        f"length change {100 * one.drift:.2g} %"
        for one in found.equations
    ]
    return "\n".join(lines)

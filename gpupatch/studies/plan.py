"""What a study is going to run, and what its runs can be measured against."""

from __future__ import annotations

from typing import Any

from gpupatch.errors import InputError, SchemeError, suggestion
from gpupatch.files.particles import HELD
from gpupatch.run.build import Parts
from gpupatch.studies.sweep import Sweep
from gpupatch.studies.truth import EXACT, FULL_DOMAIN, REFERENCES, SELF, no_full_domain


class Plan:
    """What is going to be run, and what it is meant to be measured against.

    Args:
        sweep: the case and its settings.
        parts: the parts of the case itself.
        reference: "exact", "full_domain" or "self"; the best that there is when absent.
        limit: wall seconds after which nothing more is run.

    Attributes:
        reference: "exact", "full_domain" (where that turns out to be affordable) or "self".
        no_full: why the full domain cannot be run; empty if it can.

    Raises:
        InputError: if the reference does not suit the case, or the runs have none in common.
    """

    def __init__(self, sweep: Sweep, parts: Parts, reference: str | None, limit: float | None):
        self.sweep, self.parts, self.limit = sweep, parts, limit
        case, paths = sweep.case, [axis.path for axis in sweep.axes]
        if reference not in (None, *REFERENCES):
            raise InputError(f"`reference` is {reference!r}. {suggestion(reference, REFERENCES)}")
        if limit is not None and not limit > 0:
            raise InputError(f"`limit` is {limit}; it must be a positive number of seconds.")
        self.asked_for_full = reference == FULL_DOMAIN
        self.no_full = no_full_domain(case, parts, paths)
        if reference == EXACT and case.exact is None:
            raise InputError(f"case `{case.name}` has no exact solution. Give `compare.exact`.")
        if reference == FULL_DOMAIN and self.no_full:
            raise InputError(f"the full domain cannot be the reference: {self.no_full}.")
        if reference is None:
            reference = EXACT if case.exact is not None else SELF if self.no_full else FULL_DOMAIN
        self.reference = reference
        if reference != EXACT:
            check_common(sweep, parts)

    def describe(self) -> str:
        """The plan in lines."""
        sweep = self.sweep
        varied = "\n".join(
            f"  {axis.path:<18} {', '.join(str(value) for value in axis.values)}"
            for axis in sweep.axes
        )
        told = {
            EXACT: "the exact solution",
            FULL_DOMAIN: "the full domain, where it is affordable, else the finest run",
            SELF: f"the finest run ({self.no_full or 'as asked for'})",
        }
        title = sweep.case.title or sweep.case.name
        return (
            f"{title}: {len(sweep.settings)} runs of the {sweep.case.scheme.kind} scheme\n"
            f"{varied}\n  measured against {told[self.reference]}"
        )


def check_common(sweep: Sweep, parts: Parts) -> None:
    """Refuse runs of different problems, of which none can be a reference for the others.

    Args:
        sweep: the case and its settings.
        parts: the parts of the case itself.

    Raises:
        InputError: with the entry that changes the problem.
    """
    numerical = ("grid", "scheme", "burst", "run")
    held = sweep.case.scheme.kind in HELD
    for axis in sweep.axes:
        section, _, key = axis.path.partition(".")
        same = section in numerical and axis.path not in ("grid.domain", "grid.boundary")
        same |= section == "time" and (key not in ("start", "end") or held)
        same |= axis.path == "particles.number"
        if not same:
            raise InputError(
                f"`{axis.path}` changes the problem, so that no run is a reference for the others. "
                "Give the case an exact solution (`compare.exact`), or vary settings of the scheme."
            )
    scheme: Any = parts.scheme
    if sweep.case.particles is None and scheme.problem.rule.parity:
        raise SchemeError(
            "coarse values on a staggered lattice are interpolated by no reference. Give the case "
            "an exact solution (`compare.exact`)."
        )

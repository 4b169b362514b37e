"""What slow variables mean for the user, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpupatch.tasks.ranking import Candidate, Relaxation, SlowVariables

_STILL = 1e-6
"""Rate times burst below which a variable is not seen to move."""
_ROUNDING = 1e-5
"""Differences below which figures say nothing."""


def recommendation(found: SlowVariables) -> str:
    """Which variables to use, and why, in a few sentences.

    Args:
        found: the ranking.
    """
    best = found.best
    if best is None:
        nearest = found.candidates[0]
        cure = (
            "the difference falls during a burst: let patches heal longer"
            if nearest.falls
            else "name further candidates, or add a field to the rule"
        )
        return (
            "None of the sets that were tried determines its own future. "
            f"{_verdict(nearest)} What to do: {cure}."
        )
    kept = best.names
    smaller = [one for one in found.candidates if one.variables < best.variables]
    failed = [one for one in smaller if not one.passes and one.names[0] == kept[0]]
    isolated = [one for one in found.candidates if one.isolated]
    told = [*sorted(failed, key=lambda one: one.variables), best, *isolated]
    sentences = [_verdict(one) for one in dict.fromkeys(told)]
    paces = [_pace(one, one.name in kept) for one in found.relaxations]
    return " ".join([*sentences, *paces])


def table(found: SlowVariables) -> str:
    """All figures, in lines.

    Args:
        found: the ranking.
    """
    width = max(len(one.name) for one in (*found.candidates, *found.relaxations))
    lines = [
        f"{'PASS' if one.passes else 'FAIL'}  {one.name:{width}}  {_plural(one):6} of equal "
        f"variables differ by {_percent(one.spread)}"
        for one in found.candidates
    ]
    lines += [
        f"{one.pace:7}  {one.name:{width}}  relaxes at the rate {one.rate:.3g}, "
        f"{one.times_in_burst:.3g} times in a burst"
        for one in found.relaxations
    ]
    return "\n".join(lines)


def _verdict(one: Candidate) -> str:
    many = one.variables > 1
    does = (
        ("determine" if many else "determines")
        if one.passes
        else ("do not determine" if many else "does not determine")
    )
    whose = "their" if many else "its"
    what = "flux" if one.response == "flux" else "own future"
    return (
        f"{one.subject} {does} {whose} {what}: after healing, patches that differ in {one.differs} "
        f"give {_plural(one)} that differ by {_percent(one.spread)}."
    )


def _pace(one: Relaxation, kept: bool) -> str:
    if abs(one.times_in_burst) < _STILL:
        return f"{one.name} stays as it is during a burst."
    rate = f"{one.name} relaxes at the rate {one.rate:.3g}"
    if one.pace == "fast":
        end = "" if kept else ": it need not be kept"
        return f"{rate}, {_rounded(one.times_in_burst)} times within a burst{end}."
    if one.pace == "slow" and one.rate > 0:
        return f"{rate}, over {_rounded(1 / one.times_in_burst)} bursts: it is slow."
    return f"{rate}."


def _plural(one: Candidate) -> str:
    return "fluxes" if one.response == "flux" else "slopes"


def _percent(share: float) -> str:
    if share < _ROUNDING:
        return f"less than {100 * _ROUNDING:g} %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _rounded(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"

"""What a diagnostic found: an assumption, a figure beside a threshold, a verdict, advice."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 0.02
"""Relative error that is accepted when nothing else is said."""
FAILS = 5.0
"""A figure beyond this many thresholds is a failure, not merely a flag."""

PASS, FLAG, FAIL, SKIP = "PASS", "FLAG", "FAIL", "SKIP"

ASSUMPTIONS = {
    "D1": "scale separation",
    "D1'": "macroscopic resolution",
    "D2": "locality",
    "D3": "healing",
    "D4": "no memory",
    "D5": "description (closure)",
    "D6": "re-lift consistency",
    "D7": "noise",
    "D8": "stability",
    "D9": "spectral gap",
    "D10": "conservation",
    "D11": "precision",
}
"""What each diagnostic tests."""


@dataclass(frozen=True)
class Finding:
    """One assumption of the method, tested.

    Attributes:
        id: "D1" to "D11".
        figure: what was measured, in words or as a formula.
        measured: its value; None where it was not measured.
        threshold: what it is compared with; None likewise.
        verdict: "PASS", "FLAG", "FAIL", or "SKIP" where the assumption is not made, or cannot be
            tested, with the reason as `advice`.
        advice: what to change, or why nothing was measured; empty if all is well.
        details: further figures, ready for a report.
    """

    id: str
    figure: str
    measured: float | None = None
    threshold: float | None = None
    verdict: str = SKIP
    advice: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def assumption(self) -> str:
        """What was tested."""
        return ASSUMPTIONS[self.id]

    @property
    def raised(self) -> bool:
        """Whether it is a flag or a failure."""
        return self.verdict in (FLAG, FAIL)

    def record(self) -> dict[str, Any]:
        """As it goes into a report."""
        return {
            "id": self.id,
            "assumption": self.assumption,
            "figure": self.figure,
            "measured": _plain(self.measured),
            "threshold": _plain(self.threshold),
            "verdict": self.verdict,
            "advice": self.advice,
            **({"details": _plain(self.details)} if self.details else {}),
        }


def at_most(
    id: str, figure: str, measured: float, threshold: float, advice: str, **details: Any
) -> Finding:
    """A figure that should not exceed a threshold; what is not a number fails.

    Args:
        id: of the diagnostic.
        figure: what was measured.
        measured: its value.
        threshold: above it the figure is flagged, above `FAILS` times it, it fails.
        advice: what to change if it is too large.
        details: further figures.
    """
    verdict = PASS if measured <= threshold else FLAG if measured <= FAILS * threshold else FAIL
    if math.isnan(measured):
        verdict = FAIL
    return Finding(
        id, figure, float(measured), float(threshold), verdict,
        advice if verdict != PASS else "", details,
    )  # fmt: skip


def at_least(
    id: str, figure: str, measured: float, threshold: float, fails: float, advice: str,
    **details: Any,
) -> Finding:  # fmt: skip
    """A figure that should reach a threshold; what is not a number fails.

    Args:
        id: of the diagnostic.
        figure: what was measured.
        measured: its value.
        threshold: below it the figure is flagged.
        fails: below it the figure fails.
        advice: what to change if it is too small.
        details: further figures.
    """
    verdict = PASS if measured >= threshold else FLAG if measured >= fails else FAIL
    if math.isnan(measured):
        verdict = FAIL
    return Finding(
        id, figure, float(measured), float(threshold), verdict,
        advice if verdict != PASS else "", details,
    )  # fmt: skip


@dataclass(frozen=True)
class Diagnosis:
    """All that was found about a scheme in a state.

    Attributes:
        findings: one per assumption, in order.
        tolerance: relative error that was accepted.
        cost: micro-steps of one patch that the tests took.
    """

    findings: tuple[Finding, ...]
    tolerance: float = TOLERANCE
    cost: int = 0

    def __getitem__(self, id: str) -> Finding:
        """The finding of one diagnostic."""
        for one in self.findings:
            if one.id == id:
                return one
        raise KeyError(id)

    @property
    def raised(self) -> tuple[str, ...]:
        """Diagnostics that flag or fail, by id."""
        return tuple(one.id for one in self.findings if one.raised)

    def record(self) -> dict[str, Any]:
        """As it goes into a report."""
        return {
            "tolerance": self.tolerance,
            "raised": list(self.raised),
            "cost_micro_steps": self.cost,
            "findings": [one.record() for one in self.findings],
        }

    def table(self, expected: Container[str] = ()) -> str:
        """All findings as a table, with advice below the rows that are raised.

        Args:
            expected: ids of those that are known to be raised.
        """
        return findings_table(self.findings, expected)


def findings_table(findings: Iterable[Finding], expected: Container[str] = ()) -> str:
    """Findings as lines of text: verdict, id, assumption, figure against threshold.

    Args:
        findings: in the order of the lines.
        expected: ids of those that are known to be raised.
    """
    lines = []
    for one in findings:
        figure = told(one) or one.advice
        known = " (expected)" if one.raised and one.id in expected else ""
        line = f"{one.verdict:<4}  {one.id:<3}  {one.assumption:<22}  {figure}{known}"
        lines.append(line.rstrip())
        if one.advice and figure != one.advice:
            lines.append(f"{'':<11}{'-> ' if one.raised else ''}{one.advice}")
    return "\n".join(lines) + "\n"


def told(finding: Finding) -> str:
    """The figure of a finding with its value and threshold, in one line; empty if not measured."""
    if finding.measured is None:
        return "" if finding.verdict == SKIP else finding.figure
    figure = f"{finding.figure} = {finding.measured:.3g}"
    if finding.threshold is None:
        return figure
    return f"{figure} (threshold {finding.threshold:.3g})"


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value

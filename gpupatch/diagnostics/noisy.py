"""Figures that carry a statistical error: a verdict is given only where the error allows one."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gpupatch.diagnostics.finding import FAIL, FAILS, FLAG, PASS, SKIP, Finding
from gpupatch.diagnostics.trial import SIGMAS


def standard_error(samples: NDArray[np.float64]) -> float:
    """Of the mean of independent samples, wider where they are few.

    So much wider, by Student's t, that the mean is off by `SIGMAS` of it as rarely as if the
    variance were known: of eight samples 1.8 times.

    Args:
        samples: two or more.
    """
    n = len(samples)
    return _widening(n - 1) * float(samples.std(ddof=1)) / math.sqrt(n)


@functools.cache
def _widening(freedom: int) -> float:
    return float(stats.t.isf(stats.norm.sf(SIGMAS), freedom)) / SIGMAS


@dataclass(frozen=True)
class Noisy:
    """A figure with its standard error.

    Attributes:
        value: the figure, not negative.
        error: its standard error.
        replicas: from which both come.
    """

    value: float
    error: float
    replicas: int

    @property
    def least(self) -> float:
        """The figure less `SIGMAS` standard errors: what it is at least."""
        return self.value - SIGMAS * self.error

    def exceeds(self, threshold: float) -> bool:
        """Whether it is larger than a threshold by more than its statistical error."""
        return not self.least <= threshold

    def wanted(self, threshold: float) -> float:
        """The standard error that would decide on which side of a threshold the figure is.

        At the threshold itself a quarter of it has to do.
        """
        if self.value <= threshold:
            return threshold if self.value <= threshold / 2 else threshold / 2
        return max((self.value - threshold) / SIGMAS, threshold / 4)

    def decides(self, threshold: float) -> bool:
        """Whether its error is small enough to tell on which side of a threshold it is."""
        return self.exceeds(threshold) or self.error <= self.wanted(threshold)

    def needs(self, threshold: float) -> int:
        """Replicas that would decide."""
        if not math.isfinite(self.error):
            return 0
        return math.ceil(self.replicas * (self.error / self.wanted(threshold)) ** 2)


def noisy_at_most(
    id: str, figure: str, measured: Noisy, threshold: float, advice: str, **details: Any
) -> Finding:
    """A random figure that should not exceed a threshold.

    It is raised where it exceeds the threshold by more than `SIGMAS` standard errors, passes where
    its standard error is small enough to tell that it does not, and is left open else.

    Args:
        id: of the diagnostic.
        figure: what was measured.
        measured: the figure with its error.
        threshold: above it the figure is flagged, above `FAILS` times it, it fails.
        advice: what to change if it is too large.
        details: further figures.
    """
    verdict, told = PASS, ""
    if measured.exceeds(threshold):
        failed = math.isnan(measured.value) or measured.least > FAILS * threshold
        verdict, told = (FAIL if failed else FLAG), advice
    elif not measured.decides(threshold):
        verdict = SKIP
        told = (
            f"too noisy to tell: the standard error is {measured.error:.2g} after "
            f"{measured.replicas} replicas, and {measured.needs(threshold)} would be needed."
        )
    return Finding(
        id, f"{figure}, +- {measured.error:.2g}", float(measured.value), float(threshold), verdict,
        told, {"standard_error": measured.error, "replicas": measured.replicas, **details},
    )  # fmt: skip


_ORDER = (FAIL, FLAG, SKIP, PASS)


def worst(findings: Sequence[Finding]) -> Finding:
    """The most serious of several findings about one assumption; the others go into its details.

    Of equally serious ones it is that which is farthest from its threshold.

    Args:
        findings: all of one diagnostic.
    """

    def rank(one: Finding) -> tuple[int, float]:
        share = (one.measured or 0.0) / one.threshold if one.threshold else 0.0
        return _ORDER.index(one.verdict), -share

    ordered = sorted(findings, key=rank)
    first = ordered[0]
    if len(ordered) == 1:
        return first
    others = [
        {"figure": o.figure, "measured": o.measured, "threshold": o.threshold, "verdict": o.verdict}
        for o in ordered[1:]
    ]
    details = {**first.details, "also": others}
    return Finding(
        first.id, first.figure, first.measured, first.threshold, first.verdict, first.advice,
        details,
    )  # fmt: skip

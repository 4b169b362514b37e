"""D7: slopes stand out from their noise."""

from __future__ import annotations

import math

import numpy as np

from gpupatch.diagnostics.finding import SKIP, Finding, at_least
from gpupatch.diagnostics.trial import SIGMAS, Trial, largest_by_field

LEAST = 5.0
"""Signal over noise."""


def noise(trial: Trial) -> Finding:
    """D7: the largest slope is at least five standard errors of one slope of the run.

    Args:
        trial: the scheme in its state.
    """
    name, variations = "signal over noise of a slope", trial.variations
    slope, error = trial.measured
    if error is None:
        return Finding("D7", name, verdict=SKIP, advice="nothing is random")
    one = variations.error_in_run(error)
    spread = np.sqrt(np.moveaxis(one**2, 1, 0).reshape(slope.shape[1], -1).mean(axis=1))
    signal = np.maximum(largest_by_field(slope) - SIGMAS * largest_by_field(error), trial.floor)
    seen = spread > 0
    if not seen.any():
        return Finding("D7", name, verdict=SKIP, advice="nothing is random in this state")
    measured = float((signal[seen] / spread[seen]).min())
    times = max(1, math.ceil((LEAST / measured) ** 2))
    replicas = variations.advice("replicas")
    return at_least(
        "D7", name, measured, LEAST, LEAST / 5, f"average over {times} times as many: {replicas}"
    )

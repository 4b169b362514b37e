"""D11: the change over a burst stands out from rounding."""

from __future__ import annotations

import numpy as np

from gpupatch.diagnostics.finding import Finding, at_least
from gpupatch.diagnostics.trial import Trial, largest_by_field

LEAST = 1e4
"""Change over a burst, in units of rounding."""


def precision(trial: Trial) -> Finding:
    """D11: |s| tau / (|U| eps) is large, eps being the rounding of what is added up.

    In float32 patches hold the change since their lift, which is not smaller than |s| tau itself;
    coarse values are always float64.

    Args:
        trial: the scheme in its state.
    """
    variations = trial.variations
    tau = variations.burst_length(trial.t, trial.U)
    change = np.maximum(largest_by_field(trial.slope), trial.floor) * tau
    sizes = largest_by_field(trial.U)
    known = sizes > 0
    coarse = change[known] / (sizes[known] * np.finfo(float).eps)
    measured = min(float(coarse.min(initial=np.inf)), 1 / variations.round_off())
    burst = variations.advice("burst")
    return at_least(
        "D11", "change over a burst in units of rounding", measured, LEAST, LEAST / 100,
        f"lengthen {burst}, or choose `run.dtype = \"float64\"`",
    )  # fmt: skip

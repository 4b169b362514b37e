"""D6: what is lifted restricts to what it was lifted from."""

from __future__ import annotations

from gpupatch.diagnostics.finding import Finding, at_most
from gpupatch.diagnostics.trial import Trial


def consistency(trial: Trial) -> Finding:
    """D6: |R L U - U| is round-off, or less than one particle.

    Args:
        trial: the scheme in its state.
    """
    error, allowed = trial.variations.relift_error(trial.t, trial.U)
    return at_most(
        "D6", "largest |R L U - U|", error, allowed,
        "lift and restriction belong to different cores: make both from the same grid",
    )  # fmt: skip

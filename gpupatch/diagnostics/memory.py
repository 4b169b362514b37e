"""D4: what happens next depends on the coarse values alone, not on how they came about."""

from __future__ import annotations

from gpupatch.diagnostics.finding import SKIP, Finding, at_most
from gpupatch.diagnostics.trial import Trial


def memory(trial: Trial) -> Finding:
    """D4: a fresh lift between two bursts changes nothing.

        R = |U_continued(2b) - U_relifted(2b)| / |U_continued(2b) - U(0)|

    For a micro-simulator that remembers for a time tau much shorter than the burst b, R is about
    tau / 2b.

    Args:
        trial: the scheme in its state.
    """
    name, variations = "change of U by a fresh lift after half of two bursts", trial.variations
    continued = variations.continued(trial.t, trial.U)
    if continued is None:
        return Finding("D4", name, verdict=SKIP, advice=variations.why_not("continued"))
    relifted = variations.relifted(trial.t, trial.U)
    assert relifted is not None
    duration = 2 * variations.burst_length(trial.t, trial.U)
    measured = trial.relative((continued - relifted) / duration, (continued - trial.U) / duration)
    burst = variations.advice("burst")
    wanted = measured / trial.tolerance * duration / 2
    return at_most(
        "D4", name, measured, trial.tolerance,
        f"lengthen {burst}, to {wanted:.2g} if the memory fades; else what is remembered has to "
        "become a coarse variable",
    )  # fmt: skip

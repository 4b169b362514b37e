"""D3: what is measured are neither artefacts of the lift nor of the edges."""

from __future__ import annotations

import math

from gpupatch.diagnostics.finding import SKIP, Finding, at_most
from gpupatch.diagnostics.trial import Trial

WIDER = 1.5
"""Factor on the buffers."""


def protection(trial: Trial) -> Finding:
    """D3 without a burst: the buffers protect the core for as long as a burst lasts.

    Signals of speed c must not cross the buffer, c tau <= L_b; what diffuses with D may carry
    1e-3 of the slope, tau <= 0.046 L_b^2 / D.

    Args:
        trial: the scheme in its state.
    """
    name, variations = "burst over the longest that its buffers protect", trial.variations
    share = variations.protection(trial.t, trial.U)
    if share is None:
        return Finding("D3", name, verdict=SKIP, advice=variations.why_not("protection"))
    burst, buffer = variations.advice("burst"), variations.advice("buffer")
    length = variations.burst_length(trial.t, trial.U) / max(share, 1e-300)
    return at_most(
        "D3", name, share, 1.0,
        f"shorten {burst} to {length:.3g}, or widen {buffer}",
    )  # fmt: skip


def healing(trial: Trial) -> Finding:
    """D3: the slope does not notice wider buffers, other edges, or a later start.

    Besides `protection`: (a) buffers 1.5 times as wide, (b) edges of the other kind, (c) the third
    and the fourth quarter of a burst. The figure furthest beyond its threshold is told.

    Args:
        trial: the scheme in its state.
    """
    variations = trial.variations
    found = [protection(trial), _wider(trial), _other_edges(trial), _late(trial)]
    tested = [one for one in found if one.measured is not None]
    if not tested:
        return Finding("D3", "healing", verdict=SKIP, advice=variations.why_not("protection"))
    worst = max(tested, key=lambda one: _excess(one.measured, one.threshold))
    details = {one.figure: one.measured for one in tested}
    return Finding(
        "D3", worst.figure, worst.measured, worst.threshold, worst.verdict, worst.advice, details
    )


def _excess(measured: float | None, threshold: float | None) -> float:
    """A figure in units of its threshold; infinite if it is not a number."""
    share = (measured or 0.0) / (threshold or 1.0)
    return math.inf if math.isnan(share) else share


def _wider(trial: Trial) -> Finding:
    name, variations = "change of slope with buffers 1.5 times as wide", trial.variations
    variant = variations.buffered(WIDER)
    if variant is None:
        return Finding("D3", name, verdict=SKIP, advice=variations.why_not("buffered"))
    buffer, burst = variations.advice("buffer"), variations.advice("burst")
    measured = trial.change(variant)
    return at_most("D3", name, measured, trial.tolerance, f"widen {buffer}, or shorten {burst}")


def _other_edges(trial: Trial) -> Finding:
    name, variations = "change of slope with edges of the other kind", trial.variations
    variant = variations.other_edges()
    if variant is None:
        return Finding("D3", name, verdict=SKIP, advice=variations.why_not("other_edges"))
    buffer, burst = variations.advice("buffer"), variations.advice("burst")
    measured = trial.change(variant)
    return at_most("D3", name, measured, trial.tolerance, f"widen {buffer}, or shorten {burst}")


def _late(trial: Trial) -> Finding:
    name, variations = "change of slope from the third to the last quarter", trial.variations
    parts = variations.parts(variations.scheme, trial.t, trial.U, 4)
    if parts is None:
        return Finding("D3", name, verdict=SKIP, advice=variations.why_not("parts"))
    third, last = parts[1][2], parts[1][3]
    heal, burst = variations.advice("heal"), variations.advice("burst")
    return at_most(
        "D3", name, trial.relative(last - third, last), trial.tolerance,
        f"let patches heal longer: {heal}, {burst}",
    )  # fmt: skip

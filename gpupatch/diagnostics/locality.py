"""D2: what happens in a patch does not depend on what lies outside it."""

from __future__ import annotations

from gpupatch.diagnostics.finding import FAIL, FLAG, PASS, SKIP, Finding
from gpupatch.diagnostics.trial import Trial

FALL = 4.0
"""How many times smaller the change of the slope must be when patches are doubled once more."""


def locality(trial: Trial) -> Finding:
    """D2: patches twice as wide measure the same slope.

        E = |s(2W) - s(W)| / |s(2W)|

    Where that is too large, the width is doubled once more: if E falls at least fourfold, patches
    are only too narrow; else the interaction has no range that patches could exceed.

    Args:
        trial: the scheme in its state.
    """
    variations, name = trial.variations, "change of slope in patches twice as wide"
    wide = variations.widened(2.0)
    if wide is None:
        return Finding("D2", name, verdict=SKIP, advice=variations.why_not("widened"))
    first = trial.change(wide)
    tolerance, advice = trial.tolerance, ""
    details: dict[str, float] = {}
    verdict = PASS if first <= tolerance else FAIL
    if verdict != PASS:
        wider = variations.widened(4.0)
        once_more = None if wider is None else trial.change(wider, than=wide)
        width = variations.advice("width")
        if once_more is not None and once_more <= first / FALL:
            verdict, advice = FLAG, f"make patches at least twice as wide: {width}"
        elif once_more is not None:
            advice = f"interactions reach beyond patches even four times as wide: {width}"
        else:
            advice = f"make patches wider: {width}"
        if once_more is not None:
            details["doubled_again"] = once_more
    return Finding("D2", name, first, tolerance, verdict, advice, details)

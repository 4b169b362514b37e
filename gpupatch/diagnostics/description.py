"""D5: the coarse values say all that matters at the large scale."""

from __future__ import annotations

from gpupatch.diagnostics.finding import FAIL, FLAG, PASS, SKIP, Finding
from gpupatch.diagnostics.trial import Trial

PARTS = 8
"""Parts of a burst over which two lifts are compared."""
DECAYED = 0.5
"""Share of their first difference below which the slopes of two lifts count as approaching."""


def description(trial: Trial) -> Finding:
    """D5: different lifts of the same coarse values lead to the same slope.

        S = |s_A - s_B| / |s_A|

    after healing. If S is too large but falls during a burst, healing takes longer than it is
    given; if it stays, a slow variable is missing from the coarse description.

    Args:
        trial: the scheme in its state.
    """
    name, variations = "change of slope with the lift of the same U", trial.variations
    own, others = trial.lifts
    if not others:
        return Finding("D5", name, verdict=SKIP, advice=variations.why_not("other_lifts"))
    than = None if own is variations.scheme else own
    measured, other = max(
        ((trial.change(one, than), one) for one in others), key=lambda pair: pair[0]
    )
    if measured <= trial.tolerance:
        return Finding("D5", name, measured, trial.tolerance, PASS)
    ours = variations.parts(own, trial.t, trial.U, PARTS)
    theirs = variations.parts(other, trial.t, trial.U, PARTS)
    if ours is None or theirs is None:
        return Finding(
            "D5", name, measured, trial.tolerance, FLAG, "let patches heal longer, or add fields"
        )
    # against one rate, for slopes that have yet to rise would make any difference fall
    apart = [trial.relative(a - b, theirs[1][-1]) for a, b in zip(ours[1], theirs[1], strict=True)]
    details = {"over_the_burst": apart}
    if apart[-1] <= DECAYED * apart[0]:
        heal, burst = variations.advice("heal"), variations.advice("burst")
        return Finding(
            "D5", name, measured, trial.tolerance, FLAG,
            f"let patches heal longer: {heal}, {burst}", details,
        )  # fmt: skip
    return Finding(
        "D5", name, measured, trial.tolerance, FAIL,
        "the difference stays: a slow variable is missing; take one more field of the rule out of "
        "`scheme.hidden`, or add one to the rule", details,
    )  # fmt: skip

"""D10: what is conserved stays the same in total."""

from __future__ import annotations

from gpupatch.diagnostics.finding import PASS, SKIP, Finding, at_most
from gpupatch.diagnostics.trial import Trial

EXACT = 1e-13
"""Share of the total that round-off may change in a leap."""


def conservation(trial: Trial) -> Finding:
    """D10: |change of sum U H + outflow| over one leap, beside sum |U| H.

    It has to be round-off for schemes that move fluxes between cells, and is told of others. Beside
    what is moved, sum |dU/dt| H times the leap, where that is more than there is.

    Args:
        trial: the scheme in its state.
    """
    name, variations = "change of the total over a leap", trial.variations
    balance = variations.balance(trial.t, trial.U, trial.slope)
    if balance is None:
        return Finding("D10", name, verdict=SKIP, advice=variations.why_not("balance"))
    leap = trial.slow_time
    if trial.projection is not None and trial.projection.step is not None:
        leap = trial.projection.step
    size = max(balance.size, balance.turnover * leap)
    share = balance.residual * leap / size if size else 0.0
    if not balance.exact:
        return Finding("D10", name, share, None, PASS)
    return at_most(
        "D10", name, share, EXACT, "this is no rounding: please report it with the case file"
    )

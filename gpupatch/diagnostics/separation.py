"""D1, D1': what is small is small enough, and what is large is resolved."""

from __future__ import annotations

from gpupatch.diagnostics.finding import PASS, SKIP, Finding, at_most
from gpupatch.diagnostics.trial import Trial

LARGEST_PERIOD = 0.1
"""Period over core width up to which a core need not hold a whole number of periods."""
LARGEST_SHARE = 0.5
"""Width of patches over their distance beyond which gaps save little."""


def scale_separation(trial: Trial) -> Finding:
    """D1: cores are wide enough to average over the microstructure.

    Of a periodic medium the core should hold a whole number of periods, or ten. Of a random one,
    with correlation length l, coefficient of variation cv, core width h, in d dimensions and
    averaged over M samples, the slopes have the relative standard deviation

        cv (l / h)^(d/2) / sqrt(M).

    It needs no burst.

    Args:
        trial: the scheme in its state.
    """
    found = trial.variations.microstructure(trial.t, trial.U)
    advice = trial.variations.advice
    if found is None:
        return Finding(
            "D1", "microstructure", verdict=SKIP, advice=trial.variations.why_not("microstructure")
        )
    if found.length == 0:
        return Finding("D1", "length of microstructure over core width", 0.0, 0.1, PASS)
    share = found.length / found.core
    details = {"length": found.length, "core": found.core, "contrast": found.contrast}
    if found.whole_periods:
        return Finding(
            "D1", f"whole periods in a core; period over core width, {share:.3g}",
            verdict=PASS, details=details,
        )  # fmt: skip
    if found.whole_periods is not None:
        return at_most(
            "D1", "period over core width, which is no whole number of periods", share,
            LARGEST_PERIOD,
            f"make the core a whole number of periods of {found.length:.4g} wide: "
            f"{advice('width')}", **details,
        )  # fmt: skip
    spread = found.contrast * share ** (found.axes / 2) / found.realisations**0.5
    wanted = found.core * (spread / trial.tolerance) ** (2 / found.axes)
    return at_most(
        "D1", "scatter of a slope from patch to patch in a random medium", spread, trial.tolerance,
        f"widen the core to {wanted:.3g}: {advice('width')}; or average over several media",
        **details,
    )  # fmt: skip


def macroscopic_resolution(trial: Trial) -> Finding:
    """D1': the coarse field is resolved by the patches.

        E = |F_2P - F_2P-2| / |F_2P|,        F_q the slope with interpolation of order q

    is the error of the next lower order. Where it is too large, the next higher order says what
    the error of the order in use is.

    Args:
        trial: the scheme in its state.
    """
    others = trial.variations.other_order()
    share = trial.variations.fraction()
    details = {"width_over_distance": share}
    told = f"patches fill {100 * share:.0f} % of an axis" if share > LARGEST_SHARE else ""
    if not others:
        reason = trial.variations.why_not("other_order")
        return Finding("D1'", "change of slope with order", verdict=SKIP, advice=reason)
    measured = trial.change(others[0])
    if measured > trial.tolerance and len(others) > 1:
        details["lower_order"] = measured
        measured = trial.change(others[-1])
    patches, order = trial.variations.advice("patches"), trial.variations.advice("order")
    found = at_most(
        "D1'", "change of slope with the order of interpolation", measured, trial.tolerance,
        f"use more patches, {patches}, or a higher order, {order}", **details,
    )  # fmt: skip
    return Finding(**{**vars(found), "advice": told}) if told and not found.raised else found


def geometry(trial: Trial) -> Finding:
    """D1' without a burst: how much of space patches fill.

    Args:
        trial: the scheme in its state.
    """
    share = trial.variations.fraction()
    return Finding("D1'", "width of a patch over the distance of patches", share, None, PASS)

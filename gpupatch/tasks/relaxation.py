"""How fast a coarse field forgets a disturbance, seen in bursts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

from gpupatch.arrays import Micro
from gpupatch.tasks.watched import FreePatches

SAMPLES = 24
"""Intervals at which a disturbance is looked at."""
_GONE = 0.1
"""What may be left of a disturbance at the first look; else the burst is made shorter."""
_HALF = 0.5
"""What has to be left at the end for a disturbance to count as slow, without a rest."""
_SHORTENED = 16
_TRIES = 8


def relaxation_rates(
    free: FreePatches, base: Micro, disturbed: Sequence[Micro], watched, length: float
) -> list[float]:
    """Rates at which disturbances decay.

        c(t) = <d(t), d(0)> / <d(0), d(0)> = (1 - p) exp(-r t) + p,    d = observed - undisturbed

    with a rest p that is left when the fast part is gone. Where more than half is left at the end,
    r is that of the second half, in which fast fields have followed. Bursts are shortened, one
    disturbance after the other, until its decay can be seen.

    Args:
        free: the patches.
        base: sites of the undisturbed state.
        disturbed: the same with one thing changed in each.
        watched: what is observed of each: a field and a restriction (None for the core mean).
        length: of the longest burst.

    Returns:
        r, one for each disturbance, in units of 1/time; negative where it grows.
    """
    rates, seen = [math.nan] * len(disturbed), {}
    for restriction in {id(one[1]): one[1] for one in watched}.values():
        chosen = [k for k, one in enumerate(watched) if one[1] is restriction]
        batch = np.concatenate([base, *(disturbed[k] for k in chosen)])
        found = free.watch(batch, length, SAMPLES, restriction=restriction)
        for place, k in enumerate(chosen):
            seen[k] = found.times, _overlap(found.values, 1 + place, watched[k][0])
    for k, (times, c) in seen.items():
        field, restriction = watched[k]
        for _ in range(_TRIES):
            if c[1] >= _GONE:
                break
            found = free.watch(
                np.concatenate([base, disturbed[k]]),
                times[-1] / _SHORTENED, SAMPLES, restriction=restriction,
            )  # fmt: skip
            times, c = found.times, _overlap(found.values, 1, field)
        rates[k] = rate_of(times, c)
    return rates


def rate_of(times: NDArray[np.float64], c: NDArray[np.float64]) -> float:
    """The rate r of (1 - p) exp(-r t) + p; where much is left at the end, that of its second half.

    Args:
        times: from 0, rising.
        c: 1 at time 0.
    """
    if c[-1] >= _HALF:
        late = len(times) // 2
        return float(-np.polyfit(times[late:], np.log(c[late:]), 1)[0])
    below = np.flatnonzero(c < 1 / math.e)
    guess = 1 / times[below[0]] if below.size else 1 / times[-1]

    def model(t, r, p):
        return (1 - p) * np.exp(-r * t) + p

    try:
        (r, _), _ = curve_fit(model, times, c, p0=(guess, c[-1]))
    except (RuntimeError, OptimizeWarning):
        return float(guess)
    return float(r)


def _overlap(values: NDArray[np.float64], state: int, field: int) -> NDArray[np.float64]:
    """c(t) of one disturbed state, [time]."""
    apart = (values[:, state, field] - values[:, 0, field]).reshape(len(values), -1)
    return apart @ apart[0] / (apart[0] @ apart[0])

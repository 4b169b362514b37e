"""How many equal steps fill a time."""

from __future__ import annotations

import math

from gpupatch.errors import SchemeError

_COUNTABLE = 2.0**53
"""Steps beyond which adding one to the time does not change it."""


def count_steps(span: float, longest: float, *, slack: float = 1e-12) -> int:
    """Least number of equal steps that fill a time.

    Args:
        span: the time, positive or negative; 0 is filled by one step.
        longest: longest step allowed.
        slack: part by which a step may be longer, so that a time that is a whole number of steps up
            to round-off is not cut once more.

    Raises:
        SchemeError: if there are so many steps that they would not advance the time.
    """
    steps = abs(span) / longest * (1 - slack) if longest > 0 else math.inf
    if not steps < _COUNTABLE:
        raise SchemeError(
            f"a time of {span:.6g} in steps of {longest:.3g}: each would be too short to advance "
            "the time. Use longer steps."
        )
    return max(1, math.ceil(steps))

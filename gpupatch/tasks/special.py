"""Where between two points of a branch its stability changes, or it turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpupatch.tasks.branch import BRANCH_POINT, FOLD, HOPF, BranchPoint
from gpupatch.tasks.curve import Curve
from gpupatch.tasks.equations import Vectors

_SHARPNESS = 1e-4
"""Share of a step to which a special point is located."""

Examine = Callable[[Vectors, Vectors, int], BranchPoint]


@dataclass(frozen=True)
class Crossing:
    """A function along the branch that changes sign at a special point.

    Attributes:
        rank: which of the eigenvalues, the fastest growing first, crosses zero; None for the
            component of the tangent along the parameter.
    """

    rank: int | None

    def value(self, point: BranchPoint) -> float:
        """The function at a point."""
        if self.rank is None:
            return float(point.tangent[-1])
        return float(point.values.real[self.rank])

    def kind(self, point: BranchPoint) -> str:
        """What lies where the function vanishes."""
        if self.rank is None:
            return FOLD
        size = np.abs(point.values).max()
        crossing = point.values[self.rank]
        return HOPF if abs(crossing.imag) > 1e-3 * size else BRANCH_POINT


def classify(before: BranchPoint, after: BranchPoint) -> list[Crossing]:
    """Functions that change sign between two points: the fold first, then eigenvalues.

    Args:
        before: the one point.
        after: the other.
    """
    tests = []
    if before.tangent[-1] * after.tangent[-1] < 0:
        tests.append(Crossing(None))
    low, high = sorted((before.unstable, after.unstable))
    return tests + [Crossing(rank) for rank in range(low, min(high, len(after.values)))]


def locate(
    curve: Curve,
    y: Vectors,
    before: BranchPoint,
    z: Vectors,
    after: BranchPoint,
    test: Crossing,
    examine: Examine,
) -> tuple[float, BranchPoint] | None:
    """The root of a test function between two points, by Brent's method along the chord.

    Args:
        curve: the curve.
        y: the one point, in scaled variables.
        before: what is known about it.
        z: the other point.
        after: what is known about it.
        test: the function.
        examine: finds tangent and eigenvalues at a point.

    Returns:
        Distance of the root from `y`, and the point there; None if corrections fail.
    """
    from scipy.optimize import brentq

    length = float(np.linalg.norm(z - y))
    chord = (z - y) / length
    known = {0.0: (y, before), length: (z, after)}

    def value(s: float) -> float:
        if s not in known:
            made = curve.corrected(y + s * chord, chord)
            if made is None:
                raise ArithmeticError
            known[s] = made.y, examine(made.y, before.tangent, made.iterations)
        return test.value(known[s][1])

    try:
        if value(0.0) * value(length) > 0:
            return None
        root = float(brentq(value, 0.0, length, xtol=_SHARPNESS * length, maxiter=40))  # type: ignore[arg-type]
        value(root)
    except ArithmeticError:
        return None
    return float(np.linalg.norm(known[root][0] - y)), known[root][1]

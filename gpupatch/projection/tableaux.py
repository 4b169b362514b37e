"""Coefficients of the macro time integrators, in float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method.

        k_s = F(t + c_s D, U + D sum_l a_sl k_l),    U(t + D) = U + D sum_s b_s k_s

    Attributes:
        a: rows of the stage coefficients, row s with s entries.
        b: weights of the step.
        c: stage times in units of the step.
        order: order of accuracy of the step.
        b_low: weights of the embedded step of order ``order - 1``; empty where there is none. The
            last stage of a method that has one is the slope at the end of the step, so that the
            next step need not evaluate it.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int
    b_low: tuple[float, ...] = ()

    @property
    def error_weights(self) -> tuple[float, ...]:
        """Weights of the slopes in the difference of the step and the embedded step, over D."""
        return tuple(high - low for high, low in zip(self.b, self.b_low, strict=True))


EULER = Tableau(a=((),), b=(1.0,), c=(0.0,), order=1)
"""Forward Euler."""

RK2 = Tableau(a=((), (2 / 3,)), b=(1 / 4, 3 / 4), c=(0.0, 2 / 3), order=2)
"""Second order with the least bound on the truncation error [Ralston1962]."""

RK4 = Tableau(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    order=4,
)
"""The classical fourth-order method [HairerNorsettWanner1993]."""

BS32 = Tableau(
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    order=3,
    b_low=(7 / 24, 1 / 4, 1 / 3, 1 / 8),
)
"""Third order with an embedded second [BogackiShampine1989]."""

RK43 = Tableau(
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0), (1 / 8, 3 / 8, 3 / 8, 1 / 8)),
    b=(1 / 8, 3 / 8, 3 / 8, 1 / 8, 0.0),
    c=(0.0, 1 / 3, 2 / 3, 1.0, 1.0),
    order=4,
    b_low=(1 / 12, 1 / 2, 1 / 4, 0.0, 1 / 6),
)
"""The 3/8 rule; the slope at its end gives an embedded third order [HairerNorsettWanner1993].

The classical method would not do: its only embedded third order is blind to the error that comes
from explicit time dependence.
"""

DP54 = Tableau(
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    order=5,
    b_low=(
        5179 / 57600,
        0.0,
        7571 / 16695,
        393 / 640,
        -92097 / 339200,
        187 / 2100,
        1 / 40,
    ),
)
"""Fifth order with an embedded fourth [DormandPrince1980]."""

PAIRS = {"bs32": BS32, "rk43": RK43, "dp54": DP54}


def adams_bashforth_weights(nodes: Sequence[float]) -> np.ndarray:
    """Weights that integrate the polynomial through past slopes over the next step.

        integral_0^1 p(x) dx = sum_i w_i p(x_i)    for every polynomial p of degree < len(nodes)

    Args:
        nodes: times x_i of the known slopes from the present time on, in units of the step ahead
            (0, -1, -2, ... where all steps were equal); all different.

    Returns:
        w, shape [node].
    """
    powers = np.arange(len(nodes))
    return np.linalg.solve(np.asarray(nodes) ** powers[:, None], 1 / (powers + 1.0))

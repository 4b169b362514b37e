"""Projective Runge-Kutta methods: bursts anchored on the trajectory, with the burst in the stage.

A leap from t to t + Delta begins with a burst, which ends on the slow manifold at t_a = t + tau
with state U_a. Over the rest of the leap, D = Delta - tau, the stages are bursts that end at
t_a + c_s D:

    k_1 = dU/dt at (t_a, U_a)
    k_s = dU/dt at the end of the burst launched from  U_a + D sum_l a_sl k_l  at  t_a + c_s D - tau
    U(t + Delta) = U_a + D sum_s b_s k_s

Because the state flows for a time tau = theta D between launch and slope, the order conditions are
those of stages that contain a piece of exact flow. Row sums are c_s - theta, and the coefficients
depend on theta. For theta = 0 they are those of plain Runge-Kutta methods. Textbook coefficients
with these bursts would leave an error O(tau D).

Source: the methods [LeeGear2007], [LafitteLejonSamaey2016]; the coefficients are derived here.
"""

import numpy as np

from gpupatch.arrays import Handle
from gpupatch.errors import SchemeError
from gpupatch.projection.oracle import leap_along
from gpupatch.projection.system import System, simulate
from gpupatch.projection.tableaux import Tableau

SHORTEST_LEAP = {2: 2.5, 4: 5.0}
"""Order: leap, in bursts, up to which everything is simulated. A longer one has its first stage
launched at t_a or later, and saves more than it costs."""
SHORTEST_BACKWARD_LEAP = 10.0
"""Leap backwards, in bursts, from which on the coefficients stay moderate."""


def projective_runge_kutta(system: System, order: int, t: float, U: Handle, leap: float) -> Handle:
    """One anchored projective leap.

    Args:
        system: offers `burst`, `inner` and `axpy`.
        order: 2 or 4, the number of bursts.
        t: base time.
        U: state at `t`, healed or not.
        leap: Delta; negative to leap backwards with bursts that run forwards
            [GearKevrekidis2004].

    Returns:
        State at ``t + leap``.

    Raises:
        SchemeError: if a leap backwards is not much longer than its bursts.
    """
    burst = system.burst_length
    if -SHORTEST_BACKWARD_LEAP * burst < leap < 0:
        raise SchemeError(
            f"`prk{order}` was asked to leap back over {-leap:.6g} with bursts of {burst:.6g} that "
            f"run forwards. Use a `step` of at least {SHORTEST_BACKWARD_LEAP:g} bursts."
        )
    if 0 < leap <= SHORTEST_LEAP[order] * burst:
        return simulate(system, t, U, leap)
    anchor, slope = system.burst(t, U)
    D = leap - burst
    tableau = anchored_tableau(order, burst / D)
    slopes = [slope]
    for row, c in zip(tableau.a[1:], tableau.c[1:], strict=True):
        launch = leap_along(system, anchor, D, row, slopes)
        slopes.append(system.burst(t + c * D, launch)[1])
    return leap_along(system, anchor, D, tableau.b, slopes)


def anchored_tableau(order: int, theta: float) -> Tableau:
    """Coefficients of the projective Runge-Kutta method whose bursts last `theta` D.

    With c_s the end of the burst of stage s, lambda_s = c_s - theta its launch, and
    I_q = (c^(q+1) - lambda^(q+1))/(q+1) what the flow adds to the moment of order q, order 4 asks
    for

        sum b c^q = 1/(q+1), q = 0..3       sum b d = 1/6,   d = A c + I_1
        sum b c d = 1/8                     sum b q = 1/12,  q = A c^2 + I_2
        sum b p = 1/24,                     p = A d + theta A c + theta^2 lambda/2 + theta^3/6

    (the first stage, at the anchor, has c = d = q = p = 0). Order 2 asks for the first two and
    keeps the nodes of `RK2`. For order 4, with c = (0, 1/4, 1/2, c_4), the last condition is a
    quadratic equation for c_4, and the others are linear. theta = 0 gives the member of Kutta's
    family that has Simpson's weights, b = (1/6, 0, 2/3, 1/6).

    Args:
        order: 2 or 4.
        theta: length of the burst over D; at most 2/3 for order 2 and 1/4 for order 4, negative
            (at least -1/11) for leaps backwards.
    """
    if order == 2:
        c = 2 / 3
        return Tableau(a=((), (c - theta,)), b=(1 / 4, 3 / 4), c=(0.0, c), order=2)
    c = np.array([0, 1 / 4, 1 / 2, _last_node(theta)])
    b = np.linalg.solve(c ** np.arange(4)[:, None], 1 / np.arange(1, 5))
    launch = np.array([0, *(c[1:] - theta)])
    flow = [(c ** (q + 1) - launch ** (q + 1)) / (q + 1) for q in range(3)]
    conditions = [
        [b[2] * c[1], b[3] * c[1], b[3] * c[2]],
        [b[2] * c[2] * c[1], b[3] * c[3] * c[1], b[3] * c[3] * c[2]],
        [b[2] * c[1] ** 2, b[3] * c[1] ** 2, b[3] * c[2] ** 2],
    ]
    missing = [1 / 6 - b @ flow[1], 1 / 8 - b @ (c * flow[1]), 1 / 12 - b @ flow[2]]
    a32, a42, a43 = np.linalg.solve(conditions, missing).tolist()
    rows = (
        (),
        (float(launch[1]),),
        (float(launch[2]) - a32, a32),
        (float(launch[3]) - a42 - a43, a42, a43),
    )
    return Tableau(a=rows, b=tuple(b.tolist()), c=tuple(c.tolist()), order=4)


def _last_node(theta: float) -> float:
    """The root c_4 near 1 of the eighth condition, after the seven others are met."""
    quadratic = 6 - 84 * theta**2 + 24 * theta**3
    linear = -6 + 6 * theta + 90 * theta**2 + 20 * theta**3
    constant = -27 * theta**2 - 24 * theta**3
    return (-linear + np.sqrt(linear**2 - 4 * quadratic * constant)) / (2 * quadratic)

"""Explicit leaps on the slope oracle: Runge-Kutta and Adams-Bashforth."""

from collections.abc import Sequence

from gpupatch.arrays import Handle
from gpupatch.projection.history import History
from gpupatch.projection.system import System
from gpupatch.projection.tableaux import RK2, RK4, Tableau, adams_bashforth_weights


def runge_kutta_stages(
    system: System, tableau: Tableau, t: float, U: Handle, D: float, first: Handle | None = None
) -> list[Handle]:
    """The slopes k_s of one explicit Runge-Kutta step.

    Args:
        system: offers `slope` and `axpy`.
        tableau: coefficients.
        t: base time.
        U: state at `t`.
        D: macro step.
        first: the slope at (t, U) where it is already known.
    """
    slopes = [system.slope(t, U) if first is None else first]
    for row, c in zip(tableau.a[1:], tableau.c[1:], strict=True):
        slopes.append(system.slope(t + c * D, leap_along(system, U, D, row, slopes)))
    return slopes


def leap_along(
    system: System, U: Handle, D: float, weights: Sequence[float], slopes: Sequence[Handle]
) -> Handle:
    """U + D sum_s w_s k_s; slopes of weight zero are not read."""
    terms = [(D * w, k) for w, k in zip(weights, slopes, strict=True) if w != 0]
    return system.axpy([(1.0, U), *terms])


def runge_kutta(system: System, tableau: Tableau, t: float, U: Handle, D: float) -> Handle:
    """One explicit Runge-Kutta step of size `D` on the slope oracle; arguments as for stages."""
    slopes = runge_kutta_stages(system, tableau, t, U, D)
    return leap_along(system, U, D, tableau.b, slopes)


def adams_bashforth(
    system: System, history: History, order: int, t: float, U: Handle, D: float
) -> Handle:
    """One Adams-Bashforth step: a single new slope, the others remembered.

        U(t + D) = U + integral over the step of the polynomial through the last `order` slopes

    Earlier steps may have had other lengths. Until enough slopes are known the step is a
    Runge-Kutta step of at least the same order (of order 2 for ab2, of order 4 for ab3 and ab4).

    Args:
        system: offers `slope` and `axpy`.
        history: its `slopes` are read and brought up to date.
        order: number of slopes used, 2 to 4.
        t: base time.
        U: state at `t`.
        D: macro step.

    Source: [HairerNorsettWanner1993], chapter III.5.
    """
    newest = system.slope(t, U)
    known = [(t, newest), *history.slopes[: order - 1]]
    history.slopes = known[: order - 1]
    if len(known) < order:
        tableau = RK2 if order == 2 else RK4
        slopes = runge_kutta_stages(system, tableau, t, U, D, first=newest)
        return leap_along(system, U, D, tableau.b, slopes)
    weights = adams_bashforth_weights([(time - t) / D for time, _ in known])
    return leap_along(system, U, D, [float(w) for w in weights], [slope for _, slope in known])

"""The act "burst": how patches are run for a short time, and what is read off meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpupatch.contract import checked
from gpupatch.errors import SchemeError
from gpupatch.memory import numbers, require
from gpupatch.steps import count_steps

if TYPE_CHECKING:
    from gpupatch.restriction import Restriction


@dataclass(frozen=True, eq=False)
class Tableau:
    """An explicit Runge-Kutta method: coefficients a, b, c and its order.

    k_s = f(t + c_s dt, u + dt sum_l a_sl k_l),  u+ = u + dt sum_s b_s k_s.

    Attributes:
        a: [stage, stage], strictly lower triangular.
        b: [stage].
        c: [stage].
        order: order of accuracy.
    """

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    c: NDArray[np.float64]
    order: int

    def stability(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """The stability function R(z) = 1 + z b^T (1 - z a)^-1 1, as a polynomial in z."""
        power, total = np.ones(len(self.b)), np.ones_like(z)
        for k in range(1, len(self.b) + 1):
            total = total + (self.b @ power) * z**k
            power = self.a @ power
        return total


def _tableau(a, b, order) -> Tableau:
    full = np.zeros((len(b), len(b)))
    for stage, row in enumerate(a):
        full[stage + 1, : len(row)] = row
    return Tableau(full, np.array(b, dtype=float), full.sum(axis=1), order)


TABLEAUX = {
    "euler": _tableau([], [1.0], 1),
    "ssprk2": _tableau([[1.0]], [0.5, 0.5], 2),
    "ssprk3": _tableau([[1.0], [0.25, 0.25]], [1 / 6, 1 / 6, 2 / 3], 3),
    "rk4": _tableau([[0.5], [0.0, 0.5], [0.0, 0.0, 1.0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6], 4),
}
VERLET = "verlet"
STEPPERS = (*TABLEAUX, VERLET, "leapfrog")
ESTIMATORS = ("healed", "endpoint", "lsq", "seed")
EDGES = ("dirichlet", "neumann")


def canonical_stepper(name: str) -> str:
    """The name under which a micro-stepper is implemented ("leapfrog" is velocity Verlet).

    Raises:
        SchemeError: if there is no such stepper.
    """
    if name not in STEPPERS:
        raise SchemeError(f"micro-stepper {name!r} is unknown; use one of {', '.join(STEPPERS)}.")
    return VERLET if name == "leapfrog" else name


@checked(SchemeError)
@dataclass(frozen=True)
class Burst:
    """What the user says about a burst.

    Attributes:
        length: model time of one burst.
        heal: time discarded at its beginning; half of `length` when absent.
        dt: micro time step; chosen from the rule when absent.
        slope: "healed" (mean slope after healing), "endpoint" (the same), "lsq" (least squares
            after healing), "seed" (from the very beginning, for teaching).
        extrapolate: extrapolate the healed slope back to the beginning of the burst.
        replicas: independent repetitions that are averaged.

    Raises:
        SchemeError: if `heal` is not shorter than `length`, a number is not positive, or a choice
            does not exist.
    """

    length: float
    heal: float | None = None
    dt: float | None = None
    slope: str = "healed"
    extrapolate: bool = True
    replicas: int = 1

    def __post_init__(self):
        if not self.length > 0:
            raise SchemeError(f"`burst.length` is {self.length}; it must be positive.")
        if self.heal is not None and not 0 <= self.heal < self.length:
            raise SchemeError(
                f"`burst.heal` is {self.heal}, but the burst lasts {self.length}: "
                "leave a part of the burst in which to measure."
            )
        if self.dt is not None and not self.dt > 0:
            raise SchemeError(f"`burst.dt` is {self.dt}; it must be positive.")
        if self.slope not in ESTIMATORS:
            raise SchemeError(
                f"`burst.slope` is {self.slope!r}; use one of {', '.join(ESTIMATORS)}."
            )
        if self.replicas < 1:
            raise SchemeError(f"`burst.replicas` is {self.replicas}; at least 1 is needed.")

    @property
    def healing(self) -> float:
        """Time discarded at the beginning."""
        return self.length / 2 if self.heal is None else self.heal

    def steps(self, stable_dt: float) -> tuple[int, float]:
        """Number and length of the micro-steps, at least 4 so that a slope can be measured.

        Args:
            stable_dt: largest step allowed when the user gave none.

        Raises:
            InputError: if they are too many to be counted or kept.
        """
        n = max(4, count_steps(self.length, self.dt or stable_dt))
        require(numbers(n), f"a burst of {n} micro-steps", "Use a shorter burst or longer steps.")
        return n, self.length / n


@dataclass(frozen=True, eq=False)
class BurstPlan:
    """One burst, as a backend runs it.

    The result is ``out[q] = sum_s weights[s, q] R(u after s steps)``, so that every estimator is
    a table of numbers.

    Attributes:
        stepper: name of the micro-stepper.
        dt: micro time step.
        n_steps: number of micro-steps.
        restriction: weights R over the sites (over faces if `flux_axis` is set).
        weights: [n_steps + 1, q].
        edge: "dirichlet" (values as lifted) or "neumann" (normal difference as lifted).
        flux_axis: measure the flux along this axis instead of the state; -1 for the state,
            -2 for the local source.
        stream: number that sets the random numbers of this burst apart from all others.
        first: number of the first step, from which its random numbers follow.
    """

    stepper: str
    dt: float
    n_steps: int
    restriction: Restriction
    weights: NDArray[np.float64]
    edge: str = "dirichlet"
    flux_axis: int = -1
    stream: int = 0
    first: int = 0


def slope_weights(burst: Burst, n_steps: int, dt: float) -> NDArray[np.float64]:
    """Weights over the steps of a burst that estimate the time derivative.

    With s_1, s_2 the mean slopes over the two halves of the healed part, at mid-times t_1 < t_2,
    extrapolation to the beginning gives s_1 - (s_2 - s_1) t_1 / (t_2 - t_1), which removes the
    error O(length).

    Args:
        burst: the estimator wanted.
        n_steps: micro-steps in the burst.
        dt: micro time step.

    Returns:
        Weights that sum to zero, [n_steps + 1], in units of 1/time.

    Source: Gear and Kevrekidis (2003), section 2, for the healed slope [GearKevrekidis2003].
    """
    first = 0 if burst.slope == "seed" else _healed_step(burst, n_steps, dt)
    if burst.slope == "seed":
        return _difference(n_steps, 0, n_steps, dt)
    middle = (first + n_steps) // 2
    estimate = _least_squares if burst.slope == "lsq" else _difference
    if not burst.extrapolate:
        return estimate(n_steps, first, n_steps, dt)
    s1, s2 = estimate(n_steps, first, middle, dt), estimate(n_steps, middle, n_steps, dt)
    t1, t2 = (first + middle) / 2, (middle + n_steps) / 2
    return s1 - (s2 - s1) * t1 / (t2 - t1)


def mean_weights(burst: Burst, n_steps: int, dt: float) -> NDArray[np.float64]:
    """Weights over the steps of a burst that average a flux over the healed part.

    Trapezoidal means; with `extrapolate` the means over the two halves of the healed part are
    extrapolated to the beginning of the burst as in `slope_weights`.

    Args:
        burst: the estimator wanted.
        n_steps: micro-steps in the burst.
        dt: micro time step.

    Returns:
        Weights that sum to one, [n_steps + 1].
    """
    first = 0 if burst.slope == "seed" else _healed_step(burst, n_steps, dt)
    if not burst.extrapolate or burst.slope == "seed":
        return _average(n_steps, first, n_steps)
    middle = (first + n_steps) // 2
    m1, m2 = _average(n_steps, first, middle), _average(n_steps, middle, n_steps)
    t1, t2 = (first + middle) / 2, (middle + n_steps) / 2
    return m1 - (m2 - m1) * t1 / (t2 - t1)


def _healed_step(burst: Burst, n_steps: int, dt: float) -> int:
    return min(round(burst.healing / dt), n_steps - 2)


def _difference(n_steps, first, last, dt):
    w = np.zeros(n_steps + 1)
    w[last], w[first] = 1 / ((last - first) * dt), -1 / ((last - first) * dt)
    return w


def _least_squares(n_steps, first, last, dt):
    w = np.zeros(n_steps + 1)
    s = np.arange(first, last + 1) - (first + last) / 2
    w[first : last + 1] = s / (s @ s) / dt
    return w


def _average(n_steps, first, last):
    w = np.zeros(n_steps + 1)
    w[first : last + 1] = 1.0
    w[first] = w[last] = 0.5
    return w / (last - first)

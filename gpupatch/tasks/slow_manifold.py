"""Patches that begin on the slow manifold: constrained runs and implicit lifting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import NoConvergence, newton_krylov
from scipy.special import binom

from gpupatch.arrays import Macro, Micro
from gpupatch.contract import checked
from gpupatch.errors import InputError, SchemeError
from gpupatch.scheme import BurstScheme
from gpupatch.tasks.newton import check_search
from gpupatch.tasks.relaxation import relaxation_rates
from gpupatch.tasks.watched import FreePatches

ORDERS = (0, 1, 2, 3)
"""Orders of constrained runs that rounding leaves some digits of."""
_STEP = 2.0
"""Distance of the samples of a constrained run, in units of the time in which fast fields relax."""
_RELAXED = 2.0
"""Relaxation times that a burst has to last for a hidden field to count as fast."""
_TOUCH = 1e-4
"""Size of the disturbance whose decay is measured, in units of the largest value."""


@dataclass(frozen=True, eq=False)
class SlowState:
    """Patches with given coarse values, on the slow manifold as nearly as was asked for.

    Attributes:
        scheme: the scheme that was given.
        t: time of the state.
        U: its coarse values, [member, field, *patch axes].
        hidden: coarse values of the fields that are no coarse variables, [member, *patch axes].
        sites: the patches, [patch, field, *sites].
        residual: largest value that was to vanish, relative to the largest of what it is made of.
        bursts: short runs of all patches that it took.
    """

    scheme: BurstScheme
    t: float
    U: Macro
    hidden: Mapping[str, NDArray[np.float64]]
    sites: Micro
    residual: float
    bursts: int

    def slaved(self) -> BurstScheme:
        """The scheme with its hidden fields lifted from where they are slaved to this state.

        Use it for bursts from this state and states near it; further away, ask anew.
        """
        return self.scheme.variant(hidden=self.hidden)


@dataclass(frozen=True, eq=False)
class HealedState(SlowState):
    """A state that `implicit_lift` found.

    Attributes:
        lifted: the coarse values whose lift heals to it, [member, field, *patch axes].
        skip: model time of healing.
    """

    lifted: Macro
    skip: float

    def flow(self, over: float) -> Macro:
        """The implicit coarse time-stepper: coarse values a time later, along the healed burst.

            Phi(over; U) = R S_(skip + over) L y,    R S_skip L y = U

        Args:
            over: model time, within what the buffers protect.

        Returns:
            [member, field, *patch axes].

        Raises:
            InputError: if the time is not positive.
        """
        if not 0 < over < math.inf:
            raise InputError(f"`over` is {over}; give a positive time.")
        free = FreePatches(self.scheme, self.t)
        W = free.completed(self.lifted)
        # the edges of a burst stay as lifted, so that it is run again from its beginning
        healed = free.watch(free.lifted(W), self.skip + over, 1)
        return healed.values[-1][:, free.tracked]


@checked(InputError)
def constrained_run(
    scheme: Any,
    U: Mapping[str, Any] | ArrayLike,
    order: int = 1,
    over: float | None = None,
    *,
    t: float = 0.0,
    tolerance: float = 1e-9,
    iterations: int = 50,
) -> SlowState:
    """Find the hidden fields y that belong to coarse values U on the slow manifold.

    Fast fields that are lifted from elsewhere first relax, and meanwhile the coarse values do not
    move as they would: what is lost is never made up. Here short runs, in which U is put back again
    and again, look for the y whose (m+1)-th forward difference vanishes,

        (Delta^(m+1) y)(U, y) = sum_j (-1)^(m+1-j) binom(m+1, j) y(j over) = 0,   m = order,

    with Newton's method on matrix-free differences. On a manifold where fast fields relax in a time
    epsilon, and with `over` of that size, y is right to O(epsilon^(m+1)).

    Args:
        scheme: a `burst` scheme with hidden fields.
        U: functions of position or numbers by field, or coarse values [member, field, *patch axes].
        order: m.
        over: time between samples; two relaxation times of the slowest hidden field when absent,
            which are then measured.
        t: time of the state.
        tolerance: largest difference that counts as none, relative to the hidden fields.
        iterations: most steps of Newton's method.

    Returns:
        The state.

    Raises:
        SchemeError: if nothing is hidden, the scheme lifts nothing, hidden fields do not relax
            within a burst, or no such fields are found.
        InputError: if an argument makes no sense.

    Source: Gear, Kaper, Kevrekidis and Zagaris (2005), section 2; accuracy by Zagaris, Gear, Kaper
    and Kevrekidis (2009); Newton-Krylov by Vandekerckhove, Kevrekidis and Roose (2009)
    [GearKaperKevrekidisZagaris2005, ZagarisGearKaperKevrekidis2009,
    VandekerckhoveKevrekidisRoose2009].
    """
    free = FreePatches(scheme, t)
    if order not in ORDERS:
        raise InputError(f"`order` is {order!r}; use one of {', '.join(map(str, ORDERS))}.")
    check_search(tolerance, iterations)
    if not free.hidden:
        raise SchemeError(
            "the scheme hides no field, so that nothing can be slaved to its coarse values. Name "
            "the fast fields in `hidden`, or use `implicit_lift`."
        )
    W = free.completed(U)
    if over is None:
        over = _STEP / _slowest(free, W)
    elif not 0 < over < math.inf:
        raise InputError(f"`over` is {over}; give a positive time.")
    count = order + 1
    j = np.arange(count + 1)
    difference = (-1.0) ** j * binom(count, j)

    def watched(y: NDArray[np.float64]) -> NDArray[np.float64]:
        state = W.copy()
        state[:, free.hidden] = y
        return free.watch(free.lifted(state), over * count, count).values[:, :, free.hidden]

    def residual(y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.einsum("s,s...->...", difference, watched(y))

    start = W[:, free.hidden]
    size = float(np.abs(watched(start)).max())
    y, left = _solved(
        residual, start, size, tolerance, iterations,
        f"no hidden fields with vanishing difference {count} were found. Use another `over` (now "
        f"{over:.3g}), or a lower `order`",
    )  # fmt: skip
    W[:, free.hidden] = y
    return SlowState(
        scheme, t, W[:, free.tracked], _by_name(free, W), free.lifted(W), left, free.bursts
    )


@checked(InputError)
def implicit_lift(
    scheme: Any,
    U: Mapping[str, Any] | ArrayLike,
    skip: float | None = None,
    *,
    t: float = 0.0,
    tolerance: float = 1e-9,
    iterations: int = 50,
) -> HealedState:
    """Find the patches that have coarse values U after they have healed, not before.

        R S_skip L y = U,    solved for y

    with R the restriction, L the lift of the scheme and S_skip the micro-simulator over the time
    `skip`. Lifting from U itself and healing ends at other coarse values than U; this does not. The
    error decays like exp(-gap skip), where gap is the difference of the rates of fast and slow
    relaxation: it need not be large.

    Args:
        scheme: a `burst` scheme.
        U: functions of position or numbers by field, or coarse values [member, field, *patch axes].
        skip: healing time, that of the scheme's bursts when absent.
        t: time of the lift, and of the state: what changes explicitly in time counts as at rest.
        tolerance: largest |R S_skip L y - U| accepted, relative to U.
        iterations: most steps of Newton's method.

    Returns:
        The healed state; its `hidden` fields are those that have formed by themselves, and its
        `flow` is the implicit coarse time-stepper.

    Raises:
        SchemeError: if the scheme lifts nothing, or no such patches are found.
        InputError: if an argument makes no sense.

    Source: Marschler, Sieber, Berkemer, Kawamoto and Starke (2014); convergence at a finite gap by
    Sieber, Marschler and Starke (2018) [MarschlerSieberBerkemerKawamotoStarke2014,
    SieberMarschlerStarke2018].
    """
    free = FreePatches(scheme, t)
    check_search(tolerance, iterations)
    waited = float(scheme.burst_spec.healing if skip is None else skip)
    if not 0 < waited < math.inf:
        raise InputError(f"`skip` is {skip}; give a positive time.")
    W = free.completed(U)
    asked = W[:, free.tracked].copy()

    def healed(y: NDArray[np.float64]):
        state = W.copy()
        state[:, free.tracked] = y
        return free.watch(free.lifted(state), waited, 1)

    def residual(y: NDArray[np.float64]) -> NDArray[np.float64]:
        return healed(y).values[-1][:, free.tracked] - asked

    y, left = _solved(
        residual, asked, float(np.abs(asked).max()), tolerance, iterations,
        f"no coarse values were found whose lift heals to those asked for within {waited:.3g}. Use "
        "a shorter `skip`",
    )  # fmt: skip
    end = healed(y)
    return HealedState(
        scheme, t, asked, _by_name(free, end.values[-1]), end.sites, left, free.bursts,
        lifted=y, skip=waited,
    )  # fmt: skip


def _solved(
    residual: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    start: NDArray[np.float64],
    size: float,
    tolerance: float,
    iterations: int,
    failure: str,
) -> tuple[NDArray[np.float64], float]:
    """A zero of a function, and what is left of it in units of `size`."""
    accepted = tolerance * max(size, np.finfo(float).tiny)
    advice = f"{failure}, or more `iterations` (now {iterations})."
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(
                newton_krylov(residual, start, f_tol=accepted, maxiter=iterations, inner_maxiter=30)
            )
            left = float(np.abs(residual(found)).max())
    except (NoConvergence, ValueError) as error:
        raise SchemeError(advice) from error
    if not np.isfinite(left):
        raise SchemeError(advice)
    return found.reshape(start.shape), left / max(size, np.finfo(float).tiny)


def _slowest(free: FreePatches, W: Macro) -> float:
    """Least rate at which a uniform disturbance of a hidden field decays.

    Raises:
        SchemeError: if it does not decay within a burst.
    """
    if free.scheme.n_members > 1:
        raise SchemeError(
            "the relaxation of hidden fields is measured with schemes of one member. Give `over`, "
            "about two relaxation times."
        )
    length = free.scheme.burst_spec.length
    base = free.lifted(W)
    disturbed = []
    for field in free.hidden:
        touched = W.copy()
        touched[:, field] += _TOUCH * max(float(np.abs(W).max()), np.finfo(float).tiny)
        disturbed.append(free.lifted(touched))
    rates = relaxation_rates(
        free, base, disturbed, [(field, None) for field in free.hidden], length
    )
    slowest = int(np.argmin(rates))
    if not rates[slowest] * length >= _RELAXED:
        name = free.names[free.hidden[slowest]]
        raise SchemeError(
            f"the hidden field `{name}` relaxes at the rate {rates[slowest]:.3g}, and hardly "
            f"within a burst of {length:.3g}. Make it a coarse variable, use longer bursts, or "
            "give `over`."
        )
    return rates[slowest]


def _by_name(free: FreePatches, W: Macro) -> dict[str, NDArray[np.float64]]:
    return {free.names[field]: W[:, field].copy() for field in free.hidden}

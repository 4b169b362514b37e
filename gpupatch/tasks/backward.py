"""Backwards in time: bursts run forwards, leaps go back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

from gpupatch.contract import checked
from gpupatch.errors import InputError, SchemeError
from gpupatch.scheme.problem import Initial
from gpupatch.tasks.choose import make_oracle
from gpupatch.tasks.oracle import Oracle

if TYPE_CHECKING:
    import xarray

_LEAST_TOLERANCE = 1e-12
"""Tolerance of a leap that rounding leaves room for."""

_EXPLODED = 1e3
"""Growth of the largest value, beyond its size at the beginning, at which the past is given up."""


@dataclass(frozen=True, eq=False)
class Past:
    """States at earlier and earlier times.

    Attributes:
        oracle: for the fields and places.
        times: falling, [time].
        coarse: coarse values, [time, field, *patch axes].
    """

    oracle: Oracle
    times: NDArray[np.float64]
    coarse: NDArray[np.float64]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Coarse values of one field, [time, *patch axes]."""
        return self.coarse[:, self.oracle.names.index(name)]

    def to_xarray(self) -> xarray.Dataset:
        """The states as a dataset over time and space."""
        from gpupatch.tasks.datasets import past_dataset

        return past_dataset(self)


@checked(InputError)
def backward(
    scheme: Any,
    U0: Initial | ArrayLike,
    duration: float,
    *,
    save: int = 11,
    tolerance: float = 1e-6,
    t: float = 0.0,
) -> Past:
    """Go back in time from a state: where it came from, or the unstable state that it left.

    SciPy's Runge-Kutta method of order 5(4) leaps backwards on dU/dt = F(U); every F is the healed
    slope of a burst that runs forwards, so that what decays fast within patches never grows. What
    grows forwards decays backwards: an unstable state attracts the past of the states on its
    unstable manifold. What decays forwards on the large scale grows backwards, and the finest
    waves that the patches resolve fastest: only a few of their decay times can be undone.

    Args:
        scheme: a `coupled`, `burst` or `flux` scheme of one member, without noise.
        U0: the state at `t`: functions of position or numbers by field, or coarse values
            [field, *patch axes].
        duration: how far back, same units as the time of the scheme.
        save: how many equally spaced times are kept.
        tolerance: of a leap, relative and absolute.
        t: time of `U0`, at which rules and boundary values are read.

    Returns:
        The states, the first at `t`.

    Raises:
        InputError: if the duration is not positive, the tolerance is not between rounding and 1, or
            the past explodes.
        SchemeError: if there are no slopes, or they are random.

    Source: Gear and Kevrekidis (2004) [GearKevrekidis2004].
    """
    if not 0 < duration < np.inf:
        raise InputError(f"`duration` is {duration}; give the positive time to go back.")
    if save < 2:
        raise InputError(f"`save` is {save}; give 2 times or more.")
    if not _LEAST_TOLERANCE <= tolerance < 1:
        raise InputError(
            f"`tolerance` is {tolerance}; give a number from {_LEAST_TOLERANCE:g} to below 1."
        )
    oracle = make_oracle(scheme, coarse=True, t=t, block=1)
    if oracle.noisy:
        raise SchemeError(
            "random slopes are not run backwards: their noise would grow. Find the law of the "
            "mean with `gpupatch.law`, or use a scheme without noise."
        )
    x = oracle.vector(U0)
    largest = _EXPLODED * max(1.0, float(np.abs(x).max()))

    def slope(time: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return oracle.slopes(x[None]).values[0]

    def explodes(time: float, x: NDArray[np.float64]) -> float:
        return largest - float(np.abs(x).max())

    explodes.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    times = np.linspace(t, t - duration, save)
    found = solve_ivp(
        slope, (t, t - duration), x, t_eval=times, events=explodes, rtol=tolerance, atol=tolerance
    )
    if found.status != 0 or not np.isfinite(found.y).all():
        reached = float(found.t_events[0][0]) if found.status == 1 else float(found.t[-1])
        raise InputError(
            f"the past explodes: at t = {reached:.6g} values have grown by a factor of "
            f"{_EXPLODED:g}. What decays forwards grows backwards: go back a shorter time, begin "
            "nearer to an unstable state, or use fewer patches."
        )
    return Past(oracle, found.t, oracle.coarse(found.y.T))

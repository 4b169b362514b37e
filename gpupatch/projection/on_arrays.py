"""Projection of systems made of NumPy arrays: an ODE oracle, or a micro-simulator that bursts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from gpupatch.arrays import Handle
from gpupatch.contract import checked, shown
from gpupatch.errors import InputError, SchemeError
from gpupatch.projection.history import History, Statistics
from gpupatch.projection.method import Projection
from gpupatch.projection.system import System


class ArraySystem:
    """What systems whose states are NumPy arrays have in common."""

    def axpy(self, terms: Sequence[tuple[float, np.ndarray]]) -> np.ndarray:
        """The linear combination sum of weight * array."""
        return sum((weight * array for weight, array in terms[1:]), terms[0][0] * terms[0][1])

    def error_norm(self, error: np.ndarray, U: np.ndarray, tolerance: float) -> float:
        """Largest |error| / (tolerance (1 + |U|)): relative where U is large, else absolute."""
        return float(np.max(np.abs(error) / (tolerance * (1 + np.abs(U)))))

    def unpack(self, U: np.ndarray) -> np.ndarray:
        """The state itself."""
        return U

    def pack(self, values: np.ndarray) -> np.ndarray:
        """The values themselves."""
        return values


@dataclass(frozen=True)
class OdeSystem(ArraySystem):
    """An ordinary differential equation dU/dt = F(t, U), whose slopes cost no burst.

    The anchored methods become plain Runge-Kutta methods, and inner steps are forward Euler steps.

    Attributes:
        rate: F, called as ``F(t, U)``; returns an array of the shape of U.
        euler_step: inner step of ``pfe``, ``telescopic`` and ``none``.
    """

    rate: Callable[[float, np.ndarray], Any]
    euler_step: float | None = None

    burst_length = 0.0

    def __post_init__(self):
        if self.euler_step is not None and not 0 < self.euler_step < float("inf"):
            raise SchemeError(f"`inner_step` is {self.euler_step}; it must be positive.")

    @property
    def inner_step(self) -> float:
        """The forward Euler step.

        Raises:
            SchemeError: if none was given.
        """
        if self.euler_step is None:
            raise SchemeError(
                "this method takes inner steps of the differential equation, and their length is "
                "not known. Give `inner_step`."
            )
        return self.euler_step

    def slope(self, t: float, U: np.ndarray) -> np.ndarray:
        """F(t, U).

        Raises:
            InputError: if the function returns something else than numbers of the shape of U.
        """
        rate = self.rate(t, U)
        try:
            return np.broadcast_to(np.asarray(rate, dtype=float), np.shape(U))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the function returned {shown(rate)} at t = {t:.6g}; its slopes must be numbers "
                f"of the shape {np.shape(U)} of the state."
            ) from error

    def burst(self, t: float, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The state as it is, and its slope."""
        return U, self.slope(t, U)

    def inner(self, t: float, U: np.ndarray, steps: int, dt: float) -> np.ndarray:
        """Forward Euler steps."""
        for step in range(steps):
            U = U + dt * self.slope(t + step * dt, U)
        return U


@dataclass(frozen=True)
class MicroSimulator(ArraySystem):
    """A micro-simulator that is known only by its bursts.

    Slopes are derivatives of polynomials through the samples of a burst. The slope at the end of a
    burst is that of the polynomial of degree `end_order` through the last samples, so that it is
    accurate to that order in their spacing; a difference of the last two samples would limit every
    method to first order in it. The slope at the base time is that of the polynomial of degree
    `degree` that fits the healed samples best, extrapolated back.

    Differences magnify round-off by one over the spacing of the samples. A system that knows the
    rate of its micro-model had better return that at the end of its bursts.

    Attributes:
        simulate: called as ``simulate(t, u, length)``; returns the sampled times and states,
            shapes [sample] and [sample, ...], the last sample at ``t + length``.
        burst_length: model time of a burst.
        heal: part of each burst, in model time, that slopes at the base time leave out because fast
            modes and lifting artefacts are still decaying; half the burst where absent.
        inner_step: longest piece simulated at a time by ``pfe``, ``telescopic`` and where
            everything is simulated; a burst where absent.
        degree: degree of the polynomial fitted to the healed samples; 2 makes the slope exact to
            O(burst_length^2).
        end_order: order of the slope at the end of a burst; 1 for noisy samples.
        extrapolate: whether slopes are extrapolated to the base time; if not, the slope in the
            middle of the healed samples stands for it, wrong by O(burst_length).
    """

    simulate: Callable[[float, np.ndarray, float], tuple[Any, Any]]
    burst_length: float
    heal: float | None = None
    inner_step: float = 0.0
    degree: int = 2
    end_order: int = 4
    extrapolate: bool = True

    def __post_init__(self):
        if not self.burst_length > 0:
            raise SchemeError(f"`burst_length` must be positive; found {self.burst_length!r}.")
        if self.heal is None:
            object.__setattr__(self, "heal", self.burst_length / 2)
        if self.inner_step == 0:
            object.__setattr__(self, "inner_step", self.burst_length)
        if not 0 <= cast(float, self.heal) < self.burst_length:
            raise SchemeError(
                f"`heal` must be shorter than the burst, {self.burst_length:g}; found "
                f"{self.heal!r}."
            )
        if self.degree < 1 or self.end_order < 1:
            raise SchemeError("`degree` and `end_order` must be at least 1.")

    def slope(self, t: float, U: np.ndarray) -> np.ndarray:
        """Slope of the healed samples of a burst, at the base time."""
        times, states = self._run(t, U, self.burst_length)
        healed = times >= t + cast(float, self.heal) - 1e-9 * self.burst_length
        middle = (times[healed][0] + times[-1]) / 2 if healed.any() else t
        at = t if self.extrapolate else middle
        return self._derivative(times[healed], states[healed], self.degree, at, "degree")

    def burst(self, t: float, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """State and slope at the end of a burst."""
        times, states = self._run(t, U, self.burst_length)
        last = slice(-self.end_order - 1, None)
        slope = self._derivative(times[last], states[last], self.end_order, times[-1], "end_order")
        return states[-1], slope

    def inner(self, t: float, U: np.ndarray, steps: int, dt: float) -> np.ndarray:
        """Simulate ``steps * dt``, in `steps` pieces."""
        for step in range(steps):
            U = self._run(t + step * dt, U, dt)[1][-1]
        return U

    def _run(self, t: float, U: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
        times, states = self.simulate(t, U, length)
        times, states = np.asarray(times, dtype=float), np.asarray(states, dtype=float)
        if times.ndim != 1 or states.shape != (len(times), *np.shape(U)):
            raise InputError(
                f"a burst must return times [sample] and states [sample, ...]; found shapes "
                f"{times.shape} and {states.shape} for a state of shape {np.shape(U)}."
            )
        if len(times) == 0 or abs(times[-1] - (t + length)) > 1e-6 * length:
            end = f"{times[-1]:.12g}" if len(times) else "nowhere"
            raise InputError(
                f"a burst of length {length:.6g} from t = {t:.12g} ended at {end}; its last sample "
                f"must be at {t + length:.12g}."
            )
        return times, states

    def _derivative(
        self, times: np.ndarray, states: np.ndarray, degree: int, at: float, option: str
    ) -> np.ndarray:
        if len(times) <= degree:
            raise SchemeError(
                f"`{option}` = {degree} needs {degree + 1} samples of a burst, found {len(times)}. "
                f"Sample more often (or, for slopes at the base time, heal for less), or lower "
                f"`{option}`."
            )
        return np.tensordot(derivative_weights(times, degree, at), states, axes=1)


def derivative_weights(times: np.ndarray, degree: int, at: float) -> np.ndarray:
    """Weights w with sum_i w_i u(t_i) = p'(at), p the polynomial that fits the samples best.

    Args:
        times: t_i, shape [sample], more than `degree` of them and all different.
        degree: degree of p; with ``degree + 1`` samples p passes through all of them.
        at: time of the derivative.

    Returns:
        w, shape [sample].
    """
    centre, half = (times[0] + times[-1]) / 2, (times[-1] - times[0]) / 2
    powers = np.arange(degree + 1)
    x, y = (times - centre) / half, (at - centre) / half
    slopes = powers * y ** np.maximum(powers - 1, 0)
    return slopes @ np.linalg.pinv(x[:, None] ** powers) / half


class Trajectory(NamedTuple):
    """States at the times asked for, and what they cost.

    Attributes:
        times: shape [time].
        states: shape [time, *shape of u0].
        statistics: work done.
    """

    times: np.ndarray
    states: np.ndarray
    statistics: Statistics


def as_system(
    F: System | Callable[[float, np.ndarray], Any], inner_step: float | None = None
) -> System:
    """A system made of `F`: the ODE dU/dt = F(t, U) if it is a function, else `F` itself.

    Raises:
        InputError: if `F` is neither, or `inner_step` is given for a system, which has its own.
    """
    if hasattr(F, "axpy"):
        if inner_step is not None:
            raise InputError(
                f"`inner_step` = {inner_step!r} has no effect on a {type(F).__name__}, which has "
                "its own. Leave it out."
            )
        return cast(System, F)
    if callable(F):
        return OdeSystem(F, inner_step)
    raise InputError(
        f"`project` integrates a function F(t, u) or a system such as `MicroSimulator`; found a "
        f"{type(F).__name__}."
    )


@checked(SchemeError)
def project(
    F: System | Callable[[float, np.ndarray], Any],
    u0: Any,
    t: Any,
    *,
    method: str = "rk4",
    step: float | None = None,
    tol: float | None = None,
    min_step: float | None = None,
    max_step: float | None = None,
    inner: int | None = None,
    jump: float | None = None,
    levels: int | None = None,
    pair: str | None = None,
    solver: str | None = None,
    inner_step: float | None = None,
    on_leap: Callable[[float, Handle], object] | None = None,
) -> Trajectory:
    """Integrate an ODE oracle or a micro-simulator through given times by leaps.

    >>> import numpy as np
    >>> def decay(t, u):
    ...     return -u
    >>> result = project(decay, [1.0], [0.0, 1.0], method="rk4", step=0.1)
    >>> bool(abs(result.states[-1, 0] - np.exp(-1)) < 1e-6)
    True

    Args:
        F: right-hand side, called as ``F(t, u)``, or a system such as `MicroSimulator`.
        u0: state at ``t[0]``, any shape.
        t: times at which the state is wanted, rising or falling, shape [time].
        method: see `Projection`, as for the options down to `solver`.
        step: macro step.
        tol: error allowed per leap.
        min_step: shortest adaptive leap.
        max_step: longest adaptive or implicit leap.
        inner: damping steps.
        jump: inner steps leapt over.
        levels: telescopic levels.
        pair: embedded pair.
        solver: implicit solver.
        inner_step: forward Euler step taken where `F` is a function and the method makes inner
            steps.
        on_leap: called with time and state after every leap.

    Returns:
        States at all times, the first being `u0`.

    Raises:
        SchemeError: if method and options do not fit together.
        InputError: if the times do not rise or fall throughout.
    """
    projection = Projection(
        method, step, tol, min_step, max_step, inner, jump, levels, pair, solver
    )
    if inner is not None and method in ("prk2", "prk4"):
        raise SchemeError(
            f"`inner` has no effect here with method {method!r}: the bursts have a length in time. "
            "Leave it out."
        )
    system = as_system(F, inner_step)
    times = _numbers("t", t)
    gaps = np.diff(times) if times.ndim == 1 else np.zeros(1)
    if len(gaps) == 0 or not (np.all(gaps > 0) or np.all(gaps < 0)):
        raise InputError("`t` must hold two times or more that rise, or fall, throughout.")
    history = History()
    states = [_numbers("u0", u0)]
    for begin, end in zip(times.tolist(), times[1:].tolist(), strict=False):
        states.append(projection.advance(system, begin, states[-1], end, history, on_leap))
    return Trajectory(times, np.stack(states), history.statistics)


def _numbers(name: str, given: Any) -> np.ndarray:
    try:
        values = np.array(given, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"`{name}` of `project` is {shown(given)}; give numbers.") from error
    if not np.isfinite(values).all():
        raise InputError(f"`{name}` of `project` is {shown(given)}; give finite numbers.")
    return values

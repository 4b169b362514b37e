"""Control: the parameter, or the condition on a wall, for which a state is as wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from gpupatch.contract import checked
from gpupatch.errors import InputError, suggestion
from gpupatch.projection import Projection
from gpupatch.scheme import Scheme
from gpupatch.scheme.problem import Initial
from gpupatch.simulation import simulate
from gpupatch.tasks.branch import Functional, functional_of
from gpupatch.tasks.oracle import parameter_names
from gpupatch.tasks.steady import steady

_SIDES = ("low", "high")
_SLOPE_STEP = 0.02
"""Share of the bounds over which the sensitivity of a random target is measured."""


@checked(InputError)
@dataclass(frozen=True)
class Wall:
    """The value prescribed on one face of the domain, as something to be controlled.

    Attributes:
        axis: number of the axis.
        side: "low" or "high".
        field: that it is prescribed for; all that have no condition of their own when absent.
    """

    axis: int = 0
    side: str = "high"
    field: str | None = None

    def __call__(self, scheme: Any, value: float) -> Any:
        """The scheme with another value c in a u + b du/dn = c on this face.

        Raises:
            InputError: if there is no such face, or it is periodic.
        """
        grid = scheme.problem.grid
        if self.side not in _SIDES:
            raise InputError(f"there is no side `{self.side}`. {suggestion(self.side, _SIDES)}")
        if not 0 <= self.axis < grid.ndim or grid.periodic(self.axis):
            raise InputError(f"axis {self.axis} has no walls. Give one that is not periodic.")
        faces = [None if grid.periodic(a) else list(grid.faces(a)) for a in range(grid.ndim)]
        walls: Any = faces[self.axis]
        which = _SIDES.index(self.side)
        face = walls[which]
        if self.field is None:
            walls[which] = replace(face, c=value)
        else:
            own = replace(face.of(self.field), c=value)
            walls[which] = replace(face, fields={**face.fields, self.field: own})
        boundary = ["periodic" if pair is None else tuple(pair) for pair in faces]
        changed = replace(grid, boundary=boundary)
        return scheme.variant(problem=replace(scheme.problem, grid=changed))


@dataclass(frozen=True, eq=False)
class Controlled:
    """A control that reaches its target.

    Attributes:
        value: of the control.
        error: its standard error; 0 where nothing is random.
        reached: the functional there.
        sensitivity: derivative of the functional by the control.
        coarse: coarse values, [field, *patch axes], the mean of members.
        evaluations: values of the control that were tried.
    """

    value: float
    error: float
    reached: float
    sensitivity: float
    coarse: NDArray[np.float64]
    evaluations: int


@checked(InputError)
def control(
    scheme: Scheme,
    what: str | Wall | Callable[[Any, float], Any],
    functional: str | Functional,
    target: float,
    bounds: tuple[float, float],
    U0: Initial | ArrayLike,
    *,
    over: float | None = None,
    projection: Projection | None = None,
    start: float = 0.0,
    tolerance: float = 1e-8,
) -> Controlled:
    """Find the value of a control for which a functional of the state reaches a target, J = J*.

    The state is that of the coarse time-stepper after a time, or the steady state. The root is
    found by Brent's method between bounds. Random micro-simulators meet the same random numbers
    for every value, so that J is smooth; what other numbers would give is told by the replicas of
    the run (`replicas` of the problem), and the error of the control is sigma_J/|dJ/dp|.

    Args:
        scheme: any scheme; with `over` absent one that has slopes.
        what: name of a parameter, a `Wall`, or a function of a scheme and a value that returns the
            scheme with it.
        functional: "mean u", "max u", "min u", "middle u" of a field u, "norm", or a function of
            coarse values [field, *patch axes].
        target: J*.
        bounds: two values of the control between which J crosses J*.
        U0: initial state by field; where the search for the steady state begins.
        over: time after which the target is to be reached; the steady state when absent.
        projection: method that leaps over that time.
        start: time at the beginning.
        tolerance: of the control, relative to the bounds.

    Returns:
        The control and what it reaches.

    Raises:
        InputError: if J does not cross J* between the bounds, there is no such parameter, the
            tolerance is not between 0 and 1, or a state is not found.

    Source: Brent (1973), chapter 4 [Brent1973].
    """
    low, high = map(float, bounds)
    if not low < high:
        raise InputError(f"`bounds` are {bounds}; give the lower one first.")
    if not 0 < tolerance < 1:
        raise InputError(f"`tolerance` is {tolerance}; give a number between 0 and 1.")
    change = _change(scheme, what)
    drawn, label = functional_of(scheme.names, functional)
    known: dict[float, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def members(value: float) -> NDArray[np.float64]:
        """J of every member."""
        if value not in known:
            U = _state(change(scheme, value), U0, over, projection, start)
            known[value] = U, np.array([drawn(one) for one in U])
        return known[value][1]

    def miss(value: float) -> float:
        return float(members(value).mean()) - target

    ends = miss(low), miss(high)
    if not np.isfinite(ends).all() or ends[0] * ends[1] > 0:
        raise InputError(
            f"{label} is {ends[0] + target:.6g} at {low:g} and {ends[1] + target:.6g} at {high:g}, "
            f"so that it need not be {target:g} in between. Widen the bounds."
        )
    found: Any = brentq(miss, low, high, xtol=tolerance * (high - low), full_output=False)
    value = float(found)
    J = members(value)
    step = _SLOPE_STEP * (high - low)
    sides = max(low, value - step), min(high, value + step)
    slope = (miss(sides[1]) - miss(sides[0])) / (sides[1] - sides[0])
    error = float(J.std(ddof=1) / np.sqrt(len(J)) / abs(slope)) if len(J) > 1 and slope else 0.0
    return Controlled(
        value=value,
        error=error,
        reached=float(J.mean()),
        sensitivity=slope,
        coarse=known[value][0].mean(axis=0),
        evaluations=len(known),
    )


def _change(scheme: Any, what: Any) -> Callable[[Any, float], Any]:
    """How a scheme with another value of the control is made."""
    if not isinstance(what, str):
        return what
    problem = scheme.problem
    known = parameter_names(problem)
    if what not in known:
        hint = suggestion(what, known) if known else "It has none."
        raise InputError(f"the micro-simulator has no parameter `{what}`. {hint}")
    where = "parameters" if hasattr(problem, "rule") else "controls"

    def with_parameter(scheme: Any, value: float) -> Any:
        given = {**getattr(scheme.problem, where), what: value}
        return scheme.variant(problem=replace(scheme.problem, **{where: given}))

    return with_parameter


def _state(
    scheme: Any, U0: Any, over: float | None, projection: Projection | None, start: float
) -> NDArray[np.float64]:
    """Coarse values [member, field, *patch axes] after a time, or of the steady state."""
    if over is None:
        state = steady(scheme, U0, t=start)
        if not state.converged:
            raise InputError(f"no steady state was found: {state.why}. Begin nearer to one.")
        return state.coarse[None]
    if not 0 < over < np.inf:
        raise InputError(f"`over` is {over}; give a positive time.")
    solution = simulate(scheme, U0, start + over, start=start, save=2, projection=projection)
    if solution.failure is not None:
        raise solution.failure
    return solution.coarse[-1]

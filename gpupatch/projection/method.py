"""The projection of a run: which macro time integrator leaps, and how far."""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from gpupatch.arrays import Handle
from gpupatch.contract import checked, shown
from gpupatch.errors import SchemeError
from gpupatch.projection.adaptive import embedded_pair
from gpupatch.projection.anchored import projective_runge_kutta
from gpupatch.projection.history import History, Metered
from gpupatch.projection.implicit import SOLVERS, implicit_solver
from gpupatch.projection.oracle import adams_bashforth, runge_kutta
from gpupatch.projection.system import System, even_count, simulate
from gpupatch.projection.tableaux import EULER, PAIRS, RK2, RK4
from gpupatch.projection.telescopic import telescopic_leap

OPTIONS = {
    "none": ("step",),
    "euler": ("step",),
    "rk2": ("step",),
    "rk4": ("step",),
    "ab2": ("step",),
    "ab3": ("step",),
    "ab4": ("step",),
    "adaptive": ("step", "tol", "min_step", "max_step", "pair"),
    "implicit": ("step", "tol", "max_step", "solver"),
    "prk2": ("step", "inner"),
    "prk4": ("step", "inner"),
    "pfe": ("step", "inner", "jump"),
    "telescopic": ("step", "inner", "jump", "levels"),
}
"""Method: the options that it reads."""

_LARGEST_COUNT = 2**31 - 1
STEP_OPTIONAL = ("none", "adaptive", "implicit", "pfe", "telescopic")


@checked(SchemeError)
@dataclass(frozen=True)
class Projection:
    """A macro time integrator that leaps from burst to burst.

    ====================  =========================================================================
    method                what it does
    ====================  =========================================================================
    ``none``              simulate everything
    ``euler rk2 rk4``     explicit Runge-Kutta on the slope oracle, of order 1, 2 (Ralston's) and 4
    ``ab2 ab3 ab4``       Adams-Bashforth on the slope oracle: one burst per leap
    ``adaptive``          an embedded pair on the slope oracle chooses its leaps by `tol`
    ``implicit``          SciPy's `solver` on the slope oracle, for stiff macroscopic dynamics
    ``prk2 prk4``         projective Runge-Kutta anchored at the end of a first burst
    ``pfe``               projective forward Euler: k + 1 inner steps, then a jump of M
    ``telescopic``        the same, nested in `levels`
    ====================  =========================================================================

    Leaps between two given times are equal and never longer than `step`; nothing is interpolated.

    Attributes:
        method: name from the table.
        step: macro step, in model time; the first one for ``adaptive`` and ``implicit``, the time
            between two calls of `on_leap` for ``none``, each of which may leave it out.
        tol: error allowed per leap (``adaptive``, ``implicit``); 1e-4 where absent.
        min_step: shortest leap that ``adaptive`` may try; 16 units in the last place of the time
            where absent.
        max_step: longest leap (``adaptive``, ``implicit``).
        inner: damping steps k of ``pfe`` and ``telescopic``, 2 where absent; micro-steps per burst
            of ``prk2`` and ``prk4`` for systems that count their bursts in micro-steps.
        jump: M, in place of `step`, for ``pfe`` and ``telescopic``: inner steps leapt over per
            level.
        levels: levels of ``telescopic``; 2 where absent.
        pair: embedded pair of ``adaptive``: "bs32" (where absent), "rk43" or "dp54".
        solver: of ``implicit``: "BDF" (where absent) or "Radau".

    Raises:
        SchemeError: if a name is unknown, a number is out of range, or an option is given that the
            method does not read.

    Source: [GearKevrekidis2003], [Kevrekidis2003].
    """

    method: str
    step: float | None = None
    tol: float | None = None
    min_step: float | None = None
    max_step: float | None = None
    inner: int | None = None
    jump: float | None = None
    levels: int | None = None
    pair: str | None = None
    solver: str | None = None

    def __post_init__(self):
        _check_name("method", self.method, OPTIONS)
        for name, value in self.describe().items():
            if name != "method" and name not in OPTIONS[self.method]:
                raise SchemeError(
                    f"`{name}` = {value!r} has no effect with method {self.method!r}, which reads "
                    f"{', '.join(OPTIONS[self.method])}. Leave it out."
                )
        for name in ("step", "tol", "min_step", "max_step", "jump"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise SchemeError(f"`{name}` must be positive and finite; found {value!r}.")
        for name in ("inner", "levels"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= _LARGEST_COUNT:
                raise SchemeError(
                    f"`{name}` must lie between 1 and {_LARGEST_COUNT}; found {shown(value)}."
                )
        if self.pair is not None:
            _check_name("pair", self.pair, PAIRS)
        if self.solver is not None:
            _check_name("solver", self.solver, SOLVERS)
        self._check_step()

    def describe(self) -> dict[str, Any]:
        """The options that were given, as they go into a report."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in given.items() if value is not None}

    def advance(
        self,
        system: System,
        t: float,
        U: Handle,
        t_end: float,
        history: History | None = None,
        on_leap: Callable[[float, Handle], object] | None = None,
    ) -> Handle:
        """Leap from `t` to `t_end`.

        Args:
            system: what is leapt over.
            t: model time of `U`.
            U: state, a handle of `system`; it is not changed.
            t_end: time to stop at. Before `t`, the leaps go backwards while the bursts go on
                running forwards (not for ``none`` and ``telescopic``).
            history: memory of earlier calls and the work done; pass the same one every time, so
                that multistep methods and step control go on where they stopped. A fresh one is
                used where absent.
            on_leap: called with time and state after every accepted leap, when `history` is up to
                date: the place for progress, checks and checkpoints.

        Returns:
            State at `t_end`.

        Raises:
            SchemeError: if `history` belongs to another time, or the method cannot go on.
        """
        history = History() if history is None else history
        history.enter(t, t_end)
        metered = Metered(system, history.statistics)
        for time, reached in self._leaps(metered, t, U, t_end, history):
            U, history.time = reached, time
            history.statistics.leaps += 1
            if on_leap is not None:
                on_leap(time, U)
        return U

    def _leaps(
        self, system: System, t: float, U: Handle, t_end: float, history: History
    ) -> Iterator[tuple[float, Handle]]:
        if t == t_end:
            return iter(())
        tol = 1e-4 if self.tol is None else self.tol
        longest = float("inf") if self.max_step is None else self.max_step
        if self.method == "adaptive":
            return embedded_pair(
                system, PAIRS[self.pair or "bs32"], t, U, t_end, history,
                tol=tol, first=self.step, min_step=self.min_step, max_step=longest,
            )  # fmt: skip
        if self.method == "implicit":
            return implicit_solver(
                system, self.solver or "BDF", t, U, t_end,
                tol=tol, first=self.step, max_step=longest,
            )  # fmt: skip
        return self._equal_leaps(system, t, U, t_end, history)

    def _equal_leaps(
        self, system: System, t: float, U: Handle, t_end: float, history: History
    ) -> Iterator[tuple[float, Handle]]:
        leap = self._leap(system, history)
        start = history.start(t, t_end)
        count = even_count(t_end - start, self._longest_leap(system, abs(t_end - start)))
        D = (t_end - start) / count
        for index in range(round((t - start) / D), count):
            U = leap(t, U, D)
            t = t_end if index + 1 == count else start + (index + 1) * D
            yield t, U

    def _leap(self, system: System, history: History) -> Callable[[float, Handle, float], Handle]:
        match self.method:
            case "none":
                return partial(_simulate_forwards, system)
            case "euler":
                return partial(runge_kutta, system, EULER)
            case "rk2":
                return partial(runge_kutta, system, RK2)
            case "rk4":
                return partial(runge_kutta, system, RK4)
            case "prk2" | "prk4":
                return partial(projective_runge_kutta, system, int(self.method[-1]))
            case "pfe" | "telescopic":
                return partial(telescopic_leap, system, self.inner or 2, self._levels)
            case _:
                return partial(adams_bashforth, system, history, int(self.method[-1]))

    @property
    def _levels(self) -> int:
        return 1 if self.method == "pfe" else self.levels or 2

    def _longest_leap(self, system: System, span: float) -> float:
        if self.jump is not None:
            return ((self.inner or 2) + 1 + self.jump) ** self._levels * system.inner_step
        return span if self.step is None else self.step

    def _check_step(self) -> None:
        if self.step is None and self.method not in STEP_OPTIONAL:
            raise SchemeError(f"method {self.method!r} needs `step`, the time of a leap.")
        if self.method in ("pfe", "telescopic") and (self.step is None) == (self.jump is None):
            found = "neither" if self.step is None else "both"
            raise SchemeError(
                f"method {self.method!r} takes either `step`, the time of a leap, or `jump`, the "
                f"number of inner steps leapt over; found {found}."
            )


def _simulate_forwards(system: System, t: float, U: Handle, duration: float) -> Handle:
    if duration < 0:
        raise SchemeError(
            "method 'none' was asked to run backwards in time, which a micro-simulator cannot. "
            "Use a method that leaps."
        )
    return simulate(system, t, U, duration)


def _check_name(option: str, found: str, known) -> None:
    if found in known:
        return
    nearest = difflib.get_close_matches(str(found), known, n=1, cutoff=0.4)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise SchemeError(f"there is no {option} {found!r}; choose one of {', '.join(known)}.{hint}")

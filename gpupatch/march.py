"""The way of a run from one saved time to the next: micro-steps or leaps, looked at as they go."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gpupatch.arrays import Handle, Plain
from gpupatch.errors import InputError
from gpupatch.projection import History, Projection
from gpupatch.scheme import Scheme, SteppingScheme
from gpupatch.steps import count_steps

_LOOK_SECONDS = 0.25
"""Wall time after which it is looked whether the states of a device are finite."""

_BLOCK_SECONDS = 0.2
"""Micro-steps are taken in blocks of about this long between checks."""
_FIXED_BLOCK = 256
"""Micro-steps per block where a result depends on the blocks and must not depend on the machine:
noise is numbered, time is counted, and float32 is given a new base, block by block."""


@dataclass
class Interval:
    """Equal micro-steps from one saved time to the next, some of them done.

    Attributes:
        start: model time at which it begins.
        target: model time at which it ends.
        dt: micro time step.
        n_steps: micro-steps that fill it.
        done: micro-steps taken.
        block: micro-steps that are taken before the next check.
        longest: bound of `block`, lowered where a state stops being finite.
    """

    start: float
    target: float
    dt: float
    n_steps: int
    done: int
    block: int
    longest: int

    @property
    def time(self) -> float:
        """Model time reached."""
        return self.target if self.done == self.n_steps else self.start + self.done * self.dt


class March:
    """Takes a state from one saved time to the next.

    Args:
        scheme: the patch scheme.
        projection: method that leaps; micro-steps throughout when absent.
        after_leap: called with time and state after every leap, or block of micro-steps.
        thorough: look at every state before `after_leap` is called.

    Attributes:
        history: memory of the projection and the work that it did.
        last: time and copy of the newest state that is known to be finite.
        looks: times that it was looked whether states are finite.
        seconds: wall time of simulation.

    Raises:
        InputError: if a scheme that only measures slopes has no projection.
    """

    def __init__(
        self,
        scheme: Scheme,
        projection: Projection | None,
        after_leap: Callable[[float, Handle], None],
        thorough: bool,
    ):
        self.scheme, self.projection, self.thorough = scheme, projection, thorough
        self.history = History()
        self.last: tuple[float, Handle] = (float("-inf"), None)
        self.looks = 0
        self.seconds = 0.0
        self._after_leap = after_leap
        self._dt = float("inf")
        self._interval: Interval | None = None
        self._system: Any = None
        self._unseen: list[tuple[float, Handle]] = []
        self._looked = time.perf_counter()
        if projection is None and not isinstance(scheme, SteppingScheme):
            raise InputError(
                f"the `{scheme.kind}` scheme measures slopes, so it needs a method that leaps: "
                "choose a `projection`, for instance 'rk4'."
            )

    @property
    def pauses_anywhere(self) -> bool:
        """Whether it can be interrupted after any leap, and not at saved times only.

        SciPy's implicit solvers begin anew at saved times, and what they know in between is theirs.
        """
        return self.projection is None or self.projection.method != "implicit"

    def begin(self, t: float, state: Handle) -> None:
        """Set out from a state that is known to be finite."""
        if self.projection is None:
            assert isinstance(self.scheme, SteppingScheme)
            self._dt = self.scheme.stable_dt(state, t)
        self._keep(t, state)

    def advance(self, t: float, state: Handle, target: float) -> Handle:
        """The state at a later time; the given one may be overwritten.

        Args:
            t: model time of the state.
            state: a handle of the scheme.
            target: model time of the state that is returned.

        Raises:
            NonFiniteError: where the state stops being finite.
        """
        if t == target:
            return state
        return self._micro_steps(t, state, target) if self.projection is None else self._leaps(
            t, state, target
        )  # fmt: skip

    def memory(self, t: float, state: Handle) -> dict[str, Plain]:
        """A copy of all that is needed to go on from a state, in plain numbers and host arrays."""
        scheme, system = self.scheme, self._system
        return {
            "time": t,
            "state": scheme.dump(state),
            "scheme": scheme.memory(),
            "dt": self._dt,
            "interval": None if self._interval is None else dataclasses.asdict(self._interval),
            "history": self.history.memory(lambda slope: scheme.dump(slope, True)),
            "system": None if system is None else system.memory(),
        }

    def remember(self, memory: Mapping[str, Plain]) -> tuple[float, Handle]:
        """Take back what `memory` told; the time and the state to go on from."""
        scheme, t = self.scheme, memory["time"]
        scheme.remember(memory["scheme"])
        state = scheme.restore(memory["state"])
        interval, system = memory["interval"], memory["system"]
        self._dt = memory["dt"]
        self._interval = None if interval is None else Interval(**interval)
        self.history.remember(memory["history"], lambda slope: scheme.restore(slope, True))
        if system is not None and self.projection is not None:
            self._system = scheme.system(self.projection, t, state)
            self._system.remember(system)
        self._keep(t, state)
        return t, state

    def look(self) -> None:
        """Look at the states since the last look: the newest tells whether all are finite.

        Raises:
            NonFiniteError: where the first of them is not.
        """
        states, self._unseen = self._unseen, []
        self._looked = time.perf_counter()
        if not states:
            return
        self.looks += 1
        if self.scheme.finite(states[-1][1]):
            self.last = states[-1]
            return
        for t, state in states:
            if not self.scheme.finite(state):
                raise self.scheme.locate_failure(state, t)
            self.last = t, state

    def forget_unseen(self) -> None:
        """Leave states that nobody has looked at out of account: the run goes back to `last`."""
        self._unseen = []

    def _keep(self, t: float, state: Handle) -> None:
        self.last = (t, self.scheme.copy(state))

    def _micro_steps(self, t: float, state: Handle, target: float) -> Handle:
        scheme, now = self.scheme, self._interval
        assert isinstance(scheme, SteppingScheme)
        every, fixed = scheme.every, scheme.fixes_blocks
        if now is None or now.target != target:
            now = self._interval = self._filled(scheme, t, state, target)
        while now.done < now.n_steps:
            began = time.perf_counter()
            take = min(now.block, now.n_steps - now.done)
            state = scheme.advance(state, now.time, now.dt, take)
            elapsed = time.perf_counter() - began
            self.seconds += elapsed
            finite = self.scheme.finite(state)
            if not finite and take > every:
                now.longest = now.block = every * max(1, take // (2 * every))
                state = self.scheme.copy(self.last[1])
                continue
            now.done += take
            state = scheme.rebase(state) if finite else state
            if elapsed < _BLOCK_SECONDS / 2 and not fixed:
                now.block = min(now.longest, every * max(1, 2 * now.block // every))
            self._leapt(now.time, state)
        return state

    def _filled(self, scheme: SteppingScheme, t: float, state: Handle, target: float) -> Interval:
        """The interval up to a saved time, filled with equal micro-steps."""
        if not scheme.keeps_dt:
            self._dt = scheme.stable_dt(state, t)
        span, every = target - t, scheme.every
        n_steps = count_steps(span, min(self._dt, span))
        n_steps = every * -(-n_steps // every)
        block = every * _FIXED_BLOCK if scheme.fixes_blocks else every
        return Interval(t, target, span / n_steps, n_steps, 0, block, n_steps)

    def _leaps(self, t: float, state: Handle, target: float) -> Handle:
        began, projection = time.perf_counter(), self.projection
        assert projection is not None
        if self._system is None:
            self._system = self.scheme.system(projection, t, state)
        state = projection.advance(
            self._system, t, state, target, history=self.history, on_leap=self._leapt
        )
        self.seconds += time.perf_counter() - began
        return state

    def _leapt(self, t: float, state: Handle) -> None:
        self._unseen.append((t, self.scheme.copy(state)))
        waited = time.perf_counter() - self._looked
        if self.thorough or len(self._unseen) >= self.scheme.lookahead or waited > _LOOK_SECONDS:
            self.look()
        self._after_leap(t, state)

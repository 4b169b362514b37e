"""What a projection remembers between calls, and what it has spent."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gpupatch.arrays import Handle, Plain
from gpupatch.errors import SchemeError
from gpupatch.projection.system import System


@dataclass
class Statistics:
    """Work done by a projection.

    Attributes:
        leaps: accepted macro steps.
        rejected: macro steps tried and given up because their error was too large.
        slopes: evaluations of the slope oracle, each of which costs a burst.
        bursts: bursts of the anchored methods.
        inner_steps: micro time steps of `System.inner`.
        simulated_time: model time that the micro-simulator ran through, all calls together.
    """

    leaps: int = 0
    rejected: int = 0
    slopes: int = 0
    bursts: int = 0
    inner_steps: int = 0
    simulated_time: float = 0.0


@dataclass
class History:
    """Memory of a projection: pass the same one to successive calls of `Projection.advance`.

    Everything that a checkpoint needs is here, see `memory`.

    Attributes:
        time: time reached, `None` before the first call.
        slopes: (time, dU/dt) of earlier steps, newest first: the history of Adams-Bashforth, or the
            slope at `time` that an embedded pair has already evaluated.
        next_step: macro step that the error control proposes next.
        interval: (start, end) of the interval now being filled with equal steps.
        statistics: work done so far.
    """

    time: float | None = None
    slopes: list[tuple[float, Handle]] = field(default_factory=list)
    next_step: float | None = None
    interval: tuple[float, float] | None = None
    statistics: Statistics = field(default_factory=Statistics)

    def clear(self) -> None:
        """Forget the history, because the state was changed from outside; keep the statistics."""
        self.time, self.slopes, self.next_step, self.interval = None, [], None, None

    def memory(self, dump: Callable[[Handle], Plain]) -> dict[str, Plain]:
        """What this history remembers, in plain numbers and host arrays.

        Args:
            dump: a copy of a slope as host arrays.
        """
        return {
            "time": self.time,
            "slopes": [[time, dump(slope)] for time, slope in self.slopes],
            "next_step": self.next_step,
            "interval": None if self.interval is None else list(self.interval),
            "statistics": dataclasses.asdict(self.statistics),
        }

    def remember(self, memory: Mapping[str, Plain], restore: Callable[[Plain], Handle]) -> None:
        """Take back what `memory` told, perhaps in another process.

        Args:
            memory: as `memory` gave it.
            restore: the slope that was dumped.
        """
        self.time, self.next_step = memory["time"], memory["next_step"]
        self.slopes = [(time, restore(slope)) for time, slope in memory["slopes"]]
        interval = memory["interval"]
        self.interval = None if interval is None else (interval[0], interval[1])
        self.statistics = Statistics(**memory["statistics"])

    def enter(self, t: float, t_end: float) -> None:
        """Take up integration at `t` towards `t_end`.

        Raises:
            SchemeError: if the history belongs to another time.
        """
        if self.time is not None and self.time != t:
            raise SchemeError(
                f"`advance` was asked to go on from t = {t:.17g}, but this history has reached "
                f"t = {self.time:.17g}. Go on from there, or call `clear()` to forget its history."
            )
        if self.interval is not None and (t_end - t) * (self.interval[1] - self.interval[0]) < 0:
            self.slopes, self.next_step = [], None
        self.time = t

    def start(self, t: float, t_end: float) -> float:
        """Begin to fill an interval with equal steps, or go on filling it after an interruption.

        Returns:
            Where the interval begins; `t`, unless an earlier call was on its way to `t_end`.
        """
        if self.interval is None or self.interval[1] != t_end:
            self.interval = (t, t_end)
        return self.interval[0]


@dataclass(frozen=True)
class Metered:
    """A system that counts what is asked of it."""

    system: System
    statistics: Statistics

    @property
    def burst_length(self) -> float:
        """Of the system."""
        return self.system.burst_length

    @property
    def inner_step(self) -> float:
        """Of the system."""
        return self.system.inner_step

    def slope(self, t: float, U: Handle) -> Handle:
        """Counted: a slope, and the burst it costs."""
        self.statistics.slopes += 1
        self.statistics.simulated_time += self.system.burst_length
        return self.system.slope(t, U)

    def burst(self, t: float, U: Handle) -> tuple[Handle, Handle]:
        """Counted: a burst."""
        self.statistics.bursts += 1
        self.statistics.simulated_time += self.system.burst_length
        return self.system.burst(t, U)

    def inner(self, t: float, U: Handle, steps: int, dt: float) -> Handle:
        """Counted: inner steps."""
        self.statistics.inner_steps += steps
        self.statistics.simulated_time += steps * dt
        return self.system.inner(t, U, steps, dt)

    def axpy(self, terms: Sequence[tuple[float, Handle]]) -> Handle:
        """Not counted."""
        return self.system.axpy(terms)

    def error_norm(self, error: Handle, U: Handle, tolerance: float) -> float:
        """Not counted."""
        return self.system.error_norm(error, U, tolerance)

    def unpack(self, U: Handle) -> np.ndarray:
        """Not counted."""
        return self.system.unpack(U)

    def pack(self, values: np.ndarray) -> Handle:
        """Not counted."""
        return self.system.pack(values)

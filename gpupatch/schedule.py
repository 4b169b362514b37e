"""When a run saves, and how it is asked to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gpupatch.errors import InputError
from gpupatch.memory import numbers, require

FINISHED, INTERRUPTED, TERMINATED, NON_FINITE = "finished", "interrupted", "terminated", "nonfinite"


@dataclass
class Schedule:
    """The model times at which a run saves.

    Attributes:
        start: first time.
        end: last time.
        save: how many equally spaced times, both ends included, or the times themselves.
    """

    start: float
    end: float
    save: int | Sequence[float] = 11
    times: list[float] = field(init=False)

    def __post_init__(self):
        if not self.end > self.start:
            raise InputError(f"the run ends at {self.end}, not after its start {self.start}.")
        if isinstance(self.save, int | np.integer):
            if self.save < 2:
                raise InputError(f"`save` is {self.save}; at least the two ends are saved.")
            require(numbers(self.save), f"{self.save} saved times", "Save fewer of them.")
            self.times = np.linspace(float(self.start), float(self.end), int(self.save)).tolist()
            return
        inner = [float(t) for t in self.save if self.start < t < self.end]
        if len(inner) < len([t for t in self.save if t not in (self.start, self.end)]):
            raise InputError(
                f"`save` lists times outside [{self.start}, {self.end}]: {list(self.save)}."
            )
        self.times = [self.start, *sorted(set(inner)), self.end]


class Stop(Exception):
    """Raised between leaps when the run is asked to end."""


class Interrupts:
    """Turns SIGINT and SIGTERM into a request to stop after the present leap.

    A second signal acts at once. Outside the main thread signals are left alone.
    """

    def __init__(self):
        self.status: str | None = None

    def __enter__(self) -> Interrupts:
        self._old = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _ask(self, number, frame) -> None:
        if self.status is not None:
            raise KeyboardInterrupt
        self.status = INTERRUPTED if number == signal.SIGINT else TERMINATED

    def check(self) -> None:
        """Stop here if a signal has come."""
        if self.status is not None:
            raise Stop

"""Candidates for one burst: checked against the reference, then timed in turns."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.device.cases import TOLERANCE, TOLERANCE_OF_SAMPLES
from bench.device.clock import Clock, Launch, seconds_of
from gpupatch.backends._cuda_source import kernel_text

ROUNDS, LEAST_ROUNDS = 15, 3

_POISON = """
extern "C" __global__ void __launch_bounds__(256) poison(double value, int n) {
  GP_DYN_SHARED(double, values);
  for (int i = threadIdx.x; i < n; i += 256) values[i] = value;
}
"""

Row = dict[str, Any]


@dataclass
class Candidate:
    """One way to run a burst.

    Attributes:
        reset: put the initial states on the device, and NaN into everything that is only written.
        run: a burst of so many steps, from whatever state there is.
        state: the state on the device, [patch, field, *sites], of any library; None if there is
            none.
        samples: what the last burst returned, on the host, [1, patch, field], or None.
        heard: whether its launches are timed one by one; it must have few.
        notes: what else stands in the row.
    """

    reset: Callable[[], None]
    run: Callable[[int], object]
    state: Callable[[], Any] | None = None
    samples: Callable[[], NDArray] | None = None
    heard: bool = False
    notes: Row = field(default_factory=dict)


class Bench:
    """Where candidates run, and what rows say of all of them.

    Args:
        device: a watched device.
        clock: marks.
        deadline: moment (`time.time`) after which nothing new is begun.
        write: takes finished rows.
    """

    def __init__(self, device: Any, clock: Clock, deadline: float, write: Callable[[Row], None]):
        self.device, self.clock, self.write = device, clock, write
        self.deadline = deadline
        self._poison = device.compile(kernel_text("prologue.cuh") + _POISON, ["poison"])

    @property
    def rehearsal(self) -> bool:
        """Whether all this is tried on a CPU."""
        return self.clock.rehearsal

    def time_for(self, what: str, needed: float = 0.0) -> bool:
        """Whether there is time to begin something; if not, it is listed as left out.

        Args:
            what: what would begin.
            needed: seconds that it is known to take.
        """
        if time.time() + needed < self.deadline:
            return True
        self.write({"kind": "left out", "what": what})
        return False

    def poison(self, array) -> None:
        """Fill with NaN the shared memory, and device memory that is allocated next.

        Args:
            array: an example of what will be allocated.
        """
        device = self.device
        blocks = [device.xp.full(array.shape, np.nan, dtype=array.dtype) for _ in range(2)]
        del blocks
        size = device.limits.shared
        count = 2 * device.limits.multiprocessors
        self._poison.launch("poison", count, 256, (np.float64(np.nan), np.int32(size // 8)), size)

    def clean(self) -> None:
        """Give back the memory of candidates that are gone."""
        gc.collect()
        if self.device.name == "cuda":
            self.device.xp.get_default_memory_pool().free_all_blocks()

    def checked(self, case, candidate: Candidate, n_steps: int) -> Row:
        """Run once from the initial state and compare with the reference.

        Args:
            case: a `Case` or `LiftedCase`.
            candidate: what is checked.
            n_steps: steps.

        Returns:
            Errors and launches.

        Raises:
            ArithmeticError: if an error is too large.
        """
        candidate.reset()
        before, replays = self.device.launched.copy(), self.device.replays
        candidate.run(n_steps)
        self.clock.wait()
        found: Row = {
            "launches": dict(self.device.launched - before),
            "replays": self.device.replays - replays,
        }
        if candidate.state is not None:
            state = self._taken(candidate.state())
            found["error"] = case.error(state, n_steps, self.device.xp)
            found["tolerance"] = TOLERANCE[case.dtype]
        if candidate.samples is not None:
            found["error_of_samples"] = case.error_of_samples(candidate.samples(), n_steps)
            found["tolerance_of_samples"] = TOLERANCE_OF_SAMPLES[case.dtype]
        for name in ("error", "error_of_samples"):
            limit = found.get(name.replace("error", "tolerance"))
            if limit is not None and not found[name] <= limit:
                raise ArithmeticError(
                    f"{name.replace('_', ' ')} {found[name]:.1e}, allowed {limit:.1e}: not timed"
                )
        return found

    def _taken(self, array):
        """An array of any library as one of the device."""
        if self.device.holds(array):
            return array
        try:
            return self.device.xp.from_dlpack(array)
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
            # the libraries do not share memory: over the host, outside of what is timed
            return self.device.put(np.asarray(array.cpu() if hasattr(array, "cpu") else array))

    def rounds(
        self, candidates: Mapping[str, Candidate], n_steps: int, seconds: float
    ) -> dict[str, tuple[list[float], list[list[Launch]]]]:
        """Time all candidates, once each per round, so that they share what the machine does.

        Args:
            candidates: by name; all have run before.
            n_steps: steps of a burst.
            seconds: rounds end after so long, but never before the third.

        Returns:
            By name the seconds per round, and the launches that were heard in each.
        """
        results: dict[str, tuple[list[float], list[list[Launch]]]] = {
            name: ([], []) for name in candidates
        }
        for candidate in candidates.values():
            candidate.run(n_steps)
        began, done = time.time(), 0
        most = LEAST_ROUNDS if self.rehearsal else ROUNDS
        while done < LEAST_ROUNDS or (done < most and time.time() - began < seconds):
            for name, candidate in candidates.items():
                with self.device.listening(candidate.heard) as heard:
                    spent = seconds_of(self.clock, lambda c=candidate: c.run(n_steps))
                results[name][0].append(spent)
                results[name][1].append(heard)
            done += 1
        return results

    def kernel_seconds(self, rounds: list[list[Launch]]) -> list[float]:
        """Time of the kernels alone, per round."""
        between = self.clock.between
        return [sum(between(one.first, one.last) for one in heard) for heard in rounds]


def reason_of(error: BaseException) -> str:
    """One line that says why something failed."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def median_ratio(numerator: list[float], denominator: list[float]) -> float:
    """Median over the rounds of the quotient of two timings of the same round."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))

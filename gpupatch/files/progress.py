"""How far a run is, told while it runs: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import Self, TextIO

_BAR = "{percentage:3.0f} % |{bar}| {desc} [{elapsed}<{remaining}{postfix}]"


class Progress:
    """The share of model time that is done, the pace, and the wall time still to go.

    A terminal shows one bar. A log (a batch job, a pipe) gets a line on the same stream every
    `interval` seconds and one at the end, because users watch logs and bars spoil them.

        with Progress(0.0, 0.5) as progress:
            progress.update(t, updates)

    Args:
        start: model time at which this run, or its resumption, begins.
        end: model time at which it ends.
        quiet: say nothing.
        stream: where to write; standard error when absent.
        interval: wall seconds between two lines of a log.
        clock: wall clock in seconds.
    """

    def __init__(
        self,
        start: float,
        end: float,
        *,
        quiet: bool = False,
        stream: TextIO | None = None,
        interval: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.start, self.end, self.quiet = start, end, quiet
        self._stream = sys.stderr if stream is None else stream
        self._interval, self._clock = interval, clock
        self._begun = self._told = clock()
        self._t, self._updates = start, 0
        self._first: tuple[float, float] | None = None
        self._closed = False
        self._bar = self._make_bar() if not quiet and self._stream.isatty() else None

    def _make_bar(self):
        from tqdm import tqdm

        return tqdm(
            total=self.end - self.start or 1.0,
            file=self._stream,
            bar_format=_BAR,
            desc=f"t = {self.start:.4g}",
            dynamic_ncols=True,
        )

    def update(self, t: float, updates: int = 0) -> None:
        """Report the state of the run; cheap enough for every macro-step.

        Args:
            t: model time reached.
            updates: evaluations of the micro-model at a site or particle, all since `start`.
        """
        self._t, self._updates = t, updates
        if self._first is None:
            self._first = self._clock(), t
        if self._bar is not None:
            self._bar.set_description_str(f"t = {t:.4g}", refresh=False)
            self._bar.set_postfix_str(self._pace(), refresh=False)
            self._bar.update(t - self.start - self._bar.n)
        elif not self.quiet and self._clock() - self._told >= self._interval:
            self._told = self._clock()
            self._write(f"{self._state()}, {self._wait()} to go")

    def close(self) -> None:
        """End the bar, or write the last line; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
        elif not self.quiet:
            self._write(f"{self._state()}, took {_duration(self._clock() - self._begun)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, text: str) -> None:
        print(f"gpupatch: {text}", file=self._stream, flush=True)

    def _share(self) -> float:
        span = self.end - self.start
        return 1.0 if span == 0 else (self._t - self.start) / span

    def _pace(self) -> str:
        elapsed = self._clock() - self._begun
        return _rate(self._updates / elapsed) if elapsed > 0 else _rate(0.0)

    def _state(self) -> str:
        percent = f"{100 * self._share():3.0f} %"
        return f"{percent}, t = {self._t:.4g} of {self.end:.4g}, {self._pace()}"

    def _wait(self) -> str:
        """Wall time to go at the pace since the first update, before which kernels compile."""
        then, t = (self._begun, self.start) if self._first is None else self._first
        if self._t == t:
            return "unknown time"
        return _duration((self._clock() - then) * (self.end - self._t) / (self._t - t))


def _rate(per_second: float) -> str:
    """Write a number of updates per second with a decimal prefix."""
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if per_second >= size:
            return f"{per_second / size:.3g} {prefix} updates/s"
    return f"{per_second:.3g} updates/s"


def _duration(seconds: float) -> str:
    """Write wall time as h:mm:ss, or m:ss below one hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

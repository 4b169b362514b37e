"""What time is read from, and a device that counts and times what is launched on it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gpupatch.backends._device import CupyDevice, Device, Module, Resources


class Clock(Protocol):
    """Marks in the order of the work of a device, and the time between two of them."""

    rehearsal: bool

    def mark(self) -> Any:
        """A moment: when all work given to the device so far is done."""
        ...

    def between(self, first: Any, last: Any) -> float:
        """Seconds between two marks; waits for the second."""
        ...

    def wait(self) -> None:
        """Wait for all work on the device, whoever started it."""
        ...


class CudaClock:
    """CUDA events on the stream of a device.

    Args:
        device: the GPU.
    """

    rehearsal = False

    def __init__(self, device: CupyDevice):
        self._cuda = device.xp.cuda

    def mark(self) -> Any:
        """An event on the current stream."""
        event = self._cuda.Event()
        event.record()
        return event

    def between(self, first: Any, last: Any) -> float:
        """Elapsed time of two events."""
        last.synchronize()
        return self._cuda.get_elapsed_time(first, last) * 1e-3

    def wait(self) -> None:
        """Wait for all streams."""
        self._cuda.runtime.deviceSynchronize()


class HostClock:
    """The clock of the CPU, where kernels are finished when their launch returns."""

    rehearsal = True

    def mark(self) -> float:
        """Now."""
        return time.perf_counter()

    def between(self, first: float, last: float) -> float:
        """The difference."""
        return last - first

    def wait(self) -> None:
        """Nothing is ever under way."""


class Launch(NamedTuple):
    """One launch of a kernel.

    Attributes:
        name: of the kernel.
        first: mark before it.
        last: mark after it.
        module: where the kernel is.
    """

    name: str
    first: Any
    last: Any
    module: Module

    @property
    def resources(self) -> Resources:
        """Registers and memory of the kernel."""
        return self.module.resources(self.name)


class Watched:
    """A device that counts launches and, while listened to, marks their beginning and end.

    Launches that are recorded count when they are replayed.

    Args:
        device: the device itself; everything else is asked of it.
        clock: marks.

    Attributes:
        launched: launches by kernel.
        replays: how often recorded launches were replayed.
    """

    def __init__(self, device: Device, clock: Clock):
        self.device, self.clock = device, clock
        self.launched: Counter[str] = Counter()
        self.replays = 0
        self._heard: list[Launch] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.device, name)

    def compile(self, source: str, names: Sequence[str]) -> WatchedModule:
        """Compile, and watch the kernels."""
        return WatchedModule(self, self.device.compile(source, names))

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record launches."""
        before, heard = self.launched.copy(), self._heard
        self._heard = None
        replay = self.device.record(work)
        self._heard = heard
        inside = self.launched - before
        self.launched = before

        def counted() -> None:
            replay()
            self.launched += inside
            self.replays += 1

        return counted

    @contextlib.contextmanager
    def listening(self, wanted: bool = True) -> Iterator[list[Launch]]:
        """Collect the launches of a region, if wanted."""
        heard: list[Launch] = []
        self._heard = heard if wanted else None
        try:
            yield heard
        finally:
            self._heard = None

    def launch(self, module: Module, name: str, *arguments) -> None:
        """Start a kernel of a module."""
        self.launched[name] += 1
        if self._heard is None:
            module.launch(name, *arguments)
            return
        first = self.clock.mark()
        module.launch(name, *arguments)
        self._heard.append(Launch(name, first, self.clock.mark(), module))


class WatchedModule:
    """Kernels whose launches are watched.

    Args:
        device: what watches them.
        module: the kernels.
    """

    def __init__(self, device: Watched, module: Module):
        self._device, self._module = device, module

    def launch(
        self, name: str, blocks: int, threads: int, arguments: Sequence, shared: int = 0
    ) -> None:
        """Start a kernel."""
        self._device.launch(self._module, name, blocks, threads, arguments, shared)

    def resources(self, name: str) -> Resources:
        """What a kernel takes."""
        return self._module.resources(name)


def seconds_of(clock: Clock, run: Callable[[], object]) -> float:
    """Time of one run on an idle device, from its first launch to the end of its last.

    Args:
        clock: marks.
        run: what is run; what it starts elsewhere than on the stream of the clock it must await.
    """
    clock.wait()
    first = clock.mark()
    run()
    last = clock.mark()
    clock.wait()
    return clock.between(first, last)


def open_device(host: bool) -> tuple[Any, Clock]:
    """The GPU, or the CPU of a rehearsal.

    Args:
        host: whether this is a rehearsal.

    Returns:
        The device and its clock.

    Raises:
        BackendError: if there is no GPU that can be used.
    """
    if host:
        sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
        from cuda_host.host import HostDevice

        clock = HostClock()
        return Watched(HostDevice(), clock), clock
    device = CupyDevice()
    clock = CudaClock(device)
    return Watched(device, clock), clock

"""All probes, each asked in a process of its own.

A driver that hangs, a library that calls `abort` or a package that cannot be imported then costs
one line of the table, not the table.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from gpupatch.doctor.record import Probe, Record, in_one_line, problem

_TINY = 300.0
"""What a tiny case may take where everything must be compiled first, seconds."""
_PAUSE = 0.02
_GRACE = 2.0
_KEPT, _SHOWN = 50, 300
"""Lines that are kept of what a process prints, and characters of them that are shown."""
MARK = "gpupatch doctor: "
"""Begins the line with the record."""


def _later(module: str, function: str, *arguments: str) -> Callable[[], Record]:
    """A probe whose module is imported where it is asked, and fails there if it cannot be."""

    def look() -> Record:
        return getattr(import_module(f"gpupatch.doctor.{module}"), function)(*arguments)

    return look


PROBES = (
    Probe("gpupatch", "software", _later("software", "gpupatch")),
    Probe("python", "software", _later("software", "python")),
    Probe("packages", "software", _later("software", "packages")),
    Probe("processor", "machine", _later("machine", "processor")),
    Probe("threads", "machine", _later("machine", "threads"), 120.0),
    Probe("memory", "machine", _later("machine", "memory")),
    Probe("current directory", "machine", _later("machine", "working_directory")),
    Probe("cache folder", "machine", _later("machine", "cache")),
    Probe("driver", "graphics", _later("graphics", "driver")),
    Probe("cupy", "graphics", _later("graphics", "wheels")),
    Probe("cuda runtime", "graphics", _later("graphics", "runtime"), 60.0),
    Probe("compiler (nvrtc)", "graphics", _later("graphics", "compiler"), 60.0),
    Probe("gpus", "graphics", _later("graphics", "gpus"), 60.0),
    Probe("mpi", "other programs", _later("tools", "message_passing"), 60.0),
    Probe("lammps", "other programs", _later("tools", "lammps"), 60.0),
    Probe("openmm", "other programs", _later("tools", "openmm"), 60.0),
    Probe("ffmpeg", "other programs", _later("tools", "ffmpeg")),
    Probe("zarr, vtk", "other programs", _later("software", "optional_packages")),
    Probe("numpy", "one tiny case", _later("tiny", "on_numpy"), _TINY),
    *(
        Probe(f"{name}, {dtype}", "one tiny case", _later("tiny", "on", name, dtype), _TINY)
        for name in ("numba", "cuda")
        for dtype in ("float64", "float32")
    ),
)
"""What the doctor looks at, in the order of the table."""

_CHILD = """
import sys
sys.path.append(sys.argv[1])
from gpupatch.doctor.child import main
main(*sys.argv[2:])
"""


def examine(
    probes: Sequence[Probe] = PROBES, waiting: Callable[[list[Probe]], None] = lambda probes: None
) -> Iterator[tuple[Probe, Record]]:
    """Ask every probe, as many at a time as there are cores; the slow ones are started first.

    Args:
        probes: what to look at.
        waiting: is called now and then with the probes that have not answered.

    Yields:
        Every probe with its answer, in the given order, as soon as those before it have answered.
    """
    at_once = max(2, min(os.cpu_count() or 1, 8))
    queue = sorted(probes, key=lambda probe: -probe.seconds)
    running: dict[Probe, _Child] = {}
    answers: dict[Probe, Record] = {}
    try:
        for probe in probes:
            while probe not in answers:
                while queue and len(running) < at_once:
                    first = queue.pop(0)
                    running[first] = _Child(first)
                for asked in [one for one, child in running.items() if child.has_ended()]:
                    answers[asked] = running.pop(asked).answer()
                if probe not in answers:
                    waiting([*running, *queue])
                    time.sleep(_PAUSE)
            yield probe, answers[probe]
    finally:
        for child in running.values():
            child.end()


class _Child:
    """A process that answers one probe by printing a record.

    It is read by a thread that nobody has to wait for, whatever the process starts and leaves
    behind. The current directory is not searched for modules.
    """

    def __init__(self, probe: Probe):
        self._probe, self._began, self._in_time = probe, time.monotonic(), True
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, str(Path(__file__).parents[2]), probe.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            self._lines.extend(stream)

    def has_ended(self) -> bool:
        """Whether there is an answer, or will be none."""
        if self._process.poll() is not None:
            return True
        self._in_time = time.monotonic() - self._began < self._probe.seconds
        if not self._in_time:
            self.end()
        return not self._in_time

    def end(self) -> None:
        """Stop the process and all that it has started.

        One that hangs in the kernel cannot be stopped, and is not waited for.
        """
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
            self._process.wait(_GRACE)

    def answer(self) -> Record:
        """What it printed as a record, or how it ended without one."""
        if not self._in_time:
            return problem(
                f"no answer within {self._probe.seconds:g} s",
                "What is looked at hangs here; if the machine is just very busy, try again.",
            )
        self._reader.join(_GRACE)
        told = [line for line in self._lines if line.startswith(MARK)]
        if told:
            return Record(**json.loads(told[-1].removeprefix(MARK)))
        code = self._process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = in_one_line("".join(self._lines)[-_SHOWN:]) or "it said nothing"
        return problem(
            f"the process that looked at it {how}: {last}",
            "Install anew what is named here; libraries that do not fit together do this.",
            exit_code=code,
        )


@functools.cache
def probe_named(name: str) -> Probe:
    """The probe of that name."""
    return next(probe for probe in PROBES if probe.name == name)

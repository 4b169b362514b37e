"""The GPU as it is found: its name, its clocks while something runs, and the versions."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

from bench.measure import environment

PACKAGES = (
    "gpupatch",
    "numpy",
    "sympy",
    "cupy-cuda13x",
    "cupy-cuda12x",
    "jax",
    "jaxlib",
    "torch",
    "triton",
    "nvidia-cuda-nvrtc",
    "nvidia-ml-py",
)
_ASKED = ("clocks.sm", "clocks.mem", "power.draw", "temperature.gpu")
_KEYS = ("sm_mhz", "memory_mhz", "watts", "celsius")
_EVERY = 0.1

Reading = dict[str, float]


def describe(device) -> dict[str, Any]:
    """Machine, versions and commit, as they stand in the record.

    Args:
        device: what kernels run on.
    """
    found: dict[str, Any] = environment(PACKAGES) | {"device": device.name}
    found["limits"] = device.limits._asdict()
    if device.name == "cuda":
        runtime = device.xp.cuda.runtime
        properties = runtime.getDeviceProperties(runtime.getDevice())
        found |= {
            "gpu": properties["name"].decode(),
            "compute_capability": f"{properties['major']}.{properties['minor']}",
            "l2_bytes": properties.get("l2CacheSize"),
            "global_bytes": properties.get("totalGlobalMem"),
            "cuda_driver": runtime.driverGetVersion(),
            "cuda_runtime": runtime.runtimeGetVersion(),
            "clocks_from": source_of_clocks()[0],
        }
    return found


def source_of_clocks() -> tuple[str, Callable[[], Reading] | None]:
    """How clocks can be read here, without ever being set, and a function that reads them.

    Where they cannot, the first is the chain of reasons.
    """
    reasons = []
    for name, make in (("nvidia-ml-py", _by_library), ("nvidia-smi", _by_command)):
        try:
            read = make()
            read()
        except Exception as error:  # the library has its own errors, derived from nothing else
            reasons.append(f"{name}: {type(error).__name__}: {error}")
            continue
        return name, read
    return f"none ({'; '.join(reasons)})", None


def _by_library() -> Callable[[], Reading]:
    import pynvml  # pyright: ignore[reportMissingImports]

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)

    def read() -> Reading:
        return {
            "sm_mhz": float(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
            "memory_mhz": float(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM)),
            "watts": pynvml.nvmlDeviceGetPowerUsage(handle) * 1e-3,
            "celsius": float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        }

    return read


def _by_command() -> Callable[[], Reading]:
    command = ["nvidia-smi", "-i", "0", f"--query-gpu={','.join(_ASKED)}"]
    command.append("--format=csv,noheader,nounits")

    def read() -> Reading:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        values = map(float, done.stdout.strip().split("\n")[0].split(","))
        return dict(zip(_KEYS, values, strict=True))

    return read


class Sampler:
    """Reads the clocks from a thread of its own while something else is timed."""

    def __init__(self):
        self.name, self._read = source_of_clocks()

    @contextlib.contextmanager
    def reading(self) -> Iterator[dict[str, dict[str, float]]]:
        """Read until the region ends; the summary is filled in at its end.

        Yields:
            By quantity the median, the smallest and the largest reading.
        """
        summary: dict[str, dict[str, float]] = {}
        if self._read is None:
            yield summary
            return
        readings: list[Reading] = []
        stop = threading.Event()
        thread = threading.Thread(target=self._collect, args=(readings, stop), daemon=True)
        thread.start()
        try:
            yield summary
        finally:
            stop.set()
            thread.join()
            for key in _KEYS:
                values = [reading[key] for reading in readings]
                if values:
                    summary[key] = spread(values)

    def _collect(self, readings: list[Reading], stop: threading.Event) -> None:
        assert self._read is not None
        while not stop.wait(_EVERY):
            with contextlib.suppress(Exception):  # a reading that fails is not there
                readings.append(self._read())


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest of some numbers."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}

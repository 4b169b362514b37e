"""The ratio table on a CPU: gpupatch (Numba) against C++, NumPy, JAX, PyTorch and streaming.

    python -m bench.cpu [--rounds N] [--only WORKLOAD] [--threads]

Every figure is a quotient of CPU seconds of the same round on one core, outputs compared.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

from bench.measure import environment, interleaved, ratio, write_record
from bench.peers import jax_burst, numpy_burst, torch_burst
from bench.workloads import STEPS, WORKLOADS, Workload, compile_reference, reference_burst
from gpupatch.backends.select import get_backend

PACKAGES = ("gpupatch", "numpy", "numba", "llvmlite", "jax", "jaxlib", "torch")
GOALS = {"C++": 0.85, "streaming": 3.0, "NumPy": {"float64": 15.0, "float32": 10.0}, "JAX": 4.0}


def main() -> None:
    """Measure, print the table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=sorted(WORKLOADS))
    parser.add_argument("--threads", action="store_true", help="wall time on 1 and on all cores")
    parser.add_argument("--name", default="cpu")
    given = parser.parse_args()
    chosen = [WORKLOADS[given.only]] if given.only else list(WORKLOADS.values())
    record: dict[str, Any] = {"environment": environment(PACKAGES), "steps": STEPS, "goals": GOALS}
    if given.threads:
        record["scaling"] = [scaling(w) for w in chosen]
        for row in record["scaling"]:
            print(row)
        print(write_record(f"{given.name}_threads", record))
        return
    one_core()
    record["rows"] = []
    path = None
    for workload in chosen:
        for dtype in ("float64", "float32"):
            row = compare(workload, dtype, given.rounds)
            record["rows"].append(row)
            print(line(row), flush=True)
            path = write_record(given.name, record)
    print(path)


def one_core() -> None:
    """Keep this process, and every library in it, on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import numba

    numba.set_num_threads(1)


def compare(workload: Workload, dtype: str, rounds: int) -> dict[str, Any]:
    """One row of the table.

    Args:
        workload: what to run.
        dtype: "float64" or "float32".
        rounds: rounds of timing.

    Returns:
        Ratios (peer time over own time), rates and differences of the outputs.
    """
    single = dtype == "float32"
    backend, _ = get_backend("numba")
    kernels = backend.load(workload.model(dtype), dtype)
    own, plan = kernels.pack(workload.state()), workload.plan()
    step = workload.plan(1)
    streamed = kernels.pack(workload.state())

    def stream():
        for _ in range(STEPS):
            kernels.burst(streamed, step, 0.0)

    runs = {"gpupatch": lambda: kernels.burst(own, plan, 0.0), "streaming": stream}
    results: dict[str, Any] = {"gpupatch": lambda: kernels.unpack(own)}
    library = compile_reference()
    if library is not None:
        library.threads(1)
        runs["C++"], cpp = reference_burst(library, workload, dtype, perturbation=single)
        base = workload.state() if single else 0.0
        results["C++"] = lambda: base + cpp.astype(float)
        if single:
            runs["C++ plain"], _ = reference_burst(library, workload, dtype, perturbation=False)
    runs["NumPy"], array = numpy_burst(workload, dtype)
    results["NumPy"] = lambda: array
    for name, peer in (("JAX", jax_burst), ("PyTorch", torch_burst)):
        made = peer(workload, dtype)
        if made is not None:
            runs[name], results[name] = made
    seconds = interleaved(runs, rounds)
    own_result = results["gpupatch"]()
    scale = np.abs(own_result).max()
    inner = (slice(None), slice(None)) + (slice(1, -1),) * workload.ndim
    difference = {
        name: float(np.abs(result() - own_result)[inner].max() / scale)
        for name, result in results.items()
        if name != "gpupatch"
    }
    updates = workload.patches * workload.cells**workload.ndim * STEPS
    return {
        "workload": workload.name,
        "dtype": dtype,
        "updates": updates,
        "ratio": {
            name: ratio(times, seconds["gpupatch"])
            for name, times in seconds.items()
            if name != "gpupatch"
        },
        "updates_per_cpu_second": {name: updates / min(times) for name, times in seconds.items()},
        "relative_difference": difference,
        "seconds": seconds,
    }


def scaling(workload: Workload, repeats: int = 7) -> dict[str, Any]:
    """Wall time of a burst with one thread and with all."""
    import numba

    backend, _ = get_backend("numba")
    kernels = backend.load(workload.model("float64"), "float64")
    u, plan = kernels.pack(workload.state()), workload.plan()
    counts = sorted({1, numba.get_num_threads()})
    best: dict[int, list[float]] = {count: [] for count in counts}
    kernels.burst(u, plan, 0.0)
    for _ in range(repeats):
        for count in counts:
            numba.set_num_threads(count)
            began = time.perf_counter()
            kernels.burst(u, plan, 0.0)
            best[count].append(time.perf_counter() - began)
    return {
        "workload": workload.name,
        "threads": counts,
        "wall_seconds": {count: min(times) for count, times in best.items()},
        "speed_up": min(best[counts[0]]) / min(best[counts[-1]]),
    }


def line(row: dict[str, Any]) -> str:
    """One row of the printed table."""
    own = row["updates_per_cpu_second"]["gpupatch"] / 1e6
    told = "  ".join(f"{name} {value:6.2f}" for name, value in row["ratio"].items())
    worst = max(row["relative_difference"].values(), default=0.0)
    return f"{row['workload']:16s} {row['dtype']:8s} {own:8.0f} M/s   {told}   outputs {worst:.1e}"


if __name__ == "__main__":
    main()

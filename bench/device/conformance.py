"""Whether the backend does on the device what the NumPy reference does: the parity suites.

Where pytest is absent a shorter comparison of the same problems takes its place.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.device.trials import Row, reason_of

ROOT = Path(__file__).parents[2]
_SUITES = ("tests/backends/test_parity.py", "tests/backends/test_cuda_particles.py")
_OUTCOME = re.compile(r"^(\S+::\S.*?) (PASSED|FAILED|ERROR|SKIPPED)", re.MULTILINE)
_STEPS = 8


def conformance(host: bool, seconds: float, log: Path) -> Row:
    """Run the suite in a process of its own.

    Args:
        host: a few tests on the CPU instead of all on the GPU.
        seconds: time after which it is ended; what was done until then counts.
        log: file for its whole output.

    Returns:
        A row with the number of tests by outcome and the names of those that failed.
    """
    row: Row = {"kind": "conformance"}
    if importlib.util.find_spec("pytest") is None:
        return row | {"by": "built-in comparison"} | compare_here(host)
    chosen = ["-k", "host and sums_norms"] if host else ["-m", "cuda and not slow"]
    command = [sys.executable, "-m", "pytest", *_SUITES, "-v", "-W", "default", *chosen]
    command += ["-p", "no:cacheprovider", "--tb=short", "--color=no"]
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
    text = log.read_text(encoding="utf-8", errors="replace")
    found: dict[str, list[str]] = {}
    for name, outcome in _OUTCOME.findall(text):
        found.setdefault(outcome.lower(), []).append(name)
    row |= {"by": "pytest", "exit": code, **{k: len(v) for k, v in found.items()}}
    row["failures"] = found.get("failed", []) + found.get("error", [])
    if code is None:
        row["reason"] = f"ended after {seconds:.0f} s"
    elif code or not found.get("passed"):
        row["reason"] = text.strip().splitlines()[-1][:300] if text.strip() else "no output"
    return row


def compare_here(host: bool) -> dict[str, Any]:
    """Bursts of the library rules on the device and in NumPy, by the problems of the tests.

    Args:
        host: one rule on the CPU instead of all on the GPU.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from problems import problem, rounding

    from bench.device.clock import open_device
    from gpupatch.backends._cuda import CudaBackend
    from gpupatch.backends._numpy import NumpyBackend
    from gpupatch.micro import lattice

    device, _ = open_device(host)
    rules = [rule for entries in lattice._LIBRARY.values() for rule in entries]
    passed, failures = 0, []
    for rule in rules[:1] if host else rules:
        for dtype in ("float64", "float32"):
            name = f"{rule.name}, {dtype}"
            given = problem(rule, shared=False)
            results = []
            try:
                for backend in (NumpyBackend(), CudaBackend(device)):
                    kernels = backend.load(given.model, dtype)
                    u = kernels.pack(given.u)
                    kernels.burst(u, given.plan("euler", _STEPS), 0.3)
                    results.append(np.asarray(kernels.unpack(u)))
                worst = np.abs(results[0] - results[1]).max()
                if worst <= rounding(given, dtype, _STEPS):
                    passed += 1
                else:
                    failures.append(f"{name}: differs by {worst:.1e}")
            except Exception as error:  # a rule that fails is reported with the others
                failures.append(f"{name}: {reason_of(error)}")
    reason = {"reason": f"{len(failures)} differ"} if failures else {}
    return {"passed": passed, "failed": len(failures), "failures": failures} | reason

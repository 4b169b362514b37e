"""One part of the measurements, in a process of its own that may be ended at any moment."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.device.calibrate import calibrate
from bench.device.clock import open_device
from bench.device.kernels import bursts, sweep
from bench.device.machine import describe
from bench.device.macro import coupled_steps, macro_steps
from bench.device.particles import particles
from bench.device.trials import Bench, Row
from bench.device.workloads import WORKLOADS, Workload, sized
from gpupatch.errors import BackendError

NO_DEVICE = 2
"""Exit code of a worker that has nothing to measure on."""

Measure = Callable[[Bench, Workload, bool], None]

WHOLE: dict[str, Callable[[Bench, bool], None]] = {"calibrate": calibrate, "particles": particles}
"""Jobs that have no workload of sites."""

ACTS: dict[str, tuple[Measure, tuple[str, ...]]] = {
    "macro": (macro_steps, ("heat2d", "heterogeneous2d", "gray_scott2d")),
    "sweep": (sweep, ("heterogeneous2d",)),
    "coupled": (coupled_steps, ("heat2d",)),
}
"""Jobs that are not one workload: what is measured, and for which workloads."""


def main() -> None:
    """Do one job and write its rows, a line of JSON for each as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--deadline", type=float, required=True)
    parser.add_argument("--host", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    with given.rows.open("a", encoding="utf-8") as out:

        def write(row: Row) -> None:
            out.write(json.dumps(row, default=_plain) + "\n")
            out.flush()

        try:
            device, clock = open_device(given.host)
        except BackendError as error:
            print(error)
            sys.exit(NO_DEVICE)
        if given.job == "machine":
            write({"kind": "machine"} | describe(device))
            return
        bench = Bench(device, clock, given.deadline, write)
        if given.job in WHOLE:
            WHOLE[given.job](bench, given.quick)
            return
        measure, names = ACTS.get(given.job, (bursts, (given.job,)))
        for name in names[:1] if given.host or given.quick else names:
            measure(bench, sized(WORKLOADS[name], given.host), given.quick)


def _plain(value: Any) -> Any:
    """Numbers of NumPy as those of Python."""
    return value.item()


if __name__ == "__main__":
    main()

"""Blocks of directions: what 16 derivatives of the slope cost beside one, at 64 patches.

    python -m bench.tasks [--rounds N] [--threads]

Every figure is a quotient of the same round: of CPU seconds on one core, or of wall time on all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import gpupatch as gp
from bench.cpu import one_core
from bench.measure import environment, interleaved, ratio, write_record
from gpupatch.backends.select import get_backend
from gpupatch.micro import lattice
from gpupatch.tasks.equations import Equations

PATCHES, BLOCKS = 64, (1, 4, 16)
GOAL = 3.0
PACKAGES = ("gpupatch", "numpy", "numba", "scipy")


def main() -> None:
    """Measure, print the table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", action="store_true", help="wall time on all cores")
    given = parser.parse_args()
    clock = time.perf_counter if given.threads else time.process_time
    if not given.threads:
        one_core()
    record: dict[str, Any] = {"environment": environment(PACKAGES), "goal": GOAL, "rows": []}
    for name, scheme in schemes().items():
        row = {"oracle": name, "patches": PATCHES, **blocks(scheme, given.rounds, clock)}
        record["rows"].append(row)
        print(row["oracle"], {k: round(v, 2) for k, v in row["cost_of_one"].items()}, flush=True)
    print(write_record("tasks_threads" if given.threads else "tasks", record))


def schemes() -> dict[str, Any]:
    """Fronts in 64 patches, as the rate of coupled patches and as slopes measured in bursts."""
    rule, backend = lattice.get("fitzhugh_nagumo", 1), get_backend("numba")[0]
    parameters = {"d": 4.0, "epsilon": 0.5, "a0": -0.03, "a1": 2.0}
    dx = 20 / PATCHES / 20
    small = gp.PatchGrid([(0.0, 20.0)], [PATCHES], 3, dx=dx)
    wide = gp.PatchGrid([(0.0, 20.0)], [PATCHES], dx=dx, core=3 * dx, buffer=5 * dx)
    length = 0.04 * (5 * dx) ** 2 / 4
    return {
        "coupled": gp.CoupledScheme(gp.Problem(rule, small, parameters), backend),
        "burst": gp.BurstScheme(gp.Problem(rule, wide, parameters), backend, gp.Burst(length)),
    }


def blocks(scheme: Any, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Seconds of blocks of directions, as multiples of a single one."""
    oracle = gp.make_oracle(scheme)
    equations = Equations(oracle)
    x = oracle.vector({"u": np.sin, "v": lambda x: 0.2 * np.sin(x)})
    V = np.random.default_rng(0).normal(size=(max(BLOCKS), oracle.n))
    repeats = 8

    def run(count: int):
        def derivatives():
            for _ in range(repeats):
                equations.derivative(x, V[:count])

        return derivatives

    seconds = interleaved({str(count): run(count) for count in BLOCKS}, rounds, clock)
    one = seconds["1"]
    return {
        "unknowns": oracle.n,
        "cost_of_one": {count: ratio(times, one) for count, times in seconds.items()},
        "seconds_per_block": {c: min(times) / repeats for c, times in seconds.items()},
    }


if __name__ == "__main__":
    main()

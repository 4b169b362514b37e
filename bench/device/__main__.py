"""Measure everything about the CUDA backend on the GPU of this machine, in one call.

    python -m bench.device [--only JOB,...] [--quick] [--budget SECONDS] [--out DIR]
    python -m bench.device --host      (rehearse all of it on a CPU; no figures come out)

Builds, runs the conformance suite on the device, calibrates the assumed rates, times kernels and
peers side by side, and writes DIR/device.json and the table DIR/device.txt. What does not fit into
the budget is listed. Clocks and settings of the card are read, never changed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.device.conformance import ROOT, conformance
from bench.device.goals import evaluate
from bench.device.results import finish, summary, table, wrong
from bench.device.trials import Row
from bench.device.worker import NO_DEVICE

JOBS: dict[str, float] = {
    "machine": 30,
    "conformance": 150,
    "calibrate": 40,
    "heterogeneous2d": 130,
    "particles": 80,
    "heat2d": 90,
    "macro": 60,
    "gray_scott2d": 80,
    "heat1d": 70,
    "heat3d": 60,
    "sweep": 50,
    "coupled": 30,
    "heterogeneous1d": 60,
}
"""In the order in which they are done: seconds after which a job begins nothing new. The first is
always done."""

_GRACE = 25.0
"""Seconds after which a job that was to end is ended."""

_LEAST = 8.0


class Run:
    """One call of the command.

    Args:
        given: its arguments.
    """

    def __init__(self, given: argparse.Namespace):
        self.given, self.began = given, time.time()
        self.end = self.began + given.budget
        self.rows: list[Row] = []
        self.suite: Row | None = None
        self.jobs: list[dict[str, Any]] = []
        given.out.mkdir(parents=True, exist_ok=True)
        self.raw = given.out / "device_rows.jsonl"
        self.raw.write_text("", encoding="utf-8")

    def do(self, job: str) -> None:
        """Do one job within its time, or list it as left out."""
        left = self.end - time.time()
        if left < _LEAST:
            self.rows.append({"kind": "left out", "what": job})
            return
        limit, began = min(JOBS[job], left), time.time()
        print(f"-- {job}, {began - self.began:.0f} s after the beginning", flush=True)
        if job == "conformance":
            log = self.given.out / "conformance.log"
            self.suite = conformance(self.given.host, limit, log)
            code: int | str = 0 if "reason" not in self.suite else 1
        else:
            code = self._work(job, limit)
        self.jobs.append({"name": job, "exit": code, "seconds": time.time() - began})
        if code == NO_DEVICE:
            sys.exit(NO_DEVICE)

    def _work(self, job: str, limit: float) -> int | str:
        """Run a worker and collect its rows, whatever becomes of it."""
        command = [sys.executable, "-m", "bench.device.worker", job, "--rows", str(self.raw)]
        command += ["--deadline", str(time.time() + limit)]
        command += [f"--{name}" for name in ("host", "quick") if getattr(self.given, name)]
        skip = self.raw.stat().st_size
        room = min(limit + _GRACE, self.end - time.time() + _GRACE)
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"})
        try:
            code: int | str = process.wait(timeout=room)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = "out of time"
        text = self.raw.read_bytes()[skip:].decode()
        lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
        self.rows += [json.loads(line) for line in lines]
        return code

    def record(self) -> dict[str, Any]:
        """All that is known so far."""
        of = {kind: [row for row in self.rows if row["kind"] == kind] for kind in _KINDS}
        machine = {k: v for row in of["machine"] for k, v in row.items() if k != "kind"}
        if self.given.commit:
            machine["commit"] = self.given.commit
        machine.setdefault("commit", "")
        machine.setdefault("cpu", "")
        multiprocessors = machine.get("limits", {}).get("multiprocessors", 0)
        rest = [row for row in self.rows if row["kind"] not in _KINDS]
        rows = finish(rest, of["calibration"], multiprocessors)
        return {
            "rehearsal": self.given.host,
            "machine": machine,
            "arguments": {k: str(v) for k, v in vars(self.given).items()},
            "conformance": self.suite,
            "calibration": of["calibration"],
            "rows": rows,
            "goals": evaluate(rows),
            "left_out": [row["what"] for row in of["left out"]],
            "jobs": self.jobs,
            "seconds": time.time() - self.began,
        }

    def write(self) -> dict[str, Any]:
        """Write the record and the table as they stand."""
        record = self.record()
        text = json.dumps(record, indent=1) + "\n"
        (self.given.out / "device.json").write_text(text, encoding="utf-8")
        (self.given.out / "device.txt").write_text(table(record) + "\n", encoding="utf-8")
        return record


_KINDS = ("machine", "calibration", "left out")


def main() -> None:
    """Do the jobs in order and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--only", help=f"some of: {', '.join(JOBS)}")
    parser.add_argument("--quick", action="store_true", help="fewer precisions, sizes and peers")
    parser.add_argument("--host", action="store_true", help="rehearse on a CPU")
    parser.add_argument("--budget", type=float, default=540.0, help="seconds for everything")
    parser.add_argument("--out", type=Path, default=Path("runs") / "device")
    parser.add_argument("--commit", default="", help="where the sources have no history")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else list(JOBS)
    unknown = set(wanted) - JOBS.keys()
    if unknown:
        parser.error(f"no job {', '.join(sorted(unknown))}; there are {', '.join(JOBS)}")
    run = Run(given)
    for job in (job for job in JOBS if job in {"machine", *wanted}):
        run.do(job)
        run.write()
    record = run.write()
    print(summary(record))
    print(run.given.out / "device.json")
    broken = [job for job in record["jobs"] if job["exit"] != 0]
    sys.exit(1 if broken or wrong(record["rows"]) else 0)


if __name__ == "__main__":
    main()

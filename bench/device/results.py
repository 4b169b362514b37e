"""From timings to figures: rates, shares of bounds, ratios to peers, and the printed table."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from bench.device.bounds import bound_of, pipe_rates
from bench.device.kernels import OWN
from bench.device.machine import spread
from bench.device.trials import Row, median_ratio

_SIZES = {"float64": 8, "float32": 4}
_SHORT = {
    "slices": "slices",
    "kernel per step": "kernel",
    "kernel per step, graph": "kernel+graph",
    "JAX": "JAX",
    "torch.compile": "torch",
    "torch.compile, graph": "torch+graph",
    "Triton per step, graph": "Triton",
    "Triton burst": "Triton burst",
    "torch batched": "torch",
    "naive burst": "naive",
}
_GROUP = ("kind", "workload", "dtype", "batch", "patches", "steps", "chain")


def finish(rows: list[Row], calibration: list[Row], multiprocessors: int) -> list[Row]:
    """Add to every timed row what follows from its seconds.

    Args:
        rows: as the workers wrote them.
        calibration: rows of `bench.device.calibrate`.
        multiprocessors: of the device.

    Returns:
        The rows. Those of a rehearsal have no seconds and are given no figures.
    """
    rates = pipe_rates(calibration)
    known = {row["what"]: row for row in calibration}
    bandwidth = known.get("memory", {}).get("bytes_per_second")
    counter = [row["mhz_of_counter"] for row in calibration if "mhz_of_counter" in row]
    usual = statistics.median(counter) if counter else None
    finished = []
    for row in rows:
        if "seconds" in row:
            megahertz = row["clocks"].get("sm_mhz", {}).get("median", usual)
            row = row | _figures(row, bandwidth)
            row |= _against_bound(row, rates, multiprocessors, megahertz)
        finished.append(row)
    for group in _groups(finished).values():
        for row in group:
            if row["who"].startswith(OWN):
                row |= _ratios(row, group)
    return finished


def _figures(row: Row, bandwidth: float | None) -> Row:
    updates = row["updates"] * row.get("chain", 1)
    alone = row.get("kernel_seconds", row["seconds"])
    rate = updates / statistics.median(alone)
    found: Row = {
        "seconds_of_call": spread(row["seconds"]),
        "seconds_of_kernels": spread(alone),
        "updates_per_second": rate,
        "updates_per_second_of_call": updates / statistics.median(row["seconds"]),
    }
    if bandwidth is not None:
        ceiling = bandwidth / bytes_per_cell(row)
        found |= {"per_step_memory_ceiling": ceiling, "multiple_of_ceiling": rate / ceiling}
    return found


def _against_bound(
    row: Row, rates: dict[str, float], multiprocessors: int, megahertz: float | None
) -> Row:
    if megahertz is None or row["kind"] == "coupled" or not row["who"].startswith(OWN):
        return {}
    bound = bound_of(row["workload"], row["dtype"], row.get("counted"), rates)
    if bound is None:
        return {}
    clock = multiprocessors * megahertz * 1e6
    per_second = bound.per_clock * clock
    found = {
        "bound": bound._asdict() | {"per_second": per_second, "at_mhz": megahertz},
        "share": row["updates_per_second"] / per_second,
    }
    by_hand = bound_of(row["workload"], row["dtype"], None, rates)
    if by_hand is not None:
        found["share_by_hand"] = row["updates_per_second"] / (by_hand.per_clock * clock)
    return found


def bytes_per_cell(row: Row) -> int:
    """Bytes of a cell that a step through device memory reads and writes."""
    return row["moved"] * _SIZES[row["dtype"]]


def _groups(rows: Iterable[Row]) -> dict[tuple, list[Row]]:
    groups: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        if "seconds" in row:
            groups[tuple(row.get(name) for name in _GROUP)].append(row)
    return groups


def _ratios(row: Row, group: list[Row]) -> Row:
    """Peer time over own time, of the whole call and of the kernels alone, round by round."""
    call, alone = {}, {}
    own = row.get("kernel_seconds", row["seconds"])
    for peer in group:
        if not peer["who"].startswith(OWN):
            call[peer["who"]] = median_ratio(peer["seconds"], row["seconds"])
            alone[peer["who"]] = median_ratio(peer.get("kernel_seconds", peer["seconds"]), own)
    return {"ratio_of_call": call, "ratio_of_kernels": alone}


def table(record: dict[str, Any]) -> str:
    """Everything that was measured, as text."""
    lines = [_line(row) for row in record["rows"]]
    return "\n".join([*lines, "", summary(record)])


def summary(record: dict[str, Any]) -> str:
    """What matters most, short enough for a terminal: what `auto` chose, and the goals."""
    machine = record["machine"]
    head = f"{machine.get('gpu', machine['cpu'])}, commit {machine['commit'] or 'unknown'}"
    if record["rehearsal"]:
        head = f"REHEARSAL on a CPU, nothing here is a figure: {head}"
    lines = [head, *_calibration_lines(record["calibration"]), *_suite(record["conformance"])]
    lines += _own_lines(record["rows"])
    lines += _absent(record["rows"])
    lines += [f"{g['goal']:18s} {g['text']}" for g in record["goals"]]
    lines += [f"left out: {what}" for what in record["left_out"]]
    failed = [job for job in record["jobs"] if job["exit"] != 0]
    lines += [f"job {job['name']} ended with {job['exit']}" for job in failed]
    return "\n".join(lines)


def wrong(rows: list[Row]) -> list[Row]:
    """Rows of gpupatch itself that failed or were not right."""
    return [row for row in rows if "reason" in row and row["who"].startswith(OWN)]


def _own_lines(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        if row["who"] != OWN or row["kind"] == "sweep" or "reason" in row:
            continue
        text = _line(row)
        ratios = row.get("ratio_of_call", {})
        if ratios:
            text += "  over " + ", ".join(f"{_SHORT[p]} {r:.3g}" for p, r in ratios.items())
        lines.append(text)
    return lines


def _absent(rows: list[Row]) -> list[str]:
    """Reasons for which something was not timed, each once."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        if "reason" in row:
            found[row["who"], row["reason"]].append(f"{row['workload']} {row['dtype']}")
    return [
        f"not timed: {who} ({len(where)}, first {where[0]}): {reason[:160]}"
        for (who, reason), where in found.items()
    ]


def _calibration_lines(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        if "reason" in row:
            text = row["reason"]
        elif "per_clock" in row:
            text = f"{row['per_clock']:7.1f} per clock and multiprocessor"
            text += f" (assumed {row['assumed']:.0f}) at {row['mhz_of_counter']:.0f} MHz"
        elif "bytes_per_second" in row:
            text = f"{row['bytes_per_second'] * 1e-12:7.2f} TB/s copied, read and written"
        elif "seconds_per_launch" in row:
            text = f"{row['seconds_per_launch'] * 1e6:7.2f} us each, in a graph "
            text += f"{row['seconds_per_launch_in_graph'] * 1e6:.2f}"
        else:
            text = "ran"
        lines.append(f"{row['what']:10s} {text}")
    return lines


def _suite(row: Row | None) -> list[str]:
    if row is None:
        return []
    text = f"{row.get('passed', 0)} passed, {len(row['failures'])} failed, by {row['by']}"
    text += f" ({row['reason']})" if "reason" in row else ""
    return [f"conformance: {text}", *(f"  failed: {name}" for name in row["failures"])]


def _line(row: Row) -> str:
    """One row of the printed table."""
    short = {"float64": "fp64", "float32": "fp32"}[row["dtype"]]
    chain = f" x {row['chain']}" if row.get("chain", 1) > 1 else ""
    name = f"{row['kind']:5.5s} {row['workload']:15s} {short} {row['patches']:7d} x "
    name += f"{row.get('steps', '-')!s:3s} {row['who'] + chain:15s}"
    if "reason" in row:
        return f"{name} {row['reason'][:100]}"
    error = row.get("error", row.get("error_of_samples"))
    if "seconds" not in row:
        return f"{name} right to {error:.0e}"
    spent = row["seconds_of_kernels"]
    text = f"{spent['median'] * 1e3:9.3f} ms {spread_percent(spent):4.0f}% "
    text += f"{row['updates_per_second'] * 1e-9:8.1f} G/s"
    text += f" {row['multiple_of_ceiling']:5.2f}x" if "multiple_of_ceiling" in row else ""
    text += f" {row['share']:4.2f} of bound" if "share" in row else ""
    return f"{name} {text} error {error:.0e}"


def spread_percent(summary: dict[str, float]) -> float:
    """Distance between the slowest and the fastest run, in percent of the median."""
    return 100 * (summary["high"] - summary["low"]) / summary["median"]

"""The goals that were set before anything was measured, and what was reached of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from bench.device.kernels import OWN
from bench.device.peers import BURST, PEERS
from bench.device.trials import Row

Goal = dict[str, Any]

SHARES = (
    ("G1", "heat2d", "float32", 0.75),
    ("G2 fp32", "heat1d", "float32", 0.80),
    ("G2 fp64", "heat1d", "float64", 0.85),
    ("G3 fp32", "heterogeneous2d", "float32", 0.70),
    ("G3 fp64", "heterogeneous2d", "float64", 0.80),
    ("G4", "heat3d", "float32", 0.65),
)
"""Share of the counted bound in long bursts of a large batch."""

LARGE = (("heterogeneous2d", 10.0), ("gray_scott2d", 10.0), ("heat2d", 8.0))
"""Times faster than the best peer that goes through memory at every step."""

_LONG, _SHORT = 100, 10


def evaluate(rows: list[Row]) -> list[Goal]:
    """Compare the rows with the goals.

    Args:
        rows: finished rows.

    Returns:
        For each goal its name, the wanted and the found value, and a line of text.
    """
    timed = [row for row in rows if "updates_per_second" in row and row["who"] == OWN]
    goals = [_share(timed, *goal) for goal in SHARES]
    goals += [_best_peer(timed, f"G5 {name}", name, "large", n) for name, n in LARGE]
    goals.append(_naive(timed))
    goals += [_best_peer(timed, f"G7 {name}", name, "small", 15.0) for name, _ in LARGE]
    goals += _particles(timed)
    goals += _macro(timed)
    goals.append(_coupled(timed))
    return goals


def _find(rows: list[Row], **wanted) -> Row | None:
    found = [row for row in rows if all(row.get(k) == v for k, v in wanted.items())]
    return found[0] if found else None


def _goal(
    name: str, value: float | None, wanted: float | None, what: str, at_most: bool = False
) -> Goal:
    met = None
    if value is not None and wanted is not None:
        met = value <= wanted if at_most else value >= wanted
    if wanted is None:
        text = what
    else:
        shown = "not measured" if value is None else f"{value:.3g}"
        limit = "at most" if at_most else "goal"
        verdict = {None: "", True: ": reached", False: ": not reached"}[met]
        text = f"{shown} {what}, {limit} {wanted:g}{verdict}"
    return {"goal": name, "value": value, "wanted": wanted, "met": met, "text": text}


def _share(rows: list[Row], name: str, workload: str, dtype: str, wanted: float) -> Goal:
    row = _find(
        rows, kind="burst", workload=workload, dtype=dtype, batch="large", steps=_LONG
    )  # fmt: skip
    value = row.get("share") if row else None
    source = f" ({row['bound']['source']})" if row and "bound" in row else ""
    return _goal(name, value, wanted, f"of the bound{source}, {workload}")


def _best_peer(rows: list[Row], name: str, workload: str, batch: str, wanted: float) -> Goal:
    row = _find(
        rows, kind="burst", workload=workload, dtype="float32", batch=batch, steps=_LONG
    )  # fmt: skip
    ratios = dict(row["ratio_of_call"]) if row else {}
    if batch == "large":
        ratios = {peer: r for peer, r in ratios.items() if PEERS[peer][0] != BURST}
    if not ratios or row is None:
        return _goal(name, None, wanted, "times the best peer")
    peer = min(ratios, key=lambda name: ratios[name])
    alone = row["ratio_of_kernels"][peer]
    return _goal(name, ratios[peer], wanted, f"times {peer} ({alone:.3g} by kernels alone)")


def _naive(rows: list[Row]) -> Goal:
    row = _find(
        rows, kind="burst", workload="heat2d", dtype="float32", batch="large", steps=_LONG
    )  # fmt: skip
    value = row["ratio_of_kernels"].get("naive burst") if row else None
    return _goal("G6", value, 3.0, "times the naive burst, heat2d")


def _particles(rows: list[Row]) -> Iterator[Goal]:
    """Lennard-Jones, 256 particles: 4.8 G steps of particles per second are the directed bound."""
    row = _find(
        rows, kind="particles", workload="lj256", dtype="float32", batch="large", steps=_LONG
    )  # fmt: skip
    share = row.get("share_by_hand") if row else None
    what = "of the bound of pairs from both sides, lj256"
    yield _goal("G8", share, 0.65, what)
    yield _goal("G8 reactions", share, 1.15, what)
    for peer, wanted in (("JAX", 5.0), ("torch batched", 10.0)):
        ratio = row["ratio_of_call"].get(peer) if row else None
        yield _goal(f"G8 {peer}", ratio, wanted, f"times {peer}, lj256")


def _macro(rows: list[Row]) -> Iterator[Goal]:
    names = sorted({row["workload"] for row in rows if row["kind"] == "macro step"})
    for name in names or ["heat2d"]:
        about: dict[str, Any] = {"kind": "macro step", "workload": name, "dtype": "float32"}
        alone = {n: _find(rows, **about, steps=n, chain=1) for n in (_LONG, _SHORT)}
        chains = [
            row for row in rows if row["kind"] == "macro step" and row["workload"] == name
            and row["dtype"] == "float32" and row["steps"] == _LONG and row["chain"] > 1
        ]  # fmt: skip
        long, short = alone[_LONG], alone[_SHORT]
        launches = sum(long["launches"].values()) if long else None
        yield _goal(f"G9 {name}", launches, 2, "launches per macro step", at_most=True)
        share = idle = None
        if long and short:
            share = short["updates_per_second"] / long["updates_per_second"]
        if long and chains:
            busy = statistics.median(long["kernel_seconds"]) * chains[0]["chain"]
            idle = 1 - busy / statistics.median(chains[0]["seconds"])
        what = "of the speed per step of n = 100 at n = 10"
        yield _goal(f"G9 {name}", share, 0.8, what)
        yield _goal(f"G9 {name}", idle, 0.05, "of the time idle", at_most=True)


def _coupled(rows: list[Row]) -> Goal:
    row = _find(rows, kind="coupled")
    value, what = None, "launches per coupling, first and last included"
    if row is not None:
        value = sum(row["launches"].values()) / row["steps"]
        what += f", {row['steps']} steps, {row['replays']} replays of a graph"
    return _goal("coupled", value, 2.1, what, at_most=True)

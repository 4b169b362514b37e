"""Figures of a record: roofline, speed against size and length, share of the bound.

python -m bench.device.plots RECORD.json [--out DIR]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.device.kernels import OWN
from bench.device.peers import BURST, PEERS
from bench.device.results import bytes_per_cell
from bench.device.trials import Row
from gpupatch.plot.style import MUTED, new_figure, styled

_MARKERS = "osD^vP"
_SHORT = {"float32": "fp32", "float64": "fp64"}


def main() -> None:
    """Draw all figures of a record beside it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    record = json.loads(given.record.read_text(encoding="utf-8"))
    out = given.out or given.record.parent
    for path in draw(record, out, given.record.stem):
        print(path)


def draw(record: dict[str, Any], out: Path, name: str) -> list[Path]:
    """Draw all figures for which there are rows.

    Args:
        record: of `bench.device`.
        out: folder for the figures.
        name: first part of their names.

    Returns:
        Their paths.

    Raises:
        SystemExit: if the record has no figures, as that of a rehearsal.
    """
    rows = [row for row in record["rows"] if "updates_per_second" in row]
    if not rows:
        raise SystemExit("this record holds no timings: a rehearsal has none to draw")
    machine = record["machine"]
    about = f"{machine.get('gpu', '')}, commit {machine['commit']}"
    figures = {
        "roofline": roofline(rows, record["calibration"], about),
        "speed": speed(rows, about),
        "share": share(rows, about),
    }
    paths = []
    for kind, figure in figures.items():
        if figure is not None:
            paths.append(out / f"{name}_{kind}.png")
            figure.savefig(paths[-1])
    return paths


@styled
def roofline(rows: list[Row], calibration: list[Row], about: str) -> Figure | None:
    """Updates per second against updates per byte of device memory, by precision.

    A burst reads and writes each state once, most peers do at every step. The slope is the
    measured bandwidth, dashed lines are counted bounds, small symbols peers.
    """
    bandwidth = next((r["bytes_per_second"] for r in calibration if "bytes_per_second" in r), None)
    bursts = [row for row in rows if row["kind"] == "burst" and row["batch"] == "large"]
    if not bursts or bandwidth is None:
        return None
    figure = new_figure(9.0, 4.0, "Bursts under the roofline", about)
    names = sorted({row["workload"] for row in bursts})
    panels = figure.subplots(1, 2, sharey=True)
    for ax, dtype in zip(panels, _SHORT, strict=True):
        ax.set(xscale="log", yscale="log", title=_SHORT[dtype])
        ax.set_xlabel("updates per byte of device memory")
        reach = np.geomspace(0.02, 30.0, 50)
        ax.plot(reach, bandwidth * reach, color=MUTED, linewidth=1.0)
        for row in bursts:
            if row["dtype"] != dtype:
                continue
            number = names.index(row["workload"])
            color = _color(number, len(names))
            own = row["who"] == OWN
            stays = row["who"].startswith(OWN) or PEERS[row["who"]][0] == BURST
            per_byte = (row["steps"] if stays else 1) / bytes_per_cell(row)
            if own and "bound" in row:
                ax.axhline(row["bound"]["per_second"], color=color, linestyle="--", linewidth=0.6)
            ax.plot(
                per_byte, row["updates_per_second"], _MARKERS[number % len(_MARKERS)],
                color=color, markersize=6 if own else 3, label=row["workload"] if own else None,
            )  # fmt: skip
        _legend(ax)
    panels[0].set_ylabel("updates per second")
    return figure


@styled
def speed(rows: list[Row], about: str) -> Figure | None:
    """Updates per second against the number of patches and of steps."""
    sweeps = [row for row in rows if row["kind"] == "sweep"]
    if not sweeps:
        return None
    title = f"Bursts of {sweeps[0]['workload']}, {_SHORT[sweeps[0]['dtype']]}"
    figure = new_figure(9.0, 3.6, title, about)
    panels = figure.subplots(1, 2, sharey=True)
    for ax, batch, across, other in (
        (panels[0], "patches", "patches", "steps"),
        (panels[1], "steps", "steps", "patches"),
    ):
        curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for row in sweeps:
            if row["batch"] == batch:
                curve = f"{row['who']}, {row[other]} {other}"
                curves[curve].append((row[across], row["updates_per_second_of_call"]))
        for number, (name, points) in enumerate(curves.items()):
            x, y = zip(*sorted(points), strict=True)
            color = _color(number, len(curves))
            ax.plot(x, y, "-" + _MARKERS[number % len(_MARKERS)], color=color, label=name)
        ax.set(xscale="log", yscale="log", xlabel=across)
        _legend(ax)
    panels[0].set_ylabel("updates per second, whole call")
    return figure


@styled
def share(rows: list[Row], about: str) -> Figure | None:
    """Share of the counted bound that long bursts of large batches reach."""
    shown = [r for r in rows if "share" in r and r["kind"] == "burst" and r["batch"] == "large"]
    if not shown:
        return None
    figure = new_figure(7.0, 0.6 + 0.26 * len(shown), "Share of the counted bound", about)
    ax = figure.subplots()
    names = [f"{r['workload']} {_SHORT[r['dtype']]}, {r['steps']} steps, {r['who']}" for r in shown]
    places = np.arange(len(shown))[::-1]
    ax.barh(places, [row["share"] for row in shown], color="#7ea6c8")
    ax.set_yticks(places, names)
    ax.axvline(1.0, color=MUTED, linewidth=0.8)
    ax.set_xlabel("share")
    return figure


def _color(number: int, count: int):
    return mpl.colormaps["viridis"](0.86 * number / max(count - 1, 1))


def _legend(ax) -> None:
    """A legend in which every name stands once."""
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    if once:
        ax.legend(once.values(), once.keys(), loc="lower right")


if __name__ == "__main__":
    main()

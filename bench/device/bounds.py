"""What the counted instructions of a kernel allow: updates per clock and multiprocessor.

A cell takes so many operations of each pipe per step; the pipe that needs longest is the bound.
Counts come from the generator of the kernel where it gives them, else from `COUNTED`: innermost
loops of register kernels compiled for compute capability 9.0 and disassembled.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from bench.device.calibrate import ASSUMED
from gpupatch.backends._cuda import CudaKernels
from gpupatch.backends._cuda_lane import ADD, CHOICE, FMA, FUNCTION, MULTIPLY, SHARED, SHUFFLE
from gpupatch.backends._cuda_tile import counted
from gpupatch.micro.lower import Lowering

Counts = dict[str, float]

COUNTED: dict[tuple[str, str], tuple[str, Counts]] = {
    ("heat1d", "float32"): ("32 lanes x 8 cells", {"issue": 3.44}),
    ("heat1d", "float64"): ("lanes x cells", {"issue": 4.4, "fp64": 3.0}),
    ("heat2d", "float32"): ("8 x 8 cells per lane, pair sums", {"issue": 4.78}),
    ("heat2d", "float64"): ("8 x 4 cells per lane, pair sums", {"issue": 5.9, "fp64": 4.35}),
    ("heterogeneous2d", "float32"): ("32 cells per lane, faces in registers", {"issue": 7.22}),
    ("heterogeneous2d", "float64"): (
        "16 cells per lane, faces in registers",
        {"issue": 8.69, "fp64": 6.5},
    ),
    ("heat3d", "float32"): ("4 x 4 x 4 cells per lane", {"issue": 8.55}),
    ("heat3d", "float64"): ("4 x 4 x 2 cells per lane", {"issue": 11.1, "shuffle": 4.0}),
    ("lj256", "float32"): ("all pairs from both sides, 4 particles per thread", {"issue": 7014.0}),
}
"""Operations per cell and step by workload and precision, and the kernel they were counted in; for
particles per step of one, 27.4 for each of 256 pairs."""


class Bound(NamedTuple):
    """A counted bound.

    Attributes:
        source: where the counts are from.
        counts: operations per cell and step, by pipe.
        pipe: the pipe that needs longest.
        per_clock: updates per clock and multiprocessor.
    """

    source: str
    counts: Counts
    pipe: str
    per_clock: float


def pipe_rates(calibration: list[dict[str, Any]]) -> dict[str, float]:
    """Operations per clock and multiprocessor: assumed, or measured where that is more.

    Args:
        calibration: rows of `bench.device.calibrate`.
    """
    rates = dict(ASSUMED)
    for row in calibration:
        measured = row.get("per_clock")
        if measured is not None:
            rates[row["what"]] = max(rates[row["what"]], measured)
    return rates


def bound_of(
    workload: str, dtype: str, counted: Counts | None, rates: dict[str, float]
) -> Bound | None:
    """The bound of a burst, or None if nothing was counted.

    Args:
        workload: its name.
        dtype: "float64" or "float32".
        counted: operations per cell and step by pipe, from the generator of the kernel.
        rates: from `pipe_rates`.
    """
    source, counts = "generator", counted
    if counts is None:
        if (workload, dtype) not in COUNTED:
            return None
        source, counts = COUNTED[workload, dtype]
    per_clock = {pipe: rates[pipe] / count for pipe, count in counts.items() if count}
    pipe = min(per_clock, key=lambda name: per_clock[name])
    return Bound(source, counts, pipe, per_clock[pipe])


def counted_in(kernels: CudaKernels) -> Counts | None:
    """Operations per live cell and step of the kernel for bursts, by pipe; None if not a tile.

    Args:
        kernels: of gpupatch, loaded.
    """
    rule, geometry, dtype = kernels.model.rule, kernels.batch.geometry, kernels.dtype.name
    tile, single = kernels.batch.bursts("euler").tile, dtype == "float32"
    if tile is None:
        return None
    lowering = Lowering(rule.fields, rule.accesses, rule.ndim, dict(geometry.alike))
    per_cell = counted(rule, geometry, lowering, tile, single)
    live = math.prod(high - low for low, high in zip(*geometry.inside, strict=True))
    covered, words = tile.team * len(tile.box) / live, 1 if single else 2

    def of(*kinds: str) -> float:
        return covered * sum(per_cell.get(kind, 0.0) for kind in kinds)

    arithmetic = of(ADD, MULTIPLY, FMA)
    return {
        "issue": arithmetic + of(FUNCTION, SHARED) + words * of(SHUFFLE, CHOICE),
        "fp32" if single else "fp64": arithmetic,
        "shuffle": words * of(SHUFFLE),
        "shared": words * of(SHARED),
    }

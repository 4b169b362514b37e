"""The burst in Triton, which has no shift between the lanes of a block.

Neighbours are therefore loaded again from memory: between launches, or, with a program per patch
that keeps its two states in the first-level cache, between barriers.
"""

from __future__ import annotations

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

from bench.device.cases import Case
from bench.device.peers import tensors, torch_candidate, torch_on
from bench.device.trials import Bench, Candidate
from bench.device.workloads import HETEROGENEOUS, REACTION

_KINDS = {"diffusion": 0, HETEROGENEOUS: 1, "gray_scott": 2}
_PER_WARP = 256


@triton.jit
def _around(u, i, NDIM: tl.constexpr, LINE: tl.constexpr):
    total = tl.load(u + i + 1) + tl.load(u + i - 1)
    if NDIM > 1:
        total += tl.load(u + i + LINE) + tl.load(u + i - LINE)
    if NDIM > 2:
        total += tl.load(u + i + LINE * LINE) + tl.load(u + i - LINE * LINE)
    return total


@triton.jit
def _flow(u, k, i, centre, S: tl.constexpr):
    ahead = tl.load(k + i) * (tl.load(u + i + S) - centre)
    return ahead + tl.load(k + i - S) * (tl.load(u + i - S) - centre)


@triton.jit
def _update(
    v, u, k, i, ratio: tl.constexpr, fed: tl.constexpr, gone: tl.constexpr,
    KIND: tl.constexpr, NDIM: tl.constexpr, LINE: tl.constexpr, N_SITE: tl.constexpr,
):  # fmt: skip
    a = tl.load(u + i)
    if KIND == 0:
        tl.store(v + i, a + ratio * (_around(u, i, NDIM, LINE) - 2 * NDIM * a))
    elif KIND == 1:
        total = a
        if NDIM == 1:
            total += _flow(u, k, i, a, 1)
        else:
            total += _flow(u, k, i, a, LINE) + _flow(u, k + N_SITE, i, a, 1)
        tl.store(v + i, total)
    else:
        b = tl.load(u + N_SITE + i)
        met = a * b * b
        first = 2 * ratio * (_around(u, i, NDIM, LINE) - 2 * NDIM * a)
        second = ratio * (_around(u + N_SITE, i, NDIM, LINE) - 2 * NDIM * b)
        tl.store(v + i, a + first - met + fed * (1 - a))
        tl.store(v + N_SITE + i, b + second + met - gone * b)


@triton.jit
def _sites(cells, CELLS: tl.constexpr, NDIM: tl.constexpr, LINE: tl.constexpr):
    i = cells % CELLS + 1
    if NDIM > 1:
        i += (cells // CELLS % CELLS + 1) * LINE
    if NDIM > 2:
        i += (cells // (CELLS * CELLS) + 1) * LINE * LINE
    return i


@triton.jit
def _step(
    v, u, k, ratio: tl.constexpr, fed: tl.constexpr, gone: tl.constexpr, SIZE: tl.constexpr,
    K_SIZE: tl.constexpr, N_CELL: tl.constexpr, BLOCK: tl.constexpr, CELLS: tl.constexpr,
    KIND: tl.constexpr, NDIM: tl.constexpr, LINE: tl.constexpr, N_SITE: tl.constexpr,
):  # fmt: skip
    cell = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    p = cell // N_CELL
    i = p * SIZE + _sites(cell % N_CELL, CELLS, NDIM, LINE)
    shift = p * (K_SIZE - SIZE)
    _update(v, u, k + shift, i, ratio, fed, gone, KIND, NDIM, LINE, N_SITE)


@triton.jit
def _burst(
    v, u, k, N_STEPS: tl.constexpr, ratio: tl.constexpr, fed: tl.constexpr, gone: tl.constexpr,
    SIZE: tl.constexpr, K_SIZE: tl.constexpr, N_CELL: tl.constexpr, CELLS: tl.constexpr,
    KIND: tl.constexpr, NDIM: tl.constexpr, LINE: tl.constexpr, N_SITE: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0).to(tl.int64)
    i = _sites(tl.arange(0, N_CELL), CELLS, NDIM, LINE)
    for _ in range(N_STEPS // 2):
        _update(
            v + p * SIZE, u + p * SIZE, k + p * K_SIZE, i, ratio, fed, gone, KIND, NDIM, LINE,
            N_SITE,
        )  # fmt: skip
        tl.debug_barrier()
        _update(
            u + p * SIZE, v + p * SIZE, k + p * K_SIZE, i, ratio, fed, gone, KIND, NDIM, LINE,
            N_SITE,
        )  # fmt: skip
        tl.debug_barrier()


def per_step(bench: Bench, case: Case) -> Candidate:
    """One step per launch, all launches of a burst in one CUDA graph."""
    torch_on(bench)
    u, v, k = tensors(bench, case)
    sizes, numbers = _arguments(case)
    total = case.patches * case.workload.cells_of_patch
    block = min(1024, total & -total)  # a power of two that divides it
    grid = (total // block,)

    def steps(n_steps: int) -> None:
        for number in range(n_steps):
            to, source = (u, v) if number % 2 else (v, u)
            launch = _step[grid]  # pyright: ignore[reportIndexIssue]
            launch(to, source, k, *numbers, BLOCK=block, **sizes)

    return torch_candidate(bench, case, u, v, steps, graph=True)


def burst(bench: Bench, case: Case) -> Candidate:
    """A program per patch that takes all steps, an even number."""
    torch_on(bench)
    u, v, k = tensors(bench, case)
    sizes, numbers = _arguments(case)
    warps = max(1, min(16, case.workload.cells_of_patch // _PER_WARP))

    def steps(n_steps: int) -> None:
        launch = _burst[(case.patches,)]  # pyright: ignore[reportIndexIssue]
        launch(v, u, k, n_steps, *numbers, num_warps=warps, **sizes)

    return torch_candidate(bench, case, u, v, steps, graph=False)


def _arguments(case: Case) -> tuple[dict[str, int], tuple[float, float, float]]:
    w = case.workload
    n_site = (w.cells + 2) ** w.ndim
    sizes = {
        "SIZE": n_site * (2 if w.rule == "gray_scott" else 1),
        "K_SIZE": n_site * w.ndim if w.rule == HETEROGENEOUS else 0,
        "N_CELL": w.cells_of_patch,
        "CELLS": w.cells,
        "KIND": _KINDS[w.rule],
        "NDIM": w.ndim,
        "LINE": w.cells + 2,
        "N_SITE": n_site,
    }
    ratio = 0.1 if w.rule == "gray_scott" else w.ratio
    return sizes, (ratio, REACTION["F"], REACTION["F"] + REACTION["k"])

"""Peers in CUDA C++ as an expert writes them in an afternoon: a step per launch, a plain burst.

Both are specialised for the rule, the shape and the precision, as gpupatch is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from bench.device.cases import Case
from bench.device.trials import Bench, Candidate
from bench.device.workloads import HETEROGENEOUS, REACTION, Workload
from gpupatch.backends._cuda_source import kernel_text

_THREADS = 256
_LARGEST_BLOCK = 1024
_TYPES = {"float64": "double", "float32": "float"}

_SIZES = """
typedef {type} T;
constexpr int N_SITE = {n_site}, N_CELL = {n_cell}, SIZE = {n_field} * N_SITE;
constexpr int K_SIZE = {n_array} * N_SITE, THREADS = {threads};
__device__ int site(int cell) {{ return {site}; }}
"""

_STEP = """
extern "C" __global__ void __launch_bounds__({threads})
step(T* v, const T* u, const T* k, int n) {{
  const int q = blockIdx.x * {threads} + threadIdx.x;
  if (q >= n) return;
  const int64_t p = q / N_CELL;
  const int i = site(q % N_CELL);
  u += p * SIZE;
  v += p * SIZE;
  k += p * K_SIZE;
  {loads}
  {updates}
}}
"""

_BURST = """
extern "C" __global__ void __launch_bounds__(THREADS) burst(T* u, const T* k, int n_steps) {{
  GP_DYN_SHARED(T, s);
  u += int64_t(blockIdx.x) * SIZE;
  k += int64_t(blockIdx.x) * K_SIZE;
  for (int i = threadIdx.x; i < SIZE; i += THREADS) s[i] = s[SIZE + i] = u[i];
  {loads}
  __syncthreads();
  for (int step = 0; step < n_steps; ++step) {{
    const T* from = s + step % 2 * SIZE;
    T* to = s + (1 - step % 2) * SIZE;
    {updates}
    __syncthreads();
  }}
  for (int i = threadIdx.x; i < SIZE; i += THREADS) u[i] = s[n_steps % 2 * SIZE + i];
}}
"""


def step_peer(bench: Bench, case: Case, graph: bool) -> Candidate:
    """One step per launch between two arrays, one cell per thread.

    Args:
        bench: where.
        case: what is run.
        graph: whether all launches of a burst are one CUDA graph.
    """
    device, w = bench.device, case.workload
    module = device.compile(step_text(w, case.dtype), ["step"])
    k = device.put(case.premultiplied)
    u = device.put(case.start)
    v = u.copy()
    n = case.patches * w.cells_of_patch
    inside = (slice(None), slice(None)) + (slice(1, -1),) * w.ndim
    recorded = {}

    def reset() -> None:
        u[...] = device.put(case.start)
        v[...] = u
        v[inside] = np.nan

    def steps(n_steps: int) -> None:
        for step in range(n_steps):
            to, source = (u, v) if step % 2 else (v, u)
            arguments = (to, source, k, np.int32(n))
            module.launch("step", -(-n // _THREADS), _THREADS, arguments)

    def replayed(n_steps: int) -> None:
        if n_steps not in recorded:
            recorded[n_steps] = device.record(lambda: steps(n_steps))
        recorded[n_steps]()

    return Candidate(reset, replayed if graph else steps, lambda: u)


def burst_peer(bench: Bench, case: Case) -> Candidate:
    """A burst per launch in shared memory: a block per patch, a barrier per step."""
    device, w = bench.device, case.workload
    module = device.compile(burst_text(w, case.dtype), ["burst"])
    k = device.put(case.premultiplied)
    u = device.put(case.start)
    threads = min(w.cells_of_patch, _LARGEST_BLOCK)
    shared = 2 * u[0].nbytes

    def reset() -> None:
        u[...] = device.put(case.start)

    def run(n_steps: int) -> None:
        module.launch("burst", case.patches, threads, (u, k, np.int32(n_steps)), shared)

    return Candidate(reset, run, lambda: u, heard=True)


def step_text(workload: Workload, dtype: str) -> str:
    """The source of the step."""
    loads, updates = _body(workload, "i", "")
    centres = [f"const T c{f} = u[{f} * N_SITE + i];" for f in range(len(updates))]
    lines = [f"v[{f} * N_SITE + i] = {value};" for f, value in enumerate(updates)]
    text = _STEP.format(
        threads=_THREADS,
        loads=_lines(centres + loads),
        updates=_lines(lines).replace("FROM", "u"),
    )
    return _head(workload, dtype, _THREADS) + text


def burst_text(workload: Workload, dtype: str) -> str:
    """The source of the burst; the cell of a thread stays in registers."""
    threads = min(workload.cells_of_patch, _LARGEST_BLOCK)
    loads, updates, kept = [], [], []
    for c in range(workload.cells_of_patch // threads):
        read, values = _body(workload, f"i{c}", f"_{c}")
        loads.append(f"const int i{c} = site(threadIdx.x + {c} * THREADS);")
        loads += [f"T c{f}_{c} = u[{f} * N_SITE + i{c}];" for f in range(len(values))]
        loads += read
        updates += [f"const T n{f}_{c} = {value};" for f, value in enumerate(values)]
        kept += [f"to[{f} * N_SITE + i{c}] = c{f}_{c} = n{f}_{c};" for f in range(len(values))]
    text = _BURST.format(
        loads=_lines(loads), updates=_lines(updates + kept).replace("FROM", "from")
    )
    return _head(workload, dtype, threads) + text


def _head(workload: Workload, dtype: str, threads: int) -> str:
    terms, stride = [], 1
    for axis in reversed(range(workload.ndim)):
        before = workload.cells ** (workload.ndim - 1 - axis)
        terms.append(f"(cell / {before} % {workload.cells} + 1) * {stride}")
        stride *= workload.cells + 2
    sizes = _SIZES.format(
        type=_TYPES[dtype],
        n_site=stride,
        n_cell=workload.cells_of_patch,
        n_field=2 if workload.rule == "gray_scott" else 1,
        n_array=workload.ndim if workload.rule == HETEROGENEOUS else 0,
        threads=threads,
        site=" + ".join(reversed(terms)),
    )
    return kernel_text("prologue.cuh") + sizes


def _body(workload: Workload, i: str, name: str) -> tuple[list[str], list[str]]:
    """Lines that load coefficients, and the new value of each field, of the cell at site `i`.

    Its old values are c0, c1; those around it are read FROM an array.

    Args:
        workload: what is run.
        i: its site.
        name: what names are made different by.
    """
    ndim = workload.ndim
    strides = [(workload.cells + 2) ** (ndim - 1 - axis) for axis in range(ndim)]

    def u(field: int, offset: int) -> str:
        return f"FROM[{field} * N_SITE + {i} + {offset}]" if offset else f"c{field}{name}"

    def around(field: int) -> str:
        pairs = itertools.product(strides, (1, -1))
        return "(" + " + ".join(u(field, sign * s) for s, sign in pairs) + ")"

    if workload.rule == HETEROGENEOUS:
        loads, terms = [], [u(0, 0)]
        for axis, s in enumerate(strides):
            ahead, behind = f"p{axis}{name}", f"m{axis}{name}"
            loads.append(f"const T {ahead} = k[{axis} * N_SITE + {i}];")
            loads.append(f"const T {behind} = k[{axis} * N_SITE + {i} - {s}];")
            terms.append(f"{ahead} * ({u(0, s)} - {u(0, 0)})")
            terms.append(f"{behind} * ({u(0, -s)} - {u(0, 0)})")
        return loads, [" + ".join(terms)]
    if workload.rule == "gray_scott":
        a, b = u(0, 0), u(1, 0)
        fed, gone = REACTION["F"], REACTION["F"] + REACTION["k"]
        met = f"{a} * {b} * {b}"
        return [], [
            f"T({1 - 0.8 - fed!r}) * {a} + T(0.2) * {around(0)} - {met} + T({fed!r})",
            f"T({1 - 0.4 - gone!r}) * {b} + T(0.1) * {around(1)} + {met}",
        ]
    ratio = workload.ratio
    return [], [f"T({1 - 2 * ndim * ratio!r}) * {u(0, 0)} + T({ratio!r}) * {around(0)}"]


def _lines(lines: Sequence[str]) -> str:
    return "\n  ".join(lines)

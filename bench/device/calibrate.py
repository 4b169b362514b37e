"""What the pipes of a multiprocessor, the memory and a launch can do on this machine.

Bounds are counted instructions over pipe rates. The rates assumed for compute capability 9.0 are
in `ASSUMED`; here they are measured by kernels that do one thing, with every multiprocessor full
of threads, and a cycle counter on the device, so that they do not depend on the clock frequency.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from bench.device.clock import seconds_of
from bench.device.trials import Bench, reason_of
from gpupatch.backends._cuda_source import kernel_text

ASSUMED = {
    "issue": 128.0,
    "fp32": 128.0,
    "fp64": 64.0,
    "shuffle": 32.0,
    "shared": 32.0,
    "integer": 64.0,
    "special": 16.0,
}
"""Operations of one thread per clock and multiprocessor."""

_CHAINS, _THREADS, _BLOCKS = 8, 256, 8
_UNROLLED = 256  # operations in a loop: the loop itself takes three more

_HEAD = """
#if defined(__CUDACC__)
#define CYCLES() clock64()
#define RSQRT(x) asm volatile("rsqrt.approx.ftz.f32 %0, %0;" : "+f"(x))
#else
#define CYCLES() 0
#define RSQRT(x) x = 1.0f / sqrtf(x)
#endif
"""

_PROBE = """
extern "C" __global__ void __launch_bounds__({threads}, {blocks})
{name}({type}* out, int64_t* cycles, {type} b, {type} c, int n) {{
  const int me = threadIdx.x;
  {before}
  {values}
  __syncthreads();
  const int64_t begin = CYCLES();
#pragma unroll 1
  for (int i = 0; i < n; ++i) {{
    {body}
  }}
  const int64_t end = CYCLES();
  const {type} total = {total};
  if (total == b + {type}(12345)) out[me] = total;
  if (me == 0) cycles[blockIdx.x] = end - begin;
}}
"""

_TABLE = """GP_SHARED(int, table, [1024]);
  for (int i = me; i < 1024; i += 256) table[i] = (i + 32) % 1024;"""

_PROBES: dict[str, tuple[str, str, str, int, str]] = {
    "fp32": ("float", "", "a{j} = fmaf(a{j}, b, c);", 1, "a{j}"),
    "fp64": ("double", "", "a{j} = fma(a{j}, b, c);", 1, "a{j}"),
    "shuffle": ("int", "", "a{j} = __shfl_xor_sync(0xffffffffu, a{j}, 1);", 1, "a{j}"),
    "shared": ("int", _TABLE, "a{j} = table[a{j}];", 1, "a{j}"),
    "integer": ("int", "", "a{j} = max(a{j} ^ b, c);", 2, "a{j}"),
    "special": ("float", "", "RSQRT(a{j});", 1, "a{j}"),
    "issue": (
        "float",
        "int " + ", ".join(f"k{j} = me + {j}" for j in range(_CHAINS)) + ";\n"
        "  const int d = int(b * 1000.0f), e = int(c * 1000.0f);",
        "a{j} = fmaf(a{j}, b, c); a{j} = fmaf(a{j}, c, b); a{j} = fmaf(a{j}, b, b); "
        "a{j} = fmaf(a{j}, c, c); k{j} = max(k{j} ^ d, e);",
        6,
        "a{j} + float(k{j})",
    ),
}
"""By pipe: type, what comes before, one operation of chain j, operations in it, its result."""

_NOTHING = 'extern "C" __global__ void nothing(int n) {}\n'


def calibrate(bench: Bench, quick: bool = False) -> None:
    """Write a row for every pipe, for the memory and for launches.

    Args:
        bench: where.
        quick: shorter measurements.
    """
    for name in _PROBES:
        if bench.time_for(f"calibration of {name}"):
            _written(bench, name, lambda name=name: pipe(bench, name, quick))
    _written(bench, "memory", lambda: memory(bench, quick))
    _written(bench, "launches", lambda: launches(bench))


def _written(bench: Bench, name: str, measure) -> None:
    row: dict[str, Any] = {"kind": "calibration", "what": name}
    try:
        bench.write(row | measure())
    except Exception as error:  # a probe that fails is a row with its reason
        bench.write(row | {"reason": reason_of(error)})


def probe_text(name: str) -> str:
    """The source of the probe of a pipe."""
    kind, before, one, operations, result = _PROBES[name]
    unrolled = _UNROLLED // (_CHAINS * operations)
    chains = range(_CHAINS)
    first = "me" if name == "shared" else "b + {kind}(me % 7 + {j})"
    values = [f"{kind} a{j} = " + first.format(kind=kind, j=j) + ";" for j in chains]
    body = [one.replace("{j}", str(j)) for _ in range(unrolled) for j in chains]
    text = _PROBE.format(
        name="probe",
        type=kind,
        threads=_THREADS,
        blocks=_BLOCKS,
        before=before,
        values=" ".join(values),
        body="\n    ".join(body),
        total=" + ".join(result.replace("{j}", str(j)) for j in chains),
    )
    return kernel_text("prologue.cuh") + _HEAD + text


def pipe(bench: Bench, name: str, quick: bool) -> dict[str, Any]:
    """Operations per clock and multiprocessor of one pipe, and the clock meanwhile.

    Args:
        bench: where.
        name: key of `ASSUMED`.
        quick: a shorter measurement.
    """
    device, clock = bench.device, bench.clock
    kind, _, _, operations, _ = _PROBES[name]
    real = {"float": np.float32, "double": np.float64, "int": np.int32}[kind]
    b, c = (real(3), real(5)) if kind == "int" else (real(0.999), real(0.5))
    module = device.compile(probe_text(name), ["probe"])
    blocks = _BLOCKS * device.limits.multiprocessors
    out = device.put(np.zeros(_THREADS, dtype=real))
    cycles = device.put(np.zeros(blocks, dtype=np.int64))
    per_loop = _UNROLLED // (_CHAINS * operations) * _CHAINS * operations
    wanted = 4e5 if quick else 4e6  # cycles
    loops = int(wanted * ASSUMED[name] / (_THREADS * _BLOCKS * per_loop))
    loops = 2 if bench.rehearsal else max(loops, 16)

    def run() -> None:
        module.launch("probe", blocks, _THREADS, (out, cycles, b, c, np.int32(loops)))

    run()
    seconds = [seconds_of(clock, run) for _ in range(3 if bench.rehearsal else 9)]
    row: dict[str, Any] = {"assumed": ASSUMED[name], "operations_per_thread": loops * per_loop}
    if not bench.rehearsal:
        spent = float(np.median(device.get(cycles)))
        row["per_clock"] = _THREADS * _BLOCKS * loops * per_loop / spent
        row["mhz_of_counter"] = spent / statistics.median(seconds) * 1e-6
        row["seconds"] = seconds
        row["resources"] = module.resources("probe")._asdict()
    return row


def memory(bench: Bench, quick: bool) -> dict[str, Any]:
    """Bytes read and written per second by a copy that fits in no cache."""
    xp, count = bench.device.xp, 1 << (16 if bench.rehearsal else 26 if quick else 28)
    source = xp.arange(count, dtype=xp.float64)
    target = xp.full(count, np.nan)

    def run() -> None:
        target[...] = source

    run()
    seconds = [seconds_of(bench.clock, run) for _ in range(3 if bench.rehearsal else 9)]
    if not bool((target == source).all()):
        raise ArithmeticError("a copy differs from what was copied")
    row: dict[str, Any] = {"bytes": 16 * count}
    if not bench.rehearsal:
        row |= {"seconds": seconds, "bytes_per_second": 16 * count / statistics.median(seconds)}
    return row


def launches(bench: Bench) -> dict[str, Any]:
    """Seconds per launch of a kernel that does nothing: one after the other, and as a graph."""
    device, count = bench.device, 10 if bench.rehearsal else 1000
    module = device.compile(kernel_text("prologue.cuh") + _NOTHING, ["nothing"])

    def run() -> None:
        for _ in range(count):
            module.launch("nothing", 1, 32, (np.int32(0),))

    run()
    replay = device.record(run)
    replay()
    plain, graph, dispatch = [], [], []
    for _ in range(3 if bench.rehearsal else 9):
        plain.append(seconds_of(bench.clock, run) / count)
        graph.append(seconds_of(bench.clock, replay) / count)
        bench.clock.wait()
        began = time.perf_counter()
        run()
        dispatch.append((time.perf_counter() - began) / count)
    row: dict[str, Any] = {"launches": count}
    if not bench.rehearsal:
        row |= {
            "seconds_per_launch": statistics.median(plain),
            "seconds_per_launch_in_graph": statistics.median(graph),
            "seconds_of_host_per_launch": statistics.median(dispatch),
        }
    return row

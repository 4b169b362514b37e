"""What a user would pick instead for particles: JAX, PyTorch, a burst in plain CUDA; all pairs.

All take the steps of velocity Verlet in periodic boxes, in the same precision, from the same state.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.device.particle_cases import CUTOFF, DT, ParticleCase
from bench.device.peers import BURST, STEP, torch_on
from bench.device.trials import Bench, Candidate
from gpupatch.backends._cuda_source import kernel_text

_TYPES = {"float64": "double", "float32": "float"}

_NAIVE = """
typedef {type} T;
constexpr int N = {n};

// Block per patch, thread per particle, positions in shared memory, all pairs.
extern "C" __global__ void __launch_bounds__({n})
burst(T* x, T* v, T side, T cut, T h, int n_steps) {{
  GP_SHARED(T, s, [3][N]);
  const int i = threadIdx.x;
  x += int64_t(blockIdx.x) * 3 * N;
  v += int64_t(blockIdx.x) * 3 * N;
  T r[3], u[3], f[3];
  for (int a = 0; a < 3; ++a) {{
    r[a] = s[a][i] = x[a * N + i];
    u[a] = v[a * N + i];
  }}
  __syncthreads();
  for (int step = 0; step <= n_steps; ++step) {{
    f[0] = f[1] = f[2] = T(0);
    for (int j = 0; j < N; ++j) {{
      T d[3], square = T(0);
      for (int a = 0; a < 3; ++a) {{
        d[a] = r[a] - s[a][j];
        d[a] -= side * rint(d[a] / side);
        square += d[a] * d[a];
      }}
      if (square < cut * cut && j != i) {{
        const T one = T(1) / square, six = one * one * one;
        const T g = T(48) * one * six * (six - T(0.5));
        for (int a = 0; a < 3; ++a) f[a] += g * d[a];
      }}
    }}
    __syncthreads();
    for (int a = 0; a < 3; ++a) {{
      if (step > 0) u[a] += h / T(2) * f[a];
      if (step < n_steps) {{
        u[a] += h / T(2) * f[a];
        r[a] += h * u[a];
        s[a][i] = r[a];
      }}
    }}
    __syncthreads();
  }}
  for (int a = 0; a < 3; ++a) {{
    x[a * N + i] = r[a];
    v[a * N + i] = u[a];
  }}
}}
"""


def naive_text(n: int, dtype: str) -> str:
    """The source of the plain burst.

    Args:
        n: particles of a patch.
        dtype: "float64" or "float32".
    """
    return kernel_text("prologue.cuh") + _NAIVE.format(type=_TYPES[dtype], n=n)


def naive_burst(bench: Bench, case: ParticleCase) -> Candidate:
    """A burst per launch as an expert writes it in an afternoon."""
    device, state = bench.device, case.state
    real = np.dtype(case.dtype).type
    module = device.compile(naive_text(case.workload.particles, case.dtype), ["burst"])
    x, v = (device.put(a.astype(case.dtype)) for a in (state.positions, state.velocities))

    def reset() -> None:
        x[...] = device.put(state.positions.astype(case.dtype))
        v[...] = device.put(state.velocities.astype(case.dtype))

    def run(n_steps: int) -> None:
        numbers = (real(state.box[0, 0]), real(CUTOFF), real(DT), np.int32(n_steps))
        module.launch("burst", case.patches, case.workload.particles, (x, v, *numbers))

    return Candidate(reset, run, lambda: x, heard=True)


def jax_pairs(bench: Bench, case: ParticleCase) -> Candidate:
    """All pairs under `vmap`, steps in a `fori_loop` under jit."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax  # pyright: ignore[reportMissingImports]

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

    if not bench.rehearsal and jax.default_backend() != "gpu":
        raise RuntimeError(f"JAX runs on {jax.default_backend()}, not on the GPU")
    side, state = float(case.state.box[0, 0]), case.state

    def burst(x, v, n_steps: int):
        def step(_, moved):
            x, v, f = moved
            v = v + DT / 2 * f
            x = x + DT * v
            f = jax.vmap(lambda one: _forces(jnp, one[None], side)[0])(x)
            return x, v + DT / 2 * f, f

        f = jax.vmap(lambda one: _forces(jnp, one[None], side)[0])(x)
        return jax.lax.fori_loop(0, n_steps, step, (x, v, f))[:2]

    compiled = jax.jit(burst, static_argnums=2, donate_argnums=(0, 1))
    held: dict[str, Any] = {}

    def reset() -> None:
        held["x"] = jnp.asarray(state.positions, dtype=case.dtype)
        held["v"] = jnp.asarray(state.velocities, dtype=case.dtype)

    def run(n_steps: int) -> None:
        held["x"], held["v"] = compiled(held["x"], held["v"], n_steps)
        held["x"].block_until_ready()

    return Candidate(reset, run, lambda: held["x"])


def torch_pairs(bench: Bench, case: ParticleCase) -> Candidate:
    """All pairs of all patches as arrays [patch, axis, particle, particle], as batched codes do."""
    torch = torch_on(bench)
    place = "cpu" if bench.rehearsal else "cuda"
    state, side = case.state, float(case.state.box[0, 0])
    kind = getattr(torch, case.dtype)
    x, v = (torch.tensor(a, dtype=kind, device=place) for a in (state.positions, state.velocities))

    def reset() -> None:
        x.copy_(torch.tensor(state.positions, dtype=kind))
        v.copy_(torch.tensor(state.velocities, dtype=kind))

    def run(n_steps: int) -> None:
        f = _in_parts(torch, x, side)
        for _ in range(n_steps):
            v.add_(f, alpha=DT / 2)
            x.add_(v, alpha=DT)
            f = _in_parts(torch, x, side)
            v.add_(f, alpha=DT / 2)

    return Candidate(reset, run, lambda: x)


_AT_ONCE = 1 << 28
"""Pairs for which arrays are held at the same time."""


def _in_parts(torch, x, side: float):
    count = max(1, _AT_ONCE // x.shape[2] ** 2)
    return torch.cat([_forces(torch, part, side) for part in x.split(count)])


def _forces(xp, x, side: float):
    """Forces of Lennard-Jones particles, [patch, axis, particle], by array operations."""
    d = x[:, :, :, None] - x[:, :, None, :]
    d = d - side * xp.round(d / side)
    square = (d * d).sum(1)
    near = (square < CUTOFF**2) & (square > 0)
    one = 1 / xp.where(near, square, xp.ones_like(square))
    six = one * one * one
    g = xp.where(near, 48 * one * six * (six - 0.5), xp.zeros_like(square))
    return (g[:, None] * d).sum(3)


PARTICLE_PEERS: dict[str, tuple[str, Callable[[Bench, ParticleCase], Candidate]]] = {
    "JAX": (STEP, jax_pairs),
    "torch batched": (STEP, torch_pairs),
    "naive burst": (BURST, naive_burst),
}
"""By name what is launched, and how it is made; they take the steps of Newton's dynamics."""

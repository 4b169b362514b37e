"""The same burst in NumPy, JAX and PyTorch, as a user of each would write it for all patches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.workloads import STEPS, Workload

Runner = Callable[[], object]


def numpy_burst(workload: Workload, dtype: str) -> tuple[Runner, np.ndarray]:
    """NumPy slices, vectorised over all patches, in place."""
    u = workload.state().astype(dtype)
    k, dt, h = _constants(workload, dtype)
    inner = (slice(None),) + (slice(1, -1),) * workload.ndim

    def run():
        for _ in range(STEPS):
            for index, rate in enumerate(workload.rate(np, u, k, h)):
                u[:, index][inner] += dt * rate

    return run, u


def jax_burst(workload: Workload, dtype: str) -> tuple[Runner, Callable[[], np.ndarray]] | None:
    """A jitted `fori_loop` over array steps, or None where JAX is not installed."""
    try:
        import jax  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

    k, dt, h = _constants(workload, dtype)
    kj = jnp.asarray(k)
    inner = (slice(None),) + (slice(1, -1),) * workload.ndim

    @jax.jit
    def burst(u):
        def step(_, u):
            rates = workload.rate(jnp, u, kj, h)
            for index, rate in enumerate(rates):
                u = u.at[(inner[0], index, *inner[1:])].add(dt * rate)
            return u

        return jax.lax.fori_loop(0, STEPS, step, u)

    state = {"u": jnp.asarray(workload.state().astype(dtype))}

    def run():
        state["u"] = burst(state["u"]).block_until_ready()

    return run, lambda: np.asarray(state["u"])


def torch_burst(workload: Workload, dtype: str) -> tuple[Runner, Callable[[], np.ndarray]] | None:
    """Sliced tensors in place without gradients, or None where PyTorch is not installed."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    k, dt, h = _constants(workload, dtype)
    u = torch.from_numpy(workload.state().astype(dtype))
    kt = torch.from_numpy(np.ascontiguousarray(k))
    dt, h = float(dt), float(h)
    inner = (slice(None),) + (slice(1, -1),) * workload.ndim

    def run():
        with torch.no_grad():
            for _ in range(STEPS):
                for index, rate in enumerate(workload.rate(torch, u, kt, h)):
                    u[:, index][inner] += dt * rate

    return run, u.numpy


def _constants(workload: Workload, dtype: str):
    model, real = workload.model("float64"), np.dtype(dtype).type
    return model.coefficients.astype(dtype), real(workload.plan().dt), real(model.spacing[0])

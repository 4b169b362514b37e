"""What a user would pick instead: the same burst in CuPy, JAX, PyTorch, Triton and plain CUDA.

Every peer has the same precision and stepper and starts from the same states. One that is absent
or fails says so in its row.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from bench.device.cases import Case
from bench.device.peer_kernels import burst_peer, step_peer
from bench.device.trials import Bench, Candidate

Maker = Callable[[Bench, Case], Candidate]

STEP, BURST = "a launch or more per step", "a launch per burst"


def slices(bench: Bench, case: Case) -> Candidate:
    """Array slices, several kernels and temporaries per step."""
    device, change = bench.device, case.workload.change
    k = device.put(case.premultiplied)
    u = device.put(case.start)
    inside = (slice(None),) + (slice(1, -1),) * case.workload.ndim

    def reset() -> None:
        u[...] = device.put(case.start)

    def run(n_steps: int) -> None:
        for _ in range(n_steps):
            for f, increment in enumerate(change(u, k)):
                u[:, f][inside] += increment

    return Candidate(reset, run, lambda: u)


def jax_loop(bench: Bench, case: Case) -> Candidate:
    """A `fori_loop` under jit, its state given away; padding keeps it one fused kernel a step."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax  # pyright: ignore[reportMissingImports]

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_matmul_precision", "highest")
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

    if not bench.rehearsal and jax.default_backend() != "gpu":
        raise RuntimeError(f"JAX runs on {jax.default_backend()}, not on the GPU")
    change = case.workload.change
    k = jnp.asarray(case.premultiplied)
    around = ((0, 0), (0, 0)) + ((1, 1),) * case.workload.ndim

    def burst(u, k, n_steps: int):
        def step(_, u):
            return u + jnp.pad(jnp.stack(change(u, k), axis=1), around)

        return jax.lax.fori_loop(0, n_steps, step, u)

    compiled = jax.jit(burst, static_argnums=2, donate_argnums=0)
    held: dict[str, Any] = {}

    def reset() -> None:
        held["u"] = jnp.array(case.start, copy=True)

    def run(n_steps: int) -> None:
        held["u"] = compiled(held["u"], k, n_steps).block_until_ready()

    return Candidate(reset, run, lambda: held["u"])


def compiled_torch(bench: Bench, case: Case, graph: bool = False) -> Candidate:
    """`torch.compile` of one step between two tensors.

    Args:
        bench: where.
        case: what is run.
        graph: whether all steps of a burst are one CUDA graph.
    """
    torch = torch_on(bench)
    change, ndim = case.workload.change, case.workload.ndim
    u, v, k = tensors(bench, case)
    inside = (slice(None),) + (slice(1, -1),) * ndim

    def step(to, source, k):
        for f, increment in enumerate(change(source, k)):
            to[:, f][inside] = source[:, f][inside] + increment

    backend = "eager" if bench.rehearsal else "inductor"
    compiled = torch.compile(step, dynamic=False, fullgraph=True, backend=backend)

    def steps(n_steps: int) -> None:
        for number in range(n_steps):
            compiled(*((u, v) if number % 2 else (v, u)), k)

    return torch_candidate(bench, case, u, v, steps, graph)


def torch_on(bench: Bench):
    """PyTorch, without TF32 and on the stream of the device.

    Raises:
        ImportError: if it is not there.
        RuntimeError: if it cannot use the GPU.
    """
    import torch  # pyright: ignore[reportMissingImports]

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_grad_enabled(False)
    torch._dynamo.config.recompile_limit = 64  # one for each precision, shape and rule
    if not bench.rehearsal:
        if not torch.cuda.is_available():
            raise RuntimeError("PyTorch cannot use the GPU")
        pointer = bench.device.xp.cuda.get_current_stream().ptr
        torch.cuda.set_stream(torch.cuda.ExternalStream(pointer))
    return torch


def tensors(bench: Bench, case: Case) -> tuple[Any, Any, Any]:
    """Two states and the coefficients times dt / dx^2, as tensors on the device."""
    torch = torch_on(bench)
    place = "cpu" if bench.rehearsal else "cuda"
    u = torch.tensor(case.start, device=place)
    k = torch.tensor(case.premultiplied, device=place)
    return u, u.clone(), k


def torch_candidate(
    bench: Bench, case: Case, u, v, steps: Callable[[int], object], graph: bool
) -> Candidate:
    """A candidate whose state is a tensor.

    Args:
        bench: where.
        case: what is run.
        u: the state, before and after.
        v: the other state, NaN inside until it is written.
        steps: takes steps; an even number of them.
        graph: whether to record them as a CUDA graph.
    """
    torch = torch_on(bench)
    inside = (slice(None), slice(None)) + (slice(1, -1),) * case.workload.ndim
    recorded: dict[int, Any] = {}

    def reset() -> None:
        u.copy_(torch.tensor(case.start))
        v.copy_(u)
        v[inside] = float("nan")

    def replayed(n_steps: int) -> None:
        if n_steps not in recorded:
            kept = [u.clone(), v.clone()]
            steps(n_steps)  # whatever is compiled is compiled before the recording
            torch.cuda.synchronize()
            graph_of = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph_of):
                steps(n_steps)
            torch.cuda.synchronize()
            u.copy_(kept[0])
            v.copy_(kept[1])
            recorded[n_steps] = graph_of
        recorded[n_steps].replay()

    return Candidate(reset, replayed if graph and not bench.rehearsal else steps, lambda: u)


def _triton(graph_or_burst: str) -> Maker:
    def make(bench: Bench, case: Case) -> Candidate:
        from bench.device import peer_triton

        return getattr(peer_triton, graph_or_burst)(bench, case)

    return make


PEERS: dict[str, tuple[str, Maker]] = {
    "slices": (STEP, slices),
    "kernel per step": (STEP, lambda bench, case: step_peer(bench, case, graph=False)),
    "kernel per step, graph": (STEP, lambda bench, case: step_peer(bench, case, graph=True)),
    "JAX": (STEP, jax_loop),
    "torch.compile": (STEP, compiled_torch),
    "torch.compile, graph": (STEP, lambda b, c: compiled_torch(b, c, graph=True)),
    "Triton per step, graph": (STEP, _triton("per_step")),
    "Triton burst": (BURST, _triton("burst")),
    "naive burst": (BURST, burst_peer),
}
"""By name what is launched, and how it is made."""

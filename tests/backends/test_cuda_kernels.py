"""Which kernel runs, and why."""

from typing import Any, cast

import numpy as np
import pytest
from problems import problem, rounding

from gpupatch.backends import _cuda_kernels
from gpupatch.backends._cuda import CudaBackend
from gpupatch.backends._cuda_cells import Tile
from gpupatch.backends._device import Resources
from gpupatch.errors import BackendError
from gpupatch.micro import lattice

NOW = 0.3


class Crowded:
    """The device of the tests, whose compiler is short of registers for the first kernels."""

    def __init__(self, device, local):
        self._device, self.local = device, list(local)

    def __getattr__(self, name):
        return getattr(self._device, name)

    def compile(self, source, names):
        module = self._device.compile(source, names)
        if names == ("burst",):
            local = self.local.pop(0) if self.local else 0
            if local is None:
                raise BackendError("the CUDA compiler refused a kernel: too much shared data")
            module.resources = lambda _: Resources(255, local, 0)
        return module


def burst(backend, given, stepper="euler", edge="dirichlet"):
    kernels = backend.load(given.model, "float64")
    u = kernels.pack(given.u)
    out = kernels.burst(u, given.plan(stepper, edge=edge), NOW)
    ((name, reason),) = kernels.facts()["kernels"].items()
    return kernels.unpack(u), out, name, reason


def agree(given, found, expected):
    for a, b in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rounding(given, "float64", 8))


@pytest.fixture
def plain(host):
    return CudaBackend(host.device, kernels="plain")


@pytest.mark.parametrize("name", ["diffusion2d", "gray_scott2d", "heterogeneous_diffusion1d"])
def test_euler_steps_are_taken_in_registers_and_agree_with_those_in_shared_memory(
    host, plain, name
):
    given = problem(lattice.get(name[:-2], int(name[-2])), shared=False)
    tile, shared = burst(host, given), burst(plain, given)
    assert tile[2].startswith("tile, ")
    assert shared[2:] == (f"plain, {shared[2].split()[1]} threads per patch", "it was asked for")
    agree(given, tile, shared)


TILES = [
    Tile((1, 1), (7, 7)),
    Tile((2, 2), (3, 3), (1, 1)),
    Tile((2, 2), (4, 4)),
    Tile((4, 4), (2, 2)),
    Tile((2, 1), (3, 7), (1, 0)),
    Tile((8, 8), (1, 1)),
]


@pytest.mark.parametrize("tile", TILES, ids=lambda t: f"{t.lanes} lanes, {t.cells} cells")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_tile_takes_the_same_steps(host, plain, monkeypatch, tile, dtype):
    given = problem(lattice.get("gray_scott", 2), shared=False)
    monkeypatch.setattr(_cuda_kernels, "tiles_for", lambda *_: [tile])
    _cuda_kernels.for_bursts.cache_clear()
    speed = np.random.default_rng(1).normal(size=given.u.shape).astype(dtype)
    results = []
    for backend in (host, plain):
        kernels = backend.load(given.model, dtype)
        for rate in (None, speed):
            u = kernels.pack(given.u)
            results.append((kernels.burst(u, given.plan(), NOW, rate), kernels.unpack(u)))
    for found, expected in zip(results[:2], results[2:], strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=rounding(given, dtype, 8))
    _cuda_kernels.for_bursts.cache_clear()


@pytest.mark.parametrize(
    ("stepper", "edge", "reason"),
    [("rk4", "dirichlet", "Euler steps, not rk4"), ("euler", "neumann", "keep their slope")],
)
def test_what_tiles_cannot_do_is_done_in_shared_memory(host, stepper, edge, reason):
    _, _, name, told = burst(host, problem(lattice.get("diffusion", 1)), stepper, edge)
    assert name.startswith("plain")
    assert reason in told


def test_a_tile_that_spills_or_does_not_compile_gives_way_to_the_next(host, plain):
    given = problem(lattice.get("diffusion", 2))
    backend = CudaBackend(cast(Any, Crowded(host.device, [64, None])))
    found = burst(backend, given)
    assert found[2].startswith("tile, ")
    assert "took 64 B of local memory" in found[3]
    assert "refused a kernel" in found[3]
    agree(given, found, burst(plain, given))


def test_when_all_tiles_spill_the_plain_kernel_runs(host):
    backend = CudaBackend(cast(Any, Crowded(host.device, [8, 16, 24])))
    _, _, name, reason = burst(backend, problem(lattice.get("diffusion", 2)))
    assert name.startswith("plain")
    assert reason.count("local memory") == 3


def test_an_unknown_class_of_kernels_is_refused(host):
    with pytest.raises(BackendError, match="Did you mean `tile`"):
        CudaBackend(host.device, kernels="tiles")

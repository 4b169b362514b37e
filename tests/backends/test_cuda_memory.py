"""Device memory is computed before it is asked for."""

import numpy as np
import pytest
from problems import problem

from gpupatch.backends._cuda import CudaBackend
from gpupatch.backends._cuda_memory import MemoryPlan
from gpupatch.errors import BackendError
from gpupatch.micro import lattice

NOW = 0.3


def device_with(host, **limits):
    """The same device with less of something."""
    smaller = type(host.device)(limits=host.device.limits._replace(**limits))
    return CudaBackend(smaller)


def fused(backend, given, dtype):
    kernels = backend.load(given.model, dtype)
    extended = given.lifting.extended(given.U, NOW)
    out = kernels.lift_burst_restrict(given.lifting, extended, given.plan(), NOW)
    return out, kernels.batch.launched["burst"]


@pytest.mark.parametrize("shared", [True, False], ids=["one medium", "a medium for each patch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bursts_in_pieces_give_the_same_bits(host, dtype, shared):
    given = problem(lattice.get("heterogeneous_diffusion", 1), shared=shared)
    whole, launches = fused(host, given, dtype)
    assert launches == 1
    kernels = host.load(given.model, dtype)
    plan = kernels._fused_memory(kernels.batch.bursts("euler").program, 2)
    room_for_five = int((plan.shared + 5.5 * plan.bytes_per_patch) / 0.85)
    pieces, launches = fused(device_with(host, memory=room_for_five), given, dtype)
    assert launches == 3
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("name", ["gray_scott2d", "diffusion3d"])
def test_patches_beyond_shared_memory_are_advanced_in_device_memory(host, name):
    given = problem(lattice.get(name[:-2], int(name[-2])))
    on_chip, _ = fused(host, given, "float64")
    off_chip, _ = fused(device_with(host, shared=512), given, "float64")
    np.testing.assert_array_equal(off_chip, on_chip)


def test_coupled_patches_that_do_not_fit_are_refused_before_anything_is_allocated(host):
    given = problem(lattice.get("diffusion", 2))
    kernels = device_with(host, memory=30_000).load(given.model, "float64")
    with pytest.raises(BackendError, match=r"72 coupled patches need .* are free: \d+ patches"):
        kernels.describe("rk4", coupled=True)
    u = kernels.pack(given.u)
    with pytest.raises(BackendError, match="Use fewer patches"):
        kernels.advance(given.coupling, u, NOW, given.dt, 2, "rk4")
    assert not kernels.batch.launched


def test_a_plan_counts_every_byte_once():
    plan = MemoryPlan({"row": 600, "base": 400}, 10_000, 100, 200_000)
    assert plan.total == 110_000
    assert plan.chunk == 100
    assert str(plan) == "1000 B per patch (600 B row + 400 B base), 110 kB in all, 200 kB free"
    tight = MemoryPlan({"row": 600, "base": 400}, 10_000, 100, 70_000)
    assert tight.chunk == 49
    assert str(tight).endswith("in 3 pieces of 49 patches")
    with pytest.raises(BackendError, match=r"one patch needs 11 kB .* 10 kB are free"):
        _ = MemoryPlan({"row": 600, "base": 400}, 10_000, 100, 10_000).chunk

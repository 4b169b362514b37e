"""Bursts of particles agree with NumPy while a sanitizer watches, and a planted race is found."""

import re
import sys
from typing import Any

import numpy as np
import pytest
from cuda_host.fenced import FencedDevice
from cuda_host.host import HERE, run_python, why_not

SUITE = str(HERE.parent / "backends" / "test_cuda_particles.py")
FEW = {"asan": ("fluid-warp", "fluid-list"), "tsan": ("fluid-list", "ring-block")}
BARRIER = """  __device__ __forceinline__ void publish() {
    team.sync();
"""


def watched(mode: str, which: str, *more: str) -> int:
    """Run comparisons under a sanitizer, with further options; how many there were."""
    reason = why_not(mode)
    if reason:
        pytest.skip(reason)
    options = ("-q", "-p", "no:cacheprovider", "-k", which, *more)
    done = run_python(mode, "-m", "pytest", *options, SUITE)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-2000:]
    return int(passed[1])


@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_nothing_is_found_in_a_few_bursts(mode):
    few = " or ".join(f"({each})" for each in FEW[mode])
    assert watched(mode, f"host and bursts_agree and float64 and ({few})") == len(FEW[mode])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_nothing_is_found_in_any_burst_in_a_warp_or_a_block(mode):
    which = "host and agree_with_the_definition and float64 and not list"
    assert watched(mode, which, "-m", "not cuda") > 20


class Careless(FencedDevice):
    """A device whose kernels change positions before all threads have read the old ones."""

    def compile(self, source, names) -> Any:
        """As `FencedDevice.compile`, less a barrier."""
        assert source.count(BARRIER) == 1
        return super().compile(source.replace(BARRIER, BARRIER.replace("team.sync();", "")), names)


def run_carelessly() -> None:
    """A burst without the barrier, to be run under a sanitizer."""
    sys.path.insert(0, str(HERE.parent))
    from particle_problems import fluid

    from gpupatch.backends._cuda_particles import CudaParticles

    problem = fluid(n=40, ndim=2)
    kernels = CudaParticles(problem.model, "float64", Careless(), "block")
    handle = kernels.pack(problem.state)
    kernels.burst(handle, problem.plan(8))
    assert np.isfinite(kernels.unpack(handle).positions).all()


def test_a_missing_barrier_between_steps_is_found():
    reason = why_not("tsan")
    if reason:
        pytest.skip(reason)
    run = "from cuda_host.test_particles_watched import run_carelessly; run_carelessly()"
    done = run_python("tsan", "-c", run)
    assert done.returncode != 0
    assert "data race" in done.stderr
    assert "particles_block.cuh" in done.stderr

"""Kernels agree with NumPy while a sanitizer watches every access to memory."""

import re

import pytest
from cuda_host.host import HERE, run_python, why_not

PARITY = str(HERE.parent / "backends" / "test_parity.py")
KERNELS = str(HERE.parent / "backends" / "test_cuda_kernels.py")
FEW = (
    "test_bursts_agree and gray_scott2d",
    "test_bursts_agree and diffusion2d",
    "test_bursts_of_unusual_rules_agree and shaken",
    "test_fused_lift_burst_restrict_agrees and burgers1d",
    "test_coupled_steps_agree and host-diffusion1d",
    "test_lifts_and_restrictions_agree and diffusion1d and float32",
)


@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_nothing_is_found_in_a_few_acts(mode):
    few = " or ".join(f"({each})" for each in FEW)
    assert compare(mode, f"host and ({few})") == len(FEW)


@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_nothing_is_found_in_a_tile_of_two_warps(mode):
    assert compare(mode, "every_tile and float64 and 8", KERNELS) == 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_nothing_is_found_in_any_comparison(mode):
    assert compare(mode, "host and agree") > 50
    assert compare(mode, "every_tile", KERNELS) > 10


def compare(mode: str, which: str, file: str = PARITY) -> int:
    """Run comparisons under a sanitizer; how many there were."""
    reason = why_not(mode)
    if reason:
        pytest.skip(reason)
    options = ("-q", "-p", "no:cacheprovider", "-k", which)
    done = run_python(mode, "-m", "pytest", *options, file)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-2000:]
    return int(passed[1])

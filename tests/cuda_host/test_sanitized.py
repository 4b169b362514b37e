"""Kernels agree with NumPy while a sanitizer watches every access to memory."""

import re

import pytest
from cuda_host.host import HERE, run_python, why_not

PARITY = str(HERE.parent / "backends" / "test_parity.py")
FEW = (
    "test_bursts_agree and gray_scott2d",
    "test_bursts_of_unusual_rules_agree and shaken",
    "test_fused_lift_burst_restrict_agrees and burgers1d",
    "test_coupled_steps_agree and host-diffusion1d",
    "test_lifts_and_restrictions_agree and diffusion1d and float32",
)


@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_nothing_is_found_in_a_few_acts(mode):
    assert compare(mode, " or ".join(f"({each})" for each in FEW)) == len(FEW)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_nothing_is_found_in_any_comparison(mode):
    assert compare(mode, "agree") > 50


def compare(mode: str, which: str) -> int:
    """Run comparisons under a sanitizer; how many there were."""
    reason = why_not(mode)
    if reason:
        pytest.skip(reason)
    options = ("-q", "-p", "no:cacheprovider", "-k", f"host and ({which})")
    done = run_python(mode, "-m", "pytest", *options, PARITY)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-2000:]
    return int(passed[1])

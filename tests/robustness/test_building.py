"""Whatever the parser takes is built, or refused in the error family; runs end with their codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from robustness.odd_values import odd_values
from robustness.schema_walk import keys

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="limits of a process are those of POSIX"
)
CASES = (
    "burgers", "rod", "flux", "brownian_soft", "hard_rods", "lj_fluid", "chain_heat", "walkers",
    "lj_couette", "polymer_stretch",
)  # fmt: skip


def swept(stride, *cases):
    """What the sweep found, and how many values it tried."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("sweep.py")), str(stride), *cases],
        capture_output=True, text=True, timeout=3000,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    return answer["findings"], answer["tried"]


def test_every_key_has_odd_values():
    assert all(odd_values(key.annotation) for key in keys())


def test_odd_values_that_the_parser_takes_are_built_or_refused():
    findings, tried = swept(23, *CASES)
    assert not findings
    assert tried > 200


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_all_odd_values_that_the_parser_takes_are_built_or_refused(case):
    findings, tried = swept(1, case)
    assert not findings
    assert tried > 300

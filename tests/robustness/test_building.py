"""Whatever the parser takes is built, or refused in the error family; runs end with their codes."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from robustness.odd_values import odd_values
from robustness.schema_walk import keys

from gpupatch.cli import main

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


REFUSED = {
    "a burst that measures its edges": ("rod", "grid.buffer=0.0", "burst.length"),
    "a truth that begins later": ("burgers", "time.start=-1", "compare.exact"),
    "a truth that is not finite": ("rod", "compare.exact=log(x - 3)", "compare.exact"),
    "a truth of several numbers": ("hard_rods", "compare.exact.params.amplitude=[1, 2]", "one num"),
    "rods longer than their line": ("hard_rods", "particles.length=1e12", "have no room"),
    "a chain of one particle": ("chain_heat", "particles.number=1", "at least two particles"),
    "a medium without values": ("rod", "coefficients.D=1/x", "no coefficient `D`"),
    "a domain beyond powers": ("rod", "grid.domain=[[-1e300, 1e300]]", "Use other units"),
    "a field beyond doubles": ("chain_heat", "particles.field=1e308*(2 + x)", "not harmonic"),
    "edges wider than any rule": ("rod", "grid.edges=1000000", "between 1 and 100"),
    "more waves than sites": (
        "burgers", 'initial.u={ random = "smooth", amplitude = 1, waves = 1000000000 }', "waves",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_begin_is_refused_without_a_trace(what, tmp_path, capsys):
    case, change, told = REFUSED[what]
    out = tmp_path / "run"
    words = ["run", case, "--set", change, "--backend", "numpy", "-q", "--out", str(out)]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("gpupatch: error: ")
    assert told in error
    assert len(error) < 3000
    assert not list(tmp_path.iterdir())


def test_a_refusal_at_the_first_step_keeps_what_others_put_into_the_directory(tmp_path):
    out = tmp_path / "run"
    words = ["run", "rod", "--backend", "numpy", "-q", "--out", str(out), "--set", "time.end=0.001"]
    assert main(words) == 0
    (out / "notes.txt").write_text("mine")
    assert main([*words[:1], "hard_rods", *words[2:-2], "--overwrite", "--set",
                 "particles.length=1e12", "--set", "compare="]) == 2  # fmt: skip
    assert [file.name for file in out.iterdir()] == ["notes.txt"]


def test_a_state_that_stops_being_finite_ends_the_run_with_code_3(tmp_path, capsys):
    out = tmp_path / "run"
    words = ["run", "burgers", "--backend", "numpy", "-q", "--out", str(out)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main([*words, "--set", "time.dt=0.02"]) == 3
    assert "stopped being finite" in capsys.readouterr().err
    assert json.loads((out / "report.json").read_text())["status"] == "nonfinite"

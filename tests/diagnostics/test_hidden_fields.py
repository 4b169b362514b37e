"""Fields of a rule that are no coarse variables, from a case file to its results."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends.select import get_backend
from gpupatch.compare import full_domain_reference
from gpupatch.errors import GpupatchError, SchemeError
from gpupatch.files.case import load_case
from gpupatch.files.output import SolutionWriter
from gpupatch.run import execute, resume, run_case
from gpupatch.run.build import build

CASE = """
title = "Heat with a fast partner"
[model]
rule = "rule.py:exchanging"
params = { D = 1.0, rate = 1e5 }
[grid]
domain = [[0.0, 1.0]]
patches = 8
core = 0.01
buffer = 0.055
dx = 0.005
allow_overlap = true
[scheme]
kind = "burst"
order = "spectral"
hidden = { v = "0.5 + 0*x" }
[burst]
length = 1.2e-4
[initial]
u = "1 + 0.5*cos(2*pi*x)"
[time]
end = 0.04
projection = "ab2"
step = 0.004
save = 3
[output]
patches = true
[compare]
exact = "1 + 0.5*exp(-4*pi**2*D*t)*cos(2*pi*x)"
[checkpoint]
every = 1
[run]
backend = "numpy"
"""
RULE = '''
import gpupatch as gp


@gp.rule(fields="u v")
def exchanging(u, v, D, rate, dx):
    """v relaxes to u, which diffuses through v: u_t = D v_xx, v_t = rate (u - v)."""
    return D * (v[1] - 2 * v[0] + v[-1]) / dx**2, rate * (u[0] - v[0])
'''


def empty_picture(directory: Path) -> None:
    (directory / execute.PLOT).touch()


@pytest.fixture
def case(tmp_path, monkeypatch):
    """The path of the case file; runs draw nothing."""
    monkeypatch.setattr(execute, "_draw", empty_picture)
    (tmp_path / "rule.py").write_text(RULE)
    path = tmp_path / "case.toml"
    path.write_text(CASE)
    return path


def run(case, *overrides):
    out = case.parent / f"out{len(overrides)}"
    outcome = run_case(load_case(case, overrides), out, trust=True, quiet=True)
    assert outcome.exit_code == 0
    with netCDF4.Dataset(str(out / "solution.nc")) as file:
        file.set_auto_mask(False)
        return {name: np.array(stored[...]) for name, stored in file.variables.items()}


def test_a_hidden_field_of_a_case_is_no_variable_of_its_results(case):
    found = run(case)
    assert "u" in found
    assert not [name for name in found if name.split("_")[0] == "v"]
    assert np.abs(found["u"] - found["u_exact"]).max() < 0.01


def test_a_case_with_hidden_fields_is_compared_with_the_full_domain(case):
    exact = 'exact = "1 + 0.5*exp(-4*pi**2*D*t)*cos(2*pi*x)"'
    case.write_text(CASE.replace(exact, "full_domain = true"))
    found = run(case)
    assert found["u_exact"].shape == found["u"].shape
    assert np.abs(found["u"] - found["u_exact"]).max() < 0.01


def test_hidden_coarse_values_are_not_enough_for_the_full_domain(case):
    parts = build(load_case(case), get_backend("numpy")[0], trust=True)
    assert isinstance(parts.scheme, gp.BurstScheme)
    scheme = parts.scheme.variant(hidden={"v": np.ones((1, 8))})
    with pytest.raises(SchemeError, match="the hidden field `v` is given as coarse values"):
        full_domain_reference(scheme, parts.initial, 0.0)


def test_a_run_with_hidden_fields_is_taken_up_to_the_last_bit(case, monkeypatch):
    whole = run(case)
    append, count = SolutionWriter.append, [0]

    def fatal(self, *args, **kwargs):
        count[0] += 1
        if count[0] > 1:
            raise RuntimeError("the process dies")
        append(self, *args, **kwargs)

    out = case.parent / "died"
    with monkeypatch.context() as patched:
        patched.setattr(SolutionWriter, "append", fatal)
        with pytest.raises(RuntimeError, match="the process dies"):
            run_case(load_case(case), out, trust=True, quiet=True)
    assert resume(out, trust=True, quiet=True).exit_code == 0
    with netCDF4.Dataset(str(out / "solution.nc")) as file:
        file.set_auto_mask(False)
        for name, expected in whole.items():
            np.testing.assert_array_equal(file.variables[name][...], expected)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("initial.v=1.0", "this field is in `scheme.hidden`"),
        ('scheme.hidden.w="0"', "`w`"),
        ('scheme.hidden.v="y"', "scheme.hidden.v"),
        ('scheme.kind="flux"', "hidden"),
    ],
)
def test_a_wrong_hidden_field_is_refused_by_its_path(case, override, told):
    with pytest.raises(GpupatchError, match=told):
        build(load_case(case, [override]), get_backend("numpy")[0], trust=True)

"""Built-in cases on lattices raise the flags that they say they raise, and no others."""

import pytest

from gpupatch.backends.select import get_backend
from gpupatch.diagnostics import free_diagnosis
from gpupatch.files.builtin import builtin_names
from gpupatch.files.case import load_case
from gpupatch.run import build
from gpupatch.run.diagnose import diagnose_case

LATTICES = [name for name in builtin_names() if load_case(name).particles is None]
COSTLY = {"gray_scott", "heat2d", "heat3d", "homogenisation1d", "homogenisation2d", "porous2d"}
"""Cases of which all diagnostics take long, or need a compiler; a new case is none of them."""
CASES = [
    pytest.param(name, marks=pytest.mark.slow) if name in COSTLY else name for name in LATTICES
]


@pytest.mark.parametrize("name", CASES)
def test_a_built_in_case_raises_what_it_expects(name):
    case = load_case(name)
    found = diagnose_case(case, backend="auto" if name in COSTLY else "numpy")
    assert set(found.raised) == set(case.diagnostics.expect_flags), found.table()


@pytest.mark.parametrize("name", LATTICES)
def test_a_run_of_a_built_in_case_raises_nothing_else(name):
    case = load_case(name)
    parts = build(case, get_backend("numpy")[0])
    start, end = case.time.start, case.time.end
    found = free_diagnosis(
        parts.scheme, parts.initial, start, parts.projection, case.diagnostics.tolerance,
        end - start,
    )  # fmt: skip
    assert set(found.raised) <= set(case.diagnostics.expect_flags), found.table()


def test_the_costly_cases_are_built_in_cases():
    assert set(LATTICES) >= COSTLY

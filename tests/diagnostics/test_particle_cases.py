"""Built-in cases of particles raise the flags that they say they raise, and no others."""

import pytest

from gpupatch.backends.select import get_backend
from gpupatch.diagnostics import diagnose, free_diagnosis, particle_diagnosis
from gpupatch.files.builtin import builtin_names
from gpupatch.files.case import load_case
from gpupatch.run import build

PARTICLES = [name for name in builtin_names() if load_case(name).particles is not None]
QUICK = ["hard_rods", "walkers"]


def parts_of(name):
    case = load_case(name)
    return case, build(case, get_backend("numba")[0])


def test_all_kinds_of_particle_schemes_are_among_the_built_in_cases():
    kinds = {load_case(name).scheme.kind for name in PARTICLES}
    assert kinds == {"flux", "box", "box_flux", "stretch"}


@pytest.mark.parametrize("name", QUICK)
def test_runs_of_quick_cases_raise_what_they_expect(name):
    case, parts = parts_of(name)
    found = free_diagnosis(parts.scheme, parts.initial, 0.0, parts.projection, span=case.time.end)
    assert set(found.raised) == set(case.diagnostics.expect_flags)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTICLES)
def test_built_in_cases_raise_what_they_expect(name, monkeypatch):
    """Comparisons that noise leaves open within a tenth of a run are skipped, not raised."""
    monkeypatch.setattr(particle_diagnosis, "RUNS", 0.1)
    monkeypatch.setattr(particle_diagnosis, "LEAST_WORK", 1e7)
    case, parts = parts_of(name)
    found = diagnose(
        parts.scheme, parts.initial, case.time.start, parts.projection,
        case.diagnostics.tolerance, span=case.time.end - case.time.start,
    )  # fmt: skip
    assert set(found.raised) == set(case.diagnostics.expect_flags), found.table()

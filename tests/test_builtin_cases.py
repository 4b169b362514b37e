"""The cases that come with gpupatch: each starts, and each ends as near the truth as it says."""

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.files.builtin import builtin_names
from gpupatch.files.case import load_case
from gpupatch.run import build
from gpupatch.simulation import simulate

ERRORS = {
    "burgers": 1.3e-4,
    "fisher": 3.5e-4,
    "heat1d": 3e-4,
    "heat2d": 2.2e-3,
    "heat3d": 1.6e-3,
    "homogenisation1d": 9e-4,
    "homogenisation2d": 5.5e-3,
    "porous2d": 4.5e-2,
    "rod": 1e-5,
    "wave1d": 3e-4,
    "wave2d": 6e-4,
}


def run(case, backend):
    parts = build(case, get_backend(backend)[0])
    return simulate(
        parts.scheme,
        parts.initial,
        case.time.end,
        start=case.time.start,
        save=2,
        projection=parts.projection,
        exact=parts.exact,
    )


@pytest.mark.parametrize("name", builtin_names())
def test_a_built_in_case_begins_like_its_exact_solution(name):
    case = load_case(name)
    start, end = case.time.start, case.time.end
    case = load_case(name, [f"time.end={start + (end - start) / 2000!r}"])
    solution = run(case, "numpy")
    assert solution.status == "finished"
    assert np.isfinite(solution.coarse[-1]).all()
    if name in ERRORS:
        assert solution.error is not None
        assert solution.error <= ERRORS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ERRORS))
def test_a_built_in_case_ends_close_to_its_exact_solution(name):
    solution = run(load_case(name), "auto")
    assert solution.error is not None
    assert solution.error <= ERRORS[name]


@pytest.mark.slow
def test_rings_of_the_autocatalyst_stay_between_hunger_and_plenty():
    solution = run(load_case("gray_scott"), "auto")
    u, v = solution["u"][-1], solution["v"][-1]
    assert u.min() > -0.01
    assert u.max() < 1.01
    assert 0.2 < v.max() < 0.6

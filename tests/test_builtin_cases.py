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


SMALL = {
    "walkers": ["run.replicas=2", "time.end=0.0008"],
    "hard_rods": ["burst.replicas=2", "run.replicas=2", "time.end=3000"],
    "brownian_soft": ["burst.replicas=2", "run.replicas=2", "grid.patches=4", "time.end=100"],
    "lj_fluid": ["particles.number=108", "scheme.settle=0.1", "time.end=0.2", "grid.patches=1",
                 "particles.pair.cutoff=2.3"],
    "lj_couette": ["scheme.settle=0.1", "burst.length=0.3", "burst.heal=0.1", "grid.patches=2",
                   "time.end=50"],
    "lj_heat": ["scheme.settle=0.1", "burst.length=0.3", "burst.heal=0.1", "grid.patches=4",
                "scheme.order=2", "time.end=20"],
    "chain_heat": ["burst.replicas=2", "run.replicas=2", "burst.length=2", "burst.heal=1",
                   "time.end=8000"],
    "polymer_stretch": ["scheme.chains=4", "scheme.settle=0.3", "time.end=1.5"],
}  # fmt: skip
"""What makes the cases of particles small."""
LATTICES = [name for name in builtin_names() if name not in SMALL]


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


@pytest.mark.parametrize("name", LATTICES)
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


@pytest.mark.parametrize("name", SMALL)
def test_a_case_of_particles_runs_and_knows_its_standard_error(name):
    solution = run(load_case(name, SMALL[name]), "numpy")
    assert solution.status == "finished"
    assert np.isfinite(solution.coarse[-1]).all()
    assert solution.report["particle_steps"] > 0
    assert all(error > 0 for error in solution.report["standard_error"].values())
    assert solution.report["error_in_standard_errors"].keys() == solution.report["error"].keys()
    dataset = solution.to_xarray()
    for field in solution.layout.fields:
        assert dataset[f"{field}_error"].attrs["long_name"] == f"standard error of {field}"


def test_walkers_obey_the_diffusion_equation_within_their_own_error_bar():
    """V16: the amplitude of the wave, averaged over replicas, after it has decayed by half."""
    solution = run(load_case("walkers"), "auto")
    assert solution.exact is not None
    x = solution.layout.centres[0]
    wave = np.sin(2 * np.pi * x)
    amplitudes = solution["density"][-1] @ wave / (wave @ wave)
    exact = solution.exact[-1][0, 0] @ wave / (wave @ wave)
    error = amplitudes.std(ddof=1) / np.sqrt(len(amplitudes))
    assert abs(amplitudes.mean() - exact) < 3.5 * error
    assert error < 0.01 * exact
    assert solution.report["replicas"] == len(amplitudes) == 8
    assert solution.report["error_in_standard_errors"]["density"] < 2
    total = solution["density"].sum(axis=2)
    np.testing.assert_allclose(total[1], total[0], rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_case_of_particles_ends_at_the_truth_within_its_own_error_bar(name):
    solution = run(load_case(name), "auto")
    assert max(solution.report["error_in_standard_errors"].values()) < 3.5

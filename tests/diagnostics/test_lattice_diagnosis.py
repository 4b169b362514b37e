"""What diagnostics leave alone, what is physics and no fault, and where the findings end up."""

import json

import numpy as np
import pytest
from lattice_problems import COSINE, NUMPY, RING, remembering, telegraph

import gpupatch as gp
from gpupatch.diagnostics import free_diagnosis
from gpupatch.diagnostics.coupled_variations import CoupledVariations
from gpupatch.errors import CaseError, InputError, SchemeError
from gpupatch.files.case import load_case
from gpupatch.files.report import read_report
from gpupatch.micro import lattice
from gpupatch.run.diagnose import diagnose_case
from gpupatch.run.execute import run_case


def heated(dt=None, **more):
    grid = gp.PatchGrid(RING, [8], sites=5, ratio=0.2)
    problem = gp.Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    return gp.CoupledScheme(problem, NUMPY, dt=dt, **more)


def spreading(step):
    grid = gp.PatchGrid([(0, 1)], [10], core=0.004, buffer=0.008, dx=0.0005)
    problem = gp.Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    scheme = gp.BurstScheme(problem, NUMPY, gp.Burst(2.5e-6))
    return scheme, gp.Projection("euler", step=step)


def test_a_diagnosis_leaves_a_scheme_and_its_random_numbers_alone():
    @gp.rule(fields="u", noise={"u": lambda u: 0.1})
    def restless(u, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2

    def scheme():
        grid = gp.PatchGrid([(0, 1)], [6], core=0.02, buffer=0.02, dx=0.002)
        problem = gp.Problem(restless, grid, seed=4)
        return gp.BurstScheme(problem, NUMPY, gp.Burst(1e-5), order=2, micro="euler")

    fresh, tested = scheme(), scheme()
    U = tested.initial({"u": lambda x: np.sin(2 * np.pi * x)})
    free_diagnosis(tested, U, span=1.0)
    assert tested.micro_steps == 0
    np.testing.assert_array_equal(tested.slope(0.0, U), fresh.slope(0.0, U))


def test_noise_larger_than_the_slope_is_flagged_and_its_cure_is_replicas():
    @gp.rule(fields="u", noise={"u": lambda u: 1.0})
    def restless(u, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2

    grid = gp.PatchGrid([(0, 1)], [6], core=0.02, buffer=0.02, dx=0.002)
    scheme = gp.BurstScheme(
        gp.Problem(restless, grid), NUMPY, gp.Burst(1e-5), order=2, micro="euler"
    )
    found = gp.diagnose(scheme, {"u": lambda x: np.sin(2 * np.pi * x)}, span=1.0, only=["D7"])
    assert found.raised == ("D7",)
    assert "burst.replicas" in found["D7"].advice


@pytest.mark.parametrize(("step", "raised"), [(0.0018, ()), (0.006, ("D8",))])
def test_a_leap_beyond_the_stability_of_euler_is_raised(step, raised):
    """Order 4 on ten cells: the fastest mode has the rate 16/3 / H^2, hence step < 0.00375."""
    scheme, projection = spreading(step)
    initial = {"u": lambda x: np.sin(2 * np.pi * x)}
    found = gp.diagnose(scheme, initial, projection=projection, only=["D8"])
    assert found.raised == raised


def test_growth_that_is_physics_is_no_fault():
    """Fisher's equation about zero: all long waves grow."""
    grid = gp.PatchGrid([(0, 20)], [8], sites=5, ratio=0.2)
    problem = gp.Problem(lattice.get("fisher_kpp", 1), grid, {"D": 1.0, "r": 1.0})
    scheme = gp.CoupledScheme(problem, NUMPY)
    found = gp.diagnose(scheme, {"u": lambda x: 0.01 + 0.001 * np.sin(x)}, only=["D8"])
    assert found.raised == ()
    assert found["D8"].details["largest_growth_factor"] > 1


@pytest.mark.parametrize(("step", "raised"), [(0.5, ()), (4.0, ("D8",))])
def test_growth_by_leaps_is_compared_with_that_by_shorter_leaps(step, raised):
    """Fisher's equation about zero: uniform disturbances grow by 1 + step with Euler's method."""
    grid = gp.PatchGrid([(0, 10)], [8], core=0.04, buffer=0.08, dx=0.02)
    problem = gp.Problem(lattice.get("fisher_kpp", 1), grid, {"D": 1.0, "r": 1.0})
    scheme = gp.BurstScheme(problem, NUMPY, gp.Burst(2e-4))
    found = gp.diagnose(
        scheme, {"u": 1e-6}, projection=gp.Projection("euler", step=step), only=["D8"]
    )
    assert found.raised == raised
    if not raised:
        assert found["D8"].details["largest_growth_factor"] == pytest.approx(1 + step, rel=1e-3)


def test_a_turing_pattern_grows_as_it_should_and_is_no_fault():
    """The fastest wave of Schnakenberg's equations with d = 20 has the rate 0.263157895."""
    grid = gp.PatchGrid([(0, 2 * np.pi / 0.48666)], [8], core=0.04, buffer=0.08, dx=0.02)
    parameters = {"a": 0.1, "b": 0.9, "d": 20.0}
    problem = gp.Problem(lattice.get("schnakenberg", 1), grid, parameters)
    scheme = gp.BurstScheme(problem, NUMPY, gp.Burst(1.2e-5, dt=3e-6), order=6)
    found = gp.diagnose(
        scheme, {"u": 1.0, "v": 0.9}, projection=gp.Projection("rk4", step=0.03), only=["D8"]
    )
    assert found.raised == ()
    growth = np.log(found["D8"].details["largest_growth_factor"]) / 0.03
    assert growth == pytest.approx(0.263157895, rel=0.02)


def test_what_a_leap_leaves_of_a_transient_is_what_inner_steps_damp():
    """(M + 1) rho^k for projective forward Euler, nested or not."""
    scheme = heated()
    for method, levels in (("pfe", 1), ("telescopic", 2)):
        projection = gp.Projection(method, step=1.0, inner=2)
        found = CoupledVariations(scheme, projection).leapt_transient(gp.Burst(0.1), 0.01, 60.0)
        M, rho = 100 ** (1 / levels) - 3, np.exp(-0.6)
        inner = rho if levels == 1 else abs((M + 1) * rho - M) * rho**2
        assert found == pytest.approx((M + 1) * inner**2)


def test_micro_steps_beyond_stability_are_raised():
    stable = heated().stable_dt(heated().initial(COSINE), 0.0)
    for dt, raised in ((stable, ()), (1.6 * stable, ("D8",))):
        assert gp.diagnose(heated(dt=dt), COSINE, only=["D8"]).raised == raised


def test_fluxes_conserve_and_it_is_measured():
    grid = gp.PatchGrid([(0, 1)], [8], core=0.01, buffer=0.02, dx=0.001, cells=True)
    problem = gp.Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    scheme = gp.FluxScheme(problem, NUMPY, gp.Burst(1e-5))
    projection = gp.Projection("rk4", step=1e-3)
    initial = {"u": lambda x: 2 + np.sin(2 * np.pi * x)}
    found = gp.diagnose(scheme, initial, projection=projection, span=0.1)
    assert found.raised == ()
    assert found["D10"].threshold == 1e-13


def test_a_hidden_field_is_no_coarse_variable():
    scheme = remembering(0.001)
    U = scheme.initial(COSINE)
    assert scheme.names == ("u",)
    assert U.shape == (1, 1, 8)
    assert scheme.fields(U, 0.0).shape[1] == 1
    solution = gp.simulate(scheme, COSINE, 0.2, projection=gp.Projection("rk4", step=0.1), save=2)
    X = scheme.grid.centres[0]
    assert np.abs(solution["u"][-1, 0] - np.exp(-0.2) * np.cos(X)).max() < 2e-3


def test_a_hidden_field_has_to_be_one_of_the_rule_and_leave_another():
    grid = gp.PatchGrid(RING, [8], core=0.08, buffer=0.2, dx=0.04)
    problem = gp.Problem(telegraph, grid, {"D": 1.0, "tau": 1.0})
    for hidden in ({"p": 0.0}, {"u": 0.0, "q": 0.0}):
        with pytest.raises(SchemeError, match="`hidden` names"):
            gp.BurstScheme(problem, NUMPY, gp.Burst(0.01), hidden=hidden)


def test_a_diagnostic_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="no diagnostic `D12`"):
        gp.diagnose(heated(), COSINE, only=["D12"])


def test_every_run_reports_what_costs_nothing(tmp_path):
    case = load_case("heat1d", ["time.end=0.01"])
    assert run_case(case, tmp_path / "run", backend="numpy", quiet=True).exit_code == 0
    report = read_report(tmp_path / "run" / "report.json")
    verdicts = {one["id"]: one["verdict"] for one in report["diagnostics"]["findings"]}
    assert verdicts["D1"] == verdicts["D11"] == "PASS"
    assert report["diagnostics"]["raised"] == []
    # a probe of 24 micro-steps, twice
    assert report["diagnostics"]["cost_micro_steps"] < 100


def test_a_case_is_diagnosed_at_a_later_time_and_told_as_json():
    found = diagnose_case(load_case("heat1d"), backend="numpy", only=["D1'"], at=0.1)
    assert found["D1'"].verdict == "PASS"
    assert json.loads(json.dumps(found.record(), allow_nan=False))["raised"] == []
    with pytest.raises(CaseError, match="`--at` is 9"):
        diagnose_case(load_case("heat1d"), backend="numpy", at=9.0)

"""Runs: schedules, steps, callbacks, stops, and what a solution holds."""

import os
import signal
import threading

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.errors import InputError, NonFiniteError, SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.projection import Projection
from gpupatch.schedule import Schedule
from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme, Problem, Scheme
from gpupatch.scheme.box_flux import BoxFluxScheme
from gpupatch.scheme.boxes import BoxScheme
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.scheme.stretch import StretchScheme
from gpupatch.simulation import simulate

EXACT = 1e-12
CIRCLE = (0.0, 2 * np.pi)
WAVE = {"u": lambda x: 1 + np.sin(x)}


def heat(dt=None, members=None, ratio=0.3, **more):
    grid = PatchGrid([CIRCLE], [6], 7, ratio)
    parameters = {} if members else {"D": 1.0}
    problem = Problem(lattice.get("diffusion", 1), grid, parameters, members=members or {})
    return CoupledScheme(problem, NumpyBackend(), 4, dt=dt, **more)


@gp.rule(fields="u v")
def explosion(u, v, r):
    """v = v0 / (1 - r v0 t) leaves every bound at t = 1 / (r v0); u stands still."""
    return 0.0 * u[0], r * v[0] ** 2


def exploding(dt=0.01, dtype="float64"):
    """Member 1 explodes first, in the patch where v is largest."""
    grid = PatchGrid([CIRCLE], [6], 3, 0.3)
    problem = Problem(explosion, grid, members={"r": [0.1, 2.0]}, dtype=dtype)
    scheme = CoupledScheme(problem, NumpyBackend(), 2, dt=dt)
    X = grid.centres[0]
    return scheme, {"u": 1.0, "v": lambda x: np.where(np.abs(x - X[4]) < 0.2, 1.0, 0.1)}


def test_equally_spaced_times_include_both_ends():
    assert Schedule(0.0, 1.0, 5).times == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("given", [[0.7, 0.2], [0.2, 0.7, 0.2], [0.0, 0.2, 0.7, 1.0]])
def test_listed_times_are_sorted_and_the_ends_are_added(given):
    assert Schedule(0.0, 1.0, given).times == [0.0, 0.2, 0.7, 1.0]


@pytest.mark.parametrize(
    ("start", "end", "save", "found"),
    [
        (0.0, 0.0, 2, "not after its start"),
        (1.0, 0.5, 2, "ends at 0.5"),
        (0.0, 1.0, 1, "at least the two ends"),
        (0.0, 1.0, [0.5, 1.5], r"outside \[0.0, 1.0\]"),
        (0.0, float("nan"), 2, "not after"),
    ],
)
def test_impossible_schedules_are_refused(start, end, save, found):
    with pytest.raises(InputError, match=found):
        Schedule(start, end, save)


def test_runs_save_at_the_times_asked_for():
    solution = simulate(heat(), WAVE, 0.5, start=0.1, save=[0.13, 0.4])
    assert solution.times == [0.1, 0.13, 0.4, 0.5]
    assert solution["u"].shape == (4, 1, 6)
    assert solution.status == "finished"


def test_steps_are_shortened_evenly_and_never_lengthened(monkeypatch):
    scheme, taken = heat(dt=0.03), []
    advance = scheme.advance

    def spy(u, t, dt, n_steps):
        taken.extend([dt] * n_steps)
        return advance(u, t, dt, n_steps)

    monkeypatch.setattr(scheme, "advance", spy)
    simulate(scheme, WAVE, 0.31, save=[0.1])
    np.testing.assert_allclose(taken, [0.025] * 4 + [0.03] * 7, rtol=EXACT)


def test_what_is_saved_in_between_does_not_change_the_end_of_equal_steps():
    coarse = simulate(heat(dt=0.01), WAVE, 0.4, save=2).coarse[-1]
    fine = simulate(heat(dt=0.01), WAVE, 0.4, save=5).coarse[-1]
    np.testing.assert_allclose(fine, coarse, rtol=0, atol=EXACT)


def test_steps_come_in_whole_blocks_between_couplings(monkeypatch):
    scheme, blocks = heat(dt=0.01, every=4), []
    advance = scheme.advance
    monkeypatch.setattr(
        scheme, "advance", lambda u, t, dt, n: (blocks.append(n), advance(u, t, dt, n))[1]
    )
    simulate(scheme, WAVE, 0.31, save=2)
    assert all(n % 4 == 0 for n in blocks)
    assert sum(blocks) == 32


def test_the_step_is_chosen_from_the_rule_when_none_is_given():
    scheme = heat()
    report = simulate(scheme, WAVE, 0.1, save=2).report
    assert report["micro_dt"] <= scheme.stable_dt(scheme.initial(WAVE), 0.0)
    assert report["micro_dt"] > 0.5 * scheme.stable_dt(scheme.initial(WAVE), 0.0)


def test_nonlinear_rules_choose_their_step_again_at_every_save():
    """A porous drop spreads and thins; its diffusivity 2 u falls, so the steps grow."""
    grid = PatchGrid([(-4.0, 4.0)], [10], 5, 0.3)
    scheme = CoupledScheme(Problem(lattice.get("porous_medium", 1), grid), NumpyBackend(), 2)
    chosen = []
    choose = scheme.stable_dt
    scheme.stable_dt = lambda u, t: chosen.append(choose(u, t)) or chosen[-1]  # type: ignore
    simulate(scheme, {"u": lambda x: 0.01 + np.exp(-(x**2))}, 2.0, save=3)
    assert chosen[-1] > 1.3 * chosen[0]


def test_callbacks_see_time_and_coarse_values_after_every_leap():
    seen = []
    solution = simulate(
        heat(), WAVE, 0.2, save=3, projection=Projection("rk4", step=0.05),
        callbacks=[lambda t, U: seen.append((t, U.copy()))],
    )  # fmt: skip
    np.testing.assert_allclose([t for t, _ in seen], [0.05, 0.1, 0.15, 0.2], atol=EXACT)
    np.testing.assert_array_equal(seen[-1][1], solution.coarse[-1])
    assert seen[0][1].shape == (1, 1, 6)


def test_records_are_handed_out_as_they_are_saved():
    rows = []
    exact = {"u": lambda x, t: 1 + np.exp(-t) * np.sin(x)}
    simulate(
        heat(), WAVE, 0.2, save=3, exact=exact, keep_micro=True,
        record=lambda *row: rows.append(row),
    )  # fmt: skip
    assert [row[0] for row in rows] == pytest.approx([0, 0.1, 0.2])
    assert rows[1][1].shape == rows[1][3].shape == (1, 1, 6)
    assert rows[1][2].shape == (6, 1, 7)


def test_progress_is_told_the_time_and_the_work_done():
    told = []
    scheme = heat()
    simulate(scheme, WAVE, 0.2, save=2, progress=lambda t, work: told.append((t, work)))
    times, work = zip(*told, strict=True)
    assert list(times) == sorted(times)
    assert times[-1] == pytest.approx(0.2)
    assert work[-1] == scheme.cell_updates > 0


def run_explosion(**more):
    scheme, initial = exploding()
    with np.errstate(all="ignore"):
        return simulate(scheme, initial, 2.0, save=21, **more)


def test_a_state_that_stops_being_finite_is_located_and_the_last_good_one_kept():
    solution = run_explosion()
    failure = solution.failure
    assert solution.status == "nonfinite"
    assert isinstance(failure, NonFiniteError)
    assert (failure.member, failure.patch, failure.field) == (1, (4,), "v")
    assert 0.5 < failure.time < 0.7
    assert solution.times[-1] < failure.time
    assert all(np.isfinite(U).all() for U in solution.coarse)
    assert solution.report["failure"] == str(failure)
    assert "patch (4) of member 1" in str(failure)


def test_the_last_good_state_is_recorded_too():
    times = []
    solution = run_explosion(record=lambda t, *_: times.append(t))
    assert times == solution.times


def test_leaps_that_stop_being_finite_keep_the_last_good_state():
    """Classical Runge-Kutta leaps of 5 across heat whose slowest mode allows 2.8."""
    scheme = heat(burst=Burst(0.05))
    with np.errstate(all="ignore"):
        solution = simulate(scheme, WAVE, 5e3, save=2, projection=Projection("rk4", step=5.0))
    assert solution.status == "nonfinite"
    assert solution.failure is not None
    assert solution.failure.time - solution.times[-1] == pytest.approx(5)
    assert np.isfinite(solution.coarse[-1]).all()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_signals_stop_a_run_after_the_present_leap(number, status):
    def interrupt(t, U):
        if t > 0.35:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    solution = simulate(
        heat(), WAVE, 1.0, save=2, projection=Projection("rk4", step=0.1), callbacks=[interrupt]
    )
    assert solution.status == status
    assert solution.report["status"] == status
    assert solution.times[-1] == pytest.approx(0.4)
    assert signal.getsignal(number) is before


def test_a_second_signal_stops_at_once():
    def interrupt(t, U):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        simulate(heat(), WAVE, 1.0, save=2, callbacks=[interrupt])


def test_runs_in_other_threads_leave_signals_alone():
    solutions = []
    thread = threading.Thread(target=lambda: solutions.append(simulate(heat(), WAVE, 0.1, save=2)))
    thread.start()
    thread.join()
    assert solutions[0].status == "finished"


def test_errors_are_largest_differences_at_the_last_time():
    exact = {"u": lambda x, t: 1 + np.exp(-t) * np.sin(x)}
    solution = simulate(heat(), WAVE, 0.5, save=2, exact=exact)
    X = solution.layout.centres[0]
    expected = np.abs(solution.coarse[-1][0, 0] - exact["u"](X, 0.5)).max()
    assert solution.error == pytest.approx(expected)
    assert solution.report["error"] == {"u": pytest.approx(expected)}
    assert simulate(heat(), WAVE, 0.1, save=2).error is None


def test_members_are_judged_side_by_side():
    members = {"D": [0.5, 2.0]}

    def exact(t):
        X = heat().problem.grid.centres[0]
        return np.array([[1 + np.exp(-D * t) * np.sin(X)] for D in (0.5, 2.0)])

    solution = simulate(heat(members=members), WAVE, 0.5, save=2, exact=exact)
    assert solution.coarse[-1].shape == (2, 1, 6)
    assert solution.error is not None
    assert solution.error < 0.02
    dataset = solution.to_xarray()
    assert dataset["u"].dims == ("time", "member", "x")
    np.testing.assert_array_equal(dataset["D"], [0.5, 2.0])


def test_a_solution_is_a_dataset_that_says_how_it_was_made():
    dataset = simulate(
        heat(), WAVE, 0.2, save=3, keep_micro=True, attrs={"title": "heat"}
    ).to_xarray()
    assert dataset["u"].dims == ("time", "x")
    assert dataset["u_micro"].shape == (3, 6, 7)
    assert dataset.attrs["title"] == "heat"
    assert dataset.attrs["model"] == "diffusion1d"
    assert dataset.attrs["functional"] == "value at the centre of the patch"


def test_reports_count_the_work_and_what_the_whole_lattice_would_have_cost():
    report = simulate(heat(dt=0.01), WAVE, 0.2, save=3).report
    assert report["micro_steps"] == 20
    assert report["cell_updates"] == 20 * 4 * 6 * 5
    lattice_sites = 2 * np.pi / heat().problem.grid.spacing[0]
    assert report["cell_updates_of_the_full_lattice"] == pytest.approx(20 * 4 * lattice_sites)
    assert report["gain"] == pytest.approx(lattice_sites / 30)
    assert report["fraction_of_time"] == pytest.approx(1)


def test_leaping_runs_report_the_fraction_of_time_they_simulated():
    grid = PatchGrid([(0.0, 1.0)], [8], core=0.01, buffer=0.02, dx=0.001)
    problem = Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    scheme = BurstScheme(problem, NumpyBackend(), Burst(1e-5))
    report = simulate(
        scheme, {"u": lambda x: np.sin(2 * np.pi * x)}, 0.004, save=2,
        projection=Projection("rk4", step=0.002),
    ).report  # fmt: skip
    assert report["leaps"]["slopes"] == 8
    assert report["fraction_of_time"] == pytest.approx(8 * 1e-5 / 0.004)
    assert report["projection"] == {"method": "rk4", "step": 0.002}


def test_bursts_need_a_method_that_leaps():
    grid = PatchGrid([(0.0, 1.0)], [8], core=0.01, buffer=0.02, dx=0.001)
    problem = Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    with pytest.raises(InputError, match=r"`burst` scheme measures slopes.*choose a `projection`"):
        simulate(BurstScheme(problem, NumpyBackend(), Burst(1e-5)), {"u": 0.0}, 1.0)


def test_leaps_must_hold_whole_numbers_of_steps_between_couplings():
    scheme = heat(dt=0.01, every=5)
    with pytest.raises(SchemeError, match="no whole number of the 5 steps between couplings"):
        simulate(scheme, WAVE, 1.0, save=2, projection=Projection("prk2", step=0.5, inner=7))


def test_projective_runs_of_the_coupled_field_keep_the_truth():
    every_step = simulate(heat(ratio=0.1), WAVE, 0.6, save=2).coarse[-1]
    for method in ("rk4", "prk4"):
        scheme = heat(burst=Burst(0.02), ratio=0.1)
        projection = Projection(method, step=0.2)
        leaping = simulate(scheme, WAVE, 0.6, save=2, projection=projection).coarse[-1]
        np.testing.assert_allclose(leaping, every_step, rtol=0, atol=2e-4)


def test_the_last_good_state_of_a_single_precision_run_is_that_of_its_time():
    scheme, initial = exploding(dtype="float32")
    with np.errstate(all="ignore"):
        solution = simulate(scheme, initial, 2.0, save=21)
    v, t = solution["v"][:, 1, 4], np.array(solution.times)
    assert solution.status == "nonfinite"
    kept = t < 0.45
    np.testing.assert_allclose(v[kept], 1 / (1 - 2 * t[kept]), rtol=1e-3)


@pytest.mark.parametrize("seconds", [0.0, 100.0])
@pytest.mark.parametrize(("dtype", "s"), [("float64", 1.0), ("float32", 1.0), ("float32", 0.0)])
def test_results_do_not_depend_on_how_fast_the_machine_is(monkeypatch, dtype, s, seconds):
    """Seeded noise, and float32 with a moving base; blocks of steps grow with the machine."""

    @gp.rule(fields="u", noise={"u": lambda s: s})
    def noisy(u, s, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2 - u[0] ** 2

    def final():
        grid = PatchGrid([CIRCLE], [4], 5, 0.3)
        problem = Problem(noisy, grid, {"s": s}, seed=5, dtype=dtype)
        scheme = CoupledScheme(problem, NumpyBackend(), 2, micro="euler", dt=1e-3)
        return simulate(scheme, {"u": lambda x: 3 + np.sin(x)}, 1.0, save=2).coarse[-1]

    usual = final()
    monkeypatch.setattr("gpupatch.march._BLOCK_SECONDS", seconds)
    np.testing.assert_array_equal(final(), usual)


def test_a_failure_is_narrowed_down_to_one_step():
    """However long the blocks are that a run takes between its checks."""
    scheme, initial = exploding(dt=1e-3)
    with np.errstate(all="ignore"):
        solution = simulate(scheme, initial, 8.0, save=2)
    assert solution.failure is not None
    assert solution.failure.time - solution.times[-1] == pytest.approx(1e-3, rel=1e-6)
    assert solution.failure.time == pytest.approx(0.5, abs=0.02)


def test_every_scheme_offers_what_a_run_asks_for():
    members = {name for name in vars(Scheme) if not name.startswith("_")}
    members |= set(Scheme.__annotations__)
    for kind in (CoupledScheme, BurstScheme, FluxScheme, ParticleFluxScheme, ParticleBurstScheme,
                 ChainFluxScheme, BoxScheme, BoxFluxScheme, StretchScheme):  # fmt: skip
        kept_by_instances = {"micro_steps", "micro_time"}
        missing = {name for name in members - kept_by_instances if not hasattr(kind, name)}
        assert not missing, (kind, missing)


def test_lattices_have_no_particles_to_show():
    with pytest.raises(InputError, match="hold no particles to show"):
        simulate(heat(dt=0.01), WAVE, 0.1, show=lambda t, shown: None)

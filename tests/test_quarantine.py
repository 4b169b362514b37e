"""Neighbours stand in for failed patches: accuracy, conservation, limits, what is reported."""

import dataclasses
import warnings

import numpy as np
import pytest
from test_alone import NUMPY, density, failures, lattice, particles, wave
from test_boxes import LinearBoxes, conduction

import gpupatch as gp
from gpupatch.burst import Burst
from gpupatch.errors import CaseError, QuarantineError, SchemeError
from gpupatch.files.case import load_case
from gpupatch.micro import lattice as library
from gpupatch.scheme import BurstScheme, FluxScheme, Problem
from gpupatch.scheme.quarantine import Places, Quarantine, repaired

EXACT = 1e-13


def on_circle(n):
    return Places(((np.arange(n) + 0.5) / n,), (1.0,))


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("period", [1.0, None])
def test_the_error_of_what_neighbours_give_falls_with_the_order(order, period):
    """Several patches fail at once: next to each other, at an end, and one by itself."""
    errors = []
    for n in (24, 48, 96):
        X = (np.arange(n) + 0.5) / n
        values, failed = np.cos(2 * np.pi * X + 1)[None, None], np.zeros((1, n), bool)
        failed[0, [0, n // 4, n // 4 + 1, n // 2]] = True
        found = repaired(np.where(failed, np.nan, values), failed, Places((X,), (period,)), order)
        errors.append(abs(found - values).max())
    assert order - 0.3 < np.log2(errors[0] / errors[-1]) / 2 < order + 1.2


@pytest.mark.parametrize("shape", [(7,), (6, 5), (6, 5, 5)])
def test_neighbours_reproduce_polynomials_below_their_order(shape):
    rng = np.random.default_rng(1)
    X = tuple(np.sort(rng.uniform(0, 1, n)) for n in shape)
    x = np.meshgrid(*X, indexing="ij")
    values = np.stack([sum(a**3 for a in x), np.prod(x, axis=0)])[None]
    failed = rng.random((1, *shape)) < 0.1
    failed[0, 0] = False
    failed.flat[np.prod(shape) // 2] = True
    spoilt = np.where(failed[:, None], np.inf, values)
    found = repaired(spoilt, failed, Places(X, (None,) * len(shape)), 4)
    np.testing.assert_allclose(found, values, atol=1e-9)


def test_values_of_healthy_patches_are_not_touched():
    rng = np.random.default_rng(2)
    values, failed = rng.normal(size=(3, 2, 9)), rng.random((3, 9)) < 0.3
    found = repaired(values, failed, on_circle(9), 4)
    keep = np.broadcast_to(~failed[:, None], values.shape)
    np.testing.assert_array_equal(found[keep], values[keep])


def test_a_patch_whose_lines_have_failed_waits_for_its_neighbours():
    values = np.add.outer(np.arange(5.0), 10 * np.arange(5.0))[None, None]
    failed = np.zeros((1, 5, 5), bool)
    failed[0, 2], failed[0, :, 2] = True, True
    places = Places((np.arange(5.0),) * 2, (None, None))
    np.testing.assert_allclose(repaired(values, failed, places, 2), values, atol=EXACT)
    with pytest.raises(ValueError, match="no patch is healthy"):
        repaired(values, np.ones_like(failed), places, 2)


def spoilt(kernels, rows):
    """Let some patches of a batch give nothing finite in every burst."""
    run = kernels.lift_burst_restrict

    def burst(*args):
        out = run(*args)
        out[:, rows] = np.nan
        return out

    kernels.lift_burst_restrict = burst


def quietly(scheme, initial, end, step):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        leaps = gp.Projection("rk2", step=step)
        return gp.simulate(scheme, initial, end, save=3, projection=leaps)


@pytest.mark.parametrize("ndim", [1, 2])
def test_totals_are_conserved_to_round_off_while_patches_are_quarantined(ndim):
    grid = gp.PatchGrid(
        [(0.0, 1.0)] * ndim, [8] * ndim, core=0.01, buffer=0.01, dx=0.002, cells=True
    )
    problem = Problem(library.get("porous_medium", ndim), grid)
    scheme = FluxScheme(problem, NUMPY, Burst(2e-6), 4, max_quarantined=0.5)
    spoilt(scheme.kernels[0], [0, 3, 4])
    initial = {"u": lambda *x: 1 + 0.3 * sum(np.sin(2 * np.pi * a) for a in x)}
    found = quietly(scheme, initial, 0.002, 2e-4)
    u, cells = found["u"], tuple(range(2, 2 + ndim))
    total = u.sum(axis=cells)
    assert np.ptp(total) < 1e-12 * abs(total).max()
    assert abs(u[-1] - u[0]).max() > 1e-3
    assert found.report["quarantine"]["failures"] == 3 * found.report["quarantine"]["bursts"]


@pytest.mark.parametrize("kind", ["burst", "flux"])
def test_the_slope_with_failed_patches_converges_with_the_order(kind):
    """The largest error of a slope whose every fourth patch failed, against the healthy one."""
    errors = []
    for n in (12, 24, 48):
        grid = gp.PatchGrid(
            [(0.0, 1.0)], [n], core=0.004, buffer=0.004, dx=0.001, cells=kind == "flux"
        )
        problem = Problem(library.get("diffusion", 1), grid, {"D": 1.0})
        make = {"burst": BurstScheme, "flux": FluxScheme}[kind]
        healthy = make(problem, NUMPY, Burst(4e-7), 4)
        scheme = healthy.variant(max_quarantined=0.5)
        spoilt(scheme.batches[0], slice(0, None, 4))
        slopes = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for one in (healthy, scheme):
                slopes.append(one.slope(0.0, one.initial({"u": lambda x: np.sin(2 * np.pi * x)})))
        errors.append(abs(slopes[0] - slopes[1]).max())
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    # a flux is differenced over H once more
    assert np.all(rates > (4 if kind == "burst" else 3) - 0.4)


def test_anchored_methods_get_states_after_bursts_from_the_changes_of_neighbours():
    scheme = lattice("burst", share=0.3)
    sound = dataclasses.replace(scheme.problem, parameters={"D": 1.0, "bad": 2.0})
    healthy = scheme.variant(problem=sound)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        U = scheme.initial({"u": wave})
        (end, last), (expected, _) = scheme.burst(0.0, U), healthy.burst(0.0, U)
    assert np.isfinite(last).all()
    change = abs(expected - U).max()
    assert 0 < abs(end - expected).max() < 0.15 * change


def test_too_many_failures_end_the_run_with_its_own_error():
    scheme = lattice("burst", share=0.1)
    found = quietly(scheme, {"u": wave}, 0.01, 1e-3)
    assert found.status == "nonfinite"
    assert isinstance(found.failure, QuarantineError)
    assert found.failure.exit_code == 3
    assert "1 of 8 patches" in str(found.failure)


def test_without_quarantine_the_first_failure_still_ends_the_run():
    scheme = lattice("burst")
    seen = []
    scheme.quarantine.on_failure = seen.append
    found = quietly(scheme, {"u": wave}, 0.01, 1e-3)
    assert found.status == "nonfinite"
    assert not isinstance(found.failure, QuarantineError)
    assert "quarantine" not in found.report
    assert seen[0].patch == (2,)


def test_a_failure_is_told_once_by_a_warning_and_counted_in_the_report():
    scheme = lattice("burst", share=0.2)
    leaps = gp.Projection("euler", step=1e-3)
    with warnings.catch_warnings(record=True) as told, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        found = gp.simulate(scheme, {"u": wave}, 0.003, projection=leaps, save=[0.003])
    assert sum("interpolated" in str(one.message) for one in told) == 1
    entry = found.report["quarantine"]
    assert entry["failures"] == entry["bursts"] == 3
    (one,) = entry["patches"]
    assert one["patch"] == [2]
    assert one["first"] == 0.0
    assert one["last"] == pytest.approx(0.002)


def test_what_was_quarantined_is_part_of_the_memory_of_a_scheme():
    scheme = lattice("burst", share=0.2)
    failures(scheme, {"u": wave}, bursts=2)
    other = scheme.variant()
    other.remember(scheme.memory())
    assert other.quarantine.entries() == scheme.quarantine.entries()
    assert other.quarantine.entries()["quarantine"]["failures"] == 2
    fresh = scheme.variant()
    fresh.remember(scheme.variant().memory())
    assert fresh.quarantine.entries() == {}


def test_results_on_a_device_are_looked_at_when_the_run_is():
    """Handles stay unread until `examine`."""

    class Handle:
        def __init__(self, values):
            self.values = values

    def download(one):
        return getattr(one, "values", one)

    watch, seen = Quarantine(None, 2, download, remembers=True), []
    watch.on_failure = seen.append
    places, U = on_circle(4), Handle(np.ones((1, 1, 4)))
    watch.begin(0.0, U)
    for stream, bad in ((1, []), (2, [3]), (3, [1, 3])):
        out = np.ones((1, 1, 4))
        out[..., bad] = np.inf
        begun = watch.begun(0, 5, 0.1, stream, arrays={"extended": U})
        assert watch.failures(begun, [Handle(out)], places, 1) is None
    assert not seen
    watch.examine()
    assert [(one.patch, one.begun.stream) for one in seen] == [((3,), 2)]


@pytest.mark.parametrize("kind", ["flux", "burst"])
def test_exploded_particles_are_replaced_and_the_total_kept(kind):
    scheme = particles(kind)
    seen = failures(scheme, {"density": density})
    assert seen
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slope = scheme.slope(0.0, scheme.initial({"density": density}))
    assert np.isfinite(slope).all()
    if kind == "flux":
        assert abs(slope.sum()) < 1e-12 * abs(slope).sum()


def test_exploded_particles_end_a_run_that_stops():
    scheme, seen = particles("flux", share=None), []
    scheme.quarantine.on_failure = seen.append
    with pytest.raises(SchemeError, match="thrown"):
        scheme.slope(0.0, scheme.initial({"density": density}))
    assert seen


@pytest.mark.parametrize("strength", [None, 0.05])
def test_a_lost_box_is_replaced_by_its_neighbour_and_the_total_kept(strength):
    scheme = conduction(LinearBoxes(0.1), 2, strength=strength, max_quarantined=0.3)
    run, lost = scheme.kernels.burst, [5, 9]

    def burst(handle, plan):
        out = run(handle, plan)
        if plan.observables:
            handle.positions[lost] = np.nan
        return out

    U = scheme.initial({"temperature": lambda x: 1.2 + 0.2 * np.cos(2 * np.pi * x / 40)})
    scheme.slope(0.0, U)
    scheme.kernels.burst = burst
    with pytest.warns(UserWarning, match="2 of 16 patches failed"):
        slope = scheme.slope(0.0, U).values
    assert np.isfinite(slope).all()
    assert abs(slope.sum()) < 1e-12 * abs(slope).sum()
    assert scheme.boxes is not None
    assert np.isfinite(scheme.boxes.positions).all()
    lost.clear()
    assert np.isfinite(scheme.slope(0.0, U).values).all()


@pytest.mark.parametrize("name", ["burgers", "lj_fluid", "polymer_stretch"])
def test_cases_whose_patches_cannot_stand_in_for_each_other_refuse_quarantine(name):
    with pytest.raises(CaseError, match=r"run.on_failure.*use 'stop'"):
        load_case(name, ["run.on_failure=quarantine"])


def test_a_share_is_refused_where_it_is_none_or_has_no_effect():
    with pytest.raises(CaseError, match=r"run.max_quarantined"):
        load_case("walkers", ["run.max_quarantined=0.3"])
    with pytest.raises(CaseError, match=r"run.max_quarantined"):
        load_case("walkers", ["run.on_failure=quarantine", "run.max_quarantined=1.5"])
    with pytest.raises(SchemeError, match="`max_quarantined` is 2"):
        lattice("burst", share=2.0)

"""Particles that are spread evenly, hardly move, or are none: no flag, and nothing over zero."""

import numpy as np
import pytest
from particle_twins import rods, walkers

from gpupatch.diagnostics import diagnose, free_diagnosis, particle_diagnosis
from gpupatch.diagnostics.finding import SKIP


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    """Comparisons that noise leaves open after little work are skipped."""
    monkeypatch.setattr(particle_diagnosis, "LEAST_WORK", 1e5)
    monkeypatch.setattr(particle_diagnosis, "RUNS", 1e-3)


def found(twin, U):
    with np.errstate(divide="raise", invalid="raise"):
        return (
            diagnose(twin.scheme, U, projection=twin.projection, span=0.01),
            free_diagnosis(twin.scheme, U, projection=twin.projection, span=0.01),
        )


@pytest.mark.parametrize("kind", ["flux", "burst"])
def test_a_density_that_is_even_but_for_rounding_raises_nothing(kind):
    twin = walkers(kind=kind, density=1.2e3, step=1e-4)
    shape = (twin.scheme.n_members, 1, *twin.scheme.grid.patches)
    uneven = np.random.default_rng(0).normal(size=shape)
    for one in found(twin, 1.2e3 * (1 + 1e-15 * uneven)):
        assert one.raised == (), one.table()


def test_where_there_are_no_particles_nothing_is_tested():
    twin = walkers(step=1e-4)
    U = np.zeros((twin.scheme.n_members, 1, *twin.scheme.grid.patches))
    for one in found(twin, U):
        assert {finding.verdict for finding in one.findings} == {SKIP}


@pytest.mark.parametrize("length", [1e-12, 1e-6, 6.0])
def test_total_numbers_are_kept_however_short_a_burst_is(length):
    """In bursts of no length much is moved per time, beside which rounding counts."""
    twin = rods()
    burst = type(twin.scheme.burst_spec)(length, replicas=8)
    scheme = twin.scheme.variant(burst=burst)
    assert diagnose(scheme, twin.initial, span=1.0, only=["D10"]).raised == ()

"""Every assumption that a lattice system violates is flagged, and its healthy twin is silent."""

import numpy as np
import pytest
from lattice_problems import (
    COSINE,
    NUMPY,
    TRAVELLING,
    driven,
    layered,
    reaching,
    remembering,
    striped,
    swinging,
)

import gpupatch as gp
from gpupatch.diagnostics.coupled_variations import CoupledVariations
from gpupatch.diagnostics.finding import FAIL
from gpupatch.diagnostics.stability import fast_residual
from gpupatch.diagnostics.trial import Trial
from gpupatch.micro import lattice

LEAP = gp.Projection("rk4", step=0.04)
RIPPLE = {"u": lambda x: 1 + np.cos(2 * np.pi * x) / 2}
WIDE = {"u": lambda x: np.cos(2 * np.pi * x)}

VIOLATIONS = {
    "locality: a kernel as wide as its patch": (
        "D2", lambda: reaching(0.5, dx=0.08, bursts=15), COSINE,
    ),
    "healing: a wave crosses the buffer": ("D3", lambda: swinging(1.5), TRAVELLING),
    "memory: heat remembers longer than a burst": ("D4", lambda: remembering(1.0), COSINE),
    "description: the velocity of a wave is hidden": (
        "D5", lambda: swinging(0.8, hidden={"v": 0.0}), {"u": np.sin},
    ),
    "description: the flux that remembers is hidden": ("D5", lambda: remembering(1.0), COSINE),
}  # fmt: skip
NARROW = "a kernel much narrower than its patch"
SLOWEST = pytest.param(NARROW, marks=pytest.mark.slow)
TWINS = {
    "a wave does not get through the buffer": (lambda: swinging(0.8), TRAVELLING),
    "heat forgets within a burst": (lambda: remembering(0.001), COSINE),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violated_assumption_fails(name):
    id, scheme, initial = VIOLATIONS[name]
    found = gp.diagnose(scheme(), initial, projection=LEAP, span=1.0, only=[id])
    assert found[id].verdict == FAIL
    assert found[id].advice


@pytest.mark.parametrize("name", [SLOWEST, *TWINS])
def test_a_healthy_twin_is_silent(name):
    scheme, initial = {**TWINS, NARROW: (lambda: reaching(0.03), COSINE)}[name]
    found = gp.diagnose(scheme(), initial, projection=LEAP, span=1.0)
    assert found.raised == ()
    tested = {one.id for one in found.findings if one.measured is not None}
    assert {"D1", "D1'", "D2", "D3", "D4", "D5", "D6", "D8", "D9", "D11"} <= tested


@pytest.mark.parametrize("scheme", [gp.FluxScheme, gp.CoupledScheme])
@pytest.mark.parametrize(("burst", "raised"), [((0.05, 0.0), True), ((1.0, None), False)])
def test_patches_have_to_forget_how_they_were_lifted(scheme, burst, raised):
    found = gp.diagnose(
        striped(scheme, *burst), RIPPLE, projection=gp.Projection("rk2", step=1e-3), span=0.1,
        only=["D5"],
    )  # fmt: skip
    assert found.raised == (("D5",) if raised else ())
    if raised:
        assert "let patches heal longer" in found["D5"].advice


@pytest.mark.parametrize(
    ("burst", "step", "raised"), [((0.05, 0.0), 1e-3, True), ((1.0, None), 1.5e-4, False)]
)
def test_leaps_must_not_keep_what_is_fast(burst, step, raised):
    projection = gp.Projection("rk2", step=step)
    variations = CoupledVariations(striped(gp.CoupledScheme, *burst), projection)
    U = 1 + np.cos(2 * np.pi * variations.problem.grid.centres[0])[None, None] / 2
    assert fast_residual(Trial(variations, 0.0, U, projection)).raised == raised


@pytest.mark.parametrize(("omega", "raised"), [(400.0, True), (0.2, False)])
def test_a_leap_must_not_meet_what_rings_within_a_burst(omega, raised):
    scheme, projection = driven(omega)
    initial = {"u": np.cos, "q": 0.0}
    found = gp.diagnose(scheme, initial, projection=projection, span=1.0, only=["D4"])
    assert found.raised == (("D4",) if raised else ())


@pytest.mark.parametrize(("cells", "raised"), [(4, True), (256, False)])
def test_a_core_has_to_average_over_enough_cells_of_a_random_medium(cells, raised):
    found = gp.diagnose(
        layered(cells), WIDE, projection=gp.Projection("rk4", step=1e-3), tolerance=0.05,
        only=["D1"],
    )  # fmt: skip
    assert (found["D1"].verdict == FAIL) == raised
    assert found.raised == (("D1",) if raised else ())


def layers(x):
    """A medium of period .02."""
    return 2 + np.cos(2 * np.pi * x / 0.02)


def test_a_core_that_cuts_a_period_is_told_how_wide_to_be():
    whole, cut = (
        gp.PatchGrid([(0, 1)], [6], core=0.001 * n, buffer=0.01, dx=0.001) for n in (20, 25)
    )
    rule, verdicts = lattice.get("heterogeneous_diffusion", 1), []
    for grid in (whole, cut):
        problem = gp.Problem(rule, grid, {}, {"kappa": layers})
        scheme = gp.BurstScheme(problem, NUMPY, gp.Burst(1e-6))
        verdicts.append(gp.diagnose(scheme, WIDE, only=["D1"])["D1"])
    assert [one.raised for one in verdicts] == [False, True]
    assert verdicts[1].measured == pytest.approx(20 / 25)
    assert "0.02 wide" in verdicts[1].advice

"""Figures of the diagnostics beside closed forms and published numbers of the same set-ups."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lattice_problems import COSINE, layered, remembering

import gpupatch as gp
from gpupatch.diagnostics.locality import locality
from gpupatch.diagnostics.measured_variations import MeasuredVariations
from gpupatch.diagnostics.memory import memory
from gpupatch.diagnostics.trial import Trial

KERNEL_CHANGES = {
    0.02: (0.013946183298151728, 5.030945287189666e-05, "PASS"),
    0.1: (0.5013849032654221, 0.2572706543748771, "FAIL"),
    0.5: (0.7062322413937091, 0.6586298679111882, "FAIL"),
}
"""Range of an exponential kernel: changes on doubling a patch .25 wide, twice; verdict."""
RELIFTS = {
    (0.001, 0.005): 0.10934757378991333,
    (0.001, 0.05): 0.009628203303474301,
    (0.001, 0.5): 0.0005837289410857539,
}
"""(memory, burst) of the telegraph equation: change of U by a fresh lift."""


@dataclasses.dataclass
class Kernel:
    """A kernel of exponential range acts on x^2/2, which a patch knows up to its edges only."""

    reach: float
    width: float = 0.25
    noisy: bool = False

    @property
    def scheme(self) -> Any:
        return self

    def widened(self, factor: float) -> Any:
        return Kernel(self.reach, self.width * factor)

    def slope(self, scheme: Any, t, U):
        y = np.linspace(-40 * self.reach, 40 * self.reach, 80001)
        K = np.exp(-np.abs(y) / self.reach) / (2 * self.reach**3)
        known = np.minimum(np.abs(y), scheme.width / 2)
        return np.full((1, 1, 1), (K * known**2 / 2).sum() * (y[1] - y[0])), None

    def at_places_of(self, scheme, values, of=None):
        return values

    def advice(self, about: str) -> str:
        return about


@pytest.mark.parametrize("reach", KERNEL_CHANGES)
def test_changes_on_doubling_a_patch_are_those_of_the_kernel(reach):
    first, second, verdict = KERNEL_CHANGES[reach]
    kernel: Any = Kernel(reach)
    trial = Trial(kernel, 0.0, np.full((1, 1, 1), 1.0), span=1e3)
    found = locality(trial)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(first, rel=1e-3)
    again = trial.change(kernel.widened(4), than=kernel.widened(2))
    assert again == pytest.approx(second, rel=1e-2)


@pytest.mark.parametrize(("tau", "burst"), RELIFTS)
def test_a_fresh_lift_costs_what_the_telegraph_equation_says(tau, burst):
    # what spreads in the longest bursts must not reach the core
    long = burst > 0.1
    scheme = remembering(tau, burst, dt=1e-3 if long else 2e-4, buffer=3.2 if long else 1.2)
    U = scheme.initial(COSINE)
    found = memory(Trial(MeasuredVariations(scheme), 0.0, U, span=100.0))
    assert found.measured == pytest.approx(RELIFTS[tau, burst], rel=0.02)
    assert found.raised == (burst < 0.02)


@pytest.mark.parametrize("cells", [4, 16, 64, 256])
def test_the_scatter_of_a_random_medium_falls_as_the_root_of_its_cells(cells):
    """cv(1/kappa) / sqrt(cells), cv of a log-normal of sigma .5."""
    scheme = layered(cells, patches=32)
    found = gp.diagnose(scheme, {"u": 1.0}, only=["D1"], tolerance=0.05)["D1"]
    expected = np.sqrt(np.exp(0.25) - 1) / np.sqrt(cells)
    assert found.measured == pytest.approx(expected, rel=0.1)


def test_the_predicted_scatter_is_that_of_the_cores_of_the_medium():
    scheme = layered(16, patches=256)
    kappa = scheme.models[0].coefficients[:, 0]
    core = scheme.grid.core_sites[0]
    effective = 1 / (1 / kappa[:, core]).mean(axis=1)
    found = gp.diagnose(scheme, {"u": 1.0}, only=["D1"])["D1"]
    assert found.measured == pytest.approx(effective.std() / effective.mean(), rel=0.15)


def test_slopes_below_the_floor_do_not_matter():
    """A change of 1e-4 in a slope of 1e-5 is nothing for a U of 1 over a time of 1."""
    still: Any = SimpleNamespace()
    trial = Trial(still, 0.0, np.ones((1, 1, 4)), tolerance=0.02, span=1.0)
    rate = np.full((1, 1, 4), 1e-5)
    assert trial.relative(np.full_like(rate, 1e-4), rate) == pytest.approx(1e-4 / 0.02)
    noise = np.full_like(rate, 1e-3)
    assert trial.relative(np.full_like(rate, 1e-3), rate, noise) == 0.0

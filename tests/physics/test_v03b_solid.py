"""V3b: a solid homogenised by a run and by the measurement on one cell."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.homogenisation import cell_grid
from gpupatch.micro import lattice

SITES_PER_PERIOD = 8


def product(x, y, z):
    return (
        (1.1 + np.sin(2 * np.pi * x))
        * (1.1 + np.sin(2 * np.pi * y))
        * (1.1 + np.sin(2 * np.pi * z))
    )


@pytest.mark.slow
def test_a_wave_decays_with_the_conductivity_measured_on_one_cell(run):
    """V3b (run): the decay rate of a long wave over 4 pi^2 is the effective conductivity, 1e-3."""
    solution = run("v03b_solid")
    wave = np.cos(2 * np.pi * solution.layout.centres[0])
    amplitude = solution["u"][:, 0, :, 0, 0] @ wave
    rate = -np.log(amplitude[2] / amplitude[1]) / (solution.times[2] - solution.times[1])
    rule = lattice.get("heterogeneous_diffusion", 3)
    half = 0.5 / SITES_PER_PERIOD  # the sites of the run lie on multiples of the spacing
    medium = {"kappa": lambda x, y, z: product(x + half, y + half, z + half)}
    cell = gp.effective(rule, medium, cell_grid([1.0] * 3, [SITES_PER_PERIOD] * 3))
    assert rate / (4 * np.pi**2) == pytest.approx(cell[0, 0], rel=1e-3)

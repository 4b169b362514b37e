"""A drifting, spreading concentration on patches: complex eigenvalues and a run (V7)."""

import numpy as np
import pytest

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.scheme import CoupledScheme, Problem
from gpupatch.theory import advection_diffusion_eigenvalue

LENGTH, SPEED, DIFFUSIVITY = 2 * np.pi, 1.0, 0.5
IN_THE_CONTINUUM = {
    2: [-0.484617 - 0.93788j, -1.761524 - 1.527775j, -3.356555 - 1.540713j],
    4: [-0.499224 - 0.995275j, -1.954922 - 1.8675j, -4.06203 - 2.194299j],
    "spectral": [-0.5 - 1j, -2 - 2j, -4.5 - 3j],
}


def drift(order, sites):
    grid = PatchGrid([(0.0, LENGTH)], [10], sites, 0.2)
    rule = lattice.get("advection_diffusion", 1)
    problem = Problem(rule, grid, {"c": SPEED, "D": DIFFUSIVITY})
    return CoupledScheme(problem, NumpyBackend(), order)


def distance(found, expected):
    """Largest distance from an expected eigenvalue to the nearest one found."""
    return np.abs(np.subtract.outer(np.asarray(expected), found)).min(axis=1).max()


@pytest.mark.parametrize("order", [2, 4, 6, 8, "spectral"])
def test_drifting_modes_follow_the_lattice_closed_form(order):
    """V7: 9 sites, both directions of every wave but the shortest, which has none."""
    k = np.arange(-4, 5)
    expected = advection_diffusion_eigenvalue(
        k, LENGTH / 10, 0.2, order, velocity=SPEED, diffusivity=DIFFUSIVITY, sites=9
    )
    assert distance(drift(order, 9).eigenvalues(10), expected) < 1e-8


@pytest.mark.parametrize("order", IN_THE_CONTINUUM)
def test_drifting_modes_reach_the_tabulated_continuum(order):
    """V7: 403 sites, k = 1, 2, 3."""
    assert distance(drift(order, 403).eigenvalues(10), IN_THE_CONTINUUM[order]) < 1e-5


def test_waves_drift_like_on_the_whole_lattice(run):
    """V7 as a run: only the error of the micro-stepper is left."""
    assert run("v07_advection").error < 1e-8

"""Small differences on a large value, in single precision (V35)."""

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.burst import Burst
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.scheme import BurstScheme, CoupledScheme, Problem

LEVEL, SPACING, DT = 300.0, 2e-4, 1e-8
BURST = Burst(1.6e-7, dt=DT)
PARAMETERS = {"diffusion": {"D": 1.0}, "burgers": {"nu": 1.0}}
SLOPE = {
    "diffusion": lambda x: -np.cos(x),
    "burgers": lambda x: (LEVEL + np.cos(x)) * np.sin(x) - np.cos(x),
}
HALF = np.float32(0.5)


def problem(name, dtype):
    grid = PatchGrid([(0.0, 2 * np.pi)], [12], core=1e-3, buffer=32e-4, dx=SPACING)
    return Problem(lattice.get(name, 1), grid, PARAMETERS[name], dtype=dtype)


def level(x):
    return LEVEL + np.cos(x)


def slope_error(slope, name, grid):
    exact = SLOPE[name](grid.centres[0])
    return np.abs(slope - exact).max() / np.abs(exact).max()


def plain_rate(name, u):
    """The rule evaluated in float32 throughout."""
    dx = np.float32(SPACING)
    rate = np.zeros_like(u)
    rate[:, 1:-1] = (u[:, 2:] - 2 * u[:, 1:-1] + u[:, :-2]) / dx**2
    if name == "burgers":
        rate[:, 1:-1] -= HALF * (u[:, 2:] ** 2 - u[:, :-2] ** 2) / (2 * dx)
    return rate


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_burst_in_float32_keeps_the_slope_of_a_small_difference(name, backend):
    """V35: U = 300, curvature 1, to 1e-4."""
    found = problem(name, "float32")
    scheme = BurstScheme(found, get_backend(backend)[0], BURST, "spectral")
    slope = scheme.slope(0.0, scheme.initial({"u": level}))
    assert slope_error(slope[0, 0], name, found.grid) < 1e-4


@pytest.mark.parametrize("name", PARAMETERS)
def test_plain_float32_loses_the_slope(name):
    """V35: wrong by some 100 %, so that the accuracy above is owed to the perturbation form."""
    found = problem(name, "float32")
    x = found.grid.centres[0]
    start = level(x[:, None] + found.grid.site_offsets[0]).astype(np.float32)
    u, dt = start.copy(), np.float32(DT)
    for _ in range(16):
        assert u.dtype == np.float32
        u += dt * plain_rate(name, u)
    core = found.grid.core_sites[0]
    change = (u[:, core].astype(float) - start[:, core]).mean(axis=1)
    assert slope_error(change / BURST.length, name, found.grid) > 0.5


@pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", PARAMETERS)
def test_coupled_patches_in_float32_change_as_in_float64(name, backend):
    """V35: 200 micro-steps on top of U = 300."""
    changes = []
    for dtype in ("float64", "float32"):
        scheme = CoupledScheme(problem(name, dtype), get_backend(backend)[0], "spectral")
        u = scheme.initial({"u": level})
        start = scheme.coarse(u)
        changes.append(scheme.coarse(scheme.advance(u, 0.0, DT, 200)) - start)
    assert np.abs(changes[1] - changes[0]).max() < 1e-4 * np.abs(changes[0]).max()


@pytest.mark.parametrize("case", ["v35_heat_float32", "v35_burgers_float32"])
def test_runs_in_float32_follow_the_exact_solution(run, case):
    """V35 as runs: 1e-4 of the wave on U = 300."""
    solution = run(case)
    wave = np.ptp(solution.exact[-1]) / 2
    assert solution.error < 1e-4 * wave

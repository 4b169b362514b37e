"""Slow modes: closed forms of the coupling, Turing's growth rate, Krylov spaces."""

import numpy as np
import pytest
from systems import NUMPY, rod, walkers

import gpupatch as gp
from gpupatch.micro import lattice
from gpupatch.tasks import spectrum as modes
from gpupatch.tasks.krylov import KrylovSpace, solve, start_block

PATCHES = 16
KNOWN = (0.0, -0.99975, -0.99975, -3.984292, -3.984292, -8.832097, -8.832097)


def heated_ring():
    """Heat on a circle in 16 patches, order 4, Euler steps of a quarter of dx^2."""
    grid = gp.PatchGrid([(0.0, 2 * np.pi)], [PATCHES], 7, ratio=0.1, offset=-0.5)
    problem = gp.Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    dt = grid.spacing[0] ** 2 / 4
    return gp.CoupledScheme(problem, NUMPY, order=4, micro="euler", dt=dt), 400 * dt


def closed_form(scheme):
    """Eigenvalues of coupled patches by the interpolation of a wave, and Euler's method."""
    dx, H = scheme.grid.spacing[0], scheme.grid.gap[0]
    r, dt = 3 * dx / H, scheme.dt
    s = np.sin(np.pi * np.arange(4) / PATCHES) ** 2
    C = 1 + r**2 / 2 * (-4 * s) + r**2 * (r**2 - 1) / 24 * (4 * s) ** 2
    wave = np.arccos(C) / (r * H)
    return np.log(1 - dt * 4 / dx**2 * np.sin(wave * dx / 2) ** 2) / dt


def test_the_coarse_time_stepper_has_the_eigenvalues_of_the_closed_form():
    scheme, over = heated_ring()
    found = gp.eigenvalues(scheme, {"u": 0.0}, 7, over=over)
    exact = np.repeat(closed_form(scheme), 2)[1:]
    assert np.abs(found.growth_rates - exact).max() < 1e-8
    assert np.abs(found.growth_rates - KNOWN).max() < 1e-5
    assert np.abs(found.values.imag).max() < 1e-8


def test_lifted_coarse_values_see_the_same_modes():
    scheme, over = heated_ring()
    found = gp.eigenvalues(scheme, {"u": 0.0}, 7, over=over, coarse=True)
    assert np.abs(found.growth_rates - KNOWN).max() < 1e-5


def test_a_krylov_space_contains_the_slow_modes_after_few_blocks(monkeypatch):
    scheme, over = heated_ring()
    monkeypatch.setattr(modes, "DENSE", 10)
    found = gp.eigenvalues(scheme, {"u": 0.0}, 7, over=over, block=32)
    assert np.abs(found.growth_rates - KNOWN).max() < 1e-5
    assert found.evaluations < 2 * found.oracle.n
    assert found.residuals.max() < 1e-7


def test_modes_are_waves_between_walls():
    scheme = rod()
    found = gp.eigenvalues(scheme, {"u": 0.0}, 3)
    x = scheme.grid.centres[0]
    for n, (rate, mode) in enumerate(zip(found.growth_rates, found.modes, strict=True), 1):
        wave = np.sin(n * x) / np.abs(np.sin(n * x)).max()
        assert rate == pytest.approx(0.5 - n**2, rel=0.03)
        sign = np.sign(mode[0].real @ wave)
        assert np.abs(sign * mode[0].real - wave).max() < 0.03


def test_turing_patterns_grow_at_the_known_rate():
    largest, growth = 0.48666, 0.263157895
    grid = gp.PatchGrid([(0.0, 2 * np.pi / largest)], [12], 5, ratio=0.2)
    parameters = {"a": 0.1, "b": 0.9, "d": 20.0}
    scheme = gp.CoupledScheme(
        gp.Problem(lattice.get("schnakenberg", 1), grid, parameters), NUMPY, order=4
    )
    found = gp.eigenvalues(scheme, {"u": 1.0, "v": 0.9}, 4)
    assert found.unstable == 2
    assert found.growth_rates[0] == pytest.approx(growth, rel=0.02)


def test_the_slowest_mode_of_walkers_decays_within_its_error_bar():
    scheme = walkers(replicas=16, low=4.0, high=4.0, seed=2)
    found = gp.eigenvalues(scheme, {"density": 4.0}, 2)
    H = 20.0
    # second differences of cell averages; values at walls are half a cell away
    matrix = (np.diag(np.full(6, -2.0)) + np.diag(np.ones(5), 1) + np.diag(np.ones(5), -1)) / H**2
    assert (np.abs(found.errors[0]) > 0).all()
    slowest = np.linalg.eigvalsh(matrix).max()
    assert found.growth_rates[0] == pytest.approx(
        slowest, abs=5 * found.errors[0] + 0.4 * abs(slowest)
    )


@pytest.mark.parametrize("k", [0, 11, -1])
def test_an_implausible_number_of_modes_is_refused(k):
    with pytest.raises(gp.InputError, match=f"`k` is {k}, but there are 1 to 10"):
        gp.eigenvalues(rod(), {"u": 0.0}, k)


def test_a_block_krylov_space_solves_what_a_single_direction_solves():
    generator = np.random.default_rng(3)
    A = np.diag(np.linspace(1, 50, 60)) + 0.1 * generator.normal(size=(60, 60))
    b = generator.normal(size=60)
    for block in (1, 4, 16):
        x, residual = solve(lambda V: V @ A.T, b, 1e-10, block, 60)
        assert residual < 1e-10
        assert np.abs(A @ x - b).max() < 1e-8


def test_a_krylov_space_ends_where_its_start_is_invariant():
    A = np.diag([1.0, 2.0, 3.0, 4.0])
    space = KrylovSpace(lambda V: V @ A.T, np.eye(4)[:2])
    space.extend()
    assert space.full
    assert start_block(np.eye(4)[:1], 3).shape == (3, 4)


def test_a_dataset_and_a_figure_show_the_modes(tmp_path):
    found = gp.eigenvalues(rod(), {"u": 0.0}, 3)
    ds = found.to_xarray()
    assert ds["u_mode"].dims == ("mode", "part", "x")
    ds.to_netcdf(tmp_path / "eigenvalues.nc")
    assert len(found.plot().axes) == 2

"""Waves on patches: kept amplitudes, and sound through thin layers against whole rods (V15)."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.scheme import CoupledScheme, Problem
from gpupatch.simulation import simulate
from gpupatch.theory import patch_wavenumber, shift_symbol, wave_frequency

LENGTH = 2 * np.pi
STIFFNESS, DENSITY = [1.0, 10.0], [1.0, 2.0]
SPEED = 1.100963765


def string(order, backend, dt):
    grid = PatchGrid([(0.0, LENGTH)], [12], 9, 0.1)
    problem = Problem(lattice.get("wave", 1), grid, {"c": 1.0})
    return CoupledScheme(problem, backend, order, micro="verlet", dt=dt)


def rod(order, ratio, periods, per_layer):
    sites = 4 * per_layer * periods + 1
    grid = PatchGrid([(0.0, LENGTH)], [12], sites, ratio)
    layers = {
        "stiffness": np.repeat(STIFFNESS, per_layer),
        "density": np.repeat(DENSITY, per_layer),
    }
    problem = Problem(lattice.get("elastic_rod", 1), grid, coefficients=layers)
    return CoupledScheme(problem, NumpyBackend(), order, micro="verlet")


def frequencies(scheme, k=10):
    """Frequencies of the slow modes, each four times: two places, two directions of time."""
    return np.sort(np.abs(scheme.eigenvalues(k).imag))


def wave_of(solution, mode):
    """Displacement in one spatial mode over time, 1 at the start."""
    x = solution.layout.centres[0]
    u = solution["u"][:, 0] @ np.exp(-1j * mode * x)
    return (u / u[0]).real


def measured_frequency(solution, mode, guess):
    """Frequency of the cosine that fits a run best."""
    fitted, _ = curve_fit(
        lambda t, omega, size: size * np.cos(omega * t),
        solution.times,
        wave_of(solution, mode),
        p0=(guess, 1.0),
    )
    return fitted[0]


@pytest.mark.parametrize("order", [2, 4, 6])
def test_waves_of_patches_keep_their_amplitude(backend, order):
    """V15: ten periods of velocity Verlet, every saved amplitude 1.0000 +- 1e-4."""
    scheme, H, mode = string(order, backend, 0.01), LENGTH / 12, 1
    kappa = patch_wavenumber(mode, H, 0.1, order)
    omega = wave_frequency(mode, H, 0.1, order, sites=9)
    slant = shift_symbol(mode * H, 0.1, order).imag / np.sin(0.1 * kappa * H)

    def shape(x):
        X = (np.floor(x / H) + 0.5) * H
        y = kappa * (x - X)
        return np.cos(mode * X) * np.cos(y) - slant * np.sin(mode * X) * np.sin(y)

    solution = simulate(scheme, {"u": shape, "v": 0.0}, 20 * np.pi, save=41)
    wave = np.exp(-1j * mode * scheme.problem.grid.centres[0])
    amplitude = np.hypot(abs(solution["u"][:, 0] @ wave), abs(solution["v"][:, 0] @ wave) / omega)
    np.testing.assert_allclose(amplitude / amplitude[0], 1, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_spectral_waves_err_by_the_micro_steps_alone(run):
    """V15 as a run: against the lattice in closed form, second order in the micro-step."""
    coarse, fine = (
        run("v15_string", 'time.end="2*pi"', f"time.dt={np.pi / n}").error for n in (400, 800)
    )
    assert coarse / fine == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize(("periods", "per_layer"), [(1, 1), (1, 4), (2, 3)])
def test_thin_layers_carry_sound_at_the_homogenised_speed(periods, per_layer):
    """V15: half-width of whole periods, spectral coupling, layers 1/1000 of a wave long."""
    found = frequencies(rod("spectral", 0.01 * periods, periods, per_layer))
    np.testing.assert_allclose(found[2:6], SPEED, rtol=2e-6)
    np.testing.assert_allclose(found[6:10], 2 * SPEED, rtol=1e-5)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_layers_leave_the_error_of_the_interpolation_alone(order):
    """V15: a rod of layers against a uniform string of the homogenised speed."""
    found = frequencies(rod(order, 0.01, 1, 2))
    expected = wave_frequency([1, 2], LENGTH / 12, 0.01, order, speed=SPEED)
    np.testing.assert_allclose(found[2:10], np.repeat(expected, 4), rtol=1e-5)


@pytest.mark.slow
def test_sound_runs_through_patches_as_through_the_whole_rod(run):
    """V15 as a run: two periods, all micro-vibrations included; the speed to 2e-4."""
    solution = run("v15_thin_layers")
    assert solution.error < 1e-8
    assert measured_frequency(solution, 1, SPEED) == pytest.approx(SPEED, abs=2e-4)

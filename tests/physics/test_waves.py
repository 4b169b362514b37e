"""Waves on patches: frequencies, amplitudes, layered rods (V15)."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.scheme import CoupledScheme, Problem
from gpupatch.theory import layered_wave_speed, wave_frequency

LENGTH = 2 * np.pi
ORDERS = [2, 4, 6, "spectral"]
TABULATED = {
    2: [0.988719, 1.910606],
    4: [0.999590, 1.987921],
    6: [0.999975, 1.997979],
    "spectral": [0.999993, 1.999943],
}
LAYERED_SPEED = 1.100963765


def string(order, kind="centre", sites=9):
    grid = PatchGrid([(0.0, LENGTH)], [12], sites, 0.1, edgy=kind == "edgy")
    problem = Problem(lattice.get("wave", 1), grid, {"c": 1.0})
    return CoupledScheme(problem, NumpyBackend(), order, kind, micro="verlet")


def frequencies(scheme, k):
    """Frequencies found nearest to 0, each twice per direction, without the mean."""
    values = scheme.eigenvalues(4 * k + 2)
    assert np.abs(values.real).max() < 1e-5
    return np.sort(values.imag)[-2 * k :: 2]


def motion(solution, k):
    """Amplitude of sin(k x) at every saved time."""
    x = solution.layout.centres[0]
    return 2 / len(x) * solution["u"][:, 0] @ np.sin(k * x)


def frequency(times, signal):
    """From the first to the last time at which a signal vanishes."""
    zeros = CubicSpline(times, signal).roots(extrapolate=False)
    return np.pi * (len(zeros) - 1) / (zeros[-1] - zeros[0])


def peaks(times, signal):
    """Heights at which a signal turns."""
    spline = CubicSpline(times, signal)
    return np.abs(spline(spline.derivative().roots(extrapolate=False)))


@pytest.mark.parametrize("order", ORDERS)
def test_patches_ring_at_the_closed_form_frequencies(order):
    """V15: eigenvalues of the coupled string, 1e-8 against theory, 1e-6 against the table."""
    found = frequencies(string(order), 4)
    k = np.arange(1, 5)
    expected = wave_frequency(k, LENGTH / 12, 0.1, order, sites=9)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found[:2], TABULATED[order], rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_a_string_swings_ten_times_in_tune_and_without_loss(run, order):
    """V15 as a run with velocity Verlet: omega_1, omega_2 and amplitudes to 2e-4."""
    text = f'"{order}"' if order == "spectral" else order
    solution = run("v15_wave", f"scheme.order={text}")
    for k, expected in zip((1, 2), TABULATED[order], strict=True):
        signal = motion(solution, k)
        assert frequency(solution.times, signal) == pytest.approx(expected, rel=2e-4)
        swings = peaks(solution.times, signal)
        assert swings[-6:].mean() / swings[:6].mean() == pytest.approx(1, abs=2e-4)


def test_edgy_patches_conserve_the_energy_of_the_lattice():
    """Symmetric coupling: no eigenvalue of the string leaves the imaginary axis."""
    values = string("spectral", "edgy", 8).eigenvalues(144)
    assert np.abs(values.real).max() < 1e-5


def test_layered_patches_carry_waves_at_the_homogenised_speed():
    """V15: E = 1, 10 and rho = 1, 2 in equal layers, 2e-4."""
    assert layered_wave_speed([1, 10], [1, 2]) == pytest.approx(LAYERED_SPEED, abs=1e-9)
    grid = PatchGrid([(0.0, LENGTH)], [12], 9, 0.05)
    medium = {"stiffness": [1.0, 1.0, 10.0, 10.0], "density": [1.0, 1.0, 2.0, 2.0]}
    problem = Problem(lattice.get("elastic_rod", 1), grid, coefficients=medium)
    scheme = CoupledScheme(problem, NumpyBackend(), "spectral", micro="verlet")
    assert frequencies(scheme, 1)[0] == pytest.approx(LAYERED_SPEED, rel=2e-4)


def test_a_wave_runs_through_a_layered_rod_at_the_homogenised_speed(run):
    """V15 as a run, 2e-4."""
    solution = run("v15_layered_rod")
    assert frequency(solution.times, motion(solution, 1)) == pytest.approx(LAYERED_SPEED, rel=2e-4)

"""Heat in heterogeneous media: patches against the whole lattice and Bloch's theory (V4)."""

import numpy as np
import pytest

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.compare import FullDomain
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.micro.coefficients import Cell
from gpupatch.scheme import CoupledScheme, Problem
from gpupatch.theory import bloch_eigenvalue, harmonic_mean, patch_wavenumber

LENGTH = 2 * np.pi
WHOLE_ROD = [0.99938963, 3.99022061, 8.95037826, 15.84266574]


@pytest.fixture(scope="module")
def layers():
    """Five layers, log-normal, harmonic mean one."""
    c = np.exp(np.random.default_rng(3).normal(size=5))
    return c * np.mean(1 / c)


def rod(layers, order, kind="centre", n_patch=10, sites=11, dx=LENGTH / 250, phases=1):
    grid = PatchGrid([(0.0, LENGTH)], [n_patch], sites, dx=dx, edgy=kind == "edgy")
    rule = lattice.get("heterogeneous_diffusion", 1)
    problem = Problem(rule, grid, coefficients={"kappa": layers})
    return CoupledScheme(problem, NumpyBackend(), order, kind, phases=phases)


def slowest(scheme, k=9):
    return np.sort(scheme.eigenvalues(k).real)[::-1]


def whole(scheme):
    return FullDomain(scheme.problem, NumpyBackend()).scheme


def test_layers_are_those_of_the_table(layers):
    np.testing.assert_allclose(layers, [26.1796, 0.2641, 5.1663, 1.9276, 2.1628], atol=5e-5)
    assert harmonic_mean(layers) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize(("kind", "sites"), [("centre", 11), ("edgy", 7)])
def test_spectral_patches_have_the_spectrum_of_the_whole_rod(layers, kind, sites):
    """V4: half-width (centre) or width (edgy) of one period, contrast 100."""
    scheme = rod(layers, "spectral", kind, sites=sites)
    expected = -np.concatenate([[0.0], np.repeat(WHOLE_ROD, 2)])
    np.testing.assert_allclose(slowest(whole(scheme)), expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(slowest(scheme), slowest(whole(scheme)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("periods", [1, 2])
@pytest.mark.parametrize("order", [2, 4, 6, 8])
def test_layered_patches_err_by_the_interpolation_alone(layers, order, periods):
    """V4: lambda(k) = Lambda(kappa), cos(kappa L) = C_P(k H), for every contrast."""
    scheme = rod(layers, order, sites=10 * periods + 1)
    kappa = patch_wavenumber(np.abs(np.fft.fftfreq(10, 0.1)), LENGTH / 10, 0.2 * periods, order)
    expected = np.sort(bloch_eigenvalue(layers, kappa, LENGTH / 250))[::-1][:9]
    np.testing.assert_allclose(slowest(scheme), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_patches_of_a_random_plane_have_the_spectrum_of_the_whole_plane(seed):
    """V4, two dimensions: coupling along centre lines, cells of 3 x 3 random conductors."""
    x, y = np.exp(0.8 * np.random.default_rng(seed).normal(size=(2, 3, 3)))
    grid = PatchGrid([(0.0, LENGTH)] * 2, [3, 3], 7, 0.25)
    rule = lattice.get("heterogeneous_diffusion", 2)
    problem = Problem(rule, grid, coefficients={"kappa": Cell({0: x, 1: y})})
    scheme = CoupledScheme(problem, NumpyBackend(), "spectral")
    np.testing.assert_allclose(slowest(scheme), slowest(whole(scheme)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("sites", [4, 5, 6, 8, 10])
def test_an_ensemble_of_phases_needs_no_whole_number_of_periods(layers, sites):
    """All five shifts of the layers, edgy coupling: the spectrum of the whole rod at any width."""
    scheme = rod(layers, "spectral", "edgy", sites=sites, phases=5)
    found = scheme.eigenvalues(45).real
    for expected in slowest(whole(scheme)):
        assert np.abs(found - expected).min() < 1e-9


def test_an_ensemble_of_phases_works_along_both_axes():
    """Cells of 2 x 3 conductors, six members, patches of 3 x 4 interior sites."""
    x, y = np.exp(0.5 * np.random.default_rng(0).normal(size=(2, 2, 3)))
    grid = PatchGrid([(0.0, LENGTH)] * 2, [3, 3], [5, 6], dx=LENGTH / 18, edgy=True)
    rule = lattice.get("heterogeneous_diffusion", 2)
    problem = Problem(rule, grid, coefficients={"kappa": Cell({0: x, 1: y})})
    scheme = CoupledScheme(problem, NumpyBackend(), "spectral", "edgy", phases=(2, 3))
    found = scheme.eigenvalues(60).real
    for expected in slowest(whole(scheme)):
        assert np.abs(found - expected).min() < 1e-10


def test_one_phase_alone_needs_a_whole_number_of_periods(layers):
    """The healthy twin above must owe its accuracy to the ensemble."""
    with pytest.warns(UserWarning, match="repeats every 5 sites"):
        scheme = rod(layers, "spectral", "edgy", sites=5)
    assert abs(slowest(scheme)[1] + WHOLE_ROD[0]) > 0.1


def test_an_ensemble_of_phases_keeps_fourth_order():
    mild = np.exp(0.3 * np.random.default_rng(11).normal(size=3))
    errors = []
    for n_patch in (10, 20, 40):
        scheme = rod(mild, 4, "edgy", n_patch, 6, LENGTH / n_patch / 30, phases=3)
        exact = bloch_eigenvalue(mild, 1.0, LENGTH / n_patch / 30)
        errors.append(np.abs(scheme.eigenvalues(9).real - exact).min())
    assert np.log2(errors[-2] / errors[-1]) > 3.8


@pytest.mark.parametrize("case", ["v04_layered_rod", "v04_random_plane"])
def test_heterogeneous_patches_run_like_the_whole_lattice(run, case):
    """V4 as runs, micro-transients included."""
    assert run(case).error < 1e-10

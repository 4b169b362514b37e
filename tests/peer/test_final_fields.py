"""Rates, final fields and spectra against runs of the Equation-Free Toolbox on the same patches."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from gpupatch.backends.select import get_backend
from gpupatch.grid import PatchGrid, dirichlet
from gpupatch.micro import lattice
from gpupatch.scheme import CoupledScheme, Problem

AGREES = 1e-10
NUMPY = get_backend("numpy")[0]
TESTS = Path(__file__).parent.parent
RULES = runpy.run_path(str(TESTS / "cases" / "peer_rules.py"))
TURN = 2 * np.pi
CENTRED = [(-np.pi, np.pi)]


@pytest.fixture(params=["numpy", pytest.param("numba", marks=pytest.mark.slow)])
def backend(request):
    """Numba is compared with NumPy for every pass elsewhere; whole runs of both take their time."""
    return get_backend(request.param)[0]


def stored(path):
    with np.load(TESTS / path, allow_pickle=False) as arrays:
        return dict(arrays)


PUBLISHED = stored("data/peer_fields.npz")


def initial(case, fields="u"):
    """Initial values of a case, [patch, field, *sites]."""
    arrays = stored(f"cases/peer_{case}.npz")
    ndim = arrays["u"].ndim // 2
    return np.stack(
        [arrays[name].reshape(-1, *arrays[name].shape[ndim:]) for name in fields], axis=1
    )


def after(scheme, u, dt, n_steps):
    """The state after classical Runge-Kutta steps, edges included."""
    return scheme.kernels.unpack(scheme.advance(scheme.load(u), 0.0, dt, n_steps))


def assert_agrees(found, expected):
    """Equal to 1e-10 wherever the reference is defined."""
    given = np.isfinite(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected)[given].max() < AGREES


def assert_same_spectrum(found, expected):
    """Pairs equal to 1e-10 of the eigenvalue, or to rounding of the largest one."""
    assert found.shape == expected.shape
    distance = np.abs(np.subtract.outer(found, expected))
    rows, columns = linear_sum_assignment(distance)
    rounding = 100 * np.finfo(float).eps * np.abs(expected).max()
    assert np.all(distance[rows, columns] < AGREES * np.abs(expected[columns]) + rounding)


def burgers(backend):
    grid = PatchGrid([(0, TURN)], [8], 7, dx=0.06)
    problem = Problem(RULES["advective_burgers"], grid, {"steepness": 30.0})
    return CoupledScheme(problem, backend, "spectral")


def layered(backend, cell, patches, sites, ratio, kind="edgy", order=4, phases=1, domain=CENTRED):
    """Diffusion through a medium that repeats `cell` from the first site of every patch."""
    grid = PatchGrid(domain, [patches], sites, ratio=ratio, edgy=kind == "edgy")
    problem = Problem(lattice.get("heterogeneous_diffusion", 1), grid, {}, {"kappa": cell})
    return CoupledScheme(problem, backend, order, kind, phases=phases)


def forced(backend, positions, order):
    cell = [1, 2 / 3, 2 / 5, 1 / 3, 2 / 5, 2 / 3]
    grid = PatchGrid(
        [(0, 1)], [7], 8, dx=1 / 151, boundary=[(dirichlet(), dirichlet())],
        positions=[positions], edgy=True,
    )  # fmt: skip
    problem = Problem(RULES["forced_diffusion"], grid, {}, {"kappa": cell})
    return CoupledScheme(problem, backend, order, "edgy")


FORCED = pytest.mark.parametrize(
    ("positions", "order"),
    [(p, o) for p in ("equispaced", "chebyshev") for o in (4, "spectral")],
)


def test_rate_of_burgers_equation_on_spectrally_coupled_patches(backend):
    """c01: u_t = u_xx - 30 u u_x on [0, 2 pi], 8 patches of 7 sites, dx = 0.06."""
    scheme = burgers(backend)
    rate = scheme.kernels.unpack(scheme.rate(scheme.load(initial("burgers1d")), 0.0))
    assert np.abs(rate - PUBLISHED["burgers1d_rate"]).max() < AGREES


def test_burgers_equation_on_spectrally_coupled_patches(backend):
    """c01: the field at t = 0.5 after 2000 steps."""
    found = after(burgers(backend), initial("burgers1d"), 0.5 / 2000, 2000)
    assert_agrees(found, PUBLISHED["burgers1d_final"])


def homogenisation(backend):
    cell = [0.55, 1.9, 3.1]
    return layered(backend, cell, 9, 7, 0.2, "centre", domain=[(0, TURN)])


def test_layered_diffusion_with_fourth_order_centre_coupling(backend):
    """c03: period 3, 9 patches of 7 sites, ratio 0.2; 4000 steps to twice the diffusion time."""
    effective = 3 / (1 / 0.55 + 1 / 1.9 + 1 / 3.1)
    found = after(homogenisation(backend), initial("homogenisation1d"), 2 / effective / 4000, 4000)
    assert_agrees(found, PUBLISHED["homogenisation1d_final"])


def test_spectrum_of_layered_diffusion_with_fourth_order_centre_coupling():
    """c03: all 45 eigenvalues."""
    found = homogenisation(NUMPY).eigenvalues(45)
    assert_same_spectrum(found, PUBLISHED["homogenisation1d_eigenvalues"])


THREE_LAYERS = [0.5984848484848484, 1.0972222222222223, 2.3939393939393936]


def test_ensemble_of_phase_shifts_with_fourth_order_edgy_coupling(backend):
    """c04: period 3, all three phases, 9 patches of 4 sites, ratio 0.25; 1500 steps to t = 0.6."""
    scheme = layered(backend, THREE_LAYERS, 9, 4, 0.25, phases=3)
    found = after(scheme, PUBLISHED["phases1d_initial"], 0.6 / 1500, 1500)
    assert_agrees(found, PUBLISHED["phases1d_final"])


SPECTRA = {
    "narrow_phases1d": (THREE_LAYERS, 13, 4, 0.01, 3, (2, 4, 6, 8, "spectral")),
    "wide1d": ([6.9617, 0.4217, 2.0624], 19, 5, 0.1, 1, (2, 4, 6, "spectral")),
    "plain1d": (THREE_LAYERS, 13, 5, 0.1, 1, (2, 4, 6, 8, "spectral")),
}


@pytest.mark.parametrize(
    ("name", "order"), [(name, order) for name, row in SPECTRA.items() for order in row[-1]]
)
def test_spectra_of_layered_diffusion_with_edgy_coupling(name, order):
    """c04, R1 (narrow patches, three phases), R2 and R3 (one phase, 19 and 13 patches)."""
    cell, patches, sites, ratio, phases, _ = SPECTRA[name]
    scheme = layered(NUMPY, cell, patches, sites, ratio, order=order, phases=phases)
    expected = PUBLISHED[f"{name}_{order}_eigenvalues"]
    assert_same_spectrum(scheme.eigenvalues(len(expected)), expected)


def test_cubic_diffusion_on_a_plane_of_spectrally_coupled_patches(backend):
    """c06: u_t = laplacian(u^3), 9 x 7 patches of 5 x 5 sites, dx = 0.12; 3000 steps to t = 1."""
    grid = PatchGrid([(-3, 3), (-2, 2)], [9, 7], 5, dx=0.12)
    scheme = CoupledScheme(Problem(RULES["cubic_diffusion"], grid), backend, "spectral")
    assert_agrees(after(scheme, initial("cubic2d"), 1 / 3000, 3000), PUBLISHED["cubic2d_final"])


def membrane(backend):
    grid = PatchGrid(CENTRED * 2, [9, 9], 5, ratio=0.25)
    return CoupledScheme(Problem(lattice.get("wave", 2), grid, {"c": 1.0}), backend, "spectral")


def test_waves_on_a_plane_of_spectrally_coupled_patches(backend):
    """c08: u_tt = laplacian(u), 9 x 9 patches of 5 x 5 sites, ratio 0.25; 2000 steps to t = 6."""
    scheme = membrane(backend)
    state = scheme.initial({"u": lambda x, y: np.exp(-(x**2) - y**2), "v": 0.0})
    found = scheme.kernels.unpack(scheme.advance(state, 0.0, 6 / 2000, 2000))
    assert_agrees(found, PUBLISHED["wave2d_final"])


def test_frequencies_of_waves_on_a_plane_of_spectrally_coupled_patches():
    """c08: all 729 frequencies.

    The rate of v is a matrix times u, whose eigenvalues are minus the squares of the frequencies:
    the square roots of the smallest ones would lose half of the digits, so squares are compared.
    """
    scheme = membrane(NUMPY)
    J = scheme.jacobian().toarray().reshape(81, 2, 9, 81, 2, 9)
    force = J[:, 1, :, :, 0].reshape(729, 729)
    squares = PUBLISHED["wave2d_frequencies"] ** 2
    assert_same_spectrum(np.linalg.eigvals(force), -squares)


@FORCED
def test_equilibrium_between_cold_walls_solves_the_linear_system(positions, order, backend):
    """c12: (a u_x)_x + f = 0 at t = 1, 7 patches of 8 sites, period 6, edgy coupling."""
    scheme = forced(backend, positions, order)
    state = scheme.load(np.zeros(scheme.model.shape), 1.0)
    force = scheme.kernels.unpack(scheme.rate(state, 1.0)).ravel()[scheme.interior]
    u = np.zeros(scheme.model.shape)
    u.ravel()[scheme.interior] = np.linalg.solve(scheme.jacobian(t=1.0).toarray(), -force)
    found = scheme.kernels.unpack(scheme.load(u, 1.0))
    assert_agrees(found, PUBLISHED[f"forced1d_{positions}_{order}_equilibrium"])


@FORCED
def test_spectrum_between_cold_walls(positions, order):
    """c12: the ten slowest modes."""
    expected = PUBLISHED[f"forced1d_{positions}_{order}_eigenvalues"]
    assert_same_spectrum(forced(NUMPY, positions, order).eigenvalues(10), expected)


@FORCED
@pytest.mark.parametrize(
    "backend", ["numba", pytest.param("numpy", marks=pytest.mark.slow)], indirect=True
)
def test_forcing_that_grows_in_time_between_cold_walls(positions, order, backend):
    """c12: from zero to t = 1, in about 30000 steps."""
    scheme = forced(backend, positions, order)
    dt = scheme.stable_dt(scheme.load(np.zeros(scheme.model.shape)), 0.0)
    n_steps = int(np.ceil(1 / dt))
    found = after(scheme, np.zeros(scheme.model.shape), 1 / n_steps, n_steps)
    assert_agrees(found, PUBLISHED[f"forced1d_{positions}_{order}_final"])


def damped_wave(backend):
    cell = [0.47078544061302685, 1.614121510673235, 3.900793650793651]
    grid = PatchGrid(CENTRED, [7], 5, ratio=0.25, edgy=True)
    problem = Problem(RULES["damped_wave"], grid, {"damping": 0.02}, {"kappa": cell})
    return CoupledScheme(problem, backend, "spectral", "edgy")


def test_damped_waves_in_a_layered_medium_with_spectral_edgy_coupling(backend):
    """c15: period 3, 7 patches of 5 sites, ratio 0.25; 1500 steps to t = 3."""
    found = after(damped_wave(backend), initial("damped_wave1d", "uv"), 3 / 1500, 1500)
    assert_agrees(found, PUBLISHED["damped_wave1d_final"])


def test_spectrum_of_damped_waves_in_a_layered_medium():
    """c15: all 42 eigenvalues, apart from the double one at zero, which is defective."""
    found = damped_wave(NUMPY).eigenvalues(42)
    expected = PUBLISHED["damped_wave1d_eigenvalues"]
    expected = expected[np.argsort(np.abs(expected))]
    assert np.abs(found[:2]).max() < 1e-6
    assert_same_spectrum(found[2:], expected[2:])

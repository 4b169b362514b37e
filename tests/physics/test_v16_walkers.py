"""Brownian walkers: how noisy their slopes are, and the diffusion equation from their fluxes."""

import warnings

import numpy as np
import pytest
from scipy import stats

from gpupatch.arrays import Backend
from gpupatch.backends._numba import NumbaBackend
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.files.case import load_case
from gpupatch.particles.dynamics import Brownian
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import ParticlePlan
from gpupatch.particles.state import make_state
from gpupatch.projection import Projection
from gpupatch.run import build
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.scheme.particle_problem import ParticleProblem, particle_grid
from gpupatch.scheme.sampling import Sampling
from gpupatch.simulation import simulate
from gpupatch.theory.walkers import slope_variance

SIGMAS = 3.5
NUMPY = NumpyBackend()
CELLS, H, CORE, LEAP, LEAPS = 10, 0.1, 0.01, 4e-4, 50
RATE = 4 / H**2 * np.sin(np.pi / CELLS) ** 2
START = 0.5 * np.sinc(1 / CELLS)


def walkers(
    density,
    burst,
    sampling,
    scheme=ParticleFluxScheme,
    replicas=1,
    backend: Backend = NUMPY,
    **options,
):
    """Walkers with D = 1 on a ring of ten cells, cores H/10 wide, buffers as wide as the core."""
    grid = particle_grid([(0.0, 1.0)], [CELLS], 3 * CORE)
    model = ParticleModel(1, Brownian())
    problem = ParticleProblem(model, grid, {"temperature": 1.0}, replicas=replicas, seed=16)
    made = scheme(problem, backend, burst, sampling=sampling, **options)
    return made, {"density": lambda x: density * (1 + 0.5 * np.sin(2 * np.pi * x))}


def amplitudes(solution, scheme, density):
    """Amplitude of the sine at the end, of every replica."""
    wave = np.sin(2 * np.pi * scheme.grid.centres[0])
    return 2 / CELLS * (solution["density"][-1] @ wave) / density


def run(density, burst, sampling, replicas, backend: Backend = NUMPY):
    """Fifty leaps of Euler's method; amplitudes of all replicas at the end."""
    scheme, initial = walkers(density, Burst(burst), sampling, replicas=replicas, backend=backend)
    leaps = Projection("euler", step=LEAP)
    solution = simulate(scheme, initial, LEAPS * LEAP, projection=leaps, save=2)
    drift = solution["density"].sum(axis=2)
    assert np.abs(np.diff(drift, axis=0)).max() < 1e-12 * drift.max()
    return amplitudes(solution, scheme, density)


def spoilt_share(burst):
    """Flux in the core, over D times the slope, if the patch is empty beyond its open ends."""
    x = np.linspace(-1.5 * CORE, 1.5 * CORE, 4001)
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    y = x[:, None] + np.sqrt(2 * burst) * nodes
    moved = np.clip(y, -CORE / 2, CORE / 2) - np.clip(x, -CORE / 2, CORE / 2)[:, None]
    mean = moved @ weights / weights.sum()
    return -np.trapezoid(x * mean, x) / (CORE * burst)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_diffusivity_of_walkers_has_the_noise_of_chi_squared(ndim):
    """V16: D = <x^2>/(2 d t) has the relative standard deviation sqrt(2/(d N))."""
    n, patches, t = 500, 400, 0.3
    model = ParticleModel(ndim, Brownian(mobility=2.0), boundary=("open",) * ndim, seed=ndim)
    kernels = NUMPY.load_particles(model)
    state = make_state(
        np.zeros((patches, ndim, n)), [1.0] * ndim, controls={"temperature": 0.5},
        names=("temperature",),
    )  # fmt: skip
    handle = kernels.pack(state)
    kernels.burst(handle, ParticlePlan(3, t / 3))
    square = (kernels.unpack(handle).positions ** 2).sum(axis=1).mean(axis=1)
    D = square / (2 * ndim * t)
    expected = np.sqrt(2 / (ndim * n))
    assert abs(D.mean() - 1) < SIGMAS * expected / np.sqrt(patches)
    assert abs(D.std(ddof=1) / expected - 1) < SIGMAS / np.sqrt(2 * patches)


FORMS = {
    "flux": (ParticleFluxScheme, {}),
    "box": (ParticleBurstScheme, {"kernel": "box"}),
    "cos2": (ParticleBurstScheme, {"kernel": "cos2"}),
}


def measured_variance(form, burst, density, replicas):
    """Variance of the slope among replicas and cells, and its relative standard deviation."""
    kind, options = FORMS[form]
    bursts = Burst(burst, replicas=replicas)
    scheme, _ = walkers(density, bursts, Sampling("stochastic"), kind, **options)
    slopes = scheme.samples(0.0, np.full((1, 1, CELLS), density), True)
    # slopes of neighbours share a face: their correlation -1/2 adds 1/4 on each side
    shared = 1.5 if form == "flux" else 1.0
    return np.mean(slopes**2), np.sqrt(2 * shared / (replicas * CELLS))


@pytest.mark.parametrize("burst", [5e-6, 2e-7])
@pytest.mark.parametrize("form", FORMS)
def test_the_noise_of_slopes_is_that_of_a_poisson_field(form, burst):
    """V16b: box, cos^2 and flux form, for long and short bursts."""
    density = 4000.0
    variance, spread = measured_variance(form, burst, density, 500)
    expected = slope_variance(form, density, 1.0, burst, CORE, H)
    assert abs(variance / expected - 1) < SIGMAS * spread


def test_short_bursts_have_the_noise_of_the_leading_order():
    """V16b: 4 D rho/(h t H^2), 4 rho sqrt(D t/pi)/(h t)^2, 4 pi^2 D rho/(h^3 t)."""
    density, D, t = 3e3, 2.0, 1e-10
    leading = {
        "flux": 4 * D * density / (CORE * t * H**2),
        "box": 4 * density * np.sqrt(D * t / np.pi) / (CORE * t) ** 2,
        "cos2": 4 * np.pi**2 * D * density / (CORE**3 * t),
    }
    found = {form: slope_variance(form, density, D, t, CORE, H) for form in FORMS}
    for form, value in leading.items():
        assert found[form] / value == pytest.approx(1, rel=2e-3)
    assert leading["cos2"] / leading["flux"] == pytest.approx(np.pi**2 * (H / CORE) ** 2)
    assert leading["cos2"] / leading["flux"] == pytest.approx(987, rel=1e-3)


def test_fluxes_are_hundreds_of_times_less_noisy_than_core_averages():
    """V16b: 303 (box) and 631 (cos^2) at the burst of V16c; to leading order 252 and 987."""
    burst, density = 5e-6, 4000.0
    exact = {form: slope_variance(form, density, 1.0, burst, CORE, H) for form in FORMS}
    assert exact["box"] / exact["flux"] == pytest.approx(303.2, abs=0.1)
    assert exact["cos2"] / exact["flux"] == pytest.approx(631.2, abs=0.1)
    assert H**2 / (CORE * np.sqrt(np.pi * burst)) == pytest.approx(252.3, abs=0.1)
    flux, spread = measured_variance("flux", burst, density, 500)
    for form in ("box", "cos2"):
        variance, other = measured_variance(form, burst, density, 500)
        ratio = variance / flux
        tolerance = SIGMAS * np.hypot(spread, other)
        assert tolerance < 0.15
        assert abs(ratio / (exact[form] / exact["flux"]) - 1) < tolerance


def test_walkers_on_faces_follow_the_diffusion_equation():
    """V16c: amplitude .22782 of the scheme, sharpened by common random numbers."""
    found = run(1e4, 5e-6, Sampling("weighted", common=True), 16)
    expected = START * (1 - LEAP * RATE * spoilt_share(5e-6)) ** LEAPS
    assert expected == pytest.approx(0.22776, rel=3e-4)
    assert abs(found.mean() - expected) < SIGMAS * found.std(ddof=1) / 4
    assert found.std(ddof=1) < 0.01


@pytest.mark.slow
def test_walkers_on_faces_follow_the_diffusion_equation_with_all_their_noise():
    """V16c: a million particles per length, 16 runs, amplitude .22776."""
    found = run(1e6, 5e-6, Sampling("weighted"), 16, NumbaBackend())
    error = found.std(ddof=1) / 4
    assert abs(found.mean() - 0.22776) < SIGMAS * error
    density_noise = 2 * 1e6 / (CORE * 5e-6) * 0.8318
    step = LEAP / H * 2 * np.sin(np.pi / CELLS) * np.sqrt(2 / CELLS * density_noise) / 1e6
    kept = (1 - LEAP * RATE) ** 2
    expected = step * np.sqrt((1 - kept**LEAPS) / (1 - kept))
    assert abs(found.std(ddof=1) / expected - 1) < SIGMAS / np.sqrt(30)


def test_the_built_in_walkers_obey_the_diffusion_equation_within_their_error_bar():
    """V16c: `gpupatch run walkers`, cell by cell and for the wave as a whole."""
    case = load_case("walkers")
    parts = build(case, NUMPY)
    solution = simulate(
        parts.scheme, parts.initial, case.time.end, projection=parts.projection, save=2,
        exact=parts.exact,
    )  # fmt: skip
    assert solution.exact is not None
    found, exact = solution["density"][-1], solution.exact[-1][0, 0]
    replicas, cells = found.shape
    scores = (found.mean(axis=0) - exact) / (found.std(axis=0, ddof=1) / np.sqrt(replicas))
    nu = replicas - 1
    # squares of Student's t with nu degrees of freedom, of cells that are nearly independent
    mean, square = nu / (nu - 2), 3 * nu**2 / ((nu - 2) * (nu - 4))
    assert np.mean(scores**2) < mean + SIGMAS * np.sqrt((square - mean**2) / cells)
    wave = exact - exact.mean()
    amplitude = found @ wave / (wave @ wave)
    error = amplitude.std(ddof=1) / np.sqrt(replicas)
    assert error < 0.01
    assert abs(amplitude.mean() - 1) < stats.t.isf(stats.norm.sf(SIGMAS), nu) * error


def test_a_burst_too_long_for_its_buffers_is_announced_and_biased():
    """V16c: a burst of 2e-5 (z = 1.1) leaves the amplitude .239 instead of .228."""
    with pytest.warns(UserWarning, match=r"changes the flux in the core by 7\.4 %"):
        found = run(1e4, 2e-5, Sampling("weighted", common=True), 16)
    biased = START * (1 - LEAP * RATE * spoilt_share(2e-5)) ** LEAPS
    assert biased == pytest.approx(0.2392, abs=1e-4)
    error = found.std(ddof=1) / 4
    assert abs(found.mean() - biased) < SIGMAS * error
    assert found.mean() - 0.22776 > 10 * error


def test_a_burst_that_its_buffers_protect_is_not_announced():
    scheme, initial = walkers(1e4, Burst(5e-6), Sampling())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheme.slope(0.0, scheme.initial(initial))

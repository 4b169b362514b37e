"""V23: Fourier's law of a pinned harmonic chain whose velocities flip, exactly known."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.errors import SchemeError
from gpupatch.lifting.chains import lift_chain, lifted_covariance
from gpupatch.particles import library
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_problem import ParticleProblem, particle_grid
from gpupatch.simulation import simulate
from gpupatch.theory import chains

SIGMAS = 3.5
KAPPA = 0.3819660113
N, CORE = 81, 25
LENGTH = 800.0


def chain_model(k=1.0, pinning=1.0, rate=0.25, n=N):
    return gp.ParticleModel(
        1,
        gp.VelocityFlips(rate),
        bonds=gp.Bonds(library.spring, {"k": k}, gp.chain(n)),
        field=gp.Field(library.pinned, {"k": pinning}),
        boundary=("open",),
    )


def chain_scheme(backend, burst, cells=8, length=LENGTH, **options):
    problem = ParticleProblem(
        chain_model(), particle_grid([(0, length)], [cells], N), names=("energy",), core=CORE,
        **options,
    )  # fmt: skip
    return ChainFluxScheme(problem, backend, burst)


def wave(x):
    return 1 + 0.5 * np.cos(2 * np.pi * x / LENGTH)


def test_the_conductivity_has_its_closed_form():
    """V23: omega^2 = 1, nu^2 = 1, gamma = .5: .3819660113; nu = 0, gamma = 1: .5."""
    assert chains.flip_conductivity(1.0, 1.0, 0.25) == pytest.approx(KAPPA, abs=1e-10)
    assert chains.flip_conductivity(1.0, 0.0, 0.5) == 0.5
    assert chains.flip_conductivity(4.0, 4.0, 0.5) == pytest.approx(4 * KAPPA / 2, abs=1e-9)


@pytest.mark.parametrize(("pinning", "rate"), [(1.0, 0.25), (0.3, 0.5), (2.0, 0.25)])
def test_a_burst_from_local_equilibrium_conducts_as_fourier_says(pinning, rate):
    """V23: the expected current of a healed patch over its slope, extrapolated to dt = 0."""
    n, slope = 61, 0.004
    covariances = lifted_covariance(1 + slope * (np.arange(n) - 30), 1.0, pinning)
    bonds = slice(23, 38)
    currents = []
    for dt in (0.08, 0.04):
        flux = chains.flip_burst_flux(*covariances, 1.0, pinning, rate, dt, round(40 / dt))
        currents.append(flux[-1, bonds].mean() * (1 + np.exp(2 * rate * dt)) / 2)
    kappa = -(4 * currents[1] - currents[0]) / 3 / slope
    assert kappa == pytest.approx(chains.flip_conductivity(1.0, pinning, rate), rel=1e-5)


def test_lifted_chains_have_the_covariance_of_local_equilibrium():
    """The energy of particle i is T_i where T is linear, to second order in its slope."""
    T = 1 + 0.01 * (np.arange(N) - (N - 1) / 2)
    x, v = lifted_covariance(T, 2.0, 0.7)
    k = chains.chain_matrix(N, 2.0, 0.7)
    energy = np.diag(v) / 2 + 0.7 / 2 * np.diag(x)
    stretch = np.diag(x)[1:] + np.diag(x)[:-1] - 2 * np.diag(x, 1)
    energy[1:] += stretch / 2
    energy[:-1] += stretch / 2
    np.testing.assert_allclose(energy[8:-8], T[8:-8], rtol=2e-4)
    assert np.trace(k @ lifted_covariance(np.ones(N), 2.0, 0.7)[0]) == pytest.approx(N)


def test_chains_are_drawn_with_that_covariance():
    n, patches = 6, 20000
    T = np.linspace(0.5, 1.5, n)
    positions, velocities = lift_chain(np.tile(T, (patches, 1)), 1.3, 0.4, seed=4, stream=1)
    for drawn, expected in zip(
        (positions, velocities), lifted_covariance(T, 1.3, 0.4), strict=True
    ):
        white = np.linalg.solve(np.linalg.cholesky(expected), drawn[:, 0].T)
        found = white @ white.T / patches - np.eye(n)
        error = np.sqrt((1 + np.eye(n)) / patches)
        assert np.abs(found / error).max() < SIGMAS


def test_a_chain_that_nothing_holds_is_lifted_from_its_last_particle():
    T = np.full((3, 9), 2.0)
    positions, _ = lift_chain(T, 1.5, 0.0, seed=1, stream=1)
    np.testing.assert_array_equal(positions[:, 0, -1], 0)
    bonds = np.diff(lift_chain(np.full((4000, 9), 2.0), 1.5, 0.0, 1, 1)[0][:, 0], axis=1)
    spread = bonds.var() / (2.0 / 1.5) - 1
    assert abs(spread) < SIGMAS * np.sqrt(2 / bonds.size)


def test_flips_keep_the_energy_to_second_order():
    run, drifts = NumpyParticles(chain_model(n=20)), []
    positions, velocities = lift_chain(np.ones((60, 20)), 1.0, 1.0, seed=3, stream=0)
    for dt in (0.1, 0.05):
        state = gp.make_state(positions, (1.0,), velocities=velocities)
        before = run.measure(state, ("potential", "kinetic")).sum(axis=1)
        run.burst(state, gp.ParticlePlan(round(5 / dt), dt))
        drifts.append(run.measure(state, ("potential", "kinetic")).sum(axis=1) - before)
    assert np.abs(drifts[0]).max() < 0.1
    assert 2.5 < drifts[0].std() / drifts[1].std() < 6


def test_patches_conduct_with_the_exact_conductivity(backend):
    """V23: kappa = .3819660113 from bursts, within 3.5 standard errors."""
    replicas = 60
    scheme = chain_scheme(backend, gp.Burst(30.0, 10.0, 0.1, replicas=replicas))
    U = scheme.initial({"energy": wave})
    flux = scheme.measure(0.0, U, 0)[:, 0, 0]
    slope = scheme.profile(0.0, U, 0)[:, 1]
    kappa = -(flux @ slope) / (slope @ slope)
    error = kappa.std(ddof=1) / np.sqrt(replicas)
    assert error < 0.05 * KAPPA
    assert abs(kappa.mean() - KAPPA) < SIGMAS * error


def test_the_slope_of_the_energy_is_that_of_the_heat_equation(backend):
    """V23: D = kappa, as a particle holds the energy T; what leaves a cell enters its neighbour."""
    scheme = chain_scheme(backend, gp.Burst(30.0, 10.0, 0.1, replicas=40))
    U = scheme.initial({"energy": wave})
    slope = scheme.slope(0.0, U)
    assert slope.sum() == pytest.approx(0, abs=1e-16)
    mode = U[0, 0] - 1
    rate = (slope[0, 0] @ mode) / (mode @ mode)
    errors = scheme.slope_error
    assert errors is not None
    H = LENGTH / 8
    exact = -KAPPA * 4 / H**2 * np.sin(np.pi / 8) ** 2
    assert abs(rate - exact) < SIGMAS * np.sqrt(((errors[0, 0] * mode) ** 2).sum()) / (mode @ mode)


@pytest.mark.slow
def test_a_warm_region_spreads_as_the_heat_equation_says(backend):
    """V23: the amplitude of a wave after leaps, from independent runs: exp(-kappa q^2 t)."""
    runs, end = 12, 20000.0
    scheme = chain_scheme(backend, gp.Burst(30.0, 10.0, 0.1, replicas=6), cells=16, replicas=runs)
    solution = simulate(
        scheme, {"energy": wave}, end, save=2,
        projection=gp.Projection("rk2", end / 12),
    )  # fmt: skip
    U = solution.coarse[-1][:, 0]
    X = scheme.grid.centres[0]
    mode = np.cos(2 * np.pi * X / LENGTH)
    amplitude = U @ mode / (mode @ mode)
    error = amplitude.std(ddof=1) / np.sqrt(runs)
    H = LENGTH / 16
    rate = KAPPA * 4 / H**2 * np.sin(np.pi / 16) ** 2
    start = 0.5 * np.sinc(1 / 16)
    assert abs(amplitude.mean() - start * np.exp(-rate * end)) < SIGMAS * error
    assert error < 0.02


def test_two_backends_measure_the_same_currents(backend):
    burst = gp.Burst(2.0, 1.0, 0.1, replicas=20)
    found = []
    for one in (backend, gp.get_backend("numpy")[0]):
        scheme = chain_scheme(one, burst, cells=4)
        found.append(scheme.measure(0.0, scheme.initial({"energy": wave}), 0))
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-10 * np.abs(found[1]).max())


def test_no_two_bursts_share_random_numbers(backend):
    """Else replicas that are added for a tolerance would repeat those at hand."""
    scheme = chain_scheme(backend, gp.Burst(2.0, 1.0, 0.1, replicas=3), cells=4)
    U = scheme.initial({"energy": wave})
    samples = np.concatenate([scheme.samples(0.0, U, first) for first in (True, False)])
    assert len(np.unique(samples[:, 0, 0, 0])) == 6


def anharmonic(x, k):
    return k / 2 * x**2 + x**4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"field": gp.Field(anharmonic, {"k": 1.0})}, "the chain is not harmonic"),
        ({"bonds": gp.Bonds(library.spring, {"k": 1.0}, gp.chain(N, closed=True))}, "chain"),
        ({"dynamics": gp.Newton()}, "`velocity_flips`"),
        ({"masses": (2.0,)}, "masses 1"),
    ],
)
def test_other_chains_are_refused(changes, message):
    from dataclasses import replace

    problem = ParticleProblem(
        replace(chain_model(), **changes), particle_grid([(0, LENGTH)], [8], N), names=("energy",)
    )
    with pytest.raises(SchemeError, match=message):
        ChainFluxScheme(problem, gp.get_backend("numpy")[0], gp.Burst(30.0, 10.0, 0.1))


def test_a_profile_that_is_too_steep_is_refused():
    with pytest.raises(SchemeError, match="temperature of particle 0 of patch 1 would be"):
        lift_chain(np.array([[0.5, 1.0], [-0.2, 1.0]]), 1.0, 1.0, 0, 0)

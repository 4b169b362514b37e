"""Schemes for the density of particles: slopes, conservation, noise, walls, refusals."""

from typing import Any

import numpy as np
import pytest

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid, dirichlet, neumann
from gpupatch.lifting.reservoirs import refilled
from gpupatch.particles.dynamics import Brownian, Langevin, Newton
from gpupatch.particles.interaction import Field, Pair
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.library import gaussian, lennard_jones
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.state import make_state
from gpupatch.projection import Projection
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.scheme.particle_problem import ParticleProblem, particle_grid
from gpupatch.scheme.sampling import Sampling
from gpupatch.simulation import simulate

SIGMAS = 3.5
NUMPY = NumpyBackend()
QUIET = Sampling("weighted", common=True)
BURST = Burst(4e-6, replicas=8)


def problem(ndim=1, cells=6, boundary: Any = "periodic", **more):
    """Walkers on the unit line, square or cube; patches three hundredths wide."""
    grid = particle_grid([(0.0, 1.0)] * ndim, [cells] * ndim, 0.03, boundary)
    given = {"model": ParticleModel(ndim, Brownian()), "controls": {"temperature": 1.0}}
    return ParticleProblem(grid=grid, seed=9, **(given | more))


def flux_scheme(one=None, burst=BURST, sampling=QUIET, **more):
    return ParticleFluxScheme(one or problem(), NUMPY, burst, sampling=sampling, **more)


def wave(x, *yz):
    return 3e4 * (1 + 0.4 * np.sin(2 * np.pi * x) + sum(0.3 * np.cos(2 * np.pi * y) for y in yz))


def laplacian(U, H):
    rolled = [np.roll(U, s, axis=2 + a) for a in range(U.ndim - 2) for s in (1, -1)]
    return (sum(rolled) - len(rolled) * U) / H**2


@pytest.mark.parametrize("ndim", [1, 2])
def test_fluxes_add_up_to_the_laplacian_and_conserve(ndim):
    scheme = flux_scheme(problem(ndim, 6 if ndim == 1 else 4))
    density = (lambda x: wave(x)) if ndim == 1 else (lambda x, y: 120 * wave(x, y))
    U = scheme.initial({"density": density})
    slope = scheme.slope(0.0, U)
    error = scheme.slope_error
    assert error is not None
    expected = laplacian(U, scheme.grid.gap[0])
    assert np.abs(slope.sum()) < 1e-9 * np.abs(slope).sum()
    assert np.sqrt(np.mean(((slope - expected) / error) ** 2)) < 2
    assert np.sqrt(np.mean(error**2)) < 0.2 * np.sqrt(np.mean(expected**2))


@pytest.mark.parametrize("lift", ["low_noise", "stochastic", "weighted"])
def test_every_lift_measures_the_same_slope(lift):
    scheme = flux_scheme(burst=Burst(4e-6, replicas=200), sampling=Sampling(lift))
    U = scheme.initial({"density": lambda x: 0.1 * wave(x)})
    slope = scheme.slope(0.0, U)
    error = scheme.slope_error
    assert error is not None
    scaled = (slope - laplacian(U, 1 / 6)) / error
    assert np.abs(scaled).max() < SIGMAS + 0.5


@pytest.mark.parametrize("kernel", ["box", "cos2"])
def test_core_averages_change_as_the_curvature_says(kernel):
    scheme = ParticleBurstScheme(problem(), NUMPY, Burst(4e-6, replicas=80), kernel, QUIET)
    U = scheme.initial({"density": wave})
    slope = scheme.slope(0.0, U)
    error = scheme.slope_error
    assert error is not None
    # a parabola, truncated at the ends of the patch, diffuses in the core as if it went on
    assert np.abs((slope - laplacian(U, 1 / 6)) / error).max() < SIGMAS + 0.5
    exact = scheme.exact({"density": lambda x, t: wave(x)}, 0.0)
    assert np.array_equal(exact, U)


def test_core_averages_of_a_parabola_are_lifted_exactly():
    for kernel in ("box", "cos2"):
        walls = [(dirichlet(1.0), dirichlet(4.0))]
        one = problem(boundary=walls, cells=6)
        scheme = ParticleBurstScheme(one, NUMPY, BURST, kernel)
        U = scheme.initial({"density": lambda x: 1 + x + 2 * x**2})
        X = scheme.grid.centres[0]
        profile = scheme.profile(0.0, U)
        assert profile == pytest.approx(np.stack([1 + X + 2 * X**2, 1 + 4 * X, 2 + 0 * X], axis=1))


@pytest.mark.parametrize(("heal", "steps"), [(0.0, 0), (0.01, 1), (0.1, 1), (0.24, 2), (0.39, 3)])
def test_healing_that_is_asked_for_takes_a_step_at_least(heal, steps):
    scheme = flux_scheme(burst=Burst(0.4, heal=heal, dt=0.1))
    assert scheme.steps() == (4, steps, pytest.approx(0.1))


def test_replicas_are_raised_until_noise_is_low_and_no_further():
    counts = {}
    for tolerance in (1.0, 0.05, 1e-3):
        demanding = Sampling("weighted", common=True, tolerance=tolerance, max_replicas=60)
        scheme = flux_scheme(burst=Burst(4e-6, replicas=4), sampling=demanding)
        scheme.slope(0.0, scheme.initial({"density": wave}))
        report = scheme.work(1.0)
        counts[tolerance] = report["burst_replicas"]["most"]
        if tolerance == 0.05:
            assert report["slope"]["standard_error"] < 0.075 * report["slope"]["rms"]
            assert report["burst_replicas"]["raised"] == 1
    assert counts[1.0] == 4
    assert 4 < counts[0.05] < 60
    assert counts[1e-3] == 60


def test_common_random_numbers_silence_a_uniform_density():
    for lift in ("low_noise", "stochastic", "weighted"):
        scheme = flux_scheme(sampling=Sampling(lift, common=True))
        slope = scheme.slope(0.0, np.full((1, 1, 6), 3e4))
        assert np.abs(slope).max() == 0.0


def test_heavy_particles_cost_less_and_are_noisier():
    errors, steps = [], []
    for weight in (1.0, 16.0):
        scheme = flux_scheme(burst=Burst(4e-6, replicas=60), sampling=Sampling(weight=weight))
        scheme.slope(0.0, np.full((1, 1, 6), 3e4))
        errors.append(scheme.slope_error)
        steps.append(scheme.particle_steps)
    assert steps[0] == pytest.approx(16 * steps[1], rel=0.02)
    ratio = np.sqrt(np.mean(errors[1] ** 2) / np.mean(errors[0] ** 2))
    assert ratio == pytest.approx(4, rel=SIGMAS * np.sqrt(2 / (60 * 6)))


def test_members_have_temperatures_of_their_own():
    one = problem(controls={}, members={"temperature": [0.5, 2.0]}, replicas=2)
    scheme = flux_scheme(one, Burst(2e-6, replicas=20))
    U = scheme.initial({"density": wave})
    slope = scheme.slope(0.0, U)
    signal = np.einsum("mfc,mfc->m", slope, laplacian(U, 1 / 6))
    assert [row["temperature"] for row in scheme.member_values] == [0.5, 0.5, 2.0, 2.0]
    D = signal / np.einsum("mfc,mfc->m", laplacian(U, 1 / 6), laplacian(U, 1 / 6))
    assert pytest.approx([0.5, 0.5, 2.0, 2.0], rel=0.2) == D


def test_nothing_crosses_a_wall_and_a_linear_profile_stays():
    closed = flux_scheme(problem(boundary=[(neumann(), neumann())]))
    U = closed.initial({"density": lambda x: 3e4 + 1e4 * x})
    flux = closed.measure(0.0, U, 0)
    assert np.abs(flux[..., [0, -1]]).max() == 0.0
    slope = closed.slope(0.0, U)
    assert abs(slope.sum()) < 1e-9 * np.abs(slope).sum()
    steady = flux_scheme(problem(boundary=[(dirichlet(3e4), dirichlet(4e4))]))
    flux = steady.measure(0.0, U, 0)[:, 0, 0]
    error = flux.std(axis=0, ddof=1) / np.sqrt(len(flux))
    assert np.abs((flux.mean(axis=0) + 1e4) / error).max() < 2 * SIGMAS


def test_a_run_reports_its_particles_replicas_and_error_bars():
    scheme = flux_scheme(problem(replicas=3))
    solution = simulate(
        scheme, {"density": wave}, 2e-3, projection=Projection("rk2", step=1e-3), save=2,
        exact={"density": lambda x, t: wave(x)},
    )  # fmt: skip
    report = solution.report
    assert report["particle_steps"] == scheme.updates
    assert report["gain"] > 1
    assert report["fraction_of_space"] == pytest.approx(0.03 * 6)
    assert report["burst_replicas"]["mean"] == 8
    bars = scheme.uncertainty(solution.coarse[-1])
    assert bars is not None
    assert bars[0] == pytest.approx(solution.coarse[-1].std(axis=0, ddof=1))
    assert scheme.result_facts()["lift"] == "weighted"
    assert scheme.describe()[0].startswith("6 cells")


def test_a_lattice_gas_runs_like_any_other_micro_simulator():
    grid = particle_grid([(0.0, 720.0)], [6], 60.0)
    one = ParticleProblem(LatticeGas("ssep"), grid, core=20.0, seed=1, replicas=2)
    scheme = flux_scheme(one, Burst(12.0, dt=0.5, replicas=8), Sampling("stochastic", common=True))

    def density(x):
        return 0.5 + 0.3 * np.sin(2 * np.pi * x / 720)

    leaps = Projection("rk2", step=1500.0)
    solution = simulate(scheme, {"density": density}, 3000.0, projection=leaps, save=2)
    start, end = solution["density"]
    assert np.abs(end.sum(axis=1) - start.sum(axis=1)).max() < 1e-12
    assert (np.abs(end - 0.5).max(axis=1) < np.abs(start - 0.5).max(axis=1)).all()
    assert scheme.result_facts()["model"] == "ssep"
    assert solution.report["gain"] > 1


def test_a_run_does_not_depend_on_what_ran_before():
    def run():
        scheme = flux_scheme()
        U = scheme.initial({"density": wave})
        return [scheme.slope(0.0, U) for _ in range(2)]

    first, second = run(), run()
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_an_empty_domain_stays_empty():
    scheme = flux_scheme(sampling=Sampling())
    assert np.abs(scheme.slope(0.0, np.zeros((1, 1, 6)))).max() == 0.0


def test_reservoirs_keep_the_density_at_both_ends_and_leave_the_rest():
    patches, width = 1500, 3.0
    profile = np.tile([20.0, 4.0, 0.0], (patches, 1))
    generator = np.random.default_rng(0)
    counts = generator.poisson(60, patches)
    x = generator.uniform(-1.6, 1.6, (patches, 1, counts.max()))
    before = make_state(x, [width], counts=counts)
    after = refilled(before, profile, 0, 1.0, seed=1, stream=2, look=3)
    places = np.where(after.present, after.positions[:, 0], np.nan)
    for low, high in ((-1.5, -1.0), (1.0, 1.5)):
        there = (places > low) & (places < high)
        n, expected = there.sum(axis=1), 20 * 0.5 + 4 * (high**2 - low**2) / 2
        assert set(n) == {int(expected), int(expected) + 1}
        assert abs(n.mean() - expected) < SIGMAS * 0.5 / np.sqrt(patches)
    for p in range(20):
        old = before.positions[p, 0, : counts[p]]
        new = after.positions[p, 0, : after.counts[p]]
        assert set(old[np.abs(old) < 1]) == set(new[np.abs(new) < 1])
    assert np.nanmax(np.abs(places)) <= width / 2


def test_particles_with_velocities_diffuse_with_t_over_friction():
    """D = T/(m friction) (f h/2) coth(f h/2) in steps h, once the velocities are forgotten."""
    burst = Burst(4e-6, heal=6e-7, dt=1e-7, replicas=30)
    one = problem(model=ParticleModel(1, Langevin(1e7)), controls={"temperature": 1e7})
    scheme = flux_scheme(one, burst, diffusivity=1.0)
    U = scheme.initial({"density": wave})
    mode = U[0, 0] - U[0, 0].mean()
    rates = scheme.samples(0.0, U, True)[:, 0, 0] @ mode / (mode @ mode)
    expected = laplacian(U, scheme.grid.gap[0])[0, 0] @ mode / (mode @ mode) * 0.5 / np.tanh(0.5)
    error = rates.std(ddof=1) / np.sqrt(len(rates))
    assert error < 0.05 * abs(expected)
    assert abs(rates.mean() - expected) < SIGMAS * error


def test_reservoirs_are_looked_at_whatever_the_micro_step():
    scheme = flux_scheme(sampling=Sampling(edges="reservoir"))
    assert scheme.steps()[0] == 20
    assert len(scheme._cuts(20, scheme.burst_length / 20)) == 21


def test_particles_that_are_thrown_out_of_their_patch_are_noticed():
    hard = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1e-3}, 2.5e-3)
    model = ParticleModel(1, Brownian(), pair=hard)
    scheme = flux_scheme(problem(model=model), Burst(4e-6, dt=4e-7), Sampling("stochastic"))
    with pytest.raises(SchemeError, match="forces have thrown"):
        scheme.slope(0.0, scheme.initial({"density": 2e3}))


SOFT = ParticleModel(1, Brownian(), pair=Pair(gaussian, {"epsilon": 1, "sigma": 1}, 3.0))
BATH = ParticleModel(1, Langevin(1e6))
TRAPPED = ParticleModel(1, Brownian(), field=Field(lambda x: x**2))
DRIVEN = ParticleModel(1, Brownian(), field=Field(lambda x: -x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: flux_scheme(problem(names=("mass",))), "`density`"),
        (lambda: problem(controls={}), "needs a value for the control `temperature`"),
        (lambda: problem(controls={"temprature": 1}), "Did you mean `temperature`"),
        (lambda: problem(core=0.2), "not wider than the patch"),
        (lambda: problem(replicas=0), "`replicas` is 0"),
        (lambda: problem(dtype="half"), "dtype"),
        (lambda: problem(model=ParticleModel(2, Brownian())), "dimensions"),
        (
            lambda: ParticleProblem(
                ParticleModel(1, Newton()), PatchGrid([(0.0, 1.0)], [6], 3, dx=0.01)
            ),
            "grid of cells",
        ),
        (lambda: Sampling(edges="opne"), "Did you mean `open`"),
        (lambda: Sampling(tolerance=0.0), "must be positive"),
        (lambda: Sampling(max_replicas=0), "at least 1"),
        (lambda: Sampling(refill=1.0), "belongs to edges `reservoir`"),
        (lambda: flux_scheme(burst=Burst(1e-6), sampling=Sampling(tolerance=0.1)), "two replicas"),
        (lambda: flux_scheme(problem(model=SOFT)), "cannot be given weights"),
        (lambda: flux_scheme(problem(model=SOFT), sampling=Sampling()), "give `burst.dt`"),
        (lambda: flux_scheme(problem(model=SOFT), sampling=Sampling(weight=2.0)), "`weight`"),
        (
            lambda: flux_scheme(problem(model=DRIVEN), Burst(1e-6, dt=1e-7), Sampling(common=True)),
            "external field",
        ),
        (
            lambda: flux_scheme(problem(model=TRAPPED), Burst(1e-6, dt=1e-7), Sampling()),
            "linear in the coordinates",
        ),
        (
            lambda: flux_scheme(problem(model=ParticleModel(1, Newton()), controls={})),
            "a density alone does not tell",
        ),
        (
            lambda: flux_scheme(
                problem(model=BATH), Burst(1e-6, dt=1e-7), Sampling(edges="reservoir")
            ),
            "without a velocity",
        ),
        (lambda: flux_scheme(problem(model=BATH), sampling=Sampling()), "give `burst.dt`"),
        (lambda: flux_scheme(order=3), "order"),
        (lambda: ParticleBurstScheme(problem(2), NUMPY, BURST), "one-dimensional"),
        (lambda: flux_scheme().initial({"density": -1.0}), "must not be negative"),
        (lambda: flux_scheme().fields(np.zeros((1, 1, 6)), 0.0), "no sites"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, message):
    with pytest.raises(SchemeError, match=message):
        make()

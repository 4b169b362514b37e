"""V24: polymers under tension and in solution against exact averages of single chains."""

import numpy as np
import pytest
from scipy.optimize import root_scalar

import gpupatch as gp
from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.errors import SchemeError
from gpupatch.particles import library
from gpupatch.scheme.particle_problem import particle_grid
from gpupatch.scheme.stretch import StretchProblem, StretchScheme, likely_length
from gpupatch.simulation import simulate
from gpupatch.theory import polymers

SIGMAS = 3.5
STIFF = 400.0
LENGTHS = (1 - 8 / STIFF**0.5, 1 + 8 / STIFF**0.5)


def spring(r):
    return STIFF / 2 * (r - 1) ** 2


def langevin(kappa):
    return 1 / np.tanh(kappa) - 1 / kappa


def test_closed_forms_have_their_digits():
    """V24: the freely jointed chain, the worm-like chain, its interpolation and its size."""
    jointed = polymers.freely_jointed_extension([0.5, 1, 2, 5, 10])
    assert jointed == pytest.approx([0.163953, 0.313035, 0.537315, 0.800091, 0.9], abs=1e-6)
    force = [0.1, 0.5, 1, 2, 5, 10]
    wormlike = [0.066343, 0.299349, 0.481193, 0.639690, 0.775297, 0.841558]
    assert polymers.wormlike_extension(force) == pytest.approx(wormlike, abs=1e-6)
    interpolated = [0.064399, 0.274730, 0.443307, 0.609612, 0.763932, 0.837030]
    assert polymers.marko_siggia_extension(force) == pytest.approx(interpolated, abs=1e-6)
    size = polymers.wormlike_square_end([1, 5, 10])
    assert size == pytest.approx([0.735759, 0.320539, 0.180001], abs=1e-6)
    assert polymers.rouse_time(32, 3.0, 1.0) == pytest.approx(34.612089, abs=1e-6)


def test_the_freely_jointed_chain_is_linear_at_small_forces():
    b = np.array([-1e-2, 1e-6, 0.0, 9.9e-3, 1.01e-2])
    np.testing.assert_allclose(polymers.freely_jointed_extension(b), b / 3 - b**3 / 45, atol=1e-12)


@pytest.mark.parametrize("force", [0.5, 2.0, 10.0])
def test_elastic_bonds_become_rigid(force):
    """V24: the extension of chains of springs tends to that of the freely jointed chain."""
    excess = []
    for k in (1e4, 4e4):
        found = polymers.chain_extension(
            force, 7, lambda r, k=k: k / 2 * (r - 1) ** 2, (1 - 8 / k**0.5, 1 + 8 / k**0.5)
        )
        excess.append(found / 7 - float(polymers.freely_jointed_extension(force)))
    assert abs(excess[1]) < 3e-4
    assert excess[0] / excess[1] == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize("force", [0.5, 2.0])
def test_short_stiff_bonds_become_a_worm(force):
    """V24: bonds of length b, bent with persistence length 1, against the continuous chain."""
    errors = []
    for b in (0.1, 0.05):
        found = root_scalar(lambda x, b=b: b / np.log(langevin(x)) + 1, bracket=(1.0, 100.0))
        ends = [
            polymers.chain_extension(
                force, n, lambda r, b=b: 1e7 * (r - b) ** 2, (b - 2e-3, b + 2e-3), found.root
            )
            for n in (round(10 / b), round(20 / b))
        ]
        errors.append((ends[1] - ends[0]) / 10 - float(polymers.wormlike_extension(force)))
    assert abs(errors[1]) < 1e-3
    assert abs(errors[1]) < abs(errors[0])


def stretched(forces, kappa, n, chains, backend, end, settle, dt=0.02):
    """Chains of stiff springs, one place of the grid per force, and the solution of a run."""
    model = gp.ParticleModel(
        3,
        gp.Langevin(1.0),
        bonds=gp.Bonds(library.harmonic, {"k": STIFF, "r0": 1.0}, gp.chain(n)),
        angles=gp.Angles(library.wormlike, {"kappa": kappa}, gp.chain_angles(n)),
        boundary=("open",) * 3,
    )
    problem = StretchProblem(
        model, particle_grid([(0, len(forces))], [len(forces)], 1.0),
        controls={"temperature": 1.0}, names=("extension", "square_end"), seed=8,
    )  # fmt: skip
    scheme = StretchScheme(problem, backend, dt, chains, settle)
    solution = simulate(
        scheme, {"force": lambda x: np.asarray(forces)[np.floor(x).astype(int)]}, end, save=2
    )
    assert solution.uncertainty is not None
    return solution.coarse[-1][0], solution.uncertainty[-1][0]


def check(forces, kappa, n, found, errors, most):
    bonds = n - 1
    exact = [polymers.chain_extension(f, bonds, spring, LENGTHS, kappa) / bonds for f in forces]
    assert np.abs((found[0] - exact) / errors[0]).max() < SIGMAS
    assert errors[0].max() < most


def test_a_freely_jointed_chain_is_stretched_as_langevin_says(backend):
    """V24: x/L at f b/kT = .5, 1, 2, 5, 10; springs make it 1 to 3 % longer, which is counted."""
    forces = [0.5, 1.0, 2.0, 5.0, 10.0]
    found, errors = stretched(forces, 0.0, 6, 64, backend, 60.0, 15.0)
    check(forces, 0.0, 6, found, errors, 0.015)
    rigid = polymers.freely_jointed_extension(forces)
    assert np.abs(found[0] - rigid).max() < 0.035 + SIGMAS * errors[0].max()


def test_a_wormlike_chain_is_stretched_and_coils_as_its_bending_says(backend):
    """V24: extension against the exact discrete chain, and <R^2> without a force."""
    forces, kappa, n = [0.0, 0.5, 1.0, 2.0], 4.0, 9
    found, errors = stretched(forces, kappa, n, 48, backend, 120.0, 40.0)
    check(forces, kappa, n, found, errors, 0.05)
    r = np.linspace(*LENGTHS, 4001)
    weight = r**2 * np.exp(-spring(r))
    mean, square = (weight @ r**p / weight.sum() for p in (1, 2))
    i = np.arange(n - 1)
    kept = langevin(kappa) ** np.abs(i[:, None] - i)
    size = (mean**2 * (kept.sum() - (n - 1)) + square * (n - 1)) / (n - 1) ** 2
    assert abs(found[1, 0] - size) < SIGMAS * errors[1, 0]


@pytest.mark.slow
def test_polymers_are_stretched_as_exact_chains_within_one_percent_of_their_length(backend):
    """V24: both chains with small error bars; at dt = .03 stiff bonds are 2e-3 too long."""
    forces = [0.5, 1.0, 2.0, 5.0, 10.0]
    for kappa in (0.0, 4.0):
        found, errors = stretched(forces, kappa, 9, 128, backend, 150.0, 60.0, dt=0.01)
        check(forces, kappa, 9, found, errors, 0.01)


def rouse(n=32):
    return gp.ParticleModel(
        1, gp.Brownian(1.0), bonds=gp.Bonds(library.spring, {"k": 3.0}, gp.chain(n)),
        boundary=("open",), seed=2,
    )  # fmt: skip


def test_the_slowest_mode_of_the_forces_has_the_rouse_time():
    """V24: tau_1 = 34.612089 for N = 32, k = 3, zeta = 1, from the linear propagator."""
    unit = np.eye(32)[:, None, :]
    state = gp.make_state(unit, (1.0,), controls={"temperature": 1.0}, names=("temperature",))
    rates = np.linalg.eigvalsh(-NumpyParticles(rouse()).forces(state)[:, 0])
    assert rates[0] == pytest.approx(0, abs=1e-12)
    assert 1 / rates[1] == pytest.approx(34.612089, rel=1e-7)
    assert 1 / rates[5] == pytest.approx(polymers.rouse_time(32, 3.0, 1.0, mode=5), rel=1e-10)


def test_the_first_mode_of_a_rouse_chain_decays():
    """V24: tau_1 from Brownian dynamics, with the exact factor 1 - dt/tau of every step."""
    n, patches, dt, steps = 32, 200, 0.1, 350
    mode = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    run = NumpyParticles(rouse(n))
    state = gp.make_state(
        np.tile(40 * mode, (patches, 1, 1)), (1.0,), controls={"temperature": 1.0},
        names=("temperature",),
    )  # fmt: skip
    run.burst(state, gp.ParticlePlan(steps, dt))
    amplitude = state.positions[:, 0] @ mode / (mode @ mode) / 40
    kept = amplitude.mean()
    error = amplitude.std(ddof=1) / np.sqrt(patches)
    tau = dt / (1 - kept ** (1 / steps))
    spread = error * tau / kept * tau / (steps * dt)
    assert abs(tau - 34.612089) < SIGMAS * spread
    assert spread < 0.01 * tau


def test_a_chain_without_such_a_mode_is_refused():
    with pytest.raises(gp.InputError, match="has the modes 1 to 3"):
        polymers.rouse_time(4, 1.0, 1.0, mode=4)


def test_the_likely_length_of_a_bond_is_where_its_density_is_largest():
    assert likely_length(library.spring, {"k": 2.0}, 1.0) == pytest.approx(1.0, rel=1e-3)
    assert likely_length(library.harmonic, {"k": 1e6, "r0": 1.5}, 1.0) == pytest.approx(1.5, 1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boundary": ("periodic",) * 3}, "must be `open`"),
        ({"bonds": None}, "what is pulled is a chain"),
        ({"dynamics": gp.Newton()}, "imposes no temperature"),
        ({"bonds": gp.Bonds(library.spring, {"k": 1.0}, gp.chain(1))}, "what is pulled is a chain"),
        ({"field": gp.Field(library.pull, {"force": 1.0})}, "leave out the external field"),
    ],
)
def test_what_cannot_be_pulled_is_refused(changes, message):
    parts = {
        "dynamics": gp.Langevin(1.0),
        "bonds": gp.Bonds(library.spring, {"k": 1.0}, gp.chain(4)),
        "boundary": ("open",) * 3,
    }
    with pytest.raises(SchemeError, match=message):
        StretchProblem(gp.ParticleModel(3, **(parts | changes)), particle_grid([(0, 1)], [1], 1.0))

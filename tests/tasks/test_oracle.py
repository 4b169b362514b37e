"""A scheme seen as a function: blocks of vectors are members of one batch."""

import numpy as np
import pytest
from systems import FRONT, NUMPY, fronts, ring, rod, walkers

import gpupatch as gp
from gpupatch.micro import lattice
from gpupatch.tasks.measured import MeasuredOracle, NoisyLatticeOracle, SampledOracle
from gpupatch.tasks.oracle import sampled

EXACT = 1e-11
"""Rounding of slopes, which are differences of values over short times."""


def burst_scheme(**options):
    grid = gp.PatchGrid([(0.0, 2 * np.pi)], [8], dx=0.02, core=0.1, buffer=0.2)
    problem = gp.Problem(lattice.get("fisher_kpp", 1), grid, {"D": 1.0, "r": 1.0})
    return gp.BurstScheme(problem, NUMPY, gp.Burst(0.0015, **options), order=4)


@pytest.mark.parametrize("coarse", [False, True])
def test_a_block_gives_what_its_vectors_give_one_by_one(coarse):
    oracle = gp.make_oracle(ring(8), coarse=coarse, block=4)
    x = oracle.vector({"u": np.sin})
    X = x + 0.1 * np.random.default_rng(0).normal(size=(7, oracle.n))
    block = oracle.slopes(X).values
    single = np.concatenate([oracle.slopes(one[None]).values for one in X])
    assert np.abs(block - single).max() < EXACT * np.abs(block).max()
    assert oracle.evaluations == 14
    assert oracle.batches == 9


@pytest.mark.parametrize("coarse", [False, True])
def test_every_vector_of_a_block_may_have_its_own_parameter(coarse):
    oracle = gp.make_oracle(ring(8), "strength", coarse=coarse)
    x = oracle.vector({"u": lambda x: 0.5 * np.sin(x)})
    values = np.array([0.5, 1.0, 2.0])
    block = oracle.slopes(np.tile(x, (3, 1)), values).values
    for value, slope in zip(values, block, strict=True):
        own = gp.make_oracle(ring(8, strength=value), coarse=coarse)
        assert np.abs(own.slopes(x[None]).values[0] - slope).max() < EXACT * np.abs(slope).max()


def test_the_slope_of_coupled_patches_is_their_rate():
    scheme = fronts(patches=12)
    oracle = gp.make_oracle(scheme)
    state = scheme.initial(FRONT)
    x = oracle.vector(FRONT)
    rate = scheme.kernels.unpack(scheme.rate(state, 0.0)).ravel()[scheme.interior]
    assert np.abs(oracle.slopes(x[None]).values[0] - rate).max() < EXACT
    assert np.abs(oracle.coarse(x[None]) - scheme.coarse(state)).max() < EXACT


def test_coarse_values_given_as_a_state_are_interpolated_to_the_sites():
    scheme = ring(16)
    oracle = gp.make_oracle(scheme)
    smooth = oracle.vector({"u": np.sin})
    lifted = oracle.vector(np.sin(scheme.grid.centres[0])[None])
    assert np.abs(lifted - smooth).max() < 1e-4
    assert np.abs(oracle.coarse(lifted[None])[0, 0] - np.sin(scheme.grid.centres[0])).max() < EXACT


def test_the_time_stepper_of_coupled_patches_is_their_simulation():
    scheme = ring(8, dt=2e-5)
    oracle = gp.make_oracle(scheme)
    x = oracle.vector({"u": np.sin})
    end = gp.simulate(scheme, {"u": np.sin}, 0.002, save=2)["u"][-1, 0]
    assert np.abs(oracle.coarse(oracle.flow(x[None], 0.002))[0, 0] - end).max() < EXACT


def test_the_slope_of_measured_schemes_is_that_of_a_burst():
    scheme = burst_scheme(dt=5e-5)
    oracle = gp.make_oracle(scheme)
    assert isinstance(oracle, MeasuredOracle)
    U = scheme.initial({"u": lambda x: 0.5 + 0.1 * np.sin(x)})
    assert (
        np.abs(oracle.slopes(U.reshape(1, -1)).values - scheme.slope(0.0, U).ravel()).max() < EXACT
    )


def test_a_measured_time_stepper_needs_a_projection():
    oracle = gp.make_oracle(burst_scheme(dt=5e-5))
    x = oracle.vector({"u": 0.5})
    leap = gp.Projection("rk4", step=0.05)
    grown = oracle.flow(x[None], 0.1, projection=leap)[0]
    assert np.abs(grown - 0.5 / (0.5 + 0.5 * np.exp(-0.1))).max() < 1e-4
    with pytest.raises(gp.SchemeError, match="projection"):
        oracle.flow(x[None], 0.1)


def test_equal_draws_meet_the_same_random_numbers_and_others_do_not():
    oracle = gp.make_oracle(walkers(replicas=4))
    assert isinstance(oracle, SampledOracle)
    x = oracle.vector({"density": 0.5})
    twice = oracle.slopes(np.stack([x, x]), draw=1)
    other = oracle.slopes(x[None], draw=2)
    assert np.array_equal(twice.values[0], twice.values[1])
    assert np.array_equal(twice.parts[0], twice.parts[1])
    assert not np.allclose(twice.values[0], other.values[0])


def test_replicas_of_a_rule_with_noise_are_members():
    @gp.rule(fields="u", noise={"u": lambda s: s})
    def shaken(u, s, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2

    grid = gp.PatchGrid([(0.0, 1.0)], [4], dx=0.02, core=0.1, buffer=0.06)
    problem = gp.Problem(shaken, grid, {"s": 0.1})
    scheme = gp.BurstScheme(problem, NUMPY, gp.Burst(2e-4, replicas=64), order=2, micro="euler")
    oracle = gp.make_oracle(scheme)
    assert isinstance(oracle, NoisyLatticeOracle)
    found = oracle.slopes(oracle.vector({"u": 1.0})[None])
    assert (np.abs(found.values) < 5 * found.error).all()
    assert found.parts.shape == (1, 4, 64)


def test_the_parts_of_replicas_give_the_standard_error_of_any_linear_function():
    samples = np.random.default_rng(1).normal(size=(50, 1, 3)) @ np.diag([1.0, 2.0, 3.0])
    found, weights = sampled(samples), np.array([1.0, -1.0, 0.5])
    expected = (samples[:, 0] @ weights).std(ddof=1) / np.sqrt(50)
    assert np.sqrt(((weights @ found.parts[0]) ** 2).sum()) == pytest.approx(expected)


def test_what_is_no_state_is_refused():
    oracle = gp.make_oracle(rod())
    with pytest.raises(gp.InputError, match=r"shape \(3,\).*\(1, 10\)"):
        oracle.vector(np.zeros(3))
    with pytest.raises(gp.InputError, match="not finite"):
        oracle.vector(np.full((1, 10), np.nan))


def test_unknown_parameters_are_refused_with_the_nearest_name():
    with pytest.raises(gp.InputError, match="Did you mean `epsilon`"):
        gp.make_oracle(fronts(patches=12), "epsilom")
    with pytest.raises(gp.InputError, match="no parameter `size`"):
        gp.make_oracle(walkers(), "size")


def test_random_slopes_of_a_single_replica_are_refused():
    with pytest.raises(gp.SchemeError, match="replica"):
        gp.make_oracle(walkers(replicas=1))


@gp.potential
def soft(r, strength):
    """Particles that may overlap."""
    return strength * gp.exp(-(r**2))


def test_schemes_without_slopes_are_refused():
    cells = gp.particle_grid([(0.0, 1.0)], [2], width=0.4)
    atoms = gp.ParticleModel(2, gp.NoseHoover(), gp.Pair(soft, {"strength": 1.0}, cutoff=1.5))
    states = gp.BoxProblem(atoms, cells, particles=24, names=("density", "pressure"))
    boxes = gp.BoxScheme(states, NUMPY, 0.005)
    with pytest.raises(gp.SchemeError, match="`box` scheme offers no slopes"):
        gp.make_oracle(boxes)


def test_several_members_are_refused():
    grid = gp.PatchGrid([(0.0, 1.0)], [6], 5, ratio=0.2)
    rule = lattice.get("diffusion", 1)
    scheme = gp.CoupledScheme(gp.Problem(rule, grid, members={"D": (1.0, 2.0)}), NUMPY)
    with pytest.raises(gp.SchemeError, match="2 members, by `D`"):
        gp.make_oracle(scheme)


def test_a_rule_with_noise_is_not_asked_for_its_rate_at_one_moment():
    @gp.rule(fields="u", noise={"u": lambda s: s})
    def shaken(u, s, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2

    grid = gp.PatchGrid([(0.0, 1.0)], [6], 5, ratio=0.2)
    scheme = gp.CoupledScheme(gp.Problem(shaken, grid, {"s": 0.1}), NUMPY, micro="euler")
    with pytest.raises(gp.SchemeError, match="does not show"):
        gp.make_oracle(scheme)

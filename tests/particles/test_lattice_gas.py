"""Lattice gases: equilibrium, diffusivity, and the same numbers on every backend."""

import numpy as np
import pytest

from gpupatch.backends._numba import NumbaBackend
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.errors import RuleError, SchemeError
from gpupatch.lifting.gases import lift_gas
from gpupatch.particles.lattice_gas import KINDS, LatticeGas
from gpupatch.particles.observe import Core, ParticlePlan

SIGMAS = 3.5
NUMPY = NumpyBackend()
PLAN = {"observables": ("crossing", "core_mass"), "core": Core(4.0, kernel="cos2")}


def flat(patches, density):
    return np.tile([density, 0.0, 0.0], (patches, 1))


def ends(n_steps):
    weights = np.zeros((n_steps + 1, 2))
    weights[0, 0], weights[-1, 0], weights[n_steps // 2, 1] = -1.0, 1.0, 1.0
    return weights


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_gases_follow_the_definition(kind):
    gas = LatticeGas(kind, seed=11)
    start = lift_gas(gas, "stochastic", flat(7, 0.6), 13, 11, 1)
    plan = ParticlePlan(9, 0.7, weights=ends(9), first=5, stream=3, **PLAN)
    results = []
    for backend in (NUMPY, NumbaBackend()):
        kernels = backend.load_gas(gas)
        handle = kernels.pack(start)
        out = kernels.burst(handle, plan)
        results.append((kernels.unpack(handle), out))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.abs(results[0][1] - results[1][1]).max() < 1e-12
    assert not np.array_equal(results[0][0], start)


@pytest.mark.parametrize("kind", KINDS)
def test_a_burst_cut_in_two_is_the_same_burst(kind):
    gas = LatticeGas(kind, seed=2)
    start = lift_gas(gas, "stochastic", flat(4, 0.5), 10, 2, 1)
    kernels = NUMPY.load_gas(gas)
    whole, parts = kernels.pack(start), kernels.pack(start)
    kernels.burst(whole, ParticlePlan(6, 0.5, stream=4))
    kernels.burst(parts, ParticlePlan(2, 0.5, stream=4))
    kernels.burst(parts, ParticlePlan(4, 0.5, first=2, stream=4))
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize("kind", KINDS)
def test_hops_keep_particles_and_equilibrium(kind):
    """Occupations stay Poisson, Bernoulli or geometric, and sites stay independent."""
    gas, mean, patches, sites = LatticeGas(kind, seed=8), 0.7, 600, 20
    kernels = NUMPY.load_gas(gas)
    start = lift_gas(gas, "stochastic", flat(patches, mean), sites, 8, 1)
    n = kernels.pack(start)
    kernels.burst(n, ParticlePlan(8, 0.8, stream=2))
    assert np.array_equal(n.sum(axis=1), start.sum(axis=1))
    assert n.min() >= 0
    probability = {
        "independent": lambda k: np.exp(-mean) * mean**k / [1, 1, 2, 6][k],
        "ssep": lambda k: [1 - mean, mean, 0.0, 0.0][k],
        "zero_range": lambda k: (mean / (1 + mean)) ** k / (1 + mean),
    }[kind]
    for k in range(4):
        p, total = probability(k), n.size
        assert abs((n == k).mean() - p) <= SIGMAS * np.sqrt(p * (1 - p) / total)
    pair = (n[:, :-1] - mean) * (n[:, 1:] - mean)
    assert abs(pair.mean()) < SIGMAS * pair.std() / np.sqrt(pair.size)


@pytest.mark.parametrize("dt", [0.2, 1.5])
@pytest.mark.parametrize("kind", ["independent", "ssep", "zero_range"])
def test_one_walker_diffuses_as_the_split_steps_say(kind, dt):
    """D = p/(2 (1 - p)) per half-step, with p = (1 - e^-2 rate dt)/2."""
    gas, patches, steps, sites = LatticeGas(kind, rate=1.3, seed=1), 1500, 8, 81
    kernels = NUMPY.load_gas(gas)
    n = np.zeros((patches, sites), dtype=np.int32)
    n[np.arange(patches), sites // 2 + np.arange(patches) % 2] = 1
    kernels.burst(n, ParticlePlan(steps, dt, stream=1))
    moved = n @ gas.sites(sites) - np.arange(patches) % 2
    p = gas.hop_probability(dt)
    assert p == pytest.approx((1 - np.exp(-2.6 * dt)) / 2)
    # the walk remembers its last half-step: <x^2> = n p/(1-p) - 2 p^2 (1 - q^n)/(1-q)^2, q = 2p-1
    half, q = 2 * steps, 2 * p - 1
    expected = half * p / (1 - p) - 2 * p**2 * (1 - q**half) / (1 - q) ** 2
    square = moved**2
    assert gas.diffusivity(dt) == pytest.approx(2 * p / (2 * (1 - p)) / dt)
    assert abs(square.mean() - expected) < SIGMAS * square.std() / np.sqrt(patches)
    assert abs(moved.mean()) < SIGMAS * moved.std() / np.sqrt(patches)


@pytest.mark.parametrize("method", ["low_noise", "stochastic"])
@pytest.mark.parametrize("kind", KINDS)
def test_lifted_gases_have_the_density_and_slope_asked_for(kind, method):
    gas, patches, sites = LatticeGas(kind, spacing=0.5), 3000, 16
    profile = np.tile([0.8, 0.15, 0.0], (patches, 1))
    n = lift_gas(gas, method, profile, sites, 3, 1)
    x = gas.sites(sites)
    mean = 0.5 * (0.8 + 0.15 * x)
    error = np.sqrt((mean * (1 - mean) if kind == "ssep" or method == "low_noise" else
                     mean if kind == "independent" else mean * (1 + mean)) / patches)  # fmt: skip
    assert (np.abs(n.mean(axis=0) - mean) < SIGMAS * error).all()


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: LatticeGas("asep"), RuleError, "Did you mean `ssep`"),
        (lambda: LatticeGas("ssep", rate=0.0), RuleError, "must be positive"),
        (lambda: LatticeGas("zero_range").check_step(9.0), SchemeError, "burst.dt"),
        (
            lambda: lift_gas(LatticeGas("ssep"), "stochastic", flat(1, 1.2), 4, 1, 1),
            SchemeError,
            "has room for 1",
        ),
        (
            lambda: lift_gas(LatticeGas("ssep"), "weighted", flat(1, 0.2), 4, 1, 1),
            SchemeError,
            "has no lift",
        ),
        (
            lambda: NUMPY.load_gas(LatticeGas("ssep")).burst(
                np.zeros((1, 4), np.int32), ParticlePlan(1, 1.0, ("kinetic",), np.ones((2, 1)))
            ),
            SchemeError,
            "has no observable `kinetic`",
        ),
    ],
)
def test_impossible_gases_are_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()

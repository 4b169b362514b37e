"""Lifting of particles: numbers, moments, slopes and local equilibrium."""

import numpy as np
import pytest

from gpupatch.errors import SchemeError
from gpupatch.lifting.particles import (
    ParticleLifting,
    inverse_cumulated,
    lift_particles,
    limited,
    profile_mean,
)

SIGMAS = 3.5
EXACT = 1e-12


def profile(patches, c0, c1=0.0, c2=0.0):
    return np.tile([float(c0), float(c1), float(c2)], (patches, 1))


def mean_of(values, lifted):
    present = np.arange(values.shape[-1]) < lifted.counts[:, None]
    return np.where(present, values, 0.0).sum(axis=1)


@pytest.mark.parametrize("c2", [0.0, 900.0])
def test_cumulated_density_and_its_inverse_are_inverse(c2):
    width, one = 0.4, profile(3, 100.0, 150.0, c2)
    ranks = np.linspace(0, 1, 41) * np.ones((3, 1))
    x = inverse_cumulated(one, width, ranks)
    low = -width / 2
    c0, c1, c2 = one.T[:, :, None]
    cumulated = c0 * (x - low) + c1 * (x**2 - low**2) / 2 + c2 * (x**3 - low**3) / 3
    assert np.abs(cumulated / (width * profile_mean(one, width)[:, None]) - ranks).max() < EXACT
    assert np.abs(x[:, [0, -1]] - [low, -low]).max() < EXACT


def test_a_density_that_would_be_negative_keeps_its_mean():
    given = np.array([[1.0, 30.0, 0.0], [1.0, 2.0, -400.0], [-0.5, 1.0, 0.0], [1.0, 2.0, 3.0]])
    width, x = 0.2, np.linspace(-0.1, 0.1, 201)
    kept = limited(given, width)
    density = kept @ [np.ones_like(x), x, x**2]
    assert density.min() > -EXACT
    mean = np.maximum(profile_mean(given, width), 0)
    assert np.abs(profile_mean(kept, width) - mean).max() < EXACT
    assert np.array_equal(kept[3], given[3])
    assert np.array_equal(limited(kept, width), kept)


@pytest.mark.parametrize("method", ["low_noise", "stochastic", "weighted"])
@pytest.mark.parametrize("box", [(0.5,), (0.2, 0.5), (0.3, 0.5, 0.2)])
def test_lifted_particles_have_the_density_and_slope_asked_for(method, box):
    axis, patches = len(box) - 1 if len(box) < 3 else 1, 400
    width, across = box[axis], np.prod(box) / box[axis]
    c0, c1 = 60.4 / np.prod(box), 100.0 / np.prod(box)
    lifted = lift_particles(
        ParticleLifting(method), profile(patches, c0, c1), box, axis, seed=5, stream=3
    )
    total = lifted.weights.sum(axis=1)
    expected = c0 * width * across
    x = lifted.positions[:, axis]
    assert abs(total.mean() - expected) < SIGMAS * total.std() / np.sqrt(patches)
    first = mean_of(lifted.weights * x, lifted)
    moment = c1 * width**3 / 12 * across
    assert abs(first.mean() - moment) < SIGMAS * first.std() / np.sqrt(patches)
    assert np.abs(x).max() <= width / 2
    for a, side in enumerate(box):
        if a != axis:
            y = lifted.positions[:, a]
            middle = mean_of(lifted.weights * (y - side / 2), lifted)
            assert abs(middle.mean()) < SIGMAS * middle.std() / np.sqrt(patches)
            assert y.min() >= 0
            assert y.max() < side


def test_a_low_noise_lift_is_quieter_than_a_stochastic_one():
    def noise(method):
        lifted = lift_particles(ParticleLifting(method), profile(300, 100.0, 90.0), (1.0,), 0, 1, 1)
        inside = np.abs(lifted.positions[:, 0]) < 0.15
        return mean_of(np.where(inside, lifted.weights, 0.0), lifted).var()

    assert noise("low_noise") < 0.02 * noise("stochastic")


@pytest.mark.parametrize(("number", "variance"), [("rounded", 0.3 * 0.7), ("poisson", 40.3)])
def test_numbers_of_particles_are_right_in_the_mean(number, variance):
    patches = 4000
    lifted = lift_particles(
        ParticleLifting("stochastic", number), profile(patches, 40.3), (1.0,), 0, seed=2, stream=1
    )
    n = lifted.counts.astype(float)
    assert abs(n.mean() - 40.3) < SIGMAS * np.sqrt(variance / patches)
    spread = variance * np.sqrt((2 + 1 / variance) / patches)
    assert abs(n.var() - variance) < SIGMAS * spread


def test_heavy_particles_stand_for_many():
    light = ParticleLifting("low_noise", weight=8.0)
    lifted = lift_particles(light, profile(500, 1000.0), (1.0,), 0, seed=2, stream=1)
    assert abs(lifted.counts.mean() - 125) < EXACT
    assert np.abs(lifted.weights.sum(axis=1) - 1000).max() < EXACT


@pytest.mark.parametrize("method", ["low_noise", "stochastic"])
def test_rods_are_lifted_without_overlap_and_with_their_slope(method):
    width, rod, patches = 40.0, 1.0, 300
    density = profile(patches, 0.5, 0.008)
    lifted = lift_particles(ParticleLifting(method, "rounded", rod=rod), density, (width,), 0, 3, 1)
    n = int(lifted.counts[0])
    x = lifted.positions[:, 0]
    assert (lifted.counts == n).all()
    assert np.diff(x, axis=1).min() >= rod - EXACT
    assert np.abs(x).max() <= width / 2 - rod / 2 + EXACT
    halves = (x > 0).sum(axis=1) - (x < 0).sum(axis=1)
    error = max(halves.std() / np.sqrt(patches), 0.5 / np.sqrt(patches))
    assert abs(halves.mean() - 0.008 * width**2 / 4) < SIGMAS * error + 0.5


def test_gaps_between_rods_in_equilibrium_are_exponential():
    """Reduced positions of rods are those of an ideal gas [Tonks1936]."""
    width, rod, n, patches = 60.0, 1.0, 30, 400
    lifting = ParticleLifting("stochastic", "rounded", rod=rod)
    lifted = lift_particles(lifting, profile(patches, n / width), (width,), 0, 3, 1)
    gaps = np.diff(lifted.positions[:, 0], axis=1) - rod
    free = width - n * rod
    # n points on a line of length L: gaps have mean L/(n + 1) and variance n L^2/((n+1)^2 (n+2))
    assert gaps.mean() == pytest.approx(free / (n + 1), rel=SIGMAS / np.sqrt(patches * n))
    variance = n * free**2 / ((n + 1) ** 2 * (n + 2))
    assert gaps.var() == pytest.approx(variance, rel=SIGMAS * np.sqrt(8 / (patches * n)))


def test_a_lift_does_not_depend_on_how_patches_are_cut_into_batches():
    rows = np.array([[50.0, 10.0, 0.0], [80.0, 0.0, 0.0], [20.0, -30.0, 0.0]])
    for method in ("low_noise", "stochastic", "weighted"):
        whole = lift_particles(ParticleLifting(method), rows, (1.0, 1.0), 0, 7, 4)
        part = lift_particles(ParticleLifting(method), rows[:2], (1.0, 1.0), 0, 7, 4)
        n = part.positions.shape[2]
        assert np.array_equal(whole.counts[:2], part.counts)
        for p, count in enumerate(part.counts):
            count = min(count, n)
            assert np.array_equal(whole.positions[p, :, :count], part.positions[p, :, :count])


def test_empty_patches_are_lifted_to_no_particles():
    for method in ("low_noise", "stochastic", "weighted"):
        lifted = lift_particles(ParticleLifting(method), profile(3, 0.0), (1.0,), 0, 1, 1)
        assert lifted.positions.shape == (3, 1, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ParticleLifting("lownoise"), "Did you mean `low_noise`"),
        (lambda: ParticleLifting(number="round"), "Did you mean `rounded`"),
        (lambda: ParticleLifting(weight=0.0), "more than 0"),
        (lambda: ParticleLifting("weighted", rod=1.0), "stands for itself"),
        (
            lambda: lift_particles(ParticleLifting(rod=1.0), profile(1, 1.2), (9.0,), 0, 1, 1),
            "would overlap",
        ),
    ],
)
def test_impossible_lifts_are_refused(make, message):
    with pytest.raises(SchemeError, match=message):
        make()

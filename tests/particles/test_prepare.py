"""Boxes are lifted to a density, a momentum and a temperature to round-off."""

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.errors import InputError
from gpupatch.particles.dynamics import Langevin, Newton, NoseHoover, Sheared
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import ParticlePlan, block_weights
from gpupatch.particles.prepare import (
    crystal,
    crystal_boxes,
    maxwell,
    retuned,
    set_moments,
    settled,
    wrapped,
)
from gpupatch.particles.state import make_state

ROUNDOFF = 1e-13
PAIR = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 2.5, "shifted")


def fluid(dynamics, ndim=3, **options):
    return ParticleModel(ndim, dynamics, PAIR, **options)


def kernels_of(model, backend="numpy"):
    return get_backend(backend)[0].load_particles(model, "float64")


def temperature_and_velocity(model, state):
    mass = model.mass_of(state.types)[:, None]
    u = (mass * state.velocities).sum(axis=2) / mass.sum(axis=2)
    twice = (mass * (state.velocities - u[:, :, None]) ** 2).sum(axis=(1, 2))
    return twice / model.degrees_of_freedom(state.counts), u


def distances(x, box):
    d = x[:, :, None] - x[:, None, :]
    d -= np.rint(d / box[:, None, None]) * box[:, None, None]
    r = np.sqrt((d**2).sum(axis=0))
    return r[~np.eye(x.shape[1], dtype=bool)]


@pytest.mark.parametrize(
    ("lattice", "n", "neighbours", "spacing"),
    [
        ("chain", 7, 2, 1.0),
        ("square", 36, 4, 1.0),
        ("hexagonal", 120, 6, (2 / 3**0.5) ** 0.5),
        ("cubic", 64, 6, 1.0),
        ("fcc", 108, 12, 2 ** (1 / 6)),
    ],
)
def test_crystals_have_their_neighbours_at_their_distance(lattice, n, neighbours, spacing):
    density = 0.8
    x, box = crystal(n, density, lattice)
    ndim = len(box)
    r = distances(x, box)
    nearest = spacing * density ** (-1 / ndim)
    assert r.min() == pytest.approx(nearest, rel=1e-12)
    assert np.count_nonzero(r < nearest * 1.001) == n * neighbours
    assert n / np.prod(box) == pytest.approx(density, rel=1e-14)


@pytest.mark.parametrize("lattice", ["square", "hexagonal", "cubic", "fcc"])
def test_crystals_take_any_number_of_particles(lattice):
    for n in (1, 30, 100, 250):
        x, box = crystal(n, 0.6, lattice)
        assert x.shape == (len(box), n)
        assert n / np.prod(box) == pytest.approx(0.6, rel=1e-14)
        assert box.max() / box.min() < 2.0 if n > 1 else True
        assert n == 1 or distances(x, box).min() > 0.5
        assert np.all((x >= 0) & (x < box[:, None]))


def test_velocities_are_maxwellian():
    model = fluid(Newton(), masses=(2.0,), seed=5)
    state = crystal_boxes(model, 4000, 0.7, 1.0)
    v = maxwell(model, state)
    n = v.size
    assert abs(v.mean()) < 3.5 * np.sqrt(0.5 / n)
    assert abs((v**2).mean() - 0.5) < 3.5 * 0.5 * np.sqrt(2 / n)
    assert abs((v**4).mean() - 3 * 0.25) < 3.5 * 0.25 * np.sqrt(96 / n)


@pytest.mark.parametrize("dynamics", [Newton(), Langevin()])
def test_momentum_and_temperature_are_met_to_roundoff(dynamics):
    model = fluid(dynamics, masses=(1.0, 3.0), seed=2)
    rng = np.random.default_rng(1)
    state = make_state(
        rng.random((3, 3, 40)) * 8, [8.0] * 3, types=rng.integers(0, 2, 40), counts=[40, 31, 12],
        velocities=rng.normal(size=(3, 3, 40)), controls={"temperature": 1.0},
        names=dynamics.controls,
    )  # fmt: skip
    T, u = np.array([0.5, 1.0, 2.0]), rng.normal(size=(3, 3))
    lifted = set_moments(model, state, T, u)
    assert not lifted.velocities[~np.broadcast_to(lifted.present[:, None], (3, 3, 40))].any()
    mass = np.where(state.present, model.mass_of(state.types), 0.0)[:, None]
    mean = (mass * lifted.velocities).sum(axis=2) / mass.sum(axis=2)
    relative = lifted.velocities - mean[:, :, None]
    twice = (mass * relative**2).sum(axis=(1, 2))
    np.testing.assert_allclose(mean, u, atol=ROUNDOFF)
    np.testing.assert_allclose(twice, model.degrees_of_freedom(state.counts) * T, rtol=ROUNDOFF)


def test_antithetic_pairs_are_at_rest_before_any_correction():
    model = fluid(Newton(), masses=(1.0, 4.0))
    state = make_state(np.zeros((2, 3, 9)), [5.0] * 3, types=[0, 1, 0, 1, 1, 1, 0, 0, 1])
    momentum = model.mass_of(state.types)[:, None] * maxwell(model, state, antithetic=True)
    np.testing.assert_allclose(momentum[..., 0:8:2] + momentum[..., 1:8:2], 0.0, atol=ROUNDOFF)


def test_boxes_differ_from_each_other_and_from_stream_to_stream():
    model = fluid(Newton())
    one = crystal_boxes(model, 32, [0.6, 0.6], 1.0).velocities
    other = crystal_boxes(model, 32, [0.6, 0.6], 1.0, stream=1).velocities
    assert not np.allclose(one[0], one[1])
    assert not np.allclose(one, other)


def test_a_template_is_stretched_to_the_density_and_keeps_its_shape():
    model = fluid(NoseHoover(), seed=3)
    state = crystal_boxes(model, 108, [0.5, 0.7], 1.0)
    state = settled(model, kernels_of(model), state, 1.0, 30, 0.004)
    lifted = retuned(model, state, density=[0.6, 0.6], temperature=[0.8, 1.1], velocity=[1, 0, 0])
    np.testing.assert_allclose(108 / np.prod(lifted.box, axis=1), 0.6, rtol=1e-14)
    before = wrapped(model, state).positions / state.box[:, :, None]
    np.testing.assert_allclose(lifted.positions / lifted.box[:, :, None], before, atol=1e-13)
    T, u = temperature_and_velocity(model, lifted)
    np.testing.assert_allclose(T, [0.8, 1.1], rtol=ROUNDOFF)
    np.testing.assert_allclose(u, [[1, 0, 0]] * 2, atol=ROUNDOFF)
    np.testing.assert_array_equal(lifted.controls[:, 0], [0.8, 1.1])
    np.testing.assert_array_equal(lifted.memory, state.memory)


@pytest.mark.slow
def test_a_template_heals_faster_than_a_crystal():
    model = fluid(NoseHoover(), seed=8)
    kernels = kernels_of(model, "numba")
    crystals = crystal_boxes(model, 256, [0.8] * 4, 1.0)
    template = settled(model, kernels, crystals, 1.0, 3000, 0.004)
    plan = ParticlePlan(25, 0.004, ("potential",), block_weights(25, 0, 5, 1))

    def energy(state):
        return kernels.burst(kernels.pack(state), plan)[0, :, 0].mean() / 256

    lifted = retuned(model, template, density=0.82)
    healed = energy(settled(model, kernels, lifted, 1.0, 3000, 0.004))
    from_crystal = energy(retuned(model, crystals, density=0.82))
    assert abs(energy(lifted) - healed) < abs(from_crystal - healed) / 4


def test_a_dense_crystal_melts_although_the_fluid_is_not_the_stable_state():
    model = fluid(NoseHoover(), seed=2)
    kernels = kernels_of(model, "numba")
    crystals = crystal_boxes(model, 256, [0.9], 0.85)
    molten = settled(model, kernels, crystals, 0.85, 3000, 0.005)
    k = 2 * np.pi * 4 / crystals.box[0, 0]

    def order(state):
        return np.abs(np.exp(2j * k * state.positions[0]).mean(axis=1)).min()

    assert order(crystals) == pytest.approx(1.0)
    assert order(molten) < 3.5 / np.sqrt(256)


def test_wrapping_a_sheared_box_changes_no_force():
    model = fluid(Sheared(), seed=4)
    state = crystal_boxes(model, 108, [0.6], 1.0, controls={"shear_rate": 1.0})
    state = settled(model, kernels_of(model, "numba"), state, 1.0, 600, 0.004)
    back = wrapped(model, state)
    assert np.abs(state.positions).max() > 2 * state.box.max()
    assert np.all((back.positions >= 0) & (back.positions <= back.box[:, :, None]))
    kernels = kernels_of(model)
    one, other = (kernels.measure(kernels.pack(s), ("potential", "virial")) for s in (state, back))
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_nobody_waits_for_patches_to_settle_for_ever():
    model = fluid(Newton())
    boxes = crystal_boxes(model, 10, 1.0, 1.0)
    with pytest.raises(InputError, match="shorter `settle`"):
        settled(model, kernels_of(model), boxes, 1.0, 10**14, 0.01)


def test_mistakes_are_named():
    model = fluid(Newton())
    with pytest.raises(InputError, match="no crystal `bcc`"):
        crystal(10, 1.0, "bcc")
    with pytest.raises(InputError, match="both must be positive"):
        crystal(10, -1.0, "fcc")
    with pytest.raises(InputError, match="has 2 dimensions"):
        crystal_boxes(model, 10, 1.0, 1.0, lattice="square")
    with pytest.raises(InputError, match="needs a value for `shear_rate`"):
        crystal_boxes(fluid(Sheared()), 10, 1.0, 1.0)
    boxes = crystal_boxes(model, 10, 1.0, 1.0)
    with pytest.raises(InputError, match="imposes no `shear_rate`"):
        retuned(model, boxes, controls={"shear_rate": 1.0})
    with pytest.raises(InputError, match="a density is"):
        retuned(model, boxes, density=-1.0)
    with pytest.raises(InputError, match="a temperature is"):
        set_moments(model, boxes, -1.0)
    boxes.velocities[:] = 1.0
    with pytest.raises(InputError, match="at rest cannot be scaled"):
        set_moments(model, boxes, 1.0)

"""LAMMPS and OpenMM against published energies and against the definition in NumPy."""

from pathlib import Path

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends.select import get_backend
from gpupatch.errors import BackendError, RuleError, SchemeError
from gpupatch.particles import library
from gpupatch.particles.dynamics import Langevin, Newton, Rescaled
from gpupatch.particles.interaction import Angles, Bonds, Field, Pair, chain, chain_angles
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import ParticlePlan
from gpupatch.particles.state import make_state

CONFIGURATION = Path(__file__).parents[1] / "data" / "nist_lj_config4.xyz"
AGREE = 1e-12
"""Of trajectories, relative to the box: rounding after 100 steps that do not amplify it."""
LJ = Pair(library.lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 2.5)


@gp.potential
def two_steps(r, height, width):
    return height * gp.where(r < width, (1 - r / width) ** 3, gp.minimum(0, gp.exp(-r) - 1)) ** 2


def x_of(backend, model, state, n_steps=100, dt=0.004, first=0):
    kernels = get_backend(backend)[0].load_particles(model, "float64")
    handle = kernels.pack(state)
    kernels.burst(handle, ParticlePlan(n_steps, dt, first=first))
    return kernels.unpack(handle)


def advanced(engine, n_steps):
    engine.solve(n_steps, 0.004)
    return engine.get_state()


def assert_same(state, other, model, tolerance=AGREE):
    scale = state.box.max()
    there = np.broadcast_to(state.present[:, None], state.positions.shape)
    for a, b in ((state.positions, other.positions), (state.velocities, other.velocities)):
        np.testing.assert_allclose(a[there], b[there], rtol=0, atol=tolerance * scale)


def assert_follows_the_definition(engine, model, state, n_steps=100, dt=0.004, first=0):
    reference = get_backend("numpy")[0].load_particles(model, "float64")
    energy = reference.measure(state, ("potential",))[:, 0]
    engine.initialize(model, state)
    np.testing.assert_allclose(engine.potential_energy(), energy, rtol=1e-12, atol=1e-12)
    engine.solve(n_steps, dt, first)
    found, wanted = engine.get_state(), x_of("numpy", model, state, n_steps, dt, first)
    assert np.abs(wanted.positions - state.positions).max() > 1e-3
    assert_same(found, wanted, model)


def test_the_energy_of_configuration_4_is_that_published_by_nist(engine):
    """V18: 30 Lennard-Jones particles in a box of 8, cut off at 3."""
    with CONFIGURATION.open(encoding="utf-8") as file:
        sides = np.array(file.readlines()[1].split()[1:], dtype=float)
    x = np.loadtxt(CONFIGURATION, skiprows=2)[:, 1:].T
    pair = Pair(library.lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 3.0)
    engine.initialize(ParticleModel(3, Newton(), pair), make_state(x[None], sides))
    assert engine.potential_energy()[0] == pytest.approx(-16.790321304625856, rel=1e-10)


@pytest.mark.parametrize("sides", [(5, 5, 5), pytest.param((9, 9), marks=pytest.mark.slow)])
def test_two_backends_and_lammps_agree_on_a_trajectory(lammps, shaken, sides):
    """To 1e-12 of the box over 100 steps in float64, in 3 and in 2 dimensions."""
    model, state = ParticleModel(len(sides), Newton(), LJ), shaken(sides)
    lammps.initialize(model, state)
    lammps.solve(100, 0.004)
    found = lammps.get_state()
    for backend in ("numpy", "numba"):
        assert_same(found, x_of(backend, model, state), model)


def test_lammps_and_openmm_agree_on_a_trajectory(lammps, openmm, shaken):
    model, state = ParticleModel(3, Newton(), LJ), shaken((5, 5, 5))
    for one in (lammps, openmm):
        one.initialize(model, state)
        one.solve(100, 0.004)
    assert_same(lammps.get_state(), openmm.get_state(), model)


@pytest.mark.parametrize("truncation", ["truncated", "shifted", "force-shifted"])
@pytest.mark.parametrize(
    ("potential", "parameters", "cutoff"),
    [
        (library.lennard_jones, {"epsilon": 1.2, "sigma": 0.95}, 2.4),
        (library.wca, {"epsilon": 1.0, "sigma": 1.05}, 2.0),
        (library.wca, {"epsilon": 1.0, "sigma": 1.05}, 1.15),
        (library.morse, {"depth": 1.0, "alpha": 4.0, "r0": 1.15}, 2.4),
        (library.gaussian, {"epsilon": 3.0, "sigma": 0.7}, 2.4),
        (library.yukawa, {"A": 5.0, "kappa": 1.5}, 2.4),
        (library.soft, {"A": 20.0, "diameter": 1.6}, 1.6),
        (two_steps, {"height": 9.0, "width": 1.3}, 2.4),
    ],
)
def test_every_potential_and_truncation_is_followed(
    engine, shaken, potential, parameters, cutoff, truncation
):
    model = ParticleModel(2, Newton(), Pair(potential, parameters, cutoff, truncation))
    assert_follows_the_definition(engine, model, shaken((6, 5), n_patch=1), n_steps=40)


@pytest.mark.parametrize(
    ("potential", "parameters"),
    [
        (library.lennard_jones, {"epsilon": [1.0, 0.5], "sigma": [1.0, 0.8]}),
        (library.yukawa, {"A": [[4.0, 6.0], [6.0, 9.0]], "kappa": 1.5}),
    ],
)
def test_types_have_their_parameters_and_masses(engine, shaken, potential, parameters):
    pair = Pair(potential, parameters, 2.4, "shifted")
    model = ParticleModel(2, Newton(), pair, masses=(1.0, 3.0))
    state = shaken((6, 5), types=np.arange(30) % 2)
    assert_follows_the_definition(engine, model, state, n_steps=40)
    state.types[:] = 1 - state.types
    engine.set_state(state)
    engine.solve(40, 0.004)
    assert_same(engine.get_state(), x_of("numpy", model, state, 40), model)


def test_masses_alone_can_tell_types_apart(engine, shaken):
    model = ParticleModel(2, Newton(), LJ, masses=(1.0, 3.0))
    state = shaken((6, 5), types=np.arange(30) % 2)
    assert_follows_the_definition(engine, model, state, n_steps=40)


@pytest.mark.parametrize("sides", [(12,), (6, 5), (5, 5, 5)])
def test_one_to_three_dimensions_are_followed(engine, shaken, sides):
    model = ParticleModel(len(sides), Newton(), LJ)
    assert_follows_the_definition(engine, model, shaken(sides), n_steps=40)


@pytest.mark.parametrize(
    "boundary", [("open", "open"), ("periodic", "open"), ("reflecting", "periodic")]
)
def test_open_ends_and_walls_are_followed(engine, shaken, boundary):
    model = ParticleModel(2, Newton(), LJ, boundary=boundary)
    state = shaken((6, 6), boundary=boundary)
    state.velocities[:] = np.random.default_rng(3).normal(0, 3.0, state.velocities.shape)
    assert_follows_the_definition(engine, model, state, n_steps=100, dt=0.001)


def test_particles_that_fly_away_are_not_lost(engine):
    model = ParticleModel(2, Newton(), LJ, boundary=("open", "open"))
    state = make_state([[[-1.0, 1.0], [0.0, 0.3]]], [6.0, 6.0])
    state.velocities[0, 0] = -20.0, 20.0
    assert_follows_the_definition(engine, model, state, n_steps=200, dt=0.01)


def test_positions_are_not_wrapped_over_thousands_of_turns_around_the_box(engine):
    model = ParticleModel(2, Newton(), LJ)
    state = make_state([[[0.5, 3.0], [0.5, 3.0]]], [6.0, 6.0])
    state.velocities[:] = np.array([50.0, -40.0])[None, :, None]
    engine.initialize(model, state)
    engine.solve(4000, 0.1)
    moved = engine.get_state().positions - state.positions
    np.testing.assert_allclose(moved, state.velocities * 400.0, rtol=1e-12)


def test_particles_on_the_edge_of_the_box_are_inside(engine):
    model = ParticleModel(2, Newton(), LJ)
    x = [[-1e-17, 6.0, 3.0], [0.0, 3.0, np.nextafter(6.0, 0)]]
    assert_follows_the_definition(engine, model, make_state([x], [6.0, 6.0], velocities=[x]))


def test_particles_outside_of_walls_are_refused(lammps):
    model = ParticleModel(1, Newton(), LJ, boundary=("reflecting",))
    with pytest.raises(BackendError, match="1 of 2 particles: the others lie outside"):
        lammps.initialize(model, make_state([[[0.0, 4.0]]], [6.0]))


def test_chains_of_bonds_are_followed(engine):
    n, rng = 12, np.random.default_rng(5)
    x = np.cumsum(rng.uniform(0.5, 0.7, (3, n)), axis=1)[None]
    bonds = Bonds(library.fene, {"k": 30.0, "extent": 1.5}, chain(n))
    angles = Angles(library.wormlike, {"kappa": 4.0}, chain_angles(n))
    pair = Pair(library.wca, {"epsilon": 1.0, "sigma": 1.0}, 2.0)
    model = ParticleModel(3, Newton(), pair, bonds, angles, boundary=("open",) * 3)
    assert_follows_the_definition(engine, model, make_state(x, [9.0] * 3), dt=0.001)


def test_bonds_close_a_ring_through_a_periodic_box(engine, shaken):
    bonds = Bonds(library.harmonic, {"k": 10.0, "r0": 1.0}, chain(16, closed=True))
    model = ParticleModel(1, Newton(), bonds=bonds)
    assert_follows_the_definition(engine, model, shaken((16,), n_patch=3))


def test_any_bending_energy_and_field_is_followed_by_openmm(openmm, shaken):
    def folded(c, k):
        return k * (c + 0.5) ** 2

    def trap(x, y, k, charge):
        return k / 2 * (x**2 + 2 * y**2) + charge * gp.sin(x)

    state = shaken((4, 3), boundary=("open", "open"), shake=0.2, types=np.arange(12) % 2)
    model = ParticleModel(
        2,
        Newton(),
        LJ,
        angles=Angles(folded, {"k": 2.0}, chain_angles(12)),
        field=Field(trap, {"k": 1.0, "charge": [1.0, -2.0]}),
        boundary=("open", "open"),
    )
    assert_follows_the_definition(openmm, model, state, n_steps=40)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("sides", [(12,), (6, 5)])
def test_scaled_velocities_are_followed_from_any_step(engine, shaken, every, sides):
    state = shaken(sides, controls={"temperature": [0.01, 0.02]}, names=("temperature",))
    state.velocities[:] = np.random.default_rng(2).normal(0, 0.1, state.velocities.shape)
    model = ParticleModel(len(sides), Rescaled(every), LJ)
    assert_follows_the_definition(engine, model, state, n_steps=40, dt=0.002, first=7)
    engine.set_state(state)
    for first, n_steps in ((7, 11), (18, 29)):
        engine.solve(n_steps, 0.002, first)
    assert_same(engine.get_state(), x_of("numpy", model, state, 40, 0.002, 7), model)


def test_a_burst_in_pieces_is_the_burst(engine, shaken):
    model, state = ParticleModel(2, Newton(), LJ), shaken((6, 5))
    engine.initialize(model, state)
    engine.solve(100, 0.004)
    whole = engine.get_state()
    engine.set_state(state)
    engine.solve(60, 0.004)
    engine.set_state(engine.get_state())
    engine.solve(40, 0.004)
    assert_same(engine.get_state(), whole, model)


def test_a_state_comes_back_as_it_was_set(engine, shaken):
    state = shaken((6, 5), weights=2.0)
    state.velocities[:] = np.random.default_rng(1).normal(size=state.velocities.shape)
    state.positions[1] += 1000 * state.box[1][:, None]
    engine.initialize(ParticleModel(2, Newton(), LJ), state)
    found = engine.get_state()
    np.testing.assert_allclose(found.positions, state.positions, rtol=4e-16, atol=1e-15)
    for name in ("velocities", "types", "counts", "box", "weights"):
        np.testing.assert_array_equal(getattr(found, name), getattr(state, name))


def test_patches_differ_in_box_and_number_of_particles_and_may_change_both(engine, shaken):
    model, state = ParticleModel(2, Newton(), LJ), shaken((6, 5), n_patch=6)

    def vary(scales, counts):
        one = state.copy()
        one.counts[:] = counts
        one.positions *= np.array(scales)[:, None, None]
        one.box *= np.array(scales)[:, None]
        return one

    first = vary([1.0, 1.02, 1.04, 1.06, 1.08, 1.1], [30, 29, 0, 1, 12, 30])
    second = vary([1.1, 1.0, 1.0, 1.0, 0.99, 1.04], [30, 29, 7, 0, 13, 29])
    assert_follows_the_definition(engine, model, first, n_steps=40)
    engine.set_state(second)
    engine.solve(40, 0.004)
    assert_same(engine.get_state(), x_of("numpy", model, second, 40), model)


def test_walls_move_with_the_box(engine, shaken):
    boundary = ("reflecting", "reflecting")
    model = ParticleModel(2, Newton(), LJ, boundary=boundary)
    state = shaken((6, 6), boundary=boundary)
    state.velocities[:] = np.random.default_rng(3).normal(0, 3.0, state.velocities.shape)
    engine.initialize(model, state)
    wider = state.copy()
    wider.box *= 1.2
    for one in (wider, state):
        engine.set_state(one)
        engine.solve(100, 0.001)
        assert_same(engine.get_state(), x_of("numpy", model, one, 100, 0.001), model)


def test_what_an_engine_lacks_is_refused_by_name(lammps, engine, shaken):
    state = shaken((6, 5), controls={"temperature": 1.0}, names=("temperature",))
    with pytest.raises(RuleError, match=r"cannot run `langevin` dynamics .* Use `newton` or"):
        engine.initialize(ParticleModel(2, Langevin(), LJ), state)

    def trap(x, k):
        return k * x**2

    def folded(c, k):
        return k * c**2

    with pytest.raises(RuleError, match="LAMMPS cannot run the field `trap`"):
        lammps.initialize(ParticleModel(2, Newton(), field=Field(trap, {"k": 1.0})), state)
    angles = Angles(folded, {"k": 1.0}, chain_angles(3))
    with pytest.raises(RuleError, match="LAMMPS cannot run the bending energy `folded`"):
        lammps.initialize(ParticleModel(2, Newton(), angles=angles), state)


def test_a_box_that_holds_two_images_is_refused(engine, shaken):
    with pytest.raises(SchemeError, match="less than twice the cutoff"):
        engine.initialize(ParticleModel(2, Newton(), LJ), shaken((4, 6)))


def test_an_engine_without_patches_says_so(engine, shaken):
    with pytest.raises(BackendError, match="call `initialize` first"):
        engine.solve(1, 0.1)
    engine.initialize(ParticleModel(2, Newton(), LJ), shaken((6, 5)))
    with pytest.raises(SchemeError, match="initialized with 2 patches; the state has 3"):
        engine.set_state(shaken((6, 5), n_patch=3))
    engine.close()
    engine.close()
    with pytest.raises(BackendError, match="call `initialize` first"):
        engine.get_state()


def test_a_patch_that_explodes_is_one_error_and_the_engine_goes_on(engine, shaken):
    model, state = ParticleModel(2, Newton(), LJ), shaken((6, 5), n_patch=3)
    broken = state.copy()
    broken.positions[1, :, 1] = broken.positions[1, :, 0] + 1e-30
    engine.initialize(model, state)
    engine.set_state(broken)
    with pytest.raises(BackendError, match=f"{engine.name} stopped in patch 1: "):
        advanced(engine, 200)
    with pytest.raises(BackendError, match="in patch 1: call `set_state`"):
        engine.get_state()
    engine.set_state(state)
    engine.solve(40, 0.004)
    assert_same(engine.get_state(), x_of("numpy", model, state, 40), model)

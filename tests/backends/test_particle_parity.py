"""Particles move on every backend as in the NumPy definition."""

import functools

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.particles import dynamics, library
from gpupatch.particles.interaction import Angles, Bonds, Field, Pair, chain, chain_angles
from gpupatch.particles.model import Neighbours, ParticleModel
from gpupatch.particles.observe import COMPONENTS, Core, ParticlePlan
from gpupatch.particles.state import make_state

STEPS, DT, SPACING = 12, 0.004, 1.2
CONTROLS = {"temperature": [0.5, 0.8, 1.1], "shear_rate": 0.3, "heat_field": 0.1}
OBSERVABLES = tuple(n for n in COMPONENTS if n not in ("bond_flux", "core_energy"))
LOCAL = Core(2.0, kernel="cos2")


def trap(x, y, k):
    """A harmonic trap, stiffer along y."""
    return k * (x**2 + 2 * y**2) / 2


@functools.cache
def model(kind, ndim=2, search="all", boundary=(), parts=()):
    """A model with a Lennard-Jones pair and further parts; cached, so that it compiles once."""
    made = {
        "hard_rods": lambda: dynamics.HardRods(0.4),
        "brownian": lambda: dynamics.Brownian(0.01),
        "rescaled": lambda: dynamics.Rescaled(3),
    }
    n = 5**ndim
    types = "types" in parts
    sigma = [1.0, 0.8] if types else 1.0
    return ParticleModel(
        ndim,
        made.get(kind, dynamics.DYNAMICS[kind])(),
        pair=None
        if kind == "hard_rods"
        else Pair(library.lennard_jones, {"epsilon": 1.0, "sigma": sigma}, 2.5, "force-shifted"),
        bonds=Bonds(library.harmonic, {"k": 20.0, "r0": 1.2}, chain(n))
        if "bonds" in parts
        else None,
        angles=Angles(library.wormlike, {"kappa": 2.0}, chain_angles(n))
        if "angles" in parts
        else None,
        field=Field(trap, {"k": [0.3, 0.7] if types else 0.3}) if "field" in parts else None,
        boundary=boundary,
        masses=[1.0, 2.0] if types else [1.0],
        neighbours=Neighbours(search, 0.2),
        seed=7,
    )


def state(of):
    """Three patches around a square lattice, one of them with fewer particles."""
    rng = np.random.default_rng(3)
    lines = np.meshgrid(*[(np.arange(5) - 2) * SPACING] * of.ndim, indexing="ij")
    x = np.stack(lines).reshape(of.ndim, -1) + rng.normal(0, 0.02, (3, of.ndim, 5**of.ndim))
    v = rng.normal(0, 0.7, x.shape)
    return make_state(
        x, 5 * SPACING, velocities=v, types=np.arange(x.shape[2]) % of.n_types,
        counts=[x.shape[2], x.shape[2], x.shape[2] - (of.bonds is None)],
        controls=CONTROLS, names=of.dynamics.controls,
    )  # fmt: skip


def burst(backend, of, dtype="float64"):
    """Positions, velocities and observables after a burst."""
    kernels = backend.load_particles(of, dtype)
    handle = kernels.pack(state(of))
    weights = np.zeros((STEPS + 1, 2))
    weights[0, 0] = weights[STEPS, 1] = 1.0
    seen = kernels.burst(handle, ParticlePlan(STEPS, DT, OBSERVABLES, weights, LOCAL, first=5))
    end = kernels.unpack(handle)
    return end.positions, end.velocities, seen


def assert_agree(backend, of, dtype="float64", tolerance=1e-11):
    there = state(of).present[:, None]
    wanted = burst(get_backend("numpy")[0], of)
    found = burst(backend, of, dtype)
    for want, got in zip(wanted[:2], found[:2], strict=True):
        difference = np.abs(np.where(there, got - want, 0.0)).max()
        assert difference < tolerance * np.abs(want).max()
    assert np.abs(found[2] - wanted[2]).max() < tolerance * np.abs(wanted[2]).max()


@pytest.fixture
def numba():
    return get_backend("numba")[0]


@pytest.mark.parametrize("kind", ["newton", "langevin", "nose_hoover", "sheared"])
def test_dynamics_move_as_defined(numba, kind):
    assert_agree(numba, model(kind))


@pytest.mark.parametrize("kind", ["sheared", "heat_driven"])
def test_listed_neighbours_move_particles_as_all_pairs_do(numba, kind):
    assert_agree(numba, model(kind, search="verlet"))


def test_all_parts_act_as_defined(numba):
    parts = ("bonds", "angles", "field", "types")
    assert_agree(numba, model("velocity_flips", boundary=("reflecting", "open"), parts=parts))


@pytest.mark.parametrize("boundary", ["periodic", "reflecting", "open"])
def test_hard_rods_move_as_defined(numba, boundary):
    assert_agree(numba, model("hard_rods", ndim=1, boundary=(boundary,)))


def test_single_precision_follows_double_precision(numba):
    of = model("langevin", ndim=3, search="verlet")
    assert_agree(numba, of, "float32", tolerance=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("search", ["all", "verlet"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("kind", [k for k in dynamics.DYNAMICS if k != "hard_rods"])
def test_every_dynamics_moves_as_defined(numba, kind, ndim, search):
    if kind in ("sheared", "heat_driven") and ndim == 1:
        with pytest.raises(Exception, match="2 or 3 dimensions"):
            model(kind, ndim, search)
        return
    for dtype, tolerance in (("float64", 1e-11), ("float32", 2e-5)):
        assert_agree(numba, model(kind, ndim, search), dtype, tolerance)


@pytest.mark.parametrize("kind", ["langevin", "sheared"])
def test_a_burst_may_be_cut_anywhere(numba, kind):
    of = model(kind, search="verlet" if kind == "sheared" else "all")
    kernels = numba.load_particles(of, "float64")
    whole, cut = kernels.pack(state(of)), kernels.pack(state(of))
    sampled = np.ones((STEPS + 1, 1))
    kernels.burst(whole, ParticlePlan(STEPS, DT, ("virial",), sampled))
    kernels.burst(cut, ParticlePlan(5, DT))
    kernels.burst(cut, ParticlePlan(STEPS - 5, DT, first=5))
    assert np.array_equal(kernels.unpack(whole).positions, kernels.unpack(cut).positions)
    assert np.array_equal(kernels.unpack(whole).memory, kernels.unpack(cut).memory)


def test_a_list_without_room_is_made_again_and_the_burst_with_it(numba):
    of = model("newton", search="verlet")
    tight = ParticleModel(2, of.dynamics, of.pair, neighbours=Neighbours("verlet", 0.2, 1), seed=7)
    positions, _, seen = burst(numba, of)
    kernels = numba.load_particles(tight, "float64")
    handle = kernels.pack(state(tight))
    weights = np.zeros((STEPS + 1, 2))
    weights[0, 0] = weights[STEPS, 1] = 1.0
    again = kernels.burst(handle, ParticlePlan(STEPS, DT, OBSERVABLES, weights, LOCAL, first=5))
    assert kernels.facts()["bursts_redone"] >= 3
    assert np.array_equal(kernels.unpack(handle).positions, positions)
    assert np.array_equal(again, seen)


def test_lists_by_cells_and_by_pairs_are_the_same(numba):
    rng = np.random.default_rng(1)
    of = model("newton", search="verlet")
    lines = np.meshgrid(*[np.arange(28) * 1.1] * 2, indexing="ij")
    x = np.stack(lines).reshape(1, 2, -1) + rng.normal(0, 0.05, (1, 2, 784)) - 3.0
    forces = []
    for search in ("verlet", "all"):
        kernels = numba.load_particles(model("newton", search=search), "float64")
        forces.append(kernels.forces(kernels.pack(make_state(x, 28 * 1.1))))
    assert of.pair is not None
    assert np.abs(forces[0] - forces[1]).max() < 1e-12 * np.abs(forces[1]).max()


def test_forces_are_the_negative_gradient_of_the_energy(numba):
    """Central differences of the total energy, every part acting."""
    parts = ("bonds", "angles", "field", "types")
    of = model("newton", boundary=("periodic", "open"), parts=parts)
    kernels = numba.load_particles(of, "float64")
    start, step = state(of), 1e-5
    force = kernels.forces(kernels.pack(start))
    for axis, particle in ((0, 0), (1, 7), (0, 13), (1, 24)):
        energy = []
        for sign in (1, -1):
            moved = start.copy()
            moved.positions[:, axis, particle] += sign * step
            energy.append(kernels.measure(kernels.pack(moved), ("potential",))[:, 0])
        slope = (energy[0] - energy[1]) / (2 * step)
        assert np.abs(slope + force[:, axis, particle]).max() < 1e-6 * np.abs(force).max()

"""A state that cannot be one of its model is refused before anything is computed with it."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends.select import get_backend
from gpupatch.errors import InputError, SchemeError
from gpupatch.particles import library
from gpupatch.particles.observe import Core

LJ = gp.Pair(library.lennard_jones, {"epsilon": 1.0, "sigma": [1.0, 0.8]}, 2.5)


def model(**changes):
    return gp.ParticleModel(**({"ndim": 2, "dynamics": gp.Newton(), "pair": LJ} | changes))


def state(box=6.0, ndim=2, **given):
    x = np.random.default_rng(1).uniform(0, 5, (2, ndim, 4))
    return gp.make_state(x, np.full(ndim, box), **given)


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize(
    ("changes", "given", "message"),
    [
        ({}, {"ndim": 3}, "3 coordinates, the model 2 dimensions"),
        ({}, {"types": [0, 1, 2, 0]}, "types 0 to 2, the model has types 0 to 1"),
        ({}, {"box": 4.9}, "less than twice the cutoff 2.5"),
        ({"dynamics": gp.Langevin()}, {}, r"imposes \['temperature'\], but the state has 0"),
        (
            {"bonds": gp.Bonds(library.spring, {"k": 1.0}, gp.chain(5))},
            {},
            "a bond names particle 4, but a patch has only 4",
        ),
        (
            {"angles": gp.Angles(library.wormlike, {"kappa": 1.0}, gp.chain_angles(4))},
            {"counts": [4, 3]},
            "an angle names particle 3, but a patch has only 3",
        ),
    ],
)
def test_states_of_other_models_are_refused(name, changes, given, message):
    kernels = get_backend(name)[0].load_particles(model(**changes), "float64")
    with pytest.raises(InputError, match=message):
        kernels.pack(state(**given))


@pytest.mark.parametrize(
    ("controls", "box", "message"),
    [
        ({"temperature": [1.0, -1.0]}, 9.0, "temperature is -1"),
        ({"temperature": 1.0}, 3.9, "rods 1 long fill 1.03 of their line"),
    ],
)
def test_rods_that_overlap_and_negative_temperatures_are_refused(controls, box, message):
    rods = gp.ParticleModel(1, gp.HardRods(1.0))
    made = gp.make_state(
        np.arange(8.0).reshape(2, 1, 4), [box], controls=controls, names=("temperature",)
    )
    with pytest.raises(InputError, match=message):
        rods.check(made)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"types": [0, 1]}, "`types` has shape"),
        ({"weights": [np.nan] * 4}, "must be finite"),
        ({"controls": {"temprature": 1.0}, "names": ("temperature",)}, "needs a value for"),
        ({"controls": {"temperature": [1, 2, 3]}, "names": ("temperature",)}, "`temperature` has"),
    ],
)
def test_arrays_that_make_no_state_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        state(**given)


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_a_core_along_an_axis_that_is_not_there_is_refused(name):
    kernels = get_backend(name)[0].load_particles(model(), "float64")
    plan = gp.ParticlePlan(0, 1.0, ("crossing",), np.ones((1, 1)), Core(1.0, axis=2))
    with pytest.raises(SchemeError, match="along axis 2"):
        kernels.burst(kernels.pack(state()), plan)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e25, -1e19])
def test_particles_that_are_nowhere_leave_the_lists_of_the_others_alone(bad):
    """Positions that cells cannot tell apart must not be written outside their tables."""
    places = np.random.default_rng(2).uniform(0, 60, (1, 2, 700))
    made = gp.make_state(places, np.full(2, 60.0))
    one = gp.Pair(library.gaussian, {"epsilon": 1.0, "sigma": 1.0}, 2.5)
    kernels = get_backend("numba")[0].load_particles(model(pair=one), "float64")
    expected = kernels.forces(kernels.pack(made))[..., 1:]
    made.positions[0, :, 0] = bad
    near = np.abs(kernels.forces(kernels.pack(made))[..., 1:] - expected) > 1e-12
    assert near.any(axis=1).sum() < 40


def test_open_patches_may_be_narrower_than_the_cutoff():
    model(boundary=("open", "reflecting")).check(state(box=1.0))


def test_a_box_of_exactly_two_cutoffs_will_do():
    model().check(state(box=5.0))


def test_distances_that_no_memory_holds_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr("gpupatch.memory.available", lambda: 10**8)
    places = np.random.default_rng(1).uniform(0, 60, (1, 2, 2500))
    one = gp.Pair(library.gaussian, {"epsilon": 1.0, "sigma": 1.0}, 2.5)
    kernels = get_backend("numpy")[0].load_particles(model(pair=one), "float64")
    with pytest.raises(InputError, match="distances between all 2500 particles"):
        kernels.forces(kernels.pack(gp.make_state(places, np.full(2, 60.0))))

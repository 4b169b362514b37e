"""A state that cannot be one of its model is refused before anything is computed with it."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends.select import get_backend
from gpupatch.errors import InputError
from gpupatch.particles import library

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


def test_open_patches_may_be_narrower_than_the_cutoff():
    model(boundary=("open", "reflecting")).check(state(box=1.0))


def test_a_box_of_exactly_two_cutoffs_will_do():
    model().check(state(box=5.0))

"""Particles on CUDA, run on the CPU, do what NumPy defines, whatever class of kernels runs."""

import itertools
from typing import Any, cast

import numpy as np
import pytest
from particle_problems import PROBLEMS, fluid, mixture, polymer

from gpupatch.backends._cuda import CudaBackend
from gpupatch.backends._device import Resources
from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.backends.select import get_backend
from gpupatch.errors import BackendError
from gpupatch.particles.model import Neighbours, ParticleModel

CLASSES = ("warp", "block", "list")
TOLERANCE = {
    "float64": {"positions": 1e-10, "velocities": 1e-10, "memory": 1e-10, "samples": 1e-10},
    "float32": {"positions": 2e-5, "velocities": 5e-4, "memory": 2e-4, "samples": 5e-4},
}
"""Relative to the largest value. Forces of close pairs are some 1e3 times the rounding of their
distances, and act for 0.04 units of time."""

FEW = [
    ("fluid", "warp", "float64"),
    ("fluid", "block", "float64"),
    ("fluid", "list", "float64"),
    ("full fluid", "warp", "float32"),
    ("mixture", "warp", "float64"),
    ("mixture", "list", "float32"),
    ("walkers", "warp", "float64"),
    ("polymer", "block", "float64"),
    ("springs", "block", "float64"),
    ("nose-hoover", "warp", "float64"),
    ("sheared", "list", "float64"),
    ("driven", "block", "float64"),
    ("rods on a ring", "block", "float64"),
]


def impossible(name: str, kind: str) -> bool:
    """Whether a class of kernels cannot take a model."""
    bonded = name in ("polymer", "bent polymer", "springs")
    apart = name.startswith("rods") or name in ("walkers", "springs")
    if kind == "warp":
        return bonded or name.startswith("rods") or name == "driven"
    return kind == "list" and apart


ALL = [
    one
    for one in itertools.product(PROBLEMS, CLASSES, TOLERANCE)
    if not impossible(*one[:2]) and one not in FEW
]


@pytest.fixture(params=["host", pytest.param("cuda", marks=pytest.mark.cuda)])
def anywhere(request):
    """The backend on the CPU, and on a GPU if there is one."""
    if request.param == "host":
        return request.getfixturevalue("host")
    try:
        return get_backend("cuda")[0]
    except BackendError as error:
        pytest.skip(str(error))


def with_class(host, kind, **limits):
    """The backend with a class of kernels, perhaps on a device with less of something."""
    device = host.device
    if limits:
        device = type(device)(limits=device.limits._replace(**limits))
    return CudaBackend(device, particles=kind)


def burst(kernels, problem, plan=None):
    """The state after a burst, and its samples."""
    handle = kernels.pack(problem.state)
    samples = kernels.burst(handle, plan or problem.plan())
    return kernels.unpack(handle), samples


def close(found, expected, tolerance):
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def compare(host, name, kind, dtype):
    problem = PROBLEMS[name]()
    there = problem.state.present[:, None]
    ours = with_class(host, kind).load_particles(problem.model, dtype)
    reference = NumpyParticles(problem.model)
    found, samples = burst(ours, problem)
    expected, wanted = burst(reference, problem)
    most = TOLERANCE[dtype]
    for what in ("positions", "velocities"):
        close(there * getattr(found, what), there * getattr(expected, what), most[what])
    close(found.memory, expected.memory, most["memory"])
    for c in range(samples.shape[2]):
        close(samples[..., c], wanted[..., c], most["samples"])
    if problem.model.dynamics.kind != "hard_rods":
        moved = np.abs(found.positions - problem.state.positions).max()
        assert moved > 1e-3, "nothing has happened"
        force = ours.forces(ours.pack(problem.state))
        close(there * force, there * reference.forces(problem.state), most["velocities"])
    ((told, reason),) = ours.facts()["kernels"].items()
    assert told.startswith(kind)
    assert reason == "it was asked for"


@pytest.mark.parametrize(("name", "kind", "dtype"), FEW)
def test_bursts_agree_with_the_definition(anywhere, name, kind, dtype):
    compare(anywhere, name, kind, dtype)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind", "dtype"), ALL)
def test_all_bursts_agree_with_the_definition(anywhere, name, kind, dtype):
    compare(anywhere, name, kind, dtype)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_burst_cut_in_two_gives_the_same_bits(anywhere, kind):
    problem = fluid()
    kernels = with_class(anywhere, kind).load_particles(problem.model, "float64")
    whole, _ = burst(kernels, problem, problem.plan(9, first=0))
    handle = kernels.pack(problem.state)
    kernels.burst(handle, problem.plan(4, first=0))
    kernels.burst(handle, problem.plan(5, first=4))
    np.testing.assert_array_equal(kernels.unpack(handle).positions, whole.positions)
    np.testing.assert_array_equal(kernels.unpack(handle).velocities, whole.velocities)


@pytest.mark.parametrize(
    ("make", "kind"), [(mixture, "warp"), (fluid, "list")], ids=["warp", "list"]
)
def test_a_batch_that_does_not_fit_is_done_in_pieces_with_the_same_bits(host, make, kind):
    problem = make()
    whole, samples = burst(with_class(host, kind).load_particles(problem.model, "float64"), problem)
    few = 48_000 if kind == "list" else 9_000
    kernels = with_class(host, kind, memory=few).load_particles(problem.model, "float64")
    handle = kernels.pack(problem.state)
    assert len(handle.pieces) > 1
    np.testing.assert_array_equal(kernels.burst(handle, problem.plan()), samples)
    np.testing.assert_array_equal(kernels.unpack(handle).positions, whole.positions)
    with pytest.raises(BackendError, match="one patch needs"):
        with_class(host, kind, memory=900).load_particles(problem.model, "float64").pack(
            problem.state
        )


def test_lists_give_the_bits_of_all_pairs_however_often_they_are_made(anywhere):
    def after(kind, **neighbours):
        problem = fluid(neighbours=Neighbours(**neighbours))
        kernels = with_class(anywhere, kind).load_particles(problem.model, "float64")
        return *burst(kernels, problem, problem.plan(40)), kernels.facts()["bursts begun again"]

    expected, samples, _ = after("block")
    for neighbours in ({"skin": 0.05}, {"skin": 0.6}, {"capacity": 1}):
        found, sampled, again = after("list", **neighbours)
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_array_equal(sampled, samples)
        assert again == ("capacity" in neighbours)


def test_a_list_that_overflows_costs_one_burst_and_then_has_room(host):
    problem = fluid(neighbours=Neighbours(capacity=1))
    kernels = with_class(host, "list").load_particles(problem.model, "float64")
    handle = kernels.pack(problem.state)
    for _ in range(3):
        kernels.burst(handle, problem.plan())
    assert kernels.facts()["bursts begun again"] == 1
    assert kernels.facts()["launches"] == {"list": 4}


def test_patches_beyond_shared_memory_give_the_same_bits(host):
    problem = fluid()
    on_chip, _ = burst(with_class(host, "list").load_particles(problem.model, "float64"), problem)
    small = with_class(host, "list", shared=2500).load_particles(problem.model, "float64")
    off_chip, _ = burst(small, problem)
    np.testing.assert_array_equal(off_chip.positions, on_chip.positions)
    assert "neighbours in device memory" in next(iter(small.facts()["kernels"]))


def test_forces_and_their_reactions_cancel_in_a_warp(host):
    problem = PROBLEMS["full fluid"]()
    kernels = with_class(host, "warp").load_particles(problem.model, "float32")
    force = kernels.forces(kernels.pack(problem.state))
    assert np.abs(force).max() > 1
    rounding = np.finfo(np.float32).eps * np.abs(force).sum(axis=2)
    assert np.all(np.abs(force.sum(axis=2)) < 8 * rounding)


def test_measuring_changes_nothing_and_is_one_launch(host):
    problem = fluid()
    kernels = with_class(host, "warp").load_particles(problem.model, "float64")
    handle = kernels.pack(problem.state)
    found = kernels.measure(handle, ("potential", "momentum"))
    reference = NumpyParticles(problem.model)
    close(found, reference.measure(problem.state, ("potential", "momentum")), 1e-13)
    assert kernels.facts()["launches"] == {"warp": 1}
    np.testing.assert_array_equal(kernels.unpack(handle).positions, problem.state.positions)


def kind_of(host, problem, **limits):
    kernels = with_class(host, "auto", **limits).load_particles(problem.model, "float64")
    kernels.pack(problem.state)
    ((name, reason),) = kernels.facts()["kernels"].items()
    return name.split(",")[0], reason


def test_the_class_follows_from_the_model_and_the_size(host):
    assert kind_of(host, fluid()) == ("warp", "70 particles fit the registers of a warp")
    assert kind_of(host, polymer())[0] == "block"
    assert "bonds and angles" in kind_of(host, polymer())[1]
    wanted = fluid(neighbours=Neighbours(search="verlet"))
    assert kind_of(host, wanted) == ("list", "a list was asked for")


@pytest.mark.slow
def test_many_particles_have_lists_where_these_are_shorter_work(host):
    kind, reason = kind_of(host, fluid(n=400))
    assert (kind, reason) == ("list", "about 29 of 400 particles are within reach of one")
    assert kind_of(host, fluid(n=400, neighbours=Neighbours(search="all")))[0] == "block"


def test_a_warp_that_spills_gives_way_to_a_block(host):
    class Crowded:
        def __getattr__(self, name):
            return getattr(host.device, name)

        def compile(self, source, names):
            module = host.device.compile(source, names)
            local = 64 if "ROWS = 3" in source else 0
            module.resources = lambda _: Resources(255, local, 0)
            return module

    problem = fluid()
    backend = CudaBackend(cast(Any, Crowded()))
    kernels = backend.load_particles(problem.model, "float64")
    found, _ = burst(kernels, problem)
    ((name, reason),) = kernels.facts()["kernels"].items()
    assert name.startswith("block")
    assert "warp, 3 particles per lane took 64 B of local memory" in reason
    close(found.positions, burst(NumpyParticles(problem.model), problem)[0].positions, 1e-10)


@pytest.mark.parametrize(
    ("kind", "make", "complaint"),
    [
        ("warp", polymer, "cannot take this model: bonds and angles"),
        ("warp", PROBLEMS["rods on a ring"], "`hard_rods` dynamics needs shared memory"),
        ("list", PROBLEMS["walkers"], "there is no pair potential"),
    ],
)
def test_a_class_that_cannot_take_the_model_is_refused(host, kind, make, complaint):
    problem = make()
    with pytest.raises(BackendError, match=complaint):
        with_class(host, kind).load_particles(problem.model, "float64").pack(problem.state)


def test_an_unknown_class_is_refused(host):
    with pytest.raises(BackendError, match="Did you mean `warp`"):
        with_class(host, "warps").load_particles(fluid().model, "float64")


def test_types_are_told_apart_by_masses_alone(host):
    given = fluid(n=40, ndim=2)
    model = ParticleModel(2, given.model.dynamics, given.model.pair, masses=(1.0, 3.0))
    given.state.types[:] = np.arange(40) % 2
    kernels = with_class(host, "warp").load_particles(model, "float64")
    handle, expected = kernels.pack(given.state), given.state.copy()
    kernels.burst(handle, given.plan())
    NumpyParticles(model).burst(expected, given.plan())
    found = kernels.unpack(handle)
    there = given.state.present[:, None]
    close(there * found.velocities, there * expected.velocities, 1e-10)

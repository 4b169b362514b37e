"""Bonds, angles, fields, mixing: forces are minus the gradient, and nonsense is refused."""

import numpy as np
import pytest
import sympy as sp

import gpupatch as gp
from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.errors import RuleError
from gpupatch.micro.printers import ArrayPrinter, CudaPrinter, ScalarPrinter
from gpupatch.particles import library
from gpupatch.particles.library import bending, wormlike

H = 1e-5
CHAIN = gp.chain(6)
TRIPLES = gp.chain_angles(6)


def gravity(z, g):
    return g * z


def trap(x, y, z, k):
    return k / 2 * (x**2 + 2 * y**2 + gp.cos(z))


PARTS = {
    "lennard_jones": {
        "pair": gp.Pair(library.lennard_jones, {"epsilon": 1.0, "sigma": [0.8, 1.1]}, 2.0)
    },
    "fene": {"bonds": gp.Bonds(library.fene, {"k": 30.0, "extent": 4.0}, CHAIN)},
    "harmonic": {"bonds": gp.Bonds(library.harmonic, {"k": 30.0, "r0": 1.0}, CHAIN)},
    "wormlike": {"angles": gp.Angles(wormlike, {"kappa": 7.0}, TRIPLES)},
    "bending": {"angles": gp.Angles(bending, {"k": 7.0, "theta0": 0.6}, TRIPLES)},
    "trap": {"field": gp.Field(trap, {"k": [1.5, -0.5]})},
}


def zigzag(ndim, n_patch=2):
    """A rough chain of six particles of two types."""
    rng = np.random.default_rng(5)
    x = 0.25 * rng.normal(size=(n_patch, ndim, 6))
    x[:, 0] += np.arange(6) - 2.5
    return gp.make_state(x, np.full(ndim, 20.0), types=[0, 1, 0, 0, 1, 1])


def kernels(ndim, boundary="open", **parts):
    return NumpyParticles(gp.ParticleModel(ndim, gp.Newton(), boundary=(boundary,) * ndim, **parts))


def moved(state, axis, particle, by):
    other = state.copy()
    other.positions[:, axis, particle] += by
    return other


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", PARTS)
def test_forces_are_minus_the_gradient_of_the_energy(name, ndim):
    run, state = kernels(ndim, **PARTS[name]), zigzag(ndim)
    expected = np.empty_like(state.positions)
    for a in range(ndim):
        for i in range(6):
            high, low = (
                run.measure(moved(state, a, i, by), ("potential",))[:, 0] for by in (H, -H)
            )
            expected[:, a, i] = -(high - low) / (2 * H)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(run.forces(state), expected, rtol=0, atol=1e-8 * scale)


@pytest.mark.parametrize("name", sorted(PARTS.keys() - {"trap"}))
def test_the_virial_is_minus_the_derivative_by_the_strain(name):
    run, state = kernels(3, **PARTS[name]), zigzag(3)
    virial = run.measure(state, ("virial",)).reshape(-1, 3, 3)
    for a in range(3):
        for b in range(3):
            energies = []
            for sign in (1, -1):
                other = state.copy()
                other.positions[:, a] += sign * H * state.positions[:, b]
                energies.append(run.measure(other, ("potential",))[:, 0])
            slope = (energies[0] - energies[1]) / (2 * H)
            np.testing.assert_allclose(virial[:, b, a], -slope, atol=1e-6 * np.abs(virial).max())


@pytest.mark.parametrize("name", sorted(PARTS.keys() - {"trap"}))
def test_what_acts_between_particles_has_no_net_force_or_torque(name):
    state = zigzag(3)
    force = kernels(3, **PARTS[name]).forces(state)
    torque = np.cross(state.positions, force, axis=1).sum(axis=2)
    scale = np.abs(force).max()
    np.testing.assert_allclose(force.sum(axis=2), 0, atol=1e-13 * scale)
    np.testing.assert_allclose(torque, 0, atol=1e-12 * scale)


def test_bonds_and_angles_reach_through_the_faces_of_a_periodic_box():
    parts = PARTS["harmonic"] | PARTS["wormlike"]
    state = zigzag(3)
    far = state.copy()
    far.positions[:, 1] += 10.3
    far.positions[:] -= 20.0 * np.floor(far.positions / 20.0)
    np.testing.assert_allclose(
        kernels(3, "periodic", **parts).forces(far), kernels(3, **parts).forces(state), atol=1e-12
    )


def test_a_bent_joint_has_the_closed_form_of_its_energy_and_force():
    angle, k, theta0 = 0.9, 5.0, 0.2
    x = np.array([[-1.0, 0.0, 2 * np.cos(angle)], [0.0, 0.0, 2 * np.sin(angle)]])[None]
    state = gp.make_state(x, (9.0, 9.0))
    run = kernels(2, angles=gp.Angles(bending, {"k": k, "theta0": theta0}, np.array([[0, 1, 2]])))
    assert run.measure(state, ("potential",)) == pytest.approx(k / 2 * (angle - theta0) ** 2)
    across = np.array([-np.sin(angle), np.cos(angle)])
    expected = -k * (angle - theta0) / 2 * across
    np.testing.assert_allclose(run.forces(state)[0, :, 2], expected, rtol=1e-12)


@pytest.mark.parametrize("fold", [1.0, -1.0])
def test_straight_and_folded_chains_have_finite_forces(fold):
    x = np.array([[0.0, 1.0, 1.0 + 0.7 * fold], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])[None]
    run = kernels(3, angles=gp.Angles(bending, {"k": 5.0, "theta0": 0.3}, np.array([[0, 1, 2]])))
    np.testing.assert_allclose(run.forces(gp.make_state(x, (9.0,) * 3)), 0, atol=1e-12)


def test_the_continued_bending_energy_is_differentiable():
    c = library.STRAIGHT + 1e-10 * np.array([-1, 0, 1])
    for sign in (1, -1):
        below, above = np.diff(np.array([bending(one, 5.0, 0.3) for one in sign * c]))
        assert above == pytest.approx(below, rel=1e-3)
    assert bending(1.0, 5.0, 0.0) == pytest.approx(0, abs=1e-11)


def test_types_have_fields_of_their_own():
    state = zigzag(3)
    force = kernels(3, field=gp.Field(gravity, {"g": [2.0, -0.5]})).forces(state)
    np.testing.assert_array_equal(force[:, :2], 0)
    np.testing.assert_array_equal(force[0, 2], [-2.0, 0.5, -2.0, -2.0, 0.5, 0.5])


def test_types_are_mixed_by_lorentz_and_berthelot():
    given = {"epsilon": [1.0, 4.0], "sigma": [1.0, 2.0]}
    lorentz = gp.Pair(library.lennard_jones, given, 3.0).matrices
    np.testing.assert_array_equal(lorentz["sigma"], [[1.0, 1.5], [1.5, 2.0]])
    np.testing.assert_array_equal(lorentz["epsilon"], [[1.0, 2.0], [2.0, 4.0]])
    geometric = gp.Pair(library.lennard_jones, given, 3.0, mixing="geometric").matrices
    np.testing.assert_allclose(geometric["sigma"], [[1.0, 2**0.5], [2**0.5, 2.0]])


def test_pairs_of_types_may_be_given_one_by_one():
    sigma = [[1.0, 1.3], [1.3, 0.7]]
    pair = gp.Pair(library.lennard_jones, {"epsilon": 1.0, "sigma": sigma}, 3.0)
    np.testing.assert_array_equal(pair.matrices["sigma"], sigma)
    state = gp.make_state([[[0.0, 1.2]]], (20.0,), types=[0, 1])
    energy = NumpyParticles(gp.ParticleModel(1, gp.Newton(), pair)).measure(state, ("potential",))
    assert energy == pytest.approx(library.lennard_jones(1.2, epsilon=1.0, sigma=1.3))


def lj(cutoff=2.5, **parameters):
    return gp.Pair(library.lennard_jones, {"epsilon": 1.0, "sigma": 1.0} | parameters, cutoff)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lj(0.0), "`cutoff` is 0.0"),
        (lambda: lj(np.inf), "finite number"),
        (lambda: lj(sgma=1.0), "no parameter `sgma`. Did you mean `sigma`"),
        (lambda: gp.Pair(library.lennard_jones, {"sigma": 1.0}, 2.5), "a value for `epsilon`"),
        (lambda: lj(epsilon=[1.0, 2.0], sigma=[1.0, 1.0, 1.0]), r"parameters for \[2, 3\] types"),
        (lambda: lj(epsilon=[[1.0, 2.0], [3.0, 1.0]]), "`epsilon` differs between the pairs"),
        (
            lambda: gp.Pair(library.spring, {"k": 1.0}, 1.0, mixing="berthelot"),
            "Did you mean `lorentz-berthelot`",
        ),
        (lambda: gp.Pair(library.spring, {"k": 1.0}, 1.0, "shifter"), "Did you mean `shifted`"),
        (lambda: gp.Bonds(library.spring, {}, CHAIN), "a value for `k`"),
        (
            lambda: gp.Bonds(library.spring, {"k": 1.0}, np.array([[1, 1]])),
            "two different particles",
        ),
        (lambda: gp.Bonds(library.spring, {"k": 1.0}, np.array([[-1, 1]])), "numbered from 0"),
        (lambda: gp.Angles(lambda kappa, c: c, {"kappa": 1.0}, TRIPLES), "the first must be `c`"),
        (lambda: gp.Angles(wormlike, {"kapa": 1.0}, TRIPLES), r"takes \['kappa'\]"),
        (
            lambda: gp.Angles(wormlike, {"kappa": 1.0}, np.array([[0, 1, 0]])),
            "three different particles",
        ),
        (lambda: gp.Field(gravity, {}), r"takes \['g'\]"),
        (lambda: gp.Field(trap, {"k": [[1.0]]}), "as many numbers as there are types"),
        (
            lambda: gp.ParticleModel(3, gp.Newton(), lj(sigma=[1.0, 2.0]), masses=(1.0, 1.0, 2.0)),
            r"tell \[2, 3\] types",
        ),
    ],
)
def test_mistakes_are_refused_with_what_to_do(make, message):
    with pytest.raises(RuleError, match=message):
        make()


def test_a_bending_energy_that_branches_is_refused_with_its_line():
    def kinked(c, k):
        return k if c > 0 else 0.0

    with pytest.raises(RuleError, match=r"return k if c > 0 else 0\.0"):
        _ = gp.Angles(kinked, {"k": 1.0}, TRIPLES).form


def test_the_arc_cosine_is_printed_in_every_language():
    angle = sp.acos(sp.Symbol("c", real=True))
    assert ScalarPrinter()(angle) == "math.acos(c)"
    assert CudaPrinter()(angle) == "acos(c)"
    c = np.linspace(-1, 1, 9)
    found = eval(ArrayPrinter()(angle), {"np": np, "c": c})
    np.testing.assert_array_equal(found, gp.arccos(c))

"""V22: chains and lattices of springs and of Lennard-Jones bonds, through the forces."""

import numpy as np
import pytest
from scipy.optimize import root_scalar

import gpupatch as gp
from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.particles import library
from gpupatch.theory import chains

N = 8
DIGITS = 1e-8
"""Relative accuracy of the numbers of V22."""


def derivative(f, x, h=2e-4):
    """f'(x) to sixth order in h."""
    weights = ((1, 45), (2, -9), (3, 1))
    return sum(w * (f(x + k * h) - f(x - k * h)) for k, w in weights) / (60 * h)


def lennard_jones_chain(spacing):
    """Tension of a periodic chain whose particles see their neighbours only."""
    pair = gp.Pair(library.lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 1.9)
    run = NumpyParticles(gp.ParticleModel(1, gp.Newton(), pair))
    state = gp.make_state(np.arange(N)[None, None] * spacing, (N * spacing,))
    return -run.measure(state, ("virial",)).item() / (N * spacing)


def test_the_lennard_jones_chain_has_its_length_stiffness_and_strength():
    """V22: r0 = 1.122462048, k = 57.14643787, E = k r0 = 64.1447077, F = 2.396429261."""
    r0 = root_scalar(lennard_jones_chain, bracket=(1.1, 1.2), xtol=1e-14).root
    stiffness = derivative(lennard_jones_chain, r0)
    weakest = root_scalar(
        lambda r: derivative(lennard_jones_chain, r, 1e-3), bracket=(1.2, 1.3), xtol=1e-14
    ).root
    assert r0 == pytest.approx(1.122462048, rel=DIGITS)
    assert stiffness == pytest.approx(57.14643787, rel=DIGITS)
    assert stiffness * r0 == pytest.approx(64.1447077, rel=DIGITS)
    assert weakest == pytest.approx(1.244455060, rel=DIGITS)
    assert lennard_jones_chain(weakest) == pytest.approx(2.396429261, rel=DIGITS)


def triangular(n):
    """Sites of a triangular lattice of unit spacing in a box, and its bonds."""
    sites = np.array([(i + 0.5 * (j % 2), j * 3**0.5 / 2) for j in range(n) for i in range(n)]).T
    box = np.array([n, n * 3**0.5 / 2])
    d = sites[:, :, None] - sites[:, None, :]
    d -= box[:, None, None] * np.rint(d / box[:, None, None])
    near = np.triu(np.hypot(*d) < 1.1, 1)
    return sites, box, np.argwhere(near)


def test_the_triangular_lattice_has_its_speeds_of_sound():
    """V22: c_L = 1.060660, c_T = .612372; lambda = mu = sqrt(3) k/4."""
    n = 6
    sites, box, pairs = triangular(n)
    bonds = gp.Bonds(library.harmonic, {"k": 1.0, "r0": 1.0}, pairs)
    run = NumpyParticles(gp.ParticleModel(2, gp.Newton(), bonds=bonds))

    def force(axis, by):
        moved = sites.copy()
        moved[axis, 0] += by
        return run.forces(gp.make_state(moved[None], box))[0]

    response = np.stack([derivative(lambda h, a=a: force(a, h), 0.0, 1e-3) for a in range(2)])
    separation = sites - sites[:, :1]
    separation -= box[:, None] * np.rint(separation / box[:, None])
    for angle in (0.0, 0.4, 1.1):
        along = np.cos(angle) * separation[0] + np.sin(angle) * separation[1]
        acoustic = np.einsum("n,abn->ab", along**2 / 2, response)
        transverse, longitudinal = np.sqrt(np.linalg.eigvalsh(acoustic))
        expected = chains.triangular_wave_speeds(1.0)
        assert (longitudinal, transverse) == pytest.approx(expected, rel=DIGITS)
    density, mu = 2 / 3**0.5, 3**0.5 / 4
    assert expected == pytest.approx((1.060660, 0.612372), abs=1e-6)
    assert expected == pytest.approx((np.sqrt(3 * mu / density), np.sqrt(mu / density)))


def ring(n, dynamics=None, masses=(1.0,)):
    """A closed chain of springs whose positions are displacements."""
    bonds = gp.Bonds(library.spring, {"k": 1.7}, gp.chain(n, closed=True))
    return gp.ParticleModel(
        1, dynamics or gp.Newton(), bonds=bonds, masses=masses, boundary=("open",)
    )


@pytest.mark.parametrize("wave", [1, 3, 6])
def test_waves_on_a_harmonic_chain_have_their_frequency(wave):
    """V22: omega = 2 sqrt(k/m) |sin(q a/2)|."""
    n = 12
    phase = 2 * np.pi * wave / n
    shape = np.cos(phase * np.arange(n))
    force = NumpyParticles(ring(n, masses=(2.5,))).forces(gp.make_state(shape[None, None], (1.0,)))
    omega = chains.chain_frequency(phase, 1.7, 2.5)
    np.testing.assert_allclose(force[0, 0], -2.5 * omega**2 * shape, atol=1e-14)


def test_waves_move_as_verlet_says():
    """V22: a standing wave is cos(w s) after s steps, sin(w/2) = omega dt/2."""
    n, dt, steps = 12, 0.05, 400
    phase = 2 * np.pi * 2 / n
    shape = np.cos(phase * np.arange(n))
    run = NumpyParticles(ring(n))
    handle = run.pack(gp.make_state(shape[None, None], (1.0,)))
    run.burst(handle, gp.ParticlePlan(steps, dt))
    turned = 2 * np.arcsin(chains.chain_frequency(phase, 1.7) * dt / 2) * steps
    np.testing.assert_allclose(
        run.unpack(handle).positions[0, 0], np.cos(turned) * shape, atol=1e-11
    )


def test_a_diatomic_chain_has_two_branches_and_its_speed_of_sound():
    """V22: masses 1 and 3, c = .707106781 for unit springs."""
    n, masses = 16, (1.0, 3.0)
    types = np.arange(n) % 2
    run = NumpyParticles(ring(n, masses=masses))
    unit = np.eye(n)[:, None, :]
    state = gp.make_state(unit, (1.0,), types=types)
    root = np.sqrt(np.asarray(masses)[types])
    squares = np.linalg.eigvalsh(-run.forces(state)[:, 0] / np.outer(root, root))
    phases = 2 * np.pi * np.arange(n // 2) / n
    expected = np.sort(chains.diatomic_frequencies(phases, 1.7, masses).ravel())
    np.testing.assert_allclose(np.sqrt(np.maximum(squares, 0)), expected, atol=1e-7)
    slow = chains.diatomic_frequencies(1e-5, 1.0, masses)[0] / 1e-5
    assert slow == pytest.approx(0.707106781, rel=DIGITS)


def test_equal_masses_make_the_diatomic_chain_monatomic():
    phase = np.linspace(0.1, 1.5, 7)
    acoustic, optical = chains.diatomic_frequencies(phase, 1.7, (2.0, 2.0))
    np.testing.assert_allclose(acoustic, chains.chain_frequency(phase, 1.7, 2.0), rtol=1e-12)
    np.testing.assert_allclose(optical, chains.chain_frequency(np.pi - phase, 1.7, 2.0), rtol=1e-12)

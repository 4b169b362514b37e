"""V21: the face-centred cubic Lennard-Jones crystal at rest, without pressure."""

import numpy as np
import pytest
from scipy.optimize import root_scalar

import gpupatch as gp
from gpupatch.backends._numpy_particles import NumpyParticles
from gpupatch.particles import library
from gpupatch.particles.prepare import crystal

STATIC = 1e-4
"""Relative accuracy that V21 asks for."""
UNIT = {"epsilon": 1.0, "sigma": 1.0}
STRAIN = 2e-4


def slope(f, h=STRAIN):
    """f'(0) to fourth order in h."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


class Cut:
    """A periodic crystal of particles with a cutoff, in a box along cubic axes or turned by 45."""

    def __init__(self, cutoff):
        self.run = NumpyParticles(
            gp.ParticleModel(3, gp.Newton(), gp.Pair(library.lennard_jones, UNIT, cutoff))
        )

    def sites(self, a, turned):
        if not turned:
            return crystal(256, 4 / a**3, "fcc")
        cell = np.array([a / 2**0.5, a / 2**0.5, a])
        counts = (6, 6, 4)
        corners = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1).reshape(-1, 3)
        sites = np.concatenate([corners, corners + 0.5])
        return (sites * cell).T, np.array(counts) * cell

    def observe(self, a, strain=(0.0, 0.0, 0.0), turned=False):
        """Energy per particle and stress of a crystal that is stretched along the box."""
        x, box = self.sites(a, turned)
        stretch = 1 + np.asarray(strain)
        state = gp.make_state((x * stretch[:, None])[None], box * stretch)
        energy, *virial = self.run.measure(state, ("potential", "virial"))[0]
        return energy / x.shape[1], -np.reshape(virial, (3, 3)) / np.prod(box * stretch)

    def constants(self, a):
        """C11, C12, C44."""
        along = slope(lambda e: self.observe(a, (e, 0, 0))[1])
        sheared = slope(lambda e: self.observe(a, (e, -e, 0), turned=True)[1])
        return along[0, 0], along[1, 1], (sheared[0, 0] - sheared[1, 1]) / 4


class Whole:
    """A particle and all others within a radius, bound to it; the rest as a continuum.

    Beyond the radius R, with V = -4 r^-6, the energy per particle, pressure and elastic constants
    are integrals over density, (V'' - V'/r) x_i x_j x_k x_l/r^2 for the last of them.
    """

    radius = 18.0

    def __init__(self):
        n = int(self.radius / 1.5) + 2
        corners = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), -1)
        basis = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
        sites = (corners.reshape(-1, 1, 3) + basis).reshape(-1, 3)
        distance = np.linalg.norm(sites, axis=1)
        self.sites = sites[np.argsort(distance, kind="stable")]
        self.sites = self.sites[np.sort(distance) * 1.54 < self.radius].T
        count = self.sites.shape[1]
        pairs = np.stack([np.zeros(count - 1, int), np.arange(1, count)], axis=1)
        bonds = gp.Bonds(library.lennard_jones, UNIT, pairs)
        self.run = NumpyParticles(
            gp.ParticleModel(3, gp.Newton(), bonds=bonds, boundary=("open",) * 3)
        )

    def observe(self, a, deformation=None):
        """Energy per particle and stress, the tail included."""
        F = np.eye(3) if deformation is None else np.eye(3) + deformation
        state = gp.make_state((F @ self.sites * a)[None], (99.0,) * 3)
        energy, *virial = self.run.measure(state, ("potential", "virial"))[0]
        volume = a**3 / 4
        far = a / 1.54 * self.radius
        tail = -8 * np.pi / 3 / volume / far**3
        stress = -np.reshape(virial, (3, 3)) / 2 / volume / np.linalg.det(F)
        if deformation is None:
            stress = stress - 2 * tail / volume * np.eye(3)
        return energy / 2 + tail, stress

    def constants(self, a):
        """C11, C12, C44."""
        along, sheared = np.zeros((3, 3)), np.zeros((3, 3))
        along[0, 0], sheared[0, 1] = 1.0, 1.0
        first = slope(lambda e: self.observe(a, e * along)[1])
        second = slope(lambda e: self.observe(a, e * sheared)[1])
        far = a / 1.54 * self.radius
        density = 4 / a**3
        rest = -128 * np.pi * density**2 / far**3
        pull = 2 * 8 * np.pi / 3 * density**2 / far**3
        return (
            first[0, 0] + rest / 5 + pull,
            first[1, 1] + rest / 15 - pull,
            second[0, 1] + rest / 15 + pull,
        )


def at_rest(solid):
    return root_scalar(
        lambda a: float(np.trace(solid.observe(a)[1])), bracket=(1.5, 1.6), xtol=1e-12
    ).root


def test_the_crystal_with_a_cutoff_has_its_spacing_energy_and_elasticity():
    """V21: rc = 2.5, a = 1.549603, e = -8.099621, C11 = 97.712, C12 = C44 = 55.627."""
    solid = Cut(2.5)
    a = at_rest(solid)
    assert a == pytest.approx(1.549603, abs=1e-6)
    assert solid.observe(a)[0] == pytest.approx(-8.099621, abs=1e-6)
    assert solid.constants(a) == pytest.approx((97.712, 55.627, 55.627), abs=2e-3)


def test_the_whole_crystal_has_its_spacing_energy_and_elasticity():
    """V21: no cutoff, a = 1.541739517, e = -8.610057122, C11 = 105.1801, C12 = C44 = 60.1853."""
    solid = Whole()
    a = at_rest(solid)
    along, across, sheared = solid.constants(a)
    assert a == pytest.approx(1.541739517, rel=STATIC)
    assert solid.observe(a)[0] == pytest.approx(-8.610057122, rel=STATIC)
    assert (along, across, sheared) == pytest.approx((105.1801, 60.1853, 60.1853), rel=STATIC)
    bulk = (along + 2 * across) / 3
    poisson = across / (along + across)
    assert bulk == pytest.approx(75.1836, rel=STATIC)
    assert poisson == pytest.approx(0.36395, rel=STATIC)
    young = 3 * bulk * (1 - 2 * poisson)
    assert young == pytest.approx(61.371, rel=STATIC)


def test_the_whole_crystal_has_the_energy_of_its_lattice_sums():
    """V21: e = -A6^2/(2 A12), a = sqrt(2) (2 A12/A6)^(1/6); A6 = 14.45392043, A12 = 12.13188020."""
    solid = Whole()
    a = at_rest(solid)
    assert a == pytest.approx(2**0.5 * (2 * 12.13188020 / 14.45392043) ** (1 / 6), rel=1e-6)
    assert solid.observe(a)[0] == pytest.approx(-(14.45392043**2) / (2 * 12.13188020), rel=1e-6)


def test_stress_is_the_derivative_of_the_energy_by_strain():
    solid = Cut(2.5)
    a = 1.53
    for turned in (False, True):
        for axis in range(3):
            strain = np.zeros(3)
            strain[axis] = 1.0
            work = slope(lambda e, s=strain, t=turned: solid.observe(a, e * s, t)[0])
            _, stress = solid.observe(a, turned=turned)
            assert stress[axis, axis] == pytest.approx(work * 4 / a**3, rel=1e-8)

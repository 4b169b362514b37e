"""A patch that failed, run again by itself, does what it did among the others, bit for bit."""

import warnings
from typing import Any

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends._numba import NumbaBackend
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.errors import QuarantineError
from gpupatch.particles.dynamics import Brownian, VelocityFlips
from gpupatch.particles.interaction import Bonds, Field, Pair, chain
from gpupatch.particles.library import lennard_jones, pinned, spring
from gpupatch.particles.model import ParticleModel
from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme, Problem
from gpupatch.scheme.alone import first_fault
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.scheme.particle_problem import ParticleProblem, particle_grid
from gpupatch.scheme.quarantine import FailedPatch
from gpupatch.scheme.sampling import Sampling

NUMPY = NumpyBackend()


@gp.rule(fields="u")
def fragile(u, D, bad, x, dx):
    """Diffusion, and sites around `bad` that grow beyond all bounds in a few steps."""
    near = gp.where((x - bad) ** 2 < 1e-5, 1.0, 0.0)
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2 + near * gp.exp(3 * u[0] ** 2)


@gp.rule(fields="u", noise={"u": lambda strength: strength})
def noisy(u, D, bad, strength, x, dx):
    """The same with noise."""
    near = gp.where((x - bad) ** 2 < 1e-5, 1.0, 0.0)
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2 + near * gp.exp(3 * u[0] ** 2)


@gp.flux_rule(fields="u")
def leaky(u, D, bad, x, dx):
    """A flux that is lost in one place."""
    near = gp.where((x - bad) ** 2 < 1e-5, 1.0, 0.0)
    return -D * (u[1] - u[0]) / dx + near * gp.exp(40 * u[0] ** 2)


def wave(x):
    return 2 + np.sin(2 * np.pi * x)


def line(cells=False, **more):
    return gp.PatchGrid([(0.0, 1.0)], [8], core=0.01, buffer=0.02, dx=0.001, cells=cells, **more)


def lattice(kind, backend=NUMPY, dtype="float64", share=None):
    parameters = {"D": 1.0, "bad": 0.3125}
    burst = Burst(2e-5, dt=4e-7)
    if kind == "flux":
        problem = Problem(leaky, line(True), {**parameters, "bad": 0.375}, dtype=dtype)
        return FluxScheme(problem, backend, burst, 4, max_quarantined=share)
    if kind == "noise":
        given = {**parameters, "strength": 0.3}
        problem = Problem(noisy, line(), given, {}, {"D": [1.0, 0.9]}, seed=5, dtype=dtype)
        return BurstScheme(problem, backend, burst, 4, "euler", max_quarantined=share)
    more = {"moving": {"edge_rate": True}, "neumann": {"edge": "neumann"},
            "details": {"lift": "projection"}}.get(kind, {})  # fmt: skip
    problem = Problem(fragile, line(), parameters, dtype=dtype)
    return BurstScheme(problem, backend, burst, 4, max_quarantined=share, **more)


def failures(scheme: Any, initial, bursts=1):
    seen: list[FailedPatch] = []
    scheme.quarantine.on_failure = seen.append
    scheme.seen = seen
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        U = scheme.initial(initial)
        for _ in range(bursts):
            scheme.slope(0.0, U)
    return seen


@pytest.mark.parametrize("kind", ["burst", "moving", "neumann", "details", "noise", "flux"])
def test_a_patch_of_sites_alone_ends_as_in_the_batch(kind, monkeypatch):
    check_sites(kind, NUMPY, "float64", monkeypatch)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_patches_alone_end_as_in_the_batch(dtype, monkeypatch):
    check_sites("noise", NumbaBackend(), dtype, monkeypatch)


def check_sites(kind, backend, dtype, monkeypatch):
    """Compare the whole batch, recorded while it runs, with the patch by itself."""
    scheme = lattice(kind, backend, dtype, share=0.5)
    ended = {}
    for kernels in scheme.batches:

        def fused(lifting, extended, plan, t, rate=None, kernels=kernels):
            moving = None if rate is None else gp.lifting.reconstruct(lifting, rate)
            u = kernels.lift(lifting, extended)
            out = kernels.burst(u, plan, t, moving)
            ended[plan.stream] = kernels.unpack(u)
            return out

        def burst(u, plan, t, moving=None, kernels=kernels, run=kernels.burst):
            out = run(u, plan, t, moving)
            ended[plan.stream] = kernels.unpack(u)
            return out

        if kind == "details":
            monkeypatch.setattr(kernels, "burst", burst)
        else:
            monkeypatch.setattr(kernels, "lift_burst_restrict", fused)
    seen = failures(scheme, {"u": wave}, bursts=2)
    assert seen
    for failed in seen:
        with np.errstate(all="ignore"):
            alone = scheme.alone(failed)
            found = alone.after(alone.n_steps)
        among = ended[failed.begun.stream][failed.row]
        np.testing.assert_array_equal(np.stack(list(found.values())), among)
        assert not np.isfinite(among).all()


@pytest.mark.parametrize("kind", ["burst", "noise", "flux"])
def test_the_step_of_the_fault_is_the_first_that_is_not_finite(kind):
    scheme = lattice(kind, share=0.5)
    failed = failures(scheme, {"u": wave})[0]
    with np.errstate(all="ignore"):
        alone = scheme.alone(failed)
        step = first_fault(alone)
        assert step is not None
        assert 0 < step <= alone.n_steps
        assert alone.fault(alone.after(step - 1)) is None
        name, where = alone.fault(alone.after(step)) or ("", (0,))
    assert name == "u"
    x = alone.coordinates["x"][where[0]]
    assert abs(x - scheme.problem.parameters["bad"]) < 0.02


def particles(kind, backend=NUMPY, share: float | None = 0.95):
    if kind == "chain":
        model = ParticleModel(
            1, VelocityFlips(0.1), bonds=Bonds(spring, {"k": 1.0}, chain(16)),
            field=Field(pinned, {"k": 1.0}), boundary=("open",),
        )  # fmt: skip
        grid = particle_grid([(0.0, 640.0)], [6], 16.0)
        problem = ParticleProblem(model, grid, names=("energy",), core=4.0, seed=3)
        return ChainFluxScheme(problem, backend, Burst(3000.0, 10.0, 1.8), max_quarantined=share)
    pair = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 0.3}, 1.0, "force-shifted")
    grid = particle_grid([(0.0, 60.0)], [6], 6.0)
    problem = ParticleProblem(
        ParticleModel(1, Brownian(), pair), grid, {"temperature": 1.0}, core=2.0, seed=3
    )
    burst, edges = Burst(2e-3, 5e-4, 5e-5, replicas=2), "reservoir" if kind == "fed" else None
    sampling = Sampling("stochastic", edges=edges)
    if kind == "burst":
        return ParticleBurstScheme(problem, backend, burst, "box", sampling, share)
    return ParticleFluxScheme(problem, backend, burst, 2, sampling, 1.0, share)


def density(x):
    return 0.7 + 0.2 * np.cos(2 * np.pi * x / 60)


@pytest.mark.parametrize("kind", ["flux", "fed", "burst", "chain"])
def test_a_patch_of_particles_alone_ends_as_in_the_batch(kind):
    check_particles(kind, NUMPY)


def test_compiled_particles_alone_end_as_in_the_batch():
    check_particles("fed", NumbaBackend())


def check_particles(kind, backend):
    """Compare the whole batch, recorded while it runs, with the patch by itself.

    What leaves a patch with reservoirs is taken out, so that none fails there by itself.
    """
    ended: dict[int, Any] = {}
    scheme: Any = particles(kind, backend)
    for kernels in scheme.batches:

        def burst(handle, plan, run=kernels.burst, unpack=kernels.unpack):
            out = run(handle, plan)
            state = unpack(handle)
            if kind == "fed":
                out[:, 4] = np.nan
            if kind != "chain" or not np.isfinite(out).all():
                ended[plan.stream] = state
            return out

        kernels.burst = burst
    given = {"energy": lambda x: 1 + 0 * x} if kind == "chain" else {"density": density}
    try:
        seen = failures(scheme, given)
    except QuarantineError:
        seen = scheme.seen
    assert seen
    for failed in seen[:4]:
        with np.errstate(all="ignore"):
            alone = scheme.alone(failed)
            found = alone.after(alone.n_steps)
        state = ended[failed.begun.stream]
        n = state.counts[failed.row]
        np.testing.assert_array_equal(found["positions"], state.positions[failed.row, :, :n])
        np.testing.assert_array_equal(found["velocities"], state.velocities[failed.row, :, :n])
        assert (alone.fault(found) is None) == (kind == "fed")


def test_a_patch_of_coupled_sites_goes_on_alone_from_its_last_good_state():
    """With one micro-step between good and bad state, Euler's step is the same inside."""
    grid = gp.PatchGrid([(0.0, 1.0)], [8], 7, dx=0.01)
    scheme = CoupledScheme(
        Problem(fragile, grid, {"D": 1.0, "bad": 0.3125}), NUMPY, 4, micro="euler", dt=4e-5
    )
    last = {}
    with np.errstate(all="ignore"):
        found = gp.simulate(
            scheme, {"u": wave}, 0.05,
            failed=lambda failure, t, u: last.update(failed=scheme.failed(failure, t, u)),
        )  # fmt: skip
        assert found.status == "nonfinite"
        failed = last["failed"]
        alone = scheme.alone(failed)
        assert alone.n_steps == 1
        assert alone.fault(alone.after(0)) is None
        name, where = alone.fault(alone.after(1)) or ("", (0,))
    assert name == "u"
    assert failed.patch == (2,)
    assert abs(alone.coordinates["x"][where[0]] - 0.3125) < 0.02

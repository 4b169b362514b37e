"""Every backend does what the NumPy reference does, to rounding."""

import itertools

import numpy as np
import pytest
from problems import Problem, problem, rounding, sum_of_terms

from gpupatch.backends._numpy import NumpyBackend
from gpupatch.micro import functions as gp
from gpupatch.micro import lattice
from gpupatch.micro.model import SOURCE
from gpupatch.micro.rule import flux_rule, rule
from gpupatch.restriction import core_mean

NOW = 0.3
LIBRARY = [candidate for entries in lattice._LIBRARY.values() for candidate in entries]
FLOATS = ("float64", "float32")


@rule(fields="u v", coefficients="k")
def forced(u, v, k, D, a, dx, dy, x, y, t):
    """Everything at once: time, place, functions, a condition on time."""
    spread = (u[1, 0] - 2 * u[0, 0] + u[-1, 0]) / dx**2 + (u[0, 1] - 2 * u[0, 0] + u[0, -1]) / dy**2
    push = gp.sin(3 * x - t) * gp.cos(a * t) + gp.exp(-(u[0, 0] ** 2))
    pull = a * v[0, 0] * gp.where(t > 0.1, 2.0, y) / u[1, 1]
    return D * k[0.5, 0] * spread + push, pull + gp.sqrt(u[0, 0] + t) * gp.log(k[0, 0] + 1)


@rule(fields="u")
def hyperdiffusion(u, D, dx):
    """A rule that reads two sites to each side."""
    return -D * (u[2] - 4 * u[1] + 6 * u[0] - 4 * u[-1] + u[-2]) * dx**-2


@rule(fields="u v", second_order=("u", "v"))
def damped(u, v, c, nu, dx):
    """A force that reads the velocities of neighbours."""
    return c * (u[1] - 2 * u[0] + u[-1]) / dx**2 + nu * (v[1] - 2 * v[0] + v[-1])


@rule(fields="u v", noise={"u": lambda s: s, "v": lambda u, s: s * (u[1] - u[-1])})
def shaken(u, v, D, s, dx):
    """Noise of constant strength, and noise that reads neighbours."""
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2, u[0] - v[0]


@flux_rule(fields="u", coefficients="k")
def conducted(u, k, D, dx, x):
    """A flux that depends on place, and a source."""
    return -k[0.5] * D * (u[1] - u[0]) / dx * (2 + x), -u[0] * k[0]


def both(backend, given: Problem, dtype: str, act):
    """What an act does on the reference and on a backend: arrays to compare one by one."""
    results = []
    for place in (NumpyBackend(), backend):
        kernels = place.load(given.model, dtype)
        results.append([on_host(part) for part in act(kernels)])
    return zip(*results, strict=True)


def on_host(part):
    """A result as an array of the host: arrays of CuPy must be asked for it."""
    return part.get() if hasattr(part, "get") else np.asarray(part)


def agree(backend, given, dtype, steps, act, scale=1.0):
    for expected, found in both(backend, given, dtype, act):
        assert found.shape == expected.shape
        np.testing.assert_allclose(
            found, expected, rtol=0, atol=scale * rounding(given, dtype, steps)
        )


def library(name):
    return next(candidate for candidate in LIBRARY if candidate.name == name)


def compare_rates(backend, given, dtype):
    tolerance = 50 * np.finfo(dtype).eps * sum_of_terms(given.model, given.u, NOW)

    def act(kernels):
        return [kernels.rate(kernels.pack(given.u), NOW)]

    for expected, found in both(backend, given, dtype, act):
        np.testing.assert_allclose(
            found.astype(float), expected.astype(float), rtol=0, atol=tolerance
        )


def compare_bursts(backend, given, dtype, stepper, edge, measured=-1):
    moving = edge == "moving"
    plan = given.plan(stepper, edge="dirichlet" if moving else edge, flux_axis=measured, stream=3)
    speed = np.random.default_rng(1).normal(size=given.u.shape) if moving else None

    def act(kernels):
        u = kernels.pack(given.u)
        rate = None if speed is None else speed.astype(dtype)
        out = kernels.burst(u, plan, NOW, rate)
        return kernels.unpack(u), out / plan.n_steps * (1.0 if measured == -1 else given.dt)

    agree(backend, given, dtype, plan.n_steps, act)


def compare_coupled(backend, given, dtype, stepper, every=1, n_steps=8):
    def act(kernels):
        u = kernels.pack(given.u)
        kernels.advance(given.coupling, u, NOW, given.dt, n_steps, stepper, every, first=4)
        return [kernels.unpack(u)]

    agree(backend, given, dtype, n_steps, act)


def compare_fused(backend, given, dtype, stepper, edge, moving, measured=-1):
    plan = given.plan(stepper, edge=edge, flux_axis=measured)
    speeds = np.random.default_rng(1).normal(size=given.U.shape)
    speed = given.lifting.extended(speeds, NOW, rate=True) if moving else None

    def act(kernels):
        extended = given.lifting.extended(given.U, NOW)
        out = kernels.lift_burst_restrict(given.lifting, extended, plan, NOW, speed)
        return [out / plan.n_steps * (1.0 if measured == -1 else given.dt)]

    agree(backend, given, dtype, plan.n_steps, act)


@pytest.mark.parametrize("candidate", LIBRARY, ids=lambda r: r.name)
def test_rates_of_library_rules_agree(backend, candidate):
    compare_rates(backend, problem(candidate, shared=False), "float64")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("candidate", "edges"), [(forced, 1), (hyperdiffusion, 2), (conducted, 1)],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_rates_of_unusual_rules_agree(backend, candidate, edges, dtype):
    compare_rates(backend, problem(candidate, edges=edges), dtype)


BURSTS = [
    ("diffusion2d", "float64", "euler", "dirichlet"),
    ("heterogeneous_diffusion1d", "float32", "euler", "neumann"),
    ("burgers1d", "float64", "ssprk3", "moving"),
    ("gray_scott2d", "float32", "ssprk2", "moving"),
    ("diffusion3d", "float64", "euler", "neumann"),
    ("elastic_rod1d", "float32", "verlet", "dirichlet"),
    ("wave2d", "float64", "leapfrog", "moving"),
]


@pytest.mark.parametrize(("name", "dtype", "stepper", "edge"), BURSTS)
def test_bursts_agree(backend, name, dtype, stepper, edge):
    compare_bursts(backend, problem(library(name), shared=False), dtype, stepper, edge)


@pytest.mark.parametrize(
    ("candidate", "dtype", "stepper", "edge"),
    [
        (forced, "float32", "ssprk2", "moving"),
        (damped, "float64", "verlet", "moving"),
        (shaken, "float64", "euler", "neumann"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_bursts_of_unusual_rules_agree(backend, candidate, dtype, stepper, edge):
    compare_bursts(backend, problem(candidate), dtype, stepper, edge)


@pytest.mark.parametrize(
    ("candidate", "dtype", "measured"),
    [(conducted, "float64", 0), (conducted, "float32", SOURCE),
     (library("heterogeneous_diffusion2d"), "float64", 1)],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_measured_fluxes_and_sources_agree(backend, candidate, dtype, measured):
    compare_bursts(backend, problem(candidate), dtype, "euler", "dirichlet", measured)


COUPLED = [
    ("diffusion1d", "float64", "ssprk3", {}),
    ("burgers1d", "float64", "rk4", {"walls": "moving", "patches": 8}),
    ("heterogeneous_diffusion2d", "float32", "euler", {"kind": "edgy", "shared": False}),
    ("wave1d", "float32", "verlet", {"kind": "edgy", "order": "spectral"}),
    ("staggered_wave1d", "float64", "rk4", {"kind": "staggered", "patches": 8}),
    ("diffusion2d", "float64", "ssprk2", {"walls": "leaky"}),
]


@pytest.mark.parametrize(("name", "dtype", "stepper", "options"), COUPLED)
def test_coupled_steps_agree(backend, name, dtype, stepper, options):
    compare_coupled(backend, problem(library(name), **options), dtype, stepper)


@pytest.mark.parametrize(
    ("candidate", "dtype", "every"), [(forced, "float32", 1), (shaken, "float64", 1),
                                      (library("diffusion1d"), "float64", 4)],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_unusual_coupled_steps_agree(backend, candidate, dtype, every):
    walls = "moving" if every > 1 else None
    compare_coupled(backend, problem(candidate, walls=walls), dtype, "euler", every)


FUSED = [
    ("diffusion2d", "float64", "euler", "dirichlet", True, -1, {"walls": "leaky"}),
    ("burgers1d", "float32", "rk4", "neumann", False, -1, {"order": "spectral"}),
    ("diffusion1d", "float64", "euler", "dirichlet", False, 0, {}),
]


@pytest.mark.parametrize(
    ("name", "dtype", "stepper", "edge", "moving", "measured", "options"), FUSED
)
def test_fused_lift_burst_restrict_agrees(
    backend, name, dtype, stepper, edge, moving, measured, options
):
    given = problem(library(name), **options)
    compare_fused(backend, given, dtype, stepper, edge, moving, measured)


KINDS = [
    ("diffusion1d", {"order": 4}),
    ("diffusion1d", {"order": "spectral", "edges": 2}),
    ("diffusion1d", {"kind": "edgy", "edges": 2, "walls": "moving"}),
    ("diffusion1d", {"members": 6, "phases": (3,)}),
    ("gray_scott2d", {"kind": "edgy", "order": 4}),
    ("gray_scott2d", {"walls": "leaky", "edges": 2}),
    ("diffusion2d", {"members": 6, "phases": (2, 3)}),
    ("diffusion3d", {"walls": "still"}),
    ("diffusion3d", {"kind": "edgy"}),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "options"), KINDS)
def test_edges_and_their_rates_agree_for_every_coupling(backend, name, options, dtype):
    given = problem(library(name), **options)

    def act(kernels):
        u = kernels.pack(given.u)
        kernels.couple(given.coupling, u, NOW)
        rate = kernels.rate(u, NOW)
        kernels.couple(given.coupling, rate, NOW, rate_over=0.01)
        return kernels.unpack(u), on_host(rate) / scale

    scale = sum_of_terms(given.model, given.u, NOW)
    agree(backend, given, dtype, 0, act, scale=10)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "options"), KINDS[:1] + KINDS[5:6] + KINDS[7:8])
def test_lifts_and_restrictions_agree(backend, name, options, dtype):
    given = problem(library(name), **options)

    def act(kernels):
        u = kernels.lift(given.lifting, given.lifting.extended(given.U, NOW))
        return kernels.unpack(u), kernels.restrict(core_mean(given.coupling.grid), u)

    agree(backend, given, "float64", 0, act, scale=10)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_norms_and_finiteness_agree(backend, dtype):
    given = problem(library("diffusion1d"))

    def act(kernels):
        u = kernels.pack(given.u)
        kernels.couple(given.coupling, u, NOW)
        k = kernels.rate(u, NOW)
        total = kernels.axpy([(1.0, k), (-0.25, k), (2.0, k)])
        with np.errstate(invalid="ignore"):
            broken = kernels.axpy([(np.inf, k)])
        return total, kernels.norm(k), kernels.finite(k), kernels.finite(broken)

    scale = sum_of_terms(given.model, given.u, NOW)
    agree(backend, given, dtype, 0, act, scale=4 * scale)


STEPPERS = ("euler", "ssprk2", "ssprk3", "rk4", "verlet")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("stepper", STEPPERS)
@pytest.mark.parametrize("candidate", LIBRARY, ids=lambda r: r.name)
def test_all_acts_agree_for_every_rule_and_stepper(backend, candidate, stepper, dtype):
    if stepper == "verlet" and not candidate.second_order:
        pytest.skip(f"{candidate.name} has no pairs of position and velocity")
    given = problem(candidate, shared=False)
    for edge in ("dirichlet", "neumann", "moving"):
        compare_bursts(backend, given, dtype, stepper, edge)
    for edge, moving in itertools.product(("dirichlet", "neumann"), (False, True)):
        compare_fused(backend, given, dtype, stepper, edge, moving)
    for every in (1, 4):
        compare_coupled(backend, given, dtype, stepper, every)

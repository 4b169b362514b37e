"""Steps in registers do what a loop over the sites does."""

import hashlib
import itertools
import math
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from cuda_host import nvrtc
from cuda_host.host import HostDevice, why_not
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from problems import ULPS, sum_of_terms
from random_rules import rules

from gpupatch.backends import _cuda_choice, _cuda_tile
from gpupatch.backends._cuda_cells import Tile
from gpupatch.backends._cuda_source import kernel_text
from gpupatch.backends._cuda_tile import counted, tiles_for, write_tile_run
from gpupatch.backends._site_loops import Geometry
from gpupatch.micro import functions as gp
from gpupatch.micro import lattice
from gpupatch.micro.lower import STEP, Lowering
from gpupatch.micro.model import MicroModel
from gpupatch.micro.rule import Rule, rule

NOW, STEPS = 0.3, 7
SPACING = 0.05
DT = 0.05 * SPACING**2
FROZEN, MOVING = 0, 1

SIZES = """
typedef {type} T;
constexpr int N_FIELD = {n_field}, N_SITE = {n_site}, SIZE = N_FIELD * N_SITE;
constexpr int N_SLOT = 2, BASE = N_SLOT * SIZE, ROW = 4 * SIZE, N_STATIC = {n_static};
constexpr int TEAM = {team}, THREADS = {threads};
"""
KERNEL = """
extern "C" __global__ void __launch_bounds__(THREADS) steps(
    T* w, int* turns, const T* s, const double* q, int n_scalar, const int* ring, int n_ring,
    T* first, T* speed, int mode, int64_t n_step, int count, double t, double dt) {
  const Team team;
  const int p = blockIdx.x * (THREADS / TEAM) + threadIdx.x / TEAM;
  const Given given = {nullptr, s + p * N_STATIC * N_SITE, q + p * n_scalar, nullptr, nullptr};
  Edge edge;
  edge.mode = mode, edge.ring = ring, edge.n_ring = n_ring;
  edge.first = first + p * n_ring, edge.speed = speed + p * n_ring;
  edge.start = t + n_step * dt, edge.scale = 0.5;
  int turn = 0;
  turn = run(w + p * ROW, turn, given, edge, n_step, count / 2, t, dt, team);
  team.sync();
  turn = run(w + p * ROW, turn, given, edge, n_step + count / 2, count - count / 2, t, dt, team);
  if (team.rank == 0) turns[p] = turn;
}
"""


SQUARE = (("dy", "dx"),)
CUBE = (("dy", "dx"), ("dz", "dx"))


@rule(fields="u")
def reaching(u, D, dx):
    """Two sites to each side."""
    return -D * (u[2] - 4 * u[1] + 6 * u[0] - 4 * u[-1] + u[-2]) * dx**-2


@rule(fields="u v", coefficients="k")
def mixed(u, v, k, D, a, dx, dy, x):
    """Corners, products of neighbours, quotients, functions, choices."""
    spread = (u[1, 0] + u[-1, 0] + u[0, 1] + u[0, -1] - 4 * u[0, 0]) / dx**2
    cross = (u[1, 1] - u[1, -1] - u[-1, 1] + u[-1, -1]) / (4 * dx * dy)
    carried = (v[1, 0] * u[1, 0] - v[-1, 0] * u[-1, 0]) / (2 * dx)
    chosen = gp.where(v[0, 0] > 1.0, u[0, 0] / (1 + v[0, 0]), gp.sqrt(v[0, 0]) * k[0.5, 0])
    growth = D * spread + a * cross * gp.exp(-(u[0, 0] ** 2)) * k[0, 0]
    return growth, carried + chosen + gp.maximum(u[0, 0], v[0, 0]) * x * 3.7


@rule(fields="u v", coefficients="k")
def timed(u, v, k, D, a, dx, y, t):
    """Factors and sources that change in time, in place, and in both."""
    spread = (u[1, 0] - 2 * u[0, 0] + u[-1, 0]) / dx**2
    push = gp.sin(3 * y - t) * gp.cos(a * t) + t * k[0, 0] * u[0, 0] + a
    pull = a * v[0, 0] * gp.where(t > 0.1, 2.0, y) / u[0, 1]
    return D * gp.cos(t) * spread * k[0, 0.5] + push, pull + gp.sqrt(u[0, 0] + t) - t


@dataclass
class Case:
    """Patches with random values, parameters and coefficients."""

    model: MicroModel
    u: np.ndarray
    slope: np.ndarray

    @property
    def geometry(self) -> Geometry:
        return geometry_of(self.model.sites, self.model.edges)

    @property
    def ring(self) -> np.ndarray:
        ring = np.ones(self.model.shape[1:], dtype=bool)
        ring[(slice(None), *self.model.inside)] = False
        return np.flatnonzero(ring)

    def reference(self, mode: int, steps: int = STEPS) -> np.ndarray:
        """The state after Euler steps from step 2, in float64."""
        u, start = self.u.copy(), NOW + 2 * DT
        edge = np.zeros(u.shape[1:], dtype=bool)
        edge.ravel()[self.ring] = True
        for k in range(steps):
            u = u + DT * self.model.rate(u, NOW + (2 + k) * DT)
            if mode == MOVING:
                since = (NOW + (3 + k) * DT - start) * 0.5
                u[:, edge] = self.u[:, edge] + since * self.slope[:, edge]
        return u


def geometry_of(sites, edges=None) -> Geometry:
    alike = [(), SQUARE, CUBE][len(sites) - 1]
    return Geometry(tuple(sites), tuple(edges or (1,) * len(sites)), alike)


def tables(rule: Rule, geometry: Geometry) -> Lowering:
    return Lowering(rule.fields, rule.accesses, rule.ndim, dict(geometry.alike))


def text_of(rule: Rule, sites, tile: Tile, single: bool) -> str:
    geometry = geometry_of(sites, map(int, rule.reach))
    return write_tile_run(rule, geometry, tables(rule, geometry), tile, single)


def case(rule: Rule, sites, patches: int, edges=None) -> Case:
    generator, ndim = np.random.default_rng(20), len(sites)
    edges = edges or map(int, rule.reach)
    members = min(patches, 2)
    coefficients = (patches, len(rule.coefficient_arrays), *sites)
    model = MicroModel(
        rule=rule,
        sites=tuple(sites),
        spacing=(SPACING,) * ndim,
        edges=tuple(edges),
        origin=generator.uniform(-1, 1, (patches // members, ndim)),
        parameters=generator.uniform(0.5, 1, (members, len(rule.parameters))),
        coefficients=generator.uniform(0.5, 1.5, coefficients),
    )
    u = generator.uniform(0.5, 1.5, model.shape)
    return Case(model, u, generator.normal(size=model.shape))


def module_text(rule: Rule, geometry: Geometry, n_static: int, tile: Tile, single: bool, run: str):
    sizes = SIZES.format(
        type="float" if single else "double", n_field=len(rule.fields), n_site=geometry.n_site,
        n_static=n_static, team=tile.team, threads=max(tile.team, 32),
    )  # fmt: skip
    patch = [kernel_text("philox.cuh"), kernel_text("patch.cuh")]
    return "\n".join([kernel_text("prologue.cuh"), sizes, *patch, run, KERNEL])


def simulate(problem: Case, tile: Tile, dtype: str, modes, device) -> list[np.ndarray]:
    """The state after the same steps by the generated function, for every mode of the edges."""
    model, geometry, single = problem.model, problem.geometry, dtype == "float32"
    patches, size = model.n_patches, math.prod(problem.u.shape[1:])
    lowering = tables(model.rule, geometry)
    run = write_tile_run(model.rule, geometry, lowering, tile, single)
    values = {**model.environment(NOW, (slice(None),) * len(model.sites)), STEP.name: DT}
    columns = dict(zip(model.rule.parameters, model.parameters.T, strict=True))
    scalars = lowering.scalar_values({**values, **columns}, model.n_members)
    q = np.repeat(scalars, patches // model.n_members, axis=0)
    s = lowering.static_values(values, model.sites, patches).astype(dtype)
    s = np.ascontiguousarray(np.broadcast_to(s, (patches, *s.shape[1:])))
    text = module_text(model.rule, geometry, s.shape[1], tile, single, run)
    module, flat = device.compile(text, ("steps",)), problem.u.reshape(patches, size)
    ring, threads = problem.ring.astype(np.int32), max(tile.team, 32)
    speed = np.ascontiguousarray(problem.slope.reshape(patches, size)[:, ring].astype(dtype))
    ends = []
    for mode in modes:
        w = np.full((patches, 4, size), np.nan, dtype=dtype)
        w[:, 0] = 0.0 if single else flat
        if single:
            w[:, 2], increments = flat, DT * model.rate(problem.u, NOW)
            inside = np.ones(size, dtype=bool)
            inside[ring] = False
            w[:, 3, inside] = increments.reshape(patches, size)[:, inside]
        first, turns = np.ascontiguousarray(w[:, 0, ring]), np.full(patches, -1, dtype=np.int32)
        arguments = [
            w, turns, s, q, np.int32(q.shape[1]), ring, np.int32(len(ring)), first, speed,
            np.int32(mode), np.int64(2), np.int32(STEPS), np.float64(NOW), np.float64(DT),
        ]  # fmt: skip
        module.launch("steps", patches * tile.team // threads, threads, arguments)
        found = w[np.arange(patches), turns]
        if mode == FROZEN:
            np.testing.assert_array_equal(found[:, ring], first)
        ends.append((found.astype(float) + (flat if single else 0.0)).reshape(problem.u.shape))
    return ends


def agrees(rule: Rule, sites, tile: Tile, dtype: str, device, edges=None) -> None:
    """Frozen and moving edges, all interior values to rounding, frozen edges exactly."""
    problem, modes = case(rule, sites, 2 * max(1, 32 // tile.team), edges), (FROZEN, MOVING)
    with np.errstate(all="ignore"):
        scale = STEPS * DT * sum_of_terms(problem.model, problem.u, NOW) + np.abs(problem.u).max()
        expected = [problem.reference(mode) for mode in modes]
    if not np.isfinite([scale, *(np.abs(u).max() for u in expected)]).all():
        return
    tolerance = ULPS * np.finfo(dtype).eps * scale
    found = simulate(problem, tile, dtype, modes, device)
    if dtype == "float32" and edges:
        assume(np.isfinite(found).all())  # the perturbation form itself may overflow
    for u, reference in zip(found, expected, strict=True):
        assert edges or np.abs(reference - problem.u).max() > 100 * tolerance
        np.testing.assert_allclose(u, reference, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def device():
    reason = why_not("fast")
    if reason:
        pytest.skip(reason)
    return HostDevice()


LINES = [
    ("one lane", "diffusion", (9,), Tile((1,), (9,)), "float32"),
    ("padding", "diffusion", (13,), Tile((8,), (2,)), "float64"),
    ("edges outside of all cells", "burgers", (18,), Tile((8,), (2,), (1,)), "float64"),
    ("two fields", "shallow_water", (10,), Tile((4,), (2,), (1,)), "float32"),
    ("several warps", "heterogeneous_diffusion", (130,), Tile((64,), (2,), (1,)), "float64"),
]
PLANES = [
    ("padding", "gray_scott", (9, 10), Tile((2, 4), (5, 3)), "float64"),
    ("one lane along an axis", "diffusion", (6, 9), Tile((1, 4), (6, 2), (0, 1)), "float32"),
    ("edges", "heterogeneous_diffusion", (9, 10), Tile((2, 4), (4, 2), (1, 1)), "float32"),
    ("several warps", "diffusion", (9, 14), Tile((8, 8), (1, 2), (1, 0)), "float64"),
]
SOLIDS = [
    ("padding", "diffusion", (5, 6, 7), Tile((2, 2, 2), (3, 3, 4)), "float64"),
    (
        "edges",
        "heterogeneous_diffusion",
        (4, 6, 5),
        Tile((2,) * 3, (1, 2, 3), (1, 1, 0)),
        "float32",
    ),
]


@pytest.mark.parametrize(("what", "name", "sites", "tile", "dtype"), LINES + PLANES + SOLIDS)
def test_steps_in_registers_are_those_of_a_loop(device, what, name, sites, tile, dtype):
    agrees(lattice.get(name, len(sites)), sites, tile, dtype, device)


@pytest.mark.parametrize(
    ("candidate", "sites", "tile", "dtype"),
    [
        (reaching, (19,), Tile((8,), (3,)), "float32"),
        (reaching, (20,), Tile((8,), (2,), (2,)), "float64"),
        (mixed, (9, 10), Tile((2, 4), (4, 2), (1, 1)), "float64"),
        (mixed, (7, 7), Tile((4, 16), (2, 1)), "float64"),
        (timed, (6, 8), Tile((2, 4), (3, 2)), "float64"),
    ],
)
def test_unusual_rules_run_in_registers(device, candidate, sites, tile, dtype):
    agrees(candidate, sites, tile, dtype, device)


RANDOM = [Tile((4,), (4,)), Tile((4,), (3,), (2,)), Tile((1,), (14,))]


@settings(max_examples=6, deadline=None, derandomize=True)
@given(rules(), st.sampled_from(RANDOM))
def test_a_few_random_rules_run_in_registers(device, candidate, tile):
    agrees(candidate, (14,), tile, "float64", device, edges=(2,))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(rules(), st.sampled_from(RANDOM))
def test_many_random_rules_run_in_registers(device, candidate, tile):
    agrees(candidate, (14,), tile, "float64", device, edges=(2,))


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(rules(smooth=True), st.sampled_from(RANDOM))
def test_random_smooth_rules_run_in_registers_in_float32(device, candidate, tile):
    if not candidate.time_dependent:
        agrees(candidate, (14,), tile, "float32", device, edges=(2,))


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("way", range(3))
def test_every_way_to_write_a_step_gives_the_same(device, monkeypatch, way, masks):
    def given_way(written, geometry, tile, single):
        program = written[way % len(written)]
        return _cuda_choice.Choice(tile, program, masks, 0, 0, 0.0)

    monkeypatch.setattr(_cuda_tile, "choose", given_way)
    name = ("schnakenberg", "advection_diffusion", "fitzhugh_nagumo")[way]
    agrees(lattice.get(name, 1), (13,), Tile((4,), (4,)), "float32" if way else "float64", device)


@pytest.mark.parametrize("tile", [Tile((4,), (4,)), Tile((4,), (3,), (1,)), Tile((1,), (14,))])
def test_moving_edges_are_read_from_the_row_where_registers_are_short(device, monkeypatch, tile):
    monkeypatch.setattr(_cuda_choice, "_REGISTERS", 1)
    assert "volatile" in text_of(lattice.get("schnakenberg", 1), (14,), tile, False)
    agrees(lattice.get("schnakenberg", 1), (14,), tile, "float64", device)


def lines_of_steps(text: str) -> list[str]:
    """The loop over steps with frozen edges."""
    lines = text[text.rindex("for (int step") :].splitlines()
    return lines[: lines.index("    }")]


@pytest.mark.parametrize("name", ["diffusion", "heterogeneous_diffusion", "gray_scott"])
@pytest.mark.parametrize("single", [False, True])
def test_cells_are_frozen_without_a_choice_in_the_loop(name, single):
    text = text_of(lattice.get(name, 2), (16, 16), Tile((4, 8), (4, 2)), single)
    lines = lines_of_steps(text)
    assert len(lines) > 30
    assert not any("?" in line or "if" in line for line in lines)


def test_operations_of_heat_and_conduction_are_as_many_as_algebra_says():
    """Pairs: (m + 1) (n + 1) - 2 of the places in and around a box of m x n cells."""

    def count(name, sites, tile, single=False):
        rule, geometry = lattice.get(name, len(sites)), geometry_of(sites)
        found = counted(rule, geometry, tables(rule, geometry), tile, single)
        return Counter({kind: round(n * len(tile.box)) for kind, n in found.items()})

    assert count("diffusion", (64,), Tile((1,), (64,))) == Counter(add=62, fma=124)
    assert count("diffusion", (64,), Tile((8,), (8,))) == Counter(add=8, fma=16, shuffle=2)
    plane = Counter(add=9 * 5 - 2 + 32, fma=64, shuffle=24)
    assert count("diffusion", (32, 32), Tile((4, 8), (8, 4))) == plane
    assert count("diffusion", (32, 32), Tile((4, 8), (8, 4)), single=True) == plane
    layered = Counter(multiply=8, fma=16, shuffle=2)
    assert count("heterogeneous_diffusion", (64,), Tile((8,), (8,))) == layered
    medium = Counter(multiply=16, fma=64, shuffle=16)
    assert count("heterogeneous_diffusion", (32, 16), Tile((8, 4), (4, 4))) == medium
    outside = Counter(multiply=16, fma=64, shuffle=16, choice=16)
    assert count("heterogeneous_diffusion", (34, 18), Tile((8, 4), (4, 4), (1, 1))) == outside


WRITE = """
import hashlib
from gpupatch.backends._cuda_cells import Tile
from test_cuda_tile import lattice, text_of
text = text_of(lattice.get("gray_scott", 2), (10, 10), Tile((2, 4), (5, 3)), True)
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_text_is_the_same_in_every_process():
    here = os.path.dirname(__file__)
    path = os.pathsep.join([here, os.path.dirname(here), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": path}
    found = subprocess.run(
        [sys.executable, "-c", WRITE], env=environment, capture_output=True, text=True, check=True
    )
    text = text_of(lattice.get("gray_scott", 2), (10, 10), Tile((2, 4), (5, 3)), True)
    assert found.stdout.strip() == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "sites"), [("diffusion", (9,)), ("gray_scott", (17, 18)), ("diffusion", (10, 9, 8))]
)
def test_tiles_cover_every_interior_site_once(name, sites, dtype):
    rule, geometry = lattice.get(name, len(sites)), geometry_of(sites)
    tiles = tiles_for(rule, geometry, dtype)
    assert tiles
    for tile, axis in itertools.product(tiles, range(len(sites))):
        assert tile.team & (tile.team - 1) == 0
        low, high = (ends[axis] for ends in geometry.inside)
        covered = tile.lanes[axis] * tile.cells[axis]
        assert tile.first[axis] <= low
        assert tile.first[axis] + covered >= high


def test_no_tile_holds_a_base_whose_rate_changes_in_time_or_a_patch_that_is_too_large():
    assert tiles_for(timed, geometry_of((9, 9)), "float32") == []
    assert tiles_for(timed, geometry_of((9, 9)), "float64")
    assert tiles_for(lattice.get("gray_scott", 2), geometry_of((300, 300)), "float64") == []


def test_a_cheaper_tile_comes_first():
    rule, geometry = lattice.get("diffusion", 2), geometry_of((34, 34))
    best = tiles_for(rule, geometry, "float64")[0]
    assert best.first == (1, 1)
    assert sorted(best.lanes) == [4, 8]


TARGETS = [
    ("diffusion", (64,), Tile((1,), (64,)), "float64", 3.02),
    ("diffusion", (256,), Tile((32,), (8,)), "float64", 4.4),
    ("diffusion", (256,), Tile((32,), (8,)), "float32", 3.44),
    ("diffusion", (32, 32), Tile((8, 4), (4, 8)), "float64", 5.9),
    ("diffusion", (32, 32), Tile((8, 4), (4, 8)), "float32", 5.22),
    ("diffusion", (64, 32), Tile((8, 4), (8, 8)), "float32", 4.78),
    ("heterogeneous_diffusion", (32, 16), Tile((8, 4), (4, 4)), "float64", 8.69),
    ("heterogeneous_diffusion", (32, 32), Tile((8, 4), (4, 8)), "float32", 7.22),
]
"""Instructions per cell and step in hand-written kernels for sm_90, some without a base."""


@pytest.mark.parametrize(("name", "sites", "tile", "dtype", "target"), TARGETS)
def test_instructions_per_cell_stay_near_those_of_kernels_written_by_hand(
    name, sites, tile, dtype, target
):
    reason = nvrtc.why_not() or nvrtc.why_not("nvdisasm")
    if reason:
        pytest.skip(reason)
    rule, geometry = lattice.get(name, len(sites)), geometry_of(sites)
    lowering, single = tables(rule, geometry), dtype == "float32"
    run = write_tile_run(rule, geometry, lowering, tile, single)
    text = module_text(rule, geometry, len(lowering.statics), tile, single, run)
    text = text.replace("edge.mode = mode", "edge.mode = FROZEN")
    cubin = nvrtc.compile_cubin(text, "sm_90", ("steps",))
    loop = nvrtc.inner_loop(nvrtc.sass(cubin)["steps"])
    steps = int(re.findall(r"#pragma unroll (\d+)", run)[-1])
    assert loop.total() / steps / len(tile.box) <= 1.1 * target
    assert nvrtc.usage(cubin)["steps"].stack == 0

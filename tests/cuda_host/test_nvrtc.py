"""Every kernel compiles for every architecture without a warning, into registers alone."""

import functools
from types import SimpleNamespace
from typing import Any

import pytest
from cuda_host import nvrtc
from cuda_host.host import HostDevice
from cuda_host.nvrtc import ARCHITECTURES
from problems import problem

from gpupatch.backends._cuda_batch import ACT_THREADS, Batch
from gpupatch.backends._cuda_kernels import Compiled, for_bursts
from gpupatch.backends._cuda_source import ACTS, KERNELS, STATE, generate_acts
from gpupatch.backends._device import Resources
from gpupatch.backends._site_loops import Geometry
from gpupatch.micro import lattice
from gpupatch.micro.rule import Rule, rule

MOST = 168
"""Registers of a thread, so that 384 of them share a multiprocessor."""

REGISTERS = {
    **{"rate_all": 80, "begin_all": 64, "pass_all": 96, "kick_all": 72, "tick": 16, "end_all": 40},
    **{"couple": 128, "lift_all": 72, "restrict_all": 64},
}
"""Kernels that need fewer, unless a rule has many fields."""

FLOATS = ("float64", "float32")
LIBRARY = [candidate for entries in lattice._LIBRARY.values() for candidate in entries]


@rule(fields="u v", noise={"u": lambda s: s, "v": lambda u, s: s * (u[1] - u[-1])})
def shaken(u, v, D, s, dx):
    """Noise of constant strength, and noise that reads neighbours."""
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2, u[0] - v[0]


@rule(fields="a b c d e f g h")
def ring(a, b, c, d, e, f, g, h, D, k, dx):
    """Eight species that eat one another in turn, and spread by a stencil of reach three."""
    fields = (a, b, c, d, e, f, g, h)
    spread = [
        (2 * (u[3] + u[-3]) - 27 * (u[2] + u[-2]) + 270 * (u[1] + u[-1]) - 490 * u[0]) / 180
        for u in fields
    ]
    turns = [u[0] * (fields[i - 7][0] - fields[i - 1][0]) for i, u in enumerate(fields)]
    return tuple(D * s / dx**2 + k * r for s, r in zip(spread, turns, strict=True))


FEW = [
    (lattice.get("diffusion", 1), "float32", "euler", STATE),
    (lattice.get("heterogeneous_diffusion", 2), "float64", "euler", 1),
    (shaken, "float32", "euler", STATE),
    (ring, "float64", "rk4", STATE),
    (ring, "float32", "rk4", STATE),
]


class Recorder(HostDevice):
    """A device that keeps the text it is given."""

    source = ""

    def compile(self, source, names) -> Any:
        self.source = source


class Compiler(HostDevice):
    """A device that compiles for a GPU, and says what kernels take, but runs nothing.

    Args:
        arch: architecture of the GPU.
    """

    def __init__(self, arch: str):
        super().__init__()
        self.arch = arch

    def compile(self, source, names) -> Any:
        cubin = nvrtc.compile_cubin(source, self.arch, names)
        found = nvrtc.usage(cubin)
        assert "warning" not in cubin.log

        def resources(name: str) -> Resources:
            return Resources(found[name].registers, found[name].stack, found[name].shared)

        return SimpleNamespace(resources=resources)


@functools.cache
def source(candidate: Rule, dtype: str, stepper: str, measured: int = STATE) -> str:
    """The module that the backend would compile for a rule."""
    device = Recorder()
    given = problem(candidate, shared=False, edges=max(candidate.reach))
    Batch(given.model, dtype, device).passes(stepper, measured)
    return device.source


def check(text: str, names, arch: str, most: dict[str, int] = REGISTERS) -> None:
    reason = nvrtc.why_not()
    if reason:
        pytest.skip(reason)
    cubin = nvrtc.compile_cubin(text, arch, names)
    assert "warning" not in cubin.log
    for name, usage in nvrtc.usage(cubin).items():
        assert (usage.stack, usage.spills) == (0, 0), name
        assert usage.registers <= most.get(name, MOST), name


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(
    ("candidate", "dtype", "stepper", "measured"), FEW,
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_kernels_of_a_few_rules_stay_in_registers(candidate, dtype, stepper, measured, arch):
    few = len(candidate.fields) < 4
    most: dict[str, int] = REGISTERS if few else {name: 255 for name in KERNELS}
    check(source(candidate, dtype, stepper, measured), KERNELS, arch, most)


TILES = [("diffusion", (34, 34), "float32"), ("heterogeneous_diffusion", (34, 34), "float64")]


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("name", "sites", "dtype"), TILES)
def test_the_first_tile_stays_in_registers(name, sites, dtype, arch):
    found = tile(lattice.get(name, len(sites)), sites, dtype, arch)
    assert found.reason == "the best by count of operations"
    assert found.module.resources("burst").local == 0


def tile(candidate: Rule, sites: tuple[int, ...], dtype: str, arch: str) -> Compiled:
    """The kernel for bursts on patches of a size."""
    reason = nvrtc.why_not()
    if reason:
        pytest.skip(reason)
    geometry = Geometry(sites, (1,) * len(sites), (("dy", "dx"), ("dz", "dx"))[: len(sites) - 1])
    return for_bursts(
        Compiler(arch), candidate, geometry, dtype, "euler", STATE, False, "auto"
    )  # fmt: skip


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_kernels_without_a_rule_stay_in_registers(dtype, arch):
    check(generate_acts(dtype, ACT_THREADS), ACTS, arch)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("candidate", LIBRARY, ids=lambda r: r.name)
def test_kernels_of_the_library_stay_in_registers(candidate, dtype):
    for stepper in ("euler", "rk4", *(["verlet"] if candidate.second_order else [])):
        text = source(candidate, dtype, stepper)
        for arch in ARCHITECTURES:
            check(text, KERNELS, arch)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("candidate", LIBRARY, ids=lambda r: r.name)
def test_a_tile_of_every_library_rule_stays_in_registers(candidate, dtype):
    sites = {1: (66,), 2: (18, 18), 3: (10, 10, 10)}[candidate.ndim]
    for arch in ARCHITECTURES:
        found = tile(candidate, sites, dtype, arch)
        assert found.name.startswith("tile"), (arch, found.reason)
        assert found.module.resources("burst").local == 0

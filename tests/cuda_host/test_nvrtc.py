"""Every kernel compiles for every architecture without a warning, into registers alone."""

import functools
from typing import Any

import pytest
from cuda_host import nvrtc
from cuda_host.host import HostDevice
from cuda_host.nvrtc import ARCHITECTURES
from problems import problem

from gpupatch.backends._cuda_batch import ACT_THREADS, Batch
from gpupatch.backends._cuda_source import ACTS, KERNELS, STATE, generate_acts
from gpupatch.micro import lattice
from gpupatch.micro.rule import Rule, rule

MOST = 168
"""Registers of a thread, so that 384 of them share a multiprocessor."""

REGISTERS = {
    **{"rate_all": 80, "begin_all": 64, "pass_all": 96, "kick_all": 72, "tick": 16, "end_all": 40},
    **{"couple": 128, "lift_all": 72, "restrict_all": 64},
}
"""Kernels that need fewer."""

FLOATS = ("float64", "float32")
LIBRARY = [candidate for entries in lattice._LIBRARY.values() for candidate in entries]


@rule(fields="u v", noise={"u": lambda s: s, "v": lambda u, s: s * (u[1] - u[-1])})
def shaken(u, v, D, s, dx):
    """Noise of constant strength, and noise that reads neighbours."""
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2, u[0] - v[0]


FEW = [
    (lattice.get("diffusion", 1), "float32", "euler", STATE),
    (lattice.get("heterogeneous_diffusion", 2), "float64", "euler", 1),
    (lattice.get("gray_scott", 2), "float32", "rk4", STATE),
    (shaken, "float32", "euler", STATE),
]


class Recorder(HostDevice):
    """A device that keeps the text it is given."""

    source = ""

    def compile(self, source, names) -> Any:
        self.source = source


@functools.cache
def source(candidate: Rule, dtype: str, stepper: str, measured: int = STATE) -> str:
    """The module that the backend would compile for a rule."""
    device = Recorder()
    Batch(problem(candidate, shared=False).model, dtype, device).passes(stepper, measured)
    return device.source


def check(text: str, names, arch: str) -> None:
    reason = nvrtc.why_not()
    if reason:
        pytest.skip(reason)
    cubin = nvrtc.compile_cubin(text, arch, names)
    assert "warning" not in cubin.log
    for name, usage in nvrtc.usage(cubin).items():
        assert (usage.stack, usage.spills) == (0, 0), name
        assert usage.registers <= REGISTERS.get(name, MOST), name


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(
    ("candidate", "dtype", "stepper", "measured"), FEW,
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_kernels_of_a_few_rules_stay_in_registers(candidate, dtype, stepper, measured, arch):
    check(source(candidate, dtype, stepper, measured), KERNELS, arch)


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

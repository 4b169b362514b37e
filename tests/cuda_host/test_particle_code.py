"""Kernels of particles compile into registers alone, with the instructions that were counted."""

import pytest
from cuda_host import nvrtc
from cuda_host.host import LIMITS
from cuda_host.nvrtc import ARCHITECTURES
from particle_problems import LJ, PROBLEMS

from gpupatch.backends._cuda_particle_choice import ParticleBatch, shapes
from gpupatch.backends._cuda_particle_source import KERNEL, particle_text
from gpupatch.particles.dynamics import Newton
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import get
from gpupatch.particles.model import ParticleModel

ARGON = ParticleModel(3, Newton(), Pair(get("lennard_jones"), LJ, 2.5))
FEW = [
    *(("argon", "warp", 256, "float64", arch) for arch in ARCHITECTURES),
    ("langevin", "list", 512, "float32", "sm_75"),
    ("polymer", "block", 128, "float64", "sm_90"),
]
FLOATS = ("float64", "float32")
MANY = [
    *(("argon", "warp", n, dtype) for n in (32, 64, 128, 256) for dtype in FLOATS),
    *(("argon", kind, 512, dtype) for kind in ("block", "list") for dtype in FLOATS),
    *((name, "warp", 200, "float64") for name in ("langevin", "mixture", "nose-hoover", "walkers")),
    *((name, "list", 512, "float64") for name in ("sheared", "driven", "langevin", "rescaled")),
    *((name, "block", 128, "float64") for name in ("springs", "bent polymer", "rods on a ring")),
    *((name, "warp", 256, "float32") for name in ("sheared", "mixture", "line")),
]


def compiled(name, kind, capacity, dtype, arch):
    """The machine code of the burst, compiled without a warning."""
    reason = nvrtc.why_not()
    if reason:
        pytest.skip(reason)
    model = ARGON if name == "argon" else PROBLEMS[name]().model
    batch = ParticleBatch(capacity, capacity % 32 == 0, 0.8, dtype)
    ((shape, _),) = shapes(model, batch, LIMITS, kind)
    cubin = nvrtc.compile_cubin(particle_text(model, dtype, shape), arch, (KERNEL,))
    assert "warning" not in cubin.log, cubin.log
    return cubin, shape


def check(name, kind, capacity, dtype, arch):
    cubin, shape = compiled(name, kind, capacity, dtype, arch)
    found = nvrtc.usage(cubin)[KERNEL]
    assert (found.stack, found.spills) == (0, 0)
    assert found.registers * shape.threads * shape.blocks <= 65536


@pytest.mark.parametrize(("name", "kind", "capacity", "dtype", "arch"), FEW)
def test_bursts_of_particles_stay_in_registers(name, kind, capacity, dtype, arch):
    check(name, kind, capacity, dtype, arch)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind", "capacity", "dtype"), MANY)
def test_bursts_of_all_kinds_stay_in_registers(name, kind, capacity, dtype):
    for arch in ARCHITECTURES:
        check(name, kind, capacity, dtype, arch)

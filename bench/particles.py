"""Particles on a CPU: gpupatch (Numba) against C++ with all pairs, LAMMPS and NumPy.

    python -m bench.particles [--rounds N]

Batches of Lennard-Jones patches in two and three dimensions, velocity Verlet. Every figure is a
quotient of CPU seconds of the same round on one core; states are compared after the first burst.
LAMMPS keeps one instance per patch and only runs, without any setting-up between bursts.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.cpu import one_core
from bench.measure import environment, interleaved, ratio, write_record
from bench.workloads import FLAGS
from gpupatch.backends.select import get_backend
from gpupatch.errors import BackendError
from gpupatch.particles.dynamics import Newton
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import Neighbours, ParticleModel
from gpupatch.particles.observe import ParticlePlan
from gpupatch.particles.prepare import crystal_boxes
from gpupatch.particles.state import ParticleState

PACKAGES = ("gpupatch", "numpy", "numba", "llvmlite", "lammps")
GOALS = {"C++": 0.85, "LAMMPS": 1.0}
STEPS, MELTING, DT, CUTOFF = 50, 2000, 0.004, 2.5


@dataclass(frozen=True)
class Fluid:
    """A batch of patches of one Lennard-Jones fluid.

    Attributes:
        ndim: dimensions.
        particles: of one patch.
        patches: of the batch.
        density: particles per area or volume.
        search: how gpupatch finds pairs.
    """

    ndim: int
    particles: int
    patches: int
    density: float
    search: str

    @property
    def name(self) -> str:
        """What the row is called."""
        return f"lj{self.ndim}d N={self.particles} {self.search}"

    def model(self) -> ParticleModel:
        """The micro-simulator."""
        pair = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, CUTOFF)
        return ParticleModel(self.ndim, Newton(), pair, neighbours=Neighbours(self.search), seed=1)

    def state(self) -> ParticleState:
        """Patches that have melted."""
        model = self.model()
        state = crystal_boxes(
            model,
            self.particles,
            np.full(self.patches, self.density),
            1.4,
            lattice="square" if self.ndim == 2 else "fcc",
        )
        kernels = get_backend("numba")[0].load_particles(model, "float64")
        melted = kernels.pack(state)
        kernels.burst(melted, ParticlePlan(MELTING, DT))
        return kernels.unpack(melted)


FLUIDS = (
    Fluid(2, 128, 32, 0.8, "all"),
    Fluid(2, 128, 32, 0.8, "verlet"),
    Fluid(2, 256, 32, 0.8, "verlet"),
    Fluid(3, 256, 16, 0.8, "verlet"),
    Fluid(3, 864, 8, 0.6, "verlet"),
)


def main() -> None:
    """Measure, print the table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    one_core()
    record: dict[str, Any] = {"environment": environment(PACKAGES), "steps": STEPS, "goals": GOALS}
    record["rows"] = []
    path = None
    for fluid in FLUIDS:
        for dtype in ("float64", "float32"):
            row = compare(fluid, dtype, given.rounds)
            record["rows"].append(row)
            print(line(row), flush=True)
            path = write_record("particles_cpu", record)
    print(path)


def compare(fluid: Fluid, dtype: str, rounds: int) -> dict[str, Any]:
    """One row of the table: ratios (peer time over own time), rates, differences of positions."""
    start = fluid.state()
    kernels = get_backend("numba")[0].load_particles(fluid.model(), dtype)
    own, plan = kernels.pack(start), ParticlePlan(STEPS, DT)
    runs: dict[str, Callable[[], object]] = {"gpupatch": lambda: kernels.burst(own, plan)}
    positions: dict[str, Callable[[], np.ndarray]] = {
        "gpupatch": lambda: kernels.unpack(own).positions
    }
    if fluid.search == "all":
        _add_reference(fluid, start, dtype, runs, positions)
    closed = _add_lammps(fluid, start, dtype, runs, positions)
    first = {name: (run(), positions[name]())[1] for name, run in runs.items()}
    difference = {
        name: float(np.abs(x - first["gpupatch"]).max())
        for name, x in first.items()
        if name != "gpupatch"
    }
    seconds = interleaved(runs, rounds)
    closed()
    steps = fluid.patches * fluid.particles * STEPS
    return {
        "fluid": fluid.name,
        "dtype": dtype,
        "particle_steps": steps,
        "ratio": {
            name: ratio(times, seconds["gpupatch"])
            for name, times in seconds.items()
            if name != "gpupatch"
        },
        "particle_steps_per_cpu_second": {n: steps / min(t) for n, t in seconds.items()},
        "difference_of_positions": difference,
        "seconds": seconds,
    }


def _add_reference(fluid: Fluid, start: ParticleState, dtype: str, runs, positions) -> None:
    """The C++ burst, where there is a compiler."""
    compiler = shutil.which("g++")
    if compiler is None:
        return
    target = Path(tempfile.mkdtemp(prefix="gpupatch-bench-")) / "particles.so"
    source = Path(__file__).parent / "particles.cpp"
    subprocess.run([compiler, *FLAGS, str(source), "-o", str(target)], check=True)
    library = ctypes.CDLL(str(target))
    library.threads(1)
    x, v = (np.ascontiguousarray(a, dtype) for a in (start.positions, start.velocities))
    function = library[f"lennard_jones_{'f64' if dtype == 'float64' else 'f32'}"]
    function.restype = None
    double = ctypes.c_double
    arguments = (
        x.ctypes.data_as(ctypes.c_void_p), v.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_long(fluid.patches), double(start.box[0, 0]), double(CUTOFF**2), double(DT),
        ctypes.c_int(STEPS),
    )  # fmt: skip
    runs["C++"], positions["C++"] = lambda: function(*arguments), lambda: x.astype(float)


def _add_lammps(fluid: Fluid, start: ParticleState, dtype: str, runs, positions):
    """LAMMPS where it is installed; it computes in float64. Returns what closes it."""
    from gpupatch.engines.select import get_engine

    if dtype != "float64":
        return lambda: None
    try:
        engine = get_engine("lammps")
    except BackendError:
        return lambda: None
    engine.initialize(fluid.model(), start)
    runs["LAMMPS"] = lambda: engine.solve(STEPS, DT)
    positions["LAMMPS"] = lambda: engine.get_state().positions
    return engine.close


def line(row: dict[str, Any]) -> str:
    """One row of the printed table."""
    own = row["particle_steps_per_cpu_second"]["gpupatch"] / 1e6
    told = "  ".join(f"{name} {value:5.2f}" for name, value in row["ratio"].items())
    worst = max(row["difference_of_positions"].values(), default=0.0)
    return f"{row['fluid']:20s} {row['dtype']:8s} {own:6.2f} M/s  {told}  positions {worst:.1e}"


if __name__ == "__main__":
    main()

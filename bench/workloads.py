"""The bursts that are timed: rule, patch, batch, and the same burst written for every peer."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gpupatch.burst import BurstPlan
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.micro.coefficients import Lognormal
from gpupatch.restriction import core_mean
from gpupatch.scheme import Problem

STEPS = 100
FLAGS = [
    "-O3",
    "-march=native",
    "-ffast-math",
    "-fopenmp",
    "-shared",
    "-fPIC",
    "-std=c++17",
    "-Wno-aggressive-loop-optimizations",
]


@dataclass(frozen=True, eq=False)
class Workload:
    """One rule on a batch of independent patches, 100 Euler steps with frozen edges.

    Attributes:
        name: what it is called in records.
        rule: name of the library rule.
        ndim: number of axes.
        cells: interior sites per axis.
        patches: patches in the batch.
        parameters: of the rule.
        rate: the rate on the interior as array code, rate(xp, u, coefficients, h) with u
            [patch, field, *sites]; the form in which NumPy, JAX and PyTorch run it.
    """

    name: str
    rule: str
    ndim: int
    cells: int
    patches: int
    parameters: dict[str, float] = field(default_factory=dict)
    rate: Callable = lambda *_: None

    @property
    def problem(self) -> Problem:
        """The problem, in float64."""
        return self._problem("float64")

    def _problem(self, dtype: str) -> Problem:
        n = self.cells + 2
        grid = PatchGrid(
            domain=[(0.0, self.patches * 2.0)] + [(0.0, 2.0)] * (self.ndim - 1),
            patches=[self.patches] + [1] * (self.ndim - 1),
            sites=n,
            dx=1.0 / n,
        )
        medium = {"kappa": Lognormal(0.5, seed=3)} if "heterogeneous" in self.rule else {}
        return Problem(
            lattice.get(self.rule, self.ndim), grid, self.parameters, medium, dtype=dtype
        )

    def plan(self, n_steps: int = STEPS) -> BurstPlan:
        """Euler steps at 0.4 of the stability limit of the worst coefficient."""
        problem = self.problem
        h = problem.grid.spacing[0]
        return BurstPlan(
            stepper="euler",
            dt=0.05 * h * h,
            n_steps=n_steps,
            restriction=core_mean(problem.grid),
            weights=np.zeros((n_steps + 1, 1)),
        )

    def state(self) -> np.ndarray:
        """A smooth state with a little noise, [patch, field, *sites]."""
        rng = np.random.default_rng(5)
        shape = self.problem.model().shape
        return 0.5 + 0.25 * rng.random(shape)

    def model(self, dtype: str):
        """The micro-model of the batch."""
        return self._problem(dtype).model()


def _laplacian(u, h):
    inner = (slice(None),) + (slice(1, -1),) * (u.ndim - 1)
    total = -2.0 * (u.ndim - 1) * u[inner]
    for axis in range(1, u.ndim):
        for shift in (slice(2, None), slice(None, -2)):
            place = list(inner)
            place[axis] = shift
            total = total + u[tuple(place)]
    return total / h**2


def _heat(xp, u, coefficients, h):
    return [_laplacian(u[:, 0], h)]


def _heterogeneous(xp, u, coefficients, h):
    k, v = coefficients[:, 0], u[:, 0]
    right = k[:, 1:-1] * (v[:, 2:] - v[:, 1:-1])
    left = k[:, :-2] * (v[:, 1:-1] - v[:, :-2])
    return [(right - left) / h**2]


def _gray_scott(xp, u, coefficients, h):
    a, b = u[:, 0], u[:, 1]
    inner = (slice(None), slice(1, -1), slice(1, -1))
    reaction = a[inner] * b[inner] ** 2
    return [
        2e-5 * _laplacian(a, h) - reaction + 0.04 * (1 - a[inner]),
        1e-5 * _laplacian(b, h) + reaction - 0.1 * b[inner],
    ]


WORKLOADS = {
    w.name: w
    for w in (
        Workload("heterogeneous1d", "heterogeneous_diffusion", 1, 64, 32768, rate=_heterogeneous),
        Workload("heat2d", "diffusion", 2, 32, 2048, {"D": 1.0}, _heat),
        Workload(
            "gray_scott2d",
            "gray_scott",
            2,
            32,
            1024,
            {"Du": 2e-5, "Dv": 1e-5, "F": 0.04, "k": 0.06},
            _gray_scott,
        ),
        Workload("heat3d", "diffusion", 3, 16, 512, {"D": 1.0}, _heat),
    )
}


def compile_reference() -> ctypes.CDLL | None:
    """The C++ reference as a shared library, or None where there is no g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    source = Path(__file__).parent / "reference.cpp"
    target = Path(tempfile.mkdtemp(prefix="gpupatch-bench-")) / "reference.so"
    subprocess.run([compiler, *FLAGS, str(source), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


def reference_burst(
    library: ctypes.CDLL, workload: Workload, dtype: str, perturbation: bool
) -> tuple[Callable[[], object], np.ndarray]:
    """The C++ burst on its own copy of the state.

    Args:
        library: from `compile_reference`.
        workload: what to run.
        dtype: "float64" or "float32".
        perturbation: whether to run u = base + v as gpupatch does in float32.

    Returns:
        The function that runs one burst, and the array that it advances (v if `perturbation`).
    """
    real = {"float64": ctypes.c_double, "float32": ctypes.c_float}[dtype]
    model, plan, u0 = workload.model("float64"), workload.plan(), workload.state()
    base = u0.astype(dtype) if perturbation else None
    f0 = model.rate(u0, 0.0).astype(dtype) if perturbation else None
    u = np.zeros(u0.shape, dtype) if perturbation else u0.astype(dtype)
    k = np.ascontiguousarray(model.coefficients.astype(dtype))
    pointer = ctypes.POINTER(real)

    def address(array):
        return None if array is None else array.ctypes.data_as(pointer)

    function = library[f"{workload.name}_{'f64' if dtype == 'float64' else 'f32'}"]
    function.restype = None
    h, numbers = model.spacing[0], list(workload.parameters.values())
    arrays = {"heterogeneous1d": [k, f0], "gray_scott2d": [base, f0]}.get(workload.name, [f0])
    function.argtypes = [
        pointer,
        *[pointer] * len(arrays),
        ctypes.c_long,
        real,
        real,
        *[real] * len(numbers),
        ctypes.c_int,
    ]

    def run():
        pointers = [address(u), *map(address, arrays)]
        function(*pointers, len(u), plan.dt, h, *numbers, plan.n_steps)

    return run, u

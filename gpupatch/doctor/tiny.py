"""One tiny case on a backend, compared with the NumPy definition.

A wave of Burgers' equation on six patches, coupled and leaping with bursts, and Brownian particles
that push each other, for a few steps. What comes out is a property of the method, not of the
machine: backends may differ by rounding alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.backends.select import get_backend
from gpupatch.burst import Burst
from gpupatch.doctor.record import Record, missing, ok, problem
from gpupatch.errors import BackendError
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.particles import library
from gpupatch.particles.dynamics import Brownian
from gpupatch.particles.interaction import Pair
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import ParticlePlan
from gpupatch.particles.state import make_state
from gpupatch.projection import Projection
from gpupatch.scheme import BurstScheme, CoupledScheme, Problem
from gpupatch.simulation import simulate

TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
"""Largest difference that rounding explains, relative to the largest value: some dozens of steps
of at most a few hundred units in the last place."""
_END = 0.004


class Difference(NamedTuple):
    """How far a backend is from the definition.

    Attributes:
        case: what was run.
        largest: max |found - defined| / max |defined|; NaN where something is not finite.
    """

    case: str
    largest: float


def on_numpy() -> Record:
    """The definition itself, which has only to run and to stay finite."""
    began = time.perf_counter()
    cases = dict(results(NumpyBackend(), "float64"))
    seconds = time.perf_counter() - began
    stray = [name for name, values in cases.items() if not np.isfinite(values).all()]
    if stray:
        return problem(
            f"the result of {stray[0]} is not finite",
            "Install NumPy anew; it computes wrongly here.",
            cases=list(cases),
        )
    return ok(
        f"runs {', '.join(cases)} in {seconds:.2g} s; it is what the others are compared with",
        cases=list(cases),
    )


def on(name: str, dtype: str) -> Record:
    """A backend beside the definition.

    Args:
        name: of the backend.
        dtype: precision inside the patches; the definition is run in float64.

    Returns:
        The largest difference; one that rounding does not explain is a problem.
    """
    try:
        backend, _ = get_backend(name)
    except BackendError as error:
        if name == "cuda":
            return missing("not run; see under `graphics` why", "", reason=str(error))
        return problem(str(error), "Without it everything runs, ten to a hundred times slower.")
    began = time.perf_counter()
    found = compare(backend, dtype)
    facts = {
        "differences": dict(found),
        "tolerance": TOLERANCES[dtype],
        "seconds": time.perf_counter() - began,
    }
    case, largest = max(found, key=lambda one: _badness(one.largest))
    told = (
        f"differs from numpy by {largest:.1e} at most ({case}); "
        f"rounding explains {TOLERANCES[dtype]:g}"
    )
    if not largest <= TOLERANCES[dtype]:
        return problem(
            told, f"Do not trust `{name}` here: use `--backend numpy`, and report this.", **facts
        )
    return ok(told, **facts)


def compare(backend: Backend, dtype: str) -> list[Difference]:
    """All cases on a backend, beside the definition in float64."""
    defined = dict(results(NumpyBackend(), "float64"))
    return [
        Difference(case, _distance(values, defined[case]))
        for case, values in results(backend, dtype)
    ]


def _badness(largest: float) -> float:
    return np.inf if np.isnan(largest) else largest


def _distance(found: NDArray[np.floating], defined: NDArray[np.floating]) -> float:
    return float(np.abs(found - defined).max() / np.abs(defined).max())


def results(backend: Backend, dtype: str) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """What comes out of every case on a backend."""
    yield "coupled patches", _coupled(backend, dtype)
    yield "bursts and leaps", _leaping(backend, dtype)
    yield "particles", _particles(backend, dtype)


def _problem(dtype: str, **grid) -> Problem:
    rule = lattice.get("burgers", 1)
    return Problem(
        rule, PatchGrid([(0.0, 1.0)], [6], 9, ratio=0.3, **grid), {"nu": 0.05}, dtype=dtype
    )


def _wave(x):
    return 1 + 0.5 * np.sin(2 * np.pi * x)


def _coupled(backend: Backend, dtype: str) -> NDArray[np.floating]:
    scheme = CoupledScheme(_problem(dtype), backend, order=4)
    return np.asarray(simulate(scheme, {"u": _wave}, _END, save=2)["u"][-1], dtype=float)


def _leaping(backend: Backend, dtype: str) -> NDArray[np.floating]:
    scheme = BurstScheme(_problem(dtype, core=0.05), backend, Burst(2e-4))
    euler = Projection("euler", step=_END / 2)
    solution = simulate(scheme, {"u": _wave}, _END, save=2, projection=euler)
    return np.asarray(solution["u"][-1], dtype=float)


def _particles(backend: Backend, dtype: str) -> NDArray[np.floating]:
    pair = Pair(library.gaussian, {"epsilon": 1.0, "sigma": 1.0}, 3.0)
    model = ParticleModel(1, Brownian(1.0), pair, seed=1)
    places = np.arange(16) + 0.3 * np.sin(np.arange(16))
    state = make_state(
        np.stack([places, places**1.01])[:, None], 18.0,
        controls={"temperature": [0.5, 1.0]}, names=model.dynamics.controls,
    )  # fmt: skip
    weights = np.zeros((11, 1))
    weights[-1] = 1.0
    kernels = backend.load_particles(model, dtype)
    handle = kernels.pack(state)
    kernels.burst(handle, ParticlePlan(10, 0.01, ("potential",), weights))
    return kernels.unpack(handle).positions

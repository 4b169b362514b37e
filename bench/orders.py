"""Observed orders of accuracy: refine, measure, fit; rewrites docs/ORDERS.md.

python -m bench.orders
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import gpupatch as gp
from gpupatch import solutions, theory
from gpupatch.backends.select import get_backend
from gpupatch.compare import FullDomain
from gpupatch.grid import robin
from gpupatch.micro import lattice

TABLE = Path(__file__).parents[1] / "docs" / "ORDERS.md"
HEAD = """# Observed orders

Written by `python -m bench.orders`; not edited by hand. The order is the slope of the last
refinement, log(e1/e2) / log(h1/h2).

| what is refined | expected | coarsest to finest | errors | observed |
|---|---|---|---|---|
"""
PERIOD, POINTS = 1e-4, 16
MEDIUM = 1.1 + np.sin(2 * np.pi * (np.arange(POINTS) / POINTS + 0.13))


def main() -> None:
    """Run every study and rewrite the table."""
    rows = [row(*study) for study in studies()]
    TABLE.write_text(HEAD + "".join(rows), encoding="utf-8")
    print(HEAD + "".join(rows))


def row(name: str, expected: float, sizes: Sequence[float], error: Callable[[float], float]) -> str:
    """One line of the table."""
    errors = [error(size) for size in sizes]
    observed = np.log(errors[-2] / errors[-1]) / abs(np.log(sizes[-1] / sizes[-2]))
    shown = ", ".join(f"{e:.2e}" for e in errors)
    span = ", ".join(f"{s:g}" for s in sizes)
    return f"| {name} | {expected:g} | {span} | {shown} | {observed:.2f} |\n"


def studies():
    """(name, expected order, sizes, error of a size) of every study."""
    for order in (2, 4, 6, 8):
        yield (
            f"slow eigenvalue of heat, `coupled` order {order}, patches",
            order,
            (10, 20, 40) if order < 8 else (10, 14, 20),
            lambda n, order=order: heat_eigenvalue_error(int(n), order),
        )
    for order in (2, 4, 6):
        yield (
            f"slow eigenvalue of a rod of layers, contrast 100, `coupled` order {order}, patches",
            order,
            (10, 20, 40),
            lambda n, order=order: layered_eigenvalue_error(int(n), order),
        )
    for order in (2, 4):
        yield (
            f"slow eigenvalue of heat between Robin walls, `coupled` order {order}, patches",
            order,
            (32, 64, 128),
            lambda n, order=order: walled_eigenvalue_error(int(n), order),
        )
    for order in (2, 4, 6):
        yield (
            f"Burgers at t = 0.5, `coupled` order {order}, patches",
            order,
            (12, 24, 48),
            lambda n, order=order: burgers_error(int(n), order),
        )
    for order in (2, 4):
        yield (
            f"homogenised rod, `burst` order {order}, patches",
            order,
            (8, 16, 32),
            lambda n, order=order: rod_error(int(n), order),
        )
    for order in (2, 4):
        yield (
            f"heat in the plane, `flux` order {order}, cells per axis",
            order,
            (8, 16, 32),
            lambda n, order=order: flux_error(int(n), order),
        )
    for method, order in (("euler", 1), ("rk2", 2), ("rk4", 4), ("ab2", 2), ("ab3", 3), ("ab4", 4)):
        yield (
            f"leaps of `{method}` on u' = -u + cos t, leaps",
            order,
            (20, 40, 80),
            lambda n, method=method: leap_error(int(n), method),
        )
    yield ("coupling every k micro-steps, k dt", 2, (16, 8, 4), cadence_error)


def heat_eigenvalue_error(n_patch: int, order: int) -> float:
    """Relative error of the slowest decay rate against the lattice of the whole domain."""
    grid = gp.PatchGrid([(0.0, 2 * np.pi)], [n_patch], 9, ratio=0.2)
    problem = gp.Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    scheme = gp.CoupledScheme(problem, get_backend("numpy")[0], order)
    exact = theory.heat_eigenvalue(np.array([1.0]), 2 * np.pi / n_patch, 0.2, "spectral", sites=9)[
        0
    ]
    return abs(np.sort(scheme.eigenvalues(3).real)[0] / exact - 1)


def layered_eigenvalue_error(n_patch: int, order: int) -> float:
    """Relative error of the slowest decay rate against Bloch's theory of the whole rod."""
    grid = gp.PatchGrid([(0.0, 2 * np.pi)], [n_patch], 11, ratio=0.2)
    layers = np.exp(np.random.default_rng(3).normal(size=5))
    problem = gp.Problem(
        lattice.get("heterogeneous_diffusion", 1), grid, coefficients={"kappa": layers}
    )
    scheme = gp.CoupledScheme(problem, get_backend("numpy")[0], order)
    exact = float(theory.bloch_eigenvalue(layers, 1.0, grid.spacing[0]))
    return abs(np.sort(scheme.eigenvalues(3).real)[0] / exact - 1)


def walled_eigenvalue_error(n_patch: int, order: int) -> float:
    """Relative error of the second decay rate against the whole lattice between the same walls."""
    walls = robin(1.0, 0.5, 0.0), robin(2.0, 0.3, 0.0)
    dx = np.pi / (6 * (n_patch - 1) + 4)
    grid = gp.PatchGrid([(0.0, np.pi)], [n_patch], 5, dx=dx, boundary=[walls])
    problem = gp.Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    numpy = get_backend("numpy")[0]
    patches = gp.CoupledScheme(problem, numpy, order)
    found, exact = (
        np.sort(scheme.eigenvalues(3).real)[-2]
        for scheme in (patches, FullDomain(problem, numpy).scheme)
    )
    return abs(found / exact - 1)


def burgers_error(n_patch: int, order: int) -> float:
    """Largest error of the centre values against Cole and Hopf."""
    grid = gp.PatchGrid([(-1.0, 1.0)], [n_patch], 9, ratio=0.4, offset=-0.5)
    problem = gp.Problem(lattice.get("burgers", 1), grid, {"nu": 0.05})
    scheme = gp.CoupledScheme(problem, get_backend()[0], order)
    exact = solutions.get("cole_hopf")
    wave = {"u": lambda x, t: exact.evaluate((x,), float(t), nu=0.05)["u"]}
    start = {"u": lambda x: -np.sin(np.pi * x)}
    return float(gp.simulate(scheme, start, 0.5, save=2, exact=wave).error or 0.0)


def rod_error(n_patch: int, order: int) -> float:
    """Largest error at the patch centres of the rod of verification case V6."""
    effective, end = 1 / np.mean(1 / MEDIUM), 0.05
    grid = gp.PatchGrid(
        [(0.0, 1.0)], [n_patch], dx=PERIOD / POINTS, core=10 * PERIOD, buffer=16 * PERIOD
    )
    problem = gp.Problem(
        lattice.get("heterogeneous_diffusion", 1), grid, coefficients={"kappa": MEDIUM}
    )
    burst = gp.Burst(8 * PERIOD**2, extrapolate=False)
    scheme = gp.BurstScheme(problem, get_backend("numpy")[0], burst, order, method="propagator")

    def wave(x, t):
        slow = np.exp(-4 * np.pi**2 * effective * t) * np.sin(2 * np.pi * x)
        return 1 + slow + 0.5 * np.exp(-16 * np.pi**2 * effective * t) * np.cos(4 * np.pi * x)

    leap = gp.Projection("rk4", step=float(0.4 / n_patch**2 / effective))
    solution = gp.simulate(scheme, {"u": lambda x: wave(x, 0.0)}, end, save=2, projection=leap)
    return float(np.abs(solution["u"][-1, 0] - wave(grid.centres[0], end)).max())


def flux_error(n_cell: int, order: int) -> float:
    """Largest error of cell averages of heat in the plane, measured by short bursts."""
    grid = gp.PatchGrid([(0.0, 1.0)] * 2, [n_cell] * 2, dx=2e-4, core=1e-3, buffer=1e-3, cells=True)
    problem = gp.Problem(lattice.get("diffusion", 2), grid, {"D": 1.0})
    scheme = gp.FluxScheme(problem, get_backend()[0], gp.Burst(5e-8), order, micro="euler")
    mode = {
        "u": lambda x, y, t: (
            np.exp(-8 * np.pi**2 * t) * np.cos(2 * np.pi * x) * np.cos(2 * np.pi * y)
        )
    }
    start = {"u": lambda x, y: mode["u"](x, y, 0.0)}
    leap = gp.Projection("rk4", step=0.15 / n_cell**2)
    solution = gp.simulate(scheme, start, 0.01, save=2, projection=leap, exact=mode)
    return float(solution.error or 0.0)


def leap_error(n_leaps: int, method: str) -> float:
    """Error at t = 2 on an equation with a known solution."""
    path = gp.project(
        lambda t, u: -u + np.cos(t), np.array([0.5]), [0.0, 2.0], method=method, step=2 / n_leaps
    )
    return float(abs(path.states[-1][0] - (np.cos(2.0) + np.sin(2.0)) / 2))


def cadence_error(every: float) -> float:
    """Difference to coupling before every rate evaluation, Burgers on 24 patches."""
    final, dt = [], 1.25e-4
    for k in (1, int(every)):
        grid = gp.PatchGrid([(-1.0, 1.0)], [24], 9, ratio=0.4)
        problem = gp.Problem(lattice.get("burgers", 1), grid, {"nu": 0.05})
        scheme = gp.CoupledScheme(problem, get_backend("numpy")[0], 4, every=k, dt=dt)
        u = scheme.initial({"u": lambda x: -np.sin(np.pi * x)})
        final.append(scheme.coarse(scheme.advance(u, 0.0, dt, 160)))
    return float(np.abs(final[1] - final[0]).max())


if __name__ == "__main__":
    main()

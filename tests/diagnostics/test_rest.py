"""States in which nothing happens: nothing is divided by zero, and no flag is raised."""

from typing import Any

import numpy as np
import pytest
from lattice_problems import NUMPY, RING, telegraph

import gpupatch as gp
from gpupatch.diagnostics import free_diagnosis
from gpupatch.micro import lattice

LEAPS = gp.Projection("rk2", step=1e-3)
INSULATED = (gp.neumann(0.0), gp.neumann(0.0))
INNER = gp.Projection("pfe", step=2e-3, inner=2)


def heat(grid, **medium):
    rule = lattice.get("heterogeneous_diffusion" if medium else "diffusion", grid.ndim)
    return gp.Problem(rule, grid, {} if medium else {"D": 1.0}, medium)


def ring():
    return gp.PatchGrid(RING, [6], sites=3, ratio=0.2)


def cores(ndim=1, **more: Any):
    wide: dict[str, Any] = {"core": 0.08, "buffer": 0.12, "dx": 0.02}
    return gp.PatchGrid([(0.0, 4.0)] * ndim, [5] * ndim, **(wide | more))


@gp.rule(fields="u", noise={"u": lambda u: 0.1 * u[0]})
def gambling(u, dx):
    """Heat whose noise is in proportion to it."""
    return (u[1] - 2 * u[0] + u[-1]) / dx**2


NOISY, SLOW = "noise that vanishes at zero", "flux in the plane"
SCHEMES = {
    "centre": lambda: (gp.CoupledScheme(heat(ring()), NUMPY), None),
    "leaps of the micro field": lambda: (gp.CoupledScheme(heat(ring()), NUMPY), INNER),
    "edgy in a medium": lambda: (
        gp.CoupledScheme(
            heat(gp.PatchGrid(RING, [6], sites=4, ratio=0.5, edgy=True),
                 kappa=lambda x: 2 + np.cos(12 * x)),
            NUMPY, kind="edgy",
        ),
        None,
    ),
    "staggered": lambda: (
        gp.CoupledScheme(
            gp.Problem(lattice.get("staggered_wave", 1), ring(), {"g": 1.0, "depth": 1.0}),
            NUMPY, 2, "staggered",
        ),
        None,
    ),
    "waves": lambda: (
        gp.CoupledScheme(
            gp.Problem(lattice.get("wave", 1), ring(), {"c": 1.0}), NUMPY, micro="verlet"
        ),
        None,
    ),
    "walls": lambda: (
        gp.CoupledScheme(
            heat(gp.PatchGrid([(0.0, 6.0)], [6], sites=3, dx=0.2, boundary=[INSULATED])), NUMPY
        ),
        None,
    ),
    "plane": lambda: (
        gp.CoupledScheme(
            heat(gp.PatchGrid([(0.0, 1.0)] * 2, [5, 5], sites=3, ratio=0.2)), NUMPY
        ),
        None,
    ),
    "burst": lambda: (gp.BurstScheme(heat(cores()), NUMPY, gp.Burst(4e-4)), LEAPS),
    "burst of frozen slopes": lambda: (
        gp.BurstScheme(heat(cores()), NUMPY, gp.Burst(4e-4), edge="neumann"), LEAPS,
    ),
    "burst with a hidden field": lambda: (
        gp.BurstScheme(
            gp.Problem(
                telegraph, cores(buffer=0.4, allow_overlap=True), {"D": 1.0, "tau": 1e-4}
            ),
            NUMPY, gp.Burst(4e-3), hidden={"q": 0.0},
        ),
        LEAPS,
    ),
    "flux": lambda: (gp.FluxScheme(heat(cores(cells=True)), NUMPY, gp.Burst(4e-4)), LEAPS),
    SLOW: lambda: (
        gp.FluxScheme(heat(cores(2, cells=True)), NUMPY, gp.Burst(4e-4)), LEAPS,
    ),
    NOISY: lambda: (
        gp.BurstScheme(gp.Problem(gambling, cores()), NUMPY, gp.Burst(4e-4), micro="euler"), LEAPS,
    ),
}  # fmt: skip


STATES = {
    "nothing": lambda shape: np.zeros(shape),
    "the same but for rounding": lambda shape: (
        1 + 1e-15 * np.random.default_rng(1).normal(size=shape)
    ),
}
AT_REST = [
    pytest.param(scheme, state, marks=pytest.mark.slow) if scheme == SLOW else (scheme, state)
    for scheme in SCHEMES
    for state in STATES
    if scheme != NOISY or state == "nothing"
]


@pytest.mark.parametrize(("name", "state"), AT_REST)
def test_nothing_is_raised_where_nothing_happens(name, state):
    scheme, projection = SCHEMES[name]()
    U = STATES[state]((1, len(scheme.names), *scheme.grid.patches))
    with np.errstate(divide="raise", invalid="raise"):
        found = gp.diagnose(scheme, U, projection=projection, span=1.0)
        free = free_diagnosis(scheme, U, projection=projection, span=1.0)
    assert found.raised == free.raised == (), found.table()
    for one in (*found.findings, *free.findings):
        assert one.measured is None or not np.isnan(one.measured)

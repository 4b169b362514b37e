"""Lattice systems that violate one assumption each, and healthy twins."""

import numpy as np

import gpupatch as gp
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.micro import lattice

NUMPY = NumpyBackend()
RING = [(0.0, 2 * np.pi)]
WAVE_BUFFER = 0.04
COSINE = {"u": np.cos}
TRAVELLING = {"u": np.sin, "v": np.cos}


@gp.rule(fields="u q")
def telegraph(u, q, D, tau, dx):
    """u_t = -q_x, tau q_t = -q - D u_x: heat that remembers for a time tau."""
    return (
        -(q[1] - q[-1]) / (2 * dx),
        -(q[0] + D * (u[1] - u[-1]) / (2 * dx)) / tau,
    )


@gp.rule(fields="u w")
def screened(u, w, reach, tau, dx):
    """u_t = (w - u)/reach^2 with w = exp(-|x|/reach)/(2 reach) * u: a kernel of range `reach`.

    The convolution is the steady state of tau w_t = reach^2 w_xx + u - w.
    """
    return (
        (w[0] - u[0]) / reach**2,
        (reach**2 * (w[1] - 2 * w[0] + w[-1]) / dx**2 + u[0] - w[0]) / tau,
    )


def remembering(tau, burst=0.05, dt=None, buffer=1.2):
    """The telegraph equation with its flux hidden."""
    grid = gp.PatchGrid(RING, [8], core=0.08, buffer=buffer, dx=0.04, allow_overlap=True)
    problem = gp.Problem(telegraph, grid, {"D": 1.0, "tau": tau})
    return gp.BurstScheme(
        problem, NUMPY, gp.Burst(burst, dt=dt), order="spectral", hidden={"q": 0.0}
    )


def swinging(crossings, hidden=None):
    """The wave equation, bursts lasting so many times what a wave takes to cross a buffer."""
    grid = gp.PatchGrid(RING, [8], core=WAVE_BUFFER, buffer=WAVE_BUFFER, dx=WAVE_BUFFER / 50)
    problem = gp.Problem(lattice.get("wave", 1), grid, {"c": 1.0})
    burst = gp.Burst(crossings * WAVE_BUFFER)
    return gp.BurstScheme(problem, NUMPY, burst, order="spectral", micro="verlet", hidden=hidden)


def reaching(reach, dx=0.04, bursts=60):
    """A kernel of exponential range in patches .8 wide, of which .16 are the core."""
    grid = gp.PatchGrid(RING, [8], core=0.16, buffer=0.32, dx=dx, allow_overlap=True)
    tau = 5e-3 * reach**2
    problem = gp.Problem(screened, grid, {"reach": reach, "tau": tau})
    return gp.BurstScheme(
        problem, NUMPY, gp.Burst(bursts * tau), order="spectral", hidden={"w": np.cos}
    )


def layered(cells, sigma=0.5, patches=8):
    """A random medium of independent cells, so many of them in a core."""
    dx = 1 / 4096
    grid = gp.PatchGrid(
        [(0.0, 1.0)], [patches], core=cells * dx, buffer=40 * dx, dx=dx, cells=True,
        allow_overlap=True,
    )  # fmt: skip
    problem = gp.Problem(
        lattice.get("heterogeneous_diffusion", 1), grid, {}, {"kappa": gp.Lognormal(sigma, 3)}
    )
    return gp.FluxScheme(problem, NUMPY, gp.Burst(1e-6))


def striped(scheme, length, heal=None):
    """A medium of period .01 in patches of one period, bursts in squares of that period."""
    m = 4 if scheme is gp.CoupledScheme else 8
    dx = 1 / (100 * m)
    if scheme is gp.CoupledScheme:
        grid = gp.PatchGrid([(0.0, 1.0)], [8], sites=2 * m + 1, dx=dx)
    else:
        grid = gp.PatchGrid(
            [(0.0, 1.0)], [8], core=m * dx, buffer=4 * m * dx, dx=dx, cells=True, allow_overlap=True
        )
    medium = {"kappa": lambda x: 1.1 + np.sin(2 * np.pi * x / (m * dx))}
    problem = gp.Problem(lattice.get("heterogeneous_diffusion", 1), grid, {}, medium)
    unit = (m * dx) ** 2
    burst = gp.Burst(length * unit, heal=None if heal is None else heal * unit)
    return scheme(problem, NUMPY, burst=burst)


@gp.rule(fields="u q")
def ringing(u, q, D, omega, dx):
    """u_t = D u_xx + q with q_t = -omega^2 (u - 1) - omega q / 5: a clock drives what spreads."""
    return (
        D * (u[1] - 2 * u[0] + u[-1]) / dx**2 + q[0],
        -(omega**2) * (u[0] - 1) - omega * q[0] / 5,
    )


def driven(omega, inner=24):
    """Coupled patches in which something rings, leapt over by bursts of some micro-steps."""
    grid = gp.PatchGrid(RING, [8], sites=5, ratio=0.2)
    problem = gp.Problem(ringing, grid, {"D": 1.0, "omega": omega})
    return gp.CoupledScheme(problem, NUMPY), gp.Projection("prk2", step=0.2, inner=inner)

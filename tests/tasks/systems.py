"""Macroscopic systems whose steady states and spectra are known."""

import numpy as np
from scipy import optimize

import gpupatch as gp
from gpupatch.micro import lattice

NUMPY, _ = gp.get_backend("numpy")


@gp.rule(fields="u")
def chafee_infante(u, strength, dx):
    """A rod that is unstable in its middle: du/dt = u_xx + strength (u - u^3)."""
    return (u[1] - 2 * u[0] + u[-1]) / dx**2 + strength * (u[0] - u[0] ** 3)


def ring(patches, strength=2.0, sites=7, **options):
    """The rod closed on itself, which holds odd states of twice its length."""
    grid = gp.PatchGrid([(0.0, 2 * np.pi)], [patches], sites, ratio=0.1, offset=-0.5)
    problem = gp.Problem(chafee_infante, grid, {"strength": strength})
    return gp.CoupledScheme(problem, NUMPY, order=4, **options)


def rod(patches=10, strength=0.5):
    """The rod held at zero at both ends, in patches of three sites."""
    ends = (gp.dirichlet(0.0), gp.dirichlet(0.0))
    dx = np.pi / patches / 6
    grid = gp.PatchGrid([(0.0, np.pi)], [patches], 3, dx=dx, boundary=[ends])
    problem = gp.Problem(chafee_infante, grid, {"strength": strength})
    return gp.CoupledScheme(problem, NUMPY, order=4)


def fronts(patches=60, epsilon=0.5):
    """FitzHugh-Nagumo fronts in a box without flux, in patches that cover 30 % of it."""
    ends = (gp.neumann(), gp.neumann())
    dx = 0.1 * 20 / patches
    grid = gp.PatchGrid([(0.0, 20.0)], [patches], 3, dx=dx, boundary=[ends])
    parameters = {"d": 4.0, "epsilon": epsilon, "a0": -0.03, "a1": 2.0}
    problem = gp.Problem(lattice.get("fitzhugh_nagumo", 1), grid, parameters)
    return gp.CoupledScheme(problem, NUMPY, order=4)


FRONT = {
    "u": lambda x: 0.03 + 0.75 * np.tanh((x - 16.4) / 1.6),
    "v": lambda x: -0.346 + 0.6 / (1 + np.exp((16.0 - x) / 1.5)),
}


def walkers(seed=0, replicas=32, low=2.0, high=6.0, **problem):
    """Brownian particles of diffusivity 1 between reservoirs of two densities."""
    ends = (gp.dirichlet(low), gp.dirichlet(high))
    cells = gp.particle_grid([(0.0, 120.0)], [6], width=20.0, boundary=[ends])
    model = gp.ParticleModel(1, gp.Brownian())
    given = gp.ParticleProblem(model, cells, {"temperature": 1.0}, core=8.0, seed=seed, **problem)
    sampling = gp.Sampling(lift="weighted", common=True)
    return gp.ParticleFluxScheme(given, NUMPY, gp.Burst(0.8, replicas=replicas), sampling=sampling)


def walkers_at_rest(x, low=2.0, high=6.0):
    """The density with a constant flux."""
    return low + (high - low) * x / 120


@gp.potential
def repulsion(r, strength, size):
    """Colloids that may overlap a little."""
    return strength * gp.exp(-((r / size) ** 2))


def colloids(seed=0, replicas=32):
    """Soft colloids between reservoirs, lifted without correlations, which mean field neglects."""
    ends = (gp.dirichlet(2.0), gp.dirichlet(8.0))
    cells = gp.particle_grid([(0.0, 36.0)], [3], width=12.0, boundary=[ends])
    pair = gp.Pair(repulsion, {"strength": 0.1, "size": 1.4}, cutoff=3.5)
    model = gp.ParticleModel(1, gp.Brownian(), pair)
    problem = gp.ParticleProblem(model, cells, {"temperature": 1.0}, core=4.0, seed=seed)
    burst = gp.Burst(0.3, heal=0.0, dt=0.15, replicas=replicas)
    sampling = gp.Sampling(lift="stochastic", number="rounded", common=True)
    backend, _ = gp.get_backend("numba")
    return gp.ParticleFluxScheme(problem, backend, burst, sampling=sampling, diffusivity=3.0)


def walkers_between(x):
    """Where the search begins: the density of colloids that do not see each other."""
    return 2 + 6 * x / 36


def colloids_at_rest(scheme):
    """Cell averages with a constant flux in mean field, D = 1 + alpha rho, in the same cells."""
    alpha = 0.1 * 1.4 * np.sqrt(np.pi)

    def gains(U):
        density, slope, _ = scheme.profile(0.0, U.reshape(1, 1, -1), 0).T
        return np.diff((1 + alpha * density) * slope)

    found = optimize.root(gains, walkers_between(scheme.grid.centres[0]), tol=1e-12)
    assert found.success
    return found.x

"""Systems of a slow and a fast field, whose slow manifolds are known."""

import numpy as np
from numpy.polynomial import Polynomial
from scipy.linalg import expm

import gpupatch as gp
from gpupatch.micro import lattice

NUMPY, _ = gp.get_backend("numpy")
RING = [(0.0, 2 * np.pi)]
DX = 0.04
COSINE = {"u": np.cos}
WAVE_BUFFER = 0.04


@gp.rule(fields="u q")
def telegraph(u, q, D, tau, dx):
    """Heat that remembers: u_t = -q_x, tau q_t = -q - D u_x."""
    return (
        -(q[1] - q[-1]) / (2 * dx),
        -(q[0] + D * (u[1] - u[-1]) / (2 * dx)) / tau,
    )


@gp.rule(fields="s c")
def michaelis_menten(s, c, epsilon):
    """A substrate and the complex that it forms fast: the reaction of the Equation-Free Toolbox."""
    return -s[0] + (s[0] + 0.5) * c[0], (s[0] - (s[0] + 1) * c[0]) / epsilon


def remembering(tau, burst=0.05, hidden=None, dt=None, **options):
    """The telegraph equation on a ring, its flux hidden."""
    grid = gp.PatchGrid(RING, [8], core=0.2, buffer=1.2, dx=DX, allow_overlap=True)
    problem = gp.Problem(telegraph, grid, {"D": 1.0, "tau": tau})
    return gp.BurstScheme(
        problem, NUMPY, gp.Burst(burst, dt=dt), order="spectral",
        hidden={"q": 0.0} if hidden is None else hidden, **options,
    )  # fmt: skip


def rates(tau):
    """Slow and fast roots of tau r^2 + r + D k^2 = 0, and the lattice wavenumber k of cos x."""
    k = np.sin(DX) / DX
    root = np.sqrt(1 - 4 * tau * k**2)
    return -2 * k**2 / (1 + root), -(1 + root) / (2 * tau), k


def healed_flux(scheme, tau, skip):
    """Core averages of the flux that has formed after a time, where u = cos x by then.

    (u, q) = exp(skip A) (y, 0) for the Fourier mode, A = [[0, -i k], [-i k / tau, -1 / tau]].
    """
    k = rates(tau)[2]
    (u, _), (q, _) = expm(skip * np.array([[0, -1j * k], [-1j * k / tau, -1 / tau]]))
    X = scheme.grid.centres[0]
    return scheme.averages(COSINE, None)[0, 0] / np.cos(X) * np.real(q / u * np.exp(1j * X))


def slaved_flux(scheme, tau):
    """Core averages of the flux on the slow manifold when u = cos x: q = -(r / k) sin x."""
    slow, _, k = rates(tau)
    X = scheme.grid.centres[0]
    averaged = scheme.averages(COSINE, None)[0, 0] / np.cos(X)
    return -slow / k * np.sin(X) * averaged


def reacting(epsilon, burst=None):
    """The reaction by itself at three places, the complex hidden."""
    grid = gp.PatchGrid([(0.0, 1.0)], [3], 5, dx=0.05, core=0.05)
    problem = gp.Problem(michaelis_menten, grid, {"epsilon": epsilon})
    return gp.BurstScheme(
        problem, NUMPY, gp.Burst(burst or 10 * epsilon), order=2, hidden={"c": 0.1}
    )


SUBSTRATE = {"s": lambda x: 1 + 0.3 * np.cos(2 * np.pi * x)}


def slow_complex(s, epsilon, terms=7):
    """The complex on the slow manifold, c = sum_n epsilon^n h_n(s).

    h_(n+1) = -sum_(i+j=n) h_i' f_j / (s + 1) from epsilon c'(s) ds/dt = s - (s + 1) c, with f_n the
    terms of ds/dt = -s + (s + 1/2) c. All are polynomials of w = 1/(s + 1), ds = -dw / w^2.
    """
    w = Polynomial([0, 1])
    h, f = [1 - w], [-0.5 * (1 - w)]
    for n in range(terms - 1):
        one = w * sum(w**2 * h[i].deriv() * f[n - i] for i in range(n + 1))
        h.append(one)
        f.append(Polynomial(one.coef[1:]) - 0.5 * one)
    return sum(epsilon**n * one(1 / (s + 1)) for n, one in enumerate(h))


def swinging(hidden=None, **options):
    """The wave equation, with bursts shorter than waves take to cross a buffer."""
    grid = gp.PatchGrid(RING, [8], core=WAVE_BUFFER, buffer=WAVE_BUFFER, dx=WAVE_BUFFER / 20)
    problem = gp.Problem(lattice.get("wave", 1), grid, {"c": 1.0})
    burst = gp.Burst(0.8 * WAVE_BUFFER)
    return gp.BurstScheme(
        problem, NUMPY, burst, order="spectral", micro="verlet", hidden=hidden, **options
    )


def warm(**options):
    """A rod closed on itself."""
    grid = gp.PatchGrid(RING, [8], core=0.05, buffer=0.2, dx=0.01)
    problem = gp.Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    return gp.BurstScheme(problem, NUMPY, gp.Burst(1.5e-3), order="spectral", **options)

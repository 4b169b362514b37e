"""Polymers under tension and in solution: exact averages of single chains.

A chain of bonds is pulled by a constant force f at both ends. In units of kT its energy is

    sum_i V(r_i) + sum_i kappa (1 - u_i.u_i+1) - f sum_i r_i u_i.e

with r_i u_i the bond vectors and e the direction of the force.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.errors import InputError

_MODES = 80
"""Legendre polynomials in which the transfer operators of worm-like chains are written."""
_ANGLES, _LENGTHS = 160, 400
"""Gauss points over the direction and the length of a bond."""


def freely_jointed_extension(force: ArrayLike) -> NDArray[np.float64]:
    """Mean extension of a freely jointed chain over its length: coth b - 1/b.

    Args:
        force: b = f a/kT with a the length of a rigid bond, any shape.

    Returns:
        x/L, same shape as `force`.

    Source: Rubinstein and Colby (2003), section 2.6 [RubinsteinColby2003].
    """
    b = np.asarray(force, dtype=np.float64)
    safe = np.where(np.abs(b) < 1e-2, 1.0, b)
    series = b / 3 - b**3 / 45 + 2 * b**5 / 945
    return np.where(np.abs(b) < 1e-2, series, 1 / np.tanh(safe) - 1 / safe)


def wormlike_extension(force: ArrayLike) -> NDArray[np.float64]:
    """Mean extension of a long worm-like chain over its length.

    The chain is a rotor in imaginary time; with l_p the persistence length its transfer operator is
    exp(-s H) with

        H = -nabla_u^2/(2 l_p) - (f/kT) cos theta,     x/L = -dE_0/d(f/kT) = <0|cos theta|0>,

    and E_0, |0> the lowest state. H is diagonalised in Legendre polynomials.

    Args:
        force: f l_p/kT, any shape.

    Returns:
        x/L, same shape as `force`.

    Source: Marko and Siggia (1995) [MarkoSiggia1995].
    """
    from scipy.linalg import eigh_tridiagonal

    degree = np.arange(_MODES)
    beyond = (degree[:-1] + 1) / np.sqrt((2 * degree[:-1] + 1) * (2 * degree[:-1] + 3))

    def extension(f: float) -> float:
        rotor = degree * (degree + 1) / 2
        _, states = eigh_tridiagonal(rotor, -f * beyond, select="i", select_range=(0, 0))
        ground = states[:, 0]
        return float(2 * np.sum(beyond * ground[:-1] * ground[1:]))

    return np.vectorize(extension, otypes=[float])(np.asarray(force, dtype=np.float64))


def marko_siggia_extension(force: ArrayLike) -> NDArray[np.float64]:
    """The usual interpolation of the worm-like chain, within 0.07 of `wormlike_extension`.

        f l_p/kT = 1/(4 (1 - z)^2) - 1/4 + z,     z = x/L

    Args:
        force: f l_p/kT >= 0, any shape.

    Returns:
        x/L, same shape as `force`.

    Source: Marko and Siggia (1995), eq. (7) [MarkoSiggia1995].
    """
    from scipy.optimize import root_scalar

    def extension(f: float) -> float:
        def excess(z: float) -> float:
            return 0.25 / (1 - z) ** 2 - 0.25 + z - f

        return float(root_scalar(excess, bracket=(0.0, 1 - 1e-9), xtol=1e-15).root)

    return np.vectorize(extension, otypes=[float])(np.asarray(force, dtype=np.float64))


def wormlike_square_end(length: ArrayLike) -> NDArray[np.float64]:
    """Mean square of the end-to-end vector of a worm-like chain over its squared length.

        <R^2>/L^2 = (2/l) (1 - (1 - exp(-l))/l),     l = L/l_p

    Args:
        length: l > 0, any shape.

    Returns:
        Same shape as `length`.

    Source: Kratky and Porod (1949) [KratkyPorod1949].
    """
    ratio = np.asarray(length, dtype=np.float64)
    return 2 / ratio * (1 + np.expm1(-ratio) / ratio)


def rouse_time(n: int, stiffness: float, friction: float, mode: int = 1) -> float:
    """Decay time of a mode of a chain of beads and springs without inertia.

        X_p = (1/n) sum_i x_i cos(pi p (i - 1/2)/n),     <X_p(t) X_p(0)> ~ exp(-t/tau_p)

        tau_p = zeta/(4 k sin^2(pi p/(2 n)))

    Args:
        n: beads.
        stiffness: k of the springs.
        friction: zeta of a bead, force per velocity.
        mode: p, from 1 to n - 1.

    Returns:
        tau_p, in units of `friction` over `stiffness`.

    Raises:
        InputError: if there is no such mode.

    Source: Doi and Edwards (1986), section 4.1 [DoiEdwards1986].
    """
    if not 1 <= mode < n:
        raise InputError(f"a chain of {n} beads has the modes 1 to {n - 1}; found {mode}.")
    return friction / (4 * stiffness * np.sin(np.pi * mode / (2 * n)) ** 2)


def chain_extension(
    force: float,
    n_bonds: int,
    energy: Callable[[NDArray[np.float64]], ArrayLike],
    lengths: tuple[float, float],
    kappa: float = 0.0,
) -> float:
    """Mean extension of a chain of elastic bonds in three dimensions.

    The transfer operator from bond to bond is diagonal in Legendre polynomials but for the factor

        w(cos theta) = int r^2 exp(-V(r) + f r cos theta) dr

    of every bond; the average is taken with that factor differentiated once, at every bond in turn.

    Args:
        force: f at both ends, in units of kT per length.
        n_bonds: bonds.
        energy: V of an array of bond lengths, in units of kT.
        lengths: shortest and longest bond; beyond them exp(-V) must be negligible.
        kappa: bending stiffness, in units of kT; 0 for free joints.

    Returns:
        <x_last - x_first> along the force.

    Source: Marko and Siggia (1995) [MarkoSiggia1995].
    """
    from scipy.special import eval_legendre, ive

    t, share = np.polynomial.legendre.leggauss(_ANGLES)
    nodes, size = np.polynomial.legendre.leggauss(_LENGTHS)
    low, high = lengths
    r = (low + high) / 2 + (high - low) / 2 * nodes
    V = np.asarray(energy(r), dtype=float)
    exponent = force * np.multiply.outer(t, r) - V
    weight = size * r**2 * np.exp(exponent - exponent.max())
    w, pulled = weight.sum(axis=1), t * (weight * r).sum(axis=1)
    degree = np.arange(_MODES)
    P = eval_legendre(degree[:, None], t)
    kept = ive(degree + 0.5, kappa) / ive(0.5, kappa) if kappa > 0 else (degree == 0).astype(float)
    bend = np.einsum("l,lt,lu,u->tu", (degree + 0.5) * kept, P, P, share)
    ahead = [np.ones_like(t)]
    for _ in range(n_bonds - 1):
        moved = bend @ (w * ahead[-1])
        ahead.append(moved / moved.max())
    total = 0.0
    for here, there in zip(ahead, reversed(ahead), strict=True):
        both = share * here * there
        total += (both @ pulled) / (both @ w)
    return float(total)

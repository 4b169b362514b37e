"""Lift chains of particles to a profile of temperature: local equilibrium.

    p(x, v) ~ exp(-sum_i e_i/T_i),    e_i = v_i^2/2 + pinning x_i^2/2 + k/4 sum_j (x_j - x_i)^2

with j the neighbours of i. Velocities are independent; the inverse covariance of the displacements
is tridiagonal,

    M = sum over bonds of k (1/T_i + 1/T_i+1)/2 (e_i - e_i+1)(e_i - e_i+1)^T + sum_i pinning/T_i,

so that x = L^-T xi with M = L L^T is found in one sweep along the chain, for all patches at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.errors import SchemeError
from gpupatch.particles.noise import LIFTING, normals
from gpupatch.theory.chains import chain_matrix


def lift_chain(
    temperature: NDArray[np.float64],
    stiffness: float,
    pinning: float,
    seed: int,
    stream: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the chains of all patches in local equilibrium.

    Args:
        temperature: T of every particle, [patch, particle].
        stiffness: k of the springs between neighbours.
        pinning: stiffness of the spring that holds every particle in its place; a chain that
            nothing holds has its last particle at 0.
        seed: seed of the run.
        stream: number that sets this burst apart from all others.

    Returns:
        Displacements and velocities, [patch, 1, particle], masses 1.

    Raises:
        SchemeError: if a temperature is not positive.
    """
    if not np.all(temperature > 0):
        patch, particle = (int(i) for i in np.argwhere(~(temperature > 0))[0])
        raise SchemeError(
            f"the temperature of particle {particle} of patch {patch} would be "
            f"{temperature[patch, particle]:.4g}. Use shorter patches or a flatter profile."
        )
    xi = normals(seed, stream | LIFTING, 0, *temperature.shape)
    positions = _displacements(1 / temperature, stiffness, pinning, xi[1])
    return positions[:, None], (np.sqrt(temperature) * xi[0])[:, None]


def _displacements(beta, stiffness: float, pinning: float, xi) -> NDArray[np.float64]:
    k = stiffness * (beta[:, 1:] + beta[:, :-1]) / 2
    diagonal = pinning * beta
    diagonal[:, 1:] += k
    diagonal[:, :-1] += k
    pivots, below = np.empty_like(beta), np.zeros_like(beta)
    rest = diagonal[:, 0]
    for i in range(beta.shape[1]):
        pivots[:, i] = np.sqrt(np.maximum(rest, 0.0))
        if i < k.shape[1]:
            below[:, i] = -k[:, i] / pivots[:, i]
            rest = diagonal[:, i + 1] - below[:, i] ** 2
    x = np.zeros_like(beta)
    last = beta.shape[1] - 1
    if pinning > 0:
        x[:, last] = xi[:, last] / pivots[:, last]
    for i in range(last - 1, -1, -1):
        x[:, i] = (xi[:, i] - below[:, i] * x[:, i + 1]) / pivots[:, i]
    return x


def lifted_covariance(
    temperature: ArrayLike, stiffness: float, pinning: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariances of the displacements and velocities that `lift_chain` draws.

    Args:
        temperature: T of every particle, [particle].
        stiffness: k of the springs between neighbours.
        pinning: stiffness of the spring that holds every particle, positive.

    Returns:
        <x_i x_j> and <v_i v_j>, [particle, particle].
    """
    T = np.asarray(temperature, dtype=float)
    middle = (1 / T[1:] + 1 / T[:-1]) / 2
    precision = chain_matrix(len(T), stiffness * middle, pinning / T)
    return np.asarray(np.linalg.inv(precision), dtype=np.float64), np.diag(T)

"""Harmonic lattices and chains: waves, and the conduction of heat with velocity flips.

A chain of masses m = 1 has the energy

    sum_i p_i^2/2 + k/2 sum_i (q_i+1 - q_i)^2 + pinning/2 sum_i q_i^2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def chain_frequency(phase: ArrayLike, stiffness: float, mass: float = 1.0) -> NDArray[np.float64]:
    """Frequency of a wave on a chain of equal masses: 2 sqrt(k/m) |sin(q a/2)|.

    Args:
        phase: q a, wavenumber times lattice spacing, any shape.
        stiffness: k of the springs.
        mass: m.

    Returns:
        omega, same shape as `phase`.

    Source: Born and Huang (1954), section 5 [BornHuang1954].
    """
    return 2 * np.sqrt(stiffness / mass) * np.abs(np.sin(np.asarray(phase, dtype=float) / 2))


def diatomic_frequencies(
    phase: ArrayLike, stiffness: float, masses: tuple[float, float]
) -> NDArray[np.float64]:
    """Acoustic and optical frequencies of a chain of two alternating masses.

        omega^2 = k (1/m + 1/M) -+ k sqrt((1/m + 1/M)^2 - 4 sin^2(q a)/(m M))

    with a the distance of neighbours. Long waves travel at a sqrt(2 k/(m + M)).

    Args:
        phase: q a, any shape.
        stiffness: k.
        masses: m and M.

    Returns:
        [branch, *shape of `phase`], the acoustic branch first.

    Source: Born and Huang (1954), section 5 [BornHuang1954].
    """
    m, M = masses
    inverse = 1 / m + 1 / M
    sine = np.sin(np.asarray(phase, dtype=float)) ** 2
    root = np.sqrt(inverse**2 - 4 * sine / (m * M))
    # the product of both squares is known, which saves the lower one from cancellation
    optical = stiffness * (inverse + root)
    acoustic = 4 * stiffness**2 * sine / (m * M) / optical
    return np.sqrt(np.stack([acoustic, optical]))


def triangular_wave_speeds(
    stiffness: float, mass: float = 1.0, spacing: float = 1.0
) -> tuple[float, float]:
    """Speeds of long longitudinal and transverse waves in a triangular lattice of springs.

        lambda = mu = sqrt(3) k/4,   rho = 2 m/(sqrt(3) a^2)

        c_L = sqrt((lambda + 2 mu)/rho) = a sqrt(9 k/(8 m))
        c_T = sqrt(mu/rho) = a sqrt(3 k/(8 m))

    Args:
        stiffness: k.
        mass: m.
        spacing: a.

    Returns:
        c_L and c_T.

    Source: Born and Huang (1954), section 11, for the elastic constants of central forces
    [BornHuang1954].
    """
    unit = spacing * np.sqrt(stiffness / mass)
    return float(unit * np.sqrt(9 / 8)), float(unit * np.sqrt(3 / 8))


def flip_conductivity(stiffness: float, pinning: float, rate: float) -> float:
    """Conductivity of a harmonic chain whose velocities flip at a rate.

        kappa = k/(gamma (2 + n + sqrt(n (4 + n)))),    n = pinning/k,   gamma = 2 rate

    The energy per particle is the temperature, so that kappa is also the diffusivity of energy. The
    covariances obey the equations of a chain with self-consistent baths of friction gamma.

    Args:
        stiffness: k.
        pinning: stiffness of the spring that holds every particle.
        rate: flips of a particle per time.

    Returns:
        Flux per difference of temperature between neighbours.

    Source: Bonetto, Lebowitz and Lukkarinen (2004), eq. (1.6) [BonettoLebowitzLukkarinen2004];
    Dhar, Venkateshan and Lebowitz (2011), section II, for flips [DharVenkateshanLebowitz2011].
    """
    ratio = pinning / stiffness
    return stiffness / (2 * rate * (2 + ratio + np.sqrt(ratio * (4 + ratio))))


def chain_matrix(n: int, stiffness: ArrayLike, pinning: ArrayLike) -> NDArray[np.float64]:
    """Second derivatives of the potential energy of an open chain.

    Args:
        n: particles.
        stiffness: k, a number or one per spring.
        pinning: a number or one per particle.

    Returns:
        [n, n].
    """
    k = np.broadcast_to(np.asarray(stiffness, dtype=float), (n - 1,))
    diagonal = np.broadcast_to(np.asarray(pinning, dtype=float), (n,)).copy()
    diagonal[1:] += k
    diagonal[:-1] += k
    return np.diag(diagonal) - np.diag(k, 1) - np.diag(k, -1)


def flip_burst_flux(
    positions: NDArray[np.float64],
    velocities: NDArray[np.float64],
    stiffness: float,
    pinning: float,
    rate: float,
    dt: float,
    n_steps: int,
) -> NDArray[np.float64]:
    """Expected energy flux along a harmonic chain with velocity flips, after every step of a burst.

    Steps are linear, so that covariances of positions and velocities are mapped to covariances: by
    velocity Verlet, and by flips, which leave <v_i^2> alone and multiply <x_i v_j> by f and
    <v_i v_j> by f^2, f = exp(-2 rate dt).

    Args:
        positions: <x_i x_j> at the beginning, [particle, particle].
        velocities: <v_i v_j> at the beginning, [particle, particle].
        stiffness: k.
        pinning: stiffness of the spring that holds every particle.
        rate: flips of a particle per time.
        dt: micro time step.
        n_steps: micro-steps.

    Returns:
        -k <(x_i+1 - x_i) (v_i + v_i+1)>/2, [n_steps + 1, bond].

    Source: Dhar, Venkateshan and Lebowitz (2011), section II, for the equations of the covariances
    [DharVenkateshanLebowitz2011].
    """
    n = len(positions)
    one, zero = np.eye(n), np.zeros((n, n))
    kick = np.block([[one, zero], [-dt / 2 * chain_matrix(n, stiffness, pinning), one]])
    drift = np.block([[one, dt * one], [zero, one]])
    step = kick @ drift @ kick
    kept = np.exp(-2 * rate * dt)
    moving = np.where(np.eye(n, dtype=bool), 1.0, kept**2)
    flips = np.block([[np.ones((n, n)), np.full((n, n), kept)], [np.full((n, n), kept), moving]])
    covariance = np.block([[positions, zero], [zero, velocities]])
    flux = np.empty((n_steps + 1, n - 1))
    i = np.arange(n - 1)
    for s in range(n_steps + 1):
        crossed = covariance[:n, n:]
        stretch = crossed[1:] - crossed[:-1]
        flux[s] = -stiffness / 2 * (stretch[i, i] + stretch[i, i + 1])
        covariance = flips * (step @ covariance @ step.T)
    return flux

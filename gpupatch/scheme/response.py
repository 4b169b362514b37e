"""What patches of diffusing particles show because their density is not uniform."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import SchemeError
from gpupatch.lifting.particles import profile_mean
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_density import DensityScheme


def diffusivity_samples(
    scheme: DensityScheme, profile: NDArray[np.float64], axis: int = 0
) -> NDArray[np.float64]:
    """The diffusivity that patches show, from every replica of one burst.

        D = sum_i R_i G_i / sum_i G_i^2

    over all patches i, with R half the difference between what is measured in a patch of given
    density and in its mirror image, c0 + c1 x + c2 x^2 and what lies as far on the other side of
    its mean, with the same random numbers: most of the noise is gone, and so is a drift. Fluxes
    answer to G = -c1, slopes of averages over cores to G = 2 c2.

    Args:
        scheme: of a density, or of the energy of chains.
        profile: densities (energies) along the axis, not uniform, [place, 3], for all members.
        axis: along which they vary.

    Returns:
        D, [replica], in units of length^2/time.

    Raises:
        SchemeError: if a profile is uniform.
    """
    curvature = isinstance(scheme, ParticleBurstScheme)
    drive = np.tile(2 * profile[:, 2] if curvature else -profile[:, 1], scheme.n_members)
    if not drive.any():
        raise SchemeError("patches of uniform density show no diffusion: give them a slope.")
    rows = np.tile(profile, (scheme.n_members, 1))
    return _odd_part(scheme, rows, axis) @ drive / (drive @ drive)


def level_slopes(scheme: ParticleBurstScheme, density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slopes that cores show in patches of uniform density, where nothing should change.

    Args:
        scheme: with densities averaged over cores.
        density: of the patches, [place], for all members.

    Returns:
        Density per time, [replica, member x place].
    """
    profile = np.zeros((len(density), 3))
    profile[:, 0] = density
    rows = np.tile(profile, (scheme.n_members, 1))
    return scheme.run_patches(rows, 0, False).reshape(scheme.burst_spec.replicas, len(rows))


def _odd_part(scheme: DensityScheme, rows: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Half the difference between patches and their mirror images, [replica, patch]."""
    replicas = scheme.burst_spec.replicas
    if isinstance(scheme, ChainFluxScheme):
        return scheme.run_patches(rows, axis, False).reshape(replicas, len(rows))
    mirrored = -rows
    mirrored[:, 0] += 2 * profile_mean(rows, scheme.problem.width[axis])
    stream = scheme.stream
    seen = []
    for one in (rows, mirrored):
        scheme.stream = stream
        seen.append(scheme.run_patches(one, axis, False))
    return ((seen[0] - seen[1]) / 2).reshape(replicas, len(rows))


def contents(
    scheme: DensityScheme, profile: NDArray[np.float64], stream: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What patches hold after a lift.

    Args:
        scheme: of a density, or of the energy of chains, with one replica of a burst.
        profile: densities (energies) that they are lifted with, [place, 3], for all members.
        stream: number that sets the random numbers of this lift apart.

    Returns:
        Density (energy per particle) over whole patches and over their cores, [member x place].
    """
    rows = np.tile(profile, (scheme.n_members, 1))
    width, core = scheme.problem.width, scheme.problem.core_width
    volume, across = float(np.prod(width)), float(np.prod(width)) / width[0]
    if scheme.gas is not None:
        held = scheme.lifted_gas(rows, stream)
        inside = np.abs(scheme.gas.sites(held.shape[1])) <= core / 2
        return held.sum(axis=1) / volume, held[:, inside].sum(axis=1) / (across * core)
    if isinstance(scheme, ChainFluxScheme):
        state = scheme.lifted(rows, stream)
        energy = _energies(scheme, state.positions[:, 0], state.velocities[:, 0])
        inside = np.abs(scheme.places_at_rest) <= core / 2
        return energy.mean(axis=1), energy[:, inside].mean(axis=1)
    state = scheme.lifted(rows, stream)
    inside = np.abs(state.positions[:, 0]) <= core / 2
    mass = np.where(state.present, state.weights, 0.0)
    return mass.sum(axis=1) / volume, (mass * inside).sum(axis=1) / (across * core)


def _energies(scheme: ChainFluxScheme, x, v) -> NDArray[np.float64]:
    """Of all particles of chains, half of a bond belonging to each of its ends, same shape."""
    bond = scheme.stiffness / 2 * np.diff(x, axis=1) ** 2
    energy = (v**2 + scheme.pinning * x**2) / 2
    energy[:, 1:] += bond / 2
    energy[:, :-1] += bond / 2
    return energy

"""What is read off particles, by definition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpupatch.backends._numpy_particle_forces import Acting
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import Core
from gpupatch.particles.state import ParticleState


def observe(
    model: ParticleModel,
    state: ParticleState,
    acting: Acting,
    names: Sequence[str],
    core: Core,
) -> NDArray[np.float64]:
    """Observables of a state, see `gpupatch.particles.observe.COMPONENTS`.

    Args:
        model: the micro-simulator.
        state: the state.
        acting: forces on it.
        names: the observables.
        core: the part of the patch that local observables are of.

    Returns:
        [patch, component].
    """
    columns = [_OBSERVE[name](model, state, acting, core) for name in names]
    columns = [c[:, None] if c.ndim == 1 else c.reshape(len(c), -1) for c in columns]
    return np.concatenate(columns, axis=1) if columns else np.zeros((state.n_patch, 0))


def kinetic_of(model: ParticleModel, state: ParticleState) -> NDArray[np.float64]:
    """M v^2/2 of every particle, [patch, particle]."""
    square = (state.velocities.astype(float) ** 2).sum(axis=1)
    return np.where(state.present, model.mass_of(state.types) * square / 2, 0.0)


def kinetic(model: ParticleModel, state: ParticleState) -> NDArray[np.float64]:
    """Kinetic energy of every patch, [patch]."""
    return kinetic_of(model, state).sum(axis=1)


def _momentum(model, state, acting, core):
    masses = np.where(state.present, model.mass_of(state.types), 0.0)
    return np.einsum("pn,pan->pa", masses, state.velocities)


def _kinetic_stress(model, state, acting, core):
    masses = np.where(state.present, model.mass_of(state.types), 0.0)
    return np.einsum("pn,pan,pbn->pab", masses, state.velocities, state.velocities)


def _heat_flux(model, state, acting, core):
    energy = acting.energy + kinetic_of(model, state)
    carried = np.einsum("pn,pan->pa", energy, state.velocities)
    return carried + np.einsum("pabn,pbn->pa", acting.virial, state.velocities)


def _crossing(model, state, acting, core):
    half = core.width / 2
    place = np.clip(state.positions[:, core.axis], -half, half) / core.width
    return np.where(state.present, state.weights * place, 0.0).sum(axis=1)


def _core_mass(model, state, acting, core):
    x = state.positions[:, core.axis] / core.width
    height = 1.0 if core.kernel == "box" else 1 + np.cos(2 * np.pi * x)
    inside = state.present & (np.abs(x) < 0.5)
    return np.where(inside, state.weights * height, 0.0).sum(axis=1) / core.width


def _bond_flux(model, state, acting, core):
    bonds = model.bonds
    i, j = bonds.pairs.T
    middle = (i + j) / 2 - (state.capacity - 1) / 2
    inside = (np.abs(middle) < core.width / 2) & (j == i + 1)
    i, j = i[inside], j[inside]
    x, v = state.positions[:, 0], state.velocities[:, 0]
    d = x[:, i] - x[:, j]
    r = np.abs(d)
    slope = bonds.potential.values(bonds.potential.derivative, r, bonds.parameters)
    force = -slope * np.sign(d)
    return (-(v[:, i] + v[:, j]) / 2 * force).mean(axis=1)


def _core_energy(model, state, acting, core):
    index = np.arange(state.capacity) - (state.capacity - 1) / 2
    inside = np.abs(index) < core.width / 2
    return (acting.energy + kinetic_of(model, state))[:, inside].mean(axis=1)


def _extension(model, state, acting, core):
    last = np.maximum(state.counts - 1, 0)
    return state.positions[np.arange(state.n_patch), :, last] - state.positions[:, :, 0]


_OBSERVE = {
    "potential": lambda model, state, acting, core: acting.energy.sum(axis=1),
    "kinetic": lambda model, state, acting, core: kinetic(model, state),
    "momentum": _momentum,
    "virial": lambda model, state, acting, core: acting.virial.sum(axis=-1),
    "kinetic_stress": _kinetic_stress,
    "heat_flux": _heat_flux,
    "crossing": _crossing,
    "core_mass": _core_mass,
    "bond_flux": _bond_flux,
    "core_energy": _core_energy,
    "extension": _extension,
}

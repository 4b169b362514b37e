"""The definition of every pass over particles, in NumPy: all pairs, all patches at once.

What other backends lower and order is compared with something that they did not produce. It
computes in float64, whatever the precision asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gpupatch.backends._numpy_particle_forces import Acting, Forces
from gpupatch.backends._numpy_particle_observables import kinetic, kinetic_of, observe
from gpupatch.particles.dynamics import (
    Brownian,
    HardRods,
    Langevin,
    NoseHoover,
    Rescaled,
    VelocityFlips,
)
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.noise import normals, uniforms, words
from gpupatch.particles.observe import Core, ParticlePlan
from gpupatch.particles.state import ParticleState


class NumpyParticles:
    """The passes over one batch of particle patches; handles are states.

    Args:
        model: the micro-simulator.
        dtype: accepted for the sake of the protocol; the definition computes in float64.

    Attributes:
        acting: all forces on a state.
    """

    def __init__(self, model: ParticleModel, dtype: str = "float64"):
        self.model, self.dtype = model, dtype
        self.acting = Forces(model)

    def pack(self, state: ParticleState) -> ParticleState:
        """A copy of a state."""
        self.model.check(state)
        return state.copy()

    def unpack(self, handle: ParticleState) -> ParticleState:
        """A copy of a state."""
        return handle.copy()

    def forces(self, handle: ParticleState) -> NDArray[np.float64]:
        """Forces on all particles, [patch, axis, particle]."""
        return self.acting(handle).force

    def measure(
        self, handle: ParticleState, observables: Sequence[str], core: Core | None = None
    ) -> NDArray[np.float64]:
        """Observables of a state, [patch, component]."""
        acting = self.acting(handle)
        return observe(self.model, handle, acting, observables, core or Core(1.0))

    def burst(self, handle: ParticleState, plan: ParticlePlan) -> NDArray[np.float64]:
        """Run every patch on its own, in place.

        Args:
            handle: the state.
            plan: steps, observables and their weights.

        Returns:
            ``out[q, patch, component]``, the observables summed with the weights of the plan.
        """
        plan.check(self.model.ndim)
        wanted, acting, out = plan.wanted, self.acting(handle), 0.0
        for s in range(plan.n_steps + 1):
            if wanted[s]:
                seen = observe(self.model, handle, acting, plan.observables, plan.core)
                out = out + plan.weights[s][:, None, None] * seen
            if s < plan.n_steps:
                acting = self.step(handle, acting, plan.dt, plan.first + s, plan.stream)
        if np.ndim(out) == 0:
            seen = observe(self.model, handle, acting, plan.observables, plan.core)
            return np.zeros((plan.weights.shape[1], *seen.shape))
        return np.asarray(out)

    def facts(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}

    def step(
        self, state: ParticleState, acting: Acting, h: float, step: int, stream: int
    ) -> Acting:
        """One micro-step, in place.

        Args:
            state: positions, velocities and what the dynamics keeps.
            acting: forces at the beginning.
            h: micro time step.
            step: its number in the run.
            stream: number of the burst, for random numbers.

        Returns:
            Forces at the end.
        """
        return getattr(self, f"_{self.model.dynamics.kind}")(state, acting, h, step, stream)

    def _newton(self, state, acting, h, step, stream) -> Acting:
        self._kick(state, acting, h)
        state.positions += h * state.velocities
        self._walls(state)
        acting = self.acting(state)
        self._kick(state, acting, h)
        return acting

    def _langevin(self, state, acting, h, step, stream) -> Acting:
        kept = np.exp(-cast(Langevin, self.model.dynamics).friction * h)
        temperature = state.controls[:, :1]
        spread = np.sqrt((1 - kept**2) * temperature / self.model.mass_of(state.types))
        xi = self._normals(state, stream, step)
        self._kick(state, acting, h)
        state.positions += h / 2 * state.velocities
        for a in range(state.ndim):
            state.velocities[:, a] = kept * state.velocities[:, a] + spread * xi[a]
        state.positions += h / 2 * state.velocities
        self._walls(state)
        acting = self.acting(state)
        self._kick(state, acting, h)
        return acting

    def _brownian(self, state, acting, h, step, stream) -> Acting:
        mobility = cast(Brownian, self.model.dynamics).mobility
        spread = np.sqrt(2 * mobility * state.controls[:, :1] * h)
        xi = self._normals(state, stream, step)
        for a in range(state.ndim):
            state.positions[:, a] += h * mobility * acting.force[:, a] + spread * xi[a]
        self._walls(state)
        return self.acting(state)

    def _hard_rods(self, state, acting, h, step, stream) -> Acting:
        rods = cast(HardRods, self.model.dynamics)
        spread = np.sqrt(2 * rods.mobility * state.controls[:, 0] * h)
        xi = self._normals(state, stream, step)[0]
        for p, n in enumerate(state.counts):
            x, index = state.positions[p, 0, :n], np.arange(n) - (n - 1) / 2
            y = x - index * rods.length + spread[p] * xi[p, :n]
            free = state.box[p, 0] - n * rods.length
            if self.model.boundary[0] == "periodic":
                y = _ordered_on_ring(y, free)
            elif self.model.boundary[0] == "reflecting":
                y = np.sort(np.abs((y + free / 2 + free) % (2 * free) - free) - free / 2)
            else:
                y = np.sort(y)
            state.positions[p, 0, :n] = y + index * rods.length
        return acting

    def _nose_hoover(self, state, acting, h, step, stream) -> Acting:
        self._bath(state, h)
        acting = self._newton(state, acting, h, step, stream)
        self._bath(state, h)
        return acting

    def _bath(self, state: ParticleState, h: float) -> None:
        g = self.model.degrees_of_freedom(state.counts)
        wanted = g * state.controls[:, 0]
        inertia = wanted * (cast(NoseHoover, self.model.dynamics).period / (2 * np.pi)) ** 2
        for scaled in (True, False):
            state.memory += h / 4 * (2 * kinetic(self.model, state) - wanted) / inertia
            if scaled:
                state.velocities *= np.exp(-state.memory * h / 2)[:, None, None]

    def _rescaled(self, state, acting, h, step, stream) -> Acting:
        acting = self._newton(state, acting, h, step, stream)
        if (step + 1) % cast(Rescaled, self.model.dynamics).every == 0:
            self._scale(state)
        return acting

    def _sheared(self, state, acting, h, step, stream) -> Acting:
        rate = state.controls[:, 1]
        self._kick(state, acting, h)
        state.velocities[:, 0] -= h / 2 * rate[:, None] * state.velocities[:, 1]
        middle = state.positions[:, 1] + h / 2 * state.velocities[:, 1]
        state.positions += h * state.velocities
        state.positions[:, 0] += h * rate[:, None] * middle
        state.memory += h * rate * state.box[:, 1]
        state.memory -= np.rint(state.memory / state.box[:, 0]) * state.box[:, 0]
        acting = self.acting(state)
        state.velocities[:, 0] -= h / 2 * rate[:, None] * state.velocities[:, 1]
        self._kick(state, acting, h)
        self._scale(state)
        return acting

    def _heat_driven(self, state, acting, h, step, stream) -> Acting:
        self._drive(state, acting, h)
        state.positions += h * state.velocities
        acting = self.acting(state)
        self._drive(state, acting, h)
        self._scale(state)
        return acting

    def _drive(self, state: ParticleState, acting: Acting, h: float) -> None:
        there, field = state.present, state.controls[:, 1]
        energy = acting.energy + kinetic_of(self.model, state)
        push = acting.virial[:, 0].copy()
        push[:, 0] += energy
        push -= _mean(push, there)
        force = acting.force + np.where(there, 1.0, 0.0)[:, None] * push * field[:, None, None]
        state.velocities += h / 2 * force

    def _velocity_flips(self, state, acting, h, step, stream) -> Acting:
        acting = self._newton(state, acting, h, step, stream)
        odd = (1 - np.exp(-2 * cast(VelocityFlips, self.model.dynamics).rate * h)) / 2
        shape, first = state.types.shape, self.model.first_patch
        word = words(self.model.seed, stream, step, *shape, first_patch=first)[0]
        state.velocities *= np.where(uniforms(word) < odd, -1.0, 1.0)[:, None]
        return acting

    def _normals(self, state: ParticleState, stream: int, step: int) -> NDArray[np.float64]:
        shape, model = state.types.shape, self.model
        return normals(model.seed, stream, step, *shape, first_patch=model.first_patch)

    def _kick(self, state: ParticleState, acting: Acting, h: float) -> None:
        state.velocities += h / 2 * acting.force / self.model.mass_of(state.types)[:, None]

    def _walls(self, state: ParticleState) -> None:
        for a, boundary in enumerate(self.model.boundary):
            if boundary == "reflecting":
                half = state.box[:, a, None] / 2
                x, v = state.positions[:, a], state.velocities[:, a]
                outside = np.abs(x) > half
                x[outside] = (np.sign(x) * 2 * half - x)[outside]
                v[outside] *= -1

    def _scale(self, state: ParticleState) -> None:
        g = self.model.degrees_of_freedom(state.counts)
        twice = 2 * kinetic(self.model, state)
        factor = np.sqrt(g * state.controls[:, 0] / np.where(twice > 0, twice, 1.0))
        state.velocities *= factor[:, None, None]


def _ordered_on_ring(y: NDArray[np.float64], free: float) -> NDArray[np.float64]:
    """Points on a ring after they have passed each other, put back in order.

    The sum of the positions is that of the free points, as collisions of equal rods conserve it.
    """
    turns = np.floor(y / free)
    wrapped = np.sort(y - turns * free)
    shift = np.arange(len(y)) + int(turns.sum())
    return wrapped[shift % len(y)] + free * np.floor_divide(shift, len(y))


def _mean(values, there):
    count = np.maximum(there.sum(axis=1), 1)[:, None, None]
    return np.where(there[:, None], values, 0.0).sum(axis=2, keepdims=True) / count

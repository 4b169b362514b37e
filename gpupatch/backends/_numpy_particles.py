"""The definition of every pass over particles, in NumPy: all pairs, all patches at once.

Energies and forces are the traced expressions of the model as they stand, so that what other
backends lower and order is compared with something that they did not produce. It computes in
float64, whatever the precision asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from gpupatch.micro.lower import evaluate
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
from gpupatch.particles.potential import CUTOFF
from gpupatch.particles.state import ParticleState

_PAIRS_AT_ONCE = 4_000_000
"""Pairs of particles for which distances are held in memory at the same time."""


class Acting:
    """Forces on the particles of a batch of patches, and what comes with them.

    Attributes:
        force: [patch, axis, particle].
        energy: potential energy of every particle, those of pairs and bonds halved,
            [patch, particle].
        virial: W_i = 1/2 sum_j x_ij F_ij, [patch, axis of x, axis of F, particle].
    """

    def __init__(self, n_patch: int, ndim: int, n: int):
        self.force = np.zeros((n_patch, ndim, n))
        self.energy = np.zeros((n_patch, n))
        self.virial = np.zeros((n_patch, ndim, ndim, n))


class NumpyParticles:
    """The passes over one batch of particle patches; handles are states.

    Args:
        model: the micro-simulator.
        dtype: accepted for the sake of the protocol; the definition computes in float64.
    """

    def __init__(self, model: ParticleModel, dtype: str = "float64"):
        self.model, self.dtype = model, dtype
        self._radial = _Radial(model) if model.pair is not None else None

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

    def acting(self, state: ParticleState) -> Acting:
        """All forces on a state."""
        found = Acting(state.n_patch, state.ndim, state.capacity)
        if self._radial is not None:
            self._pairs(state, found)
        if self.model.bonds is not None:
            self._bonds(state, found)
        if self.model.angles is not None:
            self._angles(state, found)
        if self.model.field is not None:
            self._field(state, found)
        return found

    def separations(self, state: ParticleState, here, there) -> list[NDArray[np.float64]]:
        """x_here - x_there of the nearest images, one array per axis."""
        d = [here[a] - there[a] for a in range(state.ndim)]
        box = state.box.reshape(state.n_patch, state.ndim, *(1,) * (d[0].ndim - 1))
        sheared = self.model.dynamics.kind == "sheared"
        for a in reversed(range(state.ndim)):
            if self.model.boundary[a] == "periodic":
                images = np.rint(d[a] / box[:, a])
                d[a] = d[a] - images * box[:, a]
                if sheared and a == 1:
                    d[0] = d[0] - images * state.memory.reshape(-1, *(1,) * (d[0].ndim - 1))
        return d

    def _pairs(self, state: ParticleState, found: Acting) -> None:
        chunk = max(1, _PAIRS_AT_ONCE // max(1, state.capacity**2))
        for start in range(0, state.n_patch, chunk):
            part = slice(start, start + chunk)
            self._pairs_of(_part(state, part), part, found)

    def _pairs_of(self, state: ParticleState, part: slice, found: Acting) -> None:
        assert self._radial is not None
        assert self.model.pair is not None
        x, there = state.positions, state.present
        d = self.separations(
            state, [x[:, a, :, None] for a in range(state.ndim)],
            [x[:, a, None, :] for a in range(state.ndim)],
        )  # fmt: skip
        r2 = np.add.reduce([one**2 for one in d])
        near = there[:, :, None] & there[:, None, :] & (r2 < self.model.pair.cutoff**2)
        near &= ~np.eye(state.capacity, dtype=bool)
        p, i, j = np.nonzero(near)
        energy, g = self._radial(
            np.sqrt(r2[p, i, j]), state.types[p, i], state.types[p, j]
        )  # fmt: skip
        flat = (p + part.start) * state.capacity + i

        def summed(values):
            size = found.energy.size
            return np.bincount(flat, values, minlength=size).reshape(found.energy.shape)

        found.energy += summed(energy / 2)
        for a in range(state.ndim):
            pull = g * d[a][p, i, j]
            found.force[:, a] += summed(pull)
            for b in range(state.ndim):
                found.virial[:, b, a] += summed(pull * d[b][p, i, j] / 2)

    def _bonds(self, state: ParticleState, found: Acting) -> None:
        bonds = self.model.bonds
        assert bonds is not None
        i, j = bonds.pairs.T
        x = state.positions
        d = self.separations(
            state, [x[:, a, i] for a in range(state.ndim)], [x[:, a, j] for a in range(state.ndim)]
        )
        r = np.sqrt(np.add.reduce([one**2 for one in d]))
        energy = bonds.potential.values(bonds.potential.expression, r, bonds.parameters)
        slope = bonds.potential.values(bonds.potential.derivative, r, bonds.parameters)
        g = -slope / np.where(r > 0, r, 1.0)
        for end, sign in ((i, 1.0), (j, -1.0)):
            _add_at(found.energy, end, energy / 2)
            for a in range(state.ndim):
                _add_at(found.force[:, a], end, sign * g * d[a])
                for b in range(state.ndim):
                    _add_at(found.virial[:, b, a], end, g * d[a] * d[b] / 2)

    def _angles(self, state: ParticleState, found: Acting) -> None:
        angles = self.model.angles
        assert angles is not None
        x, axes = state.positions, range(state.ndim)
        i, j, k = angles.triples.T
        one = self.separations(state, [x[:, a, j] for a in axes], [x[:, a, i] for a in axes])
        two = self.separations(state, [x[:, a, k] for a in axes], [x[:, a, j] for a in axes])
        l1 = np.sqrt(np.add.reduce([d**2 for d in one]))
        l2 = np.sqrt(np.add.reduce([d**2 for d in two]))
        c = np.add.reduce([p * q for p, q in zip(one, two, strict=True)]) / (l1 * l2)
        form = angles.form
        numbers = dict(zip(form.scalars, angles.table[0], strict=True))
        energy, slope = _values(form.statements, (form.energy, form.gradient[0]),
                                {form.arguments[0]: c, **numbers})  # fmt: skip
        _add_at(found.energy, j, np.broadcast_to(energy, c.shape))
        for a in axes:
            first = slope * (two[a] / (l1 * l2) - c * one[a] / l1**2)
            last = -slope * (one[a] / (l1 * l2) - c * two[a] / l2**2)
            _add_at(found.force[:, a], i, first)
            _add_at(found.force[:, a], k, last)
            _add_at(found.force[:, a], j, -first - last)
            for b in axes:
                _add_at(found.virial[:, b, a], i, -one[b] * first)
                _add_at(found.virial[:, b, a], k, two[b] * last)

    def _field(self, state: ParticleState, found: Acting) -> None:
        field = self.model.field
        assert field is not None
        form = field.form
        rows = state.types if field.n_types > 1 else np.zeros_like(state.types)
        values = dict(zip(form.scalars, field.table.T[:, rows], strict=True))
        values |= {
            name: state.positions[:, a] if a < state.ndim else 0.0
            for a, name in enumerate(form.arguments)
        }
        energy, *slopes = _values(form.statements, (form.energy, *form.gradient), values)
        there = state.present
        found.energy += np.where(there, energy, 0.0)
        for a in range(state.ndim):
            found.force[:, a] -= np.where(there, slopes[a], 0.0)

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
        g = degrees_of_freedom(self.model, state.counts)
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
        word = words(self.model.seed, stream, step, *shape, first)[0]
        state.velocities *= np.where(uniforms(word) < odd, -1.0, 1.0)[:, None]
        return acting

    def _normals(self, state: ParticleState, stream: int, step: int) -> NDArray[np.float64]:
        shape, model = state.types.shape, self.model
        return normals(model.seed, stream, step, *shape, model.first_patch)

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
        g = degrees_of_freedom(self.model, state.counts)
        twice = 2 * kinetic(self.model, state)
        factor = np.sqrt(g * state.controls[:, 0] / np.where(twice > 0, twice, 1.0))
        state.velocities *= factor[:, None, None]


class _Radial:
    """Energy and -V'/r of pairs, from the traced expressions."""

    def __init__(self, model: ParticleModel):
        pair = model.pair
        assert pair is not None
        self.pair = pair
        self.energy = pair.potential.truncated(pair.truncation)
        self.slope = sp.diff(self.energy, sp.Symbol("r", real=True))

    def __call__(self, r, a, b):
        rows = (a, b) if self.pair.n_types > 1 else (np.zeros_like(a), np.zeros_like(b))
        values: dict[str, Any] = {name: m[rows] for name, m in self.pair.matrices.items()}
        values |= {"r": r, CUTOFF: np.full(r.shape, self.pair.cutoff)}
        energy = np.broadcast_to(evaluate(self.energy, values), r.shape)
        return energy, -np.broadcast_to(evaluate(self.slope, values), r.shape) / r


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


def degrees_of_freedom(model: ParticleModel, counts: NDArray[np.int32]) -> NDArray[np.float64]:
    """Quadratic terms of the kinetic energy of every patch, see `ParticleModel`."""
    return model.degrees_of_freedom(counts)


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


def _ordered_on_ring(y: NDArray[np.float64], free: float) -> NDArray[np.float64]:
    """Points on a ring after they have passed each other, put back in order.

    The sum of the positions is that of the free points, as collisions of equal rods conserve it.
    """
    turns = np.floor(y / free)
    wrapped = np.sort(y - turns * free)
    shift = np.arange(len(y)) + int(turns.sum())
    return wrapped[shift % len(y)] + free * np.floor_divide(shift, len(y))


def _part(state: ParticleState, part: slice) -> ParticleState:
    return ParticleState(
        state.positions[part], state.velocities[part], state.types[part], state.counts[part],
        state.box[part], state.controls[part], state.weights[part], state.memory[part],
    )  # fmt: skip


def _add_at(total: NDArray[np.float64], index: NDArray[np.int64], values) -> None:
    np.add.at(total.T, index, np.asarray(values).T)


def _mean(values, there):
    count = np.maximum(there.sum(axis=1), 1)[:, None, None]
    return np.where(there[:, None], values, 0.0).sum(axis=2, keepdims=True) / count


def _values(statements, outputs, values: dict[str, Any]):
    known = dict(values)
    for name, expression in statements:
        known[name] = evaluate(expression, known)
    return [evaluate(sp.sympify(e), known) for e in outputs]

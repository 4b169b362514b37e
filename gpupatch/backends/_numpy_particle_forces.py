"""Forces between particles by definition: the traced expressions as they stand, over all pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from gpupatch.memory import numbers, require
from gpupatch.micro.lower import evaluate
from gpupatch.micro.trace import differentiate
from gpupatch.particles.model import ParticleModel
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


class Forces:
    """Everything that acts in the patches of a model: pairs, bonds, angles, a field.

    Args:
        model: the micro-simulator.
    """

    def __init__(self, model: ParticleModel):
        self.model = model
        self._radial = _Radial(model) if model.pair is not None else None

    def __call__(self, state: ParticleState) -> Acting:
        """Forces, energies and virials of a state."""
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
        n = state.capacity
        if n**2 > _PAIRS_AT_ONCE:
            require(
                numbers(state.ndim + 2, n, n),
                f"distances between all {n} particles of a patch",
                "Use the backend `numba` or `cuda`, a lower density or narrower patches.",
            )
        chunk = max(1, _PAIRS_AT_ONCE // max(1, n**2))
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


class _Radial:
    """Energy and -V'/r of pairs, from the traced expressions."""

    def __init__(self, model: ParticleModel):
        pair = model.pair
        assert pair is not None
        self.pair = pair
        self.energy = pair.potential.truncated(pair.truncation)
        self.slope = differentiate(self.energy, sp.Symbol("r", real=True))

    def __call__(self, r, a, b):
        rows = (a, b) if self.pair.n_types > 1 else (np.zeros_like(a), np.zeros_like(b))
        values: dict[str, Any] = {name: m[rows] for name, m in self.pair.matrices.items()}
        values |= {"r": r, CUTOFF: np.full(r.shape, self.pair.cutoff)}
        energy = np.broadcast_to(evaluate(self.energy, values), r.shape)
        return energy, -np.broadcast_to(evaluate(self.slope, values), r.shape) / r


def _part(state: ParticleState, part: slice) -> ParticleState:
    return ParticleState(
        state.positions[part], state.velocities[part], state.types[part], state.counts[part],
        state.box[part], state.controls[part], state.weights[part], state.memory[part],
    )  # fmt: skip


def _add_at(total: NDArray[np.float64], index: NDArray[np.int64], values) -> None:
    np.add.at(total.T, index, np.asarray(values).T)


def _values(statements, outputs, values: dict[str, Any]):
    known = dict(values)
    for name, expression in statements:
        known[name] = evaluate(expression, known)
    return [evaluate(sp.sympify(e), known) for e in outputs]

"""Reservoirs at the ends of a patch: particles come and go there so that the density stays."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from gpupatch.lifting.particles import cumulated, inverse_cumulated, profile_mean
from gpupatch.particles.noise import LIFTING, uniforms, words
from gpupatch.particles.state import ParticleState

_FIRST_STEP = 16
"""Step from which on random numbers are not those of the lift."""


def refilled(
    state: ParticleState,
    profile: NDArray[np.float64],
    axis: int,
    inner: float,
    seed: int,
    stream: int,
    look: int,
    first_patch: int = 0,
) -> ParticleState:
    """Bring the number of particles in the outer parts of patches back to what it should be.

    On each side the part beyond `inner` is to hold the integral of the density there, rounded up
    or down at random. Particles in excess are taken out, chosen at random; missing ones are put in
    with that density. None of this is a displacement: what has moved must be summed between two
    calls.

    Args:
        state: particles, each of which stands for itself; those outside the patch are taken out.
        profile: coefficients of the density, nowhere negative, [patch, 3].
        axis: along which it varies.
        inner: distance from the centre at which the reservoirs begin.
        seed: seed of the run.
        stream: number that sets this burst apart from all others.
        look: number of this call in the burst.
        first_patch: number of the first patch, from which random numbers follow.

    Returns:
        A new state.
    """
    box = state.box[0]
    width, x = float(box[axis]), state.positions[:, axis]
    total = profile_mean(profile, width) * float(np.prod(box))
    edge = np.full((len(profile), 1), inner)
    kept, arrivals = state.present & (np.abs(x) <= width / 2), []
    for number, side in enumerate((-1, 1)):
        first = _FIRST_STEP + 4 * look + 2 * number
        n = max(state.capacity, 1)
        drawn = words(seed, stream | LIFTING, first, len(x), n, first_patch)
        reached = cumulated(profile, width, side * edge)
        low, high = (np.zeros_like(edge), reached) if side < 0 else (reached, np.ones_like(edge))
        wanted = np.floor(total * (high - low)[:, 0] + uniforms(drawn[1][:, 0])).astype(np.int64)
        there = kept & (side * x > inner)
        surplus = there.sum(axis=1) - wanted
        lots = np.where(there, uniforms(drawn[0])[:, : state.capacity], 2.0)
        rank = np.argsort(np.argsort(lots, axis=1), axis=1)
        kept &= ~(there & (rank < surplus[:, None]))
        missing = np.maximum(-surplus, 0)
        n = int(missing.max(initial=0))
        drawn = words(seed, stream | LIFTING, first + 1, len(x), n, first_patch)
        places = [uniforms(w) for w in drawn]
        new = np.empty((len(x), state.ndim, n))
        new[:, axis] = inverse_cumulated(profile, width, low + (high - low) * places[0])
        for k, a in enumerate(a for a in range(state.ndim) if a != axis):
            new[:, a] = places[1 + k] * box[a]
        arrivals.append((new, np.arange(n) < missing[:, None]))
    return _joined(state, kept, arrivals)


def _joined(state: ParticleState, kept, arrivals) -> ParticleState:
    """The particles that were kept and those that came.

    Those that were kept stay where they are in the arrays, because random numbers are numbered by
    place, unless they lie beyond the last one; gaps are filled.
    """
    there = np.concatenate([kept, *(mask for _, mask in arrivals)], axis=1)
    counts = there.sum(axis=1).astype(np.int32)
    n = int(counts.max(initial=0))
    came = there.shape[1] - state.capacity
    place = np.arange(there.shape[1])
    stays = there & (place < counts[:, None]) & (place < state.capacity)
    gaps = np.argsort(stays, axis=1, kind="stable")
    fillers = np.argsort(~(there & ~stays), axis=1, kind="stable")
    order = np.tile(place, (len(there), 1))
    np.put_along_axis(order, gaps, fillers, axis=1)
    order = np.where(stays, place, order)[:, :n]

    def closed(values: NDArray, news: NDArray) -> NDArray:
        whole = np.concatenate([values, news], axis=-1)
        index = order if values.ndim == 2 else order[:, None, :]
        return np.take_along_axis(whole, index, axis=-1)

    rows = (len(kept), came)
    return dataclasses.replace(
        state,
        positions=closed(state.positions, np.concatenate([new for new, _ in arrivals], axis=2)),
        velocities=closed(state.velocities, np.zeros((len(kept), state.ndim, came))),
        types=closed(state.types, np.zeros(rows, np.int32)),
        weights=closed(state.weights, np.ones(rows)),
        counts=counts,
    )

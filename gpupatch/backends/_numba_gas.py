# ruff: noqa: F821
# pyright: reportUndefinedVariable=false
"""The passes over lattice gases, compiled: every patch runs its burst while it is in the cache."""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from gpupatch.backends._cache import load_source
from gpupatch.backends._numba_particle_steps import random_words, uniform
from gpupatch.particles.lattice_gas import KINDS, MOST_EVENTS, LatticeGas, gas_row
from gpupatch.particles.observe import ParticlePlan

_WORTH_THREADS = 50_000
"""Updates of sites from which it pays to share a burst between threads."""

_HEADER = '''"""Passes of gpupatch for lattice gases; named by its content, so do not edit."""

import math

import numba
import numpy as np
from numba import int64, prange

INDEPENDENT, SSEP = {kinds}
MOST_EVENTS = {most}
'''


class NumbaGas:
    """The passes over one batch of patches; handles are particles per site, [patch, site].

    Args:
        gas: the micro-simulator.
    """

    def __init__(self, gas: LatticeGas):
        self.gas = gas

    def pack(self, occupations: NDArray[np.integer]) -> NDArray[np.int32]:
        """A copy of a state."""
        return np.array(occupations, dtype=np.int32, order="C")

    def unpack(self, handle: NDArray[np.int32]) -> NDArray[np.int32]:
        """A copy of a state."""
        return handle.copy()

    def burst(self, handle: NDArray[np.int32], plan: ParticlePlan) -> NDArray[np.float64]:
        """Run every patch on its own, in place; nothing leaves at its ends.

        Args:
            handle: particles per site, [patch, site].
            plan: steps, observables and their weights.

        Returns:
            ``out[q, patch, observable]``, the observables summed with the weights of the plan.
        """
        gas = self.gas
        gas.check_step(plan.dt)
        rows = gas_row(gas, handle.shape[1], plan.observables, plan.core)
        out = np.zeros((plan.weights.shape[1], len(handle), len(rows)))
        low = 0xFFFFFFFF
        words = [gas.seed & low, (gas.seed >> 32) & low, plan.stream & low, gas.first_patch]
        key = np.array(words, np.uint64)
        chance = (gas.hop_probability(plan.dt), 2 * gas.rate * plan.dt)
        threads = numba.get_num_threads() > 1 and handle.size * plan.n_steps >= _WORTH_THREADS
        _compiled(threads).burst_all(
            handle, KINDS.index(gas.kind), chance, key, plan.first, plan.n_steps, plan.wanted,
            np.ascontiguousarray(plan.weights), rows, out,
        )  # fmt: skip
        return out

    def facts(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}


@functools.cache
def _compiled(threads: bool) -> ModuleType:
    parts = [_HEADER.format(kinds=(KINDS.index("independent"), KINDS.index("ssep")),
                            most=MOST_EVENTS)]  # fmt: skip
    for one in (random_words, uniform, binomial, poisson, exchange, hop, visit, sweep, burst_all):
        options = "cache=True, error_model='numpy'"
        options += f", parallel={threads}" if one is burst_all else ""
        parts.append(f"\n\n@numba.njit({options})\n{inspect.getsource(one)}")
    return load_source("".join(parts))


def binomial(n, p, u):
    """The number of successes in n trials, the inverse of its distribution at u."""
    count = 0
    chance = (1.0 - p) ** float(n)
    below = chance
    while u >= below and count < n:
        chance *= (n - count) / (count + 1.0) * (p / (1.0 - p))
        count += 1
        below += chance
    return count


def poisson(mean, u):
    """A Poisson number, the inverse of its distribution at u."""
    count = 0
    chance = math.exp(-mean)
    below = chance
    while u >= below and count < MOST_EVENTS:
        count += 1
        chance *= mean / count
        below += chance
    return count


def exchange(n, parity, p, key, patch, step):
    """Exclusion: the sites of a bond have been exchanged an odd number of times."""
    bonds = (n.size - parity) // 2
    for first in range(0, bonds, 4):
        drawn = random_words(key, first // 4, patch, step)
        for j in range(min(4, bonds - first)):
            i = 2 * (first + j) + parity
            if uniform(drawn[j]) < p:
                n[i], n[i + 1] = n[i + 1], n[i]


def hop(n, parity, p, key, patch, step):
    """Independent walkers: every one has hopped an odd number of times, or not."""
    for bond in range((n.size - parity) // 2):
        i = 2 * bond + parity
        if n[i] + n[i + 1] == 0:
            continue
        drawn = random_words(key, bond, patch, step)
        moved = binomial(n[i], p, uniform(drawn[0])) - binomial(n[i + 1], p, uniform(drawn[1]))
        n[i] -= moved
        n[i + 1] += moved


def visit(n, parity, mean, key, patch, step):
    """Zero range: events move a particle one way or the other, if there is one."""
    for bond in range((n.size - parity) // 2):
        i = 2 * bond + parity
        if n[i] + n[i + 1] == 0:
            continue
        drawn = random_words(key, bond, patch, step)
        for k in range(poisson(mean, uniform(drawn[0]))):
            word = drawn[1] if k < 32 else drawn[2]
            if (word >> np.uint64(k % 32)) & np.uint64(1):
                if n[i] > 0:
                    n[i] -= 1
                    n[i + 1] += 1
            elif n[i + 1] > 0:
                n[i] += 1
                n[i + 1] -= 1


def sweep(n, kind, parity, chance, key, patch, step):
    """Run every second bond of one patch."""
    if kind == SSEP:
        exchange(n, parity, chance[0], key, patch, step)
    elif kind == INDEPENDENT:
        hop(n, parity, chance[0], key, patch, step)
    else:
        visit(n, parity, chance[1], key, patch, step)


def burst_all(occupations, kind, chance, key, first, n_steps, wanted, weights, rows, out):
    """Run all patches, and sum what is read off them."""
    for index in prange(occupations.shape[0]):
        patch = int64(index)
        n = occupations[patch]
        for s in range(n_steps + 1):
            if wanted[s]:
                for r in range(rows.shape[0]):
                    total = 0.0
                    for i in range(n.size):
                        total += rows[r, i] * n[i]
                    for q in range(weights.shape[1]):
                        out[q, patch, r] += weights[s, q] * total
            if s < n_steps:
                sweep(n, kind, 0, chance, key, patch, 2 * (first + s))
                sweep(n, kind, 1, chance, key, patch, 2 * (first + s) + 1)

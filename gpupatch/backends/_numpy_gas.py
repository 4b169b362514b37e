"""The definition of the passes over lattice gases, in NumPy: all patches at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.particles.lattice_gas import MOST_EVENTS, LatticeGas, gas_row
from gpupatch.particles.noise import uniforms, words
from gpupatch.particles.observe import ParticlePlan

Occupations = NDArray[np.int32]


class NumpyGas:
    """The passes over one batch of patches; handles are particles per site, [patch, site].

    Args:
        gas: the micro-simulator.
    """

    def __init__(self, gas: LatticeGas):
        self.gas = gas

    def pack(self, occupations: NDArray[np.integer]) -> Occupations:
        """A copy of a state."""
        return np.array(occupations, dtype=np.int32, order="C")

    def unpack(self, handle: Occupations) -> Occupations:
        """A copy of a state."""
        return handle.copy()

    def burst(self, handle: Occupations, plan: ParticlePlan) -> NDArray[np.float64]:
        """Run every patch on its own, in place; nothing leaves at its ends.

        Args:
            handle: particles per site, [patch, site].
            plan: steps, observables and their weights.

        Returns:
            ``out[q, patch, observable]``, the observables summed with the weights of the plan.
        """
        self.gas.check_step(plan.dt)
        rows = gas_row(self.gas, handle.shape[1], plan.observables, plan.core)
        wanted, weights = plan.wanted, plan.weights
        out = np.zeros((weights.shape[1], len(handle), len(rows)))
        for s in range(plan.n_steps + 1):
            if wanted[s]:
                out += weights[s][:, None, None] * (handle @ rows.T)
            if s < plan.n_steps:
                for parity in (0, 1):
                    self.sweep(handle, parity, plan.dt, plan.first + s, plan.stream)
        return out

    def sweep(self, n: Occupations, parity: int, dt: float, step: int, stream: int) -> None:
        """Run every second bond for a time dt, in place.

        Args:
            n: particles per site, [patch, site].
            parity: 0 for the bonds (0, 1), (2, 3), ..., 1 for the others.
            dt: time.
            step: number of the step in the run.
            stream: number of the burst, for random numbers.
        """
        left, right = n[:, parity : n.shape[1] - 1 : 2], n[:, parity + 1 :: 2]
        if left.size:
            count = left.shape[1] if self.gas.kind != "ssep" else -(-left.shape[1] // 4)
            drawn = words(
                self.gas.seed, stream, 2 * step + parity, len(n), count, self.gas.first_patch
            )
            getattr(self, f"_{self.gas.kind}")(left, right, dt, drawn)

    def facts(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}

    def _ssep(self, left, right, dt: float, drawn) -> None:
        """The two sites have been exchanged an odd number of times."""
        u = uniforms(np.stack(drawn, axis=-1).reshape(len(left), -1)[:, : left.shape[1]])
        swapped = u < self.gas.hop_probability(dt)
        before = left.copy()
        left[...] = np.where(swapped, right, left)
        right[...] = np.where(swapped, before, right)

    def _independent(self, left, right, dt: float, drawn) -> None:
        """Every particle has hopped an odd number of times, or not."""
        p = self.gas.hop_probability(dt)
        moved = _binomial(left, p, uniforms(drawn[0])) - _binomial(right, p, uniforms(drawn[1]))
        left -= moved
        right += moved

    def _zero_range(self, left, right, dt: float, drawn) -> None:
        """Events come at 2 rate; each moves a particle one way or the other, if there is one."""
        events = _poisson(2 * self.gas.rate * dt, uniforms(drawn[0]))
        for k in range(int(events.max())):
            bit = (drawn[1 + k // 32] >> np.uint64(k % 32)) & np.uint64(1)
            acts = k < events
            onward = acts & (bit == 1) & (left > 0)
            back = acts & (bit == 0) & (right > 0)
            moved = onward.astype(np.int32) - back.astype(np.int32)
            left -= moved
            right += moved


def _binomial(n: Occupations, p: float, u: NDArray[np.float64]) -> Occupations:
    """Numbers of successes in n trials, the inverse of their distribution at u."""
    count = np.zeros(n.shape, dtype=np.int32)
    chance = (1 - p) ** n.astype(float)
    below = chance.copy()
    while np.any(more := (u >= below) & (count < n)):
        chance = np.where(more, chance * ((n - count) / (count + 1.0) * (p / (1 - p))), chance)
        count += more
        below = np.where(more, below + chance, below)
    return count


def _poisson(mean: float, u: NDArray[np.float64]) -> Occupations:
    """Poisson numbers, the inverse of their distribution at u."""
    count = np.zeros(u.shape, dtype=np.int32)
    chance = np.exp(-mean)
    below = chance
    for k in range(1, MOST_EVENTS + 1):
        more = u >= below
        if not more.any():
            break
        count += more
        chance = chance * (mean / k)
        below = below + chance
    return count

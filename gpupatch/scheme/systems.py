"""The schemes as the systems that projective methods leap over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gpupatch.arrays import Handle, Macro
from gpupatch.burst import Burst, slope_weights
from gpupatch.errors import SchemeError
from gpupatch.scheme.memory import Remembering

if TYPE_CHECKING:
    from gpupatch.scheme.base import MeasuringScheme
    from gpupatch.scheme.coupled import CoupledScheme

DEFAULT_STEPS = 24
"""Micro-steps per burst of the `coupled` scheme when nothing else is said."""


class MeasuredSystem(Remembering):
    """Coarse values and their slopes from bursts: the `burst` and `flux` schemes."""

    def __init__(self, scheme: MeasuringScheme):
        self.scheme = scheme

    @property
    def burst_length(self) -> float:
        """Model time of one burst."""
        return self.scheme.burst_spec.length

    @property
    def inner_step(self) -> float:
        """Model time of one burst, the least that this system simulates."""
        return self.scheme.burst_spec.length

    def slope(self, t: float, U: Macro) -> Macro:
        """The healed slope, averaged over replicas of the burst."""
        n = self.scheme.burst_spec.replicas if self.scheme.problem.rule.noise else 1
        if n == 1:
            return self.scheme.slope(t, U)
        return self.scheme.combine([(1 / n, self.scheme.slope(t, U)) for _ in range(n)])

    def burst(self, t: float, U: Macro) -> tuple[Macro, Macro]:
        """Coarse values after one burst, and the slope at its end."""
        return self.scheme.burst(t, U)

    def inner(self, t: float, U: Macro, steps: int, dt: float) -> Macro:
        """Refused: a patch cannot be simulated longer than its buffers allow.

        Raises:
            SchemeError: always.
        """
        raise SchemeError(
            f"the `{self.scheme.kind}` scheme cannot simulate {steps * dt:.3g} without leaping: a "
            "burst is as long as its buffers protect it. Use `euler`, `rk2`, `rk4`, `ab2`-`ab4` or "
            "`adaptive`, or a `step` well above the length of a burst."
        )

    def axpy(self, terms: Sequence[tuple[float, Handle]]) -> Handle:
        """The linear combination sum of weight * U."""
        return self.scheme.combine(terms)

    def error_norm(self, error: Handle, U: Handle, tolerance: float) -> float:
        """Largest |error| / (tolerance (1 + |U|))."""
        return float((np.abs(error) / (tolerance * (1 + np.abs(U)))).max())

    def unpack(self, U: Handle) -> np.ndarray:
        """The coarse values on the host."""
        return self.scheme.download(U)

    def pack(self, values: np.ndarray) -> Handle:
        """The coarse values where the scheme keeps them."""
        return self.scheme.upload(values)


class CoupledSystem(Remembering):
    """The micro field of all coupled patches, leapt over as a whole."""

    remembered = ("_dt",)

    def __init__(self, scheme: CoupledScheme, burst: Burst | None, inner: int | None):
        self.scheme, self._burst, self._count = scheme, burst, inner or DEFAULT_STEPS
        self._dt: float | None = None
        self._held = False

    @property
    def inner_step(self) -> float:
        """The micro time step."""
        if self._dt is None:
            raise SchemeError("the coupled scheme has no state yet: call `prepare` first.")
        return self._dt

    @property
    def burst_length(self) -> float:
        """Model time of one burst."""
        return self._burst.length if self._burst else self._count * self.inner_step

    def prepare(self, t: float, u: Handle) -> None:
        """Choose the micro time step for this state."""
        if self._dt is None or not (self._held or self.scheme.keeps_dt):
            self._dt = self.scheme.stable_dt(u, t)

    def hold(self, dt: float) -> None:
        """Take this micro time step from now on, whatever the state."""
        self._dt, self._held = dt, True

    def slope(self, t: float, u: Handle) -> Handle:
        """Healed slope of the micro field, extrapolated back to the base time."""
        self.prepare(t, u)
        burst = self._burst or Burst(self._count * self.inner_step)
        n_steps, dt = burst.steps(self.inner_step)
        weights = slope_weights(burst, n_steps, dt)
        state, terms, done = self.scheme.copy(u), [], 0
        for step in np.flatnonzero(weights):
            state = self._advance(t + done * dt, state, int(step) - done, dt)
            done = int(step)
            terms.append((float(weights[step]), self.scheme.copy(state)))
        return self.scheme.kernels.axpy(terms)

    def burst(self, t: float, u: Handle) -> tuple[Handle, Handle]:
        """State after one burst, and its rate there."""
        self.prepare(t, u)
        steps = max(1, int(np.ceil(self.burst_length / self.inner_step * (1 - 1e-12))))
        end = self.inner(t, u, steps, self.burst_length / steps)
        return end, self.scheme.rate(end, t + self.burst_length)

    def inner(self, t: float, u: Handle, steps: int, dt: float) -> Handle:
        """State after some micro-steps."""
        return self._advance(t, self.scheme.copy(u), steps, dt)

    def axpy(self, terms: Sequence[tuple[float, Handle]]) -> Handle:
        """The linear combination sum of weight * u."""
        return self.scheme.kernels.axpy(terms)

    def error_norm(self, error: Handle, u: Handle, tolerance: float) -> float:
        """Largest |error| / (tolerance (1 + largest |u|))."""
        kernels = self.scheme.kernels
        return kernels.norm(error) / (tolerance * (1 + kernels.norm(u)))

    def unpack(self, u: Handle) -> np.ndarray:
        """Values at all sites."""
        return self.scheme.kernels.unpack(u)

    def pack(self, values: np.ndarray) -> Handle:
        """A state from values at all sites."""
        return self.scheme.kernels.pack(values)

    def _advance(self, t: float, u: Handle, steps: int, dt: float) -> Handle:
        every = self.scheme.every
        if steps % every:
            raise SchemeError(
                f"a burst of {steps} micro-steps is no whole number of the {every} steps between "
                "couplings. Change `burst.length`, `time.inner` or `scheme.every`."
            )
        return self.scheme.advance(u, t, dt, steps) if steps else u

"""What a projective integrator asks of the thing it integrates."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gpupatch.arrays import Handle
from gpupatch.steps import count_steps


class System(Protocol):
    """A micro-simulator dressed as something that can be leapt over.

    States and slopes are handles whose inside only the system knows: a host array, a device array,
    a scheme's own record. Integrators pass them on and combine them through `axpy`, nothing else.

    ==============================  =====================================
    family of methods               members it calls
    ==============================  =====================================
    oracle (euler, rk2, rk4, ab*)   ``slope``, ``axpy``
    adaptive                        ``slope``, ``axpy``, ``error_norm``
    implicit                        ``slope``, ``pack``, ``unpack``
    anchored (prk2, prk4)           ``burst``, ``inner``, ``axpy``
    pfe, telescopic, none           ``inner``, ``axpy``
    ==============================  =====================================

    A system that cannot offer a member raises `SchemeError` from it, saying why.
    """

    @property
    def burst_length(self) -> float:
        """Model time consumed by one burst; 0 for a plain ODE oracle."""
        ...

    @property
    def inner_step(self) -> float:
        """Longest micro time step that `inner` may be asked for."""
        ...

    def slope(self, t: float, U: Handle, /) -> Handle:
        """Healed slow slope dU/dt, extrapolated back to the base time `t`."""
        ...

    def burst(self, t: float, U: Handle, /) -> tuple[Handle, Handle]:
        """State after one burst of `burst_length` from (t, U), and dU/dt at its end."""
        ...

    def inner(self, t: float, U: Handle, steps: int, dt: float, /) -> Handle:
        """State after `steps` micro time steps of size `dt`, nothing leapt over."""
        ...

    def axpy(self, terms: Sequence[tuple[float, Handle]], /) -> Handle:
        """The linear combination sum of weight * handle, as a new handle."""
        ...

    def error_norm(self, error: Handle, U: Handle, tolerance: float, /) -> float:
        """Size of `error` beside `U` in units of `tolerance`; at most 1 is accepted."""
        ...

    def unpack(self, U: Handle, /) -> np.ndarray:
        """The state as a host array, for solvers that work outside the system."""
        ...

    def pack(self, values: np.ndarray, /) -> Handle:
        """The handle of the state that `unpack` would show as `values`."""
        ...


def simulate(system: System, t: float, U: Handle, duration: float) -> Handle:
    """Run the micro-simulator through `duration` without leaping, in equal inner steps."""
    steps = even_count(duration, system.inner_step)
    return system.inner(t, U, steps, duration / steps)


def even_count(span: float, step: float) -> int:
    """Least number of equal steps, none longer than `step`, that fill `span`.

    A step longer by one part in 1e9 is let through, so that a span that is a whole number of steps
    up to round-off is not cut once more.
    """
    return count_steps(span, step, slack=1e-9)

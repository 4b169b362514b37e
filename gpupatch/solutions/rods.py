"""Brownian hard rods on a line: their nonlinear diffusion, solved by taking the rods out."""

from __future__ import annotations

import numpy as np

from gpupatch.errors import InputError
from gpupatch.solutions.registry import Array, exact_solution, positive

_POINTS, _MODES = 512, 64
"""Points of the quadrature over a period, and waves that are kept."""
_ITERATIONS = 60


@exact_solution(equation="u_t = D (u/(1 - a u))_xx")
def hard_rods(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    length: float,
    wavenumber: float,
    mean: float,
    amplitude: float,
    diffusivity: float = 1.0,
) -> dict[str, Array]:
    """The density of hard rods, begun as mean + amplitude cos(k x): D(u) = D/(1 - a u)^2.

    With the rods taken out, y = x - a int_0^x u, the density s = u/(1 - a u) of what is left obeys
    the heat equation, so that its waves decay on their own,

        s = sum_m c_m exp(-D (m q)^2 t) cos(m q y),    q = k/(1 - a mean),
        c_m = (2/Y) int_0^L u(x, 0) cos(m q y(x)) dx,  Y = 2 pi/q,  L = 2 pi/k,

    and x = y + a int_0^y s leads back. Valid for t >= 0 and all x, as long as the rods have room
    everywhere: a (mean + |amplitude|) < 1.

    Args:
        coordinates: x.
        t: time.
        length: a, of a rod.
        wavenumber: k, radians per unit length.
        mean: mean density, rods per length.
        amplitude: of the wave at t = 0.
        diffusivity: D, of one rod alone.

    Raises:
        InputError: if the rods have no room, or t < 0.

    Source: Tonks (1936) for the reduced positions [Tonks1936]; Harris (1965) for rods as points
    that change places [Harris1965].
    """
    positive(length=length, wavenumber=wavenumber, mean=mean, diffusivity=diffusivity)
    if not length * (mean + abs(amplitude)) < 1 or not abs(amplitude) <= mean:
        raise InputError(
            f"rods of length {length} have no room at a density of {mean} +- {abs(amplitude)}; "
            "length * density must be below 1, and the density must not be negative."
        )
    if t < 0:
        raise InputError(f"the solution `hard_rods` exists for t >= 0; found {t}.")
    k, q = wavenumber, wavenumber / (1 - length * mean)
    x = np.arange(_POINTS) / _POINTS * 2 * np.pi / k
    y = x - length * (mean * x + amplitude / k * np.sin(k * x))
    m = np.arange(1, _MODES + 1)
    density = mean + amplitude * np.cos(k * x)
    c = 2 * (q / k) * np.mean(density * np.cos(np.outer(m * q, y)), axis=1)
    c = c * np.exp(-diffusivity * (m * q) ** 2 * t)
    level = mean / (1 - length * mean)

    def reduced(place: Array) -> tuple[Array, Array]:
        angle = np.multiply.outer(place, m * q)
        s = level + np.cos(angle) @ c
        return s, place * (1 + length * level) + length * (np.sin(angle) @ (c / (m * q)))

    target = np.asarray(coordinates[0], dtype=np.float64)
    place = target * (1 - length * mean)
    for _ in range(_ITERATIONS):
        s, reached = reduced(place)
        step = (reached - target) / (1 + length * s)
        place = place - step
        if np.max(np.abs(step), initial=0.0) * k < 1e-15:
            break
    s, _ = reduced(place)
    return {"u": s / (1 + length * s)}

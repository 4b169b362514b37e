"""Waves of u_tt = c^2 lap u, written as the pair u and v = u_t."""

from __future__ import annotations

import numpy as np

from gpupatch.solutions.registry import Array, Numbers, exact_solution
from gpupatch.solutions.tables import lattice_wavenumbers, plane_waves, product_modes


@exact_solution(equation="u_t = v, v_t = c^2 lap u", fields="u v", ndim=(1, 2, 3))
def standing_wave(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    wavenumbers: Numbers,
    amplitudes: Numbers = 1.0,
    phases: Numbers = 0.0,
    speed: float = 1.0,
    spacing: Numbers = 0.0,
) -> dict[str, Array]:
    """Sum of standing product waves that start at rest.

        u = sum_m A_m cos(w_m t) prod_i cos(k_mi x_i - phi_mi),        w_m = c |q_m|

    with q = k on the continuum and q = (2 / dx) sin(k dx / 2) on the lattice of second
    differences of spacing dx. A phase of pi/2 turns a cosine into a sine. Valid for all x and t.

    Args:
        coordinates: x, y, z.
        t: time.
        wavenumbers: k, radians per unit length, [mode, axis]; a flat list is [mode] in 1-D
            and [axis] otherwise.
        amplitudes: A, [mode] or one for all.
        phases: phi, radians, [mode, axis], as `wavenumbers`.
        speed: c.
        spacing: dx, one number or one per axis; 0 is the continuum.

    Returns:
        `u` and `v`.

    Raises:
        InputError: the parameters do not fit each other or the number of axes.
    """
    axes = len(coordinates)
    k, phi, amplitude = product_modes(wavenumbers, phases, amplitudes, axes)
    u, v = np.zeros(()), np.zeros(())
    for m, omega in enumerate(_frequencies(k, speed, spacing)):
        shape = amplitude[m]
        for i, x in enumerate(coordinates):
            shape = shape * np.cos(k[m, i] * x - phi[m, i])
        u = u + shape * np.cos(omega * t)
        v = v - shape * omega * np.sin(omega * t)
    return {"u": u, "v": v}


@exact_solution(equation="u_t = v, v_t = c^2 lap u", fields="u v", ndim=(1, 2, 3))
def travelling_wave(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    wavenumbers: Numbers,
    amplitudes: Numbers = 1.0,
    phases: Numbers = 0.0,
    speed: float = 1.0,
    spacing: Numbers = 0.0,
) -> dict[str, Array]:
    """Sum of plane waves, each moving along its own wave vector.

        u = sum_m A_m cos(k_m . x - w_m t - phi_m),        w_m = c |q_m|

    with q = k on the continuum and q = (2 / dx) sin(k dx / 2) on the lattice of second
    differences of spacing dx. Reverse the wave vector to reverse the motion. Valid for all x, t.

    Args:
        coordinates: x, y, z.
        t: time.
        wavenumbers: k, radians per unit length, [mode, axis]; a flat list is [mode] in 1-D
            and [axis] otherwise.
        amplitudes: A, [mode] or one for all.
        phases: phi, radians, [mode] or one for all.
        speed: c.
        spacing: dx, one number or one per axis; 0 is the continuum.

    Returns:
        `u` and `v`.

    Raises:
        InputError: the parameters do not fit each other or the number of axes.
    """
    axes = len(coordinates)
    k, phi, amplitude = plane_waves(wavenumbers, phases, amplitudes, axes)
    u, v = np.zeros(()), np.zeros(())
    for m, omega in enumerate(_frequencies(k, speed, spacing)):
        angle = sum((k[m, i] * x for i, x in enumerate(coordinates)), -omega * t - phi[m])
        u = u + amplitude[m] * np.cos(angle)
        v = v + amplitude[m] * omega * np.sin(angle)
    return {"u": u, "v": v}


def _frequencies(k: Array, speed: float, spacing: Numbers) -> Array:
    return speed * np.sqrt(np.sum(lattice_wavenumbers(k, spacing) ** 2, axis=1))

"""Modes of linear diffusion: each keeps its shape and decays at its own rate."""

from __future__ import annotations

import numpy as np

from gpupatch.errors import InputError
from gpupatch.solutions.registry import Array, Numbers, exact_solution
from gpupatch.solutions.tables import lattice_wavenumbers, per_axis, plane_waves, product_modes


@exact_solution(equation="u_t = D lap u", ndim=(1, 2, 3))
def heat_mode(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    wavenumbers: Numbers,
    amplitudes: Numbers = 1.0,
    phases: Numbers = 0.0,
    offset: float = 0.0,
    diffusivity: Numbers = 1.0,
    spacing: Numbers = 0.0,
) -> dict[str, Array]:
    """Sum of product modes of the heat equation, on a continuum or on a lattice.

        u = offset + sum_m A_m exp(-t sum_i D_i q_mi^2) prod_i cos(k_mi x_i - phi_mi)

    with q = k on the continuum and q = (2 / dx) sin(k dx / 2) on the lattice of second
    differences of spacing dx. A phase of pi/2 turns a cosine into a sine. Valid for all x and t.

    Args:
        coordinates: x, y, z.
        t: time.
        wavenumbers: k, radians per unit length, [mode, axis]; a flat list is [mode] in 1-D
            and [axis] otherwise.
        amplitudes: A, [mode] or one for all.
        phases: phi, radians, [mode, axis], as `wavenumbers`.
        offset: the mean.
        diffusivity: D, one number or one per axis.
        spacing: dx, one number or one per axis; 0 is the continuum.

    Returns:
        `u`.

    Raises:
        InputError: the parameters do not fit each other or the number of axes.

    Source: Carslaw and Jaeger (1959) [CarslawJaeger1959].
    """
    axes = len(coordinates)
    k, phi, amplitude = product_modes(wavenumbers, phases, amplitudes, axes)
    rates = per_axis("diffusivity", diffusivity, axes) * lattice_wavenumbers(k, spacing) ** 2
    u: Array = np.asarray(offset)
    for m, decay in enumerate(np.exp(-t * rates.sum(axis=1))):
        mode = amplitude[m] * decay
        for i, x in enumerate(coordinates):
            mode = mode * np.cos(k[m, i] * x - phi[m, i])
        u = u + mode
    return {"u": u}


@exact_solution(equation="u_t = div(A grad u), A constant", ndim=(1, 2, 3))
def homogenised_mode(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    wavenumbers: Numbers,
    effective: Numbers,
    amplitudes: Numbers = 1.0,
    phases: Numbers = 0.0,
    mean: float = 0.0,
) -> dict[str, Array]:
    """Mean and plane waves that diffuse through a homogenised medium.

        u = mean + sum_m A_m exp(-t k_m . A k_m) cos(k_m . x - phi_m)

    This is the limit of u_t = div(a(x / eps) grad u) for eps -> 0, with A the effective tensor
    of a. The error against the medium itself is of order eps. Valid for all x and t.

    Args:
        coordinates: x, y, z.
        t: time.
        wavenumbers: k, radians per unit length, [mode, axis]; a flat list is [mode] in 1-D
            and [axis] otherwise.
        effective: A: one number, one per axis (diagonal), or a symmetric [axis, axis] tensor.
        amplitudes: A_m, [mode] or one for all.
        phases: phi, radians, [mode] or one for all.
        mean: mean of u.

    Returns:
        `u`.

    Raises:
        InputError: the parameters do not fit each other or the number of axes.

    Source: Pavliotis and Stuart (2008), chapter 13 [PavliotisStuart2008].
    """
    axes = len(coordinates)
    k, phi, amplitude = plane_waves(wavenumbers, phases, amplitudes, axes)
    tensor = np.asarray(effective)
    if tensor.ndim < 2:
        tensor = np.diag(per_axis("effective", effective, axes))
    if tensor.shape != (axes, axes) or not np.array_equal(tensor, tensor.T):
        raise InputError(
            f"`effective` must be a number, {axes} numbers or a symmetric {axes} x {axes} "
            f"tensor; found an array of shape {tensor.shape}."
        )
    decay = np.exp(-t * np.einsum("mi,ij,mj->m", k, tensor, k))
    return {"u": mean + _superpose(coordinates, k, phi, amplitude * decay)}


@exact_solution(equation="u_t = -c . grad u + D lap u", ndim=(1, 2, 3))
def advected_heat_mode(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    wavenumbers: Numbers,
    velocity: Numbers,
    diffusivity: float,
    amplitudes: Numbers = 1.0,
    phases: Numbers = 0.0,
    offset: float = 0.0,
    spacing: Numbers = 0.0,
) -> dict[str, Array]:
    """Plane waves that drift with a constant velocity and diffuse.

        u = offset + sum_m A_m exp(-D |q_m|^2 t) cos(k_m . x - w_m t - phi_m)

    On the continuum q = k and w = c . k. On the lattice of central differences of spacing dx,
    q = (2 / dx) sin(k dx / 2) and w = sum_i c_i sin(k_i dx) / dx. Valid for all x and t.

    Args:
        coordinates: x, y, z.
        t: time.
        wavenumbers: k, radians per unit length, [mode, axis]; a flat list is [mode] in 1-D
            and [axis] otherwise.
        velocity: c, one number or one per axis.
        diffusivity: D.
        amplitudes: A, [mode] or one for all.
        phases: phi, radians, [mode] or one for all.
        offset: the mean.
        spacing: dx, one number or one per axis; 0 is the continuum.

    Returns:
        `u`.

    Raises:
        InputError: the parameters do not fit each other or the number of axes.

    Source: Carslaw and Jaeger (1959) [CarslawJaeger1959].
    """
    axes = len(coordinates)
    k, phi, amplitude = plane_waves(wavenumbers, phases, amplitudes, axes)
    decay = np.exp(-diffusivity * t * np.sum(lattice_wavenumbers(k, spacing) ** 2, axis=1))
    slope = k * np.sinc(k * per_axis("spacing", spacing, axes) / np.pi)
    drift = slope @ per_axis("velocity", velocity, axes) * t
    return {"u": offset + _superpose(coordinates, k, phi + drift, amplitude * decay)}


@exact_solution(equation="du/dt = D (second differences of u over dx, dy)", ndim=(2,))
def exp_sin_cos_lattice(
    coordinates: tuple[Array, ...], t: float, *, spacing: Numbers, diffusivity: float = 1.0
) -> dict[str, Array]:
    """Decay of exp(sin x + cos y) under the heat equation of a lattice.

    The initial state is a product of Fourier series in x and in y, and each harmonic n decays at
    D (4 / dx^2) sin^2(n dx / 2). It holds at every point of the plane, not only on one lattice:

        u_t = D [u(x + dx) - 2 u + u(x - dx)] / dx^2 + same in y.

    Valid for t >= 0, and for all t within round-off of the highest harmonic; spacing 0 is the
    continuum.

    Args:
        coordinates: x, y; the solution has period 2 pi in both.
        t: time.
        spacing: dx and dy, one number or two.
        diffusivity: D.

    Returns:
        `u`.

    Raises:
        InputError: `spacing` is neither one number nor two.
    """
    x, y = coordinates
    points, harmonics = 64, np.arange(1, 24)
    # the tail beyond harmonic 23 is below 1e-30
    angles = 2 * np.pi * np.arange(points) / points
    coefficients = np.fft.rfft(np.exp(np.cos(angles))).real / points
    q = lattice_wavenumbers(np.column_stack([harmonics, harmonics]).astype(np.float64), spacing)
    decayed = 2 * coefficients[harmonics, None] * np.exp(-diffusivity * t * q**2)
    along_x = coefficients[0] + np.cos(np.multiply.outer(x - np.pi / 2, harmonics)) @ decayed[:, 0]
    along_y = coefficients[0] + np.cos(np.multiply.outer(y, harmonics)) @ decayed[:, 1]
    return {"u": along_x * along_y}


def _superpose(coordinates: tuple[Array, ...], k: Array, phi: Array, amplitude: Array) -> Array:
    u = np.zeros(())
    for m in range(len(k)):
        angle = sum((k[m, i] * x for i, x in enumerate(coordinates)), -phi[m])
        u = u + amplitude[m] * np.cos(angle)
    return u

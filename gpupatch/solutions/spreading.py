"""What diffuses from one place: a mass released, or a wall set in motion."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from gpupatch.errors import InputError
from gpupatch.solutions.registry import Array, Numbers, exact_solution, positive
from gpupatch.solutions.tables import per_axis


@exact_solution(equation="u_t = D lap u", ndim=(1, 2, 3))
def gaussian_heat(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    mass: float = 1.0,
    diffusivity: float = 1.0,
    width: float = 0.0,
    centre: Numbers = 0.0,
    offset: float = 0.0,
) -> dict[str, Array]:
    """Gaussian that spreads by diffusion; the heat kernel when its first width is 0.

        u = offset + M (2 pi s^2)^{-d/2} exp(-|x - x_0|^2 / (2 s^2)),    s^2 = width^2 + 2 D t

    Valid in all of space for s^2 > 0.

    Args:
        coordinates: x, y, z.
        t: time.
        mass: M, integral of u - offset.
        diffusivity: D > 0.
        width: standard deviation at t = 0.
        centre: x_0, one number or one per axis.
        offset: value far away.

    Returns:
        `u`.

    Raises:
        InputError: s^2 is not positive, or a parameter is out of range.

    Source: Carslaw and Jaeger (1959) [CarslawJaeger1959].
    """
    positive(diffusivity=diffusivity)
    variance = width**2 + 2 * diffusivity * t
    if variance <= 0:
        raise InputError(
            f"`gaussian_heat` is a point release at t = {t} for `width={width}`. Give a positive "
            "`width` or a later start."
        )
    d = len(coordinates)
    peak = mass / (2 * math.pi * variance) ** (d / 2)
    square = _squared_distance(coordinates, centre)
    return {"u": offset + peak * np.exp(-square / (2 * variance))}


@exact_solution(equation="u_t = D lap(u^m)", ndim=(1, 2, 3))
def barenblatt(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    exponent: float = 2.0,
    mass: float = 1.0,
    diffusivity: float = 1.0,
    centre: Numbers = 0.0,
) -> dict[str, Array]:
    """Gas released at a point of a porous medium, spreading behind a sharp front.

    With s = D t, beta = 1 / (d (m - 1) + 2) and k = beta (m - 1) / (2 m),

        u = s^{-d beta} max(C - k xi^2, 0)^{1 / (m - 1)},        xi = |x - x_0| s^{-beta}

    and C such that the integral of u is M. The front lies at xi = sqrt(C / k). Valid in all of
    space for t > 0; at the front u is continuous but, for m >= 2, not differentiable.

    Args:
        coordinates: x, y, z.
        t: time since the release, positive.
        exponent: m > 1.
        mass: M > 0.
        diffusivity: D > 0.
        centre: x_0, one number or one per axis.

    Returns:
        `u`.

    Raises:
        InputError: t is not positive or a parameter is out of range.

    Source: Barenblatt (1952); Vazquez (2007) [Barenblatt1952] [Vazquez2007].
    """
    positive(mass=mass, diffusivity=diffusivity, t=t)
    if not exponent > 1:
        raise InputError(f"`exponent` must exceed 1 for a front of finite speed; found {exponent}.")
    d, power = len(coordinates), 1 / (exponent - 1)
    beta = 1 / (d * (exponent - 1) + 2)
    k = beta * (exponent - 1) / (2 * exponent)
    unit_mass = math.pi ** (d / 2) * math.gamma(power + 1) / math.gamma(power + 1 + d / 2)
    constant = (mass * k ** (d / 2) / unit_mass) ** (1 / (power + d / 2))
    s = diffusivity * t
    pressure = constant - k * _squared_distance(coordinates, centre) * s ** (-2 * beta)
    return {"u": s ** (-d * beta) * np.maximum(pressure, 0) ** power}


def _squared_distance(coordinates: tuple[Array, ...], centre: Numbers) -> Array:
    origin = per_axis("centre", centre, len(coordinates))
    return np.asarray(sum((x - x0) ** 2 for x, x0 in zip(coordinates, origin, strict=True)))


@exact_solution(equation="u_t = D u_xx between walls, from rest, one wall set in motion")
def couette_start(
    coordinates: tuple[Array, ...],
    t: float,
    *,
    diffusivity: float = 1.0,
    width: float = 1.0,
    start: float = 0.0,
    speed: float = 1.0,
) -> dict[str, Array]:
    """Flow between a wall at rest and a wall that has begun to move: Couette's, as it starts.

        u = speed sum_k [erfc(((2 k + 1) L - y) / (2 sqrt(D t))) - erfc(((2 k + 1) L + y) / ...)]

    with y = x - start. Valid for 0 <= y <= L and t >= 0; u = speed y/L in the end. The same holds
    for a temperature between two walls of which one is heated.

    Args:
        coordinates: x.
        t: time since the wall has moved.
        diffusivity: D, for a flow the kinematic viscosity.
        width: L, distance of the walls.
        start: position of the wall at rest.
        speed: of the other wall, or the difference between the two.

    Returns:
        `u`.

    Raises:
        InputError: t is negative, or a parameter is not positive.

    Source: Carslaw and Jaeger (1959), chapter 12 [CarslawJaeger1959].
    """
    positive(diffusivity=diffusivity, width=width)
    if t < 0:
        raise InputError(f"`couette_start` begins at t = 0; it was asked for at t = {t}.")
    (x,) = coordinates
    # beyond eight widths the flow is steady up to exp(-16 pi^2)
    y, length = x - start, min(max(2 * math.sqrt(diffusivity * t), 1e-200), 8 * width)
    images = 2 * np.arange(2 + math.ceil(3 * length / width)) + 1
    odd = images.reshape(-1, *(1,) * y.ndim) * width
    reached = special.erfc((odd - y) / length) - special.erfc((odd + y) / length)
    return {"u": speed * reached.sum(axis=0)}

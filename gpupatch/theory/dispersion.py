"""Closed-form eigenvalues of patch schemes on periodic, uniform media.

A coarse wave exp(i k X_j) on patches of spacing H advances by the angle theta = k H from patch to
patch. Everything a linear scheme does to it follows from the number by which interpolation
multiplies the wave when it carries the centre of a patch to its edge, `shift_symbol`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.errors import InputError

Order: TypeAlias = int | Literal["spectral"]


def discrete_wavenumber(wavenumber: ArrayLike, spacing: ArrayLike) -> NDArray[np.float64]:
    """Wave number that the second difference of a lattice sees.

    The second difference of exp(i k x) over spacing dx is -q^2 exp(i k x) with

        q = (2 / dx) sin(k dx / 2),

    which tends to k as dx tends to 0.

    Args:
        wavenumber: k, radians per unit length, any shape.
        spacing: dx; 0 means the continuum. Broadcast against `wavenumber`.

    Returns:
        q, same units as `wavenumber`.
    """
    k = np.asarray(wavenumber, dtype=np.float64)
    return k * np.sinc(k * np.asarray(spacing, dtype=np.float64) / (2 * np.pi))


def shift_symbol(theta: ArrayLike, ratio: float, order: Order) -> NDArray[np.complex128]:
    """Factor by which interpolation to X_j + ratio H multiplies a coarse wave.

    The exact factor is exp(i ratio theta). Interpolation of order 2P through 2P + 1 patches gives

        1 + sum_{p=1}^{P} prod_{l<p} (r^2 - l^2) [ (2 p / r) mu delta^{2p-1} + delta^{2p} ] / (2p)!

    with delta^2 = -4 sin^2(theta / 2), mu delta = i sin(theta) and r = `ratio`. The real part is
    even in r and the imaginary part odd, so the shift by -r is the complex conjugate.

    Args:
        theta: k H, the angle by which the wave advances between patches, any shape.
        ratio: distance of interpolation in units of H; may be negative.
        order: 2, 4, 6, ... or "spectral".

    Returns:
        The factor, same shape as `theta`.

    Raises:
        InputError: the order is neither a positive even number nor "spectral".

    Source: Roberts and Kevrekidis (2007) [RobertsKevrekidis2007].
    """
    theta = np.asarray(theta, dtype=np.float64)
    if order == "spectral":
        return np.exp(1j * ratio * theta)
    return (1 - _even_deficit(theta, ratio, order)) + 1j * _odd_part(theta, ratio, order)


def patch_wavenumber(
    wavenumber: ArrayLike, patch_spacing: float, ratio: float, order: Order
) -> NDArray[np.float64]:
    """Wave number kappa of the field inside the patches when the coarse wave number is k.

    Centre-to-edge coupling at half-width L = r H makes the field of every patch a wave of its own
    medium, bound to the coarse wave by

        cos(kappa L) = C_P(k H),        C_P the real part of the shift symbol.

    The eigenvalue of the patch scheme is then that of the micro-model at kappa instead of k, in a
    uniform medium and in any medium whose period divides L. Spectral coupling gives kappa = k.

    Args:
        wavenumber: k, up to pi / H, any shape.
        patch_spacing: H, distance between patch centres.
        ratio: r, half-width of the patch in units of H, in (0, 1].
        order: 2, 4, 6, ... or "spectral".

    Returns:
        kappa >= 0, same shape as `wavenumber`.

    Raises:
        InputError: the ratio or the order is out of range.

    Source: derived here for the coupling of Roberts and Kevrekidis (2007)
    [RobertsKevrekidis2007].
    """
    _check_ratio(ratio)
    theta = np.asarray(wavenumber, dtype=np.float64) * patch_spacing
    # 1 - cos = 2 sin^2(half) keeps the digits of long waves that arccos would lose
    half = np.arcsin(np.sqrt(_even_deficit(theta, ratio, order) / 2))
    return 2 * half / (ratio * patch_spacing)


def heat_eigenvalue(
    wavenumber: ArrayLike,
    patch_spacing: float,
    ratio: float,
    order: Order,
    *,
    diffusivity: float = 1.0,
    sites: int | None = None,
) -> NDArray[np.float64]:
    """Decay rate that centre coupling gives to a mode of the heat equation u_t = D u_xx.

        lambda = -D q^2,    q = kappa,                            continuum inside the patch,
                            q = (2 / dx) sin(kappa dx / 2),       lattice inside the patch,

    kappa from `patch_wavenumber`. A product mode in 2-D or 3-D has the sum over its axes.

    Args:
        wavenumber: k, up to pi / H, any shape.
        patch_spacing: H, distance between patch centres.
        ratio: r, half-width of the patch in units of H, in (0, 1].
        order: 2, 4, 6, ... or "spectral".
        diffusivity: D.
        sites: points of a patch, one edge point on each side included; None is the continuum.

    Returns:
        lambda <= 0, one per unit time, same shape as `wavenumber`.

    Raises:
        InputError: the ratio, the order or the number of sites is out of range.
    """
    kappa = patch_wavenumber(wavenumber, patch_spacing, ratio, order)
    return -diffusivity * discrete_wavenumber(kappa, _spacing(patch_spacing, ratio, sites)) ** 2


def wave_frequency(
    wavenumber: ArrayLike,
    patch_spacing: float,
    ratio: float,
    order: Order,
    *,
    speed: float = 1.0,
    sites: int | None = None,
) -> NDArray[np.float64]:
    """Angular frequency that centre coupling gives to a mode of u_tt = c^2 u_xx.

    omega = c q with q as in `heat_eigenvalue`. In 2-D or 3-D add the squares of the axes.

    Args:
        wavenumber: k, up to pi / H, any shape.
        patch_spacing: H, distance between patch centres.
        ratio: r, half-width of the patch in units of H, in (0, 1].
        order: 2, 4, 6, ... or "spectral".
        speed: c.
        sites: points of a patch, one edge point on each side included; None is the continuum.

    Returns:
        omega >= 0, radians per unit time, same shape as `wavenumber`.

    Raises:
        InputError: the ratio, the order or the number of sites is out of range.
    """
    kappa = patch_wavenumber(wavenumber, patch_spacing, ratio, order)
    return abs(speed) * discrete_wavenumber(kappa, _spacing(patch_spacing, ratio, sites))


def advection_diffusion_eigenvalue(
    wavenumber: ArrayLike,
    patch_spacing: float,
    ratio: float,
    order: Order,
    *,
    velocity: float,
    diffusivity: float,
    sites: int | None = None,
) -> NDArray[np.complex128]:
    """Eigenvalue that centre coupling gives to a mode of u_t = -c u_x + D u_xx.

    With half-width L = r H, edge factors E+ and E- = conj(E+) and s = c / 2D, the continuum has

        cosh(q L) = (E+ e^{-s L} + E- e^{s L}) / 2,        lambda = D (q^2 - s^2).

    On a lattice of spacing dx with central differences, m dx = L, the weights of the left and
    right neighbour are a = D/dx^2 + c/2dx and b = D/dx^2 - c/2dx; with g = sqrt(a / b),

        cosh(m phi) = (E+ g^{-m} + E- g^m) / 2,        lambda = -2 D/dx^2 + 2 sqrt(a b) cosh(phi).

    Args:
        wavenumber: k, up to pi / H, any shape.
        patch_spacing: H, distance between patch centres.
        ratio: r, half-width of the patch in units of H, in (0, 1].
        order: 2, 4, 6, ... or "spectral".
        velocity: c.
        diffusivity: D > 0.
        sites: points of a patch, one edge point on each side included; None is the continuum.

    Returns:
        lambda, one per unit time, same shape as `wavenumber`.

    Raises:
        InputError: a number is out of range, or |c| dx >= 2 D, where the lattice oscillates.
    """
    _check_ratio(ratio)
    if diffusivity <= 0:
        raise InputError(f"`diffusivity` must be positive; found {diffusivity}.")
    theta = np.asarray(wavenumber, dtype=np.float64) * patch_spacing
    right = shift_symbol(theta, ratio, order)
    left = shift_symbol(theta, -ratio, order)
    if sites is None:
        length, s = ratio * patch_spacing, velocity / (2 * diffusivity)
        q = np.arccosh((right * np.exp(-s * length) + left * np.exp(s * length)) / 2) / length
        return diffusivity * (q**2 - s**2)
    dx = _spacing(patch_spacing, ratio, sites)
    if abs(velocity) * dx >= 2 * diffusivity:
        raise InputError(
            f"`velocity={velocity}`, `diffusivity={diffusivity}` and dx = {dx:.6g} make the "
            "central difference oscillate (|c| dx >= 2 D). Use more `sites` or less velocity."
        )
    a = diffusivity / dx**2 + velocity / (2 * dx)
    b = diffusivity / dx**2 - velocity / (2 * dx)
    m, g = (sites - 1) // 2, np.sqrt(a / b)
    phi = np.arccosh((right * g**-m + left * g**m) / 2) / m
    return -2 * diffusivity / dx**2 + 2 * np.sqrt(a * b) * np.cosh(phi)


def edgy_residual(
    eigenvalue: ArrayLike,
    wavenumber: ArrayLike,
    patch_spacing: float,
    ratio: float,
    order: Order,
    *,
    sites: int,
    diffusivity: float = 1.0,
) -> NDArray[np.complex128]:
    """Amount by which a rate fails to be an eigenvalue of the edgy-coupled heat lattice.

    A patch of n interior sites, n dx = r H, whose edge values are interpolated from the opposite
    next-to-edge sites, has the eigenvalue lambda = -(4 D / dx^2) sin^2(kappa dx / 2) if and only
    if, with E the shift symbol at r,

        sin(kappa (n + 1) dx) - |E|^2 sin(kappa (n - 1) dx) - 2 Re(E) sin(kappa dx) = 0.

    Args:
        eigenvalue: lambda, any shape; between -4 D / dx^2 and 0 kappa is real.
        wavenumber: k of the coarse wave, broadcast against `eigenvalue`.
        patch_spacing: H, distance between patch centres.
        ratio: r, interior width of the patch in units of H, in (0, 1].
        order: 2, 4, 6, ... or "spectral".
        sites: points of a patch, one edge point on each side included: n + 2.
        diffusivity: D.

    Returns:
        The left-hand side, 0 at an eigenvalue.

    Raises:
        InputError: the ratio, the order or the number of sites is out of range.
    """
    _check_ratio(ratio)
    n = sites - 2
    if n < 2:
        raise InputError(f"Edgy coupling needs at least 4 `sites`; found {sites}.")
    dx = ratio * patch_spacing / n
    factor = shift_symbol(np.asarray(wavenumber) * patch_spacing, ratio, order)
    root = np.sqrt(-np.asarray(eigenvalue, dtype=np.complex128) / diffusivity)
    angle = 2 * np.arcsin(root * dx / 2)
    outgoing = np.sin((n + 1) * angle) - np.abs(factor) ** 2 * np.sin((n - 1) * angle)
    return np.asarray(outgoing - 2 * factor.real * np.sin(angle), dtype=np.complex128)


def bloch_eigenvalue(
    coefficients: ArrayLike, wavenumber: ArrayLike, spacing: float
) -> NDArray[np.float64]:
    """Slowest decay rate of a wave on a lattice with periodic diffusivity.

    The leading eigenvalue Lambda(kappa) of

        du_i/dt = [ a_{i+1/2} (u_{i+1} - u_i) - a_{i-1/2} (u_i - u_{i-1}) ] / dx^2

    over waves exp(i kappa x_i) times a function of the period of a. A centre-coupled patch scheme
    whose half-width is a whole number of periods has the eigenvalue
    Lambda(`patch_wavenumber(k, ...)`), whatever the contrast.

    Args:
        coefficients: a on the faces of one period, shape [face], positive; face 0 lies left of
            site 0.
        wavenumber: kappa, any shape.
        spacing: dx.

    Returns:
        Lambda <= 0, same shape as `wavenumber`.

    Raises:
        InputError: the coefficients are not a list of positive numbers.
    """
    a = np.asarray(coefficients, dtype=np.float64)
    if a.ndim != 1 or a.size == 0 or not np.all(a > 0):
        raise InputError("`coefficients` must list positive face values of one period.")
    phase = np.exp(1j * np.asarray(wavenumber, dtype=np.float64) * spacing)
    matrix = np.zeros((*phase.shape, a.size, a.size), dtype=np.complex128)
    for i in range(a.size):
        matrix[..., i, i] -= a[i] + a[(i + 1) % a.size]
        matrix[..., i, (i + 1) % a.size] += a[(i + 1) % a.size] * phase
        matrix[..., i, (i - 1) % a.size] += a[i] / phase
    return np.asarray(np.linalg.eigvalsh(matrix)[..., -1], dtype=np.float64) / spacing**2


def _even_deficit(theta: NDArray[np.float64], ratio: float, order: Order) -> NDArray[np.float64]:
    """1 minus the real part of the shift symbol, without cancellation for long waves."""
    if order == "spectral":
        return 2 * np.sin(ratio * theta / 2) ** 2
    second = -4 * np.sin(theta / 2) ** 2
    term, deficit = np.ones_like(theta), np.zeros_like(theta)
    for p in range(1, _half_order(order) + 1):
        term = term * (ratio**2 - (p - 1) ** 2) * second / ((2 * p) * (2 * p - 1))
        deficit = deficit - term
    return deficit


def _odd_part(theta: NDArray[np.float64], ratio: float, order: int) -> NDArray[np.float64]:
    second = -4 * np.sin(theta / 2) ** 2
    term, odd = ratio * np.sin(theta), np.zeros_like(theta)
    for p in range(1, _half_order(order) + 1):
        odd = odd + term
        term = term * (ratio**2 - p**2) * second / ((2 * p) * (2 * p + 1))
    return odd


def _half_order(order: Order) -> int:
    if isinstance(order, int) and order > 0 and order % 2 == 0:
        return order // 2
    raise InputError(f"`order` must be a positive even number or 'spectral'; found {order!r}.")


def _check_ratio(ratio: float) -> None:
    if not 0 < ratio <= 1:
        raise InputError(f"`ratio` must lie in (0, 1]; found {ratio}.")


def _spacing(patch_spacing: float, ratio: float, sites: int | None) -> float:
    """Micro spacing of a centre-coupled patch, 0 for the continuum."""
    if sites is None:
        return 0.0
    if sites < 3 or sites % 2 == 0:
        raise InputError(f"Centre coupling needs an odd number of `sites` >= 3; found {sites}.")
    return 2 * ratio * patch_spacing / (sites - 1)

"""How numbers of a case file are arranged as tables over modes and axes."""

from __future__ import annotations

import numpy as np

from gpupatch.errors import InputError
from gpupatch.solutions.registry import Array, Numbers


def per_axis(name: str, value: Numbers, axes: int) -> Array:
    """Spread one number, or one per axis, over the axes.

    Args:
        name: of the parameter, for the message.
        value: a number or [axis].
        axes: number of space dimensions.

    Returns:
        Shape [axis].

    Raises:
        InputError: the shape fits neither.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in ((), (1,), (axes,)):
        raise InputError(
            f"`{name}` must be one number or {axes} (one per axis); found shape {array.shape}."
        )
    return np.broadcast_to(array, (axes,))


def per_mode(name: str, value: Numbers, axes: int) -> Array:
    """Arrange numbers as a table with a row per mode and a column per axis.

    One number is a single mode, the same on every axis. A flat list is one number per mode in
    1-D and one mode, a number per axis, in 2-D and 3-D. A nested list is the table itself.

    Args:
        name: of the parameter, for the message.
        value: the numbers.
        axes: number of space dimensions.

    Returns:
        Shape [mode, axis].

    Raises:
        InputError: the shape is none of these.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        array = np.full((1, axes), array)
    elif array.ndim == 1:
        array = array[:, None] if axes == 1 else array[None, :]
    if array.ndim != 2 or array.shape[1] != axes or not len(array):
        raise InputError(
            f"`{name}` must have one row per mode and {axes} column(s), one per axis; found "
            f"shape {np.shape(value)}."
        )
    return array


def product_modes(
    wavenumbers: Numbers, phases: Numbers, amplitudes: Numbers, axes: int
) -> tuple[Array, Array, Array]:
    """Arrange the wave numbers, phases and amplitudes of product modes.

    Args:
        wavenumbers: as for `per_mode`.
        phases: as for `per_mode`, or one row for all modes.
        amplitudes: [mode], or one number for all modes.
        axes: number of space dimensions.

    Returns:
        Wave numbers [mode, axis], phases [mode, axis], amplitudes [mode].

    Raises:
        InputError: the shapes do not fit.
    """
    k = per_mode("wavenumbers", wavenumbers, axes)
    return _match(k, per_mode("phases", phases, axes), amplitudes)


def plane_waves(
    wavenumbers: Numbers, phases: Numbers, amplitudes: Numbers, axes: int
) -> tuple[Array, Array, Array]:
    """Arrange the wave vectors, phases and amplitudes of plane waves.

    Args:
        wavenumbers: as for `per_mode`.
        phases: [mode], or one number for all modes.
        amplitudes: [mode], or one number for all modes.
        axes: number of space dimensions.

    Returns:
        Wave numbers [mode, axis], phases [mode], amplitudes [mode].

    Raises:
        InputError: the shapes do not fit.
    """
    k = per_mode("wavenumbers", wavenumbers, axes)
    column = per_mode("phases", np.atleast_1d(phases), 1)
    if len(column) == 1:
        column = np.broadcast_to(column, (len(k), 1))
    amplitude = _match(k, column, amplitudes)[2]
    return k, column[:, 0], amplitude


def lattice_wavenumbers(k: Array, spacing: Numbers) -> Array:
    """Wave numbers that the second differences of a lattice see: (2 / dx) sin(k dx / 2).

    Args:
        k: radians per unit length, [mode, axis].
        spacing: dx, one number or one per axis; 0 is the continuum and returns `k`.

    Returns:
        Shape [mode, axis].

    Raises:
        InputError: the number of spacings fits neither.
    """
    return k * np.sinc(k * per_axis("spacing", spacing, k.shape[1]) / (2 * np.pi))


def _match(k: Array, phases: Array, amplitudes: Numbers) -> tuple[Array, Array, Array]:
    amplitude = np.atleast_1d(np.asarray(amplitudes, dtype=np.float64))
    if len(phases) not in (1, len(k)) or amplitude.shape not in ((1,), (len(k),)):
        raise InputError(
            f"`wavenumbers` has {len(k)} mode(s), but `phases` has {len(phases)} and "
            f"`amplitudes` has shape {amplitude.shape}."
        )
    return k, np.broadcast_to(phases, k.shape), np.broadcast_to(amplitude, (len(k),))

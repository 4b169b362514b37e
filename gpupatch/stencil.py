"""Interpolation across the gaps: which patches are read, and with what weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import SchemeError

SPECTRAL = "spectral"


def lagrange_weights(nodes: NDArray[np.float64], x: float) -> NDArray[np.float64]:
    """Weights that evaluate at `x` the polynomial through values at `nodes`.

    W_k = prod_{l != k} (x - x_l) / (x_k - x_l)

    Args:
        nodes: distinct positions, [k].
        x: position at which the polynomial is wanted, same units.

    Returns:
        Weights, [k]; they sum to one.
    """
    weights = np.ones(len(nodes))
    for k, node in enumerate(nodes):
        others = np.delete(nodes, k)
        weights[k] = np.prod((x - others) / (node - others))
    return weights


def fourier_weights(n: int, shift: float) -> NDArray[np.float64]:
    """Weights that shift a periodic sequence of `n` values by trigonometric interpolation.

    W_j = (1/n) sum_k exp(2 pi i k (shift - j) / n), and for even n the Nyquist mode is given as
    the real part of exp(i pi shift), so that the result is real.

    Args:
        n: number of values in a period.
        shift: displacement in units of their spacing.

    Returns:
        Weights by offset j = 0, ..., n-1 from the target index, [n].
    """
    k = np.arange(1, (n + 1) // 2)
    j = np.arange(n)
    modes = 2 * np.cos(2 * np.pi * np.multiply.outer(shift - j, k) / n)
    weights = (1.0 + modes.sum(axis=1)) / n
    if n % 2 == 0:
        weights += np.cos(np.pi * shift) * np.cos(np.pi * j) / n
    return weights


def check_order(order: int | str) -> None:
    """Refuse orders of interpolation that do not exist.

    Raises:
        SchemeError: unless the order is 2, 4, 6, 8 or "spectral".
    """
    if order not in (2, 4, 6, 8, SPECTRAL):
        raise SchemeError(f"order {order!r} is not available; use 2, 4, 6, 8 or 'spectral'.")


def need_patches(axis: int, n_patch: int, needed: int, order: int | str) -> None:
    """Refuse a stencil that would wrap onto itself.

    Raises:
        SchemeError: if the axis has fewer patches than the stencil reads.
    """
    if n_patch < needed:
        raise SchemeError(
            f"order {order} reads {needed} patches along axis {axis}, but the grid has {n_patch}. "
            "Use more patches, a lower order or 'spectral'."
        )

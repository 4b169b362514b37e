"""A smooth field through values on a tensor grid, to be evaluated anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DEGREE = 7
"""Degree of the splines."""
_FOURIER = 4096
"""Nodes on a periodic axis up to which their Fourier series is summed."""


class Interpolant:
    """A function of position (and, without effect, of time) through values at nodes.

    Along a periodic axis of equally spaced nodes it is the trigonometric polynomial

        u(x) = sum_j u_j D(x - x_j),  D(x) = sin(n pi x/L) / (n sin(pi x/L)),

    with tan in the place of the second sine for even n; along any other axis, and where there are
    thousands of nodes, a spline of degree 7.

    Args:
        nodes: rising positions per axis.
        values: the field at the nodes, [*nodes].
        periods: length L per axis; None where it does not close on itself.

    Source: Trefethen (2000), chapter 3, for D [Trefethen2000].
    """

    def __init__(
        self,
        nodes: Sequence[NDArray[np.float64]],
        values: NDArray[np.float64],
        periods: Sequence[float | None],
    ):
        self.nodes, self.values, self.periods = nodes, values, periods

    def __call__(self, *position: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """The field at positions.

        Args:
            position: one array per axis, broadcastable to each other; a time may follow.

        Returns:
            The broadcast shape.
        """
        picked, table = [], self.values
        for axis, (x, nodes, period) in enumerate(
            zip(position, self.nodes, self.periods, strict=False)
        ):
            distinct, inverse = np.unique(np.asarray(x, dtype=float), return_inverse=True)
            picked.append(inverse.reshape(np.shape(x)))
            table = _along(table, axis, nodes, period, distinct)
        return table[tuple(np.broadcast_arrays(*picked))]


def _along(values, axis: int, nodes, period: float | None, x) -> NDArray[np.float64]:
    """Interpolate along one axis to the positions x."""
    n = len(nodes)
    if n == 1:
        return np.repeat(values, len(x), axis=axis)
    if period is not None and n <= _FOURIER and _equally_spaced(nodes, period):
        weights = dirichlet_kernel(np.subtract.outer(x, nodes) / period, n)
        return np.moveaxis(np.tensordot(weights, values, axes=(1, axis)), 0, axis)
    from scipy.interpolate import make_interp_spline

    if period is None:
        degree = min(DEGREE, n - 1) - (min(DEGREE, n - 1) + 1) % 2
        return np.asarray(make_interp_spline(nodes, values, degree, axis=axis)(x))
    closed = np.concatenate([nodes, [nodes[0] + period]])
    values = np.concatenate([values, np.take(values, [0], axis=axis)], axis=axis)
    degree = min(DEGREE, n) - (min(DEGREE, n) + 1) % 2
    spline = make_interp_spline(closed, values, degree, axis=axis, bc_type="periodic")
    return np.asarray(spline(nodes[0] + (x - nodes[0]) % period))


def _equally_spaced(nodes, period: float) -> bool:
    return np.allclose(np.diff(nodes), period / len(nodes), rtol=1e-9, atol=0)


def dirichlet_kernel(s: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The trigonometric polynomial that is 1 at s = 0 and 0 at all other multiples of 1/n.

    Args:
        s: positions in units of the period.
        n: number of nodes in a period.

    Returns:
        Same shape as `s`.
    """
    s = s - np.rint(s)
    below = np.sin(np.pi * s) if n % 2 else np.tan(np.pi * s)
    at_node = np.abs(s) < 1e-14
    return np.where(at_node, 1.0, np.sin(n * np.pi * s) / (n * np.where(at_node, 1.0, below)))

"""The act "restrict": weighted means over the cores of the patches.

A restriction is a product of one weight function per axis,

    R(u)[patch, field] = sum_sites w_x[i] w_y[j] w_z[k] u[patch, field, i, j, k],

summed in float64 whatever the precision of the state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid


@dataclass(frozen=True, eq=False)
class Restriction:
    """Weights over the sites of a patch, one array per axis.

    Attributes:
        weights: [site] per axis; zero outside the core.
    """

    weights: tuple[NDArray[np.float64], ...]


def core_mean(grid: PatchGrid) -> Restriction:
    """The plain mean over the core: weight 1/n on each of its n sites."""
    return Restriction(
        tuple(_box(n, c) for n, c in zip(grid.n_sites, grid.core_sites, strict=True))
    )


def centre_value(grid: PatchGrid) -> Restriction:
    """The value at the centre site (mean of the two middle sites if their number is even)."""
    weights = []
    for n in grid.n_sites:
        w = np.zeros(n)
        w[(n - 1) // 2] += 0.5
        w[n // 2] += 0.5
        weights.append(w)
    return Restriction(tuple(weights))


def smooth_mean(grid: PatchGrid, moments: int = 1) -> Restriction:
    """A mean with a smooth kernel, blind to microstructure and exact on polynomials.

    On the core, s in [-1/2, 1/2],

        w(s) = (1 + cos 2 pi s) (a_0 + a_1 cos 2 pi s + ...),
        sum w = 1,  sum w s^q = 0 for q = 1 .. moments (odd ones by symmetry),

    with sums over the sites, so that polynomials of degree `moments` are averaged to their value
    at the centre and oscillations of period well below the core are damped.

    Args:
        grid: the patch grid.
        moments: highest moment that vanishes.

    Returns:
        The restriction.

    Raises:
        SchemeError: if the core has too few sites for so many moments.

    Source: kernels of Engquist and Tsai (2005), section 2 [EngquistTsai2005].
    """
    weights = []
    n_terms = moments // 2 + 1
    for axis, (n, core) in enumerate(zip(grid.n_sites, grid.core_sites, strict=True)):
        count = core.stop - core.start
        if count < 2 * n_terms + 1:
            raise SchemeError(
                f"axis {axis}: a core of {count} sites cannot carry a kernel with {moments} "
                f"vanishing moments. Use at least {2 * n_terms + 1} core sites."
            )
        s = (np.arange(count) - (count - 1) / 2) / count
        basis = (1 + np.cos(2 * np.pi * s))[:, None] * np.cos(
            2 * np.pi * s[:, None] * np.arange(n_terms)
        )
        conditions = s[:, None] ** (2 * np.arange(n_terms))
        a = np.linalg.solve(conditions.T @ basis, np.eye(n_terms)[0])
        w = np.zeros(n)
        w[core] = basis @ a
        weights.append(w)
    return Restriction(tuple(weights))


def core_slope(grid: PatchGrid, axis: int) -> Restriction:
    """The least-squares slope over the core along one axis: sum xi u / sum xi^2.

    Args:
        grid: the patch grid.
        axis: direction of the slope.

    Returns:
        The restriction; its value has the units of the state divided by those of `dx`.
    """
    weights = list(core_mean(grid).weights)
    core = grid.core_sites[axis]
    xi = grid.site_offsets[axis][core]
    xi = xi - xi.mean()
    weights[axis] = np.zeros(grid.n_sites[axis])
    weights[axis][core] = xi / (xi @ xi)
    return Restriction(tuple(weights))


def weighted_mean(u: NDArray[np.floating], restriction: Restriction) -> NDArray[np.float64]:
    """Apply a restriction.

    Args:
        u: sites, [patch, field, *sites].
        restriction: the weights.

    Returns:
        [patch, field].
    """
    total = u.astype(np.float64, copy=False)
    for w in reversed(restriction.weights):
        total = total @ w
    return total


def _box(n: int, core: slice) -> NDArray[np.float64]:
    w = np.zeros(n)
    w[core] = 1.0 / (core.stop - core.start)
    return w

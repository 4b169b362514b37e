"""Lift patches that sit on the faces of cells, from the averages of the cells.

On a face the patch receives the value and the gradients of a polynomial whose averages over the
cells are the coarse values,

    u(xi) = (U_f + G_n xi_n) (1 + ...)    with   U_f, G_n from `order` cells across the face

and along the other axes, as a tensor product, the value and the gradient at the centre of the cell.
At order 2 the average over a cell is its value at the centre; at higher orders the two are told
apart, and what is measured at the centres of faces is averaged over the faces by `centre_weights`.

Source: McCorquodale and Colella (2011), section 2.1 [McCorquodaleColella2011].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.lifting.cores import AxisLifting, Lifting, condition_row
from gpupatch.stencil import check_order, need_patches

GAUSS_POINTS = 8
"""Points per axis at which cell averages are taken."""


def face_centres(grid: PatchGrid, axis: int) -> tuple[NDArray[np.float64], ...]:
    """Positions of the face patches across one axis.

    Args:
        grid: a grid of cells.
        axis: the axis that the faces cut.

    Returns:
        Positions per axis: faces along `axis` (N of them on a periodic axis, face j on the high
        side of cell j; N + 1 otherwise, face j on the low side of cell j), cell centres along the
        others.
    """
    centres = list(grid.centres)
    H = grid.gap[axis]
    high = centres[axis] + H / 2
    centres[axis] = high if grid.periodic(axis) else np.append(high[0] - H, high)
    return tuple(centres)


def face_lifting(grid: PatchGrid, fields: tuple[str, ...], order: int | str, axis: int) -> Lifting:
    """Reconstruct the patches on the faces across one axis.

    Order 2: U_f = (U_j + U_j+1)/2, G = (U_j+1 - U_j)/H. Order 4:
    U_f = (7 (U_j + U_j+1) - (U_j-1 + U_j+2))/12, G = (15 (U_j+1 - U_j) - (U_j+2 - U_j-1))/(12 H).
    Near non-periodic faces the stencil is one-sided; the boundary faces themselves take in the
    boundary condition.

    Args:
        grid: a grid of cells.
        fields: names of the fields.
        order: 2, 4, 6 or 8.
        axis: the axis that the faces cut.

    Returns:
        The reconstruction; its patches are those of `face_centres`.

    Raises:
        SchemeError: for the spectral order, or if the grid has too few cells.
    """
    check_order(order)
    if not isinstance(order, int):
        raise SchemeError("the `flux` scheme has orders 2, 4, 6, 8; a spectral flux is not local.")
    axes = tuple(
        _normal(grid, a, order) if a == axis else _transverse(grid, a, order)
        for a in range(grid.ndim)
    )
    nodes, share = np.polynomial.legendre.leggauss(GAUSS_POINTS)
    averages = tuple((nodes / 2 * H, share / 2) for H in grid.gap)
    return Lifting(grid, fields, axes, face_centres(grid, axis), averages)


def _normal(grid: PatchGrid, axis: int, order: int) -> AxisLifting:
    H, n_cell = grid.gap[axis], grid.patches[axis]
    need_patches(axis, n_cell, order, order)
    xi = grid.site_offsets[axis]
    if grid.periodic(axis):
        steps = np.arange(-order // 2 + 1, order // 2 + 1)
        value, slope = _value_and_slope(_average_rows(steps - 0.5, order), H)
        nodes = (np.arange(n_cell)[:, None] + steps) % n_cell
        weights = np.tile(value + xi[:, None] * slope, (n_cell, 1, 1))
        return AxisLifting(nodes, weights, None)
    faces = grid.faces(axis)
    nodes = np.empty((n_cell + 1, order), dtype=np.int64)
    weights = np.empty((n_cell + 1, len(xi), order))
    for face in range(n_cell + 1):
        first = min(max(face - order // 2, 0), n_cell - order)
        cells = first + np.arange(order)
        rows = _average_rows(cells + 0.5 - face, order)
        if face in (0, n_cell):
            side = int(face > 0)
            farthest = -1 if side == 0 else 0
            cells[farthest] = n_cell + side
            rows[farthest] = condition_row(faces[side], side, 0.0, H, order)
        value, slope = _value_and_slope(rows, H)
        nodes[face], weights[face] = cells, value + xi[:, None] * slope
    return AxisLifting(nodes, weights, _cell_extension(grid, axis, order))


def _transverse(grid: PatchGrid, axis: int, order: int) -> AxisLifting:
    H, n_cell = grid.gap[axis], grid.patches[axis]
    need_patches(axis, n_cell, order + 1, order)
    xi = grid.site_offsets[axis]
    nodes = np.empty((n_cell, order + 1), dtype=np.int64)
    weights = np.empty((n_cell, len(xi), order + 1))
    for cell in range(n_cell):
        cells = _around(grid, axis, cell, order)
        rows = _average_rows((cells - cell).astype(float), order + 1)
        value, slope = _value_and_slope(rows, H)
        value = (cells == cell) if order == 2 else value
        nodes[cell], weights[cell] = cells % n_cell, value + xi[:, None] * slope
    extension = None if grid.periodic(axis) else _cell_extension(grid, axis, order)
    return AxisLifting(nodes, weights, extension)


def centre_weights(
    grid: PatchGrid, axis: int, order: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Average point data at the centres of cells over the cells, along an axis.

    The polynomial of degree `order` through the nearest centres is integrated over the cell:
    (1, 22, 1)/24 to fourth order. At order 2 the value at the centre is the average.

    Args:
        grid: a grid of cells.
        axis: the axis.
        order: degree of the polynomial.

    Returns:
        Cells read and their weights, both [cell, k].
    """
    n_cell = grid.patches[axis]
    if order == 2:
        return np.arange(n_cell)[:, None], np.ones((n_cell, 1))
    q = np.arange(order + 1)
    integral = _average_rows([0.0], order + 1)[0]
    nodes = np.empty((n_cell, order + 1), dtype=np.int64)
    weights = np.empty((n_cell, order + 1))
    for cell in range(n_cell):
        cells = _around(grid, axis, cell, order)
        powers = (cells - cell).astype(float)[:, None] ** q
        nodes[cell], weights[cell] = cells % n_cell, np.linalg.solve(powers.T, integral)
    return nodes, weights


def _around(grid: PatchGrid, axis: int, cell: int, order: int) -> NDArray[np.int64]:
    """The `order` + 1 cells around one, shifted to stay within the walls."""
    first = cell - order // 2
    if not grid.periodic(axis):
        first = min(max(first, 0), grid.patches[axis] - order - 1)
    return first + np.arange(order + 1)


def _cell_extension(grid: PatchGrid, axis: int, order: int) -> NDArray[np.float64]:
    """Weights that evaluate the boundary conditions on data along the axis, [side, cell]."""
    n_cell = grid.patches[axis]
    extension = np.zeros((2, n_cell))
    for side, face in enumerate(grid.faces(axis)):
        near = np.arange(order) if side == 0 else n_cell - 1 - np.arange(order)
        distance = near + 0.5 if side == 0 else near + 0.5 - n_cell
        rows = _average_rows(distance, order)
        condition = condition_row(face, side, 0.0, grid.gap[axis], order)
        extension[side, near] = np.linalg.solve(rows.T, condition)
    return extension


def _average_rows(distance, count: int) -> NDArray[np.float64]:
    """Averages of s^q over unit cells centred at `distance`, [cell, q]."""
    q = np.arange(count)
    d = np.asarray(distance, dtype=float)[:, None]
    return ((d + 0.5) ** (q + 1) - (d - 0.5) ** (q + 1)) / (q + 1)


def _value_and_slope(rows, H: float):
    count = len(rows)
    value = np.linalg.solve(rows.T, np.eye(count)[0])
    slope = np.linalg.solve(rows.T, np.eye(count)[1]) / H if count > 1 else np.zeros(1)
    return value, slope


def cell_weights(
    grid: PatchGrid, axis: int, order: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Average point data on the faces across an axis over the cells between them.

    The polynomial through `order` faces is integrated over the cell: (1/2, 1/2) at order 2,
    (-1, 13, 13, -1)/24 at order 4.

    Args:
        grid: a grid of cells.
        axis: the axis that the faces cut.
        order: number of faces read.

    Returns:
        Faces read and their weights, both [cell, k].
    """
    n_cell = grid.patches[axis]
    periodic = grid.periodic(axis)
    nodes = np.empty((n_cell, order), dtype=np.int64)
    weights = np.empty((n_cell, order))
    q = np.arange(order)
    integral = _average_rows([0.0], order)[0]
    for cell in range(n_cell):
        low = cell - 1 if periodic else cell
        first = low - order // 2 + 1
        if not periodic:
            first = min(max(first, 0), n_cell + 1 - order)
        faces = first + np.arange(order)
        position = faces - low - 0.5
        weights[cell] = np.linalg.solve((position[:, None] ** q).T, integral)
        nodes[cell] = faces % n_cell if periodic else faces
    return nodes, weights

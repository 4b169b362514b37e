"""The effective conductivity of a periodic medium, measured on one cell by the rule itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gpupatch.contract import checked
from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.micro.analysis import jacobian
from gpupatch.micro.coefficients import CoefficientLike
from gpupatch.micro.model import MicroModel
from gpupatch.micro.rule import Rule
from gpupatch.scheme.problem import Problem

TOLERANCE = 1e-12


@checked(SchemeError)
def effective(
    rule: Rule,
    coefficients: Mapping[str, CoefficientLike],
    grid: PatchGrid,
    parameters: Mapping[str, float] | None = None,
) -> NDArray[np.float64]:
    """Measure the effective conductivity tensor of a periodic medium.

    One patch holds whole periods and closes on itself up to a unit gradient e_b,

        u(x + L_a e_a) = u(x) + L_a e_b . e_a .

    The rule is run to its steady state (for a linear rule: solved for), and the mean flux is
    read off,

        A[a, b] = - < J_a >   at  < grad u > = e_b .

    Nothing is known about the medium but what the rule does with it.

    Args:
        rule: a linear rule in conservation form with one field.
        coefficients: the medium, as for `Problem`.
        grid: a grid of one patch per axis on a periodic domain that is one period (or several);
            its interior sites fill the domain: sites = cells + 2 edges, dx = length / cells.
        parameters: values of the rule's parameters.

    Returns:
        A, [axis, axis], in the units of the flux per gradient.

    Raises:
        SchemeError: if the rule is nonlinear or has several fields, or the patch does not fill
            its domain.

    Source: the cell problem of homogenisation, Bensoussan, Lions and Papanicolaou (1978), chapter 1
    [BensoussanLionsPapanicolaou1978].
    """
    _check(rule, grid)
    problem = Problem(rule, grid, parameters or {}, coefficients)
    model = problem.model()
    steady = _steady_states(model, grid)
    ndim = grid.ndim
    tensor = np.empty((ndim, ndim))
    for b, u in enumerate(steady):
        for a in range(ndim):
            flux = model.measure(u, 0.0, a)[(0, 0, *model.inside)]
            tensor[a, b] = -flux.mean()
    return tensor


def cell_grid(lengths, cells, edges: int = 1) -> PatchGrid:
    """The grid of one patch that fills one periodic cell.

    Args:
        lengths: length of the cell per axis.
        cells: sites per axis.
        edges: edge layers, at least the reach of the rule.

    Returns:
        A grid for `effective`, whose first interior site lies at half a spacing from 0.
    """
    return PatchGrid(
        domain=[(0.0, float(length)) for length in lengths],
        patches=[1] * len(lengths),
        sites=[int(n) + 2 * edges for n in cells],
        dx=[length / n for length, n in zip(lengths, cells, strict=True)],
        edges=edges,
        edgy=True,
    )


def _steady_states(model: MicroModel, grid: PatchGrid) -> list[NDArray[np.float64]]:
    """Steady fields with unit mean gradient along each axis, [1, 1, *sites] each.

    With u = x_b + w, w periodic, the steady state solves (A E) w = -f(x_b), whose matrix is
    singular only for constants; one site is pinned.
    """
    from scipy import sparse

    zero = np.zeros(model.shape)
    wrap = _wrapped(model)
    A = jacobian(model, zero).tocsr()
    inside = np.arange(zero.size).reshape(model.shape)[(slice(None), slice(None), *model.inside)]
    rows = A[inside.ravel()]
    columns = np.full(zero.size, -1)
    columns[inside.ravel()] = np.arange(inside.size)
    periodic = rows.tocoo()
    folded = columns[wrap.ravel()[periodic.col]]
    matrix = sparse.coo_array(
        (periodic.data, (periodic.row, folded)), shape=(inside.size,) * 2
    ).tocsr()
    states = []
    for axis in range(grid.ndim):
        x = np.zeros(model.shape)
        shape = [1] * (2 + grid.ndim)
        shape[2 + axis] = -1
        x += grid.site_offsets[axis].reshape(shape)
        f = model.rate(x, 0.0).ravel()[inside.ravel()]
        w = _solve_singular(matrix, -f)
        corrected = np.zeros(zero.size)
        corrected[inside.ravel()] = w
        states.append(x + corrected[wrap])
    return states


def _solve_singular(matrix, f):
    """Solve up to a constant, with the constant chosen so that the first value is zero."""
    from scipy.sparse.linalg import LinearOperator, cg, splu

    if len(f) <= 40_000 and matrix.nnz <= 6 * len(f):
        w = np.zeros(len(f))
        w[1:] = splu(matrix[1:, 1:].tocsc()).solve(f[1:])
        return w
    scale = -matrix.diagonal()
    M = LinearOperator(matrix.shape, matvec=lambda v: v / scale)  # pyright: ignore[reportCallIssue]
    balanced = -(f - f.mean())
    w, failed = cg(-matrix, balanced, rtol=TOLERANCE, maxiter=20_000, M=M)
    if failed:
        raise SchemeError(
            "the steady state of the cell was not reached. The rule must conduct everywhere: "
            "check that its coefficients are positive."
        )
    return w - w[0]


def _wrapped(model: MicroModel) -> NDArray[np.int64]:
    """For every site the flat position of the interior site that it repeats."""
    index = np.arange(int(np.prod(model.shape))).reshape(model.shape)
    for axis, (e, n) in enumerate(zip(model.edges, model.sites, strict=True)):
        period = n - 2 * e
        source = (np.arange(n) - e) % period + e
        index = np.take(index, source, axis=2 + axis)
    return index


def _check(rule: Rule, grid: PatchGrid) -> None:
    if not rule.linear or len(rule.fields) != 1:
        raise SchemeError(
            f"an effective tensor exists for linear rules with one field; `{rule.name}` is not one."
        )
    for axis, (n, d) in enumerate(zip(grid.n_sites, grid.spacing, strict=True)):
        lo, hi = grid.domain[axis]
        inside = (n - 2 * grid.edges) * d
        if grid.patches[axis] != 1 or abs(inside - (hi - lo)) > 1e-9 * (hi - lo):
            raise SchemeError(
                f"axis {axis}: {grid.patches[axis]} patch(es) of {inside:.6g} on a domain of "
                f"{hi - lo:.6g}. One patch must fill the period; `gpupatch.homogenisation."
                "cell_grid` makes such a grid."
            )

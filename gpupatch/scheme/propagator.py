"""The exact burst of a linear rule: what thousands of micro-steps would do, in a few solves.

With frozen edges a linear rule is u' = A u + b. A sample of the restricted state after time s is

    R u(s) = r . exp(s A~) (u, 1),     A~ = [[A, b], [0, 0]],

so that all the samples of a burst are inner products of the lifted state with rows that are
computed once, p = exp(s A~^T) r. The exponential is evaluated by quadrature along a hyperbola
around the negative real axis, where the eigenvalues of a diffusive rule lie.

Source: Weideman and Trefethen (2007), section 4 [WeidemanTrefethen2007].
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Sparse
from gpupatch.burst import BurstPlan
from gpupatch.errors import SchemeError
from gpupatch.micro.analysis import jacobian
from gpupatch.micro.model import MicroModel

N_NODES = 16
MAX_TIMES = 8


def contour(n: int = N_NODES) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Nodes and weights with exp(z) ~ Re sum_k w_k / (z_k - z) on the negative real axis.

    Midpoint rule of step h on the hyperbola z(s) = mu (1 + sin(i s - phi)) with the optimal
    h = 1.0818/n, mu = 4.4921 n, phi = 1.1721; the error falls as 10.1^-n.

    Args:
        n: nodes on the upper half.

    Returns:
        ``z[k]`` and ``w[k]``; the conjugate half is included in the real part.
    """
    h = 1.081792140 / n
    s = (np.arange(n) + 0.5) * h
    mu, phi = 4.492075287 * n, 1.172104229
    z = mu * (1 + np.sin(1j * s - phi))
    dz = 1j * mu * np.cos(1j * s - phi)
    return z, np.exp(z) * dz * h / (1j * np.pi)  # pyright: ignore[reportReturnType]


def propagated_weights(
    model: MicroModel, plan: BurstPlan
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows that turn lifted states into the samples of a burst.

    Args:
        model: a linear micro-model.
        plan: the burst; its samples are taken at the times ``step dt``.

    Returns:
        ``rows[patch or 1, q, field, field x sites]`` and ``constant[patch or 1, q, field]`` with
        out[q, patch, field] = rows . u + constant.

    Raises:
        SchemeError: if the rule oscillates rather than decays, or samples are taken at too many
            times.
    """
    steps = np.flatnonzero(plan.weights.any(axis=1))
    if len(steps) > MAX_TIMES + 5:
        raise SchemeError(
            f"the propagator would need {len(steps)} sample times; it is for `slope = 'healed'`, "
            "'endpoint' and 'seed'. Use `method = 'steps'` for least squares."
        )
    shared = len(model.coefficients) == 1 and not model.rule.space_dependent
    shared = shared and bool(np.all(model.parameters == model.parameters[0]))
    zero = np.zeros(model.shape)
    A, b = jacobian(model, zero), model.rate(zero, 0.0).reshape(model.n_patches, -1)
    size = A.shape[0] // model.n_patches
    weight = functools.reduce(np.multiply.outer, plan.restriction.weights)
    n_fields, rows, constants = len(model.rule.fields), [], []
    for patch in range(1 if shared else model.n_patches):
        block = slice(patch * size, (patch + 1) * size)
        B = A[block, block]
        _refuse_waves(B, model)
        targets = np.zeros((size + 1, n_fields))
        for f in range(n_fields):
            full = np.zeros(model.shape[1:])
            full[f] = weight
            targets[:-1, f] = full.ravel()
        summed = np.zeros((plan.weights.shape[1], size + 1, n_fields))
        for step in steps:
            p = targets if step == 0 else _exponential(B, b[patch], step * plan.dt, targets)
            summed += plan.weights[step][:, None, None] * p
        _keep_constants(B, plan, targets, summed, n_fields)
        rows.append(np.moveaxis(summed[:, :-1], 2, 1))
        constants.append(summed[:, -1])
    return np.stack(rows), np.stack(constants)


def _exponential(A, b, t: float, r: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(t A~^T) r for the augmented matrix, all columns at once."""
    from scipy import sparse
    from scipy.sparse.linalg import splu

    transposed: Sparse = sparse.block_array([[A.T, None], [sparse.csr_array(b[None, :]), None]])
    n = transposed.shape[0]
    square = sparse.hstack([transposed, sparse.csr_array((n, n - transposed.shape[1]))]).tocsc()
    identity = sparse.eye_array(n, format="csc")
    total = np.zeros_like(r)
    for z, w in zip(*contour(), strict=True):
        solve = splu((z * identity - t * square).tocsc())
        total += np.real(w * solve.solve(r.astype(complex)))
    return total


def _keep_constants(A, plan, targets, summed, n_fields: int) -> None:
    """Make constant fields that the rule leaves alone exactly steady, against round-off.

    If A 1 = 0 then p . 1 must be sum_s w_s (r . 1); a slope is a small difference of large
    numbers, and this removes the largest of them.
    """
    per_field = A.shape[0] // n_fields
    for g in range(n_fields):
        sites = slice(g * per_field, (g + 1) * per_field)
        one = np.zeros(A.shape[0])
        one[sites] = 1.0
        if np.abs(A @ one).max() > 1e-12 * abs(A).max():
            continue
        wanted = plan.weights.sum(axis=0)[:, None] * targets[sites].sum(axis=0)
        error = wanted - summed[:, sites].sum(axis=1)
        summed[:, sites] += error[:, None, :] * targets[sites, g][:, None] / targets[sites, g].sum()


def _refuse_waves(A, model: MicroModel) -> None:
    skew = abs(A - A.T).max() if A.nnz else 0.0
    whole = abs(A).max() if A.nnz else 1.0
    inside = np.zeros(model.shape[1:], dtype=bool)
    inside[(slice(None), *model.inside)] = True
    keep = np.flatnonzero(inside.ravel())
    core = A[keep][:, keep]
    if core.nnz:
        skew = abs(core - core.T).max()
    if skew > 0.5 * whole:
        raise SchemeError(
            f"rule `{model.rule.name}` is not symmetric enough for the propagator, which is made "
            "for decay, not for waves. Use `method = 'steps'`."
        )

"""The act "lift": fill the sites of every patch from coarse values.

Along each axis the sites of patch I are a weighted sum of the coarse values around it,

    u[I, site] = sum_k W[I, site, k] U[nodes[I, k]],

applied axis by axis (a tensor product). The weights belong to the polynomial (or trigonometric
interpolant) whose *discrete* averages over the cores are the coarse values, so that restricting
what was lifted returns the coarse values to round-off.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import perm

from gpupatch.arrays import Handle, Macro, Micro
from gpupatch.grid import Face, PatchGrid
from gpupatch.stencil import SPECTRAL, check_order, need_patches


@dataclass(frozen=True, eq=False)
class AxisLifting:
    """Weights along one axis.

    Coarse values on a non-periodic axis are extended by two entries, the right-hand sides of the
    conditions on the low face (index N) and on the high face (index N + 1).

    Attributes:
        nodes: entries read, [patch, k].
        weights: [patch, site, k].
        extension: weights that evaluate the conditions themselves on data along this axis,
            [side, patch], or None on periodic axes.
    """

    nodes: NDArray[np.int64]
    weights: NDArray[np.float64]
    extension: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Lifting:
    """A reconstruction bound to a grid; `extended` prepares coarse values for it.

    Attributes:
        grid: the patch grid.
        fields: names of the fields.
        axes: weights per axis.
        centres: positions of the lifted patches per axis.
        averages: the mean that makes coarse values, per axis: positions relative to the centre
            and their weights.
    """

    grid: PatchGrid
    fields: tuple[str, ...]
    axes: tuple[AxisLifting, ...]
    centres: tuple[NDArray[np.float64], ...]
    averages: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]

    def extended(
        self,
        U: Macro,
        t: float,
        rate: bool = False,
        place: Callable[[Macro], Handle] | None = None,
    ) -> Macro:
        """Coarse values with the boundary values appended on non-periodic axes.

        Args:
            U: coarse values, [member, field, *patch axes].
            t: time at which boundary values are taken.
            rate: whether `U` is a rate of change, so that boundary values count as zero.
            place: brings boundary values to where `U` is, if that is not the host.

        Returns:
            [member, field, *patch axes + 2 on non-periodic axes].
        """
        for axis, lifting in enumerate(self.axes):
            if lifting.extension is not None:
                ghosts = self._ghosts(U, axis, t, rate)
                ghosts = ghosts if place is None else place(ghosts)
                U = np.concatenate([U, ghosts], axis=2 + axis)
        return U

    def alone(self, patch: Sequence[int]) -> Lifting:
        """The reconstruction of one patch from the same coarse values.

        Args:
            patch: its index along each axis.
        """
        axes = tuple(
            replace(one, nodes=one.nodes[i : i + 1], weights=one.weights[i : i + 1])
            for one, i in zip(self.axes, patch, strict=True)
        )
        centres = tuple(X[i : i + 1] for X, i in zip(self.centres, patch, strict=True))
        return replace(self, axes=axes, centres=centres)

    def _ghosts(self, U: Macro, axis: int, t: float, rate: bool) -> Macro:
        grid = self.grid
        shape = list(U.shape)
        shape[2 + axis] = 2
        ghosts = np.zeros(shape)
        if rate:
            return ghosts
        inner = [slice(0, n) for n in grid.patches]
        for side, face in enumerate(grid.faces(axis)):
            inner[axis] = slice(side, side + 1)
            for index, name in enumerate(self.fields):
                ghosts[(slice(None), index, *inner)] = self._wall(face.of(name), axis, side, t)
        for a in range(axis):
            extension = self.axes[a].extension
            if extension is not None:
                known = np.take(ghosts, np.arange(grid.patches[a]), axis=2 + a)
                corner = np.moveaxis(np.tensordot(extension, known, axes=(1, 2 + a)), 0, 2 + a)
                index = [slice(None)] * ghosts.ndim
                index[2 + a] = slice(grid.patches[a], None)
                ghosts[tuple(index)] = corner
        return ghosts

    def _wall(self, face: Face, axis: int, side: int, t: float):
        """Right-hand sides on a face, averaged along it as the coarse values are."""
        if not callable(face.c):
            return face.c
        grid = self.grid
        coordinates, weights = [], []
        for a, (offsets, share) in enumerate(self.averages):
            if a == axis:
                points, share = np.full((1, 1), float(grid.domain[axis][side])), np.ones(1)
            else:
                points = np.add.outer(grid.centres[a], offsets)
            shape = [1] * (2 * grid.ndim)
            shape[a], shape[grid.ndim + a] = points.shape
            coordinates.append(points.reshape(shape))
            weights.append(share)
        values = face.value(coordinates, t)
        for share in reversed(weights):
            values = values @ share
        return values


def reconstruct(lifting: Lifting, extended: Macro) -> Micro:
    """Apply a reconstruction.

    Args:
        lifting: the weights.
        extended: coarse values as `Lifting.extended` returns them.

    Returns:
        Sites of all patches, [patch, field, *sites].
    """
    u, ndim = extended, len(lifting.axes)
    for axis, part in enumerate(lifting.axes):
        gathered = np.take(u, part.nodes, axis=2 + axis)
        u = np.einsum(
            "...pk,psk->...ps", np.moveaxis(gathered, (2 + axis, 3 + axis), (-2, -1)), part.weights
        )
        u = np.moveaxis(u, -2, 2 + axis)
    fields = u.shape[1]
    u = np.moveaxis(u, 1, 1 + ndim)
    return np.ascontiguousarray(u.reshape(-1, fields, *u.shape[2 + ndim :]))


def core_lifting(
    grid: PatchGrid,
    fields: tuple[str, ...],
    order: int | str,
    weights: Sequence[NDArray[np.float64]] | None = None,
    derivative: Sequence[int] | None = None,
) -> Lifting:
    """Reconstruct patches from averages over their cores.

    On neighbour m at distance d_m the polynomial sum_q c_q s^q of degree `order` has the discrete
    core average V[m, q] = mean_core((d_m + xi)^q); hence W(s) = V^-T (s^q). In Fourier space the
    same is exp(i k s) / mean_core(exp(i k xi)). Near non-periodic faces the stencil is one-sided
    and takes in the boundary condition.

    Args:
        grid: the patch grid.
        fields: names of the fields.
        order: degree 2, 4, 6, 8 of the polynomial, or "spectral".
        weights: weights over the sites that make the averages, one array per axis; the plain mean
            over the core when absent.
        derivative: how often the interpolant is differentiated along each axis; never when absent.

    Returns:
        The reconstruction.

    Raises:
        SchemeError: if the grid has fewer patches than the stencil reads.

    Source: the average-exact variant of Roberts and Kevrekidis (2007), section 3
    [RobertsKevrekidis2007].
    """
    check_order(order)
    averages = []
    for axis in range(grid.ndim):
        share = _core_weights(grid, axis) if weights is None else weights[axis]
        read = np.flatnonzero(share)
        averages.append((grid.site_offsets[axis][read], share[read]))
    times = (0,) * grid.ndim if derivative is None else tuple(derivative)
    axes = tuple(
        _core_axis(grid, axis, order, places, share, times[axis])
        for axis, (places, share) in enumerate(averages)
    )
    return Lifting(grid, fields, axes, grid.centres, tuple(averages))


def _core_weights(grid: PatchGrid, axis: int) -> NDArray[np.float64]:
    share, core = np.zeros(grid.n_sites[axis]), grid.core_sites[axis]
    share[core] = 1.0 / (core.stop - core.start)
    return share


def _core_axis(
    grid: PatchGrid, axis: int, order: int | str, places, share, times: int
) -> AxisLifting:
    H, X = grid.gap[axis], grid.centres[axis]
    offsets, core = grid.site_offsets[axis] / H, places / H
    n_patch = len(X)
    if grid.periodic(axis):
        if order == SPECTRAL:
            nodes = (np.arange(n_patch)[:, None] + np.arange(n_patch)) % n_patch
            weights = _spectral_weights(n_patch, offsets, core, share, times)
        else:
            half = int(order) // 2
            need_patches(axis, n_patch, 2 * half + 1, order)
            steps = np.arange(-half, half + 1)
            nodes = (np.arange(n_patch)[:, None] + steps) % n_patch
            rows = [_mean_powers(m + core, share, 2 * half + 1) for m in steps]
            weights = _solve(rows, offsets, times)
        return AxisLifting(nodes, np.tile(weights / H**times, (n_patch, 1, 1)), None)
    degree = n_patch - 1 if order == SPECTRAL else int(order)
    need_patches(axis, n_patch, degree, order)
    return _bounded_axis(grid, axis, degree, places, share, times)


def _bounded_axis(
    grid: PatchGrid, axis: int, degree: int, places, share, times: int
) -> AxisLifting:
    """Stencils of `degree` + 1 data: the nearest averages, and the condition on a face if near."""
    H, X, faces = grid.gap[axis], grid.centres[axis], grid.faces(axis)
    n_patch, offsets = len(X), grid.site_offsets[axis] / H
    nodes = np.empty((len(X), degree + 1), dtype=np.int64)
    weights = np.empty((len(X), len(offsets), degree + 1))
    for patch, centre in enumerate(X):
        nodes[patch] = bounded_stencil(patch, n_patch, degree)
        rows = []
        for node in nodes[patch]:
            if node < n_patch:
                rows.append(_mean_powers((X[node] + places - centre) / H, share, degree + 1))
            else:
                side = node - n_patch
                where = (grid.domain[axis][side] - centre) / H
                rows.append(condition_row(faces[side], side, where, H, degree + 1))
        weights[patch] = _solve(rows, offsets, times) / H**times
    extension = np.zeros((2, n_patch))
    for side, face in enumerate(faces):
        near = np.arange(min(degree + 1, n_patch))
        near = near if side == 0 else n_patch - 1 - near
        where = grid.domain[axis][side]
        rows = [_mean_powers((X[m] + places - where) / H, share, len(near)) for m in near]
        condition = condition_row(face, side, 0.0, H, len(near))
        extension[side, near] = np.linalg.solve(np.array(rows).T, condition)
    return AxisLifting(nodes, weights, extension)


def bounded_stencil(patch: int, n_patch: int, degree: int) -> NDArray[np.int64]:
    """Entries read by one patch: centred if they fit, else shifted, with the nearer face.

    Entry `n_patch` is the low face and `n_patch + 1` the high one.
    """
    first = patch - degree // 2
    if first < 0 or first + degree >= n_patch:
        face = n_patch if first < 0 else n_patch + 1
        inner = np.arange(degree) if first < 0 else np.arange(n_patch - degree, n_patch)
        return np.append(inner, face)
    return first + np.arange(degree + 1)


def condition_row(face: Face, side: int, where: float, H: float, count: int):
    """Row of the collocation matrix for a s^q + b d(s^q)/dn at a face; `where` in units of H."""
    powers = np.arange(count)
    outward = -1.0 if side == 0 else 1.0
    slope = np.where(powers > 0, powers * where ** np.maximum(powers - 1, 0), 0.0) / H
    return face.a * where**powers + face.b * outward * slope


def _mean_powers(s, share, count: int) -> NDArray[np.float64]:
    return share @ s[:, None] ** np.arange(count)


def _solve(rows, offsets, times: int) -> NDArray[np.float64]:
    """Weights of d^times/ds^times of the polynomial, [site, k]."""
    V = np.array(rows)
    q = np.arange(V.shape[1])
    powers = perm(q, times) * offsets[:, None] ** np.maximum(q - times, 0)
    return np.linalg.solve(V.T, powers.T).T


def _spectral_weights(n_patch: int, offsets, core, share, times: int) -> NDArray[np.float64]:
    """Trigonometric interpolation of core averages, [site, offset of the patch read].

    It is differentiated `times` times, by s = x/H.
    """
    j = np.arange(n_patch)
    weights = np.full((len(offsets), n_patch), 0.0 if times else 1.0 / n_patch)
    for k in range(1, (n_patch + 1) // 2):
        theta = 2 * np.pi * k / n_patch
        filtered = np.exp(1j * theta * offsets) / (share @ np.exp(1j * theta * core))
        filtered = (1j * theta) ** times * filtered
        weights += 2 * np.real(np.multiply.outer(filtered, np.exp(-1j * theta * j))) / n_patch
    if n_patch % 2 == 0:
        nyquist = np.cos(np.pi * (offsets + times / 2)) / (share @ np.cos(np.pi * core))
        nyquist = np.pi**times * nyquist
        weights += np.multiply.outer(nyquist, np.cos(np.pi * j)) / n_patch
    return weights


def taper(grid: PatchGrid) -> NDArray[np.float64]:
    """One on the core, falling linearly to zero at the edges.

    Details of a healed patch that are lifted again are weighed with it, so that artefacts of the
    edges do not pile up.

    Args:
        grid: the patch grid.

    Returns:
        [*sites].
    """
    lines = []
    for n, core in zip(grid.n_sites, grid.core_sites, strict=True):
        knots = [grid.edges - 1, core.start, core.stop - 1, n - grid.edges]
        lines.append(np.interp(np.arange(n), knots, [0.0, 1.0, 1.0, 0.0]))
    return functools.reduce(np.multiply.outer, lines)


def taylor(U, G, C, offsets, core) -> NDArray[np.float64]:
    """Lift one patch from its mean, gradient and curvature.

    u(xi) = U + G . xi + xi^T C xi / 2 - kappa, with kappa the discrete core mean of the added
    terms, so that the core mean of u is U to round-off.

    Args:
        U: mean over the core.
        G: gradient, [axis].
        C: symmetric matrix of second derivatives, [axis, axis].
        offsets: positions of the sites relative to the centre, one array per axis.
        core: slices of the core sites, one per axis.

    Returns:
        Sites of the patch, [*sites], same units as `U`.

    Source: Kevrekidis et al. (2003), section 4 [Kevrekidis2003].
    """
    G, C = np.atleast_1d(G), np.atleast_2d(C)
    xi = np.meshgrid(*offsets, indexing="ij")
    added = np.zeros(xi[0].shape)
    for a, x in enumerate(xi):
        added += G[a] * x + 0.5 * x * sum(C[a, b] * y for b, y in enumerate(xi))
    return U + added - added[tuple(core)].mean()

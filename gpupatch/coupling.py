"""The act "couple": set the edges of every patch from the patches around it.

The plans made here are weights and index tables in float64; a backend only applies them. Along an
axis, each edge layer of patch I receives

    u[I, edge] = sum_k W[I, k] u[nodes[I, k], source]

where `source` is the centre site (or, for `edgy` coupling, the opposite next-to-edge site) of the
sub-lattice to which the edge layer belongs. Axes are done in order x, y, z; whole lines or planes
of sites are interpolated, so that microstructure keeps its phase across the gap.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.contract import checked
from gpupatch.errors import SchemeError
from gpupatch.grid import Face, PatchGrid
from gpupatch.stencil import (
    SPECTRAL,
    check_order,
    fourier_weights,
    lagrange_weights,
    need_patches,
)

KINDS = ("centre", "edgy", "staggered")


@dataclass(frozen=True, eq=False)
class BoundaryFill:
    """How the edges of an end patch follow from the boundary condition and the interior.

    u[edge layer] = affine[field, layer] c + sum_k weights[field, layer, k] u[inside[k]]

    The polynomial behind it satisfies the condition at the face and passes through the first
    `edges + 1` interior sites.

    Attributes:
        affine: [field, layer].
        weights: [field, layer, k].
        inside: sites read, [k]; in a patch with one interior site also its other edge, set before.
    """

    affine: NDArray[np.float64]
    weights: NDArray[np.float64]
    inside: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AxisCoupling:
    """The coupling along one axis; index 0 of `*_side` arrays is the low side, 1 the high side.

    Attributes:
        nodes: patches read, [patch, k].
        weights: [side, patch, k].
        source: sites read, [side, layer].
        target: edge sites written, [side, layer].
        member_step: ensemble member read, relative to the member written, [side].
        phases: members per ensemble of phase shifts along this axis.
        fills: conditions at the low and the high face, or None on periodic axes.
    """

    nodes: NDArray[np.int64]
    weights: NDArray[np.float64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    member_step: tuple[int, int]
    phases: int
    fills: tuple[BoundaryFill, BoundaryFill] | None


@checked(SchemeError)
@dataclass(frozen=True, eq=False)
class Coupling:
    """Interpolation across the gaps between patches, bound to a grid.

    Attributes:
        grid: the patch grid.
        fields: names of the fields.
        order: order of accuracy 2, 4, 6, 8 in H, or "spectral".
        kind: "centre", "edgy" or "staggered".
        phases: members per ensemble of phase shifts, per axis.

    Raises:
        SchemeError: if the grid has too few patches, an even number of sites where a centre is
            needed, or does not fit the kind.
    """

    grid: PatchGrid
    fields: tuple[str, ...]
    order: int | str = 4
    kind: str = "centre"
    phases: tuple[int, ...] = ()

    def __post_init__(self):
        phases = self.phases or (1,) * self.grid.ndim
        object.__setattr__(self, "phases", tuple(phases))
        check_order(self.order)
        if self.kind not in KINDS:
            raise SchemeError(f"coupling {self.kind!r} is unknown; use one of {', '.join(KINDS)}.")
        if self.grid.edgy != (self.kind == "edgy"):
            raise SchemeError(
                f"the grid was made with edgy={self.grid.edgy}, but the coupling is "
                f"{self.kind!r}: `ratio` would mean something else. Make them agree."
            )
        axes = tuple(self._axis(axis) for axis in range(self.grid.ndim))
        object.__setattr__(self, "axes", axes)

    axes: tuple[AxisCoupling, ...] = ()

    @property
    def time_dependent(self) -> bool:
        """Whether some boundary value may change in time."""
        faces = [
            face.of(name)
            for axis in range(self.grid.ndim)
            if not self.grid.periodic(axis)
            for face in self.grid.faces(axis)
            for name in self.fields
        ]
        return any(callable(face.c) for face in faces)

    def boundary_values(self, axis: int, t: float) -> NDArray[np.float64] | None:
        """Right-hand sides c of the conditions on both faces of an axis.

        Args:
            axis: the axis.
            t: time.

        Returns:
            [side, field, *other patch axes, *other sites], or None on a periodic axis.
        """
        if self.grid.periodic(axis):
            return None
        grid = self.grid
        others = [a for a in range(grid.ndim) if a != axis]
        shape = [grid.patches[a] for a in others] + [grid.n_sites[a] for a in others]
        values = np.empty((2, len(self.fields), *shape))
        for side, face in enumerate(grid.faces(axis)):
            coordinates = [np.array(grid.domain[axis][side], dtype=float)] * grid.ndim
            for place, a in enumerate(others):
                lines = np.add.outer(grid.centres[a], grid.site_offsets[a])
                full = [1] * len(shape)
                full[place], full[len(others) + place] = lines.shape
                coordinates[a] = lines.reshape(full)
            for index, name in enumerate(self.fields):
                values[side, index] = face.of(name).value(coordinates, t)
        return values

    def _axis(self, axis: int) -> AxisCoupling:
        grid, e = self.grid, self.grid.edges
        n, n_patch = grid.n_sites[axis], grid.patches[axis]
        self._check_sites(axis, n)
        layers = np.arange(e)
        target = np.stack([layers, n - e + layers])
        if self.kind == "edgy":
            source = np.stack([n - 2 * e + layers, e + layers])
        else:
            centre = e * ((n // e - 1) // 2) + layers
            source = np.stack([centre, centre])
        if grid.periodic(axis):
            nodes, weights = self._periodic(axis, n_patch)
            fills = None
        else:
            nodes, weights = self._bounded(axis, n_patch, source, target)
            lo, hi = grid.faces(axis)
            fills = (self._fill(axis, lo, 0), self._fill(axis, hi, 1))
        step = n - 2 * e
        return AxisCoupling(nodes, weights, source, target, (step, -step), self.phases[axis], fills)

    def _check_sites(self, axis: int, n: int) -> None:
        e = self.grid.edges
        if n % e:
            raise SchemeError(
                f"axis {axis}: {n} sites are not a multiple of the {e} edge layers. "
                "With several layers each sub-lattice is coupled on its own."
            )
        if self.kind != "edgy" and (n // e) % 2 == 0:
            raise SchemeError(
                f"axis {axis}: {n} sites with {e} edge layer(s) have no centre site. Use an odd "
                "number of sites per layer, or `couple = 'edgy'`."
            )
        if self.kind == "edgy" and n < 3 * e + 1:
            raise SchemeError(f"axis {axis}: edgy coupling needs more than {3 * e} sites, not {n}.")

    def _periodic(self, axis: int, n_patch: int):
        shift = self.grid.shift[axis]
        patch = np.arange(n_patch)[:, None]
        if self.kind == "staggered":
            offsets, low, high = self._staggered(axis, n_patch, shift)
        elif self.order == SPECTRAL:
            offsets = np.arange(n_patch)
            low, high = fourier_weights(n_patch, -shift), fourier_weights(n_patch, shift)
        else:
            half = int(self.order) // 2
            offsets = np.arange(-half, half + 1)
            need_patches(axis, n_patch, len(offsets), self.order)
            low = lagrange_weights(offsets.astype(float), -shift)
            high = lagrange_weights(offsets.astype(float), shift)
        nodes = (patch + offsets) % n_patch
        weights = np.stack([np.tile(low, (n_patch, 1)), np.tile(high, (n_patch, 1))])
        return nodes, weights

    def _staggered(self, axis: int, n_patch: int, shift: float):
        """Interpolate from the patches of the other parity, two patch spacings apart.

        Source: Bunder, Divahar, Kevrekidis, Mattner and Roberts (2021), section 2
        [BunderDivaharRoberts2021].
        """
        n = self.grid.n_sites[axis]
        if self.grid.ndim > 1 or self.grid.edges > 1:
            raise SchemeError("staggered coupling is for one dimension and one edge layer.")
        if n % 4 != 3 or n_patch % 2:
            raise SchemeError(
                f"staggered coupling needs 4 k - 1 sites (3, 7, 11, ...) and an even number of "
                f"patches, found {n} sites and {n_patch} patches."
            )
        if self.order == SPECTRAL:
            offsets = 2 * np.arange(n_patch // 2) - 1
            low, high = (fourier_weights(n_patch // 2, 0.5 + sign * shift / 2) for sign in (-1, 1))
            return offsets, low, high
        half = int(self.order) // 2
        offsets = 2 * np.arange(-half, half) + 1
        need_patches(axis, n_patch, 2 * len(offsets), self.order)
        low = lagrange_weights(offsets.astype(float), -shift)
        return offsets, low, lagrange_weights(offsets.astype(float), shift)

    def _bounded(self, axis: int, n_patch: int, source, target):
        """One-sided stencils near the ends; the polynomial goes through the source positions."""
        if self.kind == "staggered":
            raise SchemeError("staggered coupling needs a periodic axis.")
        degree = n_patch - 1 if self.order == SPECTRAL else int(self.order)
        need_patches(axis, n_patch, degree + 1, self.order)
        X, offsets = self.grid.centres[axis], self.grid.site_offsets[axis]
        first = np.clip(np.arange(n_patch), 0, n_patch - 1 - (degree + 1) // 2) - degree // 2
        nodes = np.maximum(first, 0)[:, None] + np.arange(degree + 1)
        weights = np.empty((2, n_patch, degree + 1))
        for side in (0, 1):
            read, write = offsets[source[side, 0]], offsets[target[side, 0]]
            for patch in range(n_patch):
                weights[side, patch] = lagrange_weights(X[nodes[patch]] + read, X[patch] + write)
        return nodes, weights

    def _fill(self, axis: int, face: Face, side: int) -> BoundaryFill:
        e, n, dx = self.grid.edges, self.grid.n_sites[axis], self.grid.spacing[axis]
        depth = np.arange(n)[: 2 * e + 1]
        parts = [fill_weights(face.of(name), e, dx) for name in self.fields]
        affine = np.stack([part[0] for part in parts])
        weights = np.stack([part[1] for part in parts])
        inside = depth[e:]
        if side == 1:
            affine, weights, inside = affine[:, ::-1], weights[:, ::-1], n - 1 - inside
        return BoundaryFill(affine, weights, inside)


@functools.lru_cache(maxsize=32)
def coupling_of(
    grid: PatchGrid, fields: tuple[str, ...], order: int | str, kind: str, phases: tuple[int, ...]
) -> Coupling:
    """The coupling of a grid, made once for all schemes on it; arguments as of `Coupling`."""
    return Coupling(grid, fields, order, kind, phases)


def fill_weights(face: Face, edges: int, dx: float):
    """Weights of `BoundaryFill`, layers counted from the face inwards.

    The polynomial p(s), s = distance from the face in units of dx, of degree edges + 1 satisfies
    a p(0) - (b/dx) p'(0) = c and p(k) = u[k] at the edges + 1 sites after the edge layers.

    Args:
        face: the condition.
        edges: number of edge layers.
        dx: distance between sites.

    Returns:
        ``affine[layer]`` and ``weights[layer, k]``.
    """
    inside = np.arange(edges, 2 * edges + 1, dtype=float)
    powers = np.arange(len(inside) + 1)
    rows = np.vstack([np.zeros(len(powers)), inside[:, None] ** powers])
    rows[0, 0], rows[0, 1] = face.a, -face.b / dx
    layers = np.arange(edges, dtype=float)[:, None] ** powers
    solved = np.asarray(np.linalg.solve(rows.T, layers.T).T, dtype=float)
    return solved[:, 0], solved[:, 1:]

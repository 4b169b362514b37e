"""Where the patches are, where their sites are, and what happens at the faces of the domain."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.contract import checked, shown
from gpupatch.errors import GridError
from gpupatch.memory import numbers, require

_MOST = 2**31 - 1
"""Patches or sites along one axis."""
_MOST_EDGES = 100
_SHORTEST, _LONGEST = 1e-36, 1e36
"""Lengths whose eighth powers are numbers."""

Value = float | Callable[..., NDArray[np.float64]]


@checked(GridError)
@dataclass(frozen=True)
class Face:
    """A condition on one face of the domain: a u + b du/dn = c, n pointing outwards.

    Attributes:
        a: weight of the value.
        b: weight of the outward derivative, in units of length.
        c: right-hand side; a number, or a function of (x, [y, [z,]] t) on arrays.
        fields: other conditions for fields that have their own, by name.
    """

    a: float
    b: float
    c: Value
    fields: Mapping[str, Face] = field(default_factory=dict)

    def __post_init__(self):
        if self.a == 0 and self.b == 0:
            raise GridError(
                "a boundary condition a u + b du/dn = c was given with a = b = 0. "
                "Give `robin` a nonzero first or second entry."
            )

    def of(self, name: str) -> Face:
        """The condition on one field."""
        return self.fields.get(name, self)

    def value(self, coordinates: Sequence[NDArray[np.float64]], t: float) -> NDArray[np.float64]:
        """The right-hand side c at points of the face, broadcast to the coordinates."""
        shape = np.broadcast_shapes(*(np.shape(x) for x in coordinates))
        c = self.c(*coordinates, t) if callable(self.c) else self.c
        return np.broadcast_to(np.asarray(c, dtype=float), shape)


@checked(GridError)
def dirichlet(value: Value = 0.0) -> Face:
    """Prescribe the value on a face: u = value."""
    return Face(1.0, 0.0, value)


@checked(GridError)
def neumann(slope: Value = 0.0) -> Face:
    """Prescribe the outward derivative on a face: du/dn = slope."""
    return Face(0.0, 1.0, slope)


@checked(GridError)
def robin(a: float, b: float, c: Value) -> Face:
    """Prescribe a combination on a face: a u + b du/dn = c."""
    return Face(a, b, c)


@checked(GridError)
@dataclass(frozen=True, eq=False)
class PatchGrid:
    """Small patches of a fine lattice, spread over a large domain.

    Site i of patch j on an axis is at x = X_j + (i - (n-1)/2) dx. On periodic axes
    X_j = lo + (j + 1/2 + offset) H with H = length/N. On non-periodic axes the outermost sites of
    the end patches lie on the faces of the domain: X runs from lo + half-width to hi - half-width.

    Per-axis arguments may be given once for all axes.

    Attributes:
        domain: (lo, hi) per axis.
        patches: number of patches (or, for the `flux` scheme, cells) per axis.
        sites: sites per patch and axis, edge layers included; may be left out if `core`,
            `buffer` and `dx` are given.
        ratio: distance over which the coupling interpolates, in units of H:
            (sites - edges) dx / (2 H) from the centre to the edge, (sites - 2 edges) dx / H
            if `edgy`. Give exactly one of `ratio` and `dx`.
        dx: distance between sites, same units as `domain`.
        boundary: "periodic" or a pair of `Face`s (lo, hi), per axis.
        core: width over which coarse values are averaged; all interior sites when absent.
        buffer: width between core and edge on each side, instead of or with `core`.
        positions: "equispaced", "chebyshev" or the patch centres themselves, per axis.
        offset: shift of the patches on periodic axes, in units of H.
        edges: edge layers on each side, as many as the rule reads neighbours.
        allow_overlap: accept patches that overlap.
        edgy: whether `ratio` belongs to coupling from the opposite next-to-edge sites.
        cells: whether centres are those of `patches` equal cells on every axis (`flux` scheme).
    """

    domain: Sequence[tuple[float, float]]
    patches: Sequence[int]
    sites: Sequence[int] | int | None = None
    ratio: Sequence[float] | float | None = None
    dx: Sequence[float] | float | None = None
    boundary: Sequence[str | tuple[Face, Face]] | str = "periodic"
    core: Sequence[float] | float | None = None
    buffer: Sequence[float] | float | None = None
    positions: Sequence[str | Sequence[float]] | str = "equispaced"
    offset: Sequence[float] | float = 0.0
    edges: int = 1
    allow_overlap: bool = False
    edgy: bool = False
    cells: bool = False

    def __post_init__(self):
        if not 1 <= self.ndim <= 3 or len(self.patches) != self.ndim:
            raise GridError(
                f"`domain` has {self.ndim} axes and `patches` {len(self.patches)}: "
                "give one [lo, hi] and one number per axis, 1 to 3 axes."
            )
        for axis in range(self.ndim):
            self._check_axis(axis)
        require(
            numbers(self.patches, self.n_sites),
            f"{' x '.join(map(str, self.patches))} patches of "
            f"{' x '.join(map(str, self.n_sites))} sites",
            "Use fewer patches or sites.",
        )
        for axis in range(self.ndim):
            if not self.allow_overlap and not self.cells:
                self._check_overlap(axis)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.domain)

    def periodic(self, axis: int) -> bool:
        """Whether the axis closes on itself."""
        return isinstance(self._of(self.boundary, axis), str)

    def faces(self, axis: int) -> tuple[Face, Face]:
        """Conditions on the low and the high face of a non-periodic axis."""
        return self._of(self.boundary, axis)

    @functools.cached_property
    def n_sites(self) -> tuple[int, ...]:
        """Sites per patch and axis, edge layers included."""
        counts = []
        for axis in range(self.ndim):
            sites = self._of(self.sites, axis)
            if sites is None:
                core, buffer = self._of(self.core, axis), self._of(self.buffer, axis)
                dx = float(self._of(self.dx, axis))
                sites = round(core / dx) + 2 * round(buffer / dx) + 2 * self.edges
            counts.append(int(sites))
        return tuple(counts)

    @functools.cached_property
    def spacing(self) -> tuple[float, ...]:
        """Distance between sites per axis."""
        values = []
        for axis, n in enumerate(self.n_sites):
            dx, ratio = self._of(self.dx, axis), self._of(self.ratio, axis)
            if dx is None:
                steps = n - 2 * self.edges if self.edgy else (n - self.edges) / 2
                dx = float(ratio) * self._length(axis) / self.patches[axis] / steps
            values.append(float(dx))
        return tuple(values)

    @functools.cached_property
    def half_width(self) -> tuple[float, ...]:
        """Distance from the centre of a patch to its outermost site, per axis."""
        return tuple((n - 1) * d / 2 for n, d in zip(self.n_sites, self.spacing, strict=True))

    @functools.cached_property
    def centres(self) -> tuple[NDArray[np.float64], ...]:
        """Positions X of the patch centres (cell centres for `cells`), per axis."""
        return tuple(self._centres(axis) for axis in range(self.ndim))

    @functools.cached_property
    def gap(self) -> tuple[float, ...]:
        """Distance H between patch centres per axis (the mean one where it varies)."""
        gaps = []
        for axis, X in enumerate(self.centres):
            lattice = self.periodic(axis) or self.cells or len(X) == 1
            gaps.append(self._length(axis) / len(X) if lattice else (X[-1] - X[0]) / (len(X) - 1))
        return tuple(float(g) for g in gaps)

    @functools.cached_property
    def shift(self) -> tuple[float, ...]:
        """Distance over which the coupling interpolates, in units of H, per axis."""
        e = self.edges
        return tuple(
            ((n - 2 * e) * d if self.edgy else (n - e) * d / 2) / H
            for n, d, H in zip(self.n_sites, self.spacing, self.gap, strict=True)
        )

    @functools.cached_property
    def core_sites(self) -> tuple[slice, ...]:
        """The sites of the core, per axis; half-open when it cannot be centred."""
        slices = []
        for axis, (n, d) in enumerate(zip(self.n_sites, self.spacing, strict=True)):
            core, buffer = self._of(self.core, axis), self._of(self.buffer, axis)
            inside = n - 2 * self.edges
            count = inside
            if core is not None:
                count = round(core / d)
            elif buffer is not None:
                count = inside - 2 * round(buffer / d)
            if not 1 <= count <= inside:
                raise GridError(
                    f"axis {axis}: the core would have {count} of the {inside} interior sites. "
                    "Change `core`, `buffer` or `sites`."
                )
            start = (n - count) // 2
            slices.append(slice(start, start + count))
        return tuple(slices)

    @functools.cached_property
    def buffer_width(self) -> tuple[float, ...]:
        """Distance from the core to the nearest edge site, per axis."""
        return tuple(
            min(core.start - self.edges + 1, n - core.stop - self.edges + 1) * d
            for core, n, d in zip(self.core_sites, self.n_sites, self.spacing, strict=True)
        )

    @functools.cached_property
    def site_offsets(self) -> tuple[NDArray[np.float64], ...]:
        """Positions of the sites relative to the patch centre, per axis."""
        return tuple(
            (np.arange(n, dtype=float) - (n - 1) / 2) * d
            for n, d in zip(self.n_sites, self.spacing, strict=True)
        )

    def origins(self, centres: Sequence[NDArray[np.float64]] | None = None) -> NDArray[np.float64]:
        """Coordinates of the first site of every patch, [patch, axis], C order.

        Args:
            centres: patch centres per axis; those of the grid when absent.

        Returns:
            Same units as `domain`.
        """
        X = np.meshgrid(*(centres or self.centres), indexing="ij")
        flat = np.stack([x.ravel() for x in X], axis=1)
        return flat - np.array(self.half_width)

    def fraction(self) -> float:
        """Share of the domain that is simulated (a patch of n sites covers n dx)."""
        share = 1.0
        for axis, (n, d) in enumerate(zip(self.n_sites, self.spacing, strict=True)):
            share *= self.patches[axis] * n * d / self._length(axis)
        return share

    def _centres(self, axis: int) -> NDArray[np.float64]:
        lo, hi = self.domain[axis]
        n_patch, how = self.patches[axis], self._of(self.positions, axis)
        if self.cells or (self.periodic(axis) and isinstance(how, str)):
            offset = float(self._of(self.offset, axis)) if self.periodic(axis) else 0.0
            return lo + (np.arange(n_patch) + 0.5 + offset) * (hi - lo) / n_patch
        if not isinstance(how, str):
            return np.asarray(how, dtype=float)
        first, last = lo + self.half_width[axis], hi - self.half_width[axis]
        if how == "equispaced":
            return np.linspace(first, last, n_patch)
        return self._chebyshev(axis, first, last)

    def _chebyshev(self, axis: int, first: float, last: float) -> NDArray[np.float64]:
        """Chebyshev points between layers of patches that touch, b/2 of them at each end."""
        n_patch, d, n, e = self.patches[axis], self.spacing[axis], self.n_sites[axis], self.edges
        width = (n - 2 * e) * d if self.edgy else (n - e) * d / 2
        for b in range(0, n_patch - 2, 2):
            free = last - first - b * width
            if free / 2 * (1 - np.cos(np.pi / (n_patch - b - 1))) > width:
                layer = np.arange(b // 2, dtype=float) * width
                angles = np.linspace(0, np.pi, n_patch - b)
                middle = (first + last) / 2 - free / 2 * np.cos(angles)
                return np.concatenate([first + layer, middle, (last - layer)[::-1]])
        raise GridError(
            f"axis {axis}: {n_patch} patches of width {width:.3g} do not fit Chebyshev positions "
            f"in {last - first:.3g}. Use fewer patches, a smaller `dx`, or equispaced ones."
        )

    def _length(self, axis: int) -> float:
        lo, hi = self.domain[axis]
        return float(hi) - float(lo)

    def _of(self, value, axis: int) -> Any:
        """The entry of a per-axis argument, which may have been given once for all."""
        if value is None or isinstance(value, str | Real):
            return value
        if len(value) != self.ndim:
            raise GridError(
                f"the grid has {self.ndim} axes, but one of its arguments has {len(value)} "
                f"entries: {list(value)!r}. Give one entry per axis, or a single value."
            )
        return value[axis]

    def _check_axis(self, axis: int) -> None:
        lo, hi = self.domain[axis]
        boundary, how = self._of(self.boundary, axis), self._of(self.positions, axis)
        dx, ratio = self._of(self.dx, axis), self._of(self.ratio, axis)
        sites, core = self._of(self.sites, axis), self._of(self.core, axis)
        where = f"axis {axis}"
        if not np.isfinite([lo, hi]).all() or hi <= lo:
            raise GridError(f"{where}: `domain` is [{lo}, {hi}]; the second must be larger.")
        if max(abs(lo), abs(hi)) > _LONGEST or hi - lo < _SHORTEST:
            raise GridError(
                f"{where}: `domain` is [{lo}, {hi}]; its lengths must lie between {_SHORTEST:g} "
                f"and {_LONGEST:g}, for their powers are needed. Use other units."
            )
        if not 1 <= self.patches[axis] <= _MOST:
            raise GridError(
                f"{where}: `patches` is {shown(self.patches[axis])}; it must lie between 1 and "
                f"{_MOST}."
            )
        if sites is not None and not 1 <= sites <= _MOST:
            raise GridError(
                f"{where}: `sites` is {shown(sites)}; it must lie between 1 and {_MOST}."
            )
        if isinstance(boundary, str) and boundary != "periodic":
            raise GridError(f"{where}: boundary {boundary!r} is unknown; say 'periodic' or faces.")
        if isinstance(how, str) and how not in ("equispaced", "chebyshev"):
            raise GridError(f"{where}: `positions` is {how!r}; use 'equispaced' or 'chebyshev'.")
        if not isinstance(how, str):
            X = np.asarray(how, dtype=float)
            if len(X) != self.patches[axis] or np.any(np.diff(X) <= 0):
                raise GridError(f"{where}: `positions` needs {self.patches[axis]} rising numbers.")
        if (dx is None) == (ratio is None):
            found = "neither" if dx is None else "both"
            raise GridError(f"{where}: give exactly one of `ratio` and `dx`; found {found}.")
        if ratio is not None and not self.periodic(axis):
            raise GridError(f"{where}: give `dx`; `ratio` is for periodic axes only.")
        if self.periodic(axis) and isinstance(how, str) and how != "equispaced":
            raise GridError(f"{where}: Chebyshev positions need a non-periodic boundary.")
        if not 1 <= self.edges <= _MOST_EDGES:
            raise GridError(
                f"`edges` is {shown(self.edges)}; it must lie between 1 and {_MOST_EDGES}."
            )
        if sites is None and (core is None or self._of(self.buffer, axis) is None or dx is None):
            raise GridError(f"{where}: give `sites`, or all of `core`, `buffer` and `dx`.")
        if self.n_sites[axis] < 2 * self.edges + 1:
            raise GridError(
                f"{where}: {self.n_sites[axis]} sites leave no interior between "
                f"2 x {self.edges} edge layers. Use at least {2 * self.edges + 1}."
            )
        if not _SHORTEST <= self.spacing[axis] <= _LONGEST:
            raise GridError(
                f"{where}: `dx` or `ratio` must be positive and put sites between {_SHORTEST:g} "
                f"and {_LONGEST:g} apart; found {self.spacing[axis]:g}. Use other units."
            )

    def _check_overlap(self, axis: int) -> None:
        X = self.centres[axis]
        width = (self.n_sites[axis] - 2 * self.edges) * self.spacing[axis]
        nearest = float(np.diff(X).min()) if len(X) > 1 else self._length(axis)
        if self.periodic(axis):
            nearest = min(nearest, self._length(axis) - (X[-1] - X[0]))
        if width > nearest * (1 + 1e-9):
            raise GridError(
                f"axis {axis}: patches {width:.4g} wide overlap, their centres being only "
                f"{nearest:.4g} apart. Use a smaller `ratio` or `dx`, fewer sites or patches, "
                "or `allow_overlap = true`."
            )

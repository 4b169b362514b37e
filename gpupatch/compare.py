"""The truth by brute force: the same rule on the whole lattice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro, Micro
from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.micro.coefficients import Cell, as_coefficient
from gpupatch.restriction import weighted_mean
from gpupatch.scheme import BurstScheme, CoupledScheme, Problem, Scheme
from gpupatch.scheme.problem import Initial, coarse_shape


class FullDomain:
    """The rule on the whole lattice, as one patch that closes on itself or ends at the faces.

    Args:
        problem: the problem whose patches are cut from this lattice.
        backend: where the lattice lives.
        micro: micro-stepper.
        dt: micro time step; chosen from the rule when absent.

    Raises:
        SchemeError: if the patches are not cut from one lattice, because the distance between
            them is no whole number of sites or of periods of the medium.
    """

    def __init__(self, problem: Problem, backend, micro: str = "rk4", dt: float | None = None):
        self.problem = problem
        grid = problem.grid
        sites, offsets, self._first = [], [], []
        for axis in range(grid.ndim):
            n, offset, first = self._lattice(axis)
            sites.append(n)
            offsets.append(offset)
            self._first.append(first)
        whole = PatchGrid(
            domain=grid.domain,
            patches=[1] * grid.ndim,
            sites=sites,
            dx=grid.spacing,
            boundary=["periodic" if grid.periodic(a) else grid.faces(a) for a in range(grid.ndim)],
            offset=offsets,
            edges=grid.edges,
            edgy=True,
            allow_overlap=True,
        )
        self.scheme = CoupledScheme(
            dataclasses.replace(problem, grid=whole),
            backend,
            "spectral",
            "edgy",
            micro=micro,
            dt=dt,
        )

    @property
    def nodes(self) -> list[NDArray[np.float64]]:
        """Positions of the sites inside the lattice, per axis."""
        e = self.problem.grid.edges
        counts = [n - 2 * e for n in self.scheme.grid.n_sites]
        return [
            first + d * np.arange(n)
            for first, d, n in zip(self._first, self.problem.grid.spacing, counts, strict=True)
        ]

    def lattice(self, values: Micro) -> Micro:
        """The sites inside the lattice, without its edges, at `nodes`.

        Args:
            values: all sites, [member, field, *sites].
        """
        e = self.problem.grid.edges
        inside = tuple(slice(e, n - e) for n in values.shape[2:])
        return values[(slice(None), slice(None), *inside)]

    def patches(self, u) -> Micro:
        """The sites of every patch cut out of the lattice, [patch, field, *sites]."""
        grid = self.problem.grid
        picked = lattice = self.lattice(self.scheme.kernels.unpack(u))
        for axis in range(grid.ndim):
            picked = np.take(picked, self._index(axis, lattice.shape[2 + axis]), axis=2 + 2 * axis)
        order = [0, *range(2, 2 + 2 * grid.ndim, 2), 1, *range(3, 3 + 2 * grid.ndim, 2)]
        shaped = picked.transpose(order)
        return shaped.reshape(-1, *shaped.shape[1 + grid.ndim :])

    def _index(self, axis: int, n: int) -> NDArray[np.int64]:
        grid = self.problem.grid
        d = grid.spacing[axis]
        offset = grid.centres[axis][:, None] + grid.site_offsets[axis] - self._first[axis]
        index = np.rint(offset / d).astype(np.int64)
        return index % n if grid.periodic(axis) else np.clip(index, 0, n - 1)

    def _lattice(self, axis: int) -> tuple[int, float, float]:
        grid = self.problem.grid
        (lo, hi), d, e = grid.domain[axis], grid.spacing[axis], grid.edges
        X = grid.centres[axis]
        first = X[0] + grid.site_offsets[axis][0]
        steps = (X - X[0]) / d
        count = (hi - lo) / d
        if np.abs(steps - np.rint(steps)).max() > 1e-6 or abs(count - round(count)) > 1e-6:
            raise SchemeError(
                f"axis {axis}: the patches do not lie on one lattice (their distance is "
                f"{grid.gap[axis] / d:.6g} sites), so the full domain cannot be compared with. "
                "Choose `dx` or `ratio` so that it is a whole number."
            )
        self._check_cells(axis, np.rint(steps))
        if not grid.periodic(axis):
            return round(count) + 1, 0.0, lo + e * d
        n = round(count) + 2 * e
        centre = first + (n - 1) / 2 * d
        return n, (centre - lo) / (hi - lo) - 0.5, first + e * d

    def _check_cells(self, axis: int, steps: NDArray[np.float64]) -> None:
        """Cells start at the first site of every patch, which must be one tiling of the lattice."""
        for name, given in self.problem.coefficients.items():
            coefficient = as_coefficient(given)
            if not isinstance(coefficient, Cell):
                continue
            period = coefficient.period(self.problem.grid.ndim)[axis]
            if np.any(steps % period):
                raise SchemeError(
                    f"axis {axis}: coefficient `{name}` repeats every {period} sites, but the "
                    f"patches are {steps[1] - steps[0]:g} sites apart, so they are not cut from "
                    "one medium. Choose `dx` or `ratio` so that whole cells fit between patches."
                )


def full_domain_reference(
    scheme: Scheme,
    initial: Initial,
    start: float,
) -> Callable[[float], Macro]:
    """Coarse values of the full-lattice solution, advanced as they are asked for.

    Args:
        scheme: the scheme that is judged; its functional is applied to the lattice.
        initial: initial value of each field.
        start: time of the initial values.

    Returns:
        A function of time, to be called with times that do not decrease.

    Raises:
        SchemeError: for the `flux` scheme, whose face patches do not fill its cells, and for
            particles, of which there is no full domain.
    """
    if not isinstance(scheme, CoupledScheme | BurstScheme):
        raise SchemeError(
            "`compare.full_domain` is for the `coupled` and `burst` schemes on lattices. For "
            f"`{scheme.kind}` give an exact solution."
        )
    whole = FullDomain(scheme.problem, scheme.backend, scheme.micro, scheme.dt)
    inner = whole.scheme
    tracked = [scheme.problem.rule.fields.index(name) for name in scheme.names]
    state = {"t": start, "u": inner.initial(with_hidden(scheme, initial), start)}

    def at(t: float) -> Macro:
        span = t - state["t"]
        if span > 0:
            n = int(np.ceil(span / inner.stable_dt(state["u"], t) * (1 - 1e-12)))
            state["u"] = inner.advance(state["u"], state["t"], span / n, n)
            state["t"] = t
        values = weighted_mean(whole.patches(state["u"]), scheme.restriction)
        return coarse_shape(scheme.problem, scheme.n_members, values)[:, tracked]

    return at


def with_hidden(scheme: Scheme, initial: Initial) -> Initial:
    """Initial values of all fields of a rule: hidden ones are what every burst begins with.

    Args:
        scheme: the scheme, which may hide fields of the rule.
        initial: initial values of its coarse variables.

    Raises:
        SchemeError: if a hidden field is known as coarse values, and not on the whole lattice.
    """
    hidden = scheme.hidden if isinstance(scheme, BurstScheme) else {}
    for name, given in hidden.items():
        if isinstance(given, np.ndarray):
            raise SchemeError(
                f"the hidden field `{name}` is given as coarse values, which the whole lattice "
                "cannot begin with. Give `hidden` a number or a function of position."
            )
    given = [initial] if isinstance(initial, Mapping) else initial
    whole = [{**one, **hidden} for one in given]
    return whole[0] if isinstance(initial, Mapping) else whole

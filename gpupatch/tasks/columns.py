"""Terms of a law as a scheme sees them: on the very functions that its patches are lifted with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Micro
from gpupatch.errors import InputError, SchemeError
from gpupatch.lifting import core_lifting, reconstruct
from gpupatch.restriction import core_mean, weighted_mean
from gpupatch.scheme.coupled import CoupledScheme
from gpupatch.scheme.flux import FluxScheme, averaged, difference
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.tasks.sampling import unit_gauss
from gpupatch.tasks.terms import POINTWISE, REACTION, Jet, Term

Values = NDArray[np.float64]
Places = NDArray[np.bool_]
Columns = Callable[[Values], Values]
"""Coarse values [state, field, *patch axes] to terms [state, place, term]."""

_GAUSS = 6
"""Points over the core at which terms of particle fluxes are averaged."""


def term_columns(scheme: Any, terms: Sequence[Term], t: float) -> tuple[Columns, Places]:
    """How the terms of a law are evaluated for a scheme.

    Between coarse values there is no field, only the polynomials that the patches are lifted with.
    Terms are evaluated on these and then treated like everything else in the scheme: averaged as
    coarse values are, or, for `flux` schemes, as fluxes on the faces whose differences are taken.
    A coefficient found so does not contain the error in H of the reconstruction.

    Args:
        scheme: a `coupled`, `burst` or `flux` scheme.
        terms: the terms.
        t: time at which boundary values are read.

    Returns:
        The function that evaluates them, and which places are used, [place]: those whose patches
        do not read a condition on a wall.

    Raises:
        SchemeError: if the scheme is another.
        InputError: if a term cannot be evaluated.
    """
    if isinstance(scheme, FluxScheme):
        _check_conservative(terms)
        return (lambda U: _lattice_fluxes(scheme, terms, U, t)), _inner(scheme, scheme.order)
    if isinstance(scheme, ParticleFluxScheme):
        _check_conservative(terms)
        _check_no_sources(terms)
        return (lambda U: _particle_fluxes(scheme, terms, U, t)), _inner(scheme, scheme.order)
    if isinstance(scheme, CoupledScheme):
        order = scheme.coupling.order
        return _lifted(scheme, order, terms, t), _inner(scheme, order)
    if hasattr(scheme, "restriction"):
        return _lifted(scheme, scheme.order, terms, t), _inner(scheme, scheme.order)
    raise SchemeError(
        f"the `{scheme.kind}` scheme of particles averages over cores, whose slopes are too noisy "
        "to find a law in. Use the `flux` scheme."
    )


def _lifted(scheme: Any, order: int | str, terms: Sequence[Term], t: float) -> Columns:
    """Terms on the interpolants that patches are lifted with, averaged over their cores."""
    grid, names, weights = scheme.grid, scheme.names, scheme.restriction.weights
    highest = max(2, *(term.order for term in terms))
    degree = max(grid.patches) if order == "spectral" else int(order)
    if highest > degree:
        raise InputError(
            f"a term has {highest} derivatives, and patches are lifted with polynomials of degree "
            f"{degree}. Use a higher `order`."
        )
    plain = core_lifting(grid, names, order, weights)
    derived = [
        [
            core_lifting(grid, names, order, weights, np.eye(grid.ndim, dtype=int)[axis] * times)
            for times in range(1, highest + 1)
        ]
        for axis in range(grid.ndim)
    ]

    def sites(lifting, extended: Values) -> Values:
        return _by_field(reconstruct(lifting, extended))

    def columns(U: Values) -> Values:
        extended = plain.extended(U, t)
        along = [[sites(one, extended) for one in axis] for axis in derived]
        jet = Jet(sites(plain, extended), along)
        rates = np.stack([term.rate(jet) for term in terms], axis=1)
        means = weighted_mean(rates, scheme.restriction)
        return means.reshape(len(U), -1, len(terms))

    return columns


def _lattice_fluxes(scheme: FluxScheme, terms: Sequence[Term], U: Values, t: float) -> Values:
    """Terms as fluxes through faces, averaged over the cores of patches, and sources near them."""
    grid = scheme.grid
    total = np.zeros((len(U), len(terms), *grid.patches))
    sources = [index for index, term in enumerate(terms) if term.kind == REACTION]
    mean = core_mean(grid)
    for axis, lifting in enumerate(scheme.liftings):
        u = _by_field(reconstruct(lifting, lifting.extended(U, t)))
        after = np.roll(u, -1, axis=2 + axis)
        slope = (after - u) / grid.spacing[axis]
        flux = np.stack([_flux(term, (u + after) / 2, slope, axis) for term in terms], axis=1)
        faces = _over_faces(scheme, flux, scheme.restrictions[axis], axis, len(U))
        total += difference(faces, grid, axis)
        if sources:
            local = np.stack([terms[index].profile.value(u) for index in sources], axis=1)
            values = _over_faces(scheme, local, mean, axis, len(U))
            total[:, sources] += averaged(values, axis, *scheme.cell_weights[axis]) / grid.ndim
    return np.moveaxis(total.reshape(len(U), len(terms), -1), 1, 2)


def _over_faces(scheme: FluxScheme, values: Values, mean: Any, axis: int, count: int) -> Values:
    """Means over patches, averaged over the faces on which they sit, [state, term, *faces]."""
    shaped = weighted_mean(values, mean).reshape(
        count, *(len(X) for X in scheme.liftings[axis].centres), -1
    )
    shaped = np.moveaxis(shaped, -1, 1)
    for a in range(scheme.grid.ndim):
        if a != axis:
            shaped = averaged(shaped, a, *scheme.centre_weights[a])
    return shaped


def _particle_fluxes(
    scheme: ParticleFluxScheme, terms: Sequence[Term], U: Values, t: float
) -> Values:
    """Terms as fluxes through faces, averaged over the cores of the patches there."""
    grid, problem = scheme.grid, scheme.problem
    total = np.zeros((len(U), len(terms), *grid.patches))
    nodes, share = unit_gauss(_GAUSS)
    for axis in range(grid.ndim):
        profile = scheme.profile(t, U, axis)
        x = nodes * problem.core_width
        u = profile[:, :1] + profile[:, 1:2] * x
        slope = np.broadcast_to(profile[:, 1:2], u.shape)
        flux = np.stack([_flux(term, u[None], slope[None], axis) @ share for term in terms])
        faces = [len(X) for X in scheme.axes[axis].centres]
        shaped = np.moveaxis(flux.reshape(len(terms), len(U), *faces), 0, 1)
        for a in range(grid.ndim):
            if a != axis:
                shaped = averaged(shaped, a, *scheme.centre_weights[a])
        total += difference(shaped, grid, axis)
    return np.moveaxis(total.reshape(len(U), len(terms), -1), 1, 2)


def _by_field(u: Micro) -> Values:
    """Sites [patch, field, *sites] in float64, the field axis first."""
    return np.moveaxis(u.astype(np.float64, copy=False), 1, 0)


def _flux(term: Term, u: Values, slope: Values, axis: int) -> Values:
    return np.zeros(u.shape[1:]) if term.kind == REACTION else term.flux(u, slope, axis)


def _check_conservative(terms: Sequence[Term]) -> None:
    for term in terms:
        if term.kind == POINTWISE:
            raise InputError(
                f"the term `{term.name}` is no divergence of what a patch on a face is lifted "
                "with, a value and a gradient. Leave it out, or use a `burst` or `coupled` scheme."
            )


def _check_no_sources(terms: Sequence[Term]) -> None:
    for term in terms:
        if term.kind == REACTION:
            raise InputError(
                f"the term `{term.name}` creates particles, and what flows through faces neither "
                "creates nor removes any. Leave it out."
            )


def _inner(scheme: Any, order: int | str) -> Places:
    """Places farther from walls than a stencil reaches, [place]."""
    grid = scheme.grid
    keep = np.ones(grid.patches, dtype=bool)
    reach = max(grid.patches) if order == "spectral" else int(order)
    for axis in range(grid.ndim):
        if grid.periodic(axis):
            continue
        if grid.patches[axis] <= 2 * reach + 1:
            raise InputError(
                f"axis {axis} has {grid.patches[axis]} patches, of which {reach} on either side "
                "feel a wall; too few are left to find a law in. Use more patches, or a periodic "
                "domain."
            )
        view = np.moveaxis(keep, axis, 0)
        view[:reach] = view[len(view) - reach :] = False
    return keep.ravel()

"""A law and the samples that it was found in as a dataset, in memory and in NetCDF alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gpupatch.tasks.datasets import facts_of
from gpupatch.tasks.terms import DIFFUSION

if TYPE_CHECKING:
    from gpupatch.tasks.found_law import Law

LEVELS = 101
"""Levels of a field at which its diffusivity is told."""


def law_dataset(found: Law) -> xr.Dataset:
    """A law: coefficients, diffusivities over the levels sampled, slopes measured and predicted.

    Args:
        found: the law.
    """
    names = [one.field for one in found.equations]
    terms = [term.name for term in found.candidates]
    table = {name: np.zeros((len(names), len(terms))) for name in ("value", "error", "half")}
    for row, one in enumerate(found.equations):
        at = [found.candidates.index(term) for term in one.terms]
        table["value"][row, at], table["error"][row, at] = one.values, one.errors
        table["half"][row, at] = np.nan if one.shortened is None else one.shortened
    level, curve, band = _diffusivities(found)
    both, each = ("equation", "term"), ("equation", "sample")
    shape = (len(names), -1)
    data: dict[str, Any] = {
        "coefficient": (both, table["value"]),
        "coefficient_error": (both, table["error"]),
        "coefficient_half_burst": (both, table["half"]),
        "level": (("equation", "place"), level),
        "diffusivity": (("equation", "place"), curve),
        "diffusivity_error": (("equation", "place"), band),
        "knot_level": (("equation", "knot"), found.points[:, 0]),
        "knot_diffusivity": (("equation", "knot"), found.points[:, 1]),
        "knot_error": (("equation", "knot"), found.points[:, 2]),
        "measured": (each, found.measured.reshape(shape)),
        "measured_error": (each, found.measured_errors.reshape(shape)),
        "predicted": (each, found.predicted.reshape(shape)),
    }
    n_state, n_place = found.measured.shape[1:]
    coords = {
        "equation": names,
        "term": terms,
        "state": ("sample", np.repeat(np.arange(n_state), n_place)),
    }
    attrs = {
        "task": "law",
        "law": found.equation(),
        "closes": int(found.closes),
        "failings": "; ".join(found.failings),
        "tolerance": found.tolerance,
        "states": n_state,
    }
    return xr.Dataset(data, coords, facts_of(found.oracle) | attrs)


def _diffusivities(found: Law) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels, D and its standard error, [field, level]; NaN where a field does not diffuse.

    The other fields are at the middle of what was sampled of them.
    """
    U = found.states
    axes = (0, *range(2, U.ndim))
    low, high = U.min(axis=axes), U.max(axis=axes)
    level = np.linspace(low, high, LEVELS, axis=1)
    curve, band = np.full_like(level, np.nan), np.full_like(level, np.nan)
    for row, one in enumerate(found.equations):
        if any(term.kind == DIFFUSION and term.field == row for term in one.terms):
            u = np.repeat(((low + high) / 2)[:, None], LEVELS, axis=1)
            u[row] = level[row]
            curve[row], band[row] = one.diffusivity(u)
    return level, curve, band

"""Initial fields that are not formulas: read from a file, or random."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import CaseError
from gpupatch.files.case import Case
from gpupatch.files.forms import RandomInitial
from gpupatch.grid import PatchGrid
from gpupatch.micro.noise import normals, philox

_UNREADABLE = (
    ValueError, KeyError, TypeError, OSError, EOFError, MemoryError, NotImplementedError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy and the archives that it reads raise about damaged files."""


def read_array(case: Case, reference: str, trust: bool) -> NDArray[np.float64]:
    """The array that "values.npz:name" or "values.npy" means; pickles are refused.

    Raises:
        CaseError: if the file holds no such array of numbers.
    """
    path, key = case.data_file(reference, trust=trust)
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            array = loaded[key] if key is not None else loaded
    except _UNREADABLE as error:
        raise CaseError(
            f"`{reference}` cannot be read as an array of numbers ({error}). Write it with "
            "`numpy.savez(file, name=array)` and name it `file.npz:name`."
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        found = getattr(array, "dtype", "several arrays")
        raise CaseError(f"`{reference}` holds {found}. Name one array of real numbers in it.")
    return array.astype(float)


def stored_field(grid: PatchGrid, values: NDArray[np.float64], path: str) -> Callable:
    """An initial field from values per patch or per site.

    Args:
        grid: the patch grid.
        values: [*patches], or [*patches, *sites].
        path: where the case says it, for the message.

    Returns:
        A function of position that is called with the sites of all patches.

    Raises:
        CaseError: if the shape is neither.
    """
    patches, sites = tuple(grid.patches), grid.n_sites
    if values.shape == patches:
        values = np.broadcast_to(values.reshape(*patches, *(1,) * grid.ndim), (*patches, *sites))
    if values.shape != (*patches, *sites):
        raise CaseError(
            f"`{path}`: the file holds an array of shape {values.shape}, but the grid needs "
            f"{patches} (one value per patch) or {(*patches, *sites)} (one per site)."
        )
    flat = values.reshape(-1, *sites)

    def at(*x):
        if np.broadcast_shapes(*(np.shape(one) for one in x)) != flat.shape:
            raise CaseError(
                f"`{path}`: values from a file belong to the sites of the patches, which the "
                "`flux` scheme does not use for its cell averages. Give a formula instead."
            )
        return flat

    return at


def random_field(grid: PatchGrid, given: RandomInitial, mean: Callable, seed: int) -> Callable:
    """An initial field mean + amplitude x noise that depends on the position and the seed only.

    Args:
        grid: the patch grid.
        given: kind, amplitude and number of waves.
        mean: function of position.
        seed: seed of the draw.

    Returns:
        A function of position.
    """

    def at(*x):
        shape = np.broadcast_shapes(*(np.shape(one) for one in x))
        if given.random == "smooth":
            noise = _smooth(grid, given.waves, seed, x)
        elif given.random == "normal":
            noise = normals(seed, 0, 0, (1, int(np.prod(shape)))).reshape(shape)
        else:
            words = philox((np.arange(int(np.prod(shape))), 0, 0, 1), (seed & 0xFFFFFFFF, 0))
            noise = (2 * words[0].astype(float) / 2.0**32 - 1).reshape(shape)
        return mean(*x) + given.amplitude * noise

    return at


def _smooth(grid: PatchGrid, waves: int, seed: int, x):
    """Sum of the longest periodic waves with random amplitude and phase, unit variance."""
    draw = normals(seed, 1, 0, (grid.ndim, waves, 2))
    total = 0.0
    for axis, (lo, hi) in enumerate(grid.domain):
        for k in range(waves):
            angle = 2 * np.pi * (k + 1) * (x[axis] - lo) / (hi - lo)
            total = total + draw[axis, k, 0] * np.cos(angle) + draw[axis, k, 1] * np.sin(angle)
    return total / np.sqrt(waves * grid.ndim)

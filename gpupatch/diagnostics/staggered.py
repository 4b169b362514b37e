"""Coarse values of staggered lattices, where every patch knows but some of the fields."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gpupatch.arrays import Macro
from gpupatch.grid import PatchGrid
from gpupatch.stencil import fourier_weights


def filled(
    values: Macro, grid: PatchGrid, parity: Mapping[str, int], names: tuple[str, ...]
) -> Macro:
    """Coarse values with those of fields that do not live at a centre taken from its neighbours.

    A field lives at the centre of every second patch. In between it is interpolated through all
    of these by trigonometric polynomials, since errors of the order of the coupling would look
    like its own.

    Args:
        values: [member, field, patch].
        grid: the patches, periodic, an even number of them.
        parity: parity of every staggered field, as `Rule.parity`; nothing changes if it is empty.
        names: fields by index.

    Source: Bunder, Divahar, Kevrekidis, Mattner and Roberts (2021), section 2
    [BunderDivaharRoberts2021].
    """
    if not parity:
        return values
    found = values.copy()
    n_patch, centre = grid.patches[0], grid.n_sites[0] // 2
    offsets = 2 * np.arange(n_patch // 2) - 1
    weights = fourier_weights(n_patch // 2, 0.5)
    for field, name in enumerate(names):
        if name in parity:
            empty = np.arange((centre + parity[name] + 1) % 2, n_patch, 2)
            found[:, field, empty] = (
                values[:, field][:, (empty[:, None] + offsets) % n_patch] @ weights
            )
    return found

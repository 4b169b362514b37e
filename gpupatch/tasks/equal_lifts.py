"""Patches in which some variables are equal and all else is not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro, Micro
from gpupatch.diagnostics.measured_variations import MeasuredVariations
from gpupatch.tasks.descriptions import Description, known_isolated, moments
from gpupatch.tasks.watched import FreePatches


class EqualLifts:
    """Patches in which some variables are equal and others are not.

    Args:
        free: the patches, with wide buffers.
        W: coarse values of all fields.
        scheme: the scheme that is asked.
    """

    def __init__(self, free: FreePatches, W: Macro, scheme: Any):
        self.free, self.W, self.scheme = free, W, scheme
        self.base = free.lifted(W)
        run = free.watch(self.base, scheme.burst_spec.length, 1)
        self.after, rest = run.values[-1], run.sites
        self.detailed = self.base + self._taper() * (rest - free.lifted(free.averaged(rest)))

    def of(self, one: Description) -> list[Micro]:
        """Sites of patches in which the variables of a description are equal."""
        free, names = self.free, self.free.names
        if one.isolated:
            grid, base = free.grid, self.base
            rows = self.W[0].reshape(len(names), -1)
            derivatives = {
                (times, axis): free.averaged(base, moments(grid, times, axis))[0].reshape(
                    len(names), -1
                )
                for times in (1, 2)
                for axis in range(grid.ndim)
            }
            return [base, known_isolated(one, names, grid, rows, derivatives)]
        hidden = [name for name in names if name not in one.fields]
        if not hidden:
            return [self.base, self.detailed]
        rows = [names.index(name) for name in hidden]
        others = [self.W[:, rows] / 2, self.after[:, rows], self._settled(hidden)]
        made = [self.base]
        for values in others:
            W = self.W.copy()
            W[:, rows] = values
            made.append(self.free.lifted(W))
        return made

    def differs(self, one: Description) -> str:
        """What the lifts of a description differ in, in words."""
        if one.isolated:
            return "what the patch does not know"
        hidden = [name for name in self.free.names if name not in one.fields]
        return ", ".join(hidden) if hidden else "details within the patch"

    def _settled(self, hidden: list[str]) -> Macro:
        names = self.free.names
        given = {name: self.W[:, names.index(name)] for name in hidden}
        variant = self.scheme.variant(hidden=given, lift="polynomial", method="steps")
        held = [names.index(name) for name in variant.names]
        (other,) = MeasuredVariations(variant).other_lifts(self.free.t, self.W[:, held]) or [
            variant
        ]
        return np.stack([other.made_of["hidden"][name] for name in hidden], axis=1)

    def _taper(self) -> NDArray[np.float64]:
        """One on the core, falling to zero over the buffers of the scheme."""
        grid, mine, weights = self.free.grid, self.scheme.grid, np.ones(())
        for n, core, width, d in zip(
            grid.n_sites, grid.core_sites, mine.buffer_width, mine.spacing, strict=True
        ):
            b = width / d
            knots = [core.start - b, core.start, core.stop - 1, core.stop - 1 + b]
            weights = np.multiply.outer(weights, np.interp(np.arange(n), knots, [0, 1, 1, 0]))
        return weights

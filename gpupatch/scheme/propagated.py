"""Coarse values that carry the noise of what they were computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro


@dataclass(frozen=True, eq=False)
class Propagated:
    """Coarse values, and to first order what every noisy measurement added to their error.

        error of U = sum_s parts[..., s] xi_s,    xi_s independent standard normal numbers

    A measurement with a standard error adds a source s; linear combinations keep the parts of the
    same source together, so that the error is right whatever a time integrator does with slopes.

    Attributes:
        values: U, [member, field, *cells].
        parts: [member, field, *cells, source]; sources are numbered through a run, and those that
            come later contribute nothing.
    """

    values: Macro
    parts: NDArray[np.float64]

    @property
    def error(self) -> Macro:
        """Standard errors of the values, same shape."""
        return np.sqrt((self.parts**2).sum(axis=-1))

    def copy(self) -> Propagated:
        """An independent copy."""
        return Propagated(self.values.copy(), self.parts.copy())


def exactly(values: Macro) -> Propagated:
    """Values without noise."""
    return Propagated(values, np.zeros((*values.shape, 0)))


def combined(terms: Sequence[tuple[float, Propagated]]) -> Propagated:
    """sum_k weight_k U_k with its error.

    Args:
        terms: weights and values of equal shapes.
    """
    sources = max(one.parts.shape[-1] for _, one in terms)
    values = np.zeros_like(terms[0][1].values)
    parts = np.zeros((*values.shape, sources))
    for weight, one in terms:
        values += weight * one.values
        parts[..., : one.parts.shape[-1]] += weight * one.parts
    return Propagated(values, parts)

"""A scheme in a state, put to the test: what all diagnostics measure with."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.diagnostics.finding import TOLERANCE
from gpupatch.diagnostics.variations import Variations
from gpupatch.errors import SchemeError
from gpupatch.projection import Projection
from gpupatch.scheme.interface import Scheme

SIGMAS = 3.5
"""Standard errors by which random figures have to differ to count as different."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What a diagnostic is given.

    Attributes:
        variations: the scheme and its experiments.
        t: time of the state.
        U: coarse values, [member, field, *patch axes].
        projection: the method that leaps, or None.
        tolerance: relative error that is accepted.
        span: slow time, over which coarse values are wanted: that of the run, or of a leap.
    """

    variations: Variations
    t: float
    U: Macro
    projection: Projection | None = None
    tolerance: float = TOLERANCE
    span: float | None = None

    @functools.cached_property
    def measured(self) -> tuple[Macro, Macro | None]:
        """dU/dt of the scheme, and its standard error where it is random.

        Raises:
            SchemeError: if it is not finite.
        """
        slope, error = self.variations.slope(self.variations.scheme, self.t, self.U)
        if not np.isfinite(slope).all():
            raise SchemeError(
                f"the slope measured at t = {self.t:.6g} is not finite, so that it tells nothing. "
                "Use a smaller `burst.dt`, or check the rule, its parameters and the state."
            )
        return slope, error

    @functools.cached_property
    def lifts(self) -> tuple[Scheme, Sequence[Scheme]]:
        """The scheme as it lifts, and variants with other lifts of the same coarse values."""
        others = self.variations.other_lifts(self.t, self.U)
        own = self.variations.own_lift(self.t, self.U) if others else self.variations.scheme
        return own, others or ()

    @property
    def slope(self) -> Macro:
        """dU/dt of the scheme, [member, field, *patch axes]."""
        return self.measured[0]

    @functools.cached_property
    def slow_time(self) -> float:
        """The slow time: `span`; the time of a leap; or that in which U changes by itself."""
        if self.span is not None:
            return self.span
        if self.projection is not None and self.projection.step is not None:
            return self.projection.step
        fastest = float(np.abs(self.slope).max())
        return float(np.abs(self.U).max()) / fastest if fastest else 1.0

    @functools.cached_property
    def floor(self) -> NDArray[np.float64]:
        """Rates of change below which nothing matters, per field.

        floor = max(tolerance max|U|, round-off) / slow time
        """
        largest = largest_by_field(self.U)
        least = 1e3 * np.finfo(float).eps * float(largest.max())
        floor = np.maximum(self.tolerance * largest, least) / self.slow_time
        return np.maximum(floor, np.finfo(float).tiny)

    def relative(self, difference: Macro, rate: Macro, error: Macro | None = None) -> float:
        """Largest |difference| over max(largest |rate|, floor), field by field.

        Args:
            difference: of two rates of change, [member, field, *patch axes].
            rate: what it is compared with, same shape.
            error: standard error of the difference; only what exceeds it `SIGMAS`-fold counts.
        """
        excess = np.abs(difference)
        if error is not None:
            excess = np.maximum(excess - SIGMAS * error, 0)
        return float(
            (largest_by_field(excess) / np.maximum(largest_by_field(rate), self.floor)).max()
        )

    def change(self, variant: Scheme, than: Scheme | None = None) -> float:
        """How much a variant changes the slope, relatively, beyond what noise explains.

        Args:
            variant: the scheme with something changed.
            than: what it is compared with, if not the scheme itself.
        """
        variations = self.variations
        varied, error = variations.slope(variant, self.t, self.U)
        known = self.measured if than is None else variations.slope(than, self.t, self.U)
        before = variations.at_places_of(variant, known[0], than)
        if error is None or known[1] is None:
            return self.relative(varied - before, varied)
        noise = np.hypot(error, variations.at_places_of(variant, known[1], than))
        return self.relative(varied - before, varied, noise)


def largest_by_field(values: Macro) -> NDArray[np.float64]:
    """Largest magnitude of every field, [field], over members and patches."""
    return np.abs(np.moveaxis(values, 1, 0)).reshape(values.shape[1], -1).max(axis=1)

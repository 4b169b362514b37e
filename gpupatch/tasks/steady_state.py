"""A steady state that was found, or where the search for one ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.tasks.equations import Vectors
from gpupatch.tasks.oracle import Oracle

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

CONVERGED, NOISE, STALLED, OUT_OF_STEPS = "converged", "noise", "stalled", "iterations"

REASONS = {
    CONVERGED: "the residual is below the tolerance",
    NOISE: "the slope cannot be told from noise any more; one more step was taken",
    STALLED: "no step along Newton's direction makes the residual smaller",
    OUT_OF_STEPS: "the iterations are used up",
}
"""Why a search ends."""


@dataclass(frozen=True, eq=False)
class SteadyState:
    """A state at which nothing changes on the large scale.

    Attributes:
        oracle: what was asked for slopes.
        vector: the unknowns, [unknown].
        parameter: value of the varied parameter, or None.
        residual: largest |F|, in units of U per time.
        iterations: steps of Newton's method.
        evaluations: states whose slopes were asked for.
        batches: batches that they went in.
        reason: why the search ended, a key of `REASONS`.
        history: largest |F| before every step and at the end.
        parts: error of the unknowns by sources, [unknown, source], see `Slopes`.
    """

    oracle: Oracle
    vector: Vectors
    parameter: float | None
    residual: float
    iterations: int
    evaluations: int
    batches: int
    reason: str
    history: tuple[float, ...]
    parts: NDArray[np.float64]

    @property
    def converged(self) -> bool:
        """Whether it is a steady state, as far as can be told."""
        return self.reason in (CONVERGED, NOISE)

    @property
    def why(self) -> str:
        """Why the search ended, in words."""
        return REASONS[self.reason]

    @property
    def coarse(self) -> Macro:
        """Coarse values, [field, *patch axes]."""
        return self.oracle.coarse(self.vector[None])[0]

    @property
    def error(self) -> Macro | None:
        """Standard errors of the coarse values, same shape; None where nothing is random."""
        if not self.oracle.noisy:
            return None
        return self.oracle.coarse(np.sqrt((self.parts**2).sum(axis=1))[None])[0]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Coarse values of one field, [*patch axes]."""
        return self.coarse[self.oracle.names.index(name)]

    def to_xarray(self) -> xarray.Dataset:
        """The state as a dataset, identical to the file that the command writes."""
        from gpupatch.tasks.datasets import steady_dataset

        return steady_dataset(self)

    def plot(self) -> Figure:
        """A figure of the state, and how the search came to it."""
        return self.figure(self.to_xarray())

    @staticmethod
    def figure(ds: xarray.Dataset) -> Figure:
        """The same from the dataset of a state."""
        from gpupatch.plot.bifurcation import steady_figure

        return steady_figure(ds)

    def record(self) -> dict[str, Any]:
        """As it goes into a report."""
        return {
            "converged": self.converged,
            "reason": self.why,
            "residual": self.residual,
            "residuals": list(self.history),
            "iterations": self.iterations,
            "unknowns": self.oracle.n,
            "unknown": self.oracle.unknown,
            "evaluations": self.evaluations,
            "batches": self.batches,
            **({} if self.parameter is None else {str(self.oracle.parameter): self.parameter}),
        }

"""A law of the large scale: its terms, what they say, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.errors import InputError
from gpupatch.tasks.equation import Equation, Estimate
from gpupatch.tasks.oracle import Oracle
from gpupatch.tasks.terms import DIFFUSION, Term

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Law:
    """What the large scale obeys, du/dt = sum_k theta_k term_k for every coarse field.

    Attributes:
        oracle: what was asked for slopes.
        equations: one per coarse field.
        candidates: the terms that were offered.
        states: coarse values that were sampled, [state, field, *patch axes].
        places: which of their places were used, [place].
        measured: slopes there, [field, state, place].
        measured_errors: their standard errors, same shape.
        predicted: what the law says, same shape.
        points: (level of u, D, standard error) of every field, [field, 3, knot]: the diffusivity
            at some levels, fitted without a form; NaN where u does not diffuse.
        evaluations: states whose slopes were asked for.
        batches: batches that they went in.
        tolerance: lack of closure that was accepted, relative to the slopes.
        failings: why the law does not close, in words; empty if it does.
    """

    oracle: Oracle
    equations: tuple[Equation, ...]
    candidates: tuple[Term, ...]
    states: Values
    places: NDArray[np.bool_]
    measured: Values
    measured_errors: Values
    predicted: Values
    points: Values
    evaluations: int
    batches: int
    tolerance: float
    failings: tuple[str, ...]

    @property
    def closes(self) -> bool:
        """Whether the terms explain the slopes, and bursts of half the length the same ones."""
        return not self.failings

    @property
    def terms(self) -> dict[str, tuple[str, ...]]:
        """Names of the terms that are needed, by field."""
        return {one.field: tuple(term.name for term in one.terms) for one in self.equations}

    @property
    def coefficients(self) -> dict[str, dict[str, float]]:
        """Coefficients by field and term."""
        return {one.field: dict(zip(self.terms[one.field], map(float, one.values), strict=True))
                for one in self.equations}  # fmt: skip

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """Standard errors of the coefficients by field and term."""
        return {one.field: dict(zip(self.terms[one.field], map(float, one.errors), strict=True))
                for one in self.equations}  # fmt: skip

    def equation(self) -> str:
        """The law as it is written, one line per field: `u_t = 0.458(3) u_xx`."""
        return "\n".join(map(str, self.equations))

    def diffusivity(self, U: ArrayLike, field: str | None = None) -> Estimate:
        """D(U) of du/dt = div(D grad u) + ..., with standard errors.

        Args:
            U: values of the field, any shape; of several fields [field, ...].
            field: name of u; the first when absent.
        """
        return self._of(field).diffusivity(self._levels(U))

    def reaction(self, U: ArrayLike, field: str | None = None) -> Estimate:
        """What is made of a field per time where nothing varies in space, with standard errors.

        Args:
            U: values of the field, any shape; of several fields [field, ...].
            field: name of the field; the first when absent.
        """
        return self._of(field).reaction(self._levels(U))

    def speed(self, U: ArrayLike, field: str | None = None, axis: int = 0) -> Estimate:
        """c(U) of du/dt + c du/dx = ..., how fast small waves travel, with standard errors.

        Args:
            U: values of the field, any shape; of several fields [field, ...].
            field: name of u; the first when absent.
            axis: the axis that they travel along.
        """
        return self._of(field).speed(self._levels(U), axis)

    def front_speed(self) -> Estimate:
        """Speed 2 sqrt(D(0) r'(0)) at which u = 0 is invaded by a field that grows there.

        Raises:
            InputError: if the law is not of the form du/dt = (D u_x)_x + r u + ..., r > 0.

        Source: Kolmogorov, Petrovsky and Piskunov (1937); Fisher (1937) [Fisher1937].
        """
        one, zero = self.equations[0], np.zeros((len(self.equations), 1))
        names = [term.name for term in one.terms]
        if len(self.equations) > 1 or one.field not in names or "1" in names:
            raise InputError(f"`{self.equation()}` has no state u = 0 from which u grows.")
        growth = names.index(one.field)
        diffuses = [term.kind == DIFFUSION for term in one.terms]
        basis = np.array([
            float(term.profile.value(zero)[0]) if yes else 0.0
            for term, yes in zip(one.terms, diffuses, strict=True)
        ])  # fmt: skip
        D, r = float(one.values @ basis), float(one.values[growth])
        if not (D > 0 and r > 0):
            raise InputError(f"`{self.equation()}` has no state u = 0 from which u grows.")
        relative = np.hypot(float(one.diffusivity(zero).errors[0]) / D, one.errors[growth] / r) / 2
        speed = 2 * np.sqrt(D * r)
        return Estimate(np.array(speed), np.array(speed * relative))

    def to_xarray(self) -> xarray.Dataset:
        """Law and samples as a dataset, identical to the file that the command writes."""
        from gpupatch.tasks.law_dataset import law_dataset

        return law_dataset(self)

    def plot(self) -> Figure:
        """A figure of D(U) with its band, or of the coefficients, and of slopes found and told."""
        return self.figure(self.to_xarray())

    @staticmethod
    def figure(ds: xarray.Dataset) -> Figure:
        """The same from the dataset of a law."""
        from gpupatch.plot.law import law_figure

        return law_figure(ds)

    def record(self) -> dict[str, Any]:
        """As it goes into a report."""
        return {
            "equation": self.equation().splitlines(),
            "closes": self.closes,
            "failings": list(self.failings),
            "coefficients": self.coefficients,
            "standard_errors": self.errors,
            "half_burst": {
                one.field: None if one.shortened is None else one.shortened.tolist()
                for one in self.equations
            },
            "residual": {one.field: one.residual for one in self.equations},
            "drift": {one.field: one.drift for one in self.equations},
            "candidates": [term.name for term in self.candidates],
            "states": len(self.states),
            "evaluations": self.evaluations,
            "batches": self.batches,
        }

    def _of(self, field: str | None) -> Equation:
        names = [one.field for one in self.equations]
        if field is not None and field not in names:
            raise InputError(f"there is no coarse field `{field}`; found {', '.join(names)}.")
        return self.equations[0 if field is None else names.index(field)]

    def _levels(self, U: ArrayLike) -> Values:
        u = np.asarray(U, dtype=float)
        if len(self.equations) == 1:
            return u[None]
        if not u.ndim or len(u) != len(self.equations):
            raise InputError(
                f"the law has {len(self.equations)} fields; give their values as [field, ...]."
            )
        return u

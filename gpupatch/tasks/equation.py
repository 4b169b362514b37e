"""The law of one field: its terms, their coefficients, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpupatch.tasks.regression import Selection
from gpupatch.tasks.terms import CONVECTION, DIFFUSION, REACTION, Term

Values = NDArray[np.float64]


class Estimate(NamedTuple):
    """Numbers and their standard errors.

    Attributes:
        values: the numbers.
        errors: same shape.
    """

    values: Values
    errors: Values


@dataclass(frozen=True, eq=False)
class Equation:
    """du/dt = sum_k theta_k term_k for one field u.

    Attributes:
        field: name of u.
        number: of the field.
        terms: those that are needed.
        values: theta, [term].
        errors: standard errors, [term]: the larger of what states drawn again and what the noise
            of the slopes make of them.
        draws: theta of states drawn again, [draw, term].
        selection: how the terms were selected.
        residual: root mean square error of prediction of unseen states beyond noise, relative to
            that of the slopes.
        shortened: theta found with bursts of half the length, [term]; None if that was not tried.
        drift: what that changes in the slopes, relative to them.
    """

    field: str
    number: int
    terms: tuple[Term, ...]
    values: Values
    errors: Values
    draws: Values
    selection: Selection
    residual: float
    shortened: Values | None
    drift: float

    def __str__(self) -> str:
        """As it is written, such as `u_t = 0.458(3) u_xx`, standard errors in the last digits."""
        text = ""
        for term, value, error in zip(self.terms, self.values, self.errors, strict=True):
            sign = "-" if value < 0 else "+"
            number = told(abs(float(value)), float(error))
            text += f" {sign} {number}" + (f" {term.name}" if term.name != "1" else "")
        text = text.removeprefix(" + ").replace(" - ", "-", text.startswith(" - ")) or "0"
        return f"{self.field}_t = {text}"

    def diffusivity(self, u: Values) -> Estimate:
        """D(U) of div(D grad u).

        Args:
            u: fields, [field, ...].
        """
        return self._sum(
            lambda term: term.kind == DIFFUSION and term.field == self.number,
            lambda term: term.profile.value(u),
            u.shape[1:],
        )

    def reaction(self, u: Values) -> Estimate:
        """What is made of u per time where nothing varies in space.

        Args:
            u: fields, [field, ...].
        """
        return self._sum(
            lambda term: term.kind == REACTION, lambda term: term.profile.value(u), u.shape[1:]
        )

    def speed(self, u: Values, axis: int = 0) -> Estimate:
        """c(U) of du/dt + c du/dx = 0: how fast a small wave travels.

        Args:
            u: fields, [field, ...].
            axis: the axis that it travels along.
        """
        return self._sum(
            lambda term: term.kind == CONVECTION and term.axis == axis,
            lambda term: -term.scale * term.profile.slope(u, self.number),
            u.shape[1:],
        )

    def _sum(
        self,
        counts: Callable[[Term], bool],
        value: Callable[[Term], Values],
        shape: tuple[int, ...],
    ) -> Estimate:
        """A sum over some terms, linear in their coefficients."""
        index = [k for k, term in enumerate(self.terms) if counts(term)]
        if not index:
            return Estimate(np.zeros(shape), np.zeros(shape))
        basis = np.stack([np.broadcast_to(value(self.terms[k]), shape) for k in index])
        spread = np.tensordot(self.draws[:, index], basis, 1).std(axis=0)
        larger = self._larger(index)
        return Estimate(np.tensordot(self.values[index], basis, 1), larger * spread)

    def _larger(self, index: Sequence[int]) -> float:
        """How much larger errors are than the draws alone tell."""
        drawn = self.draws.std(axis=0)[list(index)]
        given = self.errors[list(index)]
        ratio = np.divide(given, drawn, out=np.ones_like(given), where=drawn > 0)
        return float(ratio.max())


def told(value: float, error: float) -> str:
    """A number with its standard error in units of the last digit, such as 0.458(3).

    Errors that begin with a 1 are given two digits. Without an error that matters: six digits.
    """
    if not error > 1e-7 * abs(value) or not math.isfinite(error):
        return f"{value:.6g}"
    digits = 1 - math.floor(math.log10(error)) - (float(f"{error:.0e}"[:1]) > 1)
    scaled = round(error * 10**digits)
    if digits > 0:
        return f"{value:.{digits}f}({scaled})"
    return f"{round(value, digits):.0f}({round(scaled * 10.0**-digits)})"

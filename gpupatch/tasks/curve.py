"""The curve of steady states in the space of unknowns and parameter: predictor and corrector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import InputError
from gpupatch.tasks.equations import DENSE, Equations, Vectors
from gpupatch.tasks.krylov import solve
from gpupatch.tasks.newton import KRYLOV_TOLERANCE, MOST_DIRECTIONS

_CONTRACTION = 0.25
"""Share of a residual that one step may leave before derivatives are taken anew."""

_LOST = 1e6
"""Growth of a residual at which a correction has failed."""


@dataclass(frozen=True, eq=False)
class Correction:
    """A point that was brought back onto the curve.

    Attributes:
        y: the point, in scaled unknowns and parameter.
        iterations: steps that it took.
    """

    y: Vectors
    iterations: int


class Curve:
    """Steady states U(s), p(s) of G(U; p) = 0 as a curve in scaled variables.

        y = (U / (size sqrt(n)), p / width),     |dy/ds| = 1.

    A step is a tangent predictor and Newton corrections on the plane across it,

        [ G_U  G_p ]            [ G          ]
        [   tau    ]  delta = - [ tau . y - c ],

    which stays regular at folds. Derivatives are kept from point to point and taken anew when a
    correction leaves more than a quarter of the residual. Up to `DENSE` unknowns the matrix is
    assembled, all columns in batches; beyond, corrections come from Krylov spaces.

    Args:
        equations: G, of an oracle with a parameter.
        size: typical size of the unknowns.
        width: length of the interval of the parameter.
        tolerance: largest |G| that is accepted, relative to the size of U per unit of time.

    Source: Keller (1977) [Keller1977].
    """

    def __init__(self, equations: Equations, size: float, width: float, tolerance: float):
        self.equations, self.n = equations, equations.oracle.n
        self.tolerance = tolerance * max(1.0, size)
        self.scales = np.append(np.full(self.n, size * np.sqrt(self.n)), width)
        self._matrix: NDArray[np.float64] | None = None

    def point(self, x: Vectors, p: float) -> Vectors:
        """Scaled variables of unknowns and a parameter."""
        return np.append(x, p) / self.scales

    def unknowns(self, y: Vectors) -> tuple[Vectors, float]:
        """Unknowns and parameter of scaled variables."""
        z = y * self.scales
        return z[:-1], float(z[-1])

    def residual(self, y: Vectors) -> Vectors:
        """G, [unknown]."""
        x, p = self.unknowns(y)
        return self.equations(x[None], p).values[0]

    def differentiate(self, y: Vectors) -> NDArray[np.float64] | None:
        """Take the derivatives at a point; of few unknowns, G_U itself is returned."""
        if self.n > DENSE:
            self._centre = y
            return None
        x, p = self.unknowns(y)
        J = self.equations.jacobian(x, p)
        by_p = self.equations.derivative(x, np.zeros((1, self.n)), p, by_p=1.0).values[0]
        self._matrix = np.column_stack([J, by_p]) * self.scales
        return J

    def bordered(self, row: Vectors, right: Vectors) -> Vectors:
        """Solve [G_U G_p; row] delta = right with the derivatives at hand."""
        if self._matrix is not None:
            matrix = np.concatenate([self._matrix, self._weight * row[None]])
            scaled = np.append(right[:-1], self._weight * right[-1])
            try:
                found = np.linalg.solve(matrix, scaled)
            except np.linalg.LinAlgError:
                found = np.linalg.lstsq(matrix, scaled, rcond=1e-13)[0]
            return found.astype(float, copy=False)
        x, p = self.unknowns(self._centre)
        weight = 1.0 / self.scales[-1]

        def apply(V: Vectors) -> Vectors:
            Z = V * self.scales
            along = self.equations.derivative(x, Z[:, :-1], p, by_p=Z[:, -1]).values
            return np.column_stack([along, weight * (V @ row)])

        scaled = np.append(right[:-1], weight * right[-1])
        block = self.equations.oracle.block // 2 or 1
        return solve(apply, scaled, KRYLOV_TOLERANCE, block, MOST_DIRECTIONS)[0]

    @property
    def _weight(self) -> float:
        """Size of the last row beside the others, so that least squares see them all."""
        assert self._matrix is not None
        return float(np.abs(self._matrix).max()) or 1.0

    def tangent(self, previous: Vectors) -> Vectors:
        """Unit tangent at the point of the derivatives, in the direction of an earlier one."""
        right = np.zeros(self.n + 1)
        right[-1] = 1.0
        found = self.bordered(previous, right)
        return found / np.linalg.norm(found)

    def corrected(self, guess: Vectors, row: Vectors, most: int = 10) -> Correction | None:
        """Bring a point back onto the curve within the plane row . (y - guess) = 0.

        Args:
            guess: scaled variables.
            row: normal of the plane.
            most: steps after which it is given up.

        Returns:
            The point, or None if corrections do not converge.
        """
        y, fresh = guess.copy(), False
        G = self.residual(y)
        size = first = float(np.abs(G).max())
        for iteration in range(most + 1):
            if not np.isfinite(size) or size > _LOST * max(first, self.tolerance):
                return None
            if size <= self.tolerance:
                return Correction(y, iteration)
            right = np.append(-G, row @ (guess - y))
            delta = self.bordered(row, right)
            tried = self.residual(y + delta)
            after = float(np.abs(tried).max())
            if after > max(_CONTRACTION * size, self.tolerance) and not fresh:
                self.differentiate(y)
                fresh = True
                continue
            if fresh and after >= size and np.abs(delta).max() < 1e-9:
                return Correction(y, iteration)
            y, G, size, fresh = y + delta, tried, after, False
        return None


def scales_of(x: Vectors, interval: tuple[float, float]) -> tuple[float, float]:
    """Typical size of the unknowns and length of the interval of the parameter.

    Raises:
        InputError: if the interval is empty.
    """
    width = abs(interval[1] - interval[0])
    if not 0 < width < np.inf:
        raise InputError(
            f"the parameter is to go from {interval[0]:.6g} to {interval[1]:.6g}; give two "
            "different finite numbers."
        )
    return float(np.sqrt(np.mean(x**2))) or 1.0, width

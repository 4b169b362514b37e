"""The slow spectrum of the macroscopic system about a state: growth rates and modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.contract import checked
from gpupatch.errors import InputError, SchemeError
from gpupatch.projection import Projection
from gpupatch.scheme.problem import Initial
from gpupatch.tasks.choose import make_oracle
from gpupatch.tasks.equations import DENSE, Equations, Vectors
from gpupatch.tasks.krylov import KrylovSpace, start_block
from gpupatch.tasks.newton import MOST_DIRECTIONS
from gpupatch.tasks.oracle import BLOCK, Oracle
from gpupatch.tasks.steady_state import SteadyState

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

RITZ_TOLERANCE = 1e-8
"""Residual |J v - lambda v|, relative to the largest of the eigenvalues wanted, that is enough."""

NEUTRAL = 1e-6
"""Real part, relative to the largest of the leading eigenvalues, that counts as zero."""

Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The leading eigenvalues of the slope's derivative, and their modes.

    Attributes:
        oracle: what was asked for slopes.
        values: eigenvalues, the fastest growing (slowest decaying) first, [mode], per unit of time.
        vectors: modes in the unknowns, largest magnitude 1, [mode, unknown].
        residuals: |A v - mu v| / |v| of the matrix that was differenced, F' or Phi_T', [mode].
        errors: standard errors of the eigenvalues, [mode]; zero where nothing is random.
        evaluations: states whose slopes were asked for.
        over: T, if it was the coarse time-stepper.
    """

    oracle: Oracle
    values: Complex
    vectors: Complex
    residuals: NDArray[np.float64]
    errors: NDArray[np.float64]
    evaluations: int
    over: float | None = None

    @property
    def growth_rates(self) -> NDArray[np.float64]:
        """Real parts, [mode]."""
        return self.values.real

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Imaginary parts over 2 pi, in cycles per unit of time, [mode]."""
        return self.values.imag / (2 * np.pi)

    @property
    def unstable(self) -> int:
        """Modes that grow."""
        return unstable_count(self.values)

    @property
    def modes(self) -> NDArray[np.complex128]:
        """Shapes of the modes as coarse values, [mode, field, *patch axes]."""
        return modes_of(self.oracle, self.vectors)

    def to_xarray(self) -> xarray.Dataset:
        """Eigenvalues and modes as a dataset, identical to the file that the command writes."""
        from gpupatch.tasks.datasets import spectrum_dataset

        return spectrum_dataset(self)

    def plot(self) -> Figure:
        """A figure of the eigenvalues in the complex plane and of the modes."""
        return self.figure(self.to_xarray())

    @staticmethod
    def figure(ds: xarray.Dataset) -> Figure:
        """The same from the dataset of a spectrum."""
        from gpupatch.plot.modes import spectrum_figure

        return spectrum_figure(ds)

    def record(self) -> dict[str, Any]:
        """As it goes into a report."""
        return {
            "growth_rates": self.growth_rates.tolist(),
            "angular_frequencies": self.values.imag.tolist(),
            "standard_errors": self.errors.tolist() if self.oracle.noisy else None,
            "residuals": self.residuals.tolist(),
            "unstable": self.unstable,
            "unknowns": self.oracle.n,
            "unknown": self.oracle.unknown,
            "evaluations": self.evaluations,
        }


@checked(InputError)
def eigenvalues(
    scheme: Any,
    U: SteadyState | Initial | ArrayLike,
    k: int = 6,
    *,
    parameter: str | None = None,
    value: float | None = None,
    coarse: bool = False,
    over: float | None = None,
    projection: Projection | None = None,
    difference: float | None = None,
    block: int = BLOCK,
    t: float = 0.0,
) -> Spectrum:
    """Find the leading eigenvalues of dU/dt = F(U) about a state, and their modes.

    Either of F', or of the coarse time-stepper over a time T,

        F' v = lambda v,        Phi_T' v = exp(lambda T) v,

    in which the slow modes are the largest. Up to `DENSE` unknowns the matrix is assembled from
    differences along all of them; for more, a Krylov space grows by blocks of directions until the
    wanted modes are in it. Imaginary parts that Phi_T shows are those within pi/T of zero.

    Of random slopes the eigenvalues have standard errors, w F'_s v/(w v) with the left modes w,
    summed over the sources s of the noise.

    Args:
        scheme: a `coupled`, `burst` or `flux` scheme of one member.
        U: the state: one that `steady` found, functions of position or numbers by field, coarse
            values [field, *patch axes], or a vector of unknowns.
        k: how many.
        parameter: name of a parameter to be given another `value`.
        value: of that parameter; as in the scheme when absent.
        coarse: let coarse values be the unknowns of coupled patches, too (see `make_oracle`).
        over: T; with it `coupled` problems of many unknowns need few directions.
        projection: method that leaps over T; micro-steps when absent.
        difference: relative difference step; from precision or noise when absent.
        block: most states in one batch.
        t: time at which rules and boundary values are read.

    Returns:
        The spectrum, the largest real part first.

    Raises:
        InputError: if `k` is not a number of modes that there are, or `U` has another shape.
        SchemeError: as of `steady`.

    Source: Kevrekidis et al. (2003), section 5; Saad (2011), chapter 6 for block Arnoldi
    [Kevrekidis2003, Saad2011].
    """
    oracle = make_oracle(scheme, parameter, coarse=coarse, t=t, block=block)
    p = None if parameter is None else oracle.value if value is None else float(value)
    if isinstance(U, SteadyState):
        U = U.vector if U.oracle.n == oracle.n else U.coarse
    return spectrum(Equations(oracle, over, projection, difference), oracle.vector(U), p, k)


def spectrum(equations: Equations, x: Vectors, p: float | None, k: int) -> Spectrum:
    """The leading eigenvalues about a vector of unknowns, see `eigenvalues`.

    Args:
        equations: F, or Phi_T.
        x: state, [unknown].
        p: value of the parameter.
        k: how many.
    """
    oracle, n = equations.oracle, len(x)
    if not (isinstance(k, int) and 1 <= k <= n):
        raise InputError(f"`k` is {k}, but there are 1 to {n} modes of {n} unknowns.")
    began = oracle.evaluations
    errors = np.zeros(k)
    if n <= DENSE:
        J, parts = equations.jacobian_parts(x, p)
        check_finite(J)
        values, vectors, errors = dense_modes(J, parts, k)
        residuals = np.linalg.norm(vectors @ J.T - values[:, None] * vectors, axis=1)
        residuals /= np.linalg.norm(vectors, axis=1)
    elif oracle.noisy:
        raise SchemeError(
            f"{n} unknowns with random slopes: modes of more than {DENSE} are not found. Use fewer "
            "cells."
        )
    else:
        values, vectors, residuals = _krylov_modes(equations, x, p, k)
    if equations.over is not None:
        # G' = (Phi' - 1)/T
        values = np.log(1 + equations.over * values.astype(complex)) / equations.over
        residuals = residuals * equations.over
        order = np.argsort(-values.real, kind="stable")
        values, vectors, residuals = values[order], vectors[order], residuals[order]
    return Spectrum(
        oracle, values.astype(complex), _normalised(vectors), residuals, errors,
        oracle.evaluations - began, equations.over,
    )  # fmt: skip


def check_finite(J: Vectors) -> None:
    """Refuse derivatives that are not finite.

    Raises:
        InputError: saying so.
    """
    if not np.isfinite(J).all():
        raise InputError(
            "the slope is not finite around this state. Use a smaller micro time step, or check "
            "the rule and its parameters."
        )


def dense_modes(
    J: NDArray[np.float64], parts: NDArray[np.float64], k: int
) -> tuple[Complex, Complex, NDArray[np.float64]]:
    """The k eigenvalues of largest real part, their vectors [mode, unknown], and their errors.

    Args:
        J: a matrix.
        parts: its uncertainty, [unknown, unknown, source].
        k: how many.
    """
    from scipy import linalg

    values, left, right = cast(tuple, linalg.eig(J, left=True, right=True))
    order = _leading(values)[:k]
    values, left, right = values[order], left[:, order].conj(), right[:, order]
    overlap = np.einsum("im,im->m", left, right)
    moved = np.einsum("im,ijs,jm->ms", left, parts, right) / overlap[:, None]
    return values.astype(complex), right.T, np.sqrt((np.abs(moved) ** 2).sum(axis=1))


def _leading(values: Complex) -> NDArray[np.int64]:
    """Order by falling real part; of a conjugate pair the positive frequency comes first."""
    size = np.abs(values).max(initial=0.0) or 1.0
    rounded = np.round(values.real / size, 12)
    return np.lexsort((-values.imag, -rounded))


def _krylov_modes(equations: Equations, x: Vectors, p: float | None, k: int):
    block = min(equations.oracle.block // 2 or 1, len(x))
    space = KrylovSpace(
        lambda V: equations.derivative(x, V, p).values,
        start_block(np.zeros((0, len(x))), block),
    )
    while True:
        space.extend()
        check_finite(space.W)
        V = space.V[: space.size]
        values, coefficients = np.linalg.eig((V @ space.W.T).astype(complex))
        order = _leading(values)[:k]
        values, coefficients = values[order], coefficients[:, order].T
        vectors = coefficients @ V
        residuals = np.linalg.norm(coefficients @ space.W - values[:, None] * vectors, axis=1)
        enough = RITZ_TOLERANCE * max(1 / (equations.over or np.inf), np.abs(values).max())
        done = len(values) == k and residuals.max() <= enough
        if done or space.full:
            return values, vectors, residuals
        if space.size >= 2 * MOST_DIRECTIONS:
            raise InputError(
                f"{space.size} directions do not contain the {k} leading modes (residual "
                f"{residuals.max():.2g}). Ask for fewer, or give `over`, a time in which the fast "
                "modes die out."
            )


def _normalised(vectors: NDArray[Any]) -> Complex:
    """Modes whose largest entry is 1."""
    top = np.argmax(np.abs(vectors), axis=1)
    return (vectors / vectors[np.arange(len(vectors)), top][:, None]).astype(complex)


def modes_of(oracle: Oracle, vectors: Complex) -> NDArray[np.complex128]:
    """Modes as coarse values, largest magnitude 1, [mode, field, *patch axes]."""
    # coarse values are affine in the unknowns where boundary values are prescribed
    still = oracle.coarse(np.zeros((1, oracle.n)))
    parts = [oracle.coarse(part) - still for part in (vectors.real, vectors.imag)]
    shapes = parts[0] + 1j * parts[1]
    top = np.abs(shapes).reshape(len(shapes), -1).max(axis=1)
    return shapes / np.where(top > 0, top, 1.0).reshape(-1, *(1,) * (shapes.ndim - 1))


def unstable_count(values: Complex) -> int:
    """Eigenvalues that grow; what is zero up to rounding does not."""
    size = np.abs(values).max(initial=0.0)
    return int((values.real > NEUTRAL * size).sum())

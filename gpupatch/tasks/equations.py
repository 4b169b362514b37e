"""What is to vanish at a steady state, and its derivatives along blocks of directions."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from gpupatch.errors import InputError
from gpupatch.projection import Projection
from gpupatch.tasks.oracle import Oracle, Slopes, exact

DENSE = 600
"""Unknowns up to which a Jacobian is assembled column by column; beyond, Krylov spaces are."""

NOISY_STEP = 0.2
"""Relative difference step of random slopes when nothing is said."""

_SPOILT = 0.25
"""Relative error of a step by noise of the derivative for which nothing more is measured."""

Vectors = NDArray[np.float64]


class Equations:
    """G(U; p) = F(U; p), or (Phi_T(U; p) - U)/T with a time T; both vanish at a steady state.

    Derivatives are central differences along directions V, all of them in batches of the oracle:

        G'(U) V = [G(U + e V) - G(U - e V)] / 2 e

    e is the cube root of the rounding error times the size of U: rounding and truncation are then
    of the same order. Of random slopes the two sides meet the same random numbers and e is a fifth
    of U, so that what noise is left, sigma/e, stays well below the derivative; directions
    are waves, which move all unknowns at once and so suffer least from it.

    With T, fast modes of G' gather at -1/T, so that Krylov spaces need few directions.

    Args:
        oracle: F and Phi.
        over: T, or None for F.
        projection: method that leaps over T, see `Oracle.flow`.
        step: relative difference step e; chosen as above when absent.
    """

    def __init__(
        self,
        oracle: Oracle,
        over: float | None = None,
        projection: Projection | None = None,
        step: float | None = None,
    ):
        self.oracle, self.over, self.projection = oracle, over, projection
        if step is not None and not 0 < step < 1:
            raise InputError(f"`difference` is {step}; give a share of the state, between 0 and 1.")
        precision = np.finfo(oracle.scheme.dtype).eps
        self.step = step or (NOISY_STEP if oracle.noisy else float(np.cbrt(precision)))

    def __call__(self, X: Vectors, p: Any = None, draw: int = 0) -> Slopes:
        """G of a block.

        Args:
            X: [vector, unknown].
            p: values of the parameter, one or [vector]; that of the scheme when absent.
            draw: number of the random numbers that are used.
        """
        if self.over is None:
            return self.oracle.slopes(X, p, draw)
        return exact((self.oracle.flow(X, self.over, p, self.projection) - X) / self.over)

    def scale(self, x: Vectors) -> Vectors:
        """How large the unknowns are: the largest of each field, [unknown]."""
        size = np.abs(x)
        largest = np.array([size[self.oracle.fields == f].max() for f in self._numbers])
        top = largest.max()
        return np.where(largest > 1e-6 * top, largest, top or 1.0)[self.oracle.fields]

    @functools.cached_property
    def _numbers(self) -> range:
        return range(len(self.oracle.names))

    def derivative(
        self, x: Vectors, V: Vectors, p: float | None = None, by_p: Any = 0.0, draw: int = 0
    ) -> Slopes:
        """Derivatives along directions.

        Args:
            x: state, [unknown].
            V: directions, [direction, unknown].
            p: value of the parameter; that of the scheme when absent.
            by_p: components of the directions along the parameter, one or [direction].
            draw: number of the random numbers that are used.

        Returns:
            [direction, unknown].
        """
        reach = np.abs(V / self.scale(x)).max(axis=1)
        along = np.broadcast_to(np.asarray(by_p, dtype=float), len(V))
        if p is not None and along.any():
            reach = np.maximum(reach, np.abs(along) / (abs(p) or 1.0))
        e = (self.step / np.where(reach > 0, reach, 1.0))[:, None]
        X = np.stack([x + e * V, x - e * V], axis=1).reshape(-1, len(x))
        q: Any = p
        if p is not None and along.any():
            q = np.stack([p + e[:, 0] * along, p - e[:, 0] * along], axis=1).ravel()
        both = self(X, q, draw)
        values, parts = both.values, both.parts
        half = 1 / (2 * e)
        return Slopes(half * (values[::2] - values[1::2]), half[..., None] * (
            parts[::2] - parts[1::2]
        ))  # fmt: skip

    def jacobian(self, x: Vectors, p: float | None = None, draw: int = 0) -> NDArray[np.float64]:
        """G'(U), [unknown, unknown]."""
        return self.jacobian_parts(x, p, draw)[0]

    def jacobians(self, X: Vectors, p: Vectors | None = None) -> NDArray[np.float64]:
        """G'(U_k) at several states, [state, unknown, unknown]; slopes that are not random.

        All states are moved along the same directions in one batch, so that batches repeat.

        Args:
            X: states, [state, unknown].
            p: their values of the parameter, [state]; that of the scheme when absent.
        """
        count, n = X.shape
        e = self.step * np.stack([self.scale(x) for x in X])
        J = np.empty((count, n, n))
        few = max(1, self.oracle.block // (2 * count))
        for first in range(0, n, few):
            along = range(first, min(first + few, n))
            tried = np.tile(X, (len(along), 2, 1, 1))
            for row, j in enumerate(along):
                tried[row, 0, :, j] += e[:, j]
                tried[row, 1, :, j] -= e[:, j]
            q = None if p is None else np.tile(p, 2 * len(along))
            both = self(tried.reshape(-1, n), q).values.reshape(tried.shape)
            for row, j in enumerate(along):
                J[:, :, j] = (both[row, 0] - both[row, 1]) / (2 * e[:, j, None])
        return J

    def jacobian_parts(
        self, x: Vectors, p: float | None = None, draw: int = 0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """G'(U) and its uncertainty, [unknown, unknown] and [unknown, unknown, source]."""
        if not self.oracle.noisy:
            return self.derivative(x, np.eye(len(x)), p).values.T, np.zeros((len(x), len(x), 0))
        waves = np.asarray(dct(np.eye(len(x)), norm="ortho"))
        found = self.derivative(x, waves, p, draw=draw)
        return found.values.T @ waves, np.einsum("kis,kj->ijs", found.parts, waves)

    def averaged(self, x: Vectors, p: float | None, draws: Iterable[int]) -> Slopes:
        """G of one state, the mean over independent measurements.

        Args:
            x: state, [unknown].
            p: value of the parameter.
            draws: numbers of random numbers, one for each measurement.

        Returns:
            G, [1, unknown], with no more sources of error than unknowns.
        """
        found = [self(x[None], p, draw) for draw in draws]
        parts = np.concatenate([one.parts[0] for one in found], axis=1) / len(found)
        # another root of the same covariance
        _, root = np.linalg.qr(parts.T)
        return Slopes(np.mean([one.values for one in found], axis=0), root.T[None])

    def averaged_jacobian(
        self, x: Vectors, p: float | None, draws: Iterable[int]
    ) -> tuple[Vectors, int]:
        """G'(U) of random slopes, measured until its noise spoils steps by no more than a quarter.

        The noise of G'^-1 G' is judged by its Frobenius norm over sqrt(n), from all sources.

        Args:
            x: state, [unknown].
            p: value of the parameter.
            draws: numbers of random numbers, one for each measurement; when they are used up, what
                has been measured has to do.

        Returns:
            The mean over draws, [unknown, unknown], and how many were needed.

        Raises:
            InputError: if there is more noise than derivative even then.
        """
        total, square, count, spoilt = np.zeros((len(x), len(x))), 0.0, 0, np.inf
        for draw in draws:
            J, parts = self.jacobian_parts(x, p, draw)
            total, square, count = total + J, square + (parts**2).sum(axis=-1), count + 1
            inverse = np.linalg.pinv(total / count, rcond=1e-8)
            noise = inverse**2 @ (square / count**2)
            spoilt = float(np.sqrt(noise.sum() / len(x)))
            if spoilt <= _SPOILT:
                break
        if not spoilt <= 1:
            raise InputError(
                f"noise hides the derivative of the slope (it is {spoilt:.2g} times as large as "
                "what it is inverted to). Use more `burst.replicas` or longer bursts."
            )
        return total / count, count

"""Krylov spaces that grow by blocks of directions, each block one batch of the oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
Apply = Callable[[Vectors], Vectors]


class KrylovSpace:
    """The space spanned by B, A B, A^2 B, ... of a matrix that is known by its products.

    Attributes:
        V: orthonormal basis, [direction, unknown].
        W: A V, same shape; the directions of the last block are missing until `extend`.

    Source: Saad (2011), chapter 6, for block Arnoldi [Saad2011].
    """

    def __init__(self, apply: Apply, start: Vectors):
        """Begin a space.

        Args:
            apply: products A v of a block of directions, [direction, unknown].
            start: B, [direction, unknown].
        """
        self._apply = apply
        self.V = orthonormal(start, np.zeros((0, start.shape[1])))
        self.W = np.zeros((0, start.shape[1]))

    @property
    def size(self) -> int:
        """Directions whose products are known."""
        return len(self.W)

    def extend(self) -> None:
        """Multiply the last block, and add what is new in the products to the basis."""
        products = self._apply(self.V[len(self.W) :])
        self.W = np.concatenate([self.W, products])
        self.V = np.concatenate([self.V, orthonormal(products, self.V)])

    @property
    def full(self) -> bool:
        """Whether nothing can be added any more."""
        return len(self.V) == len(self.W)


def orthonormal(block: Vectors, basis: Vectors) -> Vectors:
    """What a block of vectors adds to a basis, as orthonormal vectors; nothing small is kept."""
    size = np.linalg.norm(block, axis=1, keepdims=True)
    rest = block / np.where(size > 0, size, 1.0)
    for _ in range(2):
        rest = rest - (rest @ basis.T) @ basis
        _, s, v = np.linalg.svd(rest, full_matrices=False)
        rest = v[s > 1e-10 * max(1.0, s.max(initial=0.0))]
    return rest[: basis.shape[1] - len(basis)]


def start_block(first: Vectors, count: int, seed: int = 0) -> Vectors:
    """A block that begins with given directions and is filled up with random ones."""
    more = np.random.default_rng(seed).normal(size=(max(0, count - len(first)), first.shape[1]))
    return np.concatenate([first, more])


def solve(
    apply: Apply, right: Vectors, tolerance: float, block: int, most: int
) -> tuple[Vectors, float]:
    """Solve A x = b in a Krylov space, in the sense of least squares (block GMRES).

    Args:
        apply: products of A with a block of directions.
        right: b, [unknown].
        tolerance: relative residual.
        block: directions per product; beyond the first they are random and make the space larger.
        most: directions at which it is given up.

    Returns:
        x and its relative residual.

    Source: Saad (2003), section 6.12 [Saad2003].
    """
    size = float(np.linalg.norm(right))
    if size == 0:
        return np.zeros_like(right), 0.0
    space = KrylovSpace(apply, start_block(right[None], min(block, len(right))))
    while True:
        space.extend()
        y, *_ = np.linalg.lstsq(space.W.T, right, rcond=None)
        residual = float(np.linalg.norm(right - y @ space.W)) / size
        if residual <= tolerance or space.full or space.size >= most:
            return y @ space.V[: space.size], residual

"""Random numbers of particles, keyed by where and when they are used.

The counter is (particle, patch, step, stream), the key the seed; patches are numbered through all
members. A trajectory is therefore the same for any chunking, thread count or restart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpupatch.micro.noise import philox

LIFTING = 0x8000_0000
"""Bit of the stream that tells the numbers of a lift from those of the steps."""


def words(
    seed: int, stream: int, step: int, n_patch: int, n_particle: int, first_patch: int = 0
) -> list[NDArray[np.uint64]]:
    """Four random 32-bit numbers for every particle at one step, each [patch, particle]."""
    patch = np.arange(first_patch, first_patch + n_patch, dtype=np.uint64)[:, None]
    particle = np.arange(n_particle, dtype=np.uint64)[None, :]
    key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    return philox((particle, patch, step & 0xFFFFFFFF, stream & 0xFFFFFFFF), key)


def uniforms(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    """A 32-bit number as one of (0, 1): (word + 1/2) 2^-32."""
    return (word.astype(np.float64) + 0.5) * 2.0**-32


def normals(
    seed: int, stream: int, step: int, n_patch: int, n_particle: int, first_patch: int = 0
) -> NDArray[np.float64]:
    """Four standard normal numbers for every particle at one step (Box-Muller).

    Args:
        seed: seed of the run.
        stream: number that sets one burst apart from all others.
        step: number of the step in the run.
        n_patch: patches.
        n_particle: particles per patch.
        first_patch: number of the first patch.

    Returns:
        [4, patch, particle]; axis k of space takes number k.
    """
    a, b, c, d = (
        uniforms(word) for word in words(seed, stream, step, n_patch, n_particle, first_patch)
    )
    near, far = np.sqrt(-2 * np.log(a)), np.sqrt(-2 * np.log(c))
    return np.stack(
        [
            near * np.cos(2 * np.pi * b),
            near * np.sin(2 * np.pi * b),
            far * np.cos(2 * np.pi * d),
            far * np.sin(2 * np.pi * d),
        ]
    )

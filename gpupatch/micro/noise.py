"""Random numbers that depend only on where and when they are used.

Philox4x32-10 maps a counter (patch, site and field, step, stream) and a key (the seed) to random
bits, so that a trajectory is the same for any chunking, thread count or restart.

Source: Salmon, Moraes, Dror and Shaw (2011), section 3 [Salmon2011].
"""

import numpy as np
from numpy.typing import NDArray

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)


def philox(counter, key) -> list[NDArray[np.uint64]]:
    """Four random 32-bit numbers from a four-word counter and a two-word key.

    Args:
        counter: four integers or arrays of integers below 2^32, broadcast together.
        key: two integers below 2^32.

    Returns:
        Four arrays of integers below 2^32.
    """
    x = [np.asarray(word, dtype=np.uint64) & _LOW for word in counter]
    k0, k1 = (int(word) for word in key)
    for _ in range(ROUNDS):
        p0, p1 = x[0] * np.uint64(MULTIPLIERS[0]), x[2] * np.uint64(MULTIPLIERS[1])
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        x = [
            high1 ^ x[1] ^ np.uint64(k0),
            p1 & _LOW,
            high0 ^ x[3] ^ np.uint64(k1),
            p0 & _LOW,
        ]
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return x


def normals(
    seed: int, stream: int, step: int, shape: tuple[int, ...], first_patch: int = 0
) -> NDArray[np.float64]:
    """Standard normal numbers for all sites of all patches at one step (Box-Muller).

    Args:
        seed: seed of the run.
        stream: number that sets one burst apart from all others.
        step: micro-step within the burst.
        shape: [patch, field, *sites].
        first_patch: number of the first patch.

    Returns:
        Independent normal numbers, [patch, field, *sites].
    """
    patch = np.arange(first_patch, first_patch + shape[0], dtype=np.uint64)[:, None]
    place = np.arange(int(np.prod(shape[1:])), dtype=np.uint64)[None, :]
    key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    a, b, c, d = philox((patch, place, step, stream), key)
    u1 = ((a << np.uint64(21)) ^ (b >> np.uint64(11))).astype(float) * 2.0**-53 + 2.0**-54
    u2 = ((c << np.uint64(21)) ^ (d >> np.uint64(11))).astype(float) * 2.0**-53
    return (np.sqrt(-2 * np.log(u1)) * np.cos(2 * np.pi * u2)).reshape(shape)

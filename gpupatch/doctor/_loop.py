"""A loop on all threads, compiled by Numba."""

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(parallel=True)
def sum_of(values: NDArray[np.float64]) -> float:
    """The sum of some numbers, spread over all threads."""
    total = 0.0
    for i in numba.prange(len(values)):
        total += values[i]
    return total

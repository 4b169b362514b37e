"""States at which a macroscopic law is sampled: random smooth fields, or those of a run."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gpupatch.contract import shown
from gpupatch.errors import InputError
from gpupatch.grid import PatchGrid
from gpupatch.tasks.oracle import Oracle

_LEAST_SPAN = 0.3
"""Least share of its range that a random field covers."""
_SAMPLES = 16
"""Points per wave among which the extremes of a random field are looked for."""


def random_fields(
    grid: PatchGrid,
    ranges: Mapping[str, tuple[float, float]],
    count: int,
    waves: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Smooth functions of position that fill given ranges.

        u(x) = c + s sum_m [a_m cos(2 pi m . x/L) + b_m sin(2 pi m . x/L)],   0 < |m| <= waves

    with independent normal a_m, b_m, and c, s such that the least and the largest value lie at
    random places within the range, at least 0.3 of it apart.

    Args:
        grid: for the domain.
        ranges: least and largest value by field.
        count: how many.
        waves: largest wave number, in waves per length of the domain.
        seed: of the random numbers.

    Returns:
        Functions by field, one mapping per state.
    """
    random = np.random.default_rng(seed)
    return [
        {name: _smooth(grid, *ranges[name], waves, random) for name in ranges} for _ in range(count)
    ]


def _smooth(grid: PatchGrid, low: float, high: float, waves: int, random: np.random.Generator):
    lengths = np.array([hi - lo for lo, hi in grid.domain])
    every = itertools.product(range(-waves, waves + 1), repeat=grid.ndim)
    m = np.array([one for one in every if one > (0,) * grid.ndim and np.hypot.reduce(one) <= waves])
    k = 2 * np.pi * m / lengths
    a, b = random.standard_normal((2, len(m)))

    def shape(*x):
        phase = sum(np.multiply.outer(k[:, axis], place) for axis, place in enumerate(x))
        return np.tensordot(a, np.cos(phase), 1) + np.tensordot(b, np.sin(phase), 1)

    places = np.meshgrid(*(np.linspace(lo, hi, _SAMPLES * waves) for lo, hi in grid.domain))
    found = shape(*places)
    span = (high - low) * random.uniform(_LEAST_SPAN, 1)
    bottom = low + (high - low - span) * random.uniform()
    steepness = span / np.ptp(found)
    level = bottom - steepness * found.min()

    def field(*x):
        return level + steepness * shape(*np.broadcast_arrays(*x))

    return field


def sampled_states(
    oracle: Oracle, states: Any, count: int, waves: int | None, seed: int
) -> NDArray[np.float64]:
    """Vectors of unknowns at which an oracle is sampled.

    Args:
        oracle: the oracle of coarse values.
        states: (least, largest) value by field, for random fields; coarse values
            [state, field, *patch axes]; or a `Solution`, or its dataset.
        count: how many random fields.
        waves: their largest wave number; a sixth of the number of patches, and 2 or more, when
            absent.
        seed: of the random numbers.

    Returns:
        [state, unknown].

    Raises:
        InputError: if states do not fit the scheme or are too few, or the seed is negative.
    """
    if seed < 0:
        raise InputError(f"`seed` is {seed}; give a whole number, 0 or more.")
    if isinstance(states, Mapping) and not hasattr(states, "data_vars"):
        ranges = _ranges(oracle, states)
        if count < 2:
            raise InputError(f"`count` is {count}; a law needs 2 states or more.")
        if waves is None:
            waves = max(2, min(oracle.scheme.grid.patches) // 6)
        if waves < 1:
            raise InputError(f"`waves` is {waves}; give 1 wave per length of the domain or more.")
        fields = random_fields(oracle.scheme.grid, ranges, count, waves, seed)
        return np.stack([oracle.vector(one) for one in fields])
    U = _of_run(oracle, states)
    if len(U) < 2:
        raise InputError("one state was given; a law needs 2 states or more.")
    return np.stack([oracle.vector(one) for one in U])


def _ranges(oracle: Oracle, states: Mapping) -> dict[str, tuple[float, float]]:
    if set(states) != set(oracle.names):
        raise InputError(
            f"ranges were given for {', '.join(map(str, states)) or 'no field'}; the coarse fields "
            f"are {', '.join(oracle.names)}. Give (least, largest) for each."
        )
    ranges = {}
    for name in oracle.names:
        given = states[name]
        ends = _as_numbers(given) if isinstance(given, Sequence) else np.zeros(0)
        if ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
            raise InputError(
                f"the range of `{name}` is {given!r}; give (least, largest), the least first."
            )
        ranges[name] = (float(ends[0]), float(ends[1]))
    return ranges


def _of_run(oracle: Oracle, states: Any) -> NDArray[np.float64]:
    """Coarse values [state, field, *patch axes] of an array, a solution or its dataset."""
    if hasattr(states, "to_xarray"):
        states = states.to_xarray()
    if not hasattr(states, "data_vars"):
        values = _as_numbers(states)
        if values.shape[1:] != oracle.shape:
            _refused(oracle, values.shape)
        return values
    axes = ("x", "y", "z")[: oracle.scheme.grid.ndim]
    columns = []
    for name in oracle.names:
        if name not in states or not set(axes) <= set(states[name].dims):
            raise InputError(
                f"the dataset has no field `{name}` over {', '.join(axes)}. Give the `solution.nc` "
                "of a run of the same case."
            )
        values = states[name].transpose(..., *axes).values
        columns.append(values.reshape(-1, *values.shape[values.ndim - len(axes) :]))
    if columns[0].shape[1:] != oracle.shape[1:]:
        _refused(oracle, (len(columns[0]), len(columns), *columns[0].shape[1:]))
    return np.stack(columns, axis=1)


def _as_numbers(states: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(states, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"`states` is {shown(states)}; give (least, largest) by field, an array of numbers, or "
            "a solution."
        ) from error


def _refused(oracle: Oracle, shape: tuple[int, ...]) -> NoReturn:
    raise InputError(
        f"`states` has the shape {shape}; this scheme needs [state, *{oracle.shape}], fields "
        f"{', '.join(oracle.names)} first."
    )


@functools.cache
def unit_gauss(points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss points on [-1/2, 1/2] and weights that sum to one."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return nodes / 2, weights / 2

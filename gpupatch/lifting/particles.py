"""Lift patches of particles from a density and its slope.

Along one axis a patch of width L is to hold the density

    rho(x) = c0 + c1 x + c2 x^2,   -L/2 <= x <= L/2,

uniform across the other axes. Whatever is drawn at random is numbered by seed, burst, patch and
particle, so that a lift does not depend on the backend or on how patches are cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import SchemeError, suggestion
from gpupatch.memory import numbers, require
from gpupatch.particles.noise import LIFTING, normals, uniforms, words
from gpupatch.particles.state import PARTICLE

METHODS = ("low_noise", "stochastic", "weighted")
NUMBERS = ("rounded", "poisson")
NUMBER_OF = {"low_noise": "rounded", "stochastic": "poisson", "weighted": "poisson"}
"""How many particles a patch receives when nothing is said."""

_PLACES, _PATCHES, _PHASES, _VELOCITIES = range(4)
"""Step numbers that tell random numbers apart: places, numbers of particles, random phases,
velocities."""


@dataclass(frozen=True)
class ParticleLifting:
    """How patches are filled with particles.

    ============  =================================================================================
    method        positions along the axis
    ============  =================================================================================
    low_noise     x_i = F^-1((i - 1 + theta)/N) with F the cumulated density and one random phase
                  theta in (0, 1) per patch; across the axis a rotated Kronecker sequence
    stochastic    independent, with density rho
    weighted      independent and uniform, and a particle stands for rho(x)/mean(rho) particles
    ============  =================================================================================

    Attributes:
        method: see the table.
        number: particles of a patch: "rounded" (N or N + 1, right in the mean) or "poisson"; the
            former for `low_noise`, the latter for the others, when absent.
        weight: what one simulated particle stands for, for particles that do not interact.
        rod: length of hard rods, which are lifted to local equilibrium: their reduced positions
            x_i - i rod are those of points; 0 for points.

    Raises:
        SchemeError: if a name is unknown, or hard rods are given weights.

    Source: Tonks (1936) for the reduced positions of rods [Tonks1936]; Roberts (2018)
    for the sequence [Roberts2018].
    """

    method: str = "low_noise"
    number: str | None = None
    weight: float = 1.0
    rod: float = 0.0

    def __post_init__(self):
        if self.method not in METHODS:
            raise SchemeError(
                f"there is no lift `{self.method}`. {suggestion(self.method, METHODS)}"
            )
        if self.number is not None and self.number not in NUMBERS:
            raise SchemeError(
                f"there is no number `{self.number}`. {suggestion(self.number, NUMBERS)}"
            )
        if not self.weight > 0:
            raise SchemeError(f"a particle stands for {self.weight} particles; give more than 0.")
        if self.rod and (self.method == "weighted" or self.weight != 1):
            raise SchemeError("hard rods interact, so that every one of them stands for itself.")


@dataclass(frozen=True, eq=False)
class LiftedParticles:
    """Particles of all patches, as `particles.state.make_state` takes them.

    Attributes:
        positions: relative to the centre of the patch along the lifted axis, from 0 across it,
            [patch, axis, particle].
        counts: particles of each patch, [patch].
        weights: what a particle stands for, [patch, particle].
    """

    positions: NDArray[np.float64]
    counts: NDArray[np.int32]
    weights: NDArray[np.float64]


def lift_particles(
    lifting: ParticleLifting,
    profile: NDArray[np.float64],
    box: tuple[float, ...],
    axis: int,
    seed: int,
    stream: int,
) -> LiftedParticles:
    """Fill patches with particles.

    Args:
        lifting: how.
        profile: coefficients of the density, not negative anywhere in the patch (see `limited`),
            [patch, 3].
        box: edge lengths of a patch.
        axis: along which the density varies.
        seed: seed of the run.
        stream: number that sets this burst apart from all others.

    Returns:
        The particles; the expected number in a patch, weighed, is the integral of its density.

    Raises:
        SchemeError: if rods would overlap.
        InputError: if the particles do not fit into memory.
    """
    width = box[axis]
    across = float(np.prod(box)) / width
    mean = profile_mean(profile, width)
    label = stream | LIFTING
    chance = [word[:, 0] for word in words(seed, label, _PATCHES, len(profile), 1)]
    expected = mean * width * across / lifting.weight
    crowd = int(min(expected.max(initial=0.0), 1e18))
    require(
        numbers(PARTICLE, len(profile), crowd),
        f"{len(profile)} patches of about {crowd:.3g} particles",
        "Use a lower density, narrower patches or a larger `weight`.",
    )
    counts = _numbers(expected, lifting.number or NUMBER_OF[lifting.method], chance)
    n = int(counts.max(initial=0))
    present = np.arange(n) < counts[:, None]
    weights = np.where(present, lifting.weight, 0.0)
    positions = np.zeros((len(profile), len(box), n))
    if lifting.method == "low_noise":
        places = _sequence(counts, n, len(box), seed, label)
    else:
        places = _independent(len(profile), n, len(box), seed, label)
    ranks = places[0]
    if lifting.rod:
        ranks = np.sort(np.where(present, ranks, 2.0), axis=1)
    ranks = np.where(present, ranks, 0.5)
    if lifting.method == "weighted":
        x = (ranks - 0.5) * width
        c0, c1, c2 = profile.T[:, :, None]
        weights *= (c0 + x * (c1 + x * c2)) / np.where(mean > 0, mean, 1.0)[:, None]
    else:
        x = inverse_cumulated(profile, width, ranks)
    if lifting.rod:
        x = _rods(x, ranks, profile, width, counts, lifting.rod)
    positions[:, axis] = np.where(present, x, 0.0)
    for k, a in enumerate(a for a in range(len(box)) if a != axis):
        positions[:, a] = np.where(present, places[1 + k] * box[a], 0.0)
    return LiftedParticles(positions, counts, weights)


def lift_velocities(
    shape: tuple[int, int, int], spread: NDArray[np.float64], seed: int, stream: int
) -> NDArray[np.float64]:
    """Velocities from Maxwell's distribution.

    Args:
        shape: patches, axes and particles of a patch.
        spread: sqrt(T/m) of the particles, in a shape that broadcasts to [patch, axis, particle].
        seed: seed of the run.
        stream: number that sets this burst apart from all others.

    Returns:
        [patch, axis, particle], same units as `spread`.
    """
    n_patch, ndim, n = shape
    xi = normals(seed, stream | LIFTING, _VELOCITIES, n_patch, n)
    return np.moveaxis(xi[:ndim], 0, 1) * spread


def profile_mean(profile: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Mean of c0 + c1 x + c2 x^2 over a patch, [patch]."""
    return profile[:, 0] + profile[:, 2] * width**2 / 12


def limited(profile: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Make densities that are nowhere negative.

    The deviation from the mean is scaled down where needed, which keeps the mean; a patch whose
    mean is negative is empty.

    Args:
        profile: coefficients of the density, [patch, 3].
        width: of the patch.

    Returns:
        Same shape as `profile`.

    Source: Zhang and Shu (2010) [ZhangShu2010].
    """
    mean = np.maximum(profile_mean(profile, width), 0.0)
    c0, c1, c2 = profile.T
    half = width / 2
    turning = np.clip(-c1 / np.where(c2 == 0, 1.0, 2 * c2), -half, half)
    least = np.min([c0 + x * (c1 + x * c2) for x in (-half, half, turning)], axis=0)
    falls = mean - least
    share = np.where(least < 0, mean / np.where(falls > 0, falls, 1.0), 1.0)
    kept = profile * share[:, None]
    kept[:, 0] = mean - kept[:, 2] * width**2 / 12
    return kept


def cumulated(
    profile: NDArray[np.float64], width: float, x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shares of the density that lie below places.

    Args:
        profile: coefficients of the density, [patch, 3].
        width: of the patch.
        x: places from its centre, [patch, particle].

    Returns:
        Between 0 and 1, same shape as `x`; uniform where a patch is empty.
    """
    c0, c1, c2 = _normalised(profile, width)
    h = width / 2
    return (c0 * (x + h) + c1 * (x**2 - h**2) / 2 + c2 * (x**3 + h**3) / 3) / width


def _normalised(profile: NDArray[np.float64], width: float) -> list[NDArray[np.float64]]:
    """Coefficients, each [patch, 1], of densities with mean 1; of empty patches, of 1."""
    mean = profile_mean(profile, width)
    c = np.where(mean > 0, (profile / np.where(mean > 0, mean, 1.0)[:, None]).T, 0.0)
    c[0] = np.where(mean > 0, c[0], 1.0)
    return [one[:, None] for one in c]


def inverse_cumulated(
    profile: NDArray[np.float64], width: float, ranks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Places below which given shares of the density lie.

    Args:
        profile: coefficients of the density, [patch, 3].
        width: of the patch.
        ranks: shares between 0 and 1, [patch, particle].

    Returns:
        x between -width/2 and width/2, same shape as `ranks`.
    """
    c0, c1, c2 = _normalised(profile, width)
    half = width / 2
    wanted = ranks * width - c0 * half + c1 * half**2 / 2 - c2 * half**3 / 3
    x = 2 * wanted / (c0 + np.sqrt(np.maximum(c0**2 + 2 * c1 * wanted, 0.0)) + 1e-300)
    x = np.clip(x, -half, half)
    if not c2.any():
        return x
    low, high = np.full(x.shape, -half), np.full(x.shape, half)
    for _ in range(_BISECTIONS):
        excess = x * (c0 + x * (c1 / 2 + x * c2 / 3)) - wanted
        low, high = np.where(excess < 0, x, low), np.where(excess > 0, x, high)
        density = c0 + x * (c1 + x * c2)
        moved = x - excess / np.where(density > 0, density, np.inf)
        moved = np.where((moved > low) & (moved < high), moved, (low + high) / 2)
        moved = np.where(excess == 0, x, moved)
        settled = np.abs(moved - x).max(initial=0.0) <= 1e-15 * width
        x = moved
        if settled:
            break
    return x


_BISECTIONS = 60


def _numbers(expected, how: str, chance) -> NDArray[np.int32]:
    """Whole numbers with given expectations, from two random words per patch."""
    a, b = chance[0], chance[1]
    u = ((a << np.uint64(21)) ^ (b >> np.uint64(11))).astype(float) * 2.0**-53 + 2.0**-54
    if how == "rounded":
        return np.floor(expected + u).astype(np.int32)
    from scipy.stats import poisson

    return np.where(expected > 0, poisson.ppf(u, np.maximum(expected, 1e-300)), 0).astype(np.int32)


def _rods(x, ranks, profile, width: float, counts, rod: float) -> NDArray[np.float64]:
    """Rods whose reduced positions are those of points at `x`, which have these ranks."""
    n = counts[:, None].astype(float)
    densest = np.max([profile @ [1, s, s * s] for s in (-width / 2, 0.0, width / 2)], axis=0)
    crowded = np.maximum(densest * rod, counts * rod / width)
    if np.any(crowded >= 1):
        patch = int(np.argmax(crowded))
        raise SchemeError(
            f"rods {rod} long fill {crowded[patch]:.3g} of their line in patch {patch}, where they "
            "would overlap. Use a lower density, shorter rods or a longer patch."
        )
    return x - rod * n * ranks + rod * (np.arange(x.shape[1]) + 0.5)


def _sequence(counts, n: int, ndim: int, seed: int, label: int) -> list[NDArray[np.float64]]:
    """Points that fill a box evenly, shifted at random: ranks along the axis, places across."""
    phases = [uniforms(w) for w in words(seed, label, _PHASES, len(counts), 1)]
    places = [(np.arange(n) + phases[0]) / np.maximum(counts, 1)[:, None]]
    for k in range(1, ndim):
        places.append((phases[k] + np.arange(n) * _GOLDEN[ndim - 1] ** -k) % 1.0)
    return places


_GOLDEN = {1: (1 + 5**0.5) / 2, 2: 1.324717957244746}
"""Largest roots of g^(d + 1) = g + 1, from which the sequence in d dimensions is made."""


def _independent(n_patch: int, n: int, ndim: int, seed: int, label: int) -> NDArray[np.float64]:
    """Independent points of the unit box, [axis, patch, particle].

    The four words of a counter are shared by as many particles as they suffice for.
    """
    share = 4 // ndim
    n_counter = -(-n // share)
    places = np.empty((ndim, n_patch, n_counter, share))
    rows = max(1, _NUMBERS_AT_ONCE // max(n_counter, 1))
    for first in range(0, n_patch, rows):
        count = min(rows, n_patch - first)
        drawn = words(seed, label, _PLACES, count, n_counter, first)
        for j in range(share):
            for k in range(ndim):
                places[k, first : first + count, :, j] = uniforms(drawn[j * ndim + k])
    return places.reshape(ndim, n_patch, n_counter * share)[:, :, :n]


_NUMBERS_AT_ONCE = 8192
"""Counters that are hashed together, few enough to stay in the cache."""

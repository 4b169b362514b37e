"""The act "restrict" for periodic boxes: pressure, stress, heat flux, and how well they are known.

Averages of a trajectory are correlated, so their standard error comes from blocks: it is computed
from means over longer and longer stretches until they are as good as independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import SchemeError
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import component_slices
from gpupatch.particles.state import ParticleState

THERMAL = ("potential", "kinetic", "kinetic_stress", "virial")
"""Observables from which energy, temperature, pressure and stress follow."""


def moments(
    model: ParticleModel,
    state: ParticleState,
    observables: Sequence[str],
    samples: NDArray[np.float64],
    tails: bool = False,
) -> dict[str, NDArray[np.float64]]:
    """Intensive quantities from the observables of boxes.

    ===========  ===================================================  =======================
    temperature  2 K / g, with g degrees of freedom                   kinetic
    energy       V / N, potential energy per particle                 potential
    stress       -(sum m v v + sum x F) / volume, [axis, axis]        kinetic_stress, virial
    pressure     minus the mean of the diagonal of the stress         kinetic_stress, virial
    heat_flux    J / volume, [axis]                                   heat_flux
    ===========  ===================================================  =======================

    Those are computed whose observables are there. In sheared boxes velocities, and with them
    temperature and stress, are relative to the flow.

    Args:
        model: the micro-simulator.
        state: the boxes, for their edges and numbers of particles.
        observables: names, as they were measured.
        samples: [..., patch, component], from `burst` or `measure`.
        tails: add what a homogeneous fluid contributes beyond the cutoff.

    Returns:
        [..., patch] or [..., patch, axis] or [..., patch, axis, axis] by name.

    Raises:
        SchemeError: if tails are asked for and the potential is changed at its cutoff, or absent.
        RuleError: if there are several types, or the tail has no finite integral.

    Source: Allen and Tildesley (2017), sections 2.4 and 2.8 [AllenTildesley2017]; Irving and
    Kirkwood (1950) [IrvingKirkwood1950].
    """
    d, at = model.ndim, component_slices(observables, model.ndim)
    volume = np.prod(state.box, axis=1)
    beyond = _tails(model, state) if tails else np.zeros((2, state.n_patch))
    found: dict[str, NDArray[np.float64]] = {}
    if "kinetic" in at:
        kinetic = samples[..., at["kinetic"].start]
        found["temperature"] = 2 * kinetic / model.degrees_of_freedom(state.counts)
    if "potential" in at:
        found["energy"] = samples[..., at["potential"].start] / state.counts + beyond[0]
    if "kinetic_stress" in at and "virial" in at:
        both = samples[..., at["kinetic_stress"]] + samples[..., at["virial"]]
        tensor = both.reshape(*both.shape[:-1], d, d) / volume[:, None, None]
        stress = -tensor - beyond[1][:, None, None] * np.eye(d)
        found["stress"] = stress
        found["pressure"] = -np.trace(stress, axis1=-2, axis2=-1) / d
    if "heat_flux" in at:
        found["heat_flux"] = samples[..., at["heat_flux"]] / volume[:, None]
    return found


def _tails(model: ParticleModel, state: ParticleState) -> NDArray[np.float64]:
    """Energy per particle and pressure from beyond the cutoff, [2, patch]."""
    pair = model.pair
    if pair is None or pair.truncation != "truncated":
        found = "no pair potential" if pair is None else f"truncation = {pair.truncation!r}"
        raise SchemeError(
            f"tails belong to a pair potential that is left as it is within its cutoff; found "
            f"{found}. Use `truncation = 'truncated'`, or leave the tails out."
        )
    density = state.counts / np.prod(state.box, axis=1)
    known = {rho: pair.tail(float(rho), model.ndim) for rho in np.unique(density)}
    return np.array([known[rho] for rho in density]).T


@dataclass(frozen=True)
class Estimate:
    """A mean and how well it is known.

    Attributes:
        mean: of all samples.
        error: standard error of the mean.
        inefficiency: samples that tell as much as one independent sample, at least 1.
        blocks: independent stretches from which the error was taken.
    """

    mean: float
    error: float
    inefficiency: float
    blocks: int

    def __str__(self) -> str:
        return f"{self.mean:.6g} +- {self.error:.2g}"


def estimate(samples: NDArray[np.float64]) -> Estimate:
    """Mean and standard error of correlated samples, by blocking.

    With s_B the standard error as it follows from the means of blocks of B successive samples, the
    shortest blocks are taken with B^3 > 2 n (s_B/s_1)^4, n the number of samples: the bias from
    correlated blocks is then below the uncertainty of s_B. If no blocks are that long, the largest
    s_B is taken.

    Args:
        samples: [time], or [replica, time] of independent series. Their spread counts too.

    Returns:
        The estimate.

    Raises:
        SchemeError: if there are fewer than two samples.

    Source: Flyvbjerg and Petersen (1989) [FlyvbjergPetersen1989]; the choice of the block length by
    Lee, Conduit, Nemec, Lopez Rios and Drummond (2011) [Lee2011].
    """
    series = np.atleast_2d(np.asarray(samples, dtype=float))
    if series.size < 2:
        raise SchemeError("one sample has no standard error: use more blocks, or replicas.")
    errors = _errors_of_blocks(series)
    naive = errors[1][0]
    longest = max(errors, key=lambda B: errors[B][0])
    ratios = {B: (error / naive if naive > 0 else 0.0) for B, (error, _) in errors.items()}
    enough = [B for B, ratio in ratios.items() if 2 * series.size * ratio**4 < B**3]
    chosen = min(enough, default=longest)
    error, blocks = errors[chosen]
    inefficiency = max(1.0, ratios[chosen] ** 2)
    return Estimate(float(series.mean()), float(error), float(inefficiency), blocks)


def _errors_of_blocks(series: NDArray[np.float64]) -> dict[int, tuple[float, int]]:
    """Standard errors by block length 1, 2, 4, ..., and how many blocks there were."""
    errors, length, means = {}, 1, series
    while means.size >= 2:
        errors[length] = (float(means.std(ddof=1) / np.sqrt(means.size)), means.size)
        pairs = means.shape[1] // 2
        if pairs < 1 or pairs * len(series) < 4:
            break
        means = means[:, : 2 * pairs].reshape(len(series), pairs, 2).mean(axis=2)
        length *= 2
    return errors


def block_correlation(
    squares: NDArray[np.float64], products: NDArray[np.float64], blocks: int
) -> NDArray[np.float64]:
    """Variance of the mean of a run over that which independent blocks would give it.

        g = [c_0 + 2 (1 - 1/n) c_1] / (S / (n - 1))

    with c_k the covariance of blocks that are k apart, zero for k > 1. They follow from the
    expectations of the sums over the n blocks of a run, less its mean m,

        S = sum (s_i - m)^2     -> (n - 1) c_0 - 2 (1 - 1/n) c_1
        P = sum (s_i - m)(s_i+1 - m) -> -(1 - 1/n) c_0 + [n - 1 - 2 (1 - 1/n^2) + 2/n] c_1

    Args:
        squares: S, summed over as many runs as there are, [member].
        products: P, likewise.
        blocks: n, at least 3.

    Returns:
        g, at least 1, [member].

    Source: Flyvbjerg and Petersen (1989), section III, for the biases [FlyvbjergPetersen1989].
    """
    n = blocks
    of_squares = [n - 1, -2 * (1 - 1 / n)]
    of_products = [-(1 - 1 / n), n - 1 - 2 * (1 - 1 / n**2) + 2 / n]
    c0, c1 = np.linalg.solve([of_squares, of_products], np.stack([squares, products]))
    naive = np.where(squares > 0, squares / (n - 1), 1.0)
    return np.where(c1 > 0, (c0 + 2 * (1 - 1 / n) * c1) / naive, 1.0)

"""What the coefficients of a rule look like below the width of a core."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gpupatch.diagnostics.variations import Microstructure
from gpupatch.micro.model import MicroModel
from gpupatch.micro.rule import mask_name

SMOOTH = 1e-3
"""Relative fluctuation within a patch below which a medium counts as smooth."""
SAME = 1e-9
"""Relative difference below which two values count as equal."""


def structure_of(
    model: MicroModel, axis: int, core: int, reach: int, phases: int = 1
) -> Microstructure:
    """The medium of one batch of patches along one axis.

    Periods are found by comparing a patch with itself, shifted. What does not repeat is taken as
    random, and its correlation length as the integral of the autocorrelation rho of the
    coefficients, both ways, up to its first zero,

        length = dx (1 + 2 sum_k rho(k dx)),

    pooled over all patches, after a straight line has been taken off every row of sites. The
    contrast is the coefficient of variation of 1/coefficient, which is what is averaged along a
    line, or of the coefficient where it has both signs.

    Args:
        model: the batch.
        axis: the axis.
        core: sites that are averaged over.
        reach: sites that should be a whole number of periods.
        phases: members of an ensemble of shifted media along this axis.

    Returns:
        The structure with the largest length of all coefficients.
    """
    d = model.spacing[axis]
    known = [Microstructure(0.0, core * d)]
    masks = {mask_name(name) for name in model.rule.parity}
    for index, (name, _) in enumerate(model.rule.coefficient_arrays):
        if name in masks:
            continue
        rows = np.moveaxis(model.coefficients[:, index], 1 + axis, -1)
        rows = rows.reshape(-1, rows.shape[-1])
        averaged = 1 / rows if np.all(rows > 0) else rows
        fluctuation = _without_trend(averaged)
        freedom = fluctuation.shape[1] - 2
        contrast = math.sqrt((fluctuation**2).sum() / (len(rows) * max(freedom, 1)))
        contrast /= float(np.abs(averaged).mean()) or 1.0
        if freedom < 1 or contrast < SMOOTH:
            continue
        period = _period(rows)
        if period is not None:
            whole = reach % period == 0 or phases % period == 0
            known.append(Microstructure(period * d, core * d, contrast, whole))
        else:
            length = d * _correlation(fluctuation)
            known.append(Microstructure(length, core * d, contrast, None, realisations=phases))
    return max(known, key=lambda one: one.length)


def _without_trend(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows less their straight lines of best fit."""
    x = np.linspace(-1, 1, rows.shape[1])
    slope = rows @ x / (x @ x)
    return rows - rows.mean(axis=1, keepdims=True) - slope[:, None] * x


def _period(rows: NDArray[np.float64]) -> int | None:
    """Fewest sites after which all rows repeat, if they show it at least twice."""
    size = float(np.abs(rows).max())
    for period in range(1, rows.shape[1] - 1):
        if np.abs(rows[:, period:] - rows[:, :-period]).max() <= SAME * size:
            return period
    return None


def _correlation(rows: NDArray[np.float64]) -> float:
    """Both-sided integral of the autocorrelation up to its first zero, in sites."""
    n = rows.shape[1]
    variance = (rows**2).sum() / rows.size
    total = 1.0
    for lag in range(1, n // 2):
        rho = (rows[:, lag:] * rows[:, :-lag]).sum() / (len(rows) * (n - lag)) / variance
        if rho <= 0:
            break
        total += 2 * rho
    return total

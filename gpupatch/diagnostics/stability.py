"""D8, D9: leaps do not amplify what is not there, and there is something to leap over."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from gpupatch.diagnostics.finding import SKIP, Finding, at_least, at_most
from gpupatch.diagnostics.trial import Trial
from gpupatch.diagnostics.variations import StepMap
from gpupatch.scheme.interface import Scheme

FINER = 8
"""How many times shorter the steps are that tell what grows by itself."""
RESIDUAL = 0.1
"""Share of a fast transient that a leap may leave."""
MODES = 6
"""Leading modes of a macro step that are looked at."""
DENSE = 200
"""Unknowns up to which all modes are."""
NEUTRAL = 1e-8
"""Growth over one macro step that is rounding."""
PERTURBATION = 1e-6
"""Size of perturbations, in units of the largest value; of 1 about a state of zeros."""
UNSETTLED = 0.1
"""Share of a mode that a step may turn into others; what exceeds it is no mode yet."""
KRYLOV = 12
"""Perturbations that are tried for the leading modes of larger systems."""
PARTS = 8
"""Parts of a burst in which the fading of a transient is looked for."""
FADED = 0.02
"""Share of a transient below which it is lost in the slow evolution."""
GAP = "fast rate over slow rate"
LEAST_GAP, NO_GAP = 20.0, 5.0
"""Fast over slow rate from which leaps pay, and below which there is nothing to leap over."""


def stability(trial: Trial) -> Finding:
    """D8: leaps let no mode grow that would not grow by itself, and leave little of what is fast.

    Of `growth` and `fast_residual` the figure further beyond its threshold is told.

    Args:
        trial: the scheme in its state.
    """
    found = growth(trial)
    if found.verdict == SKIP:
        return found
    left = fast_residual(trial)
    details = {**found.details, left.figure: left.measured}
    worse = left.raised and (left.measured or 0) / RESIDUAL > excess_of(found)
    return dataclasses.replace(left if worse else found, details=details)


def excess_of(found: Finding) -> float:
    """A figure in units of its threshold."""
    assert found.measured is not None
    assert found.threshold is not None
    return found.measured / found.threshold


def fast_residual(trial: Trial) -> Finding:
    """D8 of what is fast: a leap leaves at most a tenth of it, (M + 1) rho^k <= 0.1.

    rho is the factor by which a transient fades in an inner step, of which k come before a jump of
    M; `Variations.amplification` says what stands in its place for other methods. Where no
    transient is seen, nothing is left.

    Args:
        trial: the scheme in its state.
    """
    name = "share of a fast transient that a leap leaves"
    if trial.projection is None or trial.projection.method == "none":
        return Finding("D8", name, verdict=SKIP, advice="nothing leaps")
    rate = settling_rate(trial)
    left = None if rate is None else trial.variations.amplification(trial.t, trial.U, rate)
    step, heal = trial.variations.advice("step"), trial.variations.advice("heal")
    return at_most(
        "D8", name, left or 0.0, RESIDUAL, f"shorten {step}, or let patches heal longer: {heal}"
    )


def growth(trial: Trial) -> Finding:
    """D8 of what grows: no mode does over a macro step that does not over much shorter ones.

    The leading modes are those of the macro step linearised about the state. Of a mode that grows
    its growth in the same time by steps an eighth as long is taken off, so that instabilities of
    the physics are no fault.

    Args:
        trial: the scheme in its state.
    """
    name, variations = "growth of a mode beyond that with much shorter steps", trial.variations
    coarse = variations.step_map(trial.t, trial.U)
    if coarse is None:
        return Finding("D8", name, verdict=SKIP, advice=variations.why_not("step_map"))
    fine = variations.step_map(trial.t, trial.U, finer=FINER)
    assert fine is not None
    excess, largest = 0.0, 0.0
    for mode in _leading(coarse):
        grown = _image(coarse, mode)
        factor = np.vdot(mode, grown) / np.vdot(mode, mode)
        times, size = abs(factor), np.linalg.norm(mode)
        if not np.isfinite(times):
            excess = np.inf
        elif np.linalg.norm(grown - factor * mode) > UNSETTLED * times * size:
            continue
        largest = max(largest, float(times))
        if times > 1 + NEUTRAL:
            shorter = abs(np.vdot(mode, _image(fine, mode))) / size**2
            alone = shorter ** (coarse.duration / fine.duration)
            excess = max(excess, float(times - alone))
    step = variations.advice("step")
    return at_most(
        "D8", name, excess, trial.tolerance, f"shorten {step}", largest_growth_factor=largest
    )


def derivative(step: StepMap, v: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a macro step makes of a small perturbation, by central differences.

    Args:
        step: the macro step.
        v: the perturbation, [n].
    """
    size = np.abs(v).max()
    if size == 0:
        return np.zeros_like(v)
    small = PERTURBATION * (float(np.abs(step.base).max()) or 1.0) / size
    ahead, behind = step.advance(step.base + small * v), step.advance(step.base - small * v)
    return (ahead - behind) / (2 * small)


def _image(step: StepMap, mode: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """What a linearised macro step makes of a mode."""
    return derivative(step, mode.real) + 1j * derivative(step, mode.imag)


def _leading(step: StepMap) -> list[NDArray[np.complex128]]:
    """The leading modes of the linearised macro step, as far as a few perturbations show them."""
    n = step.base.size
    if n <= DENSE:
        J = np.stack([derivative(step, row) for row in np.eye(n)], axis=1)
        if not np.isfinite(J).all():
            return [np.ones(n, dtype=complex)]
        values, vectors = np.linalg.eig(J)
        return list(vectors.T[np.argsort(-np.abs(values))[:MODES]])
    basis, H = _krylov(step, n)
    values, vectors = np.linalg.eig(H)
    return list((basis @ vectors[:, np.argsort(-np.abs(values))[:MODES]]).T)


def _krylov(step: StepMap, n: int):
    """An orthonormal basis of what repeated macro steps make of a random perturbation.

    Source: Arnoldi's method as in Saad (2011), algorithm 6.2 [Saad2011].
    """
    Q = np.zeros((n, KRYLOV + 1))
    H = np.zeros((KRYLOV + 1, KRYLOV))
    first = np.random.default_rng(0).normal(size=n)
    Q[:, 0] = first / np.linalg.norm(first)
    for k in range(KRYLOV):
        w = derivative(step, Q[:, k])
        for _ in range(2):
            share = Q[:, : k + 1].T @ w
            H[: k + 1, k] += share
            w = w - Q[:, : k + 1] @ share
        H[k + 1, k] = np.linalg.norm(w)
        if not H[k + 1, k] > 1e-12 * np.abs(H[: k + 2, k]).max():
            return Q[:, : k + 1], H[: k + 1, : k + 1]
        Q[:, k + 1] = w / H[k + 1, k]
    return Q[:, :KRYLOV], H[:KRYLOV]


def spectral_gap(trial: Trial) -> Finding:
    """D9: what heals does so much faster than the slope changes.

        gap = beta / alpha,    alpha = |dF/dt| / |F|

    beta is the rate at which a transient fades within a burst; where there is none to be seen, a
    burst is as short as what is fast, beta = 1 / burst.

    Args:
        trial: the scheme in its state.
    """
    variations = trial.variations
    if trial.projection is None or trial.projection.method == "none":
        return Finding("D9", GAP, verdict=SKIP, advice="nothing leaps")
    if variations.noisy:
        return Finding("D9", GAP, verdict=SKIP, advice="rates are drowned in noise")
    alpha, beta = slow_rate(trial), settling_rate(trial)
    if beta is None:
        beta = 1 / variations.burst_length(trial.t, trial.U)
    return _gap(trial, beta, alpha)


def burst_gap(trial: Trial) -> Finding:
    """D9 as far as two slopes show it: the slope changes slowly enough for bursts to be short.

    Only if it does not, a transient is looked for within a burst.

    Args:
        trial: the scheme in its state.
    """
    variations = trial.variations
    if trial.projection is None or trial.projection.method == "none" or variations.noisy:
        return spectral_gap(trial)
    found = _gap(trial, 1 / variations.burst_length(trial.t, trial.U), slow_rate(trial))
    return spectral_gap(trial) if found.raised else found


def slow_rate(trial: Trial) -> float:
    """The rate alpha = |dF/dt| / |F|, from the slopes before and after one burst.

    Args:
        trial: the scheme in its state.
    """
    variations = trial.variations
    b = variations.burst_length(trial.t, trial.U)
    later, _ = variations.slope(variations.scheme, trial.t + b, trial.U + b * trial.slope)
    return trial.relative((later - trial.slope) / b, trial.slope)


def _gap(trial: Trial, beta: float, alpha: float) -> Finding:
    gap = beta / alpha if alpha else np.inf
    return at_least(
        "D9", GAP, gap, LEAST_GAP, NO_GAP,
        "nothing is much faster than what is wanted: run without leaps, or shorten "
        f"{trial.variations.advice('burst')}", fast_rate=beta, slow_rate=alpha,
    )  # fmt: skip


def settling_rate(trial: Trial) -> float | None:
    """Rate beta at which the slope settles in a burst, or None where nothing settles.

    The slope is that of slow evolution, a straight line through the last two parts of the burst,
    and a transient A exp(-beta t): that of the first lift that shows one.

    Args:
        trial: the scheme in its state.
    """
    own, others = trial.lifts
    for lifted in (own, *others):
        rate = _fading(trial, lifted)
        if rate is not None:
            return rate
    return None


def _fading(trial: Trial, lifted: Scheme) -> float | None:
    variations = trial.variations
    parts = variations.parts(lifted, trial.t, trial.U, PARTS)
    if parts is None:
        return None
    times, slopes = parts
    drift = (slopes[-1] - slopes[-2]) / (times[-1] - times[-2])
    apart = np.array(
        [
            trial.relative(one - slopes[-1] - (t - times[-1]) * drift, slopes[-1])
            for t, one in zip(times[:-2], slopes[:-2], strict=True)
        ]
    )
    if apart[0] <= trial.tolerance:
        return None
    fades = apart > FADED * apart[0]
    seen = len(fades) if fades.all() else int(np.argmin(fades))
    if seen < 2:
        return float(-np.log(FADED) / (times[1] - times[0]))
    rate = -np.polyfit(times[:seen], np.log(apart[:seen]), 1)[0]
    return float(max(rate, 0.0))

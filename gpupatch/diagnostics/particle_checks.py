"""D1 to D7 of schemes of diffusing particles and chains, whose slopes are noisy."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from gpupatch.arrays import Macro
from gpupatch.diagnostics.finding import SKIP, Finding, at_least, at_most
from gpupatch.diagnostics.noisy import Noisy, noisy_at_most, worst
from gpupatch.diagnostics.particle_lifts import lifted, other_lifts
from gpupatch.diagnostics.particle_macro import ideal_slope
from gpupatch.diagnostics.particle_variations import ParticleVariations
from gpupatch.diagnostics.trial import SIGMAS
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.response import level_slopes
from gpupatch.theory.healing import average_rate_error, longest_burst

SPOILT = 1e-3
"""Share of a slope that the ends of a patch may spoil by theory."""
LEAST_SIGNAL = 5.0
"""Signal over noise of slopes."""
NOISE_SAMPLES = 8
"""Replicas from which the noise of a slope is taken, at least."""
LIFTS = 16
"""Times that every patch is lifted, to see what comes back."""


def scale_separation(variations: ParticleVariations, tolerance: float) -> Finding:
    """D1: a core holds ten particles or more, and their number hardly varies over all replicas.

    The relative standard deviation of a density over a core of N particles in M replicas is
    sqrt(S/(N M)), with S = 1 for particles that know nothing of each other, (1 - rho a)^2 for rods,
    1 - n and 1 + n for n particles per site with exclusion and with zero range. It counts where
    nothing takes that noise away: no evenly spread lift, and no second burst with the same random
    numbers.
    """
    scheme, problem = variations.scheme, variations.problem
    repeats = scheme.burst_spec.replicas * problem.replicas
    if isinstance(scheme, ChainFluxScheme):
        n, quiet, spread = problem.core_width / scheme.lattice_spacing, True, 1.0
    else:
        rho = float(np.median(variations.densities))
        across = float(np.prod(problem.width)) / problem.width[0]
        n = rho * problem.core_width * across / scheme.lifting.weight
        quiet = scheme.sampling.common or scheme.lifting.method == "low_noise"
        spread = 1.0
        if scheme.gas is not None:
            site = rho * scheme.gas.spacing
            spread = {"ssep": 1 - site, "zero_range": 1 + site}.get(scheme.gas.kind, 1.0)
        elif scheme.lifting.rod:
            spread = (1 - rho * scheme.lifting.rod) ** 2
    held = lifted(variations, LIFTS)
    predicted = math.sqrt(spread / (n * repeats))
    seen = float((held.core / held.wanted).std(ddof=1)) / math.sqrt(repeats)
    told = {"particles_in_core": n, "predicted": predicted, "seen": seen, "replicas": repeats}
    few = at_most(
        "D1", "ten over the number of particles in a core", 10 / n, 1.0,
        "Widen `grid.core`, so that it holds ten particles or more.", **told,
    )  # fmt: skip
    if quiet:
        return few
    more = (predicted / tolerance) ** 2
    noise = at_most(
        "D1", "predicted relative deviation of a density over a core", predicted, tolerance,
        f"Widen `grid.core`, take {more:.2g} times as many replicas, or use `scheme.common`.",
        **told,
    )  # fmt: skip
    return worst([noise, few])


def locality(variations: ParticleVariations, tolerance: float) -> Finding:
    """D2: patches twice as wide show the same diffusivity."""
    wide, plain = variations.varied(2.0, 2.0), variations.plain
    return noisy_at_most(
        "D2", "change of the diffusivity in patches twice as wide",
        variations.compared(wide, plain, tolerance), tolerance,
        "What acts between particles reaches beyond the patches: widen `grid.core` and "
        "`grid.buffer`.",
    )  # fmt: skip


def healing(
    variations: ParticleVariations, t: float, U: Macro, tolerance: float, least: float = 0.0
) -> Finding:
    """D3: wider buffers, other ends and other times of the burst change nothing.

    Args:
        variations: of the scheme.
        t: time of the state.
        U: coarse values.
        tolerance: relative error that is accepted.
        least: rate of change below which nothing matters.
    """
    begin, end = variations.healing, variations.length
    middle = (begin + end) / 2
    advice = "Widen `grid.buffer` or shorten `burst.length`"
    found = [protection(variations)]
    trials = {
        "with buffers 1.5 times as wide": (variations.varied(buffer=1.5), variations.plain),
        "between the halves of the measured part of a burst": (
            variations.varied(window=(middle, end)), variations.varied(window=(begin, middle)),
        ),
    }  # fmt: skip
    other = _other_edges(variations)
    if other is not None:
        told = f"with {other} ends of the patches"
        trials[told] = (variations.varied(edges=other, refill=None), variations.plain)
    found += [
        noisy_at_most(
            "D3", f"change of the diffusivity {told}",
            variations.compared(one, than, tolerance), tolerance, advice + ".",
        )
        for told, (one, than) in trials.items()
    ]  # fmt: skip
    if isinstance(variations.scheme, ParticleBurstScheme):
        level = _level(variations, t, U, tolerance, least)
        found += [level] if level.verdict != SKIP else []
    return worst(found)


def memory(variations: ParticleVariations, tolerance: float) -> Finding:
    """D4: a burst that goes on shows what a fresh one shows.

        R = |U_cont(2b) - U_relift(2b)|/|U_cont(2b) - U(0)| = |s_2 - s_1|/|s_1 + s_2|

    with s_1 the slope in a burst of length b and s_2 that in the time b thereafter, both in patches
    with buffers twice as wide, so that it is not the ends that are seen.
    """
    b = variations.length
    first = variations.varied(buffer=2.0, window=(variations.healing, b))
    second = variations.varied(buffer=2.0, window=(b, 2 * b))
    apart = variations.compared(second, first, 2 * tolerance)
    found = Noisy(apart.value / 2, apart.error / 2, apart.replicas)
    return noisy_at_most(
        "D4", "|U_cont - U_relift|/|U_cont - U|", found, tolerance,
        "Patches remember how they were lifted for longer than `burst.heal`: lengthen it and "
        "`burst.length`, or make what they remember a coarse field.",
    )  # fmt: skip


def description(variations: ParticleVariations, tolerance: float) -> Finding:
    """D5: other lifts of the same coarse values show the same after healing."""
    lifts = other_lifts(variations)
    if not lifts:
        return Finding("D5", "other lifts", advice="there is one lift to local equilibrium.")
    return worst(
        [
            noisy_at_most(
                "D5", f"change of the diffusivity with {told}",
                variations.compared(variations.plain, one, tolerance), tolerance,
                "The coarse field does not tell what patches do next: lengthen `burst.heal`, or "
                "take another field along.",
            )
            for told, one in lifts.items()
        ]
    )  # fmt: skip


def relift(variations: ParticleVariations) -> Finding:
    """D6: lifted patches hold what they should, up to one particle or to the noise of the lift."""
    held = lifted(variations, LIFTS)
    apart = held.density - held.wanted
    if held.grain:
        return at_most(
            "D6", "|R L U - U|", float(np.abs(apart).max()), held.grain * (1 + 1e-9),
            "Patches are not filled with what they should hold: this is a fault of the lift.",
        )  # fmt: skip
    bias = abs(float(apart.mean()))
    rounding = 1e3 * float(np.finfo(variations.problem.dtype).eps * held.wanted.max())
    error = max(float(apart.std(ddof=1) / math.sqrt(apart.size)), rounding, 1e-300)
    return at_most(
        "D6", "|R L U - U| on average, in standard errors", bias / error, SIGMAS,
        "Patches hold too much or too little on average: this is a fault of the lift.",
        mean=bias, standard_error=error,
    )  # fmt: skip


def noise(variations: ParticleVariations, t: float, U: Macro, least: float = 0.0) -> Finding:
    """D7: the largest slope is five standard errors, of the mean over all replicas, or more.

    The slope is that of the diffusivity which the patches show; the error is the root mean square
    over the cells.

    Args:
        variations: of the scheme.
        t: time of the state.
        U: coarse values.
        least: rate of change below which nothing matters.
    """
    name, used = "largest slope over its standard error", _replicas(variations)
    own = variations.scheme.variant()
    bursts = math.ceil(NOISE_SAMPLES / used)
    samples = np.concatenate([own.samples(t, U, True) for _ in range(bursts)])
    n, members = len(samples), variations.problem.replicas
    apart = samples.reshape(n, -1, members, *samples.shape[2:])
    apart = np.moveaxis(apart, 2, 0).reshape(n * members, -1)
    deviation = math.sqrt(float(apart.var(axis=0, ddof=1).mean()) / used)
    if deviation == 0:
        return Finding("D7", name, advice="nothing is random in the slopes.")
    signal = abs(variations.diffusivity.value) * float(np.abs(ideal_slope(own, t, U)).max())
    ratio = max(signal, least) / deviation
    wanted = math.ceil(used * (LEAST_SIGNAL / max(ratio, 1e-3)) ** 2)
    return at_least(
        "D7", f"{name}, with {used} replicas", ratio, LEAST_SIGNAL, LEAST_SIGNAL / 5,
        f"Average over {wanted} replicas (`burst.replicas` times `run.replicas`).",
        signal=signal, standard_error=deviation, replicas=used, wanted=wanted,
    )  # fmt: skip


def _replicas(variations: ParticleVariations) -> int:
    return variations.scheme.burst_spec.replicas * variations.problem.replicas


def protection(variations: ParticleVariations) -> Finding:
    """By theory: what the ends of patches spoil, at the largest diffusivity in them."""
    buffer, largest = variations.buffer, variations.largest_diffusivity
    D = largest.value
    if D <= 0:
        return Finding("D3", "ends of the patches", advice="nothing diffuses.")
    share = spoilt_share(variations, D)
    error = (share - spoilt_share(variations, max(largest.least, 0.0))) / SIGMAS
    ends = _ends(variations)
    longest = longest_burst(SPOILT / ends, buffer, D) if buffer > 0 else 0.0
    return noisy_at_most(
        "D3", "share of the slope that the ends of a patch spoil by theory",
        Noisy(share, error, largest.replicas), SPOILT,
        f"Widen `grid.buffer`, or shorten `burst.length` to {longest:.2g}.",
        diffusivity=D, longest_burst=longest,
    )  # fmt: skip


def spoilt_share(variations: ParticleVariations, diffusivity: float) -> float:
    """What the ends of patches spoil of the slope between healing and the end of a burst.

    Every end spoils the share 4 i2erfc(z), z = buffer/sqrt(4 D t), of what is averaged over a time
    t from the lift on.

    Args:
        variations: of the scheme.
        diffusivity: D.

    Source: Carslaw and Jaeger (1959), section 2.5 [CarslawJaeger1959].
    """
    begin, end = variations.healing, variations.length
    moved = [
        s * float(average_rate_error(variations.buffer / math.sqrt(4 * diffusivity * s)))
        if s * diffusivity > 0
        else 0.0
        for s in (begin, end)
    ]
    return _ends(variations) * (moved[1] - moved[0]) / (end - begin)


def _ends(variations: ParticleVariations) -> int:
    """Ends of a patch that spoil a slope: averages over cores have two faces, each near one end."""
    return 1 if isinstance(variations.scheme, ParticleBurstScheme) else 2


def _other_edges(variations: ParticleVariations) -> str | None:
    scheme = variations.scheme
    if scheme.gas is not None or isinstance(scheme, ChainFluxScheme):
        return None
    return "reflecting" if scheme.edges == "open" else "open"


def _level(
    variations: ParticleVariations, t: float, U: Macro, tolerance: float, least: float
) -> Finding:
    """What cores lose through the ends of patches of uniform density, beside the slopes of U."""
    scheme = variations.scheme
    assert isinstance(scheme, ParticleBurstScheme)
    own = scheme.variant(
        burst=dataclasses.replace(scheme.burst_spec, replicas=max(scheme.burst_spec.replicas, 64))
    )
    c2 = scheme.profile(t, U)[:, 2]
    slope = 2 * variations.diffusivity.value * math.sqrt(float((c2**2).mean()))
    slope = max(slope, least, 1e-300)
    seen = level_slopes(own, variations.densities).mean(axis=1)
    error = float(seen.std(ddof=1) / math.sqrt(len(seen)))
    found = Noisy(abs(float(seen.mean())) / slope, error / slope, len(seen))
    return noisy_at_most(
        "D3", "change of a uniform density over the slope", found, tolerance,
        "Particles leave through the ends of the patches: widen `grid.buffer`, shorten "
        "`burst.length`, or use `scheme.common` or reflecting ends.",
    )  # fmt: skip

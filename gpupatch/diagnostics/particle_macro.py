"""D1' and D8 to D11 of diffusing particles and chains: what concerns the coarse field."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.diagnostics.conservation import EXACT
from gpupatch.diagnostics.finding import PASS, Finding, at_least, at_most
from gpupatch.diagnostics.particle_variations import ParticleVariations
from gpupatch.particles.dynamics import Langevin, VelocityFlips
from gpupatch.projection import Projection
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.flux import difference
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_density import DensityScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme

LEAST_GAP, NO_GAP = 20.0, 5.0
"""Fast over slow rate from which leaps pay, and below which there is nothing to leap over."""
LEAST_STEP = 1e4
"""Displacement in a micro-step in units of rounding."""
LARGEST_SHARE = 0.5
"""Width of patches over their distance beyond which gaps save little."""
LEAPS = 12
"""Macro steps from which growth factors are taken."""
SELF_STEPPING = ("adaptive", "implicit")
"""Methods that choose their steps by themselves."""


def ideal_slope(scheme: DensityScheme, t: float, U: Macro) -> Macro:
    """The slope that the scheme would find if the diffusivity were 1 everywhere.

    Args:
        scheme: of a density, or of the energy of chains.
        t: base time.
        U: coarse values.
    """
    if isinstance(scheme, ParticleBurstScheme):
        return 2 * scheme.profile(t, U)[:, 2].reshape(U.shape)
    assert isinstance(scheme, ParticleFluxScheme)
    total = np.zeros(U.shape)
    for axis, along in enumerate(scheme.axes):
        flux = -scheme.profile(t, U, axis)[:, 1]
        shaped = flux.reshape(scheme.n_members, 1, *(len(X) for X in along.centres))
        total -= difference(shaped, scheme.grid, axis)
    return total


def rates(scheme: DensityScheme, t: float) -> NDArray[np.float64]:
    """Decay rates of the modes of the coarse field at diffusivity 1, ascending.

    Of grids with several axes they are the sums of rates along the axes.

    Args:
        scheme: of a density, or of the energy of chains.
        t: time, at which boundary values are taken.
    """
    level, found = 1e3, np.zeros(1)
    shape = (scheme.n_members, 1, *scheme.grid.patches)
    base = ideal_slope(scheme, t, np.full(shape, level))
    for axis, n in enumerate(scheme.grid.patches):
        line = tuple(slice(None) if a == axis else 0 for a in range(scheme.grid.ndim))
        matrix = np.empty((n, n))
        for cell in range(n):
            U = np.full(shape, level)
            np.moveaxis(U, 2 + axis, 0)[cell] += 1.0
            matrix[:, cell] = (ideal_slope(scheme, t, U) - base)[0, 0][line]
        along = -np.linalg.eigvals(matrix).real
        found = np.add.outer(found, along).ravel()
    return np.sort(found)


def least_rate(
    U: Macro, tolerance: float, projection: Projection | None, span: float | None
) -> float:
    """Rate of change below which nothing matters, tolerance max|U| / slow time.

    Args:
        U: coarse values.
        tolerance: relative error that is accepted.
        projection: the method that leaps, whose step is the slow time where no span is known.
        span: model time of the run.

    Returns:
        The rate; 0 where no slow time is known.
    """
    slow = span or (projection.step if projection is not None else None)
    return tolerance * float(np.abs(U).max()) / slow if slow else 0.0


def resolution(
    variations: ParticleVariations, t: float, U: Macro, tolerance: float, least: float = 0.0
) -> Finding:
    """D1': the next higher order of interpolation finds the same slope; patches leave gaps.

    Args:
        variations: of the scheme.
        t: time of the state.
        U: coarse values.
        tolerance: relative error that is accepted.
        least: rate of change below which nothing matters.
    """
    scheme = variations.scheme
    share = max(w / gap for w, gap in zip(scheme.problem.width, scheme.grid.gap, strict=True))
    order, name = scheme.made_of.get("order", 2), "change of the slope with the next higher order"
    if isinstance(scheme, ParticleBurstScheme) or order >= 8:
        return Finding("D1'", name, advice="there is no higher order.")
    mine = ideal_slope(scheme.variant(), t, U)
    better = ideal_slope(scheme.variant(order=order + 2), t, U)
    size, apart = float(np.abs(better).max()), float(np.abs(better - mine).max())
    if apart > tolerance * size and least:
        # slopes at diffusivity 1, beside the least that matters at that of the patches
        size = max(size, least / max(variations.diffusivity.value, 1e-300))
    found = at_most(
        "D1'", f"{name} of the interpolation", apart / size if size else 0.0, tolerance,
        "use more `grid.patches`, or a higher `scheme.order`.", width_over_distance=share,
    )  # fmt: skip
    if found.raised or share <= LARGEST_SHARE:
        return found
    return dataclasses.replace(found, advice=f"patches fill {100 * share:.0f} % of an axis")


def stability(
    variations: ParticleVariations, t: float, projection: Projection | None, tolerance: float
) -> Finding:
    """D8: no mode of the coarse field grows over a macro step, since all of them decay.

    A random step shows no growth factors; those of the method are taken for u' = -D mu u, with D
    the diffusivity that the patches show and mu the rates of the coarse field.
    """
    name = "growth factor of the fastest coarse mode over a macro step"
    if projection is None or projection.method == "none" or projection.step is None:
        return Finding("D8", name, advice="nothing leaps, or steps are chosen by themselves.")
    if projection.method in SELF_STEPPING:
        return Finding("D8", name, advice=f"`{projection.method}` chooses its steps by itself.")
    D = max(variations.diffusivity.value, 0.0)
    fastest = D * float(rates(variations.scheme.variant(), t)[-1])
    growth = growth_factor(projection, fastest)
    return at_most(
        "D8", name, growth, 1 + tolerance,
        f"Shorten `time.step` (now {projection.step:.3g}); the fastest mode of the coarse field "
        f"decays in {1 / max(fastest, 1e-300):.3g}.", rate=fastest, diffusivity=D,
    )  # fmt: skip


def growth_factor(projection: Projection, rate: float) -> float:
    """What one macro step makes of u' = -rate u, after the first few.

    Args:
        projection: a method with a fixed step.
        rate: of the decay.
    """
    assert projection.step is not None
    system, h = _Decay(rate), projection.step
    with np.errstate(over="ignore", invalid="ignore"):
        early = projection.advance(system, 0.0, np.ones(1), LEAPS * h)
        late = projection.advance(system, 0.0, np.ones(1), 2 * LEAPS * h)
    ratio = abs(float(late[0])) / max(abs(float(early[0])), 1e-300)
    return float(ratio ** (1 / LEAPS))


class _Decay:
    """u' = -rate u, as the system that a projective method leaps over."""

    burst_length = 0.0
    inner_step = 1.0

    def __init__(self, rate: float):
        self.rate = rate

    def slope(self, t: float, U):
        return -self.rate * U

    def axpy(self, terms):
        return sum(weight * U for weight, U in terms)

    def error_norm(self, error, U, tolerance: float) -> float:
        return float(np.abs(error).max() / tolerance)

    def unpack(self, U):
        return U

    def pack(self, values):
        return values

    def burst(self, t: float, U):
        return U, self.slope(t, U)

    def inner(self, t: float, U, steps: int, dt: float):
        return U * math.exp(-self.rate * steps * dt)


def spectral_gap(
    variations: ParticleVariations,
    t: float,
    U: Macro,
    projection: Projection | None,
    tolerance: float,
    span: float | None = None,
) -> Finding:
    """D9: what heals in a patch does so much faster than the coarse field changes, or is wanted.

    Velocities forget at the friction of the bath, currents of chains at twice the rate of flips,
    places of interacting particles in the time that one needs to diffuse to the next.
    """
    name = "rate of healing over the rate of the coarse field"
    if projection is None or projection.method == "none":
        return Finding("D9", name, advice="nothing leaps.")
    beta = fast_rate(variations)
    if beta is None:
        return Finding("D9", name, advice="lifted patches have nothing to heal.")
    alpha = max(slow_rate(variations, t, U, tolerance), 0.0 if span is None else 1 / span)
    if alpha == 0:
        return Finding("D9", name, advice="the coarse field does not change.")
    return at_least(
        "D9", name, beta / alpha, LEAST_GAP, NO_GAP,
        "Nothing is much faster than what is wanted: leaps do not pay.",
        fast_rate=beta, slow_rate=alpha,
    )  # fmt: skip


def fast_rate(variations: ParticleVariations) -> float | None:
    """The rate at which a lift heals; None where it has nothing to heal."""
    scheme = variations.scheme
    if scheme.gas is not None:
        if not scheme.interacting:
            return None
        site = float(variations.densities.max()) * scheme.gas.spacing
        return 2 * scheme.gas.rate / (1 + site) ** 2
    dynamics = scheme.problem.model.dynamics
    if isinstance(scheme, ChainFluxScheme):
        assert isinstance(dynamics, VelocityFlips)
        return 2 * dynamics.rate
    if isinstance(dynamics, Langevin):
        return dynamics.friction
    if not scheme.interacting:
        return None
    volume = 1 / float(np.median(variations.densities))
    return variations.diffusivity.value / volume ** (2 / scheme.grid.ndim)


def slow_rate(variations: ParticleVariations, t: float, U: Macro, tolerance: float) -> float:
    """Rate of change of the coarse field, relative to its largest deviation from the mean.

    Deviations below tolerance max|U| do not matter, and are taken as that.

    Args:
        variations: of the scheme.
        t: time of the state.
        U: coarse values.
        tolerance: relative error that is accepted.
    """
    slope = np.abs(ideal_slope(variations.scheme.variant(), t, U)).max()
    apart = max(np.abs(U - U.mean()).max(), tolerance * np.abs(U).max())
    return float(abs(variations.diffusivity.value) * slope / apart) if apart else 0.0


def conservation(
    variations: ParticleVariations, t: float, U: Macro, projection: Projection | None
) -> Finding:
    """D10: a leap changes the total by what crosses the boundary and no more."""
    name, own = "change of the total over a leap", variations.scheme.variant()
    leap = projection.step if projection is not None and projection.step else own.burst_length
    size = float(np.abs(U).sum())
    if size == 0:
        return Finding("D10", name, advice="there is nothing.")
    if not isinstance(own, ParticleFluxScheme):
        share = abs(float(own.slope(t, U).sum())) * leap / size
        return Finding("D10", f"{name}, not conserved by averages over cores", share, None, PASS)
    share = 0.0
    for axis in range(own.grid.ndim):
        flux = own.measure(t, U, axis)
        flat = flux.reshape(-1, *flux.shape[2:])
        change = difference(flat, own.grid, axis)
        crossed = 0.0
        if not own.grid.periodic(axis):
            ends = np.moveaxis(flat, 2 + axis, 0)
            crossed = float((ends[-1] - ends[0]).sum()) / own.grid.gap[axis]
        moved = leap * float(np.abs(change).sum()) / len(flux)
        residual = abs(float(change.sum()) - crossed) / len(flux)
        share += residual * leap / max(size, moved)
    return at_most(
        "D10", name, share, EXACT, "This is no rounding: please report it with the case file."
    )


def precision(variations: ParticleVariations) -> Finding:
    """D11: particles move further in a micro-step than positions are rounded."""
    scheme, problem = variations.scheme, variations.problem
    name = "displacement in a micro-step in units of rounding"
    if scheme.gas is not None:
        return Finding("D11", name, advice="numbers of particles at sites are not rounded.")
    if isinstance(scheme, ChainFluxScheme):
        spread = math.sqrt(float(variations.densities.min()))
        moved, place = variations.dt * spread, spread
    else:
        T = min({**problem.controls, **m}["temperature"] for m in problem.member_values)
        place = max(problem.width) / 2
        if problem.model.dynamics.moves_velocities:
            moved = variations.dt * math.sqrt(T / problem.model.masses[0])
        else:
            moved = math.sqrt(2 * problem.model.dynamics.mobility * T * variations.dt)
    rounding = place * float(np.finfo(problem.dtype).eps)
    return at_least(
        "D11", name, moved / rounding, LEAST_STEP, LEAST_STEP / 100,
        'Lengthen `burst.dt`, or choose `run.dtype = "float64"`.',
    )  # fmt: skip

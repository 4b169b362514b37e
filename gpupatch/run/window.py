"""The window of a burst: longer than its lift heals, shorter than its edges take to the core."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpupatch.diagnostics import particle_macro
from gpupatch.diagnostics.diagnosis import coarse_values, variations_of
from gpupatch.diagnostics.particle_variations import ParticleVariations
from gpupatch.files.case import Case
from gpupatch.run.build import Parts
from gpupatch.scheme.base import HEALED
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_density import DensityScheme
from gpupatch.theory.healing import longest_burst

SPOILT = 1e-3
"""Share of a flux of particles that the ends of a patch may spoil."""
WORK = 3e6
"""Micro-steps of particles from which a diffusivity is taken."""


@dataclass(frozen=True, eq=False)
class Window:
    """What a patch is like, and how long its core is its own.

    Attributes:
        core: width of the core.
        buffer: width of the buffers.
        distance: of patches; the least.
        length: of a burst.
        healing: discarded of it.
        longest: the longest burst that buffers of a width protect.
        law: how that was found, in words.
        fast: rate at which a lift heals; 0 where it has nothing to heal.
        period: of the medium; 0 where there is none.
        whole_periods: whether the core holds a whole number of them.
        unit: distance of sites or of particles of which a patch holds a whole number; 0 if none.
        lattice: whether patches have sites.
        per_patch: whether the number of particles of a patch belongs to its width.
    """

    core: float
    buffer: float
    distance: float
    length: float
    healing: float
    longest: Callable[[float], float]
    law: str
    fast: float = 0.0
    period: float = 0.0
    whole_periods: bool = True
    unit: float = 0.0
    lattice: bool = False
    per_patch: bool = False

    def buffer_for(self, length: float) -> float:
        """The buffers that protect a core for so long."""
        unit = self.longest(1.0)
        if math.isinf(unit):
            return 0.0
        ratio = self.longest(2.0) / unit
        return (length / unit) ** (1 / math.log2(ratio))


def window_of(parts: Parts, case: Case) -> Window:
    """The window of a scheme in its initial state.

    Args:
        parts: of a case whose scheme measures in bursts.
        case: the case.
    """
    scheme: Any = parts.scheme
    if isinstance(scheme, DensityScheme):
        return _of_particles(parts, case)
    return _of_lattice(parts, case)


def _of_particles(parts: Parts, case: Case) -> Window:
    scheme: Any = parts.scheme
    own = scheme.variant()
    t = case.time.start
    U = coarse_values(own, parts.initial, t)
    variations = ParticleVariations.at(scheme, t, U, WORK)
    D = variations.largest_diffusivity.value
    chain = isinstance(scheme, ChainFluxScheme)
    share = SPOILT / (1 if isinstance(scheme, ParticleBurstScheme) else 2)
    unit = 0.0
    if chain:
        unit = scheme.lattice_spacing
    elif scheme.gas is not None:
        unit = scheme.gas.spacing
    return Window(
        core=scheme.problem.core_width,
        buffer=variations.buffer,
        distance=float(min(scheme.grid.gap)),
        length=scheme.burst_length,
        healing=scheme.healing,
        longest=lambda L: longest_burst(share, L, D) if L > 0 else 0.0,
        law=f"diffusivity {D:.3g}",
        fast=particle_macro.fast_rate(variations) or 0.0,
        unit=unit,
        per_patch=chain,
    )


def _of_lattice(parts: Parts, case: Case) -> Window:
    scheme: Any = parts.scheme
    t, grid = case.time.start, scheme.problem.grid
    U = coarse_values(scheme.variant(), parts.initial, t)
    sound, spoilt = scheme.variant().protected_burst(t, U)
    buffer = float(min(grid.buffer_width))
    wave = sound == spoilt
    found = variations_of(scheme.variant(), parts.projection).microstructure(t, U)
    period = found.length if found is not None and found.whole_periods is not None else 0.0
    D = 0.0 if wave or not sound else HEALED * buffer**2 / sound
    power = 1 if wave else 2
    return Window(
        core=min(
            (c.stop - c.start) * d for c, d in zip(grid.core_sites, grid.spacing, strict=True)
        ),
        buffer=buffer,
        distance=float(min(grid.gap)),
        length=scheme.burst_spec.length,
        healing=scheme.burst_spec.healing,
        longest=lambda L: sound * (L / buffer) ** power if buffer else math.inf,
        law=f"speed {buffer / sound:.3g}" if wave and sound < math.inf else f"diffusivity {D:.3g}",
        fast=2 * np.pi**2 * D / period**2 if period else 0.0,
        period=period,
        whole_periods=found is None or found.whole_periods is not False,
        unit=float(min(grid.spacing)),
        lattice=True,
    )

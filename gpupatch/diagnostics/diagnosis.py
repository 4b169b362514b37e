"""All diagnostics of a scheme in a state, or those that cost nearly nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpupatch.arrays import Macro
from gpupatch.contract import checked
from gpupatch.diagnostics.conservation import conservation
from gpupatch.diagnostics.consistency import consistency
from gpupatch.diagnostics.coupled_variations import CoupledVariations
from gpupatch.diagnostics.description import description
from gpupatch.diagnostics.finding import ASSUMPTIONS, SKIP, TOLERANCE, Diagnosis, Finding
from gpupatch.diagnostics.healing import healing, protection
from gpupatch.diagnostics.locality import locality
from gpupatch.diagnostics.measured_variations import MeasuredVariations
from gpupatch.diagnostics.memory import memory
from gpupatch.diagnostics.noise import noise
from gpupatch.diagnostics.particle_diagnosis import particle_diagnosis
from gpupatch.diagnostics.precision import precision
from gpupatch.diagnostics.separation import geometry, macroscopic_resolution, scale_separation
from gpupatch.diagnostics.stability import burst_gap, spectral_gap, stability
from gpupatch.diagnostics.trial import Trial
from gpupatch.diagnostics.variations import Variations
from gpupatch.errors import InputError, suggestion
from gpupatch.projection import Projection
from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme
from gpupatch.scheme.interface import Scheme
from gpupatch.scheme.particles import ParticleScheme
from gpupatch.scheme.problem import Initial

Check = Callable[[Trial], Finding]

CHECKS: dict[str, Check] = {
    "D1": scale_separation,
    "D1'": macroscopic_resolution,
    "D2": locality,
    "D3": healing,
    "D4": memory,
    "D5": description,
    "D6": consistency,
    "D7": noise,
    "D8": stability,
    "D9": spectral_gap,
    "D10": conservation,
    "D11": precision,
}
"""All diagnostics, in the order of their findings."""

FREE: dict[str, Check] = {
    "D1": scale_separation,
    "D1'": geometry,
    "D3": protection,
    "D6": consistency,
    "D7": noise,
    "D9": burst_gap,
    "D10": conservation,
    "D11": precision,
}
"""Those that share one slope and need hardly anything besides, for every run."""

FREE_SHARE = 0.005
"""Share of the time of a run that a probe for its free diagnostics may last."""
ONLY_LEAPING = ("D3", "D4", "D5", "D6", "D9")
"""Diagnostics of bursts and leaps, which a `coupled` scheme without leaps does not make."""


@checked(InputError)
def diagnose(
    scheme: Scheme,
    state: Initial | Macro,
    t: float = 0.0,
    projection: Projection | None = None,
    tolerance: float = TOLERANCE,
    only: Sequence[str] | None = None,
    span: float | None = None,
) -> Diagnosis:
    """Test whether the assumptions of patch dynamics hold for a scheme in a state.

    Everything is tried on variants of the scheme: it stays as it is, and so do its counters and
    its random numbers.

    Args:
        scheme: the patch scheme.
        state: initial values as for `simulate`, or coarse values [member, field, *patch axes].
        t: time of the state.
        projection: the method that leaps; micro-steps throughout when absent (`coupled` only).
        tolerance: relative error of the slope that is accepted.
        only: ids of the diagnostics wanted, such as ["D2", "D3"]; all when absent.
        span: slow time, over which the coarse values are wanted: that of the run; that of a leap
            when absent. Rates of change below tolerance max|U| / span do not matter.

    Returns:
        One finding per diagnostic.

    Raises:
        InputError: if there is no such diagnostic.
    """
    return _all(CHECKS, scheme, state, t, projection, tolerance, only, span)


def free_diagnosis(
    scheme: Scheme,
    state: Initial | Macro,
    t: float = 0.0,
    projection: Projection | None = None,
    tolerance: float = TOLERANCE,
    span: float | None = None,
) -> Diagnosis:
    """The diagnostics that every run can afford: they take two or three bursts together.

    Args:
        scheme: as for `diagnose`, and so are the others.
        state: initial or coarse values.
        t: time of the state.
        projection: the method that leaps.
        tolerance: relative error that is accepted.
        span: slow time.
    """
    return _all(FREE, scheme, state, t, projection, tolerance, None, span)


def variations_of(
    scheme: CoupledScheme | BurstScheme | FluxScheme,
    projection: Projection | None,
    longest: float | None = None,
) -> Variations:
    """The experiments that can be made with a scheme on a lattice.

    Args:
        scheme: the scheme.
        projection: the method that leaps.
        longest: longest model time of a probe of a coupled scheme; as long as healing takes when
            absent.
    """
    if isinstance(scheme, CoupledScheme):
        return CoupledVariations(scheme, projection, longest)
    return MeasuredVariations(scheme, projection)


def coarse_values(scheme: Any, state: Initial | Macro, t: float) -> Macro:
    """Coarse values on the host, from initial values or from themselves.

    Raises:
        InputError: if an array has another shape than the coarse values.
    """
    if isinstance(state, np.ndarray):
        shape = (scheme.n_members, len(scheme.names), *scheme.grid.patches)
        if state.shape != shape:
            raise InputError(
                f"`state` has the shape {state.shape}; coarse values of this scheme have {shape}."
            )
        return np.array(state, dtype=float)
    return np.array(scheme.coarse(scheme.initial(state, t)), dtype=float)


def _all(
    checks: dict[str, Check], scheme: Any, state, t, projection, tolerance, only, span
) -> Diagnosis:
    for id in only or ():
        if id not in checks:
            raise InputError(f"there is no diagnostic `{id}`. {suggestion(id, tuple(ASSUMPTIONS))}")
    if isinstance(scheme, ParticleScheme):
        free = checks is FREE
        return particle_diagnosis(scheme, state, t, projection, tolerance, only, span, free)
    longest = FREE_SHARE * span if checks is FREE and span is not None else None
    variations = variations_of(scheme, projection, longest)
    U = coarse_values(scheme, state, t)
    trial = Trial(variations, t, U, projection, tolerance, span)
    stepping = isinstance(scheme, CoupledScheme) and (
        projection is None or projection.method == "none"
    )
    findings = []
    with warnings.catch_warnings():
        # variants may be unsound in ways of which the scheme itself has warned
        warnings.simplefilter("ignore")
        for id, check in checks.items():
            if only is not None and id not in only:
                continue
            if stepping and id in ONLY_LEAPING:
                reason = "coupled micro-steps throughout make no bursts and no leaps"
                findings.append(Finding(id, "", verdict=SKIP, advice=reason))
            else:
                findings.append(check(trial))
    return Diagnosis(tuple(findings), tolerance, variations.cost)

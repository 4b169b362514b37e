"""All diagnostics of a scheme of particles in a state."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpupatch.arrays import Macro
from gpupatch.diagnostics import particle_checks, particle_macro
from gpupatch.diagnostics.box_checks import BoxFluxTrial, box_flux_findings
from gpupatch.diagnostics.finding import ASSUMPTIONS, Diagnosis, Finding
from gpupatch.diagnostics.held_checks import held_findings
from gpupatch.diagnostics.particle_variations import ParticleVariations
from gpupatch.errors import InputError
from gpupatch.projection import Projection
from gpupatch.scheme.box_flux import BoxFluxScheme
from gpupatch.scheme.boxes import BoxScheme
from gpupatch.scheme.particle_density import DensityScheme
from gpupatch.scheme.particles import ParticleScheme
from gpupatch.scheme.problem import Initial

RUNS = 1.5
"""Runs, as long as the one that is diagnosed, whose work one comparison may take."""
LEAST_WORK = 3e7
"""Micro-steps of particles that one comparison may take even then."""
SLOPES = 100
"""Slopes of a run about whose length nothing is known."""
FREE = ("D1", "D1'", "D3", "D6", "D7", "D10", "D11")
"""Diagnostics that cost a few bursts, for every run."""
FREE_WORK = 3e5
"""Micro-steps of particles that a diffusivity may take then."""


def particle_diagnosis(
    scheme: ParticleScheme,
    state: Initial | Macro,
    t: float,
    projection: Projection | None,
    tolerance: float,
    only: Sequence[str] | None = None,
    span: float | None = None,
    free: bool = False,
) -> Diagnosis:
    """Test the assumptions that a scheme of particles makes.

    Comparisons take further replicas until they are decided, or until they have taken as much work
    as `RUNS` runs; what is then still open is skipped, with what it would need.

    Args:
        scheme: what is tested; it stays as it is.
        state: initial values as for `simulate`, or coarse values.
        t: time of the state.
        projection: the method that leaps, or None.
        tolerance: relative error that is accepted.
        only: ids of the diagnostics wanted; all when absent.
        span: model time of the run.
        free: only what costs a few bursts.

    Raises:
        InputError: if the scheme needs initial values.
    """
    wanted = tuple(only or (FREE if free else ASSUMPTIONS))
    with warnings.catch_warnings():
        # variants may be unsound in ways of which the scheme itself has warned
        warnings.simplefilter("ignore")
        return _diagnosed(scheme, state, t, projection, tolerance, wanted, span, free)


def _diagnosed(
    scheme: ParticleScheme, state, t, projection, tolerance, wanted, span, free
) -> Diagnosis:
    if isinstance(scheme, BoxScheme):
        if isinstance(state, np.ndarray):
            raise InputError("boxes that are held at a state are diagnosed from initial values.")
        if free:
            return Diagnosis((), tolerance)
        own = held_findings(scheme, state, t, tolerance, LEAST_WORK / 10, wanted)
        return Diagnosis(_ordered(own), tolerance)
    own_scheme: Any = scheme.variant()
    U: Any = state
    if not isinstance(state, np.ndarray):
        U = np.array(own_scheme.coarse(own_scheme.initial(state, t)), dtype=float)
    if isinstance(scheme, BoxFluxScheme):
        ids = tuple(id for id in wanted if not free or id in ("D1", "D1'", "D11"))
        trial = BoxFluxTrial(
            scheme, t, U, projection, tolerance, box_work(scheme, projection, span),
            particle_macro.least_rate(U, tolerance, projection, span),
        )  # fmt: skip
        return Diagnosis(_ordered(box_flux_findings(trial, ids)), tolerance)
    if not isinstance(scheme, DensityScheme):
        raise InputError(f"there are no diagnostics for the `{scheme.kind}` scheme of this kind.")
    if not U.any():
        nothing = {id: Finding(id, "", advice="there are no particles.") for id in wanted}
        return Diagnosis(_ordered(nothing), tolerance)
    work = FREE_WORK if free else work_of(scheme, t, U, projection, span)
    variations = ParticleVariations.at(scheme, t, U, work)
    checks = density_checks(variations, t, U, projection, tolerance, free, span)
    found = {id: check() for id, check in checks.items() if id in wanted}
    return Diagnosis(_ordered(found), tolerance)


def density_checks(
    variations: ParticleVariations, t: float, U: Macro, projection: Projection | None,
    tolerance: float, free: bool = False, span: float | None = None,
) -> dict[str, Callable[[], Finding]]:  # fmt: skip
    """All diagnostics of a density, or of the energy of chains, by id.

    Args:
        variations: of the scheme.
        t: time of the state.
        U: coarse values.
        projection: the method that leaps, or None.
        tolerance: relative error that is accepted.
        free: whether D3 is theory alone.
        span: model time of the run.
    """
    v, least = variations, particle_macro.least_rate(U, tolerance, projection, span)
    return {
        "D1": lambda: particle_checks.scale_separation(v, tolerance),
        "D1'": lambda: particle_macro.resolution(v, t, U, tolerance, least),
        "D2": lambda: particle_checks.locality(v, tolerance),
        "D3": lambda: (
            particle_checks.protection(v)
            if free
            else particle_checks.healing(v, t, U, tolerance, least)
        ),
        "D4": lambda: particle_checks.memory(v, tolerance),
        "D5": lambda: particle_checks.description(v, tolerance),
        "D6": lambda: particle_checks.relift(v),
        "D7": lambda: particle_checks.noise(v, t, U, least),
        "D8": lambda: particle_macro.stability(v, t, projection, tolerance),
        "D9": lambda: particle_macro.spectral_gap(v, t, U, projection, tolerance, span),
        "D10": lambda: particle_macro.conservation(v, t, U, projection),
        "D11": lambda: particle_macro.precision(v),
    }


def work_of(
    scheme: DensityScheme, t: float, U: Macro, projection: Projection | None, span: float | None
) -> float:
    """Micro-steps of particles that one comparison may take.

    Args:
        scheme: what is tested.
        t: time of the state.
        U: coarse values.
        projection: the method that leaps, or None.
        span: model time of the run.
    """
    own = scheme.variant()
    own.samples(t, U, True)
    return max(LEAST_WORK, RUNS * _slopes(projection, span) * own.particle_steps)


def box_work(scheme: BoxFluxScheme, projection: Projection | None, span: float | None) -> float:
    """Micro-steps of particles that one comparison of driven boxes may take.

    Args:
        scheme: what is tested.
        projection: the method that leaps, or None.
        span: model time of the run.
    """
    boxes = scheme.copies * scheme.n_faces * scheme.n_members
    return RUNS * _slopes(projection, span) * boxes * scheme.states.particles * scheme.burst_steps


def _slopes(projection: Projection | None, span: float | None) -> float:
    """Leaps of a run."""
    if span is None or projection is None or projection.step is None:
        return SLOPES
    return max(1.0, span / projection.step)


def _ordered(found: dict[str, Finding]) -> tuple[Finding, ...]:
    return tuple(found[id] for id in ASSUMPTIONS if id in found)

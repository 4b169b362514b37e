"""D1, D2, D3, D7 and D11 of boxes and chains that are held at a state, and why not the others."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from gpupatch.diagnostics.box_checks import LEAST_SIGNAL, displacement, range_of
from gpupatch.diagnostics.finding import Finding, at_least
from gpupatch.diagnostics.noisy import Noisy, noisy_at_most
from gpupatch.particles.moments import estimate
from gpupatch.scheme.boxes import BoxScheme
from gpupatch.scheme.problem import call
from gpupatch.scheme.stretch import StretchScheme


def held_findings(
    scheme: BoxScheme, initial: Any, t: float, tolerance: float, budget: float,
    only: tuple[str, ...] = (),
) -> dict[str, Finding]:  # fmt: skip
    """Findings about boxes, or chains, that are held at a state and measured for a while.

    Args:
        scheme: of boxes or of chains.
        initial: what they are held at, as for `simulate`.
        t: time of the state.
        tolerance: relative error that is accepted.
        budget: micro-steps of particles that one run of them may take.
        only: ids that are wanted; all when empty.
    """
    reasons = {
        "D1'": "the cells are states, between which nothing is interpolated.",
        "D4": "boxes are measured as they go on: nothing is lifted again.",
        "D5": "the state is imposed throughout.",
        "D6": "the state is imposed throughout.",
        "D8": "nothing leaps.",
        "D9": "nothing leaps.",
        "D10": "nothing is exchanged between cells.",
    }
    found = {id: Finding(id, "", advice=reason) for id, reason in reasons.items()}
    wanted = [id for id in ("D1", "D2", "D3", "D7", "D11") if not only or id in only]
    if isinstance(scheme, StretchScheme):
        found["D1"] = Finding("D1", "", advice="every chain is simulated as a whole.")
        found["D2"] = Finding("D2", "", advice="the length of a chain is part of the question.")
        width = float(scheme.chain.particles)
    else:
        density = _densest(scheme, initial)
        found["D1"] = range_of(scheme.states, density)
        width = scheme.states.box_width(density)
    if {"D2", "D3", "D7"} & set(wanted):
        series = _Series(scheme, initial, t, budget)
        found["D3"], found["D7"] = _drift(series, tolerance), _average_noise(series)
        if "D2" in wanted and "D2" not in found:
            found["D2"] = _larger(scheme, initial, t, series, tolerance)
    T = float(scheme.problem.controls.get("temperature", 1.0))
    found["D11"] = displacement(scheme.dt, T, scheme.problem, width)
    return {id: one for id, one in found.items() if not only or id in only}


class _Series:
    """What boxes show while they go on, less what they are held at, [time, box, place, field]."""

    def __init__(self, scheme: BoxScheme, initial: Any, t: float, budget: float):
        problem = dataclasses.replace(scheme.problem, replicas=1)
        own = scheme.variant(problem=problem)
        run = own.initial(initial, t)
        steps = max(run.steps, 1)
        least, particles = 100 * own.every, max(own.particle_steps / steps, 1.0)
        n = int(np.clip(budget / particles, least, max(2 * steps, least)))
        run = own.advance(run, t, own.dt, n // own.every * own.every)
        series = run.series
        self.scheme = own
        self.samples = series.reshape(len(series), own.burst_spec.replicas, -1, len(own.names))

    def means(self, part: slice = slice(None)):
        """Averages and standard errors over a part of the time, both [place, field]."""
        chosen = self.samples[part]
        found = [
            [estimate(chosen[:, :, place, k].T) for k in range(chosen.shape[3])]
            for place in range(chosen.shape[2])
        ]
        mean = np.array([[one.mean for one in row] for row in found])
        return mean, np.array([[one.error for one in row] for row in found])


def _apart(first, second, n: int) -> Noisy:
    """Root mean square difference of averages over their largest size, the most of all fields."""
    worst = Noisy(0.0, 0.0, n)
    for k in range(first[0].shape[1]):
        size = max(float(np.abs(first[0][:, k]).max()), 1e-300)
        apart = (first[0] - second[0])[:, k] / size
        variance = (first[1] ** 2 + second[1] ** 2)[:, k] / size**2
        value = math.sqrt(max(float((apart**2 - variance).mean()), 0.0))
        error = math.sqrt(float(variance.mean()) / len(apart))
        if k == 0 or value - error > worst.value - worst.error:
            worst = Noisy(value, error, n)
    return worst


def _larger(scheme, initial, t, series: _Series, tolerance: float) -> Finding:
    problem = dataclasses.replace(scheme.states, particles=2 * scheme.states.particles)
    large = _Series(scheme.variant(problem=problem), initial, t, series.scheme.particle_steps * 2)
    found = _apart(large.means(), series.means(), len(series.samples))
    return noisy_at_most(
        "D2", "change of the averages in boxes of twice as many particles", found, tolerance,
        "What is measured depends on the size of a box: raise `particles.number`.",
    )  # fmt: skip


def _drift(series: _Series, tolerance: float) -> Finding:
    half = len(series.samples) // 2
    found = _apart(series.means(slice(half, None)), series.means(slice(0, half)), half)
    return noisy_at_most(
        "D3", "change of the averages between the halves of a run", found, tolerance,
        "What is measured has not settled: lengthen `scheme.settle`.",
    )  # fmt: skip


def _average_noise(series: _Series) -> Finding:
    mean, error = series.means()
    ratio = float(np.min(np.abs(mean).max(axis=0) / np.sqrt((error**2).mean(axis=0))))
    return at_least(
        "D7", "largest average over its standard error", ratio, LEAST_SIGNAL, LEAST_SIGNAL / 5,
        "Measure for longer (`time.end`), or average over more boxes or chains.",
    )  # fmt: skip


def _densest(scheme: BoxScheme, initial: Any) -> float:
    rows = initial if isinstance(initial, list | tuple) else [initial]
    x = np.meshgrid(*scheme.grid.centres, indexing="ij")
    known: list[dict[str, Any]] = [{**scheme.problem.controls, **one} for one in rows]
    values: list[Any] = [one["density"] for one in known if "density" in one]
    values += [v for name, v in scheme.problem.members.items() if name == "density"]
    return max(float(np.max(call(v, x, None))) for v in values)

"""The source that Numba compiles for one rule, one geometry and one micro-stepper.

While a burst runs, all that changes in a patch lives in one row `w`: the state, the stage states
and, in float32, the frozen base and its rate. Offsets into the row are constants of the text, so
the compiler sees that reads and writes do not overlap and vectorises without run-time checks.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

import sympy as sp

from gpupatch.backends import _numba_drivers, _numba_passes
from gpupatch.backends._numba_loops import Geometry, SiteLoop, Store
from gpupatch.backends._numba_steps import Steps, write_steps
from gpupatch.burst import canonical_stepper
from gpupatch.micro.conservation import flux_form, moved_accesses
from gpupatch.micro.lower import STEP, Load, Lowering, noise_amplitudes
from gpupatch.micro.model import SOURCE
from gpupatch.micro.rule import Rule

STATE = -1
"""What bursts measure unless it is the flux along an axis, or the source."""

_HEADER = '''"""Made by gpupatch for the rule `{rule}`; named by its content, so do not edit."""

import math

import numba
import numpy as np
from numba import float64, int64, prange
from numba import {dtype} as T

N_FIELD, N_SITE, N_SLOT, N_TURN, N_CALL = {n_field}, {n_site}, {n_slot}, {n_turn}, {n_call}
SLOT, FRACTION = {slot}, {fraction}
BASE, ROW = {base}, {row}
SINGLE, NOISY, MEASURES, REFRESHED = {single}, {noisy}, {measures}, {refreshed}
'''

_FOOTER = """
def compiled(function, parallel=False, fastmath=("contract", "nsz", "arcp")):
    return numba.njit(
        function, cache=True, error_model="numpy", fastmath=set(fastmath), parallel=parallel
    )


weighted = compiled(weighted, fastmath=("contract", "nsz", "arcp", "reassoc"))
"""

_OVER_PATCHES = (
    *("couple_axis", "couple_axis_alone", "restrict_all", "lift_all", "rate_all", "burst_all", "advance_all"),
    *("kick_all", "step_all"),
)


@dataclass(frozen=True, eq=False)
class Program:
    """Generated source and the tables that must be handed to it.

    Attributes:
        text: Python source.
        point: scalars and statics of the rates, in the working precision.
        exact: scalars and statics of what is evaluated in float64.
        steps: the micro-stepper.
    """

    text: str
    point: Lowering
    exact: Lowering
    steps: Steps


def generate(
    rule: Rule,
    geometry: Geometry,
    dtype: str,
    stepper: str,
    measured: int = STATE,
    threads: bool = False,
) -> Program:
    """Write the source of all passes for one rule.

    Args:
        rule: the micro-rule.
        geometry: sizes, which become constants of the source.
        dtype: "float64" or "float32".
        stepper: name of the micro-stepper.
        measured: axis of the flux that bursts measure, `SOURCE` or `STATE`.
        threads: whether loops over patches are shared between threads.

    Returns:
        The program.

    Raises:
        RuleError: if the rule has no form in that dtype, or no flux.
        SchemeError: if the stepper does not exist or does not fit the rule.
    """
    single = dtype == "float32"
    amplitudes, read_by_noise = noise_amplitudes(rule)
    accesses = {*rule.accesses, *read_by_noise}
    if measured != STATE:
        accesses |= moved_accesses(rule)
    alike = dict(geometry.alike)
    point = Lowering(rule.fields, accesses, rule.ndim, alike)
    exact = Lowering(rule.fields, accesses, rule.ndim, alike)
    steps = write_steps(rule, geometry, point, canonical_stepper(stepper), single)
    size = len(rule.fields) * geometry.n_site
    base = steps.n_slot * size
    header = _HEADER.format(
        rule=rule.name,
        dtype=dtype,
        n_field=len(rule.fields),
        n_site=geometry.n_site,
        n_slot=steps.n_slot,
        n_turn=len(steps.turns),
        n_call=len(steps.turns[0]),
        slot=tuple(-1 if c.slot is None else c.slot for calls in steps.turns for c in calls),
        fraction=tuple(call.time for call in steps.turns[0]),
        base=base,
        row=base + 2 * size * single,
        single=single,
        noisy=bool(rule.noise),
        measures=measured != STATE,
        refreshed=single and rule.time_dependent,
    )
    parts = [
        *steps.loops,
        _rate(rule, geometry, point, exact, single),
        _freeze(rule, geometry, exact, base + size, single),
        _exact("amplitude_row", amplitudes, geometry, exact, single),
        _measure(rule, geometry, exact, measured, single),
        _stage_row(steps),
        _couplings(rule.ndim, single),
    ]
    bodies = "\n\n".join([_functions(_numba_passes), *parts, _functions(_numba_drivers)])
    text = "\n\n".join([header, bodies, _footer(bodies, threads)])
    return Program(text, point, exact, steps)


def _rate(rule: Rule, geometry: Geometry, point: Lowering, exact: Lowering, single: bool) -> str:
    """Rates times the step; in float32 they are evaluated in float64 and rounded once."""
    rates = [STEP * rate for rate in rule.rates]
    loop = SiteLoop(
        name="rate_row",
        arguments="w, at, out, base, s, q, e, r, t",
        block=(exact if single else point).block(rates),
        read=_read_whole(single),
        store=_store("out", geometry),
        cleared="out",
    )
    if single:
        loop = replace(loop, precision="float64", statics="e", scalars="r")
    return loop.source(geometry)


def _freeze(rule: Rule, geometry: Geometry, exact: Lowering, start: int, single: bool) -> str:
    """In float32, the rate of the base, evaluated in float64 and rounded once."""
    if not single:
        return "def freeze(w, base, e, r, t):\n    pass\n"
    loop = SiteLoop(
        name="freeze",
        arguments="w, base, e, r, t",
        block=exact.block([STEP * rate for rate in rule.rates]),
        read=lambda load, place: f"base[{place} + i]",
        store=_store("w", geometry, start),
        precision="float64",
        statics="e",
        scalars="r",
    )
    return loop.source(geometry)


def _measure(rule: Rule, geometry: Geometry, exact: Lowering, measured: int, single: bool) -> str:
    """The flux through the faces across an axis, the source, or nothing."""
    low, high = geometry.inside
    values = [sp.S.Zero] * len(rule.fields)
    if measured != STATE:
        fluxes, sources = flux_form(rule)
        values = sources if measured == SOURCE else fluxes[measured]
    if measured >= 0:
        low[measured] -= 1
    return _exact("measure_row", values, geometry, exact, single, (low, high))


def _exact(name: str, values, geometry: Geometry, exact: Lowering, single, window=None) -> str:
    """A loop that evaluates something in float64 on the whole state."""
    loop = SiteLoop(
        name=name,
        arguments="w, at, base, z, e, r, t",
        block=exact.block(values),
        read=_read_whole(single),
        store=_store("z", geometry),
        precision="float64",
        statics="e",
        scalars="r",
        cleared="z",
    )
    return loop.source(geometry, window)


def _read_whole(single: bool) -> Callable[[Load, int], str]:
    if single:
        return lambda load, place: f"(base[{place} + i] + w[at + {place} + i])"
    return lambda load, place: f"w[at + {place} + i]"


def _store(array: str, geometry: Geometry, start: int = 0) -> Store:
    def lines(values: list[str], corner: int) -> list[str]:
        return [
            f"{array}[{start + f * geometry.n_site + corner} + i] = {value}"
            for f, value in enumerate(values)
        ]

    return lines


def _stage_row(steps: Steps) -> str:
    """Run one of the loops of a step, chosen by its number."""
    lines = ["def stage_row(number, w, s, q, t):"]
    for number, call in enumerate(call for calls in steps.turns for call in calls):
        lines += [f"    if number == {number}:", f"        {call.loop}(w, s, q, t)"]
    return "\n".join(lines) + "\n"


def _couplings(ndim: int, single: bool) -> str:
    """Couple states, which float32 counts from the base, and rates, which have none."""
    on_base = inspect.getsource(_numba_passes.couple_axis)
    alone = on_base.replace(" + base[q, s]", "").replace(" - base[p, s]", "")
    parts = [on_base if single else alone, alone.replace("couple_axis", "couple_axis_alone")]
    for name, axis in (("couple_all", "couple_axis"), ("couple_rates", "couple_axis_alone")):
        lines = [f"def {name}(u, at, base, axes, given, when):"]
        lines += [f"    {axis}(u, at, base, axes[{a}], given[{a}], when)" for a in range(ndim)]
        parts.append("\n".join(lines) + "\n")
    return "\n\n".join(parts)


def _functions(module: ModuleType) -> str:
    """The text of the functions of a module."""
    functions = [f for _, f in inspect.getmembers(module, inspect.isfunction)]
    own = [f for f in functions if f.__module__ == module.__name__]
    return "\n\n".join(inspect.getsource(f) for f in own if f.__name__ != "couple_axis")


def _footer(bodies: str, threads: bool) -> str:
    """Compile every function of the module, when it is first called."""
    lines = [_FOOTER]
    for name in re.findall(r"^def (\w+)", bodies, flags=re.MULTILINE):
        if name in _OVER_PATCHES:
            lines.append(f"{name} = compiled({name}, parallel={threads})")
        elif name != "weighted":
            lines.append(f"{name} = compiled({name})")
    return "\n".join(lines) + "\n"

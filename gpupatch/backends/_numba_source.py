"""The source that Numba compiles for one rule, one geometry and one micro-stepper.

While a burst runs, all that changes in a patch lives in one row `w`: the state, the stage states
and, in float32, the frozen base and its rate. Offsets into the row are constants of the text, so
the compiler sees that reads and writes do not overlap and vectorises without run-time checks.

What does not depend on the rule is in a module of its own, the acts, from which all others import:
it is compiled once, and still inlined everywhere.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

import sympy as sp

from gpupatch.backends import _numba_drivers, _numba_passes
from gpupatch.backends._cache import source_name
from gpupatch.backends._numba_loops import (
    assignments,
    function,
    indented,
    loop_function,
    site_lines,
)
from gpupatch.backends._site_loops import Geometry, SiteLoop, store_in
from gpupatch.backends._steps import STATE, Steps, lower_passes
from gpupatch.micro.conservation import flux_form
from gpupatch.micro.lower import STEP, Load, Lowering
from gpupatch.micro.model import SOURCE
from gpupatch.micro.rule import Rule

_VECTOR, _UNROLLED = 8, 16
"""Sites of the longest vector, and of the longest loop that the compiler unrolls."""

_IMPORTS = '''"""{title}; named by its content, so do not edit."""

import math

import numba
import numpy as np
from numba import float64, int64, prange
from numba import {dtype} as T
'''

_HEADER = """
N_FIELD, N_SITE, N_SLOT, N_TURN, N_PASS = {n_field}, {n_site}, {n_slot}, {n_turn}, {n_pass}
FROZEN, MOVING, SAME_SLOPE = {edges}
SLOT, FRACTION = {slot}, {fraction}
BASE, ROW = {base}, {row}
SINGLE, NOISY, MEASURES, LIFTS = {flags}
"""

_FOOTER = """
OPTIONS = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""
_WEIGHTED = """\
weighted = numba.njit(weighted, **{**INNER, "fastmath": {"contract", "nsz", "arcp", "reassoc"}})"""

_ENTRIES = [
    "couple_all",
    "couple_rates",
    "rate_all",
    "lift_all",
    "restrict_all",
    "burst_all",
    "advance_all",
    "advance_blocks",
]
"""Functions that are called from Python."""

_FROM_ACTS = ("couple_all", "couple_rates", "lift_patch", "normal", "settle", "weighted")
"""Acts that programs call."""

_OVER_PATCHES = [
    "couple_axis",
    "couple_axis_alone",
    "restrict_all",
    "lift_all",
    "rate_all",
    "burst_all",
    "advance_all",
    "kick_all",
    "pass_all",
]
"""Functions whose loop over patches may be shared between threads."""


@dataclass(frozen=True, eq=False)
class Program:
    """Generated source and the tables that must be handed to it.

    Attributes:
        text: Python source.
        acts: Python source of the module that it imports from.
        point: scalars and statics of the rates, in the working precision.
        exact: scalars and statics of what is evaluated in float64.
        steps: the micro-stepper.
    """

    text: str
    acts: str
    point: Lowering
    exact: Lowering
    steps: Steps


def generate(
    rule: Rule,
    geometry: Geometry,
    dtype: str,
    stepper: str,
    measured: int = STATE,
    lifts: bool = False,
    threads: bool = False,
) -> Program:
    """Write the source of all passes for one rule.

    Args:
        rule: the micro-rule.
        geometry: sizes, which become constants of the source.
        dtype: "float64" or "float32".
        stepper: name of the micro-stepper.
        measured: axis of the flux that bursts measure, `SOURCE` or `STATE`.
        lifts: whether bursts start from coarse values instead of a state.
        threads: whether loops over patches are shared between threads.

    Returns:
        The program.

    Raises:
        RuleError: if the rule has no form in that dtype, or no flux.
        SchemeError: if the stepper does not exist or does not fit the rule.
    """
    single = dtype == "float32"
    amplitudes, point, exact, steps = lower_passes(rule, geometry, stepper, measured, single)
    size = len(rule.fields) * geometry.n_site
    base = steps.n_slot * size
    row = base + 2 * size * single
    header = _HEADER.format(
        n_field=len(rule.fields),
        n_site=geometry.n_site,
        n_slot=steps.n_slot,
        n_turn=len(steps.turns),
        n_pass=len(steps.turns[0]),
        slot=tuple(-1 if p.slot is None else p.slot for passes in steps.turns for p in passes),
        fraction=tuple(steps.times),
        base=base,
        row=row,
        edges=(_numba_passes.FROZEN, _numba_passes.MOVING, _numba_passes.SAME_SLOPE),
        flags=(single, bool(rule.noise), measured != STATE, lifts),
    )
    refreshed = single and rule.time_dependent
    parts = [
        _rate(rule, geometry, point, exact, single),
        _freeze(rule, geometry, exact, base + size, single),
        _amplitudes(amplitudes, geometry, exact, single),
        _measure(rule, geometry, exact, measured, single),
        _run_row(steps, geometry, size, row, refreshed),
        _pass_all(steps, geometry, size, row, refreshed),
    ]
    acts = generate_acts(rule.ndim, dtype, threads)
    imports = f"from {source_name(acts)} import {', '.join(_FROM_ACTS)}\n"
    bodies = "\n\n".join([*parts, _functions(_numba_drivers)])
    title = f"Passes of gpupatch for the rule `{rule.name}`"
    text = _module(title, dtype, imports + header, bodies, threads)
    return Program(text, acts, point, exact, steps)


def generate_acts(ndim: int, dtype: str, threads: bool) -> str:
    """Write the source of the acts that do not depend on the rule: couple, lift, restrict.

    Args:
        ndim: number of space dimensions.
        dtype: "float64" or "float32".
        threads: whether loops over patches are shared between threads.

    Returns:
        Python source.
    """
    bodies = "\n\n".join([_functions(_numba_passes), _couplings(ndim, dtype == "float32")])
    edges = (_numba_passes.FROZEN, _numba_passes.MOVING, _numba_passes.SAME_SLOPE)
    header = f"FROZEN, MOVING, SAME_SLOPE = {edges}\n"
    return _module(f"Acts of gpupatch in {ndim} dimensions", dtype, header, bodies, threads)


def _module(title: str, dtype: str, header: str, bodies: str, threads: bool) -> str:
    imports = _IMPORTS.format(title=title, dtype=dtype)
    return "\n\n".join([imports, header, bodies, _footer(bodies, threads)])


def _rate(rule: Rule, geometry: Geometry, point: Lowering, exact: Lowering, single: bool) -> str:
    """Rates times the step; in float32 they are evaluated in float64 and rounded once."""
    rates = [STEP * rate for rate in rule.rates]
    head, store = "rate_row(w, at, out, base, s, q, e, r, now)", store_in("out", geometry)
    if single:
        return _exact(head, rates, geometry, exact, _read_whole(single), store, "out")
    loop = SiteLoop(point.block(rates), _read_whole(single), store)
    return loop_function(loop, head, geometry, "out")


def _freeze(rule: Rule, geometry: Geometry, exact: Lowering, start: int, single: bool) -> str:
    """In float32, the rate of the base, evaluated in float64 and rounded once."""
    head = "freeze(w, base, e, r, now)"
    if not single:
        return function(head, ["pass"])
    rates, store = [STEP * rate for rate in rule.rates], store_in("w", geometry, start)
    return _exact(head, rates, geometry, exact, lambda load, place: f"base[{place} + i]", store)


def _measure(rule: Rule, geometry: Geometry, exact: Lowering, measured: int, single: bool) -> str:
    """The flux through the faces across an axis, the source, or nothing."""
    low, high = geometry.inside
    values = (sp.S.Zero,) * len(rule.fields)
    if measured != STATE:
        fluxes, sources = flux_form(rule)
        values = sources if measured == SOURCE else fluxes[measured]
    if measured >= 0:
        low[measured] -= 1
    head, store = "measure_row(w, at, base, z, e, r, now)", store_in("z", geometry)
    return _exact(head, values, geometry, exact, _read_whole(single), store, "z", (low, high))


def _amplitudes(values, geometry: Geometry, exact: Lowering, single: bool) -> str:
    """Ito amplitudes of the noise."""
    head, store = "amplitude_row(w, at, base, z, e, r, now)", store_in("z", geometry)
    return _exact(head, values, geometry, exact, _read_whole(single), store, "z")


def _exact(head, values, geometry, exact: Lowering, read, store, cleared="", window=None) -> str:
    """A function that evaluates something in float64."""
    loop = SiteLoop(exact.block(values), read, store, "float64", "e[{} + i]", "r[{}]")
    return loop_function(loop, head, geometry, cleared, window)


def _read_whole(single: bool) -> Callable[[Load, int], str]:
    if single:
        return lambda load, place: f"(base[{place} + i] + w[at + {place} + i])"
    return lambda load, place: f"w[at + {place} + i]"


def _run_row(steps: Steps, geometry: Geometry, size: int, row: int, refreshed: bool) -> str:
    """Steps of one patch on its own; time loop and site loops in one function."""
    first = steps.turns[0][0].loop
    known, line = _line(geometry, size // geometry.n_site, row, "w.size")
    turns = []
    for passes in steps.turns:
        lines = []
        for k, one in enumerate(passes):
            lines.append(f"now = begin + {one.time!r} * dt")
            if k and one.slot is not None:
                settle = f"settle(w, {one.slot * size}, mode, edge, now)"
                lines += indented([settle], "if mode != FROZEN:")
            if refreshed:
                lines.append("freeze(w, base, e, r, now)")
            if one.loop.block.scalars != first.block.scalars:
                lines += assignments(one.loop.scalars())
            lines += assignments(one.loop.moment())
            lines += site_lines(one.loop, geometry, line=line)
        turns.append(lines)
    step = ["begin = t + step * dt", *turns[0]]
    if len(turns) == 2:
        step = [step[0], *indented(turns[0], "if turn == 0:"), *indented(turns[1], "else:")]
        step.append("turn = 1 - turn")
    settle = f"settle(w, turn * {size}, mode, edge, begin + dt)"
    step += indented([settle], "if mode != FROZEN and not NOISY:")
    loop = indented(step, "for step in range(first, first + count):")
    lines = [*known, *assignments(first.scalars()), *loop]
    head = "run_row(w, turn, base, s, q, e, r, mode, edge, first, count, t, dt)"
    return function(head, [*lines, "return turn"])


def _pass_all(steps: Steps, geometry: Geometry, size: int, row: int, refreshed: bool) -> str:
    """One pass of a step over all patches."""
    known, line = _line(geometry, size // geometry.n_site, row, "w.shape[1]")
    body = ["p = int64(index)", "row, member = p if s.shape[0] > 1 else 0, p // n_member"]
    if refreshed:
        exact = "e[p if e.shape[0] > 1 else 0]"
        body.append(f"freeze(w[p], base[p], {exact}, r[member], now)")
    for number, one in enumerate(one for passes in steps.turns for one in passes):
        loop = replace(one.loop, static="s[row, {} + i]", scalar="q[member, {}]")
        lines = assignments([*loop.scalars(), *loop.moment()])
        lines += site_lines(loop, geometry, line=line)
        lines = [line.replace("w[", "w[p, ") for line in lines]
        body += indented(lines, f"if number == {number}:")
    lines = [*known, "s, q, e, r = tables", *indented(body, "for index in prange(w.shape[0]):")]
    return function("pass_all(number, w, base, tables, n_member, now)", lines)


def _line(geometry: Geometry, n_field: int, row: int, size: str) -> tuple[list[str], str]:
    """The length of short inner loops as a variable, which the compiler cannot unroll.

    Unrolled, they are vectorised across lines of sites instead of along them, at up to a third of
    the speed. Only loops over several fields that do not fill a vector gain from it.
    """
    low, high = geometry.inside
    length = high[-1] - low[-1]
    short = length < _VECTOR and n_field > 1
    if len(low) == 1 or length > _UNROLLED or short:
        return [], ""
    return [f"line = int64({size}) - {row - length}"], "line"


def _couplings(ndim: int, single: bool) -> str:
    """Couple states, which float32 counts from the base, and rates, which have none."""
    on_base = inspect.getsource(_numba_passes.couple_axis)
    alone = on_base.replace(" + base[q, s]", "").replace(" - base[p, s]", "")
    parts = [on_base if single else alone, alone.replace("couple_axis", "couple_axis_alone")]
    for name, axis in (("couple_all", "couple_axis"), ("couple_rates", "couple_axis_alone")):
        lines = [f"{axis}(u, at, base, axes[{a}], given[{a}], when)" for a in range(ndim)]
        parts.append(function(f"{name}(u, at, base, axes, given, when)", lines))
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
        options = "**OPTIONS" if name in _ENTRIES else "**INNER"
        parallel = ", parallel=True" if threads and name in _OVER_PATCHES else ""
        line = f"{name} = numba.njit({name}, {options}{parallel})"
        lines.append(_WEIGHTED if name == "weighted" else line)
    return "\n".join(lines) + "\n"

"""The source that Numba compiles for one particle model."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from types import ModuleType

import sympy as sp

from gpupatch.backends import (
    _numba_particle_burst,
    _numba_particle_forces,
    _numba_particle_lists,
    _numba_particle_steps,
)
from gpupatch.micro.printers import ScalarPrinter
from gpupatch.particles.dynamics import DYNAMICS, Dynamics
from gpupatch.particles.interaction import ScalarForm
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import COMPONENTS
from gpupatch.particles.potential import SQUARE, RadialForm

_CELLS_FROM = 600
"""Particles from which cells find neighbours faster than a look at all pairs."""

_HEADER = '''"""Passes of gpupatch for particles; named by its content, so do not edit."""

import math

import numba
import numpy as np
from numba import int64
from numba import {dtype} as T

NDIM, N_TYPE = {ndim}, {n_type}
HAS_PAIR, HAS_BONDS, HAS_ANGLES, HAS_FIELD = {parts}
PERIODIC_X, PERIODIC_Y, PERIODIC_Z = {periodic}
REFLECTING = {reflecting}
LISTED, CUTOFF, SKIN, CELLS_FROM = {listed}, {cutoff}, {skin}, {cells_from}
CUTOFF2 = CUTOFF * CUTOFF
VALID, SHIFT, NEEDED = 0, 1, 2
CONSERVED, FIRST, SECOND = {conserved}, {first}, {second}
DYNAMICS = {dynamics}
{dynamics_names}
SHEARED, MEASURES_ALWAYS = {sheared}, {measures_always}
{observable_names}
'''

_DYNAMICS_NAMES = {
    "newton": "NEWTON",
    "langevin": "LANGEVIN",
    "brownian": "BROWNIAN",
    "hard_rods": "HARD_RODS",
    "nose_hoover": "NOSE_HOOVER",
    "rescaled": "RESCALED",
    "sheared": "SHEARING",
    "heat_driven": "HEAT_DRIVEN",
    "velocity_flips": "FLIPPING",
}

_FOOTER = """
OPTIONS = {"error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
ENTRY = {**OPTIONS, "cache": True, "nogil": True}
INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
LOOSE = {**INNER, "fastmath": {"contract", "nsz", "arcp", "reassoc"}}
"""

_ENTRY = "burst_some"
"""The function that is called from Python."""

_REASSOCIATED = ("pairs_all", "list_by_pairs", "twice_kinetic")
"""Functions whose sums may be taken in another order, so that they vectorise."""


def dynamics_numbers(dynamics: Dynamics) -> tuple[float, float]:
    """The one or two numbers that a dynamics has."""
    numbers = {
        "langevin": ("friction",),
        "brownian": ("mobility",),
        "hard_rods": ("mobility", "length"),
        "nose_hoover": ("period",),
        "rescaled": ("every",),
        "velocity_flips": ("rate",),
    }.get(dynamics.kind, ())
    values = [float(getattr(dynamics, name)) for name in numbers]
    return tuple([*values, 0.0, 0.0][:2])  # type: ignore[return-value]


def generate_particles(model: ParticleModel, dtype: str, listed: bool) -> str:
    """Write the source of all passes for one particle model.

    Args:
        model: the micro-simulator.
        dtype: "float64" or "float32".
        listed: whether pairs are found by neighbour lists.

    Returns:
        The text of a module.
    """
    periodic = tuple(b == "periodic" for b in model.boundary)
    first, second = dynamics_numbers(model.dynamics)
    parts = (model.pair, model.bonds, model.angles, model.field)
    header = _HEADER.format(
        dtype=dtype,
        ndim=model.ndim,
        n_type=model.n_types if model.pair is not None and model.pair.n_types > 1 else 1,
        parts=tuple(part is not None for part in parts),
        periodic=(*periodic, False, False)[:3],
        reflecting=(*(b == "reflecting" for b in model.boundary), False, False)[:3],
        listed=listed,
        cutoff=float(model.pair.cutoff) if model.pair else 1.0,
        skin=float(model.neighbours.skin),
        cells_from=_CELLS_FROM,
        conserved=int(model.conserves_momentum),
        first=first,
        second=second,
        dynamics=list(DYNAMICS).index(model.dynamics.kind),
        dynamics_names="\n".join(
            f"{_DYNAMICS_NAMES[kind]} = {k}" for k, kind in enumerate(DYNAMICS)
        ),
        sheared=model.dynamics.kind == "sheared",
        measures_always=model.dynamics.kind == "heat_driven",
        observable_names="\n".join(f"{name.upper()} = {k}" for k, name in enumerate(COMPONENTS)),
    )
    bodies = "\n\n".join(
        [
            *_radial("pair", model.pair.form if model.pair else None),
            *_radial("bond", model.bonds.form if model.bonds else None),
            _scalar("angle_both", model.angles.form if model.angles else None, 1),
            _scalar("field_both", model.field.form if model.field else None, 3),
            *(_functions(module, _idle(model, listed)) for module in _MODULES),
        ]
    )
    return header + "\n\n" + bodies + "\n" + _compiled(bodies)


_MODULES: tuple[ModuleType, ...] = (
    _numba_particle_forces,
    _numba_particle_lists,
    _numba_particle_steps,
    _numba_particle_burst,
)


def _radial(name: str, form: RadialForm | None) -> list[str]:
    """Functions of the squared distance: numbers of a pair of types, force, energy and force."""
    if form is None:
        return [
            f"def {name}_row(table, k):\n    return (T(0.0),)\n",
            f"def {name}_force(s, row):\n    return T(0.0)\n",
            f"def {name}_both(s, row):\n    return T(0.0), T(0.0)\n",
        ]
    printer = ScalarPrinter("T")
    numbers = ", ".join(f"T(table[k, {n}])" for n in range(len(form.scalars)))
    read = [f"    {scalar} = row[{n}]" for n, scalar in enumerate(form.scalars)]
    statements, g = form.force
    both, V, slope = form.both

    def lines(head: str, statements, result: str) -> str:
        body = [f"    {symbol} = {printer(sp.sympify(e))}" for symbol, e in statements]
        return "\n".join([head, *read, *body, f"    return {result}"]) + "\n"

    return [
        f"def {name}_row(table, k):\n    return ({numbers or 'T(0.0)'},)\n",
        lines(f"def {name}_force({SQUARE}, row):", statements, printer(g)),
        lines(f"def {name}_both({SQUARE}, row):", both, f"{printer(V)}, {printer(slope)}"),
    ]


def _scalar(name: str, form: ScalarForm | None, count: int) -> str:
    """A function of coordinates or of an angle: energy and derivatives."""
    if form is None:
        arguments = ", ".join("xyz"[:count])
        zeros = ", ".join(["T(0.0)"] * (count + 1))
        return f"def {name}({arguments}, row):\n    return {zeros}\n"
    printer = ScalarPrinter("T")
    lines = [f"def {name}({', '.join(form.arguments)}, row):"]
    lines += [f"    {scalar} = T(row[{n}])" for n, scalar in enumerate(form.scalars)]
    lines += [f"    {symbol} = {printer(sp.sympify(e))}" for symbol, e in form.statements]
    results = ", ".join(f"T({printer(sp.sympify(e))})" for e in (form.energy, *form.gradient))
    return "\n".join([*lines, f"    return {results}"]) + "\n"


def _idle(model: ParticleModel, listed: bool) -> set[str]:
    """Functions that this model never calls; they are left empty, as compiling takes seconds."""
    kind = model.dynamics.kind
    needed = {
        "bonds": model.bonds is not None,
        "angles": model.angles is not None,
        "external": model.field is not None,
        "pairs_all": model.pair is not None and not listed,
        "pairs_listed": listed,
        "pairs_measured": model.pair is not None,
        "make_list": listed,
        "list_by_cells": listed and kind != "sheared",
        "move_rods": kind == "hard_rods",
        "drive": kind == "heat_driven",
        "bath": kind == "nose_hoover",
        "walls": "reflecting" in model.boundary,
        "kick": model.dynamics.moves_velocities,
    }
    return {name for name, is_needed in needed.items() if not is_needed}


def _functions(module: ModuleType, idle: set[str]) -> str:
    """The text of the functions of a module, those that are never called without a body."""
    functions = [f for _, f in inspect.getmembers(module, inspect.isfunction)]
    own = [f for f in functions if f.__module__ == module.__name__]
    return "\n\n".join(
        f"def {f.__name__}{inspect.signature(f)}:\n    pass\n" if f.__name__ in idle else _text(f)
        for f in own
    )


@functools.cache
def _text(function: Callable) -> str:
    """The text of a function, which takes as long to find as a short burst to run."""
    return inspect.getsource(function)


def _compiled(bodies: str) -> str:
    """Compile every function of the module, when it is first called."""
    lines = [_FOOTER]
    for name in re.findall(r"^def (\w+)", bodies, flags=re.MULTILINE):
        options = "ENTRY" if name == _ENTRY else "LOOSE" if name in _REASSOCIATED else "INNER"
        lines.append(f"{name} = numba.njit({name}, **{options})")
    return "\n".join(lines) + "\n"

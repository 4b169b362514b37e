"""Conservation form: rates from fluxes, and fluxes found again in plain rates."""

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

import sympy as sp

from gpupatch.errors import RuleError
from gpupatch.micro.expressions import evaluate_expressions
from gpupatch.micro.trace import COORDINATES, SPACINGS, Access, scalar_symbol

if TYPE_CHECKING:
    from gpupatch.micro.rule import Rule


def flux_form(rule: "Rule") -> tuple[tuple[tuple[sp.Expr, ...], ...], tuple[sp.Expr, ...]]:
    """Fluxes and sources of a conservation law.

    For a flux rule these are what its function returned. For a plain rule the flux is found by
    telescoping: a term that appears at two sites with opposite sign is the difference of a flux,

        rate = - sum_a (J_a[0] - J_a[-1]) / dx_a + source.

    Args:
        rule: the micro-rule.

    Returns:
        ``J[axis][field]``, the flux through the face between site 0 and site 1, and
        ``source[field]``, the rest, which reads site 0 only.

    Raises:
        RuleError: if a plain rule is not a flux difference plus a local source; the term that
            prevents it is named.
    """
    n_fields = len(rule.fields)
    if not rule.is_flux:
        pairs = [_telescope(rule, rate) for rate in rule.rates]
        by_axis = tuple(tuple(pair[0][axis] for pair in pairs) for axis in range(rule.ndim))
        return by_axis, tuple(pair[1] for pair in pairs)
    outputs = rule.recorded.outputs
    rows = [outputs[k : k + n_fields] for k in range(0, len(outputs), n_fields)]
    sources = rows[rule.ndim] if len(rows) > rule.ndim else (sp.S.Zero,) * n_fields
    return tuple(rows[: rule.ndim]), tuple(sources)


def divergence(rule: "Rule") -> tuple[sp.Expr, ...]:
    """Rates of a flux rule: minus the divergence of its fluxes plus its sources."""
    fluxes, sources = flux_form(rule)
    known: dict[sp.Basic, Access] = {a.symbol: a for a in rule.recorded.accesses}
    rates = list(sources)
    for axis, row in enumerate(fluxes):
        spacing = scalar_symbol(SPACINGS[axis])
        place = rule.recorded.scalars.get(COORDINATES[axis])
        for index, flux in enumerate(row):
            behind = _shift(flux, known, _along(rule.ndim, axis, -1))
            if place is not None:
                behind = behind.subs(place, place - spacing)
            rates[index] = rates[index] - (flux - behind) / spacing
    return tuple(rates)


def evaluate_lowered_fluxes(rule: "Rule", u, environment, window) -> list:
    """Telescoped fluxes, axis by axis, then sources, evaluated on a window of sites."""
    fluxes, sources = flux_form(rule)
    expressions = [*(flux for row in fluxes for flux in row), *sources]
    return evaluate_expressions(rule, expressions, moved_accesses(rule), u, environment, window)


def moved_accesses(rule: "Rule") -> set[Access]:
    """Everything that rates, fluxes and sources of a rule may read."""
    reach = [range(-r, r + 1) for r in rule.reach]
    read = {(a.kind, a.name, a.face) for a in (*rule.accesses, *rule.recorded.accesses)}
    return {Access(*what, offset) for what in read for offset in itertools.product(*reach)}


def _telescope(rule: "Rule", rate: sp.Expr) -> tuple[tuple[sp.Expr, ...], sp.Expr]:
    known: dict[sp.Basic, Access] = {access.symbol: access for access in rule.accesses}
    places = {scalar_symbol(name) for name in COORDINATES}
    shapes: dict[sp.Expr, dict[tuple[int, ...], sp.Expr]] = defaultdict(dict)
    for term in sp.Add.make_args(sp.expand(rate)):
        factor, body = term.as_independent(*known, as_Add=False)
        offsets = [known[s].offset for s in body.free_symbols]
        corner = tuple(min((o[axis] for o in offsets), default=0) for axis in range(rule.ndim))
        shape = _shift(body, known, tuple(-c for c in corner))
        shapes[shape][corner] = shapes[shape].get(corner, sp.S.Zero) + factor
        if factor.free_symbols & places and any(any(offset) for offset in offsets):
            raise _not_conserved(rule, body, known, "have a factor that varies in space")
    flux: list[sp.Expr] = [sp.S.Zero] * rule.ndim
    source = sp.S.Zero
    for shape, factors in shapes.items():
        total = sp.simplify(sp.Add(*factors.values()))
        read = [known[s] for s in shape.free_symbols if s in known]
        if total != 0 and any(any(access.offset) for access in read):
            why = "do not cancel between neighbouring sites"
            raise _not_conserved(rule, shape, known, why)
        source += total * shape
        for corner, factor in factors.items():
            for axis in range(rule.ndim):
                flux[axis] += factor * _path_flux(shape, known, corner, axis)
    return tuple(flux), source


def _not_conserved(rule: "Rule", body: sp.Expr, known: dict[sp.Basic, Access], why: str):
    shown = " * ".join(sorted(str(known[s]) for s in body.free_symbols if s in known))
    return RuleError(
        f"rule `{rule.name}` is not in conservation form: the terms in {shown} {why}. "
        "Write it with `@gp.flux_rule`, or use the `coupled` or `burst` scheme."
    )


def _path_flux(shape, known, corner, axis) -> sp.Expr:
    """Flux that carries one term from site 0 to `corner`, along one axis.

    T[s] - T[0] = sum_k (T[k] - T[k-1]), and each difference is -(J[0] - J[-1]) / dx for
    J = -dx T[k].
    """
    end = corner[axis]
    spacing = scalar_symbol(SPACINGS[axis])
    faces = range(1, end + 1) if end > 0 else range(end + 1, 1)
    total = sp.S.Zero
    for k in faces:
        place = (*corner[:axis], k, *(0,) * (len(corner) - axis - 1))
        total += _shift(shape, known, place)
    return -spacing * total if end > 0 else spacing * total


def _shift(expression: sp.Expr, known: dict[sp.Basic, Access], shift) -> sp.Expr:
    moves = {}
    for symbol in expression.free_symbols & known.keys():
        moved = known[symbol].shifted(shift)
        known[moved.symbol] = moved
        moves[symbol] = moved.symbol
    return expression.xreplace(moves)  # pyright: ignore[reportReturnType]


def _along(ndim: int, axis: int, length: int) -> tuple[int, ...]:
    return tuple(length if a == axis else 0 for a in range(ndim))

"""Small problems for all backends, and what rounding may do to them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from gpupatch.burst import BurstPlan
from gpupatch.coupling import Coupling
from gpupatch.grid import PatchGrid, dirichlet, neumann, robin
from gpupatch.lifting import Lifting, core_lifting
from gpupatch.micro.model import MicroModel
from gpupatch.micro.rule import Rule, ShiftedSlices
from gpupatch.restriction import core_mean

ULPS = 50
SITES = {1: 9, 2: 7, 3: 5}
SPACING = 0.05
WALLS = {
    "still": (dirichlet(0.7), neumann(0.3)),
    "moving": (dirichlet(lambda *place_time: 1 + 0.1 * np.sin(20 * place_time[-1])), neumann(0.2)),
    "leaky": (robin(1.0, 0.2, lambda *xt: 0.5 * xt[-2] + xt[-1]), robin(2.0, -0.01, 1.5)),
}


@dataclass
class Problem:
    """A rule on patches, with everything that the passes of a backend take."""

    model: MicroModel
    coupling: Coupling
    lifting: Lifting
    dt: float
    u: np.ndarray
    U: np.ndarray

    def plan(self, stepper="euler", n_steps=8, **options) -> BurstPlan:
        """A burst with two estimators and some steps without a sample."""
        weights = np.linspace(-1, 1, 2 * (n_steps + 1)).reshape(n_steps + 1, 2)
        weights[[2, 3, 5]] = 0
        restriction = core_mean(self.coupling.grid)
        return BurstPlan(stepper, self.dt, n_steps, restriction, weights, **options)


def problem(
    rule: Rule, kind="centre", order=2, walls=None, edges=1, members=2, phases=(), shared=True,
    patches=6,
) -> Problem:  # fmt: skip
    """A rule on patches with random parameters, coefficients and values."""
    ndim, generator = rule.ndim, np.random.default_rng(20)
    boundary = "periodic" if walls is None else WALLS[walls]
    grid = PatchGrid(
        [(-1.0, 6 * SITES[ndim] * edges * SPACING)] * ndim,
        [patches] * ndim,
        7 if kind == "staggered" else edges * SITES[ndim],
        dx=SPACING,
        boundary=[boundary] * ndim,
        edges=edges,
        edgy=kind == "edgy",
    )
    n_patch = members * patches**ndim
    model = MicroModel(
        rule=rule,
        sites=grid.n_sites,
        spacing=grid.spacing,
        edges=(edges,) * ndim,
        origin=grid.origins(),
        parameters=generator.uniform(0.5, 1, (members, len(rule.parameters))),
        coefficients=generator.uniform(
            0.5, 1.5, (1 if shared else n_patch, len(rule.coefficient_arrays), *grid.n_sites)
        ),
        seed=2**40 + 11,
    )
    coupling = Coupling(grid, rule.fields, order, kind, phases)
    lifting = core_lifting(grid, rule.fields, order)
    u = generator.uniform(0.5, 1.5, model.shape)
    U = generator.uniform(0.5, 1.5, (members, len(rule.fields), *grid.patches))
    return Problem(model, coupling, lifting, 0.05 * SPACING**2, u, U)


def rounding(given: Problem, dtype: str, steps: float) -> float:
    """50 eps (n dt S + max |u|), S the largest sum of magnitudes of the terms of a rate.

    Args:
        given: the problem.
        dtype: precision of the state.
        steps: micro-steps, or 0 for rounding of the state alone.
    """
    size = sum_of_terms(given.model, given.u, 0.3) if steps else 0.0
    return ULPS * np.finfo(dtype).eps * (steps * given.dt * size + np.abs(given.u).max())


def sum_of_terms(model: MicroModel, u, t) -> float:
    """Largest sum, over sites and fields, of the magnitudes that rounding acts on."""
    environment, largest = model.environment(t), 0.0
    known = {str(access.symbol): access for access in model.rule.accesses}
    for rate in model.rule.rates:
        symbols: list[Any] = sorted(rate.free_symbols, key=str)
        values = []
        for name in map(str, symbols):
            access = known.get(name)
            if access is None:
                values.append(environment[name])
                continue
            arrays: Any = environment.get(access.name)
            if access.kind == "field":
                arrays = u[:, model.rule.fields.index(access.name)]
            arrays = arrays if isinstance(arrays, dict) else {-1: arrays}
            offset = tuple(o + 0.5 * (a == access.face) for a, o in enumerate(access.offset))
            values.append(ShiftedSlices(arrays, model.inside)[offset])
        total = sp.lambdify(symbols, magnitude(rate), "numpy")(*values)
        largest = max(largest, float(np.max(np.abs(total))))
    return largest


def magnitude(f: Any) -> Any:
    """The size of the numbers that are added up in an expression; no cancellation.

    Sums and products count term by term, |f(g)| as |f| + |f'| magnitude(g).
    """
    if f.is_Atom:
        return sp.Abs(f)
    if f.is_Add:
        return sp.Add(*map(magnitude, f.args))
    if f.is_Mul:
        return sp.Mul(*map(magnitude, f.args))
    if f.is_Pow and f.exp.is_Integer and f.exp > 0:
        return magnitude(f.base) ** f.exp
    if isinstance(f, (sp.Piecewise, sp.Max, sp.Min)):
        parts: Any = [p.args[0] for p in f.args] if isinstance(f, sp.Piecewise) else f.args
        return sp.Add(*map(magnitude, parts))
    total = sp.Abs(f)
    for index, argument in enumerate(f.args):
        if argument.free_symbols:
            slot = sp.Dummy(real=True)
            slope = f.func(*(slot if k == index else a for k, a in enumerate(f.args))).diff(slot)
            total += sp.Abs(slope.subs(slot, argument)) * magnitude(argument)
    return total

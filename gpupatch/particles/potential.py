"""Potentials of a distance, declared once: energy, force, truncation and source follow.

A potential is a function of the distance r and of parameters. It is traced once into an expression
V(r); the force comes by differentiation,

    F_ij = -dV/dr (x_i - x_j)/r = g (x_i - x_j),     g = -V'(r)/r = -2 dV/ds,   s = r^2,

and both are lowered to functions of s, so that no root is taken where V has even powers only.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from gpupatch.contract import checked
from gpupatch.errors import RuleError, suggestion
from gpupatch.micro.lower import Lowering, evaluate
from gpupatch.micro.trace import Access, differentiate, scalar_symbol, trace

CUTOFF = "r_cut"
TRUNCATIONS = ("truncated", "shifted", "force-shifted")

_R = sp.Symbol("r", real=True)
_S = sp.Symbol("s", positive=True)
_ACCESS = Access("field", "s", -1, (0,))
_INVERSE = sp.Symbol("_i", real=True)
_ROOT = sp.Symbol("_r", real=True)
Statements = tuple[tuple[str, sp.Basic], ...]

SQUARE = _ACCESS.symbol.name
"""Name of the squared distance in the generated source."""


@checked(RuleError)
@dataclass(frozen=True, eq=False)
class Potential:
    """An energy V(r) of a distance.

    Call it with numbers or arrays, ``lennard_jones(r, epsilon=1.0, sigma=1.0)``, for the energy.

    Attributes:
        function: the energy as it was written; its first argument is `r`.
        name: name of the function.
        parameters: names of the other arguments.
        expression: the traced energy, in the symbol `r` and the parameters.
    """

    function: Callable
    name: str
    parameters: tuple[str, ...]
    expression: sp.Expr

    def __call__(self, r, **parameters):
        """V(r), in units of energy."""
        return self.function(r, **parameters)

    def truncated(self, truncation: str) -> sp.Expr:
        """The energy inside the cutoff r_cut, which is a further parameter.

        Args:
            truncation: "truncated" (as it is), "shifted" (continuous at the cutoff) or
                "force-shifted" (the force is continuous too).

        Returns:
            V, V - V(rc), or V - V(rc) - (r - rc) V'(rc).

        Raises:
            RuleError: for another word.

        Source: Allen and Tildesley (2017), section 5.2 [AllenTildesley2017].
        """
        if truncation not in TRUNCATIONS:
            raise RuleError(
                f"there is no truncation `{truncation}`. {suggestion(truncation, TRUNCATIONS)}"
            )
        V, rc = self.expression, scalar_symbol(CUTOFF)
        if truncation == "truncated":
            return V
        shifted = V - V.xreplace({_R: rc})
        if truncation == "shifted":
            return shifted
        return shifted - (_R - rc) * differentiate(V, _R).xreplace({_R: rc})

    @functools.cached_property
    def derivative(self) -> sp.Expr:
        """dV/dr."""
        return differentiate(self.expression, _R)

    def values(self, expression: sp.Expr, r, parameters: Mapping[str, float]):
        """An expression in r and the parameters, evaluated on an array of distances."""
        return np.broadcast_to(evaluate(expression, {**parameters, "r": r}), np.shape(r))


def argument_names(function: Callable) -> list[str]:
    """Names of the arguments of an energy.

    Raises:
        RuleError: if it does not tell them, as functions written in C do not.
    """
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise RuleError(
            f"the arguments of {function!r} are not known. Write the energy as a function in "
            "Python."
        ) from error


@checked(RuleError)
def potential(function: Callable) -> Potential:
    """Declare a potential of a distance.

        @gp.potential
        def yukawa(r, A, kappa):
            return A * gp.exp(-kappa * r) / r

    Args:
        function: energy of the distance `r`, its first argument, and of parameters; written with
            arithmetic and the `gp.` functions.

    Returns:
        The potential.

    Raises:
        RuleError: if the first argument is not `r`, or the function cannot be traced; the line is
            quoted.
    """
    names = argument_names(function)
    if not names or names[0] != "r":
        raise RuleError(
            f"potential `{function.__name__}` has the arguments {names}: the first must be the "
            "distance `r`."
        )
    if CUTOFF in names:
        raise RuleError(
            f"potential `{function.__name__}` has a parameter `{CUTOFF}`, which is the name of the "
            "cutoff. Rename it."
        )
    expression = trace(function, (), (), names, ndim=1).outputs[0]
    return Potential(function, function.__name__, tuple(names[1:]), expression)


@dataclass(frozen=True, eq=False)
class RadialForm:
    """A potential as few operations on the squared distance.

    Attributes:
        scalars: names of the numbers that depend on parameters only, in the order of `table`.
        force: (statements, g): what is computed for g = -V'(r)/r alone.
        both: (statements, V, g): what is computed for energy and force together.
    """

    scalars: tuple[str, ...]
    force: tuple[Statements, sp.Basic]
    both: tuple[Statements, sp.Basic, sp.Basic]
    _lowering: Lowering

    def table(self, values: Mapping[str, NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
        """Numbers for every combination of types.

        Args:
            values: parameters and the cutoff, one number per combination.
            rows: number of combinations.

        Returns:
            [combination, scalar].
        """
        return self._lowering.scalar_values(values, rows)


def radial_form(energy: sp.Expr) -> RadialForm:
    """Lower an energy V(r).

    Args:
        energy: expression in the symbol `r` and parameters.

    Returns:
        The statements for V and g = -V'(r)/r in terms of s = r^2.
    """
    of_square = sp.sympify(energy.xreplace({_R: sp.sqrt(_S)}))
    V = _powers_of_square(of_square)
    g = _powers_of_square(-2 * differentiate(of_square, _S))
    s = _ACCESS.symbol
    definitions = [(_INVERSE, 1 / s), (_ROOT, sp.sqrt(s))]
    lowering = Lowering(("s",), [_ACCESS], 1)
    both = lowering.block([V, g], definitions)
    force = lowering.block([g], definitions)
    statements, (energy_of_s, g_of_s) = _cheap(both.statements, both.outputs)
    alone, (g_alone,) = _cheap(force.statements, force.outputs)
    names = tuple(symbol.name for symbol in lowering.scalars.values())
    return RadialForm(names, (alone, g_alone), (statements, energy_of_s, g_of_s), lowering)


def _powers_of_square(expression):
    """Write powers of s with whole powers of s, 1/s and at most one root."""
    s = _ACCESS.symbol

    def rewritten(power):
        whole, half = divmod(int(2 * power.exp), 2)
        base = s**whole if whole >= 0 else _INVERSE ** (-whole)
        return base * (_ROOT if half else 1)

    powers = expression.replace(
        lambda e: e.is_Pow and e.base == _S and (2 * e.exp).is_integer, rewritten
    )
    return sp.sympify(powers.xreplace({_S: s}))


def _cheap(statements, outputs):
    """Polynomials in 1/s by Horner's rule, and its powers from one another."""
    known = dict(statements)
    expressions = [sp.sympify(e) for _, e in statements] + list(outputs)
    expressions = [_horner(e) for e in expressions]
    exponents = sorted(
        {int(p.exp) for e in expressions for p in e.atoms(sp.Pow) if p.base == _INVERSE}
    )
    tower, names = _tower(exponents)
    replaced = [
        e.replace(lambda p: p.is_Pow and p.base == _INVERSE, lambda p: names[int(p.exp)])
        for e in expressions
    ]
    lines = list(zip([name for name, _ in statements], replaced[: len(known)], strict=True))
    at = next((k + 1 for k, (name, _) in enumerate(lines) if name == _INVERSE.name), 0)
    lines[at:at] = tower
    used = {str(s) for _, e in lines for s in e.free_symbols}
    used |= {str(s) for e in replaced[len(known) :] for s in e.free_symbols}
    kept = tuple((name, e) for name, e in lines if name in used)
    return kept, replaced[len(known) :]


def _horner(expression: sp.Expr) -> sp.Expr:
    if not expression.is_Add or not expression.has(_INVERSE):
        return expression
    if not expression.is_polynomial(_INVERSE):
        return expression
    return sp.horner(expression, _INVERSE)


def _tower(exponents: Sequence[int]):
    """Powers of 1/s, each the product of two earlier ones where possible."""
    names: dict[int, sp.Expr] = {1: _INVERSE}
    lines: list[tuple[str, sp.Expr]] = []
    wanted = list(exponents)
    while wanted:
        n = wanted.pop(0)
        if n in names:
            continue
        split = next((a for a in sorted(names, reverse=True) if n - a in names), None)
        if split is None:
            half = n // 2
            wanted[:0] = [half, n - half, n]
            continue
        symbol = sp.Symbol(f"_i{n}", real=True)
        product = sp.Mul(names[split], names[n - split], evaluate=False)
        lines.append((symbol.name, product))
        names[n] = symbol
    return lines, names

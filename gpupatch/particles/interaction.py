"""What acts on particles: pairs, bonds, angles between bonds, an external field."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from gpupatch.contract import checked
from gpupatch.errors import RuleError, suggestion
from gpupatch.memory import numbers, require
from gpupatch.micro.lower import Lowering
from gpupatch.micro.trace import Access, differentiate, scalar_symbol, trace
from gpupatch.particles.potential import (
    CUTOFF,
    Potential,
    RadialForm,
    argument_names,
    radial_form,
)

MIXINGS = ("lorentz-berthelot", "geometric")
LENGTHS = frozenset({"sigma", "r0", "diameter", "extent"})
"""Parameters that are lengths, of which the Lorentz rule takes the arithmetic mean."""
SIZES = frozenset({"sigma", "diameter", "extent"})
"""Lengths by which energies divide, and which therefore must be positive."""


@checked(RuleError)
@dataclass(frozen=True, eq=False)
class Pair:
    """A potential between all pairs of particles that are closer than a cutoff.

        V_ab(r) with parameters of the types a and b of the two particles

    Attributes:
        potential: the energy of a distance.
        parameters: by name, a number for all particles, one number per type (mixed between
            types), or one per pair of types, [type, type].
        cutoff: distance from which on there is no interaction, same units as positions.
        truncation: what happens at the cutoff: "truncated", "shifted" or "force-shifted".
        mixing: how numbers per type become numbers per pair of types: "lorentz-berthelot"
            (arithmetic mean of lengths, geometric mean of all else) or "geometric".

    Raises:
        RuleError: if parameters are missing, unknown, not symmetric or of different sizes, or the
            cutoff is not positive.

    Source: Allen and Tildesley (2017), sections 1.3 and 5.2 [AllenTildesley2017].
    """

    potential: Potential
    parameters: Mapping[str, ArrayLike]
    cutoff: float
    truncation: str = "truncated"
    mixing: str = "lorentz-berthelot"

    def __post_init__(self):
        if not 0 < self.cutoff < np.inf:
            raise RuleError(f"`cutoff` is {self.cutoff}; it must be positive and finite.")
        if self.mixing not in MIXINGS:
            raise RuleError(
                f"there is no mixing `{self.mixing}`. {suggestion(self.mixing, MIXINGS)}"
            )
        _check_parameters(self.potential, self.parameters)
        self.potential.truncated(self.truncation)
        sizes = {np.shape(v)[0] for v in self.parameters.values() if np.ndim(v)}
        if len(sizes) > 1:
            raise RuleError(
                f"potential `{self.potential.name}` has parameters for {sorted(sizes)} types. Give "
                "every one a number, or as many numbers as there are types."
            )
        for name, values in self.matrices.items():
            if not np.array_equal(values, values.T):
                raise RuleError(f"parameter `{name}` differs between the pairs (a, b) and (b, a).")

    @property
    def n_types(self) -> int:
        """Types of particles that the parameters tell apart."""
        return max((np.shape(v)[0] for v in self.parameters.values() if np.ndim(v)), default=1)

    @functools.cached_property
    def matrices(self) -> dict[str, NDArray[np.float64]]:
        """Every parameter for every pair of types, [type, type]."""
        n = self.n_types
        mixed = {}
        for name, given in self.parameters.items():
            values = np.asarray(given, dtype=float)
            if values.ndim == 1:
                values = self._mix(name, values)
            mixed[name] = np.array(np.broadcast_to(values, (n, n)))
        return mixed

    def _mix(self, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b = values[:, None], values[None, :]
        if self.mixing == "lorentz-berthelot" and name in LENGTHS:
            return (a + b) / 2
        return np.sign(a) * np.sqrt(a * b)

    @functools.cached_property
    def form(self) -> RadialForm:
        """The lowered energy and force."""
        return radial_form(self.potential.truncated(self.truncation))

    @functools.cached_property
    def table(self) -> NDArray[np.float64]:
        """Numbers that the lowered form reads, [type x type, scalar]."""
        rows = self.n_types**2
        values = {name: matrix.reshape(-1) for name, matrix in self.matrices.items()}
        values[CUTOFF] = np.full(rows, self.cutoff)
        return self.form.table(values, rows)

    def tail(self, density: float, ndim: int) -> tuple[float, float]:
        """What a homogeneous fluid adds beyond the cutoff.

            u = (rho/2) int_rc^inf V dA_d,   p = -(rho^2/(2 d)) int_rc^inf r V' dA_d

        with dA_d = 2 dr, 2 pi r dr, 4 pi r^2 dr in 1, 2, 3 dimensions; for one type.

        Args:
            density: particles per volume.
            ndim: dimensions.

        Returns:
            Energy per particle and pressure.

        Raises:
            RuleError: with several types, or if an integral does not converge.

        Source: Allen and Tildesley (2017), section 2.8 [AllenTildesley2017].
        """
        from scipy.integrate import quad

        if self.n_types > 1:
            raise RuleError("tail corrections are for one type of particles; there are several.")
        area = {1: lambda r: 2.0, 2: lambda r: 2 * np.pi * r, 3: lambda r: 4 * np.pi * r**2}[ndim]
        numbers = {scalar_symbol(name): sp.Float(m[0, 0], 17) for name, m in self.matrices.items()}
        one = self.potential

        def integral(expression: sp.Expr, weight: Callable[[float], float]) -> float:
            V = sp.lambdify(sp.Symbol("r", real=True), expression.xreplace(numbers), "numpy")
            value, _, *notes = quad(
                lambda r: float(V(r)) * weight(r) * area(r), self.cutoff, np.inf,
                epsabs=0.0, epsrel=1e-10, limit=200, full_output=1,
            )  # fmt: skip
            if len(notes) > 1:
                raise RuleError(f"the tail of potential `{one.name}` has no finite integral.")
            return value

        energy = density / 2 * integral(one.expression, lambda r: 1.0)
        pressure = -(density**2) / (2 * ndim) * integral(one.derivative, lambda r: r)
        return energy, pressure


def _check_parameters(potential: Potential, given: Mapping) -> None:
    missing = [name for name in potential.parameters if name not in given]
    stray = [name for name in given if name not in potential.parameters]
    if missing:
        raise RuleError(f"potential `{potential.name}` needs a value for `{missing[0]}`.")
    if stray:
        hint = suggestion(stray[0], potential.parameters)
        raise RuleError(f"potential `{potential.name}` has no parameter `{stray[0]}`. {hint}")
    for name, value in given.items():
        if not _are_numbers(value):
            raise RuleError(f"`{name}` of potential `{potential.name}` is {value}: give numbers.")
        if name in SIZES and np.min(value) <= 0:
            raise RuleError(
                f"`{name}` of potential `{potential.name}` is {value}; it must be positive."
            )


def _are_numbers(value: ArrayLike) -> bool:
    try:
        return bool(np.isfinite(np.asarray(value, dtype=float)).all())
    except (TypeError, ValueError):
        return False


def _numbered(name: str, given: NDArray, together: int) -> NDArray[np.int64]:
    """Numbers of the particles that something acts on, [number, together]."""
    numbers = np.asarray(given)
    if numbers.dtype.kind not in "iu" or numbers.shape[1:] != (together,):
        raise RuleError(
            f"`{name}` has shape {numbers.shape} and type {numbers.dtype}; give whole numbers, "
            f"{together} in every row."
        )
    return numbers.astype(np.int64)


@checked(RuleError)
@dataclass(frozen=True, eq=False)
class Bonds:
    """Springs between given particles of every patch.

    Attributes:
        potential: the energy of a bond of length r.
        parameters: one number for each parameter.
        pairs: the particles that are joined, [bond, 2].

    Raises:
        RuleError: if parameters are missing or unknown, or a bond joins a particle with itself.
    """

    potential: Potential
    parameters: Mapping[str, float]
    pairs: NDArray[np.int64]

    def __post_init__(self):
        _check_parameters(self.potential, self.parameters)
        pairs = _numbered("pairs", self.pairs, 2)
        if np.any(pairs[:, 0] == pairs[:, 1]) or np.any(pairs < 0):
            raise RuleError("a bond joins two different particles, numbered from 0.")
        object.__setattr__(self, "pairs", pairs)

    @functools.cached_property
    def form(self) -> RadialForm:
        """The lowered energy and force."""
        return radial_form(self.potential.expression)

    @functools.cached_property
    def table(self) -> NDArray[np.float64]:
        """Numbers that the lowered form reads, [1, scalar]."""
        values = {name: np.array([float(v)]) for name, v in self.parameters.items()}
        return self.form.table(values, 1)


@checked(RuleError)
def chain(n: int, closed: bool = False) -> NDArray[np.int64]:
    """Pairs that join particles to a chain: (0, 1), (1, 2), ...

    Args:
        n: particles.
        closed: whether the last is joined to the first.

    Returns:
        [bond, 2].
    """
    if n < 1:
        raise RuleError(f"a chain of {n} particles: give at least 1.")
    require(numbers(n, 2), f"a chain of {n} particles", "Use a shorter one.")
    first = np.arange(n if closed else n - 1)
    return np.stack([first, (first + 1) % n], axis=1)


@checked(RuleError)
def chain_angles(n: int) -> NDArray[np.int64]:
    """Triples of successive particles of a chain: (0, 1, 2), (1, 2, 3), ..., [angle, 3]."""
    if n < 1:
        raise RuleError(f"a chain of {n} particles: give at least 1.")
    require(numbers(n, 3), f"a chain of {n} particles", "Use a shorter one.")
    first = np.arange(max(n - 2, 0))
    return np.stack([first, first + 1, first + 2], axis=1)


@checked(RuleError)
@dataclass(frozen=True, eq=False)
class Angles:
    """Bending between successive bonds.

    Attributes:
        energy: function of c, the cosine of the angle between the bonds i-j and j-k (1 where the
            chain is straight), and of parameters; written with arithmetic and the `gp.` functions.
        parameters: one number for each parameter.
        triples: the particles i, j, k, [angle, 3].

    Raises:
        RuleError: if parameters do not fit, or an angle has a particle twice; the function is
            traced when `form` is first asked for.
    """

    energy: Callable
    parameters: Mapping[str, float]
    triples: NDArray[np.int64]

    def __post_init__(self):
        names = argument_names(self.energy)
        if not names or names[0] != "c":
            raise RuleError(
                f"the bending energy `{self.energy.__name__}` has the arguments {names}: the first "
                "must be `c`, the cosine of the angle."
            )
        if set(names[1:]) != set(self.parameters):
            raise RuleError(
                f"the bending energy `{self.energy.__name__}` takes {names[1:]}, but values are "
                f"given for {sorted(self.parameters)}."
            )
        triples = _numbered("triples", self.triples, 3)
        i, j, k = triples.T
        if np.any((i == j) | (j == k) | (k == i)) or np.any(triples < 0):
            raise RuleError("an angle lies between three different particles, numbered from 0.")
        object.__setattr__(self, "triples", triples)

    @functools.cached_property
    def expression(self) -> sp.Expr:
        """The traced energy V(c)."""
        names = list(inspect.signature(self.energy).parameters)
        return sp.sympify(trace(self.energy, (), (), names, ndim=1).outputs[0])

    @functools.cached_property
    def form(self) -> ScalarForm:
        """The lowered energy V and dV/dc."""
        return scalar_form(self.expression, ("c",))

    @functools.cached_property
    def table(self) -> NDArray[np.float64]:
        """Numbers that the lowered form reads, [1, scalar]."""
        return self.form.table(self.parameters)


@checked(RuleError)
@dataclass(frozen=True, eq=False)
class Field:
    """An external potential V(x, y, z) that acts on every particle.

    Attributes:
        energy: function of the coordinates x, y, z (those it needs) and of parameters.
        parameters: by name, a number for all particles or one number per type, such as a charge.

    Raises:
        RuleError: if the function cannot be traced, or parameters do not fit.
    """

    energy: Callable
    parameters: Mapping[str, ArrayLike] = field(default_factory=dict)

    def __post_init__(self):
        names = [name for name in argument_names(self.energy) if name not in AXES]
        if set(names) != set(self.parameters):
            raise RuleError(
                f"the field `{self.energy.__name__}` takes {names}, but values are given for "
                f"{sorted(self.parameters)}."
            )
        sizes = {np.size(v) for v in self.parameters.values() if np.ndim(v)}
        if len(sizes) > 1 or any(np.ndim(v) > 1 for v in self.parameters.values()):
            raise RuleError(
                f"the field `{self.energy.__name__}` has parameters of {sorted(sizes)} numbers. "
                "Give every one a number, or as many numbers as there are types."
            )

    @property
    def n_types(self) -> int:
        """Types of particles that the parameters tell apart."""
        return max((np.size(v) for v in self.parameters.values() if np.ndim(v)), default=1)

    @functools.cached_property
    def expression(self) -> sp.Expr:
        """The traced energy V(x, y, z)."""
        names = list(inspect.signature(self.energy).parameters)
        return sp.sympify(trace(self.energy, (), (), names, ndim=1).outputs[0])

    @property
    def uniform(self) -> bool:
        """Whether the force is the same everywhere."""
        axes = [sp.Symbol(name, real=True) for name in AXES]
        forces = [sp.diff(self.expression, axis) for axis in axes]
        return not any(force.has(*axes) for force in forces)

    @functools.cached_property
    def form(self) -> ScalarForm:
        """The lowered energy V and its gradient along x, y, z."""
        return scalar_form(self.expression, AXES)

    @functools.cached_property
    def table(self) -> NDArray[np.float64]:
        """Numbers that the lowered form reads, [type, scalar]; one row if all types are alike."""
        return self.form.table(self.parameters, self.n_types)


AXES = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class ScalarForm:
    """An energy and its derivatives as few operations.

    Attributes:
        arguments: the names of the variables in the generated source.
        scalars: names of the numbers that depend on parameters only.
        statements: what is computed first.
        energy: V.
        gradient: its derivative by every argument.
    """

    arguments: tuple[str, ...]
    scalars: tuple[str, ...]
    statements: tuple[tuple[str, sp.Expr], ...]
    energy: sp.Expr
    gradient: tuple[sp.Expr, ...]
    _lowering: Lowering

    def table(self, parameters: Mapping[str, ArrayLike], rows: int = 1) -> NDArray[np.float64]:
        """Numbers that the form reads.

        Args:
            parameters: by name, one number, or one per row.
            rows: number of rows.

        Returns:
            [row, scalar].
        """
        values = {name: np.asarray(value, dtype=float) for name, value in parameters.items()}
        return self._lowering.scalar_values(values, rows)


def scalar_form(expression: sp.Expr, arguments: Sequence[str]) -> ScalarForm:
    """Lower an energy of one or more variables.

    Args:
        expression: in symbols of the arguments and of parameters.
        arguments: names of the variables.

    Returns:
        The statements for V and its gradient.
    """
    accesses = [Access("field", name, -1, (0,)) for name in arguments]
    lowering = Lowering(tuple(arguments), accesses, 1)
    variables = [sp.Symbol(name, real=True) for name in arguments]
    outputs = [expression, *(differentiate(expression, v) for v in variables)]
    moved = dict(zip(variables, (a.symbol for a in accesses), strict=True))
    block = lowering.block([sp.sympify(e).xreplace(moved) for e in outputs])
    return ScalarForm(
        tuple(a.symbol.name for a in accesses),
        tuple(symbol.name for symbol in lowering.scalars.values()),
        block.statements,
        block.outputs[0],
        block.outputs[1:],
        lowering,
    )

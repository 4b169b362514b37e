"""The register of exact solutions: what one is, how it is declared, how it is found by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.errors import InputError

Array: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = float | Array
Formula: TypeAlias = Callable[..., Mapping[str, ArrayLike]]


class Required(Enum):
    """Marks a parameter that has no default."""

    REQUIRED = "required"


REQUIRED = Required.REQUIRED


@dataclass(frozen=True, eq=False)
class ExactSolution:
    """A function of space and time known to satisfy an equation exactly.

    Attributes:
        name: what `get` knows it by.
        fields: names of the unknowns, in the order of the equation.
        parameters: name of every parameter with its default, or `REQUIRED`.
        ndim: numbers of space dimensions in which it is defined.
        equation: what it satisfies, on one line.
        description: equation, domain of validity and source, in full.
        formula: computes the fields from coordinates, time and complete parameters.
        scalars: names of the parameters that are single numbers.
    """

    name: str
    fields: tuple[str, ...]
    parameters: Mapping[str, Any]
    ndim: tuple[int, ...]
    equation: str
    description: str
    formula: Formula = field(repr=False)
    scalars: frozenset[str] = frozenset()

    def complete(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return every parameter as numbers, the absent ones at their default.

        Args:
            parameters: given values: a number, or nested lists of numbers of equal length.

        Returns:
            A float for each single number and a float64 array for each list.

        Raises:
            InputError: a name is unknown, a required one is missing or a value is not finite
                numbers.
        """
        for name in parameters:
            if name not in self.parameters:
                raise InputError(
                    f"The exact solution `{self.name}` has no parameter `{name}`. "
                    + _nearest(name, self.parameters)
                )
        missing = [
            name
            for name, default in self.parameters.items()
            if default is REQUIRED and name not in parameters
        ]
        if missing:
            needed = ", ".join(f"`{name}`" for name in missing)
            raise InputError(
                f"The exact solution `{self.name}` needs a value for {needed} ({self.equation})."
            )
        merged = {**self.parameters, **parameters}
        return {name: self._number(name, value) for name, value in merged.items()}

    def evaluate(
        self, coordinates: Sequence[ArrayLike], t: float, **parameters: Any
    ) -> dict[str, Array]:
        """Evaluate every field at the given points and time.

        Args:
            coordinates: one array per space dimension (x, y, z), broadcast against each other.
            t: time.
            **parameters: those of `parameters`; each name is checked.

        Returns:
            float64 arrays of the broadcast shape, one per field, in the order of `fields`.

        Raises:
            InputError: a parameter is unknown, missing or out of range, the number of
                coordinates is wrong, or the solution does not exist at this time.
        """
        values = self.complete(parameters)
        points = tuple(np.asarray(axis, dtype=np.float64) for axis in coordinates)
        if len(points) not in self.ndim:
            allowed = " or ".join(str(d) for d in self.ndim)
            raise InputError(
                f"The exact solution `{self.name}` lives in {allowed} space dimension(s), but "
                f"{len(points)} coordinate array(s) were given."
            )
        shape = np.broadcast_shapes(*(axis.shape for axis in points))
        try:
            with np.errstate(all="ignore"):
                result = self.formula(points, float(t), **values)
        except (ArithmeticError, ValueError) as error:
            raise InputError(
                f"The exact solution `{self.name}` has no value at t = {t:g} with these "
                f"parameters ({error}). Give others, nearer to 1 or of the lengths that it says."
            ) from error
        return {
            name: np.array(np.broadcast_to(result[name], shape), dtype=np.float64)
            for name in self.fields
        }

    def _number(self, name: str, value: Any) -> Numbers:
        try:
            number = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Parameter `{name}` of the exact solution `{self.name}` must be a number or "
                f"nested lists of numbers of equal length; found {value!r}."
            ) from error
        if not np.all(np.isfinite(number)):
            raise InputError(
                f"Parameter `{name}` of the exact solution `{self.name}` must be finite; found "
                f"{value!r}."
            )
        if name in self.scalars and number.ndim:
            raise InputError(
                f"Parameter `{name}` of the exact solution `{self.name}` must be one number; found "
                f"{value!r}."
            )
        return float(number) if number.ndim == 0 else number


_registry: dict[str, ExactSolution] = {}


def exact_solution(
    *, equation: str, fields: str = "u", ndim: tuple[int, ...] = (1,)
) -> Callable[[Formula], ExactSolution]:
    """Declare a formula `f(coordinates, t, *, parameters...) -> {field: values}` by its name.

    Keyword-only arguments become the parameters, with their defaults; the docstring becomes the
    description.

    Args:
        equation: what the formula satisfies, on one line.
        fields: names of the unknowns, separated by blanks.
        ndim: numbers of space dimensions in which the formula holds.

    Returns:
        A decorator that registers the formula and returns the `ExactSolution`.
    """

    def declare(formula: Formula) -> ExactSolution:
        keywords = [
            parameter
            for parameter in inspect.signature(formula).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY
        ]
        defaults = {
            parameter.name: REQUIRED if parameter.default is parameter.empty else parameter.default
            for parameter in keywords
        }
        solution = ExactSolution(
            name=formula.__name__,
            fields=tuple(fields.split()),
            parameters=MappingProxyType(defaults),
            ndim=ndim,
            equation=equation,
            description=inspect.getdoc(formula) or equation,
            formula=formula,
            scalars=frozenset(one.name for one in keywords if one.annotation in (float, "float")),
        )
        _registry[solution.name] = solution
        return solution

    return declare


def get(name: str) -> ExactSolution:
    """Return the exact solution of this name.

    Args:
        name: one of `names()`.

    Returns:
        The solution.

    Raises:
        InputError: there is none of this name.
    """
    if name not in _registry:
        raise InputError(f"There is no exact solution `{name}`. " + _nearest(name, _registry))
    return _registry[name]


def names() -> tuple[str, ...]:
    """Return the names of all exact solutions, sorted."""
    return tuple(sorted(_registry))


def positive(**values: float) -> None:
    """Refuse parameters that are not positive numbers.

    Args:
        **values: the parameters to check, by name.

    Raises:
        InputError: one of them is not a single number above 0.
    """
    for name, value in values.items():
        if np.ndim(value) != 0 or not value > 0:
            raise InputError(f"`{name}` must be a positive number; found {value}.")


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean `{close[0]}`?"
    if not known:
        return "It has no parameters."
    return "Known: " + ", ".join(f"`{other}`" for other in known) + "."

"""The forms in which a case file gives a whole field: coefficients and initial states."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from gpupatch.files.values import (
    LARGEST_SEED,
    NotNegative,
    Number,
    Positive,
    Section,
    Text,
    Value,
    as_numbers,
    as_value,
    one_form_of,
)

Place = Literal["sites", "faces"]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED, strict=True)]
Axis = Annotated[int, Field(ge=0, le=2, strict=True)]
LARGEST_WAVES = 10_000
"""Waves per axis that a smooth random field may have."""


class ExpressionCoefficient(Section):
    """A coefficient given by a formula in x, y, z, the parameters and constants.

    Attributes:
        expr: the formula, or a number.
        at: where it is sampled; where the rule reads it when absent.
    """

    expr: Value
    at: Place | None = None


class CellCoefficient(Section):
    """A coefficient that repeats one cell of lattice values in every patch.

    Attributes:
        cell: values in the cell, nested once per axis [x][y][z].
        at: as for a formula.
        axis: axis along which a plain list of values varies; needed in two and three dimensions.
    """

    cell: Annotated[tuple, PlainValidator(as_numbers)]
    at: Place | None = None
    axis: Axis | None = None


class FileCoefficient(Section):
    """A coefficient whose cell is an array in a file.

    Attributes:
        file: "values.npz:name" or "values.npy", relative to the case.
        at: as for a formula.
        axis: as for a cell.
    """

    file: Text
    at: Place | None = None
    axis: Axis | None = None


class RandomCoefficient(Section):
    """A random medium: median exp(sigma Z), Z standard normal, independent from site to site.

    Attributes:
        random: the distribution.
        sigma: standard deviation of the logarithm.
        median: median of the values, same units as the coefficient.
        seed: seed of the medium; `run.seed` when absent.
        at: as for a formula.
    """

    random: Literal["lognormal"]
    sigma: NotNegative
    median: Positive = 1.0
    seed: Seed | None = None
    at: Place | None = None


class FileInitial(Section):
    """An initial field read from a file.

    Attributes:
        file: "u0.npz:u" or "u0.npy", relative to the case: a value per patch, [*patches], or per
            site, [*patches, *sites].
    """

    file: Text


class RandomInitial(Section):
    """An initial field mean + amplitude noise.

    Attributes:
        random: `normal` (unit variance) and `uniform` (on [-1, 1]) are independent from site to
            site; `smooth` sums the `waves` longest periodic waves per axis, random in phase and
            amplitude, to unit variance.
        amplitude: size of the noise, same units as the field.
        mean: number or formula.
        waves: largest wavenumber of `smooth`, in waves per domain.
        seed: seed of the draw; `run.seed` when absent.
    """

    random: Literal["normal", "uniform", "smooth"]
    amplitude: Number
    mean: Value = 0.0
    waves: Annotated[int, Field(ge=1, le=LARGEST_WAVES, strict=True)] = 4
    seed: Seed | None = None


def _initial(value: Any) -> Any:
    forms = {"file": FileInitial, "random": RandomInitial}
    if isinstance(value, (dict, *forms.values())):
        return one_form_of(value, forms)
    return as_value(value)


def _coefficient(value: Any) -> Any:
    forms = {
        "expr": ExpressionCoefficient,
        "cell": CellCoefficient,
        "file": FileCoefficient,
        "random": RandomCoefficient,
    }
    if isinstance(value, (dict, *forms.values())):
        return one_form_of(value, forms)
    return ExpressionCoefficient(expr=value)


Coefficient = Annotated[
    ExpressionCoefficient | CellCoefficient | FileCoefficient | RandomCoefficient,
    PlainValidator(_coefficient),
]
Initial = Annotated[float | str | FileInitial | RandomInitial, PlainValidator(_initial)]

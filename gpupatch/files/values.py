"""The kinds of value that a case file may hold, each with its shorthands."""

from typing import Annotated, Any

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from gpupatch.errors import CaseError, suggestion
from gpupatch.files.expression import Expression
from gpupatch.files.mistakes import unknown_key

LARGEST_COUNT = 2**31 - 1
"""Nothing is counted beyond this: what would fit into no memory is refused where it is written."""
LARGEST_SEED = 2**63 - 1


class Section(BaseModel):
    """A table of a case file: immutable, and a key that it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _suggest_keys(cls, data: Any, handler: ModelWrapValidatorHandler) -> Any:
        try:
            return handler(data)
        except ValidationError as error:
            details = [cls._detail(found) for found in error.errors()]
            raise ValidationError.from_exception_data(error.title, details) from None

    @classmethod
    def _detail(cls, found: Any) -> InitErrorDetails:
        kind, message, where = found["type"], found["msg"], found["loc"]
        if kind == "extra_forbidden" and len(where) == 1:
            kind, message = "unknown_key", unknown_key(str(where[0]), cls.model_fields)
        problem = PydanticCustomError(kind, "{message}", {"message": message})
        return InitErrorDetails(type=problem, loc=where, input=found["input"])


def as_number(value: Any) -> float:
    """A finite number, or a formula without variables such as "2*pi"."""
    if isinstance(value, str):
        try:
            return float(Expression(value)())
        except CaseError as error:
            raise ValueError(str(error)) from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError('it must be a number, or a formula of numbers such as "2*pi"')
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise ValueError("it must be finite")
    return number


def as_value(value: Any) -> float | str:
    """A finite number, or a formula whose variables are checked once the whole case is known."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict | list | tuple):
        raise ValueError("it must be a number or a formula")
    return as_number(value)


def as_numbers(value: Any) -> tuple:
    """Lists of numbers of equal length, nested to any depth."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("it must be a list of numbers, nested once per axis")
    if not any(isinstance(one, list | tuple) for one in value):
        return tuple(as_number(one) for one in value)
    rows = tuple(as_numbers(one) for one in value)
    if len({shape(row) for row in rows}) > 1:
        raise ValueError("its rows must have the same length")
    return rows


def shape(rows: Any) -> tuple[int, ...]:
    """Lengths of nested lists of numbers, outermost first."""
    return (len(rows), *shape(rows[0])) if isinstance(rows, tuple) else ()


Number = Annotated[float, PlainValidator(as_number)]
Positive = Annotated[float, Field(gt=0), BeforeValidator(as_number)]
NotNegative = Annotated[float, Field(ge=0), BeforeValidator(as_number)]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(as_number)]
Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]
Value = Annotated[float | str, PlainValidator(as_value)]


def one_form_of(value: Any, forms: dict[str, type[Section]]) -> Section:
    """Validate a table by the form that it chooses.

    Args:
        value: the table.
        forms: the key that marks each form, and its model.

    Returns:
        The model of the form.

    Raises:
        ValueError: if the table has none of the keys, or more than one.
    """
    if isinstance(value, tuple(forms.values())):
        return value
    chosen = [key for key in forms if key in value]
    if len(chosen) == 1:
        return forms[chosen[0]].model_validate(value)
    if chosen:
        raise ValueError(f"`{chosen[0]}` and `{chosen[1]}` exclude each other; keep one")
    key = next(iter(value), "")
    raise ValueError(f"one of these keys is needed. {suggestion(key, forms)}")

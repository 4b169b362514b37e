"""What holds at the faces of the domain, as a case file says it."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from gpupatch.files.values import Number, Section, Value


class FaceCondition(Section):
    """A condition on one face of the domain: a u + b du/dn = c, n pointing outwards.

    Exactly one of the three kinds is given; each number may be a formula in x, y, z, t and the
    parameters.

    Attributes:
        dirichlet: the value u on the face.
        neumann: the outward derivative du/dn on the face.
        robin: a, b and c.
        fields: other conditions for fields that have their own, by name.
    """

    dirichlet: Value | None = None
    neumann: Value | None = None
    robin: tuple[Number, Number, Value] | None = None
    fields: dict[str, "FaceCondition"] = Field(default_factory=dict)

    @property
    def robin_form(self) -> tuple[float, float, float | str]:
        """(a, b, c), whichever way the condition was given."""
        if self.robin is not None:
            return self.robin
        if self.neumann is not None:
            return 0.0, 1.0, self.neumann
        assert self.dirichlet is not None
        return 1.0, 0.0, self.dirichlet


class Faces(Section):
    """What holds at the two ends of a non-periodic axis.

    Attributes:
        lo: condition at the low end.
        hi: condition at the high end.
    """

    lo: FaceCondition
    hi: FaceCondition


def _boundary(value: Any) -> str | Faces:
    """Periodic, conditions for both ends, or one condition for both."""
    if value == "periodic" or isinstance(value, Faces):
        return value
    if value == "neumann":
        value = {"neumann": 0.0}
    if not isinstance(value, dict):
        raise ValueError(
            'it must be "periodic", "neumann" (no flux) or { lo = ..., hi = ... }, each end '
            "{ dirichlet = u }, { neumann = du/dn } or { robin = [a, b, c] }"
        )
    if not value.keys() & {"lo", "hi"}:
        value = {"lo": value, "hi": value}
    return Faces.model_validate(value)


Boundary = Annotated[Literal["periodic"] | Faces, PlainValidator(_boundary)]

"""`[particles]`: a micro-simulator made of particles, as a case file says it.

What has to hold between its keys is in `particle_checks.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator

from gpupatch.files.values import (
    Count,
    Flag,
    NotNegative,
    Number,
    Positive,
    Section,
    Text,
    as_number,
    as_numbers,
)

LARGEST_PATCH = 1_000_000
"""Particles that one patch may hold."""


def _parameter(value: Any) -> float | tuple:
    return as_numbers(value) if isinstance(value, list | tuple) else as_number(value)


class Interaction(Section):
    """Something that acts on particles: an energy from the library, from a formula or a file.

    Every key that is not listed here is a parameter of the energy: a number for all particles, or
    one number per type.

    Attributes:
        potential: a name in the library, or an energy of one's own as "file.py:name"; running it
            needs trust. Exactly one of `potential` and `energy`.
        energy: a formula of the distance r (pairs, bonds), of the cosine c of the angle (1 where
            the chain is straight), or of the coordinates (field); and of parameters and constants.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, Annotated[float | tuple, PlainValidator(_parameter)]]

    potential: Text | None = None
    energy: Text | None = None

    @property
    def parameters(self) -> dict[str, float | tuple]:
        """Values of the parameters, by name."""
        return dict(self.__pydantic_extra__ or {})


class PairForm(Interaction):
    """Acts between all pairs of particles.

    Attributes:
        cutoff: distance from which on there is no interaction, same units as positions.
        truncation: what happens there: `truncated`, `shifted` or `force-shifted`.
        mixing: how numbers per type become numbers per pair of types.
        tail: whether what a homogeneous fluid adds beyond the cutoff is counted in boxes.
    """

    cutoff: Positive
    truncation: Literal["truncated", "shifted", "force-shifted"] = "truncated"
    mixing: Literal["lorentz-berthelot", "geometric"] = "lorentz-berthelot"
    tail: Flag = False


class BondsForm(Interaction):
    """Acts between particles that are joined.

    Attributes:
        topology: all particles of a patch joined to a `chain`, or to a `ring`.
    """

    topology: Literal["chain", "ring"] = "chain"


class AnglesForm(Interaction):
    """Acts between successive bonds of a chain."""


class FieldForm(Interaction):
    """Acts on every particle."""


class NeighboursForm(Section):
    """How pairs within the cutoff are found.

    Attributes:
        search: `all` pairs, a `verlet` list, or whichever is faster.
        skin: width of the shell around the cutoff that a list covers, same units as positions.
        capacity: neighbours of one particle that a list has room for; estimated when absent.
    """

    search: Literal["auto", "all", "verlet"] = "auto"
    skin: Positive = 0.3
    capacity: Count | None = None


def _field(value: Any) -> Any:
    return {"energy": value} if isinstance(value, str) else value


def _masses(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


class Particles(Section):
    """`[particles]`: the particles inside the patches, in place of `[model]`.

    Attributes:
        dynamics: how they move: continuously, or from site to site of a lattice (`independent`
            walkers, exclusion `ssep`, `zero_range`).
        dimensions: of the space in which they move; those of the grid when absent. Boxes may have
            more than the grid.
        number: particles of every patch; of diffusing particles it follows from the density.
        masses: of every type, or of all particles.
        friction: rate at which velocities are forgotten, of `langevin`.
        mobility: velocity per force, of `brownian` and `hard_rods`.
        length: of a rod.
        period: of the temperature's oscillations, of `nose_hoover`.
        every: steps between two scalings, of `rescaled`.
        rate: flips of one particle per time, of `velocity_flips`; hops to one side per time, of
            lattice gases.
        spacing: of the sites of a lattice gas.
        density: imposed on boxes, particles per volume.
        force: that pulls at the ends of chains under `stretch`.
        temperature: imposed by all dynamics with a bath.
        shear_rate: imposed by `sheared`.
        heat_field: imposed by `heat_driven`.
        pair: acts between all pairs of particles.
        bonds: act between particles that are joined.
        angles: act between successive bonds.
        field: acts on every particle; a formula of the coordinates alone may stand for a table.
        neighbours: how pairs are found.
    """

    dynamics: Literal[
        "newton", "langevin", "brownian", "hard_rods", "nose_hoover", "rescaled", "sheared",
        "heat_driven", "velocity_flips", "independent", "ssep", "zero_range",
    ]  # fmt: skip
    dimensions: Literal[1, 2, 3] | None = None
    number: Annotated[int, Field(ge=1, le=LARGEST_PATCH, strict=True)] | None = None
    masses: Annotated[tuple[Positive, ...], BeforeValidator(_masses), Field(min_length=1)] = (1.0,)
    friction: Positive | None = None
    mobility: Positive | None = None
    length: Positive | None = None
    period: Positive | None = None
    every: Count | None = None
    rate: Positive | None = None
    spacing: Positive | None = None
    density: Positive | None = None
    force: Number | None = None
    temperature: NotNegative | None = None
    shear_rate: Number | None = None
    heat_field: Number | None = None
    pair: PairForm | None = None
    bonds: BondsForm | None = None
    angles: AnglesForm | None = None
    field: Annotated[FieldForm | None, BeforeValidator(_field)] = None
    neighbours: NeighboursForm = Field(default_factory=NeighboursForm)

    @property
    def given(self) -> dict[str, float]:
        """What the case says of the dynamics and of what it imposes, by name."""
        keys = (*PARAMETERS, *CONTROLS)
        values = {key: getattr(self, key) for key in keys}
        return {key: float(value) for key, value in values.items() if value is not None}


BOXES = ("box", "box_flux")
"""Kinds of scheme whose patches are periodic boxes."""
HELD = ("box", "stretch")
"""Kinds of scheme whose patches are held at a state and never leap."""
PARAMETERS = ("friction", "mobility", "length", "period", "every", "rate", "spacing")
CONTROLS = ("density", "force", "temperature", "shear_rate", "heat_field")

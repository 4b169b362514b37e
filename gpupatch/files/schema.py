"""The sections of a case file: their keys, defaults and choices, one section at a time.

What has to hold between keys and between sections is in `checks.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from gpupatch.files.faces import Boundary
from gpupatch.files.forms import Seed
from gpupatch.files.values import (
    LARGEST_COUNT,
    Count,
    Flag,
    NotNegative,
    Number,
    Positive,
    Section,
    Share,
    Text,
    Value,
    as_number,
    as_numbers,
    as_value,
)

PER_AXIS = frozenset(
    {"patches", "sites", "ratio", "dx", "boundary", "core", "buffer", "positions", "offset"}
)


class Model(Section):
    """`[model]`: a rule on lattices inside the patches. Exactly one of `name` and `rule`.

    Attributes:
        name: a rule of the library.
        rule: a rule of one's own, as "file.py:name"; running it needs trust.
        params: values of the parameters of the rule.
    """

    name: Text | None = None
    rule: Text | None = None
    params: dict[str, Number] = Field(default_factory=dict)


def _positions(value: Any) -> str | tuple[float, ...]:
    """The name of a rule for patch centres, or the centres."""
    if value in ("equispaced", "chebyshev"):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError('it must be "equispaced", "chebyshev" or a list of numbers')
    return tuple(as_number(one) for one in value)


Positions = Annotated[
    Literal["equispaced", "chebyshev"] | tuple[float, ...], PlainValidator(_positions)
]


class Grid(Section):
    """`[grid]`: the domain and the patches in it. A single value stands for all axes.

    Patches of particles are `core` + 2 `buffer` wide and have no sites: all keys below `domain`,
    `patches`, `boundary`, `core` and `buffer` are for lattices.

    Attributes:
        domain: [lo, hi] per axis, one to three of them.
        patches: patches (`flux` and particles: cells) per axis.
        sites: lattice sites per patch and axis, edges included; may be left out when `core`,
            `buffer` and `dx` are given.
        ratio: distance of interpolation over distance of patches. Exactly one of `ratio` and `dx`.
        dx: distance between sites, same units as `domain`.
        boundary: "periodic" or the conditions at both ends, per axis.
        core: width over which coarse values are averaged, same units as `domain`.
        buffer: width between core and edge, same units as `domain`.
        positions: "equispaced", "chebyshev" or the patch centres, per axis.
        offset: shift of the patches on periodic axes, in units of their distance.
        edges: layers of sites on each side that the coupling sets.
        allow_overlap: whether patches may overlap.
    """

    domain: tuple[tuple[Number, Number], ...]
    patches: tuple[Count, ...]
    sites: tuple[Annotated[int, Field(ge=2, le=LARGEST_COUNT, strict=True)], ...] | None = None
    ratio: tuple[Positive, ...] | None = None
    dx: tuple[Positive, ...] | None = None
    boundary: tuple[Boundary, ...]
    core: tuple[Positive, ...] | None = None
    buffer: tuple[NotNegative, ...] | None = None
    positions: tuple[Positions, ...]
    offset: tuple[Number, ...]
    edges: Count = 1
    allow_overlap: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _for_all_axes(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = {"boundary": "periodic", "positions": "equispaced", "offset": 0.0} | data
        ndim = len(data["domain"]) if isinstance(data.get("domain"), list | tuple) else 1
        for key in PER_AXIS & data.keys():
            if not isinstance(data[key], list | tuple):
                data[key] = [data[key]] * ndim
        if any(isinstance(one, int | float) for one in data["positions"]):
            data["positions"] = [data["positions"]] * ndim
        return data


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


class Scheme(Section):
    """`[scheme]`: how patches speak to each other across the space between them.

    Attributes:
        kind: `coupled` before every micro-step, independent `burst`s, or `flux` across cell faces;
            of particles also a periodic `box` per cell, each on its own, `box_flux` across cell
            faces, measured in such boxes, or a chain under `stretch` per cell. `coupled` when
            absent, and `flux` with particles.
        order: order of accuracy of the interpolation between patches.
        couple: from the patch `centre`, from the opposite next-to-edge sites (`edgy`), or from the
            other field of a `staggered` lattice. Coupled scheme only.
        every: micro-steps between couplings. Coupled scheme only.
        phases: members of an ensemble of shifted microstructures, per axis or once for all.
            Coupled scheme only.
        edge: what is prescribed at the edges during a burst: `dirichlet` values (when absent) or
            `neumann` slopes of lattices; `open` ends, `reflecting` walls or a `reservoir` of
            particles, where absent `open` ends for those that do not interact, else walls.
        edge_rate: whether edges move linearly in time during a burst. Burst scheme only.
        lift: how micro-states are made from coarse values. Lattices: as a `polynomial` of degree
            `order` (when absent), or as the last healed state corrected to the coarse values
            (`projection`). Particles: evenly spread, `low_noise` (when absent); drawn one by one,
            `stochastic`; or `weighted` to the exact coarse values.
        method: micro-`steps`, or the exact `propagator` of a linear rule. Burst scheme only.
        refill: time between two looks at a `reservoir`; a twentieth of the burst when absent.
        number: whether the number of particles in a patch is `rounded` or a `poisson` variable;
            chosen by `lift` when absent.
        weight: what one simulated particle stands for.
        common: whether the same random numbers drive a second burst without slope, which is
            subtracted.
        tolerance: relative standard error of slopes beyond which replicas of a burst are added.
        max_replicas: replicas of a burst beyond which noise is accepted.
        diffusivity: largest one, for the check that buffers protect the core.
        kernel: weight over the core of a patch of particles in the `burst` scheme.
        measure: what is reported of boxes, such as "pressure", or of chains under `stretch`.
        boxes: boxes of the same state that are averaged.
        chains: chains under the same force that are averaged.
        settle: model time that a box or chain is given to settle before anything is measured.
        hidden: fields of the rule that are no coarse variables, and what every burst begins with:
            a number or a formula in the coordinates, by name. Burst scheme only.
        strength: gradient at which boxes are driven, from which their flux is scaled back; that of
            the coarse field when absent.
        capacity: heat capacity per particle, of boxes that conduct heat.
    """

    kind: Literal["coupled", "burst", "flux", "box", "box_flux", "stretch"] = "coupled"
    order: Literal[2, 4, 6, 8, "spectral"] = 4
    couple: Literal["centre", "edgy", "staggered"] = "centre"
    every: Count = 1
    phases: Annotated[tuple[Count, ...], BeforeValidator(_listed)] = (1,)
    edge: Literal["dirichlet", "neumann", "open", "reflecting", "reservoir"] | None = None
    edge_rate: Flag = False
    lift: Literal["polynomial", "projection", "low_noise", "stochastic", "weighted"] | None = None
    method: Literal["steps", "propagator"] = "steps"
    refill: Positive | None = None
    number: Literal["rounded", "poisson"] | None = None
    weight: Positive = 1.0
    common: Flag = False
    tolerance: Positive | None = None
    max_replicas: Count | None = None
    diffusivity: Positive | None = None
    kernel: Literal["box", "cos2"] | None = None
    measure: Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1)] | None = (
        None
    )
    boxes: Count = 1
    chains: Count = 1
    settle: NotNegative | None = None
    hidden: dict[str, Value] = Field(default_factory=dict)
    strength: Positive | None = None
    capacity: Positive | None = None


class Burst(Section):
    """`[burst]`: the short runs from which the slope of the coarse values is estimated.

    Attributes:
        length: model time of one burst.
        heal: time at its start that is discarded; half of it when absent.
        dt: micro time step within it; that of `[time]` when absent.
        slope: how the slope is taken from the samples.
        extrapolate: whether the slope is carried back to the start of the burst.
        replicas: independent bursts that are averaged.
    """

    length: Positive
    heal: NotNegative | None = None
    dt: Positive | None = None
    slope: Literal["healed", "endpoint", "lsq", "seed"] = "healed"
    extrapolate: Flag = True
    replicas: Count = 1


def _saves(value: Any) -> int | tuple[float, ...]:
    if type(value) is int and 2 <= value <= LARGEST_COUNT:
        return value
    if isinstance(value, list | tuple) and value:
        return tuple(as_number(one) for one in value)
    raise ValueError(
        f"it must be a number of times, at least 2 and at most {LARGEST_COUNT}, or a list of times"
    )


class Time(Section):
    """`[time]`: how long, in what steps, and what is kept.

    Attributes:
        start: model time of the initial state.
        end: model time at which the run is over.
        micro: time-stepper of the micro-simulator.
        dt: micro time step; from the stability of the rule when absent.
        projection: how the coarse values leap over the time between bursts.
        step: time of one leap; the first one when `adaptive` or `implicit`.
        inner: damping micro-steps before each leap of `pfe` and `telescopic`; micro-steps per
            burst of `prk2` and `prk4` in a coupled scheme without `[burst]`.
        levels: nested levels of `telescopic`.
        tol: relative error allowed per leap when `adaptive` or `implicit`.
        save: number of equally spaced times that are kept, both ends included; or the times.
    """

    start: Number = 0.0
    end: Number
    micro: Literal["euler", "ssprk2", "ssprk3", "rk4", "verlet", "leapfrog"] = "rk4"
    dt: Positive | None = None
    projection: Literal[
        "none", "euler", "rk2", "rk4", "ab2", "ab3", "ab4", "adaptive", "implicit", "prk2",
        "prk4", "pfe", "telescopic",
    ] = "none"  # fmt: skip
    step: Positive | None = None
    inner: Count | None = None
    levels: Count | None = None
    tol: Positive | None = None
    save: Annotated[int | tuple[float, ...], PlainValidator(_saves)] = 11


def _patches(value: Any) -> bool | tuple[int, ...]:
    if isinstance(value, bool):
        return value
    whole = isinstance(value, list | tuple) and all(type(one) is int for one in value)
    if not whole or not value or min(value) < 0 or max(value) > LARGEST_COUNT:
        raise ValueError("it must be true, false or a list of numbers of patches")
    return tuple(value)


class Output(Section):
    """`[output]`: what goes into the results.

    Attributes:
        fields: names of the fields; all when absent.
        patches: whether the micro-fields inside the patches are kept as well.
        every: the micro-fields, or the particles, are kept at every so-many-th saved time.
        particles: whether the particles inside the patches are kept, in `particles.nc`: all of
            them, or those in patches of the given numbers, counted from 0 in every member.
    """

    fields: tuple[Text, ...] | None = None
    patches: Flag = False
    every: Count = 1
    particles: Annotated[bool | tuple[int, ...], PlainValidator(_patches)] = False


class Checkpoint(Section):
    """`[checkpoint]`: how often a run is put where it can be resumed.

    Attributes:
        every: saved times between checkpoints.
        seconds: wall-clock time between checkpoints.
    """

    every: Count | None = None
    seconds: Positive | None = None


class Run(Section):
    """`[run]`: on what the case runs.

    Attributes:
        backend: "auto" takes the fastest that works here.
        dtype: precision inside the patches.
        seed: seed of all random numbers.
        replicas: independent repetitions of every member, from which standard errors follow.
        on_failure: what becomes of a patch that fails in a burst: "stop" ends the run, with
            "quarantine" its neighbours stand in for it.
        max_quarantined: share of the patches of a burst above which the run ends all the same.
    """

    backend: Literal["auto", "numpy", "numba", "cuda"] = "auto"
    dtype: Literal["float64", "float32"] = "float64"
    seed: Seed = 1
    replicas: Count = 1
    on_failure: Literal["stop", "quarantine"] = "stop"
    max_quarantined: Share = 0.1

    @property
    def quarantined(self) -> float | None:
        """Share of the patches of a burst that may fail; None if the first failure ends the run."""
        return self.max_quarantined if self.on_failure == "quarantine" else None


def _parameter(value: Any) -> float | str | tuple:
    return as_numbers(value) if isinstance(value, list | tuple) else as_value(value)


class NamedSolution(Section):
    """An exact solution from the library.

    Attributes:
        solution: its name.
        params: its parameters besides those that the model has under the same name: numbers,
            lists of numbers, or formulas in the parameters and constants such as "D".
    """

    solution: Text
    params: dict[str, Annotated[float | str | tuple, PlainValidator(_parameter)]] = Field(
        default_factory=dict
    )


def _exact(value: Any) -> Any:
    if isinstance(value, dict) and "solution" in value:
        return NamedSolution.model_validate(value)
    if isinstance(value, dict):
        if not value:
            raise ValueError("it must have a formula for every field")
        return {field: as_value(formula) for field, formula in value.items()}
    return value if value is None or isinstance(value, NamedSolution) else as_value(value)


Diagnostic = Literal[
    "D1", "D1'", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11"
]  # fmt: skip


class Diagnostics(Section):
    """`[diagnostics]`: how the assumptions of the method are tested.

    Attributes:
        tolerance: relative error of the slope of coarse values that is accepted.
        expect_flags: diagnostics that are known to be raised by this case; they are told, but not
            as a surprise.
    """

    tolerance: Positive = 0.02
    expect_flags: Annotated[tuple[Diagnostic, ...], BeforeValidator(_listed)] = ()


class Compare(Section):
    """`[compare]`: the truth that the result is measured against. Exactly one of the two.

    Attributes:
        exact: a solution of the library, a formula for the only field, or a formula per field, in
            x, y, z, t and the parameters.
        full_domain: whether the micro-simulator is run over the whole domain as well.
    """

    exact: Annotated[
        NamedSolution | dict[str, float | str] | float | str | None,
        PlainValidator(_exact),
    ] = None
    full_domain: Flag = False

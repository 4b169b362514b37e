"""What has to hold in cases whose micro-simulator is made of particles.

Checks are generators of mistakes, as in `checks.py`; those of particles do nothing without them.
"""

import dataclasses
import inspect
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gpupatch.errors import CaseError, suggestion
from gpupatch.files.energy import energy
from gpupatch.files.mistakes import Mistake, unknown_key
from gpupatch.files.particles import (
    BOXES,
    HELD,
    PARAMETERS,
    AnglesForm,
    BondsForm,
    FieldForm,
    Interaction,
    PairForm,
    Particles,
)
from gpupatch.files.schema import Burst, Compare, Grid, Model, Output, Scheme, Time
from gpupatch.particles.dynamics import DYNAMICS
from gpupatch.particles.interaction import SIZES
from gpupatch.particles.lattice_gas import KINDS, LatticeGas
from gpupatch.particles.library import ANGLES, FIELDS, POTENTIALS
from gpupatch.scheme import boxes, stretch
from gpupatch.scheme.box_flux import LAWS

_AXES = ("x", "y", "z")
_OF_LATTICES = ("sites", "ratio", "dx", "positions", "offset", "edges", "allow_overlap")
_WITHOUT_STEP = ("brownian", "hard_rods", *KINDS)
"""Dynamics that are exact for steps of any length as long as nothing else acts, or choose one."""


def model_parameters(model: Model | None, particles: Particles | None) -> dict[str, float]:
    """Values of the micro-simulator that formulas may use, by name."""
    if particles is not None:
        return particles.given
    return {} if model is None else dict(model.params)


def interactions(particles: Particles | None) -> dict[str, Interaction]:
    """What acts on the particles, by key."""
    if particles is None:
        return {}
    forms = {key: getattr(particles, key) for key in ("pair", "bonds", "angles", "field")}
    return {key: form for key, form in forms.items() if form is not None}


def parameters(dynamics: str) -> tuple[str, ...]:
    """Names of the parameters of a dynamics."""
    return tuple(field.name for field in _fields(dynamics))


def controls(dynamics: str) -> tuple[str, ...]:
    """Names of what a dynamics imposes on every patch."""
    return () if dynamics in KINDS else DYNAMICS[dynamics].controls


def _fields(dynamics: str) -> list[dataclasses.Field]:
    if dynamics not in KINDS:
        return list(dataclasses.fields(DYNAMICS[dynamics]))
    return [field for field in dataclasses.fields(LatticeGas) if field.name in PARAMETERS]


def imposed(particles: Particles, scheme: Scheme) -> tuple[str, ...]:
    """What is imposed on every patch: by the dynamics, and on boxes their state."""
    names = controls(particles.dynamics)
    if scheme.kind in BOXES:
        names = tuple(dict.fromkeys(("density", "temperature", *names)))
    if scheme.kind == "stretch":
        names = ("force", *names)
    if scheme.kind == "box_flux" and (law := LAWS.get(particles.dynamics)):
        names = tuple(name for name in names if name not in (law.drive, law.field))
    return names


def fields_of(particles: Particles, scheme: Scheme) -> tuple[str, ...]:
    """What is given at the beginning: the coarse field, or of boxes what they are held at."""
    if scheme.kind in HELD:
        return imposed(particles, scheme)
    if scheme.kind == "box_flux":
        law = LAWS.get(particles.dynamics)
        return () if law is None else (law.field,)
    return ("density",) if particles.bonds is None else ("energy",)


def check_micro_model(model: Model | None, particles: Particles | None) -> Iterator[Mistake]:
    """Exactly one micro-simulator is given."""
    if (model is None) == (particles is None):
        found = "neither is" if model is None else "both are"
        yield Mistake("model", f"{found} given; give exactly one of [model] and [particles].")


def check_dynamics(
    particles: Particles | None, scheme: Scheme, members: Mapping[str, Any], initial: Any
) -> Iterator[Mistake]:
    """The dynamics has the parameters and controls that it needs, and no others."""
    if particles is None:
        return
    read = (*parameters(particles.dynamics), *imposed(particles, scheme))
    for key in particles.given:
        if key in read:
            continue
        readers = ", ".join(
            name for name in (*DYNAMICS, *KINDS) if key in (*parameters(name), *controls(name))
        )
        yield Mistake(
            f"particles.{key}",
            f"this has no effect with dynamics = {particles.dynamics!r}; it is for "
            f"{readers or 'boxes and chains'}.",
        )
    for field in _fields(particles.dynamics):
        if field.default is dataclasses.MISSING and field.name not in particles.given:
            message = f"dynamics = {particles.dynamics!r} needs it, but it is missing."
            yield Mistake(f"particles.{field.name}", message)
    wanted = imposed(particles, scheme)
    for name in wanted:
        known = {*particles.given, *members} | ({*initial} if scheme.kind in HELD else set())
        if name not in known:
            yield Mistake(f"particles.{name}", "this is imposed on every patch, but has no value.")
    for name in members:
        if name not in wanted:
            yield Mistake(
                f"members.{name}",
                f"particles in dynamics {particles.dynamics!r} have no such control. "
                + (f"Known: {', '.join(wanted)}." if wanted else "It has none."),
            )


def check_interactions(
    particles: Particles | None, constants: Mapping[str, float], grid: Grid
) -> Iterator[Mistake]:
    """Energies are known, and their parameters are theirs."""
    for key, form in interactions(particles).items():
        path = f"particles.{key}"
        if (form.potential is None) == (form.energy is None):
            found = "neither is" if form.energy is None else "both are"
            yield Mistake(path, f"{found} given; give exactly one of `potential` and `energy`.")
        elif form.energy is not None:
            arguments = energy_arguments(form, _ndim(particles, grid))
            yield from _formula(path, form, arguments, constants)
        elif ":" in str(form.potential):
            file, _, function = str(form.potential).rpartition(":")
            if not file.endswith(".py") or not function.isidentifier():
                yield Mistake(
                    f"{path}.potential", f'found {form.potential!r}; it must be "file.py:name".'
                )
        else:
            yield from _library(path, form)
    if particles is not None and particles.dynamics in KINDS:
        for key in interactions(particles):
            yield Mistake(f"particles.{key}", "particles of a lattice gas only meet at its sites.")
        if particles.masses != Particles.model_fields["masses"].default:
            yield Mistake("particles.masses", "particles of a lattice gas have none.")
    if particles is not None and particles.dynamics == "hard_rods":
        if _ndim(particles, grid) > 1:
            yield Mistake("particles.dynamics", "found 'hard_rods', which live on a line only.")
        for key in interactions(particles):
            yield Mistake(f"particles.{key}", "hard rods only collide; nothing else acts on them.")
    if particles is not None and particles.angles is not None and particles.bonds is None:
        yield Mistake("particles.angles", "angles lie between bonds: give `bonds` too.")


def _ndim(particles: Particles | None, grid: Grid) -> int:
    given = None if particles is None else particles.dimensions
    return len(grid.domain) if given is None else given


def energy_arguments(form: Interaction, ndim: int) -> tuple[str, ...]:
    """The variables of an energy: the distance r, the cosine c, or the coordinates."""
    if isinstance(form, AnglesForm):
        return ("c",)
    return _AXES[:ndim] if isinstance(form, FieldForm) else ("r",)


def _formula(
    path: str, form: Interaction, arguments: tuple[str, ...], constants: Mapping[str, float]
) -> Iterator[Mistake]:
    names = (*arguments, *form.parameters, *constants)
    for name in form.parameters:
        if not name.isascii() or not name.isidentifier():
            yield Mistake(f"{path}.{name}", "a name has letters, digits and `_` only.")
        elif name in arguments:
            yield Mistake(f"{path}.{name}", "this is the variable of the energy; choose another.")
    try:
        energy(str(form.energy), dict.fromkeys(names))
    except CaseError as error:
        yield Mistake(f"{path}.energy", str(error))


def library_parameters(form: Interaction) -> Mapping[str, tuple[str, ...]]:
    """Energies of the library for one kind of interaction, and the names of their parameters."""
    if isinstance(form, PairForm | BondsForm):
        return {name: one.parameters for name, one in POTENTIALS.items()}
    table = ANGLES if isinstance(form, AnglesForm) else FIELDS
    return {
        name: tuple(n for n in inspect.signature(one).parameters if n not in (*_AXES, "c"))
        for name, one in table.items()
    }


def _library(path: str, form: Interaction) -> Iterator[Mistake]:
    known = library_parameters(form)
    if form.potential not in known:
        found = f"found {form.potential!r}, which is not in the library."
        yield Mistake(f"{path}.potential", f"{found} {suggestion(str(form.potential), known)}")
        return
    wanted = known[str(form.potential)]
    for name in form.parameters:
        if name not in wanted:
            keys = (*wanted, *type(form).model_fields)
            yield Mistake(f"{path}.{name}", unknown_key(name, keys))
    for name in wanted:
        if name in SIZES and np.min(form.parameters.get(name, 1.0)) <= 0:
            yield Mistake(
                f"{path}.{name}", f"found {form.parameters[name]}; it must be greater than 0."
            )
        if name not in form.parameters:
            yield Mistake(
                f"{path}.{name}", f"potential `{form.potential}` needs it, but it is missing."
            )


def check_patches_of_particles(
    particles: Particles | None, grid: Grid, scheme: Scheme
) -> Iterator[Mistake]:
    """Patches of particles are boxes without sites."""
    if particles is None:
        if scheme.kind in (*BOXES, *HELD):
            yield Mistake("scheme.kind", f"found {scheme.kind!r}, which needs [particles].")
        return
    defaults = Grid.model_validate({"domain": grid.domain, "patches": grid.patches})
    for key in _OF_LATTICES:
        if getattr(grid, key) != getattr(defaults, key):
            yield Mistake(f"grid.{key}", "this has no effect with particles; it is for lattices.")
    if scheme.kind == "coupled":
        yield Mistake(
            "scheme.kind",
            "found 'coupled'; particles are run with 'flux', 'burst', 'box', 'box_flux' and "
            "'stretch'.",
        )
    for key in ("core", "buffer"):
        given = getattr(grid, key)
        if scheme.kind in (*BOXES, *HELD) and given is not None:
            yield Mistake(f"grid.{key}", f"this has no effect with kind = {scheme.kind!r}.")
        elif scheme.kind in ("flux", "burst") and given is None:
            yield Mistake(f"grid.{key}", "patches of particles need it, but it is missing.")
        elif given is not None and len(set(given)) > 1:
            yield Mistake(f"grid.{key}", "it is the same along all axes; give one number.")
    if grid.core is not None and grid.buffer is not None:
        width, cell = grid.core[0] + 2 * grid.buffer[0], _narrowest_cell(grid)
        if width > cell * (1 + 1e-9):
            yield Mistake(
                "grid.core",
                f"patches, {width:g} wide with their buffers, would overlap: they are {cell:g} "
                "apart. Use fewer patches, or a narrower core or buffer.",
            )
    if particles.dimensions is not None and scheme.kind not in (*BOXES, *HELD):
        yield Mistake("particles.dimensions", "this is for boxes; the grid says it here.")
    if scheme.kind == "stretch" and particles.bonds is None:
        yield Mistake("particles.bonds", "what is stretched is a chain: give its bonds.")
    counted = scheme.kind in BOXES or particles.bonds is not None
    if counted and particles.number is None:
        yield Mistake("particles.number", "boxes and chains need it, but it is missing.")
    elif not counted and particles.number is not None:
        yield Mistake(
            "particles.number",
            "this is for boxes and chains; elsewhere it follows from the density.",
        )


def _narrowest_cell(grid: Grid) -> float:
    return min((hi - lo) / n for (lo, hi), n in zip(grid.domain, grid.patches, strict=False))


def check_measures(particles: Particles | None, scheme: Scheme) -> Iterator[Mistake]:
    """What is to be measured in boxes or of chains is something that can be."""
    if particles is None or scheme.kind not in HELD:
        return
    known = (boxes if scheme.kind == "box" else stretch).QUANTITIES
    for name in scheme.measure or ():
        if name not in known:
            yield Mistake("scheme.measure", f"nothing measures `{name}`. {suggestion(name, known)}")


def check_cutoff(
    particles: Particles | None, grid: Grid, scheme: Scheme, members: Mapping[str, Any]
) -> Iterator[Mistake]:
    """No particle of a periodic box meets two images of another."""
    if particles is None or scheme.kind not in BOXES:
        return
    densities = (*members.get("density", ()), *filter(None, [particles.density]))
    if particles.pair is None or particles.number is None or not densities or min(densities) <= 0:
        return
    width = (particles.number / max(densities)) ** (1 / _ndim(particles, grid))
    if 2 * particles.pair.cutoff > width * (1 + 1e-9):
        yield Mistake(
            "particles.pair.cutoff",
            f"found {particles.pair.cutoff:g}; boxes of {particles.number} particles are only "
            f"{width:.4g} wide, and a cutoff must not exceed half of that.",
        )


def check_patches_shown(
    particles: Particles | None, grid: Grid, scheme: Scheme, output: Output
) -> Iterator[Mistake]:
    """Particles are kept of patches that there are."""
    if particles is None or isinstance(output.particles, bool):
        return
    count = math.prod(grid.patches) * scheme.boxes * scheme.chains
    if scheme.kind in ("flux", "box_flux"):
        count = len(grid.domain) * math.prod(n + 1 for n in grid.patches)
    if max(output.particles) >= count:
        yield Mistake(
            "output.particles",
            f"found {max(output.particles)}; a member has at most {count} patches, numbered from "
            "0.",
        )


def check_fields_of_particles(
    particles: Particles | None, scheme: Scheme, initial: Mapping[str, Any]
) -> Iterator[Mistake]:
    """What is given at the beginning is what the scheme begins with."""
    if particles is None:
        return
    known = fields_of(particles, scheme)
    if scheme.kind == "box_flux" and not known:
        yield Mistake(
            "particles.dynamics",
            f"found {particles.dynamics!r}; fluxes in boxes are driven by {' or '.join(LAWS)}.",
        )
        return
    for name in known if scheme.kind not in HELD else ():
        if name not in initial:
            yield Mistake(f"initial.{name}", "this field is needed, but missing.")
    for name in initial:
        if name not in known:
            yield Mistake(f"initial.{name}", f"there is no such field. {suggestion(name, known)}")


def check_bursts_of_particles(
    particles: Particles | None, scheme: Scheme, burst: Burst | None, time: Time
) -> Iterator[Mistake]:
    """Bursts of particles have their own estimator and their own time step."""
    if particles is None:
        return
    if time.micro != Time.model_fields["micro"].default:
        yield Mistake("time.micro", "this has no effect with particles; `dynamics` says it.")
    if scheme.kind in HELD and time.dt is None:
        yield Mistake("time.dt", f"kind = {scheme.kind!r} needs it, but it is missing.")
    if scheme.kind not in HELD and time.dt is not None:
        yield Mistake("time.dt", "this has no effect with bursts of particles; give `burst.dt`.")
    if burst is None or scheme.kind in HELD:
        return
    for key in ("slope", "extrapolate"):
        if getattr(burst, key) != Burst.model_fields[key].default:
            yield Mistake(
                f"burst.{key}",
                "this has no effect with particles: slopes of Brownian noise are taken from the "
                "ends of the healed burst.",
            )
    moving = interactions(particles) or particles.dynamics not in _WITHOUT_STEP
    if moving and burst.dt is None:
        yield Mistake("burst.dt", "particles that interact need it, but it is missing.")


def check_results_of_particles(
    particles: Particles | None,
    coefficients: Mapping[str, Any],
    output: Output,
    compare: Compare | None,
) -> Iterator[Mistake]:
    """Particles have no medium, no sites and no full lattice."""
    if particles is None:
        if output.particles is not False:
            yield Mistake("output.particles", "there are no particles; for sites: patches = true.")
        return
    if output.particles and particles.dynamics in KINDS:
        yield Mistake("output.particles", "patches of a lattice gas hold numbers at sites.")
    if coefficients:
        yield Mistake("coefficients", "this has no effect with particles; use `particles.field`.")
    if output.patches:
        yield Mistake("output.patches", "patches of particles have no sites: particles = true.")
    if compare is not None and compare.full_domain:
        yield Mistake("compare.full_domain", "this is for lattices; give an exact solution.")


PARTICLE_CHECKS = (
    check_micro_model,
    check_dynamics,
    check_interactions,
    check_patches_of_particles,
    check_measures,
    check_cutoff,
    check_patches_shown,
    check_fields_of_particles,
    check_bursts_of_particles,
    check_results_of_particles,
)

"""Turn a case with `[particles]` into a model, a scheme and initial values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gpupatch.arrays import Backend
from gpupatch.burst import Burst
from gpupatch.errors import CaseError
from gpupatch.files.case import Case
from gpupatch.files.energy import energy
from gpupatch.files.forms import FileInitial, RandomInitial
from gpupatch.files.particle_checks import energy_arguments, fields_of, imposed, parameters
from gpupatch.files.particles import BOXES, Interaction, Particles
from gpupatch.grid import PatchGrid
from gpupatch.memory import numbers, require
from gpupatch.particles import interaction, library
from gpupatch.particles.dynamics import DYNAMICS
from gpupatch.particles.lattice_gas import KINDS, LatticeGas
from gpupatch.particles.model import Neighbours, ParticleModel
from gpupatch.particles.potential import Potential, potential
from gpupatch.particles.state import PARTICLE
from gpupatch.run.code import names_in
from gpupatch.run.formulas import make_faces, of_position
from gpupatch.run.sections import made_of
from gpupatch.scheme.box_flux import BoxFluxScheme
from gpupatch.scheme.boxes import BoxProblem, BoxScheme
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.interface import Scheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.scheme.particle_problem import ParticleProblem, particle_grid
from gpupatch.scheme.problem import call
from gpupatch.scheme.sampling import Sampling
from gpupatch.scheme.stretch import StretchProblem, StretchScheme


def build_particles(
    case: Case, backend: Backend, trust: bool
) -> tuple[Scheme, list[dict[str, Any]]]:
    """Make the scheme of a case of particles, and its initial values.

    Args:
        case: a case with `[particles]`.
        backend: where the patches will live.
        trust: whether files of Python are accepted.

    Returns:
        The scheme, and initial values by field, one mapping per member.

    Raises:
        InputError: if something in the case cannot be run.
    """
    particles = case.particles
    assert particles is not None
    with made_of("particles"):
        model = make_model(case, particles, trust)
        if case.scheme.kind in BOXES:
            problem: ParticleProblem = make_boxes(case, particles, model)
        elif case.scheme.kind == "stretch":
            problem = make_chains(case, particles, model)
        else:
            problem = make_patches(case, particles, model)
    made = {
        tuple(values.items()): {
            name: make_initial(case, name, given, values) for name, given in case.initial.items()
        }
        for values in case.member_values
    }
    with made_of("initial"):
        check_size(case, particles, problem, made.values())
        check_positive(problem, made.values())
    initial = [made[tuple(values.items())] for values in problem.member_values]
    with made_of("scheme"):
        return make_scheme(case, particles, problem, backend), initial


def make_model(case: Case, particles: Particles, trust: bool) -> ParticleModel | LatticeGas:
    """The particles of a case."""
    names = set(parameters(particles.dynamics)) & particles.given.keys()
    given = {name: getattr(particles, name) for name in names}
    if particles.dynamics in KINDS:
        return LatticeGas(particles.dynamics, **given)
    ndim = particles.dimensions or case.ndim
    return ParticleModel(
        ndim=ndim,
        dynamics=DYNAMICS[particles.dynamics](**given),
        pair=_pair(case, particles, trust),
        bonds=_bonds(case, particles, trust),
        angles=_angles(case, particles, trust),
        field=_field(case, particles, trust, ndim),
        boundary=("open",) * ndim if case.scheme.kind == "stretch" else (),
        masses=particles.masses,
        neighbours=Neighbours(**dict(particles.neighbours)),
    )


def _pair(case: Case, particles: Particles, trust: bool) -> interaction.Pair | None:
    form = particles.pair
    if form is None:
        return None
    acting, numbers = _potential(case, "pair", form, trust)
    return interaction.Pair(acting, numbers, form.cutoff, form.truncation, form.mixing)


def _bonds(case: Case, particles: Particles, trust: bool) -> interaction.Bonds | None:
    form = particles.bonds
    if form is None or particles.number is None:
        return None
    acting, numbers = _potential(case, "bonds", form, trust)
    pairs = interaction.chain(particles.number, closed=form.topology == "ring")
    return interaction.Bonds(acting, numbers, pairs)


def _angles(case: Case, particles: Particles, trust: bool) -> interaction.Angles | None:
    form = particles.angles
    if form is None or particles.number is None:
        return None
    function, numbers = _function(case, "angles", form, library.ANGLES, trust, 1)
    return interaction.Angles(function, numbers, interaction.chain_angles(particles.number))


def _field(case: Case, particles: Particles, trust: bool, ndim: int) -> interaction.Field | None:
    form = particles.field
    if form is None:
        return None
    function, numbers = _function(case, "field", form, library.FIELDS, trust, ndim)
    return interaction.Field(function, numbers)


def _potential(
    case: Case, key: str, form: Interaction, trust: bool
) -> tuple[Potential, Mapping[str, Any]]:
    """The potential that a form means, and the values of its parameters."""
    if form.energy is not None:
        function, numbers = _formula(case, key, form, 1)
        return potential(function), numbers
    name = str(form.potential)
    with made_of(f"particles.{key}.potential"):
        found = _from_file(case, key, name, trust) if ":" in name else library.get(name)
    if not isinstance(found, Potential):
        raise CaseError(
            f"`particles.{key}.potential`: `{name}` is no potential. Decorate a function of that "
            "name with `@gp.potential`."
        )
    return found, form.parameters


def _function(
    case: Case, key: str, form: Interaction, known: Mapping[str, Callable], trust: bool, ndim: int
) -> tuple[Callable, Mapping[str, Any]]:
    """The energy that a form means as a function, and the values of its parameters."""
    if form.energy is not None:
        return _formula(case, key, form, ndim)
    name = str(form.potential)
    with made_of(f"particles.{key}.potential"):
        found = _from_file(case, key, name, trust) if ":" in name else known[name]
    if not callable(found):
        raise CaseError(f"`particles.{key}.potential`: the file of `{name}` has no such function.")
    return found, form.parameters


def _formula(
    case: Case, key: str, form: Interaction, ndim: int
) -> tuple[Callable, Mapping[str, Any]]:
    """A formula as a function of its variables and of the parameters and constants that it uses."""
    numbers = {**case.constants, **form.parameters}
    arguments = energy_arguments(form, ndim)
    function = energy(str(form.energy), dict.fromkeys((*arguments, *numbers)), key)
    return function, numbers


def _from_file(case: Case, key: str, reference: str, trust: bool) -> Any:
    path = f"particles.{key}.potential"
    file = case.rule_file(reference, trust=trust)
    return names_in(file, path).get(file.function)


def make_patches(
    case: Case, particles: Particles, model: ParticleModel | LatticeGas
) -> ParticleProblem:
    """Open patches of a core between buffers."""
    grid = case.grid
    assert grid.core is not None
    assert grid.buffer is not None
    core = grid.core[0]
    return ParticleProblem(
        model=model,
        grid=_grid(case, core + 2 * grid.buffer[0]),
        controls=_controls(case, particles),
        names=fields_of(particles, case.scheme),
        core=core,
        members=case.members,
        replicas=case.run.replicas,
        dtype=case.run.dtype,
        seed=case.run.seed,
    )


def make_boxes(case: Case, particles: Particles, model: ParticleModel | LatticeGas) -> BoxProblem:
    """Periodic boxes at imposed states."""
    pair, n = particles.pair, particles.number
    assert n is not None
    grid = _cells(case)
    if case.scheme.kind == "box_flux":
        density = particles.density or min(case.members["density"])
        width = min((n / density) ** (1 / model.ndim), min(grid.gap))
        grid = _grid(case, width)
    return BoxProblem(
        model=model,
        grid=grid,
        controls=_controls(case, particles),
        names=case.field_names,
        members=case.members,
        replicas=case.run.replicas,
        dtype=case.run.dtype,
        seed=case.run.seed,
        particles=n,
        tails=pair is not None and pair.tail,
    )


def make_chains(
    case: Case, particles: Particles, model: ParticleModel | LatticeGas
) -> StretchProblem:
    """Chains under imposed forces."""
    return StretchProblem(
        model=model,
        grid=_cells(case),
        controls=_controls(case, particles),
        names=case.field_names,
        members=case.members,
        replicas=case.run.replicas,
        dtype=case.run.dtype,
        seed=case.run.seed,
    )


def _cells(case: Case) -> PatchGrid:
    """Cells of a grid whose patches do not lie in its space."""
    grid = case.grid
    cell = min((hi - lo) / n for (lo, hi), n in zip(grid.domain, grid.patches, strict=True))
    return _grid(case, cell)


def _grid(case: Case, width: float) -> PatchGrid:
    """Patches of a width at the centres of the cells."""
    with made_of("grid"):
        return particle_grid(case.grid.domain, case.grid.patches, width, _boundary(case))


def _controls(case: Case, particles: Particles) -> dict[str, float]:
    wanted = imposed(particles, case.scheme)
    return {name: value for name, value in particles.given.items() if name in wanted}


def _boundary(case: Case) -> list[Any]:
    return ["periodic" if isinstance(b, str) else make_faces(case, b) for b in case.grid.boundary]


def make_initial(case: Case, name: str, given: Any, member: Mapping[str, float]) -> Callable:
    """The initial value of one field of one member as a function of position.

    Raises:
        CaseError: if it is no formula.
    """
    if isinstance(given, FileInitial | RandomInitial):
        raise CaseError(
            f"`initial.{name}`: fields of particles begin with a number or a formula, whose "
            "averages over the cells are taken."
        )
    return of_position(case, given, member, case.time.start)


def check_size(
    case: Case,
    particles: Particles,
    problem: ParticleProblem,
    initial: Iterable[Mapping[str, Callable]],
) -> None:
    """Refuse runs whose particles would not fit into memory, before anything is made.

    Raises:
        InputError: with the number of particles.
    """
    patches = math.prod(problem.grid.patches) * len(problem.member_values)
    patches *= case.scheme.boxes * case.scheme.chains if case.burst is None else case.burst.replicas
    cure = "Use fewer or narrower patches, fewer replicas or a larger `scheme.weight`."
    require(numbers(PARTICLE, patches), f"{patches} patches (members and replicas included)", cure)
    each = float(particles.number or 0)
    if particles.number is None:
        x = np.meshgrid(*problem.grid.centres, indexing="ij")
        densest = max(float(np.max(call(one["density"], x, None))) for one in initial)
        each = densest * math.prod(problem.width) / case.scheme.weight
    each = min(max(each, 1.0), 1e18)
    require(
        numbers(PARTICLE, patches, math.ceil(each)),
        f"{patches} patches (members and replicas included) with about {each:.3g} particles each",
        cure,
    )


def check_positive(problem: ParticleProblem, initial: Iterable[Mapping[str, Callable]]) -> None:
    """Refuse what particles cannot be: fewer than none, or colder than cold.

    Raises:
        CaseError: with the place where a density, energy or temperature is negative.
    """
    x = np.meshgrid(*problem.grid.centres, indexing="ij")
    for one in initial:
        for name in {"density", "energy", "temperature"} & one.keys():
            values = np.broadcast_to(call(one[name], x, None), problem.grid.patches)
            if values.min() < 0:
                worst = np.unravel_index(values.argmin(), values.shape)
                where = ", ".join(f"{axis[worst]:g}" for axis in x)
                raise CaseError(
                    f"`initial.{name}`: it is {values.min():g} at x = ({where}); particles need "
                    "one that is nowhere negative."
                )


def make_scheme(
    case: Case, particles: Particles, problem: ParticleProblem, backend: Backend
) -> Scheme:
    """The patch scheme of a case of particles."""
    given, section = case.scheme, case.burst
    settle = 10.0 if given.settle is None else given.settle
    if given.kind == "box":
        assert isinstance(problem, BoxProblem)
        assert case.time.dt is not None
        return BoxScheme(problem, backend, case.time.dt, given.boxes, settle)
    if given.kind == "stretch":
        assert isinstance(problem, StretchProblem)
        assert case.time.dt is not None
        return StretchScheme(problem, backend, case.time.dt, given.chains, settle)
    if section is None:
        raise CaseError(f"`burst`: the `{given.kind}` scheme needs the length of its bursts.")
    burst = Burst(
        length=section.length, heal=section.heal, dt=section.dt, replicas=section.replicas
    )
    if given.order == "spectral":
        raise CaseError("`scheme.order`: schemes of particles have orders 2, 4, 6 and 8.")
    if given.kind == "box_flux":
        assert isinstance(problem, BoxProblem)
        return BoxFluxScheme(
            problem, backend, burst, given.order, given.strength, given.capacity, settle,
            given.tolerance, case.run.quarantined,
        )  # fmt: skip
    sampling = Sampling(
        lift=given.lift or "low_noise",
        number=given.number,
        weight=given.weight,
        edges=given.edge,
        refill=given.refill,
        common=given.common,
        tolerance=given.tolerance,
        max_replicas=given.max_replicas or 64,
    )
    if given.kind == "burst":
        return ParticleBurstScheme(
            problem, backend, burst, given.kernel or "box", sampling, case.run.quarantined
        )
    if particles.bonds is not None:
        return ChainFluxScheme(
            problem, backend, burst, given.order, sampling.tolerance, sampling.max_replicas,
            given.diffusivity, case.run.quarantined,
        )  # fmt: skip
    return ParticleFluxScheme(
        problem, backend, burst, given.order, sampling, given.diffusivity, case.run.quarantined
    )

"""Turn a case into a rule, a grid, a scheme, initial values and the truth to compare with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpupatch import solutions
from gpupatch.arrays import Backend, Macro
from gpupatch.burst import Burst
from gpupatch.errors import CaseError, InputError
from gpupatch.files.case import Case, NamedSolution
from gpupatch.files.forms import (
    CellCoefficient,
    ExpressionCoefficient,
    FileCoefficient,
    FileInitial,
    RandomCoefficient,
    RandomInitial,
)
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.micro.coefficients import Cell, Lognormal, Profile
from gpupatch.micro.rule import Rule
from gpupatch.projection import Projection
from gpupatch.run.build_particles import build_particles
from gpupatch.run.code import names_in
from gpupatch.run.formulas import make_faces, of_position
from gpupatch.run.initial import random_field, read_array, stored_field
from gpupatch.run.sections import made_of
from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme, Problem, Scheme


@dataclass(frozen=True, eq=False)
class Parts:
    """Everything that `simulate` needs, made from a case.

    Attributes:
        scheme: the patch scheme with its problem and backend.
        initial: initial value of each field, one mapping per member.
        projection: the method that leaps, or None.
        exact: the exact solution as coarse values of time, or None.
    """

    scheme: Scheme
    initial: list[dict[str, Any]]
    projection: Projection | None
    exact: Callable[[float], Macro] | None


def build(case: Case, backend: Backend, trust: bool = False) -> Parts:
    """Make the parts of a run.

    Args:
        case: the case.
        backend: where the patches will live.
        trust: whether a rule file and paths outside the case's directory are accepted.

    Returns:
        The parts.

    Raises:
        InputError: if something in the case cannot be run; nothing has been written then.
    """
    if case.particles is not None:
        scheme, initial = build_particles(case, backend, trust)
        return _with_exact(case, scheme, initial)
    with made_of("model"):
        rule = make_rule(case, trust)
    if case.run.replicas > 1 and not rule.noise:
        raise CaseError(
            f"`run.replicas`: rule `{rule.name}` has no noise, so that all replicas would be equal."
        )
    with made_of("grid"):
        grid = make_grid(case)
    coefficients = {}
    for name, form in case.coefficients.items():
        with made_of(f"coefficients.{name}"):
            coefficients[name] = make_coefficient(case, form, trust)
    check_places(case, rule)
    read = {name for one in coefficients.values() for name in getattr(one, "parameters", ())}
    problem = Problem(
        rule=rule,
        grid=grid,
        parameters={
            name: number
            for name, number in case.numbers().items()
            if name in case.parameters or name in read
        },
        coefficients=coefficients,
        members=case.members,
        replicas=case.run.replicas,
        dtype=case.run.dtype,
        seed=case.run.seed,
    )
    with made_of("model.params"):
        for values in case.member_values:
            problem.parameter_values(values)
    with made_of("scheme"):
        scheme = make_scheme(case, problem, backend)
    made = {
        tuple(values.items()): make_initials(case, grid, trust, values)
        for values in case.member_values
    }
    stray = sorted(set(case.initial) - set(rule.fields))
    if stray:
        raise CaseError(
            f"`initial.{stray[0]}`: rule `{rule.name}` has the fields {', '.join(rule.fields)}."
        )
    for functions in made.values():
        with made_of("initial"):
            if isinstance(scheme, BurstScheme | FluxScheme):
                scheme.averages(functions, None)
            else:
                problem.sample(functions, None, 1)
    initial = [made[tuple(values.items())] for values in problem.member_values]
    return _with_exact(case, scheme, initial)


def _with_exact(case: Case, scheme: Scheme, initial: list[dict[str, Any]]) -> Parts:
    """The parts with the leaps and the exact solution, which is tried at both ends of the run."""
    exact = None if case.exact is None else functools.partial(exact_values, case, scheme)
    if exact is not None:
        for t in (case.time.start, case.time.end):
            with made_of("compare.exact"), np.errstate(all="ignore"):
                if not np.isfinite(exact(t)).all():
                    raise CaseError(
                        f"`compare.exact`: it is not finite everywhere at t = {t:g}. Give one that "
                        "is finite from the start to the end of the run."
                    )
    with made_of("time"):
        projection = make_projection(case)
    return Parts(scheme, initial, projection, exact)


def check_start(case: Case, parts: Parts) -> None:
    """Refuse what the first burst would refuse, before anything is written.

    Args:
        case: the case.
        parts: what was made of it.

    Raises:
        SchemeError: if bursts would measure the edges of their patches.
    """
    scheme = parts.scheme
    if isinstance(scheme, BurstScheme | FluxScheme) and scheme.guarded:
        with made_of("burst.length"):
            scheme.check_healing(case.time.start, scheme.initial(parts.initial, case.time.start))
        scheme.guarded = False


def check_places(case: Case, rule: Rule) -> None:
    """Refuse coefficients that the case places elsewhere than the rule reads them.

    Raises:
        CaseError: if `at` contradicts the rule.
    """
    for name, given in case.coefficients.items():
        faces = [face for owner, face in rule.coefficient_arrays if owner == name]
        read = {"sites" if face < 0 else "faces" for face in faces}
        if given.at is not None and read and given.at not in read:
            where = " and ".join(sorted(read))
            raise CaseError(
                f"`coefficients.{name}.at`: it says {given.at!r}, but rule `{rule.name}` reads "
                f"`{name}` at {where}. Leave `at` out, or change the rule."
            )


def make_rule(case: Case, trust: bool) -> Rule:
    """The library rule that the case names, or the rule in its file.

    Raises:
        InputError: if there is no such rule, or the file may not be run.
    """
    if case.model is not None and case.model.name is not None:
        return lattice.get(case.model.name, case.ndim)
    file = case.rule_file(case.code["model.rule"], trust=trust)
    rule = names_in(file, "model.rule").get(file.function)
    if not isinstance(rule, Rule):
        raise CaseError(
            f"`model.rule`: `{file.path}` defines no rule `{file.function}`. Decorate a function "
            "of that name with `@gp.rule`."
        )
    return rule


def make_grid(case: Case) -> PatchGrid:
    """The patch grid of a case."""
    grid = case.grid
    return PatchGrid(
        domain=grid.domain,
        patches=grid.patches,
        sites=grid.sites,
        ratio=grid.ratio,
        dx=grid.dx,
        boundary=tuple(
            "periodic" if isinstance(b, str) else make_faces(case, b) for b in grid.boundary
        ),
        core=grid.core,
        buffer=grid.buffer,
        positions=grid.positions,
        offset=grid.offset,
        edges=grid.edges,
        allow_overlap=grid.allow_overlap,
        edgy=case.scheme.couple == "edgy",
        cells=case.scheme.kind == "flux",
    )


def make_coefficient(case: Case, given, trust: bool):
    """The medium that one entry of `[coefficients]` describes."""
    if isinstance(given, ExpressionCoefficient):
        formula, axes = case.formula(given.expr, timed=False), case.axes
        names = tuple(name for name in formula.names if name not in axes)
        return Profile(lambda *x, **p: formula(**dict(zip(axes, x, strict=True)), **p), names)
    if isinstance(given, CellCoefficient):
        return Cell(np.array(given.cell, dtype=float), given.axis)
    if isinstance(given, FileCoefficient):
        return Cell(read_array(case, given.file, trust), given.axis)
    if isinstance(given, RandomCoefficient):
        seed = case.run.seed if given.seed is None else given.seed
        return Lognormal(given.sigma, seed, given.median)
    raise CaseError(f"a coefficient of form {type(given).__name__} is not known.")


def make_initials(
    case: Case, grid: PatchGrid, trust: bool, member: Mapping[str, float]
) -> dict[str, Callable]:
    """The initial values of all fields of one member as functions of position, by name."""
    made = {}
    for name, given in case.initial.items():
        with made_of(f"initial.{name}"):
            made[name] = make_initial(case, grid, name, given, trust, member)
    return made


def make_initial(case: Case, grid: PatchGrid, name: str, given, trust: bool, member):
    """The initial value of one field of one member as a function of position."""
    if isinstance(given, FileInitial):
        return stored_field(grid, read_array(case, given.file, trust), f"initial.{name}")
    if isinstance(given, RandomInitial):
        seed = case.run.seed if given.seed is None else given.seed
        mean = of_position(case, given.mean, member, case.time.start)
        return random_field(grid, given, mean, seed + sum(map(ord, name)))
    return of_position(case, given, member, case.time.start)


def make_scheme(case: Case, problem: Problem, backend: Backend) -> Scheme:
    """The patch scheme of a case."""
    scheme, micro = case.scheme, case.time.micro
    burst = None
    if case.burst is not None:
        given = case.burst
        burst = Burst(
            length=given.length,
            heal=given.heal,
            dt=given.dt or case.time.dt,
            slope=given.slope,
            extrapolate=given.extrapolate,
            replicas=given.replicas,
        )
    if scheme.kind == "coupled":
        phases = scheme.phases * (case.ndim if len(scheme.phases) == 1 else 1)
        return CoupledScheme(
            problem,
            backend,
            order=scheme.order,
            kind=scheme.couple,
            every=scheme.every,
            phases=phases,
            micro=micro,
            dt=case.time.dt,
            burst=burst,
        )
    if burst is None:
        raise CaseError(f"`burst`: the `{scheme.kind}` scheme needs the length of its bursts.")
    if scheme.kind == "flux":
        if scheme.order == "spectral":
            raise CaseError("`scheme.order`: the `flux` scheme has orders 2, 4, 6 and 8.")
        return FluxScheme(problem, backend, burst, scheme.order, micro, case.run.quarantined)
    return BurstScheme(
        problem,
        backend,
        burst,
        order=scheme.order,
        micro=micro,
        edge=scheme.edge or "dirichlet",
        edge_rate=scheme.edge_rate,
        lift=scheme.lift or "polynomial",
        method=scheme.method,
        hidden={name: of_position(case, v, t=case.time.start) for name, v in scheme.hidden.items()},
        max_quarantined=case.run.quarantined,
    )


def make_projection(case: Case) -> Projection | None:
    """The method that leaps, or None for micro-steps throughout."""
    time = case.time
    if time.projection == "none":
        return None
    return Projection(
        time.projection, step=time.step, tol=time.tol, inner=time.inner, levels=time.levels
    )


def exact_values(case: Case, scheme: Scheme, t: float) -> Macro:
    """The exact solution of a case through the functional of its scheme.

    Args:
        case: a case with an exact solution.
        scheme: the scheme.
        t: time.

    Returns:
        [member, field, *patch axes].
    """
    alike: dict[tuple, list[int]] = {}
    for member, values in enumerate(scheme.member_values):
        alike.setdefault(tuple(values.items()), []).append(member)
    rows = {}
    for values, members in alike.items():
        functions = exact_functions(case, scheme.names, dict(values))
        found = scheme.exact(functions, t)
        rows |= {member: found[member] for member in members}
    return np.stack([rows[member] for member in sorted(rows)])


def exact_functions(case: Case, fields, member: Mapping[str, float]) -> dict[str, Callable]:
    """The exact solution of one member as functions of (x, [y, [z,]] t)."""
    given = case.exact
    if not isinstance(given, NamedSolution):
        if given is None:
            raise CaseError("`compare.exact` is missing.")
        missing = sorted(set(fields) - set(given))
        if missing:
            raise CaseError(f"`compare.exact`: no solution is given for field `{missing[0]}`.")
        return {name: of_position(case, text, member) for name, text in given.items()}
    solution = solutions.get(given.solution)
    numbers = {k: v for k, v in case.numbers(member).items() if k in solution.parameters}
    parameters = solution.complete({**numbers, **case.solution_parameters(member)})
    if len(fields) == len(solution.fields) == 1:
        names = {fields[0]: solution.fields[0]}
    else:
        names = {name: name for name in fields}
    lacking = sorted(set(names.values()) - set(solution.fields))
    if lacking:
        raise InputError(
            f"`compare.exact`: solution `{given.solution}` gives {', '.join(solution.fields)}, but "
            f"the case also has the field `{lacking[0]}`."
        )

    def one(name):
        return lambda *xt: solution.evaluate(xt[:-1], float(xt[-1]), **parameters)[name]

    return {name: one(source) for name, source in names.items()}

"""What has to hold between the keys and between the sections of a case file.

Each check is a generator of mistakes whose arguments name the sections that it reads; it is skipped
when one of them could not be read. What needs mathematics is checked where the grid, the rule and
the scheme are built.
"""

import inspect
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from gpupatch.errors import CaseError, suggestion
from gpupatch.files.expression import Expression
from gpupatch.files.faces import FaceCondition, Faces
from gpupatch.files.forms import (
    CellCoefficient,
    ExpressionCoefficient,
    FileCoefficient,
    FileInitial,
    RandomInitial,
)
from gpupatch.files.mistakes import Mistake
from gpupatch.files.particle_checks import PARTICLE_CHECKS, model_parameters
from gpupatch.files.particles import HELD, Particles
from gpupatch.files.schema import (
    PER_AXIS,
    Compare,
    Grid,
    Model,
    NamedSolution,
    Output,
    Scheme,
)
from gpupatch.files.scheme_checks import SCHEME_CHECKS
from gpupatch.files.values import Section, shape

AXES = ("x", "y", "z")
MEASURED = {"box": ("energy", "pressure"), "stretch": ("extension",)}
"""What is reported of patches held at a state where nothing else is said."""
_RESERVED = (*AXES, "t", "dx", "dy", "dz")


def find_mistakes(sections: Mapping[str, Any]) -> list[Mistake]:
    """Check the sections of a case against each other.

    Args:
        sections: those that could be read on their own, by name.

    Returns:
        Everything that does not fit, in the order of the sections.
    """
    found: list[Mistake] = []
    for check, needed in _CHECKS.items():
        if needed <= sections.keys():
            found += check(**{name: sections[name] for name in needed})
    return list(dict.fromkeys(found))


def _model(model: Model | None) -> Iterator[Mistake]:
    if model is None:
        return
    if (model.name is None) == (model.rule is None):
        found = "neither is" if model.name is None else "both are"
        yield Mistake("model", f"{found} given; give exactly one of `name` and `rule`.")
    if model.rule is not None:
        path, colon, function = model.rule.rpartition(":")
        if not colon or not path.endswith(".py") or not function.isidentifier():
            yield Mistake("model.rule", f'found {model.rule!r}; it must be "file.py:name".')


def _names(
    model: Model | None,
    particles: Particles | None,
    constants: Mapping[str, float],
    members: Mapping[str, Any],
) -> Iterator[Mistake]:
    for section, names in (
        ("model.params", {} if model is None else model.params),
        ("constants", constants),
        ("members", members),
    ):
        for name in names:
            if not name.isascii() or not name.isidentifier():
                yield Mistake(f"{section}.{name}", "a name has letters, digits and `_` only.")
            elif name in _RESERVED:
                yield Mistake(f"{section}.{name}", "this name belongs to the grid; choose another.")
    for name in model_parameters(model, particles).keys() & constants.keys():
        yield Mistake(f"constants.{name}", "a parameter has the same name; choose another.")


def _axes(grid: Grid) -> Iterator[Mistake]:
    ndim = len(grid.domain)
    if not 1 <= ndim <= len(AXES):
        yield Mistake("grid.domain", f"found {ndim} axes; give one [lo, hi] for each of 1 to 3.")
    for key in sorted(PER_AXIS):
        entries = getattr(grid, key)
        if entries is not None and len(entries) != ndim:
            yield Mistake(
                f"grid.{key}",
                f"found {len(entries)} entries, but the domain has {ndim} axes; give one per axis, "
                "or a single value for all.",
            )
    for axis, (lo, hi) in enumerate(grid.domain):
        if hi <= lo:
            yield Mistake(f"grid.domain.{axis}", f"found [{lo}, {hi}]; the second must be larger.")


def _spacing(grid: Grid, particles: Particles | None) -> Iterator[Mistake]:
    if particles is not None:
        return
    if (grid.ratio is None) == (grid.dx is None):
        found = "neither is" if grid.dx is None else "both are"
        yield Mistake("grid", f"{found} given; give exactly one of `ratio` and `dx`.")
    elif grid.ratio is not None and any(one != "periodic" for one in grid.boundary):
        yield Mistake("grid.ratio", "this is for periodic axes only; give `dx` instead.")
    if grid.sites is None and None in (grid.core, grid.buffer, grid.dx):
        yield Mistake("grid", "give `sites`, or all of `core`, `buffer` and `dx`.")


def _faces(grid: Grid) -> Iterator[Mistake]:
    for condition in _conditions(grid):
        kinds = ("dirichlet", "neumann", "robin")
        given = [kind for kind in kinds if getattr(condition, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            yield Mistake(
                "grid.boundary",
                f"found {found} at one end; give exactly one of dirichlet, neumann and robin.",
            )


def coarse_fields(scheme: Scheme, initial: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the coarse fields: what is given at the beginning, or measured in patches."""
    return scheme.measure or MEASURED[scheme.kind] if scheme.kind in HELD else tuple(initial)


def _output(output: Output, scheme: Scheme, initial: Mapping[str, Any]) -> Iterator[Mistake]:
    fields = coarse_fields(scheme, initial)
    for name in output.fields or ():
        if name not in fields:
            message = f"there is no field `{name}`. {suggestion(name, fields)}"
            yield Mistake("output.fields", message)
    if output.every != 1 and not output.patches and not output.particles:
        yield Mistake(
            "output.every", "this has no effect without patches = true or particles = true."
        )


def _compare(
    compare: Compare | None, scheme: Scheme, initial: Mapping[str, Any]
) -> Iterator[Mistake]:
    if compare is None:
        return
    fields = coarse_fields(scheme, initial)
    if (compare.exact is None) != compare.full_domain:
        found = "both are" if compare.full_domain else "neither is"
        yield Mistake("compare", f"{found} given; give one of `exact` and `full_domain = true`.")
    if isinstance(compare.exact, dict):
        for name in sorted(compare.exact.keys() - set(fields)):
            message = f"there is no field `{name}`. {suggestion(name, fields)}"
            yield Mistake(f"compare.exact.{name}", message)
    elif isinstance(compare.exact, str | float) and len(fields) > 1:
        yield Mistake("compare.exact", "with more than one field, give { field = formula, ... }.")


def _files(initial: Mapping[str, Any], coefficients: Mapping[str, Any]) -> Iterator[Mistake]:
    for section, entries in (("initial", initial), ("coefficients", coefficients)):
        for name, form in entries.items():
            if not isinstance(form, FileInitial | FileCoefficient):
                continue
            path, _, key = form.file.partition(":")
            suffix = PurePath(path).suffix
            if (suffix, bool(key)) not in ((".npz", True), (".npy", False)):
                yield Mistake(
                    f"{section}.{name}.file",
                    f'found {form.file!r}; it must be "values.npz:name" or "values.npy".',
                )


def _cells(grid: Grid, coefficients: Mapping[str, Any]) -> Iterator[Mistake]:
    ndim = len(grid.domain)
    for name, form in coefficients.items():
        axis = form.axis if isinstance(form, CellCoefficient | FileCoefficient) else None
        if axis is not None and axis >= ndim:
            yield Mistake(
                f"coefficients.{name}.axis", f"found {axis}; the axes are 0 to {ndim - 1}."
            )
        if isinstance(form, CellCoefficient):
            depth = len(shape(form.cell))
            if depth != (ndim if axis is None else 1):
                yield Mistake(
                    f"coefficients.{name}.cell",
                    f"found lists nested {depth} deep in {ndim} dimensions; nest them {ndim} deep, "
                    "or give a plain list and the `axis` along which it varies.",
                )


def _formulas(
    grid: Grid,
    model: Model | None,
    particles: Particles | None,
    constants: Mapping[str, float],
    members: Mapping[str, Any],
    coefficients: Mapping[str, Any],
    initial: Mapping[str, Any],
    scheme: Scheme,
    compare: Compare | None,
) -> Iterator[Mistake]:
    known = (*model_parameters(model, particles), *constants, *members)
    fixed = formula_variables(len(grid.domain), known, timed=False)
    timed = formula_variables(len(grid.domain), known, timed=True)
    for name, form in coefficients.items():
        if isinstance(form, ExpressionCoefficient):
            yield from _formula(f"coefficients.{name}.expr", form.expr, fixed)
    for name, form in initial.items():
        if isinstance(form, RandomInitial):
            yield from _formula(f"initial.{name}.mean", form.mean, timed)
        elif not isinstance(form, Section):
            yield from _formula(f"initial.{name}", form, timed)
    for name, form in scheme.hidden.items():
        yield from _formula(f"scheme.hidden.{name}", form, fixed)
        if name in initial:
            yield Mistake(
                f"initial.{name}",
                "this field is in `scheme.hidden`: it is no coarse variable and has no initial "
                "value. Leave one of them out.",
            )
    for condition in _conditions(grid):
        numbers = (condition.dirichlet, condition.neumann, *(condition.robin or ())[2:])
        for number in numbers:
            yield from _formula("grid.boundary", number, timed)
    exact = None if compare is None else compare.exact
    if isinstance(exact, dict):
        for name, formula in exact.items():
            yield from _formula(f"compare.exact.{name}", formula, timed)
    elif isinstance(exact, NamedSolution):
        for name, number in exact.params.items():
            yield from _formula(f"compare.exact.params.{name}", number, known)
    else:
        yield from _formula("compare.exact", exact, timed)


def _formula(path: str, text: Any, variables: tuple[str, ...]) -> Iterator[Mistake]:
    if isinstance(text, str):
        try:
            Expression(text, variables)
        except CaseError as error:
            yield Mistake(path, str(error))


def _conditions(grid: Grid) -> Iterator[FaceCondition]:
    for faces in grid.boundary:
        if isinstance(faces, Faces):
            for face in (faces.lo, faces.hi):
                yield face
                yield from face.fields.values()


def formula_variables(ndim: int, known: Collection[str], *, timed: bool) -> tuple[str, ...]:
    """Names that a formula of a case may use: coordinates, time, parameters and constants.

    Args:
        ndim: number of space dimensions.
        known: names of parameters, constants and swept values.
        timed: whether it may depend on t.
    """
    return tuple(dict.fromkeys([*AXES[:ndim], *(["t"] if timed else []), *known]))


_ALL = (
    *PARTICLE_CHECKS,
    _model,
    _names,
    _axes,
    _spacing,
    _faces,
    *SCHEME_CHECKS,
    _output,
    _compare,
    _files,
    _cells,
    _formulas,
)
_CHECKS = {check: frozenset(inspect.signature(check).parameters) for check in _ALL}
"""Every check, and the sections that it reads."""

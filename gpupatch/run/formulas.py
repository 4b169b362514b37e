"""Formulas of a case as functions of position and time, and as conditions at faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpupatch.errors import CaseError
from gpupatch.files.case import Case
from gpupatch.files.faces import FaceCondition, Faces
from gpupatch.grid import Face


def make_faces(case: Case, faces: Faces) -> tuple[Face, Face]:
    """Conditions at both ends of an axis."""

    def face(condition: FaceCondition) -> Face:
        a, b, c = condition.robin_form
        value: Any = c
        if isinstance(c, str):
            swept = sorted(set(case.formula(c).names) & set(case.members))
            if swept:
                raise CaseError(
                    f"`grid.boundary`: `{c}` depends on `{swept[0]}`, which `members` sweeps, but "
                    "all members share their boundary values. Run one case per value."
                )
            value = of_position(case, c)
        others = {name: face(other) for name, other in condition.fields.items()}
        return Face(float(a), float(b), value, others)

    return face(faces.lo), face(faces.hi)


def of_position(
    case: Case,
    text: float | str,
    member: Mapping[str, float] | None = None,
    t: float | None = None,
) -> Callable:
    """A formula of the case as a function of (x, [y, [z,]] t), or of position alone at fixed t."""
    formula, axes, numbers = case.formula(text), case.axes, case.numbers(member)

    def at(*xt):
        values = dict(zip((*axes, "t"), xt if t is None else (*xt, t), strict=True))
        known = {**numbers, **values}
        return formula(**{name: known[name] for name in formula.names})

    return at

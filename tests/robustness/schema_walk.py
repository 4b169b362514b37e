"""Every key that a case file may have, found by walking the models of its sections."""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from gpupatch.files.builtin import builtin_names, builtin_text
from gpupatch.files.case import Case
from gpupatch.files.toml import read_toml

DEEPEST = 6
"""Conditions at faces may hold conditions of fields, and so on."""
NAME = "k"
"""Stands for a name that users choose."""
_EXAMPLES = (
    1, 0.5, "values.npy", True, [1.0], [[0.0, 1.0]], "u", ["u"], [1], {"neumann": 0}, [1.0, 1.0, 0],
)  # fmt: skip


@dataclass(frozen=True)
class Key:
    """A key of a case file.

    Attributes:
        path: the names that lead to it.
        annotation: what its value has to be, `Annotated` included.
        beside: for each step of the path, what must stand beside it to make the table whole.
    """

    path: tuple[str, ...]
    annotation: Any
    beside: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def placed(self, table: dict[str, Any], value: Any) -> dict[str, Any]:
        """A copy of a case with this key set, and the tables around it made where they lack."""
        changed = copy.deepcopy(table)
        place = changed
        for part, beside in zip(self.path[:-1], self.beside[:-1], strict=True):
            for name, example in beside.items():
                place.setdefault(name, copy.deepcopy(example))
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        for name, example in self.beside[-1].items():
            place.setdefault(name, copy.deepcopy(example))
        place[self.path[-1]] = value
        return changed


@functools.cache
def bases() -> dict[str, dict[str, Any]]:
    """All built-in cases as tables."""
    return {name: read_toml(builtin_text(name), name) for name in builtin_names()}


def keys() -> list[Key]:
    """All keys of all sections; names that users choose are `NAME`."""
    return list(_keys(Case, (), ()))


def base_of(key: Key) -> dict[str, Any]:
    """A built-in case to which the key may be added."""
    return bases()["brownian_soft" if key.path[0] == "particles" else "burgers"]


def _keys(
    model: type[BaseModel], path: tuple[str, ...], beside: tuple[dict[str, Any], ...]
) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        annotation = field.rebuild_annotation()
        others = {
            other: example(f.rebuild_annotation())
            for other, f in model.model_fields.items()
            if path and other != name and f.is_required()
        }
        here, around = (*path, name), (*beside, others)
        yield Key(here, annotation, around)
        if len(here) < DEEPEST:
            yield from _inside(annotation, here, around)


def _inside(annotation: Any, path, beside) -> Iterator[Key]:
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from _keys(part, path, beside)
        elif get_origin(part) is dict:
            value = get_args(part)[1]
            yield Key((*path, NAME), value, (*beside, {}))
            if len(path) + 1 < DEEPEST:
                yield from _inside(value, (*path, NAME), (*beside, {}))


def _parts(annotation: Any) -> Iterator[Any]:
    """The alternatives of an annotation, and what its lists hold."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _parts(one)
    elif origin is tuple:
        for one in dict.fromkeys(get_args(annotation)):
            if one is not Ellipsis:
                yield from _parts(one)
    else:
        yield annotation


def example(annotation: Any) -> Any:
    """Something that may stand there."""
    for part in _parts(annotation):
        if get_origin(part) is Literal:
            return get_args(part)[0]
        if isinstance(part, type) and issubclass(part, BaseModel):
            return {
                name: example(field.rebuild_annotation())
                for name, field in part.model_fields.items()
                if field.is_required()
            }
    for candidate in _EXAMPLES:
        try:
            TypeAdapter(annotation).validate_python(candidate)
        except ValidationError:
            continue
        return candidate
    raise AssertionError(f"no example for {annotation}")

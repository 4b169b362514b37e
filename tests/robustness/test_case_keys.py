"""Wrong values for every key of a case file: each is told by the path of its key."""

import datetime
import math
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt
from pydantic import BaseModel
from robustness.schema_walk import NAME, Key, base_of, bases, keys

from gpupatch.errors import CaseError, GpupatchError
from gpupatch.files.case import Case, parse_case
from gpupatch.files.toml import dump_toml, read_toml

KEYS = {f"{number}-{key.name}": key for number, key in enumerate(keys())}
NOWHERE = datetime.date(2000, 1, 1)
"""A value of TOML that no key takes."""
ANYTHING: tuple[Any, ...] = (
    True, -1, 0, 7, 2.5, -1e308, 1e308, math.inf, math.nan, 10**30, 10**400, "", "x", "9**9**9",
    "1/0", "__import__('os').system('true')", "../a.py:f", "é", "\0", [], [[]], [1, [2, 3]], {},
    {"a": 1}, {"": {}}, {"file": "../x.npy"}, [math.nan], [{}], [10**400], [[1, 0]], NOWHERE,
)  # fmt: skip


def wrong_values(annotation: Any) -> list[Any]:
    """Values that something annotated like this cannot take, by its type and its bounds."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bare(parts[0]) + _beyond(parts[1:])
    return _bare(annotation)


def _bare(annotation: Any) -> list[Any]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        alternatives = [part for part in parts if part is not type(None)]
        return wrong_values(alternatives[0]) if len(alternatives) == 1 else [NOWHERE]
    if annotation is float:
        return [NOWHERE, True, "nonsense", math.inf, math.nan, 10**400, {"a": 1}]
    if annotation is int:
        return [NOWHERE, True, 1.5, "nonsense", "1", [[]], 10**400]
    if annotation is bool:
        return [NOWHERE, 1, 0, "true", []]
    if annotation is str:
        return [NOWHERE, 1, True, [], {}]
    if origin is Literal:
        return [NOWHERE, "nonsense", 17, True]
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return [NOWHERE, 7, "nonsense", [], [1]]
    if origin is tuple and parts[-1] is Ellipsis:
        return [NOWHERE, [NOWHERE], *([one] for one in wrong_values(parts[0]))]
    return [NOWHERE]


def _beyond(marks: tuple[Any, ...]) -> list[Any]:
    bounds: list[Any] = [mark for one in marks for mark in (one, *getattr(one, "metadata", ()))]
    lowest: list[Any] = [mark.gt for mark in bounds if isinstance(mark, Gt)]
    lowest += [mark.ge - 1 for mark in bounds if isinstance(mark, Ge)]  # pyright: ignore
    return [*lowest, *(value - 10 for value in lowest)]


def told(key: Key, value: Any) -> str:
    """What the case with this value is refused with."""
    try:
        parse_case(key.placed(base_of(key), value))
    except CaseError as error:
        return str(error)
    raise AssertionError(f"{key.name} = {value!r} was accepted")


def test_the_walk_finds_the_keys_of_every_section():
    names = {key.name for key in KEYS.values()}
    assert set(Case.model_fields) <= names
    assert {"particles.pair.cutoff", "grid.boundary.lo.robin", f"initial.{NAME}.waves"} <= names
    assert len(names) > 140


@pytest.mark.parametrize("name", KEYS)
def test_a_wrong_value_is_told_by_the_path_of_its_key(name):
    key = KEYS[name]
    for value in wrong_values(key.annotation):
        message = told(key, value)
        assert f"\n  {key.name}" in message, f"{key.name} = {value!r}: {message}"
        assert len(message) < 5000


@pytest.mark.parametrize("name", KEYS)
def test_whatever_stands_at_a_key_it_is_a_case_or_a_list_of_mistakes(name):
    key = KEYS[name]
    for value in ANYTHING:
        try:
            case = parse_case(key.placed(base_of(key), value))
        except CaseError:
            continue
        assert parse_case(read_toml(dump_toml(case.resolved()), "again")).resolved() == (
            case.resolved()
        )


_OPEN_ENDED = {("particles", key) for key in ("pair", "bonds", "angles", "field")}
"""Where every other key is a parameter of an energy."""
_CLOSED = [
    name
    for name, key in KEYS.items()
    if len(key.path) > 1 and NAME not in key.path and key.path[:2] not in _OPEN_ENDED
]


@pytest.mark.parametrize("name", _CLOSED)
def test_a_key_with_another_letter_is_told_with_the_nearest_name(name):
    key = KEYS[name]
    wrong = Key((*key.path[:-1], key.path[-1] + "q"), None, key.beside)
    message = told(wrong, 1)
    assert wrong.path[-1] in message
    assert "Did you mean" in message or "Known: " in message


CONTRADICTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "time.end": ("burgers", {"time": {"end": -1.0}}),
    "model": ("burgers", {"particles": {"dynamics": "newton"}}),
    "grid": ("burgers", {"grid": {"dx": 0.001}}),
    "burst": ("burgers", {"burst": {"length": 0.1}}),
    "grid.domain.0": ("burgers", {"grid": {"domain": [[1.0, -1.0]]}}),
    "scheme.chains": ("brownian_soft", {"scheme": {"chains": 3}}),
    "grid.core": ("brownian_soft", {"grid": {"core": 1e6}}),
    "particles.angles": ("brownian_soft", {"particles": {"angles": {"energy": "c"}}}),
    "particles.pair.sigma": ("lj_fluid", {"particles": {"pair": {"sigma": 0.0}}}),
    "particles.pair.cutoff": ("lj_couette", {"particles": {"pair": {"cutoff": 100.0}}}),
    "output.particles": ("brownian_soft", {"output": {"particles": [0, 99]}}),
    "time.dt": ("burgers", {"time": {"dt": 1e-300}}),
    "burst.dt": ("brownian_soft", {"burst": {"dt": 1e-300}}),
    "time.step": ("brownian_soft", {"time": {"step": 1e-300}}),
}


@pytest.mark.parametrize("path", CONTRADICTIONS)
def test_keys_that_contradict_each_other_are_told_by_path(path):
    name, changes = CONTRADICTIONS[path]
    table = dict(bases()[name])
    for section, entries in changes.items():
        table[section] = _merged(table.get(section, {}), entries)
    with pytest.raises(GpupatchError, match=rf"(?m)^  {path}: "):
        parse_case(table)


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: _merged(old.get(key, {}), one) for key, one in new.items()}}

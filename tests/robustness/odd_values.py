"""Values that the parser takes for a key, however odd: small, huge, undefined, contradictory."""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from robustness.schema_walk import NAME, Key, keys

from gpupatch.errors import CaseError
from gpupatch.files.case import Case, parse_case

NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2.5, 7, 1e-300, 1e-12, 1e-3, 1e3, 1e12, 1e300, -1e-3, -1e300, "2*pi", "sqrt(2)",
)  # fmt: skip
COUNTS: tuple[Any, ...] = (0, 1, 2, 3, 5, 8, 64, 10**4, 2**31 - 1, 2**63 - 1)
FORMULAS: tuple[Any, ...] = (
    "x", "t", "-1", "1/x", "0*x/(0*x)", "log(x - 3)", "exp(1000*x)", "1e308*(2 + x)",
    "where(x < 0.5, 1, 0)", "1e-320*x", "y", "k", "r", "c*r", "x**0.5", "sign(x)",
)  # fmt: skip
TEXTS: tuple[Any, ...] = (
    "", "x", "u", "no_such_name", "diffusion", "wave", "lennard_jones", "spring", "pressure",
    "velocity", "density", "a.py:f", "a.npy", "a.npz:u", "../a.npz:u", "\0.npy", "couette_start",
)  # fmt: skip
TABLES: tuple[Any, ...] = (
    {}, {"expr": "1/x"}, {"cell": [1.0, 0.0]}, {"cell": [1e308] * 7}, {"cell": [-1.0], "axis": 0},
    {"file": "a.npy"}, {"random": "lognormal", "sigma": 1e3}, {"random": "lognormal", "sigma": 0},
    {"random": "normal", "amplitude": 1e300}, {"random": "smooth", "amplitude": 1, "waves": 10**9},
    {"random": "uniform", "amplitude": -1, "mean": "1/x"}, {"dirichlet": "1/x"}, {"neumann": 1e300},
    {"robin": [0, 0, 1]}, {"robin": [1, -1, "t"]}, {"lo": {"dirichlet": 1}, "hi": {"neumann": 0}},
    {"dirichlet": 0, "fields": {"q": {"neumann": 0}}}, {"solution": "fisher_wave"},
    {"solution": "no_such"}, {"solution": "heat", "params": {"k": "1/0.0"}}, {"u": "1/x"},
    "periodic", "neumann", "equispaced", "chebyshev",
)  # fmt: skip
LISTS: tuple[Any, ...] = (
    [0.0], [1.0, 1.0], [0.5, 0.25], [1, 2, 3], [1e-300, 1e300], [[0.0, 1e-300]], [[-1e300, 1e300]],
    [[0, 1], [0, 1]], [[0, 1], [0, 1], [0, 1]], [8, 8], ["u"], ["u", "u"], [10**6, 10**6, 10**6],
    [0.0] * 8, [[1.0, 2.0], [3.0, 4.0]],
)  # fmt: skip


def odd_values(annotation: Any) -> list[Any]:
    """What may come to mind for something annotated like this; the parser refuses some of it."""
    groups = {id(group): group for group in _groups(annotation)}
    return [one for group in groups.values() for one in group]


def accepted(table: dict[str, Any], stride: int) -> Iterator[tuple[Key, Any, Case]]:
    """The odd values that the parser takes for the keys of a case, and the cases with them.

    Args:
        table: the case.
        stride: every so-manieth odd value is tried.
    """
    found = [one for key in keys() for one in named(key, table)]
    odd = ((key, value) for key in found for value in odd_values(key.annotation))
    for key, value in itertools.islice(odd, 0, None, stride):
        try:
            yield key, value, parse_case(key.placed(table, value), "odd")
        except CaseError:
            continue


def named(key: Key, table: dict[str, Any]) -> list[Key]:
    """A key with names that users choose replaced by those that a case has."""
    found: list[tuple[tuple[str, ...], Any]] = [((), table)]
    for part in key.path:
        found = [
            ((*path, name), place.get(name) if isinstance(place, dict) else None)
            for path, place in found
            for name in ([*_own(place), NAME] if part == NAME else [part])
        ]
    return [Key(path, key.annotation, key.beside) for path, _ in found]


def _own(place: Any) -> list[str]:
    return list(place) if isinstance(place, dict) else []


def _groups(annotation: Any) -> Iterator[tuple[Any, ...]]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _groups(parts[0])
        yield from (LISTS, TABLES, FORMULAS) if len(parts) > 1 else ()
    elif origin in (Union, types.UnionType):
        for one in parts:
            yield from _groups(one)
    elif origin is Literal:
        yield parts
    elif origin is tuple:
        yield from _groups(parts[0])
        yield LISTS
    elif annotation is bool:
        yield (True, False)
    elif annotation is int:
        yield COUNTS
    elif annotation is float:
        yield NUMBERS
    elif annotation is str:
        yield from (TEXTS, FORMULAS)
    else:
        yield from (TABLES, LISTS)

"""Public functions hold their callers to their annotations.

A function that is `checked` compares every argument with its annotation before it does anything,
so that a wrong type is told by name where it was given, and not by whatever fails first on it:

=====================================  ==================================================
annotation                             what is accepted
=====================================  ==================================================
``float``                              a finite real number, NumPy's too; no truth value
``int``                                a whole number of 64 bits, NumPy's too; no truth value
``Sequence[X]``                        a list, tuple or, for numbers, array of X; no text
``tuple[X, ...]``                      a list or tuple of X
``Mapping[str, X]``                    a mapping of X by name
``NDArray``                            an array of numbers
``ArrayLike``                          what NumPy makes an array of numbers of
a protocol                             what has its members
all else                               as `isinstance` says
=====================================  ==================================================
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike

from gpupatch.errors import GpupatchError, suggestion

Target = TypeVar("Target", bound=Callable[..., Any])

_LONGEST = 60
_WORD = 2**64
_ARRAYLIKE = frozenset(get_args(ArrayLike))
_EMPTY = inspect.Parameter.empty


def checked(error: type[GpupatchError]) -> Callable[[Target], Target]:
    """Hold the callers of a function, or of the constructor of a class, to its annotations.

    Args:
        error: raised with the name of the argument, what was found and what is accepted.

    Returns:
        A decorator; of a dataclass it stands above `@dataclass`.
    """

    def decorate(target: Any) -> Any:
        if isinstance(target, type):
            made: Any = target
            modules = [one.__module__ for one in reversed(target.__mro__)]
            made.__init__ = _held(made.__init__, target.__name__, modules, error)
            return target
        return _held(target, target.__name__, [target.__module__], error)

    return decorate


def bound(
    signature: inspect.Signature, name: str, error: type[GpupatchError], args: Any, kwargs: Any
) -> Mapping[str, Any]:
    """The arguments of a call by name.

    Args:
        signature: of the function.
        name: of the function.
        error: raised if arguments are missing or unknown.
        args: positional arguments.
        kwargs: keyword arguments.
    """
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as problem:
        known = [one for one in signature.parameters if one != "self"]
        stray = next((one for one in kwargs if one not in known), None)
        hint = f"It takes {', '.join(known)}." if stray is None else suggestion(stray, known)
        raise error(f"`{name}` cannot be called like this: {problem}. {hint}") from problem


def _held(
    function: Callable, name: str, modules: Sequence[str], error: type[GpupatchError]
) -> Callable:
    signature = inspect.signature(function)
    kinds: dict[str, _Kind] = {}

    @functools.wraps(function)
    def call(*args, **kwargs):
        given = bound(signature, name, error, args, kwargs)
        if not kinds:
            kinds.update(_kinds(signature, modules))
        for argument, value in given.items():
            kind = kinds.get(argument)
            if kind is not None and not kind.holds(value):
                raise error(f"`{argument}` of `{name}` is {shown(value)}; it must be {kind.told}.")
        return function(*args, **kwargs)

    return call


def shown(value: Any) -> str:
    """A value as a short text for a message."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        return f"of type {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


@dataclass(frozen=True)
class _Kind:
    """What an argument may be: a test, and in words."""

    holds: Callable[[Any], bool]
    told: str


def _kinds(signature: inspect.Signature, modules: Sequence[str]) -> dict[str, _Kind]:
    """Kinds of the arguments, whose annotations are read where the function was written."""
    annotations = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not _EMPTY
    }
    holder = types.SimpleNamespace(__annotations__=annotations)
    names = {key: one for module in modules for key, one in vars(sys.modules[module]).items()}
    hints = typing.get_type_hints(holder, globalns=names)
    return {name: _kind(hint) for name, hint in hints.items()}


def _kind(hint: Any) -> _Kind:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, TypeVar):
        return _Kind(lambda value: True, "anything")
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin in (Union, types.UnionType):
        return _union(parts)
    if origin is Literal:
        return _Kind(lambda value: value in parts, f"one of {', '.join(map(repr, parts))}")
    if origin is np.ndarray:
        return _Kind(
            lambda value: isinstance(value, np.ndarray) and _is_array(value), "an array of numbers"
        )
    if origin in (tuple, list, Sequence):
        return _listed(origin, parts)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapped(*parts)
    if origin is Callable or hint is Callable:
        return _Kind(callable, "a function")
    if origin is type:
        return _Kind(lambda value: isinstance(value, type), "a class")
    cls = origin or hint
    if getattr(cls, "_is_protocol", False):
        return _Kind(functools.partial(_has_members, cls), f"a `{cls.__name__}`")
    return _Kind(lambda value: isinstance(value, cls), f"a `{cls.__name__}`")


def _union(parts: tuple[Any, ...]) -> _Kind:
    kinds = []
    if set(parts) >= _ARRAYLIKE:
        kinds.append(_ARRAY)
        parts = tuple(part for part in parts if part not in _ARRAYLIKE)
    kinds += [_kind(part) for part in parts]
    words = list(dict.fromkeys(kind.told for kind in kinds))
    return _Kind(
        lambda value: any(kind.holds(value) for kind in kinds),
        " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words),
    )


def _listed(origin: Any, parts: tuple[Any, ...]) -> _Kind:
    if origin is tuple and parts[-1] is not Ellipsis:
        kinds = [_kind(part) for part in parts]

        def fits(value: Any) -> bool:
            return (
                isinstance(value, list | tuple)
                and len(value) == len(kinds)
                and all(kind.holds(one) for kind, one in zip(kinds, value, strict=True))
            )

        return _Kind(fits, f"({', '.join(kind.told for kind in kinds)})")
    entry = _kind(parts[0]) if parts else _kind(Any)
    numbers = origin is Sequence and parts != (str,)
    accepts = _is_list if numbers else lambda value: isinstance(value, list | tuple)
    return _Kind(
        lambda value: accepts(value) and all(entry.holds(one) for one in value),
        f"a list, each entry {entry.told}",
    )


def _mapped(key: Any = Any, value: Any = Any) -> _Kind:
    keys, values = _kind(key), _kind(value)

    def fits(given: Any) -> bool:
        return isinstance(given, Mapping) and all(
            keys.holds(name) and values.holds(one) for name, one in given.items()
        )

    return _Kind(fits, f"a mapping, each entry {values.told}")


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _has_members(protocol: type, value: Any) -> bool:
    wanted = {*vars(protocol), *vars(protocol).get("__annotations__", {})}
    return not isinstance(value, type) and all(
        hasattr(value, name) for name in wanted if not name.startswith("_")
    )


def _is_number(value: Any) -> bool:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and abs(int(value)) < _WORD


def _is_array(value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping):
        return False
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except (TypeError, ValueError, OverflowError):
        return False


_ARRAY = _Kind(_is_array, "an array of numbers, or lists that make one")
_PLAIN: Mapping[Any, _Kind] = {
    float: _Kind(_is_number, "a finite number"),
    int: _Kind(_is_whole, "a whole number of at most 64 bits"),
    bool: _Kind(lambda value: isinstance(value, bool | np.bool_), "True or False"),
    str: _Kind(lambda value: isinstance(value, str), "text"),
    type(None): _Kind(lambda value: value is None, "None"),
    ArrayLike: _ARRAY,
}

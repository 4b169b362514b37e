"""Schemes that can be made again with one thing changed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from gpupatch.contract import bound
from gpupatch.errors import SchemeError


class Variable:
    """Remembers what it was made of, so that variants of it can be made.

    A variant is a new object with counters and random streams of its own: what is tried on it
    leaves the original as it was.
    """

    _made_of: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the arguments.

        Raises:
            SchemeError: if one is missing or unknown.
        """
        self = super().__new__(cls)
        made_of = bound(inspect.signature(cls), cls.__name__, SchemeError, args, kwargs)
        self._made_of = dict(made_of)
        return self

    @property
    def made_of(self) -> Mapping[str, Any]:
        """The arguments that were given, by name."""
        return MappingProxyType(self._made_of)

    def variant(self, **changes: Any) -> Self:
        """The same, made again with other arguments.

        Args:
            changes: arguments of the constructor, by name.
        """
        return type(self)(**{**self._made_of, **changes})

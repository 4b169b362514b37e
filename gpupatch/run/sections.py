"""Errors about what is made of a case are told with the part of the case that it was made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from gpupatch.errors import InputError

_TOLD = re.compile(r"`[\w.' -]+`: ")


@contextmanager
def made_of(path: str) -> Iterator[None]:
    """Within, whatever cannot be made is told with a path of the case.

    Args:
        path: the key or section from which something is made, such as `grid`.

    Raises:
        InputError: the error of before, with the path in front unless there is one already.
    """
    try:
        yield
    except InputError as error:
        if _TOLD.match(str(error)):
            raise
        raise type(error)(f"`{path}`: {error}") from error

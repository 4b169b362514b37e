"""Mistakes in a case file, collected and listed together."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from gpupatch.contract import shown
from gpupatch.errors import CaseError, suggestion

_QUOTED = re.compile(r"'([^']*)'")
_WORDS = {
    "Input should be": "it must be",
    "(Tuple|Dictionary|Value) should have": "it must have",
    "a valid dictionary or instance of .*": "a table",
    "a valid dictionary": "a table",
    "a valid tuple": "a list",
    "a valid integer": "a whole number",
    "a valid boolean": "true or false",
    "a valid string": "a string",
    " after validation, not .*": "",
}


@dataclass(frozen=True)
class Mistake:
    """One thing to change in a case file.

    Attributes:
        path: where it is, such as `grid.patches`.
        message: what was found and what is allowed; further lines show the place in a formula.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def refuse(source: str, mistakes: Sequence[Mistake]) -> None:
    """Raise an error that lists all mistakes, if there are any.

    Args:
        source: the case file, as the user named it.
        mistakes: what was found in it.

    Raises:
        CaseError: if `mistakes` is not empty.
    """
    if not mistakes:
        return
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    listed = "\n".join(str(mistake) for mistake in mistakes)
    raise CaseError(f"{count} in case `{source}`:\n  " + listed.replace("\n", "\n  "))


def found_by_pydantic(section: str, data: Any, errors: Iterable[Any]) -> list[Mistake]:
    """Say in the words of a case file what pydantic found wrong in one section.

    Args:
        section: name of the section.
        data: the section as the user wrote it.
        errors: entries of `ValidationError.errors()`.

    Returns:
        The mistakes, those that shorthands have multiplied only once.
    """
    found = (
        Mistake(".".join([section, *_as_written(data, e["loc"])]), _message(e)) for e in errors
    )
    return list(dict.fromkeys(found))


def _as_written(data: Any, location: Sequence[int | str]) -> list[str]:
    """The part of a location that the user wrote, without what shorthands have inserted."""
    path = []
    for depth, part in enumerate(location, start=1):
        if isinstance(data, dict) and (part in data or depth == len(location)):
            path.append(str(part))
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(str(part))
            data = data[part]
    return path


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The message about a key that does not exist."""
    return f"there is no such key. {suggestion(key, known)}"


def _message(error: Any) -> str:
    if error["type"] == "unknown_key":
        return error["msg"]
    if error["type"] == "missing":
        return "this key is needed, but missing."
    found = shown(error["input"])
    rule = error["msg"].removeprefix("Value error, ")
    for theirs, ours in _WORDS.items():
        rule = re.sub(theirs, ours, rule)
    if error["type"] == "literal_error":
        near = get_close_matches(str(error["input"]), _QUOTED.findall(rule), n=1)
        rule += f". Did you mean '{near[0]}'?" if near else ""
    return f"found {found}; {rule}"

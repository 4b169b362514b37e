"""TOML text to a table and back, and single entries set from the command line."""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from gpupatch.contract import shown
from gpupatch.errors import CaseError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 80
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_PART = re.compile(r"""(\.)|[ \t]+|[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'|(.)""", re.DOTALL)
_DEEPEST = 64
"""Dots in one key; the time that `tomllib` takes grows with their square."""


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Read a TOML document.

    Args:
        text: the document.
        source: what to call it in an error, such as its path.

    Returns:
        The tables as dicts.

    Raises:
        CaseError: if it is not TOML, with the line and a mark under the column.
    """
    try:
        return _loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"`{source}` is not TOML: {error}"
        place = _PLACE.search(str(error))
        if place:
            line, column = int(place[1]), int(place[2])
            lines = [*text.splitlines(), ""]
            excerpt = _brief(lines[min(line, len(lines)) - 1])
            message += f"\n    {excerpt}\n    {' ' * min(column - 1, _LONGEST)}^"
        raise CaseError(message) from error
    except RecursionError as error:
        raise CaseError(f"`{source}` nests its tables too deeply. Keep to a few levels.") from error
    except ValueError as error:
        raise CaseError(f"`{source}` holds an impossible number: {error}.") from error


def _loads(text: str) -> dict[str, Any]:
    """Read a TOML document, unless it would take for ever.

    Raises:
        RecursionError: if it nests too deeply.
        ValueError: if it is not TOML, or holds an integer of thousands of digits.
    """
    dots = 0
    for part in _PART.finditer(text) if text.count(".") > _DEEPEST else ():
        dots = 0 if part[2] else dots + bool(part[1])
        if dots > _DEEPEST:
            raise RecursionError("a key has too many parts")
    return tomllib.loads(text)


def set_entry(table: dict[str, Any], assignment: str) -> None:
    """Change one entry of a table as asked by `--set a.b=value`.

    The value is written as in TOML; text without quotes is a string when it is no TOML value, so
    that `scheme.couple=edgy` and `initial.u=sin(pi*x)` need none. An empty value removes the entry.

    Args:
        table: the case as read; changed in place.
        assignment: path and value.

    Raises:
        CaseError: if it has no `=`, passes through something that is no table, or its value starts
            a list, table or string and does not end it.
    """
    path, equals, value = assignment.partition("=")
    asked = _brief(assignment)
    keys = [key.strip() for key in path.split(".")]
    if len(keys) > _DEEPEST:
        raise CaseError(f"`--set {assignment[:40]}...` has too many parts. Keep to a few levels.")
    if not equals or not all(_BARE_KEY.fullmatch(key) for key in keys):
        raise CaseError(
            f"`--set {asked}` is not of the form path.to.key=value, such as "
            "`--set grid.patches=96`."
        )
    place = table
    for depth, key in enumerate(keys[:-1], start=1):
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise CaseError(
                f"`--set {asked}`: `{'.'.join(keys[:depth])}` is {shown(place)}, which has no "
                "entries. Set it as a whole."
            )
    if value.strip():
        place[keys[-1]] = _value(value.strip(), assignment)
    else:
        place.pop(keys[-1], None)


def _value(text: str, assignment: str) -> Any:
    """A TOML value, or the text itself when it is none."""
    try:
        parsed = _loads(f"value = {text}")
    except (ValueError, RecursionError) as error:
        if text[0] in "[{\"'":
            asked = _brief(assignment)
            raise CaseError(f"the value in `--set {asked}` is not TOML: {error}") from error
        return text
    return parsed["value"] if parsed.keys() == {"value"} else text


def _brief(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def dump_toml(table: Mapping[str, Any]) -> str:
    """Write a table as TOML: plain entries first, then one section per sub-table.

    Args:
        table: strings, numbers, booleans, and lists and tables of these.

    Returns:
        Text that `read_toml` turns into an equal table.
    """
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    sections = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    blocks = [_lines(plain)] if plain else []
    blocks += [f"[{_key(name)}]\n{_lines(section)}" for name, section in sections.items()]
    return "\n".join(blocks)


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_inline(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        entries = ", ".join(f"{_key(key)} = {_inline(item)}" for key, item in value.items())
        return f"{{ {entries} }}" if entries else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_inline(item) for item in value)}]"
    return repr(value)

"""A report as text for people: one entry a line, tables indented, long lists shortened."""

from collections.abc import Iterator, Mapping
from typing import Any

_LONGEST = 6


def summarise(report: Mapping[str, Any]) -> str:
    """Lay out a report for reading in a terminal.

    Args:
        report: text, numbers, lists and tables, as `report.json` holds them.

    Returns:
        Lines, each ended by a line break.
    """
    return "".join(f"{line}\n" for line in _lines(report, ""))


def _lines(table: Mapping[str, Any], indent: str) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not _is_deep(value)}
    width = max((len(key) for key in plain), default=0)
    for key, value in table.items():
        if key in plain:
            yield f"{indent}{key:<{width}}  {_text(value)}"
        elif isinstance(value, Mapping):
            yield f"{indent}{key}"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{key}"
            for item in value:
                yield f"{indent}  - {_text(item)}"


def _is_deep(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, list) and any(isinstance(one, list | Mapping | str) for one in value)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items()) or "-"
    if isinstance(value, list):
        shown = value if len(value) <= _LONGEST else [*value[: _LONGEST - 1], "...", value[-1]]
        return " ".join(_text(one) for one in shown) or "-"
    return str(value)

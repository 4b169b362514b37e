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
        if key == "diagnostics" and "findings" in value:
            yield f"{indent}{key}"
            yield from (f"{indent}  {_finding(one)}" for one in value["findings"])
        elif key in plain:
            yield f"{indent}{key:<{width}}  {_text(value)}"
        elif isinstance(value, Mapping):
            yield f"{indent}{key}"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{key}"
            for item in value:
                yield f"{indent}  - {_text(item)}"


def _finding(found: Mapping[str, Any]) -> str:
    """One assumption that was tested: verdict, figure and threshold."""
    figure = found["figure"]
    if found["measured"] is not None:
        figure = f"{figure} = {found['measured']:.3g}"
    if found["threshold"] is not None:
        figure = f"{figure} (threshold {found['threshold']:.3g})"
    return f"{found['verdict']:<4}  {found['id']:<3}  {found['assumption']:<22}  {figure}".rstrip()


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

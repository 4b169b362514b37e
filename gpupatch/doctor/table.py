"""The doctor's answers for people and for programs."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from gpupatch.doctor.record import MISSING, OK, PROBLEM, Probe, Record

_NAME, _STATE = 18, 9
_MARKS = {OK: "ok", MISSING: "missing", PROBLEM: "PROBLEM"}


def line(probe: Probe, record: Record) -> str:
    """One answer: what was looked at, its state, what was found, and what to do."""
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    start = f"  {probe.name:<{_NAME}}{_MARKS[record.state]:<{_STATE}}"
    indent = " " * len(start)
    told = textwrap.fill(
        record.found, width, initial_indent=start, subsequent_indent=indent, **_AS_WRITTEN
    )
    if not record.advice:
        return told
    advice = textwrap.fill(
        record.advice, width, initial_indent=f"{indent}> ", subsequent_indent=f"{indent}  ",
        **_AS_WRITTEN,
    )  # fmt: skip
    return f"{told}\n{advice}"


_AS_WRITTEN: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
"""Paths and commands are never cut, so that they can be copied."""


def verdict(records: Iterable[tuple[Probe, Record]]) -> str:
    """The last line: how many problems, and whether anything needed is broken."""
    states = [record.state for _, record in records]
    broken, absent = states.count(PROBLEM), states.count(MISSING)
    optional = f"; {absent} optional things are missing" if absent else ""
    if not broken:
        return f"Everything that is needed works{optional}."
    return f"{broken} {'problem' if broken == 1 else 'problems'}{optional}."


def as_json(records: Iterable[tuple[Probe, Record]]) -> dict[str, Any]:
    """The same, for programs."""
    rows = [
        {"name": probe.name, "group": probe.group, **asdict(record)} for probe, record in records
    ]
    return {"works": all(row["state"] != PROBLEM for row in rows), "probes": rows}

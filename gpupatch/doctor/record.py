"""What one probe has found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

OK, MISSING, PROBLEM = "ok", "missing", "problem"


@dataclass(frozen=True)
class Record:
    """The answer to one question about this machine.

    Attributes:
        state: "ok"; "missing", something optional that is not there; "problem", something that
            is needed and not there, or is there and does not work.
        found: what was found, in one line.
        advice: what to do; empty if nothing.
        facts: the same for programs: text, numbers, and lists and tables of these.
    """

    state: str
    found: str
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def ok(found: str, advice: str = "", /, **facts: Any) -> Record:
    """Something works, perhaps with a word on how it would work better."""
    return Record(OK, found, advice, facts)


def missing(found: str, advice: str, /, **facts: Any) -> Record:
    """Something optional is not there."""
    return Record(MISSING, found, advice, facts)


def problem(found: str, advice: str, /, **facts: Any) -> Record:
    """Something that is needed, or is there, does not work."""
    return Record(PROBLEM, found, advice, facts)


@dataclass(frozen=True)
class Probe:
    """One question about this machine.

    Attributes:
        name: what is looked at.
        group: heading under which the answer stands.
        look: answers it.
        seconds: what the answer may take.
    """

    name: str
    group: str
    look: Callable[[], Record]
    seconds: float = 30.0


def answer(probe: Probe) -> Record:
    """The answer to a question, whatever happens on the way.

    A failure of the probe itself is a problem too, told with the kind of the error: what it looks
    at is in a state that nobody has foreseen.
    """
    try:
        return probe.look()
    except Exception as error:
        return problem(
            f"looking at it failed: {type(error).__name__}: {in_one_line(error)}",
            "Install anew what is named here; if that does not help, report this line.",
            error=type(error).__name__,
        )


def in_one_line(text: object, longest: int = 300) -> str:
    """Text without line breaks, cut off at some length."""
    line = " ".join(str(text).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."

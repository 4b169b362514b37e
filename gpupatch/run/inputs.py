"""The files that a case was made of and reads, and whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gpupatch.files.case import Case
from gpupatch.files.forms import FileCoefficient, FileInitial

CASE_FILE = "the case file"
"""What the case file is to the case."""

_NONE: Mapping[str, str] = MappingProxyType({})


def fingerprints(case: Case, trust: bool) -> dict[str, dict[str, str]]:
    """Digests of the case file and of every file that it reads.

    Args:
        case: the case.
        trust: whether code and paths outside the directory of the case are accepted.

    Returns:
        By what the file is to the case: its path and its SHA-256.

    Raises:
        CaseError: if a file is not there, or not trusted.
    """
    found: dict[str, Path] = {}
    if case.file is not None and case.file.is_file():
        found[CASE_FILE] = case.file
    for path, reference in case.code.items():
        found[path] = case.rule_file(reference, trust=trust).path
    for section in ("coefficients", "initial"):
        for name, given in getattr(case, section).items():
            if isinstance(given, FileCoefficient | FileInitial):
                found[f"{section}.{name}"] = case.data_file(given.file, trust=trust)[0]
    code = case.code_digests(trust)
    return {
        what: {"path": str(path.resolve()), "sha256": code.get(what) or _digest(path)}
        for what, path in found.items()
    }


def changes(known: Mapping[str, Mapping[str, Any]], code: Mapping[str, str] = _NONE) -> list[str]:
    """What has changed since `fingerprints` were taken, in words; files that are gone are not told.

    Args:
        known: as `fingerprints` gave them.
        code: digests of the Python that is going to run, by path in the case: what has been read
            counts, not what is on disk by now.
    """
    told = []
    for what, one in known.items():
        path = Path(one["path"])
        now = code.get(what) or (_digest(path) if path.is_file() else one["sha256"])
        if now != one["sha256"]:
            told.append(f"`{path}` ({what})")
    return told


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

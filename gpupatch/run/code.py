"""Python files that a case names, run once they are trusted."""

from __future__ import annotations

from typing import Any

from gpupatch.errors import CaseError, GpupatchError
from gpupatch.files.case import RuleFile


def names_in(file: RuleFile, path: str) -> dict[str, Any]:
    """What the code of a trusted file defines.

    Args:
        file: the file.
        path: where the case names it, for the message.

    Returns:
        Its global names.

    Raises:
        CaseError: if it cannot be run.
    """
    names: dict[str, Any] = {"__name__": file.path.stem, "__file__": str(file.path)}
    try:
        exec(compile(file.source, str(file.path), "exec"), names)
    except GpupatchError:
        raise
    except (Exception, SystemExit) as error:
        raise CaseError(
            f"`{path}`: `{file.path}` cannot be run, because of a {type(error).__name__}: {error}. "
            "`-v` shows where."
        ) from error
    return names

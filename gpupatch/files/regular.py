"""Files that are read: regular ones only, since opening a pipe would wait for a writer."""

from __future__ import annotations

import os
from pathlib import Path


def regular(path: str | os.PathLike[str]) -> Path:
    """The path of a file that can be opened without waiting.

    Args:
        path: of a file that is about to be read.

    Raises:
        FileNotFoundError: if nothing is there.
        OSError: if it is a pipe, a device or a directory.
    """
    found = Path(path)
    if found.exists() and not found.is_file():
        raise OSError(f"`{path}` is no file")
    if not found.exists():
        raise FileNotFoundError(f"`{path}` does not exist")
    return found

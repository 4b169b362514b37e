"""Sole use of a directory of results, so that no two processes write into one run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpupatch.errors import InputError


@contextmanager
def sole_use(directory: Path) -> Iterator[None]:
    """Hold a directory against other processes of gpupatch until the block ends, however it ends.

    Where the system or the disk knows no such locks, nothing is held.

    Args:
        directory: an existing directory.

    Raises:
        InputError: if another process holds it.
    """
    if os.name != "posix":
        yield
        return
    import fcntl

    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another process is running in `{directory}`. Wait for it, stop it, or choose "
                "another directory."
            ) from error
        except OSError:
            # this disk has no locks
            pass
        yield
    finally:
        os.close(handle)

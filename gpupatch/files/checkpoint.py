"""`checkpoint.npz`: a run put down so that another process can take it up.

The file is written beside the old one and renamed, so that there is always a whole one; the one
before is kept as `checkpoint.previous.npz`. There are no pickles in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gpupatch.arrays import Plain
from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.frozen import Damaged, freeze, thaw

CHECKPOINT = "checkpoint.npz"
FORMAT = 1
"""Number of the format; raised when an older reader could not go on from a newer file."""


def previous_of(path: Path) -> Path:
    """Where the checkpoint before the last one is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def temporary_of(path: Path) -> Path:
    """Where a file is written before it takes its name."""
    return path.with_name(f"{path.name}.part")


def write_checkpoint(path: str | os.PathLike[str], tree: Mapping[str, Plain]) -> None:
    """Write a checkpoint so that a process killed at any moment leaves a whole one.

    Args:
        path: the file; the checkpoint that it holds becomes the previous one.
        tree: see `freeze`.

    Raises:
        GpupatchError: when the disk refuses; both earlier checkpoints are still there.
    """
    target = Path(path)
    temporary = temporary_of(target)
    try:
        try:
            with temporary.open("wb") as stream:
                stream.write(freeze({"format": FORMAT, **tree}))
                stream.flush()
                os.fsync(stream.fileno())
            if target.exists():
                target.replace(previous_of(target))
            temporary.replace(target)
            sync_directory(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise GpupatchError(
            f"cannot write the checkpoint `{target}` ({error}). Free some space or check its "
            "permissions, then `gpupatch resume` from the checkpoint before."
        ) from error


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, Plain], str]:
    """Read the last checkpoint that is whole.

    Args:
        path: as for `write_checkpoint`.

    Returns:
        The tree, and what was wrong with the newest file if the previous one had to be taken;
        empty where nothing was.

    Raises:
        InputError: if neither is there and whole, or a newer version of gpupatch wrote it.
    """
    newest = Path(path)
    told: list[str] = []
    for file in (newest, previous_of(newest)):
        if not file.exists():
            continue
        try:
            tree = thaw(file.read_bytes())
        except OSError as error:
            told.append(f"`{file}` cannot be read ({error})")
            continue
        except Damaged as error:
            told.append(f"`{file}` is damaged ({error})")
            continue
        if tree.get("format") != FORMAT:
            raise InputError(
                f"`{file}` has the format {tree.get('format')!r}, and this version of gpupatch "
                f"reads format {FORMAT}. Resume with the version that wrote it."
            )
        return tree, f"{told[0]}; going on from `{file.name}`" if told else ""
    if told:
        raise InputError(f"{', and '.join(told)}. There is no checkpoint to go on from.")
    raise InputError(f"there is no checkpoint `{newest}`.")


def sync_directory(directory: Path) -> None:
    """Wait until names in a directory are on disk, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""`failed_patch.npz`: what the burst of a patch that failed began with, without pickles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gpupatch.arrays import Plain
from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.frozen import Damaged, freeze, thaw

REPLAYS = ("failed_patch.npz", *(f"failed_patch_{k}.npz" for k in (2, 3, 4)))
"""Names of the files of a run, in the order in which patches failed."""
FORMAT = 1
"""Number of the format; raised when an older reader could not make sense of a newer file."""
_LARGEST = 2**32
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "about": dict, "kind": str, "dtype": str, "time": float, "dt": float, "batch": int,
    "n_steps": int, "stream": int, "first": int, "row": int, "replica": int, "member": int,
    "patch": list, "arrays": dict, "states": dict,
}  # fmt: skip


def write_replay(path: str | os.PathLike[str], tree: Mapping[str, Plain]) -> None:
    """Write what a failed patch began with.

    Args:
        path: the file.
        tree: what `read_replay` shall give.

    Raises:
        GpupatchError: when the disk refuses.
    """
    target = Path(path)
    temporary = target.with_name(f"{target.name}.part")
    try:
        try:
            temporary.write_bytes(freeze({"replay": FORMAT, **tree}))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise GpupatchError(
            f"cannot write `{target}` ({error}). Free some space or check its permissions."
        ) from error


def read_replay(path: str | os.PathLike[str]) -> dict[str, Plain]:
    """Read what a failed patch began with.

    Args:
        path: the file.

    Raises:
        InputError: if it cannot be read, or is not the whole file of a failed patch.
    """
    file = Path(path)
    cure = "Give a `failed_patch.npz` from the directory of a run."
    try:
        if file.stat().st_size > _LARGEST:
            raise InputError(f"`{file}` is larger than {_LARGEST} bytes. {cure}")
        tree = thaw(file.read_bytes())
    except OSError as error:
        raise InputError(f"`{file}` cannot be read ({error.strerror or error}). {cure}") from error
    except Damaged as error:
        raise InputError(
            f"`{file}` is damaged, or holds something else ({error}). {cure}"
        ) from error
    if "replay" not in tree:
        raise InputError(f"`{file}` holds no failed patch. {cure}")
    if tree["replay"] != FORMAT:
        raise InputError(
            f"`{file}` has the format {tree['replay']!r}, and this version of gpupatch reads "
            f"format {FORMAT}. Replay it with the version that wrote it."
        )
    for name, kind in _KINDS.items():
        found = tree.get(name)
        if not isinstance(found, kind) or isinstance(found, bool):
            raise InputError(f"`{file}`: its entry `{name}` is {type(found).__name__}. {cure}")
    return tree

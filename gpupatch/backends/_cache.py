"""Generated sources, kept where only their owner can write."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from gpupatch.errors import BackendError


def cache_folder() -> Path:
    """The folder of generated sources, made with access for its owner only.

    It is ``$GPUPATCH_CACHE``, else ``$XDG_CACHE_HOME/gpupatch``, else ``~/.cache/gpupatch``.

    Returns:
        An existing folder.

    Raises:
        BackendError: if it cannot be made, belongs to somebody else or others may write into it.
    """
    named = os.environ.get("GPUPATCH_CACHE")
    general = os.environ.get("XDG_CACHE_HOME")
    folder = Path(named) if named else Path(general or Path.home() / ".cache") / "gpupatch"
    folder = folder.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise BackendError(
            f"the folder for compiled kernels, {folder}, cannot be used: {error.strerror}. "
            "Set GPUPATCH_CACHE to a folder of your own."
        ) from error
    owner = os.getuid() if hasattr(os, "getuid") else found.st_uid
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o022:
        raise BackendError(
            f"the folder for compiled kernels, {folder}, could be written by others "
            f"(mode {stat.filemode(found.st_mode)}, owner {found.st_uid}). "
            f"Run `chmod 700 {folder}`, or set GPUPATCH_CACHE to a folder of your own."
        )
    return folder


def load_source(text: str) -> ModuleType:
    """Import generated source from a file named by the SHA-256 of its content.

    Args:
        text: Python source.

    Returns:
        The module; the same text gives the same module within a process.

    Raises:
        BackendError: if the file of that name holds something else.
    """
    content = text.encode()
    digest = hashlib.sha256(content).hexdigest()
    name = f"_gpupatch_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    path = cache_folder() / f"{name}.py"
    if not path.exists():
        _write(path, content)
    if path.is_symlink() or path.read_bytes() != content:
        raise BackendError(
            f"{path} does not hold what its name promises. Delete the folder {path.parent}; "
            "it is made anew."
        )
    module = ModuleType(name)
    module.__file__ = str(path)
    exec(compile(content, str(path), "exec"), module.__dict__)
    sys.modules[name] = module
    return module


def _write(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(temporary, path)

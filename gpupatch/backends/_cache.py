"""Generated sources, kept where only their owner can write.

Numba keeps what it compiles of them beside them, in a form whose reading runs code (pickles). So
nobody else may be able to put files there, and Numba may not be sent elsewhere, by a
`.numba_config.yaml` in the current directory for instance.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from gpupatch.errors import BackendError

_COMPILED = "__pycache__"


def cache_folder() -> Path:
    """The folder of generated sources, made with access for its owner only.

    It is ``$GPUPATCH_CACHE``, else ``$XDG_CACHE_HOME/gpupatch``, else ``~/.cache/gpupatch``.

    Returns:
        An existing folder.

    Raises:
        BackendError: if it cannot be made, belongs to somebody else, others may write into it or
            exchange it, or it holds compiled code that somebody else has put there.
    """
    folder = _named_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_folder(folder)
        for parent in folder.parents:
            found = parent.stat()
            if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
                raise BackendError(
                    f"the folder for compiled kernels, {folder}, could be exchanged by others, who "
                    f"may write into {parent}. Set GPUPATCH_CACHE to a folder of your own."
                )
        (folder / _COMPILED).mkdir(mode=0o700, exist_ok=True)
        _check_folder(folder / _COMPILED)
    except OSError as error:
        raise BackendError(
            f"the folder for compiled kernels, {folder}, cannot be used: {error.strerror}. "
            "Set GPUPATCH_CACHE to a folder of your own."
        ) from error
    return folder


def _named_folder() -> Path:
    named = os.environ.get("GPUPATCH_CACHE")
    general = os.environ.get("XDG_CACHE_HOME")
    try:
        if named:
            return Path(named).expanduser().absolute()
        if general and Path(general).is_absolute():
            return Path(general) / "gpupatch"
        return Path.home() / ".cache" / "gpupatch"
    except RuntimeError as error:
        raise BackendError(
            f"there is no folder for compiled kernels: {error}. Set GPUPATCH_CACHE to a folder of "
            "your own."
        ) from error


def _check_folder(path: Path) -> None:
    """Refuse a folder that is a link, belongs to somebody else or can be written by others."""
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and _is_mine(found) and not found.st_mode & 0o022:
        return
    raise BackendError(
        f"the folder for compiled kernels, {path}, could be written by others "
        f"(mode {stat.filemode(found.st_mode)}, owner {found.st_uid}). Delete it, or run "
        f"`chmod 700 {path}`, or set GPUPATCH_CACHE to a folder of your own."
    )


def _check_file(path: Path) -> None:
    """Refuse a file that is a link, belongs to somebody else or can be written by others."""
    found, reachable = path.lstat(), path.parent.stat().st_mode & 0o011
    writable = found.st_mode & 0o022 and reachable
    if stat.S_ISREG(found.st_mode) and _is_mine(found) and not writable:
        return
    raise BackendError(
        f"{path}, for compiled kernels, could have been written by others (mode "
        f"{stat.filemode(found.st_mode)}, owner {found.st_uid}). Delete the folder {path.parent}; "
        "it is made anew."
    )


def _is_mine(found: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or found.st_uid == os.getuid()


def source_name(text: str) -> str:
    """Name of the module of a generated source, by the SHA-256 of its content."""
    return f"_gpupatch_{hashlib.sha256(text.encode()).hexdigest()}"


def load_source(text: str) -> ModuleType:
    """Import generated source from a file named by its content.

    Args:
        text: Python source.

    Returns:
        The module; the same text gives the same module within a process.

    Raises:
        BackendError: if the file of that name holds something else.
    """
    content, name = text.encode(), source_name(text)
    if name in sys.modules:
        return sys.modules[name]
    folder = cache_folder()
    path = folder / f"{name}.py"
    try:
        if not os.path.lexists(path):
            _write(path, content)
        _check_file(path)
        for compiled in (folder / _COMPILED).glob(f"{name}.*"):
            _check_file(compiled)
        found = path.read_bytes()
    except OSError as error:
        raise BackendError(
            f"{path}, for compiled kernels, cannot be used: {error.strerror}. Free some space, or "
            "set GPUPATCH_CACHE to a folder of your own."
        ) from error
    if found != content:
        raise BackendError(
            f"{path} does not hold what its name promises. Delete the folder {path.parent}; "
            "it is made anew."
        )
    module = ModuleType(name)
    module.__file__ = str(path)
    with _compiled_beside():
        exec(compile(content, str(path), "exec"), module.__dict__)
    sys.modules[name] = module
    return module


@contextmanager
def _compiled_beside() -> Iterator[None]:
    """Let Numba keep what it compiles beside its source, whatever else it has been told."""
    from numba import config

    told = {name: getattr(config, name) for name in _PLACES if hasattr(config, name)}
    for name in told:
        setattr(config, name, "")
    try:
        yield
    finally:
        for name, value in told.items():
            setattr(config, name, value)


_PLACES = ("CACHE_DIR", "CACHE_LOCATOR_CLASSES")
"""Settings of Numba that say where compiled code is kept."""


def _write(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise

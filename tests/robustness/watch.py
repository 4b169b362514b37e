"""What parsing must never do: run code, start programs, write files, import unexpected modules."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn")
_TOUCHES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod",
            "os.truncate", "shutil.", "socket.")  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MODULES = ("numpy", "scipy", "sympy", "gpupatch", "mpmath", "pydantic", "encodings")


class Forbidden(BaseException):
    """Something was done that parsing must never do; no handler of errors catches it."""


class _Watch:
    def __init__(self):
        self.on = False
        self.installed = False

    def __call__(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        if event.startswith(_STARTS + _TOUCHES):
            self._refuse(event, arguments)
        if event == "exec":
            name = getattr(arguments[0], "co_filename", "")
            if not os.path.isabs(name) and not name.startswith("<frozen"):
                self._refuse(event, arguments)
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            self._refuse(event, arguments)
        if event == "import" and arguments[0].partition(".")[0] not in _allowed():
            self._refuse(event, arguments)

    def _refuse(self, event: str, arguments: tuple) -> None:
        self.on = False
        raise Forbidden(f"{event}: {arguments!r}"[:300])


def _allowed() -> frozenset[str]:
    return sys.stdlib_module_names | set(_MODULES)


_WATCH = _Watch()


@contextmanager
def watched() -> Iterator[None]:
    """Within, whatever parsing must never do raises `Forbidden`."""
    if not _WATCH.installed:
        sys.addaudithook(_WATCH)
        _WATCH.installed = True
    _WATCH.on = True
    try:
        yield
    finally:
        _WATCH.on = False

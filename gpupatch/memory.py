"""Whether something fits into memory, told before it is asked for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from gpupatch.errors import InputError

NUMBER = 8
"""Bytes of one number in double precision."""
_MEMINFO = Path("/proc/meminfo")
_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_BEYOND_WORDS = 10**21


def require(bytes_needed: int, what: str, cure: str) -> None:
    """Refuse what cannot fit into the free memory of this machine.

    Args:
        bytes_needed: an estimate from below.
        what: what needs them, for the message.
        cure: what to do.

    Raises:
        InputError: if fewer bytes are free.
    """
    free = available()
    if bytes_needed > free:
        raise InputError(
            f"{what}: about {size(bytes_needed)} of memory would be needed, but {size(free)} are "
            f"free. {cure}"
        )


def numbers(*counts: int | Iterable[int]) -> int:
    """Bytes of a table of double-precision numbers.

    Args:
        counts: its lengths, single or several together; whole numbers of any size.
    """
    return NUMBER * math.prod(
        math.prod(map(int, one)) if isinstance(one, Iterable) else int(one) for one in counts
    )


def available() -> int:
    """Bytes that this process can still have, as far as the system says."""
    return min(_free(), _allowed())


def size(n_bytes: int) -> str:
    """A number of bytes in words."""
    if n_bytes >= _BEYOND_WORDS:
        return f"more than {_BEYOND_WORDS:.0e} B"
    power = min((len(str(n_bytes)) - 1) // 3, len(_PREFIXES) - 1)
    return f"{n_bytes / 1000**power:.3g} {_PREFIXES[power]}B"


def _free() -> int:
    """Memory that is free, or else all that there is."""
    try:
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2**63 - 1


def _allowed() -> int:
    """What the limit of this process on its addresses allows."""
    try:
        import resource
    except ImportError:
        return 2**63 - 1
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return 2**63 - 1 if limit == resource.RLIM_INFINITY else limit

"""Probes of the machine: processors, memory, disks, the folder of compiled kernels."""

from __future__ import annotations

import math
import os
import platform
import shutil
import stat
import tempfile
from pathlib import Path

from gpupatch.doctor.record import Record, ok, problem

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")
_ROOM = 500e6
"""Free disk space below which a run of moderate size may fail, bytes."""
_MEMORY = 1e9
"""Memory below which compiling may fail, bytes."""


def processor() -> Record:
    """Model of the CPU, and the cores that this process may use.

    A machine may have more: affinity (taskset, Slurm) and control groups (containers) limit them.
    """
    all_cores, usable, quota = os.cpu_count() or 1, usable_cores(), cgroup_cores()
    model = cpu_model()
    facts = {"model": model, "cores": all_cores, "usable": usable, "quota": quota}
    found = f"{model}, {usable} of {all_cores} cores usable"
    if quota is not None and quota < usable:
        return ok(
            f"{found}, but a control group grants the time of {quota:g}",
            f"Set NUMBA_NUM_THREADS={max(1, int(quota))}, or ask for more cores.",
            **facts,
        )
    return ok(found, **facts)


def cpu_model() -> str:
    """What the CPU calls itself."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "a CPU that does not say its name"


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_cores(root: Path = _CGROUP) -> float | None:
    """Processor time that the control group grants, in cores, or None if it sets no limit."""
    limit = root / "cpu.max"
    if limit.is_file():
        quota, period = limit.read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    old = [root / "cpu" / f"cpu.cfs_{one}_us" for one in ("quota", "period")]
    if not all(file.is_file() for file in old):
        return None
    granted, period = (int(file.read_text(encoding="ascii")) for file in old)
    return None if granted < 0 else granted / period


def threads() -> Record:
    """Threads that Numba uses, and what runs them, after running a loop on all of them."""
    import numba
    import numpy as np
    from numba.np.ufunc.parallel import threading_layer

    from gpupatch.doctor._loop import sum_of

    total = float(sum_of(np.ones(1000)))
    layer, count = threading_layer(), numba.get_num_threads()
    facts = {"threads": count, "layer": layer, "numba": numba.__version__}
    found = f"{count} by the threading layer {layer}"
    if total != 1000.0:
        return problem(
            f"{found}; a parallel sum of 1000 ones gave {total:g}",
            "Try NUMBA_THREADING_LAYER=workqueue; install numba anew.",
            **facts,
        )
    usable = usable_cores()
    if count > usable:
        return ok(
            f"{found}, on {usable} usable cores",
            f"Set NUMBA_NUM_THREADS={usable}: more threads than cores slow each other down.",
            **facts,
        )
    return ok(found, **facts)


def memory() -> Record:
    """Memory that is free, and the limit of the control group if there is one."""
    total, available = physical_memory()
    limit = cgroup_memory()
    facts = {"total": total, "available": available, "limit": limit}
    if total is None:
        return ok(
            "this system does not say how much memory it has",
            **facts,
        )
    found = f"{size(total)}, of which {size(available or 0)} available"
    if limit is not None and limit < total:
        found += f"; a control group allows {size(limit)}"
    least = min(one for one in (available, limit, total) if one is not None)
    if least < _MEMORY:
        return problem(found, "Close other programs, or ask for more memory.", **facts)
    return ok(found, **facts)


def physical_memory() -> tuple[int | None, int | None]:
    """Memory of the machine and what of it is available, bytes; None where it is not told."""
    table = Path("/proc/meminfo")
    if table.is_file():
        rows = dict(line.split(":") for line in table.read_text(encoding="ascii").splitlines())
        sizes = {name: int(rest.split()[0]) * 1024 for name, rest in rows.items()}
        return sizes["MemTotal"], sizes.get("MemAvailable")
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    return None, None


def cgroup_memory(root: Path = _CGROUP) -> int | None:
    """Memory that the control group allows, bytes, or None if it sets no limit."""
    for limit in (root / "memory.max", root / "memory" / "memory.limit_in_bytes"):
        if limit.is_file():
            text = limit.read_text(encoding="ascii").strip()
            return None if text == "max" or int(text) >= 2**60 else int(text)
    return None


def working_directory() -> Record:
    """Room in the current directory, where results go, and whether they can be written there."""
    return _disk(Path.cwd(), "Free some space, or give results another disk with `--out`.")


def cache() -> Record:
    """The folder of compiled kernels: its place, its owner, its mode and the room in it."""
    from gpupatch.backends._cache import cache_folder
    from gpupatch.errors import BackendError

    try:
        folder = cache_folder()
    except BackendError as error:
        return problem(str(error), "The backend `numba` needs this folder.")
    room = _disk(folder, "Free some space, or set GPUPATCH_CACHE to a folder on another disk.")
    found = folder.stat()
    mode = stat.filemode(found.st_mode)
    count = sum(1 for one in folder.iterdir() if one.suffix == ".py")
    facts = {**room.facts, "mode": mode, "owner": found.st_uid, "sources": count}
    return Record(
        room.state, f"{room.found}; {mode}, your own, {count} sources", room.advice, facts
    )


def _disk(folder: Path, advice: str) -> Record:
    free = shutil.disk_usage(folder).free
    facts = {"path": str(folder), "free": free}
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"gpupatch")
    except OSError as error:
        return problem(f"{folder} cannot be written: {error.strerror}", advice, **facts)
    found = f"{folder}, {size(free)} free"
    return problem(found, advice, **facts) if free < _ROOM else ok(found, **facts)


def size(count: float) -> str:
    """A number of bytes for people."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(int(math.log10(max(count, 1))) // 3, len(units) - 1)
    return f"{count / 1000**power:.3g} {units[power]}"

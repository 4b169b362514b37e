"""Probes of programs that gpupatch works with if they are there: MPI, LAMMPS, OpenMM, ffmpeg."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from typing import Any

from gpupatch.doctor.record import Record, in_one_line, missing, ok, problem
from gpupatch.doctor.software import version_of

_PATIENCE = 10.0
"""Time that another program may take to tell its version, seconds."""


def message_passing() -> Record:
    """MPI: the launcher, the library that mpi4py loads, and whether the two belong together."""
    launcher = shutil.which("mpiexec") or shutil.which("mpirun")
    told = None if launcher is None else answer_of(launcher, "--version")
    facts: dict[str, Any] = {"launcher": launcher, "launcher_version": told}
    started = f"launcher {launcher} ({told})" if launcher else "no launcher (mpiexec)"
    advice = "Nothing, unless several processes are wanted: `pip install mpi4py mpich`."
    if importlib.util.find_spec("mpi4py") is None:
        return missing(f"{started}; mpi4py is not installed", advice, **facts)
    try:
        from mpi4py import MPI  # type: ignore[import-not-found]
    except (ImportError, RuntimeError) as error:
        return problem(
            f"{started}; mpi4py finds no library: {in_one_line(error)}",
            "Install one MPI beside it: `pip install mpich`.",
            **facts,
        )
    library = in_one_line(MPI.Get_library_version(), 60)
    facts |= {"library": library, "mpi4py": version_of("mpi4py")}
    found = f"{started}; mpi4py {facts['mpi4py']} with {library}"
    if launcher is None:
        return missing(found, "To start several processes, install the launcher too.", **facts)
    if _is_open_mpi(library) != _is_open_mpi(told or ""):
        return problem(
            f"{found}: launcher and library are of different MPIs",
            "Keep one of them, MPICH or Open MPI, in this environment.",
            **facts,
        )
    return ok(found, **facts)


def _is_open_mpi(text: str) -> bool:
    return "open mpi" in text.lower() or "openrte" in text.lower()


def lammps() -> Record:
    """LAMMPS, started once."""
    return _engine("lammps", "lammps", "gpupatch[lammps]")


def openmm() -> Record:
    """OpenMM and its platforms."""
    return _engine("openmm", "openmm", "gpupatch[openmm]")


def _engine(name: str, package: str, extra: str) -> Record:
    """Absence of an engine is no fault; an engine that does not start is."""
    from gpupatch.engines.select import get_engine
    from gpupatch.errors import BackendError

    version = version_of(package)
    if version is None:
        return missing("not installed", f'To let it move particles: `pip install "{extra}"`.')
    try:
        engine = get_engine(name)
    except BackendError as error:
        return problem(str(error), f'Run `pip install --upgrade "{extra}"`.', version=version)
    return ok(f"{version}; {engine.name} starts", version=version)


def ffmpeg() -> Record:
    """The program that makes movies."""
    path = shutil.which("ffmpeg")
    if path is None:
        return missing("not found", "For movies, install ffmpeg with the system's packages.")
    version = answer_of(path, "-version")
    return ok(f"{path} ({version})", path=path, version=version)


def answer_of(*command: str) -> str:
    """What a program prints about itself, shortened to a line, or why it prints nothing."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not answer: {in_one_line(error, 60)}"
    return in_one_line(done.stdout.decode(errors="replace"), 60) or f"exit code {done.returncode}"

"""Choose an engine by name."""

from __future__ import annotations

from gpupatch.contract import checked
from gpupatch.engines.engine import Engine
from gpupatch.errors import BackendError, suggestion

ENGINES = ("lammps", "openmm")


@checked(BackendError)
def get_engine(name: str) -> Engine:
    """An engine, not yet initialized.

    Args:
        name: "lammps" or "openmm".

    Returns:
        The engine.

    Raises:
        BackendError: if there is none of that name, or it is not installed.
    """
    if name == "lammps":
        from gpupatch.engines.lammps import Lammps

        return Lammps()
    if name == "openmm":
        from gpupatch.engines.openmm import OpenMM

        return OpenMM()
    raise BackendError(f"there is no engine `{name}`. {suggestion(name, ENGINES)}")

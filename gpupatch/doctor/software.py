"""Probes of gpupatch itself and the packages that it stands on."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

from gpupatch._version import __version__
from gpupatch.doctor.record import Record, missing, ok, problem

OPTIONAL = ("zarr", "vtk")
"""Packages that only some exports need, installed by the extras of the same name."""


def gpupatch() -> Record:
    """Version and place of gpupatch."""
    import gpupatch as package

    return ok(f"{__version__} in {package.__path__[0]}", version=__version__)


def python() -> Record:
    """Version and place of Python."""
    version = platform.python_version()
    facts = {"version": version, "executable": sys.executable, "system": platform.platform()}
    found = f"{version} ({platform.python_implementation()}) on {platform.system()}, {sys.prefix}"
    return ok(found, **facts)


def packages() -> Record:
    """Versions of the packages that gpupatch cannot do without.

    Which ones, and how new they must be, is read off the metadata of gpupatch itself.
    """
    from packaging.requirements import Requirement

    found, faults = {}, []
    for requirement in map(Requirement, metadata.requires("gpupatch") or ()):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = found[requirement.name] = version_of(requirement.name)
        if version is None:
            faults.append(f"{requirement.name} is not installed")
        elif not requirement.specifier.contains(version, prereleases=True):
            faults.append(f"{requirement.name} is {version}, not {requirement.specifier}")
    if faults:
        return problem("; ".join(faults), "Run `pip install --upgrade gpupatch`.", versions=found)
    return ok(", ".join(f"{name} {version}" for name, version in found.items()), versions=found)


def optional_packages() -> Record:
    """Versions of packages that only some exports need."""
    found = {name: version_of(name) for name in OPTIONAL}
    absent = [name for name, version in found.items() if version is None]
    told = ", ".join(f"{name} {version or 'not installed'}" for name, version in found.items())
    if absent:
        return missing(told, f"To export with it, run `pip install {' '.join(absent)}`.", **found)
    return ok(told, **found)


def version_of(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

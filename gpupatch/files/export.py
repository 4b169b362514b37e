"""What exports have in common: reading a result, optional packages, names that are free."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.output import SOLUTION
from gpupatch.files.regular import regular

if TYPE_CHECKING:
    import xarray


def open_solution(directory: str | os.PathLike[str]) -> xarray.Dataset:
    """The result of a run, to be closed by the caller.

    Args:
        directory: of the run, with `solution.nc`.

    Raises:
        InputError: if there is none that can be read.
    """
    import xarray as xr

    path = Path(directory) / SOLUTION
    try:
        return xr.open_dataset(regular(path), decode_times=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read `{path}` ({error}). Give the directory of a gpupatch run."
        ) from error


def optional(package: str, extra: str) -> ModuleType:
    """A package that gpupatch does not always need.

    Args:
        package: what is imported.
        extra: the extra of gpupatch that brings it.

    Raises:
        GpupatchError: if it is not installed, with the extra.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise GpupatchError(
            f'this needs the package `{package}`. Run `pip install "gpupatch[{extra}]"`.'
        ) from error


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse to write over something, unless asked to.

    Raises:
        InputError: if there is something.
    """
    if path.exists() and not overwrite:
        raise InputError(
            f"`{path}` exists already. Choose another name with `--out`, or replace it with "
            "`--overwrite`."
        )

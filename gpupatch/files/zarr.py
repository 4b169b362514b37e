"""The result of a run as a Zarr store, which opens in xarray from disks and object stores."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.export import check_free, open_solution, optional

STORE = "solution.zarr"
_METADATA = (".zgroup", "zarr.json")


def export_zarr(
    directory: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write `solution.nc` as a Zarr store with the same variables, coordinates and attributes.

    The store has format 2 with consolidated metadata, which every version of Zarr reads:
    `xarray.open_zarr(path, decode_times=False)` gives the dataset of `solution.nc`.

    Args:
        directory: of the run.
        output: the store; `solution.zarr` in the directory when absent.
        overwrite: replace a store that is there.

    Returns:
        Its path.

    Raises:
        InputError: if there is no result, or something is in the way.
        GpupatchError: if the package `zarr` is missing, or the store cannot be written.
    """
    optional("zarr", "zarr")
    path = Path(directory) / STORE if output is None else Path(output)
    check_free(path, overwrite)
    if path.exists() and not any((path / name).is_file() for name in _METADATA):
        raise InputError(f"`{path}` is no Zarr store and is not replaced. Choose another name.")
    part = path.with_name(f"{path.name}.part")
    try:
        with open_solution(directory) as ds:
            ds.to_zarr(part, mode="w", consolidated=True, zarr_format=2)
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
    except OSError as error:
        raise GpupatchError(
            f"cannot write `{path}` ({error}). Check that its directory exists, is writable and "
            "has room."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return path

"""The files of a study: `study.nc`, `study.csv`, `report.json`, `study.png`, each written whole."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpupatch.errors import GpupatchError
from gpupatch.files.report import REPORT, write_report

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

STUDY, TABLE, PICTURE = "study.nc", "study.csv", "study.png"
FILES = [STUDY, TABLE, REPORT, PICTURE]


def write_study(
    directory: Path, dataset: xarray.Dataset, report: Mapping[str, Any], figure: Figure | None
) -> None:
    """Write what is known of a study in place of what was known before.

    Every file is written beside its place and then moved there, so that a reader finds the old one
    or the new one, never a part.

    Args:
        directory: where.
        dataset: one entry per run along `run`.
        report: what goes into `report.json`.
        figure: the picture, if it is time for it.

    Raises:
        GpupatchError: when the disk refuses.
    """
    _replace(directory / STUDY, lambda path: dataset.to_netcdf(path))
    _replace(directory / TABLE, lambda path: _write_table(path, dataset))
    if figure is not None:
        _replace(directory / PICTURE, lambda path: figure.savefig(path, format="png"))
    write_report(directory / REPORT, report)


def _replace(target: Path, write: Callable[[Path], Any]) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        try:
            write(temporary)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        raise GpupatchError(
            f"cannot write `{target}` ({error}). Check that its directory exists, is writable and "
            "has room."
        ) from error


def _write_table(path: Path, dataset: xarray.Dataset) -> None:
    """One line per run; a column for each variable, or for each of its fields."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        columns = dict(_columns(dataset))
        table = csv.writer(stream)
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))


def _columns(dataset: xarray.Dataset) -> Iterator[tuple[str, list[Any]]]:
    for name, values in dataset.data_vars.items():
        if values.dims == ("run",):
            yield str(name), values.values.tolist()
        elif values.dims == ("run", "field"):
            for index, field in enumerate(dataset["field"].values):
                yield f"{name}.{field}", values.values[:, index].tolist()

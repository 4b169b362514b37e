"""The directory of a run: its `report.json`, and what `--overwrite` may remove."""

import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.regular import regular

REPORT = "report.json"


def prepare_directory(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Make the directory that a run will write into, without touching what is not its own.

    A directory that holds anything is refused. With `overwrite`, exactly the files that its
    `report.json` lists under "files", and the report itself, are removed; all else stays, and
    links that stay are refused.

    Args:
        path: the directory; parents are made as needed.
        overwrite: replace the results of the earlier run in it.

    Returns:
        The directory.

    Raises:
        InputError: when the directory may not be used; nothing has been removed then.
        GpupatchError: when the disk refuses.
    """
    directory = Path(path)
    if directory.exists() and not directory.is_dir():
        raise InputError(f"`{directory}` is a file, not a directory. Choose another name.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        occupied = any(directory.iterdir())
        if occupied and not overwrite:
            raise InputError(
                f"`{directory}` is not empty. Choose another directory with `--out`, or replace "
                "the results in it with `--overwrite`."
            )
        for file in _removable(directory) if occupied else []:
            file.unlink(missing_ok=True)
        check_plain_files(directory)
    except OSError as error:
        raise GpupatchError(
            f"cannot prepare `{directory}` ({error}). Check its permissions, or choose another "
            "directory."
        ) from error
    return directory


def remove_results(directory: Path) -> None:
    """Remove the files that the report of a run lists, the report, and then an empty directory.

    Args:
        directory: of a run.
    """
    for file in _removable(directory):
        file.unlink(missing_ok=True)
    if not any(directory.iterdir()):
        directory.rmdir()


def check_plain_files(directory: Path) -> None:
    """Refuse a directory in which a name of ours could lead elsewhere.

    Args:
        directory: of a run that is going to be written into.

    Raises:
        InputError: if something in it is neither a file nor a directory, but a link, a pipe or a
            device.
    """
    for entry in sorted(directory.iterdir()):
        kind = entry.lstat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            what = "a link" if stat.S_ISLNK(kind) else "a pipe, socket or device"
            raise InputError(
                f"`{entry}` is {what}, through which results could end up elsewhere. Remove it, or "
                "choose another directory."
            )


def _removable(directory: Path) -> list[Path]:
    """List the files of the earlier run, the report last."""
    report = directory / REPORT
    if report.is_symlink() or not report.exists():
        raise InputError(
            f"`{directory}` has no {REPORT} of its own that says which files are gpupatch's, so "
            "none of them is removed. Choose another directory, or empty this one by hand."
        )
    names = read_report(report).get("files", [])
    if not isinstance(names, list) or not all(
        isinstance(name, str) and "\0" not in name for name in names
    ):
        raise InputError(f'"files" in `{report}` is not a list of names. Remove the files by hand.')
    listed = [directory / name for name in names if name != REPORT]
    root = directory.resolve()
    for file in listed:
        # a link is removed itself, hence only its parent is resolved
        if not file.parent.resolve().is_relative_to(root):
            raise InputError(
                f"`{report}` lists `{file}`, which is outside its directory; nothing is removed. "
                "Choose another directory, or remove the files by hand."
            )
        if file.is_dir() and not file.is_symlink():
            raise InputError(
                f"`{report}` lists `{file}`, which is a directory; only files are removed. "
                "Choose another directory, or remove it by hand."
            )
    return [*listed, report]


def write_report(path: str | os.PathLike[str], report: Mapping[str, Any]) -> None:
    """Write `report.json` so that a reader finds the old one or the new one, never a part.

    Args:
        path: the file, usually `report.json` in the directory of the run.
        report: text, numbers, NumPy scalars and arrays, paths, and mappings and sequences of
            these. JSON has no NaN and no infinity: both become null.

    Raises:
        InputError: when a value has no form in JSON.
        GpupatchError: when the disk refuses.
    """
    target = Path(path)
    text = json.dumps(_plain(report, "report"), indent=2, ensure_ascii=False, allow_nan=False)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("w", encoding="utf-8") as stream:
                stream.write(text + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise GpupatchError(
            f"cannot write `{target}` ({error}). Check that its directory exists, is writable and "
            "has room."
        ) from error


def _plain(value: Any, where: str) -> Any:
    """Turn a value into what JSON can hold; `where` names it in an error."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise InputError(
        f"`{where}` is {value!r}, of type {type(value).__name__}, which JSON cannot hold. "
        "Give text, numbers, arrays, paths, mappings or sequences."
    )


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a `report.json`.

    Args:
        path: the file.

    Returns:
        The report, with None where a number was not finite.

    Raises:
        InputError: when there is no such file or it is not a JSON object.
    """
    try:
        report = json.loads(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read `{path}` ({error}). Give the directory of a gpupatch run."
        ) from error
    if not isinstance(report, dict):
        raise InputError(f"`{path}` is not a JSON object. Give the directory of a gpupatch run.")
    return report

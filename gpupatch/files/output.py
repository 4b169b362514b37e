"""`solution.nc`, the result of a run on disk: NetCDF-4 with an unlimited `time`."""

import math
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Self

import numpy as np

from gpupatch.arrays import Macro, Micro
from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.layout import Layout

SOLUTION = "solution.nc"

_LOCKS = (
    "If another program has it open, close it there; on a shared disk (NFS, Lustre) without file "
    "locks, set HDF5_USE_FILE_LOCKING=FALSE in the environment and try again."
)
_ROOM = "Free some space or quota on that disk, then run again."
_METADATA = 2**20


def read_records(
    path: str | os.PathLike[str], layout_of: Callable[[Collection[str]], Layout]
) -> Iterator[tuple]:
    """Read what `SolutionWriter.append` was given, one time after the other.

    Args:
        path: the file.
        layout_of: names and dimensions of a file that has variables of these names.

    Yields:
        Time, coarse values, and micro fields, exact solution and standard errors or None.

    Raises:
        InputError: when the file cannot be read, or has another layout.
    """
    import netCDF4

    try:
        with netCDF4.Dataset(str(path)) as file:
            file.set_auto_mask(False)
            layout = layout_of(file.variables)
            names = [one.name for one in layout.variables() if one.values is None]
            for index, time in enumerate(np.asarray(file["time"][:])):
                found = {name: np.asarray(file[name][index]) for name in names if name != "time"}
                yield float(time), *layout.arrays(found)
    except (OSError, RuntimeError, IndexError, ValueError) as error:
        raise InputError(f"cannot read results from `{path}` ({error}).") from error


class SolutionWriter:
    """Append saved times to `solution.nc`, each one safe on disk before the next begins.

    `sync()` follows every record: a run that is killed leaves a file that xarray opens, with all
    records whose `append` returned. HDF5 spoils a file when it meets a full disk, so the space for
    a record is reserved before the file is touched (on Linux, where the system can).

        with SolutionWriter(directory / SOLUTION, layout) as writer:
            writer.append(0.0, U)

    Args:
        path: the file to create; an existing one is never overwritten.
        layout: names, dimensions and coordinates.
        after: continue the existing file of the same layout instead: records up to and
            including this model time are kept, later ones are written anew.

    Raises:
        InputError: when the file exists (without `after`), or does not fit the layout (with it).
        GpupatchError: when the file cannot be opened or written.
    """

    def __init__(self, path: str | os.PathLike[str], layout: Layout, after: float | None = None):
        import netCDF4

        self.path, self.layout = Path(path), layout
        self._count, self._last, self._failed = 0, -math.inf, False
        if after is None and self.path.exists():
            raise InputError(
                f"`{self.path}` exists already and is not overwritten. Choose another directory, "
                "or remove the file."
            )
        mode = "w" if after is None else "r+"
        try:
            self._file = netCDF4.Dataset(str(self.path), mode, format="NETCDF4")
            if after is None:
                self._define()
        except (OSError, RuntimeError) as error:
            raise GpupatchError(
                f"cannot open `{self.path}` for writing ({error}). Check that its directory "
                f"exists, is writable and has room. {_LOCKS}"
            ) from error
        if after is not None:
            self._continue(after)
        self._record_bytes = _METADATA + sum(
            8 * math.prod(-(-size // chunk) * chunk for size, chunk in self._chunks(name))
            for name, stored in self._file.variables.items()
            if stored.dimensions[:1] == ("time",)
        )

    def _chunks(self, name: str) -> list[tuple[int, int]]:
        """Pair the shape of one record of a variable with its chunks on disk."""
        stored = self._file[name]
        return list(zip((1, *stored.shape[1:]), stored.chunking(), strict=True))

    def _define(self) -> None:
        self._file.setncatts(self.layout.attributes())
        self._file.createDimension("time", None)
        for dim, size in self.layout.sizes().items():
            self._file.createDimension(dim, size)
        for variable in self.layout.variables():
            # NaN rather than NetCDF's 1e37 in a record that a crash left half written
            stored = self._file.createVariable(
                variable.name,
                "f8" if variable.values is None else variable.values.dtype,
                variable.dims,
                fill_value=np.nan if variable.values is None else None,
            )
            stored.setncatts(variable.attrs)
            if variable.coords:
                stored.coordinates = " ".join(variable.coords)
            if variable.values is not None:
                stored[...] = variable.values
        self._file.sync()

    def _continue(self, after: float) -> None:
        found = {name: stored.dimensions for name, stored in self._file.variables.items()}
        variables = self.layout.variables()
        if found != {variable.name: variable.dims for variable in variables} or any(
            not np.array_equal(self._file[variable.name][...], variable.values)
            for variable in variables
            if variable.values is not None
        ):
            self._file.close()
            raise InputError(
                f"`{self.path}` was written with other fields, coordinates or members than this "
                "run has. Resume the case that wrote it, or start in another directory."
            )
        times = np.ma.filled(self._file["time"][:], np.nan)
        self._count = int(np.count_nonzero(times <= after))
        self._last = float(times[self._count - 1]) if self._count else -math.inf

    def append(
        self,
        t: float,
        coarse: Macro,
        micro: Micro | None = None,
        exact: Macro | None = None,
        uncertainty: Macro | None = None,
    ) -> None:
        """Write the record of one model time and wait until it is on disk.

        Args:
            t: model time, later than the record before.
            coarse: coarse values, [member, field, *patch axes].
            micro: micro fields, [patch, field, *sites]; exactly when `layout.with_micro`.
            exact: exact solution, same shape as `coarse`; exactly when `layout.with_exact`.
            uncertainty: standard errors, same shape; exactly when `layout.with_uncertainty`.

        Raises:
            InputError: when a shape is not the layout's or time does not advance.
            GpupatchError: when the disk refuses the record.
        """
        if not t > self._last:
            raise InputError(
                f"the record at t = {t} follows one at t = {self._last} in `{self.path}`; time "
                "must increase. Save each time once, in order."
            )
        records = self.layout.records(coarse, micro, exact, uncertainty)
        try:
            self._reserve()
        except OSError as error:
            raise GpupatchError(
                f"no room for the record t = {t:.6g} of {self._record_bytes / 1e6:.3g} MB in "
                f"`{self.path}` ({error}); the {self._count} records before it are safe. {_ROOM}"
            ) from error
        try:
            for name, values in records.items():
                self._file[name][self._count] = values
            self._file["time"][self._count] = t
            self._file.sync()
        except (OSError, RuntimeError) as error:
            self._failed = True
            raise GpupatchError(
                f"cannot write t = {t:.6g} to `{self.path}` ({error}); the file may be damaged. "
                f"{_ROOM} {_LOCKS}"
            ) from error
        self._count, self._last = self._count + 1, float(t)

    def _reserve(self) -> None:
        """Ask the system for the space of one record, quota included, and hand it back."""
        if not hasattr(os, "posix_fallocate"):
            return
        with self.path.open("r+b") as stream:
            size = os.fstat(stream.fileno()).st_size
            try:
                os.posix_fallocate(stream.fileno(), size, self._record_bytes)
            finally:
                os.ftruncate(stream.fileno(), size)

    def close(self) -> None:
        """Close the file; a second call does nothing.

        Raises:
            GpupatchError: when the disk refuses, unless `append` has said so before.
        """
        if not self._file.isopen():
            return
        try:
            self._file.close()
        except RuntimeError as error:
            if not self._failed:
                raise GpupatchError(
                    f"cannot close `{self.path}` ({error}); the file may be damaged. {_ROOM}"
                ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

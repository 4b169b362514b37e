"""`particles.nc`: the particles of all patches at saved times.

=============  ==================================  =========================================
variable       dimensions                          meaning
=============  ==================================  =========================================
`time`         snapshot                            model time
`positions`    snapshot, patch, axis, particle     see `ParticleState`; NaN where none is
`velocities`   snapshot, patch, axis, particle     likewise
`types`        snapshot, patch, particle           from 0; -1 where no particle is
`weights`      snapshot, patch, particle           what a particle stands for
`counts`       snapshot, patch                     particles of each patch
`box`          snapshot, patch, axis               edge lengths
`centres`      patch, axis                         where the patches are, if the writer was told
=============  ==================================  =========================================

The patches of a member follow one another; the attributes `boundary` and `members` say what closes
each axis and how many members there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.regular import regular
from gpupatch.particles.state import ParticleState, make_state

SNAPSHOTS = "particles.nc"
"""Name of the file in the directory of a run."""

_DIMS = {
    "positions": ("patch", "axis", "particle"),
    "velocities": ("patch", "axis", "particle"),
    "types": ("patch", "particle"),
    "weights": ("patch", "particle"),
    "counts": ("patch",),
    "box": ("patch", "axis"),
}


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The particles of all patches at one time.

    Attributes:
        time: model time.
        state: the particles.
        boundary: what closes each axis.
        members: members among which the patches are shared.
        centres: where the patches are, [patch, axis], if it was written.
    """

    time: float
    state: ParticleState
    boundary: tuple[str, ...]
    members: int
    centres: NDArray[np.float64] | None


class SnapshotWriter:
    """Append particles to a file, each time safe on disk before the next begins.

        with SnapshotWriter(directory / SNAPSHOTS, model.boundary) as writer:
            writer.append(0.0, state)

    Args:
        path: the file to create; an existing one is never overwritten, unless it is `continued`.
        boundary: what closes each axis, as in `ParticleModel`.
        members: members; the patches of a member follow one another.
        centres: where the patches are, [patch, axis].
        continued: append to the existing file.

    Raises:
        InputError: when the file exists.
        GpupatchError: when the file cannot be opened or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        boundary: Sequence[str],
        members: int = 1,
        centres: NDArray[np.float64] | None = None,
        continued: bool = False,
    ):
        import netCDF4

        self.path, self._centres, self._count = Path(path), centres, 0
        if self.path.exists() and not continued:
            raise InputError(
                f"`{self.path}` exists already and is not overwritten. Choose another directory, "
                "or remove the file."
            )
        try:
            mode = "r+" if continued else "w"
            self._file = netCDF4.Dataset(str(self.path), mode, format="NETCDF4")
        except (OSError, RuntimeError) as error:
            raise GpupatchError(f"cannot open `{self.path}` for writing ({error}).") from error
        if continued:
            self._count = len(self._file["time"])
            return
        self._file.setncatts({"boundary": " ".join(boundary), "members": members})

    def append(self, time: float, state: ParticleState) -> None:
        """Write the particles at one time.

        Raises:
            GpupatchError: when they cannot be written.
        """
        self.write(time, stored_values(state))

    def write(self, time: float, values: Mapping[str, NDArray[Any]]) -> None:
        """Write what `stored_values` told about the particles at one time.

        Raises:
            GpupatchError: when it cannot be written.
        """
        try:
            if not self._count:
                self._define(*values["positions"].shape[:2])
            self._file["time"][self._count] = time
            for name, value in values.items():
                self._file[name][(self._count, *(slice(0, n) for n in value.shape))] = value
            self._file.sync()
        except (OSError, RuntimeError) as error:
            raise GpupatchError(f"cannot write to `{self.path}` ({error}).") from error
        self._count += 1

    def _define(self, n_patch: int, ndim: int) -> None:
        sizes = {"snapshot": None, "particle": None, "patch": n_patch, "axis": ndim}
        for name, size in sizes.items():
            self._file.createDimension(name, size)
        self._file.createVariable("time", "f8", ("snapshot",))
        for name, dims in _DIMS.items():
            kind, fill = {"types": ("i4", -1), "counts": ("i4", 0)}.get(name, ("f8", np.nan))
            self._file.createVariable(
                name, kind, ("snapshot", *dims), fill_value=fill, compression="zlib"
            )
        if self._centres is not None:
            self._file.createVariable("centres", "f8", ("patch", "axis"))[:] = self._centres

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> SnapshotWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def stored_values(state: ParticleState) -> dict[str, NDArray[Any]]:
    """What of a state is kept, in the form in which it is in the file.

    Args:
        state: the particles.

    Returns:
        Arrays by the names of the variables, undefined where no particle is.
    """
    there = state.present
    values: dict[str, NDArray[Any]] = {
        "positions": np.where(there[:, None], state.positions, np.nan),
        "velocities": np.where(there[:, None], state.velocities, np.nan),
        "types": np.where(there, state.types, -1),
        "weights": np.where(there, state.weights, 0.0),
        "counts": state.counts,
        "box": state.box,
    }
    return _trimmed(values)


def _trimmed(values: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays with room for the particles of the fullest patch only."""
    room = max(1, int(values["counts"].max(initial=0)))
    return {
        name: value[..., :room] if _DIMS[name][-1] == "particle" else value
        for name, value in values.items()
    }


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What closes the axes, how many members there are and where the patches are.

    Args:
        path: the file.

    Returns:
        The arguments of a `SnapshotWriter` that would write such a file, by name.

    Raises:
        InputError: when the file cannot be read.
    """
    try:
        with _opened(path) as file:
            file.set_auto_mask(False)
            centres = np.asarray(file["centres"][:]) if "centres" in file.variables else None
            boundary = str(file.getncattr("boundary")).split()
            return {
                "boundary": boundary, "members": int(file.getncattr("members")), "centres": centres
            }  # fmt: skip
    except (OSError, RuntimeError, IndexError, AttributeError) as error:
        raise InputError(f"cannot read particles from `{path}` ({error}).") from error


def read_values(path: str | os.PathLike[str]) -> Iterator[tuple[float, dict[str, NDArray[Any]]]]:
    """Read what `SnapshotWriter` wrote as it stands, one time after the other.

    Args:
        path: the file.

    Yields:
        Time, and arrays as of `stored_values`.

    Raises:
        InputError: when the file cannot be read.
    """
    try:
        with _opened(path) as file:
            file.set_auto_mask(False)
            for s, time in enumerate(np.asarray(file["time"][:])):
                yield float(time), _trimmed({name: np.asarray(file[name][s]) for name in _DIMS})
    except (OSError, RuntimeError, IndexError) as error:
        raise InputError(f"cannot read particles from `{path}` ({error}).") from error


def read_snapshots(path: str | os.PathLike[str]) -> Iterator[Snapshot]:
    """Read particles as `SnapshotWriter` wrote them, one time after the other.

    Args:
        path: the file.

    Yields:
        One snapshot per saved time; controls and what the dynamics keeps are not in the file.

    Raises:
        InputError: when the file cannot be read, or is of another kind.
    """
    try:
        file = _opened(path)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"cannot read particles from `{path}` ({error}). They are kept by runs of particles "
            "with `output.particles = true`."
        ) from error
    with file:
        missing = [name for name in ("time", *_DIMS) if name not in file.variables]
        if missing:
            raise InputError(f"`{path}` holds no particles: it has no variable `{missing[0]}`.")
        file.set_auto_mask(False)
        for s, time in enumerate(np.asarray(file["time"][:])):
            read = {name: np.asarray(file[name][s]) for name in _DIMS}
            room = int(read["counts"].max(initial=0))
            there = np.arange(room) < read["counts"][:, None]
            lone = there[:, None]
            state = make_state(
                np.where(lone, read["positions"][..., :room], 0.0), read["box"],
                velocities=np.where(lone, read["velocities"][..., :room], 0.0),
                types=np.where(there, read["types"][:, :room], 0), counts=read["counts"],
                weights=np.where(there, read["weights"][:, :room], 0.0),
            )  # fmt: skip
            yield Snapshot(
                float(time),
                state,
                tuple(str(file.boundary).split()),
                int(file.members),
                np.asarray(file["centres"][:]) if "centres" in file.variables else None,
            )


def _opened(path: str | os.PathLike[str]) -> Any:
    """A NetCDF file to read."""
    import netCDF4

    return netCDF4.Dataset(str(regular(path)))

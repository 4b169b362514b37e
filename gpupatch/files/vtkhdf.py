"""VTKHDF: the result of a run for ParaView and VTK, all times in one file each.

==========================  ================  ==================================================
file                        VTK               holds
==========================  ================  ==================================================
`NAME.vtkhdf`               image data        coarse fields at the centres of the patches
                                              (an unstructured grid where these are not equispaced)
`NAME_patches.vtkhdf`       unstructured      the micro fields, if they were kept; one grid that
                            grid              does not move, the sites of every patch in cells
`NAME_particles.vtkhdf`     polygonal data    the particles, if they were kept
==========================  ================  ==================================================

Arrays are named as in `solution.nc`; where there are several members, `u[2]` is that of member 2.
Axes that a run does not have are 0.

Source: the VTKHDF specification, version 2, sections on image data, polygonal data, unstructured
grids and temporal data [VTKHDF].
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import GpupatchError
from gpupatch.files.export import check_free, open_solution, optional
from gpupatch.files.snapshots import SNAPSHOTS, Snapshot, read_header, read_snapshots

if TYPE_CHECKING:
    import xarray

NAME = "solution.vtkhdf"
_VERSION = (2, 0)
_CELL_TYPES = {1: 3, 2: 9, 3: 12}
"""VTK's numbers of lines, quadrilaterals and hexahedra."""
_CORNERS = {
    1: [(0,), (1,)],
    2: [(0, 0), (1, 0), (1, 1), (0, 1)],
    3: [*((x, y, z) for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)))],
}
_TOPOLOGIES = ("Vertices", "Lines", "Polygons", "Strips")


def export_vtkhdf(
    directory: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the coarse fields of a run, and its micro fields and particles if they were kept.

    Args:
        directory: of the run.
        output: the file of the coarse fields, from whose name those of the others are made;
            `solution.vtkhdf` in the directory when absent.
        overwrite: replace files that are there.

    Returns:
        The files that were written.

    Raises:
        InputError: if there is no result, or something is in the way.
        GpupatchError: if the package `h5py` is missing, or a file cannot be written.
    """
    h5py = optional("h5py", "vtk")
    path = Path(directory) / NAME if output is None else Path(output)
    patches, particles = (path.with_name(f"{path.stem}_{k}{path.suffix}") for k in _OTHERS)
    snapshots = Path(directory) / SNAPSHOTS
    with open_solution(directory) as ds:
        micro = [str(name) for name in ds.data_vars if str(name).endswith("_micro")]
        written = [
            path,
            *([patches] if micro else []),
            *([particles] if snapshots.exists() else []),
        ]
        for one in written:
            check_free(one, overwrite)
        with _created(h5py, path) as file:
            _write_coarse(file.create_group("VTKHDF"), ds, micro)
        if micro:
            with _created(h5py, patches) as file:
                _write_patches(file.create_group("VTKHDF"), ds, micro)
    if snapshots.exists():
        with _created(h5py, particles) as file:
            _write_particles(file.create_group("VTKHDF"), snapshots)
    return written


_OTHERS = ("patches", "particles")


class _created:
    """A file that takes its name when it is whole."""

    def __init__(self, h5py: Any, path: Path):
        self._h5py, self._path = h5py, path
        self._part = path.with_name(f"{path.name}.part")

    def __enter__(self) -> Any:
        try:
            self._file = self._h5py.File(self._part, "w")
        except OSError as error:
            raise self._explained(error) from error
        return self._file

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        try:
            self._file.close()
            if kind is None:
                self._part.replace(self._path)
        except OSError as failed:
            raise self._explained(failed) from failed
        finally:
            self._part.unlink(missing_ok=True)

    def _explained(self, error: OSError) -> GpupatchError:
        return GpupatchError(
            f"cannot write `{self._path}` ({error}). Check that its directory exists, is writable "
            "and has room."
        )


def _head(group: Any, kind: str, times: NDArray[np.float64]) -> Any:
    """What every file begins with; returns the group of the steps."""
    group.attrs["Version"] = np.array(_VERSION, dtype="i8")
    group.attrs.create("Type", kind.encode("ascii"), dtype=f"S{len(kind)}")
    steps = group.create_group("Steps")
    steps.attrs["NSteps"] = len(times)
    steps["Values"] = times
    return steps


def _axes(ds: xarray.Dataset) -> list[str]:
    return [axis for axis in ("x", "y", "z") if axis in ds.dims]


def _per_member(ds: xarray.Dataset, name: str) -> Iterator[tuple[str, xarray.DataArray]]:
    """A variable of every member, under a name of its own."""
    if "member" not in ds[name].dims:
        yield name, ds[name]
        return
    for member in range(ds.sizes["member"]):
        yield f"{name}[{member}]", ds[name].isel(member=member)


def _write_coarse(group: Any, ds: xarray.Dataset, micro: Sequence[str]) -> None:
    axes, times = _axes(ds), ds["time"].values
    centres = [ds[axis].values for axis in axes]
    names = [
        str(name)
        for name in ds.data_vars
        if name not in micro and {"time", *axes} <= set(ds[name].dims)
    ]
    fields = {
        label: values.transpose("time", *reversed(axes)).values
        for name in names
        for label, values in _per_member(ds, name)
    }
    gaps = [np.diff(X) if len(X) > 1 else np.ones(1) for X in centres]
    if all(np.allclose(gap, gap[0], rtol=1e-9) for gap in gaps):
        steps = _head(group, "ImageData", times)
        extent = [0, 0] * 3
        origin, spacing = np.zeros(3), np.ones(3)
        for k, (X, gap) in enumerate(zip(centres, gaps, strict=True)):
            extent[2 * k + 1], origin[k], spacing[k] = len(X) - 1, X[0], gap.mean()
        group.attrs["WholeExtent"] = np.array(extent, dtype="i8")
        group.attrs["Origin"], group.attrs["Spacing"] = origin, spacing
        group.attrs["Direction"] = np.eye(3).ravel()
        for label, values in fields.items():
            group.require_group("PointData")[label] = values
            steps.require_group("PointDataOffsets")[label] = np.arange(len(times))
        return
    points = _grid_points(centres)
    corners = _lattice_cells([len(X) for X in centres])
    _write_grid(group, times, points, corners, len(axes), fields)


def _write_patches(group: Any, ds: xarray.Dataset, micro: Sequence[str]) -> None:
    axes = _axes(ds)
    kept = np.flatnonzero(
        [bool(np.isfinite(ds[micro[0]].isel(time=k)).any()) for k in range(ds.sizes["time"])]
    )
    sites = [ds[f"{axis}_site"].values for axis in axes]
    points, cells, count = [], [], 0
    lattice = _lattice_cells([x.shape[1] for x in sites])
    for patch in itertools.product(*(range(len(x)) for x in sites)):
        points.append(_grid_points([x[i] for x, i in zip(sites, patch, strict=True)]))
        cells.append(lattice + count)
        count += len(points[-1])
    # sites of a patch follow one another, x fastest, as in `_grid_points`
    order = ("time", *axes, *(f"site_{axis}" for axis in reversed(axes)))
    fields = {
        label: values.isel(time=kept).transpose(*order).values
        for name in micro
        for label, values in _per_member(ds, name)
    }
    times = ds["time"].values[kept]
    _write_grid(group, times, np.concatenate(points), np.concatenate(cells), len(axes), fields)


def _grid_points(axes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Points of a rectilinear grid, x fastest, [point, 3]."""
    points = np.zeros((int(np.prod([len(x) for x in axes])), 3))
    for k, x in enumerate(np.meshgrid(*axes, indexing="ij")):
        points[:, k] = x.ravel(order="F")
    return points


def _lattice_cells(shape: Sequence[int]) -> NDArray[np.int64]:
    """Corners of the cells between the points of a lattice, x fastest, [cell, corner]."""
    number = np.arange(int(np.prod(shape))).reshape(shape, order="F")
    corners = [
        number[tuple(slice(c, n - 1 + c) for c, n in zip(corner, shape, strict=True))]
        for corner in _CORNERS[len(shape)]
    ]
    return np.stack([one.ravel(order="F") for one in corners], axis=1)


def _write_grid(
    group: Any,
    times: NDArray[np.float64],
    points: NDArray[np.float64],
    corners: NDArray[np.int64],
    ndim: int,
    fields: Mapping[str, NDArray[np.float64]],
) -> None:
    """An unstructured grid that does not move, with values at its points over time."""
    steps, n = _head(group, "UnstructuredGrid", times), len(times)
    group["NumberOfPoints"] = np.array([len(points)])
    group["NumberOfCells"] = np.array([len(corners)])
    group["NumberOfConnectivityIds"] = np.array([corners.size])
    group["Points"], group["Connectivity"] = points, corners.ravel()
    group["Offsets"] = np.arange(len(corners) + 1) * corners.shape[1]
    group["Types"] = np.full(len(corners), _CELL_TYPES[ndim], dtype="u1")
    for name in ("PartOffsets", "PointOffsets"):
        steps[name] = np.zeros(n, dtype="i8")
    steps["NumberOfParts"] = np.ones(n, dtype="i8")
    for name in ("CellOffsets", "ConnectivityIdOffsets"):
        steps[name] = np.zeros((n, 1), dtype="i8")
    for label, values in fields.items():
        group.require_group("PointData")[label] = values.ravel()
        steps.require_group("PointDataOffsets")[label] = np.arange(n) * len(points)


def _write_particles(group: Any, path: Path) -> None:
    centres = read_header(path)["centres"]
    times, counts, columns = [], [], dict[str, list[NDArray[Any]]]()
    for snapshot in read_snapshots(path):
        values = _of_particles(snapshot, centres)
        times.append(snapshot.time)
        counts.append(len(values["points"]))
        for name, column in values.items():
            columns.setdefault(name, []).append(column)
    steps, n = _head(group, "PolyData", np.array(times)), len(times)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    before = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype("i8")
    group["NumberOfPoints"] = np.array(counts, dtype="i8")
    group["Points"] = joined.pop("points")
    for name in _TOPOLOGIES:
        one = group.create_group(name)
        held = counts if name == "Vertices" else [0] * n
        one["NumberOfCells"] = one["NumberOfConnectivityIds"] = np.array(held, dtype="i8")
        one["Connectivity"] = np.concatenate([np.arange(count) for count in held]).astype("i8")
        one["Offsets"] = np.concatenate([np.arange(count + 1) for count in held]).astype("i8")
    steps["PartOffsets"], steps["NumberOfParts"] = np.arange(n), np.ones(n, dtype="i8")
    steps["PointOffsets"] = before
    for name in ("CellOffsets", "ConnectivityIdOffsets"):
        steps[name] = np.stack([before, *([np.zeros(n, dtype="i8")] * 3)], axis=1)
    for label, values in joined.items():
        group.require_group("PointData")[label] = values
        steps.require_group("PointDataOffsets")[label] = before


def _of_particles(snapshot: Snapshot, centres: NDArray[np.float64] | None) -> dict[str, Any]:
    """Columns of all particles of all patches, at their places in the domain."""
    state, each = snapshot.state, snapshot.state.n_patch // snapshot.members
    patch, particle = np.nonzero(state.present)
    points = np.zeros((len(patch), 3))
    velocities = np.zeros((len(patch), 3))
    for axis in range(state.ndim):
        points[:, axis] = state.positions[patch, axis, particle]
        velocities[:, axis] = state.velocities[patch, axis, particle]
        if centres is not None and axis < centres.shape[1]:
            low = state.box[patch, axis] / 2 if snapshot.boundary[axis] == "periodic" else 0.0
            points[:, axis] += centres[patch, axis] - low
    return {
        "points": points,
        "velocity": velocities,
        "type": state.types[patch, particle],
        "weight": state.weights[patch, particle],
        "patch": patch % each,
        "member": patch // each,
    }

"""Results for other tools, read back by those: VTK reads VTKHDF, xarray reads Zarr."""

import sys

import numpy as np
import pytest
import xarray as xr
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline
from vtkmodules.vtkIOHDF import vtkHDFReader

from gpupatch.cli import main
from gpupatch.files.snapshots import read_snapshots

HEAT = """
title = "Heat in a plane"
[model]
name = "diffusion"
params = { D = 1.0 }
[grid]
domain = [[0.0, 1.0], [0.0, 2.0]]
patches = [5, 6]
sites = 5
ratio = 0.3
[initial]
u = "1 + cos(2*pi*x)*sin(pi*y)"
[time]
end = 0.004
save = 3
[members]
D = [1.0, 2.0]
[output]
patches = true
[run]
backend = "numpy"
[compare]
exact = "1 + exp(-5*pi**2*D*t)*cos(2*pi*x)*sin(pi*y)"
"""
UNEVEN = """
title = "Heat in a rod with uneven patches"
[model]
name = "diffusion"
params = { D = 1.0 }
[grid]
domain = [[0.0, 1.0]]
patches = 5
sites = 5
dx = 0.005
positions = [[0.05, 0.2, 0.5, 0.8, 0.95]]
boundary = [{ lo = { dirichlet = 0.0 }, hi = { dirichlet = 0.0 } }]
[initial]
u = "sin(pi*x)"
[time]
end = 0.001
save = 2
[run]
backend = "numpy"
"""
WALKERS = """
title = "Walkers"
[particles]
dynamics = "brownian"
temperature = 1.0
[grid]
domain = [[0.0, 1.0]]
patches = 6
core = 0.01
buffer = 0.01
[initial]
density = "1000*(2 + sin(2*pi*x))"
[burst]
length = 1e-6
[time]
end = 2e-3
projection = "euler"
step = 1e-3
save = 3
[output]
particles = true
[run]
backend = "numpy"
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Directories of three small runs, by name."""
    folder, found = tmp_path_factory.mktemp("runs"), {}
    for name, text in (("heat", HEAT), ("uneven", UNEVEN), ("walkers", WALKERS)):
        (folder / f"{name}.toml").write_text(text)
        found[name] = folder / name
        assert main(["run", str(folder / f"{name}.toml"), "--out", str(found[name]), "-q"]) == 0
    return found


def export(directory, kind, out, *more):
    return main(["export", str(directory), "--to", kind, "--out", str(out), *more])


def vtk_times(path):
    """A reader of a file, and the times in it."""
    reader = vtkHDFReader()
    assert reader.CanReadFile(str(path))
    reader.SetFileName(str(path))
    reader.UpdateInformation()
    key = vtkStreamingDemandDrivenPipeline.TIME_STEPS()
    return reader, list(reader.GetOutputInformation(0).Get(key))


def vtk_at(reader, t):
    """What VTK sees at one time: points, and values at them by name."""
    reader.UpdateTimeStep(t)
    data = reader.GetOutputDataObject(0)
    points = np.array([data.GetPoint(k) for k in range(data.GetNumberOfPoints())])
    values = data.GetPointData()
    names = [values.GetArrayName(k) for k in range(values.GetNumberOfArrays())]
    return data, points, {name: vtk_to_numpy(values.GetArray(name)) for name in names}


def test_vtk_reads_coarse_fields_of_all_times_and_members(runs, tmp_path):
    path = tmp_path / "heat.vtkhdf"
    assert export(runs["heat"], "vtkhdf", path) == 0
    reader, times = vtk_times(path)
    with xr.open_dataset(runs["heat"] / "solution.nc", decode_times=False) as ds:
        np.testing.assert_array_equal(times, ds["time"])
        for k, t in enumerate(times):
            data, points, values = vtk_at(reader, t)
            assert data.GetClassName() == "vtkImageData"
            assert data.GetDimensions() == (5, 6, 1)
            x, y = np.meshgrid(ds["x"], ds["y"])
            np.testing.assert_allclose(points[:, :2], np.stack([x.ravel(), y.ravel()], 1))
            assert set(values) == {"u[0]", "u[1]", "u_exact[0]", "u_exact[1]"}
            for member in (0, 1):
                for name in ("u", "u_exact"):
                    expected = ds[name].isel(time=k, member=member).transpose("y", "x")
                    found = values[f"{name}[{member}]"]
                    np.testing.assert_array_equal(found, expected.values.ravel())


def test_vtk_reads_micro_fields_at_their_sites(runs, tmp_path):
    assert export(runs["heat"], "vtkhdf", tmp_path / "heat.vtkhdf") == 0
    reader, times = vtk_times(tmp_path / "heat_patches.vtkhdf")
    with xr.open_dataset(runs["heat"] / "solution.nc", decode_times=False) as ds:
        data, points, values = vtk_at(reader, times[-1])
        assert data.GetClassName() == "vtkUnstructuredGrid"
        assert data.GetNumberOfPoints() == 30 * 25
        assert data.GetNumberOfCells() == 30 * 16
        last = ds["u_micro"].isel(time=-1, member=1)
        where = {}
        for i, j, p, q in np.ndindex(5, 6, 5, 5):
            x, y = float(ds["x_site"][i, p]), float(ds["y_site"][j, q])
            where[round(x, 9), round(y, 9)] = float(last[i, j, p, q])
        for point, value in zip(points.tolist(), values["u_micro[1]"], strict=True):
            assert where[round(point[0], 9), round(point[1], 9)] == value
        areas = [abs(area(data.GetCell(c))) for c in range(data.GetNumberOfCells())]
        dx, dy = ds.attrs["spacing"]
        np.testing.assert_allclose(areas, dx * dy)


def area(cell):
    """Of a quadrilateral, by the shoelace formula."""
    x, y, _ = np.array([cell.GetPoints().GetPoint(k) for k in range(4)]).T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_vtk_reads_patches_that_are_not_equispaced(runs, tmp_path):
    path = tmp_path / "rod.vtkhdf"
    assert export(runs["uneven"], "vtkhdf", path) == 0
    reader, times = vtk_times(path)
    with xr.open_dataset(runs["uneven"] / "solution.nc", decode_times=False) as ds:
        data, points, values = vtk_at(reader, times[-1])
        assert data.GetClassName() == "vtkUnstructuredGrid"
        assert data.GetNumberOfCells() == 4
        np.testing.assert_array_equal(points[:, 0], ds["x"])
        np.testing.assert_array_equal(values["u"], ds["u"].isel(time=-1))
    assert not (tmp_path / "rod_patches.vtkhdf").exists()


def test_vtk_reads_particles_at_their_places(runs, tmp_path):
    path = tmp_path / "walkers.vtkhdf"
    assert export(runs["walkers"], "vtkhdf", path) == 0
    reader, times = vtk_times(tmp_path / "walkers_particles.vtkhdf")
    snapshots = list(read_snapshots(runs["walkers"] / "particles.nc"))
    assert times == [one.time for one in snapshots]
    counts = set()
    for one in snapshots:
        data, points, values = vtk_at(reader, one.time)
        assert data.GetClassName() == "vtkPolyData"
        n = int(one.state.counts.sum())
        counts.add(n)
        assert data.GetNumberOfPoints() == data.GetNumberOfVerts() == n
        assert data.GetNumberOfLines() == data.GetNumberOfPolys() == 0
        assert one.centres is not None
        for patch, (centre,) in enumerate(one.centres):
            here = values["patch"] == patch
            expected = one.state.positions[patch, 0, : one.state.counts[patch]] + centre
            np.testing.assert_allclose(points[here, 0], expected, rtol=1e-12)
        assert values["velocity"].shape == (n, 3)
    assert len(counts) > 1


def test_xarray_reads_the_zarr_store_as_it_reads_the_result(runs, tmp_path):
    for name in runs:
        path = tmp_path / f"{name}.zarr"
        assert export(runs[name], "zarr", path) == 0
        with (
            xr.open_dataset(runs[name] / "solution.nc", decode_times=False) as expected,
            xr.open_zarr(path, decode_times=False) as found,
        ):
            xr.testing.assert_identical(found.load(), expected.load())
            assert set(found.coords) == set(expected.coords)


@pytest.mark.parametrize("kind", ["vtkhdf", "zarr", "extxyz"])
def test_what_is_there_is_replaced_only_when_asked_for(kind, runs, tmp_path, capsys):
    out = tmp_path / "result"
    assert export(runs["walkers"], kind, out) == 0
    capsys.readouterr()
    assert export(runs["walkers"], kind, out) == 2
    assert "exists already" in capsys.readouterr().err
    assert export(runs["walkers"], kind, out, "--overwrite") == 0


def test_a_directory_that_is_no_store_is_never_replaced(runs, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert export(runs["heat"], "zarr", tmp_path / "mine", "--overwrite") == 2
    assert "no Zarr store" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(("kind", "package", "extra"), [("vtkhdf", "h5py", "vtk"), ("zarr",) * 3])
def test_a_missing_package_is_named_with_its_extra(
    kind, package, extra, runs, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    assert export(runs["heat"], kind, tmp_path / "out") == 2
    assert f'pip install "gpupatch[{extra}]"' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["vtkhdf", "zarr"])
def test_an_export_without_a_result_or_a_place_says_so(kind, runs, tmp_path, capsys):
    assert export(tmp_path, kind, tmp_path / "out") == 2
    assert "Give the directory of a gpupatch run" in capsys.readouterr().err
    (tmp_path / "file").write_text("no directory")
    assert export(runs["heat"], kind, tmp_path / "file" / "out") == 2
    assert "cannot write" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["file"]

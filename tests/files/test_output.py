"""The result file keeps its promises: one layout, readable after a kill, nothing overwritten."""

import itertools
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.layout import Layout, layout_dataset
from gpupatch.files.output import SOLUTION, SolutionWriter

ATTRS = {
    "title": "Burgers on patches",
    "order": "spectral",
    "patches": [4, 3],
    "spacing": [0.01],
    "ratio": 0.25,
    "axes": ["x", "y"],
    "healed": True,
}


def make_layout(ndim=2, members=3, **options):
    sizes, sites = (4, 3, 2)[:ndim], (5, 3, 3)[:ndim]
    return Layout(
        fields=("u", "v"),
        centres=tuple(np.linspace(0.0, 1.0, n) for n in sizes),
        offsets=tuple(0.01 * (np.arange(n) - (n - 1) / 2) for n in sites),
        members=members,
        member_coords={"nu": np.linspace(0.1, 0.2, members)} if members > 1 else {},
        units={"u": "m/s", "time": "s", "x": "m"},
        attrs=ATTRS,
        **options,
    )


def make_records(layout, n_times=3):
    rng = np.random.default_rng(7)
    times = [0.25 * step for step in range(n_times)]
    coarse = [rng.normal(size=layout.macro_shape) for _ in times]
    micro = [rng.normal(size=layout.micro_shape) for _ in times] if layout.with_micro else None
    exact = [rng.normal(size=layout.macro_shape) for _ in times] if layout.with_exact else None
    error = [rng.random(layout.macro_shape) for _ in times] if layout.with_uncertainty else None
    return times, coarse, micro, exact, error


def write(path, layout, times, coarse, *more):
    with SolutionWriter(path, layout) as writer:
        for index, t in enumerate(times):
            writer.append(t, coarse[index], *(values and values[index] for values in more))


@pytest.mark.parametrize("extras", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_file_and_the_dataset_in_memory_are_identical(tmp_path, ndim, members, extras):
    micro, exact, uncertainty = extras
    layout = make_layout(
        ndim, members, with_micro=micro, with_exact=exact, with_uncertainty=uncertainty
    )
    records = make_records(layout)
    write(tmp_path / SOLUTION, layout, *records)
    with xr.open_dataset(tmp_path / SOLUTION) as ds:
        xr.testing.assert_identical(ds, layout_dataset(layout, *records))


def test_dimensions_follow_the_contract():
    layout = make_layout(2, 3, with_micro=True, with_exact=True)
    ds = layout_dataset(layout, *make_records(layout))
    assert ds["u"].dims == ds["u_exact"].dims == ("time", "member", "x", "y")
    assert ds["u_micro"].dims == ("time", "member", "x", "y", "site_x", "site_y")
    assert ds["y_site"].dims == ("y", "site_y")
    assert set(ds.coords) == {"time", "member", "nu", "x", "y", "x_site", "y_site"}
    assert set(ds.data_vars) == {f"{f}{tail}" for f in "uv" for tail in ("", "_exact", "_micro")}


def test_one_member_leaves_no_member_dimension_and_keeps_its_parameter():
    layout = Layout(("u",), (np.arange(3.0),), members=1, member_coords={"nu": [0.1]})
    ds = layout_dataset(layout, [0.0], [np.zeros((1, 1, 3))])
    assert ds["u"].dims == ("time", "x")
    assert ds["nu"].item() == 0.1


def test_every_value_lands_at_its_member_patch_and_site():
    layout = make_layout(2, 3, with_micro=True)
    times, coarse, micro, *_ = make_records(layout)
    assert micro is not None
    ds = layout_dataset(layout, times, coarse, micro)
    for m, i, j in [(0, 0, 0), (2, 3, 1), (1, 2, 2)]:
        here = {"time": 1, "member": m, "x": i, "y": j}
        patch = np.ravel_multi_index((m, i, j), (3, 4, 3))
        assert ds["v"].isel(here) == coarse[1][m, 1, i, j]
        np.testing.assert_array_equal(ds["v_micro"].isel(here), micro[1][patch, 1])


def test_sites_lie_around_their_patch_centre():
    layout = make_layout(1, 1, with_micro=True)
    ds = layout_dataset(layout, *make_records(layout))
    np.testing.assert_allclose(ds["x_site"].mean("site_x"), ds["x"], rtol=0, atol=1e-15)
    np.testing.assert_allclose(ds["x_site"].diff("site_x"), 0.01, rtol=0, atol=1e-15)


def test_units_are_one_unless_given(tmp_path):
    layout = make_layout(1, 1)
    write(tmp_path / SOLUTION, layout, *make_records(layout))
    with xr.open_dataset(tmp_path / SOLUTION) as ds:
        units = {name: variable.attrs["units"] for name, variable in ds.variables.items()}
    assert units == {"u": "m/s", "v": "1", "time": "s", "x": "m"}


def test_a_dataset_without_records_is_empty_in_time():
    ds = layout_dataset(make_layout(1, 1), [], [])
    assert ds.sizes == {"time": 0, "x": 4}


APPEND_FOREVER = """
import numpy as np, sys
from gpupatch.files.layout import Layout
from gpupatch.files.output import SolutionWriter
n = 5000
layout = Layout(("u",), (np.arange(n) / n,), (np.arange(3.0) - 1,), with_micro=True)
writer = SolutionWriter(sys.argv[1], layout)
step = 0
while True:
    writer.append(step, np.full((1, 1, n), step), np.full((n, 1, 3), step))
    print(step, flush=True)
    step += 1
"""


@pytest.mark.parametrize("records", [1, 4, 19])
def test_a_killed_run_leaves_every_appended_record_readable(tmp_path, records):
    path = tmp_path / SOLUTION
    with subprocess.Popen(
        [sys.executable, "-c", APPEND_FOREVER, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        reported = [int(child.stdout.readline()) for _ in range(records)][-1]
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    with xr.open_dataset(path) as ds:
        safe = ds.isel(time=slice(reported + 1))
        np.testing.assert_array_equal(safe["time"], np.arange(reported + 1))
        for name in ("u", "u_micro"):
            values = safe[name].to_numpy().reshape(reported + 1, -1)
            np.testing.assert_array_equal(values, np.broadcast_to(safe["time"], values.T.shape).T)


def test_an_open_file_already_shows_its_records(tmp_path):
    layout = make_layout(1, 1)
    times, coarse, *_ = make_records(layout)
    with SolutionWriter(tmp_path / SOLUTION, layout) as writer:
        writer.append(times[0], coarse[0])
        shown = (tmp_path / SOLUTION).read_bytes()
    (tmp_path / "copy.nc").write_bytes(shown)
    with xr.open_dataset(tmp_path / "copy.nc") as ds:
        np.testing.assert_array_equal(ds["u"], coarse[0][:, 0])


def test_a_resumed_file_equals_an_uninterrupted_one(tmp_path):
    layout = make_layout(2, 3, with_micro=True, with_exact=True)
    times, coarse, micro, exact, _ = make_records(layout, 4)
    assert micro is not None
    assert exact is not None
    path = tmp_path / SOLUTION
    with SolutionWriter(path, layout) as writer:
        for index in (0, 1, 2):
            writer.append(times[index], coarse[index], micro[index], exact[index])
    with SolutionWriter(path, layout, after=times[1]) as writer:
        for index in (2, 3):
            writer.append(times[index], coarse[index], micro[index], exact[index])
    with xr.open_dataset(path) as ds:
        xr.testing.assert_identical(ds, layout_dataset(layout, times, coarse, micro, exact))


def test_resuming_refuses_a_file_of_another_layout(tmp_path):
    path = tmp_path / SOLUTION
    write(path, make_layout(1, 1), *make_records(make_layout(1, 1)))
    with pytest.raises(InputError, match=r"solution\.nc` was written with other fields"):
        SolutionWriter(path, make_layout(1, 3), after=0.0)
    moved = Layout(("u", "v"), (np.linspace(0.0, 2.0, 4),))
    with pytest.raises(InputError, match=r"solution\.nc` was written with other fields"):
        SolutionWriter(path, moved, after=0.0)


def test_an_existing_file_is_never_overwritten(tmp_path):
    path = tmp_path / SOLUTION
    path.write_text("mine")
    with pytest.raises(InputError, match=r"solution\.nc` exists already"):
        SolutionWriter(path, make_layout())
    assert path.read_text() == "mine"


def test_a_file_that_cannot_be_created_says_which_and_names_the_lock_remedy(tmp_path):
    with pytest.raises(GpupatchError, match=r"no/solution\.nc`.*HDF5_USE_FILE_LOCKING=FALSE"):
        SolutionWriter(tmp_path / "no" / SOLUTION, make_layout())


FILL_THE_DISK = """
import numpy as np, resource, signal, sys
from gpupatch.errors import GpupatchError
from gpupatch.files.layout import Layout
from gpupatch.files.output import SolutionWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, 8_000_000))
n = 100_000
try:
    with SolutionWriter(sys.argv[1], Layout(("u",), (np.arange(n) / n,))) as writer:
        for step in range(100):
            writer.append(step, np.full((1, 1, n), step))
except GpupatchError as error:
    print(error)
"""


def test_a_full_disk_is_reported_and_spares_the_records_before_it(tmp_path):
    path = tmp_path / SOLUTION
    child = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    told = re.search(
        r"no room for the record t = (\d+) of .* in `.*solution\.nc`.* the (\d+) records",
        child.stdout,
    )
    assert told, child.stderr
    safe = int(told[2])
    assert safe > 1
    with xr.open_dataset(path) as ds:
        np.testing.assert_array_equal(ds["u"][:safe].mean("x"), np.arange(safe))


def test_time_must_advance(tmp_path):
    layout = Layout(("u",), (np.arange(4.0),))
    with SolutionWriter(tmp_path / SOLUTION, layout) as writer:
        writer.append(1.0, np.zeros((1, 1, 4)))
        with pytest.raises(InputError, match=r"t = 1.0 follows one at t = 1.0"):
            writer.append(1.0, np.zeros((1, 1, 4)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((np.zeros((1, 1, 5)),), r"the coarse values .* \(1, 1, 5\).* asks for \(1, 1, 4\)"),
        ((np.zeros((1, 1, 4)), np.zeros((4, 1, 3))), r"the micro values .* asks for None"),
        ((np.zeros((1, 1, 4)), None, np.zeros((1, 1, 4))), r"the exact values"),
    ],
)
def test_arrays_that_the_layout_does_not_ask_for_are_refused(arrays, message, tmp_path):
    layout = Layout(("u",), (np.arange(4.0),))
    with (
        SolutionWriter(tmp_path / SOLUTION, layout) as writer,
        pytest.raises(InputError, match=message),
    ):
        writer.append(0.0, *arrays)


def test_contradictory_layouts_are_refused():
    x = np.arange(4.0)
    with pytest.raises(InputError, match="`time` would name two things"):
        Layout(("time",), (x,))
    with pytest.raises(InputError, match="`u_micro` would name two things"):
        Layout(("u", "u_micro"), (x,), (x,), with_micro=True)
    with pytest.raises(InputError, match="`nu` has values of shape"):
        Layout(("u",), (x,), members=2, member_coords={"nu": [1.0, 2.0, 3.0]})
    with pytest.raises(InputError, match="site offsets for all 1 axes"):
        Layout(("u",), (x,), with_micro=True)
    with pytest.raises(InputError, match="at least one field"):
        Layout((), (x,))


def test_attributes_that_netcdf_cannot_keep_are_refused():
    with pytest.raises(InputError, match="the attribute `case`"):
        Layout(("u",), (np.arange(4.0),), attrs={"case": {"nested": 1}})

"""`particles.nc`: particles are read back as they were, and exported for other tools."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.cli import main
from gpupatch.errors import InputError
from gpupatch.files.extxyz import read_extxyz
from gpupatch.files.snapshots import SNAPSHOTS, SnapshotWriter, read_snapshots


def crowd(n, seed=0):
    rng = np.random.default_rng(seed)
    counts = np.minimum([n, n - 1, 1, 0], n)
    return gp.make_state(
        rng.normal(size=(4, 2, n)),
        [3.0, 5.0],
        velocities=rng.normal(size=(4, 2, n)),
        types=rng.integers(0, 3, (4, n)),
        counts=counts,
        weights=rng.random((4, n)),
    )


@pytest.fixture
def folder(tmp_path):
    """The directory of a run that kept particles at three times, ever more of them."""
    with SnapshotWriter(tmp_path / SNAPSHOTS, ("open", "periodic"), 2, np.ones((4, 2))) as writer:
        for k, n in enumerate((3, 7, 5)):
            writer.append(0.1 * k, crowd(n, k))
    return tmp_path


def test_particles_are_read_back_exactly(folder):
    found = list(read_snapshots(folder / SNAPSHOTS))
    assert [one.time for one in found] == [0.0, 0.1, 0.2]
    for k, n in enumerate((3, 7, 5)):
        given, one = crowd(n, k), found[k]
        there = given.present
        assert one.boundary == ("open", "periodic")
        assert one.members == 2
        np.testing.assert_array_equal(one.centres, np.ones((4, 2)))
        np.testing.assert_array_equal(one.state.counts, given.counts)
        np.testing.assert_array_equal(one.state.box, given.box)
        for name in ("positions", "velocities", "types", "weights"):
            mask = there[:, None] if name in ("positions", "velocities") else there
            np.testing.assert_array_equal(
                getattr(one.state, name), np.where(mask, getattr(given, name), 0)
            )


def test_every_snapshot_is_on_disk_before_the_next(tmp_path):
    with SnapshotWriter(tmp_path / SNAPSHOTS, ("open", "open")) as writer:
        writer.append(0.0, crowd(3))
        assert len((tmp_path / SNAPSHOTS).read_bytes()) > 0
        writer.append(1.0, crowd(4))
    assert len(list(read_snapshots(tmp_path / SNAPSHOTS))) == 2


def test_results_are_never_overwritten(folder):
    with pytest.raises(InputError, match="is not overwritten"):
        SnapshotWriter(folder / SNAPSHOTS, ("open", "open"))


def test_other_files_are_refused(tmp_path):
    import netCDF4

    with pytest.raises(InputError, match=r"output\.particles = true"):
        list(read_snapshots(tmp_path / "none.nc"))
    with netCDF4.Dataset(str(tmp_path / "other.nc"), "w") as file:
        file.createDimension("x", 1)
    with pytest.raises(InputError, match="no variable `time`"):
        list(read_snapshots(tmp_path / "other.nc"))


def test_a_run_is_exported_as_extended_xyz(folder, capsys):
    assert main(["export", str(folder), "--to", "extxyz"]) == 0
    path = folder / "particles.xyz"
    assert capsys.readouterr().out == f"{path}\n"
    frames = read_extxyz(path)
    assert len(frames) == 12
    last = frames[8]
    assert (last.time, last.member, last.patch, len(last.species)) == (0.2, 0, 0, 5)
    np.testing.assert_array_equal(last.positions[:, :2].T, crowd(5, 2).positions[0])
    assert (
        main(["export", str(folder), "--to", "extxyz", "--out", str(folder / "p.xyz"), "-q"]) == 0
    )
    assert (folder / "p.xyz").read_text() == path.read_text()
    assert capsys.readouterr().out == ""


def test_a_run_without_particles_is_told_how_to_keep_them(tmp_path, capsys):
    assert main(["export", str(tmp_path), "--to", "extxyz"]) == 2
    assert "output.particles = true" in capsys.readouterr().err

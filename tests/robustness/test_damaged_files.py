"""Truncated and corrupt files, directories and disks that refuse: exit 2, and nothing changed."""

import errno
import hashlib
import json
import os
import sys

import netCDF4
import numpy as np
import pytest

from gpupatch.cli import main
from gpupatch.errors import CaseError, GpupatchError
from gpupatch.files.case import load_case
from gpupatch.files.report import read_report, write_report
from gpupatch.files.snapshots import read_snapshots
from gpupatch.plot import plot_run
from gpupatch.run.initial import read_array

SMALL = ("--backend", "numpy", "-q", "--set", "grid.patches=8", "--set", "time.end=0.002", "--set",
         "time.save=2")  # fmt: skip
PARTICLES = ("--backend", "numpy", "-q", "--set", "output.particles=true", "--set", "time.end=200",
             "--set", "time.save=2", "--set", "run.replicas=1", "--set", "burst.replicas=1",
             "--set", "compare=")  # fmt: skip
DAMAGES = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "all but the end": lambda data: data[:-40],
    "head only": lambda data: data[:16],
    "noise": lambda data: np.random.default_rng(1).bytes(4000),
    "zeros": lambda data: bytes(len(data)),
    "head damaged": lambda data: bytes(64) + data[64:],
    "middle damaged": lambda data: (
        data[: len(data) // 2] + b"\xff" * 400 + data[len(data) // 2 + 400 :]
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A finished run on lattices."""
    directory = tmp_path_factory.mktemp("lattice") / "run"
    assert main(["run", "burgers", "--out", str(directory), *SMALL]) == 0
    return directory


@pytest.fixture(scope="module")
def particle_results(tmp_path_factory):
    """A finished run of particles that kept them."""
    directory = tmp_path_factory.mktemp("particles") / "run"
    assert main(["run", "hard_rods", "--out", str(directory), *PARTICLES]) == 0
    return directory


def copied(results, directory, name, damage):
    """A copy of the results with one file damaged."""
    directory.mkdir()
    for file in results.iterdir():
        if file.is_file():
            (directory / file.name).write_bytes(file.read_bytes())
    target = directory / name
    target.write_bytes(DAMAGES[damage](target.read_bytes()))
    return directory


def digest(directory):
    """What lies in a directory, by name and content."""
    return {
        str(file.relative_to(directory)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(directory.rglob("*"))
        if file.is_file()
    }


def refused(words, capsys):
    """The message of a command that must fail with exit 2."""
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.startswith("gpupatch: error: ")
    assert "Traceback" not in told.err
    return told.err


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["report.json", "solution.nc"])
def test_damaged_results_are_refused_or_read_and_never_changed(
    name, damage, results, tmp_path, capsys
):
    directory = copied(results, tmp_path / "run", name, damage)
    before = digest(directory)
    for words in (
        ["info", str(directory)],
        ["plot", str(directory), "--out", str(tmp_path / "p.png")],
    ):
        code = main(words)
        told = capsys.readouterr().err
        assert code in (0, 2)
        assert "Traceback" not in told
        assert code == 0 or told.startswith("gpupatch: error: ")
    assert digest(directory) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_particles_are_refused_or_read_and_never_changed(
    damage, particle_results, tmp_path, capsys
):
    directory = copied(particle_results, tmp_path / "run", "particles.nc", damage)
    before = digest(directory)
    out = tmp_path / "out.xyz"
    code = main(["export", str(directory), "--to", "extxyz", "--out", str(out)])
    told = capsys.readouterr().err
    assert code in (0, 2)
    assert "Traceback" not in told
    assert code == 0 or (told.startswith("gpupatch: error: ") and not out.exists())
    assert digest(directory) == before


@pytest.mark.parametrize("damage", ["empty", "half", "noise", "zeros"])
def test_a_damaged_report_keeps_overwrite_from_removing_anything(damage, results, tmp_path, capsys):
    directory = copied(results, tmp_path / "run", "report.json", damage)
    before = digest(directory)
    refused(["run", "burgers", "--out", str(directory), "--overwrite", *SMALL], capsys)
    assert digest(directory) == before


@pytest.mark.parametrize(
    "report",
    ['{"files": "all"}', '{"files": [1]}', '{"files": ["../x"]}', '{"files": ["/etc/passwd"]}',
     '{"files": ["sub"]}', "[1]", "null", '"text"', "{}" * 2, "[" * 100_000, "1" * 5000,
     '{"a": NaN, "files": {"b": 1}}'],
)  # fmt: skip
def test_a_report_that_lists_what_is_not_its_own_removes_nothing(report, tmp_path, capsys):
    directory = tmp_path / "run"
    (directory / "sub").mkdir(parents=True)
    (tmp_path / "x").write_text("kept")
    (directory / "report.json").write_text(report)
    before = digest(tmp_path)
    refused(["run", "burgers", "--out", str(directory), "--overwrite", *SMALL], capsys)
    assert digest(tmp_path) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_arrays_are_refused(damage, tmp_path):
    np.savez(tmp_path / "u.npz", u=np.ones(8))
    np.save(tmp_path / "u.npy", np.ones(8))
    (tmp_path / "c.toml").write_text(CASE_WITH_FILES)
    case = load_case(tmp_path / "c.toml")
    for name, reference in (("u.npz", "u.npz:u"), ("u.npy", "u.npy")):
        file = tmp_path / name
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
        try:
            array = read_array(case, reference, False)
        except CaseError:
            continue
        assert array.shape == (8,)


@pytest.mark.parametrize(
    "array",
    [np.array(["a"]), np.array([None]), np.array([1j]), np.zeros((3, 3)), np.zeros(0),
     np.array([np.nan] * 8), np.array(1.0), np.zeros(8, dtype=[("a", float)])],
)  # fmt: skip
def test_arrays_of_something_else_are_refused(array, tmp_path, capsys):
    np.save(tmp_path / "u.npy", array, allow_pickle=True)
    np.savez(tmp_path / "u.npz", other=np.ones(8))
    (tmp_path / "c.toml").write_text(CASE_WITH_FILES)
    out = tmp_path / "run"
    for reference in ("u.npy", "u.npz:u"):
        words = ["run", str(tmp_path / "c.toml"), "--set", f"initial.u.file={reference}"]
        refused([*words, "--out", str(out), "-q"], capsys)
        assert not out.exists()


CASE_WITH_FILES = """
[model]
name = "diffusion"
params = { D = 1.0 }
[grid]
domain = [[0.0, 1.0]]
patches = 8
sites = 5
ratio = 0.2
[initial]
u = { file = "u.npy" }
[time]
end = 1e-4
[run]
backend = "numpy"
"""


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b"\0" * 100, b"[a", b"a = ", b"[" * 5000, b"a = " + b"1" * 5000,
     b"a = 0x" + b"f" * 5000, b"a.b = 1\na = 2", b"x = [[[[1]]]", b'"""' * 3, b"a=1\r\rb=2",
     "title = 'é".encode("utf-16")],
)  # fmt: skip
def test_a_damaged_case_file_is_refused_and_leaves_no_directory(text, tmp_path, capsys):
    file, out = tmp_path / "case.toml", tmp_path / "run"
    file.write_bytes(text)
    assert len(refused(["run", str(file), "--out", str(out)], capsys)) < 5000
    refused(["validate", str(file)], capsys)
    assert not out.exists()


def test_places_that_cannot_be_written_are_told_before_anything_runs(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below", "/proc/nowhere/run", "/dev/null/run", tmp_path / ("a" * 300)):
        refused(["run", "burgers", "--out", str(out), *SMALL], capsys)
    assert file.read_text() == "mine"
    assert os.listdir(tmp_path) == ["file"]


def test_pictures_and_exports_that_cannot_be_written_are_told(
    results, particle_results, tmp_path, capsys
):
    for place in (
        "/proc/p.png",
        "/dev/null/p.png",
        str(tmp_path / "none" / "p.png"),
        str(tmp_path),
    ):
        refused(["plot", str(results), "--out", place], capsys)
        refused(["export", str(particle_results), "--to", "extxyz", "--out", place], capsys)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_and_leaves_no_half_written_report(tmp_path, monkeypatch):
    target = tmp_path / "report.json"
    write_report(target, {"a": 1})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GpupatchError, match="No space left"):
        write_report(target, {"a": 2})
    assert read_report(target) == {"a": 1}
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for space as Linux does")
def test_a_disk_that_fills_during_a_run_ends_it_with_what_was_safe(tmp_path, capsys, monkeypatch):
    asked = []

    def full(*arguments):
        asked.append(arguments)
        if len(asked) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    told = refused(["run", "burgers", "--out", str(tmp_path / "run"), *SMALL], capsys)
    assert "the 1 records before it are safe" in told
    with netCDF4.Dataset(tmp_path / "run" / "solution.nc") as file:
        assert len(file["time"]) == 1
    json.loads((tmp_path / "run" / "report.json").read_text())


def test_a_file_of_another_kind_is_no_file_of_particles(tmp_path):
    with netCDF4.Dataset(tmp_path / "particles.nc", "w") as file:
        file.createDimension("time", None)
    for content in (None, b"text"):
        if content is not None:
            (tmp_path / "particles.nc").write_bytes(content)
        with pytest.raises(GpupatchError):
            list(read_snapshots(tmp_path / "particles.nc"))
    with pytest.raises(GpupatchError):
        plot_run(tmp_path)

"""The report survives a crash, and `--overwrite` removes only what a report lists."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.report import REPORT, prepare_directory, read_report, write_report


def make_run(directory, files=("solution.nc", "plot.png", REPORT)):
    for name in files:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("result")
    write_report(directory / REPORT, {"files": list(files)})
    return directory


def names(directory):
    return sorted(
        str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_symlink() or p.is_file()
    )


def test_a_new_directory_is_made_with_its_parents(tmp_path):
    assert prepare_directory(tmp_path / "a" / "b").is_dir()


def test_an_empty_directory_is_used_as_it_is(tmp_path):
    assert prepare_directory(tmp_path) == tmp_path


def test_a_directory_with_anything_in_it_is_refused(tmp_path):
    make_run(tmp_path)
    with pytest.raises(InputError, match=f"`{tmp_path}` is not empty.*--overwrite"):
        prepare_directory(tmp_path)
    assert names(tmp_path) == ["plot.png", REPORT, "solution.nc"]


def test_overwrite_removes_only_what_the_report_lists(tmp_path):
    make_run(tmp_path, ("solution.nc", "movie/frame.png", REPORT))
    (tmp_path / "notes.md").write_text("mine")
    prepare_directory(tmp_path, overwrite=True)
    assert names(tmp_path) == ["notes.md"]


def test_overwrite_forgives_listed_files_that_are_gone(tmp_path):
    make_run(tmp_path)
    (tmp_path / "plot.png").unlink()
    prepare_directory(tmp_path, overwrite=True)
    assert names(tmp_path) == []


def test_overwrite_without_a_report_removes_nothing(tmp_path):
    (tmp_path / "solution.nc").write_text("someone's")
    with pytest.raises(InputError, match=rf"`{tmp_path}` has no report\.json"):
        prepare_directory(tmp_path, overwrite=True)
    assert names(tmp_path) == ["solution.nc"]


@pytest.mark.parametrize("name", ["../victim", "/victim", "sub/../../victim", "link/victim", ""])
def test_overwrite_never_leaves_the_directory(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    (run / "link").symlink_to(tmp_path)
    listed = str(victim) if name == "/victim" else name
    (run / REPORT).write_text(json.dumps({"files": ["solution.nc", listed]}))
    (run / "solution.nc").write_text("result")
    with pytest.raises(InputError, match="outside its directory; nothing is removed"):
        prepare_directory(run, overwrite=True)
    assert victim.read_text() == "mine"
    assert names(run) == ["link", REPORT, "solution.nc"]


def test_overwrite_removes_a_listed_link_and_not_what_it_points_to(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    (run / "solution.nc").symlink_to(victim)
    write_report(run / REPORT, {"files": ["solution.nc"]})
    prepare_directory(run, overwrite=True)
    assert victim.read_text() == "mine"
    assert names(run) == []


@pytest.mark.parametrize("listed", [".", "..", "sub"])
def test_overwrite_removes_no_directory(tmp_path, listed):
    run = tmp_path / "run"
    (run / "sub").mkdir(parents=True)
    write_report(run / REPORT, {"files": [listed]})
    with pytest.raises(InputError, match=r"nothing is removed|only files are removed"):
        prepare_directory(run, overwrite=True)
    assert (run / "sub").is_dir()


def test_a_list_of_files_that_is_no_list_is_refused(tmp_path):
    write_report(tmp_path / REPORT, {"files": "solution.nc"})
    with pytest.raises(InputError, match="is not a list of names"):
        prepare_directory(tmp_path, overwrite=True)


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is a file, not a directory"):
        prepare_directory(tmp_path / "out", overwrite=True)


def test_a_report_comes_back_as_plain_json(tmp_path):
    write_report(
        tmp_path / REPORT,
        {
            "title": "Wärme",
            "error": np.float64(1e-3),
            "steps": np.int64(3),
            "ok": np.bool_(True),
            "half_width": np.array([0.1, 0.2]),
            "bad": [float("nan"), np.float32("inf"), np.array([np.nan])],
            "out": Path("run") / "a",
            "nested": {"none": None, "pair": (1, "b")},
        },
    )
    assert read_report(tmp_path / REPORT) == {
        "title": "Wärme",
        "error": 1e-3,
        "steps": 3,
        "ok": True,
        "half_width": [0.1, 0.2],
        "bad": [None, None, [None]],
        "out": os.path.join("run", "a"),
        "nested": {"none": None, "pair": [1, "b"]},
    }


def test_a_value_without_a_form_in_json_is_named(tmp_path):
    with pytest.raises(InputError, match=r"`report\.parts\[1\]\.z` is 1j, of type complex"):
        write_report(tmp_path / REPORT, {"parts": [1, {"z": 1j}]})
    assert names(tmp_path) == []


def test_a_failed_write_leaves_the_old_report_and_no_temporary_file(tmp_path, monkeypatch):
    write_report(tmp_path / REPORT, {"run": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GpupatchError, match=r"report\.json` .*No space left"):
        write_report(tmp_path / REPORT, {"run": 2})
    assert read_report(tmp_path / REPORT) == {"run": 1}
    assert names(tmp_path) == [REPORT]


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_a_broken_report_is_named(tmp_path, text):
    (tmp_path / REPORT).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"report\.json"):
        read_report(tmp_path / REPORT)


def test_a_missing_report_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*report\.json"):
        read_report(tmp_path / REPORT)

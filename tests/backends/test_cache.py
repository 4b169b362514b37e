"""Generated sources live in a folder that nobody else can write, under their own hash."""

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gpupatch.backends._cache import cache_folder, load_source
from gpupatch.errors import BackendError

SCRIPT = """
import numpy as np
from problems import problem
from gpupatch.backends._numba import NumbaBackend
from gpupatch.micro import lattice
given = problem(lattice.get("diffusion", 1))
kernels = NumbaBackend().load(given.model, "float64")
kernels.burst(kernels.pack(given.u), given.plan(), 0.0)
code, _ = kernels._program("euler", 1)
print(sum(code.burst_all.stats.cache_hits.values()))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "kernels"
    monkeypatch.setenv("GPUPATCH_CACHE", str(place))
    return place


def test_the_folder_is_made_for_its_owner_alone(folder):
    assert cache_folder() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_folder_follows_the_convention_of_the_desktop(tmp_path, monkeypatch):
    monkeypatch.delenv("GPUPATCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "gpupatch"


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_is_refused(folder, mode):
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(BackendError, match="chmod 700"):
        cache_folder()


def test_a_link_in_place_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BackendError, match="could be written by others"):
        cache_folder()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners on this system")
def test_a_folder_of_somebody_else_is_refused(folder, monkeypatch):
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(BackendError, match="GPUPATCH_CACHE"):
        cache_folder()


def test_a_place_where_no_folder_can_be_made_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPUPATCH_CACHE", str(tmp_path / "file" / "kernels"))
    with pytest.raises(BackendError, match="cannot be used"):
        cache_folder()


def test_sources_are_named_by_their_content(folder):
    text = "ANSWER = 41\n"
    module = load_source(text)
    assert module.ANSWER == 41
    assert hashlib.sha256(text.encode()).hexdigest() in module.__name__
    assert Path(str(module.__file__)).read_text() == text
    assert load_source(text) is module


def test_a_source_that_was_tampered_with_is_refused(folder):
    text = "ANSWER = 42\n"
    name = f"_gpupatch_{hashlib.sha256(text.encode()).hexdigest()}"
    (cache_folder() / f"{name}.py").write_text("ANSWER = 0\n")
    with pytest.raises(BackendError, match="does not hold what its name promises"):
        load_source(text)
    assert name not in sys.modules


def test_a_source_that_fails_leaves_no_half_made_module(folder):
    text = "ANSWER = 1 / 0\n"
    with pytest.raises(ZeroDivisionError):
        load_source(text)
    with pytest.raises(ZeroDivisionError):
        load_source(text)


@pytest.mark.slow
def test_a_second_process_compiles_nothing(folder):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, "tests"])}
    hits = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True,
            check=True,
        ).stdout.strip()
        for _ in range(2)
    ]  # fmt: skip
    assert hits == ["0", "1"]

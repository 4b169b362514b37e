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


def test_compiled_code_that_somebody_else_left_is_refused(folder):
    text = "ANSWER = 43\n"
    compiled = cache_folder() / "__pycache__"
    planted = compiled / f"_gpupatch_{hashlib.sha256(text.encode()).hexdigest()}.f-1.py311.nbi"
    planted.symlink_to("/dev/null")
    with pytest.raises(BackendError, match="could have been written by others"):
        load_source(text)
    planted.unlink()
    planted.touch()
    planted.chmod(0o666)
    folder.chmod(0o755)
    compiled.chmod(0o755)
    with pytest.raises(BackendError, match="could have been written by others"):
        load_source(text)
    planted.unlink()
    compiled.rmdir()
    compiled.symlink_to(folder.parent)
    with pytest.raises(BackendError, match="could be written by others"):
        load_source(text)


def test_a_folder_that_others_can_exchange_is_refused(tmp_path, monkeypatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("GPUPATCH_CACHE", str(tmp_path / "open" / "kernels"))
    with pytest.raises(BackendError, match="could be exchanged by others"):
        cache_folder()
    (tmp_path / "open").chmod(0o1777)
    assert cache_folder() == tmp_path / "open" / "kernels"


def test_the_folder_may_be_named_from_home_and_there_need_be_no_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GPUPATCH_CACHE", "~/kernels")
    assert cache_folder() == tmp_path / "kernels"
    monkeypatch.setenv("GPUPATCH_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() == tmp_path / ".cache" / "gpupatch"

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(BackendError, match="Set GPUPATCH_CACHE"):
        cache_folder()


@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero", "/proc/self", "/proc/nothing/here"])
def test_places_that_are_no_folders_of_ones_own_are_refused(monkeypatch, name):
    monkeypatch.setenv("GPUPATCH_CACHE", name)
    with pytest.raises(BackendError, match="GPUPATCH_CACHE"):
        load_source("ANSWER = 44\n")


def test_a_full_disk_is_a_clear_error_and_leaves_no_part(folder, monkeypatch):
    def full(descriptor, mode):
        os.close(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(BackendError, match="No space left on device"):
        load_source("ANSWER = 45\n")
    assert [file.name for file in folder.iterdir()] == ["__pycache__"]


def test_numba_is_not_sent_elsewhere_by_a_file_in_the_current_directory(folder, tmp_path):
    """Its compiled code is read by running it, and must be nobody else's."""
    (tmp_path / "evil").mkdir()
    (tmp_path / ".numba_config.yaml").write_text(f"cache_dir: {tmp_path / 'evil'}\n")
    script = (
        "from gpupatch.backends._cache import load_source\n"
        "text = 'import numba\\n@numba.njit(cache=True)\\ndef twice(x):\\n    return 2 * x\\n'\n"
        "assert load_source(text).twice(3) == 6\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "evil")}
    for given in (environment, os.environ):
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=given, check=True)
    assert list((tmp_path / "evil").iterdir()) == []
    assert any(file.suffix == ".nbi" for file in (folder / "__pycache__").iterdir())

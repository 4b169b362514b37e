"""Runs of cases that are interrupted or killed, and taken up as if nothing had happened."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

import gpupatch as gp
from gpupatch.cli import main
from gpupatch.errors import InputError
from gpupatch.files.case import load_case
from gpupatch.files.checkpoint import CHECKPOINT, previous_of, read_checkpoint
from gpupatch.files.journal import JOURNAL
from gpupatch.files.output import SolutionWriter
from gpupatch.files.sole import sole_use
from gpupatch.run import execute

ROOT = Path(__file__).parents[1]
NOT_OF_THE_PHYSICS = {
    "wall_seconds", "wall_seconds_by_part", "updates_per_second", "finiteness_checks",
    "resumptions", "case", "case_directory", "inputs",
}  # fmt: skip
LATTICE = """
title = "A front"
[model]
name = "fisher_kpp"
params = { D = 0.02, r = 2.0 }
[grid]
domain = [[0.0, 6.0]]
patches = 6
sites = 9
ratio = 0.2
[initial]
u = "0.5 + 0.4*sin(2*pi*x/6)"
[time]
end = 0.6
save = 9
[output]
patches = true
every = 2
[checkpoint]
every = 1
seconds = 0.02
[run]
backend = "numpy"
[compare]
exact = "0.5"
"""
PARTICLES = """
[particles]
dynamics = "brownian"
temperature = 1.0
[grid]
domain = [[0.0, 1.0]]
patches = 4
core = 0.01
buffer = 0.0165
[scheme]
lift = "stochastic"
number = "poisson"
[burst]
length = 1.5e-5
replicas = 2
[initial]
density = "200*(1 + 0.5*sin(2*pi*x))"
[time]
end = 0.012
projection = "ab2"
step = 1e-3
save = 7
[output]
particles = true
[checkpoint]
every = 2
[run]
backend = "numpy"
replicas = 2
"""


def empty_picture(directory: Path) -> None:
    (directory / execute.PLOT).touch()


@pytest.fixture(scope="module", autouse=True)
def _no_time_for_pictures():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(execute, "_draw", empty_picture)
        yield


def write_case(folder: Path, text: str) -> Path:
    path = folder / "case.toml"
    path.write_text(text)
    return path


def run(path: Path, out: Path, *words: str) -> int:
    return main(["run", str(path), "--out", str(out), "--quiet", *words])


def contents(path: Path) -> dict[str, Any]:
    """Every variable, its attributes, and those of the file."""
    with netCDF4.Dataset(str(path)) as file:
        file.set_auto_mask(False)
        found: dict[str, Any] = {
            "attributes": {name: file.getncattr(name) for name in file.ncattrs()}
        }
        for name, stored in file.variables.items():
            facts = {key: stored.getncattr(key) for key in stored.ncattrs()}
            found[name] = (stored.dimensions, str(stored.dtype), facts, stored[...])
    return found


def report_of(directory: Path) -> dict:
    return json.loads((directory / "report.json").read_text())


def facts(directory: Path) -> dict:
    report = report_of(directory)
    return {key: value for key, value in report.items() if key not in NOT_OF_THE_PHYSICS}


def assert_same_results(found: Path, expected: Path):
    for name in ("solution.nc", "particles.nc"):
        assert (found / name).exists() == (expected / name).exists()
        if (found / name).exists():
            np.testing.assert_equal(contents(found / name), contents(expected / name))
    np.testing.assert_equal(facts(found), facts(expected))
    assert not (found / JOURNAL).exists()
    assert not list(found.glob("*.part"))


class Stopped(Exception):
    pass


@contextmanager
def dying(monkeypatch, saves: int):
    """Let a run die without a word when it is about to write that record of `solution.nc`."""
    append, count = SolutionWriter.append, [0]

    def fatal(self, *args, **kwargs):
        count[0] += 1
        if count[0] > saves:
            raise Stopped
        append(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(SolutionWriter, "append", fatal)
        with pytest.raises(Stopped):
            yield


@pytest.fixture(scope="module", params=["lattice", "particles"])
def undisturbed(request, tmp_path_factory):
    """A case file and the results of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp(request.param)
    path = write_case(folder, LATTICE if request.param == "lattice" else PARTICLES)
    assert run(path, folder / "out") == 0
    return path, folder / "out"


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """The case of a front alone."""
    folder = tmp_path_factory.mktemp("front")
    path = write_case(folder, LATTICE)
    assert run(path, folder / "out") == 0
    return path, folder / "out"


@pytest.mark.parametrize("saves", [1, 4, 6])
def test_a_run_that_died_is_taken_up(undisturbed, tmp_path, monkeypatch, saves):
    path, expected = undisturbed
    out = tmp_path / "out"
    with dying(monkeypatch, saves):
        run(path, out)
    assert report_of(out)["status"] == "running"
    # whatever the dying process did to the files
    (out / "solution.nc").write_bytes(b"spoilt")
    assert main(["resume", str(out), "--quiet"]) == 0
    assert_same_results(out, expected)
    assert len(report_of(out)["resumptions"]) == 1
    assert report_of(out)["inputs"] == report_of(expected)["inputs"]


def test_a_solution_that_was_taken_up_is_whole(front, tmp_path, monkeypatch):
    path, _ = front
    case = load_case(path)
    whole = gp.run_case(case, tmp_path / "whole", quiet=True).solution
    with dying(monkeypatch, 5):
        gp.run_case(case, tmp_path / "out", quiet=True)
    taken_up = gp.resume(tmp_path / "out", quiet=True).solution
    assert whole is not None
    assert taken_up is not None
    found, expected = taken_up.to_xarray(), whole.to_xarray()
    for name in ("time", "u", "u_exact"):
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_array_equal(found["u_micro"][::2], expected["u_micro"][::2])
    np.testing.assert_equal(found.attrs, expected.attrs)


def start(words: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "gpupatch.cli", *words], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_without_checkpoints_makes_one_when_it_is_stopped(tmp_path, number):
    text = LATTICE.replace("[checkpoint]\nevery = 1\nseconds = 0.02\n", "")
    text = text.replace("end = 0.6", "end = 6.0").replace("patches = 6", "patches = 18")
    path, out = write_case(tmp_path, text), tmp_path / "out"
    process = start(["run", str(path), "--out", str(out), "--quiet"])
    while not (out / "solution.nc").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    assert process.wait(timeout=120) in (130, 143)
    stopped = report_of(out)["time"]["reached"]
    assert stopped < 6
    assert (out / CHECKPOINT).exists()
    assert not (out / JOURNAL).exists()
    assert main(["resume", str(out), "--quiet"]) == 0
    assert not (out / CHECKPOINT).exists()
    assert run(path, tmp_path / "whole") == 0
    assert_same_results(out, tmp_path / "whole")


def test_a_run_that_died_before_its_first_checkpoint_begins_anew(front, tmp_path, monkeypatch):
    path, expected = front
    out = tmp_path / "out"
    with dying(monkeypatch, 0):
        run(path, out)
    assert not (out / CHECKPOINT).exists()
    assert main(["resume", str(out), "--quiet"]) == 0
    assert_same_results(out, expected)
    assert report_of(out)["inputs"] == report_of(expected)["inputs"]


def test_a_finished_run_says_so_and_goes_on_when_its_end_is_moved(tmp_path, capsys):
    listed = LATTICE.replace("save = 9", "save = [0.2, 0.4]")
    path, out = write_case(tmp_path, listed), tmp_path / "out"
    assert run(path, out) == 0
    before = contents(out / "solution.nc")
    assert main(["resume", str(out)]) == 0
    assert "finished, at t = 0.6" in capsys.readouterr().out
    np.testing.assert_equal(contents(out / "solution.nc"), before)
    later = ["--set", "time.end=0.9", "--set", "time.save=[0.2, 0.4, 0.6, 0.75]"]
    assert main(["resume", str(out), "--quiet", *later]) == 0
    assert run(path, tmp_path / "whole", *later) == 0
    assert_same_results(out, tmp_path / "whole")
    sooner = ["--set", "time.end=0.1", "--set", "time.save=2"]
    assert main(["resume", str(out), *sooner]) == 2
    assert "already reached" in capsys.readouterr().err


@pytest.fixture
def half(front, tmp_path, monkeypatch):
    """A run that died half-way, and its case."""
    path = tmp_path / "case.toml"
    shutil.copy(front[0], path)
    with dying(monkeypatch, 5):
        run(path, tmp_path / "out")
    return path, tmp_path / "out", front[1]


def test_nothing_changes_that_would_alter_the_past(half, capsys):
    _, out, _ = half
    assert main(["resume", str(out), "--set", "model.params.D=1"]) == 2
    assert "`model.params.D` would alter" in capsys.readouterr().err


def test_a_case_that_has_changed_is_refused_unless_told(half, capsys):
    path, out, expected = half
    path.write_text(LATTICE.replace("r = 2.0", "r = 3.0"))
    assert main(["resume", str(out), "--quiet"]) == 2
    assert "case.toml` (the case file) changed" in capsys.readouterr().err
    assert main(["resume", str(out), "--quiet", "--allow-change"]) == 0
    for name, values in contents(expected / "solution.nc").items():
        np.testing.assert_equal(contents(out / "solution.nc")[name], values)


def test_a_case_file_that_is_gone_is_not_missed(half):
    path, out, expected = half
    path.unlink()
    assert main(["resume", str(out), "--quiet"]) == 0
    np.testing.assert_equal(contents(out / "solution.nc"), contents(expected / "solution.nc"))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone"])
def test_the_checkpoint_before_stands_in_for_a_damaged_one(half, capsys, damage):
    _, out, expected = half
    newest = out / CHECKPOINT
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 0xFF
    spoilt = {"cut": data[: len(data) // 3], "flipped": data, "empty": b""}
    if damage == "gone":
        newest.unlink()
    else:
        newest.write_bytes(spoilt[damage])
    assert main(["resume", str(out), "--quiet"]) == 0
    assert ("is damaged" in capsys.readouterr().err) == (damage != "gone")
    assert_same_results(out, expected)


def test_damaged_checkpoints_are_told_and_nothing_is_touched(half, capsys):
    _, out, _ = half
    for file in (out / CHECKPOINT, previous_of(out / CHECKPOINT)):
        file.write_bytes(b"PK\x03\x04 not much of an archive")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert main(["resume", str(out), "--quiet"]) == 2
    assert "There is no checkpoint to go on from" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_a_directory_without_a_run_is_told(tmp_path, capsys):
    assert main(["resume", str(tmp_path)]) == 2
    assert "report.json" in capsys.readouterr().err
    assert main(["resume", str(tmp_path / "nowhere")]) == 2
    assert "there is no directory" in capsys.readouterr().err


def test_no_two_processes_work_in_one_directory(half):
    path, out, _ = half
    with sole_use(out):
        with pytest.raises(InputError, match="another process is running"):
            gp.resume(out, quiet=True)
        with pytest.raises(InputError, match="another process is running"):
            gp.run_case(load_case(path), out, overwrite=True, quiet=True)


def test_a_checkpoint_tells_no_secrets_and_runs_no_code(half):
    """The rule file of a case is run once it is trusted, also on resumption."""
    tree, warning = read_checkpoint(half[1] / CHECKPOINT)
    assert warning == ""
    assert "[model]" in tree["about"]["case"]
    with np.load(half[1] / CHECKPOINT, allow_pickle=False) as members:
        assert not any(members[name].dtype.hasobject for name in members.files)


def test_a_rule_of_ones_own_needs_trust_again_and_must_be_the_same(tmp_path, monkeypatch, capsys):
    (tmp_path / "rules.py").write_text(RULES)
    text = LATTICE.replace('name = "fisher_kpp"', 'rule = "rules.py:spreading"')
    path, out = write_case(tmp_path, text), tmp_path / "out"
    with dying(monkeypatch, 5):
        run(path, out, "--trust")
    assert main(["resume", str(out), "--quiet"]) == 2
    assert "--trust" in capsys.readouterr().err
    (tmp_path / "rules.py").write_text(RULES + "\n# changed\n")
    assert main(["resume", str(out), "--quiet", "--trust"]) == 2
    assert "rules.py` (model.rule) changed" in capsys.readouterr().err
    (tmp_path / "rules.py").write_text(RULES)
    assert main(["resume", str(out), "--quiet", "--trust"]) == 0


RULES = '''
import gpupatch as gp


@gp.rule(fields="u")
def spreading(u, D, r, dx):
    """du/dt = D u_xx + r u (1 - u)"""
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2 + r * u[0] * (1 - u[0])
'''


def test_a_failed_run_leaves_its_last_good_checkpoint(tmp_path):
    text = LATTICE.replace('u = "0.5 + 0.4', 'u = "-0.5 + 0.1')
    path, out = write_case(tmp_path, text.replace("end = 0.6", "end = 3.0")), tmp_path / "out"
    with np.errstate(all="ignore"):
        code = run(path, out, "--set", "compare=")
    tree, _ = read_checkpoint(out / CHECKPOINT)
    assert code == 3
    assert np.isfinite(tree["run"]["march"]["state"]["u"]).all()


def command(words: list[str]) -> None:
    """`gpupatch` without the time that a picture takes."""
    execute._draw = empty_picture
    main(words)


def kills(path: Path, expected: Path, folder: Path, count: int, seed: int) -> dict[str, int]:
    """Kill runs and resumptions while they work until so many were hit, and compare each.

    Returns:
        Kills; those of runs that had made a checkpoint; and those after which the run ended like
        the undisturbed one.
    """
    generator = np.random.default_rng(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pytest", "netCDF4", "xarray", "gpupatch.run", "gpupatch.micro.lattice"]
    )

    def begun(out: Path) -> int:
        """Changes when a process begins to work in a directory."""
        report = out / "report.json"
        return report.stat().st_ino if report.exists() else 0

    def spend(out: Path, share: float | None, usual: float = 0.0) -> float | None:
        """Go on in a directory; kill the process after a share of the usual time that it works.

        Returns:
            The time that it worked; None if it was killed.
        """
        words = ["resume", str(out)] if begun(out) else ["run", str(path), "--out", str(out)]
        process, before = context.Process(target=command, args=([*words, "--quiet"],)), begun(out)
        process.start()
        while begun(out) == before and process.is_alive():
            time.sleep(0.001)
        began = time.perf_counter()
        process.join(None if share is None else share * usual)
        killed = process.is_alive()
        if killed:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        return None if killed else time.perf_counter() - began

    usual = spend(folder / "timed", None) or 0.0
    found = {"tried": 0, "checkpointed": 0, "survived": 0}
    trial = 0
    while found["tried"] < count:
        out, trial, hits = folder / str(trial), trial + 1, 0
        while found["tried"] + hits < count:
            fresh, worked = not begun(out), spend(out, generator.uniform(), usual)
            if worked is not None:
                usual = worked if fresh else usual
                break
            hits += 1
            found["checkpointed"] += (out / CHECKPOINT).exists()
        spend(out, None)
        assert_same_results(out, expected)
        found["tried"] += hits
        found["survived"] += hits
    return found


def test_a_few_kills_change_nothing(undisturbed, tmp_path):
    path, expected = undisturbed
    found = kills(path, expected, tmp_path, 3, seed=1)
    assert found["tried"] == found["survived"] == 3


@pytest.mark.slow
def test_fifty_kills_change_nothing(undisturbed, tmp_path):
    path, expected = undisturbed
    found = kills(path, expected, tmp_path, 50, seed=2)
    print(found)
    assert found["tried"] == found["survived"] == 50
    assert found["checkpointed"] > 35

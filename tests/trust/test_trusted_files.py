"""Files that a case or a run names lead nowhere else, and hold no code."""

import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gpupatch.cli import main
from gpupatch.errors import CaseError, GpupatchError, InputError
from gpupatch.files.case import load_case, parse_case
from gpupatch.files.checkpoint import read_checkpoint, write_checkpoint
from gpupatch.files.report import REPORT, prepare_directory, read_report
from gpupatch.files.toml import read_toml, set_entry

CASE = """
[model]
name = "heterogeneous_diffusion"
[coefficients]
kappa = { file = "KAPPA" }
[grid]
domain = [[0.0, 1.0]]
patches = 4
sites = 5
ratio = 0.2
[scheme]
order = 2
[initial]
u = { file = "START" }
[time]
end = 0.001
save = 2
[run]
backend = "numpy"
"""
PATIENCE = 120


@pytest.fixture(autouse=True)
def nothing_hangs():
    """A test that waits for a pipe or reads a device for ever fails."""

    def fail(*_):
        raise TimeoutError("this waited for what never comes")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The directory of a case, with a directory beside it that is none of its business."""
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    np.save("start.npy", np.ones(4))
    np.save("kappa.npy", np.ones(1))
    np.save(tmp_path / "elsewhere" / "start.npy", np.ones(4))
    return tmp_path / "here"


def run(start="start.npy", kappa="kappa.npy", *arguments):
    """The exit code of a case that reads its start and its medium from files."""
    Path("case.toml").write_text(CASE.replace("START", start).replace("KAPPA", kappa))
    return main(["run", "case.toml", "--out", "results", *arguments])


class Bomb:
    """A pickle that leaves a mark when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


OUTSIDE = [
    "../elsewhere/start.npy", "link/start.npy", "linked.npy", "sub/../../elsewhere/start.npy",
]  # fmt: skip


@pytest.mark.parametrize("name", [*OUTSIDE, "ABSOLUTE"])
def test_a_case_reads_nothing_outside_its_directory_unless_trusted(place, name, capsys):
    elsewhere = place.parent / "elsewhere"
    (place / "link").symlink_to(elsewhere)
    (place / "linked.npy").symlink_to(elsewhere / "start.npy")
    (place / "sub").mkdir()
    name = str(elsewhere / "start.npy") if name == "ABSOLUTE" else name
    assert run(name) == 2
    assert "outside its directory" in capsys.readouterr().err
    assert not Path("results").exists()
    loaded = load_case("case.toml")
    assert loaded.path(name, trust=True).samefile(elsewhere / "start.npy")


@pytest.mark.parametrize(
    "name", ["pipe", "/dev/zero", "/dev/stdin", "zero", "~/start.npy", "folder", "a\\u0000b", ""]
)
@pytest.mark.parametrize("trust", [[], ["--trust"]], ids=["", "trusted"])
def test_what_is_no_file_is_not_read(place, name, trust, capsys):
    os.mkfifo("pipe")
    Path("zero").symlink_to("/dev/zero")
    Path("folder").mkdir()
    assert run(name, "kappa.npy", *trust) == 2
    assert capsys.readouterr().err.count("\n") < 6
    assert not Path("results").exists()


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "folder.toml", "missing.toml", "/dev/null"])
def test_what_is_no_file_is_no_case(place, name, capsys):
    os.mkfifo("pipe")
    Path("folder.toml").mkdir()
    for command in ("run", "validate"):
        assert main([command, name]) == 2
    assert "Traceback" not in capsys.readouterr().err


def hostile_arrays(folder: Path, mark: Path) -> list[str]:
    """Files that NumPy would unpickle if it were allowed to."""
    np.save(folder / "object.npy", np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    np.savez(folder / "object.npz", u=np.array([Bomb(mark)], dtype=object))
    (folder / "plain.npy").write_bytes(pickle.dumps(Bomb(mark)))
    (folder / "plain.npz").write_bytes(pickle.dumps(Bomb(mark)))
    return ["object.npy", "object.npz:u", "object.npz", "plain.npy", "plain.npz:u", "plain.npz"]


@pytest.mark.parametrize("trust", [[], ["--trust"]], ids=["", "trusted"])
def test_pickles_in_place_of_arrays_are_refused_and_not_run(place, trust, capsys):
    mark = place / "it_ran"
    for name in hostile_arrays(place, mark):
        assert run(name, "kappa.npy", *trust) == 2, name
        assert run("start.npy", name, *trust) == 2, name
        told = capsys.readouterr().err
        assert "cannot be read as an array of numbers" in told or "npz:name" in told
    assert not mark.exists()
    assert not Path("results").exists()
    mark.touch()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a run that has come to its end, to be copied."""
    place = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        np.save("start.npy", np.ones(4))
        np.save("kappa.npy", np.ones(1))
        assert run("start.npy", "kappa.npy", "-q") == 0
    return place / "results"


@pytest.fixture
def results(place, finished):
    """The directory of a run that has come to its end."""
    return Path(shutil.copytree(finished, place / "results"))


def test_pickles_in_place_of_results_are_refused_and_not_run(results, place, capsys):
    mark = place / "it_ran"
    stream = io.BytesIO()
    np.savez(stream, tree=np.array([Bomb(mark)], dtype=object))
    for content in (pickle.dumps(Bomb(mark)), stream.getvalue()):
        for name in ("solution.nc", "checkpoint.npz", "checkpoint.previous.npz", "particles.nc"):
            (results / name).write_bytes(content)
        for command in (
            ["plot", "results"],
            ["resume", "results"],
            ["export", "results", "--to", "extxyz"],
            ["replay", str(results / "checkpoint.npz")],
        ):
            assert main(command) == 2, command
    assert not mark.exists()
    assert "Traceback" not in capsys.readouterr().err


def test_overwriting_removes_nothing_through_a_report_that_was_edited(results, place):
    victim = place / "victim"
    victim.write_text("mine")
    report = json.loads((results / REPORT).read_text())
    before = {file.name: file.read_bytes() for file in results.iterdir()}
    for listed in (
        ["../victim"], [str(victim)], ["a/../../victim"], ["."], [""], ["\0"], [3], "victim",
        {"victim": 1}, None, [["victim"]], ["x" * 5000],
    ):  # fmt: skip
        (results / REPORT).write_text(json.dumps({**report, "files": listed}))
        with pytest.raises(GpupatchError):
            prepare_directory(results, overwrite=True)
        assert victim.read_text() == "mine"
        now = {file.name: file.read_bytes() for file in results.iterdir() if file.name != REPORT}
        assert now == {name: content for name, content in before.items() if name != REPORT}


def test_a_report_that_is_a_link_to_another_says_nothing_about_this_directory(place):
    (place / "mine").mkdir()
    (place / "mine" / "thesis.tex").write_text("years")
    (place / "foreign.json").write_text(json.dumps({"files": ["thesis.tex"]}))
    (place / "mine" / REPORT).symlink_to(place / "foreign.json")
    with pytest.raises(InputError, match="of its own"):
        prepare_directory(place / "mine", overwrite=True)
    assert (place / "mine" / "thesis.tex").read_text() == "years"


PLANTED = [
    "plot.png", "report.json.tmp", "checkpoint.npz.part", "checkpoint.npz", "journal.bin",
    "particles.nc", "solution.nc", ".report.json.1.tmp", "plot.png.part",
]  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("dangling", [False, True], ids=["", "dangling"])
def test_nothing_is_written_through_links_planted_in_a_run(results, place, name, dangling, capsys):
    victim = place / "victim"
    if not dangling:
        victim.write_text("mine")
    (results / name).unlink(missing_ok=True)
    (results / name).symlink_to(victim)
    report = json.loads((results / REPORT).read_text())
    (results / REPORT).write_text(json.dumps({**report, "files": ["solution.nc"]}))
    code = run("start.npy", "kappa.npy", "-q", "--overwrite")
    assert code == 0 if name == "solution.nc" else code == 2
    for command in (["resume", "results"], ["plot", "results"]):
        main(command)
    assert victim.exists() != dangling
    if not dangling:
        assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["report.json", "solution.nc", "checkpoint.npz", "particles.nc"])
def test_no_command_waits_for_a_pipe_in_a_run(results, name, capsys):
    (results / name).unlink(missing_ok=True)
    os.mkfifo(results / name)
    for command in (
        ["info", "results"],
        ["plot", "results"],
        ["resume", "results"],
        ["export", "results", "--to", "extxyz"],
    ):
        assert main(command) in (0, 2)
    assert run("start.npy", "kappa.npy", "-q", "--overwrite") in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_report_nested_without_end_is_refused(place):
    (place / REPORT).write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(InputError, match="cannot read"):
        read_report(place / REPORT)


BOMBS = {
    "deep lists": "title = " + "[" * 50_000 + "]" * 50_000,
    "deep tables": "title = " + "{a=" * 50_000 + "1" + "}" * 50_000,
    "long dotted key": ".".join("a" * 20_000) + " = 1",
    "long header": f"[{'.'.join('a' * 20_000)}]\nb = 1",
    "many headers": "".join(f"[a{i}]\n" for i in range(20_000)),
    "huge integer": "title = " + "9" * 200_000,
    "huge exponent": "title = 1e999999999",
    "huge grid": "[grid]\ndomain = [[0, 1]]\npatches = 999999999999999999999\nsites = 9\ndx = 0.1",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_a_case_that_is_a_bomb_is_refused_quickly(text):
    began = time.process_time()
    with pytest.raises(CaseError):
        parse_case(read_toml(text, "case.toml"))
    assert time.process_time() - began < 10


def assigned(assignment):
    table = {"title": "x"}
    set_entry(table, assignment)
    return parse_case(table)


def test_an_assignment_that_is_a_bomb_is_refused_quickly():
    began = time.process_time()
    for assignment in (
        ".".join("a" * 20_000) + "=1", "title=" + "[" * 50_000, "title=" + "9" * 200_000,
        "grid.patches=" + "[" * 500 + "]" * 500,
    ):  # fmt: skip
        with pytest.raises(CaseError):
            assigned(assignment)
    assert time.process_time() - began < 10


def test_the_environment_runs_nothing(place, tmp_path):
    """Neither modules nor settings that lie in the directory of a case are used."""
    mark = tmp_path / "it_ran"
    for name in ("numpy", "json", "gpupatch", "sitecustomize", "evil", "matplotlib"):
        (place / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (place / "matplotlibrc").write_text("backend: module://evil\ntext.usetex: True\n")
    (place / ".numba_config.yaml").write_text(f"cache_dir: {place}\n")
    (place / "pyproject.toml").write_text("")
    script = "import sys; from gpupatch.cli import main; sys.exit(main())"
    Path("case.toml").write_text(CASE.replace("START", "start.npy").replace("KAPPA", "kappa.npy"))
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MPLBACKEND")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "run", "case.toml", "--out", "results"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not mark.exists()


@pytest.mark.parametrize("killed", [False, True], ids=["checkpoint", "report"])
def test_a_run_that_lies_about_the_directory_of_its_case_reads_nothing_there(
    place, monkeypatch, capsys, killed
):
    assert run("start.npy", "kappa.npy", "-q", "--set", "checkpoint.every=1") == 0
    elsewhere = str(place.parent / "elsewhere")
    np.save(Path(elsewhere) / "kappa.npy", np.ones(1))
    if killed:
        for checkpoint in Path("results").glob("checkpoint*"):
            checkpoint.unlink()
        report = json.loads((Path("results") / REPORT).read_text())
        lie = {**report, "status": "running", "case_directory": elsewhere, "inputs": {}}
        (Path("results") / REPORT).write_text(json.dumps(lie))
    else:
        tree, _ = read_checkpoint(Path("results/checkpoint.npz"))
        tree["about"] |= {"case_directory": elsewhere, "inputs": {}}
        write_checkpoint(Path("results/checkpoint.npz"), tree)
    again = ["resume", "results", *([] if killed else ["--set", "time.end=0.002"])]
    assert main(again) == 2
    assert "was. Check that" in capsys.readouterr().err
    # whoever works there, or says so, may
    assert main([*again, "--trust"]) == 0

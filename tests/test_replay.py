"""`gpupatch replay`: what a run writes about a failed patch, and what is made of it."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

from gpupatch.cli import main
from gpupatch.files.frozen import freeze
from gpupatch.files.replay import REPLAYS, read_replay, write_replay
from gpupatch.run.replay import replay

RULES = '''
import gpupatch as gp


@gp.rule(fields="u", noise={"u": lambda strength: strength})
def fragile(u, D, bad, strength, x, dx):
    """Diffusion with noise, and sites around `bad` that grow beyond all bounds."""
    near = gp.where((x - bad) ** 2 < 1e-5, 1.0, 0.0)
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2 + near * gp.exp(u[0] ** 2)
'''
CASE = """
title = "A fragile place"
[model]
rule = "rules.py:fragile"
params = { D = 1.0, bad = 0.291666666, strength = 0.1 }
[grid]
domain = [[0.0, 1.0]]
patches = 12
core = 0.01
buffer = 0.02
dx = 0.001
[scheme]
kind = "burst"
[burst]
length = 2e-5
dt = 4e-7
[initial]
u = "2.2 + sin(2*pi*x)"
[time]
end = 0.004
micro = "euler"
projection = "rk2"
step = 1e-3
[members]
strength = [0.1, 0.2]
[run]
backend = "numpy"
"""
PARTICLES = """
title = "Particles that are thrown out"
[particles]
dynamics = "brownian"
temperature = 1.0
pair = { potential = "lennard_jones", epsilon = 1.0, sigma = 0.3, cutoff = 1.0 }
[grid]
domain = [[0.0, 60.0]]
patches = 6
core = 2.0
buffer = 2.0
[scheme]
kind = "flux"
lift = "stochastic"
diffusivity = 1.0
[burst]
length = 2e-3
heal = 5e-4
dt = 5e-5
[initial]
density = "0.7 + 0.2*cos(2*pi*x/60)"
[time]
end = 0.1
projection = "euler"
step = 0.1
[run]
backend = "numpy"
on_failure = "quarantine"
max_quarantined = 0.95
"""


@pytest.fixture(scope="module")
def failed_run(tmp_path_factory):
    """The directory of a run that stopped at a patch that failed."""
    folder = tmp_path_factory.mktemp("fragile")
    (folder / "rules.py").write_text(RULES)
    (folder / "case.toml").write_text(CASE)
    assert main(["run", str(folder / "case.toml"), "--trust", "--out", str(folder / "out")]) == 3
    return folder


def test_a_run_that_stops_leaves_files_of_the_patches_that_failed(failed_run):
    out = failed_run / "out"
    report = json.loads((out / "report.json").read_text())
    assert report["status"] == "nonfinite"
    assert set(REPLAYS) <= set(report["files"])
    found = [read_replay(out / name) for name in REPLAYS if (out / name).exists()]
    assert {(one["member"], *one["patch"]) for one in found} == {(0, 3), (1, 3)}
    assert all(one["coarse"].shape == (2, 1, 12) for one in found)


def test_the_step_and_site_of_the_fault_are_told_drawn_and_written(failed_run, capsys, tmp_path):
    file = failed_run / "out" / "failed_patch.npz"
    arguments = ["replay", str(file), "--trust", "--out", str(tmp_path / "again")]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    found = replay(file, trust=True)
    assert found.fault is not None
    assert found.fault > 1
    assert f"`u` is not finite after step {found.fault}," in told
    assert "patch 3 of member 0" in told
    assert (tmp_path / "again.png").stat().st_size > 10_000
    with xr.open_dataset(tmp_path / "again.nc") as ds:
        assert ds.attrs["fault_step"] == found.fault
        finite = np.isfinite(ds["u"].values).all(axis=1)
        np.testing.assert_array_equal(finite, ds["step"].values < found.fault)
        assert abs(ds["x"].values[found.where[0]] - 0.291666) < 0.01
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--quiet"]) == 0


def test_every_step_is_shown_when_asked_for(failed_run):
    file = failed_run / "out" / "failed_patch.npz"
    found = replay(file, every_step=True, trust=True)
    assert found.fault is not None
    assert found.steps == list(range(found.fault + 1))
    few = replay(file, trust=True)
    for step, values in zip(few.steps, few.shown, strict=True):
        np.testing.assert_array_equal(values["u"], found.shown[step]["u"])


def test_another_backend_finds_the_fault_at_the_same_step(failed_run):
    file = failed_run / "out" / "failed_patch.npz"
    one, other = (replay(file, backend=name, trust=True) for name in ("numpy", "numba"))
    assert one.fault == other.fault
    np.testing.assert_allclose(one.shown[-2]["u"], other.shown[-2]["u"], rtol=1e-9)


@pytest.mark.filterwarnings("ignore:.* patches failed in a burst")
def test_a_run_that_goes_on_remembers_which_patches_have_failed(tmp_path, failed_run):
    out = tmp_path / "out"
    shutil.copy(failed_run / "rules.py", tmp_path)
    (tmp_path / "case.toml").write_text(
        CASE + 'on_failure = "quarantine"\n[checkpoint]\nevery = 1\n'
    )
    arguments = ["run", str(tmp_path / "case.toml"), "--trust", "-q", "--set", "time.end=0.002"]
    assert main([*arguments, "--out", str(out)]) == 0
    before = json.loads((out / "report.json").read_text())["quarantine"]
    files = sorted(one.name for one in out.glob("failed_patch*"))
    assert main(["resume", str(out), "--trust", "-q", "--set", "time.end=0.004"]) == 0
    after = json.loads((out / "report.json").read_text())["quarantine"]
    assert after["bursts"] > before["bursts"] > 0
    for one, other in zip(before["patches"], after["patches"], strict=True):
        assert (one["patch"], one["first"]) == (other["patch"], other["first"])
        assert one["times"] < other["times"]
    assert sorted(one.name for one in out.glob("failed_patch*")) == files
    assert len(files) == 2


def test_a_rule_file_needs_trust_and_must_be_what_it_was(failed_run, tmp_path, capsys):
    file = failed_run / "out" / "failed_patch.npz"
    assert main(["replay", str(file), "--out", str(tmp_path / "a")]) == 2
    assert "--trust" in capsys.readouterr().err
    rules = failed_run / "rules.py"
    kept = rules.read_text()
    try:
        rules.write_text(kept + "# changed\n")
        assert main(["replay", str(file), "--trust", "--out", str(tmp_path / "a")]) == 2
        assert "changed since" in capsys.readouterr().err
    finally:
        rules.write_text(kept)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:.* patches failed in a burst")
def test_particles_that_were_thrown_out_are_named(tmp_path, capsys):
    (tmp_path / "case.toml").write_text(PARTICLES)
    out = tmp_path / "out"
    assert main(["run", str(tmp_path / "case.toml"), "--out", str(out), "--quiet"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["quarantine"]["failures"] >= 1
    assert main(["replay", str(out / "failed_patch.npz")]) == 0
    told = capsys.readouterr().out
    assert "at particle" in told
    assert (out / "failed_patch_replay.png").exists()


def test_a_coupled_run_leaves_the_last_good_state_of_the_patch(tmp_path, capsys):
    case = CASE.replace('kind = "burst"', 'kind = "coupled"').replace(
        "core = 0.01\nbuffer = 0.02\n", "sites = 31\n"
    )
    case = case.replace("[burst]\nlength = 2e-5\ndt = 4e-7\n", "")
    case = case.replace('projection = "rk2"\nstep = 1e-3\n', "dt = 4e-7\n")
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "case.toml").write_text(case)
    out = tmp_path / "out"
    assert main(["run", str(tmp_path / "case.toml"), "--trust", "--out", str(out), "-q"]) == 3
    capsys.readouterr()
    assert main(["replay", str(out / "failed_patch.npz"), "--trust"]) == 0
    told = capsys.readouterr().out
    assert "its neighbours are not run again" in told
    assert "`u` is not finite after step 1," in told


def damaged(tree, **changes):
    return {**tree, **changes}


BAD = {
    "another shape": (lambda t: damaged(t, arrays={"extended": np.ones((1, 1, 3))}), "shape"),
    "nothing to lift": (lambda t: damaged(t, arrays={}), "extended"),
    "no such patch": (lambda t: damaged(t, patch=[99]), "do not fit"),
    "no such member": (lambda t: damaged(t, member=7), "do not fit"),
    "a negative row": (lambda t: damaged(t, row=-1), "do not fit"),
    "endless steps": (lambda t: damaged(t, n_steps=10**12), "do not fit"),
    "no time step": (lambda t: damaged(t, dt=float("nan")), "do not fit"),
    "another scheme": (lambda t: damaged(t, kind="flux"), "not one of its case"),
    "another precision": (lambda t: damaged(t, dtype="float32"), "not one of its case"),
    "text for a number": (lambda t: damaged(t, stream="five"), "`stream`"),
    "no case": (lambda t: damaged(t, about={}), "does not tell its case"),
    "a broken case": (lambda t: damaged(t, about={**t["about"], "case": "[["}), "TOML"),
    "another format": (lambda t: damaged(t, replay=99), "format 99"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_does_not_fit_gives_one_clear_error(name, failed_run, tmp_path, capsys):
    change, message = BAD[name]
    tree = read_replay(failed_run / "out" / "failed_patch.npz")
    bad = tmp_path / "bad.npz"
    bad.write_bytes(freeze(change(tree)))
    assert main(["replay", str(bad), "--trust"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("gpupatch: error:")
    assert told.count("\n") <= 2
    assert [one.name for one in tmp_path.iterdir()] == ["bad.npz"]


@pytest.mark.parametrize(
    "kind", ["missing", "directory", "empty", "cut", "text", "pickle", "flipped"]
)
def test_a_damaged_file_gives_one_clear_error(kind, failed_run, tmp_path, capsys):
    good, bad = failed_run / "out" / "failed_patch.npz", tmp_path / "bad.npz"
    data = good.read_bytes()
    if kind == "directory":
        bad.mkdir()
    elif kind == "pickle":
        np.savez(bad, tree=np.array([{"a": 1}], dtype=object))
    elif kind != "missing":
        middle = len(data) // 2
        flipped = bytes([data[middle] ^ 255])
        bad.write_bytes({
            "empty": b"", "cut": data[:middle], "text": b"no archive",
            "flipped": data[:middle] + flipped + data[middle + 1 :],
        }[kind])  # fmt: skip
    assert main(["replay", str(bad), "--trust"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"gpupatch: error: `{bad}`")
    assert "Give a `failed_patch.npz`" in told


def test_what_is_written_is_read_back(tmp_path, failed_run):
    tree = read_replay(failed_run / "out" / "failed_patch.npz")
    write_replay(tmp_path / "copy.npz", {k: v for k, v in tree.items() if k != "replay"})
    again = read_replay(tmp_path / "copy.npz")
    np.testing.assert_array_equal(again.pop("coarse"), tree["coarse"])
    assert again["about"] == tree["about"]

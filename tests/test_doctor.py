"""The doctor says what works and what does not, and survives whatever it looks at."""

import ctypes
import dataclasses
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from gpupatch.backends import select
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.cli import main
from gpupatch.doctor import graphics, machine, software, tiny, tools
from gpupatch.doctor.examine import PROBES, examine, probe_named
from gpupatch.doctor.record import MISSING, OK, PROBLEM, Probe, answer, ok, problem
from gpupatch.doctor.table import as_json, line, verdict

CUPY = """
__version__ = "14.2.0"
from cupy import cuda
"""
CUDA = """
import types
class CUDARuntimeError(RuntimeError): pass
def count():
    raise CUDARuntimeError({reason!r})
runtime = types.SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError, driverGetVersion=lambda: {driver}, getDeviceCount=count,
    runtimeGetVersion=lambda: 13000,
)
"""
TOO_OLD = "cudaErrorInsufficientDriver: CUDA driver version is insufficient"


def nothing():
    """A probe that is never asked."""
    raise AssertionError


def ask(*names, **changed):
    """What the processes of some probes answer, by name."""
    probes = [dataclasses.replace(probe_named(name), **changed) for name in names]
    return {probe.name: record for probe, record in examine(probes)}


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder of modules that processes find before those that are installed."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def install(folder: Path, name: str, version: str) -> None:
    """Leave the metadata of a package, as pip does."""
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def install_cupy(folder: Path, driver=0, reason=TOO_OLD, text=CUPY) -> None:
    """A CuPy that imports, as the true one does without a driver."""
    (folder / "cupy").mkdir()
    (folder / "cupy" / "__init__.py").write_text(text)
    (folder / "cupy" / "cuda.py").write_text(CUDA.format(driver=driver, reason=reason))
    install(folder, "cupy-cuda13x", "14.2.0")


def without_distributions(monkeypatch):
    monkeypatch.setattr(graphics.metadata, "distributions", lambda: iter(()))


def test_without_cupy_the_gpu_is_missing_and_nothing_is_wrong(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    without_distributions(monkeypatch)
    records = [look() for look in (graphics.wheels, graphics.runtime, graphics.gpus)]
    assert [record.state for record in [*records, graphics.compiler()]] == [MISSING] * 4
    assert "gpupatch[cuda13]" in records[0].advice
    assert tiny.on("cuda", "float64").state == MISSING


def test_cupy_without_a_driver_is_no_fault(packages):
    install_cupy(packages)
    found = ask("cupy", "cuda runtime", "gpus")
    assert [record.state for record in found.values()] == [OK, MISSING, MISSING]
    assert found["cupy"].facts["wheels"] == {"cupy-cuda13x": "14.2.0"}
    assert "CuPy 14.2.0 is there, but no NVIDIA driver" in found["cuda runtime"].found


def test_a_driver_too_old_for_cupy_is_a_problem_with_its_reason(packages):
    install_cupy(packages, driver=12020)
    found = ask("cuda runtime")["cuda runtime"]
    assert found.state == PROBLEM
    assert "driver 12020" in found.found
    assert "cudaErrorInsufficientDriver" in found.found
    assert "nvidia-smi" in found.advice


BROKEN = ("raise RuntimeError('built for\\nanother numpy')", "import another_numpy")


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_cupy_is_a_problem_and_auto_still_finds_a_backend(packages, monkeypatch, text):
    install_cupy(packages, text=text)
    found = ask("cuda runtime", "gpus")
    assert found["cuda runtime"].state == PROBLEM
    assert "another" in found["cuda runtime"].found
    monkeypatch.syspath_prepend(packages)
    backend, reason = select.get_backend("auto")
    assert backend.name == "numba"
    assert "another" in reason


def test_two_wheels_of_cupy_are_a_problem(packages):
    for name in ("cupy-cuda12x", "cupy-cuda13x"):
        install(packages, name, "14.2.0")
    found = ask("cupy")["cupy"]
    assert found.state == PROBLEM
    assert "pip uninstall cupy-cuda12x cupy-cuda13x" in found.advice


class Driver:
    """What is called of the library of the driver."""

    def __init__(self, code, reason=b""):
        self._code, self._reason = code, reason

    def cuDriverGetVersion(self, pointer):
        pointer._obj.value = 13010

    def cuInit(self, flags):
        return self._code

    def cuGetErrorName(self, code, pointer):
        pointer._obj.value = self._reason


@pytest.mark.parametrize(
    ("library", "state", "told"),
    [
        (Driver(0), OK, "for CUDA 13.1 and older, kernel module 580.65.06"),
        (Driver(100, b"CUDA_ERROR_NO_DEVICE"), MISSING, "sees no GPU"),
        (Driver(802, b"CUDA_ERROR_SYSTEM_NOT_READY"), PROBLEM, "CUDA_ERROR_SYSTEM_NOT_READY (802)"),
        (None, PROBLEM, "kernel module 580.65.06 is loaded, but"),
    ],
    ids=["works", "no GPU", "not ready", "no library"],
)
def test_the_driver_tells_its_reason(monkeypatch, tmp_path, library, state, told):
    def load(name):
        if library is None:
            raise OSError(f"{name}: cannot open")
        return library

    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27\n")
    monkeypatch.setattr(graphics, "_MODULE_VERSION", version)
    monkeypatch.setattr(ctypes, "CDLL", load)
    found = graphics.driver()
    assert found.state == state
    assert told in found.found


def test_a_machine_without_a_driver_has_none(monkeypatch, tmp_path):
    def load(name):
        raise OSError("libcuda.so.1: no such file")

    monkeypatch.setattr(graphics, "_MODULE_VERSION", tmp_path / "nowhere")
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert graphics.driver().state == MISSING


def compiler_of(monkeypatch, **changed):
    nvrtc = types.SimpleNamespace(
        getVersion=lambda: (13, 0), getSupportedArchs=lambda: (90, 75),
        createProgram=lambda *_: 1, compileProgram=lambda *_: None, getCUBIN=lambda _: b"code",
    )  # fmt: skip
    vars(nvrtc).update(changed)
    cuda = types.ModuleType("cupy.cuda")
    vars(cuda)["nvrtc"] = nvrtc
    monkeypatch.setitem(sys.modules, "cupy", types.ModuleType("cupy"))
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    return graphics.compiler()


def fail(reason):
    def raising(*_):
        raise RuntimeError(reason)

    return raising


def test_the_cuda_compiler_is_tried_on_a_kernel(monkeypatch):
    found = compiler_of(monkeypatch)
    assert (found.state, found.found) == (OK, "NVRTC 13.0 compiles for sm_75 (4 bytes)")


@pytest.mark.parametrize("broken", ["getVersion", "compileProgram"])
def test_a_cuda_compiler_that_does_not_work_is_a_problem(monkeypatch, broken):
    found = compiler_of(monkeypatch, **{broken: fail("libnvrtc.so.13 not found")})
    assert found.state == PROBLEM
    assert "libnvrtc.so.13 not found" in found.found
    assert "cuda13" in found.advice


def test_every_gpu_is_described_and_a_slice_of_one_is_told(monkeypatch):
    properties = {
        "name": b"NVIDIA H100 80GB HBM3 MIG 1g.10gb", "totalGlobalMem": 10**10, "major": 9,
        "minor": 0, "multiProcessorCount": 16,
    }  # fmt: skip
    runtime = types.SimpleNamespace(
        driverGetVersion=lambda: 13000, getDeviceCount=lambda: 1, CUDARuntimeError=RuntimeError,
        getDeviceProperties=lambda number: properties,
    )  # fmt: skip
    cupy = types.SimpleNamespace(__version__="14.2", cuda=types.SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    found = graphics.gpus()
    assert found.state == OK
    assert "10 GB, compute capability 9.0, a MIG slice" in found.found


def test_a_cache_folder_that_others_can_write_is_a_problem_and_the_rest_is_still_told(
    tmp_path, monkeypatch
):
    tmp_path.chmod(0o770)
    monkeypatch.setenv("GPUPATCH_CACHE", str(tmp_path))
    found = ask("python", "cache folder", "memory")
    assert [record.state for record in found.values()] == [OK, PROBLEM, OK]
    assert "chmod 700" in found["cache folder"].found


def test_a_disk_that_cannot_be_written_is_a_problem(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    found = machine.working_directory()
    assert found.state == PROBLEM
    assert "No space left on device" in found.found


class Wrong(NumpyBackend):
    """A backend that moves particles a little too far, or loses them."""

    def __init__(self, factor):
        self._factor = factor

    def load_particles(self, model, dtype="float64"):
        kernels = super().load_particles(model, dtype)
        right = kernels.unpack

        def unpack(handle):
            state = right(handle)
            return dataclasses.replace(state, positions=state.positions * self._factor)

        vars(kernels)["unpack"] = unpack
        return kernels


def test_a_backend_that_does_as_the_definition_is_fine(monkeypatch):
    monkeypatch.setattr(select, "_numba", NumpyBackend)
    found = tiny.on("numba", "float64")
    assert found.state == OK
    assert set(found.facts["differences"].values()) == {0.0}


@pytest.mark.parametrize("factor", [1 + 1e-9, np.nan])
def test_a_backend_that_computes_something_else_is_a_problem(monkeypatch, factor):
    monkeypatch.setattr(select, "_numba", lambda: Wrong(factor))
    found = tiny.on("numba", "float64")
    assert found.state == PROBLEM
    assert "(particles)" in found.found
    assert "--backend numpy" in found.advice


def test_a_probe_that_hangs_costs_its_line_and_no_more(packages):
    (packages / "openmm.py").write_text("import time\ntime.sleep(600)\n")
    found = ask("openmm", "ffmpeg", seconds=2.0)
    assert found["openmm"].state == PROBLEM
    assert "no answer within 2 s" in found["openmm"].found
    assert found["ffmpeg"].state in (OK, MISSING)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import os; print('bad library', flush=True); os.abort()", "ended by signal 6: bad lib"),
        ("import os; os._exit(7)", "exit code 7"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
    ],
    ids=["aborts", "exits", "fails"],
)
def test_a_library_that_ends_the_process_is_told_by_name(packages, text, told):
    (packages / "openmm.py").write_text(text)
    found = ask("openmm")["openmm"]
    assert found.state == PROBLEM
    assert told in found.found


def test_a_library_that_prints_does_not_disturb_the_answer(packages):
    (packages / "openmm.py").write_text("print('gpupatch doctor is here')\nraise ImportError('no')")
    assert "OpenMM cannot run: no" in ask("openmm")["openmm"].found


def test_a_failure_of_a_probe_itself_is_a_problem_under_its_name():
    def look():
        raise ZeroDivisionError("nobody\nthought of this")

    record = answer(Probe("something", "machine", look))
    assert record.state == PROBLEM
    assert "ZeroDivisionError: nobody thought of this" in record.found


def test_modules_in_the_current_directory_are_not_run(tmp_path, monkeypatch):
    for name in ("json", "numpy", "cupy", "numba", "openmm", "mpi4py", "gpupatch", "packaging"):
        (tmp_path / f"{name}.py").write_text("open('was_run', 'w')")
    monkeypatch.chdir(tmp_path)
    ask("packages", "cuda runtime", "openmm", "mpi")
    assert not (tmp_path / "was_run").exists()


def test_packages_too_old_or_absent_are_a_problem(monkeypatch):
    versions = {"numpy": "1.26.4", "scipy": None}
    monkeypatch.setattr(software, "version_of", lambda name: versions.get(name, "9999.0"))
    found = software.packages()
    assert found.state == PROBLEM
    assert "numpy is 1.26.4, not >=2.0" in found.found
    assert "scipy is not installed" in found.found


def test_limits_of_control_groups_are_read_in_both_versions(tmp_path):
    assert machine.cgroup_cores(tmp_path) is None
    assert machine.cgroup_memory(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.cgroup_cores(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.cgroup_cores(tmp_path) is None
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert machine.cgroup_memory(tmp_path) == 2**30


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_a_launcher_and_a_library_of_different_mpis_are_a_problem(packages, tmp_path, monkeypatch):
    program(tmp_path, "mpiexec", "echo 'mpiexec (Open MPI) 5.0.11'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (packages / "mpi4py").mkdir()
    (packages / "mpi4py" / "__init__.py").touch()
    library = "def Get_library_version(): return 'MPICH Version: 5.0.2'"
    (packages / "mpi4py" / "MPI.py").write_text(library)
    found = ask("mpi")["mpi"]
    assert found.state == PROBLEM
    assert "different MPIs" in found.found
    (packages / "mpi4py" / "MPI.py").write_text("raise RuntimeError('cannot load MPI library')")
    assert "cannot load MPI library" in ask("mpi")["mpi"].found


def test_a_program_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    program(tmp_path, "ffmpeg", "exec sleep 600")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(tools, "_PATIENCE", 0.2)
    assert "does not answer" in tools.ffmpeg().found


@pytest.fixture
def pretended(monkeypatch):
    """Two answers, one of them as asked for, in the place of all probes."""

    def pretend(last):
        rows = [
            (Probe("python", "software", nothing), ok("3.13 in /usr", version="3.13")),
            (Probe("gpus", "graphics", nothing), last),
        ]
        monkeypatch.setattr("gpupatch.doctor.examine.examine", lambda **_: iter(rows))
        return rows

    return pretend


def test_the_exit_code_tells_whether_anything_is_broken(pretended, capsys):
    pretended(ok("one"))
    assert main(["doctor"]) == 0
    assert "Everything that is needed works." in capsys.readouterr().out
    pretended(problem("none", "Buy one."))
    assert main(["doctor"]) == 4
    out = capsys.readouterr().out
    assert "graphics\n  gpus              PROBLEM  none\n" in out
    assert "> Buy one." in out
    assert out.endswith("1 problem.\n")


def test_quiet_prints_problems_only(pretended, capsys):
    pretended(problem("none", "Buy one."))
    assert main(["doctor", "-q"]) == 4
    assert capsys.readouterr().out.startswith("  gpus ")
    pretended(ok("one"))
    assert main(["doctor", "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_json_says_the_same(pretended, capsys):
    rows = pretended(problem("none", "Buy one.", number=0))
    assert main(["doctor", "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert said == as_json(rows)
    assert said["works"] is False
    assert said["probes"][1] == {
        "name": "gpus", "group": "graphics", "state": "problem", "found": "none",
        "advice": "Buy one.", "facts": {"number": 0},
    }  # fmt: skip


def test_commands_and_paths_are_never_cut_in_the_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    path = "/a/very/long/path/to-a-folder/" + "x" * 60
    told = line(Probe("cache folder", "machine", nothing), problem(path, "Run it."))
    assert path in told
    assert verdict([]) == "Everything that is needed works."


@pytest.mark.slow
def test_the_doctor_finds_nothing_wrong_here(capsys):
    assert main(["doctor", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in said["probes"]] == [probe.name for probe in PROBES]
    assert {"numpy", "numba, float64"} <= {r["name"] for r in said["probes"] if r["state"] == "ok"}

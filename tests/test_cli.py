"""The command line: what is printed where, and the exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from gpupatch import __version__
from gpupatch.cli import main
from gpupatch.errors import NonFiniteError
from gpupatch.files.builtin import builtin_names, builtin_text

HEAVY = ("numpy", "sympy", "numba", "scipy", "pydantic", "xarray", "matplotlib", "netCDF4", "tqdm")


@pytest.fixture
def calls(monkeypatch):
    """What reaches `run_case`, which itself does nothing but succeed."""
    received: list[SimpleNamespace] = []

    def run_case(case, out, **options):
        received.append(SimpleNamespace(case=case, out=out, **options))
        return SimpleNamespace(exit_code=0)

    replace_run(monkeypatch, run_case)
    return received


def replace_run(monkeypatch, run_case):
    module = ModuleType("gpupatch.run")
    monkeypatch.setattr(module, "run_case", run_case, raising=False)
    monkeypatch.setitem(sys.modules, "gpupatch.run", module)


def test_help_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from gpupatch.cli import main\n"
        "try:\n    main(['run', '--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"gpupatch {__version__}\n"


def test_an_unknown_command_or_option_is_faulty_input(capsys):
    for words in ([], ["rum"], ["run"], ["run", "burgers", "--overwrit"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 2
    assert "usage: gpupatch" in capsys.readouterr().err


def test_cases_lists_every_built_in_case_with_what_it_is_about(capsys):
    assert main(["cases"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{name} " in listed for name in builtin_names())
    assert "viscous shock" in listed


def test_new_prints_a_case_that_validates(capsys, tmp_path):
    assert main(["new", "burgers"]) == 0
    text = capsys.readouterr().out
    assert text == builtin_text("burgers")
    (tmp_path / "case.toml").write_text(text)
    assert main(["validate", str(tmp_path / "case.toml")]) == 0


def test_validate_prints_the_case_with_overrides_and_defaults(capsys):
    assert main(["validate", "burgers", "--set", "time.end=2*pi", "--set", "grid.patches=96"]) == 0
    shown = capsys.readouterr().out
    assert "end = 6.28318530717" in shown
    assert "patches = [96]" in shown
    assert "allow_overlap = false" in shown


def test_validate_lists_all_mistakes_on_stderr(capsys):
    assert main(["validate", "burgers", "--set", "grid.patchs=1", "--set", "tme.end=1"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("gpupatch: error: 2 mistakes in case `burgers`:\n")
    assert "Did you mean `patches`?" in told.err
    assert "Did you mean `time`?" in told.err
    assert "Traceback" not in told.err


def test_verbose_shows_where_an_error_arose(capsys):
    assert main(["validate", "burgrs", "-v"]) == 2
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "Did you mean `burgers`?" in told


def test_quiet_says_nothing_but_errors(capsys):
    assert main(["validate", "burgers", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["validate", "burgrs", "--quiet"]) == 2
    assert "burgers" in capsys.readouterr().err


def test_run_passes_every_option_on(calls):
    words = ["run", "burgers", "--set", "time.end=1.0", "--out", "there", "--backend", "numpy"]
    assert main([*words, "--overwrite", "--trust", "--dry-run", "-q"]) == 0
    (call,) = calls
    assert call.case.name == "burgers"
    assert call.case.time.end == 1.0
    assert call.out == Path("there")
    assert call.backend == "numpy"
    assert call.overwrite
    assert call.trust
    assert call.dry_run
    assert call.quiet


def test_run_leaves_the_rest_to_the_case(calls):
    assert main(["run", "burgers"]) == 0
    (call,) = calls
    assert call.out == Path("runs", "burgers")
    assert call.backend is None
    assert [call.overwrite, call.trust, call.dry_run, call.quiet] == [False] * 4


@pytest.mark.parametrize("exit_code", [0, 3, 130, 143])
def test_run_returns_the_exit_code_of_the_run(monkeypatch, exit_code):
    replace_run(monkeypatch, lambda *_, **__: SimpleNamespace(exit_code=exit_code))
    assert main(["run", "burgers"]) == exit_code


@pytest.mark.parametrize(
    ("error", "exit_code", "told"),
    [
        (NonFiniteError(0.5, 0, (3,), "u"), 3, "field `u` stopped being finite"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "runs"), 2, "Permission denied"),
    ],
)
def test_an_error_in_a_run_is_one_message_and_an_exit_code(
    monkeypatch, capsys, error, exit_code, told
):
    def run_case(*_, **__):
        raise error

    replace_run(monkeypatch, run_case)
    assert main(["run", "burgers"]) == exit_code
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err


def test_a_defect_of_the_program_is_not_hidden(monkeypatch):
    def run_case(*_, **__):
        raise ZeroDivisionError

    replace_run(monkeypatch, run_case)
    with pytest.raises(ZeroDivisionError):
        main(["run", "burgers"])


def test_info_lays_out_the_report(capsys, tmp_path):
    report = {
        "title": "heat",
        "error": 1.25e-7,
        "device": None,
        "converged": True,
        "steps": list(range(20)),
        "time": {"burst": 0.5, "couple": 0.25},
        "files": ["solution.nc", "plot.png"],
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert main(["info", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "title      heat",
        "error      1.25e-07",
        "device     -",
        "converged  yes",
        "steps      0 1 2 3 4 ... 19",
        "time",
        "  burst   0.5",
        "  couple  0.25",
        "files",
        "  - solution.nc",
        "  - plot.png",
    ]


@pytest.mark.parametrize("command", ["info", "plot"])
def test_a_directory_without_a_run_is_faulty_input(command, capsys, tmp_path):
    assert main([command, str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_a_run_can_be_looked_at_afterwards(capsys, tmp_path):
    out = str(tmp_path / "run")
    small = ["--set", "grid.patches=12", "--set", "time.end=0.01", "--set", "time.save=2"]
    assert main(["run", "burgers", "--backend", "numpy", "--out", out, *small, "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["info", out]) == 0
    assert "Burgers on patches" in capsys.readouterr().out
    assert main(["plot", out]) == 0
    picture = Path(capsys.readouterr().out.strip())
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["run", "burgers", "--backend", "numpy", "--out", out, *small, "-q"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    again = ["--overwrite", "-q"]
    assert main(["run", "burgers", "--backend", "numpy", "--out", out, *small, *again]) == 0


def test_a_dry_run_writes_nothing(tmp_path):
    out = tmp_path / "run"
    assert main(["run", "burgers", "--out", str(out), "--dry-run", "--backend", "numpy"]) == 0
    assert not out.exists()


@pytest.mark.parametrize("lines", [0, 1])
def test_output_that_nobody_reads_to_its_end_is_no_error(lines):
    command = [sys.executable, "-c", "from gpupatch.cli import main; raise SystemExit(main())"]
    with subprocess.Popen(
        [*command, "cases"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        for _ in range(lines):
            assert running.stdout.readline()
        running.stdout.close()
        told = running.stderr.read()
    assert told == ""
    assert running.returncode in (0, 141)

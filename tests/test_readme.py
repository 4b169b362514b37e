"""What the README shows is what happens."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gpupatch.files.case import load_case

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
NOT_RUN_HERE = ("pip install", "pytest", "gpupatch doctor")

LEFT_BY = {
    "study": [f"studies/heat1d/{n}" for n in ("study.nc", "study.csv", "report.json", "study.png")],
    "continue": ["runs/fitzhugh_continue/branch.nc"],
    "law": ["runs/fisher_law/law.nc", "runs/fisher_law/law.png"],
    "diagnose": [],
}
"""What commands other than `run` leave behind."""


def blocks(language: str) -> list[str]:
    found = [text for name, text in BLOCKS if name == language]
    assert found
    return found


@pytest.fixture
def shell(tmp_path):
    """Runs commands in a temporary folder, with `gpupatch` of this checkout on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "gpupatch"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gpupatch.cli "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    path = os.pathsep.join((str(folder), os.environ["PATH"]))
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}

    def run(text: str) -> str:
        done = subprocess.run(
            ["bash", "-eu", "-c", text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize(
    "text",
    [text for text in blocks("bash") if not any(word in text for word in NOT_RUN_HERE)],
    ids=lambda text: text.split("\n")[0],
)
def test_the_commands_of_the_readme_run(shell, tmp_path, text):
    shell(text)
    for command, left in LEFT_BY.items():
        if command in text:
            assert all((tmp_path / name).stat().st_size > 0 for name in left)
            return
    directory = "runs/burgers" if "run burgers" in text else "results"
    files = {file.name for file in (tmp_path / directory).iterdir()}
    assert {"solution.nc", "report.json", "plot.png"} <= files
    if "rod" in text:
        report = json.loads((tmp_path / directory / "report.json").read_text())
        assert report["fraction_of_space"] == pytest.approx(0.21, abs=0.005)
        assert report["fraction_of_time"] == pytest.approx(0.01, abs=0.0005)
        assert report["error"]["u"] < 1e-4


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "readme.py"
    source.write_text("\n".join(blocks("python")))
    names: dict = {"__name__": "readme"}
    exec(compile(source.read_text(), source, "exec"), names)
    assert (tmp_path / "cooling.png").stat().st_size > 0
    assert (tmp_path / "cooling.nc").stat().st_size > 0
    stepped, leapt = names["solution"]["u"][-1], names["leapt"]["u"][-1]
    assert abs(leapt - stepped).max() < 0.005 * abs(stepped).max()


def test_the_case_of_the_readme_is_valid(tmp_path):
    for text in blocks("toml"):
        (tmp_path / "case.toml").write_text(text)
        assert load_case(tmp_path / "case.toml").title in text


def test_the_links_of_the_readme_lead_to_files():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert "docs/burgers.png" in targets
    assert [target for target in targets if not (ROOT / target).exists()] == []

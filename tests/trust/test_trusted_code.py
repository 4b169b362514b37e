"""Code that a case names runs only when it is trusted, as it was when it was hashed."""

import argparse
import hashlib
import json
from pathlib import Path

import pytest

from gpupatch.cli import _parser, main
from gpupatch.errors import CaseError
from gpupatch.files.case import load_case
from gpupatch.run.build import make_rule
from gpupatch.run.inputs import changes, fingerprints

RULES = """
from pathlib import Path

import gpupatch as gp

Path({mark!r}).touch()


@gp.rule(fields="u")
def decay(u, k):
    return -k * u[0]
"""
CASE = """
[model]
rule = "rules.py:decay"
params = { k = 2.0 }
[grid]
domain = [[0.0, 1.0]]
patches = 6
sites = 5
ratio = 0.2
[initial]
u = "2 + sin(2*pi*x)"
[time]
end = 0.1
save = 2
[checkpoint]
every = 1
[run]
backend = "numpy"
"""
POTENTIALS = """
from pathlib import Path

import gpupatch as gp

Path({mark!r}).touch()


@gp.potential
def repulsion(r, A):
    return A * gp.exp(-(r**2))


def hill(x, A):
    return A * x**2
"""
PARTICLES = """
[particles]
dynamics = "brownian"
temperature = 1.0
{what}
[grid]
domain = [[0.0, 60.0]]
patches = 2
core = 4.0
buffer = 8.0
[scheme]
diffusivity = 1.0
[burst]
length = 0.2
heal = 0.1
dt = 0.05
replicas = 2
[initial]
density = "2"
[time]
end = 10.0
step = 10.0
projection = "euler"
"""
ON_CASES = {
    "run": ["--out", "results"],
    "continue": ["--parameter", "k", "--to", "3"],
    "diagnose": [],
    "eigenvalues": [],
    "steady": [],
    "law": [],
    "variables": [],
    "study": ["--out", "results", "--vary", "grid.patches=6,8"],
    "validate": None,
}
"""Commands that take a case, with arguments; None for those that run no code of it."""
ON_DIRECTORIES = {
    "resume": ["--set", "time.end=0.2"],
    "info": None,
    "plot": None,
    "export": None,
}
"""Commands that take the directory of a run, likewise."""
ON_FILES = {"replay": "tests/test_replay.py has a run whose patch fails, and its trust"}
"""Commands that take a file of a run, and where their trust is tested."""
WITHOUT_INPUT = {"cases", "new", "doctor"}
"""Commands that take neither, and read nothing of the user's."""


def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command of the command line with its parser."""
    (subparsers,) = [
        action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)
    ]
    return dict(subparsers.choices)


def positionals(parser: argparse.ArgumentParser) -> set[str]:
    return {action.dest for action in parser._actions if not action.option_strings}


@pytest.fixture
def mark(tmp_path):
    """A file that the code of the case leaves behind when it runs."""
    return tmp_path / "it_ran"


@pytest.fixture
def case(tmp_path, monkeypatch, mark):
    """A case whose rule file leaves a mark, in the current directory."""
    monkeypatch.chdir(tmp_path)
    Path("rules.py").write_text(RULES.format(mark=str(mark)))
    Path("case.toml").write_text(CASE)
    return Path("case.toml")


def test_every_command_has_an_answer_about_trust():
    answered = {*ON_CASES, *ON_DIRECTORIES, *ON_FILES, *WITHOUT_INPUT}
    unanswered = commands().keys() - answered
    assert not unanswered, f"say in this file what {sorted(unanswered)} may run without --trust"
    for name, parser in commands().items():
        takes = positionals(parser)
        assert ("case" in takes) == (name in ON_CASES), name
        assert ("directory" in takes) == (name in ON_DIRECTORIES), name


@pytest.mark.parametrize("name", sorted(ON_CASES))
def test_a_command_on_a_case_runs_no_code_without_trust(name, case, mark, capsys):
    arguments = ON_CASES[name]
    code = main([name, str(case), *(arguments or [])])
    assert not mark.exists()
    assert not Path("results").exists()
    if arguments is None:
        assert code == 0
    else:
        assert code == 2
        assert "runs the code in `rules.py`. Read it, and run with `--trust`" in (
            capsys.readouterr().err
        )
        assert "--trust" in commands()[name].format_help()


@pytest.mark.parametrize("name", sorted(ON_DIRECTORIES))
def test_a_command_on_a_run_runs_no_code_without_trust(name, case, mark, capsys):
    assert main(["run", str(case), "--trust", "-q", "--out", "results"]) == 0
    assert mark.exists()
    mark.unlink()
    arguments = ON_DIRECTORIES[name]
    extra = ["--to", "extxyz"] if name == "export" else []
    code = main([name, "results", *(arguments or extra)])
    assert not mark.exists()
    if arguments is not None:
        assert code == 2
        assert "--trust" in capsys.readouterr().err


@pytest.mark.parametrize(
    "what",
    [
        'pair = { potential = "mine.py:repulsion", A = 1.0, cutoff = 3.0 }',
        'field = { potential = "mine.py:hill", A = 1.0 }\nboundary = "open"',
        'bonds = { potential = "mine.py:repulsion", A = 1.0 }',
    ],
    ids=["pair", "field", "bonds"],
)
def test_potentials_of_ones_own_need_trust_too(tmp_path, mark, what, capsys):
    (tmp_path / "mine.py").write_text(POTENTIALS.format(mark=str(mark)))
    (tmp_path / "case.toml").write_text(PARTICLES.format(what=what))
    assert main(["run", str(tmp_path / "case.toml"), "--out", str(tmp_path / "out")]) == 2
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


def test_trust_is_not_abbreviated_and_not_taken_from_a_case(case, mark, capsys):
    with pytest.raises(SystemExit):
        main(["run", str(case), "--tru"])
    assert main(["run", str(case), "--set", "run.trust=true"]) == 2
    assert not mark.exists()
    assert "run.trust" in capsys.readouterr().err


def test_the_digest_of_trusted_code_is_in_the_report(case):
    assert main(["run", str(case), "--trust", "-q", "--out", "results"]) == 0
    report = json.loads(Path("results/report.json").read_text())
    digest = hashlib.sha256(Path("rules.py").read_bytes()).hexdigest()
    assert report["code_sha256"] == {"model.rule": digest}
    assert report["inputs"]["model.rule"]["sha256"] == digest


def test_a_run_does_not_go_on_with_other_code_than_it_began_with(case, mark, capsys):
    assert main(["run", str(case), "--trust", "-q", "--out", "results"]) == 0
    mark.unlink()
    Path("rules.py").write_text(RULES.format(mark=str(mark)) + "# changed\n")
    assert main(["resume", "results", "--trust", "--set", "time.end=0.2"]) == 2
    assert not mark.exists()
    assert "rules.py` (model.rule)" in capsys.readouterr().err


def test_the_code_that_runs_is_the_code_that_was_hashed(case, tmp_path, mark):
    """Whatever is on disk by then."""
    loaded = load_case(case)
    known = fingerprints(loaded, trust=True)
    evil = tmp_path / "evil_ran"
    Path("rules.py").write_text(RULES.format(mark=str(evil)))
    make_rule(loaded, trust=True)
    assert mark.exists()
    assert not evil.exists()
    assert fingerprints(loaded, trust=True) == known
    assert changes(known, loaded.code_digests(trust=True)) == []
    again = load_case(case)
    assert changes(known, again.code_digests(trust=True)) != []


def test_the_runs_of_a_study_share_the_code_that_was_hashed(case, tmp_path):
    loaded = load_case(case)
    digests = loaded.code_digests(trust=True)
    Path("rules.py").write_text("raise SystemExit('other code')\n")
    other = loaded.with_tables({**loaded.resolved(), "title": "another"})
    assert other.code_digests(trust=True) == digests
    make_rule(other, trust=True)


@pytest.mark.parametrize("text", ["raise SystemExit(0)", "import os\nos.nothing", "def decay(:"])
def test_trusted_code_that_fails_is_named(case, text):
    Path("rules.py").write_text(text)
    with pytest.raises(CaseError, match=r"rules\.py` cannot be run"):
        make_rule(load_case(case), trust=True)

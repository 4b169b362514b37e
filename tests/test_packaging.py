"""What is in the wheel and in the source archive, and that importing the package is cheap."""

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from gpupatch import __version__

ROOT = Path(__file__).parents[1]
HEAVY = ("numpy", "scipy", "sympy", "numba", "pydantic", "xarray", "matplotlib", "netCDF4", "tqdm")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md")
FOLDERS = ("gpupatch", "kernels", "docs", "notebooks", "tests", ".ci")


def python(*words: str, cwd: Path, path: Path | None = None) -> str:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    """A folder with a source archive, and the wheel built from that archive alone."""
    work = tmp_path_factory.mktemp("build")
    tree, dist = work / "tree", work / "dist"
    tree.mkdir()
    for name in SOURCES:
        shutil.copy(ROOT / name, tree / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    python("-m", "hatchling", "build", "-t", "sdist", "-d", str(dist), cwd=tree)
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        archive.extractall(work, filter="data")
    unpacked = work / f"gpupatch-{__version__}"
    python("-m", "hatchling", "build", "-t", "wheel", "-d", str(dist), cwd=unpacked)
    return dist


@pytest.fixture(scope="module")
def installed(archives, tmp_path_factory) -> Path:
    """A folder into which the wheel is unpacked, as an installer would."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(next(archives.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder


def test_the_wheel_holds_every_module_case_kernel_and_the_type_marker(installed):
    wanted = {
        str(file.relative_to(ROOT))
        for pattern in ("*.py", "py.typed", "*.toml")
        for file in (ROOT / "gpupatch").rglob(pattern)
    }
    wanted |= {f"gpupatch/_kernels/{file.name}" for file in (ROOT / "kernels").iterdir()}
    found = {str(file.relative_to(installed)) for file in installed.rglob("*") if file.is_file()}
    metadata = {name for name in found if name.startswith(f"gpupatch-{__version__}.dist-info/")}
    assert "gpupatch/_kernels/README.md" in found
    assert "gpupatch/cases/burgers.toml" in found
    assert found - metadata == wanted
    assert any(name.endswith("licenses/LICENSE") for name in metadata)


def test_the_source_archive_holds_what_the_tests_need(archives):
    with tarfile.open(next(archives.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {*SOURCES, "docs/references.bib", "kernels/README.md", ".ci/run"}
    wanted |= {f"tests/{file.name}" for file in (ROOT / "tests").glob("*.py")}
    wanted |= {f"notebooks/{file.name}" for file in (ROOT / "notebooks").glob("*.ipynb")}
    assert wanted <= names


def test_an_installed_wheel_lists_and_checks_its_cases(installed, tmp_path):
    where = python("-c", "import gpupatch; print(gpupatch.__file__)", cwd=tmp_path, path=installed)
    assert Path(where.strip()).parent == installed / "gpupatch"
    assert "burgers" in python("-m", "gpupatch.cli", "cases", cwd=tmp_path, path=installed)
    checked = python("-m", "gpupatch.cli", "validate", "burgers", cwd=tmp_path, path=installed)
    assert 'name = "burgers"' in checked


def test_kernels_are_the_same_from_a_wheel_and_from_a_checkout(installed, tmp_path):
    script = (
        "from gpupatch.backends._cuda_source import kernel_text;"
        "print(kernel_text('burst.cu'), kernel_text('prologue.cuh'))"
    )
    texts = [python("-c", script, cwd=tmp_path, path=path) for path in (installed, ROOT)]
    assert texts[0] == texts[1]
    assert "__global__" in texts[0]


def test_importing_the_package_imports_nothing_heavy(tmp_path):
    script = f"import sys, gpupatch; print([name for name in {HEAVY} if name in sys.modules])"
    assert python("-c", script, cwd=tmp_path, path=ROOT).strip() == "[]"


def test_type_checkers_are_shown_the_same_names_that_are_found_at_run_time():
    import gpupatch

    tree = ast.parse((ROOT / "gpupatch" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    shown = {
        name.name: line.module
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for name in line.names
    }
    assert shown == gpupatch._HOME
    assert set(gpupatch.__all__) == {"__version__", *shown}


def test_every_public_name_can_be_imported():
    import gpupatch

    missing = [name for name in gpupatch.__all__ if getattr(gpupatch, name, None) is None]
    assert missing == []
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = gpupatch.simulat

"""What the verification tests share: the case files and the backend they run on."""

from pathlib import Path

import pytest

from gpupatch.backends.select import get_backend
from gpupatch.files.case import load_case
from gpupatch.run import run_case

CASES = Path(__file__).parents[1] / "cases"


@pytest.fixture(scope="session")
def backend():
    return get_backend("auto")[0]


@pytest.fixture(scope="session")
def cases():
    """The directory of the case files."""
    return CASES


@pytest.fixture
def run(tmp_path):
    """Run a verification case, with changes such as "grid.patches=[24]", to its solution."""
    directories = (tmp_path / f"run{number}" for number in range(100))

    def run(name, *changes):
        case = load_case(CASES / f"{name}.toml", changes)
        result = run_case(case, next(directories), quiet=True)
        assert result.exit_code == 0
        return result.solution

    return run

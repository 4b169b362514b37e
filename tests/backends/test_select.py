"""Backends by name, and reasons that can be read."""

import builtins
import sys

import pytest

from gpupatch.backends.select import get_backend
from gpupatch.errors import BackendError


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_a_backend_that_was_asked_for_is_given(name):
    backend, reason = get_backend(name)
    assert backend.name == name
    assert reason == f"{name} was asked for"


def test_auto_takes_compiled_code_and_says_in_one_line_why_not_cuda():
    backend, reason = get_backend()
    assert backend.name == "numba"
    assert "no cuda" in reason
    assert "\n" not in reason


def test_auto_falls_back_to_numpy_without_numba(monkeypatch):
    load = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "numba" or name.startswith("numba."):
            raise ImportError("No module named 'numba'")
        return load(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "gpupatch.backends._numba", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    backend, reason = get_backend("auto")
    assert backend.name == "numpy"
    assert "No module named 'numba'" in reason
    with pytest.raises(BackendError, match="Install numba"):
        get_backend("numba")


def test_cuda_is_refused_with_all_reasons():
    with pytest.raises(BackendError, match="`cuda` cannot run: .*not part of this version"):
        get_backend("cuda")


def test_an_unknown_backend_is_refused_with_the_nearest_name():
    with pytest.raises(BackendError, match="Did you mean `numba`"):
        get_backend("number")

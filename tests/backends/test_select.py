"""Backends by name, and reasons that can be read."""

import builtins
import sys
import types

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


def fake_cupy(driver, count):
    """What is used of CuPy before anything is computed."""

    class CUDARuntimeError(RuntimeError):
        pass

    def get_device_count():
        if count is None:
            raise CUDARuntimeError("cudaErrorInsufficientDriver:\n too old")
        return count

    runtime = types.SimpleNamespace(
        driverGetVersion=lambda: driver,
        getDeviceCount=get_device_count,
        CUDARuntimeError=CUDARuntimeError,
    )
    return types.SimpleNamespace(__version__="14.2.0", cuda=types.SimpleNamespace(runtime=runtime))


@pytest.mark.parametrize(
    ("cupy", "reason"),
    [
        (None, r"CuPy cannot be imported \(.*\); install `gpupatch\[cuda13\]`"),
        (fake_cupy(0, None), "CuPy 14.2.0 is there, but no NVIDIA driver"),
        (
            fake_cupy(12020, None),
            "driver 12020, but no GPU can be used: cudaErr",
        ),
        (fake_cupy(13000, 0), "driver 13000, but no GPU is visible"),
    ],
    ids=["no CuPy", "no driver", "old driver", "no GPU"],
)
def test_cuda_is_refused_with_the_chain_of_reasons_in_one_line(monkeypatch, cupy, reason):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(BackendError, match=f"`cuda` cannot run: .*{reason}") as refusal:
        get_backend("cuda")
    assert "\n" not in str(refusal.value)
    backend, why = get_backend("auto")
    assert backend.name == "numba"
    assert f"no cuda: {refusal.value.__cause__}" in why


def test_an_unknown_backend_is_refused_with_the_nearest_name():
    with pytest.raises(BackendError, match="Did you mean `numba`"):
        get_backend("number")

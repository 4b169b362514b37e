"""Choose a backend by name, and say why."""

from importlib import import_module
from importlib.util import find_spec

from gpupatch.arrays import Backend
from gpupatch.errors import BackendError, suggestion

NAMES = ("auto", "numpy", "numba", "cuda")


def get_backend(name: str = "auto") -> tuple[Backend, str]:
    """A backend and the reason for it, in one line.

    "auto" tries `cuda`, then `numba`, then `numpy`. A backend that is asked for by name is given
    or refused, never replaced.

    Args:
        name: "auto", "numpy", "numba" or "cuda".

    Returns:
        The backend and why it was chosen.

    Raises:
        BackendError: if there is no such backend, or it cannot run here; the chain of reasons is
            told.
    """
    if name not in NAMES:
        raise BackendError(f"there is no backend `{name}`. {suggestion(name, NAMES)}")
    if name == "auto":
        return _automatic()
    if name == "cuda":
        raise BackendError(
            f"backend `cuda` was asked for, but cannot run: {_no_cuda()}. Use `numba` or `numpy`."
        )
    if name == "numba":
        return _numba(), "as asked"
    return _numpy(), "as asked"


def _automatic() -> tuple[Backend, str]:
    try:
        return _numba(), f"fastest that runs here; not cuda: {_no_cuda()}"
    except BackendError as error:
        return _numpy(), f"not cuda: {_no_cuda()}; not numba: {error}"


def _no_cuda() -> str:
    """Why the `cuda` backend cannot be had, outermost reason first."""
    reasons = ["this version of gpupatch has no CUDA kernels"]
    if find_spec("cupy") is None:
        reasons.append("CuPy is not installed")
    return ", ".join(reasons)


def _numba() -> Backend:
    try:
        return import_module("gpupatch.backends._numba").NumbaBackend()
    except ImportError as error:
        raise BackendError(f"backend `numba` cannot be imported: {error}") from error


def _numpy() -> Backend:
    return import_module("gpupatch.backends._numpy").NumpyBackend()

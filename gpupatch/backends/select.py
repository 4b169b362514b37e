"""Choose where patches are advanced."""

from __future__ import annotations

import ctypes.util
import importlib.util

from gpupatch.arrays import Backend
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.errors import BackendError, suggestion

BACKENDS = ("auto", "cuda", "numba", "numpy")


def get_backend(name: str = "auto") -> tuple[Backend, str]:
    """A backend, and in one line why it was chosen.

    Args:
        name: "numpy" for the readable reference, "numba" for compiled CPU code, "cuda" for a GPU,
            or "auto" for the first of cuda, numba, numpy that runs here.

    Returns:
        The backend and the reason.

    Raises:
        BackendError: if there is no backend of that name, or it cannot run here.
    """
    if name == "numpy":
        return NumpyBackend(), "numpy was asked for"
    if name == "numba":
        return _numba(), "numba was asked for"
    if name == "cuda":
        raise BackendError(f"the backend `cuda` cannot run: {'; '.join(cuda_obstacles())}.")
    if name != "auto":
        raise BackendError(f"there is no backend `{name}`. {suggestion(name, BACKENDS)}")
    cuda = f"no cuda: {cuda_obstacles()[-1]}"
    try:
        return _numba(), f"numba ({cuda})"
    except BackendError as error:
        return NumpyBackend(), f"numpy ({cuda}; no numba: {error})"


def cuda_obstacles() -> list[str]:
    """Why patches cannot be advanced on a GPU here, one reason per entry."""
    reasons = []
    if importlib.util.find_spec("cupy") is None:
        reasons.append("CuPy is not installed")
    if ctypes.util.find_library("cuda") is None:
        reasons.append("no NVIDIA driver was found")
    return [*reasons, "the CUDA backend is not part of this version of gpupatch"]


def _numba() -> Backend:
    try:
        from gpupatch.backends._numba import NumbaBackend
    except ImportError as error:
        raise BackendError(
            f"the backend `numba` cannot run: {error}. Install numba, or use `numpy`."
        ) from error
    return NumbaBackend()

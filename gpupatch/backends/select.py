"""Choose where patches are advanced."""

from __future__ import annotations

from gpupatch.arrays import Backend
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.contract import checked
from gpupatch.errors import BackendError, suggestion

BACKENDS = ("auto", "cuda", "numba", "numpy")


@checked(BackendError)
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
        try:
            return _cuda(), "cuda was asked for"
        except BackendError as error:
            raise BackendError(f"the backend `cuda` cannot run: {error}.") from error
    if name != "auto":
        raise BackendError(f"there is no backend `{name}`. {suggestion(name, BACKENDS)}")
    try:
        return _cuda(), "the first that runs here"
    except BackendError as error:
        no_cuda = f"no cuda: {error}"
    try:
        return _numba(), f"the first that runs here; {no_cuda}"
    except BackendError as error:
        return NumpyBackend(), f"the first that runs here; {no_cuda}; no numba: {error}"


def _cuda() -> Backend:
    from gpupatch.backends._cuda import CudaBackend
    from gpupatch.backends._device import CupyDevice

    return CudaBackend(CupyDevice())


def _numba() -> Backend:
    try:
        from gpupatch.backends._numba import NumbaBackend
    except ImportError as error:
        raise BackendError(
            f"the backend `numba` cannot run: {error}. Install numba, or use `numpy`."
        ) from error
    return NumbaBackend()

"""What all tests share: backends by name, and a private folder for compiled kernels."""

import os

import pytest

from gpupatch.backends.select import get_backend
from gpupatch.errors import BackendError


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels(request, tmp_path_factory):
    """Kernels compiled by tests stay with the tests, and from one test run to the next."""
    if "GPUPATCH_CACHE" not in os.environ:
        cache = getattr(request.config, "cache", None)
        folder = cache.mkdir("kernels") if cache else tmp_path_factory.mktemp("kernels")
        folder.chmod(0o700)
        os.environ["GPUPATCH_CACHE"] = str(folder)
    return os.environ["GPUPATCH_CACHE"]


@pytest.fixture(params=["numba", pytest.param("cuda", marks=pytest.mark.cuda)])
def backend(request):
    """Every backend that is compared with the NumPy reference, or the reason why it cannot be."""
    try:
        return get_backend(request.param)[0]
    except BackendError as error:
        pytest.skip(str(error))

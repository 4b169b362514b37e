"""What all tests share: backends by name, a private folder for kernels, no test of the clock."""

import functools
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices, several test processes

import pytest
from cuda_host.fenced import FencedDevice
from cuda_host.host import why_not
from hypothesis import HealthCheck, settings

from gpupatch.backends._cuda import CudaBackend
from gpupatch.backends.select import get_backend
from gpupatch.errors import BackendError

settings.register_profile("any speed", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("any speed")


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels(request, tmp_path_factory):
    """Kernels compiled by tests stay with the tests, and from one test run to the next."""
    if "GPUPATCH_CACHE" not in os.environ:
        cache = getattr(request.config, "cache", None)
        folder = cache.mkdir("kernels") if cache else tmp_path_factory.mktemp("kernels")
        folder.chmod(0o700)
        os.environ["GPUPATCH_CACHE"] = str(folder)
    return os.environ["GPUPATCH_CACHE"]


@pytest.fixture(params=["numba", "host", pytest.param("cuda", marks=pytest.mark.cuda)])
def backend(request):
    """Every backend that is compared with the NumPy reference, or the reason why it cannot be.

    "host" is the CUDA backend with its kernels run on the CPU.
    """
    if request.param == "host":
        return _on_the_cpu()
    try:
        return get_backend(request.param)[0]
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def host():
    """The CUDA backend with its kernels run on the CPU."""
    return _on_the_cpu()


@functools.cache
def _on_the_cpu() -> CudaBackend:
    reason = why_not("fast")
    if reason is not None:
        pytest.skip(reason)
    return CudaBackend(FencedDevice())

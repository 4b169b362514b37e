import pytest

from gpupatch.backends.select import get_backend


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    return get_backend(request.param)[0]

"""How work is shared between threads never shows in a result."""

import numba
import numpy as np
import pytest
from problems import problem

from gpupatch.backends import _numba
from gpupatch.backends._numba import NumbaBackend
from gpupatch.micro import lattice

NOW = 0.3


@pytest.fixture
def many_threads(monkeypatch):
    """Small problems count as large ones, so that they are shared between threads."""
    available = numba.get_num_threads()
    if available < 2:
        pytest.skip("one core only: nothing to share")
    monkeypatch.setattr(_numba, "_WORTH_THREADS", 0)
    yield
    numba.set_num_threads(available)


def on_threads(count, act, given, dtype):
    numba.set_num_threads(count)
    return act(NumbaBackend().load(given.model, dtype))


@pytest.mark.usefixtures("many_threads")
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_one_thread_and_two_give_the_same_bits_in_a_fused_burst(dtype):
    given = problem(lattice.get("heterogeneous_diffusion", 2), shared=False)
    extended = given.lifting.extended(given.U, NOW)

    def act(kernels):
        return kernels.lift_burst_restrict(given.lifting, extended, given.plan(), NOW)

    one, two = (on_threads(count, act, given, dtype) for count in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.slow
@pytest.mark.usefixtures("many_threads")
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_one_thread_and_two_give_the_same_bits_in_coupled_steps(dtype, every):
    given = problem(lattice.get("gray_scott", 2), walls="leaky")

    def act(kernels):
        u = kernels.pack(given.u)
        kernels.advance(given.coupling, u, NOW, given.dt, 8, "rk4", every)
        return kernels.unpack(u)

    one, two = (on_threads(count, act, given, dtype) for count in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_the_number_of_chunks_does_not_matter(monkeypatch):
    given = problem(lattice.get("diffusion", 2))
    results = []
    for chunks in (1, 5, 72):
        monkeypatch.setattr(_numba.NumbaKernels, "_chunks", lambda self, n, c=chunks: c)
        kernels = NumbaBackend().load(given.model, "float64")
        results.append(kernels.burst(kernels.pack(given.u), given.plan(), NOW))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])

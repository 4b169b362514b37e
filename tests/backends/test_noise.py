"""Compiled noise: the same random integers as the reference, and the right moments."""

import dataclasses

import numba
import numpy as np
import pytest
from problems import problem
from test_parity import shaken

from gpupatch.backends import _numba_passes
from gpupatch.backends._numba import NumbaBackend
from gpupatch.micro import noise
from gpupatch.micro.rule import rule

SEED = 2**40 + 17
STREAM = 5


@rule(fields="u", noise={"u": lambda s: s})
def walk(u, s, dx):
    """Independent random walks at all sites."""
    return 0.0 * u[0] * s * dx


def key(seed, stream):
    return np.array([seed & 0xFFFFFFFF, seed >> 32, stream, 0, 0], dtype=np.uint64)


def test_compiled_philox_gives_the_known_answer():
    """The first vector of the Random123 distribution: counter and key zero."""
    philox = numba.njit(_numba_passes.philox)
    found = [int(x) for x in philox(key(0, 0), 0, 0, 0)]
    assert found == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_compiled_integers_are_those_of_the_reference():
    philox = numba.njit(_numba_passes.philox)
    counters = np.random.default_rng(0).integers(0, 2**31, (200, 3))
    for patch, place, step in counters.tolist():
        expected = noise.philox((patch, place, step, STREAM), (SEED & 0xFFFFFFFF, SEED >> 32))
        found = philox(key(SEED, STREAM), patch, place, step)
        assert [int(x) for x in found] == [int(x) for x in expected]


def test_random_walks_spread_as_brownian_motion():
    """After n steps the variance is s^2 n dt and the kurtosis 3; streams are independent."""
    given = problem(walk, members=60)
    inside = (slice(None), slice(None), *given.model.inside)
    ends = []
    for stream in (1, 2):
        kernels = NumbaBackend().load(given.model, "float64")
        u = kernels.pack(np.zeros_like(given.u))
        kernels.burst(u, given.plan(stream=stream), 0.0)
        strength = np.repeat(given.model.parameters[:, 0], len(given.model.origin))
        scale = strength[:, None, None] * np.sqrt(given.plan().n_steps * given.dt)
        ends.append((kernels.unpack(u)[inside] / scale).ravel())
    for end in ends:
        n = end.size
        assert abs(end.mean()) < 4 / np.sqrt(n)
        assert abs(end.var() - 1) < 4 * np.sqrt(2 / n)
        assert abs((end**4).mean() - 3) < 4 * np.sqrt(96 / n)
    assert abs((ends[0] * ends[1]).mean()) < 4 / np.sqrt(ends[0].size)


def test_the_edges_of_a_noisy_patch_stay_as_they_are():
    given = problem(walk)
    kernels = NumbaBackend().load(given.model, "float64")
    u = kernels.pack(given.u)
    kernels.burst(u, given.plan(), 0.0)
    found = kernels.unpack(u)
    np.testing.assert_array_equal(found[..., [0, -1]], given.u[..., [0, -1]])
    assert np.all(found[..., 1:-1] != given.u[..., 1:-1])


@pytest.mark.parametrize("every", [1, 4])
def test_random_numbers_do_not_depend_on_how_a_run_is_cut(backend, every):
    given = problem(shaken)
    results = []
    for pieces in ((16,), (4, 12), (8, 8)):
        kernels = backend.load(given.model, "float64")
        u, done = kernels.pack(given.u), 0
        for count in pieces:
            t = 0.3 + done * given.dt
            kernels.advance(given.coupling, u, t, given.dt, count, "euler", every, first=done)
            done += count
        results.append(kernels.unpack(u))
    for cut in results[1:]:
        np.testing.assert_allclose(cut, results[0], rtol=0, atol=1e-12)


def test_a_patch_alone_has_the_random_numbers_that_it_has_among_others(backend):
    given = problem(shaken)
    kernels = backend.load(given.model, "float64")
    u = kernels.pack(given.u)
    kernels.burst(u, given.plan(stream=3), 0.0)
    together, row = kernels.unpack(u), len(given.u) - 1
    model, per_member = given.model, len(given.model.origin)
    member, patch = divmod(row, per_member)
    coefficients = model.coefficients
    one = dataclasses.replace(
        model,
        origin=model.origin[patch : patch + 1],
        parameters=model.parameters[member : member + 1],
        coefficients=coefficients if len(coefficients) == 1 else coefficients[row : row + 1],
        first_patch=row,
    )
    kernels = backend.load(one, "float64")
    u = kernels.pack(given.u[row : row + 1])
    kernels.burst(u, given.plan(stream=3), 0.0)
    np.testing.assert_array_equal(kernels.unpack(u)[0], together[row])

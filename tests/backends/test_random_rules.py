"""Compiled random rules do what their functions do."""

import numpy as np
import pytest
from hypothesis import given, settings
from problems import ULPS, problem, sum_of_terms
from random_rules import rules

from gpupatch.backends._numba import NumbaBackend

NOW = 0.3


def check(candidate):
    case = problem(candidate, edges=2)
    with np.errstate(all="ignore"):
        expected = case.model.rate(case.u, NOW)
        scale = sum_of_terms(case.model, case.u, NOW)
    if not np.isfinite(expected).all() or not np.isfinite(scale):
        return
    kernels = NumbaBackend().load(case.model, "float64")
    found = kernels.rate(kernels.pack(case.u), NOW)
    tolerance = ULPS * np.finfo(float).eps * scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(rules())
def test_a_few_random_rules_give_the_rates_of_their_functions(candidate):
    check(candidate)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(rules())
def test_many_random_rules_give_the_rates_of_their_functions(candidate):
    check(candidate)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(rules(smooth=True))
def test_random_smooth_rules_run_in_float32(candidate):
    """A burst in perturbation form ends where a burst in float64 ends."""
    case = problem(candidate, edges=2)
    plan, ends = case.plan("ssprk2"), []
    for dtype in ("float64", "float32"):
        kernels = NumbaBackend().load(case.model, dtype)
        u = kernels.pack(case.u)
        kernels.burst(u, plan, NOW)
        ends.append(kernels.unpack(u))
    moved = np.abs(ends[0] - case.u).max()
    if np.isfinite(moved):
        assert np.abs(ends[1] - ends[0]).max() <= 1e-4 * (1e-6 + moved)

"""Lowered rules: the same numbers as the rule's own function, few operations, stable text."""

import os
import subprocess
import sys

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from problems import ULPS, problem, sum_of_terms
from random_rules import rules

from gpupatch.errors import RuleError
from gpupatch.micro import functions as gp
from gpupatch.micro import lattice
from gpupatch.micro.lower import STEP, Lowering, noise_amplitudes
from gpupatch.micro.rule import rule
from gpupatch.micro.verify import lowered_rate, verify

NOW = 0.3
LIBRARY = [candidate for entries in lattice._LIBRARY.values() for candidate in entries]
FACTOR = 2.0


def lower(candidate, alike=None):
    lowering = Lowering(candidate.fields, candidate.accesses, candidate.ndim, alike)
    return lowering, lowering.block([STEP * rate for rate in candidate.rates])


def check(given_problem):
    model, u = given_problem.model, given_problem.u
    with np.errstate(all="ignore"):
        expected = model.rate(u, NOW)
        found = lowered_rate(model, u, np.zeros_like(u), NOW)
        scale = sum_of_terms(model, u, NOW)
    if not np.isfinite(expected).all() or not np.isfinite(scale):
        return
    tolerance = ULPS * np.finfo(float).eps * scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("candidate", LIBRARY, ids=lambda r: r.name)
def test_lowered_library_rules_give_the_rates_of_their_functions(candidate):
    check(problem(candidate, shared=False))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rules())
def test_lowered_random_rules_give_the_rates_of_their_functions(candidate):
    check(problem(candidate, edges=2))


def test_a_constant_diffusivity_costs_one_product_per_site():
    lowering, block = lower(lattice.get("diffusion", 2), {"dy": "dx"})
    assert [str(e) for e in lowering.scalars] == ["D*_h/dx**2"]
    (rate,) = block.outputs
    assert rate.is_Mul
    assert len(rate.args) == 2


def test_parameters_are_multiplied_into_coefficients_once():
    lowering, block = lower(lattice.get("heterogeneous_diffusion", 1))
    assert [str(e) for e in lowering.statics] == ["_h*c_kappa_f0_p0/dx**2"]
    assert not lowering.scalars
    assert [load.offset for load in block.loads if load.array == "static"] == [(-1,), (0,)]


def test_what_depends_on_time_alone_is_computed_once_per_stage():
    @rule(fields="u")
    def driven(u, a, dx, t):
        return gp.sin(a * t) * (u[1] - u[-1]) / dx

    _, block = lower(driven)
    assert [str(e) for _, e in block.stage] == ["_q1*sin(_q0*t)"]
    assert not any(e.has(sp.sin) for e in block.outputs)


def test_a_term_shared_by_two_fields_is_computed_once():
    _, block = lower(lattice.get("gray_scott", 2), {"dy": "dx"})
    assert len(block.statements) == 1


def test_scalars_are_evaluated_for_every_member():
    candidate = lattice.get("diffusion", 1)
    lowering, _ = lower(candidate)
    values = {"D": np.array([1.0, 3.0]), "dx": 0.5, STEP.name: 0.1}
    np.testing.assert_allclose(lowering.scalar_values(values, 2), [[0.4], [1.2]])


def test_statics_are_shared_unless_they_differ_between_patches():
    candidate = lattice.get("heterogeneous_diffusion", 1)
    lowering, _ = lower(candidate)
    given_problem = problem(candidate)
    model = given_problem.model
    everywhere = tuple(slice(0, n) for n in model.sites)
    environment = model.environment(0.0, everywhere) | {STEP.name: 2.0}
    statics = lowering.static_values(environment, model.sites, model.n_patches)
    expected = 2 * model.coefficients[:, 0] / model.spacing[0] ** 2
    np.testing.assert_allclose(statics[:, 0], expected)
    assert len(statics) == 1


def test_integer_powers_are_products_and_half_powers_are_roots():
    @rule(fields="u")
    def powers(u, dx):
        return u[0] ** 3 + u[1] ** 2.5 + u[-1] ** -2 + u[0] ** -0.5 + dx

    text = powers.source("numba")
    assert "(f_u_p0*f_u_p0*f_u_p0)" in text
    assert "(f_u_p1*f_u_p1*math.sqrt(f_u_p1))" in text
    assert "**" not in text.split("return")[1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_constant_is_typed(dtype):
    for line in lattice.get("allen_cahn", 1).source("numba", dtype).splitlines():
        bare = line.replace("T(", "(").split("#")[0]
        numbers = [word for word in bare.replace("(", " ").replace(")", " ").split() if "." in word]
        assert all(f"T({number})" in line for number in numbers)


def test_the_source_of_an_unknown_target_is_refused():
    with pytest.raises(RuleError, match="no source for `fortran`"):
        lattice.get("diffusion", 1).source("fortran")


def test_noise_amplitudes_need_not_read_a_field():
    @rule(fields="u", noise={"u": lambda s, dx: s / dx})
    def shaken(u, s, dx):
        return u[1] - u[-1] + s * dx

    amplitudes, read = noise_amplitudes(shaken)
    assert str(amplitudes[0]) == "s/dx"
    assert not read


def test_a_rule_that_changed_since_it_was_traced_is_refused():
    @rule(fields="u")
    def scaled(u, dx):
        return FACTOR * (u[1] - u[-1]) / dx

    verify(scaled, "float64")
    scaled.function.__globals__["FACTOR"] = 3.0
    try:
        for dtype in ("float64", "float32"):
            with pytest.raises(
                RuleError, match=r"(?s)rule `scaled` gives .*test_lower\.py, line .*def scaled"
            ):
                verify(scaled, dtype)
    finally:
        scaled.function.__globals__["FACTOR"] = 2.0


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_source_does_not_depend_on_hash_seeds(seed):
    script = (
        "from gpupatch.micro import lattice as l\n"
        "for name, d in (('gray_scott', 2), ('elastic_rod', 1), ('shallow_water', 1)):\n"
        "    print(l.get(name, d).source('numba', 'float32'), l.get(name, d).source('numpy'))"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed}
    found = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    texts = []
    for name, ndim in (("gray_scott", 2), ("elastic_rod", 1), ("shallow_water", 1)):
        candidate = lattice.get(name, ndim)
        texts.append(candidate.source("numba", "float32") + " " + candidate.source("numpy"))
    assert found.stdout == "".join(f"{text}\n" for text in texts)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_source_for_a_gpu_is_typed_c(dtype):
    text = lattice.get("gray_scott", 2).source("cuda", dtype)
    kind = {"float64": "double", "float32": "float"}[dtype]
    assert f"__device__ void gray_scott2d{'' if kind == 'double' else '_change'}({kind} " in text
    assert "d1 = " in text
    assert "math." not in text
    assert " if " not in text

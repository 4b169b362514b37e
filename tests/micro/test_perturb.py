"""The perturbation form: exact algebra, no cancellation, refusals that say why."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from problems import problem
from random_rules import rules

from gpupatch.errors import RuleError
from gpupatch.micro import functions as gp
from gpupatch.micro import lattice
from gpupatch.micro.perturb import Difference
from gpupatch.micro.rule import rule
from gpupatch.micro.verify import lowered_rate, verify

LIBRARY = [candidate for entries in lattice._LIBRARY.values() for candidate in entries]
F, G, B, C = sp.symbols("f g b c", real=True)
K = sp.Symbol("k", real=True)
NOW = 0.3
EXPRESSIONS = [
    K * F, F**2, F**5, F * G * (F + K), 1 / F, 1 / (1 + F**2) ** 3, sp.sqrt(F),
    F ** sp.Rational(5, 2),
    F ** sp.Rational(-3, 2), sp.exp(-F * G), sp.log(1 + F), sp.sin(F), sp.cos(K * F), sp.tan(F / 3),
    sp.sinh(F), sp.cosh(F), sp.tanh(F * G), F**K, F**G, sp.Piecewise((F, K > 1), (G**2, True)),
]  # fmt: skip


@pytest.mark.parametrize("f", EXPRESSIONS, ids=str)
def test_the_difference_is_exact(f):
    """D[f](b, v) = f(b + v) - f(b), compared in 60 digits."""
    difference = expanded(f)
    point = {K: digits("1.3"), B: digits("1.4"), C: digits("0.8")}
    change = {F: digits("1e-12"), G: digits("3e-13")}
    found = evaluate(difference, point | change)
    moved = {F: point[B] + change[F], G: point[C] + change[G]}
    expected = evaluate(f, moved | point) - evaluate(f, {F: point[B], G: point[C]} | point)
    assert abs(found / expected - 1) < 1e-30


@pytest.mark.parametrize("f", EXPRESSIONS, ids=str)
def test_the_difference_vanishes_with_the_perturbation(f):
    difference = expanded(f)
    point = {K: 1.3, B: 1.4, C: 0.8, F: 0, G: 0}
    assert evaluate(difference, point) == 0


def digits(number):
    return sp.Float(number, 60)


def expanded(f):
    """D[f] with what it shares written out."""
    forms = Difference({F: B, G: C})
    difference = forms.of(f)[1]
    for expression, symbol in reversed(forms.definitions.items()):
        difference = difference.subs(symbol, expression)
    return difference


def evaluate(expression, values):
    """Evaluate with the unevaluated functions of the printers replaced by their meaning."""
    meaning = {"expm1": lambda x: sp.exp(x) - 1, "log1p": lambda x: sp.log(1 + x)}
    for name, function in meaning.items():
        expression = expression.replace(
            lambda e, name=name: type(e).__name__ == name, lambda e, f=function: f(e.args[0])
        )
    return expression.subs(values).evalf(60)


@pytest.mark.parametrize("candidate", LIBRARY, ids=lambda r: r.name)
def test_every_library_rule_has_a_float32_form(candidate):
    verify(candidate, "float32")


@settings(max_examples=30, deadline=None, derandomize=True)
@given(rules(smooth=True))
def test_small_perturbations_of_random_rules_keep_their_digits(candidate):
    """The change of the rate is right to single precision, however small it is."""
    case = problem(candidate, edges=2, members=1)
    v = np.random.default_rng(5).uniform(-1e-7, 1e-7, case.u.shape).astype(np.float32)
    with np.errstate(all="ignore"):
        whole, rest = (lowered_rate(case.model, case.u, w, NOW) for w in (v, 0 * v))
        exact = derivative(case, v)
    assume(np.isfinite(exact).all())
    size = np.abs(exact).max() + np.abs(v).max()
    rounding = np.finfo(np.float32).eps * np.abs(rest).max()
    np.testing.assert_allclose(whole - rest, exact, rtol=0, atol=1e-2 * size + 2 * rounding)


def derivative(case, v):
    """Change of the rate for a small change of the state, from central differences."""
    step = 1e-5 / np.abs(v).max()
    high = case.model.rate(case.u + step * v.astype(float), NOW)
    low = case.model.rate(case.u - step * v.astype(float), NOW)
    return (high - low) / (2 * step)


@pytest.mark.parametrize("name", ["diffusion", "burgers"])
def test_a_small_curvature_on_a_large_value_survives_float32(name):
    """V35 at one instant, u = 300 and a small wave: float32 alone loses du/dt."""
    case = problem(lattice.get(name, 1), patches=4)
    dx = case.model.spacing[0]
    x = np.arange(case.u.shape[-1]) * np.ones(case.u.shape)
    base = np.full(case.u.shape, 300.0)
    v = (0.01 * dx**2 * np.cos(x)).astype(np.float32)
    inside = (slice(None), slice(None), *case.model.inside)
    exact = case.model.rate(base + v.astype(float), NOW)[inside]
    found = lowered_rate(case.model, base, v, NOW)[inside]
    plain = case.model.rate((base + v).astype(np.float32), NOW)[inside]
    size = np.abs(exact).max()
    assert np.abs(found - exact).max() < 1e-4 * size
    assert np.abs(plain - exact).max() > 0.2 * size


REFUSED = {
    "Abs": lambda u: abs(u[0]),
    "Max": lambda u: gp.maximum(u[0], 0.0),
    "sign": lambda u: gp.sign(u[1]),
    "condition on a field": lambda u: gp.where(u[0] > 0, u[0], 0.0),
}


@pytest.mark.parametrize("what", REFUSED)
def test_rules_that_cannot_be_expanded_are_refused_by_name(what):
    formula = REFUSED[what]

    @rule(fields="u")
    def kinked(u, dx):
        return formula(u) + (u[1] - u[-1]) / dx

    with pytest.raises(
        RuleError, match=rf"(?s)rule `kinked` has no float32 form: .*{what}.*def kinked"
    ):
        kinked.source("numba", "float32")
    assert "kinked" in kinked.source("numba", "float64")

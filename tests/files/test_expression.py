"""Formulas: what they compute, and everything that they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpupatch.errors import CaseError
from gpupatch.files.expression import FUNCTIONS, MAX_DEPTH, MAX_LENGTH, Expression

LEAVES = st.sampled_from(["x", "t", "nu", "pi", "2", "0.5", "1e-3", "7"])
ORACLE = {name: getattr(np, name) for name in FUNCTIONS if name != "erf"} | {
    "pi": np.pi,
    "__builtins__": {},
}


def deeper(inner):
    unary = st.sampled_from(["-", "+", "sin", "tanh", "abs", "cos", "sign"])
    binary = st.sampled_from(["+", "-", "*"])
    pair = st.sampled_from(["minimum", "maximum"])
    comparison = st.sampled_from(["<", "<=", ">", ">="])
    return st.one_of(
        st.builds("{}({})".format, unary, inner),
        st.builds("({} {} {})".format, inner, binary, inner),
        st.builds("{}({}, {})".format, pair, inner, inner),
        st.builds("({})**2".format, inner),
        st.builds("where({} {} {}, {}, {})".format, inner, comparison, inner, inner, inner),
    )


FORMULAS = st.recursive(LEAVES, deeper, max_leaves=12)


@given(FORMULAS)
def test_a_formula_computes_what_numpy_computes(text):
    x, t, nu = np.linspace(-2, 3, 11), 0.7, 0.05
    try:
        formula = Expression(text, ("x", "t", "nu"))
    except CaseError as error:
        assert "not a finite number" in str(error)  # noqa: PT017
        return
    with np.errstate(all="ignore"):
        expected = eval(text, dict(ORACLE), {"x": x, "t": np.float64(t), "nu": np.float64(nu)})
    found = formula(x=x, t=t, nu=nu)
    np.testing.assert_array_equal(found, np.broadcast_to(expected, x.shape))


def test_values_broadcast_and_a_constant_fills_the_shape():
    x, y = np.arange(3.0)[:, None], np.arange(4.0)
    plane = Expression("x + 10*y", ("x", "y"))
    np.testing.assert_array_equal(plane(x=x, y=y), x + 10 * y)
    np.testing.assert_array_equal(Expression("2", ("x", "y"))(x=x, y=y), np.full((3, 4), 2.0))
    assert Expression("1/6")().shape == ()


def test_the_result_is_a_new_array():
    x = np.arange(3.0)
    Expression("x", ("x",))(x=x)[0] = 5
    assert x[0] == 0


def test_names_are_the_variables_that_occur():
    formula = Expression("exp(-nu*t) * sin(pi*x)", ("x", "y", "t", "nu"))
    assert formula.names == ("nu", "t", "x")


def test_a_variable_hides_the_constant_of_the_same_name():
    assert Expression("e", ("e",))(e=3.0) == 3.0


def test_comparisons_are_numbers_and_chain_as_in_mathematics():
    x = np.array([-1.0, 0.0, 1.0, 2.0])
    inside = Expression("0 < x <= 1", ("x",))
    np.testing.assert_array_equal(inside(x=x), [0, 0, 1, 0])
    np.testing.assert_array_equal(Expression("(x > 0) + (x > 1)", ("x",))(x=x), [0, 0, 1, 2])
    np.testing.assert_array_equal(Expression("x < 0 or not x < 2", ("x",))(x=x), [1, 0, 0, 1])
    np.testing.assert_array_equal(Expression("x > 0 and x == 1", ("x",))(x=x), [0, 0, 1, 0])


def test_where_may_hide_a_branch_outside_its_domain():
    logarithm = Expression("where(x > 0, log(x), 0)", ("x",))
    np.testing.assert_array_equal(logarithm(x=np.array([-1.0, 1.0])), [0, 0])


def test_powers_associate_to_the_right_and_bind_before_the_sign():
    assert Expression("2**3**2")() == 512
    assert Expression("-3**2")() == -9


def test_the_error_function_has_its_tabulated_value():
    np.testing.assert_allclose(Expression("erf(1)")(), 0.8427007929497149, rtol=1e-15)


def test_a_tower_of_powers_is_refused_at_once():
    for tower in ("9**9**9**9", "9**9**9**9**9**9", "(" * 20 + "9" + "**9)" * 20):
        with pytest.raises(CaseError, match="not a finite number"):
            Expression(tower)


def test_a_large_power_of_a_variable_overflows_in_float64():
    assert np.isinf(Expression("x**x**x**x", ("x",))(x=9.0))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "x.real",
        "x[0]",
        "(lambda: 1)()",
        "[i for i in x]",
        "(x for x in x)",
        "(yield x)",
        "await x",
        "x := 3",
        "x = 3",
        "f'{x}'",
        "'a'*1000000000",
        "eval(x)",
        "open(x)",
        "sin(x, out=x)",
        "sin(*x)",
        "(1, 2)",
        "...",
        "None",
        "True",
        "1j",
        "x is x",
        "x in x",
        "1 << 99999999999",
        "x @ x",
        "x // 2",
        "x % 2",
        "~x",
        "x; x",
        "x\\\nx",
        "ſin(x)",
        "x\0",
        "",
        " ",
        "1e999",
        "9" * 1000,
        "1/0",
        "0*(1/0)",
        "sqrt(-1)",
        "(-8)**0.5",
        "1if x else 2",
        "x if x else 2",
        "sin",
        "x(2)",
        "pi(2)",
        "sin()",
        "maximum(1, 2, 3)",
        "1 +",
        "(x",
        "x)",
        "1 2",
        "(" * 500 + "x" + ")" * 500,
        "-" * 1500 + "x",
        "+".join(["x"] * 900),
        "x" * (MAX_LENGTH + 1),
    ],
)
def test_what_is_not_a_formula_is_refused(text):
    with pytest.raises(CaseError):
        Expression(text, ("x",))


@given(st.text(max_size=40))
def test_any_text_is_a_formula_or_a_case_error(text):
    try:
        value = Expression(text, ("x", "t"))(x=0.5, t=1.0)
    except CaseError:
        return
    assert value.dtype == np.float64


@given(st.text(alphabet="xt123.()+-*/<>=, sin", max_size=30))
def test_text_that_resembles_a_formula_is_a_formula_or_a_case_error(text):
    try:
        value = Expression(text, ("x", "t"))(x=0.5, t=1.0)
    except CaseError:
        return
    assert value.dtype == np.float64


def test_the_message_marks_the_place_and_suggests_a_name():
    with pytest.raises(CaseError) as caught:
        Expression("1 + sinn(pi*x)", ("x",))
    message, formula, mark = str(caught.value).splitlines()
    assert "unknown function `sinn`. Did you mean `sin`?" in message
    assert formula[mark.index("^") : mark.rindex("^") + 1] == "sinn"


def test_the_message_lists_the_names_that_are_allowed():
    with pytest.raises(CaseError, match=r"unknown name `nue`\. Did you mean `nu`") as caught:
        Expression("nue*x", ("x", "nu"))
    assert all(name in str(caught.value) for name in ("nu", "x", "pi", "where"))


def test_the_message_about_a_long_formula_stays_short():
    with pytest.raises(CaseError) as caught:
        Expression("1." + "0" * 300 + "*y*1." + "0" * 300, ("x",))
    _, formula, mark = str(caught.value).splitlines()
    assert formula[mark.index("^")] == "y"
    assert len(formula) < 140


@pytest.mark.parametrize(
    ("text", "hint"), [("x^2", r"\*\*"), ("x & x", "and"), ("1 if x else 2", "where")]
)
def test_the_message_says_how_to_write_it_here(text, hint):
    with pytest.raises(CaseError, match=hint):
        Expression(text, ("x",))


def test_depth_is_allowed_up_to_its_limit():
    assert Expression("-" * (MAX_DEPTH - 1) + "x", ("x",))(x=1.0) == (-1.0) ** (MAX_DEPTH - 1)
    with pytest.raises(CaseError, match="nested"):
        Expression("-" * MAX_DEPTH + "x", ("x",))


def test_values_must_match_the_variables():
    formula = Expression("x + t", ("x", "t", "nu"))
    with pytest.raises(TypeError, match="takes"):
        formula(x=1.0)
    with pytest.raises(TypeError, match="takes"):
        formula(x=1.0, t=0.0, z=2.0)
    assert formula(x=1.0, t=0.0, nu=5.0) == 1.0

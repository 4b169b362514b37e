"""Parsers of text from outside: any text is understood or refused, and nothing else happens."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from robustness.schema_walk import bases, keys
from robustness.targets import TARGETS
from robustness.watch import Forbidden, watched

from gpupatch.errors import CaseError
from gpupatch.files.case import parse_case
from gpupatch.files.expression import Expression
from gpupatch.files.toml import dump_toml

CORPUS = Path(__file__).parent / "corpus"
modest = settings(derandomize=True, max_examples=150, deadline=None)

_TOKENS = st.sampled_from(
    [
        "x",
        "t",
        "pi",
        "e",
        "sin(",
        "cos(",
        "where(",
        "maximum(",
        "exp(",
        "log(",
        "sqrt(",
        ")",
        "(",
        ",",
        "+",
        "-",
        "*",
        "/",
        "**",
        "<",
        "<=",
        "==",
        "!=",
        ">",
        "and",
        "or",
        "not",
        "1",
        "2.5",
        "1e308",
        "9**9**9",
        "__class__",
        "import",
        "lambda",
        ".",
        "[",
        "]",
        "{",
        "}",
        ":",
        ";",
        "=",
        "\\",
        "\n",
        "#",
        "'",
        '"',
        "0x1",
        "1_0",
        "1j",
    ]
)
_formulas = st.lists(_TOKENS, max_size=25).map(" ".join)
_junk = st.recursive(
    st.one_of(
        st.booleans(), st.integers(), st.floats(), st.text(max_size=8), _formulas,
        st.sampled_from([10**400, -(10**400), 10**9, 0]), st.dates(),
    ),
    lambda inside: st.one_of(
        st.lists(inside, max_size=4), st.dictionaries(st.text(max_size=5), inside, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip
_PATHS = sorted({key.path for key in keys()})


@modest
@given(_formulas)
@example("(" * 190 + "x" + ")" * 190)
@example("x" + "**x" * 90)
def test_tokens_of_formulas_in_any_order_are_a_formula_or_a_case_error(text):
    TARGETS["expression"](text)
    TARGETS["potential"](text)


@modest
@given(
    st.sampled_from(sorted(bases())),
    st.lists(st.tuples(st.sampled_from(_PATHS), _junk), max_size=3),
)
def test_a_built_in_case_with_anything_anywhere_is_a_case_or_a_case_error(name, changes):
    table = copy.deepcopy(bases()[name])
    for path, value in changes:
        place = table
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                break
        else:
            place[path[-1]] = value
    with watched():
        try:
            parse_case(table)
        except CaseError:
            return


@modest
@given(
    st.sampled_from(sorted(bases())), st.integers(0, 5000), st.text(max_size=6), st.integers(0, 60)
)
def test_a_case_file_with_letters_changed_is_a_case_or_a_case_error(name, start, new, length):
    text = dump_toml(bases()[name])
    start %= len(text)
    TARGETS["case"](text[:start] + new + text[start + length :])


@modest
@given(st.one_of(st.text(max_size=40), _formulas.map("initial.u={}".format)))
def test_any_assignment_is_made_or_refused(text):
    TARGETS["assignment"](text)


_leaves = st.one_of(
    st.sampled_from(["x", "t", "pi", "e"]),
    st.floats(0, 1e3).map(repr),
    st.integers(0, 99).map(str),
)


def _grown(inside):
    binary = st.tuples(inside, st.sampled_from(["+", "-", "*", "/", "**"]), inside)
    compared = st.tuples(inside, st.sampled_from(["<", "<=", "==", ">", "!="]), inside)
    one = st.tuples(st.sampled_from(["sin", "cos", "tanh", "exp", "abs", "sqrt", "sign"]), inside)
    two = st.tuples(st.sampled_from(["maximum", "minimum"]), inside, inside)
    return st.one_of(
        binary.map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inside.map(lambda p: f"(-{p})"),
        one.map(lambda p: f"{p[0]}({p[1]})"),
        two.map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
        st.tuples(compared, inside, inside).map(
            lambda p: f"where({p[0][0]} {p[0][1]} {p[0][2]}, {p[1]}, {p[2]})"
        ),
    )


@modest
@given(st.recursive(_leaves, _grown, max_leaves=12))
def test_a_formula_has_the_value_that_numpy_gives_the_same_text(text):
    x, t = np.array([-1.25, 0.0, 0.5, 3.0]), np.float64(0.75)
    try:
        found = Expression(text, ("x", "t"))(x=x, t=t)
    except CaseError:
        reject()
    names = {name: getattr(np, name) for name in ("sin", "cos", "tanh", "exp", "abs", "sqrt",
             "sign", "maximum", "minimum", "where", "pi", "e")}  # fmt: skip
    with np.errstate(all="ignore"):
        wanted = eval(
            _in_doubles(text), {"__builtins__": {}}, {**names, "x": x, "t": t, "f": np.float64}
        )
    np.testing.assert_array_equal(found, np.broadcast_to(wanted, x.shape))


def _in_doubles(text: str) -> str:
    """The same text with every number a double of NumPy, so that nothing is exact or raises."""
    return re.sub(r"(?<![\w.])(\d[\d.]*(?:e[+-]?\d+)?)", r"f(\1)", text)


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda: os.system("true"),
        lambda: subprocess.run(["true"], check=False),
        lambda: Path("/tmp/watched").write_text("written"),
        lambda: exec("1"),
        lambda: os.remove("/nonexistent"),
        lambda: (sys.modules.pop("hatchling", None), __import__("hatchling")),
    ],
)
def test_the_watch_sees_what_must_not_happen(forbidden):
    with pytest.raises(Forbidden), watched():
        forbidden()


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_inputs_led_by_the_code_they_reach_find_nothing(target, tmp_path):
    pytest.importorskip("atheris", reason="there is no fuzzer for this platform")
    script = Path(__file__).with_name("fuzz.py")
    done = subprocess.run(
        [sys.executable, str(script), target, "-runs=3000", "-seed=1", "-max_len=400",
         str(tmp_path), str(CORPUS / target)],
        capture_output=True, text=True, timeout=600, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 3000 runs" in done.stderr

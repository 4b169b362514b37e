"""Wrong values for every argument of every public function: told by name, in the error family."""

import math

import numpy as np
import pytest
from robustness.calls import CALLS

import gpupatch as gp
from gpupatch.contract import checked
from gpupatch.errors import GpupatchError, InputError

FUNCTIONS = ("arccos", "cos", "cosh", "exp", "log", "sign", "sin", "sinh", "sqrt", "tan", "tanh")
SEVERAL = {"equal", "maximum", "minimum", "where"}
ELSEWHERE = {
    "Branch", "Controlled", "Diagnosis", "Ensemble", "Finding", "HealedState", "Law", "Past",
    "Potential", "Rule", "SlowState", "SlowVariables", "Solution", "Spectrum", "SteadyState",
    "Study", "__version__", "resume",
}  # fmt: skip
"""Made by other functions, or tried with results and whole schemes."""
SLOW = {"continue_": 6, "eigenvalues": 6, "run_case": 4, "study": 4}
"""Functions that take their time: only every so-manieth wrong value is tried."""
WRONG = (
    None, True, -1, 0, 2.5, math.nan, math.inf, 10**400, "", "nonsense", b"x", [], [[]], [1, [2]],
    ["a"], [None], {}, {"a": 1}, {1: 2}, {"k": "x"}, {"temperature": math.nan}, {"density": -1.0},
    np.zeros(0), np.array([math.nan]), np.zeros((3, 3, 3)), np.array(["a"]), np.array(None),
    object(), lambda *_: "x", 1j, [(1.0, 0.0)], [("a", "b")], {"u": math.nan}, {"u": "x"},
)  # fmt: skip
ENDLESS = {"simulate": ("start", "end"), "ensemble": ("start", "end"), "control": ("over",)}
"""Times between which a run of the default step would take its time."""
FOR_EVERYTHING_ELSE = object()


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_argument_is_taken_or_refused_in_the_error_family(name):
    function, good = CALLS[name]
    function(**good)
    for argument in good:
        for value in WRONG[:: SLOW.get(name, 1)]:
            if argument in ENDLESS.get(name, ()) and type(value) in (int, float):
                continue
            try:
                function(**{**good, argument: value})
            except GpupatchError:
                continue


@pytest.mark.parametrize("name", CALLS)
def test_an_argument_of_no_kind_is_told_by_its_name(name):
    function, good = CALLS[name]
    for argument in good:
        with pytest.raises(GpupatchError, match=f"`{argument}`|arguments"):
            function(**{**good, argument: FOR_EVERYTHING_ELSE})
    with pytest.raises(GpupatchError, match="nonsense"):
        function(**good, nonsense=1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_rules_refuse_what_are_no_numbers(name):
    for value in (None, "x", {}, [1, [2]], object()):
        with pytest.raises(InputError, match=f"`gp.{name}"):
            getattr(gp, name)(value)


@pytest.mark.parametrize("name", sorted(SEVERAL))
def test_functions_of_several_values_refuse_what_are_no_numbers(name):
    function, n = getattr(gp, name), 3 if name == "where" else 2
    for value in (None, "x", {}, [1, [2]], object()):
        with pytest.raises(InputError, match=f"`gp.{name}"):
            function(*[value] * n)


def test_a_run_is_resumed_only_where_there_is_one(tmp_path):
    for wrong in (tmp_path / "none", tmp_path, "", "\0", 1, None):
        with pytest.raises(GpupatchError):
            gp.resume(wrong)  # pyright: ignore[reportArgumentType]
    for argument in ("overrides", "backend", "allow_change", "trust", "quiet"):
        with pytest.raises(InputError, match=f"`{argument}`"):
            gp.resume(tmp_path, **{argument: FOR_EVERYTHING_ELSE})  # pyright: ignore


def test_every_public_name_is_tried():
    family = {name for name in gp.__all__ if name.endswith("Error")}
    assert set(gp.__all__) - family - ELSEWHERE - set(FUNCTIONS) - SEVERAL <= set(CALLS)


@checked(InputError)
def scale(values: list[float], by: float = 1.0, *, label: str | None = None) -> str:
    return f"{label}: {sum(by * one for one in values):g}"


def test_a_checked_function_is_called_when_its_arguments_are_what_they_say():
    assert scale([1, np.float32(2)], by=np.int64(2), label="a") == "a: 6"  # pyright: ignore
    for arguments, told in (
        (([1.0, "b"],), "`values` of `scale` is .*it must be a list, each entry a finite number"),
        (([1.0], math.nan), "`by` of `scale` is nan; it must be a finite number"),
        (([1.0], True), "`by` of `scale` is True"),
        ((), "missing a required argument"),
    ):
        with pytest.raises(InputError, match=told):
            scale(*arguments)  # pyright: ignore
    with pytest.raises(InputError, match="Did you mean `label`"):
        scale([1.0], lable="a")  # pyright: ignore[reportCallIssue]

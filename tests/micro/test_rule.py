"""Rules: how they are declared, traced and refused."""

import math
from typing import Any

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.errors import RuleError
from gpupatch.micro.model import MicroModel
from gpupatch.micro.trace import Access, make_access

EXACT = 1e-12


def model_of(rule, sites=(9,), patches=2, parameters=(), coefficients=None, seed=0):
    """A rule on a few patches with unit first sites at 0, 1, 2, ... and spacing 0.1."""
    ndim = len(sites)
    return MicroModel(
        rule=rule,
        sites=sites,
        spacing=(0.1,) * ndim,
        edges=tuple(max(1, r) for r in rule.reach),
        origin=np.repeat(np.arange(float(patches))[:, None], ndim, axis=1),
        parameters=np.array([parameters], dtype=float).reshape(1, len(parameters)),
        coefficients=np.zeros((1, 0, *sites)) if coefficients is None else coefficients,
        seed=seed,
    )


def traced(function, fields="u", **declared: Any):
    rule = gp.rule(fields, **declared)(function)
    _ = rule.rates
    return rule


def test_names_sort_themselves_into_fields_coefficients_parameters_and_grid():
    @gp.rule(fields="u v", coefficients="kappa rho")
    def rule(u, v, kappa, rho, D, c=2.0, dx=None, x=None, t=None):
        return D * kappa[0.5] * u[1] * x * t / dx, c * v[0] / rho[0]

    assert rule.fields == ("u", "v")
    assert rule.coefficients == ("kappa", "rho")
    assert rule.parameters == ("D", "c")
    assert rule.defaults == {"c": 2.0}
    assert rule.coefficient_arrays == (("kappa", 0), ("rho", -1))
    assert (rule.ndim, rule.reach) == (1, (1,))
    assert (rule.linear, rule.time_dependent, rule.space_dependent) == (True, True, True)
    assert rule.name == "rule"
    assert repr(rule) == "<rule rule(u, v, kappa, rho, D, c, dx, x, t), fields u v>"


def test_reach_is_the_farthest_neighbour_on_each_axis():
    def far(u):
        return u[-3, 0] + u[0, 2] - 2 * u[0, 0]

    assert traced(far).reach == (3, 2)


def test_face_coefficients_are_read_between_sites():
    assert make_access("coefficient", "kappa", 0.5) == Access("coefficient", "kappa", 0, (0,))
    assert make_access("coefficient", "kappa", -0.5) == Access("coefficient", "kappa", 0, (-1,))
    assert make_access("coefficient", "kappa", (1, -0.5)) == Access(
        "coefficient", "kappa", 1, (1, -1)
    )
    assert str(make_access("coefficient", "kappa", (1, -0.5))) == "kappa[1, -0.5]"


def test_a_rule_is_evaluated_by_its_own_function_on_shifted_slices():
    def rule(u, D, dx, x, t):
        return D * (u[1] - u[-1]) / dx + x * t

    model = model_of(traced(rule), parameters=[3.0])
    u = np.random.default_rng(1).normal(size=model.shape)
    x = np.arange(2)[:, None] + 0.1 * np.arange(9)
    expected = np.zeros_like(u)
    expected[:, 0, 1:-1] = 3 * (u[:, 0, 2:] - u[:, 0, :-2]) / 0.1 + 5 * x[:, 1:-1]
    np.testing.assert_allclose(model.rate(u, 5.0), expected, rtol=EXACT)


def test_the_traced_rates_and_the_function_agree():
    from gpupatch.micro.expressions import evaluate_expressions

    def two_fields(u, v, D, dx, y, dy):
        reaction = gp.exp(-(u[0, 0] ** 2)) * gp.where(v[0, 1] > 0.2, v[0, 1], 0.5 * y)
        return (
            D * (u[1, 0] - 2 * u[0, 0] + u[-1, 0]) / dx**2 - reaction,
            abs(v[0, -1]) * reaction / dy + gp.maximum(u[0, 0], v[0, 0]),
        )

    rule = traced(two_fields, fields="u v")
    model = model_of(rule, (6, 7), parameters=[0.3])
    u = np.random.default_rng(2).normal(size=model.shape)
    values = evaluate_expressions(
        rule, rule.rates, rule.accesses, u, model.environment(0.0), model.inside
    )
    rate = model.rate(u, 0.0)[(slice(None), slice(None), *model.inside)]
    np.testing.assert_allclose(np.stack(values, axis=1), rate, rtol=1e-11, atol=1e-11)


def test_a_flux_rule_has_the_rate_of_its_divergence():
    @gp.flux_rule(fields="u v", coefficients="kappa")
    def flux(u, v, kappa, c, dx, dy, x):
        along_x = -kappa[0.5, 0] * (u[1, 0] - u[0, 0]) / dx, c * x * (v[0, 0] + v[1, 0]) / 2
        along_y = -kappa[0, 0.5] * (u[0, 1] - u[0, 0]) / dy, 0.0
        return along_x, along_y, (u[0, 0] * v[0, 0], -1.0)

    @gp.rule(fields="u v", coefficients="kappa")
    def plain(u, v, kappa, c, dx, dy, x):
        across = kappa[0.5, 0] * (u[1, 0] - u[0, 0]) - kappa[-0.5, 0] * (u[0, 0] - u[-1, 0])
        along = kappa[0, 0.5] * (u[0, 1] - u[0, 0]) - kappa[0, -0.5] * (u[0, 0] - u[0, -1])
        drift = x * (v[0, 0] + v[1, 0]) - (x - dx) * (v[-1, 0] + v[0, 0])
        return across / dx**2 + along / dy**2 + u[0, 0] * v[0, 0], -c * drift / (2 * dx) - 1.0

    rng = np.random.default_rng(3)
    medium = rng.uniform(1, 2, size=(1, 2, 7, 8))
    u = rng.normal(size=(2, 2, 7, 8))
    rates = [
        model_of(rule, (7, 8), parameters=[0.7], coefficients=medium).rate(u, 0.0)
        for rule in (flux, plain)
    ]
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-11, atol=1e-11)
    assert flux.reach == plain.reach == (1, 1)


def test_second_order_rules_return_forces_and_imply_the_velocities():
    @gp.rule(fields="u v", second_order=("u", "v"))
    def spring(u, v, k):
        return -k * u[0] - 0.1 * v[0]

    model = model_of(spring, parameters=[4.0])
    u = np.random.default_rng(4).normal(size=model.shape)
    rate = model.rate(u, 0.0)[:, :, 1:-1]
    np.testing.assert_allclose(rate[:, 0], u[:, 1, 1:-1])
    np.testing.assert_allclose(rate[:, 1], -4 * u[:, 0, 1:-1] - 0.1 * u[:, 1, 1:-1])
    assert spring.linear


def test_several_positions_have_their_own_velocities():
    @gp.rule(fields="p v q w", second_order=(("p", "v"), ("q", "w")))
    def pair(p, v, q, w):
        return q[0] - p[0], p[0] - q[0]

    u = np.arange(4.0)[None, :, None] * np.ones((1, 4, 3))
    rate = model_of(pair, (3,), 1).rate(u, 0.0)[0, :, 1]
    np.testing.assert_allclose(rate, [1, 2, 3, -2])


def test_noise_is_an_amplitude_per_field_that_reads_the_rules_own_arguments():
    @gp.rule(fields="u v", noise={"v": lambda u, s: s * u[0]})
    def rule(u, v, s):
        return -s * u[0], -v[0]

    model = model_of(rule, parameters=[0.5])
    u = np.random.default_rng(5).normal(size=model.shape)
    amplitude = model.noise_amplitude(u, 0.0)
    np.testing.assert_array_equal(amplitude[:, 0], 0)
    np.testing.assert_allclose(amplitude[:, 1, 1:-1], 0.5 * u[:, 0, 1:-1])


def test_staggered_fields_live_on_alternate_sites():
    @gp.rule(fields="h u", at={"h": "even", "u": "odd"})
    def wave(h, u, dx):
        return -(u[1] - u[-1]) / dx, -(h[1] - h[-1]) / dx

    assert wave.parity == {"h": 0, "u": 1}
    assert [name for name, _ in wave.coefficient_arrays] == ["h_sites", "u_sites"]
    masks = np.stack([np.arange(7) % 2 == 0, np.arange(7) % 2 == 1]).astype(float)[None]
    model = model_of(wave, (7,), 1, coefficients=masks)
    rate = model.rate(np.random.default_rng(6).normal(size=model.shape), 0.0)[0]
    np.testing.assert_array_equal(rate[0, 1::2], 0)
    np.testing.assert_array_equal(rate[1, 0::2], 0)
    assert np.all(rate[0, 2:-1:2] != 0)


def test_parameters_are_completed_and_checked_by_name():
    def growth(u, D, r=0.5):
        return D * u[0] - r

    rule = traced(growth)
    assert rule.parameter_values({"D": 2}) == {"D": 2.0, "r": 0.5}
    with pytest.raises(RuleError, match=r"parameters D, r; unknown: E"):
        rule.parameter_values({"D": 1, "E": 2})
    with pytest.raises(RuleError, match=r"not given: D"):
        rule.parameter_values({})


@pytest.mark.parametrize(
    "number",
    [7, 2.5, np.float64(2.5), np.int64(3), np.float32(0.5)],
    ids=lambda n: type(n).__name__,
)
def test_numbers_of_any_kind_may_be_closed_over_and_mixed_in(number):
    def rule(u):
        return number * u[0] + u[0] / number

    rate = model_of(traced(rule), (3,), 1).rate(np.full((1, 1, 3), 2.0), 0.0)
    assert rate[0, 0, 1] == pytest.approx(2 * float(number) + 2 / float(number))


def test_helper_functions_may_be_closed_over():
    def laplacian(u, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2

    def rule(u, dx):
        return laplacian(u, dx)

    assert traced(rule).reach == (1,)


def test_large_whole_numbers_stay_exact():
    def rule(u):
        return 1e22 * u[0] + 3.0 * u[0]

    rate = traced(rule).rates[0]
    assert rate.diff(*rate.free_symbols) == 10**22 + 3


REFUSED = {
    "equality": (lambda u: gp.where(u[0] == 1, 0.0, u[0]), r"`==` cannot be traced"),
    "inequality": (lambda u: gp.where(u[0] != 1, 0.0, u[0]), r"`!=` cannot be traced"),
    "branch": (lambda u: u[0] if u[0] > 0 else 0.0, r"use `gp.where\(condition, a, b\)`"),
    "builtin max": (lambda u: max(u[0], 0.0), r"`min`, `max`"),
    "chained": (lambda u: gp.where(0 < u[0] < 1, 1.0, 0.0), r"is not known while tracing"),
    "int": (lambda u: int(u[0]), r"has no number yet"),
    "float": (lambda u: float(u[0]), r"has no number yet"),
    "index": (lambda u: [1, 2][u[0]], r"has no number yet"),
    "math": (lambda u: math.exp(u[0]), r"use `gp.` functions instead of `math.`"),
    "unpacking": (lambda u: u[0][0] if False else sum(u[0]), r"single value"),
    "iterating": (lambda u: sum(value for value in u), r"used without an index"),
    "bare field": (lambda u: 2 * u, r"`u` is used without an index: write `u\[0\]`"),
    "bare field times": (lambda u: u * 2, r"used without an index"),
    "bare field in numpy": (lambda u: np.sin(u), r"used without an index"),
    "bare field truth": (lambda u: 1.0 if u else 0.0, r"used without an index"),
    "strange ufunc": (lambda u: np.arctan(u[0]), r"`np.arctan` cannot be traced"),
    "reduction": (lambda u: np.add.reduce(u[0]), r"cannot be traced"),
    "condition as number": (lambda u: 2 * (u[0] > 0), r"used as a number|unsupported operand"),
    "condition returned": (lambda u: u[0] > 0, r"used as a number: wrap it in `gp.where`"),
    "text": (lambda u: u[0] * "2", r"met '2'"),
    "array": (lambda u: u[0] * np.ones(3), r"a rule computes with numbers"),
    "complex": (lambda u: u[0] * 1j, r"met 1j"),
    "quarter offset": (lambda u: u[0.25], r"`u\[0.25\]` is not a neighbour"),
    "half offset of a field": (lambda u: u[0.5], r"offsets are 1 to 3 integers"),
    "four axes": (lambda u: u[0, 0, 0, 0], r"1 to 3"),
    "name as offset": (lambda u: u["left"], r"not a neighbour"),
    "mixed dimensions": (lambda u: u[1] + u[0, 1], r"mixes dimensions: it reads u\[0, 1\], u\[1\]"),
    "no field": (lambda u, D: D, r"never reads a field such as `u\[0\]`"),
    "too many outputs": (lambda u: (u[0], u[1]), r"returns 2 values, .* need 1 rates"),
    "no output": (lambda u: [u[0]][:0], r"returns 0 values"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_traced_is_refused(what):
    function, found = REFUSED[what]
    with pytest.raises(RuleError, match=found):
        traced(function)


@pytest.mark.parametrize("name", ["sin", "exp", "sqrt", "absolute", "tanh"])
def test_numpy_functions_with_a_symbolic_twin_are_recorded(name):
    compute = getattr(np, name)

    def rule(u):
        return compute(u[0])

    rate = model_of(traced(rule), (3,), 1).rate(np.full((1, 1, 3), 0.7), 0.0)
    assert rate[0, 0, 1] == pytest.approx(compute(0.7))


def test_the_offending_line_is_quoted():
    def rule(u):
        smooth = u[1] - 2 * u[0] + u[-1]
        return smooth if u[0] > 0 else 0.0

    with pytest.raises(RuleError, match=r"test_rule\.py, line \d+:\n    return smooth if u\[0\]"):
        traced(rule)


def test_mistakes_of_python_are_told_with_their_line_too():
    def rule(u):
        return u[0] * undefined  # noqa: F821  # pyright: ignore

    with pytest.raises(
        RuleError, match=r"'undefined' is not defined\n.*\n    return u\[0\] \* undef"
    ):
        traced(rule)


def two(u, v):
    return u[0], v[0]


@pytest.mark.parametrize(
    ("declared", "function", "found"),
    [
        ({"fields": "x"}, lambda x: x[0], "`x` is reserved for the grid"),
        ({"fields": "u", "coefficients": "dx"}, lambda u, dx: u[0], "`dx` is reserved"),
        ({"fields": "u u"}, lambda u: u[0], "distinct names"),
        ({"fields": "u", "coefficients": "u"}, lambda u: u[0], "distinct names"),
        ({"fields": ""}, lambda u: u[0], "distinct names"),
        ({"fields": "u w"}, two, "declares `w`, but the function has the arguments u, v"),
        ({"fields": "u v", "second_order": ("u", "w")}, two, "`w` is not one of its fields"),
        ({"fields": "u v", "second_order": ("u", "v")}, lambda u: u[0], "add the velocity `v`"),
        ({"fields": "u v", "noise": {"w": lambda u: 1.0}}, two, "`w` is not one of its fields"),
        ({"fields": "u v", "at": {"u": "even"}}, two, "'even' or 'odd' for every field"),
        ({"fields": "u v", "at": {"u": "even", "v": "left"}}, two, "'even' or 'odd'"),
    ],
)
def test_declarations_that_contradict_the_function_are_refused(declared, function, found):
    with pytest.raises(RuleError, match=found):
        gp.rule(**declared)(function)


@pytest.mark.parametrize(
    "held", [[1.0, 2.0], np.ones(3), {"D": 1.0}], ids=["list", "array", "dict"]
)
def test_closures_over_anything_that_may_change_are_refused(held):
    def rule(u):
        return held * u[0]

    with pytest.raises(RuleError, match="closes over `held`, a"):
        gp.rule(fields="u")(rule)


def test_closures_of_helpers_and_of_noise_are_looked_into_as_well():
    held = [1.0]

    def helper(u):
        return held[0] * u[0]

    def rule(u):
        return helper(u)

    def quiet(u):
        return -u[0]

    with pytest.raises(RuleError, match="rule `rule` closes over `held`"):
        gp.rule(fields="u")(rule)
    with pytest.raises(RuleError, match="rule `quiet` closes over `held`"):
        gp.rule(fields="u", noise={"u": helper})(quiet)


@pytest.mark.parametrize("n_out", [1, 3, 5])
def test_flux_rules_return_one_flux_per_axis_and_field(n_out):
    @gp.flux_rule(fields="u v")
    def flux(u, v, dx):
        return (u[1] - u[0], v[1] - v[0], u[0], v[0], u[0])[:n_out]

    with pytest.raises(RuleError, match=r"need 2 or 4 fluxes \(one per axis"):
        _ = flux.rates


def test_edges_must_be_as_many_as_the_rule_reads():
    def far(u):
        return u[2] - u[-2]

    with pytest.raises(RuleError, match=r"reads 2 sites along axis 0, .* edges = 1"):
        MicroModel(traced(far), (9,), (0.1,), (1,), np.zeros((1, 1)), np.zeros((1, 0)), np.zeros(0))


def test_conditions_are_combined_with_and_or_and_not():
    def rule(u):
        inside = (u[0] > 0) & ~(u[0] >= 1) | gp.equal(u[0], 5)
        return gp.where(inside, 1.0, -1.0)

    u = np.array([-1, 0, 0.5, 1, 5, 0.0])[None, None]
    rate = model_of(traced(rule), (6,), 1).rate(u, 0.0)
    np.testing.assert_array_equal(rate[0, 0, 1:-1], [-1, 1, -1, 1])


@pytest.mark.parametrize(
    "name", ["exp", "log", "sqrt", "sin", "cos", "tan", "arccos", "sinh", "cosh", "tanh"]
)
def test_elementary_functions_compute_on_arrays(name):
    values = np.array([0.3, 0.9])
    np.testing.assert_array_equal(getattr(gp, name)(values), getattr(np, name)(values))


def test_members_have_parameters_of_their_own():
    def growth(u, r):
        return r * u[0]

    model = MicroModel(
        traced(growth),
        (3,),
        (0.1,),
        (1,),
        np.zeros((2, 1)),
        np.array([[1.0], [5.0]]),
        np.zeros((1, 0, 3)),
    )
    rate = model.rate(np.ones(model.shape), 0.0)
    np.testing.assert_array_equal(rate[:, 0, 1], [1, 1, 5, 5])

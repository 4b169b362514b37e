"""What a traced rule tells of itself: symbol, stable step, diffusivity, speed, Jacobian."""

import itertools

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.burst import TABLEAUX
from gpupatch.errors import SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.micro.analysis import (
    MARGIN,
    diffusivity,
    jacobian,
    round_down,
    signal_speed,
    spectrum,
    stable_step,
    symbol,
)
from gpupatch.scheme import Problem

EXACT = 1e-12
DX = 0.01
SPACINGS = (DX, 0.02, 0.03)
PARAMETERS = dict(
    D=0.7, nu=0.05, c=1.3, cx=0.4, cy=-0.6, r=2.0, a=0.25, Du=2e-5, Dv=1e-5, F=0.035, k=0.065,
    b=0.9, d=20.0, epsilon=0.1, a0=-0.03, a1=2.0, g=9.8, depth=2.0,
)  # fmt: skip
LIBRARY = [rule for name in lattice.names() for rule in lattice._LIBRARY[name]]


def bound(rule, *, sites=7, patches=2, coefficients=None, members=None, **parameters):
    known = {**PARAMETERS, **parameters}
    ndim = rule.ndim
    grid = PatchGrid([(0.0, 9.0)] * ndim, [patches] * ndim, sites, dx=SPACINGS[:ndim])
    medium = dict.fromkeys(rule.coefficients, lambda *x: 1.5 + np.sin(sum(x)))
    return Problem(
        rule,
        grid,
        {name: known[name] for name in rule.parameters},
        coefficients or medium,
        members or {},
    ).model(phases=(1,) * rule.ndim)


def extremes(*ranges):
    return np.array(ranges, dtype=float)


def suggested(model, ranges, stepper):
    stability = None if stepper == "verlet" else TABLEAUX[stepper].stability
    return stable_step(model, ranges, stability, stepper)


def assert_suggests(model, ranges, stepper, limit, within=0.01):
    """The step suggested is the known limit, reduced by the margin and rounded down."""
    known = [round_down(MARGIN * limit * (1 + part)) for part in (-within, 0.001)]
    assert known[0] <= suggested(model, ranges, stepper) <= known[1]


AT_ZERO, AT_ZEROS = extremes((0, 0)), extremes((0, 0), (0, 0))
THETA = np.linspace(0, np.pi, 7)[:, None]


@pytest.mark.parametrize("rule", LIBRARY, ids=lambda rule: rule.name)
def test_jacobian_agrees_with_finite_differences_on_random_states(rule):
    model = bound(rule, sites=5, patches=1)
    u = np.random.default_rng(1).uniform(0.3, 1.2, size=model.shape)
    J = jacobian(model, u, 0.2).toarray()
    step, columns = 1e-5, []
    for index in range(u.size):
        du = np.zeros(u.size)
        du[index] = step
        du = du.reshape(u.shape)
        columns.append((model.rate(u + du, 0.2) - model.rate(u - du, 0.2)).ravel() / (2 * step))
    numeric = np.array(columns).T
    np.testing.assert_allclose(J, numeric, rtol=0, atol=1e-8 * np.abs(numeric).max())


def test_jacobian_holds_every_patch_and_leaves_edges_alone():
    model = bound(lattice.get("burgers", 1), patches=3)
    u = np.random.default_rng(2).normal(size=model.shape)
    J = jacobian(model, u).toarray().reshape(3, 7, 3, 7)
    for p, q in itertools.permutations(range(3), 2):
        assert not J[p, :, q].any()
    assert not J[:, [0, -1]].any()
    assert J[0, 1, 0, 0] != 0


def test_jacobian_of_a_constant_rate_is_empty():
    @gp.rule(fields="u")
    def source(u, x):
        return x + 0 * u[0]

    assert jacobian(bound(source), np.zeros(bound(source).shape)).nnz == 0


def test_symbol_of_diffusion_is_its_closed_form():
    model = bound(lattice.get("diffusion", 1))
    found = symbol(model, [0.0], [], THETA)[:, 0, 0]
    expected = -4 * 0.7 / DX**2 * np.sin(THETA[:, 0] / 2) ** 2
    np.testing.assert_allclose(found, expected, rtol=EXACT, atol=1e-9)


def test_symbol_adds_over_the_axes():
    model = bound(lattice.get("diffusion", 3))
    theta = np.array([[0.3, 1.0, 2.0]])
    expected = (
        -4 * 0.7 * sum(np.sin(q / 2) ** 2 / d**2 for q, d in zip(theta[0], SPACINGS, strict=True))
    )
    assert symbol(model, [0.0], [], theta)[0, 0, 0] == pytest.approx(expected)


def test_symbol_of_advection_diffusion_is_its_closed_form():
    model = bound(lattice.get("advection_diffusion", 1))
    found = symbol(model, [0.0], [], THETA)[:, 0, 0]
    q = THETA[:, 0]
    expected = -4 * 0.7 / DX**2 * np.sin(q / 2) ** 2 - 1.3j * np.sin(q) / DX
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_symbol_of_burgers_drifts_with_the_state():
    found = symbol(bound(lattice.get("burgers", 1)), [3.0], [], THETA)[:, 0, 0]
    np.testing.assert_allclose(found.imag, -3 * np.sin(THETA[:, 0]) / DX, atol=1e-9)


def test_symbol_of_the_wave_couples_position_and_velocity():
    A = symbol(bound(lattice.get("wave", 1)), [0.0, 0.0], [], THETA)
    stiffness = -4 * 1.3**2 / DX**2 * np.sin(THETA[:, 0] / 2) ** 2
    expected = np.zeros_like(A)
    expected[:, 0, 1], expected[:, 1, 0] = 1, stiffness
    np.testing.assert_allclose(A, expected, atol=1e-8)


def test_symbol_of_fisher_grows_from_the_empty_state_and_decays_to_the_full_one():
    model = bound(lattice.get("fisher_kpp", 1))
    found = [symbol(model, [u], [], np.zeros((1, 1)))[0, 0, 0].real for u in (0.0, 1.0)]
    np.testing.assert_allclose(found, [2.0, -2.0], atol=1e-9)


def test_turing_pattern_grows_at_the_closed_form_rate():
    """Schnakenberg, a = 0.1, b = 0.9, d = 20: growth 0.263158 at k = 0.48666."""
    model = bound(lattice.get("schnakenberg", 1), a=0.1)
    k = 0.48666
    A = symbol(model, [1.0, 0.9], [], np.array([[2 * np.arcsin(k * DX / 2)]]))
    assert np.linalg.eigvals(A[0]).real.max() == pytest.approx(0.263157895, abs=1e-6)


def test_symbol_uses_the_parameters_of_the_member():
    rule = lattice.get("diffusion", 1)
    model = bound(rule, members={"D": [0.7, 7.0]})
    one, ten = (symbol(model, [0.0], [], THETA[1:], member)[:, 0, 0] for member in (0, 1))
    np.testing.assert_allclose(ten, 10 * one)


def test_spectrum_visits_all_corners_of_states_and_media():
    rule = lattice.get("heterogeneous_diffusion", 1)
    model = bound(rule, coefficients={"kappa": np.array([1.0, 4.0])}, sites=9)
    fastest = spectrum(model, AT_ZERO, np.array([[np.pi]]))
    np.testing.assert_allclose(np.sort(fastest.real.ravel()), [-4 * 4 / DX**2, -4 / DX**2])


@pytest.mark.parametrize(
    ("stepper", "real_limit"), [("euler", 2.0), ("ssprk2", 2.0), ("rk4", 2.785)]
)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_heat_is_stepped_up_to_its_known_limit(stepper, real_limit, ndim):
    """Euler: dt <= 1 / (2 D sum 1/dx^2); others in proportion."""
    model = bound(lattice.get("diffusion", ndim))
    expected = real_limit / (4 * 0.7 * sum(1 / d**2 for d in SPACINGS[:ndim]))
    assert_suggests(model, AT_ZERO, stepper, expected)


@pytest.mark.parametrize(
    ("stepper", "factor"), [("rk4", 2.828), ("ssprk3", 1.732), ("verlet", 2.0)]
)
def test_waves_are_stepped_up_to_their_known_limit(stepper, factor):
    """The fastest lattice wave has omega = 2 c / dx."""
    model = bound(lattice.get("wave", 1))
    assert_suggests(model, AT_ZEROS, stepper, factor / (2 * 1.3 / DX), within=0.02)


def test_pure_drift_is_stepped_up_to_its_known_limit():
    """The fastest drift at phase pi/2 has |lambda| = c / dx."""
    model = bound(lattice.get("advection_diffusion", 1), D=0.0)
    assert_suggests(model, AT_ZERO, "rk4", 2.828 * DX / 1.3)


def test_drift_and_spreading_share_the_region_of_stability():
    """Euler on advection-diffusion: dt <= 2 D / c^2 where the drift rules."""
    model = bound(lattice.get("advection_diffusion", 1), D=0.001, c=1.0)
    assert_suggests(model, AT_ZERO, "euler", 2 * 0.001, within=0.1)


def test_the_step_is_chosen_for_the_worst_of_states_members_and_media():
    rule = lattice.get("porous_medium", 1)
    assert_suggests(bound(rule), extremes((0.1, 2.0)), "euler", DX**2 / 8)
    swept = bound(lattice.get("diffusion", 1), members={"D": [0.1, 0.7]})
    assert_suggests(swept, AT_ZERO, "euler", DX**2 / 1.4)


@pytest.mark.parametrize("stepper", ["euler", "ssprk2"])
def test_steppers_that_cannot_damp_waves_are_refused(stepper):
    with pytest.raises(SchemeError, match=f"`{stepper}` is unstable.*Use `rk4`, or `verlet`"):
        suggested(bound(lattice.get("wave", 1)), AT_ZEROS, stepper)


def test_growing_states_are_no_reason_to_refuse():
    @gp.rule(fields="u")
    def growth(u):
        return 3 * u[0]

    assert suggested(bound(growth), AT_ZERO, "euler") > 0


def test_rates_that_do_not_read_the_state_have_no_limit():
    @gp.rule(fields="u")
    def heated(u, x):
        return x + 0 * u[0]

    assert stable_step(bound(heated), AT_ZERO, TABLEAUX["rk4"].stability, "rk4") == np.inf


def test_rates_without_a_finite_slope_are_refused():
    @gp.rule(fields="u")
    def root(u):
        return -gp.sqrt(u[0])

    with pytest.raises(SchemeError, match="are not finite at the initial"):
        suggested(bound(root), AT_ZERO, "rk4")


@pytest.mark.parametrize(
    ("name", "ndim", "ranges", "expected"),
    [
        ("diffusion", 1, AT_ZERO, 0.7),
        ("diffusion", 2, AT_ZERO, 0.7),
        ("burgers", 1, AT_ZERO, 0.05),
        ("porous_medium", 1, extremes((0.1, 3.0)), 6.0),
        ("schnakenberg", 1, extremes((1, 1), (0.9, 0.9)), None),
        ("wave", 1, AT_ZEROS, 0.0),
    ],
)
def test_diffusivity_is_that_of_the_equation(name, ndim, ranges, expected):
    model = bound(lattice.get(name, ndim))
    found = diffusivity(model, ranges)
    if expected is None:
        assert found > 0.5
    else:
        assert found == pytest.approx(expected, rel=2e-3, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "ranges", "expected"),
    [
        ("wave", AT_ZEROS, 1.3),
        ("advection_diffusion", AT_ZERO, 1.3),
        ("burgers", extremes((-1.0, 2.5)), 2.5),
        ("shallow_water", AT_ZEROS, np.sqrt(9.8 * 2)),
        ("diffusion", AT_ZERO, 0.0),
    ],
)
def test_signal_speed_is_that_of_the_equation(name, ranges, expected):
    found = signal_speed(bound(lattice.get(name, 1), nu=1e-6), ranges)
    assert found == pytest.approx(expected, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.01234, 0.012), (1.99, 1.9), (5e-7, 5e-7), (3.3e4, 3.3e4), (0.25, 0.25)],
)
def test_steps_are_rounded_down_to_two_digits(value, rounded):
    assert round_down(value) == pytest.approx(rounded, rel=1e-12)


def test_infinite_steps_stay_infinite():
    assert round_down(float("inf")) == float("inf")

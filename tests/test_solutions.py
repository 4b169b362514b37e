"""Every exact solution is inserted into its equation, and the insertion must notice 1 %."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from gpupatch import solutions
from gpupatch.errors import InputError

EXACT = 1e-12
INSERTED = 1e-8
NOTICED = 1e4 * INSERTED
PUBLISHED = 1e-9

# eighth-order central differences, offsets -4..4
FIRST = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
SECOND = np.array(
    [-1 / 560, 8 / 315, -1 / 5, 8 / 5, -205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560],
)


@dataclass
class Probe:
    """Derivatives of a solution at random points."""

    solution: solutions.ExactSolution
    parameters: dict[str, Any]
    points: np.ndarray  # [axis, point]
    t: float
    step: float

    def __call__(self, name: str = "u", shift: np.ndarray | float = 0.0, t: float = 0.0):
        where = tuple(self.points + np.reshape(shift, (-1, 1)))
        return self.solution.evaluate(where, self.t + t, **self.parameters)[name]

    def along(self, axis: int, distance: float) -> np.ndarray:
        shift = np.zeros(len(self.points))
        shift[axis] = distance
        return shift

    def dt(self, name: str = "u"):
        samples = [self(name, t=j * self.step) for j in range(-4, 5)]
        return np.tensordot(FIRST, samples, 1) / self.step

    def dx(self, axis: int = 0, of: Callable = lambda u: u):
        samples = [of(self(shift=self.along(axis, j * self.step))) for j in range(-4, 5)]
        return np.tensordot(FIRST, samples, 1) / self.step

    def dxx(self, axis: int = 0, of: Callable = lambda u: u):
        samples = [of(self(shift=self.along(axis, j * self.step))) for j in range(-4, 5)]
        return np.tensordot(SECOND, samples, 1) / self.step**2

    def laplacian(self, of: Callable = lambda u: u):
        return sum(self.dxx(axis, of) for axis in range(len(self.points)))

    def differences(self, spacing: tuple[float, ...], weights=None):
        """Second differences of a lattice, one weight per axis."""
        weights = np.ones(len(spacing)) if weights is None else weights
        total = 0.0
        for axis, dx in enumerate(spacing):
            neighbours = self(shift=self.along(axis, dx)) + self(shift=self.along(axis, -dx))
            total = total + weights[axis] * (neighbours - 2 * self()) / dx**2
        return total

    def centred(self, axis: int, dx: float):
        return (self(shift=self.along(axis, dx)) - self(shift=self.along(axis, -dx))) / (2 * dx)


@dataclass(frozen=True)
class Case:
    """A solution, its parameters, and its equation as a residual with constants of its own."""

    name: str
    ndim: int
    parameters: dict[str, Any]
    constants: dict[str, float]
    residual: Callable[..., Any]
    t: float = 0.3
    box: tuple[float, float] = (-1.0, 1.0)
    step: float = 0.02
    label: str = field(default="")

    def probe(self) -> Probe:
        rng = np.random.default_rng(2024)
        points = rng.uniform(*self.box, size=(self.ndim, 24))
        return Probe(solutions.get(self.name), self.parameters, points, self.t, self.step)


def heat(p, D):
    return p.dt() - D * p.laplacian()


def anisotropic(p, a, b, c):
    """div(A grad u) with A = [[a, c], [c, b]]."""
    along, across = np.array([1.0, 1.0]), np.array([1.0, -1.0])
    mixed = (directional(p, along) - directional(p, across)) / 4
    return p.dt() - a * p.dxx(0) - b * p.dxx(1) - 2 * c * mixed


def directional(p, direction):
    samples = [p(shift=j * p.step * direction) for j in range(-4, 5)]
    return np.tensordot(SECOND, samples, 1) / p.step**2


def wave(p, c):
    matches = p.dt("u") - p("v")
    return np.concatenate([matches, p.dt("v") - c**2 * p.laplacian()])


def lattice_wave(p, c):
    spacing = (0.3, 0.2)
    matches = p.dt("u") - p("v")
    return np.concatenate([matches, p.dt("v") - c**2 * p.differences(spacing)])


MODES_2D = {
    "wavenumbers": [[1.0, 2.0], [0.0, 1.5]],
    "phases": [[0.3, 0.1], [0.0, 1.2]],
    "amplitudes": [1.0, 0.4],
}
WAVES_2D = {
    "wavenumbers": [[1.0, 2.0], [-1.5, 0.5]],
    "phases": [0.3, 1.0],
    "amplitudes": [1.0, 0.4],
}

CASES = [
    Case(
        "heat_mode",
        1,
        {
            "wavenumbers": [1.0, 2.0],
            "phases": [math.pi / 2, 0.4],
            "amplitudes": [1, 0.5],
            "offset": 1.0,
            "diffusivity": 0.7,
        },
        {"D": 0.7},
        heat,
    ),
    Case("heat_mode", 2, {**MODES_2D, "diffusivity": 0.7}, {"D": 0.7}, heat),
    Case(
        "heat_mode",
        3,
        {"wavenumbers": [1.0, 2.0, 0.5], "phases": 0.3, "diffusivity": 0.7},
        {"D": 0.7},
        heat,
    ),
    Case(
        "heat_mode",
        2,
        {**MODES_2D, "diffusivity": [0.7, 0.2], "spacing": [0.3, 0.2]},
        {"a": 0.7, "b": 0.2},
        lambda p, a, b: p.dt() - p.differences((0.3, 0.2), (a, b)),
        label="lattice",
    ),
    Case(
        "homogenised_mode",
        1,
        {"wavenumbers": [1.0, 3.0], "amplitudes": [1.0, 0.2], "mean": 2.0, "effective": 0.458},
        {"D": 0.458},
        heat,
    ),
    Case(
        "homogenised_mode",
        2,
        {**WAVES_2D, "effective": [[1.8, 0.4], [0.4, 0.9]]},
        {"a": 1.8, "b": 0.9, "c": 0.4},
        anisotropic,
    ),
    Case(
        "advected_heat_mode",
        2,
        {**WAVES_2D, "velocity": [1.0, -0.6], "diffusivity": 0.5, "offset": 0.3},
        {"c": 1.0, "e": -0.6, "D": 0.5},
        lambda p, c, e, D: p.dt() + c * p.dx(0) + e * p.dx(1) - D * p.laplacian(),
    ),
    Case(
        "advected_heat_mode",
        1,
        {"wavenumbers": 1.5, "velocity": 1.0, "diffusivity": 0.5, "spacing": 0.25},
        {"c": 1.0, "D": 0.5},
        lambda p, c, D: p.dt() + c * p.centred(0, 0.25) - D * p.differences((0.25,)),
        label="lattice",
    ),
    Case(
        "exp_sin_cos_lattice",
        2,
        {"spacing": [0.3, 0.2], "diffusivity": 0.8},
        {"D": 0.8},
        lambda p, D: p.dt() - D * p.differences((0.3, 0.2)),
        box=(-4.0, 4.0),
        step=0.01,
    ),
    Case("standing_wave", 1, {"wavenumbers": [1.0, 2.5], "speed": 1.3}, {"c": 1.3}, wave),
    Case("standing_wave", 2, {**MODES_2D, "speed": 1.3}, {"c": 1.3}, wave),
    Case(
        "standing_wave",
        2,
        {**MODES_2D, "speed": 1.3, "spacing": [0.3, 0.2]},
        {"c": 1.3},
        lattice_wave,
        label="lattice",
    ),
    Case("travelling_wave", 2, {**WAVES_2D, "speed": 1.3}, {"c": 1.3}, wave),
    Case(
        "travelling_wave",
        2,
        {**WAVES_2D, "speed": 1.3, "spacing": [0.3, 0.2]},
        {"c": 1.3},
        lattice_wave,
        label="lattice",
    ),
    *(
        Case(
            "gaussian_heat",
            d,
            {"mass": 2.0, "diffusivity": 0.6, "width": 0.5, "centre": 0.1, "offset": 1.0},
            {"D": 0.6},
            heat,
        )
        for d in (1, 2, 3)
    ),
    *(
        Case(
            "barenblatt",
            d,
            {"exponent": m, "mass": 3.0, "diffusivity": 0.7, "centre": 0.1},
            {"D": 0.7, "m": m},
            lambda p, D, m: p.dt() - D * p.laplacian(lambda u: u**m),
            t=2.0,
            box=(-0.3, 0.4),
            step=0.01,
            label=f"m={m}",
        )
        for d, m in ((1, 2.0), (2, 2.0), (3, 2.0), (1, 3.0), (2, 1.5))
    ),
    Case(
        "cole_hopf",
        1,
        {"nu": 0.05},
        {"nu": 0.05},
        lambda p, nu: p.dt() + p() * p.dx() - nu * p.dxx(),
        t=0.5,
        step=0.005,
    ),
    Case(
        "fisher_wave",
        1,
        {"diffusivity": 0.6, "rate": 1.4, "position": 0.2},
        {"D": 0.6, "r": 1.4},
        lambda p, D, r: p.dt() - D * p.dxx() - r * p() * (1 - p()),
    ),
    Case(
        "bistable_wave",
        1,
        {"threshold": 0.25, "diffusivity": 0.6, "rate": 1.4, "position": 0.2},
        {"a": 0.25, "D": 0.6, "r": 1.4},
        lambda p, a, D, r: p.dt() - D * p.dxx() - r * p() * (1 - p()) * (p() - a),
    ),
    *(
        Case(
            "chafee_infante",
            1,
            {"lam": lam, "half_waves": n},
            {"lam": lam},
            lambda p, lam: p.dxx() + lam * (p() - p() ** 3),
            box=(0.1, 3.0),
            step=0.01,
            label=f"lam={lam}",
        )
        for lam, n in ((2.0, 1), (4.0, 1), (6.0, 2), (12.0, 1))
    ),
    Case(
        "couette_start",
        1,
        {"diffusivity": 0.6, "width": 2.5, "start": -1.2, "speed": 3.0},
        {"D": 0.6},
        heat,
        t=0.4,
    ),
    Case(
        "hard_rods",
        1,
        {"length": 0.7, "wavenumber": 2.0, "mean": 0.6, "amplitude": 0.4, "diffusivity": 0.5},
        {"D": 0.5, "a": 0.7},
        lambda p, D, a: p.dt() - D * p.dxx(of=lambda u: u / (1 - a * u)),
        step=0.01,
    ),
    Case(
        "slow_fast_mean",
        1,
        {"initial": 2.0, "noise": 0.5},
        {"s": 0.5},
        lambda p, s: p.dt() + (1 + s**2) * p(),
    ),
]


def identify(case: Case) -> str:
    return "-".join(str(part) for part in (case.name, f"{case.ndim}d", case.label) if part)


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_solution_satisfies_its_equation(case):
    residual = case.residual(case.probe(), **case.constants)
    assert np.max(np.abs(residual)) < INSERTED


@pytest.mark.parametrize(
    ("case", "constant"),
    [
        pytest.param(case, constant, id=f"{identify(case)}-{constant}")
        for case in CASES
        for constant in case.constants
    ],
)
def test_insertion_notices_a_constant_that_is_one_percent_off(case, constant):
    wrong = {**case.constants, constant: 1.01 * case.constants[constant]}
    residual = case.residual(case.probe(), **wrong)
    assert np.max(np.abs(residual)) > NOTICED


def test_every_solution_is_inserted_into_its_equation():
    assert {case.name for case in CASES} == set(solutions.names())


@pytest.mark.parametrize("name", solutions.names())
def test_every_solution_states_its_equation_in_one_line_and_its_domain(name):
    solution = solutions.get(name)
    assert solution.name == name
    assert solution.equation
    assert "\n" not in solution.equation
    assert "alid" in solution.description or "does not depend on t" in solution.description


# initial states


def test_sine_modes_start_as_the_sines_they_are_asked_for():
    x = np.linspace(0, 1, 17)
    u = solutions.get("heat_mode").evaluate(
        (x,),
        0.0,
        wavenumbers=[2 * np.pi, 4 * np.pi],
        phases=[np.pi / 2, 0.0],
        amplitudes=[1.0, 0.5],
        offset=1.0,
    )["u"]
    expected = 1 + np.sin(2 * np.pi * x) + 0.5 * np.cos(4 * np.pi * x)
    np.testing.assert_allclose(u, expected, atol=EXACT)


def test_product_modes_are_products_over_the_axes():
    x, y = np.linspace(0, 3, 7)[:, None], np.linspace(0, 2, 5)
    u = solutions.get("heat_mode").evaluate((x, y), 0.0, wavenumbers=[1, 2])["u"]
    np.testing.assert_allclose(u, np.cos(x) * np.cos(2 * y), atol=EXACT)


def test_burgers_starts_from_minus_sine_at_any_viscosity():
    x = np.linspace(-1, 1, 33)
    for nu in (1e-6, 0.01, 1.0):
        u = solutions.get("cole_hopf").evaluate((x,), 0.0, nu=nu)["u"]
        np.testing.assert_allclose(u, -np.sin(np.pi * x), atol=EXACT)


def test_lattice_decay_starts_from_exp_of_sin_plus_cos():
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-7, 7, size=(2, 50))
    u = solutions.get("exp_sin_cos_lattice").evaluate((x, y), 0.0, spacing=0.1)["u"]
    np.testing.assert_allclose(u, np.exp(np.sin(x) + np.cos(y)), rtol=EXACT)


def test_lattice_decay_equals_the_fourier_evolution_of_the_whole_lattice():
    n, d, t = 64, 0.0294524, 0.2
    nodes = 2 * np.pi * np.arange(n) / n
    start = np.exp(np.sin(nodes)[:, None] + np.cos(nodes))
    rate = 4 / d**2 * np.sin(np.fft.fftfreq(n, 1 / n) * d / 2) ** 2
    decay = np.exp(-(rate[:, None] + rate) * t)
    expected = np.fft.ifft2(np.fft.fft2(start) * decay).real
    u = solutions.get("exp_sin_cos_lattice").evaluate((nodes[:, None], nodes), t, spacing=d)["u"]
    np.testing.assert_allclose(u, expected, rtol=EXACT)


@pytest.mark.parametrize("name", ["standing_wave", "travelling_wave"])
def test_waves_start_from_their_cosines(name):
    x = np.linspace(0, 6, 20)
    start = solutions.get(name).evaluate((x,), 0.0, wavenumbers=2.0, phases=0.5, speed=3.0)
    np.testing.assert_allclose(start["u"], np.cos(2 * x - 0.5), atol=EXACT)
    velocity = 0 if name == "standing_wave" else 6 * np.sin(2 * x - 0.5)
    np.testing.assert_allclose(start["v"], velocity, atol=EXACT)


# published and independent values


def test_burgers_reproduces_tabulated_cole_hopf_values():
    x = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    table = [-0.5721295203, -0.7261410445, -0.5598807656, -0.3463147233, -0.1168864411]
    u = solutions.get("cole_hopf").evaluate((x,), 0.5, nu=0.05)["u"]
    np.testing.assert_allclose(u, table, rtol=0, atol=PUBLISHED)


def test_burgers_reproduces_the_published_steepest_slope():
    h = 2e-4
    x = h * np.arange(-4, 5)
    u = solutions.get("cole_hopf").evaluate((x,), 1.6037 / math.pi, nu=0.01 / math.pi)["u"]
    assert abs(FIRST @ u / h) == pytest.approx(152.00516, abs=2e-4)


@pytest.mark.parametrize(("nu", "t"), [(0.05, 0.5), (0.3, 0.2), (1.0, 1.0), (5.0, 0.1)])
def test_burgers_agrees_with_the_bessel_series_of_the_cole_hopf_potential(nu, t):
    from scipy.special import ive

    x = np.linspace(-1, 1, 41)
    n = np.arange(1, 80)
    weight = 2 * (-1.0) ** n * ive(n, 1 / (2 * np.pi * nu)) * np.exp(-nu * (n * np.pi) ** 2 * t)
    potential = ive(0, 1 / (2 * np.pi * nu)) + np.cos(np.pi * np.outer(x, n)) @ weight
    slope = -np.sin(np.pi * np.outer(x, n)) @ (n * np.pi * weight)
    u = solutions.get("cole_hopf").evaluate((x,), t, nu=nu)["u"]
    np.testing.assert_allclose(u, -2 * nu * slope / potential, atol=1e-11)


def test_burgers_follows_the_characteristics_when_viscosity_is_tiny():
    start = np.linspace(-0.9, 0.9, 19)
    u0, t = -np.sin(np.pi * start), 0.2
    u = solutions.get("cole_hopf").evaluate((start + u0 * t,), t, nu=1e-7)["u"]
    np.testing.assert_allclose(u, u0, atol=2e-5)


def test_barenblatt_has_the_published_peak_and_front():
    release = solutions.get("barenblatt")
    for t in (1.0, 8.0):
        front = 2.080083823051904 * t ** (1 / 3)
        x = np.array([0.0, front * (1 - 1e-6), front * (1 + 1e-6)])
        u = release.evaluate((x,), t)["u"]
        assert u[0] == pytest.approx(0.36056239257685213 * t ** (-1 / 3), rel=EXACT)
        assert u[1] > 0
        assert u[2] == 0


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [("gaussian_heat", {"width": 0.2}), ("barenblatt", {}), ("barenblatt", {"exponent": 1.5})],
)
def test_releases_keep_their_mass(name, parameters, ndim):
    dr = 12 / 20_000
    r = dr * (np.arange(20_000) + 0.5)
    shell = {1: 2 * np.ones_like(r), 2: 2 * np.pi * r, 3: 4 * np.pi * r**2}[ndim]
    points = (r, *(np.zeros_like(r) for _ in range(ndim - 1)))
    for t in (0.5, 2.0):
        u = solutions.get(name).evaluate(points, t, mass=1.7, **parameters)["u"]
        assert np.sum(shell * u) * dr == pytest.approx(1.7, rel=1e-5)


def test_bistable_front_moves_at_the_published_speed():
    front = solutions.get("bistable_wave")
    for t in (1.0, 10.0):
        assert front.evaluate((0.353553391 * t,), t, threshold=0.25)["u"] == pytest.approx(0.5)


def test_fisher_wave_moves_at_five_over_root_six_into_the_empty_state():
    wave = solutions.get("fisher_wave")
    assert wave.evaluate((2.041241452 * 7,), 7.0)["u"] == pytest.approx(0.25)
    u = wave.evaluate((np.array([-1e3, 1e2, 1e3]),), 0.0)["u"]
    assert u[0] == 1
    assert 0 < u[1] < 1e-30
    assert u[2] < 1e-300


@pytest.mark.parametrize(("lam", "amplitude"), [(2.0, 0.8007807757), (4.0, 0.9515587837)])
def test_chafee_infante_has_the_tabulated_amplitude(lam, amplitude):
    u = solutions.get("chafee_infante").evaluate((np.pi / 2,), 0.0, lam=lam)["u"]
    assert u == pytest.approx(amplitude, abs=PUBLISHED)


@pytest.mark.parametrize("lam", [1.001, 2.0, 50.0, 1e4])
def test_chafee_infante_vanishes_at_both_ends(lam):
    u = solutions.get("chafee_infante").evaluate((np.array([0.0, np.pi]),), 0.0, lam=lam)["u"]
    np.testing.assert_allclose(u, 0, atol=1e-10)


def test_chafee_infante_branch_begins_at_the_square_of_its_half_waves():
    state = solutions.get("chafee_infante")
    for n, lam in itertools.product((1, 2, 3), (0.5, 1.0)):
        with pytest.raises(InputError, match="exists for `lam` above"):
            state.evaluate((0.5,), 0.0, lam=lam * n**2, half_waves=n)
    assert abs(state.evaluate((np.pi / 4,), 0.0, lam=4.0001, half_waves=2)["u"]) < 0.01


def test_slow_variable_decays_at_the_mean_square_of_the_fast_one():
    rng = np.random.default_rng(8)
    fast = 1 + 0.5 * rng.normal(size=10**6)
    rate = -math.log(solutions.get("slow_fast_mean").evaluate((), 1.0)["u"])
    assert rate == pytest.approx(1.25, rel=EXACT)
    assert rate == pytest.approx(np.mean(fast**2), abs=3.5 * float(np.std(fast**2)) / 1e3)


# what comes back and what is refused


def test_evaluate_broadcasts_open_grids_to_fresh_float64_arrays():
    x, y = np.arange(3)[:, None], np.arange(4)
    result = solutions.get("standing_wave").evaluate((x, y), 0, wavenumbers=[1, 0])
    assert list(result) == ["u", "v"]
    for values in result.values():
        assert values.shape == (3, 4)
        assert values.dtype == np.float64
        assert values.flags.writeable


def test_unknown_solution_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean `cole_hopf`"):
        solutions.get("cole_hop")


def test_solution_like_no_other_is_refused_with_all_names():
    with pytest.raises(InputError, match="Known: `advected_heat_mode`, `barenblatt`"):
        solutions.get("zzz")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("cole_hopf", {}, "needs a value for `nu`"),
        ("cole_hopf", {"nu": 0.1, "mu": 1}, "no parameter `mu`. Known: `nu`"),
        ("fisher_wave", {"diffusivty": 1}, "Did you mean `diffusivity`"),
        ("cole_hopf", {"nu": 0.0}, "`nu` must be a positive number"),
        ("cole_hopf", {"nu": "thin"}, "must be a number or nested lists"),
        ("cole_hopf", {"nu": math.nan}, "must be finite"),
        ("cole_hopf", {"nu": [0.1, 0.2]}, "`nu`.*must be one number"),
        ("barenblatt", {"exponent": 1.0}, "`exponent` must exceed 1"),
        ("bistable_wave", {"threshold": 2.0}, r"must lie in \[0, 1\]"),
        ("heat_mode", {"wavenumbers": [[1, 2]]}, r"1 column\(s\), one per axis"),
        ("heat_mode", {"wavenumbers": [[1], [2, 3]]}, "nested lists of numbers of equal length"),
        ("heat_mode", {"wavenumbers": [1, 2], "amplitudes": [1, 2, 3]}, "has 2 mode"),
        ("heat_mode", {"wavenumbers": [1, 2, 3], "phases": [0, 1]}, "`phases` has 2"),
        ("heat_mode", {"wavenumbers": 1, "diffusivity": [1, 2]}, r"one number or 1 \(one per axis"),
        ("homogenised_mode", {"wavenumbers": 1, "effective": [[1, 0], [0, 1]]}, "1 x 1 tensor"),
        ("gaussian_heat", {"diffusivity": -1.0}, "`diffusivity` must be a positive number"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(name, parameters, message):
    with pytest.raises(InputError, match=message):
        solutions.get(name).evaluate((np.zeros(3),), 1.0, **parameters)


@pytest.mark.parametrize(
    ("name", "t", "parameters", "message"),
    [
        ("gaussian_heat", 0.0, {}, "point release"),
        ("barenblatt", 0.0, {}, "`t` must be a positive number"),
        ("cole_hopf", -0.1, {"nu": 0.1}, "starts at t = 0"),
    ],
)
def test_times_before_a_solution_exists_are_refused(name, t, parameters, message):
    with pytest.raises(InputError, match=message):
        solutions.get(name).evaluate((np.zeros(3),), t, **parameters)


def test_wrong_number_of_coordinates_is_refused():
    with pytest.raises(InputError, match="lives in 1 space dimension"):
        solutions.get("cole_hopf").evaluate((0.0, 0.0), 0.0, nu=0.1)
    with pytest.raises(InputError, match="lives in 1 or 2 or 3 space dimension"):
        solutions.get("heat_mode").evaluate((), 0.0, wavenumbers=1)


def test_complete_fills_defaults_without_evaluating():
    complete = solutions.get("fisher_wave").complete({"rate": 2})
    assert complete == {"diffusivity": 1.0, "rate": 2.0, "position": 0.0}


def test_couette_flow_starts_at_rest_and_ends_linear_with_its_published_values_between():
    """V30."""
    y, flow = np.array([0.25, 0.5, 0.75]), solutions.get("couette_start")
    published = {
        0.05: [0.017628839, 0.113844197, 0.429195269],
        0.1: [0.088343906, 0.262756270, 0.576059498],
    }
    for t, values in published.items():
        np.testing.assert_allclose(flow.evaluate((y,), t)["u"], values, atol=PUBLISHED)
    np.testing.assert_allclose(flow.evaluate((y,), 50.0)["u"], y, rtol=1e-10)
    walls = np.array([0.0, 0.5, 1.0])
    np.testing.assert_array_equal(flow.evaluate((walls,), 0.0)["u"], [0.0, 0.0, 1.0])
    np.testing.assert_allclose(flow.evaluate((walls,), 0.3)["u"][[0, 2]], [0.0, 1.0], atol=EXACT)
    with pytest.raises(InputError, match="begins at t = 0"):
        flow.evaluate((y,), -1.0)


def test_rods_begin_with_the_wave_they_are_asked_for_and_keep_their_number():
    parameters = {"length": 0.7, "wavenumber": 2.0, "mean": 0.6, "amplitude": 0.4}
    rods, x = solutions.get("hard_rods"), np.arange(64) / 64 * math.pi
    start = rods.evaluate((x,), 0.0, **parameters)["u"]
    np.testing.assert_allclose(start, 0.6 + 0.4 * np.cos(2 * x), rtol=0, atol=EXACT)
    later = rods.evaluate((x,), 0.2, **parameters)["u"]
    assert later.mean() == pytest.approx(0.6, abs=1e-10)


def test_rods_of_no_length_spread_as_points_do():
    found = solutions.get("hard_rods").evaluate(
        (1.0,), 0.3, length=1e-12, wavenumber=2.0, mean=0.6, amplitude=0.4
    )
    assert found["u"] == pytest.approx(0.6 + 0.4 * math.cos(2.0) * math.exp(-1.2), abs=1e-11)


def test_rods_without_room_are_refused():
    with pytest.raises(InputError, match="have no room at a density"):
        solutions.get("hard_rods").evaluate(
            (0.0,), 0.0, length=1.0, wavenumber=1.0, mean=0.8, amplitude=0.3
        )

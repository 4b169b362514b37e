"""Schemes: what fits together, what is refused, and the Jacobian of the coupled rate."""

import itertools
import warnings

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import Burst
from gpupatch.errors import NonFiniteError, RuleError, SchemeError
from gpupatch.grid import PatchGrid, dirichlet, neumann, robin
from gpupatch.micro import lattice
from gpupatch.projection import Projection
from gpupatch.restriction import smooth_mean
from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme, Problem
from gpupatch.theory import heat_eigenvalue

EXACT = 1e-12
CIRCLE = (0.0, 2 * np.pi)
NUMPY = NumpyBackend()


@gp.rule(fields="u")
def wide(u, nu, dx):
    """Fourth-order diffusion with a nonlinear term, two sites to each side."""
    fourth = u[2] - 4 * u[1] + 6 * u[0] - 4 * u[-1] + u[-2]
    return -nu * fourth / dx**4 - (u[1] ** 2 - u[-1] ** 2) / (4 * dx)


def ring(patches=6, sites=7, ratio=0.3, ndim=1, **more):
    return PatchGrid([CIRCLE] * ndim, [patches] * ndim, sites, ratio, **more)


def rod(faces, patches=6, sites=7, **more):
    return PatchGrid([(0.0, 1.0)], [patches], sites, dx=0.01, boundary=[faces], **more)


def heat(grid=None, **more):
    grid = ring() if grid is None else grid
    return Problem(lattice.get("diffusion", grid.ndim), grid, {"D": 1.0}, **more)


def burst_grid(**more):
    return PatchGrid(
        **(
            {"domain": [(0.0, 1.0)], "patches": [8], "core": 0.01, "buffer": 0.02, "dx": 0.001}
            | more
        )
    )


WALLS = dirichlet(0.4), neumann(-0.3)
MIXED = robin(1.0, 0.2, 0.5), dirichlet(lambda x, t: 1 + t)
COUPLED = {
    "centre": lambda: CoupledScheme(
        Problem(lattice.get("burgers", 1), ring(), {"nu": 0.1}), NUMPY, 4
    ),
    "spectral": lambda: CoupledScheme(
        Problem(lattice.get("burgers", 1), ring(), {"nu": 0.1}), NUMPY, "spectral"
    ),
    "edgy": lambda: CoupledScheme(
        Problem(lattice.get("fisher_kpp", 1), ring(edgy=True), {"D": 1.0, "r": 2.0}),
        NUMPY,
        4,
        "edgy",
    ),
    "bounded": lambda: CoupledScheme(
        Problem(lattice.get("burgers", 1), rod(WALLS), {"nu": 0.1}), NUMPY, 4
    ),
    "bounded mixed": lambda: CoupledScheme(
        Problem(lattice.get("burgers", 1), rod(MIXED), {"nu": 0.1}), NUMPY, "spectral"
    ),
    "layers": lambda: CoupledScheme(Problem(wide, ring(sites=10, edges=2), {"nu": 1e-3}), NUMPY, 4),
    "bounded layers": lambda: CoupledScheme(
        Problem(wide, rod(WALLS, sites=10, edges=2), {"nu": 1e-8}), NUMPY, 2
    ),
    "edgy layers": lambda: CoupledScheme(
        Problem(wide, ring(sites=8, edges=2, edgy=True), {"nu": 1e-3}), NUMPY, 4, "edgy"
    ),
    "two fields": lambda: CoupledScheme(
        Problem(lattice.get("shallow_water", 1), ring(), {"g": 1.0, "depth": 1.0, "nu": 0.1}),
        NUMPY,
        4,
    ),
    "staggered": lambda: CoupledScheme(
        Problem(lattice.get("staggered_wave", 1), ring(patches=8), {"g": 1.0, "depth": 2.0}),
        NUMPY,
        4,
        "staggered",
    ),
    "plane": lambda: CoupledScheme(
        Problem(lattice.get("porous_medium", 2), ring(5, 5, ndim=2)), NUMPY, 4
    ),
    "plane with walls": lambda: CoupledScheme(
        Problem(
            lattice.get("porous_medium", 2),
            PatchGrid([(0.0, 1.0)] * 2, [4, 3], 5, dx=0.01, boundary=["periodic", WALLS]),
        ),
        NUMPY,
        2,
    ),
    "space": lambda: CoupledScheme(heat(ring(3, 3, ndim=3)), NUMPY, 2),
    "ensemble": lambda: CoupledScheme(
        Problem(
            lattice.get("heterogeneous_diffusion", 1),
            ring(5, 8, edgy=True),
            {},
            {"kappa": np.array([1.0, 3.0, 0.5])},
        ),
        NUMPY,
        4,
        "edgy",
        phases=3,
    ),
    "ensemble in the plane": lambda: CoupledScheme(
        Problem(
            lattice.get("heterogeneous_diffusion", 2),
            ring(3, 5, ndim=2, edgy=True),
            {},
            {"kappa": np.exp(np.random.default_rng(1).normal(size=(2, 3)))},
        ),
        NUMPY,
        2,
        "edgy",
        phases=(2, 3),
    ),
    "members": lambda: CoupledScheme(
        Problem(lattice.get("burgers", 1), ring(5, 5), {}, members={"nu": [0.1, 0.4]}), NUMPY, 2
    ),
}


@pytest.mark.parametrize("kind", COUPLED)
def test_jacobian_agrees_with_finite_differences_of_the_coupled_rate(kind):
    scheme = COUPLED[kind]()
    u = np.random.default_rng(2).uniform(0.5, 1.5, size=scheme.model.shape)
    keep, t = scheme.interior, 0.3

    def rate(v):
        handle = scheme.kernels.pack(v)
        return scheme.kernels.unpack(scheme.rate(handle, t)).ravel()[keep]

    columns, step = [], 1e-5
    for place in keep:
        d = np.zeros(u.size)
        d[place] = step
        columns.append((rate(u + d.reshape(u.shape)) - rate(u - d.reshape(u.shape))) / (2 * step))
    numeric = np.array(columns).T
    found = scheme.jacobian(u, t).toarray()
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-8 * np.abs(numeric).max())


def test_slow_eigenvalues_of_large_schemes_are_found_without_the_dense_matrix():
    scheme = CoupledScheme(heat(ring(40, 33, 0.2)), NUMPY, 4)
    assert scheme.interior.size > 1200
    k = np.array([0, 1, 1, 2, 2, 3, 3])
    expected = np.sort(heat_eigenvalue(k, scheme.problem.grid.gap[0], 0.2, 4, sites=33))
    np.testing.assert_allclose(np.sort(scheme.eigenvalues(7).real), expected, rtol=0, atol=1e-8)


def coupled(grid=None, rule="diffusion", **more):
    grid = ring() if grid is None else grid
    rule = lattice.get(rule, grid.ndim)
    return CoupledScheme(Problem(rule, grid, dict.fromkeys(rule.parameters, 1.0)), NUMPY, **more)


REFUSED = {
    "too few patches": (lambda: coupled(ring(4)), "reads 5 patches along axis 0"),
    "even sites": (lambda: coupled(ring(sites=8)), "no centre site"),
    "few layers": (
        lambda: CoupledScheme(Problem(wide, ring(), {"nu": 1.0}), NUMPY),
        "reads 2 sites along axis 0.*Set `edges = 2`",
    ),
    "dimension": (
        lambda: Problem(lattice.get("diffusion", 2), ring(), {"D": 1.0}),
        "2-dimensional, but the grid has 1",
    ),
    "parameters": (
        lambda: Problem(lattice.get("diffusion", 1), ring(), {}).model(),
        "not given: D",
    ),
    "stray parameter": (
        lambda: (
            heat().model()
            and Problem(lattice.get("diffusion", 1), ring(), {"D": 1, "E": 2}).model()
        ),
        "unknown: E",
    ),
    "dtype": (lambda: heat(dtype="float16"), "'float16' is unknown"),
    "stepper": (lambda: coupled(micro="heun"), "'heun' is unknown"),
    "verlet on heat": (lambda: coupled(micro="verlet"), "second-order rule; `diffusion1d`"),
    "staggered rule": (lambda: coupled(ring(8), "staggered_wave"), "couple = 'staggered'"),
    "staggered coupling": (lambda: coupled(ring(8), kind="staggered"), "is not staggered"),
    "kind": (lambda: coupled(kind="middle"), "'middle' is unknown"),
    "every": (lambda: coupled(every=0), "couple at least every 1"),
    "phases": (lambda: coupled(phases=3), "needs `couple = 'edgy'`"),
    "phases per axis": (lambda: coupled(phases=(3, 3)), "edgy|2 entries for 1 axes"),
    "burst staggered": (
        lambda: BurstScheme(
            Problem(lattice.get("staggered_wave", 1), ring(8), {"g": 1.0, "depth": 1.0}),
            NUMPY,
            Burst(1e-6),
        ),
        "use the `coupled` scheme",
    ),
    "burst edge": (
        lambda: BurstScheme(heat(burst_grid()), NUMPY, Burst(1e-6), edge="robin"),
        "`edge`",
    ),
    "burst lift": (
        lambda: BurstScheme(heat(burst_grid()), NUMPY, Burst(1e-6), lift="flat"),
        "`lift`",
    ),
    "burst method": (
        lambda: BurstScheme(heat(burst_grid()), NUMPY, Burst(1e-6), method="exact"),
        "`method` is 'exact'; use one of steps, propagator",
    ),
    "moving slopes": (
        lambda: BurstScheme(heat(burst_grid()), NUMPY, Burst(1e-6), edge="neumann", edge_rate=True),
        "`edge_rate` moves edge values",
    ),
    "propagated nonlinear": (
        lambda: BurstScheme(
            Problem(lattice.get("burgers", 1), burst_grid(), {"nu": 0.1}),
            NUMPY,
            Burst(1e-6),
            method="propagator",
        ),
        "for linear rules",
    ),
    "projection lift in single precision": (
        lambda: BurstScheme(
            heat(burst_grid(), dtype="float32"), NUMPY, Burst(1e-6), lift="projection"
        ),
        "run it in float64",
    ),
    "burst order": (
        lambda: BurstScheme(heat(burst_grid()), NUMPY, Burst(1e-6), order=3),
        "order 3",
    ),
    "flux grid": (lambda: FluxScheme(heat(burst_grid()), NUMPY, Burst(1e-6)), "a grid of cells"),
    "flux waves": (
        lambda: FluxScheme(
            Problem(lattice.get("wave", 1), burst_grid(cells=True), {"c": 1.0}), NUMPY, Burst(1e-6)
        ),
        "first-order conservation laws",
    ),
    "flux spectral": (
        lambda: FluxScheme(heat(burst_grid(cells=True)), NUMPY, Burst(1e-6), "spectral"),  # type: ignore
        "a whole number",
    ),
    "no initial value": (lambda: coupled().initial({}), "`u` has no initial value"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_parts_that_do_not_fit_together_are_refused(what):
    make, found = REFUSED[what]
    with pytest.raises((SchemeError, RuleError), match=found):
        make()


def test_noise_is_for_euler_steps():
    @gp.rule(fields="u", noise={"u": lambda u: 1.0})
    def noisy(u):
        return -u[0]

    with pytest.raises(SchemeError, match="has noise: use the micro-stepper `euler`"):
        CoupledScheme(Problem(noisy, ring()), NUMPY, micro="rk4")


def heat_burst(length, buffer=0.02, **more):
    scheme = BurstScheme(heat(burst_grid(buffer=buffer)), NUMPY, Burst(length), **more)
    return scheme, scheme.initial({"u": lambda x: np.sin(2 * np.pi * x)})


def test_a_burst_that_would_measure_its_own_edges_is_refused():
    """Diffusive: length > 0.36 buffer^2 / D."""
    scheme, U = heat_burst(2e-4)
    with pytest.raises(SchemeError, match=r"from the edges reach the core.*shorter than"):
        scheme.slope(0.0, U)


def test_a_burst_that_feels_its_edges_is_warned_of_once():
    """Diffusive: 0.046 buffer^2 / D < length < 0.36 buffer^2 / D."""
    scheme, U = heat_burst(5e-5)
    with pytest.warns(UserWarning, match="more than 1e-3 of the slope"):
        scheme.slope(0.0, U)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheme.slope(0.0, U)


def test_a_burst_that_its_buffers_protect_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheme, U = heat_burst(1e-5)
        scheme.slope(0.0, U)


@pytest.mark.parametrize(("length", "refused"), [(0.019, False), (0.025, True)])
def test_a_wave_must_not_run_from_the_edge_to_the_core_within_a_burst(length, refused):
    problem = Problem(lattice.get("wave", 1), burst_grid(), {"c": 1.0})
    scheme = BurstScheme(problem, NUMPY, Burst(length), micro="verlet")
    U = scheme.initial({"u": lambda x: np.sin(2 * np.pi * x), "v": 0.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if refused:
            with pytest.raises(SchemeError, match="reach the core"):
                scheme.slope(0.0, U)
        else:
            scheme.slope(0.0, U)


def test_waves_are_not_propagated_as_if_they_decayed():
    problem = Problem(lattice.get("wave", 1), burst_grid(), {"c": 1.0})
    scheme = BurstScheme(problem, NUMPY, Burst(1e-3), micro="verlet", method="propagator")
    U = scheme.initial({"u": lambda x: np.sin(2 * np.pi * x), "v": 0.0})
    with pytest.raises(SchemeError, match="made for decay, not for waves"):
        scheme.slope(0.0, U)


def test_propagated_bursts_are_the_limit_of_many_micro_steps():
    """A medium between walls with values of their own, all estimators with few samples."""
    grid = burst_grid(boundary=[WALLS])
    rule = lattice.get("heterogeneous_diffusion", 1)
    slopes = []
    for method, dt in (("propagator", None), ("steps", 1e-8)):
        problem = Problem(rule, grid, {}, {"kappa": lambda x: 1.2 + np.sin(2 * np.pi * x / 0.01)})
        scheme = BurstScheme(problem, NUMPY, Burst(1e-5, dt=dt), method=method)
        U = scheme.initial({"u": lambda x: np.cos(3 * x)})
        slopes.append(scheme.slope(0.0, U))
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-7)


def test_least_squares_needs_every_step_and_no_propagator():
    scheme = BurstScheme(
        heat(burst_grid()), NUMPY, Burst(1e-5, slope="lsq", dt=2e-7), method="propagator"
    )
    with pytest.raises(SchemeError, match=r"would need .* sample times"):
        scheme.slope(0.0, scheme.initial({"u": 1.0}))


def test_coarse_values_through_any_kernel_are_lifted_back():
    """The restriction of the lifted state is the coarse state, whatever the weights."""
    grid = burst_grid()
    for restriction in (None, smooth_mean(grid, 3)):
        scheme = BurstScheme(heat(grid), NUMPY, Burst(1e-5), restriction=restriction)
        U = scheme.initial({"u": lambda x: np.exp(np.sin(2 * np.pi * x))})
        u = scheme.kernels.pack(scheme.fields(U, 0.0))
        back = scheme.kernels.restrict(scheme.restriction, u)
        np.testing.assert_allclose(back[:, 0], U[0, 0], rtol=0, atol=EXACT)


def test_the_coarse_value_is_the_centre_the_core_or_the_cell():
    """x^2 through the three functionals."""
    square = {"u": lambda x: x**2}
    at_centre = CoupledScheme(heat(ring()), NUMPY)
    X = at_centre.problem.grid.centres[0]
    np.testing.assert_allclose(at_centre.coarse(at_centre.initial(square))[0, 0], X**2)
    over_core = BurstScheme(heat(burst_grid()), NUMPY, Burst(1e-6))
    X = over_core.problem.grid.centres[0]
    spread = (0.01**2 - 0.001**2) / 12
    np.testing.assert_allclose(over_core.initial(square)[0, 0], X**2 + spread, rtol=1e-9)
    over_cell = FluxScheme(heat(burst_grid(cells=True)), NUMPY, Burst(1e-6))
    np.testing.assert_allclose(over_cell.initial(square)[0, 0], X**2 + (1 / 8) ** 2 / 12)


def test_members_run_side_by_side_as_they_would_alone():
    def run(members):
        problem = Problem(lattice.get("burgers", 1), ring(), {}, members=members)
        scheme = CoupledScheme(problem, NUMPY, dt=1e-3)
        u = scheme.initial({"u": lambda x: 1 + np.sin(x)})
        return scheme.coarse(scheme.advance(u, 0.0, 1e-3, 20))

    together = run({"nu": [0.1, 0.5]})
    alone = [run({"nu": [nu]}) for nu in (0.1, 0.5)]
    assert together.shape == (2, 1, 6)
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_members_are_all_combinations_and_replicas_come_last():
    grid = ring()
    rule = lattice.get("advection_diffusion", 1)
    problem = Problem(rule, grid, {}, members={"c": [1, 2], "D": [3]}, replicas=2)
    assert problem.member_values == [
        {"c": c, "D": 3.0} for c, _ in itertools.product([1.0, 2.0], range(2))
    ]


def test_an_ensemble_of_phases_reports_its_mean():
    scheme = COUPLED["ensemble"]()
    u = scheme.initial({"u": np.sin})
    advanced = scheme.advance(u, 0.0, 1e-4, 10)
    values = scheme.kernels.unpack(advanced)
    assert (scheme.model.n_members, scheme.n_members) == (3, 1)
    assert scheme.coarse(advanced).shape == (1, 1, 5)
    np.testing.assert_allclose(
        scheme.fields(advanced, 1e-3), values.reshape(3, 5, 1, 8).mean(axis=0)
    )


def test_coupling_every_few_steps_keeps_second_order():
    def final(every, n_steps):
        scheme = CoupledScheme(heat(ring(sites=5)), NUMPY, 4, every=every)
        u = scheme.initial({"u": lambda x: np.sin(x) + 0.3 * np.cos(2 * x)})
        return scheme.coarse(scheme.advance(u, 0.0, 0.4 / n_steps, n_steps))

    exact = final(1, 512)
    errors = [np.abs(final(4, n) - exact).max() for n in (128, 256, 512)]
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 2, atol=0.3)


def test_single_precision_steps_are_taken_about_a_frozen_base():
    """u = 300 + small: the perturbation form keeps what direct float32 would lose."""
    finals = []
    for dtype in ("float64", "float32"):
        scheme = CoupledScheme(heat(dtype=dtype), NUMPY, 4)
        u = scheme.initial({"u": lambda x: 300 + 1e-3 * np.sin(x)})
        start = scheme.coarse(u)
        finals.append(scheme.coarse(scheme.advance(u, 0.0, 1e-3, 40)) - start)
    assert np.abs(finals[0]).max() > 3e-5
    np.testing.assert_allclose(finals[1], finals[0], rtol=0, atol=1e-6 * np.abs(finals[0]).max())


def test_rebasing_in_single_precision_keeps_the_state():
    scheme = CoupledScheme(heat(dtype="float32"), NUMPY, 4)
    u = scheme.advance(scheme.initial({"u": lambda x: 300 + np.sin(x)}), 0.0, 1e-3, 10)
    before = scheme.kernels.unpack(u)
    again = scheme.rebase(u)
    assert again.dtype == np.float32
    assert not again.any()
    np.testing.assert_array_equal(scheme.kernels.unpack(again), before)


def test_failure_is_located_by_member_patch_and_field():
    problem = Problem(
        lattice.get("shallow_water", 1),
        ring(),
        {"depth": 1.0, "nu": 0.1},
        members={"g": [1.0, 2.0]},
    )
    scheme = CoupledScheme(problem, NUMPY)
    u = scheme.initial({"h": 0.0, "u": 0.0})
    u[6 + 4, 1, 3] = np.nan
    assert not scheme.finite(u)
    error = scheme.locate_failure(u, 0.25)
    assert isinstance(error, NonFiniteError)
    assert (error.time, error.member, error.patch, error.field) == (0.25, 1, (4,), "u")
    assert "t = 0.25 in patch (4) of member 1" in str(error)


def test_work_is_counted():
    scheme = CoupledScheme(heat(), NUMPY, 4)
    scheme.advance(scheme.initial({"u": 1.0}), 0.0, 1e-3, 7)
    assert (scheme.micro_steps, scheme.stages, scheme.cells) == (7, 4, 6 * 5)
    assert scheme.micro_time == pytest.approx(7e-3)
    assert scheme.cell_updates == 7 * 4 * 30


def test_a_burst_moves_with_the_slope_of_its_neighbours_when_edges_move():
    """Steady heating at rate 1 everywhere: only moving edges let the whole burst follow."""

    @gp.rule(fields="u")
    def heated(u, D, dx):
        return D * (u[1] - 2 * u[0] + u[-1]) / dx**2 + 1

    slopes = []
    for edge_rate in (False, True):
        problem = Problem(heated, burst_grid(), {"D": 1.0})
        scheme = BurstScheme(problem, NUMPY, Burst(1e-4), edge_rate=edge_rate)
        scheme.check_healing = lambda *_: None  # type: ignore[method-assign]
        U = scheme.initial({"u": 0.0})
        scheme.slope(0.0, U)
        slopes.append(scheme.slope(0.0, U)[0, 0])
    assert np.abs(slopes[0] - 1).max() > 1e-3
    assert np.abs(slopes[1] - 1).max() < 0.2 * np.abs(slopes[0] - 1).max()


def layered_burst(**more):
    """A medium of period 0.0025, four periods per core and eight per buffer; its slope."""
    rule = lattice.get("heterogeneous_diffusion", 1)
    medium = {"kappa": lambda x: 1.2 + np.sin(2 * np.pi * x / 0.0025)}
    problem = Problem(rule, burst_grid(dx=0.00025), {}, medium)
    scheme = BurstScheme(problem, NUMPY, Burst(1e-5), **more)
    U = scheme.initial({"u": lambda x: np.sin(2 * np.pi * x)})
    return scheme, U, -4 * np.pi**2 * np.sqrt(1.2**2 - 1) * U


def test_polynomial_lifting_heals_within_the_burst():
    scheme, U, expected = layered_burst()
    np.testing.assert_allclose(scheme.slope(0.0, U), expected, rtol=1e-4)


def test_details_kept_from_earlier_bursts_do_not_pile_up():
    """The edges of a burst would otherwise reach the core after a few more."""
    scheme, U, expected = layered_burst(lift="projection")
    for _ in range(6):
        slope = scheme.slope(0.0, U)
    np.testing.assert_allclose(slope, expected, rtol=0.02)


def test_a_state_with_details_kept_has_the_coarse_values_asked_for():
    scheme, U, _ = layered_burst(lift="projection")
    scheme.slope(0.0, U)
    asked = U + np.random.default_rng(3).normal(size=U.shape)
    plan = scheme._plan(4, 1e-9)
    lifted: list = []
    scheme.kernels.burst = lambda u, *_: lifted.append(u.copy()) or np.zeros((3, 8, 1))  # type: ignore
    scheme._steps(plan, scheme.lifting.extended(asked, 0.0), 0.0, None)
    back = scheme.kernels.restrict(scheme.restriction, lifted[0])
    np.testing.assert_allclose(back[:, 0], asked[0, 0], rtol=0, atol=EXACT)
    details = lifted[0] - scheme.fields(asked, 0.0)
    np.testing.assert_array_equal(details[:, 0, [0, -1]], 0)
    assert np.abs(details).max() > 1e-4


def test_schemes_refuse_what_their_bursts_cannot_do():
    scheme, U = heat_burst(1e-5)
    system = scheme.system(Projection("pfe", jump=2.0), 0.0, U)
    with pytest.raises(SchemeError, match=r"cannot simulate .* without leaping"):
        system.inner(0.0, U, 3, 1e-5)

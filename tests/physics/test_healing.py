"""How far a patch may be trusted: what its edges do to the slope that is measured inside."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.burst import BurstPlan
from gpupatch.lifting import taylor
from gpupatch.micro import lattice
from gpupatch.projection import Projection
from gpupatch.restriction import core_mean
from gpupatch.scheme.propagator import propagated_weights
from gpupatch.simulation import simulate
from gpupatch.theory import average_rate_error, end_slope_error

PHASE = 0.13


def patch(rule, core, buffer, dx, parameters=None, medium=None):
    """Grid and model of one patch about 0; the first edge site lies dx/2 beyond the buffer."""
    grid = gp.PatchGrid([(-1e3, 1e3)], [1], core=core, buffer=buffer, dx=dx)
    return grid, gp.Problem(lattice.get(rule, 1), grid, parameters or {}, medium or {}).model()


def lifted(grid, G, n_fields=1):
    """u = G x + x^2/2, other fields zero."""
    u = np.zeros((1, n_fields, *grid.n_sites))
    u[0, 0] = taylor(0.0, [G], [[1.0]], grid.site_offsets, grid.core_sites)
    return u


def differences(n_steps, dt, *pairs):
    """Weights of (R u(last) - R u(first)) / time, one column per pair of steps."""
    weights = np.zeros((n_steps + 1, len(pairs)))
    for column, (first, last) in enumerate(pairs):
        weights[[first, last], column] = np.array([-1, 1]) / ((last - first) * dt)
    return weights


def propagated(grid, model, u, weights, dt):
    plan = BurstPlan("euler", dt, len(weights) - 1, core_mean(grid), weights)
    rows, constant = propagated_weights(model, plan)
    return rows[0, :, 0] @ u.ravel() + constant[0, :, 0]


WAVE = {0.8: 3e-14, 0.9: 1.867e-12, 1.0: 8.230e-5, 1.1: 9.505e-3, 1.25: 5.075e-2, 1.5: 0.16750}


@pytest.mark.parametrize("reach", WAVE)
def test_a_wave_from_the_edge_spoils_the_slope_as_soon_as_it_reaches_the_core(reach):
    """Core 1, buffer 1, c = 1, 200 sites per unit: relative error of (V(T) - V(0))/T at c T."""
    dx = 0.005
    grid, model = patch("wave", 1.0, 1.0 - dx, dx, {"c": 1.0})
    n_steps = int(np.ceil(reach / (0.5 * dx)))
    weights = differences(n_steps, reach / n_steps, (0, n_steps))
    plan = BurstPlan("verlet", reach / n_steps, n_steps, core_mean(grid), weights)
    kernels = NumpyBackend().load(model, "float64")
    rate = kernels.burst(kernels.pack(lifted(grid, 0.0, 2)), plan, 0.0)[0, 0, 1]
    assert abs(rate - 1) == pytest.approx(WAVE[reach], rel=0.03, abs=1e-13)


def exact_errors(core, half_width, T):
    """Relative errors of the mean and of the last slope between frozen edges, as series."""
    n = np.arange(20_000)
    k = (n + 0.5) * np.pi / half_width
    share = 2 * (-1.0) ** n / (k * half_width) * np.sin(k * core / 2) / (k * core / 2)
    mean = 1 - (share * -np.expm1(-(k**2) * T) / (k**2 * T)).sum()
    return mean, 1 - (share * np.exp(-(k**2) * T)).sum()


@pytest.mark.parametrize(
    ("s", "mean", "last"), [(2, 0.028863, 0.098553), (4, 1.4159e-4, 9.7802e-4)]
)
def test_the_series_gives_the_tabulated_errors(s, mean, last):
    """Core 1, buffer 1, T = (buffer/s)^2 / D."""
    assert exact_errors(1.0, 1.5, 1 / s**2) == pytest.approx((mean, last), rel=1e-3)


@pytest.mark.parametrize("buffer", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("s", [1.0, 2.0, 4.0])
def test_diffusion_from_the_edges_spoils_the_slope_as_the_series_says(buffer, s):
    dx = 0.005
    grid, model = patch("diffusion", 1.0, buffer, dx, {"D": 1.0})
    T, n = (buffer / s) ** 2, 2000
    weights = differences(n, T / n, (0, n), (n - 2, n))
    found = 1 - propagated(grid, model, lifted(grid, 0.0), weights, T / n)
    expected = exact_errors(1.0, 0.5 + buffer + dx / 2, T)
    assert found == pytest.approx(expected, rel=0.01, abs=1e-9)


@pytest.mark.parametrize("buffer", [0.5, 1.0])
@pytest.mark.parametrize("s", [2.0, 4.0, 6.0])
def test_the_closed_form_for_one_edge_bounds_the_error_of_the_core(buffer, s):
    mean, last = exact_errors(1.0, 0.5 + buffer, (buffer / s) ** 2)
    assert 0 < mean < average_rate_error(s / 2)
    assert 0 < last < end_slope_error(s / 2)


def medium(x):
    return 1.1 + np.sin(2 * np.pi * (x + PHASE))


def effective(per_period):
    return 1 / np.mean(1 / medium(np.arange(per_period) / per_period))


HEALED_SLOPE = {
    (1, 2.0): -0.0604,
    (2, 2.0): -0.0114,
    (2, 8.0): -0.108,
    (4, 2.0): -1.04e-4,
    (4, 8.0): -0.0194,
    (8, 8.0): -1.63e-4,
    (8, 32.0): -0.0363,
    (16, 32.0): -2.84e-4,
}


def layered(buffer, per_period):
    """Ten periods between buffers of whole periods; the period is the unit of length."""
    return patch("heterogeneous_diffusion", 10.0, buffer, 1 / per_period, medium={"kappa": medium})


def healed_error(buffer, T, per_period=240):
    """Relative error of the slope over the second half of a burst, G = 0.7, C = 1."""
    grid, model = layered(buffer, per_period)
    slope = propagated(grid, model, lifted(grid, 0.7), differences(2, T / 2, (1, 2)), T / 2)[0]
    return slope / effective(per_period) - 1


@pytest.mark.parametrize(("buffer", "T"), HEALED_SLOPE)
def test_frozen_values_spoil_the_healed_slope_as_tabulated(buffer, T):
    """Tabulated for edges half a site nearer, hence many sites per period."""
    assert healed_error(buffer, T) == pytest.approx(HEALED_SLOPE[buffer, T], rel=0.15)


@pytest.mark.parametrize(("buffer", "T"), [(8, 2.0), (16, 8.0)])
def test_wide_buffers_leave_the_healed_slope_alone(buffer, T):
    assert abs(healed_error(buffer, T, per_period=24)) < 2e-8


def frozen_slope_errors(buffer, T, per_period=24):
    """Relative errors of the slopes over the whole burst and over its second half."""
    grid, model = layered(buffer, per_period)
    n = 2 * int(np.ceil(T / 2 * 4 * 2.1 * per_period**2 / 1.6))
    weights = differences(n, T / n, (0, n), (n // 2, n))
    plan = BurstPlan("euler", T / n, n, core_mean(grid), weights, edge="neumann")
    kernels = NumpyBackend().load(model, "float64")
    slopes = kernels.burst(kernels.pack(lifted(grid, 0.7)), plan, 0.0)[:, 0, 0]
    return slopes / effective(per_period) - 1


@pytest.mark.parametrize("T", [0.5, 2.0])
def test_frozen_slopes_without_a_buffer_measure_the_medium_at_the_edge(T):
    """The error is a(edge)/a* - 1 = 299 %, however long one waits."""
    expected = medium(5.0) / effective(24) - 1
    assert expected == pytest.approx(2.99, abs=0.01)
    assert frozen_slope_errors(0, T) == pytest.approx([expected] * 2, rel=1e-6)


@pytest.mark.parametrize(("buffer", "tabulated"), [(2, 0.379), (4, 0.00771)])
def test_buffers_protect_the_core_from_frozen_slopes_too(buffer, tabulated):
    assert frozen_slope_errors(buffer, 2.0)[1] == pytest.approx(tabulated, rel=0.1)


def conductivity_error(buffer, T=2.0):
    """Relative error of a* from fluxes under a unit gradient; 16 sites per period."""
    eps = 1e-3
    grid = gp.PatchGrid(
        [(0.0, 1.0)], [4], core=10 * eps, buffer=buffer * eps, dx=eps / 16, cells=True,
        boundary=[(gp.dirichlet(0.0), gp.dirichlet(1.0))],
    )  # fmt: skip
    rule = lattice.get("heterogeneous_diffusion", 1)
    problem = gp.Problem(rule, grid, {}, {"kappa": lambda x: medium(x / eps)})
    burst = gp.Burst(T * eps**2, extrapolate=False)
    scheme = gp.FluxScheme(problem, NumpyBackend(), burst, 2, micro="euler")
    scheme.check_healing = lambda *_: None  # type: ignore[method-assign]
    U = scheme.initial({"u": lambda x: x})
    return -scheme.measure(0.0, U, 0)[0][0, 0, 1] / effective(16) - 1


@pytest.mark.parametrize(("buffer", "most"), [(0, 1e-2), (2, 1e-3), (4, 2e-5), (8, 1e-9)])
def test_measured_fluxes_need_little_buffer(buffer, most):
    """After two squared periods, where slopes of averages need four times the buffer."""
    assert abs(conductivity_error(buffer)) < most


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("buffer", "length", "order", "tabulated"),
    [(8, 8, 4, 1.744e-2), (8, 4, 4, 5.437e-4), (4, 4, 2, 0.3161)],
)
def test_narrow_buffers_spoil_whole_runs_as_tabulated(
    run, capsys, buffer, length, order, tabulated
):
    """The homogenised rod by bursts with N = 16, buffers in periods, bursts in squared periods."""
    step = 0.05 / float(np.ceil(0.05 * effective(16) / 0.4 * 16**2)) * (1 + 1e-12)
    changes = (
        "grid.patches=16", f"grid.buffer={buffer}e-4", f"burst.length={length}e-8",
        f"scheme.order={order}", f"time.step={step!r}",
    )  # fmt: skip
    solution = run("v06_burst", *changes)
    assert "disturbances from the edges reach the core" in capsys.readouterr().err
    assert solution.error == pytest.approx(tabulated, rel=0.2)


def heat_by_bursts(length, extrapolate):
    """Error of spectrally lifted heat after classical Runge-Kutta leaps: the burst is left."""
    grid = gp.PatchGrid([(0.0, 1.0)], [9], core=5e-3, buffer=0.03, dx=1e-3)
    problem = gp.Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
    burst = gp.Burst(length, extrapolate=extrapolate)
    scheme = gp.BurstScheme(problem, NumpyBackend(), burst, "spectral", method="propagator")
    rate = 4e6 * np.sin(np.pi * 1e-3) ** 2
    return simulate(
        scheme, {"u": lambda x: np.sin(2 * np.pi * x)}, 0.05, save=2,
        projection=Projection("rk4", step=2e-4),
        exact={"u": lambda x, t: np.exp(-rate * t) * np.sin(2 * np.pi * x)},
    ).error  # fmt: skip


@pytest.mark.parametrize(("extrapolate", "order"), [(False, 1), (True, 2)])
def test_extrapolation_to_the_base_time_gains_an_order_in_the_length_of_the_burst(
    extrapolate, order
):
    errors = [heat_by_bursts(length, extrapolate) for length in (8e-6, 4e-6, 2e-6)]
    observed = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(observed, order, atol=0.1)

"""V6: a full run over a medium 10^4 times finer than the domain, against the homogenised rod."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.micro import lattice

EPS, PERIOD, END = 1e-4, 16, 0.05
EFFECTIVE = 1 / np.mean(1 / (1.1 + np.sin(2 * np.pi * (np.arange(PERIOD) / PERIOD + 0.13))))
BURST = {
    2: {8: 3.25e-2, 16: 7.40e-3, 32: 1.81e-3, 64: 4.51e-4},
    4: {8: 4.92e-3, 16: 2.93e-4, 32: 1.86e-5, 64: 1.10e-6},
}
FLUX = {8: 3.52e-3, 16: 2.71e-4, 32: 1.84e-5, 64: 1.17e-6}


def leaps(n_patch):
    """Macro-steps of the published runs: T / ceil(T a* / (0.4 H^2))."""
    return int(np.ceil(END * EFFECTIVE / 0.4 * n_patch**2))


def changes(n_patch, order=4):
    step = END / leaps(n_patch) * (1 + 1e-12)
    return f"grid.patches={n_patch}", f"scheme.order={order}", f"time.step={step!r}"


def rod(x):
    """The homogenised rod at the end."""
    first = np.exp(-4 * np.pi**2 * EFFECTIVE * END)
    second = np.exp(-16 * np.pi**2 * EFFECTIVE * END)
    return 1 + first * np.sin(2 * np.pi * x) + 0.5 * second * np.cos(4 * np.pi * x)


def burst_error(run, n_patch, order):
    """Largest difference of core means to point values, the norm of the published table."""
    dataset = run("v06_burst", *changes(n_patch, order)).to_xarray()
    return float(np.abs(dataset["u"][-1] - rod(dataset["x"])).max())


def observed_orders(errors):
    return np.log2(np.array(errors[:-1]) / errors[1:])


@pytest.mark.parametrize("order", [2, 4])
def test_bursts_reach_the_tabulated_errors_and_orders(run, order):
    """V6 (burst): within 20 % of the table, orders within 0.2."""
    counts = (8, 16, 32, 64)
    errors = [burst_error(run, n, order) for n in counts]
    assert errors == pytest.approx([BURST[order][n] for n in counts], rel=0.2)
    published = observed_orders([BURST[order][n] for n in counts])
    assert observed_orders(errors) == pytest.approx(published, abs=0.2)


def test_measured_fluxes_reach_the_tabulated_errors(run):
    """V6 (flux form): within 20 % of the table at N = 8 and 16, and the total is conserved."""
    for n_patch in (8, 16):
        solution = run("v06_flux", *changes(n_patch))
        assert solution.error == pytest.approx(FLUX[n_patch], rel=0.2)
        assert solution["u"][-1].mean() == pytest.approx(solution["u"][0].mean(), abs=1e-14)


@pytest.mark.slow
def test_measured_fluxes_keep_fourth_order(run):
    """V6 (flux form): orders within 0.2 of the table up to N = 32."""
    counts = (8, 16, 32)
    errors = [run("v06_flux", *changes(n)).error for n in counts]
    assert errors == pytest.approx([FLUX[n] for n in counts], rel=0.2)
    published = observed_orders([FLUX[n] for n in counts])
    assert observed_orders(errors) == pytest.approx(published, abs=0.2)


@pytest.mark.slow
def test_the_propagator_does_what_thousands_of_micro_steps_do(backend):
    """V6: the slope of one burst by RK4 steps and by the exact propagator of the rule."""
    grid = gp.PatchGrid(
        [(0.0, 1.0)], [8], dx=EPS / PERIOD, core=10 * EPS, buffer=16 * EPS, offset=-0.5
    )
    medium = {"kappa": 1.1 + np.sin(2 * np.pi * (np.arange(PERIOD) / PERIOD + 0.13))}
    problem = gp.Problem(lattice.get("heterogeneous_diffusion", 1), grid, {}, medium)
    burst = gp.Burst(8 * EPS**2, extrapolate=False)
    slopes = []
    for method in ("steps", "propagator"):
        scheme = gp.BurstScheme(problem, backend, burst, method=method)
        U = scheme.initial({"u": lambda x: 1 + np.sin(2 * np.pi * x)})
        slopes.append(scheme.slope(0.0, U))
    assert np.abs(slopes[0] - slopes[1]).max() < 1e-5 * np.abs(slopes[1]).max()

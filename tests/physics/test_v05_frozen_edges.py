"""V5: one patch of a heterogeneous medium with frozen edges, and the slopes measured in it."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.burst import BurstPlan
from gpupatch.lifting import taylor
from gpupatch.micro import lattice
from gpupatch.restriction import core_mean
from gpupatch.scheme.propagator import propagated_weights

PERIOD, POINTS = 1e-5, 20
CORE = 1e-4
DX = PERIOD / POINTS
TIMES = (1e-7, 1e-6, 5e-6)
ROUND_OFF = 1e-7
TABLE = {
    (0.0, 1e-3): ((-0.063, -0.118), (-0.731, -0.948), (-0.946, -1.0)),
    (0.0, 2e-3): ((-2.2e-4, -5.4e-4), (-0.273, -0.449), (-0.783, -0.975)),
    (0.0, 4e-3): ((5.2e-5, -1e-11), (-0.0178, -0.0346), (-0.347, -0.550)),
    (0.0, 8e-3): ((5.2e-5, -3e-12), (-2.5e-7, -1.1e-5), (-0.0338, -0.0646)),
    (1.0, 8e-3): ((5.2e-5, 7e-9), (-2.4e-4, -4.9e-4), (-0.132, -0.234)),
}


def effective(phase=0.0):
    """Harmonic mean of the conductivities on the faces of one period of the lattice."""
    y = (np.arange(POINTS) + 0.5) / POINTS + phase
    return 1 / np.mean(1 / (1.1 + np.sin(2 * np.pi * y)))


def patch(width, phase=0.0):
    """The grid and the micro-model of one patch of this width, centred at 0."""
    sites = round(width / DX) + 1
    grid = gp.PatchGrid([(-1.0, 1.0)], [1], sites=sites, dx=DX, core=CORE)
    medium = {"kappa": lambda x: 1.1 + np.sin(2 * np.pi * (x / PERIOD + phase))}
    rule = lattice.get("heterogeneous_diffusion", 1)
    return grid, gp.Problem(rule, grid, {}, medium).model()


def lifted(grid, G):
    """u = G x + x^2/2, [patch, field, site]."""
    return taylor(0.0, [G], [[1.0]], grid.site_offsets, grid.core_sites)[None, None]


def naive_and_healed(duration, n_steps):
    """Weights of (U(T) - U(0))/T and (U(T) - U(T/2))/(T/2)."""
    weights = np.zeros((n_steps + 1, 2))
    weights[[0, -1], 0] = -1 / duration, 1 / duration
    weights[[n_steps // 2, -1], 1] = -2 / duration, 2 / duration
    return weights


def errors_by_propagator(width, G):
    """Relative errors (naive, second half) of the rate at each of `TIMES`."""
    grid, model = patch(width)
    u, found = lifted(grid, G).ravel(), []
    for duration in TIMES:
        plan = BurstPlan("euler", duration / 2, 2, core_mean(grid), naive_and_healed(duration, 2))
        rows, constant = propagated_weights(model, plan)
        rates = rows[0, :, 0] @ u + constant[0, :, 0]
        found.append(tuple(rates / effective() - 1))
    return found


@pytest.mark.parametrize(("G", "width"), TABLE)
def test_edges_spoil_the_slope_as_tabulated(G, width):
    """V5: within 10 % of each tabulated error; errors below round-off only have to stay there."""
    for found, known in zip(errors_by_propagator(width, G), TABLE[G, width], strict=True):
        for error, value in zip(found, known, strict=True):
            if abs(value) < ROUND_OFF:
                assert abs(error) < ROUND_OFF
            else:
                assert error == pytest.approx(value, rel=0.1, abs=ROUND_OFF)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1e-3, 2e-3])
@pytest.mark.parametrize("duration", [1e-7, 1e-6])
def test_explicit_steps_agree_with_the_propagator(backend, width, duration):
    """V5: the same burst by micro-steps, for widths and durations that allow it."""
    grid, model = patch(width)
    n_steps = 2 * round(duration / (0.4 * DX**2 / 2.1) / 2)
    weights = naive_and_healed(duration, n_steps)
    plan = BurstPlan("euler", duration / n_steps, n_steps, core_mean(grid), weights)
    kernels = backend.load(model, "float64")
    rates = kernels.burst(kernels.pack(lifted(grid, 0.0)), plan, 0.0)[:, 0, 0]
    by_propagator = errors_by_propagator(width, 0.0)[TIMES.index(duration)]
    assert rates / effective() - 1 == pytest.approx(by_propagator, rel=0.01, abs=1e-5)


@pytest.mark.parametrize("buffer", [1e-3, 2e-3])
def test_no_buffer_cures_the_naive_slope(buffer):
    """F5: (U(T) - U(0))/T errs by 0.10 period^2/T whatever the buffer; the second half heals."""
    grid, model = patch(CORE + 2 * buffer, phase=0.13)
    u = lifted(grid, 0.7 * PERIOD).ravel()
    for periods in (0.5, 2.0, 8.0, 32.0):
        duration = periods * PERIOD**2
        weights = naive_and_healed(duration, 2)
        plan = BurstPlan("euler", duration / 2, 2, core_mean(grid), weights)
        rows, _ = propagated_weights(model, plan)
        naive, healed = rows[0, :, 0] @ u / effective(0.13) - 1
        assert abs(naive) * periods == pytest.approx(0.10, rel=0.1)
        assert abs(healed) < max(0.1 * np.exp(-20 * periods / 2), 1e-6)

"""Control of a wall or a parameter, uncertain parameters, and the past, against closed forms."""

import numpy as np
import pytest
import scipy.stats

import gpupatch as gp
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.errors import InputError
from gpupatch.micro.lattice import get

B = NumpyBackend()


@gp.rule(fields="u")
def growing(u, a, b, dx):
    """du/dt = u_xx + a u - b u^3."""
    return (u[1] - 2 * u[0] + u[-1]) / dx**2 + a * u[0] - b * u[0] ** 3


def ring(D=1.0):
    grid = gp.PatchGrid([(0.0, 2 * np.pi)], [8], 5, ratio=0.2)
    return gp.CoupledScheme(gp.Problem(get("diffusion", 1), grid, {"D": D}), B, order="spectral")


def rod():
    walls = [(gp.dirichlet(1.0), gp.dirichlet(0.0))]
    grid = gp.PatchGrid([(0.0, 1.0)], [6], 5, dx=0.02, boundary=walls)
    return gp.CoupledScheme(gp.Problem(get("diffusion", 1), grid, {"D": 1.0}), B)


def decay(scheme):
    """Decay rate per diffusivity of cos(x) on the lattice."""
    dx = scheme.grid.spacing[0]
    return 4 * np.sin(dx / 2) ** 2 / dx**2


def amplitude(U):
    x = (np.arange(U.shape[1]) + 0.5) * 2 * np.pi / U.shape[1]
    return float(U[0] @ np.cos(x)) * 2 / U.shape[1]


def test_a_wall_is_controlled_so_that_the_mean_of_a_steady_rod_is_as_wanted():
    found = gp.control(
        rod(), gp.Wall(0, "high"), "mean u", 2.0, (-5.0, 10.0), {"u": lambda x: 1 - x}
    )
    assert found.value == pytest.approx(3.0, abs=1e-6)
    assert found.sensitivity == pytest.approx(0.5, rel=1e-6)
    assert found.error == 0


def test_a_diffusivity_is_controlled_so_that_a_wave_decays_as_wanted():
    scheme = ring()
    found = gp.control(
        scheme, "D", amplitude, 0.3, (0.2, 4.0), {"u": lambda x: np.cos(x)}, over=0.5
    )
    assert found.value == pytest.approx(-np.log(0.3) / (decay(scheme) * 0.5), rel=1e-5)


def test_a_target_out_of_reach_and_a_wall_that_is_none_are_told():
    start = {"u": lambda x: np.cos(x)}
    with pytest.raises(InputError, match="Widen the bounds"):
        gp.control(ring(), "D", amplitude, 2.0, (0.2, 1.0), start, over=0.1)
    with pytest.raises(InputError, match="has no parameter `E`"):
        gp.control(ring(), "E", amplitude, 0.5, (0.2, 1.0), start, over=0.1)
    with pytest.raises(InputError, match="axis 0 has no walls"):
        gp.control(ring(), gp.Wall(), "mean u", 0.5, (0.2, 1.0), start, over=0.1)


def test_an_uncertain_diffusivity_gives_the_exact_mean_and_variance():
    """D uniform on [a, b]: E exp(-D k^2 t) = [exp(-a k^2 t) - exp(-b k^2 t)]/((b - a) k^2 t)."""
    scheme, a, b, t = ring(), 0.5, 1.5, 0.5
    found = gp.ensemble(
        scheme, {"u": lambda x: 2 + np.cos(x)}, t, {"D": scipy.stats.uniform(a, b - a)}
    )
    rate = decay(scheme) * t

    def moment(n):
        return (np.exp(-n * a * rate) - np.exp(-n * b * rate)) / (n * rate * (b - a))

    mean, std = found.moments(amplitude)
    assert mean[-1] == pytest.approx(moment(1), rel=1e-6)
    assert std[-1] == pytest.approx(np.sqrt(moment(2) - moment(1) ** 2), rel=1e-5)
    x = found.scheme.grid.centres[0][0]
    low = found.quantile(0.1)[-1, 0, 0]
    assert low == pytest.approx(2 + np.cos(x) * np.exp(-(b - 0.1) * rate), rel=1e-3)
    assert found.sensitivities(amplitude)["D"][-1] == pytest.approx(1.0)
    assert found.to_xarray()["u_mean"].sizes == {"time": 2, "x": 8}


def test_sensitivities_tell_which_parameter_matters():
    """For u' = a u with the amplitude exp((a - 1) t): a wide a and a b that does nothing."""
    grid = gp.PatchGrid([(0.0, 2 * np.pi)], [8], 5, ratio=0.2)
    problem = gp.Problem(growing, grid, {"a": 1.0, "b": 0.0})
    scheme = gp.CoupledScheme(problem, B)
    spread = {"a": scipy.stats.norm(1.0, 0.2), "b": scipy.stats.uniform(0, 1e-6)}
    found = gp.ensemble(scheme, {"u": lambda x: np.cos(x)}, 0.5, spread, nodes=4)
    shares = found.sensitivities(amplitude)
    assert shares["a"][-1] > 0.999
    assert shares["b"][-1] < 1e-3


@pytest.mark.parametrize(
    ("parameters", "nodes", "message"),
    [
        ({}, 4, "no parameter is uncertain"),
        ({"E": scipy.stats.uniform()}, 4, "has no parameter `E`"),
        ({"D": 2.0}, 4, "give a frozen one"),
        ({"D": scipy.stats.uniform(1)}, 10**5, "take 1 to"),
    ],
)
def test_wrong_uncertainties_are_told(parameters, nodes, message):
    with pytest.raises(InputError, match=message):
        gp.ensemble(ring(), {"u": 1.0}, 0.1, parameters, nodes=nodes)


def unstable(b):
    """A ring on which u = 0 is unstable: du/dt = u_xx + 2 u - b u^3."""
    grid = gp.PatchGrid([(0.0, 2 * np.pi)], [5], 5, ratio=0.2)
    problem = gp.Problem(growing, grid, {"a": 2.0, "b": b})
    return gp.CoupledScheme(problem, B, order="spectral", burst=gp.Burst(0.02))


def test_the_past_of_a_growing_wave_is_the_small_wave_that_it_grew_from():
    """du/dt = u_xx + 2 u: the amplitude of cos(x) was exp(-(2 - k^2) T) times as large."""
    scheme = unstable(0.0)
    past = gp.backward(scheme, {"u": lambda x: np.cos(x)}, 0.4, save=2)
    assert past.times == pytest.approx([0.0, -0.4])
    shrunk = amplitude(past.coarse[-1]) / amplitude(past.coarse[0])
    assert shrunk == pytest.approx(np.exp(-0.4 * (2 - decay(scheme))), rel=1e-4)
    assert past.to_xarray()["u"].dims == ("time", "x")


def test_the_unstable_manifold_leads_back_to_where_a_state_came_from():
    scheme, start = unstable(1.0), {"u": lambda x: 0.2 * np.cos(x)}
    run = gp.simulate(scheme, start, 0.4, save=2)
    first, last = run.coarse[0][0], run.coarse[-1][0]
    past = gp.backward(scheme, last, 0.4, save=2)
    assert np.abs(last).max() > 1.3 * np.abs(first).max()
    assert past.coarse[-1] == pytest.approx(first, abs=0.005 * np.abs(first).max())


def test_heat_cannot_be_run_backwards_for_long():
    start = {"u": lambda x: np.cos(x) + 0.1 * np.cos(3 * x)}
    with pytest.raises(InputError, match="the past explodes"):
        gp.backward(ring(), start, 50.0, tolerance=1e-3)
    with pytest.raises(InputError, match="`duration` is -1"):
        gp.backward(ring(), start, -1.0)
    with pytest.raises(InputError, match="`save` is 1"):
        gp.backward(ring(), start, 1.0, save=1)

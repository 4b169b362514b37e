"""Waves on a staggered lattice, healthy and with one assumption violated."""

import numpy as np
import pytest
from lattice_problems import NUMPY, RING

import gpupatch as gp
from gpupatch.diagnostics.coupled_variations import CoupledVariations
from gpupatch.diagnostics.staggered import filled
from gpupatch.micro import lattice

RISING = {"h": np.sin, "u": np.cos}


@gp.rule(fields="h u", coefficients="depth", at={"h": "even", "u": "odd"})
def over_ground(h, u, depth, dx):
    """Long waves over uneven ground: h_t = -(depth u)_x, u_t = -h_x."""
    return -(depth[1] * u[1] - depth[-1] * u[-1]) / (2 * dx), -(h[1] - h[-1]) / (2 * dx)


def waves(order=4, dt=None, rule=None, **medium):
    grid = gp.PatchGrid(RING, [12], sites=7, ratio=0.25)
    parameters = {} if rule else {"g": 1.0, "depth": 1.0}
    problem = gp.Problem(rule or lattice.get("staggered_wave", 1), grid, parameters, medium)
    return gp.CoupledScheme(problem, NUMPY, order, "staggered", dt=dt)


@pytest.mark.parametrize("order", [4, "spectral"])
def test_healthy_waves_raise_nothing(order):
    found = gp.diagnose(waves(order), RISING, span=6.0)
    assert found.raised == ()
    assert {"D1", "D1'", "D2", "D8", "D11"} <= {
        one.id for one in found.findings if one.measured is not None
    }


def test_waves_that_have_moved_raise_nothing():
    """Fields keep their first values where they do not live; they must not be taken for waves."""
    scheme = waves()
    u = scheme.initial(RISING)
    dt = scheme.stable_dt(u, 0.0)
    U = scheme.coarse(scheme.advance(u, 0.0, dt, round(1.3 / dt)))
    assert np.abs(U - CoupledVariations(scheme)._known(U)).max() > 0.5
    assert gp.diagnose(scheme, U, span=6.0).raised == ()


def test_values_where_a_field_does_not_live_do_not_matter():
    scheme = waves()
    U = scheme.coarse(scheme.initial(RISING))
    full = filled(U, scheme.grid, scheme.problem.rule.parity, scheme.names)
    np.testing.assert_allclose(full, U, atol=1e-12)
    spoilt = U.copy()
    spoilt[:, 0, 0::2] = spoilt[:, 1, 1::2] = 7.0
    again = filled(spoilt, scheme.grid, scheme.problem.rule.parity, scheme.names)
    np.testing.assert_allclose(again, U, atol=1e-12)


@pytest.mark.parametrize(
    ("height", "waves_of_ground", "raised"), [(0.02, 1, ()), (0.6, 5, ("D2",))]
)
def test_ground_of_which_a_patch_sees_too_little_is_told(height, waves_of_ground, raised):
    """Patches are .5 H wide, the shorter waves of the ground 2.4 H long."""

    def depth(x):
        return 1 + height * np.cos(waves_of_ground * x)

    found = gp.diagnose(waves(rule=over_ground, depth=depth), RISING, span=6.0, only=["D2"])
    assert found.raised == raised
    assert bool(found["D2"].advice) == bool(raised)


@pytest.mark.parametrize(("times", "raised"), [(1.0, ()), (2.0, ("D8",))])
def test_micro_steps_beyond_stability_are_raised(times, raised):
    plain = waves()
    dt = times * plain.stable_dt(plain.initial(RISING), 0.0)
    assert gp.diagnose(waves(dt=dt), RISING, only=["D8"]).raised == raised

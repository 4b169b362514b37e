"""Burgers' equation on patches against the solution of Cole and Hopf (V8)."""

import numpy as np
import pytest

N_PATCHES = (12, 24, 48)
TABULATED = {
    2: [1.38e-1, 4.44e-2, 1.04e-2],
    4: [7.3e-2, 1.22e-2, 8.3e-4],
    6: [4.7e-2, 5.1e-3, 1.05e-4],
}
ORDER_REACHED = {2: 1.9, 4: 3.6, 6: 5.2}


@pytest.mark.parametrize("order", TABULATED)
def test_errors_at_the_shock_are_those_of_the_table(run, order):
    """V8: 25 %, and the order of the coupling once the shock spans some patches."""
    changes = f"scheme.order={order}"
    found = np.array([run("v08_burgers", f"grid.patches={n}", changes).error for n in N_PATCHES])
    np.testing.assert_allclose(found, TABULATED[order], rtol=0.25)
    assert np.log2(found[1] / found[2]) > ORDER_REACHED[order]


def test_patches_take_the_tabulated_values_of_cole_and_hopf(run):
    """V8: u at x = 0.1, 0.3, 0.5, 0.7, 0.9, patches centred there."""
    solution = run("v08_burgers", "grid.patches=40", "grid.offset=0.5", "scheme.order=8")
    last = solution.to_xarray()["u"].isel(time=-1)
    values = last.sel(x=[0.1, 0.3, 0.5, 0.7, 0.9], method="nearest")
    expected = [-0.5721295203, -0.7261410445, -0.5598807656, -0.3463147233, -0.1168864411]
    np.testing.assert_allclose(values, expected, rtol=0, atol=2e-4)


@pytest.mark.slow
def test_the_shock_is_as_steep_as_tabulated(run):
    """V8 at nu = 0.01/pi: largest |u_x(0)| = 152.005, reached at t = 1.6037/pi; 0.5 %."""
    solution = run("v08_burgers_shock")
    dx = solution.layout.attrs["spacing"][0]
    centre = solution.to_xarray()["u_micro"].sel(x=0.0, method="nearest").values
    steepness = np.abs(centre[:, 3] - centre[:, 1]) / (2 * dx)
    assert steepness.max() == pytest.approx(152.005, rel=5e-3)
    assert solution.times[np.argmax(steepness)] == pytest.approx(1.6037 / np.pi, abs=0.01)

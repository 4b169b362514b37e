"""exp(sin x + cos y) spreading on patches of the plane: tabulated errors and orders (V1c)."""

import numpy as np
import pytest

N_PATCHES = (8, 16, 32)
STEPPED = {2: [1.63e-1, 3.92e-2, 9.70e-3], 4: [4.43e-2, 3.10e-3, 2.03e-4]}
LEAPT = {
    2: [1.80e-1, 4.07e-2, 9.79e-3],
    4: [6.34e-2, 4.53e-3, 2.94e-4],
    "spectral": [2.21e-2, 1.43e-3, 9.04e-5],
}


@pytest.fixture
def error(run):
    def error(case, n_patch, order):
        H = 2 * np.pi / n_patch
        dx = 0.15 * H
        changes = [f"grid.patches={n_patch}", f'scheme.order="{order}"', f"constants.H={H}"]
        if order != "spectral":
            changes[1] = f"scheme.order={order}"
        if case == "v01c_heat_2d_leaps":
            changes += [
                f"time.step={0.3 * H**2}",
                f"time.dt={0.2 * dx**2}",
                f"burst.length={24 * 0.2 * dx**2}",
            ]
        return run(case, *changes).error

    return error


@pytest.mark.slow
@pytest.mark.parametrize("order", STEPPED)
def test_errors_of_stepped_patches_are_those_of_the_table(error, order):
    """V1c: 3 %, and the order of the coupling."""
    found = np.array([error("v01c_heat_2d", n, order) for n in N_PATCHES])
    np.testing.assert_allclose(found, STEPPED[order], rtol=0.03)
    assert np.log2(found[1] / found[2]) > order - 0.1


@pytest.mark.slow
def test_spectral_patches_leave_the_error_of_aliasing(error):
    """V1c: 4.8e-4 with 8 patches, 1.8e-11 with 16."""
    assert error("v01c_heat_2d", 8, "spectral") == pytest.approx(4.8e-4, rel=0.03)
    assert error("v01c_heat_2d", 16, "spectral") < 1.8e-11


@pytest.mark.slow
@pytest.mark.parametrize("order", LEAPT)
def test_errors_of_leapt_patches_are_those_of_the_table(error, order):
    """V1c: projective RK4 with H^2 leaps, 20 %, and the order of the coupling or of RK4."""
    found = np.array([error("v01c_heat_2d_leaps", n, order) for n in N_PATCHES])
    np.testing.assert_allclose(found, LEAPT[order], rtol=0.2)
    assert np.log2(found[1] / found[2]) > min(4, 4 if order == "spectral" else order) - 0.2

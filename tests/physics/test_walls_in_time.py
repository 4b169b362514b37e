"""Walls that change in time: the error of the gaps alone, judged by the whole lattice."""

import numpy as np
import pytest

VALUE = "exp(-t)*sin({0} + 0.3) + 0.5*exp(-4*t)*sin(2*{0} + 1)"
SLOPE = "exp(-t)*cos({0} + 0.3) + exp(-4*t)*cos(2*{0} + 1)"
LOW_VALUE, HIGH_VALUE = VALUE.format("0"), VALUE.format("pi")
LOW_SLOPE, HIGH_SLOPE = SLOPE.format("0"), SLOPE.format("pi")
LOW = {
    "dirichlet": f'dirichlet="{LOW_VALUE}"',
    "neumann": f'neumann="-({LOW_SLOPE})"',
    "robin": f'robin=[1.0, 0.5, "{LOW_VALUE} - 0.5*({LOW_SLOPE})"]',
}
HIGH = {
    "dirichlet": f'dirichlet="{HIGH_VALUE}"',
    "neumann": f'neumann="{HIGH_SLOPE}"',
    "robin": f'robin=[2.0, 0.3, "2*({HIGH_VALUE}) + 0.3*({HIGH_SLOPE})"]',
}


@pytest.fixture
def observed_order(run):
    def observed_order(wall, order, counts, backend):
        errors = [
            run(
                "walls_heat",
                f"grid.boundary=[{{lo={{{LOW[wall]}}}, hi={{{HIGH[wall]}}}}}]",
                f"grid.patches={n}",
                f"grid.dx={np.pi / (3 * (n - 1) + 2)}",
                f"scheme.order={order}",
                f"run.backend={backend}",
            ).error
            for n in counts
        ]
        return np.log2(errors[-2] / errors[-1])

    return observed_order


@pytest.mark.parametrize("wall", LOW)
def test_walls_in_time_keep_fourth_order(observed_order, wall):
    assert observed_order(wall, 4, (16, 32), "numpy") > 3.8


@pytest.mark.slow
@pytest.mark.parametrize("wall", LOW)
def test_walls_in_time_keep_second_order(observed_order, wall):
    assert observed_order(wall, 2, (64, 128), "auto") > 1.85

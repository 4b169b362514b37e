"""The runs of the Equation-Free Toolbox as case files, from the file to the result."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gpupatch.files.case import load_case
from gpupatch.run import run_case

AGREES = 1e-10
TESTS = Path(__file__).parent.parent
RUNS = {
    "burgers1d_final": ("burgers1d",),
    "homogenisation1d_final": ("homogenisation1d",),
    "cubic2d_final": ("cubic2d",),
    "wave2d_final": ("wave2d",),
    "damped_wave1d_final": ("damped_wave1d",),
    "forced1d_equispaced_4_final": ("forced1d",),
    "forced1d_equispaced_spectral_final": ("forced1d", 'scheme.order="spectral"'),
    "forced1d_chebyshev_4_final": ("forced1d", 'grid.positions="chebyshev"'),
    "forced1d_chebyshev_spectral_final": (
        "forced1d", 'grid.positions="chebyshev"', 'scheme.order="spectral"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("published", RUNS)
def test_case_ends_in_the_field_of_the_equation_free_toolbox(published, tmp_path):
    name, *changes = RUNS[published]
    case = load_case(TESTS / "cases" / f"peer_{name}.toml", changes)
    result = run_case(case, tmp_path / "run", backend="numba", trust=True, quiet=True)
    assert result.exit_code == 0
    with np.load(TESTS / "data" / "peer_fields.npz", allow_pickle=False) as arrays:
        expected = arrays[published]
    with xr.open_dataset(tmp_path / "run" / "solution.nc") as solution:
        fields = [solution[f"{field}_micro"][-1].values for field in case.initial]
    found = np.stack([u.reshape(-1, *expected.shape[2:]) for u in fields], axis=1)
    given = np.isfinite(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected)[given].max() < AGREES

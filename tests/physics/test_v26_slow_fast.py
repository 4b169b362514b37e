"""V26: leaping over the noise of a fast variable."""

import numpy as np
import pytest

from gpupatch.files.case import load_case
from gpupatch.run import run_case

SIGMAS = 3.5


@pytest.mark.slow
def test_the_slow_mean_decays_at_the_averaged_rate(tmp_path, cases):
    """V26: x = x0 exp(-1.25 t) within 3.5 standard errors of eight members."""
    case = load_case(cases / "v26_slow_fast.toml")
    solution = run_case(case, tmp_path / "run", trust=True, quiet=True).solution
    assert solution is not None
    final = solution["a"][-1, :, 0]
    error = final.mean() - np.exp(-1.25)
    standard_error = final.std(ddof=1) / np.sqrt(len(final))
    assert standard_error < 1e-3
    assert abs(error) < SIGMAS * standard_error
    assert abs(final.mean() - np.exp(-1.0)) > 10 * standard_error

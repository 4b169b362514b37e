"""How far a result is from the truth, counted in its own standard errors."""

import numpy as np
import pytest

from gpupatch.files.accuracy import accuracy, standard_error


def test_the_error_of_one_run_is_its_largest_difference():
    coarse, exact = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
    coarse[1, 0, 2], coarse[0, 1, 1] = -0.5, 0.25
    assert accuracy(("u", "v"), coarse, exact) == {"error": {"u": 0.5, "v": 0.25}}


def test_replicas_that_scatter_about_the_truth_are_one_standard_error_away():
    """The mean square of (mean - exact)/(standard error) over N patches is 1 +- sqrt(2/N)."""
    patches, replicas = 2000, 12
    draws = np.random.default_rng(5).normal(3.0, 0.2, size=(2 * replicas, 1, patches))
    entries = accuracy(("u",), draws, np.full_like(draws, 3.0), replicas=replicas)
    assert entries["replicas"] == replicas
    assert entries["standard_error"]["u"] == pytest.approx(0.2 / np.sqrt(replicas), rel=0.03)
    spread = 3.5 * np.sqrt(2 / (2 * patches) * (1 + 1 / (replicas - 1)))
    assert entries["error_in_standard_errors"]["u"] ** 2 == pytest.approx(1, abs=spread)


def test_a_bias_of_the_mean_is_counted_in_its_standard_error():
    draws = np.stack([np.full((1, 4), 1.0), np.full((1, 4), 3.0)])
    entries = accuracy(("u",), draws, np.full_like(draws, 5.0), replicas=2)
    assert entries["error"]["u"] == 3.0
    assert entries["error_in_standard_errors"]["u"] == pytest.approx(3.0)


def test_a_known_standard_error_needs_no_replicas():
    coarse = np.ones((1, 1, 4))
    entries = accuracy(("p",), coarse, coarse + 0.3, np.full_like(coarse, 0.1))
    assert entries["error_in_standard_errors"]["p"] == pytest.approx(3.0)
    assert standard_error(coarse) is None


def test_states_without_noise_have_no_error_in_standard_errors():
    draws = np.ones((4, 1, 3))
    assert "error_in_standard_errors" not in accuracy(("u",), draws, draws, replicas=4)

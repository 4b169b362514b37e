"""Coupled steps on a device: recordings, launches and clocks, with the kernels run on the CPU."""

import numpy as np
import pytest
from problems import problem, rounding
from test_parity import shaken

from gpupatch.backends import _cuda_coupled
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.micro import lattice

NOW = 0.3


def advanced(kernels, given, *calls, stepper="euler"):
    u, t = kernels.pack(given.u), NOW
    for dt, n_steps in calls:
        kernels.advance(given.coupling, u, t, dt, n_steps, stepper, first=5)
        t += n_steps * dt
    return kernels.unpack(u)


@pytest.fixture
def short_recordings(monkeypatch):
    monkeypatch.setattr(_cuda_coupled, "RECORDED", 4)


@pytest.mark.usefixtures("short_recordings")
@pytest.mark.parametrize(
    ("rule", "walls", "stepper"),
    [
        (lattice.get("diffusion", 1), "moving", "euler"),
        (lattice.get("burgers", 1), None, "rk4"),
        (shaken, None, "euler"),
    ],
    ids=["moving walls", "four stages", "noise"],
)
def test_recorded_steps_are_the_steps_of_the_reference(host, rule, walls, stepper):
    given = problem(rule, walls=walls, patches=8)
    calls = [(given.dt, 11), (given.dt / 2, 8), (given.dt, 3)]
    expected = advanced(NumpyBackend().load(given.model, "float64"), given, *calls, stepper=stepper)
    found = advanced(host.load(given.model, "float64"), given, *calls, stepper=stepper)
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding(given, "float64", 22))


@pytest.mark.usefixtures("short_recordings")
def test_a_recording_gives_the_bits_of_single_steps(host, monkeypatch):
    given = problem(lattice.get("gray_scott", 2))
    recorded = advanced(host.load(given.model, "float64"), given, (given.dt, 10))
    monkeypatch.setattr(_cuda_coupled, "RECORDED", 1000)
    np.testing.assert_array_equal(
        recorded, advanced(host.load(given.model, "float64"), given, (given.dt, 10))
    )


@pytest.mark.usefixtures("short_recordings")
def test_steps_are_recorded_once_for_all_times_and_step_lengths(host, monkeypatch):
    given = problem(lattice.get("diffusion", 1), walls="moving")
    kernels, recordings = host.load(given.model, "float64"), []
    record = type(host.device).record

    def counted(device, work):
        recordings.append(work)
        return record(device, work)

    monkeypatch.setattr(type(host.device), "record", counted)
    advanced(kernels, given, (given.dt, 9), (given.dt / 3, 8), (given.dt, 5))
    assert len(recordings) == 1


def test_boundary_values_are_computed_in_stretches(host, monkeypatch):
    given = problem(lattice.get("diffusion", 2), walls="leaky")
    whole = advanced(host.load(given.model, "float64"), given, (given.dt, 9))
    monkeypatch.setattr(_cuda_coupled, "_TABLE_ENTRIES", 1)
    np.testing.assert_array_equal(
        whole, advanced(host.load(given.model, "float64"), given, (given.dt, 9))
    )


@pytest.mark.parametrize(("stepper", "stages"), [("euler", 1), ("rk4", 4)])
def test_a_coupling_takes_two_launches(host, stepper, stages):
    given = problem(lattice.get("diffusion", 3), walls="still")
    kernels = host.load(given.model, "float64")
    advanced(kernels, given, (given.dt, 7), stepper=stepper)
    launched = kernels.batch.launched
    assert launched["couple"] == 7 * stages + 1
    assert launched["pass_all"] == 7 * stages
    assert sum(launched.values()) == 14 * stages + 1 + len(["begin_all", "tick", "end_all"])

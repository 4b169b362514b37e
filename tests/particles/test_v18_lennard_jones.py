"""Energy, virial and tail of the Lennard-Jones reference configuration (V18)."""

from pathlib import Path

import numpy as np
import pytest

from gpupatch.backends.select import get_backend
from gpupatch.particles.dynamics import Newton
from gpupatch.particles.interaction import Pair
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import Neighbours, ParticleModel
from gpupatch.particles.state import make_state

CONFIGURATION = Path(__file__).parents[1] / "data" / "nist_lj_config4.xyz"
PUBLISHED = {3.0: (-16.7903213046259, -46.2491967463, -0.5451660015),
             4.0: (-17.0604532203, -47.8688281911, -0.2300783928)}  # fmt: skip
"""Cutoff: potential energy, sum of r.F, energy beyond the cutoff."""


def read_configuration():
    lines = CONFIGURATION.read_text(encoding="ascii").splitlines()
    n, box = int(lines[0]), [float(word) for word in lines[1].split()[1:]]
    rows = [[float(word) for word in line.split()[1:]] for line in lines[2 : 2 + n]]
    return np.array(rows).T[None], np.array(box)


def fluid(cutoff, search="all"):
    pair = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, cutoff)
    return ParticleModel(3, Newton(), pair, neighbours=Neighbours(search))


def energy_and_virial(backend, cutoff, search="all"):
    x, box = read_configuration()
    kernels = backend.load_particles(fluid(cutoff, search), "float64")
    seen = kernels.measure(kernels.pack(make_state(x, box)), ("potential", "virial"))[0]
    return seen[0], np.trace(seen[1:].reshape(3, 3))


@pytest.mark.parametrize("cutoff", PUBLISHED)
def test_the_definition_gives_the_published_energy_and_virial(cutoff):
    """V18."""
    backend = get_backend("numpy")[0]
    energy, virial, _ = PUBLISHED[cutoff]
    assert energy_and_virial(backend, cutoff) == pytest.approx((energy, virial), abs=1e-10)


@pytest.mark.parametrize("cutoff", [3.0, pytest.param(4.0, marks=pytest.mark.slow)])
def test_every_backend_gives_the_published_energy_and_virial(backend, cutoff):
    """V18."""
    if not hasattr(backend, "load_particles"):
        pytest.skip(f"the backend `{backend.name}` runs no particles")
    energy, virial, _ = PUBLISHED[cutoff]
    assert energy_and_virial(backend, cutoff) == pytest.approx((energy, virial), abs=1e-10)


def test_the_energy_beyond_the_cutoff_is_the_published_one():
    """V18: N times the tail of a particle."""
    for cutoff, (_, _, published) in PUBLISHED.items():
        pair = fluid(cutoff).pair
        assert pair is not None
        energy, pressure = pair.tail(30 / 8.0**3, ndim=3)
        assert 30 * energy == pytest.approx(published, abs=1e-10)
        closed = 16 * np.pi * (30 / 512) ** 2 / 3 * (2 / 3 * cutoff**-9 - cutoff**-3)
        assert pressure == pytest.approx(closed, rel=1e-10)

"""Engines by name, and states from which rounding is not amplified."""

import numpy as np
import pytest

from gpupatch.engines.select import get_engine
from gpupatch.errors import BackendError
from gpupatch.particles.state import make_state


@pytest.fixture(params=["lammps", "openmm"])
def engine(request):
    """Every engine that is installed, or the reason why it cannot be tested."""
    with _installed(request.param) as one:
        yield one


@pytest.fixture
def lammps():
    with _installed("lammps") as one:
        yield one


@pytest.fixture
def openmm():
    with _installed("openmm") as one:
        yield one


def _installed(name):
    try:
        return get_engine(name)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def shaken():
    """Makes patches of a lattice at rest, every particle off its place by a little."""

    def make(sides, spacing=1.1, n_patch=2, shake=0.05, seed=0, boundary=None, **given):
        axes = [np.arange(n) * spacing for n in sides]
        lattice = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(len(sides), -1)
        box = np.array(sides) * spacing
        if boundary is not None:
            closed = np.array([b == "periodic" for b in boundary])
            lattice += np.where(closed, 0.0, (spacing - box) / 2)[:, None]
        noise = np.random.default_rng(seed).uniform(-shake, shake, (n_patch, *lattice.shape))
        return make_state(lattice + noise, box, **given)

    return make

"""Cases of particles: what `[particles]` means, and how every mistake in it is told."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpupatch import memory
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.errors import CaseError, InputError
from gpupatch.files.case import parse_case
from gpupatch.files.energy import energy
from gpupatch.files.particles import Particles
from gpupatch.files.toml import dump_toml, read_toml, set_entry
from gpupatch.particles import library
from gpupatch.particles.potential import potential
from gpupatch.run import build
from gpupatch.scheme.boxes import BoxScheme
from gpupatch.scheme.chain_flux import ChainFluxScheme
from gpupatch.scheme.particle_burst import ParticleBurstScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme

COLLOIDS = """
title = "colloids"
[particles]
dynamics = "brownian"
temperature = 1.0
pair = { potential = "gaussian", epsilon = 0.1, sigma = 1.0, cutoff = 5.0 }
[grid]
domain = [[0.0, 100.0]]
patches = 5
core = 2.0
buffer = 4.0
[burst]
length = 0.05
dt = 0.01
[initial]
density = "2 + sin(2*pi*x/100)"
[time]
end = 1.0
projection = "euler"
step = 0.5
"""
RODS = """
[particles]
dynamics = "hard_rods"
length = 1.0
temperature = 1.0
[grid]
domain = [[0.0, 100.0]]
patches = 5
core = 2.0
buffer = 4.0
[burst]
length = 0.05
[initial]
density = 0.4
[time]
end = 1.0
projection = "euler"
step = 0.5
"""
FLUID = """
[particles]
dynamics = "langevin"
dimensions = 3
number = 108
temperature = 0.85
density = 0.8
pair = { potential = "lennard_jones", epsilon = 1.0, sigma = 1.0, cutoff = 2.3, tail = true }
[grid]
domain = [[0.0, 1.0]]
patches = 2
[scheme]
kind = "box"
[initial]
density = "0.7 + 0.1*x"
[time]
end = 1.0
dt = 0.005
"""
CHAIN = """
[particles]
dynamics = "velocity_flips"
number = 32
bonds = { potential = "spring", k = 1.0 }
field = { potential = "pinned", k = 1.0 }
[grid]
domain = [[0.0, 1000.0]]
patches = 5
core = 8.0
buffer = 12.0
[burst]
length = 5.0
dt = 0.1
[initial]
energy = "2 + sin(2*pi*x/1000)"
[time]
end = 1000.0
projection = "euler"
step = 500.0
"""


def table(text: str = COLLOIDS, *overrides: str):
    found = read_toml(text, "case.toml")
    for assignment in overrides:
        set_entry(found, assignment)
    return found


def case(text: str = COLLOIDS, *overrides: str):
    return parse_case(table(text, *overrides))


def scheme(text: str = COLLOIDS, *overrides: str) -> Any:
    return build(case(text, *overrides), NumpyBackend()).scheme


def mistakes(text: str, *overrides: str) -> list[str]:
    with pytest.raises(CaseError) as caught:
        case(text, *overrides)
    return str(caught.value).splitlines()[1:]


@pytest.mark.parametrize("text", [COLLOIDS, RODS, FLUID, CHAIN])
def test_a_case_of_particles_survives_being_written_and_read(text):
    found = case(text)
    assert parse_case(read_toml(dump_toml(found.resolved()), "again")) == found


def test_particles_leap_with_fluxes_unless_something_else_is_said():
    assert case().scheme.kind == "flux"
    assert case(COLLOIDS, "scheme.lift=stochastic").scheme.kind == "flux"
    assert case(COLLOIDS, "scheme.kind=burst", "scheme.kernel=cos2").scheme.kind == "burst"


def test_every_kind_of_scheme_is_built_from_its_sections():
    flux = scheme(COLLOIDS, "scheme.tolerance=0.1", "burst.replicas=2", "run.replicas=3")
    assert isinstance(flux, ParticleFluxScheme)
    assert flux.problem.width == pytest.approx((10.0,))
    assert (flux.problem.core_width, flux.replicas, flux.n_members) == (2.0, 3, 3)
    assert isinstance(scheme(COLLOIDS, "scheme.kind=burst"), ParticleBurstScheme)
    boxes = scheme(FLUID)
    assert isinstance(boxes, BoxScheme)
    assert boxes.names == ("energy", "pressure")
    assert boxes.problem.model.ndim == 3
    chain = scheme(CHAIN)
    assert isinstance(chain, ChainFluxScheme)
    assert (chain.length, chain.stiffness, chain.pinning) == pytest.approx((32, 1.0, 1.0))


def test_swept_controls_make_members_with_replicas_last():
    found = scheme(COLLOIDS, "members.temperature=[1.0,2.0]", "run.replicas=2")
    assert [row["temperature"] for row in found.member_values] == [1.0, 1.0, 2.0, 2.0]


def test_a_formula_means_what_the_library_means():
    """-V'(r)/r of the formula and of the declared potential, both differentiated symbolically."""
    model = scheme(
        COLLOIDS, "constants.A=2.0",
        'particles.pair={ energy = "A*exp(-kappa*r)/r", kappa = 1.5, cutoff = 4.0 }',
    ).problem.model  # fmt: skip
    r, numbers = np.linspace(0.5, 4, 9), {"A": 2.0, "kappa": 1.5}
    assert model.pair is not None
    found = model.pair.potential
    np.testing.assert_allclose(
        found.values(found.derivative, r, numbers),
        library.yukawa.values(library.yukawa.derivative, r, numbers),
        rtol=1e-14,
    )


def test_the_conditions_of_a_formula_are_traced():
    found = potential(energy("where(r < d, A/2*(1 - r/d)**2, 0)", ("r", "A", "d"), "pair"))
    r = np.linspace(0.1, 2, 20)
    np.testing.assert_array_equal(found(r, A=3.0, d=1.0), library.soft(r, A=3.0, diameter=1.0))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("__import__('os')", "the character `'` has no meaning"),
        ("r.real", "this is not allowed in a formula"),
        ("A*exp(-r", "not a formula"),
        ("A*erf(r)", "unknown function `erf`"),
        ("A*q", "unknown name `q`"),
        ("A*(r == 1)", "this operator is not allowed"),
    ],
)
def test_an_energy_is_parsed_by_a_whitelist(text, told):
    (found, *_) = mistakes(COLLOIDS, f'particles.pair={{ energy = "{text}", A = 1, cutoff = 2 }}')
    assert "particles.pair.energy: " in found
    assert told in found


@pytest.mark.parametrize(
    ("text", "override", "told"),
    [
        (COLLOIDS, "particles.dynamics=browian", "Did you mean 'brownian'?"),
        (COLLOIDS, "particles.temprature=1", "Did you mean `temperature`?"),
        (COLLOIDS, "particles.friction=1", "no effect with dynamics = 'brownian'; it is for lang"),
        (COLLOIDS, "particles.temperature=", "imposed on every patch, but has no value"),
        (
            COLLOIDS,
            "particles.dynamics=hard_rods",
            "length: dynamics = 'hard_rods' needs",
        ),
        (COLLOIDS, "particles.pair.potential=gausian", "Did you mean `gaussian`?"),
        (COLLOIDS, "particles.pair.sigm=1", "Did you mean `sigma`?"),
        (COLLOIDS, "particles.pair.sigma=", "`gaussian` needs it"),
        (COLLOIDS, "particles.pair.cutoff=", "particles.pair.cutoff: this key is needed"),
        (COLLOIDS, "particles.pair.cutoff=-1", "greater than 0"),
        (COLLOIDS, "particles.pair.energy=r", "both are given"),
        (COLLOIDS, "particles.pair.potential=", "neither is given"),
        (COLLOIDS, "particles.pair.potential=mine.txt:f", 'must be "file.py:name"'),
        (COLLOIDS, "particles.pair.truncation=shifed", "Did you mean 'shifted'?"),
        (COLLOIDS, "particles.angles.potential=wormlike", "particles.angles.kappa"),
        (COLLOIDS, "particles.neighbours.serch=all", "Did you mean `search`?"),
        (COLLOIDS, "particles.number=100", "elsewhere it follows from the density"),
        (COLLOIDS, "particles.masses=[]", "particles.masses: found []; it must have at least 1"),
        (COLLOIDS, "grid.core=13", "patches, 21 wide with their buffers, would overlap"),
        (RODS, "grid.domain=[[0, 100], [0, 100]]", "which live on a line only"),
        (RODS, 'particles.field="x"', "hard rods only collide"),
        (FLUID, "scheme.measure=presure", "Did you mean `pressure`?"),
        (COLLOIDS, "model.name=diffusion", "both are given"),
        (COLLOIDS, "grid.sites=9", "grid.sites: this has no effect with particles"),
        (COLLOIDS, "grid.ratio=0.1", "grid.ratio: this has no effect with particles"),
        (COLLOIDS, "grid.core=", "grid.core: patches of particles need it"),
        (COLLOIDS, "scheme.kind=coupled", "particles are run with 'flux', 'burst'"),
        (COLLOIDS, "scheme.lift=polynomial", "with particles it must be 'low_noise' or"),
        (COLLOIDS, "scheme.couple=edgy", "no effect with particles; it is for coupled of lattices"),
        (COLLOIDS, "scheme.settle=3", "no effect with kind = 'flux'; it is for box"),
        (COLLOIDS, "burst.dt=", "particles that interact need it"),
        (COLLOIDS, "burst.slope=lsq", "no effect with particles"),
        (COLLOIDS, "time.micro=euler", "time.micro: this has no effect with particles"),
        (COLLOIDS, "time.projection=none", "leaps with one of"),
        (COLLOIDS, "initial.desnity=1", "Did you mean `density`?"),
        (COLLOIDS, "members.mobility=[1,2]", "have no such control. Known: temperature"),
        (COLLOIDS, "output.patches=true", "patches of particles have no sites"),
        (COLLOIDS, "compare.full_domain=true", "this is for lattices"),
        (COLLOIDS, "coefficients.k=1", "use `particles.field`"),
        (FLUID, "particles.number=", "boxes and chains need it"),
        (FLUID, "particles.number=1000000000", "less than or equal to 1000000"),
        (FLUID, "particles.number=0.5", "whole number"),
        (FLUID, "particles.dimensions=4", "1, 2 or 3"),
        (FLUID, "grid.core=0.1", "no effect with kind = 'box'"),
        (FLUID, "time.dt=", "time.dt: kind = 'box' needs it"),
        (FLUID, "burst.length=1", "which never leaps"),
        (COLLOIDS, "time.dt=0.1", "give `burst.dt`"),
        (FLUID, "time.projection=euler", "a box is run without leaps"),
        (FLUID, "initial.velocity=1", "there is no such field"),
        (FLUID, "output.fields=[pressur]", "is not TOML"),
        (FLUID, 'output.fields=["pressur"]', "Did you mean `pressure`?"),
        (FLUID, "scheme.kind=box_flux", "fluxes in boxes are driven by sheared or heat_driven"),
        (CHAIN, "particles.bonds.topology=star", "'chain' or 'ring'"),
        (CHAIN, "initial={ density = 1.0 }", "initial.energy: this field is needed"),
    ],
)
def test_a_mistake_is_told_with_its_path_and_the_nearest_name(text, override, told):
    with pytest.raises(CaseError, match=re.escape(told)):
        case(text, override)


def test_all_mistakes_are_listed_together():
    found = mistakes(COLLOIDS, "particles.friction=1", "grid.sites=9", "particles.pair.sigm=1")
    assert len(found) == 3


def test_a_case_without_a_micro_simulator_says_so():
    with pytest.raises(CaseError, match=r"exactly one of \[model\] and \[particles\]"):
        parse_case({name: one for name, one in table().items() if name != "particles"})


@pytest.mark.parametrize(
    "override",
    [
        'initial.density="1e12"',
        "burst.replicas=100000000",
        "grid={ domain = [[0, 1e11]], patches = 1000000000, core = 2, buffer = 4 }",
    ],
)
def test_runs_that_no_memory_holds_are_refused_before_anything_is_made(override, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 8 * 10**9)
    with pytest.raises(InputError, match="of memory would be needed, but 8 GB are free"):
        scheme(COLLOIDS, override)


@pytest.mark.parametrize(
    ("text", "override"),
    [(COLLOIDS, "initial.density=x - 50"), (CHAIN, "initial.energy=-1"),
     (FLUID, "initial.density=x - 0.5")],
)  # fmt: skip
def test_a_negative_density_or_energy_is_refused_with_its_place(text, override):
    with pytest.raises(CaseError, match=r"at x = \(.*\); particles need one that is nowhere neg"):
        scheme(text, override)


def test_a_potential_of_ones_own_is_read_once_it_is_trusted(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import gpupatch as gp\n\n@gp.potential\ndef hill(r, A):\n    return A * gp.exp(-r)\n"
    )
    one = table(COLLOIDS, 'particles.pair={ potential = "mine.py:hill", A = 2.0, cutoff = 3.0 }')
    found = parse_case(one, "mine", tmp_path)
    with pytest.raises(CaseError, match="--trust"):
        build(found, NumpyBackend())
    model = build(found, NumpyBackend(), trust=True).scheme.problem.model  # type: ignore[attr-defined]
    assert model.pair.potential.name == "hill"


KEYS = st.sampled_from([*Particles.model_fields, "epsilon", "kappa"])
SCALARS = st.one_of(st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=6
)


@given(st.dictionaries(KEYS, VALUES))
def test_any_particles_are_a_case_or_a_case_error(found):
    whole = table(FLUID)
    try:
        parse_case({**whole, "particles": {**whole["particles"], **found}})
    except CaseError as error:
        assert "mistake" in str(error)  # noqa: PT017

"""What a case says reaches LAMMPS and OpenMM as numbers and formulas only, never as commands."""

import re

import numpy as np
import pytest
import sympy as sp

import gpupatch as gp
from gpupatch.engines import _lammps_commands as words
from gpupatch.engines._lepton import lepton
from gpupatch.engines.engine import Patch
from gpupatch.errors import GpupatchError
from gpupatch.files.case import parse_case
from gpupatch.particles.dynamics import Newton, Rescaled
from gpupatch.particles.interaction import Bonds, Pair, chain
from gpupatch.particles.model import Neighbours, ParticleModel
from gpupatch.run.build_particles import make_model

KNOWN = {
    "units", "dimension", "boundary", "atom_style", "atom_modify", "newton", "region", "create_box",
    "mass", "pair_style", "pair_coeff", "pair_modify", "neighbor", "neigh_modify", "fix",
    "thermo_style", "thermo", "thermo_modify", "special_bonds", "comm_modify", "bond_style",
    "bond_coeff", "create_bonds", "angle_style", "angle_coeff", "compute_modify",
}  # fmt: skip
LINE = re.compile(r'[A-Za-z0-9_ .,+\-*/^()<>"]*')
FORMULA = re.compile(r"[A-Za-z0-9_ .,+\-*/^()]*")
HOSTILE = [
    "\nshell touch it_ran", '"\nshell touch it_ran\n"', "; shell touch it_ran", "${HOME}", "$(1+1)",
    "v_x", "' shell touch it_ran", "1\rshell touch it_ran", "& \nshell touch it_ran", "#", '"""',
    "\u2028shell touch it_ran", "A\0", "python it_ran here", "`touch it_ran`",
]  # fmt: skip
PATCH = Patch(
    np.array([[0.5, 1.5, 2.5]]), np.zeros((1, 3)), np.zeros(3, np.int32), np.array([8.0]),
    np.array([1.0]),
)  # fmt: skip


def said(model):
    """Every command that LAMMPS would be given."""
    return [*words.before_particles(model, PATCH), *words.after_particles(model, PATCH)]


def assert_harmless(commands):
    for line in commands:
        assert LINE.fullmatch(line), line
        assert line.split()[0] in KNOWN, line
        assert line.count('"') in (0, 2), line


def case_of(**pair):
    given = {"energy": "A*exp(-kappa*r)", "A": 0.1, "kappa": 1.0, "cutoff": 3.0, **pair}
    return {
        "particles": {"dynamics": "newton", "boundary": "periodic", "pair": given},
        "grid": {"domain": [[0.0, 64.0]], "patches": 4, "core": 4.0, "buffer": 4.0},
        "scheme": {"kind": "flux", "diffusivity": 1.0},
        "burst": {"length": 1.0, "dt": 0.1},
        "initial": {"density": 1.0},
        "time": {"end": 10.0, "projection": "euler", "step": 5.0},
    }


def places(text):
    """The pair of a case with a text in every place that takes one."""
    yield {"energy": f"A*exp(-kappa*r){text}"}
    yield {"energy": text}
    yield {"potential": text, "energy": None}
    yield {"truncation": text}
    yield {"A": text}
    yield {f"A{text}": 1.0}
    yield {f"A{text}": 1.0, "energy": f"A{text}*exp(-r)"}
    yield {"cutoff": text}


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_a_case_are_refused_or_become_formulas(text):
    for changed in places(text):
        table = case_of(**changed)
        table["particles"]["pair"] = {
            k: v for k, v in table["particles"]["pair"].items() if v is not None
        }
        try:
            case = parse_case(table)
            assert case.particles is not None
            model = make_model(case, case.particles, False)
        except GpupatchError:
            continue
        assert_harmless(said(model))


def test_a_case_without_tricks_is_translated():
    """The refusals above are not those of a case that is wrong anyway."""
    table = case_of()
    table["particles"] = {"dynamics": "brownian", "temperature": 1.0,
                          "pair": table["particles"]["pair"]}  # fmt: skip
    case = parse_case(table)
    assert case.particles is not None
    commands = said(make_model(case, case.particles, False))
    assert_harmless(commands)
    assert any(line.startswith("pair_coeff * * ") and "exp" in line for line in commands)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_given_in_python_do_not_reach_the_commands(text):
    def energy(r, strength):
        return strength * gp.exp(-r)

    energy.__name__ = energy.__qualname__ = text
    energy.__doc__ = text
    pair = Pair(gp.potential(energy), {"strength": 1.0}, 2.5)
    bonds = Bonds(gp.potential(energy), {"strength": 1.0}, chain(3))
    assert_harmless(said(ParticleModel(1, Newton(), pair, bonds)))


class Liar(float):
    """A number that says something else when it is written."""

    def __repr__(self):
        return '1.0\nshell touch it_ran"'

    __str__ = __repr__

    def __format__(self, spec):
        return repr(self)


def test_numbers_that_lie_about_themselves_are_written_as_numbers():
    def energy(r, strength):
        return strength * gp.exp(-r)

    lie = Liar(2.5)
    pair = Pair(gp.potential(energy), {"strength": lie}, lie)
    model = ParticleModel(
        1, Rescaled(), pair, Bonds(gp.potential(energy), {"strength": lie}, chain(3)),
        neighbours=Neighbours(skin=lie),
    )  # fmt: skip
    assert_harmless(said(model))


@pytest.mark.parametrize("text", HOSTILE)
def test_formulas_for_openmm_hold_no_definitions(text):
    """Lepton reads "f; x = ..." as a formula with definitions: a semicolon never gets there."""
    r, other = sp.Symbol("r", real=True), sp.Symbol("strength", real=True)
    formula = lepton(other * sp.exp(-r) + sp.Abs(r) ** 3, {"strength": Liar(2.0)})
    assert FORMULA.fullmatch(formula)
    if not text.isidentifier():
        with pytest.raises(GpupatchError, match="name of a variable"):
            lepton(sp.Symbol(text, real=True) * r, {})

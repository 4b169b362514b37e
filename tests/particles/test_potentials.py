"""Potentials: what is lowered is the function and its derivative, cut off as promised."""

import math

import numpy as np
import pytest
import sympy as sp

import gpupatch as gp
from gpupatch.errors import RuleError
from gpupatch.micro.printers import ArrayPrinter, ScalarPrinter
from gpupatch.particles import library
from gpupatch.particles.potential import CUTOFF, SQUARE, TRUNCATIONS, radial_form

PARAMETERS = {
    "lennard_jones": {"epsilon": 1.3, "sigma": 0.9},
    "wca": {"epsilon": 1.3, "sigma": 1.4},
    "yukawa": {"A": 2.0, "kappa": 1.7},
    "morse": {"depth": 1.5, "alpha": 2.2, "r0": 1.2},
    "gaussian": {"epsilon": 2.0, "sigma": 0.7},
    "soft": {"A": 25.0, "diameter": 1.6},
    "harmonic": {"k": 30.0, "r0": 1.1},
    "spring": {"k": 3.0},
    "fene": {"k": 30.0, "extent": 2.6},
}
DISTANCES = np.array([0.83, 0.95, 1.12, 1.37, 1.55, 1.81, 2.2])
RC = 2.4
SMOOTH = 1e-10


def slope(V, r, h=2e-3):
    """V'(r) to sixth order in h."""
    weights = ((1, 45), (2, -9), (3, 1))
    return sum(w * (V(r + k * h) - V(r - k * h)) for k, w in weights) / (60 * h)


def run(form, table, r, printer, names):
    """V and g = -V'/r from the printed statements."""
    known = dict(zip(form.scalars, table[0].tolist(), strict=True)) | names
    known[SQUARE] = r * r
    statements, V, g = form.both
    for symbol, expression in statements:
        known[symbol] = eval(printer(sp.sympify(expression)), known)
    return eval(printer(sp.sympify(V)), known), eval(printer(sp.sympify(g)), known)


def cut(potential, truncation, parameters, r):
    """The energy inside the cutoff, written by hand."""
    V = lambda r: potential(r, **parameters)  # noqa: E731
    shift = 0 if truncation == "truncated" else V(RC)
    tilt = slope(V, RC) if truncation == "force-shifted" else 0
    return V(r) - shift - (r - RC) * tilt


def test_the_library_is_complete():
    assert set(PARAMETERS) == set(library.POTENTIALS)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("name", PARAMETERS)
def test_lowered_energy_and_force_are_the_function_and_its_derivative(name, truncation):
    potential, parameters = library.get(name), PARAMETERS[name]
    pair = gp.Pair(potential, parameters, RC, truncation)
    V = cut(potential, truncation, parameters, DISTANCES)
    g = -slope(lambda r: cut(potential, truncation, parameters, r), DISTANCES) / DISTANCES
    scale = np.abs(V).max(), np.abs(g).max()
    arrays = run(pair.form, pair.table, DISTANCES, ArrayPrinter(), {"np": np})
    scalars = np.array(
        [
            run(pair.form, pair.table, r, ScalarPrinter(), {"math": math, "T": float})
            for r in DISTANCES.tolist()
        ]
    ).T
    for found in (arrays, scalars):
        np.testing.assert_allclose(found[0], V, rtol=0, atol=SMOOTH * scale[0])
        np.testing.assert_allclose(found[1], g, rtol=0, atol=1e-9 * scale[1])


def test_the_force_alone_is_the_force_beside_the_energy():
    pair = gp.Pair(library.lennard_jones, PARAMETERS["lennard_jones"], RC)
    known = dict(zip(pair.form.scalars, pair.table[0], strict=True)) | {SQUARE: DISTANCES**2}
    statements, g = pair.form.force
    for symbol, expression in statements:
        known[symbol] = eval(ArrayPrinter()(sp.sympify(expression)), known | {"np": np})
    alone = eval(ArrayPrinter()(g), known | {"np": np})
    beside = run(pair.form, pair.table, DISTANCES, ArrayPrinter(), {"np": np})[1]
    np.testing.assert_allclose(alone, beside, rtol=1e-13)


@pytest.mark.parametrize("name", ["lennard_jones", "gaussian", "spring", "fene"])
def test_potentials_of_even_powers_take_no_root(name):
    statements, V, g = radial_form(library.get(name).expression).both
    powers = [p for e in [*(e for _, e in statements), V, g] for p in sp.sympify(e).atoms(sp.Pow)]
    assert not any(p.exp == sp.Rational(1, 2) for p in powers)


def test_the_minimum_of_lennard_jones_is_at_the_sixth_root_of_two():
    lj = library.lennard_jones
    r0 = 2 ** (1 / 6) * 0.9
    assert lj(r0, epsilon=1.3, sigma=0.9) == pytest.approx(-1.3, abs=1e-14)
    assert lj.values(lj.derivative, r0, PARAMETERS["lennard_jones"]) == pytest.approx(0, abs=1e-12)


def test_wca_is_lennard_jones_lifted_to_zero_at_its_minimum():
    inside = np.array([0.8, 1.0, 1.1])
    lifted = library.lennard_jones(inside, epsilon=2.0, sigma=1.0) + 2.0
    np.testing.assert_allclose(library.wca(inside, epsilon=2.0, sigma=1.0), lifted, rtol=1e-14)
    assert library.wca(1.1225, epsilon=2.0, sigma=1.0) == 0


@pytest.mark.parametrize("name", ["lennard_jones", "yukawa", "morse", "gaussian"])
def test_shifts_make_energy_and_force_vanish_at_the_cutoff(name):
    potential = library.get(name)
    values = PARAMETERS[name] | {CUTOFF: RC}
    r = sp.Symbol("r", real=True)
    at_cutoff = {
        truncation: [
            float(potential.values(expression, RC, values))
            for expression in (potential.truncated(truncation),
                               sp.diff(potential.truncated(truncation), r))
        ]
        for truncation in TRUNCATIONS
    }  # fmt: skip
    assert abs(at_cutoff["truncated"][0]) > 1e-6
    assert at_cutoff["shifted"][0] == pytest.approx(0, abs=1e-15)
    assert at_cutoff["shifted"][1] == pytest.approx(at_cutoff["truncated"][1], rel=1e-14)
    assert at_cutoff["force-shifted"] == pytest.approx([0, 0], abs=1e-15)


@pytest.mark.parametrize("rc", [2.0, 2.5, 4.0])
def test_tails_of_lennard_jones_have_their_closed_forms(rc):
    density, e, s = 0.7, 1.3, 0.9
    pair = gp.Pair(library.lennard_jones, {"epsilon": e, "sigma": s}, rc)
    q = s / rc
    solid = (
        8 / 3 * np.pi * density * e * s**3 * (q**9 / 3 - q**3),
        16 / 3 * np.pi * density**2 * e * s**3 * (2 * q**9 / 3 - q**3),
    )
    plane = (
        4 * np.pi * density * e * s**2 * (q**10 / 10 - q**4 / 4),
        2 * np.pi * density**2 * e * s**2 * (1.2 * q**10 - 1.5 * q**4),
    )
    assert pair.tail(density, 3) == pytest.approx(solid, rel=1e-10)
    assert pair.tail(density, 2) == pytest.approx(plane, rel=1e-10)


def test_a_tail_without_finite_integral_is_refused():
    with pytest.raises(RuleError, match="`spring` has no finite integral"):
        gp.Pair(library.spring, {"k": 1.0}, 1.0).tail(0.5, 3)


def test_tails_are_for_one_type():
    pair = gp.Pair(library.yukawa, {"A": [1.0, 2.0], "kappa": 1.0}, 1.0)
    with pytest.raises(RuleError, match="for one type"):
        pair.tail(0.5, 3)


def test_a_potential_of_the_user_is_as_good_as_one_of_the_library():
    @gp.potential
    def buckingham(r, A, rho, C):
        return A * gp.exp(-r / rho) - C / r**6

    values = {"A": 40.0, "rho": 0.4, "C": 1.5}
    pair = gp.Pair(buckingham, values, RC)
    V, g = run(pair.form, pair.table, DISTANCES, ArrayPrinter(), {"np": np})
    np.testing.assert_allclose(V, buckingham(DISTANCES, **values), rtol=1e-12)
    np.testing.assert_allclose(
        -g * DISTANCES, slope(lambda r: buckingham(r, **values), DISTANCES), rtol=1e-8
    )


def test_a_condition_in_python_is_refused_with_its_line():
    def stepped(r, A):
        return A if r < 1 else 0.0

    with pytest.raises(RuleError, match=r"gp\.where(.|\n)*return A if r < 1 else 0\.0"):
        gp.potential(stepped)


def test_the_first_argument_of_a_potential_is_the_distance():
    with pytest.raises(RuleError, match="must be the distance `r`"):
        gp.potential(lambda x, k: k * x)
    with pytest.raises(RuleError, match="name of the cutoff"):
        gp.potential(lambda r, r_cut: r_cut * r)


def test_unknown_names_are_met_with_a_suggestion():
    with pytest.raises(RuleError, match="Did you mean `lennard_jones`"):
        library.get("lenard_jones")
    with pytest.raises(RuleError, match="Did you mean `force-shifted`"):
        library.yukawa.truncated("force_shifted")

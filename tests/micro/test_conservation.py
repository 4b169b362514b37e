"""Conservation form: fluxes written down, and fluxes found again in plain rates."""

import numpy as np
import pytest
import sympy as sp

import gpupatch as gp
from gpupatch.errors import RuleError
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.micro.conservation import flux_form
from gpupatch.micro.model import SOURCE
from gpupatch.scheme import Problem

ROUNDOFF = 1e-10
PARAMETERS = {name: 0.3 + 0.1 * k for k, name in enumerate(
    ["D", "nu", "c", "cx", "cy", "r", "a", "Du", "Dv", "F", "k", "b", "d", "epsilon", "a0", "a1",
     "g", "depth"])}  # fmt: skip
SECOND_ORDER = ("wave", "elastic_rod")
LIBRARY = [
    lattice.get(name, ndim)
    for name in lattice.names()
    if name not in (*SECOND_ORDER, "staggered_wave")
    for ndim in (1, 2, 3)
    if ndim in {rule.ndim for rule in lattice._LIBRARY[name]}
]


def bound(rule, edges=1, **parameters):
    """A rule on a few patches with a random medium and distinct spacings."""
    spacing = (0.11, 0.13, 0.17)[: rule.ndim]
    grid = PatchGrid(
        [(0.0, 10.0)] * rule.ndim, [2] * rule.ndim, [7 + 2 * edges] * rule.ndim, dx=spacing,
        edges=edges,
    )  # fmt: skip
    rng = np.random.default_rng(1)

    def medium(*x):
        return rng.uniform(1, 2, size=np.broadcast_shapes(*(np.shape(one) for one in x)))

    known = {**PARAMETERS, **parameters}
    return Problem(
        rule,
        grid,
        {name: known[name] for name in rule.parameters},
        dict.fromkeys(rule.coefficients, medium),
    ).model()


def assert_rate_is_the_divergence_of_the_flux(model):
    """Rate = - sum_a (J_a[0] - J_a[-1]) / dx_a + source, on random states."""
    u = np.random.default_rng(2).uniform(0.5, 1.5, size=model.shape)
    inside = (slice(None), slice(None), *model.inside)
    total = model.measure(u, 0.4, SOURCE)[inside]
    for axis, dx in enumerate(model.spacing):
        flux = model.measure(u, 0.4, axis)
        behind = np.roll(flux, 1, axis=2 + axis)
        total = total - (flux - behind)[inside] / dx
    rate = model.rate(u, 0.4)[inside]
    np.testing.assert_allclose(total, rate, rtol=0, atol=ROUNDOFF * np.abs(rate).max())


@pytest.mark.parametrize("rule", LIBRARY, ids=lambda rule: rule.name)
def test_telescoped_fluxes_of_the_library_add_up_to_the_rate(rule):
    assert_rate_is_the_divergence_of_the_flux(bound(rule))


@pytest.mark.parametrize(
    ("name", "ndim", "expected"),
    [
        ("diffusion", 1, "-D*(f_u_p1 - f_u_p0)/dx"),
        ("heterogeneous_diffusion", 1, "-c_kappa_f0_p0*(f_u_p1 - f_u_p0)/dx"),
        ("burgers", 1, "(f_u_p0**2 + f_u_p1**2)/4 - nu*(f_u_p1 - f_u_p0)/dx"),
        ("porous_medium", 1, "-(f_u_p1**2 - f_u_p0**2)/dx"),
        ("fisher_kpp", 1, "-D*(f_u_p1 - f_u_p0)/dx"),
    ],
)
def test_found_fluxes_are_the_familiar_ones(name, ndim, expected):
    rule = lattice.get(name, ndim)
    (flux,), _ = flux_form(rule)
    symbols = {str(s): s for s in flux[0].free_symbols}
    assert sp.simplify(flux[0] - sp.parse_expr(expected, local_dict=symbols)) == 0


def test_reactions_are_left_as_sources():
    _, (source,) = flux_form(lattice.get("fisher_kpp", 1))
    u, r = sp.Symbol("f_u_p0", real=True), sp.Symbol("r", real=True)
    assert sp.simplify(source - r * u * (1 - u)) == 0


@pytest.mark.parametrize("name", ["diffusion", "burgers", "porous_medium", "shallow_water"])
def test_conservation_laws_have_no_source(name):
    _, sources = flux_form(lattice.get(name, 1))
    assert all(source == 0 for source in sources)


def test_wide_stencils_are_telescoped_through_several_faces():
    @gp.rule(fields="u")
    def wide(u, nu, dx):
        return -nu * (u[2] - 4 * u[1] + 6 * u[0] - 4 * u[-1] + u[-2]) / dx**4

    assert_rate_is_the_divergence_of_the_flux(bound(wide, edges=2))


def test_stencils_with_corners_are_telescoped_along_both_axes():
    @gp.rule(fields="u")
    def corners(u, D, dx, dy):
        mixed = u[1, 1] - u[1, -1] - u[-1, 1] + u[-1, -1]
        return D * (u[1, 0] - 2 * u[0, 0] + u[-1, 0]) / dx**2 + mixed / (4 * dx * dy)

    assert_rate_is_the_divergence_of_the_flux(bound(corners))


def test_a_flux_rule_measures_what_it_returns():
    @gp.flux_rule(fields="u", coefficients="kappa")
    def law(u, kappa, c, dx, dy, x, t):
        flux_x = -kappa[0.5, 0] * (u[1, 0] - u[0, 0]) / dx + c * x * t
        flux_y = u[0, 0] * u[0, 1]
        return flux_x, flux_y, u[0, 0] * x

    assert_rate_is_the_divergence_of_the_flux(bound(law))


def test_fluxes_along_an_axis_may_read_across_it():
    """Full tensors: each flux reads sites beyond the window on which the other is measured."""

    @gp.flux_rule(fields="u")
    def tensor(u, D, dx, dy):
        slope_y = (u[0, 1] + u[1, 1] - u[0, -1] - u[1, -1]) / (4 * dy)
        slope_x = (u[1, 0] + u[1, 1] - u[-1, 0] - u[-1, 1]) / (4 * dx)
        return (
            -(u[1, 0] - u[0, 0]) / dx - D * slope_y,
            -(u[0, 1] - u[0, 0]) / dy - D * slope_x,
        )

    assert tensor.reach == (1, 1)
    assert_rate_is_the_divergence_of_the_flux(bound(tensor))


def test_a_flux_rule_and_its_plain_rule_have_the_same_fluxes():
    @gp.flux_rule(fields="u")
    def law(u, nu, dx):
        return (u[0] ** 2 + u[1] ** 2) / 4 - nu * (u[1] - u[0]) / dx

    (written,), _ = flux_form(law)
    (found,), _ = flux_form(lattice.get("burgers", 1))
    assert sp.simplify(written[0] - found[0]) == 0


def not_conserved(u, dx):
    return u[0] ** 2 * (u[1] - u[-1]) / dx


def varying_factor(u, dx, x):
    return x * (u[1] - u[-1]) / dx


def varying_nonlinear(u, dx, x):
    return (x + dx) * u[1] ** 2 - x * u[0] ** 2


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (not_conserved, r"the terms in u\[0\] \* u\[1\] do not cancel"),
        (varying_factor, r"the terms in u\[-?1\] have a factor that varies in space"),
        (varying_nonlinear, r"the terms in u\[1\] have a factor that varies in space"),
    ],
)
def test_rates_that_are_no_flux_difference_are_refused_with_the_term(function, named):
    """Factors that vary in space do not telescope, even where their sum vanishes."""
    rule = gp.rule(fields="u")(function)
    with pytest.raises(RuleError, match=named) as refusal:
        flux_form(rule)
    assert "@gp.flux_rule" in str(refusal.value)


def test_factors_that_vary_in_space_may_multiply_a_source():
    @gp.rule(fields="u")
    def heated(u, D, dx, x):
        return D * (u[1] - 2 * u[0] + u[-1]) / dx**2 + gp.sin(x) - x * u[0]

    assert_rate_is_the_divergence_of_the_flux(bound(heated))


def test_the_total_over_a_closed_lattice_changes_by_the_sources_alone():
    rule = lattice.get("burgers", 1)
    model = bound(rule)
    u = np.random.default_rng(3).normal(size=model.shape)
    u[:, :, 0], u[:, :, -1] = u[:, :, -2], u[:, :, 1]
    np.testing.assert_allclose(model.rate(u, 0.0).sum(axis=2), 0, atol=1e-9)

"""Media: profiles, cells and random fields sampled on patches."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.errors import RuleError, SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.micro import lattice
from gpupatch.micro.coefficients import Cell, Lognormal, Places, Profile, as_coefficient
from gpupatch.scheme import CoupledScheme, Problem

EXACT = 1e-12


def places(face=-1, phase=(0, 0), sites=(5, 6), parameters=None):
    origin = np.array([[0.0, 0.0], [1.0, 10.0]])
    return Places(origin, sites, (0.1, 0.2), face, phase, parameters or {})


@pytest.mark.parametrize(("face", "shift"), [(-1, (0, 0)), (0, (0.5, 0)), (1, (0, 0.5))])
def test_profiles_are_sampled_at_sites_or_between_them(face, shift):
    found = Profile(lambda x, y: x + 100 * y).sample(places(face))
    x = 1 + 0.1 * (np.arange(5) + shift[0])
    y = 10 + 0.2 * (np.arange(6) + shift[1])
    np.testing.assert_allclose(found[1], np.add.outer(x, 100 * y), rtol=EXACT)


def test_phases_shift_the_medium_by_whole_sites():
    profile = Profile(lambda x, y: np.sin(x) * y)
    shifted = profile.sample(places(phase=(2, 1)))
    np.testing.assert_allclose(shifted[:, :-2, :-1], profile.sample(places())[:, 2:, 1:])


def test_profiles_may_use_parameters_of_the_member():
    found = Profile(lambda x, y, depth: depth + 0 * x, ("depth",)).sample(
        places(parameters={"depth": 7.0})
    )
    np.testing.assert_array_equal(found, 7.0)


def test_cells_are_tiled_from_the_first_site_of_every_patch():
    found = Cell(np.arange(6.0).reshape(2, 3)).sample(places())
    assert found.shape == (1, 5, 6)
    np.testing.assert_array_equal(found[0, :, 0], [0, 3, 0, 3, 0])
    np.testing.assert_array_equal(found[0, 0], [0, 1, 2, 0, 1, 2])


def test_cells_shift_with_the_phase():
    found = Cell([1.0, 2.0, 3.0], axis=0).sample(places(phase=(1, 0)))
    np.testing.assert_array_equal(found[0, :, 0], [2, 3, 1, 2, 3])


def test_layers_vary_along_one_axis_only():
    cell = Cell([1.0, 2.0, 3.0], axis=1)
    assert cell.period(2) == (1, 3)
    found = cell.sample(places())
    np.testing.assert_array_equal(found[0], np.tile([1, 2, 3, 1, 2, 3], (5, 1)))


def test_cells_may_differ_on_the_faces_of_each_axis():
    cell = Cell({0: np.ones((1, 1)), 1: np.full((1, 1), 2.0)})
    np.testing.assert_array_equal(cell.sample(places(0)), 1)
    np.testing.assert_array_equal(cell.sample(places(1)), 2)
    with pytest.raises(RuleError, match=r"faces of axes \[0, 1\], but .* axis -1"):
        cell.sample(places(-1))


def test_cells_of_the_wrong_dimension_are_refused():
    with pytest.raises(RuleError, match=r"shape \(3,\) was given for 2 axes.*which `axis`"):
        Cell([1.0, 2.0, 3.0]).sample(places())


def test_a_random_medium_is_the_same_wherever_patches_are_put():
    medium = Lognormal(0.5, seed=3)
    here = medium.sample(Places(np.array([[0.0]]), (40,), (0.1,), 0, (0,)))
    there = medium.sample(Places(np.array([[1.0]]), (30,), (0.1,), 0, (0,)))
    np.testing.assert_array_equal(here[0, 10:], there[0])


def test_random_media_have_the_median_and_spread_asked_for():
    values = Lognormal(0.7, seed=1, median=3.0).sample(
        Places(np.zeros((1, 2)), (300, 300), (0.1, 0.1), -1, (0, 0))
    )
    logs = np.log(values / 3.0)
    n = logs.size
    assert abs(logs.mean()) < 3.5 * 0.7 / np.sqrt(n)
    assert abs(logs.std() / 0.7 - 1) < 3.5 / np.sqrt(2 * n)
    correlation = np.mean(logs[0, 1:] * logs[0, :-1]) / 0.49
    assert abs(correlation) < 3.5 / np.sqrt(n)


def test_seeds_and_faces_make_independent_random_media():
    def sample(seed, face):
        return Lognormal(0.5, seed).sample(Places(np.zeros((1, 1)), (50,), (0.1,), face, (0,)))

    assert not np.any(sample(1, 0) == sample(2, 0))
    assert not np.any(sample(1, 0) == sample(1, -1))
    np.testing.assert_array_equal(sample(1, 0), sample(1, 0))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (2.5, 2.5),
        (np.float32(2.5), 2.5),
        (lambda x, y: 2.5, 2.5),
        (np.full((1, 1), 2.5), 2.5),
        ([[2.5]], 2.5),
        ({-1: [[2.5]]}, 2.5),
    ],
    ids=["number", "numpy number", "function", "array", "list", "mapping"],
)
def test_coefficients_may_be_written_in_many_ways(given, expected):
    sampled = as_coefficient(given).sample(places())
    np.testing.assert_array_equal(np.broadcast_to(sampled, (2, 5, 6)), expected)


@pytest.mark.parametrize("given", [None, object()])
def test_what_is_no_coefficient_is_refused(given):
    with pytest.raises(RuleError, match="use a function of position, an array"):
        as_coefficient(given)


def conduction(ndim=1, coefficients=None, **more):
    sites = more.pop("sites", 11)
    grid = PatchGrid([(0.0, 1.0)] * ndim, [5] * ndim, sites, dx=0.01, **more)
    return Problem(lattice.get("heterogeneous_diffusion", ndim), grid, {}, coefficients or {})


def test_missing_and_stray_coefficients_are_refused_by_name():
    with pytest.raises(SchemeError, match="needs the coefficient `kappa`"):
        conduction()
    with pytest.raises(SchemeError, match=r"no coefficient `kapa`.*Did you mean `kappa`"):
        conduction(coefficients={"kapa": 1.0})
    with pytest.raises(SchemeError, match=r"no coefficient `kappa`\. It has none"):
        Problem(
            lattice.get("diffusion", 1), conduction(coefficients={"kappa": 1.0}).grid, {"D": 1.0},
            {"kappa": 1.0},
        )  # fmt: skip


def test_patches_share_a_medium_that_repeats_and_hold_their_own_where_it_does_not():
    assert (
        len(
            conduction(coefficients={"kappa": [1.0, 2.0, 3.0, 4.0, 5.0]})
            .model(phases=(1,))
            .coefficients
        )
        == 1
    )
    assert (
        len(conduction(coefficients={"kappa": lambda x: 1 + x}).model(phases=(1,)).coefficients)
        == 5
    )


@pytest.mark.parametrize(
    ("sites", "edgy", "core", "phases", "warned"),
    [
        (11, False, None, (1,), False),
        (13, False, None, (1,), True),
        (7, True, None, (1,), False),
        (8, True, None, (1,), True),
        (8, True, None, (5,), False),
        (13, False, 0.1, (1,), False),
        (13, False, 0.1, None, False),
        (11, False, None, None, True),
    ],
)
def test_media_that_would_not_be_averaged_over_whole_periods_are_warned_of(
    sites, edgy, core, phases, warned
):
    """Period 5 against the half-width (centre), the width (edgy) or, in bursts, the core."""

    def make():
        return conduction(
            coefficients={"kappa": np.arange(1.0, 6)}, sites=sites, edgy=edgy, core=core
        ).model(phases=phases)

    if warned:
        with pytest.warns(UserWarning, match="`kappa` repeats every 5 sites along axis 0"):
            make()
    else:
        make()


def test_an_ensemble_of_phases_multiplies_the_members():
    problem = conduction(coefficients={"kappa": np.arange(1.0, 6)}, sites=7, edgy=True)
    model = problem.model(phases=(5,))
    first = model.coefficients.reshape(5, 5, 7)[:, 0, 0]
    assert model.n_members == 5
    np.testing.assert_array_equal(first, [1, 2, 3, 4, 5])


def test_members_may_have_media_of_their_own():
    grid = PatchGrid([(0.0, 1.0)], [3], 5, dx=0.01)
    medium = Profile(lambda x, contrast: contrast + 0 * x, ("contrast",))
    problem = Problem(
        lattice.get("heterogeneous_diffusion", 1), grid, {}, {"kappa": medium},
        {"contrast": [1.0, 5.0]},
    )  # fmt: skip
    coefficients = problem.model().coefficients
    np.testing.assert_array_equal(coefficients[:, 0, 0], [1, 1, 1, 5, 5, 5])
    assert problem.member_values == [{"contrast": 1.0}, {"contrast": 5.0}]


def test_random_media_on_patches_are_cut_from_one_lattice():
    """Two neighbouring patches of different sizes that cover the same site see the same medium."""
    rule = lattice.get("heterogeneous_diffusion", 2)

    def kappa(sites):
        grid = PatchGrid([(0.0, 1.0)] * 2, [4, 4], sites, dx=0.01, offset=-0.5)
        return Problem(rule, grid, {}, {"kappa": gp.Lognormal(0.4)}).model().coefficients

    small, large = kappa(5), kappa(9)
    np.testing.assert_array_equal(small, large[:, :, 2:-2, 2:-2])


def test_a_medium_sampled_between_sites_drives_the_scheme():
    """The steady flux through layers in series is the harmonic mean."""
    cell = np.array([1.0, 4.0])
    grid = PatchGrid([(0.0, 2 * np.pi)], [8], 9, ratio=0.1)
    problem = Problem(lattice.get("heterogeneous_diffusion", 1), grid, {}, {"kappa": cell})
    rates = CoupledScheme(problem, NumpyBackend(), "spectral").eigenvalues(3)
    assert rates[1].real == pytest.approx(-1.6, rel=1e-3)

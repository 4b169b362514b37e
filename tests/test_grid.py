"""Patch grids: where patches, sites, cores and faces are, and what is refused."""

import numpy as np
import pytest

from gpupatch.errors import GridError
from gpupatch.grid import Face, PatchGrid, dirichlet, neumann, robin

EXACT = 1e-12
UNIT = [(0.0, 1.0)]
WALLS = (dirichlet(), neumann())


def bounded(**more):
    return PatchGrid(UNIT, [5], **({"sites": 7, "dx": 0.01, "boundary": [WALLS]} | more))


@pytest.mark.parametrize("offset", [-0.5, 0.0, 0.2])
def test_periodic_patches_are_equally_spaced_and_shifted_by_the_offset(offset):
    grid = PatchGrid([(-1.0, 3.0)], [8], sites=5, ratio=0.1, offset=offset)
    np.testing.assert_allclose(grid.centres[0], -1 + (np.arange(8) + 0.5 + offset) / 2, atol=EXACT)
    assert grid.gap == (0.5,)


def test_outermost_sites_of_a_bounded_axis_lie_on_the_faces():
    grid = bounded(positions="equispaced")
    first, last = grid.origins()[0, 0], grid.origins()[-1, 0] + 2 * grid.half_width[0]
    np.testing.assert_allclose([first, last], [0, 1], atol=EXACT)
    np.testing.assert_allclose(np.diff(grid.centres[0]), grid.gap[0], atol=EXACT)


def test_chebyshev_patches_crowd_towards_both_faces():
    grid = PatchGrid(UNIT, [12], sites=5, dx=2e-3, boundary=[WALLS], positions="chebyshev")
    gaps = np.diff(grid.centres[0])
    np.testing.assert_allclose(gaps, gaps[::-1], atol=EXACT)
    assert gaps[0] < gaps[1] < gaps[5]
    assert gaps[0] >= 2 * 2e-3 - EXACT


def test_chebyshev_patches_next_to_a_face_touch_where_the_angles_would_make_them_overlap():
    grid = PatchGrid(
        UNIT, [12], sites=9, dx=5e-3, boundary=[WALLS], positions="chebyshev", edgy=True
    )
    width = 7 * 5e-3
    gaps = np.diff(grid.centres[0])
    np.testing.assert_allclose(gaps[0], width, atol=EXACT)
    assert gaps.min() >= width - EXACT


def test_patches_go_where_they_are_put():
    centres = [0.1, 0.2, 0.4, 0.9]
    grid = PatchGrid(UNIT, [4], sites=5, dx=0.01, boundary=[WALLS], positions=[centres])
    np.testing.assert_array_equal(grid.centres[0], centres)
    assert grid.gap[0] == pytest.approx(0.8 / 3)


def test_cells_have_their_centres_half_a_cell_from_the_faces():
    grid = bounded(cells=True, core=0.03, buffer=0.01, sites=None)
    np.testing.assert_allclose(grid.centres[0], [0.1, 0.3, 0.5, 0.7, 0.9], atol=EXACT)


@pytest.mark.parametrize(
    ("sites", "edges", "edgy"), [(9, 1, False), (15, 3, False), (8, 1, True), (10, 2, True)]
)
def test_ratio_is_the_distance_that_the_coupling_bridges_over_the_gap(sites, edges, edgy):
    grid = PatchGrid(UNIT, [10], sites, ratio=0.2, edges=edges, edgy=edgy)
    x = grid.site_offsets[0]
    layer = x[edges - 1 :: edges]
    bridged = x[-edges] - x[edges] if edgy else layer[-1] - layer[len(layer) // 2]
    assert grid.shift[0] == pytest.approx(0.2)
    assert bridged == pytest.approx(0.2 * grid.gap[0])


def test_given_spacing_and_given_ratio_make_the_same_grid():
    by_ratio = PatchGrid(UNIT, [10], 9, ratio=0.2)
    by_spacing = PatchGrid(UNIT, [10], 9, dx=by_ratio.spacing[0])
    assert by_spacing.shift[0] == pytest.approx(0.2)
    assert by_spacing.half_width == pytest.approx(by_ratio.half_width)


def test_sites_follow_from_core_buffer_and_spacing():
    grid = PatchGrid(UNIT, [4], core=0.04, buffer=0.02, dx=0.002, edges=2)
    assert grid.n_sites == (20 + 2 * 10 + 2 * 2,)
    core = grid.core_sites[0]
    assert (core.start, core.stop) == (12, 32)
    assert grid.buffer_width[0] == pytest.approx(0.02 + 0.002)


@pytest.mark.parametrize(
    ("sites", "core", "expected"),
    [(9, 5, (2, 7)), (9, 4, (2, 6)), (10, 4, (3, 7)), (10, 5, (2, 7)), (9, None, (1, 8))],
)
def test_core_is_centred_or_half_open(sites, core, expected):
    width = None if core is None else core * 0.01
    grid = PatchGrid(UNIT, [2], sites, dx=0.01, core=width)
    assert (grid.core_sites[0].start, grid.core_sites[0].stop) == expected


def test_a_buffer_alone_leaves_the_rest_to_the_core():
    grid = PatchGrid(UNIT, [2], 21, dx=0.01, buffer=0.04)
    assert grid.core_sites[0] == slice(5, 16)


def test_sites_are_placed_about_the_centre_of_their_patch():
    grid = PatchGrid(UNIT, [3], 4, dx=0.02)
    np.testing.assert_allclose(grid.site_offsets[0], [-0.03, -0.01, 0.01, 0.03], atol=EXACT)
    np.testing.assert_allclose(grid.origins()[:, 0], grid.centres[0] - 0.03, atol=EXACT)


def test_patches_are_numbered_with_the_last_axis_fastest():
    grid = PatchGrid([(0, 1), (0, 2), (0, 3)], [2, 3, 4], 3, ratio=0.1)
    origins = grid.origins().reshape(2, 3, 4, 3)
    for axis in range(3):
        expected = grid.centres[axis] - grid.half_width[axis]
        np.testing.assert_allclose(np.moveaxis(origins, axis, 0)[:, 0, 0, axis], expected)


def test_simulated_fraction_multiplies_over_the_axes():
    grid = PatchGrid([(0, 1), (0, 2)], [4, 5], [5, 7], dx=0.01)
    assert grid.fraction() == pytest.approx((4 * 5 * 0.01) * (5 * 7 * 0.01 / 2))


def test_values_given_once_hold_on_every_axis():
    once = PatchGrid([(0, 1)] * 2, [4, 5], 5, ratio=0.2, offset=0.1)
    spelt = PatchGrid([(0, 1)] * 2, [4, 5], [5, 5], ratio=[0.2, 0.2], offset=[0.1, 0.1])
    assert once.spacing == spelt.spacing
    np.testing.assert_array_equal(once.origins(), spelt.origins())


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"domain": [(1.0, 0.0)]}, r"domain.*\[1.0, 0.0\]"),
        ({"domain": [(0.0, np.inf)]}, "domain"),
        ({"domain": [(0, 1)] * 2}, "2 axes and `patches` 1"),
        ({"domain": [(0, 1)] * 4, "patches": [3] * 4}, "1 to 3 axes"),
        ({"patches": [0]}, "`patches` is 0"),
        ({"boundary": "open"}, "'open' is unknown"),
        ({"positions": "random"}, "'random'"),
        ({"positions": "chebyshev"}, "non-periodic"),
        ({"positions": [[0.1, 0.5]]}, "needs 4 rising"),
        ({"positions": [[0.1, 0.5, 0.4, 0.9]]}, "rising"),
        ({"dx": 0.01}, "exactly one of `ratio` and `dx`; found both"),
        ({"ratio": None}, "found neither"),
        ({"ratio": -0.1}, "positive"),
        ({"boundary": [WALLS]}, "give `dx`"),
        ({"sites": None}, "give `sites`"),
        ({"sites": 2}, "2 sites leave no interior"),
        ({"sites": 5, "edges": 3}, "at least 7"),
        ({"ratio": 0.9}, "overlap"),
        ({"sites": [9, 9]}, "2 entries"),
    ],
)
def test_contradictory_numbers_are_refused_by_name(changes, found):
    with pytest.raises(GridError, match=found):
        PatchGrid(**({"domain": UNIT, "patches": [4], "sites": 9, "ratio": 0.2} | changes))


def test_a_core_wider_than_the_interior_is_refused():
    grid = PatchGrid(UNIT, [4], 9, dx=0.01, core=0.2)
    with pytest.raises(GridError, match="core would have 20 of the 7"):
        _ = grid.core_sites


def test_overlap_may_be_allowed():
    grid = PatchGrid(UNIT, [4], 9, ratio=0.9, allow_overlap=True)
    assert grid.shift[0] == pytest.approx(0.9)


def test_touching_patches_do_not_overlap():
    assert PatchGrid(UNIT, [4], 9, dx=0.25 / 7).fraction() == pytest.approx(9 / 7)


def test_chebyshev_positions_that_do_not_fit_are_refused():
    with pytest.raises(GridError, match="do not fit Chebyshev"):
        PatchGrid(UNIT, [12], sites=41, dx=5e-3, boundary=[WALLS], positions="chebyshev")


def test_conditions_are_spelt_as_a_value_plus_outward_slope():
    assert (dirichlet(3.0).a, dirichlet(3.0).b, dirichlet(3.0).c) == (1, 0, 3.0)
    assert (neumann(2.0).a, neumann(2.0).b, neumann(2.0).c) == (0, 1, 2.0)
    assert (robin(2.0, 0.5, 1.0).a, robin(2.0, 0.5, 1.0).b) == (2.0, 0.5)
    with pytest.raises(GridError, match="a = b = 0"):
        robin(0.0, 0.0, 1.0)


def test_fields_may_have_conditions_of_their_own():
    face = Face(1, 0, 0.0, {"v": neumann(5.0)})
    assert face.of("v").b == 1
    assert face.of("u") is face


def test_values_on_a_face_depend_on_place_and_time():
    face = dirichlet(lambda x, y, t: x + 10 * y + 100 * t)
    y = np.array([0.0, 1.0])
    np.testing.assert_allclose(face.value([np.array(1.0), y], 2.0), [201, 211])
    np.testing.assert_allclose(dirichlet(4.0).value([np.array(1.0), y], 2.0), [4, 4])

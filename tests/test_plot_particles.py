"""Pictures of particles show every particle where it is, at its size, in its colour."""

import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle, StepPatch

import gpupatch as gp
from gpupatch.errors import InputError
from gpupatch.plot import Profile, particle_figure
from gpupatch.plot.particles import TYPES

rng = np.random.default_rng(2)


def state(ndim, n_patch=4, n=30, **given):
    x = rng.uniform(-3, 7, (n_patch, ndim, n))
    v = rng.normal(size=x.shape)
    return gp.make_state(x, np.full(ndim, 4.0), velocities=v, **given)


def colors(drawn):
    return np.array(drawn.get_facecolor())[:, :3]


def discs(ax):
    return [c for c in ax.collections if isinstance(c, EllipseCollection)]


def test_in_the_plane_particles_are_discs_in_their_box():
    given = state(2, types=np.arange(30) % 2)
    figure = particle_figure(given, ("periodic", "periodic"), diameter=0.3, title="Discs")
    assert len(figure.axes) == 3
    for ax, p in zip(figure.axes, (0, 2, 3), strict=True):
        (drawn,) = discs(ax)
        offsets = np.asarray(drawn.get_offsets())
        np.testing.assert_allclose(offsets, np.mod(given.positions[p], 4.0).T)
        np.testing.assert_allclose(colors(drawn)[:2], [to_rgb(c) for c in TYPES[:2]])
        (box,) = (one for one in ax.patches if isinstance(one, Rectangle))
        assert (*box.get_xy(), box.get_width(), box.get_height()) == (0, 0, 4, 4)
        assert ax.get_title(loc="left") == f"patch {p}"


def test_in_space_near_particles_are_drawn_over_far_ones_and_darker():
    x = np.array([[0.0, 0.0], [-1.5, 1.5], [0.0, 0.0]])[None]
    figure = particle_figure(gp.make_state(x, (4.0,) * 3), ("reflecting",) * 3)
    (drawn,) = discs(figure.axes[0])
    far, near = colors(drawn)
    assert near.sum() < far.sum()
    up = np.asarray(drawn.get_offsets())[:, 1]
    assert up[0] > up[1]


def test_speeds_have_a_scale():
    figure = particle_figure(state(3, n_patch=1), ("periodic",) * 3, color="speed", most=1)
    assert [ax.get_ylabel() for ax in figure.axes] == ["", "speed"]


def test_bonds_are_drawn_but_for_those_through_the_faces():
    x = np.array([[0.5, 1.5, 3.9], [1.0, 1.0, 1.0]])[None]
    box = gp.make_state(x, (4.0, 4.0))
    pairs = gp.chain(3, closed=True)
    drawn = [
        len(line.get_segments())
        for boundary in ("periodic", "open")
        for line in particle_figure(box, (boundary,) * 2, pairs=pairs).axes[0].collections
        if isinstance(line, LineCollection)
    ]
    assert drawn == [1, 1]


def test_chains_without_a_box_share_one_scale():
    figure = particle_figure(state(3, n=9), ("open",) * 3, pairs=gp.chain(9))
    spans = [np.ptp(ax.get_xlim()) for ax in figure.axes]
    assert spans == pytest.approx([spans[0]] * 3)
    assert not any(ax.lines for ax in figure.axes)


@pytest.mark.parametrize("boundary", ["open", "periodic"])
def test_on_a_line_the_density_stands_where_the_patches_are(boundary):
    X = np.array([1.0, 2.0, 3.0, 4.0])
    low = 0.0 if boundary == "periodic" else -0.1
    x = rng.uniform(low, low + 0.2, (4, 1, 50))
    given = gp.make_state(x, (0.2,), counts=[50, 10, 20, 50], weights=2.0)
    field = Profile("density", np.linspace(0, 5, 11), np.full(11, 400.0))
    figure = particle_figure(given, (boundary,), centres=X, profile=field, core=0.05)
    whole, *patches = figure.axes
    filled = [one for one in whole.patches if isinstance(one, StepPatch) and one.get_fill()]
    for steps, place, count in zip(filled, X, given.counts, strict=True):
        values, edges, _ = steps.get_data()
        assert values @ np.diff(edges) == pytest.approx(2.0 * count)
        assert (edges[0], edges[-1]) == pytest.approx((place + low, place + low + 0.2))
    assert len(patches) == 3
    np.testing.assert_array_equal(whole.lines[0].get_ydata(), 400.0)


def test_empty_patches_are_passed_over():
    given = state(2, counts=[0, 30, 0, 5])
    figure = particle_figure(given, ("open", "periodic"))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["patch 1", "patch 3"]


def test_nothing_to_draw_is_refused():
    with pytest.raises(InputError, match="no patch holds a particle"):
        particle_figure(state(2, counts=[0] * 4), ("open",) * 2)
    with pytest.raises(InputError, match="use 'type' or 'speed'"):
        particle_figure(state(2), ("open",) * 2, color="mass")


def test_pictures_are_saved(tmp_path):
    for ndim in (1, 2, 3):
        path = tmp_path / f"{ndim}.png"
        particle_figure(state(ndim), ("periodic",) * ndim, most=2).savefig(path)
        assert path.stat().st_size > 5000

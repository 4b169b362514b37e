"""Pictures show the numbers of the result, where the patches are, and no overlapping text."""

import itertools
import json
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.image import AxesImage
from matplotlib.text import Text

from gpupatch.errors import InputError
from gpupatch.files.layout import Layout, layout_dataset
from gpupatch.files.output import SolutionWriter
from gpupatch.plot import convergence_plot, plot_dataset, plot_run, space_time
from gpupatch.plot.geometry import choose, lattice_edges, on_lattice
from gpupatch.plot.replicas import mean_of_replicas
from gpupatch.plot.style import color_scale, symbol

LO, HI, HALF = -1.0, 1.0, 0.03
ATTRS = {"title": "Waves on patches", "model": "wave", "scheme": "coupled", "order": 4}


def wave(field, member, t, *position):
    return (1 + 0.1 * member) * np.cos(sum(position) * (field + 1) - 2 * t)


def make(
    ndim=1, fields=("u",), times=5, n=6, sites=5, members=1, micro=False, exact=False, **attrs
):
    spacing = (HI - LO) / n
    centres = LO + (np.arange(n) + 0.5) * spacing
    offsets = np.linspace(-HALF, HALF, sites)
    layout = Layout(
        fields,
        (centres,) * ndim,
        (offsets,) * ndim,
        members=members,
        member_coords={"nu": 0.1 * (1 + np.arange(members))} if members > 1 else {},
        units={"u": "m", "x": "km", "time": "s"},
        attrs=ATTRS
        | {"half_width": [HALF] * ndim, "patches": [n] * ndim, "sites": [sites] * ndim}
        | attrs,
        with_micro=micro,
        with_exact=exact,
    )
    grid = np.meshgrid(*[centres] * ndim, indexing="ij")
    inner = [
        axis.reshape((n, sites) * ndim)
        .transpose(*range(0, 2 * ndim, 2), *range(1, 2 * ndim, 2))
        .reshape(n**ndim, *[sites] * ndim)
        for axis in np.meshgrid(*[np.add.outer(centres, offsets).ravel()] * ndim, indexing="ij")
    ]
    saved = np.linspace(0.0, 1.0, times)
    truth = [
        np.array([[wave(f, m, t, *grid) for f in range(len(fields))] for m in range(members)])
        for t in saved
    ]
    inside = [
        np.concatenate(
            [
                np.stack([wave(f, m, t, *inner) for f in range(len(fields))], axis=1)
                for m in range(members)
            ]
        )
        for t in saved
    ]
    coarse = [values + 0.01 * t for t, values in zip(saved, truth, strict=True)]
    return layout_dataset(
        layout, saved.tolist(), coarse, inside if micro else None, truth if exact else None
    )


def lines(ax, dashed):
    return [line for line in ax.lines if line.is_dashed() == dashed]


def legend_texts(figure):
    return [text.get_text().strip() for text in figure.legends[0].get_texts()]


def header(figure):
    return [text.get_text() for text in figure.texts]


def boxes(collection):
    """Low x, low y, high x, high y of every polygon."""
    return np.array([path.get_extents().extents for path in collection.get_paths()])


def cells(mesh):
    return np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan)


def panels(figure, n_fields, n_columns):
    axes = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    return np.reshape(np.array(axes, object), (n_fields, n_columns))


def test_one_dimension_shows_the_coarse_values_at_six_times_at_most():
    ds = make(times=21)
    lines_ax, _ = panels(plot_dataset(ds), 1, 2)[0]
    shown = [0, 4, 8, 12, 16, 20]
    assert len(lines_ax.lines) == len(shown)
    for line, k in zip(lines_ax.lines, shown, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), ds["x"])
        np.testing.assert_array_equal(line.get_ydata(), ds["u"][k])


def test_labels_carry_symbols_and_units():
    figure = plot_dataset(make(fields=("u", "phi")))
    (u, u_map), (phi, phi_map) = panels(figure, 2, 2)
    assert (u.get_ylabel(), phi.get_ylabel()) == ("$u$ [m]", r"$\phi$")
    assert (phi.get_xlabel(), phi_map.get_xlabel()) == ("$x$ [km]",) * 2
    assert u_map.get_ylabel() == phi_map.get_ylabel() == "$t$ [s]"
    assert legend_texts(figure)[0] == "$t$ = 0 s"


def test_the_header_tells_title_and_details():
    title, details = header(plot_dataset(make(ratio=0.18)))
    assert title == "Waves on patches"
    assert details == "wave  ·  coupled, order 4  ·  6 patches of 5 sites  ·  ratio 0.18"


def test_patches_are_shaded_where_they_are():
    ds = make()
    ax = panels(plot_dataset(ds), 1, 2)[0, 0]
    (bands,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    spans = boxes(bands)[:, [0, 2]]
    np.testing.assert_allclose(spans, np.stack([ds["x"] - HALF, ds["x"] + HALF], -1), atol=1e-15)


def test_patches_of_the_flux_scheme_lie_on_the_faces():
    ax = panels(plot_dataset(make(n=4, scheme="flux")), 1, 2)[0, 0]
    (bands,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    middles = boxes(bands)[:, [0, 2]].mean(axis=1)
    np.testing.assert_allclose(middles, [-1, -0.5, 0, 0.5, 1], atol=1e-15)


def test_the_micro_field_is_drawn_inside_its_patch():
    ds = make(times=3, micro=True)
    ax = panels(plot_dataset(ds), 1, 2)[0, 0]
    curves = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert len(curves) == 3
    for k, collection in enumerate(curves):
        drawn = np.array(collection.get_segments())
        np.testing.assert_array_equal(drawn[..., 0], ds["x_site"])
        np.testing.assert_array_equal(drawn[..., 1], ds["u_micro"][k])
        assert to_hex(np.asarray(collection.get_color())[0]) == to_hex(ax.lines[k].get_color())


def test_the_exact_solution_is_dashed_and_the_error_stated():
    ds = make(times=3, exact=True)
    figure = plot_dataset(ds)
    ax = panels(figure, 1, 2)[0, 0]
    assert len(lines(ax, dashed=False)) == len(lines(ax, dashed=True)) == 3
    for k, line in enumerate(lines(ax, dashed=True)):
        np.testing.assert_array_equal(line.get_ydata(), ds["u_exact"][k])
    assert ax.get_title(loc="right") == "largest error at $t$ = 1 s: 0.01"
    assert "exact" in legend_texts(figure)


def test_one_saved_time_needs_no_space_time_diagram():
    assert len(plot_dataset(make(times=1)).axes) == 1


def test_every_field_has_its_row():
    axes = panels(plot_dataset(make(fields=("u", "v", "w"))), 3, 2)
    assert [row[0].get_ylabel() for row in axes] == ["$u$ [m]", "$v$", "$w$"]


def test_members_are_drawn_side_by_side_and_the_limit_is_stated():
    ds = make(members=20)
    figure = plot_dataset(ds)
    ax, diagram = panels(figure, 1, 2)[0]
    assert ax.get_title(loc="left") == "8 of 20 members at $t$ = 1 s"
    assert diagram.get_title(loc="left") == legend_texts(figure)[0] == r"$\nu$ = 0.1"
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), ds["u"][-1, -1])
    assert len(ax.lines) == 8


def test_a_few_members_are_all_shown():
    ax = panels(plot_dataset(make(members=3)), 1, 2)[0, 0]
    assert ax.get_title(loc="left") == "$t$ = 1 s"
    assert len(ax.lines) == 3


def test_a_space_time_diagram_shows_every_saved_value():
    ds = make(times=4)
    ax = space_time(ds, "u").axes[0]
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), ds["u"])
    assert ax.get_xlim() == pytest.approx((LO, HI))
    assert ax.get_ylim() == (0.0, 1.0)


def test_a_space_time_diagram_keeps_to_the_domain_if_it_is_known():
    ax = space_time(make(domain=[-0.9, 0.95]), "u").axes[0]
    assert ax.get_xlim() == (-0.9, 0.95)


def test_a_space_time_diagram_fills_the_patches():
    ds = make(times=4, micro=True)
    ax = space_time(ds, "u").axes[0]
    (mesh,) = [c for c in ax.collections if isinstance(c, QuadMesh)]
    drawn = cells(mesh)
    np.testing.assert_array_equal(
        drawn[:, ~np.isnan(drawn[0])], ds["u_micro"].values.reshape(4, -1)
    )


def test_a_space_time_diagram_of_members_names_the_one_it_shows():
    assert header(space_time(make(members=2), "u"))[0] == r"Waves on patches ($\nu$ = 0.1)"


def test_a_space_time_diagram_needs_a_known_field_and_one_axis():
    with pytest.raises(InputError, match=r"`w` is not among the fields \['u'\]"):
        space_time(make(), "w")
    with pytest.raises(InputError, match=r"ds\.isel\(y=0, drop=True\)"):
        space_time(make(2), "u")


def test_two_dimensions_show_the_first_middle_and_last_time_in_one_scale():
    ds = make(2, times=9)
    axes = panels(plot_dataset(ds), 1, 3)[0]
    assert [ax.get_title(loc="left") for ax in axes] == ["$t$ = 0 s", "$t$ = 0.5 s", "$t$ = 1 s"]
    assert (axes[0].get_xlabel(), axes[0].get_ylabel()) == ("$x$ [km]", "$y$")
    images = [ax.images[0] for ax in axes]
    for image, k in zip(images, [0, 4, 8], strict=True):
        np.testing.assert_array_equal(image.get_array(), ds["u"][k].transpose("y", "x"))
    assert len({(image.norm.vmin, image.norm.vmax) for image in images}) == 1


def test_two_dimensions_outline_the_patches():
    ds = make(2, n=3)
    outlines = [c for c in plot_dataset(ds).axes[0].collections if isinstance(c, PolyCollection)]
    centres = [(x, y) for x in ds["x"].values for y in ds["y"].values]
    np.testing.assert_allclose(boxes(outlines[-1])[:, :2], np.subtract(centres, HALF), atol=1e-15)
    np.testing.assert_allclose(boxes(outlines[-1])[:, 2:], np.add(centres, HALF), atol=1e-15)


def test_two_dimensions_fill_the_patches_with_their_micro_field():
    ds = make(2, times=1, n=3, micro=True)
    (mesh,) = [c for c in plot_dataset(ds).axes[0].collections if isinstance(c, QuadMesh)]
    drawn = cells(mesh)
    edges = np.asarray(mesh.get_coordinates())
    for i, j, a, b in np.ndindex(3, 3, 5, 5):
        column = np.searchsorted(edges[0, :, 0], ds["x_site"][i, a] + 1e-9 * (2 - a)) - 1
        row = np.searchsorted(edges[:, 0, 1], ds["y_site"][j, b] + 1e-9 * (2 - b)) - 1
        assert drawn[row, column] == ds["u_micro"][0, i, j, a, b]
    assert np.count_nonzero(np.isfinite(drawn)) == ds["u_micro"].size


def test_two_dimensions_map_the_error_around_zero():
    ds = make(2, times=9, exact=True)
    figure = plot_dataset(ds)
    ax = panels(figure, 1, 4)[0, -1]
    assert ax.get_title(loc="left") == "error, $t$ = 1 s"
    error = (ds["u"] - ds["u_exact"])[-1].transpose("y", "x")
    np.testing.assert_array_equal(ax.images[0].get_array(), error)
    assert ax.images[0].norm.vmin == -ax.images[0].norm.vmax
    assert "$u$ [m] − exact" in [other.get_ylabel() for other in figure.axes]


def test_two_dimensional_members_are_small_multiples_and_the_limit_is_stated():
    figure = plot_dataset(make(2, members=6))
    titles = [ax.get_title(loc="left") for ax in panels(figure, 1, 4)[0]]
    assert titles == [rf"$\nu$ = {nu}" for nu in (0.1, 0.3, 0.4, 0.6)]
    assert header(figure)[0] == "Waves on patches, $t$ = 1 s, 4 of 6 members"


def test_three_dimensions_are_cut_through_the_middle_at_the_last_time():
    ds = make(3, n=5, fields=("u", "v"), micro=True, sites=3)
    figure = plot_dataset(ds)
    axes = panels(figure, 2, 3)
    assert [ax.get_title(loc="left") for ax in axes[0]] == ["$z$ = 0", "$y$ = 0", "$x$ = 0"]
    assert [ax.get_ylabel() for ax in axes[1]] == ["$y$", "$z$", "$z$"]
    assert [ax.get_xlabel() for ax in axes[1]] == ["$x$ [km]", "$x$ [km]", "$y$"]
    last = ds["v"][-1]
    for ax, cut in zip(axes[1], [last[:, :, 2], last[:, 2], last[2]], strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), cut.T)
    assert header(figure)[0] == "Waves on patches, $t$ = 1 s"


def test_three_dimensional_members_say_which_one_is_shown():
    figure = plot_dataset(make(3, n=3, members=2, sites=3))
    assert header(figure)[0].endswith(r"$\nu$ = 0.1 (first of 2 members)")


def test_a_dataset_without_a_saved_field_is_refused():
    with pytest.raises(InputError, match=r"nothing to plot.*0 times"):
        plot_dataset(make().isel(time=slice(0)))
    with pytest.raises(InputError, match=r"nothing to plot.*variables \['u_micro'\]"):
        plot_dataset(make(micro=True)[["u_micro"]])


def test_overlapping_patches_are_cut_midway():
    sites = np.array([[0.0, 0.5, 1.0], [0.6, 1.1, 1.6]])
    edges = lattice_edges(sites)
    assert np.all(np.diff(edges) >= 0)
    assert edges[3] == edges[4] == 0.8


def test_the_lattice_puts_a_gap_between_patches():
    values = np.arange(24.0).reshape(2, 3, 2, 2)
    laid = on_lattice(values, 2)
    assert laid.shape == (5, 8)
    np.testing.assert_array_equal(laid[3:, 6:], values[1, 2])
    assert np.all(np.isnan(laid[2]))
    assert np.all(np.isnan(laid[:, [2, 5]]))


def test_times_are_chosen_evenly_with_both_ends():
    assert choose(11, 3) == [0, 5, 10]
    assert choose(2, 6) == [0, 1]


@pytest.mark.parametrize(
    ("values", "name", "limits"),
    [
        ([-1.0, 0.8], "RdBu_r", (-1.0, 1.0)),
        ([-0.01, 1.0], "viridis", (-0.01, 1.0)),
        ([2.0, 3.0, np.nan], "viridis", (2.0, 3.0)),
        ([4.0, 4.0], "viridis", (2.0, 6.0)),
        ([np.nan], "viridis", (0.0, 1.0)),
    ],
)
def test_colours_follow_the_sign_of_the_field(values, name, limits):
    cmap, norm = color_scale(np.array(values))
    assert (cmap, (norm.vmin, norm.vmax)) == (name, limits)


@pytest.mark.parametrize(
    ("name", "text"),
    [("u", "$u$"), ("nu", r"$\nu$"), ("u_1", r"$u_{\mathrm{1}}$"), ("height", "height")],
)
def test_symbols_are_set_as_mathematics_and_words_are_not(name, text):
    assert symbol(name) == text


KINDS = {
    "one dimension": lambda: plot_dataset(make(times=9, micro=True, exact=True)),
    "two fields": lambda: plot_dataset(make(fields=("u", "momentum_density"), exact=True)),
    "one time": lambda: plot_dataset(make(times=1, micro=True)),
    "members": lambda: plot_dataset(make(members=12)),
    "maps": lambda: plot_dataset(make(2, fields=("u", "v"), micro=True, exact=True)),
    "maps of members": lambda: plot_dataset(make(2, members=5, exact=True)),
    "slices": lambda: plot_dataset(make(3, fields=("u", "v"), n=4, sites=3)),
    "long title": lambda: plot_dataset(make(2, title="a long title " * 20)),
    "space-time": lambda: space_time(make(), "u"),
    "convergence": lambda: convergence_plot(
        [0.1, 0.05, 0.025], {"a rather long name": [1e-2, 1e-3, 1e-4]}, {"a rather long name": 4}
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_overlaps_another_or_leaves_the_figure(kind, monkeypatch):
    drawn = []
    draw = Text.draw

    def record(text, renderer, *args, **kwargs):
        if text.get_visible() and text.get_text().strip():
            drawn.append((text.get_text(), text.get_window_extent(renderer).padded(-0.5)))
        draw(text, renderer, *args, **kwargs)

    figure = KINDS[kind]()
    figure.draw_without_rendering()
    monkeypatch.setattr(Text, "draw", record)
    figure.draw_without_rendering()
    assert drawn
    for text, box in drawn:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (text, box), (other_text, other) in itertools.combinations(drawn, 2):
        assert not box.overlaps(other), (text, other_text)


def write_run(directory, report=None, **options):
    layout = Layout(("u",), (np.arange(4.0),), attrs=ATTRS)
    with SolutionWriter(directory / "solution.nc", layout) as writer:
        for t in range(3):
            writer.append(t, np.full((1, 1, 4), t))
    if report is not None:
        (directory / "report.json").write_text(report)


def test_a_run_is_drawn_beside_its_result(tmp_path):
    write_run(tmp_path, json.dumps({"backend": "numba", "wall_seconds": 1.234}))
    path = plot_run(tmp_path)
    assert path == tmp_path / "plot.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_picture_of_a_run_tells_where_it_ran(tmp_path, monkeypatch):
    write_run(tmp_path, json.dumps({"backend": "numba", "wall_seconds": 1.234}))
    plot_run(tmp_path, tmp_path / "plot.svg")
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    plot_run(tmp_path, tmp_path / "text.svg")
    assert "numba  ·  1.23 s" in (tmp_path / "text.svg").read_text()


def test_a_killed_run_without_report_is_drawn(tmp_path):
    write_run(tmp_path)
    assert plot_run(tmp_path, tmp_path / "plot.pdf").read_bytes().startswith(b"%PDF")


def test_a_directory_without_a_result_is_refused(tmp_path):
    with pytest.raises(InputError, match=f"there is no result in `{tmp_path}`"):
        plot_run(tmp_path)


def test_a_broken_report_is_refused(tmp_path):
    write_run(tmp_path, "{")
    with pytest.raises(InputError, match=r"report\.json` is not JSON"):
        plot_run(tmp_path)


@pytest.mark.parametrize("name", ["plot.exe", "no/plot.png"])
def test_a_picture_that_cannot_be_written_is_named(tmp_path, name):
    write_run(tmp_path)
    with pytest.raises(InputError, match=f"cannot write the picture `{tmp_path / name}`"):
        plot_run(tmp_path, tmp_path / name)


def test_convergence_states_the_fitted_slope_beside_the_theory():
    h = np.array([0.2, 0.1, 0.05])
    figure = convergence_plot(h, {"centre": 3 * h**4, "edgy": h**2}, {"centre": 4})
    ax = figure.axes[0]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "centre\nslope 4.00, theory 4",
        "edgy\nslope 2.00",
    ]
    (guide,) = lines(ax, dashed=True)
    rise = np.ptp(np.log(guide.get_ydata())) / np.ptp(np.log(guide.get_xdata()))
    assert rise == pytest.approx(4)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_convergence_leaves_out_errors_that_have_no_logarithm():
    figure = convergence_plot([0.4, 0.2, 0.1], {"spectral": [1e-3, 0.0, np.nan]})
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [1e-3])


def test_convergence_refuses_data_that_do_not_fit():
    with pytest.raises(InputError, match="positive spacings"):
        convergence_plot([0.1, 0.0], {"a": [1.0, 1.0]})
    with pytest.raises(InputError, match=r"`a` have shape \(1,\) for 2 spacings"):
        convergence_plot([0.1, 0.2], {"a": [1.0]})
    with pytest.raises(InputError, match=r"`orders` names \['b'\]"):
        convergence_plot([0.1, 0.2], {"a": [1.0, 2.0]}, {"b": 2})


def test_drawing_changes_no_setting():
    before = dict(mpl.rcParams)
    plot_dataset(make())
    assert dict(mpl.rcParams) == before


def test_drawing_does_not_import_pyplot():
    code = "import sys, gpupatch.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_maps_are_images_when_patches_are_equispaced():
    assert isinstance(plot_dataset(make(2)).axes[0].images[0], AxesImage)


def replicated(replicas=4, swept=2):
    rng = np.random.default_rng(3)
    layout = Layout(
        fields=("u",),
        centres=(np.linspace(0, 1, 5),),
        members=replicas * swept,
        member_coords={
            "nu": np.repeat(np.arange(1.0, swept + 1), replicas),
            "replica": np.tile(np.arange(replicas), swept),
        },
        with_exact=True,
    )
    coarse = [rng.normal(3.0, 0.1, size=layout.macro_shape) for _ in range(2)]
    exact = [np.full(layout.macro_shape, 3.0) for _ in range(2)]
    return layout_dataset(layout, [0.0, 1.0], coarse, exact=exact)


def test_replicas_are_averaged_and_their_spread_is_the_standard_error():
    ds = replicated()
    mean = mean_of_replicas(ds)
    assert dict(mean.sizes) == {"time": 2, "member": 2, "x": 5}
    first = ds["u"].values[:, :4]
    np.testing.assert_allclose(mean["u"].values[:, 0], first.mean(axis=1))
    np.testing.assert_allclose(mean["u_error"].values[:, 0], first.std(axis=1, ddof=1) / 2)
    np.testing.assert_array_equal(mean["nu"], [1, 2])
    assert "member" not in mean_of_replicas(replicated(swept=1)).dims
    assert mean_of_replicas(mean) is mean


def test_bands_of_two_standard_errors_lie_around_the_lines():
    ds = replicated(swept=1)
    mean = mean_of_replicas(ds)
    figure = plot_dataset(ds)
    bands = [one for one in figure.axes[0].collections if isinstance(one, PolyCollection)]
    drawn = np.asarray(bands[-1].get_paths()[0].vertices)
    upper = mean["u"][-1] + 2 * mean["u_error"][-1]
    assert drawn[:, 1].max() == pytest.approx(float(upper.max()))

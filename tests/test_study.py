"""Accuracy for cost: every run is measured fairly, and whatever becomes of it is told."""

import csv
import json
import signal

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import ErrorbarContainer

import gpupatch as gp
from gpupatch.cli import main
from gpupatch.errors import CaseError, InputError
from gpupatch.files.case import load_case
from gpupatch.micro import lattice
from gpupatch.plot.pareto import study_figure
from gpupatch.run import run_case
from gpupatch.scheme.coupled import CoupledScheme
from gpupatch.studies import runs as study_runs
from gpupatch.studies.interpolant import Interpolant
from gpupatch.studies.pareto import observed_orders, pareto_front
from gpupatch.studies.sweep import make_sweep, parse_axis
from gpupatch.studies.trial import Trial, attempt
from gpupatch.studies.truth import self_truth

ROUND_OFF = 1e-12
QUICK = ["grid.patches=10", "grid.ratio=0.25", "time.end=0.1", "time.save=2", "run.backend=numpy"]
WAVE = ("initial.u=1 + sin(x)", "compare=", "grid.sites=3", "grid.ratio=0.125")
ORDERS = {"scheme.order": [2, 4, 6], "grid.patches": [10, 14, 20]}


def heat(*changes: str):
    """Heat on a ring of 80 sites, which takes a fraction of a second."""
    return load_case("heat1d", [*QUICK, *changes])


@pytest.fixture(scope="module")
def compared():
    """Orders and patches against the micro-simulator on the whole domain.

    Patches are narrow: errors are in proportion to 1 - ratio^2 and more, and the ratio rises as
    patches are added to the same lattice.
    """
    return gp.study(heat(*WAVE), ORDERS, reference="full_domain", quiet=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The usual study, against the exact solution, on disk."""
    return gp.study(heat(), out=tmp_path_factory.mktemp("study") / "heat", quiet=True)


numbers = st.one_of(st.integers(0, 6).map(float), st.just(float("nan")), st.floats(0, 1e9))


@given(st.lists(st.tuples(numbers, numbers), max_size=30))
def test_the_front_is_what_comparing_all_pairs_leaves(points):
    def dominated(i):
        (cost, error) = points[i]
        return any(
            c <= cost and e <= error and (c < cost or e < error or j < i)
            for j, (c, e) in enumerate(points)
            if j != i and np.isfinite(c) and np.isfinite(e)
        )

    expected = {i for i, one in enumerate(points) if np.isfinite(one).all() and not dominated(i)}
    found = pareto_front([c for c, _ in points], [e for _, e in points])
    assert set(found.tolist()) == expected
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_the_orders_of_the_coupling_are_observed(compared, order):
    (line,) = [one for one in compared.orders if one["at"] == {"scheme.order": order}]
    assert line["vary"] == "grid.patches"
    assert line["order"] == pytest.approx(order, abs=0.3)


def test_leaps_of_rk2_are_seen_to_be_of_second_order():
    """Against the run with the shortest leap, which has all other errors as well."""
    changes = ["scheme.method=propagator", "scheme.order=spectral", "time.projection=rk2"]
    changes += ["time.end=0.024", "time.save=2", "grid.patches=5", "run.backend=numpy"]
    case = load_case("rod", [*changes, "grid.positions=[0.1, 0.3, 0.5, 0.7, 0.9]"])
    steps = [0.008, 0.004, 0.002, 0.001]
    result = gp.study(case, {"time.step": steps}, reference="self", quiet=True)
    (line,) = result.orders
    assert line["values"] == [0.002, 0.004, 0.008]
    assert line["order"] == pytest.approx(2, abs=0.3)


def test_errors_in_the_noise_have_no_order():
    rows = [{"grid.patches": n} for n in (4, 8, 16, 32)]
    errors, floor = np.array([1.0, 0.25, 0.0625, 0.05]), np.full(4, 0.02)
    (line,) = observed_orders(rows, errors, floor)
    assert line["used"] == [True, True, True, False]
    assert line["order"] == pytest.approx(2)


def test_along_the_front_errors_fall_as_costs_rise(compared, written):
    for result in (compared, written):
        costs = [one["cost"] for one in result.pareto]
        errors = [one["error"] for one in result.pareto]
        assert len(costs) > 1
        assert (np.diff(costs) > 0).all()
        assert (np.diff(errors) < 0).all()


@pytest.mark.parametrize("changes", [[], ["grid.patches=12", "scheme.order=6"]])
def test_errors_and_costs_are_those_that_run_reports(changes, tmp_path):
    case = heat()
    settings = dict(parse_axis(change) for change in changes) or {"scheme.order": [4]}
    result = gp.study(case, settings, quiet=True)
    # the study keeps the lattice, which `--set grid.patches` would not
    member = result.sweep.member(result.sweep.settings[0])
    solution = run_case(member, tmp_path / "run", quiet=True).solution
    assert solution is not None
    report = solution.report
    row = result.to_xarray().isel(run=0)
    assert float(row["field_error"].sel(field="u")) == report["error"]["u"]
    assert float(row["cost"]) == report["cell_updates"]
    assert float(row["error"]) == report["error"]["u"] / row["variation"].item()


def test_the_variation_is_that_of_the_field_at_the_end(written):
    x = np.linspace(0, 2 * np.pi, 100_000)
    u = 1 + np.exp(-0.1) * np.sin(x) + 0.5 * np.exp(-0.4) * np.cos(2 * x)
    variation = written.to_xarray()["variation"].item()
    assert variation == pytest.approx(np.ptp(u), rel=0.03)


def test_the_micro_lattice_stays_while_patches_and_sites_vary():
    sweep = make_sweep(heat(), {"grid.patches": [5, 10, 20], "grid.sites": [3, 5, 9]})
    backend, _ = gp.get_backend("numpy")
    trials = [
        attempt(one, lambda one=one: sweep.member(one), backend, False, lambda: None)
        for one in sweep.settings
    ]
    spacings = {t.scheme.grid.spacing[0] for t in trials if t.scheme is not None}
    assert np.ptp(list(spacings)) < ROUND_OFF
    assert [t.settings for t in trials if t.status == "refused"] == [
        {"grid.patches": 20, "grid.sites": 9}
    ]


def test_listed_patch_centres_are_listed_anew_for_other_numbers():
    sweep = make_sweep(load_case("rod"), {"grid.patches": [5, 10, 20]})
    for row in sweep.settings:
        n = row["grid.patches"]
        X = np.array(sweep.member(row).grid.positions[0], dtype=float)
        np.testing.assert_allclose(X, (np.arange(n) + 0.5) / n)


def test_the_member_with_the_settings_of_the_case_is_the_case():
    case = load_case("burgers")
    sweep = make_sweep(case)
    assert sweep.member(sweep.base) is case


def test_refused_runs_are_rows_with_the_reason():
    """Order 8 reads nine patches; 40 patches overlap."""
    result = gp.study(heat(), {"scheme.order": [2, 8], "grid.patches": [8, 40]}, quiet=True)
    ds = result.to_xarray()
    assert ds["status"].values.tolist() == ["finished", "refused", "refused", "refused"]
    assert "overlap" in str(ds["reason"].values[1])
    assert "order 8 reads 9 patches" in str(ds["reason"].values[2])
    assert result.exit_code == 0
    assert len(result.pareto) == 1


def test_a_study_without_any_result_says_so():
    result = gp.study(heat(), {"scheme.order": [8], "grid.patches": [5, 7]}, quiet=True)
    assert result.exit_code == 2
    assert result.pareto == []
    figure = result.plot()
    assert any("no run has an error" in text.get_text() for text in figure.axes[0].texts)


def test_an_unstable_run_is_a_row_with_the_reason():
    result = gp.study(heat("time.end=2"), {"time.dt": [0.01]}, quiet=True)
    assert [trial.status for trial in result.trials] == ["nonfinite"]
    assert "stopped being finite" in result.trials[0].reason
    assert result.exit_code == 3


def interrupt_after(monkeypatch, count, number):
    """Let a signal come right after some runs of a study."""
    done = []

    def attempt_and_signal(*arguments):
        trial = attempt(*arguments)
        done.append(trial)
        if len(done) == count:
            signal.raise_signal(number)
        return trial

    monkeypatch.setattr(study_runs, "attempt", attempt_and_signal)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_done_is_kept_when_a_study_is_stopped(monkeypatch, tmp_path, number, code):
    interrupt_after(monkeypatch, 3, number)
    result = gp.study(heat(), ORDERS, out=tmp_path / "out", quiet=True)
    assert result.exit_code == code
    with xr.open_dataset(tmp_path / "out" / "study.nc") as ds:
        assert int((ds["status"] == "finished").sum()) == 3
        assert int((ds["status"] == "not run").sum()) == 6
        assert int(np.isfinite(ds["error"]).sum()) == 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["status"] == {130: "interrupted", 143: "terminated"}[code]
    assert len(report["pareto_front"]) >= 1
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(report["files"])


def test_a_signal_within_a_run_ends_the_study_too(monkeypatch):
    steps = []
    advance = CoupledScheme.advance

    def advance_and_signal(self, *arguments):
        steps.append(1)
        if len(steps) == 25:
            signal.raise_signal(signal.SIGINT)
        return advance(self, *arguments)

    monkeypatch.setattr(CoupledScheme, "advance", advance_and_signal)
    result = gp.study(heat(), ORDERS, quiet=True)
    assert result.exit_code == 130
    assert 1 <= [t.status for t in result.trials].count("finished") < 9
    assert {t.reason for t in result.trials if not t.finished} == {"the study was stopped"}


def test_nothing_is_run_beyond_the_limit():
    result = gp.study(heat(), ORDERS, limit=1e-9, quiet=True)
    assert not any(trial.finished for trial in result.trials)
    assert all("limit" in trial.reason for trial in result.trials)


def test_the_files_hold_what_the_study_returns(written):
    with xr.open_dataset(written.directory / "study.nc") as ds:
        xr.testing.assert_identical(ds.load(), written.to_xarray())
    with (written.directory / "study.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    errors = [float(row["error"]) for row in rows]
    np.testing.assert_array_equal(errors, written.to_xarray()["error"].values)
    report = json.loads((written.directory / "report.json").read_text())
    assert {file.name for file in written.directory.iterdir()} == set(report["files"])
    assert [one["settings"] for one in report["pareto_front"]] == [
        one["settings"] for one in written.pareto
    ]
    assert report["runs"] == {"asked": len(rows), "finished": len(rows) - 1, "refused": 1}
    assert "order 6 reads 7 patches" in report["without_error"][0]["reason"]
    assert report["case"]["title"] == "Heat on a ring"


def test_the_full_simulation_is_the_end_of_the_front(written):
    """Its own error against the exact solution is that of the lattice, below that of patches."""
    ds = written.to_xarray()
    assert ds.attrs["full_cost_from"] == "run"
    dx = 2 * np.pi / 80
    decay = [4 / dx**2 * np.sin(k * dx / 2) ** 2 for k in (1, 2)]
    x = np.linspace(0, 2 * np.pi, 1000)
    discrete = np.exp(-0.1 * decay[0]) * np.sin(x) + 0.5 * np.exp(-0.1 * decay[1]) * np.cos(2 * x)
    exact = np.exp(-0.1) * np.sin(x) + 0.5 * np.exp(-0.4) * np.cos(2 * x)
    expected = np.abs(discrete - exact).max() / ds["variation"].item()
    assert ds.attrs["full_error"] == pytest.approx(expected, rel=0.1)
    np.testing.assert_allclose(
        ds["fraction"].values, ds["cost"].values / ds.attrs["full_cost"], rtol=1e-12
    )
    inside = ds["grid.patches"] * (ds["grid.sites"] - 2) / 80
    finished = (ds["status"] == "finished").values
    np.testing.assert_allclose(ds["fraction"].values[finished], inside.values[finished], rtol=0.1)


def test_the_finest_run_is_the_reference_where_nothing_better_is_known():
    """Patches that do not lie on one lattice have no full domain to be compared with."""
    case = heat(*WAVE, "grid.ratio=0.13")
    result = gp.study(case, {"scheme.order": [2, 4], "grid.patches": [10, 12]}, quiet=True)
    ds = result.to_xarray()
    assert ds.attrs["reference"] == "self"
    last = ds.isel(run=-1)
    assert (int(last["scheme.order"]), int(last["grid.patches"])) == (4, 12)
    assert np.isnan(float(last["error"]))
    assert "reference" in str(last["reason"].item())
    assert "order 4, 12 patches" in ds.attrs["measured_against"]
    assert np.isfinite(ds["error"].values[:-1]).all()


def test_errors_against_the_finest_run_are_those_against_the_full_domain(compared):
    """Where they are far larger than the error of the finest run itself."""
    itself = gp.study(heat(*WAVE), ORDERS, reference="self", quiet=True).to_xarray()
    whole = compared.to_xarray()
    coarse = (whole["error"] > 30 * float(whole["error"].min())).values
    assert coarse.sum() > 3
    np.testing.assert_allclose(itself["error"][coarse], whole["error"][coarse], rtol=0.03)


@pytest.mark.parametrize("name", ["rod", "heat1d"])
def test_a_reference_has_the_coarse_values_of_its_own_run(name):
    """Means over cores and values at centres, between walls and on a ring."""
    changes = {
        "rod": ["time.end=0.002", "time.save=2", "scheme.method=propagator"],
        "heat1d": QUICK,
    }
    case = load_case(name, changes[name])
    backend, _ = gp.get_backend("numpy")
    trial = attempt({}, lambda: case, backend, False, lambda: None)
    assert trial.coarse is not None
    found = self_truth(trial, case.time.end).values(trial)
    assert np.abs(found - trial.coarse).max() < ROUND_OFF


def test_cell_averages_are_unfolded_exactly():
    """Averages of sines over coarse cells give those over other cells."""
    backend, _ = gp.get_backend("numpy")

    def make(n):
        grid = gp.PatchGrid([(0.0, 1.0)], [n], 9, dx=1e-3, cells=True)
        problem = gp.Problem(lattice.get("diffusion", 1), grid, {"D": 1.0})
        return gp.FluxScheme(problem, backend, gp.Burst(1e-7), 2)

    def u(x, t):
        return 1 + np.sin(2 * np.pi * x) + 0.3 * np.cos(6 * np.pi * x)

    coarse, fine = make(9), make(24)

    known = Trial({}, "finished", "", {}, coarse, coarse.exact({"u": u}, 0.0))
    truth = self_truth(known, 0.0).values(Trial({}, "finished", "", {}, fine))
    np.testing.assert_allclose(truth, fine.exact({"u": u}, 0.0), rtol=0, atol=1e-10)


def test_a_field_through_nodes_is_exact_on_waves_and_polynomials():
    x, y = np.arange(12) / 12, np.linspace(0, 2, 10)

    def u(x, y):
        return np.sin(2 * np.pi * x) * np.cos(8 * np.pi * x) * (1 + y - y**7 / 50)

    field = Interpolant([x, y], u(*np.meshgrid(x, y, indexing="ij")), [1.0, None])
    rng = np.random.default_rng(3)
    px, py = rng.uniform(-1, 2, 50), rng.uniform(0, 2, 50)
    np.testing.assert_allclose(field(px, py, 0.0), u(px, py), rtol=0, atol=1e-11)
    np.testing.assert_allclose(field(px[:, None], py), u(px[:, None], py), rtol=0, atol=1e-11)


def test_patches_in_a_medium_are_compared_only_where_the_lattice_has_sites():
    case = load_case("homogenisation1d", ["time.end=1e-4", "time.save=2", "run.backend=numpy"])
    result = gp.study(case, {"grid.patches": [7, 8]}, reference="full_domain", quiet=True)
    ds = result.to_xarray()
    assert ds.attrs["reference"] == "full_domain"
    assert np.isfinite(ds["error"].values).tolist() == [False, True]
    assert "not cut from the lattice" in str(ds["reason"].values[0])


def test_noise_has_error_bars():
    case = load_case(
        "walkers",
        [
            *("run.backend=numpy", "run.replicas=3", "time.end=1.6e-3", "time.save=2"),
            *("burst.length=4e-6", "initial.density=2e3*(1 + 0.5*sin(2*pi*x))"),
            "compare.exact=2e3*(1 + 0.5*sin(2*pi*x)*exp(-4*pi**2*mobility*temperature*t))",
        ],
    )
    result = gp.study(case, {"burst.replicas": [1, 4]}, quiet=True)
    ds = result.to_xarray()
    assert ds.attrs["cost_unit"] == "particle steps"
    assert (ds["standard_error"] > 0).all()
    bars = [c for c in result.plot().axes[0].containers if getattr(c, "has_yerr", False)]
    assert len(bars) > 0
    assert float(ds["cost"][1]) == pytest.approx(4 * float(ds["cost"][0]), rel=0.05)
    itself = gp.study(case, {"burst.replicas": [1, 4]}, reference="self", quiet=True).to_xarray()
    assert float(itself["standard_error"][0]) == pytest.approx(
        np.hypot(float(ds["standard_error"][0]), float(ds["standard_error"][1])), rel=0.05
    )


def test_the_picture_shows_every_run_the_front_and_the_full_simulation(written):
    figure = study_figure(written.to_xarray())
    ax = figure.axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    ds = written.to_xarray()
    labels = [line.get_label() for line in ax.lines]
    front = ax.lines[labels.index("Pareto front")]
    np.testing.assert_array_equal(front.get_xdata(), [one["cost"] for one in written.pareto])
    bars = [c for c in ax.containers if isinstance(c, ErrorbarContainer)]
    marked = np.concatenate([c.lines[0].get_xdata() for c in bars])
    assert sorted(marked) == sorted(ds["cost"].values[np.isfinite(ds["error"].values)])
    assert "full simulation (run)" in labels
    listed = "\n".join(text.get_text() for text in figure.axes[1].texts)
    assert all(str(position) in listed for position in range(1, len(written.pareto) + 1))
    picture = (written.directory / "study.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    assert 0.005 < (pixels < 250).any(axis=-1).mean() < 0.2


def test_a_dataset_that_is_no_study_is_not_drawn():
    with pytest.raises(InputError, match="no study"):
        study_figure(xr.Dataset({"u": ("x", [1.0])}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grid.patchs=1,2", "Did you mean `patches`"),
        ("schem.order=2", "Did you mean `scheme`"),
        ("scheme=1", "name one entry"),
        ("scheme.order", "not of the form"),
        ("scheme.order=2,,4", "not of the form"),
    ],
)
def test_what_cannot_be_varied_is_refused_with_advice(text, told):
    with pytest.raises(CaseError, match=told):
        parse_axis(text)


def test_values_are_cut_at_commas_outside_brackets():
    assert parse_axis("grid.patches=[8,16],[16,32]") == ("grid.patches", [[8, 16], [16, 32]])
    assert parse_axis("scheme.order=2,spectral") == ("scheme.order", [2, "spectral"])
    assert parse_axis("initial.u=max(x,0),sin(x)") == ("initial.u", ["max(x,0)", "sin(x)"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"vary": {}}, "0 runs"),
        ({"vary": {"scheme.order": []}}, "list of values"),
        ({"vary": {"scheme.order": 4}}, "`vary` .* each entry a list"),
        ({"vary": {"initial.u": [{"file": "a"}]}}, "tables"),
        ({"vary": {"time.dt": list(np.linspace(1e-4, 1e-3, 2001))}}, "2001 runs"),
        ({"limit": -1.0}, "positive"),
        ({"reference": "truth"}, "Known"),
        ({"vary": {"model.params.D": [1, 2]}, "reference": "self"}, "changes the problem"),
        ({"vary": {"grid.dx": [0.01, 0.02]}, "reference": "full_domain"}, "lattice itself"),
    ],
)
def test_studies_that_make_no_sense_are_refused(options, told):
    with pytest.raises(InputError, match=told):
        gp.study(heat(), **options, quiet=True)


def test_the_exact_solution_cannot_be_the_reference_where_there_is_none():
    with pytest.raises(InputError, match="no exact solution"):
        gp.study(heat("compare="), reference="exact", quiet=True)


def test_the_command_runs_a_study_and_refuses_to_overwrite_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["study", "heat1d", "--backend", "numpy", "--vary", "scheme.order=2,4"]
    words += [part for change in QUICK for part in ("--set", change)]
    assert main([*words, "--dry-run"]) == 0
    assert "2 runs" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "worth their cost" in told
    assert "to go" in told
    picture = tmp_path / "studies" / "heat1d" / "study.png"
    picture.unlink()
    assert main(["plot", str(picture.parent)]) == 0
    assert picture.exists()
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["study", "heat1d", "--vary", "grid.patchs=1,2"]) == 2
    assert "Did you mean `patches`" in capsys.readouterr().err

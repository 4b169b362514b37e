"""Branches: pitchforks of a rod, the fold and the Hopf point of fronts, through patches."""

from typing import Any

import numpy as np
import pytest
from systems import FRONT, fronts, rod, walkers

import gpupatch as gp
from gpupatch.plot.bifurcation import bifurcation_figure
from gpupatch.tasks import curve, spectrum, steady


@pytest.fixture(scope="module")
def pitchforks():
    return gp.continue_(
        rod(), "strength", 5.0, {"u": 0.0}, switch=True, longest=0.1, functional="middle u"
    )


def test_pitchforks_lie_at_squares(pitchforks):
    found = [one.parameter for one in pitchforks.branch_points]
    assert found == pytest.approx([1.0, 4.0], rel=0.005)


def test_pitchforks_lie_where_patches_lose_their_stability(pitchforks):
    own = -np.sort(rod(strength=0.0).eigenvalues(2).real)[::-1]
    found = [one.parameter for one in pitchforks.branch_points]
    assert found == pytest.approx(own, rel=1e-5)


def test_stability_passes_to_the_branches_that_leave(pitchforks):
    first, again, *others = pitchforks.children
    assert pitchforks.stable[0]
    assert not pitchforks.stable[-1]
    assert first.stable.all()
    assert again.stable.all()
    assert not any(one.stable.any() for one in others)
    assert len(others) == 2


def test_the_two_sides_of_a_pitchfork_mirror_each_other(pitchforks):
    first, again, *_ = pitchforks.children
    assert first.parameter[-1] == again.parameter[-1] == 5.0
    assert np.abs(first.states[-1] + again.states[-1]).max() < 1e-6


def test_a_branch_passes_the_states_known_from_elliptic_functions(pitchforks):
    branch = pitchforks.children[0]
    for strength, middle in ((2.0, 0.8007807757), (4.0, 0.9515587837)):
        (U,) = branch.at(strength)
        largest = np.abs(U).max()
        assert largest == pytest.approx(middle, rel=0.02)


def test_branches_become_a_dataset_and_a_diagram(pitchforks, tmp_path):
    ds = pitchforks.to_xarray()
    assert set(ds["kind"].values) == {"branch point"}
    assert ds["u"].dims == ("point", "x")
    assert ds["branch"].max() == 4
    ds.to_netcdf(tmp_path / "branch.nc")
    figure = bifurcation_figure(ds)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[:2] == ["stable", "unstable"]
    assert labels[2].startswith("branch point")


def test_fronts_fold_where_they_are_known_to():
    branch = gp.continue_(
        fronts(), "epsilon", 1.1, FRONT, bounds=(0.8, 1.1), start=0.85, longest=0.2, step=0.1
    )
    (fold,) = branch.folds
    assert fold.parameter == pytest.approx(0.944, rel=0.01)
    assert branch.stable[0]
    assert not branch.stable[-1]
    assert "left its interval" in branch.reason


def test_fronts_begin_to_swing_where_they_are_known_to():
    slow = {"u": lambda x: 0.9 * np.tanh((x - 11.0) / 1.4), "v": lambda x: 0.02 * (x - 11.0) / 10}
    branch = gp.continue_(fronts(epsilon=0.03), "epsilon", 0.012, slow, step=0.1, longest=0.3)
    (hopf,) = branch.hopf_points
    assert hopf.parameter == pytest.approx(0.01822, rel=0.03)
    assert hopf.angular_frequency == pytest.approx(0.0475, rel=0.02)
    assert branch.stable[0]
    assert not branch.stable[-1]


def test_a_krylov_space_follows_the_branch_that_all_directions_follow(monkeypatch):
    def followed():
        return gp.continue_(
            rod(6), "strength", 1.5, {"u": 0.0}, switch=True, longest=0.3, step=0.2, k=3
        )

    dense = followed()
    for module in (curve, spectrum, steady):
        monkeypatch.setattr(module, "DENSE", 3)
    grown = followed()
    (known,), (found,) = dense.branch_points, grown.branch_points
    assert found.parameter == pytest.approx(known.parameter, rel=1e-6)
    assert len(grown.children) == 2
    for one, other in zip(grown.children, dense.children, strict=True):
        assert one.stable.all()
        largest = np.abs(other.states[-1]).max()
        assert np.abs(np.abs(one.states[-1]) - np.abs(other.states[-1])).max() < 1e-5 * largest


def test_a_branch_is_not_followed_through_noise():
    with pytest.raises(gp.SchemeError, match="chase the noise"):
        gp.continue_(walkers(), "temperature", 2.0, {"density": 0.5})


def test_numbers_that_make_no_branch_are_refused():
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"end": 0.5}, "two different finite numbers"),
        ({"end": 2.0, "step": -1.0}, "first step is -1.0"),
        ({"end": 2.0, "steps": 0}, "at least 1"),
        ({"end": 2.0, "functional": "mean w"}, "wants a field `w`"),
        ({"end": 2.0, "functional": "norms"}, "Did you mean `norm`"),
        ({"end": 2.0, "bounds": (1.0, 2.0)}, "outside the bounds"),
    ]
    for options, message in wrong:
        with pytest.raises(gp.InputError, match=message):
            gp.continue_(rod(), "strength", U0={"u": 0.0}, **options)


def test_a_parameter_that_does_not_exist_is_refused():
    with pytest.raises(gp.InputError, match="no parameter `force`"):
        gp.continue_(rod(), "force", 2.0, {"u": 0.0})


def test_where_no_state_is_found_no_branch_begins():
    @gp.rule(fields="u")
    def growth(u, rate, dx):
        return (u[1] - 2 * u[0] + u[-1]) / dx**2 + rate * (1 + u[0] ** 2)

    grid = gp.PatchGrid([(0.0, 1.0)], [6], 5, ratio=0.2)
    backend, _ = gp.get_backend("numpy")
    scheme = gp.CoupledScheme(gp.Problem(growth, grid, {"rate": 1.0}), backend)
    with pytest.raises(gp.InputError, match="no steady state was found near"):
        gp.continue_(scheme, "rate", 2.0, {"u": 0.0})

"""Movies: a frame per saved time, with limits and colours that do not change."""

import numpy as np
import pytest
import xarray as xr
from PIL import Image, ImageSequence

from gpupatch.cli import main
from gpupatch.files.snapshots import Snapshot
from gpupatch.particles.state import make_state
from gpupatch.plot import movie

CASE = """
title = "Heat on a ring"
[model]
name = "diffusion"
params = { D = 1.0 }
[grid]
domain = [[0.0, 1.0]]
patches = 5
sites = 5
ratio = 0.3
[initial]
u = "sin(2*pi*x)"
[time]
end = 0.004
save = 4
[output]
patches = true
[run]
backend = "numpy"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a small run."""
    folder = tmp_path_factory.mktemp("movie")
    (folder / "ring.toml").write_text(CASE)
    assert main(["run", str(folder / "ring.toml"), "--out", str(folder / "ring"), "-q"]) == 0
    return folder / "ring"


def growing(shape):
    """A field that stays 1 in the first half and grows in one place of the other."""
    axes = ("x", "y")[: len(shape)]
    u = np.ones((3, *shape))
    u[:, -1] = np.array([2.0, 5.0, 50.0]).reshape(3, *(1,) * (len(shape) - 1))
    coords = {a: (np.arange(n) + 0.5) / n for a, n in zip(axes, shape, strict=True)}
    return xr.Dataset({"u": (("time", *axes), u)}, {"time": np.arange(3.0), **coords})


@pytest.mark.parametrize("shape", [(8,), (8, 8)])
def test_what_does_not_change_looks_the_same_in_all_frames(shape):
    first, *others = list(movie.frames(growing(shape)))
    rows, columns, _ = first.shape
    header, middle = rows // 5, columns // 2 - 30
    for other in others:
        assert other.shape == first.shape
        changed = (other != first).any(axis=2)
        assert not changed[header : 4 * rows // 5, :middle].any()
        assert changed[header:, middle:].any()


def test_frames_have_even_sides_and_hold_particles_below():
    ds = growing((8,))
    alone = next(movie.frames(ds))
    state = make_state(np.linspace(-0.4, 0.4, 5)[None, None], [1.0])
    snapshots = [Snapshot(t, state, ("open",), 1, np.array([[0.5]])) for t in (0.0, 2.0)]
    for frame in movie.frames(ds, snapshots):
        assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
        assert frame.shape[0] > alone.shape[0] + 200


def test_a_movie_has_a_frame_for_every_saved_time(run, tmp_path):
    path = tmp_path / "ring.gif"
    assert main(["plot", str(run), "--movie", "--out", str(path), "--fps", "4", "-q"]) == 0
    with Image.open(path) as picture:
        assert len(ImageSequence.all_frames(picture)) == 4
        assert picture.info["duration"] == 250


def test_an_mp4_holds_the_frames(run, tmp_path):
    import imageio_ffmpeg

    path = tmp_path / "ring.mp4"
    assert main(["plot", str(run), "--movie", "--out", str(path), "--fps", "4", "-q"]) == 0
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == 4
    assert seconds == pytest.approx(1.0, abs=0.05)
    assert [one.name for one in tmp_path.iterdir()] == ["ring.mp4"]


def test_without_ffmpeg_a_gif_is_made_and_an_mp4_refused(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(movie, "find_ffmpeg", lambda: None)
    assert main(["plot", str(run), "--movie"]) == 0
    assert capsys.readouterr().out.strip() == str(run / "movie.gif")
    assert main(["plot", str(run), "--movie", "--out", str(tmp_path / "a.mp4")]) == 2
    assert 'pip install "gpupatch[movie]"' in capsys.readouterr().err


def test_a_movie_is_replaced_only_when_asked_for(run, tmp_path, capsys):
    path = tmp_path / "kept.gif"
    path.write_text("kept")
    assert main(["plot", str(run), "--movie", "--out", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert path.read_text() == "kept"
    assert main(["plot", str(run), "--movie", "--out", str(path), "--overwrite", "-q"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "a.avi"], "as .mp4 or .gif"),
        (["--out", "no/such/directory/a.gif"], "cannot write the movie"),
        (["--out", "a.gif", "--fps", "-1"], "positive number of frames"),
        (["--out", "a.gif", "--fps", "nan"], "positive number of frames"),
    ],
)
def test_a_movie_that_cannot_be_made_is_refused(
    arguments, message, run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", str(run), "--movie", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

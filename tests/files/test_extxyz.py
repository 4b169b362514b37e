"""Extended XYZ: what is written is read back to the last bit, and in the words of other tools."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.errors import InputError
from gpupatch.files.extxyz import Frame, frames, read_extxyz, write_extxyz


def crowd(ndim=2, n_patch=4, n=5):
    rng = np.random.default_rng(7)
    return gp.make_state(
        rng.normal(size=(n_patch, ndim, n)) * 10.0 ** rng.integers(-9, 9, (n_patch, ndim, n)),
        [3.5, 1 / 3, 7.0][:ndim],
        velocities=rng.normal(size=(n_patch, ndim, n)),
        types=rng.integers(0, 3, n),
        counts=[5, 0, 3, 4],
    )


def test_frames_are_read_back_exactly(tmp_path):
    state, path = crowd(), tmp_path / "particles.xyz"
    given = list(frames(state, ("periodic", "open"), time=0.1, members=2))
    assert write_extxyz(path, given) == 4
    found = read_extxyz(path)
    assert [(f.time, f.member, f.patch) for f in found] == [
        (0.1, 0, 0), (0.1, 0, 1), (0.1, 1, 0), (0.1, 1, 1)
    ]  # fmt: skip
    for one, other, p in zip(given, found, range(4), strict=True):
        n = state.counts[p]
        assert other.species == one.species
        np.testing.assert_array_equal(other.positions[:, :2], state.positions[p, :, :n].T)
        np.testing.assert_array_equal(other.velocities[:, :2], state.velocities[p, :, :n].T)
        np.testing.assert_array_equal(other.positions[:, 2], 0)
        np.testing.assert_array_equal(other.box, [3.5, 1 / 3, 1.0])
        np.testing.assert_array_equal(other.origin, [0.0, -1 / 6, -0.5])
        assert other.periodic == (True, False, False)


def test_the_file_has_the_words_that_other_tools_look_for(tmp_path):
    path = tmp_path / "one.xyz"
    state = gp.make_state([[[1.0], [2.0], [0.5]]], (4.0, 5.0, 6.0), velocities=[[[-1.0], [0], [0]]])
    write_extxyz(path, frames(state, ("periodic",) * 3, time=2.0))
    assert path.read_text() == (
        '1\nLattice="4.0 0.0 0.0 0.0 5.0 0.0 0.0 0.0 6.0" Origin="0.0 0.0 0.0" pbc="T T T" '
        "Properties=species:S:1:pos:R:3:velo:R:3 Time=2.0 patch=0 member=0\n"
        "H 1.0 2.0 0.5 -1.0 0.0 0.0\n"
    )


def test_files_of_others_are_read(tmp_path):
    path = tmp_path / "other.xyz"
    path.write_text(
        '2\nProperties=id:I:1:pos:R:3:species:S:1 Lattice="2 0 0 0 2 0 0 0 2" energy=-1.5\n'
        "7 0.5 1e-3 0 Ar\n8 1 1 1 Kr\n"
    )
    (frame,) = read_extxyz(path)
    assert frame.species == ("Ar", "Kr")
    np.testing.assert_array_equal(frame.positions, [[0.5, 1e-3, 0], [1, 1, 1]])
    np.testing.assert_array_equal(frame.velocities, 0)
    assert frame.facts == {"energy": "-1.5"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("two\n\n", "line 1"),
        ("2\nTime=1\nH 0 0 0\n", "2 particles are announced, 1 follow"),
        ("1\nTime=1\nH 0 x 0\n", "could not convert"),
        ('0\nLattice="1 0 0 0 1"\n', "should be 9 numbers"),
        ('0\nLattice="1 0 0 1 1 0 0 0 1"\n', "slanted"),
        ("1\nProperties=pos:R:3\n0 0 0\n", "species"),
    ],
)
def test_what_is_not_extended_xyz_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "bad.xyz"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_extxyz(path)


def test_names_that_would_spoil_the_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="leave out white space"):
        write_extxyz(tmp_path / "bad.xyz", frames(crowd(), ("open",) * 2, species=("a b",) * 3))
    with pytest.raises(InputError, match="type 2 have no name"):
        list(frames(crowd(), ("open",) * 2, species=("A", "B")))
    with pytest.raises(InputError, match="cannot be shared by 3 members"):
        list(frames(crowd(), ("open",) * 2, members=3))


def test_facts_travel_with_a_frame(tmp_path):
    zero = np.zeros((1, 3))
    frame = Frame(("H",), zero, zero, np.ones(3), np.zeros(3), (True,) * 3, facts={"force": "0.5"})
    write_extxyz(tmp_path / "f.xyz", [frame])
    assert read_extxyz(tmp_path / "f.xyz")[0].facts == {"force": "0.5"}

"""Trees as bytes, checkpoints that replace each other whole, and the journal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupatch.errors import GpupatchError, InputError
from gpupatch.files.checkpoint import previous_of, read_checkpoint, write_checkpoint
from gpupatch.files.frozen import Damaged, freeze, thaw
from gpupatch.files.journal import Journal, read_journal

TREE = {
    "none": None,
    "truth": True,
    "whole": 2**70,
    "real": 0.1,
    "endless": float("-inf"),
    "text": "\N{GREEK SMALL LETTER MU} \n",
    "nested": [{"a": [1, 2.5, "x"]}, []],
    "arrays": {
        "singles": np.arange(4, dtype=np.float32),
        "zeros": np.array([0.0, -0.0, np.nan, np.inf]),
        "none": np.zeros((0, 3)),
        "types": np.array([[1, 2]], dtype=np.int32),
    },
}


def test_a_tree_comes_back_to_the_last_bit():
    found = thaw(freeze(TREE))
    np.testing.assert_equal(found, TREE)
    for name, array in TREE["arrays"].items():
        assert found["arrays"][name].dtype == array.dtype
        assert found["arrays"][name].tobytes() == array.tobytes()


def test_tuples_and_numbers_of_numpy_become_plain():
    assert thaw(freeze({"a": (1, np.float64(0.1)), "b": np.int64(3)})) == {"a": [1, 0.1], "b": 3}


@pytest.mark.parametrize("value", [object(), np.array([object()]), {1, 2}])
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(TypeError):
        freeze({"a": value})


@given(st.data())
@settings(max_examples=150)
def test_damage_is_noticed_or_does_no_harm(data):
    """Any byte of the archive may change, and it may end anywhere."""
    whole = freeze({"a": np.arange(6.0), "b": "text"})
    where = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        spoilt = whole[:where]
    else:
        byte = data.draw(st.integers(1, 255))
        spoilt = whole[:where] + bytes([whole[where] ^ byte]) + whole[where + 1 :]
    try:
        found = thaw(spoilt)
    except Damaged:
        return
    np.testing.assert_equal(found, {"a": np.arange(6.0), "b": "text"})


@given(st.binary(max_size=300))
def test_other_bytes_are_no_tree(data):
    with pytest.raises(Damaged):
        thaw(data)


def test_the_last_two_checkpoints_are_kept(tmp_path):
    path = tmp_path / "checkpoint.npz"
    for number in range(3):
        write_checkpoint(path, {"number": number})
    assert read_checkpoint(path)[0]["number"] == 2
    assert read_checkpoint(previous_of(path))[0]["number"] == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "checkpoint.npz",
        "checkpoint.previous.npz",
    ]


def test_a_checkpoint_of_a_later_format_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(freeze({"format": 1000}))
    with pytest.raises(InputError, match="has the format 1000"):
        read_checkpoint(path)


def test_a_full_disk_leaves_the_earlier_checkpoints(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    write_checkpoint(path, {"number": 0})
    write_checkpoint(path, {"number": 1})

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(GpupatchError, match="No space left"):
        write_checkpoint(path, {"number": 2})
    monkeypatch.undo()
    assert read_checkpoint(path)[0]["number"] == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_journal_is_read_up_to_the_record_that_was_being_written(tmp_path):
    path = tmp_path / "journal.bin"
    with Journal(path) as journal:
        for number in range(3):
            journal.append({"number": number, "values": np.full(4, number)})
    records = list(read_journal(path))
    assert [record["number"] for record, _ in records] == [0, 1, 2]
    ends = [end for _, end in records]
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert len(list(read_journal(path))) == sum(end <= size for end in ends)


def test_a_journal_goes_on_after_the_records_that_are_kept(tmp_path):
    path = tmp_path / "journal.bin"
    with Journal(path) as journal:
        for number in range(4):
            journal.append({"number": number})
    kept = [end for _, end in read_journal(path)][1]
    with Journal(path, kept) as journal:
        journal.append({"number": 7})
    assert [record["number"] for record, _ in read_journal(path)] == [0, 1, 7]


def test_what_is_no_journal_holds_no_records(tmp_path):
    path = tmp_path / "journal.bin"
    assert list(read_journal(path)) == []
    path.write_bytes(b"something else, and more of it")
    assert list(read_journal(path)) == []

"""Plain numbers and arrays as bytes and back, bit for bit, without pickles.

The bytes are those of an `.npz` archive: one member per array, and the member `tree`, JSON in which
`{"$array": "a3"}` stands for an array. Every member carries a checksum.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Plain
from gpupatch.errors import InputError

_ARRAY, _TREE = "$array", "tree"
_UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, TypeError, RecursionError, MemoryError,
    NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy and zipfile raise when they meet bytes that were damaged."""


class Damaged(InputError):
    """Bytes that are no longer what was written."""


def freeze(tree: Mapping[str, Plain]) -> bytes:
    """Turn a tree into bytes.

    Args:
        tree: mappings with keys of text, lists and tuples, of None, truth values, numbers, text and
            arrays of numbers. Tuples come back as lists.

    Raises:
        TypeError: if there is anything else in it.
    """
    arrays: dict[str, NDArray[Any]] = {}
    text = json.dumps(_without_arrays(tree, arrays)).encode()
    stream = io.BytesIO()
    np.savez(stream, **{_TREE: np.frombuffer(text, np.uint8)}, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def _without_arrays(value: Plain, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("an array of objects has no bytes of its own")
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {_ARRAY: name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _without_arrays(one, arrays) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(one, arrays) for one in value]
    return value


def thaw(data: bytes) -> dict[str, Plain]:
    """The tree that `freeze` turned into bytes.

    Raises:
        Damaged: if these are not such bytes, or not all of them.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as members:
            tree = json.loads(members[_TREE].tobytes())
            found = _with_arrays(tree, {name: members[name] for name in members.files})
    except _UNREADABLE as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error
    if not isinstance(found, dict):
        raise Damaged("its tree is no mapping")
    return found


def _with_arrays(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Plain:
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _with_arrays(one, arrays) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_arrays(one, arrays) for one in value]
    return value

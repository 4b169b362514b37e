"""`journal.bin`: what a run has saved, kept so that no kill can spoil it.

A NetCDF file is spoilt by a process that dies while it writes. So a run that makes checkpoints
appends every record to a journal first, and waits until it is on disk; whoever takes up the run
makes `solution.nc` and `particles.nc` anew from it. A journal is a line of text and then frames:

    8 bytes   length of the record, little-endian
    4 bytes   CRC-32 of the record
    record    see `freeze`

What follows the last whole frame was being written when the process died, and is cut off.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from gpupatch.arrays import Plain
from gpupatch.errors import GpupatchError
from gpupatch.files.checkpoint import sync_directory
from gpupatch.files.frozen import Damaged, freeze, thaw

JOURNAL = "journal.bin"
_HEAD = b"gpupatch journal 1\n"
_FRAME = struct.Struct("<QI")


class Journal:
    """Appends records, each safe on disk before the next begins.

    Args:
        path: the file; a new one is begun unless `kept` says how much of it stays.
        kept: bytes of the existing file that stay; later ones are cut off.

    Raises:
        GpupatchError: when the disk refuses.
    """

    def __init__(self, path: Path, kept: int | None = None):
        self.path = path
        try:
            self._stream = path.open("wb" if kept is None else "r+b")
            if kept is None:
                self._stream.write(_HEAD)
            else:
                self._stream.truncate(kept)
                self._stream.seek(kept)
            self._sync()
            sync_directory(path.parent)
        except OSError as error:
            raise GpupatchError(f"cannot write the journal `{path}` ({error}).") from error

    def append(self, record: Mapping[str, Plain]) -> None:
        """Append a record and wait until it is on disk.

        Raises:
            GpupatchError: when the disk refuses.
        """
        data = freeze(record)
        try:
            self._stream.write(_FRAME.pack(len(data), zlib.crc32(data)))
            self._stream.write(data)
            self._sync()
        except OSError as error:
            raise GpupatchError(
                f"cannot write to the journal `{self.path}` ({error}). Free some space, then "
                "`gpupatch resume` from the last checkpoint."
            ) from error

    def _sync(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_journal(path: Path) -> Iterator[tuple[dict[str, Plain], int]]:
    """The records of a journal up to the first that is not whole.

    Args:
        path: the file; none reads like an empty one.

    Yields:
        A record, and the number of bytes up to its end.
    """
    if not path.exists():
        return
    with path.open("rb") as stream:
        if stream.read(len(_HEAD)) != _HEAD:
            return
        size = os.fstat(stream.fileno()).st_size
        while len(head := stream.read(_FRAME.size)) == _FRAME.size:
            length, checksum = _FRAME.unpack(head)
            if length > size - stream.tell():
                return
            data = stream.read(length)
            if zlib.crc32(data) != checksum:
                return
            try:
                yield thaw(data), stream.tell()
            except Damaged:
                return

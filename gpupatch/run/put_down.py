"""The checkpoints of a case, with the cursors of its files; and how the files are taken up."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpupatch.arrays import Plain
from gpupatch.checkpoints import Checkpoint, Checkpoints
from gpupatch.errors import InputError
from gpupatch.files.case import Case
from gpupatch.files.checkpoint import (
    CHECKPOINT,
    previous_of,
    sync_directory,
    temporary_of,
    write_checkpoint,
)
from gpupatch.files.journal import JOURNAL, Journal, read_journal
from gpupatch.files.output import SOLUTION
from gpupatch.files.snapshots import SNAPSHOTS
from gpupatch.run import particles as particle_record
from gpupatch.run import record as solution_record
from gpupatch.run.particles import ParticleRecord
from gpupatch.run.record import Record

CHECKPOINTS = (CHECKPOINT, previous_of(Path(CHECKPOINT)).name)
PASSING = (
    JOURNAL,
    *(temporary_of(Path(name)).name for name in (CHECKPOINT, JOURNAL, SOLUTION, SNAPSHOTS)),
)
"""Files that are there only while a run goes on."""


@dataclass(frozen=True, eq=False)
class TakenUp:
    """What a run of a case is taken up from.

    Attributes:
        run: what `simulate` goes on from, without the records.
        cursor: how far the files had been written: records of `solution.nc` and `particles.nc`, and
            times at which there were particles.
    """

    run: dict[str, Plain]
    cursor: dict[str, int]


class CaseCheckpoints(Checkpoints):
    """The checkpoints of a run that has a directory: records are in its files, not in here.

    The last checkpoint waits until the files are closed, see `finish`.

    Args:
        directory: of the run.
        case: the case, whose `[checkpoint]` says when.
        about: facts that a resumption needs: the case, what it read, the backend.
        record: writes `solution.nc`.
        particles: writes `particles.nc`.
    """

    def __init__(
        self,
        directory: Path,
        case: Case,
        about: Mapping[str, Plain],
        record: Record,
        particles: ParticleRecord,
    ):
        super().__init__(directory / CHECKPOINT, case.checkpoint.every, case.checkpoint.seconds)
        self._about, self._record, self._particles = dict(about), record, particles
        self._waiting: dict[str, Plain] | None = None

    def write(self, checkpoint: Checkpoint) -> None:
        """Write the file, or keep it for `finish`."""
        cursor = {
            "solution": self._record.count,
            "particles": self._particles.count,
            "shown": self._particles.shown,
        }
        tree = {
            "about": self._about,
            "run": checkpoint.run,
            "cursor": cursor,
            "saved_until": checkpoint.saved.times[-1],
        }
        if checkpoint.last:
            self._waiting = tree
        else:
            write_checkpoint(self.path, tree)

    def finish(self) -> None:
        """Write the last checkpoint, now that the files are closed, and do without the journal."""
        for name in (SOLUTION, SNAPSHOTS):
            _sync(self.path.with_name(name))
        if self._waiting is not None:
            write_checkpoint(self.path, self._waiting)
        self.path.with_name(JOURNAL).unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove what is left of earlier stops, now that the run has reached its end."""
        if not self.periodic:
            for name in CHECKPOINTS:
                self.path.with_name(name).unlink(missing_ok=True)


def take_up_files(
    directory: Path, taken_up: TakenUp, record: Record, particles: ParticleRecord
) -> Checkpoint:
    """Bring the files of a run to where its checkpoint was made, and go on writing them.

    They are made anew from the journal; where there is none, the process before has closed them,
    and the journal is made of them first.

    Args:
        directory: of the run.
        taken_up: the checkpoint.
        record: will write `solution.nc`.
        particles: will write `particles.nc`.

    Returns:
        What `simulate` goes on from.

    Raises:
        InputError: if neither the journal nor the files hold all records.
        GpupatchError: if the disk refuses.
    """
    cursor, path = taken_up.cursor, directory / JOURNAL
    wanted = {
        solution_record.KIND: cursor["solution"], particle_record.KIND: cursor["particles"]
    }  # fmt: skip
    kept = _end_of(path, wanted)
    if kept is None:
        _journal_of(path, wanted, record, particles)
        kept = _end_of(path, wanted)
    if kept is None:
        raise InputError(
            f"the results in `{directory}` hold fewer records than its checkpoint says, and there "
            "is no journal. Begin anew in another directory."
        )
    journal = Journal(path, kept)
    record.rebuild(_of_kind(path, solution_record.KIND))
    particles.rebuild(_of_kind(path, particle_record.KIND), cursor["shown"])
    saved = record.saved(_of_kind(path, solution_record.KIND))
    record.journal = particles.journal = journal
    return Checkpoint(taken_up.run, saved)


def _end_of(path: Path, wanted: Mapping[str, int]) -> int | None:
    """Bytes of a journal up to the last record that is wanted; None if some are missing."""
    missing, kept = dict(wanted), None
    for frame, end in read_journal(path):
        missing[frame["kind"]] -= 1
        if missing[frame["kind"]] < 0:
            break
        kept = end
        if not any(missing.values()):
            return kept
    return None


def _of_kind(path: Path, kind: str) -> Iterator[dict[str, Plain]]:
    return (frame for frame, _ in read_journal(path) if frame["kind"] == kind)


def _journal_of(
    path: Path, wanted: Mapping[str, int], record: Record, particles: ParticleRecord
) -> None:
    """Make a journal of the files that an earlier process has closed."""
    temporary = temporary_of(path)
    with Journal(temporary) as journal:
        for writer, kind in ((record, solution_record.KIND), (particles, particle_record.KIND)):
            if wanted[kind]:
                for frame in itertools.islice(writer.written(), wanted[kind]):
                    journal.append(frame)
    temporary.replace(path)
    sync_directory(path.parent)


def _sync(path: Path) -> None:
    """Wait until a closed file is on disk."""
    if path.exists():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())

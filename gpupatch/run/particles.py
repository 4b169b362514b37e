"""The particles of a run: kept at saved times, and drawn at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Plain
from gpupatch.errors import CaseError
from gpupatch.files.case import Case
from gpupatch.files.checkpoint import temporary_of
from gpupatch.files.journal import Journal
from gpupatch.files.snapshots import (
    SNAPSHOTS,
    SnapshotWriter,
    read_header,
    read_values,
    stored_values,
)
from gpupatch.scheme.interface import Scheme, Shown
from gpupatch.solution import Solution

PICTURE = "particles.png"
KIND = "particles"
"""What marks the records of `particles.nc` in a journal."""


class ParticleRecord:
    """Writes `particles.nc` at saved times and draws `particles.png` at the end.

    Args:
        case: the case, whose `[output]` says which patches are kept, and how often.
        scheme: what is run.
        directory: where the files go.

    Attributes:
        journal: where every record goes first, if the run is to survive being killed.
        shown: times at which there were particles.
        count: times that were written.
    """

    def __init__(self, case: Case, scheme: Scheme, directory: Path):
        self._case, self._directory = case, directory
        self._scheme: Any = scheme
        self._writer: SnapshotWriter | None = None
        self.journal: Journal | None = None
        self.shown = self.count = 0
        self._last: Shown | None = None

    def __call__(self, t: float, shown: Shown) -> None:
        """Take the particles at one saved time.

        Raises:
            CaseError: if the case asks for patches that there are not.
        """
        kept = self.shown % self._case.output.every == 0
        self.shown, self._last = self.shown + 1, shown
        if not kept:
            return
        picked = self._picked(shown)
        values, centres = stored_values(shown.state.picked(picked)), shown.centres[picked]
        header = {"boundary": list(shown.boundary), "members": self._scheme.n_members}
        if self.journal is not None:
            record = {"kind": KIND, "time": t, "values": values, "centres": centres, **header}
            self.journal.append(record)
        if self._writer is None:
            self._writer = SnapshotWriter(self._path, **header, centres=centres)
        self._writer.write(t, values)
        self.count += 1

    @property
    def _path(self) -> Path:
        return self._directory / SNAPSHOTS

    def rebuild(self, records: Iterable[Mapping[str, Plain]], shown: int) -> None:
        """Make the file anew from records of a journal, and go on from there.

        Args:
            records: as they are in a journal.
            shown: times at which there had been particles.
        """
        temporary = temporary_of(self._path)
        temporary.unlink(missing_ok=True)
        writer, header, self.shown = None, {}, shown
        for record in records:
            if writer is None:
                header = {name: record[name] for name in ("boundary", "members", "centres")}
                writer = SnapshotWriter(temporary, **header)
            writer.write(record["time"], record["values"])
            self.count += 1
        if writer is None:
            return
        writer.close()
        temporary.replace(self._path)
        self._writer = SnapshotWriter(self._path, **header, continued=True)

    def written(self) -> Iterator[dict[str, Plain]]:
        """The records in the file that an earlier process closed, as they are in a journal.

        Raises:
            InputError: if it cannot be read.
        """
        header = read_header(self._path)
        for time, values in read_values(self._path):
            yield {"kind": KIND, "time": time, "values": values, **header}

    def _picked(self, shown: Shown) -> NDArray[np.int64]:
        """Numbers of the patches that are kept, those of a member after one another."""
        members, count = self._scheme.n_members, shown.state.n_patch // self._scheme.n_members
        asked = self._case.output.particles
        chosen = np.arange(count) if asked is True else np.array(asked, dtype=np.int64)
        if chosen.max() >= count:
            raise CaseError(
                f"`output.particles`: there is no patch {chosen.max()}; a member has the patches 0 "
                f"to {count - 1}."
            )
        return np.concatenate([chosen + member * count for member in range(members)])

    def draw(self, solution: Solution) -> None:
        """Draw the particles of the first member at the last time, if there were any."""
        if self._last is None or not self._last.state.counts.any():
            return
        from gpupatch.plot import Profile, particle_figure

        scheme, shown = self._scheme, self._last
        model = scheme.problem.model
        first = np.arange(shown.state.n_patch // scheme.n_members)
        profile = None
        if scheme.names == ("density",) and model.ndim == 1:
            x, values = scheme.grid.centres[0], solution.coarse[-1][0, 0]
            if scheme.grid.periodic(0):
                (lo, hi), values = scheme.grid.domain[0], np.pad(values, 1, mode="wrap")
                x = np.concatenate([[x[-1] - (hi - lo)], x, [x[0] + (hi - lo)]])
            profile = Profile("density", x, values)
        placed = shown.centres.shape[1] == 1
        figure = particle_figure(
            shown.state.picked(first),
            shown.boundary,
            centres=shown.centres[first, 0] if placed else None,
            profile=profile,
            core=scheme.problem.core_width if scheme.kind in ("flux", "burst") else None,
            color="speed" if model.dynamics.moves_velocities else "type",
            pairs=None if model.bonds is None else model.bonds.pairs,
            title=self._case.title or self._case.name,
            details=f"{model.dynamics.kind}, t = {solution.times[-1]:g}",
        )
        figure.savefig(self._directory / PICTURE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

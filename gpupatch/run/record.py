"""`solution.nc` as a run writes it: what `[output]` asks for, journalled where that is wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from gpupatch.arrays import Macro, Micro, Plain
from gpupatch.errors import CaseError, suggestion
from gpupatch.files.case import Case
from gpupatch.files.checkpoint import temporary_of
from gpupatch.files.journal import Journal
from gpupatch.files.layout import Layout
from gpupatch.files.output import SOLUTION, SolutionWriter, read_records
from gpupatch.scheme import Scheme
from gpupatch.solution import Saved, result_layout

KIND = "solution"
"""What marks the records of `solution.nc` in a journal."""

_PARTS = ("coarse", "micro", "exact", "uncertainty")


class Record:
    """Writes what `[output]` asks for: some fields, and micro fields at every so-many-th time.

    The file is made when the first time comes, which shows what there is to keep.

    Args:
        case: the case.
        scheme: what is run.
        facts: attributes of the result.
        directory: where the file goes.

    Attributes:
        journal: where every record goes first, if the run is to survive being killed.
        count: records written.

    Raises:
        CaseError: if a field is asked for that the scheme does not have.
    """

    def __init__(self, case: Case, scheme: Scheme, facts: dict[str, Any], directory: Path):
        names = scheme.names if case.output.fields is None else case.output.fields
        stray = sorted(set(names) - set(scheme.names))
        if stray:
            raise CaseError(
                f"`output.fields`: there is no field `{stray[0]}`. "
                f"{suggestion(stray[0], scheme.names)}"
            )
        self.every, self.count = case.output.every, 0
        self.journal: Journal | None = None
        self._names, self._picked = tuple(names), [scheme.names.index(name) for name in names]
        self._scheme, self._facts, self._path = scheme, facts, directory / SOLUTION
        self._writer: SolutionWriter | None = None

    def __call__(
        self,
        t: float,
        coarse: Macro,
        micro: Micro | None,
        exact: Macro | None,
        error: Macro | None,
    ) -> None:
        """Write one saved time; micro fields that are not kept are undefined (NaN)."""
        if micro is not None and self.count % self.every:
            micro = np.full_like(micro, np.nan)
        given = (coarse, micro, exact, error)
        picked = [None if values is None else values[:, self._picked] for values in given]
        record: dict[str, Plain] = dict(zip(_PARTS, picked, strict=True))
        if self.journal is not None:
            self.journal.append({"kind": KIND, "time": t, **record})
        if self._writer is None:
            self._writer = SolutionWriter(self._path, self._layout(present(record)))
        self._writer.append(t, *record.values())  # type: ignore[arg-type]
        self.count += 1

    def rebuild(self, records: Iterable[Mapping[str, Plain]]) -> None:
        """Make the file anew from records of a journal, and go on from there."""
        temporary = temporary_of(self._path)
        temporary.unlink(missing_ok=True)
        writer, last = None, None
        for record in records:
            if writer is None:
                writer = SolutionWriter(temporary, self._layout(present(record)))
            writer.append(record["time"], *(record[name] for name in _PARTS))
            last, self.count = record["time"], self.count + 1
        if writer is None:
            return
        writer.close()
        temporary.replace(self._path)
        self._writer = SolutionWriter(self._path, writer.layout, after=last)

    def written(self) -> Iterator[dict[str, Plain]]:
        """The records in the file that an earlier process closed, as they are in a journal.

        Raises:
            InputError: if it cannot be read.
        """
        endings = {"micro": "micro", "exact": "exact", "uncertainty": "error"}

        def layout_of(found: Collection[str]) -> Layout:
            return self._layout(
                {part: f"{self._names[0]}_{end}" in found for part, end in endings.items()}
            )

        for time, *arrays in read_records(self._path, layout_of):
            yield {"kind": KIND, "time": time, **dict(zip(_PARTS, arrays, strict=True))}

    def saved(self, records: Iterable[Mapping[str, Plain]]) -> Saved:
        """What a run keeps in memory of its records; fields that were not written are undefined."""
        saved = Saved()
        for record in records:
            values = [self._filled(record[name]) for name in _PARTS]
            saved.keep(record["time"], *values)  # type: ignore[arg-type]
        return saved

    def _filled(self, picked: np.ndarray | None) -> np.ndarray | None:
        if picked is None:
            return None
        shape = (picked.shape[0], len(self._scheme.names), *picked.shape[2:])
        whole = np.full(shape, np.nan)
        whole[:, self._picked] = picked
        return whole

    def _layout(self, parts: Mapping[str, bool]) -> Layout:
        layout = result_layout(
            self._scheme,
            self._facts,
            with_micro=parts["micro"],
            with_exact=parts["exact"],
            with_uncertainty=parts["uncertainty"],
        )
        return dataclasses.replace(layout, fields=self._names)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def present(record: Mapping[str, Plain]) -> dict[str, bool]:
    """Which parts a record has."""
    return {name: record[name] is not None for name in _PARTS}

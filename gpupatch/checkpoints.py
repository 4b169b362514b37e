"""When a run is put down, what is put down, and how it is taken up again."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpupatch.arrays import Plain
from gpupatch.contract import checked
from gpupatch.errors import InputError
from gpupatch.files.checkpoint import read_checkpoint, write_checkpoint
from gpupatch.scheme import Scheme
from gpupatch.solution import Saved


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run at one moment: all that another process needs to go on.

    Attributes:
        run: what the run knows, in plain numbers and host arrays.
        saved: the records of its saved times.
        last: whether the run ends here.
    """

    run: dict[str, Plain]
    saved: Saved
    last: bool = False

    @property
    def time(self) -> float:
        """Model time reached."""
        return self.run["march"]["time"]


@checked(InputError)
class Checkpoints:
    """Puts a run of `simulate` down on disk, so that a later call can take it up.

        kept = gp.Checkpoints("rod.npz", every=10)
        gp.simulate(scheme, hot_spot, end=0.5, checkpoint=kept)
        gp.simulate(scheme, hot_spot, end=0.5, checkpoint=kept, resume="rod.npz")

    A run that is interrupted (SIGINT, SIGTERM) is put down whatever the numbers say. The state of a
    checkpoint is finite. The file is self-contained: it holds the saved records as well.

    Args:
        path: the file; the one before the last is kept beside it.
        every: saved times between two checkpoints, the first and the last time included.
        seconds: wall time between two checkpoints; they are made after leaps, and at saved times
            only if the projection is `implicit`.

    Raises:
        InputError: if a number is not positive.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int | None = None, seconds: float | None = None
    ):
        for name, value in (("every", every), ("seconds", seconds)):
            if value is not None and not value > 0:
                raise InputError(f"`{name}` is {value}; between checkpoints it must be positive.")
        self.path, self.every, self.seconds = Path(path), every, seconds
        self._made = time.monotonic()

    @property
    def periodic(self) -> bool:
        """Whether checkpoints are made while the run goes on, and at its end."""
        return self.every is not None or self.seconds is not None

    def due(self) -> bool:
        """Whether the last checkpoint is older than `seconds`."""
        return self.seconds is not None and time.monotonic() - self._made >= self.seconds

    def due_at(self, count: int) -> bool:
        """Whether a checkpoint is due when so many times have been saved."""
        first = self.periodic and count == 1
        return first or self.due() or (self.every is not None and (count - 1) % self.every == 0)

    def put(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint.

        Raises:
            GpupatchError: when the disk refuses.
        """
        self.write(checkpoint)
        self._made = time.monotonic()

    def write(self, checkpoint: Checkpoint) -> None:
        """Write the file, with all records in it."""
        write_checkpoint(self.path, {"run": checkpoint.run, "saved": checkpoint.saved.plain()})


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint that `Checkpoints` wrote.

    Raises:
        InputError: if it is not there or not whole, or belongs to a directory of results.
    """
    tree, _ = read_checkpoint(path)
    if "saved" not in tree:
        raise InputError(
            f"`{path}` belongs to the run of a case. Take it up with `gpupatch resume "
            f"{Path(path).parent}`, or `gp.resume`."
        )
    return Checkpoint(tree["run"], Saved.from_plain(tree["saved"]))


def identity(scheme: Scheme) -> dict[str, Any]:
    """What a scheme must have in common with the one that a checkpoint was made of."""
    return {
        "scheme": scheme.kind,
        "fields": list(scheme.names),
        "members": scheme.n_members,
        "patches": list(scheme.grid.patches),
    }


def check_identity(scheme: Scheme, found: Mapping[str, Any]) -> None:
    """Refuse to go on with another scheme.

    Raises:
        InputError: with the first thing that differs.
    """
    for name, wanted in identity(scheme).items():
        if found.get(name) != wanted:
            raise InputError(
                f"the checkpoint was made with {name} {found.get(name)!r}, and this run has "
                f"{wanted!r}. Resume what was begun, or begin anew."
            )

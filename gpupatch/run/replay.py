"""Patches that fail in a run: put into files, and run again by themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, Handle, Plain
from gpupatch.backends.select import get_backend
from gpupatch.errors import InputError, NonFiniteError
from gpupatch.files.case import Case, parse_case
from gpupatch.files.replay import REPLAYS, read_replay, write_replay
from gpupatch.files.toml import read_toml
from gpupatch.run.build import build
from gpupatch.run.inputs import changes
from gpupatch.scheme import Scheme
from gpupatch.scheme.alone import Alone, Values, first_fault
from gpupatch.scheme.quarantine import Begun, FailedPatch

_MOST_STEPS = 10**8
_SHOWN = 12


class FailureRecord:
    """Writes a file for each of the first patches that fail in a run.

    Files that are there already belong to the run that is taken up, and are left as they are.

    Args:
        directory: of the results.
        scheme: what is run; it is told whom to call.
        about: the case as text, its name and directory, what it read, where it ran.
    """

    def __init__(self, directory: Path, scheme: Scheme, about: Mapping[str, Plain]):
        self._directory, self._about = directory, about
        self._seen = {_who(tree) for tree in _earlier(directory)}
        self._scheme: Any = scheme
        if hasattr(scheme, "quarantine"):
            self._scheme.quarantine.on_failure = self

    def __call__(self, failed: FailedPatch) -> None:
        """Write what a failed patch began with, at its first failure and while there is a name."""
        who = (failed.begun.batch, failed.member, *failed.patch)
        free = (self._directory / name for name in REPLAYS)
        path = next((one for one in free if not one.exists()), None)
        if path is not None and who not in self._seen:
            write_replay(path, tree_of(failed, self._scheme, self._about))
        self._seen.add(who)

    def stopped(self, failure: NonFiniteError, t: float, state: Handle) -> None:
        """Write the last good state of the patch in which a run stopped being finite.

        Args:
            failure: where it did.
            t: time of the last good state.
            state: that state.
        """
        if hasattr(self._scheme, "failed"):
            self(self._scheme.failed(failure, t, state))


def _who(tree: Mapping[str, Plain]) -> tuple[int, ...]:
    return (tree["batch"], tree["member"], *tree["patch"])


def _earlier(directory: Path) -> Iterator[dict[str, Plain]]:
    """What is told of patches that failed before; files that cannot be read tell nothing."""
    for name in REPLAYS:
        if (directory / name).exists():
            with contextlib.suppress(InputError):
                yield read_replay(directory / name)


def tree_of(failed: FailedPatch, scheme: Scheme, about: Mapping[str, Plain]) -> dict[str, Plain]:
    """A failed patch as plain numbers and arrays."""
    begun = failed.begun
    return {
        "about": dict(about),
        "kind": scheme.kind,
        "dtype": scheme.dtype,
        "time": float(begun.time),
        "dt": float(begun.dt),
        "batch": begun.batch,
        "n_steps": int(begun.n_steps),
        "stream": int(begun.stream),
        "first": int(begun.first),
        "row": int(failed.row),
        "replica": failed.replica,
        "member": failed.member,
        "patch": list(failed.patch),
        "coarse": np.asarray(begun.coarse),
        "arrays": dict(begun.arrays),
        "states": dict(begun.states),
    }


def failed_patch(tree: Mapping[str, Plain], shape: tuple[int, ...]) -> FailedPatch:
    """A failed patch from plain numbers and arrays.

    Args:
        tree: as `tree_of` gave it.
        shape: members of the run, and its patches along each axis, as far as they are known.

    Raises:
        InputError: if its numbers make no sense.
    """
    whole = [tree[name] for name in ("batch", "n_steps", "stream", "first", "row", "member")]
    patch = tree["patch"]
    sound = (
        all(one >= 0 for one in whole)
        and tree["n_steps"] <= _MOST_STEPS
        and 0 < tree["dt"] < np.inf
        and len(patch) == len(shape) - 1
        and all(type(i) is int and 0 <= i < n for i, n in zip(patch, shape[1:], strict=True))
        and tree["member"] < shape[0]
        and tree["batch"] < max(len(patch), 1)
    )
    if not sound:
        raise InputError("the numbers of the failed patch do not fit its case.")
    begun = Begun(
        tree["time"], tree.get("coarse"), tree["batch"], tree["n_steps"], tree["dt"],
        tree["stream"], tree["first"], tree["arrays"], tree["states"],
    )  # fmt: skip
    return FailedPatch(begun, tree["row"], tree["replica"], tree["member"], tuple(patch))


@dataclass(frozen=True, eq=False)
class Replay:
    """One patch that failed, run again by itself.

    Attributes:
        title: which patch it was.
        alone: the patch.
        backend: where it ran this time, and why there.
        fault: micro-steps after which it is at fault; None if it stays sound.
        name: of what is at fault.
        where: index of it, sites along each axis or (axis, particle).
        steps: micro-steps that are shown, the last sound one and the fault among them.
        shown: values after each of them.
    """

    title: str
    alone: Alone
    backend: str
    fault: int | None
    name: str
    where: tuple[int, ...]
    steps: list[int]
    shown: list[Values]

    def place(self) -> str:
        """Where the fault is, in words."""
        if "particle" in self.alone.axes:
            return f"particle {self.where[1]}"
        x = (
            f"{axis} = {self.alone.coordinates[axis][i]:.6g}"
            for axis, i in zip(self.alone.axes, self.where, strict=True)
        )
        return f"site {_index(self.where)}, {', '.join(x)}"

    def extremes(self, index: int) -> dict[str, tuple[float, float]]:
        """Least and largest finite value by name after the shown step `index`."""
        found = {}
        for name, values in self.shown[index].items():
            finite = values[np.isfinite(values)]
            nothing = finite.size == 0
            found[name] = (
                (np.nan, np.nan) if nothing else (float(finite.min()), float(finite.max()))
            )
        return found

    def lines(self) -> list[str]:
        """What is to be told, in lines."""
        alone = self.alone
        told = [
            f"{self.title}, t = {alone.time:.6g}: {alone.n_steps} micro-steps of {alone.dt:.6g}",
            f"{alone.told}; backend {self.backend}",
        ]
        for index, step in enumerate(self.steps):
            ranges = ", ".join(
                f"{name} from {low:.6g} to {high:.6g}"
                for name, (low, high) in self.extremes(index).items()
            )
            mark = "  <- fault" if step == self.fault else ""
            told.append(
                f"  step {step:>6}  t = {alone.time + step * alone.dt:<12.8g} {ranges}{mark}"
            )
        if self.fault is None:
            told.append(f"all is sound after {alone.n_steps} steps")
            return told
        t = alone.time + self.fault * alone.dt
        bad = self.shown[self.steps.index(self.fault)][self.name][self.where]
        what = "is not finite" if not np.isfinite(bad) else f"is {bad:.6g}, beyond a closed end,"
        told.append(f"`{self.name}` {what} after step {self.fault}, t = {t:.8g}, at {self.place()}")
        return told

    def to_xarray(self):
        """The steps that are shown, as a dataset."""
        import xarray as xr

        alone, sizes = self.alone, {}
        axes = tuple(f"site_{a}" for a in alone.axes) if alone.coordinates else alone.axes
        coordinates: dict[str, Any] = {
            "step": ("step", np.array(self.steps)),
            "time": ("step", alone.time + alone.dt * np.array(self.steps)),
        }
        for axis, name in zip(alone.axes, axes, strict=True):
            if axis in alone.coordinates:
                coordinates[axis] = (name, alone.coordinates[axis])
        for values in self.shown:
            for array in values.values():
                sizes = {k: max(n, sizes.get(k, 0)) for k, n in enumerate(array.shape)}
        data = {
            name: (("step", *axes), np.stack([_padded(one[name], sizes) for one in self.shown]))
            for name in self.shown[0]
        }
        facts = {"title": self.title, "backend": self.backend, "told": alone.told}
        if self.fault is not None:
            facts |= {"fault_step": self.fault, "fault_name": self.name, "fault": self.place()}
        return xr.Dataset(data, coordinates, facts)


def _index(where: tuple[int, ...]) -> str:
    return ", ".join(map(str, where)) if len(where) == 1 else str(where)


def _padded(values: NDArray[Any], sizes: Mapping[int, int]) -> NDArray[np.float64]:
    """Values in a larger array, NaN beyond them: the number of particles may change."""
    whole = np.full([sizes[k] for k in range(values.ndim)], np.nan)
    whole[tuple(slice(n) for n in values.shape)] = values
    return whole


def replay(
    file: Path | str, *, backend: str | None = None, every_step: bool = False, trust: bool = False
) -> Replay:
    """Run one patch that failed in a run again by itself.

    Args:
        file: what a run has written about it.
        backend: where to compute; where it was when absent.
        every_step: show every micro-step up to the fault, and not only some and the last ones.
        trust: accept a rule file, paths outside the case's directory, and a case whose directory
            lies neither in that of the file nor in the current one.

    Returns:
        What became of it.

    Raises:
        InputError: if the file is damaged, does not fit its case, or code has changed since.
        GpupatchError: if the patch cannot be run here.
    """
    tree = read_replay(file)
    about = tree["about"]
    case = _case(about, file)
    changed = changes(about["inputs"])
    if changed:
        raise InputError(
            f"{', '.join(changed)} changed since the patch failed. Undo that, or run the case anew."
        )
    chosen, reason = get_backend(backend or about["backend"])
    scheme = _scheme(case, chosen, trust)
    if (scheme.kind, scheme.dtype) != (tree["kind"], tree["dtype"]) or not hasattr(scheme, "alone"):
        raise InputError(f"`{file}`: the failed patch is not one of its case.")
    failed = failed_patch(tree, _shape(scheme, tree["batch"]))
    with np.errstate(all="ignore"):
        return _replayed(scheme.alone(failed), failed, f"{chosen.name}: {reason}", every_step)


def _replayed(alone: Alone, failed: FailedPatch, backend: str, every_step: bool) -> Replay:
    broken = first_fault(alone)
    last = alone.n_steps if broken is None else broken
    few = {round(s) for s in np.linspace(0, last, _SHOWN - 3)}
    steps = range(last + 1) if every_step else sorted(few | set(range(max(0, last - 3), last + 1)))
    shown = [alone.after(step) for step in steps]
    found = None if broken is None else alone.fault(shown[-1])
    name, where = found or ("", ())
    title = f"patch {_index(failed.patch)} of member {failed.member}"
    if failed.replica:
        title += f", replica {failed.replica}"
    return Replay(title, alone, backend, broken, name, where, list(steps), shown)


def _case(about: Mapping[str, Plain], file: Path | str) -> Case:
    """The case that the file tells of, whose paths start where they did."""
    wanted = {"case": str, "case_name": str, "case_directory": str, "inputs": dict, "backend": str}
    for name, kind in wanted.items():
        if not isinstance(about.get(name), kind):
            raise InputError(f"`{file}` does not tell its case (`{name}`).")
    table = read_toml(about["case"], str(file))
    case = parse_case(table, about["case_name"], Path(about["case_directory"]))
    return case.told_by(Path(file).parent, Path())


def _scheme(case: Case, backend: Backend, trust: bool) -> Any:
    return build(case, backend, trust).scheme


def _shape(scheme: Any, batch: int) -> tuple[int, ...]:
    """Members, and patches along each axis of a batch."""
    places = getattr(scheme, "places", None)
    if places is None:
        return (scheme.n_members, *scheme.grid.patches)
    if isinstance(places, list):
        places = places[min(batch, len(places) - 1)]
    return (scheme.n_members, *places.shape)

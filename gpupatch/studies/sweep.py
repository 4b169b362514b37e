"""The settings of a study: which cases come of a case when some of its entries are varied."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpupatch.errors import CaseError, GridError, InputError, suggestion
from gpupatch.files.case import Case
from gpupatch.files.toml import set_entry
from gpupatch.run.build import make_grid
from gpupatch.studies.axes import Axis, one_or_all, usual_axes, value_of

MOST_RUNS = 2000
"""Runs that a study may have."""

_NOUNS = {
    "grid.patches": "{} patches",
    "grid.sites": "{} sites",
    "grid.ratio": "ratio {}",
    "grid.buffer": "buffer {}",
    "burst.length": "burst {}",
    "burst.replicas": "{} bursts",
    "particles.number": "{} particles",
    "run.replicas": "{} replicas",
    "scheme.boxes": "{} boxes",
    "scheme.chains": "{} chains",
    "scheme.order": "order {}",
    "time.end": "end {}",
    "time.step": "leap {}",
}


@dataclass(frozen=True, eq=False)
class Sweep:
    """A case with some of its entries varied.

    Attributes:
        case: the case itself.
        axes: what is varied, in the order of the columns.
        settings: value of every varied entry, one mapping per run, without repetitions.
    """

    case: Case
    axes: tuple[Axis, ...]
    settings: tuple[dict[str, Any], ...]

    @property
    def base(self) -> dict[str, Any]:
        """What the case itself has at the varied entries."""
        return {axis.path: value_of(self.case, axis.path) for axis in self.axes}

    def member(self, settings: Mapping[str, Any]) -> Case:
        """The case with other settings.

        The micro-lattice stays that of the case: where patches or sites are varied, and neither
        the `ratio` nor `dx` is, the distance between sites is kept, not the `ratio`. Patch centres
        that are listed at equal distances are listed anew, as far from the faces in units of that
        distance.

        Args:
            settings: entries by path.

        Raises:
            CaseError: if it has mistakes; all are listed.
        """
        base = self.base
        changes = {path: value for path, value in settings.items() if value != base[path]}
        if not changes:
            return self.case
        table = copy.deepcopy(self.case.resolved())
        for path, value in changes.items():
            *sections, key = path.split(".")
            place = table
            for section in sections:
                place = place.setdefault(section, {})
            place[key] = list(value) if isinstance(value, tuple) else value
        _keep_lattice(self.case, table["grid"], changes)
        return self.case.with_tables(table)


def make_sweep(case: Case, vary: Mapping[str, Sequence[Any]] | None = None) -> Sweep:
    """The runs of a study.

    Args:
        case: the case.
        vary: values by path, of which all combinations are run; when absent, the usual settings of
            the kind of scheme: the product of two, and others one at a time.

    Returns:
        The sweep.

    Raises:
        InputError: if there is no such entry, nothing is varied, or there are too many runs.
    """
    if vary is None:
        combined, alone = usual_axes(case)
    else:
        combined, alone = [_axis(path, values) for path, values in vary.items()], []
    axes = (*combined, *alone)
    count = math.prod(len(axis.values) for axis in combined) + sum(len(a.values) for a in alone)
    if not axes or count > MOST_RUNS:
        raise InputError(
            f"a study of `{case.name}` would have {count if axes else 0} runs; between 1 and "
            f"{MOST_RUNS} are possible. Vary {'fewer' if axes else 'some'} entries."
        )
    base = {axis.path: value_of(case, axis.path) for axis in axes}
    paths = [axis.path for axis in combined]
    rows = [
        {**base, **dict(zip(paths, values, strict=True))}
        for values in itertools.product(*(axis.values for axis in combined))
    ]
    rows += [{**base, axis.path: value} for axis in alone for value in axis.values]
    distinct = {tuple(row.items()): row for row in rows}
    return Sweep(case, axes, tuple(distinct.values()))


def _axis(path: str, values: Sequence[Any]) -> Axis:
    check_path(path)
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or not len(values):
        raise InputError(f"`{path}` is varied over {values!r}; give a list of values.")
    plain = [v.item() if isinstance(v, np.generic) else one_or_all(v) for v in values]
    if any(isinstance(value, Mapping) for value in plain):
        raise InputError(f"`{path}` is varied over tables; vary the entries of the tables instead.")
    return Axis(path, tuple(dict.fromkeys(plain)))


def check_path(path: str) -> None:
    """Refuse to vary what a case cannot have.

    Args:
        path: such as "scheme.order".

    Raises:
        CaseError: with the nearest valid name.
    """
    section, _, key = path.partition(".")
    if section not in Case.model_fields:
        raise CaseError(
            f"`--vary {path}`: there is no section `{section}`. "
            f"{suggestion(section, Case.model_fields)}"
        )
    if not key:
        raise CaseError(f"`--vary {path}`: name one entry of `[{section}]`, as section.key.")
    known = _keys(section)
    if known and key.split(".")[0] not in known:
        raise CaseError(f"`--vary {path}`: `[{section}]` has no `{key}`. {suggestion(key, known)}")


def _keys(section: str) -> tuple[str, ...]:
    """The entries that a section may have; none if they are the user's to name."""
    found: Any = Case.model_fields[section].annotation
    for one in (found, *getattr(found, "__args__", ())):
        if fields := getattr(one, "model_fields", None):
            return tuple(fields)
    return ()


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """What `--vary path=value,value,...` means; values are written as in `--set`.

    Args:
        text: such as "scheme.order=2,4,spectral" or "grid.patches=[8,16],[16,32]".

    Returns:
        Path and values.

    Raises:
        CaseError: if it is not of that form, or there is no such entry.
    """
    path, equals, listed = text.partition("=")
    path = path.strip()
    pieces = _split(listed)
    if not equals or not path or not all(pieces):
        raise CaseError(
            f"`--vary {text}` is not of the form path.to.key=value,value,..., such as "
            "`--vary scheme.order=2,4,6`."
        )
    check_path(path)
    values = []
    for piece in pieces:
        entry: dict[str, Any] = {}
        set_entry(entry, f"value={piece}")
        values.append(entry["value"])
    return path, values


def _split(listed: str) -> list[str]:
    """Cut at the commas that are outside brackets and braces."""
    pieces, depth = [""], 0
    for letter in listed:
        depth += (letter in "[{(") - (letter in ")}]")
        if letter == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return [piece.strip() for piece in pieces]


def _keep_lattice(case: Case, grid: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Other patches cut from the same lattice."""
    moved = {"grid.patches", "grid.sites"} & changes.keys()
    if moved and "ratio" in grid and not {"grid.ratio", "grid.dx"} & changes.keys():
        del grid["ratio"]
        grid["dx"] = list(make_grid(case).spacing)
    if {"grid.ratio", "grid.dx"} & changes.keys():
        grid.pop("dx" if "grid.ratio" in changes else "ratio", None)
    if "grid.patches" in changes:
        counts = np.broadcast_to(grid["patches"], len(case.grid.domain)).tolist()
        grid["positions"] = [
            where if isinstance(where, str) else _respaced(where, domain, count)
            for where, domain, count in zip(
                grid["positions"], case.grid.domain, counts, strict=True
            )
        ]


def _respaced(where: Sequence[float], domain: tuple[float, float], count: int) -> list[float]:
    """As many patch centres as asked for in the place of equally spaced ones."""
    X, (lo, hi) = np.asarray(where, dtype=float), domain
    H = (X[-1] - X[0]) / max(len(X) - 1, 1)
    if len(X) < 2 or count < 1 or not np.allclose(np.diff(X), H, rtol=1e-6, atol=0):
        return list(where)
    ends = (X[0] - lo) / H, (hi - X[-1]) / H
    gap = (hi - lo) / (sum(ends) + count - 1)
    return (lo + (ends[0] + np.arange(count)) * gap).tolist()


def expected_work(case: Case) -> float:
    """What a run will cost beside others of the same sweep, in units of its own.

    patches x sites or particles x simulated share of time / micro time step, the latter being dx^2
    where none is given. It orders runs and tells how long the rest of them will take.

    Args:
        case: a member of a sweep.
    """
    grid, time, burst = case.grid, case.time, case.burst
    span = time.end - time.start
    if burst is not None:
        span *= burst.length * burst.replicas / (time.step or burst.length)
    work = span * case.run.replicas * max(1, len(case.member_values)) * math.prod(grid.patches)
    work *= case.scheme.boxes * case.scheme.chains
    dt = burst.dt if burst is not None and burst.dt else time.dt
    if case.particles is not None:
        widths = zip(grid.core or (), grid.buffer or (), strict=False)
        inside = math.prod(core + 2 * buffer for core, buffer in widths)
        return work * (case.particles.number or inside) / (dt or 1.0)
    try:
        patches = make_grid(case)
    except GridError:
        return 0.0
    return work * math.prod(patches.n_sites) / (dt or min(patches.spacing) ** 2)


def describe_settings(settings: Mapping[str, Any], paths: Sequence[str] | None = None) -> str:
    """Settings in a few words, such as "order 4, 16 patches".

    Args:
        settings: entries by path.
        paths: those that are told; all when absent.
    """
    return ", ".join(
        _NOUNS.get(path, f"{path.rpartition('.')[2]} {{}}").format(_short(value))
        for path, value in settings.items()
        if (paths is None or path in paths) and value is not None
    )


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(_short(one) for one in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)

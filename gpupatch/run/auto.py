"""Let the diagnostics choose what a case leaves to chance: patches, bursts, leaps, replicas."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpupatch.backends.select import get_backend
from gpupatch.diagnostics import diagnose
from gpupatch.diagnostics.finding import Diagnosis
from gpupatch.errors import CaseError
from gpupatch.files.case import Case, parse_case
from gpupatch.files.toml import set_entry
from gpupatch.run.build import Parts, build
from gpupatch.run.window import Window, window_of
from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme
from gpupatch.scheme.particle_density import DensityScheme

LARGEST_SHARE = 0.5
"""Width of a patch over the distance of patches, up to which buffers are widened."""
MARGIN = 1.05
"""How much wider than necessary buffers are made, how much shorter bursts."""
HALVINGS = 24
"""Times that a leap is halved at most."""
MOST_REPLICAS = 100_000
"""Replicas of a burst that are chosen at most."""


@dataclass(frozen=True)
class Change:
    """One entry of a case that was chosen anew.

    Attributes:
        path: of the entry, such as "burst.length".
        old: value before; None where there was none.
        new: value chosen; None where the entry is left out.
        reason: why.
    """

    path: str
    old: Any
    new: Any
    reason: str

    @property
    def setting(self) -> str:
        """As `--set` takes it."""
        return f"{self.path}={'' if self.new is None else _text(self.new)}"

    def __str__(self) -> str:
        new = "left out" if self.new is None else _text(self.new)
        old = "absent" if self.old is None else _text(self.old)
        return f"{self.path} = {new}   # was {old}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Choice:
    """A case with better chosen entries.

    Attributes:
        case: with the changes made.
        changes: what was changed, in order.
        before: flags that were raised before, of those that a choice can cure.
        after: those of them that are still raised.
    """

    case: Case
    changes: tuple[Change, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """As it goes into a report."""
        return {
            "changes": [
                {"path": c.path, "old": c.old, "new": c.new, "reason": c.reason}
                for c in self.changes
            ],
            "raised_before": list(self.before),
            "raised_after": list(self.after),
        }

    def told(self) -> str:
        """The choice as lines of a case file."""
        if not self.changes:
            return "auto: nothing to change"
        return "\n".join(["auto:", *(f"  {one}" for one in self.changes)])


@dataclass(eq=False)
class _Choosing:
    """The state of a choice: what the case has become, and what was changed."""

    table: dict[str, Any]
    name: str
    case: Case
    backend: str | None
    trust: bool
    changes: list[Change] = field(default_factory=list)

    def set(self, path: str, new: Any, reason: str) -> None:
        """Change one entry, on the way that `--set` takes."""
        old = value_at(self.case.resolved(), path)
        if new == old:
            return
        change = Change(path, old, new, reason)
        set_entry(self.table, change.setting)
        self.changes.append(change)

    def parts(self) -> Parts:
        """The parts of the case as it has become."""
        changed = parse_case(self.table, self.name, self.case.directory)
        changed._file = self.case.file
        self.case = changed
        return build(changed, get_backend(self.backend or changed.run.backend)[0], self.trust)

    def diagnosis(self, parts: Parts, only: Sequence[str]) -> Diagnosis:
        """Some diagnostics of the case as it has become."""
        time = self.case.time
        return diagnose(
            parts.scheme, parts.initial, time.start, parts.projection,
            self.case.diagnostics.tolerance, only, time.end - time.start,
        )  # fmt: skip


def choose(case: Case, *, backend: str | None = None, trust: bool = False) -> Choice:
    """Choose patch width, buffers, burst, leap and replicas so that flags are not raised.

    ==============  ==========================================================================
    entry           rule
    ==============  ==========================================================================
    `grid.core`     a whole number of periods of the medium
    `burst.heal`    ln(1/tolerance)/beta, beta the rate at which a lift heals
    `burst.length`  twice that or more; no longer than the widest buffers protect the core
    `grid.buffer`   length <= 0.046 buffer^2/D, or speed length <= buffer; of particles, what
                    spoils less than 1e-3 of a flux; patches fill at most half of an axis
    `time.step`     halved until no mode grows that would not grow in shorter steps
    replicas        M (5/SNR)^2
    ==============  ==========================================================================

    Args:
        case: the case.
        backend: where to compute, instead of what the case says.
        trust: accept a rule file and paths outside the case's directory.

    Returns:
        The case with the changes, which may be none.

    Raises:
        CaseError: if the scheme is not one that can be chosen for, or if there is no window between
            healing and contamination: scales are not separated.
    """
    made = _Choosing(_plain(case), case.name, case, backend, trust)
    parts = made.parts()
    _check(case, parts)
    bursts = not isinstance(parts.scheme, CoupledScheme)
    curable = ["D8"] + (["D3"] if bursts else [])
    noisy = isinstance(parts.scheme, DensityScheme)
    if noisy:
        curable.append("D7")
    theory = [id for id in curable if id != "D3"]
    before = [*made.diagnosis(parts, theory).raised]
    if bursts:
        window = window_of(parts, case)
        before += ["D3"] if window.length > window.longest(window.buffer) else []
        _choose_burst(made, window)
        parts = made.parts()
    if parts.projection is not None and parts.projection.step is not None:
        _choose_step(made)
        parts = made.parts()
    if noisy:
        _choose_replicas(made, parts)
        parts = made.parts()
    after = [*made.diagnosis(parts, theory).raised]
    if bursts:
        window = window_of(parts, made.case)
        after += ["D3"] if window.length > window.longest(window.buffer) else []
    return Choice(made.case, tuple(made.changes), tuple(before), tuple(after))


def _check(case: Case, parts: Parts) -> None:
    scheme = parts.scheme
    if isinstance(scheme, CoupledScheme):
        if parts.projection is None or parts.projection.method == "none":
            raise CaseError(
                "`--auto`: coupled patches that take micro-steps throughout have no leaps that "
                "could be chosen. Give `time.projection`, or leave `--auto` out."
            )
        return
    if not isinstance(scheme, BurstScheme | FluxScheme | DensityScheme):
        raise CaseError(
            f"`--auto`: the `{scheme.kind}` scheme has periodic boxes or chains instead of patches "
            "with buffers, so that there is nothing to choose. Leave it out."
        )


def _choose_burst(made: _Choosing, window: Window) -> None:
    """Core, buffers, burst and healing."""
    core = window.core
    if window.period and not window.whole_periods:
        core = window.period * math.ceil(core / window.period * (1 - 1e-9))
        _resize(made, window, "core", core, f"a whole number of periods of {window.period:.4g}")
    room = (LARGEST_SHARE * window.distance - core) / 2
    tolerance = made.case.diagnostics.tolerance
    heal = math.log(1 / tolerance) / window.fast if window.fast else 0.0
    length = max(window.length, 2 * heal)
    needed = MARGIN * window.buffer_for(length)
    reason = f"bursts of {length:.3g} at {window.law}"
    if needed > max(room, window.buffer):
        widest = max(room, window.buffer)
        longest = window.longest(widest) / MARGIN**2
        if longest < 2 * heal or longest <= 0:
            raise CaseError(
                f"`--auto`: there is no window between healing and contamination. A lift heals in "
                f"{heal:.3g}, but the widest buffers between patches {window.distance:.3g} apart, "
                f"{max(widest, 0.0):.3g}, protect a core for {max(longest, 0.0):.3g} only: scales "
                "are not separated. Use fewer patches, or a full simulation."
            )
        length, needed = longest, min(widest, MARGIN * window.buffer_for(longest))
        reason = f"patches may fill half of an axis; {window.law}"
    if length > window.length:
        told = f"twice the time {heal:.3g} in which a lift heals"
        made.set("burst.length", _rounded(length, up=True), told)
    elif length < window.length:
        made.set("burst.length", _rounded(length), reason)
    if needed > window.buffer:
        _resize(made, window, "buffer", needed, reason)
    given = made.case.burst
    assert given is not None
    if heal and (window.healing < heal or window.healing >= length):
        told = f"a lift heals in ln(1/{tolerance:g}) over {window.fast:.3g}"
        made.set("burst.heal", _rounded(heal, up=True), told)
    elif given.heal is not None and given.heal >= length:
        made.set("burst.heal", None, "shorter than the burst")


def _resize(made: _Choosing, window: Window, name: str, width: float, reason: str) -> None:
    """Set a width along all axes; lattices keep their sites where they are, as many as needed."""
    unit = window.unit
    if unit:
        width = unit * math.ceil(width / unit * (1 - 1e-9))
    if window.lattice:
        grid = made.case.grid
        if grid.core is None or grid.buffer is None:
            raise CaseError(
                "`--auto`: buffers can be chosen if the case has `grid.core`, `grid.buffer` and "
                "`grid.dx`. Give them instead of `grid.sites` and `grid.ratio`."
            )
        if grid.dx is None:
            made.set("grid.dx", float(unit), "the distance between sites stays as it is")
        for path in ("ratio", "sites"):
            if getattr(grid, path) is not None and f"grid.{path}" not in _changed(made):
                made.set(f"grid.{path}", None, "follows from core, buffer and dx")
    if window.per_patch:
        n = round((window.core + 2 * width) / unit)
        made.set("particles.number", n, "a chain fills its patch")
    made.set(f"grid.{name}", float(width) if unit else _rounded(width, up=True), reason)


def _changed(made: _Choosing) -> set[str]:
    return {one.path for one in made.changes}


def _choose_step(made: _Choosing) -> None:
    """Halve the leap until D8 is silent."""
    step = made.case.time.step
    if step is None:
        return
    parts = made.parts()
    if "D8" not in made.diagnosis(parts, ["D8"]).raised:
        return
    chosen = step
    for _ in range(HALVINGS):
        chosen /= 2
        set_entry(made.table, f"time.step={_text(chosen)}")
        if "D8" not in made.diagnosis(made.parts(), ["D8"]).raised:
            reason = f"halved until no mode grows with `{made.case.time.projection}` (D8)"
            made.changes.append(Change("time.step", step, chosen, reason))
            return
    raise CaseError(
        f"`--auto`: no leap down to {chosen:.3g} is stable. What grows is not the leap: look at D8 "
        "of `gpupatch diagnose`."
    )


def _choose_replicas(made: _Choosing, parts: Parts) -> None:
    """As many replicas of a burst as slopes need to stand out from their noise."""
    found = made.diagnosis(parts, ["D7"])["D7"]
    given = made.case.burst
    if not found.raised or given is None:
        return
    ratio = float(found.details["wanted"]) / float(found.details["replicas"])
    wanted = math.ceil(given.replicas * ratio * 1.2)
    if wanted > MOST_REPLICAS:
        raise CaseError(
            f"`--auto`: {wanted} replicas of every burst would be needed to see a slope in its "
            "noise. Use wider cores, steeper fields or `scheme.common`."
        )
    made.set(
        "burst.replicas",
        wanted,
        f"slopes are {found.measured:.2g} standard errors; 5 are asked for",
    )


def value_at(table: Mapping[str, Any], path: str) -> Any:
    """An entry of a table of tables; None where there is none."""
    place: Any = table
    for key in path.split("."):
        if not isinstance(place, Mapping) or key not in place:
            return None
        place = place[key]
    return place[0] if isinstance(place, list | tuple) and len(set(place)) == 1 else place


def _plain(case: Case) -> dict[str, Any]:
    """The entries of a case that are given, as a table that can be changed."""
    return copy.deepcopy(case.resolved())


def _rounded(value: float, up: bool = False) -> float:
    """Three digits, downwards or upwards."""
    scale = 10.0 ** (2 - math.floor(math.log10(abs(value))))
    return float(f"{(math.ceil if up else math.floor)(value * scale * (1 + 1e-12)) / scale:.3g}")


def _text(value: Any) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)

"""Run a scheme from a start to an end: schedules, callbacks, stops, and the solution."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpupatch.arrays import Macro, Micro
from gpupatch.errors import InputError, NonFiniteError
from gpupatch.files.accuracy import accuracy
from gpupatch.files.layout import Layout, layout_dataset
from gpupatch.projection import History, Projection
from gpupatch.schedule import FINISHED, NON_FINITE, Interrupts, Schedule, Stop
from gpupatch.scheme import Scheme, SteppingScheme
from gpupatch.scheme.interface import ShowingScheme, Shown
from gpupatch.scheme.problem import Function, Initial

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

Recorder = Callable[[float, Macro, Micro | None, Macro | None, Macro | None], None]

_LOOK_SECONDS = 0.25
"""Wall time after which it is looked whether the states of a device are finite."""

_BLOCK_SECONDS = 0.2
"""Micro-steps are taken in blocks of about this long between checks."""
_FIXED_BLOCK = 256
"""Micro-steps per block where a result depends on the blocks and must not depend on the machine:
noise is numbered, and float32 is given a new base, block by block."""


@dataclass(frozen=True, eq=False)
class Solution:
    """What a run has produced, up to where it got.

    Attributes:
        layout: names, coordinates and attributes of the result.
        times: saved model times.
        coarse: coarse values, one [member, field, *patch axes] per time.
        micro: values at all sites, one [patch, field, *sites] per time, if kept.
        exact: exact solution through the same functional, if given.
        uncertainty: standard errors of the coarse values, if the scheme knows them.
        status: "finished", "interrupted", "terminated" or "nonfinite".
        report: what the run cost and how accurate it was, ready for JSON.
        failure: why the state stopped being finite, if it did.
    """

    layout: Layout
    times: list[float]
    coarse: list[Macro]
    micro: list[Micro] | None
    exact: list[Macro] | None
    uncertainty: list[Macro] | None
    status: str
    report: dict[str, Any]
    failure: NonFiniteError | None = None

    def to_xarray(self) -> xarray.Dataset:
        """The result as a dataset, identical to the file a run writes."""
        return layout_dataset(
            self.layout, self.times, self.coarse, self.micro, self.exact, self.uncertainty
        )

    def plot(self) -> Figure:
        """A figure of the result: profiles, maps or slices, whatever its dimension asks for."""
        from gpupatch.plot import plot_dataset

        return plot_dataset(self.to_xarray())

    def __getitem__(self, name: str) -> np.ndarray:
        """Coarse values of one field over time, [time, member, *patch axes]."""
        index = self.layout.fields.index(name)
        return np.stack([record[:, index] for record in self.coarse])

    @property
    def error(self) -> float | None:
        """Largest difference to the exact solution at the last saved time, over all fields."""
        if self.exact is None:
            return None
        return float(np.abs(self.coarse[-1] - self.exact[-1]).max())


def simulate(
    scheme: Scheme,
    initial: Initial,
    end: float,
    *,
    start: float = 0.0,
    save: int | Sequence[float] = 11,
    projection: Projection | None = None,
    exact: Mapping[str, Function] | Callable[[float], Macro] | None = None,
    keep_micro: bool = False,
    callbacks: Sequence[Callable[[float, Macro], None]] = (),
    record: Recorder | None = None,
    show: Callable[[float, Shown], None] | None = None,
    progress: Callable[[float, int], None] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Solution:
    """Run a scheme and keep what the schedule asks for.

    Between two saves the time steps are shortened evenly, never interpolated. After every leap
    (a block of micro-steps, or one step of a projective method) the state is checked, callbacks
    are called, and requests to stop are honoured.

    Args:
        scheme: the patch scheme, which carries the problem and the backend.
        initial: initial value of each field, a function of position or a number; one mapping for
            all members, or one per member.
        end: last model time.
        start: first model time.
        save: how many equally spaced times are kept, or the times themselves.
        projection: method that leaps; micro-steps throughout when absent (`coupled` only).
        exact: exact solution of each field, a function of position and time; or one function of
            time that returns coarse values.
        keep_micro: keep the values at all sites too.
        callbacks: called with (time, coarse values) after every leap.
        record: called at every saved time with (time, coarse, and micro, exact and standard
            errors or None).
        show: called at every saved time with (time, particles of the patches), if there are any.
        progress: called with (time, updates so far) after every leap.
        attrs: facts to be stored with the result.

    Returns:
        The solution up to `end`, or up to where the run was stopped or failed.

    Raises:
        InputError: if the schedule is impossible, a `burst` or `flux` scheme has no projection, or
            there are no particles to `show`.
    """
    schedule = Schedule(start, end, save)
    interrupts = Interrupts()
    if show is not None and not isinstance(scheme, ShowingScheme):
        raise InputError(f"the patches of this `{scheme.kind}` scheme hold no particles to show.")
    run = _Run(scheme, projection, exact, keep_micro, callbacks, record, show, progress, interrupts)
    began = time.perf_counter()
    status, failure = FINISHED, None
    with interrupts:
        state = scheme.initial(initial, start)
        run.integrator = run.choose_integrator(state, start)
        run.save(start, state)
        run.keep_good(start, state)
        try:
            for t, target in zip(schedule.times, schedule.times[1:], strict=False):
                state = run.integrator(state, t, target)
                run.save(target, state)
        except Stop:
            status = str(interrupts.status)
            run.save_last()
        except NonFiniteError as error:
            status, failure = NON_FINITE, error
            run.save_last()
    seconds = time.perf_counter() - began
    report = run.report(start, end, seconds, status, failure)
    return Solution(
        layout=run.layout(dict(attrs or {})),
        times=run.times,
        coarse=run.coarse,
        micro=run.micro or None,
        exact=run.exact or None,
        uncertainty=run.uncertainty or None,
        status=status,
        report=report,
        failure=failure,
    )


class _Run:
    """The moving parts of one call of `simulate`."""

    def __init__(
        self, scheme, projection, exact, keep_micro, callbacks, record, show, progress, interrupts
    ):
        self.scheme, self.projection, self.functions = scheme, projection, exact
        self.keep_micro: bool = keep_micro
        self.interrupts: Interrupts = interrupts
        self.callbacks, self.record, self.progress = callbacks, record, progress
        self.show: Callable[[float, Shown], None] | None = show
        self.times: list[float] = []
        self.coarse: list[Macro] = []
        self.micro: list[Micro] = []
        self.exact: list[Macro] = []
        self.uncertainty: list[Macro] = []
        self.seconds = {"simulate": 0.0, "restrict_and_save": 0.0}
        self.last: tuple[float, Any] = (float("-inf"), None)
        self.unseen: list[tuple[float, Any]] = []
        self.looked = time.perf_counter()
        self.looks = 0
        self.system: Any = None
        self.history = History()
        self.integrator: Callable = lambda *_: None
        self.host_reads = 0
        self.dt = float("inf")

    def choose_integrator(self, state, start: float) -> Callable[[Any, float, float], Any]:
        """Micro-steps, or the leaps of a projective method."""
        if self.projection is not None:
            return self._leaps
        if isinstance(self.scheme, SteppingScheme):
            self.dt = self.scheme.stable_dt(state, start)
            return self._micro_steps
        raise InputError(
            f"the `{self.scheme.kind}` scheme measures slopes, so it needs a method that leaps: "
            "choose a `projection`, for instance 'rk4'."
        )

    def _micro_steps(self, state, t: float, target: float):
        scheme, every = self.scheme, self.scheme.every
        if not scheme.keeps_dt:
            self.dt = scheme.stable_dt(state, t)
        n_steps = max(1, int(np.ceil((target - t) / min(self.dt, target - t) * (1 - 1e-12))))
        n_steps = every * -(-n_steps // every)
        dt, done, longest = (target - t) / n_steps, 0, n_steps
        fixed = scheme.fixes_blocks
        block = every * _FIXED_BLOCK if fixed else every
        while done < n_steps:
            began = time.perf_counter()
            take = min(block, n_steps - done)
            state = scheme.advance(state, t + done * dt, dt, take)
            elapsed = time.perf_counter() - began
            self.seconds["simulate"] += elapsed
            finite = scheme.finite(state)
            if not finite and take > every:
                longest = block = every * max(1, take // (2 * every))
                state = scheme.copy(self.last[1])
                continue
            done += take
            state = scheme.rebase(state) if finite else state
            if elapsed < _BLOCK_SECONDS / 2 and not fixed:
                block = min(longest, every * max(1, 2 * block // every))
            self._after_leap(target if done == n_steps else t + done * dt, state)
        return state

    def _leaps(self, state, t: float, target: float):
        began = time.perf_counter()
        if self.system is None:
            self.system = self.scheme.system(self.projection, t, state)
        state = self.projection.advance(
            self.system, t, state, target, history=self.history, on_leap=self._after_leap
        )
        self.seconds["simulate"] += time.perf_counter() - began
        return state

    def keep_good(self, t: float, state) -> None:
        """Keep a copy of a state known to be finite, in case the next one is not."""
        self.last = (t, self.scheme.copy(state))

    def _after_leap(self, t: float, state) -> None:
        self.unseen.append((t, self.scheme.copy(state)))
        waited = time.perf_counter() - self.looked
        if self.callbacks or len(self.unseen) >= self.scheme.lookahead or waited > _LOOK_SECONDS:
            self._look()
        if self.callbacks:
            coarse = self.scheme.coarse(state)
            self.host_reads += 1
            for callback in self.callbacks:
                callback(t, coarse)
        if self.progress is not None:
            self.progress(t, self.scheme.updates)
        if self.interrupts.status is not None:
            self._look()
        self.interrupts.check()

    def _look(self) -> None:
        """Look at the states since the last look: the newest tells whether all are finite.

        Raises:
            NonFiniteError: where the first of them is not.
        """
        states, self.unseen = self.unseen, []
        self.looked = time.perf_counter()
        if not states:
            return
        self.looks += 1
        if self.scheme.finite(states[-1][1]):
            self.last = states[-1]
            return
        for t, state in states:
            if not self.scheme.finite(state):
                raise self.scheme.locate_failure(state, t)
            self.last = t, state

    def save(self, t: float, state) -> None:
        """Keep one saved time."""
        self._look()
        began = time.perf_counter()
        self.host_reads += 1
        coarse = self.scheme.coarse(state)
        micro = self.scheme.fields(state, t) if self.keep_micro else None
        exact = self._exact_values(t)
        error = self.scheme.uncertainty(state)
        self.times.append(t)
        self.coarse.append(coarse)
        if micro is not None:
            self.micro.append(micro)
        if exact is not None:
            self.exact.append(exact)
        if error is not None:
            self.uncertainty.append(error)
        if self.record is not None:
            self.record(t, coarse, micro, exact, error)
        if self.show is not None and (shown := self.scheme.particles(state, t)) is not None:
            self.show(t, shown)
        self.seconds["restrict_and_save"] += time.perf_counter() - began

    def _exact_values(self, t: float) -> Macro | None:
        if self.functions is None:
            return None
        if isinstance(self.functions, Mapping):
            return self.scheme.exact(self.functions, t)
        return self.functions(t)

    def save_last(self) -> None:
        """Keep the last good state of a run that ends early, if it is later than the last save."""
        if self.last[0] > self.times[-1]:
            self.unseen = []
            self.save(*self.last)

    def layout(self, attrs: dict[str, Any]) -> Layout:
        """Names and coordinates of the result."""
        return result_layout(
            self.scheme,
            attrs,
            with_micro=self.keep_micro,
            with_exact=self.functions is not None,
            with_uncertainty=bool(self.uncertainty),
        )

    def report(self, start, end, seconds, status, failure) -> dict[str, Any]:
        """What the run cost and how accurate it was."""
        scheme, reached = self.scheme, self.times[-1] - start
        report: dict[str, Any] = {
            "status": status,
            "time": {"start": start, "end": end, "reached": self.times[-1], "saved": self.times},
            "wall_seconds": seconds,
            "wall_seconds_by_part": self.seconds,
            "backend": scheme.backend_name,
            "dtype": scheme.dtype,
            "micro_steps": scheme.micro_steps,
            "micro_dt": scheme.micro_time / scheme.micro_steps if scheme.micro_steps else math.nan,
            **scheme.work(reached),
            "updates_per_second": scheme.updates / max(seconds, 1e-9),
            "fraction_of_time": scheme.micro_time / reached if reached > 0 else 0.0,
            "host_reads": self.host_reads,
            "finiteness_checks": self.looks,
            "functional": scheme.functional,
            "norm": "max",
        }
        if facts := scheme.facts():
            report["device"] = facts
        if self.projection is not None:
            report["projection"] = self.projection.describe()
            report["leaps"] = dataclasses.asdict(self.history.statistics)
        if failure is not None:
            report["failure"] = str(failure)
        return report | accuracy(
            scheme.names,
            self.coarse[-1],
            self.exact[-1] if self.exact else None,
            self.uncertainty[-1] if self.uncertainty else None,
            scheme.replicas,
        )


def result_layout(
    scheme: Scheme,
    attrs: Mapping[str, Any],
    *,
    with_micro: bool,
    with_exact: bool,
    with_uncertainty: bool,
) -> Layout:
    """Names, coordinates and attributes of the result of a scheme.

    Args:
        scheme: the patch scheme.
        attrs: further facts about the run.
        with_micro: whether values at all sites are kept.
        with_exact: whether an exact solution is kept.
        with_uncertainty: whether standard errors are kept.

    Returns:
        The layout shared by the file and the dataset in memory.
    """
    from gpupatch import __version__

    members = {
        name: np.array([row[name] for row in scheme.member_values]) for name in scheme.members
    }
    if scheme.replicas > 1:
        members["replica"] = np.arange(scheme.n_members) % scheme.replicas
    facts = {
        "gpupatch_version": __version__,
        "scheme": scheme.kind,
        **scheme.result_facts(),
        "functional": scheme.functional,
        "norm": "max",
    }
    return Layout(
        fields=scheme.names,
        centres=scheme.grid.centres,
        offsets=scheme.grid.site_offsets,
        members=scheme.n_members,
        member_coords=members,
        attrs=facts | dict(attrs),
        with_micro=with_micro,
        with_exact=with_exact,
        with_uncertainty=with_uncertainty,
    )

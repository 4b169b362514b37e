"""Run a scheme from a start to an end: saves, callbacks, stops, checkpoints."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpupatch.arrays import Handle, Macro, Micro
from gpupatch.checkpoints import Checkpoint, Checkpoints, check_identity, identity, read
from gpupatch.contract import checked, shown
from gpupatch.errors import InputError, NonFiniteError
from gpupatch.files.accuracy import accuracy
from gpupatch.march import March
from gpupatch.projection import Projection
from gpupatch.schedule import FINISHED, NON_FINITE, Interrupts, Schedule, Stop
from gpupatch.scheme import Scheme
from gpupatch.scheme.interface import ShowingScheme, Shown
from gpupatch.scheme.problem import Function, Initial
from gpupatch.solution import Saved, Solution, result_layout

Recorder = Callable[[float, Macro, Micro | None, Macro | None, Macro | None], None]


@checked(InputError)
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
    checkpoint: Checkpoints | None = None,
    resume: Checkpoint | str | os.PathLike[str] | None = None,
    failed: Callable[[NonFiniteError, float, Handle], None] | None = None,
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
        progress: called with (time, updates since this call began) after every leap.
        attrs: facts to be stored with the result.
        checkpoint: where and when the run is put down, so that it can be taken up.
        resume: the checkpoint, or the file of one, from which the run goes on. The scheme must be
            made as it was then, but may live on another backend or have another precision; on the
            same kind of backend the result is the same to the last bit. A later `end` is reached
            from there, and of `save` the times that lie ahead count.
        failed: called, if the state stops being finite, with where it did, and with time and state
            when it last was.

    Returns:
        The solution up to `end`, or up to where the run was stopped or failed.

    Raises:
        InputError: if the schedule is impossible, a `burst` or `flux` scheme has no projection,
            there are no particles to `show`, or a checkpoint is not one of this run.
    """
    schedule = Schedule(start, end, save)
    interrupts = Interrupts()
    if show is not None and not isinstance(scheme, ShowingScheme):
        raise InputError(f"the patches of this `{scheme.kind}` scheme hold no particles to show.")
    if resume is not None and not isinstance(resume, Checkpoint):
        resume = read(resume)
    run = _Run(
        scheme, projection, exact, keep_micro, callbacks, record, show, progress, interrupts,
        checkpoint, start,
    )  # fmt: skip
    status, failure = FINISHED, None
    with interrupts:
        t, state = run.set_out(initial) if resume is None else run.take_up(resume)
        try:
            for target in [ahead for ahead in schedule.times if ahead > run.saved.times[-1]]:
                if target >= t:
                    state = run.march.advance(t, state, target)
                    t = target
                    run.save(t, state)
                    run.rest(t, state, t < end)
            run.put_down_last()
        except Stop:
            status = str(interrupts.status)
            run.put_down_last(stopped=True)
            run.save_last()
        except NonFiniteError as error:
            status, failure = NON_FINITE, error
            if failed is not None:
                failed(error, *run.march.last)
            run.save_last()
    saved = run.saved
    return Solution(
        layout=run.layout(dict(attrs or {})),
        times=saved.times,
        coarse=saved.coarse,
        micro=saved.micro or None,
        exact=saved.exact or None,
        uncertainty=saved.uncertainty or None,
        status=status,
        report=run.report(end, status, failure),
        failure=failure,
    )


class _Run:
    """The moving parts of one call of `simulate`."""

    def __init__(
        self, scheme, projection, exact, keep_micro, callbacks, record, show, progress, interrupts,
        checkpoints, start,
    ):  # fmt: skip
        self.scheme, self.projection, self.functions = scheme, projection, exact
        self.keep_micro: bool = keep_micro
        self.interrupts: Interrupts = interrupts
        self.callbacks, self.record, self.progress = tuple(callbacks), record, progress
        self.show: Callable[[float, Shown], None] | None = show
        self.checkpoints: Checkpoints | None = checkpoints
        self.start: float = start
        self.saved = Saved()
        self.march = March(scheme, projection, self._after_leap, bool(self.callbacks))
        self.began = time.perf_counter()
        self.earlier_updates = 0
        self.figures: dict[str, Any] = {"seconds": 0.0, "saving": 0.0, "host_reads": 0}
        self.resumptions: list[dict[str, Any]] = []
        self.here: tuple[float, Handle] = (start, None)
        self.rested: Checkpoint | None = None

    def set_out(self, initial: Initial) -> tuple[float, Handle]:
        """The initial state, saved."""
        state = self.scheme.initial(initial, self.start)
        self.march.begin(self.start, state)
        self.save(self.start, state)
        self.rest(self.start, state, True)
        return self.start, state

    def take_up(self, checkpoint: Checkpoint) -> tuple[float, Handle]:
        """The state of a checkpoint, and all that was known then.

        Raises:
            InputError: if it is the checkpoint of another run.
        """
        told = checkpoint.run
        check_identity(self.scheme, told["identity"])
        if told["start"] != self.start:
            raise InputError(
                f"the checkpoint is that of a run that began at {told['start']}, and this one "
                f"begins at {self.start}."
            )
        t, state = self.march.remember(told["march"])
        self.saved = checkpoint.saved
        self.figures = dict(told["figures"])
        self.march.seconds, self.march.looks = told["simulating"], told["looks"]
        self.resumptions = [*told["resumptions"], self._resumption(t)]
        self.earlier_updates = self.scheme.updates
        self.here = t, state
        if t == self.saved.times[-1]:
            # files may hold less of it than the state tells
            self.saved.drop_last()
            self.saved.keep(t, *self._values(t, state))
        if not self.march.pauses_anywhere:
            self.rested = self._checkpoint(t, state)
        return t, state

    def _resumption(self, t: float) -> dict[str, Any]:
        return {"time": t, "backend": self.scheme.backend_name, "dtype": self.scheme.dtype}

    def rest(self, t: float, state: Handle, goes_on: bool) -> None:
        """Put the run down at a saved time before the last, if that is due."""
        self.here = t, state
        if self.checkpoints is None:
            return
        if not self.march.pauses_anywhere:
            self.rested = self._checkpoint(t, state)
        if goes_on and self.checkpoints.due_at(len(self.saved.times)):
            self.checkpoints.put(self._checkpoint(t, state))

    def put_down_last(self, stopped: bool = False) -> None:
        """Put the run down where it ends; where it is stopped, whatever was said about when."""
        if self.checkpoints is None or not (stopped or self.checkpoints.periodic):
            return
        if stopped and self.rested is not None:
            self.checkpoints.put(dataclasses.replace(self.rested, last=True))
        else:
            self.checkpoints.put(self._checkpoint(*self.here, last=True))

    def _checkpoint(self, t: float, state: Handle, last: bool = False) -> Checkpoint:
        told = {
            "identity": identity(self.scheme),
            "start": self.start,
            "march": self.march.memory(t, state),
            "figures": self.figures | {"seconds": self.seconds},
            "simulating": self.march.seconds,
            "looks": self.march.looks,
            "resumptions": self.resumptions,
        }
        return Checkpoint(told, self.saved.copy(), last)

    @property
    def seconds(self) -> float:
        """Wall time of all processes that took part."""
        return self.figures["seconds"] + time.perf_counter() - self.began

    def _after_leap(self, t: float, state: Handle) -> None:
        self.here = t, state
        if self.callbacks:
            coarse = self.scheme.coarse(state)
            self.figures["host_reads"] += 1
            for callback in self.callbacks:
                callback(t, coarse)
        if self.progress is not None:
            self.progress(t, self.scheme.updates - self.earlier_updates)
        pauses = self.checkpoints is not None and self.march.pauses_anywhere
        if self.interrupts.status is not None:
            self.march.look()
            self.interrupts.check()
        elif pauses and self.checkpoints is not None and self.checkpoints.due():
            self.march.look()
            self.checkpoints.put(self._checkpoint(t, state))

    def save(self, t: float, state: Handle) -> None:
        """Keep one saved time."""
        self.march.look()
        began = time.perf_counter()
        self.figures["host_reads"] += 1
        values = self._values(t, state)
        self.saved.keep(t, *values)
        if self.record is not None:
            self.record(t, *values)
        if self.show is not None and (shown := self.scheme.particles(state, t)) is not None:
            self.show(t, shown)
        self.figures["saving"] += time.perf_counter() - began

    def _values(
        self, t: float, state: Handle
    ) -> tuple[Macro, Micro | None, Macro | None, Macro | None]:
        """Coarse values, and micro fields, exact solution and standard errors where there are."""
        coarse = self.scheme.coarse(state)
        micro = self.scheme.fields(state, t) if self.keep_micro else None
        return coarse, micro, self._exact_values(t, coarse), self.scheme.uncertainty(state)

    def _exact_values(self, t: float, coarse: Macro) -> Macro | None:
        if self.functions is None:
            return None
        if isinstance(self.functions, Mapping):
            return self.scheme.exact(self.functions, t)
        exact = self.functions(t)
        if getattr(exact, "shape", None) != coarse.shape:
            raise InputError(
                f"`exact` returned {shown(exact)} at t = {t:.6g}; it must return coarse values, an "
                f"array of shape {coarse.shape}."
            )
        return exact

    def save_last(self) -> None:
        """Keep the last good state of a run that ends early, if it is later than the last save."""
        if self.march.last[0] > self.saved.times[-1]:
            self.march.forget_unseen()
            self.save(*self.march.last)

    def layout(self, attrs: dict[str, Any]):
        """Names and coordinates of the result."""
        return result_layout(
            self.scheme,
            attrs,
            with_micro=self.keep_micro,
            with_exact=self.functions is not None,
            with_uncertainty=bool(self.saved.uncertainty),
        )

    def report(self, end: float, status: str, failure: NonFiniteError | None) -> dict[str, Any]:
        """What the run cost and how accurate it was."""
        scheme, saved, seconds = self.scheme, self.saved, self.seconds
        reached = saved.times[-1] - self.start
        report: dict[str, Any] = {
            "status": status,
            "time": {
                "start": self.start, "end": end, "reached": saved.times[-1], "saved": saved.times,
            },
            "wall_seconds": seconds,
            "wall_seconds_by_part": {
                "simulate": self.march.seconds, "restrict_and_save": self.figures["saving"],
            },
            "resumptions": self.resumptions,
            "backend": scheme.backend_name,
            "dtype": scheme.dtype,
            "micro_steps": scheme.micro_steps,
            "micro_dt": scheme.micro_time / scheme.micro_steps if scheme.micro_steps else math.nan,
            **scheme.work(reached),
            "updates_per_second": scheme.updates / max(seconds, 1e-9),
            "fraction_of_time": scheme.micro_time / reached if reached > 0 else 0.0,
            "host_reads": self.figures["host_reads"],
            "finiteness_checks": self.march.looks,
            "functional": scheme.functional,
            "norm": "max",
        }  # fmt: skip
        if facts := scheme.facts():
            report["device"] = facts
        if self.projection is not None:
            report["projection"] = self.projection.describe()
            report["leaps"] = dataclasses.asdict(self.march.history.statistics)
        if failure is not None:
            report["failure"] = str(failure)
        return report | accuracy(
            scheme.names,
            saved.coarse[-1],
            saved.exact[-1] if saved.exact else None,
            saved.uncertainty[-1] if saved.uncertainty else None,
            scheme.replicas,
        )

"""The runs of a study, one after the other, safe against whatever ends it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpupatch.arrays import Backend
from gpupatch.errors import InputError
from gpupatch.files.study import FILES, write_study
from gpupatch.schedule import FINISHED, INTERRUPTED, TERMINATED, Interrupts
from gpupatch.studies.findings import Findings
from gpupatch.studies.plan import Plan
from gpupatch.studies.sweep import describe_settings, expected_work
from gpupatch.studies.trial import NOT_RUN, GivenUp, Trial, attempt
from gpupatch.studies.truth import (
    EXACT,
    FULL_DOMAIN,
    FullRun,
    Truth,
    exact_truth,
    finest,
    run_full_domain,
    self_truth,
)

FULL_SECONDS = 60.0
"""Wall time that the full-domain run may be expected to take, if no limit is given."""
_WRITE_SECONDS = 1.0
"""Wall time between two times that the results so far are written."""
_REPEAT_SECONDS = 30.0
"""A run in which kernels were compiled is repeated to be timed if that should take less."""


class Runs:
    """The runs of a study, cheapest first, and what is known of them so far.

    Args:
        plan: what is to be run.
        backend: where the patches live.
        trust: whether files of Python are accepted.
        say: takes lines for the user.
        directory: where results are written; None to write nothing.
        about: what is known for the report before the first run.

    Attributes:
        trials: one row per setting, in the order of the sweep.
        status: "finished", "interrupted" or "terminated".
    """

    def __init__(
        self,
        plan: Plan,
        backend: Backend,
        trust: bool,
        say: Callable[[str], None],
        directory: Path | None,
        about: Mapping[str, Any],
    ):
        self.plan, self.backend, self.trust = plan, backend, trust
        self.say, self.directory, self.about = say, directory, about
        sweep = plan.sweep
        self.trials = [Trial(one, NOT_RUN, "the study was not run") for one in sweep.settings]
        self.works = [self._work(one) for one in sweep.settings]
        self.interrupts = Interrupts()
        self.full: FullRun | None = None
        self.no_full = plan.no_full or "no run has finished"
        self.truth: Truth | None = exact_truth() if plan.reference == EXACT else None
        self.began = time.monotonic()
        self.pace = 0.0
        self.status = FINISHED
        self._written = 0.0

    def _work(self, settings: Mapping[str, Any]) -> float:
        try:
            return expected_work(self.plan.sweep.member(settings))
        except InputError:
            return 0.0

    def all(self) -> None:
        """Run everything, write what came out, and tell what is worth its cost."""
        self.began = time.monotonic()
        order = sorted(range(len(self.trials)), key=lambda index: self.works[index])
        with self.interrupts:
            try:
                for count, index in enumerate(order):
                    self._run(index, count)
                    if self.status != FINISHED:
                        break
                    self.write(finished=False)
            except KeyboardInterrupt:
                self.status = INTERRUPTED
        if self.status != FINISHED:
            self.trials = [
                dataclasses.replace(trial, reason="the study was stopped")
                if trial.status == NOT_RUN
                else trial
                for trial in self.trials
            ]
        self.write(finished=True)
        self.say(self.findings().summary(self.status))
        if self.directory is not None:
            self.say(f"results in {self.directory}: {', '.join(FILES)}")

    def watch(self) -> None:
        """Give up the present run if the time is over or a signal came before it began."""
        if self.interrupts.status is not None:
            raise GivenUp("the study was stopped")
        if self.plan.limit is not None and time.monotonic() - self.began > self.plan.limit:
            raise GivenUp(f"the limit of {self.plan.limit:g} s came during the run")

    def _run(self, index: int, count: int) -> None:
        """Make one run into a row; the count is for the user."""
        settings, work = self.plan.sweep.settings[index], self.works[index]
        label = describe_settings(settings)
        left = self._left()
        if left is not None and self.pace * work > left:
            why = f"it would not end before the limit of {self.plan.limit:g} s"
            self.trials[index] = Trial(settings, NOT_RUN, why)
            return self._tell(count, label, self.trials[index])
        trial = self._attempt(settings)
        if trial.finished:
            trial = self._timed(settings, trial, self.pace * work)
        if trial.status in (INTERRUPTED, TERMINATED) or self.interrupts.status is not None:
            self.status = self.interrupts.status or trial.status
            if not trial.finished:
                trial = Trial(settings, NOT_RUN, "the study was stopped")
        self.trials[index] = trial
        if trial.finished:
            done = sum(w for t, w in zip(self.trials, self.works, strict=True) if t.finished)
            spent = sum(t.report["wall_seconds"] for t in self.trials if t.finished and t.report)
            self.pace = spent / done if done else 0.0
            if self.full is None and not self.plan.no_full and self.status == FINISHED:
                self._full_domain(trial)
        return self._tell(count, label, trial)

    def _attempt(self, settings: Mapping[str, Any]) -> Trial:
        sweep = self.plan.sweep
        return attempt(
            settings, lambda: sweep.member(settings), self.backend, self.trust, self.watch
        )

    def _timed(self, settings: Mapping[str, Any], trial: Trial, expected: float) -> Trial:
        """The same run without the time that compilers took, if it was slower than expected.

        Nothing is expected of the first run, the cheapest, which is always made twice.
        """
        assert trial.report is not None
        seconds, left = trial.report["wall_seconds"], self._left()
        affordable = expected < _REPEAT_SECONDS and (left is None or 4 * seconds < left)
        if self.backend.name == "numpy" or seconds < 2 * expected or not affordable:
            return trial
        second = self._attempt(settings)
        return second if second.finished else trial

    def _left(self) -> float | None:
        limit = self.plan.limit
        return None if limit is None else limit - (time.monotonic() - self.began)

    def _full_domain(self, trial: Trial) -> None:
        """Run the whole domain, as soon as the pace of a run shows that it is affordable."""
        assert trial.report is not None
        report, left = trial.report, self._left()
        needed = report["cell_updates_of_the_full_lattice"] / max(report["updates_per_second"], 1.0)
        allowed = FULL_SECONDS if left is None else left / 4
        if needed > allowed and not self.plan.asked_for_full:
            self.no_full = f"it would take about {needed:.3g} s, more than {allowed:.3g} s"
            return
        self.say(f"         the full domain, about {needed:.2g} s")
        try:
            found = run_full_domain(self.plan.sweep.case, self.plan.parts, self.watch)
        except InputError as error:
            found = " ".join(str(error).split())
        if isinstance(found, FullRun):
            self.full, self.no_full = found, ""
            if self.plan.reference == FULL_DOMAIN:
                self.truth = found.truth(self.plan.sweep.case.time.end)
            return
        self.no_full = self.plan.no_full = found
        if found in (INTERRUPTED, TERMINATED):
            self.status = found

    def _tell(self, count: int, label: str, trial: Trial) -> None:
        done = f"{count + 1:>4}/{len(self.trials)}  {label}:"
        if not trial.finished:
            return self.say(f"{done} {trial.status}, {trial.reason}")
        assert trial.report is not None
        waiting = sum(
            work
            for one, work in zip(self.trials, self.works, strict=True)
            if one.status == NOT_RUN and not one.reason.startswith("it would")
        )
        seconds = f"{trial.report['wall_seconds']:.2g} s"
        return self.say(
            f"{done} {trial.cost:.3g} {self.unit} in {seconds}, "
            f"about {self.pace * waiting:.2g} s to go"
        )

    @property
    def unit(self) -> str:
        """What cost is counted in."""
        return "cell updates" if self.plan.sweep.case.particles is None else "particle steps"

    def findings(self, final: bool = True) -> Findings:
        """Errors and costs of what has been run.

        Args:
            final: whether no more is run, so that the finest run can be the reference.
        """
        truth, case = self.truth, self.plan.sweep.case
        best = finest(self.trials)
        if truth is None and final and best is not None:
            truth = self_truth(best, case.time.end)
        return Findings(
            self.plan.sweep, self.trials, truth, self.full, self.no_full, self.backend.name
        )

    def write(self, finished: bool) -> None:
        """Write the results so far, now and then, and at the end with the picture."""
        if self.directory is None:
            return
        if not finished and time.monotonic() - self._written < _WRITE_SECONDS:
            return
        findings = self.findings(final=finished)
        status = self.status if finished else "running"
        report = {**self.about, "status": status, **findings.report(), "files": FILES}
        figure = None
        if finished:
            from gpupatch.plot.pareto import study_figure

            figure = study_figure(findings.dataset)
        write_study(self.directory, findings.dataset, report, figure)
        self._written = time.monotonic()

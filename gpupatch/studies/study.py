"""Run a case over a sweep of its settings, and see which of them are worth their cost."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpupatch.backends.select import get_backend
from gpupatch.contract import checked
from gpupatch.errors import InputError, NonFiniteError
from gpupatch.files.case import Case, load_case
from gpupatch.files.report import prepare_directory
from gpupatch.run.build import build
from gpupatch.run.execute import EXIT_CODES, about_run
from gpupatch.schedule import FINISHED
from gpupatch.studies.findings import Findings
from gpupatch.studies.plan import Plan
from gpupatch.studies.runs import Runs
from gpupatch.studies.sweep import Sweep, make_sweep
from gpupatch.studies.trial import NOT_RUN, REFUSED, Trial

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Study:
    """What a study came to.

    Attributes:
        sweep: the case and its settings.
        findings: errors and costs of all runs.
        directory: where the results are, or None if nothing was written.
        status: "finished", "interrupted" or "terminated".
    """

    sweep: Sweep
    findings: Findings
    directory: Path | None
    status: str

    @property
    def trials(self) -> Sequence[Trial]:
        """The runs, in the order of the sweep."""
        return self.findings.trials

    @property
    def pareto(self) -> list[dict[str, Any]]:
        """The runs than which no other is both cheaper and more accurate, by rising cost.

        Each has "settings", "error", "standard_error", "cost", "fraction" and "seconds".
        """
        return self.findings.front

    @property
    def orders(self) -> list[dict[str, Any]]:
        """Orders of convergence along lines on which one setting varies."""
        return self.findings.orders

    @property
    def exit_code(self) -> int:
        """0; 2 or 3 if no run at all had a result; 130 or 143 if the study was stopped."""
        if self.status != FINISHED or any(trial.finished for trial in self.trials):
            return EXIT_CODES[self.status]
        broke = any(trial.status not in (NOT_RUN, REFUSED) for trial in self.trials)
        return NonFiniteError.exit_code if broke else InputError.exit_code

    def to_xarray(self) -> xarray.Dataset:
        """One entry per run along `run`, identical to `study.nc`."""
        return self.findings.dataset

    def plot(self) -> Figure:
        """Error against cost, with the Pareto front."""
        from gpupatch.plot.pareto import study_figure

        return study_figure(self.to_xarray())


@checked(InputError)
def study(
    case: Case | str | os.PathLike[str],
    vary: Mapping[str, Sequence[Any]] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    reference: str | None = None,
    limit: float | None = None,
    overwrite: bool = False,
    trust: bool = False,
    quiet: bool = False,
    dry_run: bool = False,
) -> Study:
    """Run a case with many settings and compare accuracy with cost.

    The error of a run is the largest difference to the reference at the final time, through the
    functional that defines the coarse values of that run, divided by the variation of the field.
    The reference is the exact solution of the case, else the micro-simulator on the whole domain
    where it applies and is affordable, else the finest run of the study.

    Runs that the case or the scheme refuses, and runs that stop being finite, are rows with the
    reason. On Ctrl-C what is done is kept.

    Args:
        case: a case, the path of a case file, or the name of a built-in case.
        vary: values by path, such as {"scheme.order": [2, 4], "grid.patches": [8, 16]}, of which
            all combinations are run; when absent, settings that suit the kind of scheme. The
            micro-lattice stays that of the case unless `grid.dx` or `grid.ratio` is varied.
        out: directory for `study.nc`, `study.csv`, `report.json` and `study.png`; nothing is
            written when absent.
        backend: where to compute, instead of what the case says.
        reference: "exact", "full_domain" or "self" (the finest run), to choose one.
        limit: wall seconds after which no more is run, and of which the full-domain run may take
            a quarter.
        overwrite: replace the results of an earlier study in `out`.
        trust: accept a rule file and paths outside the case's directory.
        quiet: say nothing.
        dry_run: say what would be run, and stop.

    Returns:
        The study.

    Raises:
        InputError: if the case itself cannot be run, an entry does not exist, the case has no such
            reference, or its runs have none in common.
        GpupatchError: if the results cannot be written.
    """
    case = case if isinstance(case, Case) else load_case(case)
    sweep = make_sweep(case, vary)
    chosen, why = get_backend(backend or case.run.backend)
    parts = build(case, chosen, trust)
    plan = Plan(sweep, parts, reference, limit)
    say = (lambda text: None) if quiet else (lambda text: print(text, flush=True))
    say(plan.describe())
    directory = None
    if out is not None and not dry_run:
        directory = prepare_directory(out, overwrite)
    about = about_run(case, chosen.name, why, trust)
    runs = Runs(plan, chosen, trust, say, directory, about)
    if not dry_run:
        runs.all()
    return Study(sweep, runs.findings(), directory, runs.status)

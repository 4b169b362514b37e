"""Errors and costs of the runs of a study, as a table, a report and a few lines of text."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpupatch._version import __version__
from gpupatch.arrays import Macro
from gpupatch.errors import SchemeError
from gpupatch.files.accuracy import accuracy
from gpupatch.schedule import FINISHED
from gpupatch.studies.pareto import observed_orders, pareto_front
from gpupatch.studies.sweep import Sweep, describe_settings
from gpupatch.studies.trial import Trial
from gpupatch.studies.truth import EXACT, FULL_DOMAIN, SELF, FullRun, Truth, through_functional

if TYPE_CHECKING:
    import xarray

ROUND_OFF = 1e-13
"""Relative error that is only rounding."""
_TOLD = {
    EXACT: "the exact solution",
    FULL_DOMAIN: "the micro-simulator on the whole domain",
    SELF: "the finest run, {}",
}


@dataclass(frozen=True, eq=False)
class Assessment:
    """The result of one run beside the truth.

    Attributes:
        error: largest difference by field, as a run reports it.
        bar: standard error by field (rms), that of the reference included; NaN if unknown.
        truth: the truth through the functional of the run, [member, field, *patch axes].
        reason: why there is no error.
    """

    error: NDArray[np.float64]
    bar: NDArray[np.float64]
    truth: Macro | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Findings:
    """What is known of the runs of a study.

    Attributes:
        sweep: the case and its settings.
        trials: one per setting.
        reference: what they are measured against; None while that is not known.
        full: the micro-simulator on the whole domain, if it was run.
        no_full: why it was not.
        backend: where the patches lived.
    """

    sweep: Sweep
    trials: Sequence[Trial]
    reference: Truth | None
    full: FullRun | None
    no_full: str
    backend: str

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The coarse fields."""
        return next((t.scheme.names for t in self.trials if t.scheme is not None), ())

    @functools.cached_property
    def assessments(self) -> list[Assessment]:
        """Error and standard error of every run; NaN where there is none."""
        return [self._assess(trial) for trial in self.trials]

    def _assess(self, trial: Trial) -> Assessment:
        unknown = np.full(len(self.names), np.nan)
        reference = self.reference
        if not trial.finished or trial.coarse is None or reference is None:
            return Assessment(unknown, unknown, None, trial.reason)
        assert trial.scheme is not None
        try:
            truth = reference.values(trial)
        except SchemeError as error:
            return Assessment(unknown, unknown, None, f"not compared: {error}")
        found = accuracy(self.names, trial.coarse, truth, trial.uncertainty, trial.scheme.replicas)
        bar = np.array([found.get("standard_error", {}).get(n, np.nan) for n in self.names])
        if trial is reference.trial:
            return Assessment(unknown, bar, truth, "it is the reference of the others")
        if reference.error is not None:
            bar = np.hypot(bar, [reference.error[name] for name in self.names])
        return Assessment(np.array([found["error"][n] for n in self.names]), bar, truth)

    @functools.cached_property
    def scale(self) -> NDArray[np.float64]:
        """Variation of every field at the final time, by which errors are divided.

        Largest less smallest value of the truth over space, the most of all members, on the grid
        with the most patches; where that is nothing, the largest magnitude; else 1.
        """
        truths = [one.truth for one in self.assessments if one.truth is not None]
        if not truths:
            return np.ones(len(self.names))
        truth = max(truths, key=np.size)
        flat = truth.reshape(*truth.shape[:2], -1)
        spread, size = np.ptp(flat, axis=2).max(axis=0), np.abs(flat).max(axis=(0, 2))
        size = np.where(size > 0, size, 1.0)
        return np.where(spread > 1e-9 * size, spread, size)

    @functools.cached_property
    def _worst(self) -> NDArray[np.int64]:
        """The field with the largest relative error, of every run."""
        errors = np.array([one.error / self.scale for one in self.assessments])
        return np.argmax(np.where(np.isnan(errors), -1.0, errors), axis=1)

    def _of_the_worst(self, values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        if not self.names:
            return np.full(len(self.trials), np.nan)
        relative = np.array(values) / self.scale
        return relative[np.arange(len(relative)), self._worst]

    @functools.cached_property
    def error(self) -> NDArray[np.float64]:
        """Largest error over fields, relative to their variation, of every run."""
        return self._of_the_worst([one.error for one in self.assessments])

    @functools.cached_property
    def bar(self) -> NDArray[np.float64]:
        """Standard error (rms over patches) of the same field, relative likewise."""
        return self._of_the_worst([one.bar for one in self.assessments])

    @functools.cached_property
    def cost(self) -> NDArray[np.float64]:
        """Cell updates or particle steps of every run."""
        return np.array([trial.cost for trial in self.trials])

    @functools.cached_property
    def full_cost(self) -> float:
        """Cost of the full simulation: as run, or estimated by the median of all runs; or NaN."""
        if self.full is not None:
            return self.full.cost
        known = [
            trial.cost * trial.report["gain"]
            for trial in self.trials
            if trial.finished and trial.report and trial.report.get("gain")
        ]
        return float(np.median(known)) if known else float("nan")

    @functools.cached_property
    def full_error(self) -> float:
        """Error of the full simulation itself, relative likewise; NaN if it is not known."""
        if self.full is None or self.reference is None or self.reference.kind != EXACT:
            return float("nan")
        rows = [t for t, one in zip(self.trials, self.assessments, strict=True) if t.finished]
        best = max(rows, key=lambda trial: 0 if trial.coarse is None else trial.coarse.size)
        assert best.scheme is not None
        end = self.sweep.case.time.end
        values = through_functional(best.scheme, self.full.fields, end)
        found = accuracy(self.names, values, self.reference.values(best))["error"]
        return float(max(np.array([found[name] for name in self.names]) / self.scale))

    @functools.cached_property
    def on_front(self) -> NDArray[np.int64]:
        """Indices of the runs on the Pareto front, by rising cost."""
        return pareto_front(self.cost, self.error)

    @functools.cached_property
    def front(self) -> list[dict[str, Any]]:
        """The runs on the Pareto front."""
        return [
            {
                "settings": dict(self.trials[i].settings),
                "error": float(self.error[i]),
                "standard_error": None if np.isnan(self.bar[i]) else float(self.bar[i]),
                "cost": float(self.cost[i]),
                "fraction": float(self.cost[i] / self.full_cost),
                "seconds": self._seconds(self.trials[i]),
            }
            for i in self.on_front
        ]

    @functools.cached_property
    def orders(self) -> list[dict[str, Any]]:
        """Observed orders of convergence."""
        floor = np.fmax(np.nan_to_num(self.bar), np.nan_to_num(self.full_error))
        rows = [dict(trial.settings) for trial in self.trials]
        return observed_orders(rows, self.error, np.fmax(floor, ROUND_OFF))

    @staticmethod
    def _seconds(trial: Trial) -> float:
        return float((trial.report or {}).get("wall_seconds", np.nan))

    @property
    def unit(self) -> str:
        """What cost is counted in."""
        return "cell updates" if self.sweep.case.particles is None else "particle steps"

    @property
    def measured_against(self) -> str:
        """The reference, in words."""
        if self.reference is None:
            return "nothing yet"
        trial = self.reference.trial
        label = "" if trial is None else describe_settings(trial.settings)
        return _TOLD[self.reference.kind].format(label)

    @functools.cached_property
    def dataset(self) -> xarray.Dataset:
        """One entry per run along `run`."""
        import xarray

        columns: dict[str, Any] = {}
        for axis in self.sweep.axes:
            values = [trial.settings[axis.path] for trial in self.trials]
            columns[axis.path] = ("run", _column(values), {"long_name": axis.path})
        varied = [axis.path for axis in self.sweep.axes]
        labels = [describe_settings(trial.settings, varied) for trial in self.trials]
        reasons = [
            trial.reason or one.reason
            for trial, one in zip(self.trials, self.assessments, strict=True)
        ]
        on_front = np.zeros(len(self.trials), dtype=np.int8)
        on_front[self.on_front] = 1
        relative = "relative to the variation of the field"
        per_field = ("run", "field")
        shape = (len(self.trials), len(self.names))
        errors = np.array([one.error for one in self.assessments]).reshape(shape)
        bars = np.array([one.bar for one in self.assessments]).reshape(shape)
        seconds = np.array([self._seconds(trial) for trial in self.trials])
        columns |= {
            "label": ("run", _column(labels), {"long_name": "settings"}),
            "status": ("run", _column([trial.status for trial in self.trials])),
            "reason": ("run", _column(reasons), {"long_name": "why there is no error"}),
            "error": ("run", self.error, {"long_name": f"largest error, {relative}", "units": "1"}),
            "standard_error": (
                "run", self.bar, {"long_name": f"standard error, {relative}", "units": "1"}
            ),
            "cost": ("run", self.cost, {"long_name": self.unit, "units": "1"}),
            "fraction": (
                "run",
                self.cost / self.full_cost,
                {"long_name": "share of the cost of the full simulation", "units": "1"},
            ),
            "seconds": ("run", seconds, {"long_name": "wall time", "units": "s"}),
            "on_front": ("run", on_front, {"long_name": "on the Pareto front"}),
            "field_error": (per_field, errors, {"long_name": "largest error"}),
            "field_standard_error": (per_field, bars, {"long_name": "standard error, rms"}),
            "variation": ("field", self.scale, {"long_name": "variation of the field"}),
        }  # fmt: skip
        coords = {"run": np.arange(len(self.trials)), "field": _column(list(self.names))}
        return xarray.Dataset(columns, coords, self._attributes())

    def _attributes(self) -> dict[str, Any]:
        case, scheme = self.sweep.case, next((t.scheme for t in self.trials if t.scheme), None)
        return {
            "gpupatch_version": __version__,
            "title": case.title or case.name,
            "case": case.name,
            "scheme": case.scheme.kind,
            "backend": self.backend,
            "varied": [axis.path for axis in self.sweep.axes],
            "functional": "" if scheme is None else scheme.functional,
            "norm": "max",
            "reference": "" if self.reference is None else self.reference.kind,
            "measured_against": self.measured_against,
            "cost_unit": self.unit,
            "full_cost": self.full_cost,
            "full_cost_from": "estimate" if self.full is None else "run",
            "full_error": self.full_error,
        }

    def report(self) -> dict[str, Any]:
        """Entries of `report.json`."""
        counted = Counter(trial.status for trial in self.trials)
        return {
            "varied": {axis.path: list(axis.values) for axis in self.sweep.axes},
            "runs": {"asked": len(self.trials), **counted},
            "reference": {
                "kind": None if self.reference is None else self.reference.kind,
                "measured_against": self.measured_against,
            },
            "norm": "max",
            "variation": dict(zip(self.names, self.scale.tolist(), strict=True)),
            "cost_unit": self.unit,
            "full_simulation": {
                "cost": self.full_cost,
                "from": "estimate" if self.full is None else "run",
                "seconds": None if self.full is None else self.full.seconds,
                "error": self.full_error,
                "why_not_run": self.no_full,
            },
            "pareto_front": self.front,
            "observed_orders": self.orders,
            "without_error": [
                {"settings": dict(trial.settings), "status": trial.status, "reason": reason}
                for trial, one in zip(self.trials, self.assessments, strict=True)
                if (reason := trial.reason or one.reason)
            ],
            "warnings": [
                {"settings": dict(trial.settings), "warnings": list(trial.warnings)}
                for trial in self.trials
                if trial.warnings
            ],
        }

    def summary(self, status: str = FINISHED) -> str:
        """The Pareto front, and what there is no error of, as text."""
        lines = [] if status == FINISHED else [f"{status}; results up to there"]
        lines.append(f"worth their cost (errors against {self.measured_against}):")
        for one in self.front:
            bar = f" +- {one['standard_error']:.1g}" if one["standard_error"] is not None else ""
            share = f"{one['fraction']:.2g} of the full simulation"
            cost = f"{one['cost']:.3g} {self.unit}"
            cost += f" ({share})" if np.isfinite(one["fraction"]) else ""
            label = describe_settings(one["settings"])
            lines.append(f"  error {one['error']:.2e}{bar}  {cost}  {label}")
        if not self.front:
            lines[-1] = "no run has an error"
        without = Counter(one.reason for one in self.trials if one.status not in (FINISHED,))
        lines += [f"  {count} without result: {reason}" for reason, count in without.items()]
        return "\n".join(lines)


def _column(values: Sequence[Any]) -> NDArray[Any]:
    """Numbers as numbers, with NaN for what is absent; anything else as text."""
    plain = [float("nan") if value is None else value for value in values]
    if plain and all(isinstance(v, int | float) and not isinstance(v, bool) for v in plain):
        return np.array(plain)
    return np.array([_text(value) for value in values], dtype=object)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(map(_text, value))
    return "" if value is None else str(value)

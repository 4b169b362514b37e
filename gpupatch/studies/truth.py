"""What the runs of a study are measured against, through the functional of each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpupatch.arrays import Macro
from gpupatch.compare import FullDomain, with_hidden
from gpupatch.errors import GpupatchError, SchemeError
from gpupatch.files.accuracy import standard_error
from gpupatch.files.case import Case
from gpupatch.files.forms import ExpressionCoefficient
from gpupatch.files.particles import HELD
from gpupatch.run.build import Parts
from gpupatch.schedule import FINISHED, INTERRUPTED, TERMINATED
from gpupatch.scheme import Scheme
from gpupatch.simulation import simulate
from gpupatch.studies.interpolant import Interpolant
from gpupatch.studies.trial import GivenUp, Trial

EXACT, FULL_DOMAIN, SELF = "exact", "full_domain", "self"
REFERENCES = (EXACT, FULL_DOMAIN, SELF)

_LARGEST_LATTICE = 20_000_000
_SWEEPS = 80
"""Corrections of values at nodes, until their averages are those that are wanted."""


@dataclass(frozen=True, eq=False)
class Truth:
    """A reference for the result of every run.

    Attributes:
        kind: "exact", "full_domain" or "self".
        values: the truth for a run, through its functional, [member, field, *patch axes].
        trial: the run that serves as the reference, if one does.
        error: its standard error by field, if it has one.
    """

    kind: str
    values: Callable[[Trial], Macro]
    trial: Trial | None = None
    error: Mapping[str, float] | None = None


def exact_truth() -> Truth:
    """The exact solution, which every run has evaluated itself."""

    def values(trial: Trial) -> Macro:
        assert trial.exact is not None
        return trial.exact

    return Truth(EXACT, values)


def through_functional(scheme: Scheme, fields: Sequence[Mapping[str, Any]], t: float) -> Macro:
    """Fields of every member through the functional of a scheme, [member, field, *patch axes].

    Args:
        scheme: the scheme.
        fields: functions of position and time by name, one mapping for all replicas of a member.
        t: time.
    """
    n = scheme.replicas
    rows = [scheme.exact(one, t)[member * n] for member, one in enumerate(fields)]
    return np.stack(rows).repeat(n, axis=0)


@dataclass(frozen=True, eq=False)
class FullRun:
    """The micro-simulator on the whole domain.

    Attributes:
        fields: the field at the end by name, one mapping per member, without replicas.
        cost: cell updates that it took.
        seconds: wall time that it took.
        nodes: positions of the lattice, per axis.
        smooth: whether the medium leaves the field smooth between the sites.
    """

    fields: list[dict[str, Interpolant]]
    cost: float
    seconds: float
    nodes: list[np.ndarray]
    smooth: bool

    def truth(self, end: float) -> Truth:
        """This run as a reference.

        Args:
            end: the final time.
        """

        def values(trial: Trial) -> Macro:
            assert trial.scheme is not None
            self._check(trial.scheme)
            return through_functional(trial.scheme, self.fields, end)

        return Truth(FULL_DOMAIN, values)

    def _check(self, scheme: Scheme) -> None:
        """Between the sites of a medium a field is not known.

        Raises:
            SchemeError: if the patches are not cut from the lattice.
        """
        grid = scheme.grid
        if self.smooth:
            return
        for axis, nodes in enumerate(self.nodes):
            d = nodes[1] - nodes[0]
            offset = (np.add.outer(grid.centres[axis], grid.site_offsets[axis]) - nodes[0]) / d
            if np.abs(offset - np.rint(offset)).max() > 1e-6:
                raise SchemeError(
                    f"axis {axis}: the patches are not cut from the lattice of the full-domain "
                    "run, and in a medium nothing is known between its sites."
                )


def no_full_domain(case: Case, parts: Parts, varied: Sequence[str]) -> str:
    """Why the whole domain cannot be run for comparison; empty if it can, time aside.

    Args:
        case: the case.
        parts: its parts.
        varied: paths of the varied entries.
    """
    if case.particles is not None:
        return "particles have no full-domain run here"
    problem = parts.scheme.problem  # type: ignore[attr-defined]
    rule = problem.rule
    if {"grid.dx", "grid.ratio"} & set(varied):
        return "the micro-lattice itself is varied"
    if rule.noise:
        return f"rule `{rule.name}` has noise"
    if rule.parity:
        return f"rule `{rule.name}` lives on a staggered lattice"
    if case.coefficients and case.scheme.kind == "flux":
        return "cell averages in a medium are not known from its sites"
    if not all(isinstance(one, ExpressionCoefficient) for one in case.coefficients.values()):
        return "the medium is laid out from every patch, so that other patches have another one"
    grid = problem.grid
    sites = np.prod([(hi - lo) / d for (lo, hi), d in zip(grid.domain, grid.spacing, strict=True)])
    if sites > _LARGEST_LATTICE:
        return f"the lattice has {sites:.3g} sites, more than {_LARGEST_LATTICE:.3g}"
    try:
        FullDomain(problem, parts.scheme.backend, case.time.micro)  # type: ignore[attr-defined]
    except GpupatchError as error:
        return " ".join(str(error).split())
    return ""


def run_full_domain(case: Case, parts: Parts, watch: Callable[[], None]) -> FullRun | str:
    """Run the micro-simulator on the whole domain, with micro-steps throughout.

    Args:
        case: the case.
        parts: its parts.
        watch: called after every block of micro-steps; raises `GivenUp` to end the run.

    Returns:
        The run; or why there is none, or with which status it was stopped.
    """
    scheme: Any = parts.scheme
    dt = None if case.burst is not None else case.time.dt
    whole = FullDomain(scheme.problem, scheme.backend, scheme.micro, dt)

    try:
        solution = simulate(
            whole.scheme,
            with_hidden(scheme, parts.initial),
            case.time.end,
            start=case.time.start,
            save=2,
            keep_micro=True,
            progress=lambda t, updates: watch(),
        )
    except GivenUp as why:
        return str(why)
    if solution.status in (INTERRUPTED, TERMINATED):
        return solution.status
    if solution.status != FINISHED or solution.micro is None:
        return f"its state stopped being finite at t = {solution.times[-1]:g}"
    grid, lattice = scheme.grid, whole.lattice(solution.micro[-1])
    periods = [
        hi - lo if grid.periodic(axis) else None for axis, (lo, hi) in enumerate(grid.domain)
    ]
    fields = scheme.problem.rule.fields
    found = [
        {
            name: Interpolant(whole.nodes, member[fields.index(name)], periods)
            for name in scheme.names
        }
        for member in lattice[:: scheme.replicas]
    ]
    return FullRun(
        found,
        float(solution.report["cell_updates"]),
        float(solution.report["wall_seconds"]),
        whole.nodes,
        smooth=not case.coefficients,
    )


def finest(trials: Sequence[Trial]) -> Trial | None:
    """The run that should be the most accurate of those that finished.

    Most patches, then the highest order, then the shortest leap, then the highest cost.

    Args:
        trials: of a study.
    """

    def rank(trial: Trial) -> tuple[float, float, float, float]:
        assert trial.scheme is not None
        order, step = trial.settings.get("scheme.order", 0), trial.settings.get("time.step")
        height = np.inf if order == "spectral" else float(order or 0)
        leap = -float(step) if isinstance(step, int | float) else 0.0
        return float(np.prod(trial.scheme.grid.patches)), height, leap, trial.cost

    finished = [trial for trial in trials if trial.finished]
    return max(finished, key=rank, default=None)


def self_truth(trial: Trial, end: float) -> Truth:
    """The result of one run as a reference for the others.

    Values at the patch centres are sought whose interpolation has the coarse values of the run, by
    repeated correction; the functional of any other run is then applied to it.

    Args:
        trial: a run that finished.
        end: the final time.
    """
    scheme, U = trial.scheme, trial.coarse
    assert scheme is not None
    assert U is not None
    grid = scheme.grid
    closes = scheme.kind not in HELD
    periods = [
        hi - lo if closes and grid.periodic(axis) else None
        for axis, (lo, hi) in enumerate(grid.domain)
    ]
    replicas = scheme.replicas
    mean = U.reshape(-1, replicas, *U.shape[1:]).mean(axis=1)

    def fields(values: Macro) -> list[dict[str, Interpolant]]:
        return [
            {
                name: Interpolant(grid.centres, member[index], periods)
                for index, name in enumerate(scheme.names)
            }
            for member in values
        ]

    values, enough = mean.copy(), 1e-13 * max(float(np.abs(mean).max()), 1e-300)
    for _ in range(_SWEEPS):
        missing = mean - through_functional(scheme, fields(values), end)[::replicas]
        values += missing
        if np.abs(missing).max() <= enough:
            break
    found = fields(values)
    bar = standard_error(U, trial.uncertainty, replicas)
    error = None
    if bar is not None:
        squares = np.moveaxis(bar, 1, 0).reshape(len(scheme.names), -1) ** 2
        error = dict(zip(scheme.names, np.sqrt(squares.mean(axis=1)).tolist(), strict=True))

    def at(other: Trial) -> Macro:
        assert other.scheme is not None
        return through_functional(other.scheme, found, end)

    return Truth(SELF, at, trial, error)

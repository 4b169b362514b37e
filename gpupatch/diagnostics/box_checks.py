"""D1 to D11 of fluxes that are measured in driven boxes."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.diagnostics.conservation import EXACT
from gpupatch.diagnostics.finding import Finding, at_least, at_most
from gpupatch.diagnostics.noisy import Noisy, noisy_at_most
from gpupatch.diagnostics.particle_macro import LEAST_GAP, LEAST_STEP, NO_GAP, growth_factor
from gpupatch.particles.moments import THERMAL, moments
from gpupatch.particles.prepare import retuned
from gpupatch.projection import Projection
from gpupatch.scheme.box_flux import BoxFluxScheme
from gpupatch.scheme.boxes import BoxProblem
from gpupatch.scheme.particle_problem import ParticleProblem
from gpupatch.scheme.propagated import exactly

LARGEST_RANGE = 0.5
"""Range of forces in units of the width of a box: beyond it a particle meets its own image."""
LEAST_SIGNAL = 5.0
"""Signal over noise."""
MOST_BURSTS = 400
"""Bursts from which a coefficient is taken at most."""


@dataclass(frozen=True, eq=False)
class BoxFluxTrial:
    """A scheme of driven boxes in a state, and the coefficients that its variants show.

    Attributes:
        scheme: what is tested.
        t: time of the state.
        U: coarse values, [member, 1, cell].
        projection: the method that leaps, or None.
        tolerance: relative error that is accepted.
        budget: micro-steps of particles that one comparison may take.
        least: rate of change below which nothing matters.
    """

    scheme: BoxFluxScheme
    t: float
    U: NDArray[np.float64]
    projection: Projection | None
    tolerance: float
    budget: float
    least: float = 0.0

    @functools.cached_property
    def drives(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Value and gradient of the field on the faces; where it is uniform, of a test gradient."""
        value, gradient = self.scheme.at_faces(self.t, self.U)
        rounding = 1e3 * np.finfo(float).eps * np.abs(value).max() / self.scheme.grid.gap[0]
        if not np.abs(gradient).max() > rounding:
            gradient = np.full_like(gradient, self.scheme.strength or 0.1)
        return value, gradient

    def varied(self, **changes: Any) -> Driven:
        """A variant and what its boxes show."""
        burst = changes.pop("burst", self.scheme.burst_spec)
        strength = self.scheme.strength or float(np.abs(self.drives[1]).max())
        made: dict[str, Any] = {"strength": strength} | changes
        problem = dataclasses.replace(made.pop("problem", self.scheme.states), replicas=1)
        one = self.scheme.variant(problem=problem, burst=burst, tolerance=None, **made)
        members = one.n_members
        return Driven(one, self.drives[0][:members], self.drives[1][:members])

    @functools.cached_property
    def plain(self) -> Driven:
        """The scheme itself, driven everywhere."""
        return self.varied()

    def compared(self, one: Driven, other: Driven) -> Noisy:
        """The relative difference of the coefficients of two variants."""
        n = 4
        while True:
            a, b = one.coefficient(n), other.coefficient(n)
            size = max(abs(a.value), 1e-300)
            found = Noisy(abs(a.value - b.value) / size, math.hypot(a.error, b.error) / size, n)
            spent = one.scheme.particle_steps + other.scheme.particle_steps
            if found.decides(self.tolerance) or spent >= self.budget or n >= MOST_BURSTS:
                return found
            affordable = int(n * self.budget / max(spent, 1)) + 1
            n = max(n + 1, min(2 * n, found.needs(self.tolerance), affordable))

    @functools.cached_property
    def rates(self) -> NDArray[np.float64]:
        """Decay rates of the modes of the coarse field, ascending."""
        scheme = self.scheme
        cells = scheme.grid.patches[0]
        basis = np.concatenate([np.eye(cells), np.zeros((1, cells))])[:, None]
        gradient = scheme.variant().at_faces(self.t, basis)[1]
        slope = np.diff(gradient, axis=1, prepend=gradient[:, -1:])
        if not scheme.grid.periodic(0):
            slope = np.diff(gradient, axis=1)
        matrix = (slope[:-1] - slope[-1]).T / scheme.grid.gap[0]
        return np.sort(-np.linalg.eigvals(matrix).real) * self.diffusivity

    @functools.cached_property
    def diffusivity(self) -> float:
        """Transport coefficient over what a unit of the field weighs."""
        return self.plain.coefficient(4).value / float(self.scheme.variant().weight[0])


@dataclass(eq=False)
class Driven:
    """Boxes that are driven, burst by burst.

    Attributes:
        scheme: a variant of its own.
        value: of the field on the faces, [member, face].
        gradient: its derivative, same shape.
        bursts: bursts so far.
    """

    scheme: BoxFluxScheme
    value: NDArray[np.float64]
    gradient: NDArray[np.float64]
    bursts: int = 0

    def coefficient(self, n: int) -> Noisy:
        """The transport coefficient, averaged over members, from n bursts or more."""
        while self.bursts < n:
            self.scheme.measure(self.value, self.gradient)
            self.bursts += 1
        k, error = self.scheme.coefficient()
        return Noisy(float(k.mean()), float(np.sqrt((error**2).sum()) / len(k)), self.bursts)


def box_flux_findings(trial: BoxFluxTrial, only: tuple[str, ...] = ()) -> dict[str, Finding]:
    """All findings about fluxes from driven boxes, by id.

    Args:
        trial: the scheme in its state.
        only: those that are wanted; all when empty.
    """
    checks = {
        "D1": _range, "D1'": _resolution, "D2": _box_size, "D3": _settling, "D4": _no_memory,
        "D5": _linearity, "D6": _retuning, "D7": _flux_noise, "D8": _box_stability,
        "D9": _box_gap, "D10": _box_conservation, "D11": _box_precision,
    }  # fmt: skip
    return {id: check(trial) for id, check in checks.items() if not only or id in only}


def _range(trial: BoxFluxTrial) -> Finding:
    return range_of(trial.scheme.states, float(trial.scheme.variant().density.max()))


def range_of(problem: BoxProblem, density: float) -> Finding:
    """D1: a box is wide enough that no particle meets its own image.

    Args:
        problem: the boxes.
        density: the largest of them.
    """
    name, pair = "range of forces over the width of a box", problem.model.pair
    if pair is None:
        return Finding("D1", name, advice="particles do not act in pairs.")
    return at_most(
        "D1", name, pair.cutoff / problem.box_width(density), LARGEST_RANGE,
        "Use more particles, `particles.number`: they meet their own images.",
    )  # fmt: skip


def _resolution(trial: BoxFluxTrial) -> Finding:
    scheme, name = trial.scheme, "change of the slope with the next higher order of interpolation"
    order = scheme.made_of.get("order", 2)
    if order >= 8:
        return Finding("D1'", name, advice="there is no higher order.")
    mine, better = (
        np.diff(scheme.variant(order=o).at_faces(trial.t, trial.U)[1], axis=1)
        for o in (order, order + 2)
    )
    size, apart = float(np.abs(better).max()), float(np.abs(better - mine).max())
    if apart > trial.tolerance * size and trial.least:
        size = max(size, trial.least * scheme.grid.gap[0] / trial.diffusivity)
    return at_most(
        "D1'", name, apart / size if size else 0.0, trial.tolerance,
        "use more `grid.patches`, or a higher `scheme.order`.",
    )  # fmt: skip


def _box_size(trial: BoxFluxTrial) -> Finding:
    problem = trial.scheme.states
    large = trial.varied(problem=dataclasses.replace(problem, particles=2 * problem.particles))
    return noisy_at_most(
        "D2", f"change of the {trial.scheme.law.coefficient} in boxes of twice as many particles",
        trial.compared(large, trial.plain), trial.tolerance,
        "What happens in a box depends on its size: raise `particles.number`.",
    )  # fmt: skip


def _settling(trial: BoxFluxTrial) -> Finding:
    burst = trial.scheme.burst_spec
    middle = (burst.healing + burst.length) / 2
    early = trial.varied(burst=dataclasses.replace(burst, length=middle))
    late = trial.varied(burst=dataclasses.replace(burst, heal=middle))
    return noisy_at_most(
        "D3", f"change of the {trial.scheme.law.coefficient} between the halves of a burst",
        trial.compared(late, early), trial.tolerance,
        "Boxes have not settled when they are measured: lengthen `burst.heal`.",
    )  # fmt: skip


def _no_memory(trial: BoxFluxTrial) -> Finding:
    return Finding(
        "D4", "memory",
        advice="boxes go on from burst to burst and are never lifted afresh; D3 tests whether they "
        "follow the field.",
    )  # fmt: skip


def _linearity(trial: BoxFluxTrial) -> Finding:
    strength = trial.scheme.strength
    name = f"change of the {trial.scheme.law.coefficient} when boxes are driven half as strongly"
    if strength is None:
        return Finding("D5", name, advice="boxes are driven as their face is.")
    gentle = trial.varied(strength=strength / 2)
    return noisy_at_most(
        "D5", name, trial.compared(gentle, trial.plain), trial.tolerance,
        "The flux is not in proportion to the gradient: lower `scheme.strength`.",
    )  # fmt: skip


def _retuning(trial: BoxFluxTrial) -> Finding:
    driven = trial.plain
    driven.coefficient(1)
    one = driven.scheme
    assert one.boxes is not None
    value = np.broadcast_to(driven.value if one.held is None else one.held[:, None],
                            driven.value.shape)  # fmt: skip
    wanted = np.tile(value.ravel(), one.copies)
    at_rest = {one.law.drive: np.zeros_like(wanted)}
    boxes = retuned(one.model, one.boxes, temperature=wanted, controls=at_rest)
    seen = one.kernels.measure(one.kernels.pack(boxes), THERMAL)[None]
    found = moments(one.model, boxes, THERMAL, seen)["temperature"].ravel()
    rounding = 1e4 * float(np.finfo(trial.scheme.dtype).eps)
    return at_most(
        "D6", "|R L T - T|/T after a box was retuned", float(np.abs(found / wanted - 1).max()),
        rounding, "This is a fault of the lift: please report it with the case file.",
    )  # fmt: skip


def _flux_noise(trial: BoxFluxTrial) -> Finding:
    own, name = trial.scheme.variant(), "largest slope over its standard error"
    replicas = own.states.replicas
    slope = own.slope(trial.t, exactly(trial.U))
    error = math.sqrt(float(np.square(slope.error).mean()) / replicas)
    if error == 0:
        return Finding("D7", name, advice="no gradient drives a box, so that nothing is noisy.")
    ratio = max(float(np.abs(slope.values).max()), trial.least) / error
    more = (LEAST_SIGNAL / max(ratio, 1e-3)) ** 2
    return at_least(
        "D7", name, ratio, LEAST_SIGNAL, LEAST_SIGNAL / 5,
        f"Take {more:.2g} times as many `burst.replicas`, longer bursts, or a larger "
        "`scheme.strength`.",
    )  # fmt: skip


def _box_stability(trial: BoxFluxTrial) -> Finding:
    name = "growth factor of the fastest coarse mode over a macro step"
    projection = trial.projection
    if projection is None or projection.step is None or projection.method in ("none", "adaptive"):
        return Finding("D8", name, advice="no step of a given length leaps.")
    fastest = float(trial.rates[-1])
    return at_most(
        "D8", name, growth_factor(projection, fastest), 1 + trial.tolerance,
        f"Shorten `time.step` (now {projection.step:.3g}); the fastest mode decays in "
        f"{1 / max(fastest, 1e-300):.3g}.", rate=fastest,
    )  # fmt: skip


def _box_gap(trial: BoxFluxTrial) -> Finding:
    name = "slow time over the time that a box is given to heal"
    heal = trial.scheme.burst_spec.healing
    moving = trial.rates[trial.rates > 1e-6 * trial.rates[-1]]
    if trial.projection is None or not heal or not len(moving):
        return Finding("D9", name, advice="nothing leaps, or nothing heals.")
    return at_least(
        "D9", name, 1 / (heal * float(moving[0])), LEAST_GAP, NO_GAP,
        "Nothing is much faster than what is wanted: leaps do not pay.",
    )  # fmt: skip


def _box_conservation(trial: BoxFluxTrial) -> Finding:
    own, name = trial.scheme.variant(), "change of the total over a leap"
    slope = own.slope(trial.t, exactly(trial.U)).values
    weight, H = own.weight[:, None], own.grid.gap[0]
    leap = own.burst_length
    if trial.projection is not None and trial.projection.step is not None:
        leap = trial.projection.step
    crossed = np.zeros(len(slope))
    if not own.grid.periodic(0):
        crossed = own.flux[:, -1] - own.flux[:, 0]
    residual = (weight * slope[:, 0] * H).sum(axis=1) + crossed
    size = (weight * np.abs(trial.U[:, 0] + leap * slope[:, 0]) * H).sum()
    share = float(np.abs(residual).sum()) * leap / max(float(size), 1e-300)
    return at_most(
        "D10", name, share, EXACT, "This is no rounding: please report it with the case file."
    )


def _box_precision(trial: BoxFluxTrial) -> Finding:
    own = trial.scheme.variant()
    width = own.states.box_width(float(own.density.min()))
    T = float(own.held.min()) if own.held is not None else float(trial.drives[0].min())
    return displacement(own.dt, T, own.states, width)


def displacement(dt: float, temperature: float, problem: ParticleProblem, width: float) -> Finding:
    """D11: particles move further in a micro-step than positions are rounded.

    Args:
        dt: micro time step.
        temperature: of the particles.
        problem: their masses and precision.
        width: of the box that positions lie in.
    """
    moved = dt * math.sqrt(max(temperature, 0.0) / float(min(problem.model.masses)))
    return at_least(
        "D11", "displacement in a micro-step in units of rounding",
        moved / (width / 2 * float(np.finfo(problem.dtype).eps)), LEAST_STEP, LEAST_STEP / 100,
        'Use `run.dtype = "float64"`.',
    )  # fmt: skip

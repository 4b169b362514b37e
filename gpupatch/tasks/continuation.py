"""Follow steady states through values of a parameter, around folds and across branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpupatch.contract import checked
from gpupatch.errors import InputError, SchemeError
from gpupatch.projection import Projection
from gpupatch.schedule import FINISHED, Interrupts
from gpupatch.scheme.problem import Initial
from gpupatch.tasks.branch import (
    Branch,
    BranchPoint,
    Functional,
    SpecialPoint,
    functional_of,
)
from gpupatch.tasks.choose import make_oracle
from gpupatch.tasks.curve import Curve, scales_of
from gpupatch.tasks.equations import Equations, Vectors
from gpupatch.tasks.oracle import BLOCK
from gpupatch.tasks.special import classify, locate
from gpupatch.tasks.spectrum import Complex, check_finite, dense_modes, spectrum
from gpupatch.tasks.steady import find_steady

_EASY, _HARD = 3, 6
"""Corrections up to which steps grow, and from which they shrink."""

_BEND = 0.9
"""Least cosine between successive tangents; a step that turns more is repeated, shorter."""

_SMALLEST = 1e-4
"""Share of the first step below which a branch is given up."""

LEFT, ARRIVED, OUT_OF_STEPS, LOST, STOPPED = (
    "the parameter left its interval",
    "the end of the interval is reached",
    "the steps are used up",
    "corrections do not converge any more",
    "the search was stopped",
)


@dataclass(frozen=True)
class Stepping:
    """How a branch is followed.

    Attributes:
        first: arc length of the first step, in scaled variables (see `Curve`).
        longest: of any step.
        steps: most points of a branch.
        k: leading eigenvalues that are kept.
        locate: whether special points are located.
    """

    first: float
    longest: float
    steps: int
    k: int
    locate: bool

    def __post_init__(self):
        if not 0 < self.first <= self.longest < np.inf:
            raise InputError(
                f"the first step is {self.first} and the longest {self.longest}; give positive "
                "numbers, the first not above the longest."
            )
        if self.steps < 1:
            raise InputError(f"`steps` is {self.steps}; at least 1 is needed.")


@checked(InputError)
def continue_(
    scheme: Any,
    parameter: str,
    end: float,
    U0: Initial | ArrayLike,
    *,
    start: float | None = None,
    bounds: tuple[float, float] | None = None,
    steps: int = 100,
    step: float = 0.02,
    longest: float = 0.05,
    switch: bool | int = False,
    functional: str | Functional = "norm",
    k: int = 6,
    locate: bool = True,
    tolerance: float = 1e-8,
    coarse: bool = False,
    over: float | None = None,
    projection: Projection | None = None,
    difference: float | None = None,
    block: int = BLOCK,
    t: float = 0.0,
) -> Branch:
    """Follow a steady state through values of a parameter: pseudo-arclength continuation.

    From the steady state near `U0` at `start`, the branch is followed towards `end`, around folds
    and whether it is stable or not. Lengths are those of the scaled variables of `Curve`, in which
    the interval of the parameter is 1 long. A step is repeated, shorter, where the branch bends or
    corrections do not converge, and grows where they are easy. The branch ends where the parameter
    leaves `bounds`.

    At every point the leading eigenvalues are found; where their number of positive real parts
    changes, or the parameter turns, the root of the test function between the two points is
    located:

    =============  ==============================================
    kind           test function
    =============  ==============================================
    fold           component of the tangent along the parameter
    branch point   a real eigenvalue
    hopf           the real part of a pair of eigenvalues
    =============  ==============================================

    Args:
        scheme: a `coupled`, `burst` or `flux` scheme of one member and without noise.
        parameter: name of a parameter of the rule (or of its coefficients).
        end: value towards which it goes.
        U0: where the search for the first state begins: functions of position or numbers by field,
            coarse values [field, *patch axes], or a vector of unknowns.
        start: value of the parameter there; that of the scheme when absent.
        bounds: interval of the parameter in which branches are followed; from `start` to `end` when
            absent.
        steps: most points of a branch.
        step: arc length of the first step.
        longest: arc length of the longest step.
        switch: follow both sides of the branches that leave at branch points, too, and so on for so
            many generations (True: one).
        functional: what a state is drawn as, see `functional_of`.
        k: leading eigenvalues that are kept.
        locate: whether special points are located.
        tolerance: largest |F| that is accepted, relative to the size of U per unit of time.
        coarse: let coarse values be the unknowns of coupled patches, too (see `make_oracle`).
        over: time T of the coarse time-stepper whose fixed points are followed instead.
        projection: method that leaps over T; micro-steps when absent.
        difference: relative difference step; from precision when absent.
        block: most states in one batch.
        t: time at which rules and boundary values are read.

    Returns:
        The branch, with those that leave it as its `children`. A search that is interrupted
        (SIGINT, SIGTERM) returns what it has, and says so in `status`.

    Raises:
        InputError: if there is no such parameter, the interval is empty, no steady state is found
            near `U0`, or a number makes no sense.
        SchemeError: if the scheme offers no slopes, or random ones.

    Source: Keller (1977) for the method, Govaerts (2000), chapters 4 and 5, for test functions
    [Keller1977, Govaerts2000].
    """
    oracle = make_oracle(scheme, parameter, coarse=coarse, t=t, block=block)
    if oracle.noisy:
        raise SchemeError(
            "branches of a random micro-simulator are not followed: corrections would chase the "
            "noise. Find its steady states one by one with `gpupatch.steady(..., value=...)`."
        )
    drawn, label = functional_of(oracle.names, functional)
    p = oracle.value if start is None else float(start)
    interval = (min(p, end), max(p, end)) if bounds is None else (min(bounds), max(bounds))
    if not interval[0] <= p <= interval[1]:
        raise InputError(f"`start` is {p}, outside the bounds {interval[0]} to {interval[1]}.")
    equations = Equations(oracle, over, projection, difference)
    [first] = find_steady(equations, oracle.vector(U0)[None], np.array([p]), tolerance, 30)
    if not first.converged:
        raise InputError(
            f"no steady state was found near `U0` at {parameter} = {p:.6g}: {first.why} (largest "
            f"slope {first.residual:.3g}). Begin nearer to one, for instance where a simulation "
            "settles."
        )
    size, width = scales_of(first.vector, interval)
    curve = Curve(equations, size, width, tolerance)
    stepping = Stepping(step, longest, steps, min(k, oracle.n), locate)
    follower = _Follower(curve, interval, float(end), stepping, drawn, label)
    y = curve.point(first.vector, p)
    row = np.zeros(oracle.n + 1)
    row[-1] = np.sign(end - p) or 1.0
    with follower.interrupts:
        trunk = follower.follow(y, row, first.iterations)
        grown = follower.grown(trunk, int(switch))
    return replace(grown, status=follower.interrupts.status or FINISHED)


class _Follower:
    """Follows branches on one curve, one after the other."""

    def __init__(
        self,
        curve: Curve,
        interval: tuple[float, float],
        end: float,
        stepping: Stepping,
        functional: Functional,
        label: str,
    ):
        self.curve, self.interval, self.end = curve, interval, end
        self.stepping, self.functional, self.label = stepping, functional, label
        self.interrupts = Interrupts()

    def follow(self, y: Vectors, towards: Vectors, iterations: int) -> Branch:
        """A branch from a point on the curve, in a direction."""
        oracle, s = self.curve.equations.oracle, self.stepping
        began = oracle.evaluations
        points = [self.examined(y, towards, iterations)]
        ys, special, ds, reason = [y], [], s.first, OUT_OF_STEPS
        while len(points) < s.steps:
            if self.interrupts.status is not None:
                reason = STOPPED
                break
            found = self._step(ys[-1], points[-1], ds)
            if found is None:
                reason = LOST
                break
            y, point, ds, ended = found
            if s.locate:
                special += self._between(ys[-1], points[-1], y, point, len(points) - 1)
            points.append(point)
            ys.append(y)
            if ended:
                reason = ended
                break
        return Branch(
            oracle, tuple(points), tuple(special), reason, oracle.evaluations - began,
            self.functional, self.label,
        )  # fmt: skip

    def examined(self, y: Vectors, towards: Vectors, iterations: int) -> BranchPoint:
        """Tangent and eigenvalues at a point of the curve."""
        x, p = self.curve.unknowns(y)
        J = self.curve.differentiate(y)
        tangent = self.curve.tangent(towards)
        return BranchPoint(p, x, tangent, self._leading(x, p, J)[0], iterations)

    def _leading(self, x, p, J) -> tuple[Complex, Complex]:
        """Leading eigenvalues and their modes."""
        equations, k = self.curve.equations, self.stepping.k
        if J is None or equations.over is not None:
            found = spectrum(equations, x, p, k)
            return found.values, found.vectors
        check_finite(J)
        values, vectors, _ = dense_modes(J, np.zeros((*J.shape, 0)), k)
        return values, vectors

    def _step(self, y: Vectors, point: BranchPoint, ds: float):
        """The next point, the length of the step after it, and why the branch ends there."""
        s, tangent = self.stepping, point.tangent
        while ds > _SMALLEST * s.first:
            guess = y + ds * tangent
            row, last = tangent, self._last(y, guess)
            if last is not None:
                guess = y + last[0] * (guess - y)
                row = np.zeros_like(tangent)
                row[-1] = 1.0
            made = self.curve.corrected(guess, row)
            if made is None:
                ds /= 2
                continue
            after = self.examined(made.y, tangent, made.iterations)
            if after.tangent @ tangent < _BEND:
                ds /= 2
                continue
            grow = 1.5 if made.iterations <= _EASY else 0.7 if made.iterations >= _HARD else 1.0
            return made.y, after, min(s.longest, grow * ds), last[1] if last else None
        return None

    def _last(self, y: Vectors, guess: Vectors) -> tuple[float, str] | None:
        """Share of a step that reaches the edge of the interval, if it does, and which edge."""
        width = self.curve.scales[-1]
        p, q = y[-1] * width, guess[-1] * width
        for edge in self.interval:
            if (p - edge) * (q - edge) < 0 or (q == edge != p):
                return (edge - p) / (q - p), ARRIVED if edge == self.end else LEFT
        return None

    def _between(self, y, before: BranchPoint, z, after: BranchPoint, index: int):
        """Special points between two points of the branch."""
        found: list[SpecialPoint] = []
        for test in classify(before, after):
            root = locate(self.curve, y, before, z, after, test, self.examined)
            if root is None:
                continue
            place, point = root
            kind = test.kind(point)
            near = 1e-3 * np.linalg.norm(z - y)
            if any(abs(one - place) < near for one in (self._places(found, y))):
                continue
            x, p = point.vector, point.parameter
            J = self.curve.differentiate(self.curve.point(x, p))
            values, vectors = self._leading(x, p, J)
            critical = int(np.argmin(np.abs(values.real)))
            found.append(SpecialPoint(kind, point, vectors[critical], index))
        return sorted(found, key=lambda one: self._place(one, y))

    def _place(self, one: SpecialPoint, y: Vectors) -> float:
        return float(np.linalg.norm(self.curve.point(one.point.vector, one.parameter) - y))

    def _places(self, found: Sequence[SpecialPoint], y: Vectors) -> list[float]:
        return [self._place(one, y) for one in found]

    def grown(self, branch: Branch, generations: int) -> Branch:
        """The branch with those that leave it at its branch points."""
        if generations < 1:
            return branch
        children = []
        for special in branch.branch_points:
            for side in (1.0, -1.0):
                if self.interrupts.status is not None:
                    break
                child = self._switched(special, side)
                if child is not None:
                    children.append(self.grown(child, generations - 1))
        return replace(branch, children=tuple(children))

    def _switched(self, special: SpecialPoint, side: float) -> Branch | None:
        """The branch that leaves along the critical mode, on one side."""
        curve, ds = self.curve, self.stepping.first
        point = special.point
        y = curve.point(point.vector, point.parameter)
        row = np.append(side * special.mode.real, 0.0) / curve.scales
        row /= np.linalg.norm(row)
        row = row - (row @ point.tangent) * point.tangent
        row /= np.linalg.norm(row)
        curve.differentiate(y + ds * row)
        made = curve.corrected(y + ds * row, row)
        if made is None:
            return None
        return self.follow(made.y, made.y - y, made.iterations)

"""Branches of steady states over a parameter, and the special points on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Macro
from gpupatch.contract import shown
from gpupatch.errors import InputError, suggestion
from gpupatch.schedule import FINISHED
from gpupatch.tasks.equations import Vectors
from gpupatch.tasks.oracle import Oracle
from gpupatch.tasks.spectrum import Complex, modes_of, unstable_count

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

FOLD, BRANCH_POINT, HOPF = "fold", "branch point", "hopf"
KINDS = (FOLD, BRANCH_POINT, HOPF)
"""What happens at special points: a branch turns, branches cross, an oscillation is born."""

Functional = Callable[[Macro], float]


@dataclass(frozen=True, eq=False)
class BranchPoint:
    """One steady state on a branch.

    Attributes:
        parameter: value of the parameter.
        vector: the unknowns, [unknown].
        tangent: direction of the branch in scaled unknowns and parameter, see `Curve`.
        values: leading eigenvalues, the fastest growing first, [mode].
        iterations: corrections that it took.
    """

    parameter: float
    vector: Vectors
    tangent: Vectors
    values: Complex
    iterations: int

    @property
    def unstable(self) -> int:
        """Modes that grow."""
        return unstable_count(self.values)

    @property
    def stable(self) -> bool:
        """Whether no mode grows."""
        return self.unstable == 0


@dataclass(frozen=True, eq=False)
class SpecialPoint:
    """A point at which the stability of a branch changes, or at which it turns.

    Attributes:
        kind: one of `KINDS`.
        point: the steady state there.
        mode: the unknowns of the mode whose growth rate vanishes, [unknown].
        after: number of the point of the branch that it lies behind.
    """

    kind: str
    point: BranchPoint
    mode: NDArray[np.complex128]
    after: int

    @property
    def parameter(self) -> float:
        """Value of the parameter."""
        return self.point.parameter

    @property
    def angular_frequency(self) -> float:
        """Of the oscillation that is born at a Hopf point; zero at others."""
        if self.kind != HOPF:
            return 0.0
        critical = np.argmin(np.abs(self.point.values.real))
        return float(np.abs(self.point.values[critical].imag))


@dataclass(frozen=True, eq=False)
class Branch:
    """Steady states that belong together, from one end to the other.

    Attributes:
        oracle: what was asked for slopes.
        points: the states in order.
        special: folds, branch points and Hopf points between them, in order.
        reason: why it ends.
        evaluations: states whose slopes were asked for, branches that leave this one left out.
        functional: what a state is drawn as.
        label: name of the functional.
        children: branches that leave this one at its branch points.
        status: "finished", "interrupted" or "terminated".
    """

    oracle: Oracle
    points: tuple[BranchPoint, ...]
    special: tuple[SpecialPoint, ...]
    reason: str
    evaluations: int
    functional: Functional
    label: str
    children: tuple[Branch, ...] = field(default=())
    status: str = FINISHED

    @property
    def name(self) -> str:
        """The parameter."""
        return str(self.oracle.parameter)

    @property
    def parameter(self) -> NDArray[np.float64]:
        """Values of the parameter, [point]."""
        return np.array([one.parameter for one in self.points])

    @property
    def states(self) -> Macro:
        """Coarse values, [point, field, *patch axes]."""
        return self.oracle.coarse(np.stack([one.vector for one in self.points]))

    @property
    def stable(self) -> NDArray[np.bool_]:
        """Whether no mode grows, [point]."""
        return np.array([one.stable for one in self.points])

    @property
    def drawn(self) -> NDArray[np.float64]:
        """The functional of the states, [point]."""
        return np.array([self.functional(U) for U in self.states])

    def of_kind(self, kind: str) -> tuple[SpecialPoint, ...]:
        """Special points of one kind.

        Raises:
            InputError: if there is no such kind.
        """
        if kind not in KINDS:
            raise InputError(f"there is no special point `{kind}`. {suggestion(kind, KINDS)}")
        return tuple(one for one in self.special if one.kind == kind)

    @property
    def folds(self) -> tuple[SpecialPoint, ...]:
        """Where the branch turns."""
        return self.of_kind(FOLD)

    @property
    def branch_points(self) -> tuple[SpecialPoint, ...]:
        """Where other branches cross it."""
        return self.of_kind(BRANCH_POINT)

    @property
    def hopf_points(self) -> tuple[SpecialPoint, ...]:
        """Where oscillations are born."""
        return self.of_kind(HOPF)

    def walk(self) -> Iterator[Branch]:
        """This branch, and all that leave it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def mode(self, special: SpecialPoint) -> NDArray[np.complex128]:
        """The mode whose growth rate vanishes at a special point, [field, *patch axes]."""
        return modes_of(self.oracle, special.mode[None])[0]

    def at(self, value: float) -> list[NDArray[np.float64]]:
        """Coarse states where the branch passes a value of the parameter, between points linearly.

        Args:
            value: of the parameter.

        Returns:
            One [field, *patch axes] for every passage.
        """
        p, states = self.parameter, self.states
        found = [states[i] for i in np.flatnonzero(p == value)]
        for i in np.flatnonzero((p[:-1] - value) * (p[1:] - value) < 0):
            share = (value - p[i]) / (p[i + 1] - p[i])
            found.append((1 - share) * states[i] + share * states[i + 1])
        return found

    def to_xarray(self) -> xarray.Dataset:
        """All branches as a dataset, identical to the file that the command writes."""
        from gpupatch.tasks.datasets import branch_dataset

        return branch_dataset(self)

    def plot(self) -> Figure:
        """The bifurcation diagram: stable solid, unstable dashed, special points marked."""
        return self.figure(self.to_xarray())

    @staticmethod
    def figure(ds: xarray.Dataset) -> Figure:
        """The same from the dataset of branches."""
        from gpupatch.plot.bifurcation import bifurcation_figure

        return bifurcation_figure(ds)

    def record(self) -> dict[str, Any]:
        """As it goes into a report."""
        branches = list(self.walk())
        return {
            "parameter": self.name,
            "status": self.status,
            "branches": [
                {
                    "points": len(one.points),
                    "from": float(one.parameter[0]),
                    "to": float(one.parameter[-1]),
                    "reason": one.reason,
                    "evaluations": one.evaluations,
                    "special": [_told(point) for point in one.special],
                }
                for one in branches
            ],
            "unknowns": self.oracle.n,
            "unknown": self.oracle.unknown,
        }


def _told(special: SpecialPoint) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": special.kind, "parameter": special.parameter}
    if special.kind == HOPF:
        told["angular_frequency"] = special.angular_frequency
    return told


def functional_of(names: Sequence[str], given: str | Functional) -> tuple[Functional, str]:
    """What a state is drawn as, and its name.

    Args:
        names: of the coarse fields.
        given: "norm" (root mean square of all coarse values), "mean u", "max u", "min u" or
            "middle u" of a field u, or a function of coarse values [field, *patch axes].

    Raises:
        InputError: if there is no such functional, or no such field.
    """
    if callable(given):
        return _checked(given), getattr(given, "__name__", "functional").strip("<>")
    if given == "norm":
        return (lambda U: float(np.sqrt(np.mean(U**2)))), "norm"
    how, _, name = given.partition(" ")
    if how not in _FUNCTIONALS:
        known = ("norm", *(f"{one} FIELD" for one in _FUNCTIONALS))
        raise InputError(f"there is no functional `{given}`. {suggestion(given, known)}")
    if name not in names:
        raise InputError(
            f"the functional `{given}` wants a field `{name}`. {suggestion(name, names)}"
        )
    index, function = names.index(name), _FUNCTIONALS[how]
    return (lambda U: float(function(U[index]))), given


def _checked(given: Functional) -> Functional:
    """A functional whose values are one number each, or an error."""

    def functional(U: Macro) -> float:
        found = given(U)
        if np.ndim(found) or np.asarray(found).dtype.kind not in "iuf":
            raise InputError(
                f"`functional` gave {shown(found)}; it must make one number of coarse values "
                "[field, *patch axes]."
            )
        return float(found)

    return functional


def _middle(values: NDArray[np.float64]) -> float:
    return float(values[tuple(n // 2 for n in values.shape)])


_FUNCTIONALS = {"mean": np.mean, "max": np.max, "min": np.min, "middle": _middle}

"""What was found out about coarse variables: sets that suffice, and how fast variables relax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpupatch.errors import InputError
from gpupatch.tasks.descriptions import ISOLATED

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

_DECAYED = 0.5
"""Share of its first value below which a spread counts as falling."""


@dataclass(frozen=True)
class Candidate:
    """A set of coarse variables, and what it leaves open.

        S = (largest - least response of lifts with equal variables) / largest |response|

    Attributes:
        name: the variables, as they were named.
        variables: how many.
        isolated: whether a patch knows only its own variables, and nothing of its neighbours.
        response: what the variables have to determine: their own "slope", or the "flux" by which a
            conservation law closes.
        differs: what the lifts differ in.
        spread: S after healing.
        over_the_burst: S in equal parts of a burst, [part].
        passes: whether S is below the tolerance.
    """

    name: str
    variables: int
    isolated: bool
    response: str
    differs: str
    spread: float
    over_the_burst: tuple[float, ...]
    passes: bool

    @property
    def names(self) -> list[str]:
        """The variables."""
        return [one.strip() for one in self.name.removesuffix(ISOLATED).split(",")]

    @property
    def falls(self) -> bool:
        """Whether S falls to less than half during a burst."""
        return self.over_the_burst[-1] < _DECAYED * self.over_the_burst[0]

    @property
    def subject(self) -> str:
        """The variables as the beginning of a sentence."""
        if self.isolated:
            return f"{', '.join(self.names)} of an isolated patch"
        return f"{self.name} alone" if self.variables == 1 else self.name


@dataclass(frozen=True)
class Relaxation:
    """How fast one variable forgets a disturbance.

    Attributes:
        name: of the variable.
        rate: per time; negative where it grows.
        times_in_burst: relaxation times that a burst lasts, rate x length.
        pace: "slow", "fast" or "neither".
    """

    name: str
    rate: float
    times_in_burst: float
    pace: str


@dataclass(frozen=True)
class SlowVariables:
    """Sets of coarse variables, the best first, and how fast the variables relax.

    Attributes:
        candidates: ranked: those that suffice before the others, few variables before many.
        relaxations: of every variable that occurs.
        times: middles of the parts of a burst, [part].
        burst: model time of one.
        heal: time of it that is discarded.
        tolerance: largest spread that is accepted.
        rule: name of the rule.
        bursts: batches of patches that were run.
    """

    candidates: tuple[Candidate, ...]
    relaxations: tuple[Relaxation, ...]
    times: tuple[float, ...]
    burst: float
    heal: float
    tolerance: float
    rule: str
    bursts: int

    @property
    def best(self) -> Candidate | None:
        """The smallest set that suffices; None if none does."""
        return self.candidates[0] if self.candidates[0].passes else None

    def __getitem__(self, name: str) -> Candidate:
        """The candidate of a name.

        Raises:
            InputError: if it was not tried.
        """
        for one in self.candidates:
            if one.name == name:
                return one
        tried = ", ".join(f"`{one.name}`" for one in self.candidates)
        raise InputError(f"`{name}` was not tried; tried were {tried}.")

    def told(self) -> str:
        """The recommendation, in words."""
        from gpupatch.tasks.advice import recommendation

        return recommendation(self)

    def table(self) -> str:
        """All figures, in lines."""
        from gpupatch.tasks.advice import table

        return table(self)

    def to_xarray(self) -> xarray.Dataset:
        """The figures as a dataset, identical to the file that the command writes."""
        import xarray as xr

        names, variables = ([one.name for one in many] for many in (
            self.candidates, self.relaxations
        ))  # fmt: skip
        return xr.Dataset(
            {
                "spread": ("candidate", [one.spread for one in self.candidates]),
                "spread_over_the_burst": (
                    ("candidate", "burst_time"), [one.over_the_burst for one in self.candidates],
                ),
                "passes": ("candidate", [one.passes for one in self.candidates]),
                "response": ("candidate", [one.response for one in self.candidates]),
                "rate": ("variable", [one.rate for one in self.relaxations]),
                "pace": ("variable", [one.pace for one in self.relaxations]),
            },
            {"candidate": names, "variable": variables, "burst_time": list(self.times)},
            {
                "burst": self.burst, "heal": self.heal, "tolerance": self.tolerance,
                "model": self.rule, "recommendation": self.told(),
            },
        )  # fmt: skip

    def plot(self) -> Figure:
        """A figure of the spreads during a burst and of the relaxation rates."""
        return self.figure(self.to_xarray())

    @staticmethod
    def figure(ds: xarray.Dataset) -> Figure:
        """The same from the dataset."""
        from gpupatch.plot.slow_variables import slow_variables_figure

        return slow_variables_figure(ds)

    def record(self) -> dict[str, Any]:
        """As it goes into a report."""
        return {
            "recommendation": self.told(),
            "best": None if self.best is None else self.best.name,
            "candidates": [
                {
                    "name": one.name, "response": one.response, "spread": one.spread,
                    "passes": one.passes,
                }
                for one in self.candidates
            ],
            "relaxations": [
                {"name": one.name, "rate": one.rate, "pace": one.pace} for one in self.relaxations
            ],
            "bursts": self.bursts,
        }  # fmt: skip

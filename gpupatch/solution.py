"""What a run has produced: its records, and everything that is told about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gpupatch.arrays import Macro, Micro, Plain
from gpupatch.errors import NonFiniteError
from gpupatch.files.layout import Layout, layout_dataset
from gpupatch.scheme import Scheme

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure


@dataclass(eq=False)
class Saved:
    """The records of a run so far, one for every saved time.

    Attributes:
        times: saved model times.
        coarse: coarse values, [member, field, *patch axes] each.
        micro: values at all sites, [patch, field, *sites] each, if kept.
        exact: exact solution, same shape as `coarse`, if there is one.
        uncertainty: standard errors, same shape, if the scheme knows them.
    """

    times: list[float] = field(default_factory=list)
    coarse: list[Macro] = field(default_factory=list)
    micro: list[Micro] = field(default_factory=list)
    exact: list[Macro] = field(default_factory=list)
    uncertainty: list[Macro] = field(default_factory=list)

    def keep(
        self,
        t: float,
        coarse: Macro,
        micro: Micro | None,
        exact: Macro | None,
        uncertainty: Macro | None,
    ) -> None:
        """Append the record of one time; what is not kept is None, always."""
        self.times.append(t)
        self.coarse.append(coarse)
        if micro is not None:
            self.micro.append(micro)
        if exact is not None:
            self.exact.append(exact)
        if uncertainty is not None:
            self.uncertainty.append(uncertainty)

    def drop_last(self) -> None:
        """Forget the last record."""
        for name in _RECORDS:
            del getattr(self, name)[-1:]

    def copy(self) -> Saved:
        """The same records in lists of their own."""
        return Saved(**{name: list(getattr(self, name)) for name in _RECORDS})

    def plain(self) -> dict[str, Plain]:
        """The records as arrays by name, the time first."""
        return {name: np.array(getattr(self, name)) for name in _RECORDS}

    @classmethod
    def from_plain(cls, records: Mapping[str, Plain]) -> Saved:
        """The records that `plain` told."""
        listed = {name: list(records[name]) for name in _RECORDS}
        return cls(**listed | {"times": records["times"].tolist()})


_RECORDS = ("times", "coarse", "micro", "exact", "uncertainty")


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

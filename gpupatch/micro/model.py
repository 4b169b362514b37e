"""A micro-rule bound to a batch of patches: positions, parameters, coefficients."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Micro
from gpupatch.errors import RuleError
from gpupatch.micro.conservation import evaluate_lowered_fluxes
from gpupatch.micro.rule import Rule, evaluate, evaluate_fluxes, evaluate_noise, mask_name
from gpupatch.micro.trace import COORDINATES, SPACINGS


@dataclass(frozen=True, eq=False)
class MicroModel:
    """A rule with everything it reads, for all patches of a batch.

    Attributes:
        rule: the micro-rule.
        sites: sites per patch and axis, edge layers included.
        spacing: distance between sites per axis.
        edges: edge layers per axis, set by coupling and never by the rule.
        origin: coordinates of the first site of every patch of one member, [patch, axis].
        parameters: one row of parameter values per member, [member, parameter].
        coefficients: values of `rule.coefficient_arrays`, [patch or 1, array, *sites]; the face
            between sites i and i+1 has index i. The first axis is 1 when all patches share them,
            otherwise it runs over all patches of all members.
        seed: seed of the noise.
        first_patch: number of the first patch, from which the random numbers of a batch follow.
    """

    rule: Rule
    sites: tuple[int, ...]
    spacing: tuple[float, ...]
    edges: tuple[int, ...]
    origin: NDArray[np.float64]
    parameters: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    seed: int = 0
    first_patch: int = 0

    def __post_init__(self):
        for axis, (edge, reach) in enumerate(zip(self.edges, self.rule.reach, strict=True)):
            if edge < reach:
                raise RuleError(
                    f"rule `{self.rule.name}` reads {reach} sites along axis {axis}, but the grid "
                    f"has edges = {edge}. Set `edges = {reach}`."
                )

    @property
    def n_members(self) -> int:
        """Number of members in the batch."""
        return len(self.parameters)

    @property
    def n_patches(self) -> int:
        """Number of patches, all members together."""
        return self.n_members * len(self.origin)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a state, [patch, field, *sites]."""
        return (self.n_patches, len(self.rule.fields), *self.sites)

    @property
    def inside(self) -> tuple[slice, ...]:
        """Slices that select the interior sites."""
        return tuple(slice(e, n - e) for e, n in zip(self.edges, self.sites, strict=True))

    def alone(self, row: int) -> MicroModel:
        """The batch of one of the patches, with the random numbers that it has among all.

        Args:
            row: number of the patch, members included.
        """
        member, patch = divmod(row, len(self.origin))
        shared = len(self.coefficients) == 1
        return replace(
            self,
            origin=self.origin[patch : patch + 1],
            parameters=self.parameters[member : member + 1],
            coefficients=self.coefficients if shared else self.coefficients[row : row + 1],
            first_patch=self.first_patch + row,
        )

    def environment(self, t: float, sites=None) -> dict[str, object]:
        """Values of coefficients, parameters and reserved arguments, by name.

        Args:
            t: time.
            sites: slices of the sites wanted for coordinates; the interior when absent.

        Returns:
            Dicts face -> [patch or 1, *sites] for coefficients; scalars or arrays that broadcast
            against [patch, *sites] for the rest.
        """
        rule, ndim = self.rule, len(self.sites)
        values: dict[str, object] = {"t": t}
        for axis, (name, spacing) in enumerate(zip(SPACINGS, self.spacing, strict=False)):
            values[name] = spacing
            index = np.arange(self.sites[axis], dtype=float)[(sites or self.inside)[axis]]
            line = np.add.outer(self.origin[:, axis], index * spacing)
            line = np.tile(line, (self.n_members, 1))
            shape = [len(line), *(1,) * ndim]
            shape[axis + 1] = line.shape[1]
            values[COORDINATES[axis]] = line.reshape(shape)
        per_patch = np.repeat(self.parameters, len(self.origin), axis=0)
        for column, name in enumerate(rule.parameters):
            one = self.parameters[:, column]
            same = bool(np.all(one == one[0]))
            values[name] = float(one[0]) if same else per_patch[:, column].reshape(-1, *(1,) * ndim)
        for index, (name, face) in enumerate(rule.coefficient_arrays):
            array = self.coefficients[:, index]
            if any(name == mask_name(field) for field in rule.parity):
                values[name] = array
            else:
                values.setdefault(name, {})[face] = array  # type: ignore[index]
        return values

    def rate(self, u: Micro, t: float) -> Micro:
        """Reference rates: the rule's own function on shifted slices.

        Args:
            u: state, [patch, field, *sites], any floating dtype.
            t: time.

        Returns:
            du/dt, same shape and dtype as `u`, zero on the edge sites.
        """
        return evaluate(self.rule, u, self.environment(t), self.inside)

    def noise_amplitude(self, u: Micro, t: float) -> Micro:
        """Ito amplitude of the noise on the interior sites, same shape as `u`."""
        return evaluate_noise(self.rule, u, self.environment(t), self.inside)

    def measure(self, u: Micro, t: float, axis: int) -> Micro:
        """Flux through the faces across an axis, or the local source.

        Args:
            u: state, [patch, field, *sites].
            t: time.
            axis: the axis; `SOURCE` for the source.

        Returns:
            [patch, field, *sites]; the flux between sites i and i+1 has index i. Zero where the
            rule reads beyond the patch.
        """
        window = list(self.inside)
        if axis != SOURCE:
            window[axis] = slice(window[axis].start - 1, window[axis].stop)
        window = tuple(window)
        n_fields, ndim = len(self.rule.fields), len(self.sites)
        first = (ndim if axis == SOURCE else axis) * n_fields
        environment = self.environment(t, window)
        if self.rule.is_flux:
            values = evaluate_fluxes(self.rule, u, environment, window)
        else:
            values = evaluate_lowered_fluxes(self.rule, u, environment, window)
        out = np.zeros_like(u)
        for index, value in enumerate(values[first : first + n_fields]):
            out[(slice(None), index, *window)] = value
        return out


SOURCE = -2

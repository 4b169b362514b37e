"""What is simulated, before any scheme: a rule on a grid with its parameters and its medium."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Handle, Micro
from gpupatch.contract import checked, shown
from gpupatch.errors import SchemeError, suggestion
from gpupatch.grid import PatchGrid
from gpupatch.lifting import GAUSS_POINTS
from gpupatch.memory import numbers, require
from gpupatch.micro.coefficients import Cell, CoefficientLike, Places, as_coefficient
from gpupatch.micro.model import MicroModel
from gpupatch.micro.rule import Rule, mask_name

Function = Callable[..., NDArray[np.float64]] | float
Initial = Mapping[str, Function] | Sequence[Mapping[str, Function]]

_STATES = 3
"""The state, what it becomes, and the last good one."""


@checked(SchemeError)
@dataclass(frozen=True, eq=False)
class Problem:
    """A micro-rule on a patch grid.

    Attributes:
        rule: the micro-rule.
        grid: the patch grid.
        parameters: values of the rule's parameters (and of any that coefficients use).
        coefficients: the medium, by name: a function of position, an array holding one period,
            a number, `Cell` or `Lognormal`.
        members: values of swept parameters, by name; every combination is a member.
        replicas: independent repetitions of every member (for rules with noise).
        dtype: "float64" or "float32" (perturbation form).
        seed: seed of the noise.

    Raises:
        SchemeError: if dimensions, coefficients or parameters do not fit the rule.
    """

    rule: Rule
    grid: PatchGrid
    parameters: Mapping[str, float] = field(default_factory=dict)
    coefficients: Mapping[str, CoefficientLike] = field(default_factory=dict)
    members: Mapping[str, Sequence[float]] = field(default_factory=dict)
    replicas: int = 1
    dtype: str = "float64"
    seed: int = 0

    def __post_init__(self):
        rule, grid = self.rule, self.grid
        if rule.ndim != grid.ndim:
            raise SchemeError(
                f"rule `{rule.name}` is {rule.ndim}-dimensional, but the grid has {grid.ndim} "
                "axes. Change one of them."
            )
        if self.dtype not in ("float64", "float32"):
            raise SchemeError(f"dtype {self.dtype!r} is unknown; use 'float64' or 'float32'.")
        stray = sorted(set(self.coefficients) - set(rule.coefficients))
        missing = sorted(set(rule.coefficients) - set(self.coefficients))
        if stray:
            hint = suggestion(stray[0], rule.coefficients) if rule.coefficients else "It has none."
            raise SchemeError(f"rule `{rule.name}` has no coefficient `{stray[0]}`. {hint}")
        if missing:
            raise SchemeError(f"rule `{rule.name}` needs the coefficient `{missing[0]}`.")
        if self.replicas < 1:
            raise SchemeError(f"`replicas` is {self.replicas}; at least 1 is needed.")
        members = math.prod(map(len, self.members.values())) * self.replicas
        if not members:
            raise SchemeError("a name in `members` has no values. Give one or more to each.")
        require(
            numbers(_STATES, members, len(rule.fields), grid.patches, grid.n_sites),
            f"{members} member(s) of {math.prod(grid.patches)} patches of "
            f"{math.prod(grid.n_sites)} sites",
            "Use fewer patches, sites, members or replicas.",
        )

    @functools.cached_property
    def member_values(self) -> list[dict[str, float]]:
        """Swept values of every member, replicas last."""
        return combinations(self.members, self.replicas)

    def model(
        self,
        centres: Sequence[NDArray[np.float64]] | None = None,
        phases: tuple[int, ...] | None = None,
    ) -> MicroModel:
        """Bind the rule to patches.

        Args:
            centres: positions of the patches per axis; those of the grid when absent.
            phases: ensemble of phase shifts per axis, which multiplies the members.

        Returns:
            The micro-model, ready for a backend.
        """
        grid, rule = self.grid, self.rule
        self._warn_about_periods(phases)
        origin = grid.origins(centres)
        shifts = list(itertools.product(*(range(m) for m in reversed(phases or ()))))
        shifts = [tuple(reversed(shift)) for shift in shifts] if phases else [(0,) * grid.ndim]
        rows, arrays = [], []
        for values in self.member_values:
            merged = {**self.parameters, **values}
            row = self.parameter_values(values)
            for shift in shifts:
                rows.append([row[name] for name in rule.parameters])
                arrays.append(self._coefficients(origin, shift, merged))
        shared = all(a.shape[0] == 1 and np.array_equal(a, arrays[0]) for a in arrays)
        if not shared:
            full = (len(origin), *arrays[0].shape[1:])
            arrays = [np.broadcast_to(a, full) for a in arrays]
        return MicroModel(
            rule=rule,
            sites=grid.n_sites,
            spacing=grid.spacing,
            edges=(grid.edges,) * grid.ndim,
            origin=origin,
            parameters=np.array(rows, dtype=float).reshape(len(rows), len(rule.parameters)),
            coefficients=np.ascontiguousarray(arrays[0] if shared else np.concatenate(arrays)),
            seed=self.seed,
        )

    def sample(
        self, functions: Mapping[str, Function], t: float | None, n_members: int, centres=None
    ) -> Micro:
        """Values of functions of position at the sites of all patches.

        Args:
            functions: one per field: a number, or a function of (x, [y, [z,]]) and of time.
            t: time; None if the functions depend on position alone.
            n_members: members, all given the same values.
            centres: positions of the patches per axis; those of the grid when absent.

        Returns:
            [patch, field, *sites].

        Raises:
            SchemeError: if a field has no function.
        """
        grid, fields = self.grid, self.rule.fields
        missing = [name for name in fields if name not in functions]
        if missing:
            raise SchemeError(f"field `{missing[0]}` has no initial value. Give one for {fields}.")
        places = Places(grid.origins(centres), grid.n_sites, grid.spacing, -1, (0,) * grid.ndim)
        u = np.empty((places.shape[0], len(fields), *grid.n_sites))
        x = places.coordinates()
        for index, name in enumerate(fields):
            u[:, index] = call(functions[name], x, t)
        return np.tile(u, (n_members, *(1,) * (u.ndim - 1)))

    def initial_of_members(self, initial: Initial) -> list[Mapping[str, Function]]:
        """Initial values of every member.

        Args:
            initial: functions or numbers by field, for all members or one mapping per member.

        Returns:
            One mapping per member.

        Raises:
            SchemeError: if there are not as many mappings as members.
        """
        return one_per_member(initial, len(self.member_values))

    def extremes(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Least and largest value of each field, [field, 2], from [*, field, *] field second."""
        moved = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
        return np.stack([moved.min(axis=1), moved.max(axis=1)], axis=1)

    def parameter_values(self, member: Mapping[str, float]) -> dict[str, float]:
        """Values of all parameters of the rule for one member.

        Args:
            member: swept values, which win.

        Raises:
            RuleError: if one is missing, unknown or no number.
        """
        known, merged = set(self.rule.parameters), {**self.parameters, **member}
        return self.rule.parameter_values({k: v for k, v in merged.items() if self._keep(k, known)})

    def _keep(self, name: str, known: set[str]) -> bool:
        used = {p for c in self.coefficients.values() for p in getattr(c, "parameters", ())}
        return name in known or name not in used

    def _coefficients(self, origin, shift, parameters) -> NDArray[np.float64]:
        grid, arrays = self.grid, []
        for name, face in self.rule.coefficient_arrays:
            if any(name == mask_name(f) for f in self.rule.parity):
                arrays.append(self._mask(name, origin))
                continue
            places = Places(origin, grid.n_sites, grid.spacing, face, shift, parameters)
            with np.errstate(all="ignore"):
                values = as_coefficient(self.coefficients[name]).sample(places)
            if not np.isfinite(values).all():
                raise SchemeError(
                    f"`coefficients.{name}`: it is not finite everywhere in the patches. Give one "
                    "that is."
                )
            arrays.append(values)
        if not arrays:
            return np.zeros((1, 0, *grid.n_sites))
        n = max(len(a) for a in arrays)
        return np.stack([np.broadcast_to(a, (n, *grid.n_sites)) for a in arrays], axis=1)

    def _mask(self, name: str, origin) -> NDArray[np.float64]:
        """1 where (site + patch) has the parity of the field, 0 elsewhere."""
        parity = next(p for f, p in self.rule.parity.items() if mask_name(f) == name)
        index = np.add.outer(np.arange(len(origin)), np.arange(self.grid.n_sites[0]))
        return ((index + parity) % 2 == 0).astype(float)

    def _warn_about_periods(self, phases: tuple[int, ...] | None) -> None:
        """Say so if a microstructure will not be averaged correctly.

        Averages over the core need whole periods in it; the `coupled` scheme (`phases` given)
        needs them between the sites that it couples, or one phase for each site of a period.
        """
        grid = self.grid
        for name, given in self.coefficients.items():
            coefficient = as_coefficient(given)
            if not isinstance(coefficient, Cell):
                continue
            for axis, period in enumerate(coefficient.period(grid.ndim)):
                n, e = grid.n_sites[axis], grid.edges
                reach = n - 2 * e if grid.edgy else (n - e) / 2
                core = grid.core_sites[axis].stop - grid.core_sites[axis].start
                if core % period == 0:
                    continue
                if phases is None:
                    where, cure = f"the core ({core} sites) is not", "Change `core`."
                elif reach % period and phases[axis] % period:
                    where = (
                        f"neither the coupling distance ({reach:g} sites) nor the core "
                        f"({core} sites) is"
                    )
                    cure = f"Change `sites` or `core`, or use an ensemble of {period} `phases`."
                else:
                    continue
                warnings.warn(
                    f"coefficient `{name}` repeats every {period} sites along axis {axis}, but "
                    f"{where} a whole number of periods: the microstructure will not be averaged "
                    f"correctly. {cure}",
                    stacklevel=4,
                )


_DICT = 184
"""Bytes of the smallest mapping with an entry."""


def combinations(members: Mapping[str, Sequence[float]], replicas: int) -> list[dict[str, float]]:
    """Swept values of every member: all combinations, each repeated `replicas` times in a row.

    Raises:
        InputError: if they are more than fit into memory.
    """
    count = math.prod(map(len, members.values())) * replicas
    require(
        _DICT * count, f"{count} members (replicas included)", "Sweep fewer values or replicas."
    )
    values = itertools.product(*members.values())
    rows = [dict(zip(members, map(float, row), strict=True)) for row in values]
    return [row for row in rows for _ in range(replicas)]


def one_per_member(initial: Initial, n_members: int) -> list[Mapping[str, Function]]:
    """Initial values of every member, given for all of them or for each.

    Raises:
        SchemeError: if there are not as many mappings as members.
    """
    if isinstance(initial, Mapping):
        return [initial] * n_members
    if not all(isinstance(one, Mapping) for one in initial):
        raise SchemeError("initial values are given by field: {name: number or function}.")
    if len(initial) != n_members:
        raise SchemeError(
            f"{len(initial)} initial states were given for {n_members} members. Give one for "
            "every member, or one for all."
        )
    return list(initial)


def cell_averages(
    grid: PatchGrid, fields: Sequence[str], functions: Mapping[str, Function], t: float | None
) -> NDArray[np.float64]:
    """Averages of functions of position (and time) over the cells of a grid.

    By Gauss quadrature with 8 points per axis.

    Args:
        grid: a grid of cells.
        fields: names of the fields.
        functions: one per field: a number, or a function of (x, [y, [z,]]) and of time.
        t: time; None if the functions depend on position alone.

    Returns:
        [field, *cells].

    Raises:
        SchemeError: if a field has no function.
    """
    missing = [name for name in fields if name not in functions]
    if missing:
        raise SchemeError(f"field `{missing[0]}` has no value. Give one for {tuple(fields)}.")
    nodes, weights = np.polynomial.legendre.leggauss(GAUSS_POINTS)
    U = np.zeros((len(fields), *grid.patches))
    for point in itertools.product(range(GAUSS_POINTS), repeat=grid.ndim):
        X = [
            centre + nodes[k] / 2 * H
            for centre, k, H in zip(grid.centres, point, grid.gap, strict=True)
        ]
        x = np.meshgrid(*X, indexing="ij")
        weight = np.prod([weights[k] / 2 for k in point])
        for index, name in enumerate(fields):
            U[index] += weight * np.broadcast_to(call(functions[name], x, t), grid.patches)
    return U


def call(
    function: Function, x: Sequence[NDArray[np.float64]], t: float | None
) -> NDArray[np.float64]:
    """Values of a number, or of a function of (x, [y, [z,]]) and, unless `t` is None, of time.

    Raises:
        SchemeError: if they are no numbers, or not as many as there are places.
    """
    given: Any = function
    if callable(function):
        places = x if t is None else (*x, t)
        _check_arguments(function, len(places))
        given = function(*places)
    try:
        values = np.broadcast_to(
            np.asarray(given, dtype=float), np.broadcast_shapes(*map(np.shape, x))
        )
    except (TypeError, ValueError, OverflowError) as error:
        found = "a function returned " if callable(function) else ""
        raise SchemeError(
            f"{found}{shown(given)} as values of a field at {len(x[0])} places; give numbers, one "
            "for every place or one for all."
        ) from error
    if t is None and not np.isfinite(values).all():
        worst = np.unravel_index(np.argmin(np.isfinite(values)), values.shape)
        place = ", ".join(f"{np.broadcast_to(axis, values.shape)[worst]:g}" for axis in x)
        raise SchemeError(
            f"an initial value is {values[worst]} at x = ({place}); it must be finite everywhere."
        )
    return values


def _check_arguments(function: Callable, count: int) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:
        return
    try:
        signature.bind(*(0.0,) * count)
    except TypeError as error:
        raise SchemeError(
            f"the function {shown(function)} is called with {count} argument(s), positions and, "
            f"if the field changes, the time: {error}."
        ) from error


def coarse_shape(problem: Problem, n_members: int, values: Handle) -> Handle:
    """[..., field] values of all patches of all members as [member, field, *patch axes].

    The values may lie on a device; they are copied only where their order in memory changes.
    """
    patches = problem.grid.patches
    shaped = values.reshape(n_members, *patches, values.shape[-1])
    moved = np.moveaxis(shaped, -1, 1)
    return moved if moved.flags.c_contiguous else moved.copy()

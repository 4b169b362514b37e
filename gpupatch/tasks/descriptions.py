"""Coarse descriptions: sets of variables that might say all that matters, and their lifts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Micro
from gpupatch.errors import InputError, suggestion
from gpupatch.grid import PatchGrid
from gpupatch.lifting import taylor
from gpupatch.micro.rule import Rule
from gpupatch.restriction import Restriction, core_mean, core_slope

ISOLATED = "isolated"
AXES = "xyz"
_MOST_FIELDS = 4
"""Fields of a rule up to which all sets of them are tried when none are named."""


@dataclass(frozen=True)
class Description:
    """A set of coarse variables.

    Attributes:
        name: as the user wrote it.
        fields: those whose averages belong to it.
        gradients: (field, axis) whose slopes over the core belong to it.
        curvatures: (field, axis) whose second derivatives over the core belong to it.
        isolated: whether a patch knows only its own variables; else those of its neighbours, too.
    """

    name: str
    fields: tuple[str, ...]
    gradients: tuple[tuple[str, int], ...] = ()
    curvatures: tuple[tuple[str, int], ...] = ()
    isolated: bool = False

    @property
    def size(self) -> int:
        """Number of variables."""
        return len(self.fields) + len(self.gradients) + len(self.curvatures)


def described(text: str, rule: Rule) -> Description:
    """Read a description: "u, v", "u isolated", "u, u_x".

    Names are those of fields; `u_x` is the slope of u over the core, `u_xx` its second derivative.
    A set with one of these, or with the word "isolated", is that of a patch that knows nothing
    of its neighbours.

    Args:
        text: variables, separated by commas.
        rule: whose fields they are.

    Raises:
        InputError: if there is no such variable, or a derivative of a field without its mean.
    """
    words = text.strip().removesuffix(ISOLATED).strip()
    isolated = words != text.strip()
    fields, gradients, curvatures = [], [], []
    derivatives = {
        f"{field}_{AXES[axis] * times}": (field, axis, times)
        for field in rule.fields
        for axis in range(rule.ndim)
        for times in (1, 2)
    }
    for word in (one.strip() for one in words.split(",")):
        if word in rule.fields:
            fields.append(word)
        elif word in derivatives:
            field, axis, times = derivatives[word]
            (gradients if times == 1 else curvatures).append((field, axis))
        else:
            hint = suggestion(word, (*rule.fields, *derivatives))
            raise InputError(f"`{text}` names `{word}`, which rule `{rule.name}` has not. {hint}")
    orphans = sorted({field for field, _ in (*gradients, *curvatures)} - set(fields))
    if orphans:
        raise InputError(f"`{text}` has derivatives of `{orphans[0]}` without it. Add it.")
    return Description(
        text.strip(), tuple(fields), tuple(gradients), tuple(curvatures),
        isolated or bool(gradients or curvatures),
    )  # fmt: skip


def usual(rule: Rule) -> list[str]:
    """Descriptions that are compared when none are named.

    Every set of the fields of the rule; for a single field also those of an isolated patch, with
    and without its slopes.

    Args:
        rule: the micro-rule.

    Raises:
        InputError: if the rule has too many fields.
    """
    if len(rule.fields) > _MOST_FIELDS:
        raise InputError(
            f"rule `{rule.name}` has {len(rule.fields)} fields, too many for all their sets "
            'to be tried. Name some in `candidates`, such as ["u", "u, v"].'
        )
    sets = [
        ", ".join(chosen)
        for count in range(1, len(rule.fields) + 1)
        for chosen in itertools.combinations(rule.fields, count)
    ]
    if len(rule.fields) == 1:
        (field,) = rule.fields
        slopes = [f"{field}_{AXES[axis]}" for axis in range(rule.ndim)]
        sets += [f"{field} {ISOLATED}", ", ".join([field, *slopes])]
    return sets


def moments(grid: PatchGrid, times: int, axis: int) -> Restriction:
    """First or second derivative along an axis, by least squares over the core.

    Args:
        grid: the patch grid.
        times: 1 or 2.
        axis: the direction.
    """
    if times == 1:
        return core_slope(grid, axis)
    weights = list(core_mean(grid).weights)
    core = grid.core_sites[axis]
    xi = grid.site_offsets[axis][core]
    bend = (xi - xi.mean()) ** 2
    bend = bend - bend.mean()
    weights[axis] = np.zeros(grid.n_sites[axis])
    weights[axis][core] = 2 * bend / (bend @ bend)
    return Restriction(tuple(weights))


def known_isolated(
    one: Description,
    names: Sequence[str],
    grid: PatchGrid,
    averages: NDArray[np.float64],
    derivatives: dict[tuple[int, int], NDArray[np.float64]],
) -> Micro:
    """The lift of a patch that knows its own variables only; all else is zero.

        u(xi) = U + G . xi + (xi . C xi)/2 - kappa

    Args:
        one: the description.
        names: all fields.
        grid: the patch grid.
        averages: [field, patch].
        derivatives: over the cores, [field, patch], by how often and along which axis.

    Returns:
        [patch, field, *sites].
    """
    n_patch = averages.shape[1]
    u = np.zeros((n_patch, len(names), *grid.n_sites))
    for name in one.fields:
        field = names.index(name)
        for patch in range(n_patch):
            G, C = np.zeros(grid.ndim), np.zeros((grid.ndim, grid.ndim))
            for axis in range(grid.ndim):
                if (name, axis) in one.gradients:
                    G[axis] = derivatives[1, axis][field, patch]
                if (name, axis) in one.curvatures:
                    C[axis, axis] = derivatives[2, axis][field, patch]
            u[patch, field] = taylor(
                averages[field, patch], G, C, grid.site_offsets, grid.core_sites
            )
    return u

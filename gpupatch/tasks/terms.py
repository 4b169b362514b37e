"""Candidate terms of a macroscopic law, in conservation form where they have one."""

from __future__ import annotations

import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from gpupatch.errors import InputError, suggestion

Values = NDArray[np.float64]

AXES = ("x", "y", "z")
DIFFUSION, CONVECTION, REACTION, POINTWISE = "diffusion", "convection", "reaction", "pointwise"


@dataclass(frozen=True)
class Jet:
    """A field and its derivatives, wherever they are asked for.

    Attributes:
        u: values, [field, ...].
        along: derivatives along each axis, once, twice, ...: along[axis][times - 1] has the shape
            of `u`.
    """

    u: Values
    along: Sequence[Sequence[Values]]


class Profile(ABC):
    """A coefficient that depends on the fields, g(u)."""

    @abstractmethod
    def value(self, u: Values) -> Values:
        """Values at [field, ...], [...]."""

    @abstractmethod
    def slope(self, u: Values, field: int) -> Values:
        """Its derivative by one field, [...]."""


@dataclass(frozen=True)
class Monomial(Profile):
    """A product of powers, u^a v^b ... .

    Attributes:
        powers: one per field.
    """

    powers: tuple[int, ...]

    def value(self, u: Values) -> Values:
        """The product at [field, ...], [...]."""
        total = np.ones(u.shape[1:])
        for one, power in zip(u, self.powers, strict=True):
            if power:
                total = total * one**power
        return total

    def slope(self, u: Values, field: int) -> Values:
        """Its derivative by one field, [...]."""
        power = self.powers[field]
        if not power:
            return np.zeros(u.shape[1:])
        lower = tuple(p - (f == field) for f, p in enumerate(self.powers))
        return power * Monomial(lower).value(u)

    def text(self, fields: Sequence[str]) -> str:
        """As it is written, such as `u^2 v`; empty for 1."""
        return " ".join(
            name if power == 1 else f"{name}^{power}"
            for name, power in zip(fields, self.powers, strict=True)
            if power
        )


@dataclass(frozen=True)
class Spline(Profile):
    """One B-spline of a field; outside its knots it goes on as at their ends.

    Attributes:
        field: number of the field.
        knots: with repeated ends.
        degree: of its pieces.
        index: which of the splines on these knots.
    """

    field: int
    knots: tuple[float, ...]
    degree: int
    index: int

    def _spline(self) -> BSpline:
        weights = np.zeros(len(self.knots) - self.degree - 1)
        weights[self.index] = 1.0
        return BSpline(np.array(self.knots), weights, self.degree)

    def _inside(self, u: Values) -> Values:
        return np.clip(u[self.field], self.knots[0], self.knots[-1])

    def value(self, u: Values) -> Values:
        """The spline at [field, ...], [...]."""
        return self._spline()(self._inside(u))

    def slope(self, u: Values, field: int) -> Values:
        """Its derivative by one field, [...]."""
        if field != self.field:
            return np.zeros(u.shape[1:])
        inside = self._inside(u)
        return np.where(inside == u[self.field], self._spline()(inside, 1), 0.0)


@dataclass(frozen=True)
class Term:
    """One candidate for the right-hand side of du/dt.

    ==============  ==================================  ==================
    kind            term                                flux
    ==============  ==================================  ==================
    `diffusion`     div(g(U) grad w)                    g(U) w_a
    `convection`    d/dx_a of s g(U)                    s g(U)
    `reaction`      g(U)                                none
    `pointwise`     u_x^2, u_xxx, u_xxxx                none that is used
    ==============  ==================================  ==================

    Attributes:
        name: as it is written in an equation.
        kind: from the table.
        profile: g.
        field: w, or the field of a pointwise term.
        axis: of a convection.
        scale: s; 1/(k + 1) with g = u^(k+1), so that the term reads u^k u_x.
        order: derivatives that a pointwise term has in all.
    """

    name: str
    kind: str
    profile: Profile
    field: int = 0
    axis: int = 0
    scale: float = 1.0
    order: int = 0

    @property
    def conservative(self) -> bool:
        """Whether its integral over space vanishes by its form."""
        return self.kind in (DIFFUSION, CONVECTION)

    def flux(self, u: Values, slope: Values, axis: int) -> Values:
        """What d/dx_a acts on.

        Args:
            u: fields, [field, ...].
            slope: their derivatives along the axis, same shape.
            axis: a.
        """
        if self.kind == CONVECTION:
            return self.scale * self.profile.value(u) * (axis == self.axis)
        return self.profile.value(u) * slope[self.field]

    def rate(self, jet: Jet) -> Values:
        """The term where a field and its derivatives are known, [...]."""
        u = jet.u
        if self.kind == REACTION:
            return self.profile.value(u)
        if self.kind == CONVECTION:
            return self.scale * self._by_chain(u, jet.along[self.axis][0])
        if self.kind == POINTWISE:
            first = jet.along[0][0][self.field]
            return first**2 if self.order == 0 else jet.along[0][self.order - 1][self.field]
        total = np.zeros(u.shape[1:])
        for first, second, *_ in jet.along:
            total += self._by_chain(u, first) * first[self.field]
            total += self.profile.value(u) * second[self.field]
        return total

    def _by_chain(self, u: Values, first: Values) -> Values:
        """dg/dx along an axis."""
        slopes = [self.profile.slope(u, f) * first[f] for f in range(len(u))]
        return np.sum(slopes, axis=0)


def library(
    fields: Sequence[str],
    ndim: int,
    degree: int = 3,
    *,
    kinds: Sequence[str] = (DIFFUSION, CONVECTION, REACTION),
) -> tuple[Term, ...]:
    """All terms up to a degree in the fields, the plainest first.

    Reactions are monomials of degree 0 to `degree`; diffusivities of degree 0 to `degree` - 1;
    fluxes of convection have degree 1 to `degree`.

    Args:
        fields: names of the fields.
        ndim: number of axes; diffusion is isotropic.
        degree: highest degree of a term in the fields.
        kinds: which kinds.
    """
    terms: list[Term] = []
    if DIFFUSION in kinds:
        for powers in _powers(len(fields), 0, degree - 1):
            terms += [_diffusion(fields, powers, w, ndim) for w in range(len(fields))]
    if CONVECTION in kinds:
        for axis in range(ndim):
            terms += [_convection(fields, p, axis) for p in _powers(len(fields), 1, degree)]
    if REACTION in kinds:
        terms += [_reaction(fields, powers) for powers in _powers(len(fields), 0, degree)]
    return tuple(terms)


def spline_terms(
    fields: Sequence[str], field: int, low: float, high: float, pieces: int, degree: int, ndim: int
) -> tuple[Term, ...]:
    """Diffusion of a field with a diffusivity that is a spline of it, one term per B-spline.

    Args:
        fields: names of the fields.
        field: number of the field.
        low: where the first piece begins.
        high: where the last one ends.
        pieces: of equal length.
        degree: of the pieces; 1 for hat functions.
        ndim: number of axes.
    """
    inner = np.linspace(low, high, pieces + 1)
    knots = (*(low,) * degree, *map(float, inner), *(high,) * degree)
    name = fields[field]
    form = f"({{}} {name}_x)_x" if ndim == 1 else f"div({{}} grad {name})"
    return tuple(
        Term(
            form.format(f"B{index}({name})"), DIFFUSION,
            Spline(field, knots, degree, index), field,
        )
        for index in range(pieces + degree)
    )  # fmt: skip


def named_terms(names: Sequence[str], fields: Sequence[str], ndim: int) -> tuple[Term, ...]:
    """Terms by the names that they have in an equation.

    ======================  =========================================================
    name                    term
    ======================  =========================================================
    ``u_xx``                diffusion; ``lap u`` in the plane and in space
    ``(u^2 v_x)_x``         diffusion of v; ``div(u^2 grad v)`` in the plane and in space
    ``u^2 u_x``, ``u_y``    convection of u by itself
    ``(u v)_x``             convection by another field
    ``1``, ``u``, ``u^2 v`` reaction
    ``u_x^2``               one axis only, as the next
    ``u_xxx``, ``u_xxxx``   dispersion, surface diffusion
    ======================  =========================================================

    Args:
        names: the names.
        fields: names of the fields.
        ndim: number of axes.

    Raises:
        InputError: if there is no such term.
    """
    degree = max((1, *(_degree(name) for name in names)))
    known = {term.name: term for term in library(fields, ndim, min(degree, 9) + 2)}
    if ndim == 1:
        for index, field in enumerate(fields):
            plain = Monomial((0,) * len(fields))
            for name, order in ((f"{field}_x^2", 0), (f"{field}_xxx", 3), (f"{field}_xxxx", 4)):
                known[name] = Term(name, POINTWISE, plain, index, order=order)
    stray = [name for name in names if name not in known]
    if stray or not names:
        shown = stray[0] if stray else ""
        raise InputError(f"there is no term `{shown}`. {suggestion(shown, known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


def _degree(name: str) -> int:
    return sum(int(power or 1) for power in re.findall(r"[A-Za-z]\w*(?:\^(\d+))?", name))


def _powers(n_fields: int, low: int, high: int) -> list[tuple[int, ...]]:
    every = itertools.product(range(max(high, 0) + 1), repeat=n_fields)
    return sorted(
        (one for one in every if low <= sum(one) <= high),
        key=lambda one: (sum(one), [-power for power in one]),
    )


def _reaction(fields: Sequence[str], powers: tuple[int, ...]) -> Term:
    profile = Monomial(powers)
    return Term(profile.text(fields) or "1", REACTION, profile)


def _diffusion(fields: Sequence[str], powers: tuple[int, ...], field: int, ndim: int) -> Term:
    profile, name = Monomial(powers), fields[field]
    text = profile.text(fields)
    if ndim == 1:
        written = f"({text} {name}_x)_x" if text else f"{name}_xx"
    else:
        written = f"div({text} grad {name})" if text else f"lap {name}"
    return Term(written, DIFFUSION, profile, field)


def _convection(fields: Sequence[str], powers: tuple[int, ...], axis: int) -> Term:
    profile, along, total = Monomial(powers), AXES[axis], sum(powers)
    alone = [index for index, power in enumerate(powers) if power]
    if len(alone) > 1:
        return Term(f"({profile.text(fields)})_{along}", CONVECTION, profile, axis=axis)
    carried = fields[alone[0]]
    lower = Monomial(tuple(max(power - 1, 0) for power in powers)).text(fields)
    name = f"{lower} {carried}_{along}".strip()
    return Term(name, CONVECTION, profile, alone[0], axis, 1 / total)

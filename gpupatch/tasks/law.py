"""The law of the large scale, found in the slopes that a micro-simulator shows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.burst import Burst
from gpupatch.contract import checked
from gpupatch.errors import InputError
from gpupatch.scheme.coupled import CoupledScheme
from gpupatch.scheme.particle_flux import ParticleFluxScheme
from gpupatch.tasks.choose import make_oracle
from gpupatch.tasks.columns import term_columns
from gpupatch.tasks.equation import Equation
from gpupatch.tasks.found_law import Law
from gpupatch.tasks.oracle import BLOCK, Oracle, Slopes
from gpupatch.tasks.regression import (
    STEPWISE,
    Samples,
    candidate_sets,
    fitted,
    noise_parts,
    prediction_errors,
    resampled,
    selected,
)
from gpupatch.tasks.sampling import sampled_states
from gpupatch.tasks.terms import (
    CONVECTION,
    DIFFUSION,
    REACTION,
    Spline,
    Term,
    library,
    named_terms,
    spline_terms,
)

Values = NDArray[np.float64]

_SIGMAS = 3.0
"""Standard errors beyond which a lack of closure is no chance."""
_DOUBLINGS = 10
"""Times that a burst of coupled patches is made longer until its slope has healed."""
_FEWEST_STEPS, _TRIED = 6, 4
"""Micro-steps of the shortest burst, and states, with which that is tried."""
_KNOTS = 6
"""Pieces of the hat functions that show a diffusivity without a form."""
_SPLINE_DEGREE = 2


@checked(InputError)
def law(
    scheme: Any,
    states: Mapping[str, tuple[float, float]] | ArrayLike | Any,
    *,
    terms: Sequence[str] | None = None,
    degree: int = 3,
    spline: int | None = None,
    select: str = STEPWISE,
    tolerance: float = 0.01,
    count: int = 24,
    waves: int | None = None,
    seed: int = 0,
    block: int = BLOCK,
    t: float = 0.0,
) -> Law:
    """Find the law that the large scale obeys, from slopes of bursts alone.

    Slopes F(U) of many smooth states are measured, all members of one batch, and regressed on
    terms in U and its derivatives, in conservation form,

        F = div(D(U) grad U) - d/dx f(U) + r(U),

    with polynomials D, f, r (or a spline D). Terms are evaluated on the very functions that the
    patches are lifted with, so that the error of the reconstruction between patches does not enter
    the coefficients. Of all sets of terms the smallest is taken that predicts states which it has
    not seen as well as any (`regression.selected`). Error bars come from states drawn again and
    from the noise of the slopes; every random state is measured with random numbers of its own.
    They do not contain what polynomials of few terms cannot follow: where slopes are noisy, let
    D be a `spline`.

    A law does not close, and a warning says so, if slopes differ from it by more than noise and
    `tolerance` explain, or if bursts of half the length find another one: something that is not
    among the coarse variables is then still moving.

    Args:
        scheme: a `coupled`, `burst` or `flux` scheme of one member.
        states: (least, largest) value by field, for random smooth states in that range; or coarse
            values [state, field, *patch axes]; or a `Solution`, or the dataset of one.
        terms: names of terms to choose from, see `terms.named_terms`; all up to `degree` when
            absent.
        degree: highest degree of a term in the fields.
        spline: let every diffusivity be a quadratic spline of its own field with so many pieces,
            in place of polynomials.
        select: "stepwise", or "lasso" (needs the extra `learn`).
        tolerance: lack of fit that is accepted, relative to the slopes.
        count: number of random states.
        waves: their largest wave number, in waves per length of the domain; a sixth of the number
            of patches, and 2 or more, when absent.
        seed: of the random states, and of drawing states again.
        block: most states in one batch.
        t: time at which rules and boundary values are read.

    Returns:
        The law. Whether it holds is in `closes` and `failings`.

    Raises:
        InputError: if states or terms do not fit, or slopes are not finite.
        SchemeError: if the scheme offers no slopes, or random slopes without replicas.

    Source: Brunton, Proctor and Kutz (2016) for sparse regression on candidate terms, with slopes
    from bursts in place of data [BruntonProctorKutz2016, Kevrekidis2003].
    """
    if not 0 < tolerance < 1:
        raise InputError(f"`tolerance` is {tolerance}; give a share of the slopes below 1.")
    if not 1 <= degree <= 9:
        raise InputError(f"`degree` is {degree}; give 1 to 9.")
    oracle = make_oracle(scheme, coarse=True, t=t, block=block)
    X = sampled_states(oracle, states, count, waves, seed)
    oracle = _healed(oracle, X, tolerance)
    offered = _offered(oracle, X, terms, degree, spline)
    columns, places = term_columns(oracle.scheme, offered, t)
    T = columns(oracle.coarse(X))[:, places]
    found = _slopes(oracle, X, 0)
    samples = _samples(oracle, T, found, places)
    half = _half_as_long(oracle)
    shorter = None if half is None else _samples(half, T, _slopes(half, X, len(X)), places)
    equations, failings = [], []
    for number, name in enumerate(oracle.names):
        other = None if shorter is None else shorter[number]
        one = _equation(name, number, offered, samples[number], other, select, tolerance, seed)
        equations.append(one)
        failings += _failings(one, samples[number], other, tolerance)
    for text in failings:
        warnings.warn(f"the law does not close: {text}", stacklevel=2)
    measured = np.stack([one.slopes for one in samples])
    return Law(
        oracle=oracle,
        equations=tuple(equations),
        candidates=offered,
        states=oracle.coarse(X),
        places=places,
        measured=measured,
        measured_errors=np.stack([np.sqrt((one.parts**2).sum(axis=2)) for one in samples]),
        predicted=np.stack([_told(one, T, offered) for one in equations]),
        points=_points(oracle, X, T, samples, equations, offered, places, seed),
        evaluations=oracle.evaluations + (0 if half is None else half.evaluations),
        batches=oracle.batches + (0 if half is None else half.batches),
        tolerance=tolerance,
        failings=tuple(failings),
    )


def _slopes(oracle: Oracle, X: Values, first: int) -> Slopes:
    """Slopes of all states; random ones with a draw of their own for every state.

    Raises:
        InputError: if one is not finite.
    """
    if oracle.noisy:
        each = [oracle.slopes(x[None], draw=first + k) for k, x in enumerate(X)]
        found = Slopes(
            np.concatenate([one.values for one in each]),
            np.concatenate([one.parts for one in each]),
        )
    else:
        found = oracle.slopes(X)
    if not np.isfinite(found.values).all():
        count = int((~np.isfinite(found.values)).any(axis=1).sum())
        raise InputError(
            f"the slopes of {count} of {len(X)} states are not finite. Sample a smaller range of "
            "values or longer waves, or use a smaller micro time step."
        )
    return found


def _samples(oracle: Oracle, T: Values, found: Slopes, places: NDArray[np.bool_]) -> list[Samples]:
    """Samples of every field."""
    shape = (len(T), len(oracle.names), len(places))
    slopes = found.values.reshape(shape)[:, :, places]
    parts = found.parts.reshape(*shape, -1)[:, :, places]
    return [Samples(T, slopes[:, f], parts[:, f]) for f in range(len(oracle.names))]


def _healed(oracle: Oracle, X: Values, tolerance: float) -> Oracle:
    """Coupled patches without a burst of their own: with bursts that heal, and no longer.

    The length is doubled until slopes agree with those of half the length, or agree less again. In
    a medium it begins where heat has crossed a patch, since slopes before that agree as well.
    """
    scheme: Any = oracle.scheme
    if not isinstance(scheme, CoupledScheme) or scheme.burst_spec is not None:
        return oracle
    few = X[: min(len(X), _TRIED)]
    lifted = oracle.lifted(oracle.coarse(few[:1]))  # pyright: ignore[reportAttributeAccessIssue]
    dt = scheme.choose_dt(scheme.model, lifted, oracle.t)
    crossing = 2 * max(scheme.grid.n_sites) ** 2 if scheme.problem.coefficients else 0
    length = max(_FEWEST_STEPS, crossing) * dt

    def tried(length: float) -> tuple[Oracle, Values]:
        burst = Burst(length)
        made = make_oracle(scheme.variant(burst=burst), coarse=True, t=oracle.t, block=oracle.block)
        return made, made.slopes(few).values

    best, found = tried(length)
    least = np.inf
    for _ in range(_DOUBLINGS):
        length *= 2
        longer, after = tried(length)
        change = float(np.linalg.norm(after - found))
        if not change < least:
            break
        best, found, least = longer, after, change
        if change <= tolerance / 4 * np.linalg.norm(after):
            break
    return best


def _half_as_long(oracle: Oracle) -> Oracle | None:
    """The oracle with bursts of half the length; None where there are none."""
    burst = oracle.scheme.burst_spec
    if burst is None:
        return None
    heal = None if burst.heal is None else burst.heal / 2
    shorter = oracle.scheme.variant(burst=replace(burst, length=burst.length / 2, heal=heal))
    return make_oracle(shorter, coarse=True, t=oracle.t, block=oracle.block)


def _offered(
    oracle: Oracle, X: Values, names: Sequence[str] | None, degree: int, spline: int | None
) -> tuple[Term, ...]:
    """The terms to choose from."""
    fields, ndim = oracle.names, oracle.scheme.grid.ndim
    crowd = isinstance(oracle.scheme, ParticleFluxScheme)
    kinds = (DIFFUSION, CONVECTION) if crowd else (DIFFUSION, CONVECTION, REACTION)
    if names is not None:
        offered = named_terms(names, fields, ndim)
    else:
        offered = library(fields, ndim, degree, kinds=kinds)
    if spline is None:
        return offered
    if spline < 1:
        raise InputError(f"`spline` is {spline}; give the number of pieces, 1 or more.")
    kept = tuple(term for term in offered if term.kind != DIFFUSION)
    U = oracle.coarse(X)
    return (*_splines(oracle, U, spline, _SPLINE_DEGREE, range(len(fields))), *kept)


def _splines(oracle: Oracle, U: Values, pieces: int, degree: int, fields) -> list[Term]:
    return [
        term
        for f in fields
        for term in spline_terms(
            oracle.names, f, float(U[:, f].min()), float(U[:, f].max()), pieces, degree,
            oracle.scheme.grid.ndim,
        )
    ]  # fmt: skip


def _equation(
    name: str,
    number: int,
    offered: Sequence[Term],
    samples: Samples,
    shorter: Samples | None,
    select: str,
    tolerance: float,
    seed: int,
) -> Equation:
    """Select the terms of one field, and find their coefficients."""
    chosen = selected(samples, candidate_sets(samples, select, _groups(offered)), tolerance)
    active = chosen.active
    values, draws = fitted(samples, active), resampled(samples, active, seed)
    noise = np.sqrt((noise_parts(samples, active) ** 2).sum(axis=1))
    predicted = samples.columns[:, :, list(active)] @ values
    drift, again = 0.0, None
    if shorter is not None:
        again = fitted(shorter, active)
        change = samples.columns[:, :, list(active)] @ (again - values)
        drift = _relative(change, predicted)
    return Equation(
        field=name,
        number=number,
        terms=tuple(offered[k] for k in active),
        values=values,
        errors=np.maximum(draws.std(axis=0), noise),
        draws=draws,
        selection=chosen,
        residual=float(np.sqrt(chosen.unexplained[chosen.sets.index(active)])),
        shortened=again,
        drift=drift,
    )


def _groups(offered: Sequence[Term]) -> list[tuple[int, ...]]:
    """Terms that belong together: all splines of one diffusivity."""
    splines: dict[int, list[int]] = {}
    for k, term in enumerate(offered):
        if isinstance(term.profile, Spline):
            splines.setdefault(term.field, []).append(k)
    joined = {k for one in splines.values() for k in one}
    alone = [(k,) for k in range(len(offered)) if k not in joined]
    return [*map(tuple, splines.values()), *alone]


def _relative(change: Values, to: Values) -> float:
    size = float(np.sqrt(np.mean(to**2)))
    return float(np.sqrt(np.mean(change**2))) / size if size else 0.0


def _failings(
    one: Equation, samples: Samples, shorter: Samples | None, tolerance: float
) -> list[str]:
    """Why a field obeys no law of the form that was offered."""
    active, found, power = one.selection.active, [], samples.power or 1.0
    excess = prediction_errors(samples, active) - samples.noise
    uncertain = excess.std(ddof=1) / np.sqrt(len(excess)) if samples.parts.shape[2] else 0.0
    if excess.mean() - _SIGMAS * uncertain > tolerance**2 * power:
        found.append(
            f"{100 * one.residual:.2g} % of d{one.field}/dt is not explained by any of the terms. "
            "Offer more (`degree`, `terms`), or look for a coarse variable that is missing."
        )
    if shorter is None or one.drift <= tolerance:
        return found
    columns = samples.columns[:, :, list(active)]
    parts = np.concatenate([noise_parts(samples, active), noise_parts(shorter, active)], axis=1)
    by_noise = _relative(np.sqrt(((columns @ parts) ** 2).sum(axis=2)), columns @ one.values)
    if one.drift > tolerance + _SIGMAS * by_noise:
        found.append(
            f"bursts of half the length change d{one.field}/dt by {100 * one.drift:.2g} %. Let "
            "bursts heal longer; if that does not help, something moves that is no coarse variable."
        )
    return found


def _told(one: Equation, T: Values, offered: Sequence[Term]) -> Values:
    return T[:, :, [offered.index(term) for term in one.terms]] @ one.values


def _points(oracle, X, T, samples, equations, offered, places, seed) -> Values:
    """Diffusivities at some levels of every field, from hat functions in place of a form."""
    points = np.full((len(equations), 3, _KNOTS + 1), np.nan)
    U = oracle.coarse(X)
    for one in equations:
        f = one.number
        own = [t.kind == DIFFUSION and t.field == f for t in one.terms]
        if not any(own) or not np.ptp(U[:, f]) > 0:
            continue
        hats = _splines(oracle, U, _KNOTS, 1, (f,))
        columns, _ = term_columns(oracle.scheme, hats, oracle.t)
        others = [
            offered.index(term) for term, mine in zip(one.terms, own, strict=True) if not mine
        ]
        both = np.concatenate([columns(U)[:, places], T[:, :, others]], axis=2)
        free = Samples(both, samples[f].slopes, samples[f].parts)
        every = tuple(range(both.shape[2]))
        values, draws = fitted(free, every), resampled(free, every, seed)
        noise = np.sqrt((noise_parts(free, every) ** 2).sum(axis=1))
        errors = np.maximum(draws.std(axis=0), noise)
        levels = np.linspace(U[:, f].min(), U[:, f].max(), _KNOTS + 1)
        points[f] = levels, values[: len(hats)], errors[: len(hats)]
    return points

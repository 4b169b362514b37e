"""Which coarse variables suffice: candidates ranked by what they leave open, and how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.arrays import Macro, Micro
from gpupatch.contract import checked
from gpupatch.diagnostics.finding import TOLERANCE
from gpupatch.diagnostics.resized import with_core
from gpupatch.errors import InputError, RuleError, SchemeError
from gpupatch.micro.conservation import flux_form
from gpupatch.micro.rule import Rule
from gpupatch.scheme.flux import face_mean
from gpupatch.tasks.descriptions import AXES, Description, described, moments, usual
from gpupatch.tasks.equal_lifts import EqualLifts
from gpupatch.tasks.ranking import Candidate, Relaxation, SlowVariables
from gpupatch.tasks.relaxation import relaxation_rates
from gpupatch.tasks.watched import FreePatches

PARTS = 16
"""Parts of a burst over which slopes are compared."""
SLOW, BETWEEN, FAST = "slow", "neither", "fast"
_SLOW_BELOW, _FAST_ABOVE = 0.3, 3.0
"""Rate times burst below which a variable counts as slow, and above which as fast."""
_TOUCH = 1e-3
"""Size of the disturbance whose decay is measured, in units of the largest value."""
_NOTHING = 1e-12
"""Share of the largest value below which a field counts as zero."""
_FLUX, _SLOPE = "flux", "slope"


@checked(InputError)
def slow_variables(
    scheme: Any,
    U: Mapping[str, Any] | ArrayLike,
    candidates: Sequence[str] | None = None,
    *,
    t: float = 0.0,
    tolerance: float = TOLERANCE,
) -> SlowVariables:
    """Ask which coarse variables suffice, and how fast each of them relaxes.

    A set suffices if patches in which it is equal, and all else is not, do the same after healing.
    For every candidate such patches are made:

    ==============================  ============================================================
    candidate                       its patches differ in
    ==============================  ============================================================
    some of the fields              the other fields: as given, half of that, as they are after a
                                    burst, and where they settle while the set is held
    all fields                      details within the patch, as they are after a burst
    an isolated patch:              everything that is unknown: from the neighbours, and zero
    "u isolated", "u, u_x"
    ==============================  ============================================================

    They run as members of one batch. Compared are the slopes of the set itself. Of isolated patches
    it is the flux, if the rule is a conservation law: its differences between neighbours are the
    slope. The rate at which a variable relaxes is that of a small disturbance of it.

    Args:
        scheme: a `burst` scheme of one member.
        U: functions of position or numbers by field, or coarse values of all fields.
        candidates: sets of variables, such as ["u", "u, v", "u isolated", "u, u_x"]; every set of
            fields when absent, and for a single field isolated patches, too.
        t: time of the state.
        tolerance: largest spread that is accepted.

    Returns:
        The ranking, with a recommendation in words.

    Raises:
        SchemeError: if the scheme lifts nothing, is random, or has several members.
        InputError: if a candidate is not understood.

    Source: closure of equation-free descriptions, Kevrekidis et al. (2003), section 4
    [Kevrekidis2003].
    """
    if not tolerance > 0:
        raise InputError(f"`tolerance` is {tolerance}; it must be positive.")
    # buffers for two bursts in a row: one that makes details, one that compares
    free = FreePatches(scheme, t, _wide(scheme))
    if scheme.n_members > 1:
        raise SchemeError(
            f"the scheme has {scheme.n_members} members. Give a scheme of one member."
        )
    rule = scheme.problem.rule
    wanted = [described(one, rule) for one in (usual(rule) if candidates is None else candidates)]
    if not wanted:
        raise InputError('`candidates` is empty. Name some, such as ["u", "u, v"].')
    lifts = EqualLifts(free, free.completed(U), scheme)
    responses = [_response(one, rule) for one in wanted]
    spreads = _spreads(free, lifts, wanted, responses)
    found = [
        Candidate(
            one.name, one.size, one.isolated, response, lifts.differs(one), float(healed),
            tuple(map(float, parts)), bool(healed <= tolerance),
        )
        for one, response, (healed, parts) in zip(wanted, responses, spreads, strict=True)
    ]  # fmt: skip
    burst = scheme.burst_spec
    return SlowVariables(
        candidates=tuple(sorted(found, key=lambda c: (not c.passes, *_rank(c)))),
        relaxations=_relaxations(free, lifts, wanted),
        times=tuple((np.arange(PARTS) + 0.5) / PARTS * burst.length),
        burst=burst.length,
        heal=burst.healing,
        tolerance=tolerance,
        rule=rule.name,
        bursts=free.bursts,
    )


def _rank(one: Candidate) -> tuple[float, ...]:
    return (one.variables, one.isolated, one.spread) if one.passes else (one.spread,)


def _wide(scheme: Any):
    return with_core(scheme.problem.grid, 1.0, 2.0) if hasattr(scheme, "hidden") else None


def _response(one: Description, rule: Rule) -> str:
    """What a set has to determine: fluxes of isolated patches that conserve, else slopes."""
    if not one.isolated:
        return _SLOPE
    try:
        flux_form(rule)
    except RuleError:
        return _SLOPE
    return _FLUX


def _spreads(
    free: FreePatches, lifts: EqualLifts, wanted: Sequence[Description], responses: Sequence[str]
) -> list[tuple[float, NDArray[np.float64]]]:
    """S of every description after healing, and in the parts of a burst."""
    burst = lifts.scheme.burst_spec
    made = [lifts.of(one) for one in wanted]
    first = min(PARTS - 1, int(np.ceil(burst.healing / burst.length * PARTS)))
    found: list[Any] = [None] * len(wanted)
    slopes = [k for k, response in enumerate(responses) if response == _SLOPE]
    if slopes:
        u = np.concatenate([lift for k in slopes for lift in made[k]])
        run = free.watch(u, burst.length, PARTS)
        parts = np.diff(run.values, axis=0) / np.diff(run.times).reshape(-1, *(1,) * lifts.W.ndim)
        healed = parts[first:].mean(axis=0, keepdims=True)
        begin = 0
        for k in slopes:
            here = slice(begin, begin + len(made[k]))
            fields = [free.names.index(name) for name in wanted[k].fields]
            own = [values[:, here][:, :, fields] for values in (parts, healed)]
            floor = _floor(healed[0, here], lifts.W)[fields]
            found[k] = (_spread(own[1], floor)[0], _spread(own[0], floor))
            begin += len(made[k])
    for k, response in enumerate(responses):
        if response == _FLUX:
            found[k] = _flux_spread(free, made[k], burst.length, first)
    return found


def _flux_spread(free: FreePatches, made: list[Micro], length: float, first: int):
    worst, over = 0.0, np.zeros(PARTS)
    for axis in range(free.grid.ndim):
        where = face_mean(free.problem, axis)
        flux = free.watch(np.concatenate(made), length, PARTS, axis, where).values
        floor = np.zeros(flux.shape[2])
        worst = max(worst, _spread(flux[first:].mean(axis=0, keepdims=True), floor)[0])
        over = np.maximum(over, _spread((flux[1:] + flux[:-1]) / 2, floor))
    return worst, over


def _spread(values: NDArray[np.float64], floor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest difference between lifts over the largest magnitude, or the floor of a field.

    Args:
        values: [time, lift, field, *patch axes].
        floor: [field].

    Returns:
        [time], the worst field.
    """
    flat = values.reshape(*values.shape[:3], -1)
    apart = np.ptp(flat, axis=1).max(axis=-1)
    largest = np.maximum(np.abs(flat).max(axis=(1, 3)), np.maximum(floor, np.finfo(float).tiny))
    return (apart / largest).max(axis=-1)


def _floor(slopes: NDArray[np.float64], W: Macro) -> NDArray[np.float64]:
    """Slopes per field below which nothing matters, [field]: of fields that stand still.

    floor_f = TOLERANCE max|W_f| / T,    1/T = max_g max|slope_g| / max|W_g|
    """
    sizes = np.abs(W[0]).reshape(W.shape[1], -1).max(axis=1)
    rates = np.abs(slopes).reshape(*slopes.shape[:2], -1).max(axis=(0, 2))
    present = sizes > _NOTHING * sizes.max()
    slow = (rates[present] / sizes[present]).max(initial=0.0)
    return TOLERANCE * sizes * slow


def _relaxations(
    free: FreePatches, lifts: EqualLifts, wanted: Sequence[Description]
) -> tuple[Relaxation, ...]:
    """How fast every variable that occurs in a description relaxes."""
    grid, names, W = free.grid, free.names, lifts.W
    size = max(float(np.abs(W).max()), np.finfo(float).tiny)
    told, disturbed, watched = [], [], []
    for field, name in enumerate(names):
        touched = W.copy()
        touched[:, field] += _TOUCH * (float(np.abs(W[:, field]).max()) or size) * _shape(W)
        told.append(name)
        disturbed.append(free.lifted(touched))
        watched.append((field, None))
    restrictions: dict[tuple[int, int], Any] = {}
    derivatives = dict.fromkeys(
        (times, name, axis)
        for one in wanted
        for times, many in ((1, one.gradients), (2, one.curvatures))
        for name, axis in many
    )
    for times, name, axis in derivatives:
        xi = grid.site_offsets[axis].reshape(-1, *(1,) * (grid.ndim - 1 - axis))
        touched = lifts.base.copy()
        touched[:, names.index(name)] += _TOUCH * size * (xi / grid.gap[axis]) ** times
        told.append(f"{name}_{AXES[axis] * times}")
        disturbed.append(touched)
        place = restrictions.setdefault((times, axis), moments(grid, times, axis))
        watched.append((names.index(name), place))
    length = lifts.scheme.burst_spec.length
    rates = relaxation_rates(free, lifts.base, disturbed, watched, length)
    return tuple(
        Relaxation(name, rate, rate * length, _pace(rate * length))
        for name, rate in zip(told, rates, strict=True)
    )


def _shape(W: Macro) -> NDArray[np.float64]:
    """How a disturbance varies in space: like the first field that varies; else uniform."""
    for values in W[0]:
        varied = values - values.mean()
        largest = np.abs(varied).max()
        if largest > 1e-9 * np.abs(values).max():
            return varied / largest
    return np.ones(W.shape[2:])


def _pace(times_in_burst: float) -> str:
    if times_in_burst <= _SLOW_BELOW:
        return SLOW
    return FAST if times_in_burst >= _FAST_ABOVE else BETWEEN

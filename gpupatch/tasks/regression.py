"""Least squares with few terms: candidate sets, cross-validation over states, resampling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import GpupatchError, InputError, suggestion

Values = NDArray[np.float64]
Active = tuple[int, ...]

STEPWISE, LASSO = "stepwise", "lasso"
METHODS = (STEPWISE, LASSO)
FOLDS = 5
"""Parts into which states are divided for cross-validation."""
RESAMPLES = 400
"""Times that states are drawn again for error bars."""
_RELATIVE_RANK = 1e-13


@dataclass(frozen=True, eq=False)
class Samples:
    """Measured slopes of one field and what they may consist of.

    Attributes:
        columns: terms, [state, place, term].
        slopes: dU/dt, [state, place].
        parts: error of the slopes by sources, [state, place, source]; sources of different states
            are independent.
    """

    columns: Values
    slopes: Values
    parts: Values

    @property
    def noise(self) -> Values:
        """Mean variance of the slopes, [state]."""
        return (self.parts**2).sum(axis=2).mean(axis=1)

    @property
    def power(self) -> float:
        """Mean square of the slopes beyond their noise."""
        return max(float((self.slopes**2).mean() - self.noise.mean()), 0.0)


@dataclass(frozen=True, eq=False)
class Selection:
    """Which terms are needed.

    Attributes:
        active: their numbers.
        sets: all sets that were compared, from small to large.
        unexplained: mean square error of prediction beyond noise, relative to that of the slopes,
            of each set.
    """

    active: Active
    sets: tuple[Active, ...]
    unexplained: Values


def candidate_sets(samples: Samples, method: str, groups: Sequence[Active]) -> list[Active]:
    """Sets of terms worth comparing, from none to all.

    `stepwise` leaves out one group after another, always that whose loss increases the residual
    least; `lasso` takes the sets that the Lasso goes through as its penalty falls.

    Args:
        samples: the samples.
        method: "stepwise" or "lasso", which needs scikit-learn.
        groups: terms that are needed together or not at all, such as all splines of a diffusivity;
            every term is in one of them.

    Raises:
        InputError: if there is no such method.
        GpupatchError: if scikit-learn is missing.

    Source: Efron, Hastie, Johnstone and Tibshirani (2004) for the path of the Lasso
    [EfronHastieJohnstoneTibshirani2004].
    """
    if method not in METHODS:
        raise InputError(f"there is no selection `{method}`. {suggestion(method, METHODS)}")
    A, b = _rows(samples.columns), samples.slopes.ravel()
    size = np.linalg.norm(A, axis=0)
    seen = size > 1e-12 * size.max(initial=0.0)
    groups = [one for one in groups if seen[list(one)].any()]
    A = A / np.where(seen, size, 1.0)
    found = (_lasso_sets if method == LASSO else _stepwise_sets)(A, b, groups)
    return sorted(dict.fromkeys([(), *found]), key=len)


def _stepwise_sets(A: Values, b: Values, groups: Sequence[Active]) -> list[Active]:
    left = list(groups)
    sets = [_joined(left)]
    while len(left) > 1:
        active = list(sets[-1])
        _, s, Vt = np.linalg.svd(A[:, active], full_matrices=False)
        kept = s > _RELATIVE_RANK * s[0]
        theta = np.linalg.lstsq(A[:, active], b, rcond=_RELATIVE_RANK)[0]
        spread = (Vt[kept] / s[kept, None]).T
        costs = []
        for group in left:
            at = [active.index(k) for k in group]
            # the residual grows by theta_g . C_gg^-1 theta_g, C = (A^T A)^-1, without a group g
            inverse = np.linalg.pinv(spread[at] @ spread[at].T, hermitian=True)
            costs.append(theta[at] @ inverse @ theta[at])
        left.pop(int(np.argmin(costs)))
        sets.append(_joined(left))
    return sets


def _lasso_sets(A: Values, b: Values, groups: Sequence[Active]) -> list[Active]:
    try:
        from sklearn.linear_model import lars_path
    except ImportError as error:
        raise GpupatchError(
            "the selection `lasso` needs scikit-learn, which is not installed. Install it with "
            "`pip install 'gpupatch[learn]'`, or use `select='stepwise'`."
        ) from error
    _, _, path = lars_path(A, b, method="lasso", max_iter=8 * A.shape[1])
    return [_joined(g for g in groups if one[list(g)].any()) for one in path.T]


def _joined(groups: Iterable[Active]) -> Active:
    return tuple(sorted(k for group in groups for k in group))


def fitted(samples: Samples, active: Active) -> Values:
    """Coefficients of some terms by least squares, [term of `active`]."""
    return _solved(samples.columns[:, :, list(active)], samples.slopes)


def _solved(columns: Values, slopes: Values) -> Values:
    A = _rows(columns)
    size = np.linalg.norm(A, axis=0)
    size[size == 0] = 1.0
    return np.linalg.lstsq(A / size, slopes.ravel(), rcond=_RELATIVE_RANK)[0] / size


def _rows(columns: Values) -> Values:
    """Places of all states in a row, [row, term]."""
    return columns.reshape(columns.shape[0] * columns.shape[1], columns.shape[2])


def prediction_errors(samples: Samples, active: Active) -> Values:
    """Mean square error of the slopes of states that the fit did not see, [state]."""
    n_state = len(samples.slopes)
    columns, errors = samples.columns[:, :, list(active)], np.empty(n_state)
    fold = np.arange(n_state) % min(FOLDS, n_state)
    for one in range(fold.max() + 1):
        unseen = fold == one
        theta = _solved(columns[~unseen], samples.slopes[~unseen])
        residual = samples.slopes[unseen] - columns[unseen] @ theta
        errors[unseen] = (residual**2).mean(axis=1)
    return errors


def selected(samples: Samples, sets: Sequence[Active], tolerance: float) -> Selection:
    """The smallest set that predicts unseen states as well as any.

    As well means that the mean square error is larger than that of the best set by no more than
    tolerance^2 of the mean square of the slopes; where slopes are random, by no more than that and
    one standard error of the difference.

    Args:
        samples: the samples.
        sets: sets of terms, from small to large.
        tolerance: root mean square error that is accepted, relative to the slopes.

    Source: Breiman, Friedman, Olshen and Stone (1984), section 3.4.3, for the rule of one standard
    error [Breiman1984].
    """
    errors = np.stack([prediction_errors(samples, one) for one in sets])
    means = errors.mean(axis=1)
    excess = errors - errors[np.argmin(means)]
    random = samples.parts.shape[2] > 0
    uncertain = excess.std(axis=1, ddof=1) / np.sqrt(errors.shape[1]) if random else 0.0
    enough = excess.mean(axis=1) - uncertain <= tolerance**2 * samples.power
    unexplained = np.maximum(means - samples.noise.mean(), 0) / (samples.power or 1.0)
    return Selection(sets[int(np.argmax(enough))], tuple(sets), unexplained)


def resampled(samples: Samples, active: Active, seed: int) -> Values:
    """Coefficients from states that are drawn again with replacement, [draw, term of `active`].

    Source: Efron (1979) [Efron1979].
    """
    columns = samples.columns[:, :, list(active)]
    size = np.sqrt((columns**2).sum(axis=(0, 1)))
    size[size == 0] = 1.0
    scaled = columns / size
    gram = np.einsum("spi,spj->sij", scaled, scaled)
    right = np.einsum("spi,sp->si", scaled, samples.slopes)
    n_state = len(gram)
    counts = np.random.default_rng(seed).multinomial(n_state, [1 / n_state] * n_state, RESAMPLES)
    G, r = np.einsum("bs,sij->bij", counts, gram), counts @ right
    return np.einsum("bij,bj->bi", np.linalg.pinv(G, _RELATIVE_RANK, hermitian=True), r) / size


def noise_parts(samples: Samples, active: Active) -> Values:
    """What the noise of the slopes makes of the coefficients, by sources, [term, source].

    Sources of all states in a row.
    """
    columns = samples.columns[:, :, list(active)]
    solve = np.linalg.pinv(_rows(columns)).reshape(len(active), *samples.slopes.shape)
    each = np.einsum("msp,spk->msk", solve, samples.parts)
    return each.reshape(len(active), each.shape[1] * each.shape[2])

"""How accurate a result is: in the units of the fields, and in those of its standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpupatch.arrays import Macro


def accuracy(
    names: Sequence[str],
    coarse: Macro,
    exact: Macro | None = None,
    uncertainty: Macro | None = None,
    replicas: int = 1,
) -> dict[str, Any]:
    """Entries of a report about the coarse values of one time.

    Replicas are averaged first; the standard error of their mean comes from their spread. Errors
    are compared with it by root mean squares over members and patches,

        error_in_standard_errors = rms(mean - exact) / rms(standard error),

    which is near 1 where nothing but chance separates the result from the truth.

    Args:
        names: the fields.
        coarse: coarse values, [member, field, *patch axes], replicas last among the members.
        exact: exact solution, same shape.
        uncertainty: standard errors of single members, same shape.
        replicas: repetitions of every member.

    Returns:
        `replicas` (if there are several), `standard_error` (rms, if known), `error` (largest, if
        there is an exact solution) and `error_in_standard_errors` (if both are known), the last
        three by field.
    """
    mean = _over_replicas(coarse, replicas).mean(axis=1)
    bar = standard_error(coarse, uncertainty, replicas)
    entries: dict[str, Any] = {"replicas": replicas} if replicas > 1 else {}
    if bar is not None:
        entries["standard_error"] = _by_field(names, _rms(bar))
    if exact is not None:
        difference = mean - _over_replicas(exact, replicas)[:, 0]
        largest = np.abs(np.moveaxis(difference, 1, 0)).reshape(len(names), -1).max(axis=1)
        entries["error"] = _by_field(names, largest)
        if bar is not None and _rms(bar).all():
            entries["error_in_standard_errors"] = _by_field(names, _rms(difference) / _rms(bar))
    return entries


def standard_error(
    coarse: Macro, uncertainty: Macro | None = None, replicas: int = 1
) -> Macro | None:
    """Standard errors of coarse values averaged over replicas.

    Args:
        coarse: coarse values, [member, field, *patch axes], replicas last among the members.
        uncertainty: standard errors of single members, same shape.
        replicas: repetitions of every member.

    Returns:
        [member / replicas, field, *patch axes]; None if there is one replica of unknown error.
    """
    if replicas < 2:
        return uncertainty
    return _over_replicas(coarse, replicas).std(axis=1, ddof=1) / np.sqrt(replicas)


def _over_replicas(values: Macro, replicas: int) -> Macro:
    return values.reshape(-1, replicas, *values.shape[1:])


def _rms(values: Macro) -> np.ndarray:
    """Root mean square over all but the field axis."""
    return np.sqrt(np.mean(np.moveaxis(values, 1, 0).reshape(values.shape[1], -1) ** 2, axis=1))


def _by_field(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, map(float, values), strict=True))

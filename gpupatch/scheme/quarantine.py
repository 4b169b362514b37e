"""What happens to a patch that fails in a burst: it ends the run, or its neighbours stand in.

A burst gives every patch a slope, or a flux. Where it is not finite, the value is interpolated from
the patches around, along each axis, by the polynomial through the nearest healthy ones,

    F[I] = sum_k W[k] F[J_k],    W_k = prod_{l != k} (X_I - X_l) / (X_k - X_l),

as many of them as the order of the scheme, or as there are. Fluxes that are interpolated are still
fluxes: what leaves a cell enters its neighbour, and the total is conserved to round-off.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Handle
from gpupatch.errors import QuarantineError, SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.stencil import lagrange_weights

_REMEMBERED = 128
"""Bursts on a device whose results are remembered until the state of a run is looked at."""
_SPECTRAL = 8
"""Patches read along an axis where a scheme reads all of them."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where the patches of a batch are.

    Attributes:
        positions: along each axis, rising.
        periods: length of each periodic axis; None where an axis has ends.
    """

    positions: tuple[NDArray[np.float64], ...]
    periods: tuple[float | None, ...]

    @classmethod
    def on(cls, grid: PatchGrid, positions: Sequence[NDArray[np.float64]]) -> Places:
        """Patches at positions of a grid, whose axes close on themselves as its own do."""
        periods = (
            hi - lo if grid.periodic(axis) else None for axis, (lo, hi) in enumerate(grid.domain)
        )
        return cls(tuple(positions), tuple(periods))

    @property
    def shape(self) -> tuple[int, ...]:
        """Patches along each axis."""
        return tuple(len(X) for X in self.positions)

    @property
    def count(self) -> int:
        """Patches of one member."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Begun:
    """What a burst of a batch of patches began with: enough to run one of its patches again.

    Attributes:
        time: model time.
        coarse: coarse values, [member, field, *patch axes], where the scheme keeps them.
        batch: which batch of the scheme; for fluxes the axis that the faces cut.
        n_steps: micro-steps of the burst.
        dt: micro time step.
        stream: number of its random numbers.
        first: number of its first step in the run, where steps are numbered through a run.
        arrays: what else all patches were lifted from, by name.
        states: what the patches were in themselves, by name, each [patch, ...].
    """

    time: float
    coarse: Handle
    batch: int
    n_steps: int
    dt: float
    stream: int
    first: int = 0
    arrays: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FailedPatch:
    """One patch that failed, and what its burst began with.

    Attributes:
        begun: the burst, on the host; its `states` are those of the patch alone, [1, ...].
        row: number of the patch in its batch, replicas and members included.
        replica: repetition of the burst.
        member: member of the run.
        patch: index along each axis.
    """

    begun: Begun
    row: int
    replica: int
    member: int
    patch: tuple[int, ...]


def repaired(
    values: NDArray[np.float64], failed: NDArray[np.bool_], places: Places, order: int
) -> NDArray[np.float64]:
    """Interpolate the values of patches that failed from the healthy ones around them.

    Along every axis the nearest healthy patches are used, `order` of them or as many as there are;
    where axes offer equally many, their mean is taken. A patch without a healthy one on its lines
    waits until those have been repaired.

    Args:
        values: [..., field, *places].
        failed: [..., *places].
        places: where the patches are.
        order: patches that are read along an axis.

    Returns:
        A copy with other values where `failed`.

    Raises:
        ValueError: if nothing is healthy in one of the leading entries.
    """
    ndim, n_field = len(places.positions), values.shape[-1 - len(places.positions)]
    found = np.array(values, dtype=np.float64).reshape(-1, n_field, *places.shape)
    waiting = np.array(failed).reshape(-1, *places.shape)
    for one, bad in zip(found, waiting, strict=True):
        while bad.any():
            mended = [
                (index, best)
                for index in map(tuple, np.argwhere(bad).tolist())
                if (best := _from_neighbours(one, bad, index, places, order, ndim)) is not None
            ]
            if not mended:
                raise ValueError("no patch is healthy.")
            for index, best in mended:
                one[(slice(None), *index)] = best
                bad[index] = False
    return found.reshape(values.shape)


def _from_neighbours(values, bad, index, places: Places, order: int, ndim: int):
    """The value of one patch from the axes along which most healthy patches are found, or None."""
    most, estimates = 0, []
    for axis in range(ndim):
        line = (*index[:axis], slice(None), *index[axis + 1 :])
        X, period = places.positions[axis], places.periods[axis]
        away = X - X[index[axis]]
        if period is not None:
            away = away - period * np.rint(away / period)
        healthy = np.flatnonzero(~bad[line])
        nearest = healthy[np.argsort(np.abs(away[healthy]), kind="stable")][:order]
        if len(nearest) == 0 or len(nearest) < most:
            continue
        if len(nearest) > most:
            most, estimates = len(nearest), []
        weights = lagrange_weights(away[nearest], 0.0)
        estimates.append(values[(slice(None), *line)][:, nearest] @ weights)
    return np.mean(estimates, axis=0) if estimates else None


class Quarantine:
    """Watches the bursts of a scheme for patches that fail.

    With a share, the scheme replaces the values of patches that failed by `mended` ones, and they
    are counted. Without one they are only told of, and end the run when its state is looked at;
    results on a device may then be remembered rather than looked at, so that nothing waits for it.

    Args:
        share: of the patches of a burst that may fail; None if the first failure ends the run.
        order: patches that are read along an axis.
        download: brings coarse values and results to the host.
        remembers: whether results that only end the run wait until `examine`.

    Attributes:
        on_failure: called with every patch that fails.
        counts: how often each patch failed, when first and when last, by (batch, member, *patch).
        bursts: bursts in which some patch failed.

    Raises:
        SchemeError: if the share is no share.
    """

    def __init__(
        self,
        share: float | None,
        order: int | str,
        download: Callable[[Handle], Any],
        remembers: bool = False,
    ):
        if share is not None and not 0 <= share <= 1:
            raise SchemeError(f"`max_quarantined` is {share}; give a share between 0 and 1.")
        self.share, self._download = share, download
        self._remembers = remembers and share is None
        self.order = order if isinstance(order, int) else _SPECTRAL
        self.on_failure: Callable[[FailedPatch], None] | None = None
        self.counts: dict[tuple[int, ...], tuple[int, float, float]] = {}
        self.bursts = 0
        self._recent: deque[tuple[Begun, Sequence[Handle], Places, int]] = deque(maxlen=_REMEMBERED)
        self._base: tuple[float, Handle] = (0.0, None)

    def begin(self, t: float, coarse: Handle) -> None:
        """Note the base of the bursts that follow: time and coarse values."""
        self._base = t, coarse

    def begun(self, batch: int, n_steps: int, dt: float, stream: int, **more: Any) -> Begun:
        """What a burst from the base begins with; arguments as the attributes of `Begun`."""
        return Begun(*self._base, batch, n_steps, dt, stream, **more)

    def failures(
        self, begun: Begun, results: Sequence[Handle], places: Places, members: int
    ) -> NDArray[np.bool_] | None:
        """Look for patches that failed in a burst.

        Args:
            begun: what it began with.
            results: what came out, each [(replica,) member, field, *places].
            places: where its patches are.
            members: of the run.

        Returns:
            Where a value is not finite, [(replica,) member, *places]; None if all are finite, or if
            failures end the run.

        Raises:
            QuarantineError: if more patches failed than may, or no healthy one is left.
        """
        if self._remembers:
            self._recent.append((begun, results, places, members))
            return None
        failed = self._where(results, places)
        if not failed.any():
            return None
        self.tell(begun, failed, places, members)
        if self.share is None:
            return None
        self._count(begun, failed, places, members)
        lone = failed.reshape(-1, places.count).all(axis=1).any()
        if lone or np.count_nonzero(failed) > self.share * failed.size:
            n = int(np.count_nonzero(failed))
            raise QuarantineError(begun.time, n, failed.size, self.share)
        return failed

    def mended(
        self, values: NDArray[np.float64], failed: NDArray[np.bool_], places: Places
    ) -> NDArray[np.float64]:
        """Values with those of failed patches interpolated, see `repaired`."""
        return repaired(values, failed, places, self.order)

    def examine(self) -> None:
        """Tell of the patches that failed first in the bursts that are remembered."""
        for begun, results, places, members in self._recent:
            failed = self._where([self._download(one) for one in results], places)
            if failed.any():
                self.tell(begun, failed, places, members)
                break
        self._recent.clear()

    def tell(self, begun: Begun, failed: NDArray[np.bool_], places: Places, members: int) -> None:
        """Hand every patch that failed to `on_failure`, unless coarse values were not finite.

        Args:
            begun: what the burst began with.
            failed: which patches, in the order of the batch.
            places: where the patches are.
            members: of the run.
        """
        coarse = self._download(begun.coarse)
        if self.on_failure is None or not np.isfinite(coarse).all():
            return
        for row, (replica, member, *patch) in zip(
            np.flatnonzero(failed).tolist(),
            np.argwhere(failed.reshape(-1, members, *places.shape)).tolist(),
            strict=True,
        ):
            here = replace(
                begun,
                coarse=np.array(coarse),
                arrays={name: np.array(self._download(a)) for name, a in begun.arrays.items()},
                states={name: np.array(a[row : row + 1]) for name, a in begun.states.items()},
            )
            self.on_failure(FailedPatch(here, row, replica, member, tuple(patch)))

    def entries(self) -> dict[str, Any]:
        """Entry of a report: what was quarantined, how often and when; empty if nothing was."""
        if not self.counts:
            return {}
        patches = [
            {"patch": patch, "member": member, "batch": batch, "times": n, "first": t, "last": last}
            for (batch, member, *patch), (n, t, last) in sorted(self.counts.items())
        ]
        total = sum(n for n, *_ in self.counts.values())
        return {"quarantine": {"failures": total, "bursts": self.bursts, "patches": patches}}

    def dump(self) -> dict[str, NDArray[Any]]:
        """What has been quarantined so far, as arrays for a checkpoint."""
        return {
            "quarantined_patches": np.array(list(self.counts), dtype=np.int64),
            "quarantined_times": np.array(list(self.counts.values()), dtype=np.float64),
            "quarantined_bursts": np.array(self.bursts),
        }

    def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        """Go on counting from what `dump` gave."""
        patches, times = memory["quarantined_patches"], memory["quarantined_times"]
        self.counts = {
            tuple(patch): (int(n), first, last)
            for patch, (n, first, last) in zip(patches.tolist(), times.tolist(), strict=True)
        }
        self.bursts = int(memory["quarantined_bursts"])

    def _where(self, results: Sequence[Handle], places: Places) -> NDArray[np.bool_]:
        field_axis = -1 - len(places.shape)
        return np.any(
            [~np.isfinite(self._download(one)).all(axis=field_axis) for one in results], axis=0
        )

    def _count(self, begun: Begun, failed, places: Places, members: int) -> None:
        if not self.counts:
            warnings.warn(
                f"{np.count_nonzero(failed)} of {failed.size} patches failed in a burst at "
                f"t = {begun.time:.6g}. What they would give is interpolated from their "
                "neighbours; the report counts them.",
                stacklevel=4,
            )
        self.bursts += 1
        for _, *who in np.argwhere(failed.reshape(-1, members, *places.shape)).tolist():
            n, first, _ = self.counts.get((begun.batch, *who), (0, begun.time, begun.time))
            self.counts[begun.batch, *who] = n + 1, first, begun.time

"""Results of system-level tasks as datasets, in memory and in NetCDF alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gpupatch._version import __version__
from gpupatch.tasks.oracle import Oracle

if TYPE_CHECKING:
    from gpupatch.tasks.backward import Past
    from gpupatch.tasks.branch import Branch
    from gpupatch.tasks.spectrum import Spectrum
    from gpupatch.tasks.steady_state import SteadyState

_AXES = ("x", "y", "z")
_PARTS = ("real", "imaginary")


def steady_dataset(state: SteadyState) -> xr.Dataset:
    """A steady state: every field over space, with standard errors where there are any.

    Args:
        state: the state.
    """
    oracle, error = state.oracle, state.error
    fields = _fields(oracle, state.coarse, ())
    if error is not None:
        fields |= _fields(oracle, error, (), "_error")
    fields["largest_slope"] = ("iteration", np.array(state.history))
    attrs = {"task": "steady", "reason": state.why, "converged": int(state.converged)}
    if state.parameter is not None:
        attrs |= {"parameter": str(oracle.parameter), "value": state.parameter}
    return xr.Dataset(fields, _places(oracle), facts_of(oracle) | attrs)


def spectrum_dataset(found: Spectrum) -> xr.Dataset:
    """Eigenvalues and modes: growth rates, angular frequencies, and shapes over space.

    Args:
        found: the spectrum.
    """
    oracle, modes = found.oracle, found.modes
    shapes = np.stack([modes.real, modes.imag], axis=1)
    fields = _fields(oracle, np.moveaxis(shapes, 2, 0), ("mode", "part"), "_mode")
    fields["growth_rate"] = ("mode", found.growth_rates)
    fields["angular_frequency"] = ("mode", found.values.imag)
    fields["residual"] = ("mode", found.residuals)
    if oracle.noisy:
        fields["eigenvalue_error"] = ("mode", found.errors)
    places = _places(oracle) | {"part": list(_PARTS)}
    return xr.Dataset(fields, places, facts_of(oracle) | {"task": "eigenvalues"})


def branch_dataset(trunk: Branch) -> xr.Dataset:
    """A branch with those that leave it: all points in a row, numbered by branch.

    Args:
        trunk: the first branch.
    """
    oracle, branches = trunk.oracle, list(trunk.walk())
    points = [point for one in branches for point in one.points]
    special = [(number, one) for number, branch in enumerate(branches) for one in branch.special]
    states = oracle.coarse(np.stack([point.vector for point in points]))
    fields = _fields(oracle, np.moveaxis(states, 1, 0), ("point",))
    fields["drawn"] = ("point", np.concatenate([one.drawn for one in branches]))
    fields["unstable"] = ("point", np.array([point.unstable for point in points]))
    values = np.stack([point.values for point in points])
    fields["growth_rate"] = (("point", "mode"), values.real)
    fields["angular_frequency"] = (("point", "mode"), values.imag)
    if special:
        states = oracle.coarse(np.stack([one.point.vector for _, one in special]))
        fields |= _fields(oracle, np.moveaxis(states, 1, 0), ("special",), "_special")
        modes = np.stack([branches[0].mode(one) for _, one in special])
        shapes = np.moveaxis(np.stack([modes.real, modes.imag], axis=1), 2, 0)
        fields |= _fields(oracle, shapes, ("special", "part"), "_mode")
        fields["special_drawn"] = ("special", np.array([trunk.functional(U) for U in states]))
        fields["special_frequency"] = (
            "special",
            np.array([one.angular_frequency for _, one in special]),
        )
    coords: dict[str, Any] = _places(oracle) | {
        trunk.name: ("point", np.concatenate([one.parameter for one in branches])),
        "branch": ("point", np.repeat(range(len(branches)), [len(b.points) for b in branches])),
    }
    if special:
        coords |= {
            "part": list(_PARTS),
            "kind": ("special", [one.kind for _, one in special]),
            f"special_{trunk.name}": ("special", np.array([one.parameter for _, one in special])),
            "special_branch": ("special", np.array([number for number, _ in special])),
        }
    attrs = {
        "task": "continue",
        "parameter": trunk.name,
        "functional": trunk.label,
        "reasons": "; ".join(one.reason for one in branches),
    }
    return xr.Dataset(fields, coords, facts_of(oracle) | attrs)


def past_dataset(past: Past) -> xr.Dataset:
    """States at earlier and earlier times.

    Args:
        past: the states.
    """
    fields = _fields(past.oracle, np.moveaxis(past.coarse, 1, 0), ("time",))
    places = _places(past.oracle) | {"time": past.times}
    return xr.Dataset(fields, places, facts_of(past.oracle) | {"task": "backward"})


def _fields(
    oracle: Oracle,
    values: NDArray[np.float64],
    dims: tuple[str, ...],
    suffix: str = "",
) -> dict[str, Any]:
    """Variables of every field; `values` begin with the field axis."""
    axes = _AXES[: oracle.scheme.grid.ndim]
    return {
        f"{name}{suffix}": ((*dims, *axes), one)
        for name, one in zip(oracle.names, values, strict=True)
    }


def _places(oracle: Oracle) -> dict[str, Any]:
    return dict(zip(_AXES, oracle.scheme.grid.centres, strict=False))


def facts_of(oracle: Oracle) -> dict[str, Any]:
    """What the scheme was, for the attributes of a dataset."""
    scheme = oracle.scheme
    return {
        "gpupatch_version": __version__,
        "scheme": scheme.kind,
        **scheme.result_facts(),
        "functional_of_fields": scheme.functional,
        "fields": list(oracle.names),
        "unknowns": oracle.n,
        "backend": scheme.backend_name,
    }

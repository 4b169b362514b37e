"""The C structures that kernels take by value, filled from the plans of the acts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.backends._device import Device
from gpupatch.backends._tables import (
    axis_tables,
    observation_tables,
    restriction_tables,
    ring_tables,
)
from gpupatch.burst import BurstPlan
from gpupatch.coupling import Coupling
from gpupatch.lifting import Lifting
from gpupatch.restriction import Restriction

Struct = NDArray[np.void]
"""A structure: an array without axes whose dtype is laid out as the compiler does."""

_POINTER, _LONG, _INT, _DOUBLE = np.uint64, np.int64, np.int32, np.float64


def _structure(**fields: Any) -> np.dtype:
    return np.dtype(list(fields.items()), align=True)


def _several(kind, *names: str) -> dict[str, Any]:
    return dict.fromkeys(names, kind)


MODEL = _structure(
    **_several(_POINTER, "s", "q", "e", "r"),
    **_several(_LONG, "s_step", "e_step", "q_step", "r_step", "n_member_patch", "first"),
    **_several(_LONG, "numbered", "first_patch"),
    **_several(np.uint32, "key0", "key1", "stream"),
)
LIFT_AXIS = _structure(
    **_several(_POINTER, "nodes", "weights"),
    **_several(_INT, "n_patch", "n_node", "n_site", "n_coarse"),
)
LIFT = _structure(
    **_several(_POINTER, "U", "rate"),
    axis=(LIFT_AXIS, 3),
    **_several(_LONG, "n_member_patch", "first"),
    n_field=_INT,
)
EDGE = _structure(
    mode=_INT,
    **_several(_POINTER, "ring", "write", "read"),
    n_ring=_INT,
    n_pair=(_INT, 3),
    **_several(_POINTER, "first", "speed"),
    **_several(_DOUBLE, "start", "scale"),
)
OBSERVE = _structure(
    **_several(_POINTER, "rows", "row_weights", "line", "wanted", "weights"),
    **_several(_INT, "n_row", "n_line", "n_out"),
)
CLOCK = _structure(t=_DOUBLE, dt=_DOUBLE, first=_LONG, count=_LONG)
MOMENT = _structure(**_several(_DOUBLE, "t", "dt"), **_several(_LONG, "step", "first", "numbered"))
TERMS = _structure(array=(_POINTER, 8), weight=(_DOUBLE, 8), count=_INT)
LAYOUT = _structure(
    **_several(_INT, "whole", "field", "scratch", "sums", "first", "speed", "bytes")
)
AXIS_COUPLING = _structure(
    **_several(_POINTER, "nodes", "weights", "members", "source"),
    **_several(_POINTER, "affine", "near", "inside", "given"),
    given_step=_LONG,
    **_several(_INT, "n_patch", "n_node", "n_layer", "n_inside"),
)
COUPLING = _structure(
    axis=(AXIS_COUPLING, 3),
    sites=(_INT, 3),
    **_several(_INT, "n_field", "n_edge"),
    edges=_POINTER,
    **_several(_LONG, "n_patch", "n_member_patch", "n_members", "row", "at"),
    **_several(_INT, "ahead", "n_time", "time"),
)


def filled(kind: np.dtype, **values: Any) -> Struct:
    """A structure with some members set and the others zero.

    Args:
        kind: its dtype.
        values: members by name.
    """
    struct = np.zeros((), dtype=kind)
    for name, value in values.items():
        struct[name] = value
    return struct


class Tables:
    """Arrays on a device that structures point to; they live as long as this object.

    Args:
        device: where they are.
    """

    def __init__(self, device: Device):
        self._device = device
        self._kept: list = []

    def pointer(self, array, dtype=None) -> int:
        """Where an array of the device, or a copy of a host array, lies; 0 for an empty array."""
        if self._device.holds(array):
            self._kept.append(array)
            return self._device.address(array)
        array = np.ascontiguousarray(array, dtype=dtype)
        if array.size == 0:
            return 0
        self._kept.append(self._device.put(array))
        return self._device.address(self._kept[-1])

    def renewed(self, arrays: Sequence[NDArray]) -> list[int]:
        """Where copies of arrays lie; copies of the same arrays made before are overwritten.

        Args:
            arrays: host arrays, of the same shapes and dtypes at every call.
        """
        if not self._kept:
            return [self.pointer(array) for array in arrays]
        filled = [array for array in arrays if array.size]
        for place, array in zip(self._kept, filled, strict=True):
            place[...] = self._device.put(array)
        addresses = iter([self._device.address(place) for place in self._kept])
        return [next(addresses) if array.size else 0 for array in arrays]

    def lift(self, lifting: Lifting, shape: tuple[int, ...]) -> Struct:
        """The structure `Lift`; coarse values are set for each launch.

        Args:
            lifting: the reconstruction.
            shape: of the extended coarse values.
        """
        struct = filled(LIFT, n_field=shape[1])
        struct["n_member_patch"] = np.prod([len(part.nodes) for part in lifting.axes])
        for axis in range(3):
            one = struct["axis"][axis]
            if axis < len(lifting.axes):
                part = lifting.axes[axis]
                nodes, weights, n_coarse = part.nodes, part.weights, shape[2 + axis]
            else:
                nodes, weights, n_coarse = np.zeros((1, 1)), np.ones((1, 1, 1)), 1
            one["nodes"], one["weights"] = self.pointer(nodes, np.int32), self.pointer(weights)
            one["n_patch"], one["n_site"], one["n_node"] = weights.shape
            one["n_coarse"] = n_coarse
        return struct

    def edges(self, sites: tuple[int, ...], edges: tuple[int, ...], n_field: int) -> Struct:
        """The structure `Edge` of frozen edges; mode, places and times are set for each launch."""
        ring, write, read = ring_tables(sites, edges, n_field)
        struct = filled(EDGE, n_ring=len(ring), scale=1.0)
        for name, places in (("ring", ring), ("write", write), ("read", read)):
            struct[name] = self.pointer(places, np.int32)
        size, ends = n_field * int(np.prod(sites)), np.zeros(3, dtype=np.int64)
        for axis, (e, n) in enumerate(zip(edges, sites, strict=True)):
            ends[axis:] += 2 * e * size // n
        struct["n_pair"] = ends
        return struct

    def observe(self, plan: BurstPlan, sites: tuple[int, ...]) -> Struct:
        """The structure `Observe` of a burst."""
        rows, row_weights, line, wanted = observation_tables(plan, sites)
        struct = self._restriction(rows, row_weights, line)
        struct["wanted"] = self.pointer(wanted, np.uint8)
        struct["weights"] = self.pointer(plan.weights, float)
        struct["n_out"] = plan.weights.shape[1]
        return struct

    def unobserved(self, n_steps: int) -> Struct:
        """The structure `Observe` of a burst that is not sampled."""
        return filled(OBSERVE, wanted=self.pointer(np.zeros(n_steps + 1), np.uint8))

    def restriction(self, restriction: Restriction, sites: tuple[int, ...]) -> Struct:
        """The structure `Observe` of a restriction alone."""
        return self._restriction(*restriction_tables(restriction, sites))

    def coupling(self, coupling: Coupling, n_members: int) -> Struct:
        """The structure `Coupling`; row, at and boundary values are set for each launch."""
        grid, n_field = coupling.grid, len(coupling.fields)
        missing = 3 - grid.ndim
        ring, _, _ = ring_tables(grid.n_sites, (grid.edges,) * grid.ndim, n_field)
        per_member = int(np.prod(grid.patches))
        struct = filled(
            COUPLING,
            sites=(*grid.n_sites, *(1,) * missing),
            n_field=n_field,
            n_edge=len(ring),
            edges=self.pointer(ring, np.int32),
            n_patch=n_members * per_member,
            n_member_patch=per_member,
            n_members=n_members,
        )
        for axis in range(3):
            struct["axis"][axis]["n_patch"] = 1
        for axis, table in enumerate(axis_tables(coupling, n_members)):
            _, members, nodes, weights, sites, affine, near, inside = table
            one = struct["axis"][axis]
            for name, array, kind in (
                ("nodes", nodes, np.int32),
                ("weights", weights, float),
                ("members", members, np.int32),
                ("source", sites[0], np.int32),
                ("affine", affine, float),
                ("near", near, float),
                ("inside", inside, np.int32),
            ):
                one[name] = self.pointer(array, kind)
            one["n_patch"], one["n_node"] = nodes.shape
            one["n_layer"], one["n_inside"] = grid.edges, inside.shape[1]
        return struct

    def _restriction(self, rows, row_weights, line) -> Struct:
        return filled(
            OBSERVE,
            rows=self.pointer(rows, np.int32),
            row_weights=self.pointer(row_weights, float),
            line=self.pointer(line, float),
            n_row=len(rows),
            n_line=len(line),
        )


def layout(
    row_bytes: int, itemsize: int, size: int, team: int, edge: Struct, scratch: int, *,
    whole: bool, field: bool,
) -> Struct:  # fmt: skip
    """Where things lie in the memory of one patch; the structure `Layout`.

    Args:
        row_bytes: of its row.
        itemsize: bytes of a value in the working precision.
        size: values of a state.
        team: threads of a team.
        edge: how its edges move.
        scratch: doubles that lifting needs.
        whole: whether lifted values are kept in float64.
        field: whether a flux, a source or amplitudes are evaluated.
    """
    entries: Sequence[tuple[str, int]] = (
        ("whole", 8 * size * whole),
        ("field", 8 * size * field),
        ("scratch", 8 * scratch),
        ("sums", 8 * team),
        ("first", itemsize * max(int(edge["n_ring"]), int(edge["n_pair"][2])) * bool(edge["mode"])),
        ("speed", itemsize * int(edge["n_ring"]) * (int(edge["mode"]) == 1)),
    )
    struct, end = filled(LAYOUT), _aligned(row_bytes)
    for name, length in entries:
        struct[name] = end
        end = _aligned(end + length)
    struct["bytes"] = end
    return struct


def _aligned(length: int) -> int:
    return -(-length // 16) * 16

# ruff: noqa: F821
# pyright: reportUndefinedVariable=false
"""Neighbour lists of one patch, as plain functions that Numba can compile.

Copied into each generated module like `_numba_particle_forces`. A list holds for every particle i
its neighbours j > i within cutoff and skin, in ascending order. What is known about it stands in
`notes`, at the places VALID, SHIFT, NEEDED.

Source: Allen and Tildesley (2017), sections 5.3.1 and 5.3.2 [AllenTildesley2017].
"""

import math

import numpy as np


def moved_too_far(x, n, listed_at, shift, box, notes):
    """Whether two particles can have come into the cutoff that the list does not know of.

    In a sheared box displacements are relative to the flow, which itself brings two particles
    closer by no more than the strain times their distance.
    """
    strain = 0.0
    if SHEARED:
        slid = shift - notes[SHIFT]
        strain = (slid - np.rint(slid / box[0]) * box[0]) / box[1]
    farthest = T(0.0)
    for i in range(n):
        s = T(0.0)
        for a in range(NDIM):
            d = x[a, i] - listed_at[a, i]
            if SHEARED and a == 0:
                d -= T(strain) * listed_at[1, i]
            s += d * d
        farthest = max(farthest, s)
    allowed = (SKIN - abs(strain) * (CUTOFF + SKIN)) / 2
    return allowed < 0.0 or farthest > allowed * allowed


def make_list(x, n, box, side, counts, lists, scratch, notes):
    """Find all neighbours, by cells where there are many particles."""
    n_x = cells_along(box[0], n, PERIODIC_X)
    n_y = cells_along(box[1], n, PERIODIC_Y) if NDIM > 1 else 1
    n_z = cells_along(box[2], n, PERIODIC_Z) if NDIM > 2 else 1
    many = n_x >= 4 and (n_y >= 4 or NDIM < 2) and (n_z >= 4 or NDIM < 3)
    notes[NEEDED] = 0.0
    if many and n >= CELLS_FROM and not SHEARED:
        list_by_cells(x, n, box, side, (n_x, n_y, n_z), counts, lists, scratch, notes)
    else:
        list_by_pairs(x, n, side, counts, lists, scratch, notes)


def cells_along(length, n, periodic):
    """Cells along one axis, at least as wide as cutoff and skin."""
    return int(length / (CUTOFF + SKIN)) if periodic else 1


def list_by_pairs(x, n, side, counts, lists, scratch, notes):
    """Look at all pairs: distances first, which vectorises, then those that are small."""
    reach, zero = T((CUTOFF + SKIN) * (CUTOFF + SKIN)), T(0.0)
    room = lists.shape[1]
    for i in range(n):
        xi = x[0, i]
        yi = x[1, i] if NDIM > 1 else zero
        zi = x[2, i] if NDIM > 2 else zero
        for j in range(i + 1, n):
            dx = xi - x[0, j]
            dy = yi - x[1, j] if NDIM > 1 else zero
            dz = zi - x[2, j] if NDIM > 2 else zero
            dx, dy, dz = nearest(dx, dy, dz, side)
            scratch[j] = dx * dx + dy * dy + dz * dz
        k = 0
        for j in range(i + 1, n):
            if scratch[j] < reach:
                if k < room:
                    lists[i, k] = j
                k += 1
        counts[i] = min(k, room)
        notes[NEEDED] = max(notes[NEEDED], float(k))


def list_by_cells(x, n, box, side, numbers, counts, lists, scratch, notes):
    """Look at the particles of the cell of each particle and of the cells around it."""
    n_x, n_y, n_z = numbers
    reach, zero = T((CUTOFF + SKIN) * (CUTOFF + SKIN)), T(0.0)
    room = lists.shape[1]
    first = np.full(n_x * n_y * n_z, -1, dtype=np.int32)
    following = np.empty(n, dtype=np.int32)
    place = np.empty((3, n), dtype=np.int32)
    for back in range(n):
        i = n - 1 - back
        place[0, i] = cell_along(x[0, i], box[0], n_x)
        place[1, i] = cell_along(x[1, i], box[1], n_y) if NDIM > 1 else 0
        place[2, i] = cell_along(x[2, i], box[2], n_z) if NDIM > 2 else 0
        cell = (place[2, i] * n_y + place[1, i]) * n_x + place[0, i]
        following[i] = first[cell]
        first[cell] = i
    far_y, far_z = 1 if NDIM > 1 else 0, 1 if NDIM > 2 else 0
    for i in range(n):
        k = 0
        for oz in range(-far_z, far_z + 1):
            for oy in range(-far_y, far_y + 1):
                for ox in range(-1, 2):
                    cx = (place[0, i] + ox) % n_x
                    cy = (place[1, i] + oy) % n_y
                    cz = (place[2, i] + oz) % n_z
                    j = first[(cz * n_y + cy) * n_x + cx]
                    while j >= 0:
                        if j > i:
                            dx = x[0, i] - x[0, j]
                            dy = x[1, i] - x[1, j] if NDIM > 1 else zero
                            dz = x[2, i] - x[2, j] if NDIM > 2 else zero
                            dx, dy, dz = nearest(dx, dy, dz, side)
                            if dx * dx + dy * dy + dz * dz < reach:
                                if k < room:
                                    at = k
                                    while at > 0 and lists[i, at - 1] > j:
                                        lists[i, at] = lists[i, at - 1]
                                        at -= 1
                                    lists[i, at] = j
                                k += 1
                        j = following[j]
        counts[i] = min(k, room)
        notes[NEEDED] = max(notes[NEEDED], float(k))


def cell_along(position, length, number):
    """The cell of a position along one axis, whatever its image; some cell if it is not finite."""
    turns = position / length
    turns -= math.floor(turns)
    return max(0, min(int(turns * number), number - 1))

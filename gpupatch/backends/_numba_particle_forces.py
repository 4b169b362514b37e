# ruff: noqa: F821
# pyright: reportUndefinedVariable=false
"""Forces on the particles of one patch, as plain functions that Numba can compile.

The text of these functions is copied into each generated module (see `_numba_particle_source`),
which defines what is undefined here: the constants in capitals, the precision `T`, and what is
printed from the potentials: `pair_row`, `pair_force`, `pair_both`, `bond_row`, `bond_both`,
`angle_both`, `field_both`. Arrays are [axis, particle]; a `side` is (box lengths, their inverses,
shift of the images).
"""

import math

import numpy as np


def side_of(box, shift):
    """Lengths of the box, their inverses, and the shift of the images of a sheared box."""
    lx = T(box[0])
    ly = T(box[1]) if NDIM > 1 else T(1.0)
    lz = T(box[2]) if NDIM > 2 else T(1.0)
    one = T(1.0)
    return lx, ly, lz, one / lx, one / ly, one / lz, T(shift)


def nearest(dx, dy, dz, side):
    """The separation of the nearest images."""
    lx, ly, lz, ix, iy, iz, shift = side
    if PERIODIC_Z:
        dz = dz - lz * np.rint(dz * iz)
    if PERIODIC_Y:
        images = np.rint(dy * iy)
        dy = dy - ly * images
        if SHEARED:
            dx = dx - shift * images
    if PERIODIC_X:
        dx = dx - lx * np.rint(dx * ix)
    return dx, dy, dz


def pairs_all(x, types, n, side, table, force):
    """Pair forces, every pair from both of its sides: no stores, so that it vectorises.

    The distance tells a particle from itself: two that coincide exert no force on each other.
    """
    row, zero, one, limit = pair_row(table, 0), T(0.0), T(1.0), T(CUTOFF2)
    for i in range(n):
        xi = x[0, i]
        yi = x[1, i] if NDIM > 1 else zero
        zi = x[2, i] if NDIM > 2 else zero
        fx, fy, fz = zero, zero, zero
        for j in range(n):
            dx = xi - x[0, j]
            dy = yi - x[1, j] if NDIM > 1 else zero
            dz = zi - x[2, j] if NDIM > 2 else zero
            dx, dy, dz = nearest(dx, dy, dz, side)
            s = dx * dx
            if NDIM > 1:
                s += dy * dy
            if NDIM > 2:
                s += dz * dz
            if N_TYPE > 1:
                row = pair_row(table, types[i] * N_TYPE + types[j])
            near = (s < limit) & (s > zero)
            g = pair_force(s if near else one, row)
            g = g if near else zero
            fx += g * dx
            if NDIM > 1:
                fy += g * dy
            if NDIM > 2:
                fz += g * dz
        force[0, i] = fx
        if NDIM > 1:
            force[1, i] = fy
        if NDIM > 2:
            force[2, i] = fz


def pairs_listed(x, types, n, side, table, counts, lists, force):
    """Pair forces by a list of the neighbours j > i of every particle, in ascending order.

    A particle receives its forces in the order of its partners, so that the sum does not depend on
    when the list was made.
    """
    row, zero, limit = pair_row(table, 0), T(0.0), T(CUTOFF2)
    for i in range(n):
        xi = x[0, i]
        yi = x[1, i] if NDIM > 1 else zero
        zi = x[2, i] if NDIM > 2 else zero
        fx, fy, fz = zero, zero, zero
        for k in range(counts[i]):
            j = lists[i, k]
            dx = xi - x[0, j]
            dy = yi - x[1, j] if NDIM > 1 else zero
            dz = zi - x[2, j] if NDIM > 2 else zero
            dx, dy, dz = nearest(dx, dy, dz, side)
            s = dx * dx
            if NDIM > 1:
                s += dy * dy
            if NDIM > 2:
                s += dz * dz
            if s < limit:
                if N_TYPE > 1:
                    row = pair_row(table, types[i] * N_TYPE + types[j])
                g = pair_force(s, row)
                fx += g * dx
                force[0, j] -= g * dx
                if NDIM > 1:
                    fy += g * dy
                    force[1, j] -= g * dy
                if NDIM > 2:
                    fz += g * dz
                    force[2, j] -= g * dz
        force[0, i] += fx
        if NDIM > 1:
            force[1, i] += fy
        if NDIM > 2:
            force[2, i] += fz


def pairs_measured(x, types, n, side, table, counts, lists, energy, virial):
    """Energy and virial of every particle; by the list if there is one.

    The forces are left to `pairs_all` and `pairs_listed`, so that a trajectory does not depend on
    when it is looked at.
    """
    zero, limit, half = T(0.0), T(CUTOFF2), T(0.5)
    for i in range(n):
        n_near = counts[i] if LISTED else n - i - 1
        for k in range(n_near):
            j = lists[i, k] if LISTED else i + 1 + k
            dx = x[0, i] - x[0, j]
            dy = x[1, i] - x[1, j] if NDIM > 1 else zero
            dz = x[2, i] - x[2, j] if NDIM > 2 else zero
            dx, dy, dz = nearest(dx, dy, dz, side)
            s = dx * dx
            if NDIM > 1:
                s += dy * dy
            if NDIM > 2:
                s += dz * dz
            if s < limit:
                row = pair_row(table, types[i] * N_TYPE + types[j] if N_TYPE > 1 else 0)
                V, g = pair_both(s, row)
                energy[i] += half * V
                energy[j] += half * V
                add_virial(virial, i, j, dx, dy, dz, g)


def add_virial(virial, i, j, dx, dy, dz, g):
    """Add half of the virial of the force g (dx, dy, dz) to each of two particles."""
    d, half = (dx, dy, dz), T(0.5)
    for a in range(NDIM):
        for b in range(NDIM):
            w = half * g * d[a] * d[b]
            virial[b * NDIM + a, i] += w
            virial[b * NDIM + a, j] += w


def bonds(x, side, ends, table, force, energy, virial, measured):
    """Forces of springs."""
    row, zero, half = bond_row(table, 0), T(0.0), T(0.5)
    for k in range(ends.shape[0]):
        i, j = ends[k, 0], ends[k, 1]
        dx = x[0, i] - x[0, j]
        dy = x[1, i] - x[1, j] if NDIM > 1 else zero
        dz = x[2, i] - x[2, j] if NDIM > 2 else zero
        dx, dy, dz = nearest(dx, dy, dz, side)
        V, g = bond_both(dx * dx + dy * dy + dz * dz, row)
        d = (dx, dy, dz)
        for a in range(NDIM):
            force[a, i] += g * d[a]
            force[a, j] -= g * d[a]
        if measured:
            energy[i] += half * V
            energy[j] += half * V
            add_virial(virial, i, j, dx, dy, dz, g)


def angles(x, side, triples, table, force, energy, virial, measured):
    """Forces of bending; the energy of an angle belongs to its middle."""
    zero = T(0.0)
    for t in range(triples.shape[0]):
        i, j, k = triples[t, 0], triples[t, 1], triples[t, 2]
        one = nearest(
            x[0, j] - x[0, i],
            x[1, j] - x[1, i] if NDIM > 1 else zero,
            x[2, j] - x[2, i] if NDIM > 2 else zero,
            side,
        )
        two = nearest(
            x[0, k] - x[0, j],
            x[1, k] - x[1, j] if NDIM > 1 else zero,
            x[2, k] - x[2, j] if NDIM > 2 else zero,
            side,
        )
        s1 = one[0] * one[0] + one[1] * one[1] + one[2] * one[2]
        s2 = two[0] * two[0] + two[1] * two[1] + two[2] * two[2]
        across = T(1.0) / math.sqrt(s1 * s2)
        c = (one[0] * two[0] + one[1] * two[1] + one[2] * two[2]) * across
        V, slope = angle_both(c, table[0])
        if measured:
            energy[j] += V
        for a in range(NDIM):
            first = slope * (two[a] * across - c * one[a] / s1)
            last = -slope * (one[a] * across - c * two[a] / s2)
            force[a, i] += first
            force[a, k] += last
            force[a, j] -= first + last
            if measured:
                for b in range(NDIM):
                    virial[b * NDIM + a, i] -= one[b] * first
                    virial[b * NDIM + a, k] += two[b] * last


def external(x, types, n, table, force, energy, measured):
    """Forces of the external field."""
    zero = T(0.0)
    for i in range(n):
        V, gx, gy, gz = field_both(
            x[0, i],
            x[1, i] if NDIM > 1 else zero,
            x[2, i] if NDIM > 2 else zero,
            table[types[i] if table.shape[0] > 1 else 0],
        )
        if measured:
            energy[i] += V
        force[0, i] -= gx
        if NDIM > 1:
            force[1, i] -= gy
        if NDIM > 2:
            force[2, i] -= gz


def forces(x, types, n, box, shift, tables, parts, search, force, energy, virial, measured):
    """All forces on the particles of a patch, and on demand energies and virials.

    A neighbour list that is out of date is made anew; `search` notes when it has no room.
    """
    pair_table, bond_table, angle_table, field_table = tables
    ends, triples = parts
    counts, lists, listed_at, scratch, notes = search
    side = side_of(box, shift)
    if LISTED:
        if notes[VALID] == 0.0 or moved_too_far(x, n, listed_at, shift, box, notes):
            make_list(x, n, box, side, counts, lists, scratch, notes)
            for a in range(NDIM):
                for i in range(n):
                    listed_at[a, i] = x[a, i]
            notes[VALID], notes[SHIFT] = 1.0, shift
        if notes[NEEDED] > lists.shape[1]:
            return
    for i in range(n):
        for a in range(NDIM):
            force[a, i] = T(0.0)
        if measured:
            energy[i] = T(0.0)
            for k in range(NDIM * NDIM):
                virial[k, i] = T(0.0)
    if HAS_PAIR:
        if LISTED:
            pairs_listed(x, types, n, side, pair_table, counts, lists, force)
        else:
            pairs_all(x, types, n, side, pair_table, force)
        if measured:
            pairs_measured(x, types, n, side, pair_table, counts, lists, energy, virial)
    if HAS_BONDS:
        bonds(x, side, ends, bond_table, force, energy, virial, measured)
    if HAS_ANGLES:
        angles(x, side, triples, angle_table, force, energy, virial, measured)
    if HAS_FIELD:
        external(x, types, n, field_table, force, energy, measured)

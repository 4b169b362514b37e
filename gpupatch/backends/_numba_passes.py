"""Passes that are the same for every rule, as plain functions that Numba can compile.

Their text is copied into a generated module (see `_numba_source`), named by its content, from which
those of the rules import. States are [patch, field x sites], rows of them [field x sites]; loops
are explicit because array expressions inside parallel functions take seconds to compile.
"""

import math

import numpy as np
from numba import int64, prange

FROZEN, MOVING, SAME_SLOPE = 0, 1, 2
"""What the edge sites of a patch do during a burst."""


def couple_axis(u, at, base, axis, given, when):
    """Overwrite the edges across one axis; see `gpupatch.coupling` for the formula.

    The sites of a line or plane are numbered by (field and axes before, axes after).
    """
    numbers, members, nodes, weights, sites, affine, near, inside = axis
    n_member, n_patch, stride, n_field = numbers[0], numbers[1], numbers[2], numbers[3]
    outer, inner, length = numbers[4], numbers[5], numbers[6]
    n_row, n_across = n_field * outer, n_member // n_patch
    n_segment = (n_patch + 63) // 64
    for index in prange(u.shape[0] // n_patch * n_segment):
        across, segment = int64(index) // n_segment, int64(index) % n_segment
        member, other = across // n_across, across % n_across
        start = (other // stride) * stride * n_patch + other % stride
        line = np.empty(n_row * inner)
        for along in range(64 * segment, min(64 * segment + 64, n_patch)):
            p = member * n_member + start + along * stride
            for turn in range(2):
                # The side on a face comes last: with three sites it is filled from the other edge.
                side = 1 - turn if inside.shape[1] > 0 and along == 0 else turn
                first = members[side, member] * n_member + start
                for layer in range(sites.shape[2]):
                    source = sites[0, side, layer] * inner
                    target = sites[1, side, layer] * inner
                    if inside.shape[1] > 0 and along == side * (n_patch - 1):
                        q = p
                        for f in range(n_field):
                            for o in range(outer):
                                for i in range(inner):
                                    corner = (f * outer + o) * length * inner + i
                                    c = given[when, side, f, other, o * inner + i]
                                    total = affine[side, f, layer] * c
                                    for k in range(inside.shape[1]):
                                        s = corner + inside[side, k] * inner
                                        value = u[q, at + s] + base[q, s]
                                        total += near[side, f, layer, k] * value
                                    s = corner + target
                                    u[p, at + s] = total - base[p, s]
                    elif inner * outer == 1:
                        for f in range(n_field):
                            s, total = f * length + source, 0.0
                            for k in range(nodes.shape[1]):
                                q = first + nodes[along, k] * stride
                                total += weights[side, along, k] * (u[q, at + s] + base[q, s])
                            s = f * length + target
                            u[p, at + s] = total - base[p, s]
                    else:
                        for i in range(n_row * inner):
                            line[i] = 0.0
                        for k in range(nodes.shape[1]):
                            q, weight = first + nodes[along, k] * stride, weights[side, along, k]
                            if inner == 1:
                                for row in range(n_row):
                                    s = row * length + source
                                    line[row] += weight * (u[q, at + s] + base[q, s])
                            else:
                                for row in range(n_row):
                                    for i in range(inner):
                                        s = row * length * inner + source + i
                                        value = u[q, at + s] + base[q, s]
                                        line[row * inner + i] += weight * value
                        for row in range(n_row):
                            for i in range(inner):
                                s = row * length * inner + target + i
                                u[p, at + s] = line[row * inner + i] - base[p, s]


def lift_patch(out, U, member, place, lift, chunk):
    """Fill one patch from extended coarse values, the last axis first; absent axes come before it.

    Every sum runs along whole lines of sites, which vectorises.
    """
    _, _, nodes_x, nodes_y, nodes_z, w_x, w_y, w_z, rows, planes = lift
    row, plane = rows[chunk], planes[chunk]
    n_y, n_z = nodes_y.shape[0], nodes_z.shape[0]
    j_x, j_y, j_z = place // (n_y * n_z), (place // n_z) % n_y, place % n_z
    sites_x, sites_y, sites_z = w_x.shape[2], w_y.shape[2], w_z.shape[2]
    size = sites_y * sites_z
    for f in range(U.shape[1]):
        for k_x in range(nodes_x.shape[1]):
            for k_y in range(nodes_y.shape[1]):
                for z in range(sites_z):
                    row[k_y, z] = 0.0
                for k_z in range(nodes_z.shape[1]):
                    node = U[member, f, nodes_x[j_x, k_x], nodes_y[j_y, k_y], nodes_z[j_z, k_z]]
                    for z in range(sites_z):
                        row[k_y, z] += w_z[j_z, k_z, z] * node
            for y in range(sites_y):
                first = y * sites_z
                for z in range(sites_z):
                    plane[k_x, first + z] = 0.0
                for k_y in range(nodes_y.shape[1]):
                    weight = w_y[j_y, k_y, y]
                    for z in range(sites_z):
                        plane[k_x, first + z] += weight * row[k_y, z]
        for x in range(sites_x):
            first = (f * sites_x + x) * size
            for i in range(size):
                out[first + i] = 0.0
            for k_x in range(nodes_x.shape[1]):
                weight = w_x[j_x, k_x, x]
                for i in range(size):
                    out[first + i] += weight * plane[k_x, i]


def weighted(y, at, base, with_base, start, rows, row_weights, line):
    """Weighted sum over the sites of one field of one patch, in float64."""
    total = 0.0
    for r in range(rows.size):
        part = 0.0
        first = start + rows[r]
        for i in range(line.size):
            part += line[i] * y[at + first + i]
        if with_base:
            for i in range(line.size):
                part += line[i] * base[first + i]
        total += row_weights[r] * part
    return total


def settle(w, at, mode, edge, t):
    """Set the edge sites of one patch that move in time, or keep their slope."""
    ring, write, read, first, speed, start, scale = edge
    if mode == MOVING:
        for i in range(ring.size):
            w[at + ring[i]] = first[ring[i]] + (t - start) * scale * speed[ring[i]]
    else:
        for i in range(write.size):
            w[at + write[i]] = w[at + read[i]] + first[i]


def philox(key, patch, place, step):
    """Four random 32-bit numbers; the same as `gpupatch.micro.noise.philox`."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    x0, x1 = (np.uint64(patch) + key[4]) & low, np.uint64(place) & low
    x2, x3 = (np.uint64(step) + key[3]) & low, key[2]
    k0, k1 = key[0], key[1]
    for _ in range(10):
        p0, p1 = x0 * np.uint64(0xD2511F53), x2 * np.uint64(0xCD9E8D57)
        x0, x1, x2, x3 = (p1 >> shift) ^ x1 ^ k0, p1 & low, (p0 >> shift) ^ x3 ^ k1, p0 & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return x0, x1, x2, x3


def normal(key, patch, place, step):
    """A standard normal number; see `gpupatch.micro.noise.normals`."""
    a, b, c, d = philox(key, patch, place, step)
    u1 = np.float64((a << np.uint64(21)) ^ (b >> np.uint64(11))) * 2.0**-53 + 2.0**-54
    u2 = np.float64((c << np.uint64(21)) ^ (d >> np.uint64(11))) * 2.0**-53
    return math.sqrt(-2.0 * math.log(u1)) * math.cos(2.0 * math.pi * u2)


def restrict_all(u, base, with_base, rows, row_weights, line, n_field, out):
    """Weighted means of every field of every patch, [patch, field]."""
    n = u.shape[1] // n_field
    for index in prange(u.shape[0]):
        p = int64(index)
        for f in range(n_field):
            b = base[p] if with_base else base[0]
            out[p, f] = weighted(u[p], 0, b, with_base, f * n, rows, row_weights, line)


def lift_all(out, lift, n_member):
    """Fill every patch of every member from extended coarse values."""
    n_chunk = lift[8].shape[0]
    for index in prange(n_chunk):
        chunk = int64(index)
        for p in range(out.shape[0] * chunk // n_chunk, out.shape[0] * (chunk + 1) // n_chunk):
            member = p // n_member
            lift_patch(out[p], lift[0], member, p - member * n_member, lift, chunk)

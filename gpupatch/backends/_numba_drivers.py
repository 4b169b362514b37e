# ruff: noqa: F821
# pyright: reportUndefinedVariable=false
"""Loops over patches and steps around the generated parts of a rule.

The text of these functions is copied into each generated module, which defines what is undefined
here: sizes in capitals, `run_row`, `pass_all`, `couple_all`, `couple_rates`, `rate_row`, `freeze`,
`amplitude_row` and `measure_row`.
"""

import numpy as np
from numba import int64, prange


def step_all(w, turn, base, tables, axes, given, when, n_member, t, dt):
    """One step of all patches, coupled before every rate evaluation."""
    for k in range(N_PASS):
        number = turn * N_PASS + k
        if SLOT[number] >= 0:
            at = SLOT[number] * N_FIELD * N_SITE
            couple_all(w, at, base, axes, given, (when + k) % given[0].shape[0])
        pass_all(number, w, base, tables, n_member, t + FRACTION[k] * dt)


def rate_all(u, base, tables, n_member, t, out):
    """Rates of all patches, times the step that the tables were made for."""
    s, q, e, r = tables
    for index in prange(u.shape[0]):
        p = int64(index)
        b = base[p] if SINGLE else base[0]
        row, member = p if s.shape[0] > 1 else 0, p // n_member
        exact = p if e.shape[0] > 1 else 0
        rate_row(u[p], int64(0), out[p], b, s[row], q[member], e[exact], r[member], t)


def kick(w, at, base, z, e, r, key, patch, step, t, dt):
    """Add the noise of one step to one patch, in place."""
    amplitude_row(w, at, base, z, e, r, t)
    root = np.sqrt(dt)
    for i in range(N_FIELD * N_SITE):
        if z[i] != 0.0:
            w[at + i] += T(root * z[i] * normal(key, patch, i, step))


def copy_edges(w, origin, to, ring):
    """Give the new state the edges of the old one, which amplitudes may read."""
    for i in range(ring.size):
        w[to + ring[i]] = w[origin + ring[i]]


def sample(out, p, weights, w, at, base, z, e, r, observe, t):
    """Add weighted restrictions of the state, or of a flux, of one patch."""
    rows, row_weights, line, _ = observe
    if MEASURES:
        measure_row(w, at, base, z, e, r, t)
    for f in range(N_FIELD):
        if MEASURES:
            value = weighted(z, 0, base, False, f * N_SITE, rows, row_weights, line)
        else:
            value = weighted(w, at, base, SINGLE, f * N_SITE, rows, row_weights, line)
        for k in range(weights.size):
            out[k, p, f] += weights[k] * value


def burst_patch(u, out, p, base, w, z, s, q, e, r, mode, edge, observe, weights, key, clock):
    """Run one patch whose state and base are in place; see `burst_all`."""
    t, dt, first_step, n_steps = clock
    size, wanted = N_FIELD * N_SITE, observe[3]
    for slot in range(1, N_SLOT):
        for i in range(size):
            w[slot * size + i] = w[i]
    if SINGLE:
        for i in range(size):
            w[BASE + i] = base[i]
        freeze(w, base, e, r, t + first_step * dt)
    turn, done = int64(0), 0
    if wanted[0]:
        sample(out, p, weights[0], w, turn, base, z, e, r, observe, t)
    while done < n_steps:
        count = 1
        while not NOISY and done + count < n_steps and not wanted[done + count]:
            count += 1
        first = first_step + done
        turn = run_row(w, turn, base, s, q, e, r, mode, edge, first, count, t, dt)
        done += count
        if NOISY:
            now = t + first * dt
            if N_TURN == 2:
                copy_edges(w, (1 - turn) * size, turn * size, edge[0])
            kick(w, turn * size, base, z, e, r, key, p, first, now, dt)
            if mode != FROZEN:
                settle(w, turn * size, mode, edge, now + dt)
        if wanted[done]:
            now = t + (first_step + done) * dt
            sample(out, p, weights[done], w, turn * size, base, z, e, r, observe, now)
    if not LIFTS:
        for i in range(size):
            u[p, i] = w[turn * size + i]


def burst_all(
    u, out, base, tables, lift, ring, edge_rate, mode, scale, observe, weights, key, n_member,
    start, clock, work,
):  # fmt: skip
    """Run every patch for one burst; lifted from coarse values, or from its state and in place."""
    s, q, e, r = tables
    edges, write, read = ring
    rows, places, wholes, firsts, speeds = work
    size, n_patch, n_chunk = N_FIELD * N_SITE, out.shape[1], rows.shape[0]
    for index in prange(n_chunk):
        chunk = int64(index)
        w, z, local = rows[chunk], places[chunk], wholes[chunk]
        first, speed = firsts[chunk], speeds[chunk]
        for p in range(n_patch * chunk // n_chunk, n_patch * (chunk + 1) // n_chunk):
            member = p // n_member
            if LIFTS:
                place = p - member * n_member
                if mode == MOVING:
                    lift_patch(local, lift[1], member, place, lift, chunk)
                    for i in range(size):
                        speed[i] = local[i]
                lift_patch(local, lift[0], member, place, lift, chunk)
                for i in range(size):
                    w[i] = 0.0 if SINGLE else local[i]
            else:
                for i in range(size):
                    w[i] = u[p, i]
                if SINGLE:
                    for i in range(size):
                        local[i] = base[p, i]
                if mode == MOVING:
                    for i in range(size):
                        speed[i] = edge_rate[p, i]
            if mode == MOVING:
                for i in range(size):
                    first[i] = w[i]
            elif mode == SAME_SLOPE:
                for i in range(write.size):
                    first[i] = w[write[i]] - w[read[i]]
            edge = (edges, write, read, first, speed, start, scale)
            row, exact = p if s.shape[0] > 1 else 0, p if e.shape[0] > 1 else 0
            burst_patch(
                u, out, p, local, w, z, s[row], q[member], e[exact], r[member], mode, edge,
                observe, weights, key, clock,
            )  # fmt: skip


def advance_all(u, w, z, ring, base, tables, axes, given, key, n_member, clock, finish):
    """Take coupled steps in place, the patches exchanging values before every rate evaluation."""
    _, _, e, r = tables
    t, dt, first_step, n_steps = clock
    size = N_FIELD * N_SITE
    for index in prange(u.shape[0]):
        p = int64(index)
        for i in range(size):
            w[p, i] = u[p, i]
        if SINGLE:
            for i in range(size):
                w[p, BASE + i] = base[p, i]
            freeze(w[p], base[p], e[p if e.shape[0] > 1 else 0], r[p // n_member], t)
    turn = int64(0)
    for step in range(n_steps):
        now = t + (first_step + step) * dt
        step_all(w, turn, base, tables, axes, given, step * N_PASS, n_member, now, dt)
        turn = (turn + 1) % N_TURN
        if NOISY:
            kick_all(w, turn, z, ring, base, tables, key, n_member, first_step + step, now, dt)
    if finish:
        couple_all(w, turn * size, base, axes, given, given[0].shape[0] - 1)
    for index in prange(u.shape[0]):
        p = int64(index)
        for i in range(size):
            u[p, i] = w[p, turn * size + i]


def kick_all(w, turn, z, ring, base, tables, key, n_member, step, t, dt):
    """Add the noise of one step to all patches."""
    _, _, e, r = tables
    at, edges = turn * N_FIELD * N_SITE, ring[0]
    for index in prange(w.shape[0]):
        p = int64(index)
        if N_TURN == 2:
            copy_edges(w[p], (1 - turn) * N_FIELD * N_SITE, at, edges)
        b = base[p] if SINGLE else base[0]
        exact = e[p if e.shape[0] > 1 else 0]
        kick(w[p], at, b, z[p], exact, r[p // n_member], key, p, step, t, dt)


def advance_blocks(
    u, slope, base, tables, axes, given, rate_given, lift, ring, observe, weights, key, n_member,
    clock, every, work,
):  # fmt: skip
    """Coupled steps in place with edges that move linearly between couplings."""
    t, dt, n_steps = clock
    out = np.empty((0, u.shape[0], 0))
    for first in range(0, n_steps, every):
        begin = t + first * dt
        when = (first // every) % given[0].shape[0]
        couple_all(u, int64(0), base, axes, given, when)
        rate_all(u, base, tables, n_member, begin, slope)
        couple_rates(slope, int64(0), base, axes, rate_given, when)
        burst_all(
            u, out, base, tables, lift, ring, slope, MOVING, 1.0 / dt, observe, weights, key,
            n_member, begin, (t, dt, first, every), work,
        )  # fmt: skip
    couple_all(u, int64(0), base, axes, given, given[0].shape[0] - 1)

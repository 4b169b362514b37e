# ruff: noqa: F821
# pyright: reportUndefinedVariable=false
"""Loops over patches and steps around the generated parts of a rule.

The text of these functions is copied into each generated module, which defines what is undefined
here: sizes in capitals, `stage_row`, `couple_all`, `couple_rates`, `rate_row`, `freeze`,
`amplitude_row` and `measure_row`.
"""

import numpy as np
from numba import prange


def step_row(w, turn, base, s, q, e, r, t, dt, edge):
    """One step of one patch on its own; the edges of the state are already set."""
    for call in range(N_CALL):
        now = t + FRACTION[call] * dt
        if call > 0 and SLOT[turn * N_CALL + call] >= 0:
            settle(w, SLOT[turn * N_CALL + call] * N_FIELD * N_SITE, edge, now)
        if REFRESHED:
            freeze(w, base, e, r, now)
        stage_row(turn * N_CALL + call, w, s, q, now)


def step_all(w, turn, base, tables, axes, given, when, n_member, t, dt):
    """One step of all patches, coupled before every rate evaluation."""
    s, q, e, r = tables
    for call in range(N_CALL):
        now = t + FRACTION[call] * dt
        if SLOT[turn * N_CALL + call] >= 0:
            at = SLOT[turn * N_CALL + call] * N_FIELD * N_SITE
            couple_all(w, at, base, axes, given, (when + call) % given[0].shape[0])
        for p in prange(w.shape[0]):
            row, member = p if s.shape[0] > 1 else 0, p // n_member
            if REFRESHED:
                freeze(w[p], base[p], e[p if e.shape[0] > 1 else 0], r[member], now)
            stage_row(turn * N_CALL + call, w[p], s[row], q[member], now)


def rate_all(u, base, tables, n_member, t, out):
    """Rates of all patches, times the step that the tables were made for."""
    s, q, e, r = tables
    for p in prange(u.shape[0]):
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


def sample(out, p, weights, w, at, base, z, e, r, observe, t):
    """Add weighted restrictions of the state, or of a flux, of one patch."""
    wanted = False
    for k in range(weights.size):
        wanted = wanted or weights[k] != 0.0
    if not wanted:
        return
    rows, row_weights, line = observe
    if MEASURES:
        measure_row(w, at, base, z, e, r, t)
    for f in range(N_FIELD):
        if MEASURES:
            value = weighted(z, 0, base, False, f * N_SITE, rows, row_weights, line)
        else:
            value = weighted(w, at, base, SINGLE, f * N_SITE, rows, row_weights, line)
        for k in range(weights.size):
            out[k, p, f] += weights[k] * value


def burst_patch(u, out, p, member, base, w, z, s, q, e, r, edge, observe, weights, key, clock):
    """Run one patch whose state and base are in place; see `burst_all`."""
    t, dt, first_step, n_steps, store = clock
    size = N_FIELD * N_SITE
    for slot in range(1, N_SLOT):
        for i in range(size):
            w[slot * size + i] = w[i]
    if SINGLE:
        for i in range(size):
            w[BASE + i] = base[i]
        freeze(w, base, e, r, t + first_step * dt)
    turn, at = int64(0), int64(0)
    if weights.shape[1] > 0:
        sample(out, p, weights[0], w, at, base, z, e, r, observe, t)
    for step in range(n_steps):
        now = t + (first_step + step) * dt
        step_row(w, turn, base, s, q, e, r, now, dt, edge)
        turn = (turn + 1) % N_TURN
        at = turn * size
        if NOISY:
            kick(w, at, base, z, e, r, key, p, first_step + step, now, dt)
        settle(w, at, edge, now + dt)
        if weights.shape[1] > 0:
            sample(out, p, weights[step + 1], w, at, base, z, e, r, observe, now + dt)
    if store:
        for i in range(size):
            u[p, i] = w[at + i]


def burst_all(
    u, out, base, tables, lift, ring, edge_rate, mode, scale, observe, weights, key, n_member,
    start, clock, n_chunk,
):  # fmt: skip
    """Run every patch for one burst; lifted from coarse values, or from its state and in place."""
    s, q, e, r = tables
    lifted, U, U_rate, nodes, lift_weights, n_patch = lift
    edges, write, read = ring
    size = N_FIELD * N_SITE
    for chunk in prange(n_chunk):
        w, z, local = np.zeros(ROW, dtype=T), np.zeros(size), np.zeros(size)
        first = np.zeros(max(size, write.size), dtype=T)
        speed = np.zeros(size, dtype=T)
        partial = np.empty((nodes[1].shape[1], nodes[2].shape[1]))
        plane = np.empty((nodes[2].shape[1], lift_weights[1].shape[2]))
        for p in range(n_patch * chunk // n_chunk, n_patch * (chunk + 1) // n_chunk):
            member = p // n_member
            place = p - member * n_member
            if lifted:
                if mode == 1:
                    lift_patch(local, U_rate, member, place, nodes, lift_weights, partial, plane)
                    for i in range(size):
                        speed[i] = local[i]
                lift_patch(local, U, member, place, nodes, lift_weights, partial, plane)
                for i in range(size):
                    w[i] = 0.0 if SINGLE else local[i]
            else:
                for i in range(size):
                    w[i] = u[p, i]
                if SINGLE:
                    for i in range(size):
                        local[i] = base[p, i]
                if mode == 1:
                    for i in range(size):
                        speed[i] = edge_rate[p, i]
            if mode == 1:
                for i in range(size):
                    first[i] = w[i]
            elif mode == 2:
                for i in range(write.size):
                    first[i] = w[write[i]] - w[read[i]]
            edge = (mode, edges, write, read, first, speed, start, scale)
            row, exact = p if s.shape[0] > 1 else 0, p if e.shape[0] > 1 else 0
            burst_patch(
                u, out, p, member, local, w, z, s[row], q[member], e[exact], r[member], edge,
                observe, weights, key, clock,
            )  # fmt: skip


def advance_all(u, w, base, tables, axes, given, key, n_member, clock, finish):
    """Take coupled steps in place, the patches exchanging values before every rate evaluation."""
    s, q, e, r = tables
    t, dt, first_step, n_steps = clock
    size = N_FIELD * N_SITE
    for p in prange(u.shape[0]):
        for i in range(size):
            w[p, i] = u[p, i]
        if SINGLE:
            for i in range(size):
                w[p, BASE + i] = base[p, i]
            freeze(w[p], base[p], e[p if e.shape[0] > 1 else 0], r[p // n_member], t)
    turn = int64(0)
    for step in range(n_steps):
        now = t + (first_step + step) * dt
        step_all(w, turn, base, tables, axes, given, step * N_CALL, n_member, now, dt)
        turn = (turn + 1) % N_TURN
        if NOISY:
            kick_all(w, turn * size, base, tables, key, n_member, first_step + step, now, dt)
    if finish:
        couple_all(w, turn * size, base, axes, given, given[0].shape[0] - 1)
    for p in prange(u.shape[0]):
        for i in range(size):
            u[p, i] = w[p, turn * size + i]


def kick_all(w, at, base, tables, key, n_member, step, t, dt):
    """Add the noise of one step to all patches."""
    s, q, e, r = tables
    for p in prange(w.shape[0]):
        z = np.zeros(N_FIELD * N_SITE)
        b = base[p] if SINGLE else base[0]
        exact = e[p if e.shape[0] > 1 else 0]
        kick(w[p], at, b, z, exact, r[p // n_member], key, p, step, t, dt)


def advance_blocks(
    u, slope, base, tables, axes, given, rate_given, lift, ring, observe, key, n_member,
    clock, every, n_chunk,
):  # fmt: skip
    """Coupled steps in place with edges that move linearly between couplings."""
    t, dt, n_steps = clock
    none, weights = np.empty((0, 1, 1)), np.empty((every + 1, 0))
    for first in range(0, n_steps, every):
        begin = t + first * dt
        when = (first // every) % given[0].shape[0]
        couple_all(u, int64(0), base, axes, given, when)
        rate_all(u, base, tables, n_member, begin, slope)
        couple_rates(slope, int64(0), base, axes, rate_given, when)
        burst_all(
            u, none, base, tables, lift, ring, slope, 1, 1.0 / dt, observe, weights, key, n_member,
            begin, (t, dt, first, every, True), n_chunk,
        )  # fmt: skip
    couple_all(u, int64(0), base, axes, given, given[0].shape[0] - 1)

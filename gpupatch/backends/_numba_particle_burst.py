# ruff: noqa: F821, RUF059
# pyright: reportUndefinedVariable=false
"""Bursts of all particle patches: loops over patches and steps, and what is read off meanwhile.

Copied into each generated module like `_numba_particle_forces`.
"""

import math

import numpy as np
from numba import int64, prange


def observe(seen, x, v, types, n, capacity, weights, core, work, mass, parts, bond_table, codes):
    """Observables of one patch, one after the other, as in the definition."""
    force, energy, virial = work
    width, axis, kernel = core
    at = 0
    for code in codes:
        if code == POTENTIAL:
            total = 0.0
            for i in range(n):
                total += float(energy[i])
            seen[at] = total
            at += 1
        elif code == KINETIC:
            seen[at] = twice_kinetic(v, types, mass, n) / 2
            at += 1
        elif code == MOMENTUM:
            for a in range(NDIM):
                total = 0.0
                for i in range(n):
                    total += float(mass[types[i]]) * float(v[a, i])
                seen[at] = total
                at += 1
        elif code == VIRIAL:
            for k in range(NDIM * NDIM):
                total = 0.0
                for i in range(n):
                    total += float(virial[k, i])
                seen[at] = total
                at += 1
        elif code == KINETIC_STRESS:
            for a in range(NDIM):
                for b in range(NDIM):
                    total = 0.0
                    for i in range(n):
                        total += float(mass[types[i]]) * float(v[a, i]) * float(v[b, i])
                    seen[at] = total
                    at += 1
        elif code == HEAT_FLUX:
            for a in range(NDIM):
                seen[at] = heat_along(a, v, types, n, energy, virial, mass)
                at += 1
        elif code == CROSSING:
            half, total = width / 2, 0.0
            for i in range(n):
                total += weights[i] * min(max(float(x[axis, i]), -half), half)
            seen[at] = total / width
            at += 1
        elif code == CORE_MASS:
            total = 0.0
            for i in range(n):
                place = float(x[axis, i]) / width
                if abs(place) < 0.5:
                    high = 1.0 + math.cos(2.0 * math.pi * place) if kernel == 1 else 1.0
                    total += weights[i] * high
            seen[at] = total / width
            at += 1
        elif code == BOND_FLUX:
            seen[at] = energy_along_bonds(x, v, capacity, width, parts[0], bond_table)
            at += 1
        elif code == CORE_ENERGY:
            total, count = 0.0, 0
            for i in range(capacity):
                if abs(i - (capacity - 1) / 2) < width / 2:
                    square = 0.0
                    for a in range(NDIM):
                        square += float(v[a, i]) * float(v[a, i])
                    total += float(energy[i]) + float(mass[types[i]]) * square / 2
                    count += 1
            seen[at] = total / count
            at += 1
        elif code == EXTENSION:
            for a in range(NDIM):
                seen[at] = float(x[a, n - 1]) - float(x[a, 0]) if n > 0 else 0.0
                at += 1


def heat_along(a, v, types, n, energy, virial, mass):
    """One component of the heat flux."""
    total = 0.0
    for i in range(n):
        square, through = 0.0, 0.0
        for b in range(NDIM):
            square += float(v[b, i]) * float(v[b, i])
            through += float(virial[a * NDIM + b, i]) * float(v[b, i])
        own = float(energy[i]) + float(mass[types[i]]) * square / 2
        total += own * float(v[a, i]) + through
    return total


def energy_along_bonds(x, v, capacity, width, ends, table):
    """Mean energy current through the bonds of the core of a chain."""
    total, count = 0.0, 0
    if HAS_BONDS:
        row = bond_row(table, 0)
        for k in range(ends.shape[0]):
            i, j = ends[k, 0], ends[k, 1]
            if j == i + 1 and abs((i + j) / 2 - (capacity - 1) / 2) < width / 2:
                d = x[0, i] - x[0, j]
                V, g = bond_both(d * d, row)
                total -= float(v[0, i] + v[0, j]) / 2 * float(g * d)
                count += 1
    return total / max(count, 1)


def run_patch(
    p, state, out, tables, parts, masses, key, search, work, rows, seen, plan, codes, core, patch
):
    """One burst of one patch on copies of its positions and velocities."""
    positions, velocities, types, counts, box, given, weights, memory = state
    dt, first, n_steps, wanted, sample_weights = plan
    x, v = rows
    force, energy, virial = work
    n, capacity, keep = counts[p], positions.shape[2], np.empty(1)
    keep[0] = memory[p]
    for a in range(NDIM):
        for i in range(n):
            x[a, i], v[a, i] = positions[p, a, i], velocities[p, a, i]
    notes = search[4]
    notes[:] = 0.0
    forces(x, types[p], n, box[p], keep[0], tables, parts, search, force, energy, virial,
           MEASURES_ALWAYS or wanted[0])  # fmt: skip
    for s in range(n_steps + 1):
        if LISTED and notes[NEEDED] > search[1].shape[1]:
            return notes[NEEDED]
        if wanted[s]:
            observe(seen, x, v, types[p], n, capacity, weights[p], core, work, masses[0], parts,
                    tables[1], codes)  # fmt: skip
            for q in range(sample_weights.shape[1]):
                for k in range(seen.shape[0]):
                    out[q, p, k] += sample_weights[s, q] * seen[k]
        if s == n_steps:
            break
        before(x, v, types[p], n, box[p], given[p], keep, work, masses, key, patch, first + s, dt)
        forces(x, types[p], n, box[p], keep[0], tables, parts, search, force, energy, virial,
               MEASURES_ALWAYS or wanted[s + 1])  # fmt: skip
        after(v, types[p], n, box[p], given[p], keep, work, masses, key, patch, first + s, dt)
    if LISTED and notes[NEEDED] > search[1].shape[1]:
        return notes[NEEDED]
    memory[p] = keep[0]
    for a in range(NDIM):
        for i in range(n):
            positions[p, a, i], velocities[p, a, i] = x[a, i], v[a, i]
    return 0.0


def burst_all(
    state, out, todo, needed, tables, parts, masses, key, room, plan, codes, core, n_chunk
):
    """Bursts of all patches that are still to be done; `needed` says where a list had no room."""
    capacity, n_todo = state[0].shape[2], todo.shape[0]
    for index in prange(n_chunk):
        chunk = int64(index)
        lists = np.empty((capacity if LISTED else 1, room), dtype=np.int32)
        search = (
            np.empty(capacity, dtype=np.int32), lists, np.empty((NDIM, capacity), dtype=DTYPE),
            np.empty(capacity, dtype=DTYPE), np.zeros(4),
        )  # fmt: skip
        work = (
            np.zeros((NDIM, capacity), dtype=DTYPE), np.zeros(capacity, dtype=DTYPE),
            np.zeros((NDIM * NDIM, capacity), dtype=DTYPE),
        )  # fmt: skip
        rows = (
            np.empty((NDIM, capacity), dtype=DTYPE), np.empty((NDIM, capacity), dtype=DTYPE),
        )  # fmt: skip
        seen = np.zeros(out.shape[2])
        for k in range(n_todo * chunk // n_chunk, n_todo * (chunk + 1) // n_chunk):
            p = todo[k]
            out[:, p] = 0.0
            needed[p] = run_patch(
                p, state, out, tables, parts, masses, key, search, work, rows, seen, plan, codes,
                core, p,
            )  # fmt: skip


def forces_all(state, out, tables, parts, n_chunk):
    """Forces on all particles, [patch, axis, particle], all pairs."""
    positions, velocities, types, counts, box, given, weights, memory = state
    capacity = positions.shape[2]
    for index in prange(n_chunk):
        chunk, n_patch = int64(index), positions.shape[0]
        lists = np.empty((capacity if LISTED else 1, capacity), dtype=np.int32)
        search = (
            np.empty(capacity, dtype=np.int32), lists, np.empty((NDIM, capacity), dtype=DTYPE),
            np.empty(capacity, dtype=DTYPE), np.zeros(4),
        )  # fmt: skip
        energy = np.zeros(capacity, dtype=DTYPE)
        virial = np.zeros((NDIM * NDIM, capacity), dtype=DTYPE)
        for p in range(n_patch * chunk // n_chunk, n_patch * (chunk + 1) // n_chunk):
            search[4][:] = 0.0
            forces(positions[p], types[p], counts[p], box[p], memory[p], tables, parts, search,
                   out[p], energy, virial, False)  # fmt: skip

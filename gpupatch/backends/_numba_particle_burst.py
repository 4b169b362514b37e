# ruff: noqa: F821, RUF059
# pyright: reportUndefinedVariable=false
"""Bursts of particle patches: the loops over patches and steps, and what is read off meanwhile.

Copied into each generated module like `_numba_particle_forces`.
"""

import math


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


def burst_some(
    state, out, pushed, todo, needed, tables, parts, masses, key, plan, codes, core, desk
):
    """Bursts of the patches that `todo` lists, one after the other, on copies of their particles.

    Args:
        state: arrays of the state of all patches.
        out: samples, [q, patch, component].
        pushed: forces at the end, [patch, axis, particle], or empty if nobody wants them.
        todo: the patches.
        needed: room that the neighbour list of a patch would have needed, 0 where it was enough;
            such a patch is left as it was.
        tables: numbers of pair, bonds, angles and field.
        parts: ends of bonds, triples of angles.
        masses: by type, and their inverses.
        key: seed, stream and first patch of the random numbers.
        plan: time step, number of the first step, steps, wanted steps, weights.
        codes: the observables.
        core: width, axis and kernel of the core.
        desk: room to work in, for one patch.
    """
    positions, velocities, types, counts, box, given, weights, memory = state
    dt, first, n_steps, wanted, sample_weights = plan
    search, x, v, work, seen, keep = desk
    force, energy, virial = work
    capacity, notes, room = positions.shape[2], search[4], search[1].shape[1]
    for p in todo:
        n = counts[p]
        keep[0], notes[VALID], notes[NEEDED] = memory[p], 0.0, 0.0
        for q in range(out.shape[0]):
            for k in range(out.shape[2]):
                out[q, p, k] = 0.0
        for a in range(NDIM):
            for i in range(n):
                x[a, i], v[a, i] = positions[p, a, i], velocities[p, a, i]
        for s in range(n_steps + 1):
            step = first + s - 1
            if s > 0:
                before(x, v, types[p], n, box[p], given[p], keep, work, masses, key, p, step, dt)
            forces(x, types[p], n, box[p], keep[0], tables, parts, search, force, energy, virial,
                   MEASURES_ALWAYS or wanted[s])  # fmt: skip
            if notes[NEEDED] > room:
                break
            if s > 0:
                after(v, types[p], n, box[p], given[p], keep, work, masses, key, p, step, dt)
            if wanted[s]:
                observe(seen, x, v, types[p], n, capacity, weights[p], core, work, masses[0],
                        parts, tables[1], codes)  # fmt: skip
                for q in range(sample_weights.shape[1]):
                    for k in range(seen.shape[0]):
                        out[q, p, k] += sample_weights[s, q] * seen[k]
        needed[p] = notes[NEEDED] if notes[NEEDED] > room else 0.0
        if needed[p] == 0.0:
            memory[p] = keep[0]
            for a in range(NDIM):
                for i in range(n):
                    positions[p, a, i], velocities[p, a, i] = x[a, i], v[a, i]
                    if pushed.shape[0] > 0:
                        pushed[p, a, i] = force[a, i]

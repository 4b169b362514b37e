# ruff: noqa: F821, SIM109
# pyright: reportUndefinedVariable=false
"""Micro-steps of the particles of one patch, as plain functions that Numba can compile.

Copied into each generated module like `_numba_particle_forces`; every operation as in the
definition, `_numpy_particles`. `given` holds what is imposed on the patch.
"""

import math

import numpy as np
from numba import int64


def random_words(key, particle, patch, step):
    """Four random 32-bit numbers; the same as `gpupatch.particles.noise.words`."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    x0, x1 = np.uint64(particle), (np.uint64(patch) + key[3]) & low
    x2, x3 = np.uint64(step) & low, key[2]
    k0, k1 = key[0], key[1]
    for _ in range(10):
        p0, p1 = x0 * np.uint64(0xD2511F53), x2 * np.uint64(0xCD9E8D57)
        x0, x1, x2, x3 = (p1 >> shift) ^ x1 ^ k0, p1 & low, (p0 >> shift) ^ x3 ^ k1, p0 & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return x0, x1, x2, x3


def uniform(word):
    """A 32-bit number as one of (0, 1)."""
    return (float(word) + 0.5) * 2.0**-32


def four_normals(key, particle, patch, step):
    """Four standard normal numbers; the same as `gpupatch.particles.noise.normals`."""
    a, b, c, d = random_words(key, particle, patch, step)
    turn = 2.0 * math.pi
    near = math.sqrt(-2.0 * math.log(uniform(a)))
    b_turn = turn * uniform(b)
    if NDIM < 3:
        return near * math.cos(b_turn), near * math.sin(b_turn), 0.0, 0.0
    far = math.sqrt(-2.0 * math.log(uniform(c)))
    d_turn = turn * uniform(d)
    return near * math.cos(b_turn), near * math.sin(b_turn), far * math.cos(d_turn), 0.0


def kick(v, force, types, inverse_mass, n, h):
    """V += h/2 F/m."""
    for a in range(NDIM):
        for i in range(n):
            v[a, i] += T(h / 2) * force[a, i] * inverse_mass[types[i]]


def drift(x, v, box, n, h):
    """X += h v."""
    for a in range(NDIM):
        for i in range(n):
            x[a, i] += T(h) * v[a, i]


def walls(x, v, box, n):
    """Reflect what has passed a wall at +-box/2."""
    for a in range(NDIM):
        if REFLECTING[a]:
            half = T(box[a] / 2)
            for i in range(n):
                if x[a, i] > half:
                    x[a, i] = half + half - x[a, i]
                    v[a, i] = -v[a, i]
                elif x[a, i] < -half:
                    x[a, i] = -half - half - x[a, i]
                    v[a, i] = -v[a, i]


def twice_kinetic(v, types, mass, n):
    """Sum m v^2."""
    total = 0.0
    for a in range(NDIM):
        for i in range(n):
            total += float(mass[types[i]]) * float(v[a, i]) * float(v[a, i])
    return total


def scale(v, types, mass, n, temperature):
    """Scale velocities to a temperature."""
    twice = twice_kinetic(v, types, mass, n)
    wanted = max(NDIM * (n - CONSERVED), 1) * temperature
    multiply(v, n, math.sqrt(wanted / (twice if twice > 0.0 else 1.0)))


def multiply(v, n, factor):
    """V *= factor."""
    for a in range(NDIM):
        for i in range(n):
            v[a, i] *= T(factor)


def bath(v, types, mass, n, given, keep, h):
    """Half a step of the bath of Nose and Hoover."""
    wanted = max(NDIM * (n - CONSERVED), 1) * given[0]
    inertia = wanted * (FIRST / (2.0 * math.pi)) ** 2
    keep[0] += h / 4 * (twice_kinetic(v, types, mass, n) - wanted) / inertia
    multiply(v, n, math.exp(-keep[0] * h / 2))
    keep[0] += h / 4 * (twice_kinetic(v, types, mass, n) - wanted) / inertia


def before(x, v, types, n, box, given, keep, work, masses, key, patch, step, h):
    """The part of a step up to the new positions."""
    force, energy, virial = work
    mass, inverse_mass = masses
    if DYNAMICS == BROWNIAN:
        spread = math.sqrt(2.0 * FIRST * given[0] * h)
        for i in range(n):
            xi = four_normals(key, i, patch, step)
            for a in range(NDIM):
                x[a, i] += T(h * FIRST) * force[a, i] + T(spread * xi[a])
        walls(x, v, box, n)
        return
    if DYNAMICS == HARD_RODS:
        move_rods(x, n, box, given, energy, key, patch, step, h)
        return
    if DYNAMICS == NOSE_HOOVER:
        bath(v, types, mass, n, given, keep, h)
    if DYNAMICS == HEAT_DRIVEN:
        drive(v, types, n, given, force, energy, virial, mass, h)
    else:
        kick(v, force, types, inverse_mass, n, h)
    if DYNAMICS == LANGEVIN:
        drift(x, v, box, n, h / 2)
        kept = math.exp(-FIRST * h)
        for i in range(n):
            xi = four_normals(key, i, patch, step)
            spread = math.sqrt((1.0 - kept * kept) * given[0] * float(inverse_mass[types[i]]))
            for a in range(NDIM):
                v[a, i] = T(kept) * v[a, i] + T(spread * xi[a])
        drift(x, v, box, n, h / 2)
    elif DYNAMICS == SHEARING:
        rate = given[1]
        for i in range(n):
            v[0, i] -= T(h / 2 * rate) * v[1, i]
            x[0, i] += T(h * rate) * (x[1, i] + T(h / 2) * v[1, i])
        drift(x, v, box, n, h)
        keep[0] += h * rate * box[1]
        keep[0] -= np.rint(keep[0] / box[0]) * box[0]
    else:
        drift(x, v, box, n, h)
    walls(x, v, box, n)


def after(v, types, n, box, given, keep, work, masses, key, patch, step, h):
    """The rest of a step, with the forces at the new positions."""
    force, energy, virial = work
    mass, inverse_mass = masses
    if DYNAMICS == BROWNIAN or DYNAMICS == HARD_RODS:
        return
    if DYNAMICS == SHEARING:
        for i in range(n):
            v[0, i] -= T(h / 2 * given[1]) * v[1, i]
    if DYNAMICS == HEAT_DRIVEN:
        drive(v, types, n, given, force, energy, virial, mass, h)
    else:
        kick(v, force, types, inverse_mass, n, h)
    if DYNAMICS == NOSE_HOOVER:
        bath(v, types, mass, n, given, keep, h)
    elif DYNAMICS == SHEARING or DYNAMICS == HEAT_DRIVEN:
        scale(v, types, mass, n, given[0])
    elif DYNAMICS == RESCALED:
        if (step + 1) % int64(FIRST) == 0:
            scale(v, types, mass, n, given[0])
    elif DYNAMICS == FLIPPING:
        odd = (1.0 - math.exp(-2.0 * FIRST * h)) / 2
        for i in range(n):
            if uniform(random_words(key, i, patch, step)[0]) < odd:
                for a in range(NDIM):
                    v[a, i] = -v[a, i]


def drive(v, types, n, given, force, energy, virial, mass, h):
    """Kick by the forces and by the field that drives a heat flow."""
    mean = np.zeros(3)
    for i in range(n):
        for a in range(NDIM):
            mean[a] += float(virial[a, i])
        mean[0] += float(energy[i])
    mean[0] += twice_kinetic(v, types, mass, n) / 2
    for i in range(n):
        square = T(0.0)
        for a in range(NDIM):
            square += v[a, i] * v[a, i]
        own = energy[i] + mass[types[i]] * square / T(2.0)
        for a in range(NDIM):
            push = virial[a, i] + (own if a == 0 else T(0.0)) - T(mean[a] / n)
            v[a, i] += T(h / 2) * (force[a, i] + T(given[1]) * push)


def move_rods(x, n, box, given, y, key, patch, step, h):
    """Move hard rods: free points that are put back in order."""
    length, spread = SECOND, math.sqrt(2.0 * FIRST * given[0] * h)
    middle = (n - 1) / 2
    free = box[0] - n * length
    turns = 0.0
    for i in range(n):
        moved = float(x[0, i]) - (i - middle) * length
        moved += spread * four_normals(key, i, patch, step)[0]
        if PERIODIC_X:
            turn = math.floor(moved / free)
            turns += turn
            moved -= turn * free
        elif REFLECTING[0]:
            moved += free / 2 + free
            moved -= math.floor(moved / (2 * free)) * 2 * free
            moved = abs(moved - free) - free / 2
        at = i
        while at > 0 and y[at - 1] > moved:
            y[at] = y[at - 1]
            at -= 1
        y[at] = moved
    shift = int(turns)
    for i in range(n):
        place = i + shift
        turn = place // n
        x[0, i] = T(y[place - turn * n] + free * turn + (i - middle) * length)

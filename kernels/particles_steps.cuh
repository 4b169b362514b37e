// One micro-step of every dynamics; see gpupatch.particles.dynamics.

__device__ __forceinline__ void kick(Particle& p, T by) {
#pragma unroll
  for (int a = 0; a < D; ++a) p.v[a] += by * p.f[a];
}

__device__ __forceinline__ void drift(Particle& p, T by) {
#pragma unroll
  for (int a = 0; a < D; ++a) p.x[a] += by * p.v[a];
}

// What is beyond a wall comes back from it.
__device__ __forceinline__ void reflect(Particle& p, const Box& box) {
#pragma unroll
  for (int a = 0; a < D; ++a)
    if (REFLECTING >> a & 1) {
      const T half = box.side[a] / T(2);
      if (fabs(p.x[a]) > half) {
        p.x[a] = (p.x[a] > T(0) ? T(2) * half : -T(2) * half) - p.x[a];
        p.v[a] = -p.v[a];
      }
    }
}

template <class Crowd>
__device__ double kinetic_energy(Crowd& c) {
  double twice = 0.0;
  c.look([&](int i, const Particle& p) {
    double square = 0.0;
#pragma unroll
    for (int a = 0; a < D; ++a) square += double(p.v[a]) * double(p.v[a]);
    twice += double(c.mass(i)) * square;
  });
  return c.team.sum(twice) / 2.0;
}

template <class Crowd>
__device__ void scale(Crowd& c, T by) {
  c.each([&](int, Particle& p) {
#pragma unroll
    for (int a = 0; a < D; ++a) p.v[a] *= by;
  });
}

// Scales velocities to the temperature.
template <class Crowd>
__device__ void rescale(Crowd& c) {
  const double twice = 2.0 * kinetic_energy(c);
  scale(c, T(sqrt(c.freedom * c.controls[0] / (twice > 0.0 ? twice : 1.0))));
}

// What comes before the forces of a step, and what after.
//
// newton        B A | B
// langevin      B A/2 O A/2 | B, a = exp(-friction h)
// brownian      A |, a: the mobility
// nose_hoover   N B A | B N, a: the period
// rescaled      B A | B, scaled
// flips         B A | B, signs; a: the probability of an odd number of flips

template <class Crowd>
__device__ __forceinline__ void half_kick(Crowd& c) {
  const T half = T(c.motion.h) / T(2);
  c.each([&](int i, Particle& p) { kick(p, half / c.mass(i)); });
}

template <class Crowd>
__device__ __forceinline__ void kick_and_drift(Crowd& c) {
  const T h = T(c.motion.h);
  c.move([&](int i, Particle& p) {
    kick(p, h / T(2) / c.mass(i));
    drift(p, h);
    reflect(p, c.box);
  });
}

template <class Crowd>
__device__ __forceinline__ void langevin(Crowd& c, int step) {
  const T half = T(c.motion.h) / T(2), kept = T(c.motion.a);
  const T heat = T((1.0 - c.motion.a * c.motion.a) * c.controls[0]);
  c.move([&](int i, Particle& p) {
    T xi[D];
    normals(xi, c.motion, c.number, i, step);
    const T spread = sqrt(heat / c.mass(i));
    kick(p, half / c.mass(i));
    drift(p, half);
#pragma unroll
    for (int a = 0; a < D; ++a) p.v[a] = kept * p.v[a] + spread * xi[a];
    drift(p, half);
    reflect(p, c.box);
  });
}

template <class Crowd>
__device__ __forceinline__ void brownian(Crowd& c, int step) {
  const T pace = T(c.motion.h * c.motion.a);
  const T spread = T(sqrt(2.0 * c.motion.a * c.controls[0] * c.motion.h));
  c.move([&](int i, Particle& p) {
    T xi[D];
    normals(xi, c.motion, c.number, i, step);
#pragma unroll
    for (int a = 0; a < D; ++a) p.x[a] += pace * p.f[a] + spread * xi[a];
    reflect(p, c.box);
  });
}

template <class Crowd>
__device__ __forceinline__ void bathe(Crowd& c) {
  const double wanted = c.freedom * c.controls[0], turn = c.motion.a / 6.283185307179586;
  const double rate = c.motion.h / 4.0 / (wanted * turn * turn);
  c.memory += rate * (2.0 * kinetic_energy(c) - wanted);
  scale(c, T(exp(-c.memory * c.motion.h / 2.0)));
  c.memory += rate * (2.0 * kinetic_energy(c) - wanted);
}

// The flow bends velocities by half a step, and carries particles along.
template <class Crowd>
__device__ __forceinline__ void shear(Crowd& c) {
  constexpr int UP = D > 1;
  const double rate = c.controls[1], side = double(c.box.side[0]);
  const T h = T(c.motion.h), bend = T(c.motion.h / 2.0 * rate), flow = T(c.motion.h * rate);
  c.memory += c.motion.h * rate * double(c.box.side[UP]);
  c.memory -= rint(c.memory / side) * side;
  c.box.shift = T(c.memory);
  c.move([&](int i, Particle& p) {
    kick(p, h / T(2) / c.mass(i));
    p.v[0] -= bend * p.v[UP];
    const T middle = p.x[UP] + h / T(2) * p.v[UP];
    drift(p, h);
    p.x[0] += flow * middle;
  });
}

template <class Crowd>
__device__ __forceinline__ void bend_and_kick(Crowd& c) {
  const T half = T(c.motion.h) / T(2), bend = T(c.motion.h / 2.0 * c.controls[1]);
  c.each([&](int i, Particle& p) {
    p.v[0] -= bend * p.v[D > 1];
    kick(p, half / c.mass(i));
  });
}

template <class Crowd>
__device__ __forceinline__ void flip(Crowd& c, int step) {
  c.each([&](int i, Particle& p) {
    uint32_t x[4];
    words(x, c.motion, c.number, i, step);
    if ((double(x[0]) + 0.5) * 0x1p-32 < c.motion.a) {
#pragma unroll
      for (int a = 0; a < D; ++a) p.v[a] = -p.v[a];
    }
  });
}

template <class Crowd>
__device__ __forceinline__ void before_forces(Crowd& c, int step) {
  if constexpr (DYNAMICS == LANGEVIN) {
    langevin(c, step);
  } else if constexpr (DYNAMICS == BROWNIAN) {
    brownian(c, step);
  } else if constexpr (DYNAMICS == HARD_RODS) {
    put_in_order(c, step);
  } else if constexpr (DYNAMICS == SHEARED) {
    shear(c);
  } else if constexpr (DYNAMICS == HEAT_DRIVEN) {
    drive(c);
  } else {
    if constexpr (DYNAMICS == NOSE_HOOVER) bathe(c);
    kick_and_drift(c);
  }
}

template <class Crowd>
__device__ __forceinline__ void find_forces(Crowd& c) {
  if constexpr (DYNAMICS == HEAT_DRIVEN) load_with_heat(c);
  else c.forces();
}

template <class Crowd>
__device__ __forceinline__ void after_forces(Crowd& c, int step) {
  if constexpr (DYNAMICS == BROWNIAN || DYNAMICS == HARD_RODS) {
    return;
  } else if constexpr (DYNAMICS == SHEARED) {
    bend_and_kick(c);
    rescale(c);
  } else if constexpr (DYNAMICS == HEAT_DRIVEN) {
    push_with_heat(c);
    rescale(c);
  } else {
    half_kick(c);
    if constexpr (DYNAMICS == NOSE_HOOVER) bathe(c);
    if constexpr (DYNAMICS == VELOCITY_FLIPS) flip(c, step);
    if constexpr (DYNAMICS == RESCALED)
      if ((c.motion.first + step + 1) % c.motion.every == 0) rescale(c);
  }
}


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

// B A B
template <class Crowd>
__device__ __forceinline__ void newton(Crowd& c, T h) {
  c.move([&](int i, Particle& p) {
    kick(p, h / T(2) / c.mass(i));
    drift(p, h);
    reflect(p, c.box);
  });
  c.forces([&](int i, Particle& p) { kick(p, h / T(2) / c.mass(i)); });
}

// B A/2 O A/2 B; a = exp(-friction h)
template <class Crowd>
__device__ __forceinline__ void langevin(Crowd& c, T h, int step) {
  const T kept = T(c.motion.a);
  const double heat = (1.0 - c.motion.a * c.motion.a) * c.controls[0];
  c.move([&](int i, Particle& p) {
    T xi[D];
    normals(xi, c.motion, c.number, i, step);
    const T spread = sqrt(T(heat) / c.mass(i));
    kick(p, h / T(2) / c.mass(i));
    drift(p, h / T(2));
#pragma unroll
    for (int a = 0; a < D; ++a) p.v[a] = kept * p.v[a] + spread * xi[a];
    drift(p, h / T(2));
    reflect(p, c.box);
  });
  c.forces([&](int i, Particle& p) { kick(p, h / T(2) / c.mass(i)); });
}

// a: the mobility
template <class Crowd>
__device__ __forceinline__ void brownian(Crowd& c, T h, int step) {
  const T pace = h * T(c.motion.a);
  const T spread = T(sqrt(2.0 * c.motion.a * c.controls[0] * c.motion.h));
  c.move([&](int i, Particle& p) {
    T xi[D];
    normals(xi, c.motion, c.number, i, step);
#pragma unroll
    for (int a = 0; a < D; ++a) p.x[a] += pace * p.f[a] + spread * xi[a];
    reflect(p, c.box);
  });
  c.forces([](int, Particle&) {});
}

// N; a: the period
template <class Crowd>
__device__ void bathe(Crowd& c, double h) {
  const double wanted = c.freedom * c.controls[0], turn = c.motion.a / 6.283185307179586;
  const double rate = h / 4.0 / (wanted * turn * turn);
  c.memory += rate * (2.0 * kinetic_energy(c) - wanted);
  scale(c, T(exp(-c.memory * h / 2.0)));
  c.memory += rate * (2.0 * kinetic_energy(c) - wanted);
}

template <class Crowd>
__device__ __forceinline__ void sheared(Crowd& c, T h) {
  constexpr int UP = D > 1;
  const double rate = c.controls[1];
  const T half = h / T(2), bend = T(c.motion.h / 2.0 * rate);
  c.memory += c.motion.h * rate * double(c.box.side[UP]);
  c.memory -= rint(c.memory / double(c.box.side[0])) * double(c.box.side[0]);
  c.box.shift = T(c.memory);
  c.move([&](int i, Particle& p) {
    kick(p, half / c.mass(i));
    p.v[0] -= bend * p.v[UP];
    const T middle = p.x[UP] + half * p.v[UP];
    drift(p, h);
    p.x[0] += T(c.motion.h * rate) * middle;
  });
  c.forces([&](int i, Particle& p) {
    p.v[0] -= bend * p.v[UP];
    kick(p, half / c.mass(i));
  });
  rescale(c);
}

// a: probability of an odd number of flips
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

// What steps need to know of the state that they begin with.
template <class Crowd>
__device__ __forceinline__ void begin(Crowd& c) {
  if constexpr (DYNAMICS == HEAT_DRIVEN) load_with_heat(c);
  else c.forces([](int, Particle&) {});
}

template <class Crowd>
__device__ __forceinline__ void take_step(Crowd& c, int step) {
  const T h = T(c.motion.h);
  if constexpr (DYNAMICS == NEWTON) {
    newton(c, h);
  } else if constexpr (DYNAMICS == LANGEVIN) {
    langevin(c, h, step);
  } else if constexpr (DYNAMICS == BROWNIAN) {
    brownian(c, h, step);
  } else if constexpr (DYNAMICS == NOSE_HOOVER) {
    bathe(c, c.motion.h);
    newton(c, h);
    bathe(c, c.motion.h);
  } else if constexpr (DYNAMICS == RESCALED) {
    newton(c, h);
    if ((c.motion.first + step + 1) % c.motion.every == 0) rescale(c);
  } else if constexpr (DYNAMICS == SHEARED) {
    sheared(c, h);
  } else if constexpr (DYNAMICS == VELOCITY_FLIPS) {
    newton(c, h);
    flip(c, step);
  } else if constexpr (DYNAMICS == HARD_RODS) {
    put_in_order(c, step);
  } else {
    drive(c, h);
  }
}


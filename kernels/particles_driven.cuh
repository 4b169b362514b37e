// A heat flow driven by a field: every particle is pushed along x by the heat that it carries,
//
//   push_a = e delta_xa + 1/2 sum_j x_ij F_ij,a        less the mean over all particles
//
// `push` holds it without the kinetic energy.

template <class Crowd>
__device__ void load_with_heat(Crowd& c) {
  T numbers[PAIR_NUMBERS + 1];
#pragma unroll
  for (int k = 0; k < PAIR_NUMBERS; ++k) numbers[k] = c.medium.pair[k];
  c.each([&](int i, Particle& p) {
    T f[D] = {}, push[D] = {};
    const int kind = c.type(i, PAIR_TYPES);
    c.around(i, [&](const Site& other, bool apart) {
      T d[D], energy, g;
#pragma unroll
      for (int a = 0; a < D; ++a) d[a] = p.x[a] - other.x[a];
      nearest(d, c.box);
      const T s = square(d);
      if (s < c.cut_square && apart) {
        pair_both(s, PAIR_TYPES > 1 ? c.between(kind, kind_of(other)) : numbers, energy, g);
        push[0] += energy / T(2);
#pragma unroll
        for (int a = 0; a < D; ++a) {
          f[a] += g * d[a];
          push[a] += d[0] * g * d[a] / T(2);
        }
      }
    });
#pragma unroll
    for (int a = 0; a < D; ++a) {
      p.f[a] = f[a];
      c.push[a * c.capacity + i] = push[a];
    }
  });
}

template <class Crowd>
__device__ void push_with_heat(Crowd& c) {
  const T by = T(c.motion.h) / T(2);
  double mean[D] = {};
  c.look([&](int i, const Particle& p) {
    mean[0] += double(square(p.v)) / 2.0;
#pragma unroll
    for (int a = 0; a < D; ++a) mean[a] += double(c.push[a * c.capacity + i]);
  });
#pragma unroll
  for (int a = 0; a < D; ++a) mean[a] = c.team.sum(mean[a]) / (c.n > 0 ? c.n : 1);
  const T field = T(c.controls[1]);
  c.each([&](int i, Particle& p) {
    const T energy = square(p.v) / T(2);
#pragma unroll
    for (int a = 0; a < D; ++a) {
      const T push = c.push[a * c.capacity + i] + (a == 0 ? energy : T(0)) - T(mean[a]);
      p.v[a] += by * (p.f[a] + push * field);
    }
  });
}

template <class Crowd>
__device__ void drive(Crowd& c) {
  push_with_heat(c);
  c.move([&](int, Particle& p) { drift(p, T(c.motion.h)); });
}


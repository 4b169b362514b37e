// Bonds, angles and the field: the force on one particle is gathered from all that it takes part in,
// so that no two threads add to the same place.

// g of a pair that is near; computed for all and then chosen, since lanes of a warp seldom agree.
__device__ __forceinline__ T chosen(bool near, T s, const T* numbers) {
  const T g = pair_force(s, numbers);
  return near ? g : T(0);
}

// Adds to f what acts on particle i beside pairs; with `sums`, its energy and virial as well.
template <class Crowd>
__device__ void pull_bonded(const Crowd& crowd, int i, const T* x, T* f, T* energy, T* virial) {
  const Medium& medium = crowd.medium;
  if (BONDS)
    for (int k = medium.bond_first[i]; k < medium.bond_first[i + 1]; ++k) {
      T d[D], e = 0, g;
      const Site other = crowd.site(medium.bond_to[k]);
#pragma unroll
      for (int a = 0; a < D; ++a) d[a] = x[a] - other.x[a];
      nearest(d, crowd.box);
      if (energy) bond_both(square(d), medium.bond, e, g);
      else g = bond_force(square(d), medium.bond);
#pragma unroll
      for (int a = 0; a < D; ++a) f[a] += g * d[a];
      if (energy) {
        *energy += e / T(2);
#pragma unroll
        for (int b = 0; b < D; ++b)
#pragma unroll
          for (int a = 0; a < D; ++a) virial[b * D + a] += d[b] * g * d[a] / T(2);
      }
    }
  if (ANGLES)
    for (int k = medium.angle_first[i]; k < medium.angle_first[i + 1]; ++k) {
      const int* of = medium.angle_of + 4 * k;
      const Site first = crowd.site(of[0]), middle = crowd.site(of[1]), last = crowd.site(of[2]);
      T one[D], two[D], c = 0;
#pragma unroll
      for (int a = 0; a < D; ++a) {
        one[a] = middle.x[a] - first.x[a];
        two[a] = last.x[a] - middle.x[a];
      }
      nearest(one, crowd.box);
      nearest(two, crowd.box);
      const T s1 = square(one), s2 = square(two), over = T(1) / sqrt(s1 * s2);
#pragma unroll
      for (int a = 0; a < D; ++a) c += one[a] * two[a];
      c *= over;
      T e, slope;
      angle_both(c, medium.angle, e, slope);
      const int part = of[3];
#pragma unroll
      for (int a = 0; a < D; ++a) {
        const T begin = slope * (two[a] * over - c * one[a] / s1);
        const T end = -slope * (one[a] * over - c * two[a] / s2);
        f[a] += part == 0 ? begin : part == 1 ? -begin - end : end;
        if (energy && part != 1)
#pragma unroll
          for (int b = 0; b < D; ++b)
            virial[b * D + a] += part == 0 ? -one[b] * begin : two[b] * end;
      }
      if (energy && part == 1) *energy += e;
    }
  if (FIELD) {
    T e, slope[D];
    field_both(x, medium.field + crowd.type(i, FIELD_TYPES) * FIELD_NUMBERS, e, slope);
#pragma unroll
    for (int a = 0; a < D; ++a) f[a] -= slope[a];
    if (energy) *energy += e;
  }
}


// What is read off a patch: sums over its particles in float64, weighted into the samples.

struct Observe {
  const unsigned char* wanted;  // [n_steps + 1]
  const double* weights;        // [n_steps + 1, n_out]
  double* out;                  // [out, patch, component]
  int n_out, n_component;
  int at[OBSERVABLES];          // first component of an observable; -1 if it is not wanted
  double width;                 // of the core
  int axis, cosine;             // across which it is cut out; shape of its kernel

  __device__ bool any(int one, int two, int three, int four) const {
    return at[one] >= 0 || at[two] >= 0 || at[three] >= 0 || at[four] >= 0;
  }
};

// Where the samples of a patch at a step go.
struct Sample {
  const Observe& observe;
  const Team& team;
  int64_t patch, n_patch;
  int step;

  __device__ void add(int observable, int component, double value) const {
    if (observe.at[observable] < 0) return;
    const double total = team.sum(value);
    const int c = observe.at[observable] + component;
#pragma unroll 1
    for (int q = team.rank; q < observe.n_out; q += TEAM)
      observe.out[(q * n_patch + patch) * observe.n_component + c] +=
          observe.weights[int64_t(step) * observe.n_out + q] * total;
  }
};

// Energy of a particle, pairs and bonds halved, and W = 1/2 sum x_ij F_ij, [axis of x, axis of F].
template <class Crowd>
__device__ __forceinline__ void act_on(const Crowd& c, int i, const Particle& p, T& energy,
                                       T* virial) {
  const int kind = c.type(i, PAIR_TYPES);
  if (PAIR)
    c.around(i, [&](const Site& other, bool apart) {
      T d[D], e, g;
#pragma unroll
      for (int a = 0; a < D; ++a) d[a] = p.x[a] - other.x[a];
      nearest(d, c.box);
      const T s = square(d);
      if (s < c.cut_square && apart) {
        pair_both(s, c.between(kind, kind_of(other)), e, g);
        energy += e / T(2);
#pragma unroll
        for (int b = 0; b < D; ++b)
#pragma unroll
          for (int a = 0; a < D; ++a) virial[b * D + a] += d[b] * g * d[a] / T(2);
      }
    });
  T f[D] = {};
  pull_bonded(c, i, p.x, f, &energy, virial);
}

template <class Crowd>
__device__ void observe_forces(Crowd& c, const Sample& sample) {
  const Observe& observe = sample.observe;
  const double half = observe.width / 2.0, centre = (c.capacity - 1) / 2.0;
  double potential = 0.0, core = 0.0, virials[D * D] = {}, heat[D] = {};
  c.survey([&](int i, const Particle& p) {
    T energy = 0, virial[D * D] = {};
    act_on(c, i, p, energy, virial);
    double own = double(c.mass(i)) * double(square(p.v)) / 2.0 + double(energy);
    potential += double(energy);
    if (fabs(i - centre) < half) core += own;
#pragma unroll
    for (int b = 0; b < D; ++b) {
      heat[b] += own * double(p.v[b]);
#pragma unroll
      for (int a = 0; a < D; ++a) {
        virials[b * D + a] += double(virial[b * D + a]);
        heat[b] += double(virial[b * D + a]) * double(p.v[a]);
      }
    }
  });
  int inside = 0;
#pragma unroll 1
  for (int i = 0; i < c.capacity; ++i) inside += fabs(i - centre) < half;
  sample.add(POTENTIAL, 0, potential);
  sample.add(CORE_ENERGY, 0, core / inside);
#pragma unroll
  for (int b = 0; b < D; ++b) sample.add(HEAT_FLUX, b, heat[b]);
#pragma unroll
  for (int k = 0; k < D * D; ++k) sample.add(VIRIAL, k, virials[k]);
}

template <class Crowd>
__device__ void observe_motion(Crowd& c, const Sample& sample) {
  double twice = 0.0, momentum[D] = {}, stress[D * D] = {};
  c.survey([&](int i, const Particle& p) {
    const double mass = c.mass(i);
#pragma unroll
    for (int b = 0; b < D; ++b) {
      const double share = mass * double(p.v[b]);
      momentum[b] += share;
      twice += share * double(p.v[b]);
#pragma unroll
      for (int a = 0; a < D; ++a) stress[b * D + a] += share * double(p.v[a]);
    }
  });
  sample.add(KINETIC, 0, twice / 2.0);
#pragma unroll
  for (int b = 0; b < D; ++b) sample.add(MOMENTUM, b, momentum[b]);
#pragma unroll
  for (int k = 0; k < D * D; ++k) sample.add(KINETIC_STRESS, k, stress[k]);
}

template <class Crowd>
__device__ void observe_core(Crowd& c, const Sample& sample) {
  const Observe& observe = sample.observe;
  const double width = observe.width, half = width / 2.0;
  double crossing = 0.0, mass = 0.0;
#pragma unroll 1
  for (int i = c.team.rank; i < c.n; i += TEAM) {
    const double x = double(c.x[observe.axis * c.capacity + i]);
    crossing += c.weights[i] * fmin(fmax(x, -half), half) / width;
    if (fabs(x) < half) mass += c.weights[i] * (observe.cosine ? 1.0 + cospi(2.0 * x / width) : 1.0);
  }
  sample.add(CROSSING, 0, crossing);
  sample.add(CORE_MASS, 0, mass / width);
}

// Energy that goes along a chain, and how far it is stretched.
template <class Crowd>
__device__ void observe_chain(Crowd& c, const Sample& sample) {
  const Observe& observe = sample.observe;
  if (BONDS && observe.at[BOND_FLUX] >= 0) {
    double flux = 0.0, inside = 0.0;
#pragma unroll 1
    for (int k = c.team.rank; k < c.medium.n_bond; k += TEAM) {
      const int i = c.medium.bonds[2 * k], j = c.medium.bonds[2 * k + 1];
      const double middle = (i + j) / 2.0 - (c.capacity - 1) / 2.0;
      if (fabs(middle) < observe.width / 2.0 && j == i + 1) {
        const T d = c.x[i] - c.x[j];
        const double force = double(bond_force(d * d, c.medium.bond) * d);
        flux -= (double(c.v[i]) + double(c.v[j])) / 2.0 * force;
        inside += 1.0;
      }
    }
    const double all = c.team.sum(inside);
    sample.add(BOND_FLUX, 0, flux / all);
  }
#pragma unroll
  for (int a = 0; a < D; ++a) {
    const T* x = c.x + a * c.capacity;
    sample.add(EXTENSION, a, c.team.rank == 0 ? double(x[c.n > 0 ? c.n - 1 : 0]) - double(x[0]) : 0.0);
  }
}

template <class Crowd>
__device__ void observe_all(Crowd& c, const Sample& sample) {
  const Observe& observe = sample.observe;
  c.rest();
  if (observe.any(POTENTIAL, VIRIAL, HEAT_FLUX, CORE_ENERGY)) observe_forces(c, sample);
  if (observe.any(KINETIC, MOMENTUM, KINETIC_STRESS, KINETIC)) observe_motion(c, sample);
  if (observe.any(CROSSING, CORE_MASS, CROSSING, CROSSING)) observe_core(c, sample);
  if (observe.any(BOND_FLUX, EXTENSION, BOND_FLUX, BOND_FLUX)) observe_chain(c, sample);
  c.resume();
}


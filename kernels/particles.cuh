// The particles of one patch: what is known of them, nearest images, random numbers, sums.
//
// The generated text before this file defines the type T, the sizes in capitals and `Site`, what
// neighbours see of a particle; the text after it the functions pair_*, bond_*, angle_*, field_* of
// the model.

// All particles of a batch of patches.
struct Particles {
  T* x;                     // positions, not wrapped into the box, [patch, axis, capacity]
  T* v;                     // velocities, likewise
  T* f;                     // forces, likewise
  T* push;                  // of heat-driven dynamics, likewise
  const int* types;         // [patch, capacity]
  const int* counts;        // [patch]
  const double* box;        // edge lengths, [patch, axis]
  const double* controls;   // [patch, N_CONTROL]
  const double* weights;    // [patch, capacity]
  const double* freedom;    // degrees of freedom, [patch]
  double* memory;           // friction of the bath or shift of the images, [patch]
  int64_t n_patch;
  int64_t first;            // number, in the whole batch, of the first of them
  int capacity;
};

// What acts on them. Bonds and angles are listed for every particle that takes part in them.
struct Medium {
  const T* pair;            // [type x type, PAIR_NUMBERS]
  const T* bond;            // [BOND_NUMBERS]
  const T* angle;           // [ANGLE_NUMBERS]
  const T* field;           // [type, FIELD_NUMBERS]
  const T* masses;          // [type]
  const int* bond_first;    // [capacity + 1]
  const int* bond_to;       // the other end
  const int* angle_first;   // [capacity + 1]
  const int* angle_of;      // i, j, k and which of them the particle is, [., 4]
  const int* bonds;         // [bond, 2]
  int n_bond;
  double cutoff;
};

// When and how they move.
struct Motion {
  double h;                 // micro time step
  double a, b;              // numbers of the dynamics
  int every;                // steps between two scalings of the velocities
  int64_t first;            // number, in the run, of the first step
  int count;                // steps
  uint32_t key0, key1, stream;
  uint32_t first_patch;     // number, in the run, of patch 0 of the batch
};

// Memory of each block, and of neighbour lists.
struct Room {
  unsigned char* memory;
  int64_t bytes;            // of a block
  int64_t sites, counts, entries, since;  // where they begin
  int width;                // neighbours of a particle for which there is room
  int* needed;              // the most that one particle had, if that was more
  double reach, skin;       // cutoff and skin together; skin

  __device__ unsigned char* mine(int64_t at) const { return memory + blockIdx.x * bytes + at; }
};

struct Particle {
  T x[D], v[D], f[D];
};

struct Box {
  T side[D], over[D];       // edge lengths and their inverses
  T shift;                  // of the image above, along x
};

// Threads that advance one patch: a warp of a block, or a whole block.
struct Team {
  int rank;
  double* sums;             // of a block: one number per warp

  __device__ void sync() const {
    if (TEAM > 32) __syncthreads();
    else __syncwarp();
  }

  // The sum of the values of all threads, the same bits for each of them and in every run.
  __device__ double sum(double value) const {
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2)
      value += __shfl_xor_sync(0xffffffffu, value, apart);
    if (TEAM > 32) {
      __syncthreads();
      if (rank % 32 == 0) sums[rank / 32] = value;
      __syncthreads();
      value = sums[0];
#pragma unroll
      for (int warp = 1; warp < TEAM / 32; ++warp) value += sums[warp];
    }
    return value;
  }

  __device__ bool any(bool vote) const { return sum(vote ? 1.0 : 0.0) > 0.0; }
};

#if defined(__CUDACC__)
__device__ __forceinline__ float reciprocal(float s) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(s));
  return r;
}
// Two of Newton's steps double the bits of the first guess twice.
__device__ __forceinline__ double reciprocal(double s) {
  double r;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(r) : "d"(s));
  r = fma(fma(-s, r, 1.0), r, r);
  return fma(fma(-s, r, 1.0), r, r);
}
// A pointer of which the compiler knows nothing more: it does not prepare, before the loop over
// steps, the addresses of all that lies at constant distances from it.
__device__ __forceinline__ T* opaque(T* array) {
  asm volatile("" : "+l"(array));
  return array;
}
#else
inline T* opaque(T* array) { return array; }
inline float reciprocal(float s) { return 1.0f / s; }
inline double reciprocal(double s) { return 1.0 / s; }
#endif

// The nearest whole number: adding 1.5 x 2^p leaves no digits behind the point.
__device__ __forceinline__ float whole(float y) { return (y + 12582912.0f) - 12582912.0f; }
__device__ __forceinline__ double whole(double y) {
  return (y + 6755399441055744.0) - 6755399441055744.0;
}

// A difference of positions becomes that of the nearest images.
__device__ __forceinline__ void nearest(T* d, const Box& box) {
#pragma unroll
  for (int a = D - 1; a >= 0; --a)
    if (PERIODIC >> a & 1) {
      const T images = whole(d[a] * box.over[a]);
      d[a] -= images * box.side[a];
      if (DYNAMICS == SHEARED && a == 1) d[0] -= images * box.shift;
    }
}

__device__ __forceinline__ T square(const T* d, T s = T(0)) {
#pragma unroll
  for (int a = 0; a < D; ++a) s += d[a] * d[a];
  return s;
}

__device__ void words(uint32_t* x, const Motion& motion, int64_t patch, int i, int step) {
  x[0] = uint32_t(i), x[1] = uint32_t(patch) + motion.first_patch;
  x[2] = uint32_t(motion.first + step), x[3] = motion.stream;
  philox(x, motion.key0, motion.key1);
}

__device__ T uniform(uint32_t word) { return (T(word) + T(0.5)) * T(0x1p-32); }

// D normal numbers of a particle at a step (Box and Muller), as in gpupatch.particles.noise.
__device__ void normals(T* xi, const Motion& motion, int64_t patch, int i, int step) {
  uint32_t x[4];
  words(x, motion, patch, i, step);
  const T near = sqrt(T(-2) * log(uniform(x[0]))), turn = T(2) * uniform(x[1]);
  xi[0] = near * cospi(turn);
  if (D > 1) xi[D > 1] = near * sinpi(turn);
  if (D > 2) xi[2 * (D > 2)] = sqrt(T(-2) * log(uniform(x[2]))) * cospi(T(2) * uniform(x[3]));
}

// One patch: where its arrays begin, and what all its threads know.
struct Patch {
  const Medium& medium;
  const Motion& motion;
  Team team;
  int64_t number;           // in the whole batch
  int n, capacity;          // particles, and room for them
  T *x, *v, *f, *push;
  const int* types;
  const double *controls, *weights;
  double freedom, memory;
  Box box;
  T cut_square, mass_of_all;

  __device__ Patch(const Particles& all, const Medium& medium, const Motion& motion, Team team,
                   int64_t p)
      : medium(medium), motion(motion), team(team), number(all.first + p), n(all.counts[p]),
        capacity(CAPACITY ? CAPACITY : all.capacity), controls(all.controls + p * N_CONTROL),
        weights(all.weights + p * capacity), freedom(all.freedom[p]), memory(all.memory[p]) {
    const int64_t at = p * D * capacity;
    x = all.x + at, v = all.v + at, f = all.f + at, push = all.push + at;
    types = all.types + p * capacity;
#pragma unroll
    for (int a = 0; a < D; ++a) {
      box.side[a] = T(all.box[p * D + a]);
      box.over[a] = T(1.0 / all.box[p * D + a]);
    }
    box.shift = T(memory);
    cut_square = T(medium.cutoff * medium.cutoff);
    mass_of_all = medium.masses[0];
  }

  __device__ Particle load(int i) const {
    Particle p;
#pragma unroll
    for (int a = 0; a < D; ++a) {
      p.x[a] = x[a * capacity + i];
      p.v[a] = v[a * capacity + i];
      p.f[a] = f[a * capacity + i];
    }
    return p;
  }

  __device__ void store(int i, const Particle& p) const {
#pragma unroll
    for (int a = 0; a < D; ++a) {
      x[a * capacity + i] = p.x[a];
      v[a * capacity + i] = p.v[a];
      f[a * capacity + i] = p.f[a];
    }
  }

  // An act for every particle of this thread as it is in memory.
  template <class Act>
  __device__ __forceinline__ void survey(Act act) const {
#pragma unroll 1
    for (int i = team.rank; i < n; i += TEAM) act(i, load(i));
  }

  // What a particle is among so many types.
  __device__ int type(int i, int among) const { return among > 1 ? types[i] : 0; }

  __device__ T mass(int i) const {
    return MASS_TYPES > 1 ? medium.masses[types[i]] : mass_of_all;
  }

  // The numbers that the potential of two particles reads.
  __device__ const T* between(int one, int other) const {
    return medium.pair + (PAIR_TYPES > 1 ? (one * PAIR_TYPES + other) * PAIR_NUMBERS : 0);
  }

  __device__ Site read(int i) const {
    Site site;
#pragma unroll
    for (int a = 0; a < D; ++a) site.x[a] = x[a * capacity + i];
    set_kind(site, type(i, PAIR_TYPES));
    return site;
  }
};


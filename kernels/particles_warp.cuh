// A warp per patch, its particles in registers: row m of lane l holds particle l + 32 m.
//
// Every pair is computed once. Particles of other lanes come by shuffles, and the forces on them
// travel along until they are at home again; there is neither shared memory nor a barrier.

struct Crowd : Patch {
  Particle own[ROWS];
  T away[ROWS];             // added to squared distances: 0, or far beyond the cutoff if absent

  __device__ Crowd(const Particles& all, const Medium& medium, const Motion& motion, Team team,
                   int64_t p, const Room&)
      : Patch(all, medium, motion, team, p) {
#pragma unroll
    for (int m = 0; m < ROWS; ++m) {
      away[m] = at(m) < n ? T(0) : T(1e30);
      own[m] = Particle();
    }
    resume();
  }

  __device__ int at(int m) const { return team.rank + 32 * m; }

  template <class Act>
  __device__ __forceinline__ void each(Act act) {
#pragma unroll
    for (int m = 0; m < ROWS; ++m)
      if (FULL || at(m) < n) act(at(m), own[m]);
  }

  template <class Act>
  __device__ __forceinline__ void look(Act act) { each(act); }

  template <class Act>
  __device__ __forceinline__ void move(Act act) { each(act); }

  // Forces on all particles, and then an act of each.
  template <class Act>
  __device__ __forceinline__ void forces(Act act) {
    each([&](int, Particle& p) {
#pragma unroll
      for (int a = 0; a < D; ++a) p.f[a] = T(0);
    });
    if (PAIR) {
      T numbers[PAIR_NUMBERS + 1];
      int kind[ROWS];
#pragma unroll
      for (int k = 0; k < PAIR_NUMBERS; ++k) numbers[k] = medium.pair[k];
#pragma unroll
      for (int m = 0; m < ROWS; ++m) kind[m] = at(m) < n ? type(at(m), PAIR_TYPES) : 0;
      within_rows(numbers, kind);
      between_rows(numbers, kind);
    }
    each([&](int i, Particle& p) {
      pull_bonded(*this, i, p.x, p.f, nullptr, nullptr);
      act(i, p);
    });
  }

  // The force that one particle feels from another.
  __device__ __forceinline__ void pull(T* force, const T* x, const T* other, T far,
                                       const T* numbers) const {
#pragma unroll
    for (int a = 0; a < D; ++a) force[a] = x[a] - other[a];
    nearest(force, box);
    const T s = square(force) + far;
    const T g = s < cut_square ? pair_force(s, numbers) : T(0);
#pragma unroll
    for (int a = 0; a < D; ++a) force[a] *= g;
  }

  // Lane l meets lanes l + 1 to l + 16, the last from one side only.
  __device__ __forceinline__ void within_rows(const T* numbers, const int* kind) {
#pragma unroll 1
    for (int turn = 1; turn <= 16; ++turn) {
      const int ahead = (team.rank + turn) & 31, behind = (team.rank - turn) & 31;
      const T half = turn == 16 && team.rank >= 16 ? T(1e30) : T(0);
#pragma unroll
      for (int m = 0; m < ROWS; ++m) {
        T x[D], force[D], far = half;
#pragma unroll
        for (int a = 0; a < D; ++a) x[a] = __shfl_sync(0xffffffffu, own[m].x[a], ahead);
        if (!FULL) far += away[m] + __shfl_sync(0xffffffffu, away[m], ahead);
        const T* given = numbers;
        if (PAIR_TYPES > 1) given = between(kind[m], __shfl_sync(0xffffffffu, kind[m], ahead));
        pull(force, own[m].x, x, far, given);
#pragma unroll
        for (int a = 0; a < D; ++a) {
          own[m].f[a] += force[a];
          own[m].f[a] -= __shfl_sync(0xffffffffu, force[a], behind);
        }
      }
    }
  }

  // The particles of a row go round all lanes and meet those of the later rows.
  __device__ __forceinline__ void between_rows(const T* numbers, const int* kind) {
#pragma unroll
    for (int m = 0; m + 1 < ROWS; ++m) {
      T x[D], f[D] = {}, far = away[m];
      int one = kind[m];
#pragma unroll
      for (int a = 0; a < D; ++a) x[a] = own[m].x[a];
      const int ahead = (team.rank + 1) & 31;
#pragma unroll 1
      for (int turn = 0; turn < 32; ++turn) {
#pragma unroll
        for (int k = m + 1; k < ROWS; ++k) {
          T force[D];
          pull(force, own[k].x, x, FULL ? T(0) : away[k] + far,
               PAIR_TYPES > 1 ? between(kind[k], one) : numbers);
#pragma unroll
          for (int a = 0; a < D; ++a) {
            own[k].f[a] += force[a];
            f[a] -= force[a];
          }
        }
#pragma unroll
        for (int a = 0; a < D; ++a) {
          x[a] = __shfl_sync(0xffffffffu, x[a], ahead);
          f[a] = __shfl_sync(0xffffffffu, f[a], ahead);
        }
        if (!FULL) far = __shfl_sync(0xffffffffu, far, ahead);
        if (PAIR_TYPES > 1) one = __shfl_sync(0xffffffffu, one, ahead);
      }
#pragma unroll
      for (int a = 0; a < D; ++a) own[m].f[a] += f[a];
    }
  }

  // Registers to memory, where all lanes can read them, and back.
  __device__ __forceinline__ void rest() {
    each([&](int i, Particle& p) { store(i, p); });
    team.sync();
  }

  __device__ __forceinline__ void resume() {
    team.sync();
    each([&](int i, Particle& p) { p = load(i); });
  }

  __device__ Site site(int j) const { return read(j); }

  // All other particles, after `rest`.
  template <class Visit>
  __device__ __forceinline__ void around(int i, Visit visit) const {
#pragma unroll 1
    for (int j = 0; j < n; ++j) visit(read(j), j != i);
  }
};


// A warp per patch, its particles in registers: row m of lane l holds particle l + 32 m. Velocities,
// which no other particle asks for, stay in memory.
//
// Every pair is computed once. Particles of other lanes come by shuffles, and the forces on them
// travel along until they are at home again; there is neither shared memory nor a barrier.

struct Crowd : Patch {
  T x_own[ROWS][D], f_own[ROWS][D];
  T away[ROWS];             // added to squared distances: 0, or far beyond the cutoff if absent

  __device__ Crowd(const Particles& all, const Medium& medium, const Motion& motion, Team team,
                   int64_t p, const Room&)
      : Patch(all, medium, motion, team, p) {
#pragma unroll
    for (int m = 0; m < ROWS; ++m) {
      away[m] = FULL || at(m) < n ? T(0) : T(1e30);
#pragma unroll
      for (int a = 0; a < D; ++a) x_own[m][a] = f_own[m][a] = T(0);
    }
    resume();
  }

  __device__ int at(int m) const { return team.rank + 32 * m; }

  template <class Act>
  __device__ __forceinline__ void each(Act act) {
    T* v_own = opaque(v + team.rank);
#pragma unroll
    for (int m = 0; m < ROWS; ++m) {
      team.sync();  // or else the velocities of all rows are loaded before the first is needed
      if (FULL || at(m) < n) {
        Particle p;
#pragma unroll
        for (int a = 0; a < D; ++a) {
          p.x[a] = x_own[m][a];
          p.v[a] = v_own[a * capacity + 32 * m];
          p.f[a] = f_own[m][a];
        }
        act(at(m), p);
#pragma unroll
        for (int a = 0; a < D; ++a) {
          x_own[m][a] = p.x[a];
          v_own[a * capacity + 32 * m] = p.v[a];
          f_own[m][a] = p.f[a];
        }
      }
    }
  }

  template <class Act>
  __device__ __forceinline__ void look(Act act) { each(act); }

  template <class Act>
  __device__ __forceinline__ void move(Act act) { each(act); }

  __device__ __forceinline__ void forces() {
#pragma unroll
    for (int m = 0; m < ROWS; ++m)
#pragma unroll
      for (int a = 0; a < D; ++a) f_own[m][a] = T(0);
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
    if (FIELD)
      each([&](int i, Particle& p) { pull_bonded(*this, i, p.x, p.f, nullptr, nullptr); });
  }

  // The distance d to another particle; the force is g d.
  __device__ __forceinline__ T apart(T* d, const T* x, const T* other, T far,
                                     const T* numbers) const {
#pragma unroll
    for (int a = 0; a < D; ++a) d[a] = x[a] - other[a];
    nearest(d, box);
    const T s = square(d, far);
    return chosen(s < cut_square, s, numbers);
  }

  // Lane l meets lanes l + 1 to l + 16, the last from one side only.
  __device__ __forceinline__ void within_rows(const T* numbers, const int* kind) {
#pragma unroll 1
    for (int turn = 1; turn <= 16; ++turn) {
      const int ahead = (team.rank + turn) & 31, behind = (team.rank - turn) & 31;
      const T half = turn == 16 && team.rank >= 16 ? T(1e30) : T(0);
#pragma unroll
      for (int m = 0; m < ROWS; ++m) {
        T x[D], d[D], far = half;
#pragma unroll
        for (int a = 0; a < D; ++a) x[a] = __shfl_sync(0xffffffffu, x_own[m][a], ahead);
        if (!FULL) far += away[m] + __shfl_sync(0xffffffffu, away[m], ahead);
        const T* given = numbers;
        if (PAIR_TYPES > 1) given = between(kind[m], __shfl_sync(0xffffffffu, kind[m], ahead));
        const T g = apart(d, x_own[m], x, far, given);
#pragma unroll
        for (int a = 0; a < D; ++a) {
          const T force = g * d[a];
          f_own[m][a] += force;
          f_own[m][a] -= __shfl_sync(0xffffffffu, force, behind);
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
      for (int a = 0; a < D; ++a) x[a] = x_own[m][a];
      const int ahead = (team.rank + 1) & 31;
#pragma unroll 1
      for (int turn = 0; turn < 32; ++turn) {
#pragma unroll
        for (int k = m + 1; k < ROWS; ++k) {
          T d[D];
          const T g = apart(d, x_own[k], x, FULL ? T(0) : away[k] + far,
                            PAIR_TYPES > 1 ? between(kind[k], one) : numbers);
#pragma unroll
          for (int a = 0; a < D; ++a) {
            f_own[k][a] += g * d[a];
            f[a] -= g * d[a];
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
      for (int a = 0; a < D; ++a) f_own[m][a] += f[a];
    }
  }

  // Registers to memory, where all lanes can read them, and back.
  __device__ __forceinline__ void rest() {
    T *x_there = opaque(x + team.rank), *f_there = opaque(f + team.rank);
#pragma unroll
    for (int m = 0; m < ROWS; ++m)
      if (FULL || at(m) < n)
#pragma unroll
        for (int a = 0; a < D; ++a) {
          x_there[a * capacity + 32 * m] = x_own[m][a];
          f_there[a * capacity + 32 * m] = f_own[m][a];
        }
    team.sync();
  }

  __device__ __forceinline__ void resume() {
    team.sync();
    T *x_there = opaque(x + team.rank), *f_there = opaque(f + team.rank);
#pragma unroll
    for (int m = 0; m < ROWS; ++m)
      if (FULL || at(m) < n)
#pragma unroll
        for (int a = 0; a < D; ++a) {
          x_own[m][a] = x_there[a * capacity + 32 * m];
          f_own[m][a] = f_there[a * capacity + 32 * m];
        }
  }

  __device__ Site site(int j) const { return read(j); }

  // All other particles, after `rest`.
  template <class Visit>
  __device__ __forceinline__ void around(int i, Visit visit) const {
#pragma unroll 1
    for (int j = 0; j < n; ++j) visit(read(j), j != i);
  }
};


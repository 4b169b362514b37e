// A block per patch, its particles in device memory and their sites in shared memory, or in device
// memory too if they do not fit. Every thread sums the forces on its particles, i = rank, rank +
// TEAM, ..., over their neighbours in ascending order.

struct Crowd : Patch {
  Site* sites;
  Neighbours neighbours;

  __device__ Crowd(const Particles& all, const Medium& medium, const Motion& motion, Team team,
                   int64_t p, const Room& room)
      : Patch(all, medium, motion, team, p), neighbours(room) {
    GP_DYN_SHARED(unsigned char, shared);
    sites = reinterpret_cast<Site*>(SITES_SHARED ? shared : room.mine(room.sites));
    publish();
  }

  template <class Act>
  __device__ __forceinline__ void look(Act act) const { survey(act); }

  template <class Act>
  __device__ __forceinline__ void each(Act act) {
    for (int i = team.rank; i < n; i += TEAM) {
      Particle p = load(i);
      act(i, p);
      store(i, p);
    }
  }

  // An act that changes positions.
  template <class Act>
  __device__ __forceinline__ void move(Act act) {
    each(act);
    publish();
  }

  __device__ __forceinline__ void publish() {
    team.sync();
    for (int i = team.rank; i < n; i += TEAM) sites[i] = read(i);
    team.sync();
    neighbours.follow(*this);
  }

  __device__ __forceinline__ void forces() {
    T numbers[PAIR_NUMBERS + 1];
#pragma unroll
    for (int k = 0; k < PAIR_NUMBERS; ++k) numbers[k] = medium.pair[k];
    each([&](int i, Particle& p) {
      T f[D] = {};
      const int kind = type(i, PAIR_TYPES);
      if (PAIR)
        around(i, [&](const Site& other, bool apart) {
          T d[D];
#pragma unroll
          for (int a = 0; a < D; ++a) d[a] = p.x[a] - other.x[a];
          nearest(d, box);
          const T* given = PAIR_TYPES > 1 ? between(kind, kind_of(other)) : numbers;
          const T s = square(d), g = chosen(s < cut_square && apart, s, given);
#pragma unroll
          for (int a = 0; a < D; ++a) f[a] += g * d[a];
        });
      pull_bonded(*this, i, p.x, f, nullptr, nullptr);
#pragma unroll
      for (int a = 0; a < D; ++a) p.f[a] = f[a];
    });
  }

  __device__ void rest() const { team.sync(); }

  __device__ void resume() const { team.sync(); }

  __device__ Site site(int j) const { return sites[j]; }

  // All particles that may be close, in ascending order, and whether they are others.
  template <class Visit>
  __device__ __forceinline__ void around(int i, Visit visit) const {
    neighbours.around(*this, i, visit);
  }
};


// Neighbours: a list for every particle of those within the cutoff and a skin (Verlet), in ascending
// order, so that sums do not depend on when it was made. It is made anew when two particles may have
// come closer by the skin. A list without enough room is cut short, and says so in `needed`.

struct Neighbours {
  unsigned short* entries;  // [width, capacity]
  unsigned short* counts;   // [capacity]
  T* since;                 // positions when the list was made, [axis, capacity]
  const Room& room;
  double strain;            // of a sheared box since then
  bool made;

  __device__ Neighbours(const Room& room) : room(room), strain(0.0), made(false) {
    GP_DYN_SHARED(unsigned char, shared);
    entries = reinterpret_cast<unsigned short*>(LIST_SHARED ? shared + room.entries
                                                            : room.mine(room.entries));
    counts = reinterpret_cast<unsigned short*>(LIST_SHARED ? shared + room.counts
                                                           : room.mine(room.counts));
    since = reinterpret_cast<T*>(room.mine(room.since));
  }

  template <class Crowd>
  __device__ __forceinline__ void follow(const Crowd& crowd) {
    if (DYNAMICS == SHEARED && made) strain += crowd.motion.h * crowd.controls[1];
    if (crowd.team.any(!made || moved(crowd))) make(crowd);
  }

  // Whether a particle has moved half the skin, less a thousandth for rounding. In a sheared box
  // displacements are relative to the flow, which itself brings two particles closer by no more than
  // the strain times their distance.
  template <class Crowd>
  __device__ bool moved(const Crowd& crowd) const {
    const double flow = fabs(strain);
    const double most = 0.4995 * (room.skin - flow * (room.reach + room.skin / 2.0));
    bool far = most <= 0.0;
    for (int i = crowd.team.rank; i < crowd.n; i += TEAM) {
      T d[D];
#pragma unroll
      for (int a = 0; a < D; ++a)
        d[a] = crowd.x[a * crowd.capacity + i] - since[a * crowd.capacity + i];
      if (DYNAMICS == SHEARED) d[0] -= T(strain) * since[(D > 1) * crowd.capacity + i];
      far |= square(d) > T(most * most);
    }
    return far;
  }

  template <class Crowd>
  __device__ void make(const Crowd& crowd) {
    const T reach = T(room.reach * room.reach);
    for (int i = crowd.team.rank; i < crowd.n; i += TEAM) {
      const Site mine = crowd.sites[i];
      int count = 0;
#pragma unroll 4
      for (int j = 0; j < crowd.n; ++j) {
        T d[D];
#pragma unroll
        for (int a = 0; a < D; ++a) d[a] = mine.x[a] - crowd.sites[j].x[a];
        nearest(d, crowd.box);
        if (square(d) < reach && j != i) {
          if (count < room.width) entries[count * crowd.capacity + i] = (unsigned short)j;
          ++count;
        }
      }
      counts[i] = (unsigned short)min(count, room.width);
      if (count > room.width) atomicMax(room.needed, count);
#pragma unroll
      for (int a = 0; a < D; ++a) since[a * crowd.capacity + i] = mine.x[a];
    }
    strain = 0.0;
    made = true;
  }

  template <class Crowd, class Visit>
  __device__ __forceinline__ void around(const Crowd& crowd, int i, Visit visit) const {
    const int count = counts[i];
#pragma unroll 4
    for (int k = 0; k < count; ++k) visit(crowd.sites[entries[k * crowd.capacity + i]], true);
  }
};


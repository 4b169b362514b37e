// Neighbours: all particles of the patch.

struct Neighbours {
  __device__ Neighbours(const Room&) {}

  template <class Crowd>
  __device__ void follow(const Crowd&) {}

  template <class Crowd, class Visit>
  __device__ __forceinline__ void around(const Crowd& crowd, int i, Visit visit) const {
#pragma unroll 4
    for (int j = 0; j < crowd.n; ++j) visit(crowd.sites[j], j != i);
  }
};


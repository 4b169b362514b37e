// One patch on the chip: the threads that advance it, what they read, and what they do together.
//
// The generated text before this file defines the sizes in capitals, the type T and, after it, the
// functions of the rule. Everything that changes in a patch lies in one row w,
//
//   [slot 0: field x sites] [slot 1] ... [base] [increment of the base]      (the last two: float)

enum { FROZEN = 0, MOVING = 1, SAME_SLOPE = 2 };  // what edge sites do during a burst

// The threads that advance one patch: a whole block, or an aligned group of lanes of one warp.
struct Team {
  int rank;
  unsigned mask;

  __device__ Team() : rank(threadIdx.x % TEAM), mask(0xffffffffu) {
    if (TEAM < 32) mask = ((1u << (TEAM % 32)) - 1u) << (threadIdx.x % 32 / TEAM * TEAM);
  }
  __device__ void sync() const {
    if (TEAM > 32) __syncthreads();
    else if (TEAM > 1) __syncwarp(mask);
  }
};

// Tables of a rule for all patches; a step of 0 means that all patches share one row.
struct Model {
  const T* s;               // statics in the working precision, [patch or 1, static, site]
  const double* q;          // scalars, [member, scalar]
  const double* e;          // statics in float64
  const double* r;          // scalars of what is evaluated in float64
  int64_t s_step, e_step;   // per patch
  int64_t q_step, r_step;   // per member
  int64_t n_member_patch;   // patches of one member
  int64_t first;            // number, in the whole batch, of the first patch of this launch
  int64_t numbered;         // number, in the run, of step 0, for random numbers
  int64_t first_patch;      // number, in the run, of patch 0 of the batch, likewise
  uint32_t key0, key1, stream;
};

// What one patch reads of them.
struct Given {
  const double* base;
  const T* s;
  const double* q;
  const double* e;
  const double* r;
};

__device__ Given given_to(const Model& model, int64_t patch, const double* base) {
  const int64_t p = model.first + patch, member = p / model.n_member_patch;
  return {base, model.s + p * model.s_step, model.q + member * model.q_step,
          model.e + p * model.e_step, model.r + member * model.r_step};
}

// How the edge sites of one patch move: u = first + (t - start) scale speed, or with a fixed
// difference `first` to the first interior site.
struct Edge {
  int mode;
  const int* ring;          // edge sites, [n_ring]
  const int* write;         // edge sites, axis by axis, and the interior site that each follows
  const int* read;
  int n_ring, n_pair[3];    // pairs up to the end of each axis
  T* first;
  T* speed;
  double start, scale;
};

// Weights of a restriction: rows of sites along the last axis, and steps at which it is wanted.
struct Observe {
  const int* rows;
  const double* row_weights;
  const double* line;
  const unsigned char* wanted;  // [n_steps + 1]
  const double* weights;        // [n_steps + 1, n_out]
  int n_row, n_line, n_out;
};

// When a burst takes place.
struct Clock {
  double t, dt;
  int64_t first, count;
};

// The clock of coupled steps, which lies in device memory.
struct Moment {
  double t, dt;             // the time of step s is t + s dt
  int64_t step, first;      // the next step, and the first one of the boundary values at hand
  int64_t numbered;         // number, in the run, of step 0, for random numbers
  int64_t first_patch;      // number, in the run, of patch 0 of the batch, likewise
};

__device__ void settle(T* w, const Edge& edge, double now, const Team& team) {
  if (edge.mode == MOVING) {
    const double since = (now - edge.start) * edge.scale;
    for (int i = team.rank; i < edge.n_ring; i += TEAM)
      w[edge.ring[i]] = T(edge.first[i] + since * edge.speed[i]);
  } else {
    for (int axis = 0, i0 = 0; axis < 3; i0 = edge.n_pair[axis], ++axis) {
      if (axis > 0 && edge.n_pair[axis] > i0) team.sync();
      for (int i = i0 + team.rank; i < edge.n_pair[axis]; i += TEAM)
        w[edge.write[i]] = w[edge.read[i]] + edge.first[i];
    }
  }
  team.sync();
}

// Sum of the values of all threads of a team, in a fixed order; the result is sums[0].
__device__ void add_up(double* sums, double value, const Team& team) {
  sums[team.rank] = value;
  team.sync();
  for (int n = TEAM; n > 1;) {
    const int half = (n + 1) / 2;
    if (team.rank < n - half) sums[team.rank] += sums[team.rank + half];
    n = half;
    team.sync();
  }
}

// A normal number, as in gpupatch.micro.noise.
__device__ double normal(const Model& model, int64_t patch, int place, int64_t step) {
  uint32_t x[4] = {uint32_t(model.first_patch + model.first + patch), uint32_t(place),
                   uint32_t(step + model.numbered), model.stream};
  philox(x, model.key0, model.key1);
  const uint64_t a = (uint64_t(x[0]) << 21) ^ (x[1] >> 11), b = (uint64_t(x[2]) << 21) ^ (x[3] >> 11);
  const double u1 = double(a) * 0x1p-53 + 0x1p-54, u2 = double(b) * 0x1p-53;
  return sqrt(-2.0 * log(u1)) * cospi(2.0 * u2);
}

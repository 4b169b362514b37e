// The acts "lift", "burst" and "restrict" of every patch in one launch. Coarse values or states come
// in, weighted samples go out; in between a patch never leaves the chip.

// Where things lie in the memory of one patch, in bytes from its beginning; the row comes first.
struct Layout {
  int whole;                // lifted values in float64 (float with lifting)
  int field;                // fluxes, sources or amplitudes in float64
  int scratch;              // of lifting
  int sums;                 // one double per thread
  int first, speed;         // of the edges
  int bytes;                // of one patch
};

// Teams of one warp run together, so that values can pass between lanes; those for which no patch is
// left run along, but nothing that they do is kept.
struct Patch {
  int64_t number;
  bool live;
  T* w;
  double* field;
  double* sums;
};

__device__ void sample(double* out, int64_t n_patch, const Patch& patch, int at, int64_t step,
                       const Given& given, const Observe& observe, double now, const Team& team) {
  if (MEASURES) {
    measure_sites(patch.field, patch.w + at, given, now, team);
    team.sync();
  }
  const int n = observe.n_row * observe.n_line;
  for (int f = 0; f < N_FIELD; ++f) {
    double part = 0.0;
    for (int k = team.rank; k < n; k += TEAM) {
      const int row = k / observe.n_line, column = k % observe.n_line;
      const int i = f * N_SITE + observe.rows[row] + column;
      double value;
      if (MEASURES) value = patch.field[i];
      else value = SINGLE ? double(patch.w[at + i]) + given.base[i] : double(patch.w[at + i]);
      part += observe.row_weights[row] * observe.line[column] * value;
    }
    add_up(patch.sums, part, team);
    for (int k = team.rank; patch.live && k < observe.n_out; k += TEAM)
      out[(k * N_FIELD + f) * n_patch + patch.number] +=
          observe.weights[step * observe.n_out + k] * patch.sums[0];
    team.sync();
  }
}

// Add the noise of one step, in place.
__device__ void kick(T* w, double* field, const Model& model, const Given& given, int64_t patch,
                     int64_t step, double now, double dt, const Team& team) {
  amplitude_sites(field, w, given, now, team);
  team.sync();
  const double root = sqrt(dt);
  for (int i = team.rank; i < SIZE; i += TEAM)
    if (field[i] != 0.0) w[i] += T(root * field[i] * normal(model, patch, i, step));
  team.sync();
}

// Give the new state the edges of the old one, which amplitudes may read.
__device__ void copy_edges(T* to, const T* from, const Edge& edge, const Team& team) {
  for (int i = team.rank; i < edge.n_ring; i += TEAM) to[edge.ring[i]] = from[edge.ring[i]];
  team.sync();
}

// Put one patch into its row, and what its edges do beside it.
__device__ void begin(const Patch& patch, double* whole, double* scratch, Edge& edge, const T* u,
                      const Lift& lift, const T* speeds, const Team& team) {
  T* w = patch.w;
  const int64_t p = patch.number;
  if (lift.U) {
    double* to = SINGLE ? whole : reinterpret_cast<double*>(w);
    if (edge.mode == MOVING) {
      lift_patch(to, scratch, lift.rate, lift, p, TEAM, team);
      for (int i = team.rank; i < edge.n_ring; i += TEAM) edge.speed[i] = T(to[edge.ring[i]]);
      team.sync();
    }
    lift_patch(to, scratch, lift.U, lift, p, TEAM, team);
    if (SINGLE)
      for (int i = team.rank; i < SIZE; i += TEAM) w[i] = T(0.0);
  } else {
    for (int i = team.rank; i < SIZE; i += TEAM) w[i] = patch.live ? u[p * SIZE + i] : T(1.0);
    if (edge.mode == MOVING)
      for (int i = team.rank; i < edge.n_ring; i += TEAM)
        edge.speed[i] = speeds[p * SIZE + edge.ring[i]];
  }
  team.sync();
  if (edge.mode == MOVING)
    for (int i = team.rank; i < edge.n_ring; i += TEAM) edge.first[i] = w[edge.ring[i]];
  else if (edge.mode == SAME_SLOPE)
    for (int i = team.rank; i < edge.n_pair[2]; i += TEAM)
      edge.first[i] = w[edge.write[i]] - w[edge.read[i]];
}

// The further slots of a row and, for float, the base and its increment.
__device__ void spread(T* w, const Given& given, double now, const Team& team) {
  for (int slot = 1; slot < N_SLOT; ++slot)
    for (int i = team.rank; i < SIZE; i += TEAM) w[slot * SIZE + i] = w[i];
  if (SINGLE) {
    for (int i = team.rank; i < SIZE; i += TEAM) w[BASE + i] = T(given.base[i]);
    freeze(w, given, now, team);
  }
  team.sync();
}

// u: states, [patch, field x sites], in place (unused with lifting); base: their base (float);
// out: [out, field, patch]; memory: of all teams, if the shared one is small.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) burst(
    T* u, const double* base, const T* speeds, double* out, unsigned char* memory, int64_t n_patch,
    Model model, Lift lift, Edge edge, Observe observe, Clock clock, Layout layout) {
  GP_DYN_SHARED(unsigned char, shared);
  constexpr int TEAMS = THREADS / TEAM;
  const Team team;
  const int which = threadIdx.x / TEAM;
  const int64_t first = int64_t(blockIdx.x) * TEAMS;
  unsigned char* mine =
      memory ? memory + (first + which) * layout.bytes : shared + which * layout.bytes;
  T* w = reinterpret_cast<T*>(mine);
  double* whole = reinterpret_cast<double*>(mine + layout.whole);
  double* field = reinterpret_cast<double*>(mine + layout.field);
  double* scratch = reinterpret_cast<double*>(mine + layout.scratch);
  double* sums = reinterpret_cast<double*>(mine + layout.sums);
  edge.first = reinterpret_cast<T*>(mine + layout.first);
  edge.speed = reinterpret_cast<T*>(mine + layout.speed);
  for (int64_t next = first; next < n_patch; next += int64_t(gridDim.x) * TEAMS) {
    const bool live = next + which < n_patch;
    const int64_t p = live ? next + which : n_patch - 1;
    const Patch patch = {p, live, w, field, sums};
    const Given given = given_to(model, p, lift.U ? whole : base + p * (SINGLE ? SIZE : 0));
    for (int f = 0; f < N_FIELD; ++f)
      for (int k = team.rank; live && k < observe.n_out; k += TEAM)
        out[(k * N_FIELD + f) * n_patch + p] = 0.0;
    begin(patch, whole, scratch, edge, u, lift, speeds, team);
    team.sync();
    spread(w, given, clock.t + clock.first * clock.dt, team);
    int turn = 0;
    int64_t done = 0;
    if (observe.wanted[0]) sample(out, n_patch, patch, 0, 0, given, observe, clock.t, team);
    while (done < clock.count) {
      int count = 1;
      while (!NOISY && done + count < clock.count && !observe.wanted[done + count]) ++count;
      const int64_t step = clock.first + done;
      const int old = turn;
      turn = run(w, turn, given, edge, step, count, clock.t, clock.dt, team);
      team.sync();
      done += count;
      T* state = w + turn * SIZE;
      if (NOISY) {
        const double now = clock.t + step * clock.dt;
        if (old != turn) copy_edges(state, w + old * SIZE, edge, team);
        kick(state, field, model, given, p, step, now, clock.dt, team);
        if (edge.mode != FROZEN) settle(state, edge, now + clock.dt, team);
      }
      if (observe.wanted[done])
        sample(out, n_patch, patch, turn * SIZE, done, given, observe,
               clock.t + (clock.first + done) * clock.dt, team);
    }
    if (!lift.U && live)
      for (int i = team.rank; i < SIZE; i += TEAM) u[p * SIZE + i] = w[turn * SIZE + i];
    team.sync();
  }
}

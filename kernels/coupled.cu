// Micro-steps of patches that exchange values: one pass over all patches per launch. Rows of all
// patches lie in device memory, and so does the clock, so that a recorded graph of steps can be
// replayed at any time.

__device__ double time_of(const Moment& moment, int ahead, double fraction) {
  return moment.t + (double(moment.step + ahead) + fraction) * moment.dt;
}

// The patches of one team, one after the other.
#define FOR_EACH_PATCH(p, n_patch)                                                       \
  for (int64_t p = int64_t(blockIdx.x) * (THREADS / TEAM) + threadIdx.x / TEAM,          \
               stride = int64_t(gridDim.x) * (THREADS / TEAM); p < n_patch; p += stride)

__device__ const double* base_of(const double* base, int64_t patch) {
  return base + patch * (SINGLE ? SIZE : 0);
}

// out = step times the rate of u, for the step that the tables of the model were made for.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) rate_all(
    const T* u, const double* base, T* out, int64_t n_patch, Model model, double now) {
  const Team team;
  FOR_EACH_PATCH(p, n_patch)
    rate_sites(out + p * SIZE, u + p * SIZE, given_to(model, p, base_of(base, p)), now, team);
}

// Put all patches into their rows.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) begin_all(
    const T* u, const double* base, T* rows, int64_t n_patch, Model model, const Moment* moment) {
  const Team team;
  FOR_EACH_PATCH(p, n_patch) {
    T* w = rows + p * ROW;
    for (int i = team.rank; i < SIZE; i += TEAM) w[i] = u[p * SIZE + i];
    team.sync();
    spread(w, given_to(model, p, base_of(base, p)), time_of(*moment, 0, 0.0), team);
  }
}

// One pass of the step that lies `ahead` of the clock.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) pass_all(
    T* rows, const double* base, int64_t n_patch, Model model, const Moment* moment, int number,
    int ahead, double fraction) {
  const Team team;
  const double now = time_of(*moment, ahead, fraction);
  FOR_EACH_PATCH(p, n_patch) {
    T* w = rows + p * ROW;
    const Given given = given_to(model, p, base_of(base, p));
    if (REFRESHED) {
      freeze(w, given, now, team);
      team.sync();
    }
    run_pass(number, w, given, now, team);
  }
}

// Add the noise of a step; fields: amplitudes of all patches.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) kick_all(
    T* rows, const double* base, double* fields, int64_t n_patch, Model model, Edge edge,
    const Moment* moment, int old, int turn, int ahead) {
  const Team team;
  model.numbered = moment->numbered;
  FOR_EACH_PATCH(p, n_patch) {
    T* w = rows + p * ROW;
    if (old != turn) copy_edges(w + turn * SIZE, w + old * SIZE, edge, team);
    kick(w + turn * SIZE, fields + p * SIZE, model, given_to(model, p, base_of(base, p)), p,
         moment->step + ahead, time_of(*moment, ahead, 0.0), moment->dt, team);
  }
}

extern "C" __global__ void tick(Moment* moment, int steps) {
  if (blockIdx.x == 0 && threadIdx.x == 0) moment->step += steps;
}

// Take all patches out of their rows.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) end_all(
    T* u, const T* rows, int64_t n_patch, int turn) {
  const Team team;
  FOR_EACH_PATCH(p, n_patch)
    for (int i = team.rank; i < SIZE; i += TEAM) u[p * SIZE + i] = rows[p * ROW + turn * SIZE + i];
}

// Micro-steps of patches that exchange values: one pass over all patches per launch. Rows of all
// patches lie in device memory.

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) rate_all(
    const T* u, const double* base, T* out, int64_t n_patch, Model model, double now) {
  const Team team;
  const int64_t stride = int64_t(gridDim.x) * (THREADS / TEAM);
  for (int64_t p = int64_t(blockIdx.x) * (THREADS / TEAM) + threadIdx.x / TEAM; p < n_patch; p += stride)
    rate_sites(out + p * SIZE, u + p * SIZE, given_to(model, p, base + p * (SINGLE ? SIZE : 0)), now,
               team);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) begin_all(
    const T* u, const double* base, T* rows, int64_t n_patch, Model model, double now) {
  const Team team;
  const int64_t stride = int64_t(gridDim.x) * (THREADS / TEAM);
  for (int64_t p = int64_t(blockIdx.x) * (THREADS / TEAM) + threadIdx.x / TEAM; p < n_patch; p += stride) {
    T* w = rows + p * ROW;
    for (int i = team.rank; i < SIZE; i += TEAM) w[i] = u[p * SIZE + i];
    team.sync();
    spread(w, given_to(model, p, base + p * (SINGLE ? SIZE : 0)), now, team);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) pass_all(
    T* rows, const double* base, int64_t n_patch, Model model, int number, double now) {
  const Team team;
  const int64_t stride = int64_t(gridDim.x) * (THREADS / TEAM);
  for (int64_t p = int64_t(blockIdx.x) * (THREADS / TEAM) + threadIdx.x / TEAM; p < n_patch; p += stride) {
    T* w = rows + p * ROW;
    const Given given = given_to(model, p, base + p * (SINGLE ? SIZE : 0));
    if (REFRESHED) {
      freeze(w, given, now, team);
      team.sync();
    }
    run_pass(number, w, given, now, team);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) kick_all(
    T* rows, const double* base, double* fields, int64_t n_patch, Model model, Edge edge, int old,
    int turn, int64_t step, double now, double dt) {
  const Team team;
  const int64_t stride = int64_t(gridDim.x) * (THREADS / TEAM);
  for (int64_t p = int64_t(blockIdx.x) * (THREADS / TEAM) + threadIdx.x / TEAM; p < n_patch; p += stride) {
    T* w = rows + p * ROW;
    if (old != turn) copy_edges(w + turn * SIZE, w + old * SIZE, edge, team);
    kick(w + turn * SIZE, fields + p * SIZE, model,
         given_to(model, p, base + p * (SINGLE ? SIZE : 0)), p, step, now, dt, team);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) end_all(
    T* u, const T* rows, int64_t n_patch, int turn) {
  const Team team;
  const int64_t stride = int64_t(gridDim.x) * (THREADS / TEAM);
  for (int64_t p = int64_t(blockIdx.x) * (THREADS / TEAM) + threadIdx.x / TEAM; p < n_patch; p += stride)
    for (int i = team.rank; i < SIZE; i += TEAM) u[p * SIZE + i] = rows[p * ROW + turn * SIZE + i];
}

// The burst of all patches in one launch: forces, steps, samples. Without steps it gives forces and
// observables of a state.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) particle_burst(
    Particles particles, Medium medium, Motion motion, Observe observe, Room room) {
  GP_SHARED(double, sums, [THREADS / 32]);
  constexpr int TEAMS = THREADS / TEAM;
  const Team team = {int(threadIdx.x) % TEAM, sums};
  const int64_t first = int64_t(blockIdx.x) * TEAMS + threadIdx.x / TEAM;
  for (int64_t p = first; p < particles.n_patch; p += int64_t(gridDim.x) * TEAMS) {
    Crowd crowd(particles, medium, motion, team, p, room);
    for (int step = 0; step <= motion.count; ++step) {
      if (step > 0) before_forces(crowd, step - 1);
      find_forces(crowd);
      if (step > 0) after_forces(crowd, step - 1);
      if (observe.wanted[step])
        observe_all(crowd, {observe, crowd.team, p, particles.n_patch, step});
    }
    crowd.rest();
    if (team.rank == 0) particles.memory[p] = crowd.memory;
  }
}

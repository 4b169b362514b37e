// Brownian rods that cannot pass each other: the points y_i = x_i - i length move freely and are put
// back in order, each at the place that is the number of points before it.
//
// a: the mobility; b: the length of a rod. `f` holds the points, `push` the points in order.
template <class Crowd>
__device__ void put_in_order(Crowd& c, int step) {
  constexpr bool RING = PERIODIC & 1, WALLS = REFLECTING & 1;
  const int n = c.n;
  const T length = T(c.motion.b), centre = T(n - 1) / T(2), room = c.box.side[0] - T(n) * length;
  const T spread = T(sqrt(2.0 * c.motion.a * c.controls[0] * c.motion.h));
  double turns = 0.0;
  for (int i = c.team.rank; i < n; i += TEAM) {
    T xi[D];
    normals(xi, c.motion, c.number, i, step);
    T y = c.x[i] - (T(i) - centre) * length + spread * xi[0];
    if (RING) {
      const T turn = floor(y / room);
      y -= turn * room;
      turns += double(turn);
    }
    if (WALLS) {
      y += room / T(2) + room;
      y -= floor(y / (T(2) * room)) * (T(2) * room);
      y = fabs(y - room) - room / T(2);
    }
    c.f[i] = y;
  }
  const int64_t all = RING ? int64_t(c.team.sum(turns)) : 0;
  c.team.sync();
  for (int i = c.team.rank; i < n; i += TEAM) {
    const T y = c.f[i];
    int before = 0;
    for (int j = 0; j < n; ++j) before += c.f[j] < y || (c.f[j] == y && j < i);
    c.push[before] = y;
  }
  c.team.sync();
  for (int i = c.team.rank; i < n; i += TEAM) {
    int64_t turn = (i + all) / n, from = (i + all) % n;
    if (from < 0) from += n, --turn;
    c.x[i] = c.push[from] + room * T(turn) + (T(i) - centre) * length;
  }
  c.team.sync();
}


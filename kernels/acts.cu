// The acts that do not depend on the rule: couple, lift, restrict.

// Interpolation along one axis; side 0 is the low one. See gpupatch.coupling for the formulas.
struct AxisCoupling {
  const int* nodes;         // patches read, [patch, node]
  const double* weights;    // [side, patch, node]
  const int* members;       // members read, [side, member]
  const int* source;        // sites read, [side, layer]
  const double* affine;     // conditions on the faces: [side, field, layer]
  const double* near;       // [side, field, layer, k]
  const int* inside;        // [side, k]
  const double* given;      // right-hand sides, [time, side, field, other patches, other sites]
  int64_t given_step;       // values per time, 0 if they do not change
  int n_patch, n_node, n_layer, n_inside;
};

struct Coupling {
  AxisCoupling axis[3];
  int sites[3];
  int n_field, n_edge;
  const int* edges;         // places of the edge sites, [edge], in [field x sites]
  int64_t n_patch, n_member_patch, n_members;
  int64_t row, at;          // length of the row of a patch, and where in it the state begins
  int ahead, n_time, time;  // which boundary values: of a step from the clock, times per step
};

struct Site {
  int64_t patch;
  int field, x[3];
};

struct State {
  const T* u;
  const double* base;
  int64_t when;
};

__device__ int64_t patch_stride(const Coupling& c, int axis) {
  int64_t stride = 1;
  for (int a = 2; a > axis; --a) stride *= c.axis[a].n_patch;
  return stride;
}

// The right-hand side of the condition on the face of axis A next to a site.
template <int A>
__device__ double boundary_value(const Coupling& c, const State& u, const Site& site, int side) {
  const int64_t place = site.patch % c.n_member_patch;
  int64_t patches = 1, sites = 1, patch = 0, at = 0;
#pragma unroll
  for (int b = 0; b < 3; ++b)
    if (b != A) {
      patch = patch * c.axis[b].n_patch + place / patch_stride(c, b) % c.axis[b].n_patch;
      at = at * c.sites[b] + site.x[b];
      patches *= c.axis[b].n_patch, sites *= c.sites[b];
    }
  return c.axis[A].given[u.when * c.axis[A].given_step +
                         ((side * c.n_field + site.field) * patches + patch) * sites + at];
}

// The patches and the site from which axis A interpolates an edge site.
template <int A>
__device__ Site source(const Coupling& c, Site site, int side, int layer, int node, double& weight) {
  const AxisCoupling& axis = c.axis[A];
  const int64_t member = site.patch / c.n_member_patch, place = site.patch % c.n_member_patch;
  const int64_t stride = patch_stride(c, A);
  const int along = int(place / stride % axis.n_patch);
  const int64_t row = int64_t(along) * axis.n_node + node;
  weight *= axis.weights[int64_t(side) * axis.n_patch * axis.n_node + row];
  site.patch = axis.members[side * c.n_members + member] * c.n_member_patch + place
               + (axis.nodes[row] - along) * stride;
  site.x[A] = axis.source[side * axis.n_layer + layer];
  return site;
}

// The value of a site once axes 0 to A are coupled: a sum over the sites that it follows from. Only
// interior sites are read from memory, so that all edges can be written at the same time.
template <int A> __device__ double coupled(const Coupling& c, const State& u, const Site& site) {
  if constexpr (A < 0) {
    int64_t i = site.field;
#pragma unroll
    for (int a = 0; a < 3; ++a) i = i * c.sites[a] + site.x[a];
    const int64_t size = int64_t(c.n_field) * c.sites[0] * c.sites[1] * c.sites[2];
    const double value = u.u[site.patch * c.row + c.at + i];
    return u.base ? value + u.base[site.patch * size + i] : value;
  } else {
    const AxisCoupling& axis = c.axis[A];
    const int last = c.sites[A] - axis.n_layer, side = site.x[A] >= last;
    const bool edge = axis.n_node > 0 && (side || site.x[A] < axis.n_layer);
    const int along = int(site.patch % c.n_member_patch / patch_stride(c, A) % axis.n_patch);
    const bool wall = edge && axis.n_inside > 0 && along == side * (axis.n_patch - 1);
    const int condition =
        (side * c.n_field + site.field) * axis.n_layer + (side ? site.x[A] - last : site.x[A]);
    double total = wall ? axis.affine[condition] * boundary_value<A>(c, u, site, side) : 0.0;
    for (int k = 0; k < (wall ? axis.n_inside : 1); ++k) {
      Site near = site;
      double factor = 1.0;
      if (wall) {
        near.x[A] = axis.inside[side * axis.n_inside + k];
        factor = axis.near[condition * axis.n_inside + k];
      }
      // with one interior site a wall also reads the other edge, which is interpolated
      const int far = near.x[A] >= last;
      const bool across = edge && (far || near.x[A] < axis.n_layer);
      for (int node = 0; node < (across ? axis.n_node : 1); ++node) {
        Site from = near;
        double weight = factor;
        if (across)
          from = source<A>(c, near, far, far ? near.x[A] - last : near.x[A], node, weight);
        total += weight * coupled<A - 1>(c, u, from);
      }
    }
    return total;
  }
}

// u: rows of all patches; base: of states in float32, null for rates and in float64; moment: null if
// boundary values do not change.
extern "C" __global__ void couple(T* u, const double* base, const Moment* moment, Coupling c) {
  const int64_t steps = moment ? moment->step - moment->first + c.ahead : 0;
  const State state = {u, base, steps * c.n_time + c.time};
  const int64_t n = c.n_patch * c.n_edge, step = int64_t(gridDim.x) * blockDim.x;
  const int n_site = c.sites[0] * c.sites[1] * c.sites[2];
  for (int64_t k = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; k < n; k += step) {
    const int i = c.edges[k % c.n_edge];
    const int64_t p = k / c.n_edge;
    const Site site = {p, i / n_site,
                       {i % n_site / (c.sites[1] * c.sites[2]), i / c.sites[2] % c.sites[1], i % c.sites[2]}};
    const double value = coupled<2>(c, state, site);
    u[p * c.row + c.at + i] = T(base ? value - base[p * c.n_field * n_site + i] : value);
  }
}

// out: [patch, field, *sites]; memory: scratch of all blocks, if the shared one is too small.
extern "C" __global__ void __launch_bounds__(THREADS) lift_all(double* out, double* memory,
                                                               int64_t n_patch, Lift lift) {
  GP_DYN_SHARED(double, shared);
  const Team team;
  double* scratch = memory ? memory + int64_t(blockIdx.x) * lift_scratch(lift) : shared;
  const int64_t size =
      int64_t(lift.n_field) * lift.axis[0].n_site * lift.axis[1].n_site * lift.axis[2].n_site;
  for (int64_t p = blockIdx.x; p < n_patch; p += gridDim.x)
    lift_patch(out + p * size, scratch, lift.U, lift, p, THREADS, team);
}

// Weighted means of every field of every patch, [patch, field], summed in float64.
extern "C" __global__ void __launch_bounds__(THREADS) restrict_all(
    const T* u, const double* base, double* out, int64_t n_patch, int n_field, int n_site,
    Observe observe) {
  GP_SHARED(double, sums, [THREADS]);
  const Team team;
  const int n = observe.n_row * observe.n_line;
  for (int64_t k = blockIdx.x; k < n_patch * n_field; k += gridDim.x) {
    double part = 0.0;
    for (int j = team.rank; j < n; j += THREADS) {
      const int64_t i = k * n_site + observe.rows[j / observe.n_line] + j % observe.n_line;
      const double value = base ? double(u[i]) + base[i] : double(u[i]);
      part += observe.row_weights[j / observe.n_line] * observe.line[j % observe.n_line] * value;
    }
    add_up(sums, part, team);
    if (team.rank == 0) out[k] = sums[0];
    team.sync();
  }
}

// A linear combination of arrays of n entries each.
struct Terms {
  const void* array[8];
  double weight[8];
  int count;
};

template <class Real> __device__ void combine(Real* out, const Terms& terms, int64_t n) {
  const int64_t step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    Real total = Real(0.0);
#pragma unroll
    for (int k = 0; k < 8; ++k)
      if (k < terms.count)
        total += Real(terms.weight[k]) * static_cast<const Real*>(terms.array[k])[i];
    out[i] = total;
  }
}

extern "C" __global__ void combine_states(T* out, Terms terms, int64_t n) {
  combine(out, terms, n);
}

extern "C" __global__ void combine_coarse(double* out, Terms terms, int64_t n) {
  combine(out, terms, n);
}

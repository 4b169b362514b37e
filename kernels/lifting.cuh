// The act "lift": the sites of a patch from the coarse values around it, axis by axis,
//
//   u[x, y, z] = sum_k w_z[z, k_z] sum_k w_y[y, k_y] sum_k w_x[x, k_x] U[k_x, k_y, k_z].
//
// Absent axes have one site, one node and weight one.

struct LiftAxis {
  const int* nodes;         // entries read, [patch, node]
  const double* weights;    // [patch, site, node]
  int n_patch, n_node, n_site, n_coarse;
};

struct Lift {
  const double* U;          // extended coarse values, [member, field, *coarse]; null: no lifting
  const double* rate;       // their rates of change, or null
  LiftAxis axis[3];
  int64_t n_member_patch, first;
  int n_field;
};

// Doubles of scratch memory that lift_patch needs.
__device__ int lift_scratch(const Lift& lift) {
  const LiftAxis &x = lift.axis[0], &y = lift.axis[1], &z = lift.axis[2];
  return x.n_site * y.n_node * z.n_node + x.n_site * y.n_site * z.n_node;
}

// Fill `out`, [field, *sites], of one patch by all threads of a team.
template <class Group>
__device__ void lift_patch(double* out, double* scratch, const double* U, const Lift& lift,
                           int64_t patch, int size, const Group& team) {
  const LiftAxis &x = lift.axis[0], &y = lift.axis[1], &z = lift.axis[2];
  const int64_t p = lift.first + patch, member = p / lift.n_member_patch;
  const int place = int(p - member * lift.n_member_patch);
  const int jx = place / (y.n_patch * z.n_patch), jy = place / z.n_patch % y.n_patch;
  const int jz = place % z.n_patch;
  const int *kx = x.nodes + jx * x.n_node, *ky = y.nodes + jy * y.n_node;
  const int* kz = z.nodes + jz * z.n_node;
  const double* wx = x.weights + int64_t(jx) * x.n_site * x.n_node;
  const double* wy = y.weights + int64_t(jy) * y.n_site * y.n_node;
  const double* wz = z.weights + int64_t(jz) * z.n_site * z.n_node;
  double* lines = scratch;
  double* planes = scratch + x.n_site * y.n_node * z.n_node;
  const int64_t coarse = int64_t(x.n_coarse) * y.n_coarse * z.n_coarse;
  const int sites = x.n_site * y.n_site * z.n_site;
  for (int f = 0; f < lift.n_field; ++f) {
    const double* V = U + (member * lift.n_field + f) * coarse;
    for (int i = team.rank; i < x.n_site * y.n_node * z.n_node; i += size) {
      const int c = i % z.n_node, b = i / z.n_node % y.n_node, a = i / (y.n_node * z.n_node);
      const int64_t at = int64_t(ky[b]) * z.n_coarse + kz[c];
      double total = 0.0;
      for (int k = 0; k < x.n_node; ++k)
        total += wx[a * x.n_node + k] * V[int64_t(kx[k]) * y.n_coarse * z.n_coarse + at];
      lines[i] = total;
    }
    team.sync();
    for (int i = team.rank; i < x.n_site * y.n_site * z.n_node; i += size) {
      const int c = i % z.n_node, b = i / z.n_node % y.n_site, a = i / (y.n_site * z.n_node);
      double total = 0.0;
      for (int k = 0; k < y.n_node; ++k)
        total += wy[b * y.n_node + k] * lines[(a * y.n_node + k) * z.n_node + c];
      planes[i] = total;
    }
    team.sync();
    for (int i = team.rank; i < sites; i += size) {
      const int c = i % z.n_site, ab = i / z.n_site;
      double total = 0.0;
      for (int k = 0; k < z.n_node; ++k)
        total += wz[c * z.n_node + k] * planes[ab * z.n_node + k];
      out[f * sites + i] = total;
    }
    team.sync();
  }
}

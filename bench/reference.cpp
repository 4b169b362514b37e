// The practical limit on a CPU: every burst written out for one rule and one patch size.
// Patch outermost, all steps inside, two buffers in L1, explicit Euler, edge sites frozen.
// fp32 has two forms: plain, and the perturbation form u = base + v that gpupatch runs.
#include <cstring>
#include <omp.h>
#include <utility>

template <class T, int N>
static void heterogeneous1d(T* u, const T* k, const T* f0, long P, T dt, T h, int n) {
  const T c = dt / (h * h);
#pragma omp parallel for schedule(static)
  for (long p = 0; p < P; ++p) {
    T* up = u + p * N;
    const T* __restrict kp = k + p * N;
    const T* __restrict fp = f0 ? f0 + p * N : nullptr;
    alignas(64) T s[2][N];
    alignas(64) T r[N];
    alignas(64) T g[N];
    std::memcpy(s[0], up, sizeof(s[0]));
    std::memcpy(s[1], up, sizeof(s[0]));
    for (int i = 0; i < N; ++i) r[i] = c * kp[i];
    for (int i = 0; i < N; ++i) g[i] = fp ? dt * fp[i] : T(0);
    T* from = s[0];
    T* to = s[1];
    for (int it = 0; it < n; ++it) {
      const T* __restrict a = from;
      T* __restrict o = to;
      if (fp) {
#pragma omp simd
        for (int i = 1; i < N - 1; ++i)
          o[i] = a[i] + (r[i] * (a[i + 1] - a[i]) - r[i - 1] * (a[i] - a[i - 1])) + g[i];
      } else {
#pragma omp simd
        for (int i = 1; i < N - 1; ++i)
          o[i] = a[i] + (r[i] * (a[i + 1] - a[i]) - r[i - 1] * (a[i] - a[i - 1]));
      }
      std::swap(from, to);
    }
    std::memcpy(up, from, sizeof(s[0]));
  }
}

template <class T, int N>
static void heat2d(T* u, const T* f0, long P, T dt, T h, T D, int n) {
  const T c = dt * D / (h * h);
#pragma omp parallel for schedule(static)
  for (long p = 0; p < P; ++p) {
    alignas(64) T s[2][N][N];
    alignas(64) T g[N][N];
    T* up = u + p * (N * N);
    std::memcpy(s[0], up, sizeof(s[0]));
    std::memcpy(s[1], up, sizeof(s[0]));
    if (f0)
      for (int i = 0; i < N; ++i)
        for (int j = 0; j < N; ++j) g[i][j] = dt * f0[p * (N * N) + i * N + j];
    int b = 0;
    for (int it = 0; it < n; ++it) {
      for (int i = 1; i < N - 1; ++i) {
        const T* __restrict a = s[b][i];
        const T* __restrict w = s[b][i - 1];
        const T* __restrict e = s[b][i + 1];
        const T* __restrict q = g[i];
        T* __restrict o = s[b ^ 1][i];
        if (f0) {
#pragma omp simd
          for (int j = 1; j < N - 1; ++j)
            o[j] = a[j] + c * (a[j + 1] + a[j - 1] + e[j] + w[j] - T(4) * a[j]) + q[j];
        } else {
#pragma omp simd
          for (int j = 1; j < N - 1; ++j)
            o[j] = a[j] + c * (a[j + 1] + a[j - 1] + e[j] + w[j] - T(4) * a[j]);
        }
      }
      b ^= 1;
    }
    std::memcpy(up, s[b], sizeof(s[0]));
  }
}

template <class T, int N>
static void heat3d(T* u, const T* f0, long P, T dt, T h, T D, int n) {
  const T c = dt * D / (h * h);
  constexpr int A = N * N * N;
#pragma omp parallel for schedule(static)
  for (long p = 0; p < P; ++p) {
    alignas(64) T s[2][N][N][N];
    alignas(64) T g[N][N][N];
    T* up = u + p * A;
    std::memcpy(s[0], up, sizeof(s[0]));
    std::memcpy(s[1], up, sizeof(s[0]));
    if (f0)
      for (int i = 0; i < N; ++i)
        for (int j = 0; j < N; ++j)
          for (int k = 0; k < N; ++k) g[i][j][k] = dt * f0[p * A + (i * N + j) * N + k];
    int b = 0;
    for (int it = 0; it < n; ++it) {
      for (int i = 1; i < N - 1; ++i)
        for (int j = 1; j < N - 1; ++j) {
          const T* __restrict a = s[b][i][j];
          const T* __restrict w = s[b][i - 1][j];
          const T* __restrict e = s[b][i + 1][j];
          const T* __restrict d = s[b][i][j - 1];
          const T* __restrict t = s[b][i][j + 1];
          const T* __restrict q = g[i][j];
          T* __restrict o = s[b ^ 1][i][j];
          if (f0) {
#pragma omp simd
            for (int k = 1; k < N - 1; ++k)
              o[k] = a[k] + c * (a[k + 1] + a[k - 1] + w[k] + e[k] + d[k] + t[k] - T(6) * a[k]) + q[k];
          } else {
#pragma omp simd
            for (int k = 1; k < N - 1; ++k)
              o[k] = a[k] + c * (a[k + 1] + a[k - 1] + w[k] + e[k] + d[k] + t[k] - T(6) * a[k]);
          }
        }
      b ^= 1;
    }
    std::memcpy(up, s[b], sizeof(s[0]));
  }
}

// state [patch][field][N][N]; with base and f0 the perturbation form
template <class T, int N>
static void gray_scott2d(T* u, const T* base, const T* f0, long P, T dt, T h, T Du, T Dv, T F, T k,
                         int n) {
  const T cu = dt * Du / (h * h), cv = dt * Dv / (h * h), Fk = F + k;
  constexpr int A = N * N;
#pragma omp parallel for schedule(static)
  for (long p = 0; p < P; ++p) {
    alignas(64) T s[2][2][N][N];
    T* up = u + p * 2 * A;
    std::memcpy(s[0], up, sizeof(s[0]));
    std::memcpy(s[1], up, sizeof(s[0]));
    const T* bp = base ? base + p * 2 * A : nullptr;
    const T* fp = f0 ? f0 + p * 2 * A : nullptr;
    int b = 0;
    for (int it = 0; it < n; ++it) {
      for (int i = 1; i < N - 1; ++i) {
        const T* __restrict a = s[b][0][i];
        const T* __restrict aw = s[b][0][i - 1];
        const T* __restrict ae = s[b][0][i + 1];
        const T* __restrict v = s[b][1][i];
        const T* __restrict vw = s[b][1][i - 1];
        const T* __restrict ve = s[b][1][i + 1];
        T* __restrict o = s[b ^ 1][0][i];
        T* __restrict w = s[b ^ 1][1][i];
        if (bp) {
          const T* __restrict ub = bp + i * N;
          const T* __restrict vb = bp + A + i * N;
          const T* __restrict fu = fp + i * N;
          const T* __restrict fv = fp + A + i * N;
#pragma omp simd
          for (int j = 1; j < N - 1; ++j) {
            const T V = vb[j] + v[j];
            const T r = a[j] * (V * V) + ub[j] * (v[j] * (V + vb[j]));
            const T lu = a[j + 1] + a[j - 1] + ae[j] + aw[j] - T(4) * a[j];
            const T lv = v[j + 1] + v[j - 1] + ve[j] + vw[j] - T(4) * v[j];
            o[j] = a[j] + cu * lu - dt * (r + F * a[j] - fu[j]);
            w[j] = v[j] + cv * lv + dt * (r - Fk * v[j] + fv[j]);
          }
        } else {
#pragma omp simd
          for (int j = 1; j < N - 1; ++j) {
            const T r = a[j] * (v[j] * v[j]);
            const T lu = a[j + 1] + a[j - 1] + ae[j] + aw[j] - T(4) * a[j];
            const T lv = v[j + 1] + v[j - 1] + ve[j] + vw[j] - T(4) * v[j];
            o[j] = a[j] + cu * lu - dt * (r - F * (T(1) - a[j]));
            w[j] = v[j] + cv * lv + dt * (r - Fk * v[j]);
          }
        }
      }
      b ^= 1;
    }
    std::memcpy(up, s[b], sizeof(s[0]));
  }
}

#define REAL(T, S)                                                                                \
  void heterogeneous1d_##S(T* u, const T* k, const T* f0, long P, T dt, T h, int n) {             \
    heterogeneous1d<T, 66>(u, k, f0, P, dt, h, n);                                                \
  }                                                                                               \
  void heat2d_##S(T* u, const T* f0, long P, T dt, T h, T D, int n) {                             \
    heat2d<T, 34>(u, f0, P, dt, h, D, n);                                                         \
  }                                                                                               \
  void heat3d_##S(T* u, const T* f0, long P, T dt, T h, T D, int n) {                             \
    heat3d<T, 18>(u, f0, P, dt, h, D, n);                                                         \
  }                                                                                               \
  void gray_scott2d_##S(T* u, const T* base, const T* f0, long P, T dt, T h, T Du, T Dv, T F,     \
                        T k, int n) {                                                             \
    gray_scott2d<T, 34>(u, base, f0, P, dt, h, Du, Dv, F, k, n);                                  \
  }

extern "C" {
REAL(double, f64)
REAL(float, f32)
void threads(int n) { omp_set_num_threads(n); }
}

// The practical limit on a CPU for all pairs: a burst of velocity Verlet written out for the
// Lennard-Jones potential in a square periodic box, one number of particles, patch outermost.
#include <cmath>
#include <omp.h>

template <class T, int N>
static void lennard_jones(T* positions, T* velocities, long P, T L, T rc2, T dt, int n) {
#pragma omp parallel for schedule(static)
  for (long p = 0; p < P; ++p) {
    T* __restrict x = positions + p * 2 * N;
    T* __restrict y = x + N;
    T* __restrict u = velocities + p * 2 * N;
    T* __restrict v = u + N;
    alignas(64) T fx[N];
    alignas(64) T fy[N];
    const T inverse = 1 / L, h = T(0.5) * dt;
    auto force = [&] {
      for (int i = 0; i < N; ++i) {
        T ax = 0, ay = 0;
        const T xi = x[i], yi = y[i];
#pragma omp simd reduction(+ : ax, ay)
        for (int j = 0; j < N; ++j) {
          T dx = xi - x[j], dy = yi - y[j];
          dx -= L * std::rint(dx * inverse);
          dy -= L * std::rint(dy * inverse);
          const T s = dx * dx + dy * dy;
          const bool near = (s < rc2) & (s > 0);
          const T i2 = 1 / (near ? s : T(1)), i6 = i2 * i2 * i2;
          const T g = near ? 48 * i2 * i6 * (i6 - T(0.5)) : T(0);
          ax += g * dx;
          ay += g * dy;
        }
        fx[i] = ax;
        fy[i] = ay;
      }
    };
    force();
    for (int step = 0; step < n; ++step) {
      for (int i = 0; i < N; ++i) {
        u[i] += h * fx[i];
        v[i] += h * fy[i];
        x[i] += dt * u[i];
        y[i] += dt * v[i];
      }
      force();
      for (int i = 0; i < N; ++i) {
        u[i] += h * fx[i];
        v[i] += h * fy[i];
      }
    }
  }
}

#define REAL(T, S)                                                                              \
  void lennard_jones_##S(T* x, T* v, long P, double L, double rc2, double dt, int n) {          \
    lennard_jones<T, 128>(x, v, P, T(L), T(rc2), T(dt), n);                                     \
  }

extern "C" {
REAL(double, f64)
REAL(float, f32)
void threads(int n) { omp_set_num_threads(n); }
}

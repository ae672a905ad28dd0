// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/cell_gradients.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lmserve {
namespace {

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double Apply(Activation f, double x) {
  switch (f) {
    case Activation::kSigmoid:
      return Sigmoid(x);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kRelu:
      return std::max(x, 0.0);
  }
  return x;
}

// Returns f'(x), given y = f(x).
template <typename T>
T Slope(Activation f, T y) {
  switch (f) {
    case Activation::kSigmoid:
      return y * (1 - y);
    case Activation::kTanh:
      return 1 - y * y;
    case Activation::kRelu:
      return y > 0 ? 1 : 0;
  }
  return 1;
}

}  // namespace

void RnnCell(Activation f, size_t n, const double* input,
             const double* recurrent, double* h) {
  for (size_t k = 0; k < n; ++k) h[k] = Apply(f, input[k] + recurrent[k]);
}

void LstmCell(size_t n, const double* input, const double* recurrent,
              const double* old_c, double* gates, double* c, double* h) {
  for (size_t k = 0; k < n; ++k) {
    const auto sum = [&](size_t gate) {
      return input[gate * n + k] + recurrent[gate * n + k];
    };
    const double i = Sigmoid(sum(0));
    const double f = Sigmoid(sum(1));
    const double g = std::tanh(sum(2));
    const double o = Sigmoid(sum(3));
    c[k] = f * old_c[k] + i * g;
    h[k] = o * std::tanh(c[k]);
    gates[k] = i;
    gates[n + k] = f;
    gates[2 * n + k] = g;
    gates[3 * n + k] = o;
  }
}

void GruCell(size_t n, const double* input, const double* recurrent,
             const double* old_h, double* gates, double* h) {
  for (size_t k = 0; k < n; ++k) {
    const double r = Sigmoid(input[k] + recurrent[k]);
    const double z = Sigmoid(input[n + k] + recurrent[n + k]);
    const double candidate =
        std::tanh(input[2 * n + k] + r * recurrent[2 * n + k]);
    h[k] = (1 - z) * candidate + z * old_h[k];
    gates[k] = r;
    gates[n + k] = z;
    gates[2 * n + k] = candidate;
  }
}

void TanhInPlace(absl::Span<double> x) {
  for (double& value : x) value = std::tanh(value);
}

double SoftmaxInPlace(absl::Span<double> x) {
  const double max = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double& value : x) sum += value = std::exp(value - max);
  for (double& value : x) value /= sum;
  return max + std::log(sum);
}

template <typename T>
void RnnCellBackward(Activation f, size_t n, const T* h, const T* dh, T* dsum) {
  for (size_t k = 0; k < n; ++k) dsum[k] = dh[k] * Slope(f, h[k]);
}

template <typename T>
void LstmCellBackward(size_t n, const T* gates, const T* old_c, const T* c,
                      const T* dh, T* dc, T* dsum) {
  std::vector<T> tanh_c(c, c + n);
  TanhInPlace(absl::MakeSpan(tanh_c));
  for (size_t k = 0; k < n; ++k) {
    const T i = gates[k], f = gates[n + k];
    const T g = gates[2 * n + k], o = gates[3 * n + k];
    const T dck = dc[k] + dh[k] * o * (1 - tanh_c[k] * tanh_c[k]);
    dsum[k] = dck * g * i * (1 - i);
    dsum[n + k] = dck * old_c[k] * f * (1 - f);
    dsum[2 * n + k] = dck * i * (1 - g * g);
    dsum[3 * n + k] = dh[k] * tanh_c[k] * o * (1 - o);
    dc[k] = dck * f;
  }
}

template <typename T>
void GruCellBackward(size_t n, const T* gates, const T* recurrent,
                     const T* old_h, const T* dh, T* dinput, T* drecurrent,
                     T* d_old_h) {
  for (size_t k = 0; k < n; ++k) {
    const T r = gates[k], z = gates[n + k], candidate = gates[2 * n + k];
    const T dn = dh[k] * (1 - z) * (1 - candidate * candidate);
    const T dz = dh[k] * (old_h[k] - candidate) * z * (1 - z);
    const T dr = dn * recurrent[2 * n + k] * r * (1 - r);
    dinput[k] = drecurrent[k] = dr;
    dinput[n + k] = drecurrent[n + k] = dz;
    dinput[2 * n + k] = dn;
    drecurrent[2 * n + k] = dn * r;
    d_old_h[k] += dh[k] * z;
  }
}

template void RnnCellBackward(Activation, size_t, const float*, const float*,
                              float*);
template void RnnCellBackward(Activation, size_t, const double*, const double*,
                              double*);
template void LstmCellBackward(size_t, const float*, const float*, const float*,
                               const float*, float*, float*);
template void LstmCellBackward(size_t, const double*, const double*,
                               const double*, const double*, double*, double*);
template void GruCellBackward(size_t, const float*, const float*, const float*,
                              const float*, float*, float*, float*);
template void GruCellBackward(size_t, const double*, const double*,
                              const double*, const double*, double*, double*,
                              double*);

}  // namespace lmserve

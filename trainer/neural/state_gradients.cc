// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/state_gradients.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "models/neural/network_weights.h"
#include "trainer/neural/batches.h"

namespace lmserve {
namespace {

// Number of pieces of the text that are read in parallel.
constexpr size_t kStreams = 20;

using Stack = RecurrentStack<double>;

// The largest slope of a nonlinearity.
double LargestSlope(Activation activation) {
  return activation == Activation::kSigmoid ? 0.25 : 1;
}

double BoundFactor(const LoadedNetwork& network) {
  const RecurrentStackOptions& stack = network.options.stack;
  if (stack.cell != Cell::kRnn || stack.layers != 1) return 0;
  const auto made = MakeRecurrentNetwork<float>(network.options);
  for (const ParameterLayout::Parameter& p : made->layout().parameters()) {
    if (p.name != LayerTensor("weight_hh", 0, false)) continue;
    const absl::Span<const float> values = network.values;
    return LargestSingularValue(values.subspan(p.begin, p.size()), p.rows,
                                p.cols) *
           LargestSlope(stack.activation);
  }
  return 0;
}

// Keeps only the targets of the last step: J is the loss of one place in each
// stream. Returns how many there are.
size_t KeepLastTargets(Batch* batch) {
  const size_t last = (batch->steps - 1) * batch->streams;
  std::fill_n(batch->targets.begin(), last, kNoTarget);
  return std::count_if(batch->targets.begin() + last, batch->targets.end(),
                       [](WordId word) { return word != kNoTarget; });
}

// Adds the norms of the gradients of a batch by one state (steps, streams,
// units) to the sums of a curve.
void AddNorms(const Batch& batch, absl::Span<const double> gradients,
              GradientCurve* curve) {
  const size_t units = gradients.size() / batch.inputs.size();
  for (size_t step = 0; step < batch.steps; ++step) {
    const size_t distance = batch.steps - 1 - step;
    for (size_t s = 0; s < batch.streams; ++s) {
      double sum = 0;
      for (double x :
           gradients.subspan((step * batch.streams + s) * units, units)) {
        sum += x * x;
      }
      const double norm = std::sqrt(sum);
      curve->mean[distance] += norm;
      curve->largest[distance] = std::max(curve->largest[distance], norm);
    }
  }
}

}  // namespace

StateGradientResult MeasureStateGradients(const LoadedNetwork& network,
                                          absl::Span<const WordId> words,
                                          WordId begin, WordId end,
                                          const StateGradientOptions& options) {
  RecurrentNetworkOptions network_options = network.options;
  network_options.carry_state = true;
  const auto made = MakeRecurrentNetwork<double>(network_options);
  const std::vector<double> values(network.values.begin(),
                                   network.values.end());
  std::vector<double> unused(values.size());
  const auto batches = MakeStreamBatches(
      words, begin, end, {.streams = kStreams, .steps = options.distance + 1});
  StateGradientResult result;
  result.factor = BoundFactor(network);
  const size_t layers = network_options.stack.layers;
  const bool has_cell_state = network_options.stack.cell == Cell::kLstm;
  for (size_t i = 0; i < layers * (has_cell_state ? 2 : 1); ++i) {
    result.curves.push_back(
        {.layer = i % layers, .is_cell_state = i >= layers});
    result.curves.back().mean.resize(options.distance + 1);
    result.curves.back().largest.resize(options.distance + 1);
  }
  Stack::StateGradients gradients;
  for (size_t i = 0; i < batches->size() && result.places < options.places;
       ++i) {
    Batch batch = batches->Get(i);
    // The last batch of the text may be shorter, but a text has at least one.
    if (i > 0 && batch.steps <= options.distance) break;
    result.places += KeepLastTargets(&batch);
    const Network<double>::Backward backward = {
        .scale = 1, .gradients = unused.data(), .states = &gradients};
    made->Run(values.data(), batch, nullptr, &backward);
    for (GradientCurve& curve : result.curves) {
      const auto& states = curve.is_cell_state ? gradients.c : gradients.h;
      AddNorms(batch, states[curve.layer], &curve);
    }
  }
  for (GradientCurve& curve : result.curves) {
    for (double& mean : curve.mean) mean /= std::max<size_t>(1, result.places);
  }
  return result;
}

double LargestSingularValue(absl::Span<const float> matrix, size_t rows,
                            size_t cols) {
  constexpr int kIterations = 2000;
  constexpr double kPrecision = 1e-12;
  std::vector<double> x(cols), y(rows);
  // Not orthogonal to the first singular vector, except by coincidence.
  for (size_t c = 0; c < cols; ++c) x[c] = 1 + 0.5 * std::sin(1.0 + c);
  double value = 0;
  for (int i = 0; i < kIterations; ++i) {
    double norm = 0;
    for (double a : x) norm += a * a;
    norm = std::sqrt(norm);
    if (norm == 0) return 0;
    for (double& a : x) a /= norm;
    // y = M x, then x = M^T y, whose length converges to the square.
    double squares = 0;
    for (size_t r = 0; r < rows; ++r) {
      y[r] = 0;
      for (size_t c = 0; c < cols; ++c) y[r] += matrix[r * cols + c] * x[c];
      squares += y[r] * y[r];
    }
    std::fill(x.begin(), x.end(), 0);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < cols; ++c) x[c] += matrix[r * cols + c] * y[r];
    }
    const double before = value;
    value = std::sqrt(squares);
    if (i > 10 && std::abs(value - before) <= kPrecision * value) break;
  }
  return value;
}

}  // namespace lmserve

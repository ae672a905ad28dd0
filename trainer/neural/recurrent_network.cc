// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "models/neural/network_weights.h"
#include "trainer/neural/embedding.h"
#include "trainer/neural/network.h"

namespace lmserve {
namespace {

template <typename T>
class RecurrentNetwork final : public Network<T> {
 public:
  using typename Network<T>::Backward;

  explicit RecurrentNetwork(const RecurrentNetworkOptions& options)
      : options_(options),
        embedding_(layout_.AddMatrix(std::string(kEmbeddingTensor),
                                     options.vocabulary, options.embedding)),
        stack_(StackOptions(options), &layout_),
        output_(options.tied
                    ? embedding_
                    : layout_.AddMatrix(std::string(kOutputTensor),
                                        options.vocabulary, stack_.outputs())),
        loss_(options.vocabulary, options.cutoffs, options.never,
              {{stack_.outputs(), output_}}, &layout_, options.stack.products) {
  }

  std::map<std::string, std::string> Metadata() const override {
    return RecurrentMetadata(options_.stack, options_.cutoffs);
  }

  void Initialize(uint64_t seed, T* values) const override {
    Random random(seed, RandomPurpose::kInitialWeights);
    FillUniform(layout_.View(values, embedding_), options_.initial_range,
                &random);
    stack_.Initialize(values, &random);
    if (options_.identity) stack_.StartAtIdentity(values);
    if (!options_.tied) {
      FillUniform(layout_.View(values, output_), options_.initial_range,
                  &random);
    }
    loss_.Initialize(values, options_.initial_range, &random);
  }

  double Run(const T* values, const Batch& batch, Random* random,
             const Backward* backward) override {
    if (batch.streams == 0) return 0;
    if (!options_.carry_state || streams_ != batch.streams) {
      streams_ = batch.streams;
      state_ = stack_.MakeState(streams_);
    }
    const T* features =
        stack_.Forward(values, batch.steps, batch.streams,
                       Embed<T>(layout_.View(values, embedding_), batch.inputs),
                       &state_, random);
    const size_t rows = batch.inputs.size();
    const MatrixView<const T> x(features, rows, stack_.outputs());
    if (backward == nullptr) {
      return loss_.Run(values, {x}, batch.targets, nullptr);
    }
    std::vector<T> dx(rows * stack_.outputs());
    const typename SoftmaxLoss<T>::Gradients gradients = {
        backward->scale,
        backward->gradients,
        {{dx.data(), rows, stack_.outputs()}}};
    const double loss = loss_.Run(values, {x}, batch.targets, &gradients);
    const std::vector<T>& d_embedded = stack_.Backward(
        values, std::move(dx), nullptr, backward->gradients, backward->states);
    AddEmbeddingGradient<T>(batch.inputs, d_embedded.data(),
                            layout_.View(backward->gradients, embedding_));
    return loss;
  }

  // The h of all layers, then the c of all layers.
  std::vector<T> state() const override {
    std::vector<T> numbers;
    for (const auto* values : {&state_.h, &state_.c}) {
      for (const std::vector<T>& layer : *values) {
        numbers.insert(numbers.end(), layer.begin(), layer.end());
      }
    }
    return numbers;
  }

  void set_state(const std::vector<T>& state) override {
    streams_ = 0;
    state_ = stack_.MakeState(0);
    if (state.empty()) return;
    const size_t per_stream =
        (state_.h.size() + state_.c.size()) * options_.stack.units;
    streams_ = state.size() / per_stream;
    state_ = stack_.MakeState(streams_);
    auto from = state.begin();
    for (auto* values : {&state_.h, &state_.c}) {
      for (std::vector<T>& layer : *values) {
        std::copy_n(from, layer.size(), layer.begin());
        from += static_cast<std::ptrdiff_t>(layer.size());
      }
    }
  }

 private:
  using Network<T>::layout_;

  static RecurrentStackOptions StackOptions(
      const RecurrentNetworkOptions& options) {
    RecurrentStackOptions stack = options.stack;
    stack.inputs = options.embedding;
    return stack;
  }

  const RecurrentNetworkOptions options_;
  const size_t embedding_;
  RecurrentStack<T> stack_;
  const size_t output_;
  SoftmaxLoss<T> loss_;
  size_t streams_ = 0;
  typename RecurrentStack<T>::State state_;
};

}  // namespace

template <typename T>
std::unique_ptr<Network<T>> MakeRecurrentNetwork(
    const RecurrentNetworkOptions& options) {
  return std::make_unique<RecurrentNetwork<T>>(options);
}

template std::unique_ptr<Network<float>> MakeRecurrentNetwork(
    const RecurrentNetworkOptions&);
template std::unique_ptr<Network<double>> MakeRecurrentNetwork(
    const RecurrentNetworkOptions&);

}  // namespace lmserve

// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <utility>

#include "models/neural/network_weights.h"
#include "models/neural/pooling.h"
#include "models/neural/recurrent_classifier.h"
#include "trainer/neural/embedding.h"
#include "trainer/neural/label_output.h"
#include "trainer/neural/network.h"
#include "trainer/neural/pooling_gradient.h"

namespace lmserve {
namespace {

template <typename T>
class ClassifierNetwork final : public Network<T> {
 public:
  using typename Network<T>::Backward;

  explicit ClassifierNetwork(const ClassifierNetworkOptions& options)
      : options_(options),
        embedding_(layout_.AddMatrix(std::string(kEmbeddingTensor),
                                     options.vocabulary, options.embedding)),
        stack_(StackOptions(options), &layout_),
        output_(options.labels, stack_.outputs(), /*has_chain=*/false,
                &layout_) {}

  std::map<std::string, std::string> Metadata() const override {
    std::map<std::string, std::string> metadata =
        RecurrentMetadata(options_.stack, /*cutoffs=*/{});
    metadata[std::string(kPoolingKey)] =
        std::string(PoolingName(options_.pooling));
    return metadata;
  }

  void Initialize(uint64_t seed, T* values) const override {
    Random random(seed, RandomPurpose::kInitialWeights);
    FillUniform(layout_.View(values, embedding_), options_.initial_range,
                &random);
    stack_.Initialize(values, &random);
    output_.Initialize(values, &random);
  }

  double Run(const T* values, const Batch& batch, Random* random,
             const Backward* backward) override {
    errors_.reset();
    if (batch.streams == 0) return 0;
    auto state = stack_.MakeState(batch.streams);
    const T* h =
        stack_.Forward(values, batch.steps, batch.streams,
                       Embed<T>(layout_.View(values, embedding_), batch.inputs),
                       &state, random);
    const size_t width = stack_.outputs();
    std::vector<T> vectors(batch.streams * width);
    for (size_t s = 0; s < batch.streams; ++s) {
      PoolStates(options_.pooling, States(h, batch, s), options_.stack.units,
                 vectors.data() + s * width);
    }
    const MatrixView<const T> features(vectors.data(), batch.streams, width);
    if (backward == nullptr) {
      const double loss =
          output_.Run(values, features, batch.streams, batch.targets, nullptr);
      errors_ = output_.errors();
      return loss;
    }
    std::vector<T> d_vectors(vectors.size());
    const typename LabelOutput<T>::Gradients gradients = {
        backward->scale,
        backward->gradients,
        {d_vectors.data(), batch.streams, width}};
    const double loss =
        output_.Run(values, features, batch.streams, batch.targets, &gradients);
    std::vector<T> dh(batch.inputs.size() * width);
    for (size_t s = 0; s < batch.streams; ++s) {
      AddPoolingGradient<T>(options_.pooling, States(h, batch, s),
                            options_.stack.units, d_vectors.data() + s * width,
                            States(dh.data(), batch, s));
    }
    const std::vector<T>& d_embedded = stack_.Backward(
        values, std::move(dh), /*d_state=*/nullptr, backward->gradients);
    AddEmbeddingGradient<T>(batch.inputs, d_embedded.data(),
                            layout_.View(backward->gradients, embedding_));
    return loss;
  }

  std::optional<size_t> table() const override { return embedding_; }

  std::optional<size_t> errors() const override { return errors_; }

 private:
  using Network<T>::layout_;

  static RecurrentStackOptions StackOptions(
      const ClassifierNetworkOptions& options) {
    RecurrentStackOptions stack = options.stack;
    stack.inputs = options.embedding;
    return stack;
  }

  // Returns the states of one sentence, (steps, width), of an array (steps,
  // streams, width).
  template <typename U>
  MatrixView<U> States(U* array, const Batch& batch, size_t stream) const {
    const size_t width = stack_.outputs();
    return {array + stream * width, batch.steps, width, batch.streams * width};
  }

  const ClassifierNetworkOptions options_;
  const size_t embedding_;
  RecurrentStack<T> stack_;
  LabelOutput<T> output_;
  std::optional<size_t> errors_;
};

}  // namespace

template <typename T>
std::unique_ptr<Network<T>> MakeClassifierNetwork(
    const ClassifierNetworkOptions& options) {
  return std::make_unique<ClassifierNetwork<T>>(options);
}

template std::unique_ptr<Network<float>> MakeClassifierNetwork(
    const ClassifierNetworkOptions&);
template std::unique_ptr<Network<double>> MakeClassifierNetwork(
    const ClassifierNetworkOptions&);

}  // namespace lmserve

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <utility>

#include "models/neural/network_weights.h"
#include "models/neural/recurrent_tagger.h"
#include "trainer/neural/character_layer.h"
#include "trainer/neural/embedding.h"
#include "trainer/neural/label_output.h"
#include "trainer/neural/network.h"

namespace lmserve {
namespace {

template <typename T>
class TaggerNetwork final : public Network<T> {
 public:
  using typename Network<T>::Backward;

  explicit TaggerNetwork(const TaggerNetworkOptions& options)
      : options_(options),
        embedding_(layout_.AddMatrix(std::string(kEmbeddingTensor),
                                     options.vocabulary, options.embedding)),
        characters_(MakeCharacters(options, &layout_)),
        stack_(StackOptions(options), &layout_),
        output_(options.labels, stack_.outputs(), options.crf, &layout_) {
    if (options.auxiliary_labels == 0) return;
    auxiliary_.emplace(options.auxiliary_labels, stack_.outputs(),
                       /*has_chain=*/false, &layout_, kTrainingPrefix);
  }

  std::map<std::string, std::string> Metadata() const override {
    std::map<std::string, std::string> metadata =
        RecurrentMetadata(options_.stack, /*cutoffs=*/{});
    if (options_.bio) {
      metadata[std::string(kConstraintsKey)] = std::string(kBioConstraints);
    }
    return metadata;
  }

  void Initialize(uint64_t seed, T* values) const override {
    Random random(seed, RandomPurpose::kInitialWeights);
    FillUniform(layout_.View(values, embedding_), options_.initial_range,
                &random);
    if (characters_.has_value()) characters_->Initialize(values, &random);
    stack_.Initialize(values, &random);
    output_.Initialize(values, &random);
    if (auxiliary_.has_value()) auxiliary_->Initialize(values, &random);
  }

  double Run(const T* values, const Batch& batch, Random* random,
             const Backward* backward) override {
    errors_.reset();
    if (batch.streams == 0) return 0;
    auto state = stack_.MakeState(batch.streams);
    const T* h = stack_.Forward(values, batch.steps, batch.streams,
                                Inputs(values, batch), &state, random);
    const size_t rows = batch.inputs.size(), width = stack_.outputs();
    const MatrixView<const T> features(h, rows, width);
    if (backward == nullptr) {
      const double loss =
          output_.Run(values, features, batch.streams, batch.targets, nullptr);
      errors_ = output_.errors();
      return loss + RunAuxiliary(values, batch, nullptr, nullptr);
    }
    std::vector<T> d_features(rows * width);
    const typename LabelOutput<T>::Gradients gradients = {
        backward->scale, backward->gradients, {d_features.data(), rows, width}};
    double loss =
        output_.Run(values, features, batch.streams, batch.targets, &gradients);
    std::vector<T> d_first;
    loss += RunAuxiliary(values, batch, backward, &d_first);
    AddInputGradients(
        values, batch,
        stack_.Backward(values, std::move(d_features), /*d_state=*/nullptr,
                        backward->gradients, /*states=*/nullptr,
                        d_first.empty() ? nullptr : &d_first),
        backward->gradients);
    return loss;
  }

  std::optional<size_t> table() const override { return embedding_; }

  std::optional<size_t> errors() const override { return errors_; }

 private:
  using Network<T>::layout_;

  static std::optional<CharacterLayer<T>> MakeCharacters(
      const TaggerNetworkOptions& options, ParameterLayout* layout) {
    if (options.character_units == 0) return std::nullopt;
    RecurrentStackOptions stack;
    stack.cell = options.stack.cell;
    stack.activation = options.stack.activation;
    stack.units = options.character_units;
    stack.layers = options.character_layers;
    stack.products = options.stack.products;
    return std::optional<CharacterLayer<T>>(std::in_place,
                                            options.character_embedding, stack,
                                            options.spellings, layout);
  }

  static RecurrentStackOptions StackOptions(
      const TaggerNetworkOptions& options) {
    RecurrentStackOptions stack = options.stack;
    stack.inputs = options.embedding + 2 * options.character_units;
    return stack;
  }

  // Returns the weighted loss of the auxiliary labels, which is 0 if the batch
  // has none. If backward is not null, sets dE/d(output of the first layer),
  // which is empty if the batch has none.
  double RunAuxiliary(const T* values, const Batch& batch,
                      const Backward* backward, std::vector<T>* d_first) {
    if (!auxiliary_.has_value() || batch.auxiliary.empty()) return 0;
    const size_t rows = batch.inputs.size(), width = stack_.outputs();
    const MatrixView<const T> first(stack_.first_output(), rows, width);
    const double weight = options_.auxiliary_weight;
    if (backward == nullptr) {
      return weight * auxiliary_->Run(values, first, batch.streams,
                                      batch.auxiliary, nullptr);
    }
    d_first->resize(rows * width);
    const typename LabelOutput<T>::Gradients gradients = {
        backward->scale * static_cast<T>(weight),
        backward->gradients,
        {d_first->data(), rows, width}};
    return weight * auxiliary_->Run(values, first, batch.streams,
                                    batch.auxiliary, &gradients);
  }

  // Returns [embedding; characters] of all words.
  std::vector<T> Inputs(const T* values, const Batch& batch) {
    std::vector<T> words =
        Embed<T>(layout_.View(values, embedding_), batch.inputs);
    if (!characters_.has_value()) return words;
    const std::vector<T> spelled =
        characters_->Forward(values, batch.spellings);
    const size_t embedding = options_.embedding;
    const size_t outputs = characters_->outputs();
    std::vector<T> x(batch.inputs.size() * (embedding + outputs));
    T* to = x.data();
    for (size_t r = 0; r < batch.inputs.size(); ++r) {
      to = std::copy_n(words.data() + r * embedding, embedding, to);
      to = std::copy_n(spelled.data() + r * outputs, outputs, to);
    }
    return x;
  }

  // Adds the gradients of what Inputs() returned.
  void AddInputGradients(const T* values, const Batch& batch,
                         const std::vector<T>& dx, T* gradients) {
    const size_t embedding = options_.embedding;
    const size_t outputs = characters_.has_value() ? characters_->outputs() : 0;
    std::vector<T> d_spelled;
    d_spelled.reserve(batch.inputs.size() * outputs);
    for (size_t r = 0; r < batch.inputs.size(); ++r) {
      const T* d = dx.data() + r * (embedding + outputs);
      AddEmbeddingGradient<T>({&batch.inputs[r], 1}, d,
                              layout_.View(gradients, embedding_));
      d_spelled.insert(d_spelled.end(), d + embedding, d + embedding + outputs);
    }
    if (!characters_.has_value()) return;
    characters_->Backward(values, d_spelled, gradients);
  }

  const TaggerNetworkOptions options_;
  const size_t embedding_;
  std::optional<CharacterLayer<T>> characters_;
  RecurrentStack<T> stack_;
  LabelOutput<T> output_;
  std::optional<LabelOutput<T>> auxiliary_;
  std::optional<size_t> errors_;
};

}  // namespace

template <typename T>
std::unique_ptr<Network<T>> MakeTaggerNetwork(
    const TaggerNetworkOptions& options) {
  return std::make_unique<TaggerNetwork<T>>(options);
}

template std::unique_ptr<Network<float>> MakeTaggerNetwork(
    const TaggerNetworkOptions&);
template std::unique_ptr<Network<double>> MakeTaggerNetwork(
    const TaggerNetworkOptions&);

}  // namespace lmserve

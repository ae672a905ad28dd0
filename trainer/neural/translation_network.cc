// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "models/neural/network_weights.h"
#include "models/neural/translation_weights.h"
#include "trainer/neural/attention.h"
#include "trainer/neural/bridge.h"
#include "trainer/neural/embedding.h"
#include "trainer/neural/network.h"

namespace lmserve {
namespace {

template <typename T>
class TranslationNetwork final : public Network<T> {
 public:
  using typename Network<T>::Backward;

  // The optional parts that are not used have no parameters. A weights file
  // therefore shows by its tensors which parts the network has.
  explicit TranslationNetwork(const TranslationNetworkOptions& options)
      : options_(options),
        source_embedding_(layout_.AddMatrix(std::string(kSourceEmbeddingTensor),
                                            options.source_vocabulary,
                                            options.embedding)),
        encoder_(EncoderOptions(options), &layout_),
        decoder_(options.shared
                     ? encoder_
                     : RecurrentStack<T>(DecoderOptions(options), &layout_)),
        y_dropout_(options.dropout) {
    if (options.bidirectional) {
      bridge_.emplace(options.units, options.layers,
                      options.cell == Cell::kLstm, &layout_);
    }
    if (options.attention) {
      attention_.emplace(options.units, encoder_.outputs(), &layout_);
    }
    if (options.reads_word) {
      embedding_ = layout_.AddMatrix(std::string(kEmbeddingTensor),
                                     options.vocabulary, options.embedding);
    }
    const size_t output =
        options.tied ? embedding_
                     : layout_.AddMatrix(std::string(kOutputTensor),
                                         options.vocabulary, options.units);
    loss_.emplace(
        options.vocabulary, options.cutoffs, options.never,
        std::vector<typename SoftmaxLoss<T>::Part>{{options.units, output}},
        &layout_, options.products);
  }

  std::map<std::string, std::string> Metadata() const override {
    std::map<std::string, std::string> metadata =
        RecurrentMetadata(EncoderOptions(options_), options_.cutoffs);
    if (options_.reverse_source) {
      metadata[std::string(kReverseSourceKey)] = "true";
    }
    return metadata;
  }

  // Embeddings and output weights are uniform in [-initial_range,
  // initial_range), other matrices in [-1 / sqrt(inputs), 1 / sqrt(inputs)).
  // The recurrent layers are then initialized a second time in their own way.
  // Without the first draws, the same seed would give other numbers.
  void Initialize(uint64_t seed, T* values) const override {
    Random random(seed, RandomPurpose::kInitialWeights);
    for (size_t i = 0; i < layout_.parameters().size(); ++i) {
      const ParameterLayout::Parameter& parameter = layout_.parameters()[i];
      const bool is_of_words = parameter.name == kSourceEmbeddingTensor ||
                               parameter.name == kEmbeddingTensor ||
                               parameter.name == kOutputTensor;
      FillUniform(layout_.View(values, i),
                  is_of_words           ? options_.initial_range
                  : parameter.is_matrix ? 1 / std::sqrt(parameter.cols)
                                        : 0,
                  &random);
    }
    encoder_.Initialize(values, &random);
    if (!options_.shared) decoder_.Initialize(values, &random);
  }

  double Run(const T* values, const Batch& batch, Random* random,
             const Backward* backward) override {
    if (batch.streams == 0) return 0;
    Encode(values, batch, random);
    const std::vector<T>& features = Decode(values, batch, random);
    const size_t rows = batch.inputs.size();
    const MatrixView<const T> x(features.data(), rows, options_.units);
    if (backward == nullptr) {
      return loss_->Run(values, {x}, batch.targets, nullptr);
    }
    std::vector<T> dx(rows * options_.units);
    const typename SoftmaxLoss<T>::Gradients gradients = {
        backward->scale,
        backward->gradients,
        {{dx.data(), rows, options_.units}}};
    const double loss = loss_->Run(values, {x}, batch.targets, &gradients);
    RunBack(values, batch, std::move(dx), backward->gradients);
    return loss;
  }

 private:
  using Network<T>::layout_;
  using State = typename RecurrentStack<T>::State;

  static RecurrentStackOptions EncoderOptions(
      const TranslationNetworkOptions& options) {
    RecurrentStackOptions stack;
    stack.prefix = std::string(kSourcePrefix);
    stack.cell = options.cell;
    stack.activation = options.activation;
    stack.inputs = options.embedding;
    stack.units = options.units;
    stack.layers = options.layers;
    stack.bidirectional = options.bidirectional;
    stack.dropout = options.dropout;
    stack.products = options.products;
    return stack;
  }

  static RecurrentStackOptions DecoderOptions(
      const TranslationNetworkOptions& options) {
    RecurrentStackOptions stack = EncoderOptions(options);
    stack.prefix.clear();
    stack.inputs = options.reads_word ? options.embedding : 0;
    if (options.reads_context) {
      stack.inputs += options.units * (options.bidirectional ? 2 : 1);
    }
    stack.bidirectional = false;
    return stack;
  }

  // Runs the encoder: sets encoded_ to its states, (source rows, outputs), and
  // state_ to the last state.
  void Encode(const T* values, const Batch& batch, Random* random) {
    state_ = encoder_.MakeState(batch.streams);
    source_rows_ = batch.sources.size();
    encoded_ = encoder_.Forward(
        values, source_rows_ / batch.streams, batch.streams,
        Embed<T>(layout_.View(values, source_embedding_), batch.sources),
        &state_, random);
  }

  // Runs the decoder and returns its features, (rows, units).
  const std::vector<T>& Decode(const T* values, const Batch& batch,
                               Random* random) {
    State state =
        bridge_.has_value() ? bridge_->Forward(values, state_) : state_;
    const T* h = decoder_.Forward(values, batch.steps, batch.streams,
                                  DecoderInputs(values, batch), &state, random);
    const size_t rows = batch.inputs.size();
    if (attention_.has_value()) {
      features_ = attention_->Forward(
          values, {h, rows, options_.units},
          {encoded_, source_rows_, encoder_.outputs()}, batch.streams);
      y_dropout_.Forward(features_.data(), features_.size(), random);
      return features_;
    }
    features_.assign(h, h + rows * options_.units);
    return features_;
  }

  // Returns the inputs of the decoder: the embedding of the previous word and
  // the last state of the encoder, side by side, as far as the decoder reads
  // them. Shared weights always have the input of an embedding; it is 0 if the
  // decoder does not read words.
  std::vector<T> DecoderInputs(const T* values, const Batch& batch) const {
    const size_t rows = batch.inputs.size();
    std::vector<T> words;
    if (options_.reads_word) {
      words = Embed<T>(layout_.View(values, embedding_), batch.inputs);
    } else if (options_.shared) {
      words.resize(rows * options_.embedding);
    }
    if (!options_.reads_context) return words;
    const size_t width = words.size() / rows;
    std::vector<T> x;
    x.reserve(rows * (width + encoder_.outputs()));
    for (size_t r = 0; r < rows; ++r) {
      const T* word = words.data() + r * width;
      x.insert(x.end(), word, word + width);
      for (size_t i = FirstOfContext(); i < state_.h.size(); ++i) {
        const T* h = state_.h[i].data() + r % batch.streams * options_.units;
        x.insert(x.end(), h, h + options_.units);
      }
    }
    return x;
  }

  // Returns the index of the first state of the context, which is the states of
  // all directions of the last layer.
  size_t FirstOfContext() const {
    return state_.h.size() - (options_.bidirectional ? 2 : 1);
  }

  void RunBack(const T* values, const Batch& batch, std::vector<T> d_features,
               T* gradients) {
    std::vector<T> d_encoded(source_rows_ * encoder_.outputs());
    if (attention_.has_value()) {
      y_dropout_.Backward(d_features.data(), d_features.size());
      std::vector<T> dh(d_features.size());
      attention_->Backward(
          values, &d_features, {dh.data(), batch.inputs.size(), options_.units},
          {d_encoded.data(), source_rows_, encoder_.outputs()}, gradients);
      d_features.swap(dh);
    }
    State d_state = decoder_.MakeState(batch.streams);
    const std::vector<T>& dx =
        decoder_.Backward(values, std::move(d_features), &d_state, gradients);
    State d_last = bridge_.has_value()
                       ? bridge_->Backward(values, d_state, gradients)
                       : std::move(d_state);
    AddInputGradients(batch, dx, &d_last, gradients);
    const std::vector<T>& d_sources =
        encoder_.Backward(values, std::move(d_encoded), &d_last, gradients);
    AddEmbeddingGradient<T>(batch.sources, d_sources.data(),
                            layout_.View(gradients, source_embedding_));
  }

  // Adds the gradients of what DecoderInputs() returned.
  void AddInputGradients(const Batch& batch, const std::vector<T>& dx,
                         State* d_last, T* gradients) const {
    if (!options_.reads_word && !options_.reads_context) return;
    const size_t rows = batch.inputs.size();
    const size_t width = dx.size() / rows;
    for (size_t r = 0; r < rows; ++r) {
      const T* d = dx.data() + r * width;
      if (options_.reads_word) {
        AddEmbeddingGradient<T>({&batch.inputs[r], 1}, d,
                                layout_.View(gradients, embedding_));
        d += options_.embedding;
      }
      if (!options_.reads_context) continue;
      for (size_t i = FirstOfContext(); i < d_last->h.size(); ++i) {
        T* to = d_last->h[i].data() + r % batch.streams * options_.units;
        for (size_t k = 0; k < options_.units; ++k) to[k] += *d++;
      }
    }
  }

  const TranslationNetworkOptions options_;
  const size_t source_embedding_;
  RecurrentStack<T> encoder_;
  RecurrentStack<T> decoder_;
  std::optional<Bridge<T>> bridge_;
  std::optional<Attention<T>> attention_;
  Dropout<T> y_dropout_;  // of the output of the attention
  size_t embedding_ = 0;
  std::optional<SoftmaxLoss<T>> loss_;

  // Values of the current batch.
  State state_;  // last state of the encoder
  size_t source_rows_ = 0;
  const T* encoded_ = nullptr;
  std::vector<T> features_;
};

}  // namespace

template <typename T>
std::unique_ptr<Network<T>> MakeTranslationNetwork(
    const TranslationNetworkOptions& options) {
  return std::make_unique<TranslationNetwork<T>>(options);
}

template std::unique_ptr<Network<float>> MakeTranslationNetwork(
    const TranslationNetworkOptions&);
template std::unique_ptr<Network<double>> MakeTranslationNetwork(
    const TranslationNetworkOptions&);

}  // namespace lmserve

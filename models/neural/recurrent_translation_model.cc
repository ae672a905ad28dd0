// SPDX-License-Identifier: Apache-2.0
#include "models/neural/recurrent_translation_model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "models/neural/kernels.h"
#include "models/neural/recurrent_reader.h"

namespace lmserve {
namespace {

// Returns [a; b].
std::vector<float> Concatenate(const std::vector<float>& a,
                               const std::vector<float>& b) {
  std::vector<float> both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

// Returns y = W x + b.
std::vector<float> Apply(const Linear& linear, const std::vector<float>& x) {
  LinearScratch scratch;
  std::vector<float> y(linear.outputs());
  linear.Apply(x.data(), 1, y.data(), &scratch);
  return y;
}

// Returns the states of the decoder before <s>: h and, for an LSTM, c of each
// layer.
std::vector<float> FirstStates(const EncoderParts& parts,
                               const RecurrentReader& encoder) {
  std::vector<float> states;
  const auto add = [&](const std::vector<float>& state) {
    states.insert(states.end(), state.begin(), state.end());
  };
  if (!parts.bidirectional) {
    for (size_t i = 0; i < parts.layers.size(); ++i) {
      add(encoder.last(i).h);
      add(encoder.last(i).c);
    }
    return states;
  }
  for (size_t i = 0; i < parts.bridges.size(); ++i) {
    const RecurrentReader::State& forward = encoder.last(2 * i);
    const RecurrentReader::State& backward = encoder.last(2 * i + 1);
    std::vector<float> h =
        Apply(*parts.bridges[i].h, Concatenate(forward.h, backward.h));
    TanhInPlace(absl::MakeSpan(h));
    add(h);
    if (parts.bridges[i].c == nullptr) continue;
    add(Apply(*parts.bridges[i].c, Concatenate(forward.c, backward.c)));
  }
  return states;
}

// Returns the final h of the last layer of the encoder, in both directions if
// it is bidirectional.
std::vector<float> Context(const EncoderParts& parts,
                           const RecurrentReader& encoder) {
  const size_t last = parts.layers.size() - 1;
  return parts.bidirectional
             ? Concatenate(encoder.last(last - 1).h, encoder.last(last).h)
             : encoder.last(last).h;
}

}  // namespace

class RecurrentTranslationModel::RecurrentSource final : public Source {
 public:
  RecurrentSource(const RecurrentTranslationModel& model,
                  absl::Span<const WordId> words) {
    model.decoder_.StartFrom(model.Encode(words, &encoded_), &encoded_);
  }

  void Start(std::byte* state) const override {
    std::memcpy(state, encoded_.start.data(),
                encoded_.start.size() * sizeof(float));
  }

 private:
  EncodedSource encoded_;
};

absl::StatusOr<std::unique_ptr<RecurrentTranslationModel>>
RecurrentTranslationModel::Create(Vocabulary source_vocabulary,
                                  Vocabulary vocabulary,
                                  absl::string_view bytes) {
  absl::StatusOr<TranslationParts> parts =
      ReadTranslationParts(bytes, source_vocabulary, vocabulary);
  if (!parts.ok()) return parts.status();
  return absl::WrapUnique(new RecurrentTranslationModel(
      std::move(source_vocabulary), std::move(vocabulary), *std::move(parts)));
}

RecurrentTranslationModel::RecurrentTranslationModel(
    Vocabulary source_vocabulary, Vocabulary vocabulary, TranslationParts parts)
    : source_vocabulary_(std::move(source_vocabulary)),
      encoder_(std::move(parts.encoder)),
      sentence_encoder_(RecurrentSentenceEncoder::Model{
          .vocabulary = source_vocabulary_,
          .layers = encoder_.layers,
          .bidirectional = encoder_.bidirectional,
          .reads_end = true,
          .reverses_words = encoder_.reverse_source,
          .inputs =
              [this](absl::Span<const WordId> words) {
                return encoder_.embedding->CopyRows(words);
              }}),
      decoder_(std::move(vocabulary), std::move(parts.decoder),
               std::move(parts.attention)) {
  decoder_.StartFrom(Encode({}, &empty_), &empty_);
  decoder_.set_start(empty_.start);
}

std::unique_ptr<const TranslationModel::Source> RecurrentTranslationModel::Read(
    absl::Span<const WordId> words) const {
  return std::make_unique<RecurrentSource>(*this, words);
}

void RecurrentTranslationModel::Attend(
    absl::Span<const AttentionQuery> batch) const {
  for (const AttentionQuery& query : batch) {
    decoder_.ComputeAttention(query.state, query.weights);
    ToSourceOrder(query.weights);
  }
}

void RecurrentTranslationModel::ToSourceOrder(absl::Span<float> steps) const {
  if (encoder_.reverse_source) std::reverse(steps.begin(), steps.end() - 1);
}

std::vector<float> RecurrentTranslationModel::Encode(
    absl::Span<const WordId> words, EncodedSource* source,
    std::optional<StepVisit> visit) const {
  std::vector<WordId> read(words.begin(), words.end());
  if (encoder_.reverse_source) std::reverse(read.begin(), read.end());
  read.push_back(source_vocabulary_.end_sentence());
  RecurrentReader reader(encoder_.layers, encoder_.bidirectional);
  const std::vector<float>& states =
      reader.Read(encoder_.embedding->CopyRows(read), read.size(), 1, visit);
  if (encoder_.context != nullptr) {
    source->gates = Apply(*encoder_.context, Context(encoder_, reader));
  }
  if (const SourceAttention* attention = decoder_.attention()) {
    attention->Precompute(states.data(), read.size(), source);
  }
  return FirstStates(encoder_, reader);
}

// Reads the source as one part, then <s> and the words.
class RecurrentTranslationModel::TextReading final : public Reading {
 public:
  TextReading(const RecurrentTranslationModel& model, const Text& text,
              size_t part_words)
      : model_(model), text_(text), part_words_(part_words) {}

  size_t next_words() const override {
    return decoding_ == nullptr ? text_.source.size() + 1
                                : decoding_->next_words();
  }

  void ReadPart(Observer* observer) override {
    if (decoding_ != nullptr) {
      DecoderObserver decoder(model_, source_, observer);
      decoding_->ReadPart(&decoder);
      return;
    }
    const size_t words = text_.source.size();
    const auto position = [&](size_t step) {
      return model_.encoder_.reverse_source && step < words ? words - 1 - step
                                                            : step;
    };
    const std::vector<float> before =
        model_.Encode(text_.source, &source_,
                      [&](size_t layer, size_t step, const CellValues& values) {
                        observer->OnStep(layer, position(step), values);
                      });
    decoding_ =
        model_.decoder_.ReadFrom(model_.decoder_.StateBefore(before, &source_),
                                 text_.words, part_words_);
  }

 private:
  // Passes the decoder's values on, with the indexes of its layers in the whole
  // model, and adds the attention.
  class DecoderObserver final : public Observer {
   public:
    DecoderObserver(const RecurrentTranslationModel& model,
                    const EncodedSource& source, Observer* observer)
        : model_(model), source_(source), observer_(observer) {}

    void OnStep(size_t layer, size_t position,
                const CellValues& values) override {
      const size_t first = model_.encoder_.layers.size();
      observer_->OnStep(first + layer, position, values);
      const SourceAttention* attention = model_.decoder_.attention();
      if (attention == nullptr || layer + 1 < model_.decoder_.depth()) {
        return;
      }
      std::vector<float> weights(source_.steps);
      attention->ComputeWeights(source_, values[Quantity::kHidden].data(),
                                absl::MakeSpan(weights));
      model_.ToSourceOrder(absl::MakeSpan(weights));
      observer_->OnAttention(position, weights);
    }

    void OnAttention(size_t, absl::Span<const float>) override {}

   private:
    const RecurrentTranslationModel& model_;
    const EncodedSource& source_;
    Observer* const observer_;
  };

  const RecurrentTranslationModel& model_;
  const Text text_;
  const size_t part_words_;
  EncodedSource source_;
  std::unique_ptr<Reading> decoding_;  // null until the source was read
};

std::unique_ptr<RecurrentTranslationModel::Reading>
RecurrentTranslationModel::Read(const Text& text, size_t part_words) const {
  return std::make_unique<TextReading>(*this, text, part_words);
}

std::vector<RecurrentTranslationModel::Layer>
RecurrentTranslationModel::layers() const {
  const size_t directions = encoder_.bidirectional ? 2 : 1;
  std::vector<Layer> layers;
  for (const RecurrentLayer& layer : encoder_.layers) {
    layers.push_back({.depth = layers.size() / directions,
                      .is_backward = layers.size() % directions == 1,
                      .reads_source = true,
                      .reverses_words = encoder_.reverse_source,
                      .reads_begin = false,
                      .reads_end = true,
                      .units = layer.units(),
                      .quantities = layer.quantities()});
  }
  const std::vector<Layer> decoder = decoder_.layers();
  layers.insert(layers.end(), decoder.begin(), decoder.end());
  return layers;
}

}  // namespace lmserve

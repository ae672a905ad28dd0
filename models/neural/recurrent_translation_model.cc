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
    model.Encode(words, &encoded_);
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
      decoder_(std::move(vocabulary), std::move(parts.decoder),
               std::move(parts.attention)) {
  Encode({}, &empty_);
  decoder_.set_start(empty_.start);
}

std::unique_ptr<const TranslationModel::Source> RecurrentTranslationModel::Read(
    absl::Span<const WordId> words) const {
  return std::make_unique<RecurrentSource>(*this, words);
}

// With reverse_source, the encoder reads the words in reverse, but </s> last.
void RecurrentTranslationModel::Attend(
    absl::Span<const AttentionQuery> batch) const {
  for (const AttentionQuery& query : batch) {
    decoder_.ComputeAttention(query.state, query.weights);
    if (!encoder_.reverse_source) continue;
    std::reverse(query.weights.begin(), query.weights.end() - 1);
  }
}

void RecurrentTranslationModel::Encode(absl::Span<const WordId> words,
                                       EncodedSource* source) const {
  std::vector<WordId> read(words.begin(), words.end());
  if (encoder_.reverse_source) std::reverse(read.begin(), read.end());
  read.push_back(source_vocabulary_.end_sentence());
  const size_t size = encoder_.embedding->cols;
  std::vector<float> x(read.size() * size);
  for (size_t t = 0; t < read.size(); ++t) {
    encoder_.embedding->CopyRow(read[t], x.data() + t * size);
  }
  RecurrentReader reader(encoder_.layers, encoder_.bidirectional);
  const std::vector<float>& states = reader.Read(std::move(x), read.size(), 1);
  if (encoder_.context != nullptr) {
    source->gates = Apply(*encoder_.context, Context(encoder_, reader));
  }
  if (const SourceAttention* attention = decoder_.attention()) {
    attention->Precompute(states.data(), read.size(), source);
  }
  decoder_.StartFrom(FirstStates(encoder_, reader), source);
}

}  // namespace lmserve

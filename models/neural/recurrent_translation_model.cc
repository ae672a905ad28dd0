#include "models/neural/recurrent_translation_model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "models/neural/kernels.h"
#include "models/neural/recurrent_reader.h"

namespace lmserve {
namespace {

// [a; b]
std::vector<float> Join(const std::vector<float>& a,
                        const std::vector<float>& b) {
  std::vector<float> joined = a;
  joined.insert(joined.end(), b.begin(), b.end());
  return joined;
}

std::vector<float> Apply(const Linear& linear, const std::vector<float>& x) {
  LinearScratch scratch;
  std::vector<float> y(linear.outputs());
  linear.Apply(x.data(), 1, y.data(), &scratch);
  return y;
}

// The decoder's states before <s>: layer by layer, h and c.
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
        Apply(*parts.bridges[i].h, Join(forward.h, backward.h));
    TanhInPlace(absl::MakeSpan(h));
    add(h);
    if (parts.bridges[i].c == nullptr) continue;
    add(Apply(*parts.bridges[i].c, Join(forward.c, backward.c)));
  }
  return states;
}

// The encoder's last state: of its last layer, both directions.
std::vector<float> Context(const EncoderParts& parts,
                           const RecurrentReader& encoder) {
  const size_t last = parts.layers.size() - 1;
  return parts.bidirectional
             ? Join(encoder.last(last - 1).h, encoder.last(last).h)
             : encoder.last(last).h;
}

}  // namespace

class RecurrentTranslationModel::ReadSource final : public Source {
 public:
  ReadSource(const RecurrentTranslationModel& model,
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
  return std::make_unique<ReadSource>(*this, words);
}

// The encoder reads </s> last in any case.
void RecurrentTranslationModel::Attend(absl::Span<const Look> looks) const {
  for (const Look& look : looks) {
    decoder_.Look(look.state, look.weights);
    if (!encoder_.reverse_source) continue;
    std::reverse(look.weights.begin(), look.weights.end() - 1);
  }
}

void RecurrentTranslationModel::Encode(absl::Span<const WordId> words,
                                       EncodedSource* source) const {
  std::vector<WordId> read(words.begin(), words.end());
  if (encoder_.reverse_source) std::reverse(read.begin(), read.end());
  read.push_back(source_vocabulary_.end_sentence());
  const size_t size = encoder_.embedding.cols;
  std::vector<float> x(read.size() * size);
  for (size_t t = 0; t < read.size(); ++t) {
    encoder_.embedding.CopyRow(read[t], x.data() + t * size);
  }
  RecurrentReader reader(encoder_.layers, encoder_.bidirectional);
  const std::vector<float>& states = reader.Read(std::move(x), read.size(), 1);
  if (encoder_.context != nullptr) {
    source->gates = Apply(*encoder_.context, Context(encoder_, reader));
  }
  if (const SourceAttention* attention = decoder_.attention()) {
    attention->Read(states.data(), read.size(), source);
  }
  decoder_.StartFrom(FirstStates(encoder_, reader), source);
}

}  // namespace lmserve

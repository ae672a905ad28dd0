// SPDX-License-Identifier: Apache-2.0
#include "models/neural/recurrent_bidirectional_model.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "models/distribution.h"
#include "models/neural/length_groups.h"
#include "models/neural/recurrent_reader.h"

namespace lmserve {
namespace {

using Gap = BidirectionalModel::Gap;

// The number of distributions computed at once.
constexpr size_t kMaxDistributions = 16;

// The number of steps of the network: the words, the gap, <s> and </s>.
size_t Length(const Gap& gap) {
  return gap.before.size() + gap.after.size() + 3;
}

// The index of the step at the gap.
size_t Position(const Gap& gap) { return gap.before.size() + 1; }

}  // namespace

// Runs the network on groups of sentences of the same length. Arrays have the
// shape (steps, rows, width), with one row for each sentence. Reuses its memory
// for the next group. Not thread-safe.
class RecurrentBidirectionalModel::Pass {
 public:
  explicit Pass(const RecurrentBidirectionalModel& model)
      : model_(model), reader_(model.parts_.layers, /*bidirectional=*/true) {}

  // Returns the features (gaps.size(), features) of the gaps: the states of the
  // last depth at each gap. They are valid until the next call. REQUIRES: gaps
  // is not empty, and all sentences have the same length.
  const float* Run(absl::Span<const Gap> gaps) {
    const size_t steps = Length(gaps[0]), rows = gaps.size();
    const size_t width = reader_.outputs();
    const std::vector<float>& states = reader_.Read(Embed(gaps), steps, rows);
    features_.resize(rows * width);
    for (size_t r = 0; r < rows; ++r) {
      std::copy_n(states.data() + (Position(gaps[r]) * rows + r) * width, width,
                  features_.data() + r * width);
    }
    return features_.data();
  }

 private:
  // Returns the embeddings of all steps, (steps, rows, embedding size).
  std::vector<float> Embed(absl::Span<const Gap> gaps) const {
    const Vocabulary& vocabulary = model_.vocabulary_;
    const size_t size = model_.parts_.embedding->cols;
    std::vector<float> x(Length(gaps[0]) * gaps.size() * size);
    for (size_t r = 0; r < gaps.size(); ++r) {
      float* to = x.data() + r * size;
      const auto add = [&](WordId word) {
        model_.parts_.embedding->CopyRow(word, to);
        to += gaps.size() * size;
      };
      add(vocabulary.begin_sentence());
      for (WordId word : gaps[r].before) add(word);
      add(vocabulary.unknown());
      for (WordId word : gaps[r].after) add(word);
      add(vocabulary.end_sentence());
    }
    return x;
  }

  const RecurrentBidirectionalModel& model_;
  RecurrentReader reader_;
  std::vector<float> features_;
};

// Reads <s>, the words and </s> as one part.
class RecurrentBidirectionalModel::TextReading final : public Reading {
 public:
  TextReading(const RecurrentBidirectionalModel& model,
              absl::Span<const WordId> words)
      : parts_(model.parts_), words_({model.vocabulary_.begin_sentence()}) {
    words_.insert(words_.end(), words.begin(), words.end());
    words_.push_back(model.vocabulary_.end_sentence());
  }

  size_t next_words() const override { return words_.size(); }

  void ReadPart(Observer* observer) override {
    RecurrentReader reader(parts_.layers, /*bidirectional=*/true);
    reader.Read(parts_.embedding->CopyRows(words_), words_.size(), /*rows=*/1,
                [&](size_t layer, size_t step, const CellValues& values) {
                  observer->OnStep(layer, step, values);
                });
    words_.clear();
  }

 private:
  const RecurrentParts& parts_;
  std::vector<WordId> words_;  // that are not read yet
};

absl::StatusOr<std::unique_ptr<RecurrentBidirectionalModel>>
RecurrentBidirectionalModel::Create(Vocabulary vocabulary,
                                    absl::string_view bytes) {
  absl::StatusOr<RecurrentParts> parts =
      ReadRecurrentParts(bytes, vocabulary, /*bidirectional=*/true);
  if (!parts.ok()) return parts.status();
  return absl::WrapUnique(new RecurrentBidirectionalModel(std::move(vocabulary),
                                                          *std::move(parts)));
}

RecurrentBidirectionalModel::RecurrentBidirectionalModel(Vocabulary vocabulary,
                                                         RecurrentParts parts)
    : vocabulary_(std::move(vocabulary)),
      parts_(std::move(parts)),
      sentence_encoder_(RecurrentSentenceEncoder::Model{
          .vocabulary = vocabulary_,
          .layers = parts_.layers,
          .bidirectional = true,
          .reads_begin = true,
          .reads_end = true,
          .inputs = [this](absl::Span<const WordId> words) {
            return parts_.embedding->CopyRows(words);
          }}) {}

std::vector<RecurrentBidirectionalModel::Layer>
RecurrentBidirectionalModel::layers() const {
  std::vector<Layer> layers;
  for (const RecurrentLayer& layer : parts_.layers) {
    layers.push_back({.depth = layers.size() / 2,
                      .is_backward = layers.size() % 2 == 1,
                      .reads_source = false,
                      .reverses_words = false,
                      .reads_begin = true,
                      .reads_end = true,
                      .units = layer.units(),
                      .quantities = layer.quantities()});
  }
  return layers;
}

std::unique_ptr<RecurrentBidirectionalModel::Reading>
RecurrentBidirectionalModel::Read(const Text& text, size_t) const {
  return std::make_unique<TextReading>(*this, text.words);
}

void RecurrentBidirectionalModel::Encode(absl::Span<const Gap> gaps,
                                         Visit visit) const {
  std::vector<size_t> lengths;
  for (const Gap& gap : gaps) lengths.push_back(Length(gap));
  Pass pass(*this);
  ForEachLengthGroup(lengths, [&](absl::Span<const size_t> group) {
    std::vector<Gap> side_by_side;
    for (size_t gap : group) side_by_side.push_back(gaps[gap]);
    visit(group, pass.Run(side_by_side));
  });
}

void RecurrentBidirectionalModel::Score(
    absl::Span<const Sentence> batch) const {
  std::vector<Gap> gaps;
  std::vector<OutputLayer::Targets> targets;
  for (const Sentence& sentence : batch) {
    for (size_t t = 0; t < sentence.words.size(); ++t) {
      gaps.push_back({sentence.words.first(t), sentence.words.subspan(t + 1)});
      targets.push_back(
          {sentence.words.subspan(t, 1), sentence.log_probs.data() + t});
    }
  }
  Encode(gaps, [&](absl::Span<const size_t> group, const float* features) {
    std::vector<OutputLayer::Targets> wanted;
    for (size_t gap : group) wanted.push_back(targets[gap]);
    parts_.output.Score(features, wanted);
  });
}

void RecurrentBidirectionalModel::Rate(absl::Span<const Gap> gaps,
                                       absl::Span<const WordId> words,
                                       float* log_probs) const {
  Encode(gaps, [&](absl::Span<const size_t> group, const float* features) {
    std::vector<OutputLayer::Targets> wanted;
    for (size_t gap : group) {
      wanted.push_back({words, log_probs + gap * words.size()});
    }
    parts_.output.Score(features, wanted);
  });
}

void RecurrentBidirectionalModel::Fill(absl::Span<const Gap> gaps, size_t k,
                                       absl::Span<ScoredWord> best) const {
  const size_t size = vocabulary_.size();
  const size_t width = parts_.output.features();
  std::vector<float> log_probs(std::min(gaps.size(), kMaxDistributions) * size);
  Encode(gaps, [&](absl::Span<const size_t> group, const float* features) {
    for (; !group.empty(); features += kMaxDistributions * width) {
      const auto some = group.subspan(0, kMaxDistributions);
      parts_.output.Distribution(features, some.size(), log_probs.data());
      for (size_t r = 0; r < some.size(); ++r) {
        TakeBest(absl::MakeConstSpan(log_probs).subspan(r * size, size),
                 best.subspan(some[r] * k, k));
      }
      group.remove_prefix(some.size());
    }
  });
}

}  // namespace lmserve

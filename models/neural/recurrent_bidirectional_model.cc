#include "models/neural/recurrent_bidirectional_model.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/memory/memory.h"

namespace lmserve {
namespace {

using Gap = BidirectionalModel::Gap;

// Words that are read at once, unless a sentence alone has more: it bounds the
// memory.
constexpr size_t kMaxWords = 2048;

// Distributions that are held at once.
constexpr size_t kMaxDistributions = 16;

// Steps of the network: the words, the gap, <s> and </s>.
size_t Length(const Gap& gap) {
  return gap.before.size() + gap.after.size() + 3;
}

// The step of the gap.
size_t Position(const Gap& gap) { return gap.before.size() + 1; }

}  // namespace

// Sentences of one length on their way through the network. Data are (steps,
// rows, width), a row a sentence. Keeps its memory for those that come after.
class RecurrentBidirectionalModel::Pass {
 public:
  explicit Pass(const RecurrentBidirectionalModel& model) : model_(model) {}

  // What the output layer reads of each gap: (rows, features); valid until the
  // next call. REQUIRES: gaps is not empty, and all have one length.
  const float* Run(absl::Span<const Gap> gaps) {
    gaps_ = gaps;
    steps_ = Length(gaps[0]);
    rows_ = gaps.size();
    Embed();
    size_t width = 0;
    const std::vector<RecurrentLayer>& layers = model_.parts_.layers;
    for (size_t i = 0; i < layers.size(); i += 2) {
      const RecurrentLayer &forward = layers[i], &backward = layers[i + 1];
      width = forward.units() + backward.units();
      y_.resize(steps_ * rows_ * width);
      RunDirection(forward, false, y_.data(), width);
      RunDirection(backward, true, y_.data() + forward.units(), width);
      x_.swap(y_);
    }
    TakeGaps(width);
    return features_.data();
  }

 private:
  // Makes x_ the embeddings of all words.
  void Embed() {
    const Vocabulary& vocabulary = model_.vocabulary_;
    const size_t size = model_.parts_.embedding.cols;
    x_.resize(steps_ * rows_ * size);
    for (size_t r = 0; r < rows_; ++r) {
      float* to = x_.data() + r * size;
      const auto add = [&](WordId word) {
        model_.parts_.embedding.CopyRow(word, to);
        to += rows_ * size;
      };
      add(vocabulary.begin_sentence());
      for (WordId word : gaps_[r].before) add(word);
      add(vocabulary.unknown());
      for (WordId word : gaps_[r].after) add(word);
      add(vocabulary.end_sentence());
    }
  }

  // Reads x_; writes the states of one direction into rows of y, `width`
  // numbers apart.
  void RunDirection(const RecurrentLayer& layer, bool reverse, float* y,
                    size_t width) {
    const size_t units = layer.units(), block = rows_ * layer.gates();
    projected_.resize(steps_ * block);
    layer.Project(x_.data(), steps_ * rows_, projected_.data(), &scratch_);
    h_.assign(rows_ * units, 0);
    c_.assign(layer.has_cell_state() ? rows_ * units : 0, 0);
    for (size_t i = 0; i < steps_; ++i) {
      const size_t step = reverse ? steps_ - 1 - i : i;
      layer.Step(projected_.data() + step * block, h_.data(), c_.data(), rows_,
                 h_.data(), c_.data(), &scratch_);
      float* to = y + step * rows_ * width;
      for (size_t r = 0; r < rows_; ++r) {
        std::copy_n(h_.data() + r * units, units, to + r * width);
      }
    }
  }

  // Of x_, the states of the last layer, takes those at the gaps.
  void TakeGaps(size_t width) {
    features_.resize(rows_ * width);
    for (size_t r = 0; r < rows_; ++r) {
      std::copy_n(x_.data() + (Position(gaps_[r]) * rows_ + r) * width, width,
                  features_.data() + r * width);
    }
  }

  const RecurrentBidirectionalModel& model_;
  absl::Span<const Gap> gaps_;
  size_t steps_ = 0;
  size_t rows_ = 0;
  std::vector<float> x_, y_;  // of a layer, what it reads and what it makes
  std::vector<float> projected_, h_, c_, features_;
  RecurrentLayer::Scratch scratch_;
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

void RecurrentBidirectionalModel::Read(absl::Span<const Gap> gaps,
                                       Visit visit) const {
  std::vector<size_t> order(gaps.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return Length(gaps[a]) < Length(gaps[b]);
  });
  Pass pass(*this);
  absl::Span<const size_t> left = order;
  while (!left.empty()) {
    const size_t length = Length(gaps[left[0]]);
    const size_t most = std::max<size_t>(kMaxWords / length, 1);
    std::vector<Gap> group;
    for (size_t gap : left.subspan(0, most)) {
      if (Length(gaps[gap]) != length) break;
      group.push_back(gaps[gap]);
    }
    visit(left.first(group.size()), pass.Run(group));
    left.remove_prefix(group.size());
  }
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
  Read(gaps, [&](absl::Span<const size_t> group, const float* features) {
    std::vector<OutputLayer::Targets> wanted;
    for (size_t gap : group) wanted.push_back(targets[gap]);
    parts_.output.Score(features, wanted);
  });
}

void RecurrentBidirectionalModel::Rate(absl::Span<const Gap> gaps,
                                       absl::Span<const WordId> words,
                                       float* log_probs) const {
  Read(gaps, [&](absl::Span<const size_t> group, const float* features) {
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
  Read(gaps, [&](absl::Span<const size_t> group, const float* features) {
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

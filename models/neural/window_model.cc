// SPDX-License-Identifier: Apache-2.0
#include "models/neural/window_model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/neural/kernels.h"
#include "models/neural/network_weights.h"

namespace lmserve {
namespace {

// The maximum number of contexts computed at once, which limits memory.
constexpr size_t kMaxContexts = 2048;

// Returns the products of each word's embedding with the columns of W1 for each
// position in the window, with the shape (V, window, hidden).
absl::StatusOr<std::vector<float>> Premultiply(const WeightMatrix& embedding,
                                               const WeightMatrix& w1) {
  const size_t hidden = w1.rows, size = embedding.cols;
  const size_t window = w1.cols / size;
  const std::vector<float> weights = w1.ToFloats();
  const std::vector<float> words = embedding.ToFloats();
  std::vector<float> table(embedding.rows * window * hidden);
  std::vector<float> part(hidden * size);
  std::vector<float> products(embedding.rows * hidden);
  LinearScratch scratch;
  for (size_t place = 0; place < window; ++place) {
    for (size_t h = 0; h < hidden; ++h) {
      std::copy_n(weights.data() + h * w1.cols + place * size, size,
                  part.data() + h * size);
    }
    const auto linear =
        Linear::Create(WeightMatrix::Of(part, hidden, size), {});
    if (!linear.ok()) return linear.status();
    (*linear)->Apply(words.data(), embedding.rows, products.data(), &scratch);
    for (size_t w = 0; w < embedding.rows; ++w) {
      std::copy_n(products.data() + w * hidden, hidden,
                  table.data() + (w * window + place) * hidden);
    }
  }
  return table;
}

// Returns [W2 W3] in the precision of W2, so that W2 h + W3 x = [W2 W3] [h; x].
ConvertedMatrix Concatenate(const WeightMatrix& w2, const WeightMatrix& w3) {
  const size_t cols = w2.cols + w3.cols;
  std::vector<float> both(w2.rows * cols);
  for (size_t r = 0; r < w2.rows; ++r) {
    w2.CopyRow(r, both.data() + r * cols);
    w3.CopyRow(r, both.data() + r * cols + w2.cols);
  }
  return ConvertMatrix(WeightMatrix::Of(both, w2.rows, cols), w2.precision);
}

}  // namespace

class WindowModel::Contexts {
 public:
  explicit Contexts(size_t window) : window_(window) {}

  size_t size() const { return targets_.size(); }
  absl::Span<const WordId> words() const { return words_; }

  // Adds a word to score after the last window_ words of `read`.
  void Add(absl::Span<const WordId> read, WordId target, float* log_prob) {
    const absl::Span<const WordId> context =
        read.subspan(read.size() - window_);
    const std::string key(reinterpret_cast<const char*>(context.data()),
                          window_ * sizeof(WordId));
    const auto [found, is_new] = known_.emplace(key, targets_.size());
    if (is_new) {
      words_.insert(words_.end(), context.begin(), context.end());
      targets_.emplace_back();
    }
    targets_[found->second].push_back({target, log_prob});
  }

  void Clear() {
    known_.clear();
    words_.clear();
    targets_.clear();
  }

  // Scores the targets of each context, from the features of the contexts.
  void Score(const OutputLayer& output, const float* features) const {
    std::vector<WordId> words;
    for (const auto& targets : targets_) {
      for (const Target& target : targets) words.push_back(target.word);
    }
    std::vector<float> found(words.size());
    std::vector<OutputLayer::Targets> rows;
    size_t begin = 0;
    for (const auto& targets : targets_) {
      rows.push_back({absl::MakeConstSpan(words).subspan(begin, targets.size()),
                      found.data() + begin});
      begin += targets.size();
    }
    output.Score(features, rows);
    const float* next = found.data();
    for (const auto& targets : targets_) {
      for (const Target& target : targets) *target.log_prob = *next++;
    }
  }

 private:
  struct Target {
    WordId word;
    float* log_prob;
  };

  const size_t window_;
  absl::flat_hash_map<std::string, size_t> known_;
  std::vector<WordId> words_;  // window_ words for each context
  std::vector<std::vector<Target>> targets_;
};

absl::StatusOr<std::unique_ptr<WindowModel>> WindowModel::Create(
    Vocabulary vocabulary, absl::string_view bytes) {
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(bytes);
  if (!file.ok()) return file.status();
  const absl::StatusOr<WeightMatrix> embedding =
      ReadMatrix(*file, kEmbeddingTensor, vocabulary.size(), 0);
  if (!embedding.ok()) return embedding.status();
  const absl::StatusOr<WeightMatrix> w1 =
      ReadMatrix(*file, kHiddenTensor, 0, 0);
  if (!w1.ok()) return w1.status();
  if (w1->cols % embedding->cols != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", kHiddenTensor, "': expected a multiple of ",
                     embedding->cols, " columns, found ", w1->cols));
  }
  absl::StatusOr<std::vector<float>> bias =
      ReadVector(*file, kHiddenBiasTensor, w1->rows);
  if (!bias.ok()) return bias.status();
  const bool direct = file->Find(kDirectTensor) != nullptr;
  absl::StatusOr<WeightMatrix> w2 =
      ReadMatrix(*file, kOutputTensor, vocabulary.size(), w1->rows);
  if (!w2.ok()) return w2.status();
  ConvertedMatrix both;
  if (direct) {
    const absl::StatusOr<WeightMatrix> w3 =
        ReadMatrix(*file, kDirectTensor, vocabulary.size(), w1->cols);
    if (!w3.ok()) return w3.status();
    both = Concatenate(*w2, *w3);
    w2->cols += w3->cols;
    w2->bytes = both.bytes;
    w2->scales = both.scales;
  }
  absl::StatusOr<OutputLayer> output =
      ReadOutputLayer(*file, vocabulary, *w2,
                      NeverPredicted(vocabulary, /*bidirectional=*/false));
  if (!output.ok()) return output.status();
  if (absl::Status status = file->CheckAllRead(); !status.ok()) return status;
  absl::StatusOr<std::vector<float>> table = Premultiply(*embedding, *w1);
  if (!table.ok()) return table.status();
  return absl::WrapUnique(
      new WindowModel(std::move(vocabulary), *embedding, direct,
                      *std::move(bias), *std::move(table), *std::move(output)));
}

WindowModel::WindowModel(Vocabulary vocabulary, WeightMatrix embedding,
                         bool direct, std::vector<float> hidden_bias,
                         std::vector<float> table, OutputLayer output)
    : vocabulary_(std::move(vocabulary)),
      embedding_(embedding),
      direct_(direct),
      hidden_bias_(std::move(hidden_bias)),
      window_(table.size() / hidden_bias_.size() / embedding.rows),
      table_(std::move(table)),
      output_(std::move(output)) {}

void WindowModel::Start(std::byte* state) const {
  const std::vector<WordId> words(window_, vocabulary_.begin_sentence());
  std::memcpy(state, words.data(), state_size());
}

std::vector<float> WindowModel::Features(
    absl::Span<const WordId> contexts) const {
  const size_t width = output_.features();
  std::vector<float> features(contexts.size() / window_ * width);
  float* to = features.data();
  for (size_t begin = 0; begin < contexts.size(); begin += window_) {
    // h = tanh(b1 + W1 x), followed by x if there are direct connections
    std::copy(hidden_bias_.begin(), hidden_bias_.end(), to);
    for (size_t place = 0; place < window_; ++place) {
      const float* row = table_.data() +
                         (contexts[begin + place] * window_ + place) * hidden();
      for (size_t k = 0; k < hidden(); ++k) to[k] += row[k];
      if (!direct_) continue;
      embedding_->CopyRow(contexts[begin + place],
                          to + hidden() + place * embedding_->cols);
    }
    TanhInPlace({to, hidden()});
    to += width;
  }
  return features;
}

void WindowModel::Score(absl::Span<const Query> batch) const {
  Contexts contexts(window_);
  std::vector<WordId> read;
  for (const Query& query : batch) {
    read.resize(window_);
    std::memcpy(read.data(), query.state, state_size());
    for (size_t t = 0; t < query.words.size(); ++t) {
      if (!query.log_probs.empty()) {
        contexts.Add(read, query.words[t], &query.log_probs[t]);
      }
      read.push_back(query.words[t]);
      if (contexts.size() < kMaxContexts) continue;
      ScoreContexts(contexts);
      contexts.Clear();
    }
    if (query.next_state == nullptr) continue;
    std::memcpy(query.next_state, read.data() + read.size() - window_,
                state_size());
  }
  ScoreContexts(contexts);
}

void WindowModel::ScoreContexts(const Contexts& contexts) const {
  if (contexts.size() == 0) return;
  contexts.Score(output_, Features(contexts.words()).data());
}

void WindowModel::Distribution(absl::Span<const std::byte* const> states,
                               float* log_probs) const {
  std::vector<WordId> contexts(states.size() * window_);
  for (size_t i = 0; i < states.size(); ++i) {
    std::memcpy(contexts.data() + i * window_, states[i], state_size());
  }
  output_.Distribution(Features(contexts).data(), states.size(), log_probs);
}

}  // namespace lmserve

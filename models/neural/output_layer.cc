// SPDX-License-Identifier: Apache-2.0
#include "models/neural/output_layer.h"

#include <algorithm>
#include <utility>

#include "models/neural/kernels.h"

namespace lmserve {
namespace {

// The size of a block: large enough for an efficient product, small enough for
// the level 2 cache.
constexpr size_t kBlockOutputs = 2048;
constexpr size_t kBlockRows = 64;

}  // namespace

absl::StatusOr<OutputLayer> OutputLayer::Create(const Weights& weights) {
  OutputLayer layer;
  layer.features_ = weights.words.cols;
  layer.size_ = static_cast<WordId>(weights.words.rows);
  Cutoffs ends = weights.cutoffs;
  ends.push_back(layer.size_);
  WordId begin = 0;
  for (WordId end : ends) {
    absl::Status status = layer.AddClass(weights, begin, end);
    if (!status.ok()) return status;
    begin = end;
  }
  return layer;
}

absl::Status OutputLayer::AddClass(const Weights& weights, WordId begin,
                                   WordId end) {
  Class& added = classes_.emplace_back();
  added.begin = begin;
  added.end = end;
  absl::Status status =
      AddBlocks(weights.words.Rows(begin, end - begin),
                weights.bias.subspan(begin, end - begin), 0, &added);
  if (!status.ok() || begin > 0) return status;
  return AddBlocks(weights.classes, weights.class_bias, end, &added);
}

absl::Status OutputLayer::AddBlocks(const WeightMatrix& weights,
                                    absl::Span<const float> bias,
                                    size_t first_output, Class* to) {
  for (size_t begin = 0; begin < weights.rows; begin += kBlockOutputs) {
    const size_t count = std::min(kBlockOutputs, weights.rows - begin);
    auto linear =
        Linear::Create(weights.Rows(begin, count), bias.subspan(begin, count));
    if (!linear.ok()) return linear.status();
    to->blocks.push_back({*std::move(linear), first_output + begin});
  }
  return absl::OkStatus();
}

size_t OutputLayer::ClassOf(WordId word) const {
  size_t which = 0;
  while (word >= classes_[which].end) ++which;
  return which;
}

std::vector<std::vector<OutputLayer::Wanted>> OutputLayer::SortByClass(
    absl::Span<const Targets> rows) const {
  std::vector<std::vector<Wanted>> wanted(classes_.size());
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t i = 0; i < rows[row].words.size(); ++i) {
      const WordId word = rows[row].words[i];
      float* log_prob = rows[row].log_probs + i;
      *log_prob = 0;
      const size_t which = ClassOf(word);
      if (which > 0) wanted[0].push_back({row, ClassOutput(which), log_prob});
      wanted[which].push_back({row, word - classes_[which].begin, log_prob});
    }
  }
  return wanted;
}

void OutputLayer::Score(const float* x, absl::Span<const Targets> rows) const {
  const std::vector<std::vector<Wanted>> wanted = SortByClass(rows);
  for (size_t i = 0; i < classes_.size(); ++i) {
    ScoreClass(classes_[i], x, wanted[i]);
  }
}

// Scores the requests in groups of at most kBlockRows distinct rows.
// REQUIRES: `wanted` is sorted by row.
void OutputLayer::ScoreClass(const Class& which, const float* x,
                             absl::Span<const Wanted> wanted) const {
  std::vector<float> rows(std::min(kBlockRows, wanted.size()) * features_);
  while (!wanted.empty()) {
    std::vector<size_t> row_begin;
    size_t end = 0;
    for (; end < wanted.size(); ++end) {
      if (end > 0 && wanted[end].row == wanted[end - 1].row) continue;
      if (row_begin.size() == kBlockRows) break;
      std::copy_n(x + wanted[end].row * features_, features_,
                  rows.begin() + row_begin.size() * features_);
      row_begin.push_back(end);
    }
    row_begin.push_back(end);
    ScoreRows(which, rows.data(), row_begin, wanted.first(end));
    wanted.remove_prefix(end);
  }
}

void OutputLayer::ScoreRows(const Class& which, const float* rows,
                            absl::Span<const size_t> row_begin,
                            absl::Span<const Wanted> wanted) const {
  const size_t count = row_begin.size() - 1;
  LinearScratch scratch;
  std::vector<float> logits(count * kBlockOutputs);
  std::vector<LogSoftmax> softmaxes(count);
  std::vector<float> found(wanted.size());
  for (const Block& block : which.blocks) {
    const size_t outputs = block.linear->outputs();
    block.linear->Apply(rows, count, logits.data(), &scratch);
    for (size_t r = 0; r < count; ++r) {
      const auto row =
          absl::MakeConstSpan(logits).subspan(r * outputs, outputs);
      softmaxes[r].Add(row);
      for (size_t i = row_begin[r]; i < row_begin[r + 1]; ++i) {
        const size_t output = wanted[i].output - block.begin;
        if (output < outputs) found[i] = row[output];
      }
    }
  }
  for (size_t r = 0; r < count; ++r) {
    const LogSoftmax::Result log_prob = softmaxes[r].result();
    for (size_t i = row_begin[r]; i < row_begin[r + 1]; ++i) {
      *wanted[i].log_prob += log_prob(found[i]);
    }
  }
}

void OutputLayer::Distribution(const float* x, size_t rows,
                               float* log_probs) const {
  while (rows > 0) {
    const size_t some = std::min(rows, kBlockRows);
    std::vector<float> class_log_probs(some * classes_.size());
    for (size_t i = 0; i < classes_.size(); ++i) {
      FillClass(i, x, some, log_probs, &class_log_probs);
    }
    rows -= some;
    x += some * features_;
    log_probs += some * size_;
  }
}

// Writes ln P of the words of one class to log_probs (rows, V). For class 0, it
// also writes ln P of the other classes to class_log_probs (rows, classes); for
// the other classes it reads them there.
void OutputLayer::FillClass(size_t which, const float* x, size_t rows,
                            float* log_probs,
                            std::vector<float>* class_log_probs) const {
  const Class& filled = classes_[which];
  const size_t words = filled.end - filled.begin;
  LinearScratch scratch;
  std::vector<float> logits(rows * kBlockOutputs);
  std::vector<LogSoftmax> softmaxes(rows);
  for (const Block& block : filled.blocks) {
    const size_t outputs = block.linear->outputs();
    block.linear->Apply(x, rows, logits.data(), &scratch);
    for (size_t r = 0; r < rows; ++r) {
      const auto row =
          absl::MakeConstSpan(logits).subspan(r * outputs, outputs);
      softmaxes[r].Add(row);
      float* to = block.begin < words
                      ? log_probs + r * size_ + filled.begin + block.begin
                      : class_log_probs->data() + r * classes_.size() + 1 +
                            block.begin - words;
      std::copy(row.begin(), row.end(), to);
    }
  }
  for (size_t r = 0; r < rows; ++r) {
    const LogSoftmax::Result log_prob = softmaxes[r].result();
    float* row_classes = class_log_probs->data() + r * classes_.size();
    if (which == 0) {
      for (size_t i = 1; i < classes_.size(); ++i) {
        row_classes[i] = log_prob(row_classes[i]);
      }
    }
    float* row = log_probs + r * size_ + filled.begin;
    for (size_t w = 0; w < words; ++w) {
      row[w] = row_classes[which] + log_prob(row[w]);
    }
  }
}

}  // namespace lmserve

// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_RERANKING_METRIC_H_
#define LMSERVE_RERANKING_METRIC_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// A metric that compares texts with references: BLEU, chrF or the word error
// rate. The score of a corpus is a function of the sum of its texts' counts, so
// callers can replace the counts of one text by those of another. Immutable and
// thread-safe.
class Metric {
 public:
  using Counts = std::vector<uint64_t>;

  virtual ~Metric() = default;

  // Returns the counts of a text, given one or more references.
  virtual Counts Count(absl::string_view text,
                       absl::Span<const std::string> references) const = 0;

  // Returns the score of a corpus from the sum of its texts' counts.
  virtual double Score(const Counts& counts) const = 0;

  // Returns the score of a single text from its counts.
  virtual double SentenceScore(const Counts& counts) const {
    return Score(counts);
  }

  virtual bool higher_is_better() const { return true; }
  bool IsBetter(double score, double other) const {
    return higher_is_better() ? score > other : score < other;
  }

  // Returns the name to print, such as "BLEU".
  virtual std::string name() const = 0;

  // Returns the signature to print, given the number of references per text.
  // Scores with different signatures must not be compared.
  virtual std::string signature(int references) const = 0;
};

// Returns the metric `name`: "bleu", "chrf" or "wer". `tokenizer`, which chrF
// does not use, is "13a" or "none" (words are separated by white space).
// INVALID_ARGUMENT for other names.
absl::StatusOr<std::unique_ptr<const Metric>> MakeMetric(
    absl::string_view name, absl::string_view tokenizer);

// Returns the names that MakeMetric() accepts.
std::vector<std::string> MetricNames();

// Adds the counts of a text to *sum, which may be empty.
void AddCounts(const Metric::Counts& counts, Metric::Counts* sum);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_METRIC_H_

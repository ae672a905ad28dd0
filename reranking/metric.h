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

// How good texts are, given references: BLEU, chrF or the word error rate. What
// a corpus is worth follows from the sum of what its texts count, so that one
// text's can be exchanged for another's. Immutable: any number of threads may
// use one.
class Metric {
 public:
  using Counts = std::vector<uint64_t>;

  virtual ~Metric() = default;

  // What a text counts, given one reference or more.
  virtual Counts Count(absl::string_view text,
                       absl::Span<const std::string> references) const = 0;

  // What that sum is worth.
  virtual double Score(const Counts& counts) const = 0;

  // What one text alone is worth.
  virtual double SentenceScore(const Counts& counts) const {
    return Score(counts);
  }

  virtual bool higher_is_better() const { return true; }
  bool IsBetter(double score, double other) const {
    return higher_is_better() ? score > other : score < other;
  }

  // "BLEU", say.
  virtual std::string name() const = 0;

  // Tells figures of one name apart that must not be compared.
  virtual std::string signature(int references) const = 0;
};

// "bleu", "chrf" or "wer"; words are told apart as the tokenizer says, "13a" or
// "none", which chrF does not use. INVALID_ARGUMENT where it is another name.
absl::StatusOr<std::unique_ptr<const Metric>> MakeMetric(
    absl::string_view name, absl::string_view tokenizer);

// Adds what a text counts to what others do.
void AddCounts(const Metric::Counts& counts, Metric::Counts* sum);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_METRIC_H_
